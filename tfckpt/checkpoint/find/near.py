"""Checkpoints near a path that leads to none: with other separators, in a folder below or above, or from here."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress

from tfckpt.base.issues import Remedy, take
from tfckpt.errors import TfckptError, printable, some
from tfckpt.storage import files
from tfckpt.storage.paths import join, split, strip_suffix

Prefixes = Callable[[str], "list[str]"]  # of a directory: the names of the checkpoints in it
DRIVE = re.compile(r"[A-Za-z]:")
MOST_DIRECTORIES = 20  # that are looked into, of each directory
DEPTH = 2  # of the directories below a path that are looked into
MOST_PARTS = 6  # of a path that are tried one after another


def nearby(typed: str, prefixes: Prefixes) -> tuple[str, Remedy] | None:
    """Return what to say of a path, empty if nothing, and what would help, if the checkpoint of that very name is near."""
    if not split(typed)[1]:
        return None
    with suppress(TfckptError):  # a guess that fails is none
        return _in_slashes(typed, prefixes) or _one_too_high(typed, prefixes) or _from_elsewhere(typed, prefixes)
    return None


def _in_slashes(typed: str, prefixes: Prefixes) -> tuple[str, Remedy] | None:
    """Return the path that backslashes were meant to separate; or that a shell has taken them out of."""
    folder, base = split(typed)
    if "\\" in typed and os.sep == "/":
        found = _first(_ends(typed.replace("\\", "/")), prefixes)
        return None if found is None else ("here a slash separates folders, not a backslash", take(typed, found))
    found = _joined(folder, base, prefixes, MOST_PARTS)
    return None if found is None else ("a shell takes backslashes away: type slashes", take(typed, found))


def _joined(folder: str, text: str, prefixes: Prefixes, depth: int) -> str | None:
    """Return the checkpoint below a directory that is called so without separators."""
    for name in _directories(folder or os.curdir) if depth else ():
        path, rest = join(folder, name), text.removeprefix(name)
        if rest not in (text, ""):
            found = join(path, strip_suffix(rest)) if strip_suffix(rest) in prefixes(path) else None
            if found is not None or (found := _joined(path, rest, prefixes, depth - 1)) is not None:
                return found
    return None


def _one_too_high(typed: str, prefixes: Prefixes) -> tuple[str, Remedy] | None:
    folder, base = split(typed)
    base = strip_suffix(base)
    below = [path for path in directories_below(folder) if base in prefixes(path)]
    if not below:
        return None
    return f"{printable(some(below))} {'has' if len(below) == 1 else 'have'} it", take(typed, join(below[0], base))


def _from_elsewhere(typed: str, prefixes: Prefixes) -> tuple[str, Remedy] | None:
    """Return what the end of a path leads to, from here or from the nearest directory above that is there."""
    folder, base = split(typed)
    above = existing(folder)
    candidates = [*([join(above, base)] if above != folder else []), *_ends(typed)]
    found = _first((path for path in candidates if path != typed), prefixes)
    return None if found is None else ("", take(typed, found))


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


def directories_below(folder: str, depth: int = DEPTH) -> list[str]:
    """Return the directories below one, those that are nearer first."""
    found, level = [], [folder]
    for _ in range(depth):
        level = [join(path, name) for path in level for name in _directories(path or os.curdir)][:MOST_DIRECTORIES]
        found += level
    return [os.path.normpath(path) for path in found]


def _directories(folder: str) -> list[str]:
    with suppress(TfckptError):
        if files.is_directory(folder):
            names = files.list_directory(folder)
            return [name for name in names if files.is_directory(join(folder, name))][:MOST_DIRECTORIES]
    return []
