"""The flags of the command line, made from the options: what a parser takes, and what it found, as a call takes it.

A manifest's rows are read by this, too; it is all that there is of the command line outside its own room.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tfckpt.base.options import AUTO, MOST_BINS, Option, for_shell, options_of

if TYPE_CHECKING:
    import argparse

    from tfckpt.base.options import Kinds

NO_CHOICES: Mapping[str, Iterable[str]] = {}


def add_flags(
    parser: argparse._ActionsContainer,
    kind: type,
    *,
    only: Iterable[str] | None = None,
    but: Iterable[str] = (),
    choices: Mapping[str, Iterable[str]] = NO_CHOICES,
) -> None:
    """Add the flags of a call's options to a parser, each under the option's name.

    Args:
        parser: or a group of one.
        kind: the options of which call.
        only: those to add; all, unless given.
        but: those to leave out.
        choices: what an open set is held to, by option.
    """
    options = options_of(kind)
    for name in options if only is None else only:
        if options[name].flag and name not in but:
            parser.add_argument(options[name].flag, dest=name, **_how(options[name], choices.get(name)))


def options_from(args: argparse.Namespace, kind: type[Kinds]) -> dict[str, Any]:
    """Return what a parser found of a call's options, as the call takes them."""
    found = {name: o for name, o in options_of(kind).items() if o.flag and hasattr(args, name)}
    values = {name: getattr(args, name) for name in found}
    return {
        name: dict(o.words)[values[name]] if o.words and values[name] else values[name] for name, o in found.items()
    }


def _how(option: Option, choices: Iterable[str] | None) -> dict[str, Any]:
    """Return what argparse is told of one option."""
    sentence = for_shell(re.split(r"\.(?: |$)", option.help)[0]).replace("%", "%%")
    if option.default is True:
        return {"action": "store_false", "help": f"do not {sentence}"}
    if option.default is False:
        return {"action": "store_true", "help": sentence}
    how: dict[str, Any] = {"default": option.default, "help": sentence}
    if option.default not in ("", (), None):
        how["help"] += " (default: %(default)s)"
    if option.metavar:
        how["metavar"] = option.metavar
    if option.metavar == "FILE":
        how["help"] += "; - means stdin"
    if option.metavar in READERS:
        how["type"] = READERS[option.metavar]
    if option.default == ():
        return how | {"action": "append", "default": [], "help": f"{sentence}; may be repeated"}
    found = choices or option.choices or tuple(word for word, _ in option.words)
    return how | {"choices": found} if found else how


def home_path(text: str) -> str:
    """Return a path as it is, but for a home directory: shells leave the tilde of an option's ``=~/file``."""
    return os.path.expanduser(text) if text.startswith("~/") else text


def nbytes(text: str) -> int:
    """Return a number of bytes, with or without a unit: ``KB`` is 1,000 of them, and ``KiB`` is 1,024.

    >>> nbytes("500"), nbytes("1.5GB"), nbytes("2 GiB")
    (500, 1500000000, 2147483648)
    """
    match = re.fullmatch(r"(\d{1,18}(?:\.\d{1,9})?) ?(?:([KMGT])(I?)B?|B)?", text.upper())
    if match is None:
        raise _refused(f"expected a number of bytes, such as 500000000, 500MB or 2GiB, got {text!r}")
    number, unit, binary = match.groups()
    power = "KMGT".index(unit) + 1 if unit else 0
    whole, _, decimals = number.partition(".")
    exact: int = int(whole + decimals) * (1024 if binary else 1000) ** power // 10 ** len(decimals)
    return exact


def substitution(text: str) -> tuple[str, str]:
    """Split ``REGEX=REPLACEMENT`` at the first ``=`` before which an expression is complete: ``(?=x)`` has one of its own.

    >>> substitution("^(?=model)=net/"), substitution("a==b")
    (('^(?=model)', 'net/'), ('a', '=b'))
    """
    pattern, equals, replacement = text.partition("=")
    while equals and not _is_regex(pattern):
        more, equals, replacement = replacement.partition("=")
        pattern += f"={more}"
    if not equals:
        pattern, equals, replacement = text.partition("=")
    if not equals or not pattern:
        raise _refused(f"expected REGEX=REPLACEMENT, got {text!r}")
    return pattern, replacement


def found_substitution(text: str) -> str | tuple[str, str]:
    """Return what is to be renamed, or that it is to be found.

    >>> found_substitution("auto"), found_substitution("^a/=b/")
    ('auto', ('^a/', 'b/'))
    """
    return text if text == AUTO else substitution(text)


def _is_regex(text: str) -> bool:
    try:
        re.compile(text)
    except re.error:
        return False
    return True


def counting(least: int, most: int) -> Callable[[str], int]:
    """Return the type of an argument that is a whole number between two."""

    def parse(text: str) -> int:
        number = int(text) if re.fullmatch("[0-9]{1,9}", text) else -1
        if not least <= number <= most:
            raise _refused(f"expected a whole number from {least} to {most}, got {text!r}")
        return number

    return parse


def numbers(text: str) -> list[float]:
    """Return numbers that commas divide.

    >>> numbers("1,0.5")
    [1.0, 0.5]
    """
    try:
        return [float(number) for number in text.split(",")]
    except ValueError:
        raise _refused(f"expected numbers such as 1,1,2, got {text!r}") from None


def _refused(text: str) -> Exception:
    import argparse

    return argparse.ArgumentTypeError(text)


# How a value is read, by what the help calls it; of any other name it is the text itself.
READERS: Mapping[str, Callable[[str], Any]] = {
    "FILE": home_path,
    "DIR": home_path,
    "N": int,
    "BARS": counting(1, MOST_BINS),
    "RATE": float,
    "NUMBER": float,
    "BYTES": nbytes,
    "REGEX=REPLACEMENT": substitution,
    "auto|REGEX=REPLACEMENT": found_substitution,
    "W,W,...": numbers,
}
