"""TensorFlow's checkpoint kernels, called directly: no Saver, no variables, just tensors, names and slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tfckpt._proto.types_pb2 import DT_FLOAT4_E2M1FN, DataType
from tfckpt.bundle.values.dtypes import NUMERIC, numpy_dtype

DTYPES = [number for number in NUMERIC if number != DT_FLOAT4_E2M1FN]  # TensorFlow 2.20 does not know it

Array = npt.NDArray[Any]


def type_name(number: DataType) -> str:
    """Return the name of a dtype for a test's id."""
    return DataType.Name(number)


def make(tf: Any, number: DataType, shape: tuple[int, ...]) -> Array:
    """Return random values in the NumPy dtype that TensorFlow itself uses for ``number``."""
    size = int(np.prod(shape))
    values = np.random.default_rng(seed=size).integers(0, 100, size).astype(numpy_dtype(number))
    array: Array = values.view(tf.dtypes.as_dtype(number).as_numpy_dtype).reshape(shape)
    return array


def constant(tf: Any, value: npt.ArrayLike) -> Any:
    """Return a tensor; object arrays are strings."""
    array = np.asarray(value)
    return tf.constant(array, dtype=None if array.dtype.hasobject else array.dtype)


def save_v2(tf: Any, prefix: str | Path, tensors: Mapping[str, npt.ArrayLike]) -> None:
    save_slices(tf, prefix, [(name, "", value) for name, value in tensors.items()])


def save_slices(tf: Any, prefix: str | Path, slices: Sequence[tuple[str, str, npt.ArrayLike]]) -> None:
    """Save (name, shape and slice, values of that slice): ``"5 10 -:0,1"`` is the first column of a 5 x 10 matrix."""
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=[name for name, _, _ in slices],
        shape_and_slices=[spec for _, spec, _ in slices],
        tensors=[constant(tf, value) for _, _, value in slices],
    )


def restore_v2(tf: Any, prefix: str | Path, name: str, dtype: Any, spec: str = "") -> Any:
    """Return what TensorFlow reads, as a tensor; ``spec`` is the shape and slice."""
    return tf.raw_ops.RestoreV2(prefix=str(prefix), tensor_names=[name], shape_and_slices=[spec], dtypes=[dtype])[0]


def merge_v2(tf: Any, sources: Sequence[str | Path], dest: str | Path) -> None:
    """Merge bundles; their data files are moved, not copied."""
    tf.raw_ops.MergeV2Checkpoints(
        checkpoint_prefixes=[str(source) for source in sources], destination_prefix=str(dest), delete_old_dirs=False
    )
