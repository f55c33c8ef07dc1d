"""What a path that a person types means: a checkpoint to read, or a prefix to write to."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from tfckpt.base import log
from tfckpt.base.issues import Remedy, leave_out, take
from tfckpt.bundle.v1.files import find_v1, v1_names
from tfckpt.errors import CheckpointNotFoundError, FormatError, TfckptError, UsageError, printable, remedied, some
from tfckpt.storage import files
from tfckpt.storage.paths import FORMATS, INDEX_SUFFIX, V1, V2, index_path, is_remote, join, split, strip_suffix

if TYPE_CHECKING:
    from tfckpt.checkpoint.find.state_file import CheckpointState


def check_prefix(prefix: str | os.PathLike[str]) -> str:
    """Return a prefix to write to as a string.

    Raises: UsageError if it is a directory or the name of one of a bundle's files.
    """
    path = os.fspath(prefix)
    if not path:
        raise UsageError("an empty path: give the prefix of the files to write")
    base = join(path, "model.ckpt")
    if path.endswith(os.sep) or files.is_directory(path):
        text = f"{path}: a directory; give the prefix of the files to write, such as {base}"
        raise remedied(UsageError(text), take(path, base))
    if (base := strip_suffix(path)) != path:
        text = f"{path}: the name of one of a checkpoint's files; give the prefix {base}"
        raise remedied(UsageError(text), take(path, base))
    return path


def find_prefix(path: str | os.PathLike[str], source_format: str | None = None) -> str:
    """Return the prefix that ``path`` means: a prefix, a file of it, or a directory; V2 before V1 unless one is asked for.

    Raises: CheckpointNotFoundError, which says what lies there instead; FormatError for a broken state file; UsageError for
    an unknown format.
    """
    typed = os.fspath(path)
    if source_format not in (None, *FORMATS):
        raise UsageError(f"checkpoint format: expected one of {', '.join(FORMATS)}, got {source_format!r}")
    prefix = _find(typed, source_format)
    if prefix is None:
        raise _not_found(typed, source_format)
    return prefix


def _find(typed: str, source_format: str | None) -> str | None:
    """Return the prefix that a path means; None if nothing is there."""
    if source_format != V1:
        for prefix in (typed, strip_suffix(typed)):
            if files.exists(index_path(prefix)):
                return prefix
    if source_format != V2 and (prefix_v1 := find_v1(typed)) is not None:
        return prefix_v1
    if files.is_directory(typed):
        return _prefix_in(typed, source_format)
    if (named := _named_in_file(typed, source_format)) is not None:
        return named
    if is_remote(typed):
        if (named := _named_beside(typed, source_format)) is not None:
            return named
        with suppress(CheckpointNotFoundError):  # a refusal is another matter than an absence
            files.open_input(index_path(strip_suffix(typed))).close()
    return None


def _not_found(typed: str, source_format: str | None) -> CheckpointNotFoundError:
    """Return the error that says what was looked for, what lies there instead, and what was probably meant."""
    from tfckpt.checkpoint.find.guess import about_path  # most paths are right

    other = V1 if source_format == V2 else V2
    if source_format is not None and _is_there(typed, other):
        text = f"{typed}: no {_wanted(typed, source_format)}; it is a {other.upper()} checkpoint"
        return remedied(CheckpointNotFoundError(text), leave_out("source_format"))
    what, advice = about_path(typed, lambda directory: prefixes_in(directory, source_format))
    wanted = "checkpoint" if what and files.is_file(typed) else _wanted(typed, source_format)
    instead = f"; {what}" if what else _lies_there(typed, source_format)
    return remedied(CheckpointNotFoundError(f"{typed or repr(typed)}: no {wanted}{instead}"), advice)


def _is_there(typed: str, source_format: str) -> bool:
    try:
        return _find(typed, source_format) is not None
    except TfckptError:
        return False


def _wanted(typed: str, source_format: str | None) -> str:
    """Return, for a message, what was looked for under a path."""
    if source_format == V1:
        wanted = f"V1 checkpoint: no file {typed}, nor {typed}-00000-of-..."
    else:
        wanted = f"checkpoint: no file {index_path(strip_suffix(typed))}"
    if source_format != V2 and files.is_file(typed) and strip_suffix(typed) == typed:
        wanted += f", and {typed} itself does not end like a V1 checkpoint: it is truncated, or something else"
    return wanted


def _named_in_file(typed: str, source_format: str | None) -> str | None:
    """Return the prefix that a state file leads to, as its directory does if it has the usual name; None if it is none.

    Raises: as `_prefix_in`.
    """
    folder, base = split(typed)
    folder = folder or os.curdir
    from tfckpt.checkpoint.find.state_file import STATE_FILE, last_parts, named_in

    if (is_remote(typed) and STATE_FILE not in base) or not files.is_file(typed):  # a look far away takes its time
        return None
    if base == STATE_FILE and files.can_list(folder):
        try:
            return _prefix_in(folder, source_format, typed)
        except TfckptError as error:
            raise remedied(error, *(_given(remedy, folder, typed) for remedy in error.remedies)) from None
    named = named_in(folder, base)
    if not files.can_list(folder):
        return _beside(folder, named, source_format, typed)
    prefix = _inside(folder, named, source_format) if named else None
    if prefix is None:
        found = prefixes_in(folder, source_format) if named else []
        prefix = next((join(split(typed)[0], part) for part in last_parts(named) if part in found), None)
    if prefix is not None:
        _say_state_file(typed, prefix)
    return prefix


def _given(remedy: Remedy, folder: str, typed: str) -> Remedy:
    """Return what to write for a directory as what to write for its state file, which was typed."""
    is_folder = remedy.action == "take" and remedy.argument("given") == folder
    return take(typed, remedy.argument("meant")) if is_folder else remedy


def _say_state_file(typed: str, prefix: str) -> None:
    log.warning("%s is a state file: reading %s", typed, prefix)


def _prefix_in(directory: str, source_format: str | None, typed: str = "") -> str:
    """Return the prefix that a directory's state file names, if it lies in the directory; else the only one there.

    A state file that came with a download never leads out of it: of a path that would, the last part counts. If the file
    was ``typed`` itself, that is said.
    """
    from tfckpt.checkpoint.find.state_file import last_parts  # a prefix needs none

    state = _state_in(directory, source_format)
    named = state.model_checkpoint_path if state is not None else ""
    prefix = _inside(directory, named, source_format)
    if prefix is not None:
        if typed:
            _say_state_file(typed, prefix)
        return prefix
    found = prefixes_in(directory, source_format)
    base = next((part for part in last_parts(named) if part in found), None)
    if base is not None or len(found) == 1:
        prefix = join(directory, found[0] if base is None else base)
        if state is not None:
            _say_instead(_state_path(directory), named, prefix)
        return prefix
    nameless = join(directory, "")  # its prefix ends in a slash, its index is called .index
    if not found and source_format != V1 and files.exists(index_path(nameless)):
        return nameless
    from tfckpt.checkpoint.find.guess import about_directory, named_elsewhere, one_of

    if not found:
        other = V1 if source_format == V2 else V2
        if source_format is not None and (others := prefixes_in(directory, other)):
            what = f"no {source_format.upper()} checkpoint in this directory; it has {other.upper()}: {some(others)}"
            text = f"{directory}: {what}"
            raise remedied(CheckpointNotFoundError(text), leave_out("source_format"))
        ending = "as V1 checkpoints do" if source_format == V1 else f"in {INDEX_SUFFIX}"
        what, advice = about_directory(directory, lambda folder: prefixes_in(folder, source_format))
        text = f"{directory}: the directory has no checkpoint: no file in it ends {ending}"
        raise remedied(CheckpointNotFoundError(f"{text}; {what}" if what else text), advice)
    hint = f", and its state file names {named}, which is not in here" if named else ""
    if state is None and (elsewhere := named_elsewhere(directory, found)):
        file, base = elsewhere
        text = (
            f"{directory}: a directory with {len(found)} checkpoints; it has no state file, and its {file} names {base}"
        )
        raise remedied(CheckpointNotFoundError(text), take(directory, join(directory, base)))
    text = f"{directory}: a directory with {len(found)} checkpoints{hint}: name one of {some(found)}"
    raise remedied(CheckpointNotFoundError(text), one_of(directory, found))


def _state_in(directory: str, source_format: str | None) -> CheckpointState | None:
    """Return a directory's state, None if it has none, or a broken one and no checkpoint: what else is there tells more.

    Raises: FormatError for a broken state file beside checkpoints.
    """
    from tfckpt.checkpoint.find.state_file import read_state

    try:
        return read_state(directory)
    except FormatError as error:
        from tfckpt.checkpoint.find.guess import one_of

        if not (found := prefixes_in(directory, source_format)):
            return None
        raise remedied(error, *(error.remedies or [one_of(directory, found)])) from None


def _state_path(directory: str) -> str:
    from tfckpt.checkpoint.find.state_file import STATE_FILE

    return join(directory, STATE_FILE)


def _say_instead(path: str, named: str, prefix: str) -> None:
    """Log which checkpoint is read instead of the one that a state file names."""
    why = f"names {printable(named)}, which is not in here" if named else "names no checkpoint"
    log.warning("%s %s: reading %s", path, why, prefix)


def _inside(directory: str, named: str, source_format: str | None) -> str | None:
    """Return the prefix that a state file names, if there is a checkpoint and its path does not leave the directory.

    Nor does it by a link to another directory; the files at its end may be links, as they are in caches of downloads.
    """
    if is_remote(named):
        named = named.removeprefix(join(directory, ""))
    elif "\\" in named and os.sep == "/" and not re.match("[A-Za-z]:", named):
        slashed = _inside(directory, named.replace("\\", "/"), source_format)  # from Windows
        if slashed is not None:
            return slashed
    path = os.path.relpath(named, os.path.abspath(directory)) if os.path.isabs(named) else os.path.normpath(named)
    prefix = join(directory, path)
    folder, base = split(prefix)
    if path.split(os.sep)[0] == os.pardir or not files.is_directory(folder):
        return None
    if os.path.commonpath([os.path.realpath(folder), os.path.realpath(directory)]) != os.path.realpath(directory):
        return None
    return prefix if base in prefixes_in(folder, source_format) else None


def _named_beside(directory: str, source_format: str | None) -> str | None:
    """Return the prefix that the state file names of a directory which cannot be listed, if there is a checkpoint in it."""
    if files.can_list(directory) or strip_suffix(directory) != directory:
        return None
    from tfckpt.checkpoint.find.state_file import read_state

    state = read_state(directory)
    return _beside(directory, state.model_checkpoint_path if state is not None else "", source_format)


def _beside(directory: str, named: str, source_format: str | None, typed: str = "") -> str | None:
    """Return the prefix in a directory that a state file names, which may be the path ``typed``, if there is a checkpoint."""
    from tfckpt.checkpoint.find.state_file import last_parts

    path = os.path.normpath(named)
    if not named or path == os.curdir:
        return None
    leads_out = os.path.isabs(path) or path.split(os.sep)[0] == os.pardir
    for part in dict.fromkeys(([] if leads_out else [path]) + last_parts(named)):
        prefix = join(directory, part)
        found = prefix if source_format != V1 and files.exists(index_path(prefix)) else None
        if found is None and source_format != V2:
            found = find_v1(prefix)
        if found is not None:
            if part != path:
                _say_instead(typed or _state_path(directory), named, found)
            elif typed:
                _say_state_file(typed, found)
            return found
    return None


def prefixes_in(directory: str, source_format: str | None = None) -> list[str]:
    """Return the names of the checkpoints in a directory."""
    names = files.list_directory(directory)
    v2 = [name.removesuffix(INDEX_SUFFIX) for name in names if name.endswith(INDEX_SUFFIX) and name != INDEX_SUFFIX]
    if source_format == V2:
        return v2
    v1 = v1_names(directory, names)
    return v1 if source_format == V1 else list(dict.fromkeys(v2 + v1))


def _lies_there(path: str, source_format: str | None) -> str:
    """Return, for a message, which checkpoints lie where ``path`` was expected."""
    directory = split(path)[0] or os.curdir
    if not files.can_list(directory):
        return "; over HTTP a directory cannot be listed: give the exact prefix, or the URL of an index"
    if not files.is_directory(directory):
        return f"; {directory} is a file" if files.is_file(directory) else f"; the directory {directory} does not exist"
    found = prefixes_in(directory, source_format)
    return f"; {directory} holds {some(found)}" if found else f"; {directory} holds no checkpoint"
