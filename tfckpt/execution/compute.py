"""The values of a step: what is written, and what a proof compares with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tfckpt.bundle.tensor_reader import TensorReader
from tfckpt.bundle.values.dtypes import numpy_dtype
from tfckpt.bundle.values.entry import Entry
from tfckpt.errors import FormatError
from tfckpt.families.language import axes
from tfckpt.planning.plan import Fill, Resize, Step

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def planned_entry(step: Step, reader: TensorReader) -> Entry:
    """Return the source's entry for a step that has one.

    Raises: FormatError if the source has changed since the plan was made.
    """
    entry = reader.entry(step.source)
    if entry is None or (entry.data_type, entry.shape) != (step.data_type, step.source_shape):
        got = "none" if entry is None else f"{entry.dtype_name}{list(entry.shape)}"
        expected = f"the tensor that was planned for, {list(step.source_shape)}"
        raise FormatError(f"tensor {step.source!r}", path=reader.prefix, expected=expected, got=got)
    return entry


def compute(step: Step, reader: TensorReader, *, verify: bool) -> npt.NDArray[Any]:
    """Return a step's values, in the shape that the target has.

    Raises: FormatError, ChecksumError.
    """
    if step.fill is not None:
        return filled(step.fill, step.shape, numpy_dtype(step.data_type))
    return transformed(step, reader.read(planned_entry(step, reader), verify=verify, mapped=False))


def transformed(step: Step, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a source's values in the shape that the target has."""
    for resize in step.resizes:
        array = resized(array, resize)
    return array if step.axes is None else axes.apply(step.axes, array, step.letters)


def resized(array: npt.NDArray[Any], resize: Resize) -> npt.NDArray[Any]:
    """Return the array with one axis cut at its end, or extended there.

    >>> resized(np.array([[1.0, 2.0], [3.0, 6.0]]), Resize(axis=0, old=2, new=3, fill="mean")).tolist()
    [[1.0, 2.0], [3.0, 6.0], [2.0, 4.0]]
    """
    import numpy as np

    if resize.new < resize.old:
        return array.take(range(resize.new), resize.axis)
    rows = np.zeros((*array.shape[: resize.axis], 1, *array.shape[resize.axis + 1 :]), array.dtype)
    if resize.fill == "mean":
        wide = np.complex128 if array.dtype.kind == "c" else np.float64
        rows = array.mean(resize.axis, wide, keepdims=True).astype(array.dtype)
    return np.concatenate([array, rows.repeat(resize.new - resize.old, resize.axis)], resize.axis)


def filled(fill: Fill, shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return an array of values that no source has; equal seeds and shapes give equal values.

    >>> filled(Fill(0.5), (2,), np.dtype("float32"))
    array([0.5, 0.5], dtype=float32)
    """
    import numpy as np

    if fill.seed is None:
        return np.full(shape, fill.value, dtype)
    values = np.random.default_rng(fill.seed).normal(fill.value, fill.deviation, shape)
    return values.astype(dtype)
