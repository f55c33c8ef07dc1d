"""What a path that leads to no checkpoint was meant to be, and what lies there instead: for messages alone."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress

from tfckpt.base.issues import Remedy, run, take
from tfckpt.checkpoint.find.state_file import STATE_FILE, last_parts, read_state
from tfckpt.errors import TfckptError, printable
from tfckpt.storage import files
from tfckpt.storage.paths import SHARD_SUFFIX, file_names, index_path, is_remote, join, looking, split
from tfckpt.storage.sniff import FROZEN, kind_of, remedy_for

SAVED_MODEL, VARIABLES = "saved_model.pb", os.path.join("variables", "variables")
MOST_DIRECTORIES, MOST_FILES = 20, 100  # that are looked into

Prefixes = Callable[[str], "list[str]"]  # of a directory: the names of the checkpoints in it


def about_path(typed: str, prefixes: Prefixes) -> tuple[str, Remedy | None]:
    """Return what to say of a path with no checkpoint behind it, empty if nothing, and what would help."""
    folder, base = split(typed)
    folder = folder or os.curdir
    if is_remote(typed):
        with suppress(TfckptError):  # a guess that fails is none
            return "", _the_nearest(typed, folder, base, prefixes)
        return "", None
    if files.is_file(typed):
        return _about_file(typed, folder, base, prefixes)
    if not files.is_directory(folder):
        above = _existing(folder)
        return "", _in_a_directory_like(folder, typed, prefixes) or looking(join(above, base))
    nearest = _the_nearest(typed, folder, base, prefixes)
    if any(SHARD_SUFFIX.sub("", name) == base for name in files.list_directory(folder)):
        return _without_index(typed, folder, nearest)
    close = nearest if nearest is not None and _is_like(base, split(nearest.argument("meant"))[1]) else None
    return "", close or _in_a_directory_like(typed, typed, prefixes) or nearest or looking(typed)


def _existing(folder: str) -> str:
    """Return the nearest directory above that is there."""
    above = split(folder)[0] or os.curdir
    return folder if files.is_directory(folder) or above == folder else _existing(above)


def _in_a_directory_like(missing: str, typed: str, prefixes: Prefixes) -> Remedy | None:
    """Return what was meant if the directory that is missing is called almost like one beside it with a checkpoint."""
    above, name = split(os.path.normpath(missing))
    base = split(typed)[1]
    near: list[str] = []
    with suppress(TfckptError):  # a guess that fails is none
        near = [
            join(above, other) for other in files.list_directory(above or os.curdir) if name and _is_like(name, other)
        ]
    for folder in sorted(filter(files.is_directory, near), key=len)[:MOST_DIRECTORIES]:
        with suppress(TfckptError):
            if found := prefixes(folder):
                return take(typed, join(folder, base if base in found else latest(found)))
    return None


def _is_like(name: str, other: str) -> bool:
    import difflib

    return other.startswith(name) or bool(difflib.get_close_matches(name, [other]))


def _without_index(typed: str, folder: str, nearest: Remedy | None) -> tuple[str, Remedy | None]:
    """Return what to say of data files without their index, which may be there under another name."""
    meant = None if nearest is None else nearest.argument("meant")
    if meant is None or file_names(meant, files.list_directory(folder))[1:]:
        return "its data files are there: the download or copy is incomplete", looking(typed)
    text = f"its data files are there, and {index_path(meant)} may be its index under another name"
    import shlex

    return text, run(shlex.join(["mv", "-n", index_path(meant), index_path(typed)]))


def _about_file(typed: str, folder: str, base: str, prefixes: Prefixes) -> tuple[str, Remedy | None]:
    if base == STATE_FILE and prefixes(folder):
        return f"it is the state file of {folder}; give the directory", take(typed, folder)
    kind = kind_of(typed)
    if base == SAVED_MODEL and kind is not FROZEN and files.exists(index_path(join(folder, VARIABLES))):
        text = "it is the graph of a SavedModel; the values of its variables are in variables/variables"
        return text, take(typed, os.path.normpath(join(folder, VARIABLES)))
    if named := _named_in(folder, base):
        text = f"it is a state file, which names {printable(named)}"
        found = prefixes(folder)
        own = next((part for part in last_parts(named) if part in found), None)
        if own is not None:
            return text, take(typed, join(folder, own))
        return f"{text}, and that is not in {folder}", looking(typed)
    nearest = _the_nearest(typed, folder, base, prefixes)
    if kind is None:
        return "", nearest or looking(join(folder, base))
    return f"it is {kind.what}; {kind.then}", remedy_for(kind, typed) or nearest


def about_directory(directory: str, prefixes: Prefixes) -> tuple[str, Remedy | None]:
    """Return what to say of a directory without a checkpoint, empty if nothing, and what would help."""
    if is_remote(directory):
        return "", None
    if (told := _about_saved_model(directory)) is not None:
        return told
    names = files.list_directory(directory)
    paths = [os.path.normpath(join(directory, name)) for name in names]
    for folder in [path for path in paths if files.is_directory(path)][:MOST_DIRECTORIES]:
        if found := prefixes(folder):
            return f"{folder} has {', '.join(found[:3])}", take(directory, join(folder, latest(found)))
    if any(SHARD_SUFFIX.search(name) for name in names):
        return "data files are there: the download, or the copy, is not complete", looking(paths[0])
    for path in paths[:MOST_FILES]:
        if (kind := kind_of(path)) is not None and (kind.command or kind is FROZEN):
            return f"{path} is {kind.what}; {kind.then}", remedy_for(kind, path)
    return "", looking(join(directory, STATE_FILE))


def _about_saved_model(directory: str) -> tuple[str, Remedy | None] | None:
    graph, meant = (os.path.normpath(join(directory, name)) for name in (SAVED_MODEL, VARIABLES))
    if kind_of(graph) is FROZEN:
        return f"{graph} is {FROZEN.what}; {FROZEN.then}", None
    if not files.exists(index_path(meant)):
        return None
    return f"it is a SavedModel; the values of its variables are in {meant}", take(directory, meant)


def one_of(directory: str, names: Sequence[str]) -> Remedy:
    """Return what to type where a directory has several checkpoints: the one with the highest number."""
    return take(directory, join(directory, latest(names)))


def named_elsewhere(directory: str, found: Sequence[str]) -> tuple[str, str] | None:
    """Return a state file of another name, and which of the checkpoints ``found`` it names; None unless there is one such.

    TensorFlow calls it ``latest_filename``; trainers have ``best_dev_checkpoint`` and the like.
    """
    others = [name for name in files.list_directory(directory) if name != STATE_FILE and STATE_FILE in name]
    named = {name: _named_in(directory, name) for name in others[:MOST_FILES]}
    own = [(name, part) for name, path in named.items() for part in last_parts(path) if part in found]
    return own[0] if len(own) == 1 else None


def _named_in(folder: str, name: str) -> str:
    """Return the path in a state file; empty if it is none."""
    with suppress(TfckptError):  # a guess that fails is none
        state = read_state(folder, name, strict=True)
        return state.model_checkpoint_path if state is not None else ""
    return ""


def latest(names: Sequence[str]) -> str:
    """Return of several checkpoints the one with the highest number at its end."""

    def number(name: str) -> int:
        found = re.search(r"(\d{1,18})$", name)
        return int(found[1]) if found else -1

    return max(names, key=number)


def _the_nearest(typed: str, folder: str, base: str, prefixes: Prefixes) -> Remedy | None:
    """Return the checkpoint in a directory whose name is like what was typed; or the only one there."""
    import difflib

    found = prefixes(folder)
    near = found if len(found) == 1 else difflib.get_close_matches(base, found, n=1)
    if not near:
        return None
    nearest = near[0]
    return take(typed, nearest if split(typed)[0] == "" else join(folder, nearest))
