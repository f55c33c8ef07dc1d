"""The text file ``checkpoint`` of a directory, and how a path that a person types becomes a prefix.

Source: tensorflow/python/checkpoint/checkpoint_management.py; tensorflow/python/training/checkpoint_state.proto.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass

from tfckpt.bundle import files
from tfckpt.bundle.paths import INDEX_SUFFIX, index_path, strip_suffix
from tfckpt.errors import CheckpointNotFoundError, FormatError

STATE_FILE = "checkpoint"
STATE_FILE_LIMIT = 16 << 20  # bytes; a line a checkpoint, so no honest one comes near
MOST_NAMES_SHOWN = 5

logger = logging.getLogger("tfckpt")


@dataclass(frozen=True, slots=True)
class CheckpointState:
    """A ``CheckpointState`` message: prefixes, relative to the directory unless absolute."""

    model_checkpoint_path: str
    all_model_checkpoint_paths: tuple[str, ...] = ()


def read_state(directory: str, filename: str | None = None) -> CheckpointState | None:
    """Return a directory's state, or None if it has no state file.

    Raises: FormatError if the file is not a CheckpointState in protobuf's text format.
    """
    path = os.path.join(directory, filename or STATE_FILE)
    if not files.exists(path) or files.is_directory(path):
        return None
    from google.protobuf import text_format  # slow to import, and most checkpoints are opened by prefix

    from tfckpt._proto import checkpoint_state_pb2

    text = files.read_text(path, STATE_FILE_LIMIT)
    try:
        proto = text_format.Parse(text, checkpoint_state_pb2.CheckpointState(), allow_unknown_field=True)
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise FormatError("state file", path=path, expected="CheckpointState text", got=str(error)) from None
    return CheckpointState(proto.model_checkpoint_path, tuple(proto.all_model_checkpoint_paths))


def write_state(directory: str, state: CheckpointState) -> None:
    """Write a directory's state file as TensorFlow does, whole or not at all.

    Raises: StorageError.
    """
    from google.protobuf import text_format

    from tfckpt._proto import checkpoint_state_pb2

    proto = checkpoint_state_pb2.CheckpointState(
        model_checkpoint_path=state.model_checkpoint_path,
        all_model_checkpoint_paths=state.all_model_checkpoint_paths,
    )
    files.write_text(os.path.join(directory, STATE_FILE), text_format.MessageToString(proto))


def latest_checkpoint(checkpoint_dir: str | os.PathLike[str], latest_filename: str | None = None) -> str | None:
    """Return the prefix of a directory's newest checkpoint, as ``tf.train.latest_checkpoint`` does.

    Args:
        checkpoint_dir: the directory.
        latest_filename: name of the state file, ``checkpoint`` unless given.
    Returns:
        The prefix, or None if there is no state file or nothing where it points.
    Raises:
        FormatError: the state file cannot be parsed.
    Example:
        >>> tfckpt.save("runs/pretraining/model.ckpt-20000", {"global_step": 20000})
        >>> write_state("runs/pretraining", CheckpointState("model.ckpt-20000"))
        >>> tfckpt.latest_checkpoint("runs/pretraining")
        'runs/pretraining/model.ckpt-20000'

    Source: tensorflow/python/checkpoint/checkpoint_management.py, latest_checkpoint.
    """
    directory = os.fspath(checkpoint_dir)
    state = read_state(directory, latest_filename)
    if state is None or not state.model_checkpoint_path:
        return None
    prefix = os.path.join(directory, state.model_checkpoint_path)
    return prefix if files.exists(index_path(prefix)) else None


def find_prefix(path: str | os.PathLike[str]) -> str:
    """Return the prefix that ``path`` means: a prefix, an ``.index`` or ``.data-`` file of it, or a directory.

    Raises: CheckpointNotFoundError, which says what lies there instead; FormatError for a broken state file.
    """
    typed = os.fspath(path)
    for prefix in (typed, strip_suffix(typed)):
        if files.exists(index_path(prefix)):
            return prefix
    if files.is_directory(typed):
        return _prefix_in(typed)
    raise CheckpointNotFoundError(
        f"{typed or repr(typed)}: no checkpoint: no file {index_path(strip_suffix(typed))}{_lies_there(typed)}"
    )


def _prefix_in(directory: str) -> str:
    """Return the prefix that a directory's state file names, else the only one there."""
    state = read_state(directory)
    found = _prefixes(directory)
    if state is not None and state.model_checkpoint_path:
        named = os.path.basename(state.model_checkpoint_path)
        prefix = os.path.join(directory, named)
        if named in found:
            if os.path.dirname(state.model_checkpoint_path):
                logger.warning("%s names %s: reading %s", STATE_FILE, state.model_checkpoint_path, prefix)
            return prefix
    if len(found) == 1:
        return os.path.join(directory, found[0])
    if not found:
        raise CheckpointNotFoundError(
            f"{directory}: a directory without a checkpoint: no file in it ends in {INDEX_SUFFIX}"
        )
    raise CheckpointNotFoundError(f"{directory}: a directory with {len(found)} checkpoints: name one of {_some(found)}")


def _prefixes(directory: str) -> list[str]:
    names = files.list_directory(directory)
    return [name.removesuffix(INDEX_SUFFIX) for name in names if name.endswith(INDEX_SUFFIX) and name != INDEX_SUFFIX]


def _lies_there(path: str) -> str:
    """Return, for a message, which checkpoints lie where ``path`` was expected."""
    directory = os.path.dirname(path) or os.curdir
    if not files.is_directory(directory):
        return f"; the directory {directory} does not exist"
    found = _prefixes(directory)
    return f"; {directory} holds {_some(found)}" if found else f"; {directory} holds no checkpoint"


def _some(names: list[str]) -> str:
    more = len(names) - MOST_NAMES_SHOWN
    return ", ".join(names[:MOST_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
