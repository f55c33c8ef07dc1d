"""What TensorFlow does of a case: its kernels, called directly."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from support.kernels import Array, constant

from differential.cases import Case, Tensor, Write
from tfckpt._proto.types_pb2 import DT_STRING, DataType
from tfckpt.bundle.values.slices import TensorSlice

SECONDS = 0.5  # in which TensorFlow writes a policy's files many times

Wanted = Sequence[tuple[str, DataType]]  # names and dtypes of tensors to restore


def load_tensorflow() -> Any:
    """Import TensorFlow without its chatter."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    import tensorflow

    return tensorflow


def part_of(tensor: Tensor, write: Write) -> tuple[TensorSlice | None, Array]:
    """Return what a write is of: the slice, and its values."""
    if write.part is None:
        return None, tensor.value
    part = TensorSlice(tensor.parts[write.part])
    return part, tensor.value[part.within(tensor.shape)]


def spec(shape: Sequence[int], part: TensorSlice | None) -> str:
    """Return a slice as SaveV2 and RestoreV2 read it: ``"5 10 -:0,1"``."""
    if part is None:
        return ""
    extents = ("-" if length == -1 else f"{start},{length}" for start, length in part.extents)
    return f"{' '.join(map(str, shape))} {':'.join(extents)}"


def as_tensor(tf: Any, number: DataType, value: Array) -> Any:
    """Return the values as TensorFlow's tensor of that dtype."""
    if number == DT_STRING:
        return constant(tf, value)
    dtype = tf.dtypes.as_dtype(number)
    return tf.constant(np.ascontiguousarray(value).view(dtype.as_numpy_dtype).reshape(value.shape), dtype)


def write(tf: Any, case: Case, writes: Sequence[Write], prefix: Path) -> None:
    """Write one bundle of a case by SaveV2."""
    rows = [(case.tensors[write.tensor], *part_of(case.tensors[write.tensor], write)) for write in writes]
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=[tensor.name for tensor, _, _ in rows],
        shape_and_slices=[spec(tensor.shape, part) for tensor, part, _ in rows],
        tensors=[as_tensor(tf, tensor.number, value) for tensor, _, value in rows],
    )


def write_by_policy(tf: Any, tensors: Sequence[Tensor], limit: int, prefix: Path) -> None:
    """Write variables as tf.train.Checkpoint does in files of so many bytes, if that comes to an end.

    Raises: TimeoutError if it does not.
    """
    variables = {tensor.key: tf.Variable(as_tensor(tf, tensor.number, tensor.value)) for tensor in tensors}
    policy = tf.train.experimental.MaxShardSizePolicy(limit)
    options = tf.train.CheckpointOptions(experimental_sharding_callback=policy)
    checkpoint = tf.train.Checkpoint(**variables)
    if any(fits_no_slice(tensor, limit) for tensor in tensors):
        within(SECONDS, lambda: checkpoint.write(str(prefix), options=options))
    else:
        checkpoint.write(str(prefix), options=options)


def fits_no_slice(tensor: Tensor, limit: int) -> bool:
    """Whether even slices one thick, in whatever dimension, are larger than a file may be."""
    thinnest = [tensor.value.nbytes // size for size in tensor.shape]
    return bool(thinnest) and min(thinnest) > limit


def within(seconds: float, call: Callable[[], Any]) -> Any:
    """Return what a call returns; end a loop in Python that takes longer.

    Raises: TimeoutError.
    """

    def stop(*_: object) -> None:
        raise TimeoutError(f"no end in {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds, seconds / 10)  # again and again: an error in a __del__ is ignored
        return call()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def listing(tf: Any, prefix: Path) -> dict[str, tuple[DataType, tuple[int, ...]]]:
    """Return dtypes and shapes by name."""
    reader = tf.train.load_checkpoint(str(prefix))
    dtypes, shapes = reader.get_variable_to_dtype_map(), reader.get_variable_to_shape_map()
    return {name: (dtypes[name].as_datatype_enum, tuple(shape)) for name, shape in shapes.items()}


def restore(tf: Any, prefix: Path, wanted: Wanted, box: str = "") -> list[Any]:
    """Return tensors, or one box of each, by RestoreV2."""
    read: list[Any] = tf.raw_ops.RestoreV2(
        prefix=str(prefix),
        tensor_names=[name.encode("utf-8", "surrogateescape") for name, _ in wanted],
        shape_and_slices=[box] * len(wanted),
        dtypes=[number for _, number in wanted],
    )
    return [tensor.numpy() for tensor in read]
