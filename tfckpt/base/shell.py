"""Words as a shell takes them."""

from __future__ import annotations

import shlex
from collections.abc import Iterable


def line(words: Iterable[str]) -> str:
    """Return words as every shell takes them: zsh takes ``=NAME`` without quotes for the path of a command.

    >>> line(["tfckpt", "--exclude", "=bert/mask", "a b"])
    "tfckpt --exclude '=bert/mask' 'a b'"
    """
    quoted = ((word, shlex.quote(word)) for word in words)
    return " ".join(f"'{word}'" if word == safe and word.startswith("=") else safe for word, safe in quoted)
