"""What to type next, said after a failure: the same command without the mistake, or the one that leads on."""

from __future__ import annotations

import argparse
import errno
import os
import re
import shlex
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress

from tfckpt.bundle import files
from tfckpt.bundle.paths import join, split, strip_suffix
from tfckpt.cli.output import printable
from tfckpt.errors import (
    Advice,
    CheckpointExistsError,
    CheckpointNotFoundError,
    FormatError,
    PlanError,
    StorageError,
    TfckptError,
    redacted,
)

FILE_LIMIT = 1 << 20  # bytes of a configuration
REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)
DESTINATIONS = ("dest", "output", "checkpoint_to_path", "directory")  # what commands call what they write to
REPEATED = ("--exclude",)  # options that are given once for each value
REQUIREMENT = re.compile(r"([A-Za-z0-9_.-]+)\s*>=\s*([0-9a-z.]+)")
STATED_SIZE = re.compile(r": expected (\w+) = (\d+) \(([^()]+\.json)\), got (\d+)")


def next_command(error: Exception, args: argparse.Namespace, argv: Sequence[str]) -> str | None:
    """Return the command to type after a failure, or None where none is known.

    Args:
        error: what ended the command.
        args: its arguments.
        argv: the same, as they were typed.
    """
    if not isinstance(error, TfckptError):
        return None
    advice = _swapped(error, args, argv) or error.advice or _by_kind(error, args, argv)
    if advice is None or (advice.given and not any(_names(word, advice.given) for word in argv)):
        return None
    if advice.command:
        return advice.command
    if advice.damaged:
        return salvaging(args.prefix) if args.command == "verify" else shlex.join(["tfckpt", "verify", advice.damaged])
    words = _revised(argv, advice)
    if advice.unknown:  # an import's source is no checkpoint that could be listed
        words = _without(words, "--to") if args.command == "import" else ["ls", advice.unknown]
    return shlex.join(["tfckpt", *words])


def salvaging(prefix: str, paths: Iterable[str] = ()) -> str:
    """Return the command that saves what is intact of a damaged checkpoint; first of all, its files must be readable."""
    for path in paths:
        if os.path.exists(path) and not _may(os.R_OK, path):
            return shlex.join(["ls", "-l", path])
    prefix = strip_suffix(prefix)
    return shlex.join(["tfckpt", "salvage", prefix, f"{prefix.rstrip(os.sep)}.salvaged"])


def print_next(command: str, advice: str | None) -> None:
    """Print what to type, if that is known, as the last line on stderr."""
    if advice:
        print(f"tfckpt {command}: next: {printable(redacted(advice))}", file=sys.stderr)


def _by_kind(error: TfckptError, args: argparse.Namespace, argv: Sequence[str]) -> Advice | None:
    """Return the advice that follows from what kind of error it is."""
    if isinstance(error, CheckpointExistsError) and hasattr(args, "overwrite"):
        return Advice(add=("--overwrite",))
    if isinstance(error, FormatError):
        from tfckpt.bundle.kinds import explain

        explain(error)
        return error.advice
    if isinstance(error, StorageError) and error.errno in REFUSED:
        return _permitted(error, args, argv)
    if isinstance(error, PlanError) and hasattr(args, "config") and hasattr(args, "source"):
        return _with_own_size(error, args, argv)
    if isinstance(error, CheckpointNotFoundError) and getattr(args, "config", None):
        return Advice(drop=("--config",)) if str(error).startswith(f"{args.config}: ") else None
    return None


def _swapped(error: TfckptError, args: argparse.Namespace, argv: Sequence[str]) -> Advice | None:
    """Return the command with SOURCE and DEST changed for each other, if only DEST is there and nothing is like SOURCE."""
    source, dest = getattr(args, "source", None), getattr(args, "dest", None)
    likely = error.advice is not None and bool(error.advice.given)
    if (
        not isinstance(error, CheckpointNotFoundError)
        or dest is None
        or likely
        or not str(error).startswith(f"{source}: ")
    ):
        return None
    from tfckpt.checkpoint.locate import find_prefix

    with suppress(TfckptError):
        find_prefix(dest)
        other = {source: dest, dest: source}
        return Advice(command=shlex.join(["tfckpt", *(other.get(word, word) for word in argv)]))
    return None


def _permitted(error: TfckptError, args: argparse.Namespace, argv: Sequence[str]) -> Advice:
    """Return the command that writes where that is permitted; for what may not be read, the one that shows who may."""
    where = str(error).partition(": cannot ")[0]
    for name in DESTINATIONS:
        dest = getattr(args, name, None)
        if dest and (where.startswith(dest) or dest.startswith(where)):
            import tempfile

            places = ("", os.path.expanduser("~"), tempfile.gettempdir())
            place = next((place for place in places if _may(os.W_OK, place or os.curdir)), "")
            folder, base = os.path.split(dest.rstrip(os.sep))
            meant = os.path.join(place, base) + dest[len(os.path.join(folder, base)) :]
            return Advice(given=dest, meant=meant) if any(_names(word, dest) for word in argv) else Advice(add=(meant,))
    return Advice(command=shlex.join(["ls", "-l", where]))


def _may(mode: int, path: str) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def _with_own_size(error: PlanError, args: argparse.Namespace, argv: Sequence[str]) -> Advice | None:
    """Return the command that states the source's own size where a configuration states another, if nothing else is wrong."""
    found = [match.groups() if (match := STATED_SIZE.search(line)) else None for line in error.complaints]
    if len(set(found)) != 1 or found[0] is None:
        return None
    field, stated, origin, own = found[0]
    config = args.config or join(split(args.source)[0], origin)
    text = f'"{field}": {stated}'
    with suppress(TfckptError):
        if files.read_text(config, FILE_LIMIT).count(text) == 1:
            edit = shlex.join(["sed", f's/{text}/"{field}": {own}/', config])
            words = _revised(argv, Advice(add=("--config", "-")))
            return Advice(command=f"{edit} | {shlex.join(['tfckpt', *words])}")
    return None


def _names(word: str, given: str) -> bool:
    return word == given or (word.startswith("--") and word.partition("=")[2] == given)


def _revised(argv: Sequence[str], advice: Advice) -> list[str]:
    """Return a command's words with the changes that are advised."""
    words = list(argv)
    if advice.given:
        at = max(at for at, word in enumerate(words) if _names(word, advice.given))
        words[at] = words[at].removesuffix(advice.given) + advice.meant
    once = [word for word in advice.add if word.startswith("--") and word not in REPEATED]
    for option in (*advice.drop, *once):
        words = _without(words, option)
    return words + list(advice.add)


def _without(words: list[str], option: str) -> list[str]:
    """Return a command's words without an option and its value."""
    kept: list[str] = []
    left = iter(words)
    for word in left:
        if word == option:
            next(left, None)
        elif not word.startswith(f"{option}="):
            kept.append(word)
    return kept


def unmet_requirements() -> list[tuple[str, str]]:
    """Return a line, and what pip calls it, for each package that tfckpt needs and that is missing or too old."""
    from importlib import metadata

    try:
        wanted = metadata.requires("tfckpt") or []
    except metadata.PackageNotFoundError:  # it runs where it was not installed
        return []
    unmet = []
    for match in filter(None, map(REQUIREMENT.fullmatch, wanted)):  # the others have a condition
        name, least = match.groups()
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            found = ""
        if _numbers(found) < _numbers(least):
            now = f"{found} is installed" if found else "it is not installed"
            unmet.append((f"tfckpt needs {name} {least} or newer, and {now}", match[0]))
    return unmet


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version.partition("+")[0])[:3])
