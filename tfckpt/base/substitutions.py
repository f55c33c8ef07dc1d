"""Names changed by regular expressions, one substitution after another, as ``re.sub`` makes them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from tfckpt.base.options import Substitution
from tfckpt.errors import UsageError


def check_substitution(pair: Substitution) -> None:
    """Raise UsageError unless a pair is a regular expression and what can stand for it."""
    try:
        pattern, replacement = () if isinstance(pair, str) else pair
    except (TypeError, ValueError):
        raise UsageError(f"rename: expected pairs of a pattern and its replacement, got {pair!r}") from None
    try:
        re.sub(f"{pattern}|", replacement, "")  # a replacement is parsed only where something matches
        re.compile(pattern)
    except (re.error, IndexError) as error:
        raise UsageError(f"rename {pattern!r} to {replacement!r}: {error}") from None


def substituted(name: str, substitutions: Iterable[Substitution]) -> str:
    """Return a name after every substitution in turn.

    >>> substituted("roberta/w:0", [("^roberta/", "bert/"), (":0$", "")])
    'bert/w'
    """
    for pattern, replacement in substitutions:
        name = re.sub(pattern, replacement, name)
    return name


def unused_patterns(substitutions: Sequence[Substitution], names: Collection[str]) -> list[str]:
    """Return the patterns that match nothing; each is looked for in what those before it made of the names."""
    unused = []
    for pattern, replacement in substitutions:
        if not any(re.search(pattern, name) for name in names):
            unused.append(pattern)
        names = [re.sub(pattern, replacement, name) for name in names]
    return unused
