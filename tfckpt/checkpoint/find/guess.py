"""What a path that leads to no checkpoint was meant to be, and what lies there instead: for messages alone."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress

from tfckpt.base.issues import Remedy, run, take
from tfckpt.checkpoint.find.near import (
    MOST_DIRECTORIES,
    Prefixes,
    checkpoints_below,
    existing,
    from_elsewhere,
    in_slashes,
    one_too_high,
)
from tfckpt.checkpoint.find.state_file import STATE_FILE, last_parts, named_in
from tfckpt.errors import TfckptError, printable, some
from tfckpt.storage import files
from tfckpt.storage.kinds.table import BZIP2, EMPTY, FROZEN, GZIP, IN_PLACE, RENAMED_INDEX, XZ, remedy_for
from tfckpt.storage.paths import SHARD_SUFFIX, file_names, index_path, is_remote, join, looking, split, strip_suffix
from tfckpt.storage.renamed import prefixes_meant, renamed_files, right_name
from tfckpt.storage.sniff import kind_of, kind_of_directory, kind_with_folder

SAVED_MODEL, VARIABLES = "saved_model.pb", os.path.join("variables", "variables")
MOST_FILES = 100  # that are looked into


def about_path(typed: str, prefixes: Prefixes) -> tuple[str, Remedy | None]:
    """Return what to say of a path with no checkpoint behind it, empty if nothing, and what would help."""
    folder, base = split(typed)
    folder = folder or os.curdir
    if is_remote(typed) or files.is_file(typed):
        about = _about_remote if is_remote(typed) else _about_file
        return about(typed, folder, base, prefixes)
    if (told := in_slashes(typed, prefixes)) is not None:
        return told
    if files.is_directory(folder):
        return _about_name(typed, folder, base, prefixes)
    remedy = _in_a_directory_like(folder, typed, prefixes) or from_elsewhere(typed, prefixes)
    return "", remedy or looking(join(existing(folder), base))


def _about_name(typed: str, folder: str, base: str, prefixes: Prefixes) -> tuple[str, Remedy | None]:
    """Return what to say of a name that is not in its directory: of what is there under others, before what lies below."""
    if (told := renamed_files(strip_suffix(typed))) is not None:
        return told
    nearest = _the_nearest(typed, folder, base, prefixes)
    if any(SHARD_SUFFIX.sub("", name) == base for name in files.list_directory(folder)):
        return _without_index(typed, folder, nearest)
    if (told := one_too_high(typed, prefixes) or _about_suffixed(typed, folder, base)) is not None:
        return told
    close = nearest if nearest is not None and _is_like(base, split(nearest.argument("meant"))[1]) else None
    return "", close or _in_a_directory_like(typed, typed, prefixes) or nearest or looking(typed)


def _about_remote(typed: str, folder: str, base: str, prefixes: Prefixes) -> tuple[str, Remedy | None]:
    kind, nearest = kind_of(typed), None
    with suppress(TfckptError):  # a guess that fails is none
        nearest = _the_nearest(typed, folder, base, prefixes)
    return ("" if kind is None else f"it is {kind.what}; {kind.advice(typed)}"), nearest


def _about_suffixed(typed: str, folder: str, base: str) -> tuple[str, Remedy | None] | None:
    """Return what to say of a path if a file of that name and a suffix is there, and is something else."""
    names = [name for name in files.list_directory(folder) if base and name.startswith(f"{base}.")]
    return _first_model([join(split(typed)[0], name) for name in names])


def _first_model(paths: Sequence[str]) -> tuple[str, Remedy | None] | None:
    """Return what to say of the first file that may be what was meant, as text and data beside it may not."""
    kinds = [(path, kind) for path in paths[:MOST_FILES] if (kind := kind_of(path)) not in (None, EMPTY, *IN_PLACE)]
    for path, kind in sorted(kinds, key=lambda pair: pair[1] is None or not pair[1].command):
        if kind is not None:
            return f"{path} is {kind.what}; {kind.advice(path)}", remedy_for(kind, path)
    return None


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
    is_v1 = meant is None or not files.exists(index_path(meant))
    if meant is None or is_v1 or file_names(meant, files.list_directory(folder))[1:]:
        return "its data files are there: the download or copy is incomplete", looking(typed)
    text = f"its data files are there, and {index_path(meant)} may be its index under another name"
    import shlex

    return text, run(shlex.join(["mv", "-n", index_path(meant), index_path(typed)]))


def _about_file(typed: str, folder: str, base: str, prefixes: Prefixes) -> tuple[str, Remedy | None]:
    kind, where = kind_with_folder(typed) or (None, typed)
    nearest = _the_nearest(typed, folder, base, prefixes)
    if base == SAVED_MODEL and kind is not FROZEN and files.exists(index_path(join(folder, VARIABLES))):
        text = "it is the graph of a SavedModel; the values of its variables are in variables/variables"
        return text, take(typed, os.path.normpath(join(folder, VARIABLES)))
    if named := named_in(folder, base):
        return f"it is a state file, which names {printable(named)}, and that is not in {folder}", looking(typed)
    if (
        kind in (None, RENAMED_INDEX, GZIP, BZIP2, XZ)
        and (told := _about_renamed_file(typed, folder, base)) is not None
    ):
        return told
    if kind is None:
        return "", nearest or looking(join(folder, base))
    return f"it is {kind.what}; {kind.advice(where)}", remedy_for(kind, where) or nearest


def _about_renamed_file(typed: str, folder: str, base: str) -> tuple[str, Remedy | None] | None:
    right = right_name(base)
    if right is None:  # its index may be called anything
        data = [name for name in files.list_directory(folder) if SHARD_SUFFIX.search(name)]
        right = data[0] if len(set(map(strip_suffix, data))) == 1 else None
    return None if right is None else renamed_files(join(split(typed)[0], strip_suffix(right)))


def about_directory(directory: str, prefixes: Prefixes) -> tuple[str, Remedy | None]:
    """Return what to say of a directory without a checkpoint, empty if nothing, and what would help."""
    if is_remote(directory):
        return _about_other(directory) or ("", None)
    told = (
        _about_saved_model(directory)
        or _about_other(directory)
        or _about_below(directory, prefixes)
        or _about_renamed(directory)
    )
    if told is not None:
        return told
    names = files.list_directory(directory)
    paths = [os.path.normpath(join(directory, name)) for name in names]
    if any(SHARD_SUFFIX.search(name) for name in names):
        return "data files are there: the download, or the copy, is not complete", looking(paths[0])
    return _first_model(paths) or ("", looking(join(directory, STATE_FILE)))


def _about_other(directory: str) -> tuple[str, Remedy | None] | None:
    """Return what to say of a directory with the checkpoint of another program."""
    found = kind_of_directory(directory)
    if found is None:
        return None
    kind, path = found
    it = "it" if path == directory else path
    return f"{it} is {kind.what}; {kind.advice(path)}", None


def _about_below(directory: str, prefixes: Prefixes) -> tuple[str, Remedy | None] | None:
    found = checkpoints_below(directory, prefixes)
    if not found:
        return None
    first = next(iter(found))
    text = some([f"{folder} has {some(names, 3)}" for folder, names in found.items()], 3)
    return text, take(directory, join(first, latest(found[first])))


def _about_renamed(directory: str) -> tuple[str, Remedy | None] | None:
    """Return what to say of a directory whose only checkpoint has an index of another name."""
    found = prefixes_meant(directory)
    return renamed_files(join(directory, found[0])) if len(found) == 1 else None


def _about_saved_model(directory: str) -> tuple[str, Remedy | None] | None:
    graph, meant = (os.path.normpath(join(directory, name)) for name in (SAVED_MODEL, VARIABLES))
    if kind_of(graph) is FROZEN:
        return f"{graph} is {FROZEN.what}; {FROZEN.advice(graph)}", None
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
    named = {name: named_in(directory, name) for name in others[:MOST_FILES]}
    own = [(name, part) for name, path in named.items() for part in last_parts(path) if part in found]
    return own[0] if len(own) == 1 else None


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
