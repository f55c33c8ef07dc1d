"""Checkpoints near a path that leads to none: with other separators, in a folder below or above, or from here."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice

from tfckpt.base.issues import Remedy, take
from tfckpt.errors import TfckptError, printable, some
from tfckpt.storage import files
from tfckpt.storage.paths import INDEX_SUFFIX, join, split, strip_suffix

Prefixes = Callable[[str], "list[str]"]  # of a directory: the names of the checkpoints in it
DRIVE = re.compile(r"[A-Za-z]:")
MOST_DIRECTORIES = 20  # that are looked into, of each directory
MOST_PARTS = 6  # of a path that are tried one after another


def in_slashes(typed: str, prefixes: Prefixes) -> tuple[str, Remedy] | None:
    """Return what to say, and the path that backslashes were meant to separate; or that a shell has taken them out of."""
    folder, base = split(typed)
    with suppress(TfckptError):  # a guess that fails is none
        if "\\" in typed and os.sep == "/":
            found = _first(_ends(typed.replace("\\", "/")), prefixes)
            return None if found is None else ("here a slash separates folders, not a backslash", take(typed, found))
        found = _joined(folder, base, prefixes, MOST_PARTS) if base else None
        return None if found is None else ("a shell takes backslashes away: type slashes", take(typed, found))
    return None


def _joined(folder: str, text: str, prefixes: Prefixes, depth: int) -> str | None:
    """Return the checkpoint below a directory that is called so without separators."""
    for name in _directories(folder or os.curdir, text.startswith) if depth else ():
        path, rest = join(folder, name), text.removeprefix(name)
        if rest not in (text, ""):
            found = join(path, strip_suffix(rest)) if strip_suffix(rest) in prefixes(path) else None
            if found is not None or (found := _joined(path, rest, prefixes, depth - 1)) is not None:
                return found
    return None


def one_too_high(typed: str, prefixes: Prefixes) -> tuple[str, Remedy] | None:
    """Return what to say, and the checkpoint of that very name in a directory below."""
    folder, base = split(typed)
    base = strip_suffix(base)
    below = [path for path, names in checkpoints_below(folder, prefixes).items() if base in names]
    if not below:
        return None
    return f"{printable(some(below))} {'has' if len(below) == 1 else 'have'} it", take(typed, join(below[0], base))


def from_elsewhere(typed: str, prefixes: Prefixes) -> Remedy | None:
    """Return what the end of a path leads to, from the nearest directory above that is there, or from here."""
    folder, base = split(typed)
    with suppress(TfckptError):  # a guess that fails is none
        found = _first([join(existing(folder), base), *_ends(typed)] if base else [], prefixes)
        return None if found in (None, typed) else take(typed, str(found))
    return None


def _ends(path: str) -> Iterator[str]:
    """Yield a path, and what is left of it without its first folders: one from another machine is found from here.

    >>> list(_ends("C:/me/bert/model.ckpt"))
    ['me/bert/model.ckpt', 'bert/model.ckpt', 'model.ckpt']
    """
    if not DRIVE.match(path):
        yield path
    parts = [part for part in DRIVE.sub("", path).split("/") if part not in ("", os.curdir)]
    for at in range(max(0, len(parts) - MOST_PARTS), len(parts)):
        yield os.path.join(*parts[at:])


def _first(paths: Iterator[str] | list[str], prefixes: Prefixes) -> str | None:
    """Return the first of some paths that leads to a checkpoint, a directory of some included."""
    for path in paths:
        folder, base = split(strip_suffix(path))
        if files.is_directory(folder or os.curdir) and base in prefixes(folder or os.curdir):
            return strip_suffix(path)
        if files.is_directory(path) and prefixes(path):
            return path
    return None


def existing(folder: str) -> str:
    """Return the nearest directory above that is there."""
    above = split(folder)[0] or os.curdir
    return folder if files.is_directory(folder) or above == folder else existing(above)


def checkpoints_below(folder: str, prefixes: Prefixes) -> dict[str, list[str]]:
    """Return the names of the checkpoints in each of the directories below one that has some, as far up as there are any.

    Further down only names that end in .index count: to know a V1 checkpoint, each file would have to be opened.
    """
    near = [join(folder, name) for name in _directories(folder or os.curdir)]
    if found := {path: names for path in map(os.path.normpath, near) if (names := _in(path, prefixes))}:
        return found
    far = [join(path, name) for path in near for name in _directories(path)][:MOST_DIRECTORIES]
    return {path: names for path in map(os.path.normpath, far) if (names := _in(path, _indexes))}


def _in(folder: str, prefixes: Prefixes) -> list[str]:
    with suppress(TfckptError):  # one that cannot be read
        return prefixes(folder)
    return []


def _indexes(folder: str) -> list[str]:
    names = files.list_directory(folder)
    return [name.removesuffix(INDEX_SUFFIX) for name in names if name.endswith(INDEX_SUFFIX) and name != INDEX_SUFFIX]


def _directories(folder: str, wanted: Callable[[str], bool] = bool) -> list[str]:
    """Return the names of the first directories in one, of those that are ``wanted``."""
    with suppress(TfckptError):
        if files.is_directory(folder):
            names = filter(wanted, files.list_directory(folder))
            return list(islice((name for name in names if files.is_directory(join(folder, name))), MOST_DIRECTORIES))
    return []
