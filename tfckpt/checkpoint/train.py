"""Drop-ins for the readers in ``tf.train``: same names, arguments and return types, NumPy dtypes for ``tf.DType``.

Source: tensorflow/python/training/checkpoint_utils.py; tensorflow/python/training/py_checkpoint_reader.py.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from tfckpt._proto.types_pb2 import DataType
from tfckpt.checkpoint.checkpoint import Checkpoint
from tfckpt.checkpoint.find.locate import find_prefix
from tfckpt.checkpoint.find.state_file import latest_checkpoint
from tfckpt.storage import files


class CheckpointReader:
    """What ``tf.train.load_checkpoint`` returns."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint

    def __repr__(self) -> str:
        return f"<CheckpointReader of {self._checkpoint!r}>"

    def get_variable_to_shape_map(self) -> dict[str, list[int]]:
        """Return every tensor's shape, by name."""
        return {entry.name: list(entry.shape) for entry in self._checkpoint.entries()}

    def get_variable_to_dtype_map(self) -> dict[str, np.dtype[Any]]:
        """Return every tensor's NumPy dtype, by name; ``object`` for strings."""
        return {entry.name: entry.dtype for entry in self._checkpoint.entries()}

    def has_tensor(self, tensor_str: str) -> bool:
        """Whether there is a tensor of that name: its key, as TensorFlow would answer."""
        return self._checkpoint.reader.entry(tensor_str) is not None

    def get_tensor(self, tensor_str: str) -> Any:
        """Return a tensor: an array that may be written to; for scalars a NumPy scalar, or ``bytes``.

        Quantized tensors and variants are `tfckpt.types.TypedArray`, scalars too.

        Args:
            tensor_str: its name; what else `Checkpoint.entry` takes will do.
        Raises: TensorNotFoundError, ChecksumError.
        """
        array = self._checkpoint[tensor_str]
        return array[()] if array.ndim == 0 and type(array) is np.ndarray else array.copy()

    def debug_string(self) -> bytes:
        """Return one line a tensor: name, dtype, shape."""
        lines = (
            f"{e.name} ({DataType.Name(e.data_type)}) [{','.join(map(str, e.shape))}]\n"
            for e in self._checkpoint.entries()
        )
        return "".join(lines).encode("utf-8", "surrogateescape")


def _open(path: str | os.PathLike[str]) -> Checkpoint:
    """Open what TensorFlow would: of a directory what its state file names, wherever that is; else as `tfckpt.open`."""
    latest = latest_checkpoint(path) if files.is_directory(os.fspath(path)) else None
    return Checkpoint(find_prefix(path if latest is None else latest))


def load_checkpoint(ckpt_dir_or_file: str | os.PathLike[str]) -> CheckpointReader:
    """Return a reader of a checkpoint, as ``tf.train.load_checkpoint`` does.

    Args:
        ckpt_dir_or_file: a prefix, or a directory with a ``checkpoint`` file; also whatever `tfckpt.open` takes.
    Returns:
        The reader, which holds its files open as long as it is referred to; `tfckpt.open` has a ``close``.
    Raises:
        CheckpointNotFoundError: nothing there.
    Example:
        >>> int(tfckpt.load_checkpoint("bert_model.ckpt").get_tensor("global_step"))
        3
    """
    return CheckpointReader(_open(ckpt_dir_or_file))


def load_variable(ckpt_dir_or_file: str | os.PathLike[str], name: str) -> Any:
    """Return one tensor's value, as ``tf.train.load_variable`` does.

    Args:
        ckpt_dir_or_file: as for `load_checkpoint`.
        name: the tensor's name; a trailing ``:0`` is ignored.
    Raises:
        CheckpointNotFoundError, TensorNotFoundError, ChecksumError.
    Example:
        >>> tfckpt.load_variable("bert_model.ckpt", "bert/pooler/dense/bias").shape
        (8,)
    """
    with _open(ckpt_dir_or_file) as checkpoint:
        return CheckpointReader(checkpoint).get_tensor(name.removesuffix(":0"))


def list_variables(ckpt_dir_or_file: str | os.PathLike[str]) -> list[tuple[str, list[int]]]:
    """Return ``(name, shape)`` of every tensor, sorted by name, as ``tf.train.list_variables`` does.

    Args:
        ckpt_dir_or_file: as for `load_checkpoint`.
    Raises:
        CheckpointNotFoundError, FormatError.
    Example:
        >>> tfckpt.list_variables("bert_model.ckpt")[-1]
        ('global_step', [])
    """
    with _open(ckpt_dir_or_file) as checkpoint:
        return [(entry.name, list(entry.shape)) for entry in checkpoint.entries()]
