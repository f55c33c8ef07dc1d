"""The values of a step: what is written, and what a proof compares with."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tfckpt.bundle.dtypes import numpy_dtype
from tfckpt.bundle.entry import Entry
from tfckpt.bundle.tensor_reader import TensorReader
from tfckpt.conversion.plan import Fill, Step
from tfckpt.errors import FormatError
from tfckpt.layouts import axes


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
    array = reader.read(planned_entry(step, reader), verify=verify, mapped=False)
    return array if step.axes is None else axes.apply(step.axes, array, step.letters)


def filled(fill: Fill, shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return an array of values that no source has; equal seeds and shapes give equal values.

    >>> filled(Fill(0.5), (2,), np.dtype("float32"))
    array([0.5, 0.5], dtype=float32)
    """
    if fill.seed is None:
        return np.full(shape, fill.value, dtype)
    values = np.random.default_rng(fill.seed).normal(fill.value, fill.deviation, shape)
    return values.astype(dtype)
