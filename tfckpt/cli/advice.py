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
from tfckpt.bundle.paths import is_remote, join, looking, split, strip_suffix
from tfckpt.cli.options import DRY_RUN
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
READING = ("open", "read", "map", "list", "look at")  # what may be refused of a file that is not to be written
FROM_CHECKPOINT = ("convert", "rewrite", "salvage")  # that write a checkpoint and take one
# What commands call the path that they write to.
DESTINATIONS = {
    **dict.fromkeys((*FROM_CHECKPOINT, "merge", "average", "export", "import"), "dest"),
    "report": "output",
    "tf1-to-keras": "checkpoint_to_path",
    "demo": "directory",
}
# How the command is started by a path.
OWN_DOORS = (os.path.join(os.sep, "tfckpt"), os.path.join("tfckpt", "__main__.py"))
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
    if advice.folder:
        return shlex.join(["ls", "-l", advice.folder])
    if advice.damaged and args.command == "verify":
        return salvaging(args.prefix, vain=True)
    return _line(["tfckpt", *_words(advice, args, argv)])


def _line(words: Sequence[str]) -> str:
    """Return words as every shell takes them: zsh takes ``=NAME`` without quotes for the path of a command.

    >>> _line(["tfckpt", "--exclude", "=bert/mask", "a b"])
    "tfckpt --exclude '=bert/mask' 'a b'"
    """
    quoted = ((word, shlex.quote(word)) for word in words)
    return " ".join(f"'{word}'" if word == safe and word.startswith("=") else safe for word, safe in quoted)


def _words(advice: Advice, args: argparse.Namespace, argv: Sequence[str]) -> list[str]:
    """Return the words of the command of ours that is advised."""
    if advice.damaged:
        return ["verify", advice.damaged]
    if (
        advice.compared and args.command == "merge" and not args.prefer
    ):  # what is not preferred would not go along: a trial
        return [*(word for word in argv if word != DRY_RUN), DRY_RUN, "--prefer", advice.compared[0]]
    if advice.compared:
        return ["diff", *advice.compared]
    words = _revised(argv, advice, args)
    if advice.unknown:  # an import's source is no checkpoint that could be listed
        return _without(words, "--to") if args.command == "import" else ["ls", advice.unknown]
    return words


def salvaging(prefix: str, paths: Iterable[str] = (), *, vain: bool = False) -> str | None:
    """Return the command that saves what is intact of a damaged checkpoint; first of all, its files must be readable.

    Where that is ``vain``, since nothing is, it shows what is left of the files.
    """
    for path in paths:
        if os.path.exists(path) and not _may(os.R_OK, path):
            return shlex.join(["ls", "-ld", path])
    prefix = strip_suffix(prefix)
    if vain:
        found = looking(prefix)
        return None if found is None else shlex.join(["ls", "-l", found.folder])
    return shlex.join(["tfckpt", "salvage", prefix, f"{prefix.rstrip(os.sep)}.salvaged"])


def print_next(command: str, advice: str | None) -> None:
    """Print what to type, if that is known, as the last line on stderr."""
    if advice:
        print(f"tfckpt {command}: next: {printable(redacted(_typed_here(advice)))}", file=sys.stderr)


def _typed_here(command: str) -> str:
    """Return a command as a shell finds it that does not find ``tfckpt`` by its name."""
    import shutil

    if not sys.argv[0].endswith(OWN_DOORS) or shutil.which("tfckpt"):
        return command
    python = shlex.quote(sys.executable)
    words = {"tfckpt": f"{python} -m tfckpt", "python3": python}
    first, space, rest = command.partition(" ")
    return words.get(first, first) + space + rest


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
    """Return the command with SOURCE and DEST changed for each other, if DEST is a checkpoint and SOURCE is nothing at all.

    Nothing else is likelier then, and nothing can be lost: what would be written to is not there.
    """
    if args.command not in FROM_CHECKPOINT or not isinstance(error, CheckpointNotFoundError):
        return None
    known = error.advice is not None and not error.advice.folder
    if known or is_remote(args.source) or is_remote(args.dest) or not _is_free(args.source):
        return None
    if (argv.count(args.source), argv.count(args.dest)) != (1, 1):
        return None
    from tfckpt.checkpoint.locate import find_prefix

    with suppress(TfckptError):
        find_prefix(args.dest, args.format)
        other = {args.source: args.dest, args.dest: args.source}
        return Advice(command=_line(["tfckpt", *(other.get(word, word) for word in argv)]))
    return None


def _permitted(error: TfckptError, args: argparse.Namespace, argv: Sequence[str]) -> Advice:
    """Return the command that writes where that is permitted and nothing lies; else what shows why it is not."""
    where, _, action = str(error).partition(": cannot ")
    dest = getattr(args, DESTINATIONS.get(args.command, ""), None)
    if dest and not action.startswith(READING) and (meant := _elsewhere(dest)) is not None:
        if any(_names(word, dest) for word in argv):
            return Advice(given=dest, meant=meant)
        if args.command == "demo":
            return Advice(add=(meant,))
    if not os.path.exists(where):
        where = os.path.dirname(where) or os.curdir
    return Advice(command=shlex.join(["ls", "-ld", where]))


def _elsewhere(dest: str) -> str | None:
    """Return a path of the same name, free to be written to: here, at home or among temporary files."""
    import tempfile

    folder, name = os.path.split(dest.rstrip(os.sep))
    refused = os.path.realpath(folder or os.curdir)
    for place in ("", os.path.expanduser("~"), tempfile.gettempdir()):
        path = os.path.join(place, name)
        here = place or os.curdir
        if _may(os.W_OK, here) and os.path.realpath(here) != refused and _is_free(path):
            return path + dest[len(os.path.join(folder, name)) :]
    return None


def _is_free(path: str) -> bool:
    """Whether nothing has this name, and no file of a checkpoint begins with it."""
    from tfckpt.bundle.commit import existing_files

    return not os.path.lexists(path) and not existing_files(path)


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
            words = _revised(argv, Advice(add=("--config", "-")), args)
            return Advice(command=f"{edit} | {_line(['tfckpt', *words])}")
    return None


def _names(word: str, given: str) -> bool:
    return word == given or (word.startswith("--") and word.partition("=")[2] == given)


def _revised(argv: Sequence[str], advice: Advice, args: argparse.Namespace) -> list[str]:
    """Return a command's words with the changes that are advised."""
    words = list(argv)
    if advice.given:
        found = [at for at, word in enumerate(words) if _names(word, advice.given)]
        at = max([at for at in found if not _takes_value(words[at - 1], args)] or found)
        words[at] = words[at].removesuffix(advice.given) + advice.meant
    once = [word for word in advice.add if word.startswith("--") and word not in REPEATED]
    for option in (*advice.drop, *once):
        words = _without(words, option)
    return words + list(advice.add)


def _takes_value(word: str, args: argparse.Namespace) -> bool:
    """Whether a word is an option whose value is the next word: what an option repeats stands first somewhere else."""
    value = getattr(args, word[2:].replace("-", "_"), None) if word.startswith("--") else None
    return isinstance(value, str | list)


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
