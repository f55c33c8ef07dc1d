"""The values of a step: what becomes of its inputs, one operation after another."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from tfckpt._proto.types_pb2 import DataType
from tfckpt.bundle.values.dtypes import FLOATING, numpy_dtype
from tfckpt.errors import FormatError
from tfckpt.families.language import axes
from tfckpt.planning.steps import Cast, Fill, Identity, Input, NotNegative, Op, Pad, Rearrange, Resize, Scale, Step

if TYPE_CHECKING:
    from tfckpt.bundle.values.arrays import Array


Tell = Callable[[int, DataType], None]  # how many values a cast made infinite, and what it cast to


def joined(step: Step, read: Callable[[Input], Array], tell: Tell | None = None) -> Array:
    """Return a step's values.

    Args:
        step: what becomes of them.
        read: returns the whole tensor that an input names.
        tell: called if a cast makes values infinite that were not.
    """
    arrays = [_values(item, read, tell) for item in step.inputs]
    array = arrays[0] if len(arrays) == 1 else np.concatenate(arrays, step.axis)
    return _apply_all(step.ops, array, tell)


def _values(item: Input, read: Callable[[Input], Array], tell: Tell | None) -> Array:
    """Return an input's values. Those that are all alike, or random, are made in their last shape."""
    ops = item.ops
    if isinstance(item.constant, Fill):
        array = filled(item.constant, item.shape_after, numpy_dtype(item.data_type))
        ops = tuple(op for op in ops if isinstance(op, (Cast, Scale)))
    elif isinstance(item.constant, Identity):
        array = np.eye(*item.shape, dtype=numpy_dtype(item.data_type))
    else:
        array = read(item)
        if item.part is not None:
            array = array.take(range(item.part.start, item.part.stop), item.part.axis)
    return _apply_all(ops, array, tell)


def _apply_all(ops: Iterable[Op], array: Array, tell: Tell | None) -> Array:
    for op in ops:
        made = apply(op, array)
        if tell is not None and isinstance(op, Cast) and op.data_type in FLOATING:
            lost = int(np.isinf(made).sum() - np.isinf(array).sum())
            if lost:
                tell(lost, op.data_type)
        array = made
    return array


def apply(op: Op, array: Array) -> Array:
    """Return what an operation makes of an array.

    >>> apply(Pad(0, 0, 1), np.ones((1, 2))).tolist()
    [[1.0, 1.0], [0.0, 0.0]]
    """
    match op:
        case Rearrange(pattern, letters):
            array = axes.apply(pattern, array, letters)
        case Resize():
            array = _resized(array, op)
        case Cast(data_type):
            with np.errstate(over="ignore"):  # whoever asked for it says what became infinite
                array = array.astype(numpy_dtype(data_type))
        case Scale(factor):
            array = array * array.dtype.type(factor)
        case Pad(axis, before, after, value):
            widths = [(before, after) if number == axis else (0, 0) for number in range(array.ndim)]
            array = np.pad(array, widths, constant_values=array.dtype.type(value))
        case NotNegative(name):
            if (array < 0).any():
                expected = "a second moment, 0 or more, since its name has the number of one"
                raise FormatError(f"tensor {name!r}", expected=expected, got=f"{array.min():g}")
    return array


def _resized(array: Array, resize: Resize) -> Array:
    """Return the array with one axis cut at its end, or extended there.

    >>> _resized(np.array([[1.0, 2.0], [3.0, 6.0]]), Resize(axis=0, old=2, new=3, fill="mean")).tolist()
    [[1.0, 2.0], [3.0, 6.0], [2.0, 4.0]]
    """
    if resize.new < resize.old:
        return array.take(range(resize.new), resize.axis)
    rows = np.zeros((*array.shape[: resize.axis], 1, *array.shape[resize.axis + 1 :]), array.dtype)
    if resize.fill == "mean":
        wide = np.complex128 if array.dtype.kind == "c" else np.float64
        rows = array.mean(resize.axis, wide, keepdims=True).astype(array.dtype)
    return np.concatenate([array, rows.repeat(resize.new - resize.old, resize.axis)], resize.axis)


def filled(fill: Fill, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return an array of values that no source has; equal seeds and shapes give equal values.

    >>> filled(Fill(0.5), (2,), np.dtype("float32"))
    array([0.5, 0.5], dtype=float32)
    """
    if fill.seed is None:
        return np.full(shape, fill.value, dtype)
    values = np.random.default_rng(fill.seed).normal(fill.value, fill.deviation, shape)
    return values.astype(dtype)
