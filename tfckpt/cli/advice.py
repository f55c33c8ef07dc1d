"""What to type next, said after a failure: the same command without the mistake, or the one that leads on."""

from __future__ import annotations

import argparse
import errno
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from tfckpt.base.issues import Issue, Remedy, give, leave_out, run, take
from tfckpt.base.options import every_option
from tfckpt.base.shell import line
from tfckpt.cli.command import OURS, Command, Restated
from tfckpt.cli.options import DRY_RUN
from tfckpt.cli.stdin import STREAM
from tfckpt.cli.trial import FILE_LIMIT, works
from tfckpt.cli.ui.output import NEXT, printable, tell
from tfckpt.errors import CheckpointNotFoundError, FormatError, StorageError, TfckptError, redacted
from tfckpt.storage import files
from tfckpt.storage.paths import is_remote, looking, strip_suffix

REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)
READING = ("open", "read", "map", "list", "look at")  # what may be refused of a file that is not to be written
FROM_CHECKPOINT = ("convert", "rewrite", "salvage")  # that write a checkpoint and take one
PLANNING = ("convert", "plan", "export")  # that a plan alone decides
# What commands call the path that they write to.
DESTINATIONS = {
    **dict.fromkeys((*FROM_CHECKPOINT, "merge", "average", "export", "import"), "dest"),
    "report": "output",
    "tf1-to-keras": "checkpoint_to_path",
    "demo": "directory",
}
# How the command is started by a path.
OWN_DOORS = (os.path.join(os.sep, "tfckpt"), os.path.join("tfckpt", "__main__.py"))
REQUIREMENT = re.compile(r"([A-Za-z0-9_.-]+)\s*>=\s*([0-9a-z.]+)")


def next_commands(
    error: Exception,
    args: argparse.Namespace,
    argv: Sequence[str],
    parse: Callable[[Sequence[str]], argparse.Namespace],
) -> list[str]:
    """Return what may be typed after a failure: one command, or one for each of several choices; none if nothing is known.

    Each has been tried, as far as it goes without reading values, and costs no trained value.

    Args:
        error: what ended the command.
        args: its arguments.
        argv: the same, as they were typed.
        parse: the command line's parser.
    """
    if not isinstance(error, TfckptError):
        return []
    if (swapped := _swapped(error, args, argv)) is not None:
        return [swapped.text] if works(swapped, parse) else []
    for remedies in [*_alternatives(error), _by_kind(error, args, argv)]:
        choices = _choices(remedies)
        found = [c.text for remedy in choices if (c := _command(remedy, args, argv)) and works(c, parse)]
        if found and len(found) == len(choices):  # of a choice, no part is said: it would look like all
            return found
    return []


def _alternatives(error: TfckptError) -> Iterator[tuple[Remedy, ...]]:
    """Yield what mends all of an error: of one issue each of its remedies, the best first."""
    first, *more = error.issues
    if more or not first.remedies:
        yield error.remedies
    elif first.remedies[0].action == "choose":
        yield first.remedies
    else:
        yield from ((remedy,) for remedy in first.remedies)


def _choices(remedies: tuple[Remedy, ...]) -> list[tuple[Remedy, ...]]:
    """Return the remedies, or each of them alone if the user has to choose."""
    return [(remedy,) for remedy in remedies] if any(r.action == "choose" for r in remedies) else [remedies]


def _command(remedies: tuple[Remedy, ...], args: argparse.Namespace, argv: Sequence[str]) -> Command | None:
    """Return the command that does what is advised; None where it cannot be typed, or would cost trained values."""
    if not remedies or any(remedy.loses for remedy in remedies):
        return None
    first, *more = remedies
    if first.action in OTHER_COMMANDS:
        return None if more else OTHER_COMMANDS[first.action](first, args, argv)
    if not all(_can_revise(remedy, argv) for remedy in remedies):
        return None
    words = list(argv)
    for remedy in remedies:
        words = _revised(words, remedy, args)
    return Command(words)


def _can_revise(remedy: Remedy, argv: Sequence[str]) -> bool:
    """Whether a change can be made to a command's words: an argument that is taken for another must not be there twice."""
    if remedy.action != "take":
        return remedy.action not in OTHER_COMMANDS
    given, meant = remedy.argument("given"), remedy.argument("meant")
    return any(_names(word, given) for word in argv) and meant not in argv


def _verify(remedy: Remedy, args: argparse.Namespace, argv: Sequence[str]) -> Command | None:
    if args.command != "verify":
        return Command(["verify", remedy.argument("path")])
    shown = salvaging(args.prefix, vain=True)
    return None if shown is None else Command(foreign=shown)


def _list(remedy: Remedy, args: argparse.Namespace, argv: Sequence[str]) -> Command:
    path = remedy.argument("path")
    if args.command == "import" and not _is_checkpoint(path):  # there is nothing that ls could list
        return Command(_without(argv, every_option()["to"].flag))
    return Command(["ls", path])


def _is_checkpoint(path: str) -> bool:
    from tfckpt.checkpoint.find.locate import find_prefix

    with suppress(TfckptError):
        return bool(find_prefix(path))
    return False


def _compare(remedy: Remedy, args: argparse.Namespace, argv: Sequence[str]) -> Command:
    if args.command == "merge" and not args.prefer:  # what is not preferred would not go along: a trial
        trial = [word for word in argv if word != DRY_RUN]
        return Command([*trial, DRY_RUN, every_option()["prefer"].flag, remedy.argument("a")])
    return Command(["diff", remedy.argument("a"), remedy.argument("b")])


def _as_typed(text: str) -> Command:
    """Return a line of a shell as a command; one of ours is taken for such, so that it is tried."""
    first, *words = shlex.split(text)
    return Command(words) if first == OURS else Command(foreign=text)


def _configure(remedy: Remedy, args: argparse.Namespace, argv: Sequence[str]) -> Command | None:
    """Return the command that states the source's own size where a configuration states another."""
    values = dict(remedy.arguments)
    stated, own = (f'"{values["field"]}": {values[which]}' for which in ("stated", "own"))
    with suppress(TfckptError):
        if files.read_text(values["path"], FILE_LIMIT).count(stated) == 1:
            words = _revised(list(argv), give(config=STREAM), args)
            return Command(words, config=Restated(values["path"], stated, own))
    return None


# The actions that lead to another command than the one that failed.
OTHER_COMMANDS: Mapping[str, Callable[[Remedy, argparse.Namespace, Sequence[str]], Command | None]] = {
    "list": _list,
    "verify": _verify,
    "compare": _compare,
    "configure": _configure,
    "export": lambda remedy, args, argv: Command(["export", remedy.argument("source"), remedy.argument("dest")]),
    "draw": lambda remedy, args, argv: Command(["tree", remedy.argument("path")]),
    "look": lambda remedy, args, argv: Command(foreign=line(["ls", "-l", remedy.argument("folder")])),
    "run": lambda remedy, args, argv: _as_typed(remedy.argument("command")),
}


def salvaging(prefix: str, paths: Iterable[str] = (), *, vain: bool = False) -> str | None:
    """Return the command that saves what is intact of a damaged checkpoint; first of all, its files must be readable.

    Where that is ``vain``, since nothing is, it shows what is left of the files.
    """
    for path in paths:
        if os.path.exists(path) and not _may(os.R_OK, path):
            return line(["ls", "-ld", path])
    prefix = strip_suffix(prefix)
    if vain:
        found = looking(prefix)
        return None if found is None else line(["ls", "-l", found.argument("folder")])
    return line(["tfckpt", "salvage", prefix, f"{prefix.rstrip(os.sep)}.salvaged"])


def print_next(command: str, advice: str | None) -> None:
    """Print what to type, if that is known, as the last line on stderr."""
    if advice:
        tell(command, f"next: {printable(redacted(typed_here(advice)))}", NEXT, whole=True)


def typed_here(command: str) -> str:
    """Return a command as a shell finds it that does not find ``tfckpt`` by its name."""
    import shutil

    if not sys.argv[0].endswith(OWN_DOORS) or shutil.which("tfckpt"):
        return command
    python = shlex.quote(sys.executable)
    words = {"tfckpt": f"{python} -m tfckpt", "python3": python}
    started = []
    for part in command.split(" && "):
        first, space, rest = part.partition(" ")
        started.append(words.get(first, first) + space + rest)
    return " && ".join(started)


def _by_kind(error: TfckptError, args: argparse.Namespace, argv: Sequence[str]) -> tuple[Remedy, ...]:
    """Return the remedies that follow from what kind of error it is."""
    issue = error.issues[0]
    if isinstance(error, FormatError):
        from tfckpt.bundle.damage import explain

        explain(error)
        return error.remedies
    if isinstance(error, StorageError) and error.errno in REFUSED and issue.code == "refused":
        return _permitted(issue, args, argv)
    if isinstance(error, CheckpointNotFoundError) and issue.subject == getattr(args, "config", None):
        return (leave_out("config"),)
    return ()


def _swapped(error: TfckptError, args: argparse.Namespace, argv: Sequence[str]) -> Command | None:
    """Return the command with SOURCE and DEST changed for each other, if DEST is a checkpoint and SOURCE is nothing at all.

    Nothing else is likelier then, and nothing can be lost: what would be written to is not there.
    """
    if args.command not in FROM_CHECKPOINT or not isinstance(error, CheckpointNotFoundError):
        return None
    known = bool(error.remedies) and error.remedies[0].action != "look"
    if known or is_remote(args.source) or is_remote(args.dest) or not _is_free(args.source):
        return None
    if (argv.count(args.source), argv.count(args.dest)) != (1, 1):
        return None
    from tfckpt.checkpoint.find.locate import find_prefix

    with suppress(TfckptError):
        find_prefix(args.dest, args.source_format)
        other = {args.source: args.dest, args.dest: args.source}
        return Command([other.get(word, word) for word in argv])
    return None


def _permitted(issue: Issue, args: argparse.Namespace, argv: Sequence[str]) -> tuple[Remedy, ...]:
    """Return what writes where that is permitted and nothing lies; else what shows why it is not."""
    where = issue.subject
    dest = getattr(args, DESTINATIONS.get(args.command, ""), None)
    if dest and not issue.expected.startswith(READING) and (meant := _elsewhere(dest)) is not None:
        if any(_names(word, dest) for word in argv):
            return (take(dest, meant),)
        if args.command == "demo":
            return (run(line(["tfckpt", *argv, meant])),)
    if not os.path.exists(where):
        where = os.path.dirname(where) or os.curdir
    return (run(line(["ls", "-ld", where])),)


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
    from tfckpt.storage.commit import existing_files

    return not os.path.lexists(path) and not existing_files(path)


def _may(mode: int, path: str) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def _names(word: str, given: str) -> bool:
    return word == given or (word.startswith("--") and word.partition("=")[2] == given)


def _revised(words: list[str], remedy: Remedy, args: argparse.Namespace) -> list[str]:
    """Return a command's words with the change that is advised."""
    if remedy.action == "take":
        given, meant = remedy.argument("given"), remedy.argument("meant")
        found = [at for at, word in enumerate(words) if _names(word, given)]
        at = max([at for at in found if not _takes_value(words[at - 1], args)] or found)
        return [*words[:at], words[at].removesuffix(given) + meant, *words[at + 1 :]]
    if remedy.action == "retype":
        for word in remedy.argument("without"):
            words = _without(words, word, has_value=word.startswith("-"))
        return [*words, *remedy.argument("words")]
    for name, value in remedy.arguments:
        option = every_option()[name]
        if remedy.action != "give" or option.default != ():  # what is repeated does not replace
            words = _without(words, option.flag, has_value=not isinstance(option.default, bool))
        if remedy.action != "leave out":
            values = value if isinstance(value, tuple) else (value,)
            words = [*words, *(word for one in values for word in (option.flag, *([] if one is True else [str(one)])))]
    return words


def _takes_value(word: str, args: argparse.Namespace) -> bool:
    """Whether a word is an option whose value is the next word: what an option repeats stands first somewhere else."""
    value = getattr(args, word[2:].replace("-", "_"), None) if word.startswith("--") else None
    return isinstance(value, str | list)


def _without(words: Sequence[str], option: str, *, has_value: bool = True) -> list[str]:
    """Return a command's words without an option and its value."""
    kept: list[str] = []
    left = iter(words)
    for word in left:
        if word == option and has_value:
            next(left, None)
        elif word != option and not word.startswith(f"{option}="):
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
