"""The text file ``checkpoint`` of a directory, and how a path that a person types becomes a prefix.

Source: tensorflow/python/checkpoint/checkpoint_management.py; tensorflow/python/training/checkpoint_state.proto.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from typing import NamedTuple

from tfckpt.base import log
from tfckpt.bundle.v1.files import has_any_file
from tfckpt.errors import CheckpointNotFoundError, FormatError, StorageError, TfckptError, UnsupportedError, printable
from tfckpt.storage import files
from tfckpt.storage.paths import index_path, join, split

STATE_FILE = "checkpoint"
ESCAPED = {"\a": "a", "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t", "\v": "v"}
WINDOWS = re.compile(r"(?<!\\)\\(?!\\)")  # a backslash alone
STATE_FILE_LIMIT = 1 << 19  # bytes; a line a checkpoint, so few honest ones come near, and text is slow to parse


class CheckpointState(NamedTuple):
    """A ``CheckpointState`` message: prefixes, relative to the directory unless absolute; times in seconds since 1970."""

    model_checkpoint_path: str
    all_model_checkpoint_paths: tuple[str, ...] = ()  # oldest first, the latest among them
    all_model_checkpoint_timestamps: tuple[float, ...] = ()  # one a path; tf.train.CheckpointManager writes them
    last_preserved_timestamp: float = 0.0


def read_state(directory: str, filename: str | None = None, *, strict: bool = False) -> CheckpointState | None:
    """Return a directory's state, or None if it has no state file; a ``strict`` reader knows every field.

    Raises: FormatError if the file is not a CheckpointState in protobuf's text format; StorageError.
    """
    path = join(directory, filename or STATE_FILE)
    if not files.exists(path) or files.is_directory(path):
        return None
    return _parse_state(files.read_text(path, STATE_FILE_LIMIT), path, strict=strict)


def named_in(folder: str, name: str) -> str:
    """Return the path in a state file; empty if it is none."""
    with suppress(TfckptError):  # a guess that fails is none
        state = read_state(folder, name, strict=True)
        return state.model_checkpoint_path if state is not None else ""
    return ""


def last_parts(named: str) -> list[str]:
    r"""Return what may be the name of a checkpoint at the end of a path, also of one of Windows; the path may be gone.

    >>> last_parts(r"C:\Users\me\model\ckpt-20"), last_parts("/home/me/model/ckpt-20")
    (['C:\\Users\\me\\model\\ckpt-20', 'ckpt-20'], ['ckpt-20'])
    >>> last_parts("D:\new\best-20")[-1]
    'best-20'
    """
    for character, letter in ESCAPED.items():  # of a path of Windows whose backslashes were not written twice
        named = named.replace(character, f"\\{letter}") if re.match("[A-Za-z]:", named) else named
    parts = [named.rpartition("/")[2], named.replace("\\", "/").rpartition("/")[2]]
    return list(filter(None, dict.fromkeys(parts)))


def _parse_state(text: str, path: str, *, strict: bool = False) -> CheckpointState:
    from google.protobuf import text_format  # slow to import, and most checkpoints are opened by prefix

    from tfckpt._proto import checkpoint_state_pb2

    proto = checkpoint_state_pb2.CheckpointState()
    try:
        # Of a field that stands there twice the last counts, as in TensorFlow.
        text_format.Merge(text, proto, allow_unknown_field=not strict)
    except (text_format.ParseError, UnicodeDecodeError) as error:
        if WINDOWS.search(text):  # written by hand: TensorFlow writes each backslash twice
            return _parse_state(WINDOWS.sub(r"\\\\", text), path, strict=strict)
        from tfckpt.storage.sniff import explain, stub_at

        wrong = FormatError("state file", path=path, expected="CheckpointState text", got=str(error))
        explain(wrong, stub_at(path), "a state file", path)
        raise wrong from None
    except RecursionError:  # unknown fields inside each other
        raise FormatError("state file", path=path, expected="CheckpointState text", got="deep nesting") from None
    return CheckpointState(
        proto.model_checkpoint_path,
        tuple(proto.all_model_checkpoint_paths),
        tuple(proto.all_model_checkpoint_timestamps),
        proto.last_preserved_timestamp,
    )


def write_state(directory: str, state: CheckpointState) -> None:
    """Write a directory's state file as TensorFlow does, whole or not at all.

    Raises: StorageError; UnsupportedError if a path is not UTF-8, which the format cannot say.
    """
    from tfckpt.storage.commit import write_text  # whoever only reads needs none

    path = join(directory, STATE_FILE)
    write_text(path, _format_state(state, path))


def _format_state(state: CheckpointState, path: str) -> str:
    from google.protobuf import text_format

    from tfckpt._proto import checkpoint_state_pb2

    try:
        proto = checkpoint_state_pb2.CheckpointState(
            model_checkpoint_path=state.model_checkpoint_path,
            all_model_checkpoint_paths=state.all_model_checkpoint_paths,
            all_model_checkpoint_timestamps=state.all_model_checkpoint_timestamps,
            last_preserved_timestamp=state.last_preserved_timestamp,
        )
    except UnicodeEncodeError as error:
        raise UnsupportedError(f"{path}: cannot name {error.object!r}: expected UTF-8") from None
    return text_format.MessageToString(proto)


def update_state(prefix: str, *, sync: bool = False) -> str:
    """Make a checkpoint the latest of its directory; return the path of the state file.

    The others that the state file lists stay, in their order. If it has timestamps, this one gets the time of the call. Of
    several processes that do this at a time, each waits for the one before, so that no line is lost.

    Args:
        prefix: the checkpoint's; the state file will name it by its last part, so that the directory can move.
        sync: return only when the state file has reached the disk.
    Raises:
        FormatError: the state file that is there cannot be read.
        StorageError, UnsupportedError: as for `write_state`.
    Example:
        >>> for step in (1, 2):
        ...     path = update_state(f"tf2/bert_encoder-{step}")
        >>> path, read_state("tf2").all_model_checkpoint_paths
        ('tf2/checkpoint', ('bert_encoder-1', 'bert_encoder-2'))

    Source: tensorflow/python/checkpoint/checkpoint_management.py, update_checkpoint_state.
    """
    from tfckpt.storage.commit import replacing

    directory, name = split(prefix)
    path = join(directory, STATE_FILE)
    with replacing(path, sync=sync) as write:
        before = read_state(directory) or CheckpointState("")
        write(_format_state(_with_latest(before, directory, name), path))
    return path


def _with_latest(before: CheckpointState, directory: str, name: str) -> CheckpointState:
    """Return the state with ``name``, a checkpoint of the directory, as the latest."""
    paths, times = before.all_model_checkpoint_paths, before.all_model_checkpoint_timestamps
    if not paths and before.model_checkpoint_path:
        paths = (before.model_checkpoint_path,)  # a state file of one line, as people write them
    if times and len(times) != len(paths):
        path = join(directory, STATE_FILE)
        log.warning("%s: %d timestamps for %d checkpoints: left out", path, len(times), len(paths))
        times = ()
    here = os.path.abspath(directory)
    own = os.path.normpath(os.path.join(here, name))  # which makes nonsense of a URL, but the same of all
    kept = [n for n, old in enumerate(paths) if os.path.normpath(os.path.join(here, old)) != own]
    return CheckpointState(
        name,
        (*(paths[n] for n in kept), name),
        (*(times[n] for n in kept), time.time()) if times else (),
        before.last_preserved_timestamp,
    )


def latest_checkpoint(checkpoint_dir: str | os.PathLike[str], latest_filename: str | None = None) -> str | None:
    """Return the prefix of a directory's newest checkpoint, as ``tf.train.latest_checkpoint`` does.

    Args:
        checkpoint_dir: the directory.
        latest_filename: name of the state file, ``checkpoint`` unless given.
    Returns:
        The prefix, which may lie elsewhere if the state file says so; or None if the state file is missing; or, and the
        log tells why, if it cannot be read or nothing is where it points.
    Raises:
        FormatError: the state file is not UTF-8, or names no checkpoint.
    Example:
        >>> tfckpt.save("runs/pretraining/model.ckpt-20000", {"global_step": 20000})
        >>> with open("runs/pretraining/checkpoint", "w") as file:
        ...     _ = file.write('model_checkpoint_path: "model.ckpt-20000"')
        >>> tfckpt.latest_checkpoint("runs/pretraining")
        'runs/pretraining/model.ckpt-20000'

    Source: tensorflow/python/checkpoint/checkpoint_management.py, latest_checkpoint.
    """
    directory = os.fspath(checkpoint_dir)
    path = join(directory, latest_filename or STATE_FILE)
    if not files.exists(path):
        return None
    try:
        text = files.read_text(path, STATE_FILE_LIMIT)
    except (CheckpointNotFoundError, StorageError) as error:
        log.warning("%s: ignored", printable(str(error)))
        return None
    try:
        named = _parse_state(text, path, strict=True).model_checkpoint_path
    except FormatError as error:
        log.warning("%s: ignored", printable(str(error)))
        return None
    if not named:
        raise FormatError("state file", path=path, expected="a model_checkpoint_path", got="none")
    prefix = join(directory, named)
    if files.exists(index_path(prefix)) or has_any_file(prefix):
        return prefix
    log.warning("%s: names %s, where no checkpoint is", path, printable(prefix))
    return None
