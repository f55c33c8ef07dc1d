"""Reading a part of a tensor: what basic indexing asks for, as a box to read and what is left to do with it."""

from __future__ import annotations

import operator
import re
from types import EllipsisType
from typing import TYPE_CHECKING, Any, TypeAlias

from tfckpt.bundle.entry import Entry
from tfckpt.bundle.slices import Ranges
from tfckpt.bundle.tensor_reader import TensorReader
from tfckpt.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

    from tfckpt.bundle.values import Array

Index: TypeAlias = Any  # an int, a slice, ..., or a tuple of them
INTEGER = re.compile(r"[+-]?[0-9]{1,18}")


class PartialTensor:
    """One tensor, of which indexing reads only what it needs. Made by `Checkpoint.get_slice`.

    Attributes:
        entry: what the index of the checkpoint says of the tensor.
    """

    entry: Entry

    def __init__(self, reader: TensorReader, entry: Entry) -> None:
        self._reader, self.entry = reader, entry

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the whole."""
        return self.entry.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype of the values."""
        return self.entry.dtype

    def __getitem__(self, index: Index) -> Array:
        """Return what ``whole[index]`` would be, as an array.

        Args:
            index: integers, slices and ``...``, as in NumPy's basic indexing.
        Raises: UsageError if the index does not fit the shape; FormatError if bytes are missing.
        """
        try:
            box, rest = to_box(index, self.entry.shape)
        except (IndexError, TypeError) as error:
            raise UsageError(f"tensor {self.entry.name!r} {list(self.entry.shape)}: index {index!r}: {error}") from None
        return self._reader.read_box(self.entry, box)[(*rest, ...)]  # of one string, too, an array

    def __array__(self, dtype: np.dtype[Any] | None = None, copy: bool | None = None) -> Array:
        """Return the whole tensor, for `numpy.asarray` and what uses it."""
        if copy is False:
            raise ValueError(f"tensor {self.entry.name!r} is read from a file, which makes a copy")
        array = self[...]
        return array if dtype is None else array.astype(dtype)

    __iter__ = None  # it would read one row at a time

    def __repr__(self) -> str:
        return f"<tfckpt.PartialTensor {self.entry.name!r}: {self.entry.dtype_name}{list(self.entry.shape)}>"


def parse_index(text: str) -> Index:
    """Return the index that a text means, written as in NumPy; nothing else is understood, and nothing is run.

    >>> parse_index("[0, -5:, ..., ::2]")
    (0, slice(-5, None, None), Ellipsis, slice(None, None, 2))

    Raises: UsageError.
    """
    inner = text.strip()
    if inner.startswith("[") and inner.endswith("]"):
        inner = inner[1:-1]
    items = [item.strip() for item in inner.split(",")]
    if items[-1] == "" and len(items) > 1:  # a tuple of one item ends in a comma
        items.pop()
    return tuple(_parse_item(item, text) for item in items) if items != [""] else ()


def _parse_item(item: str, text: str) -> int | slice | EllipsisType:
    if item == "...":
        return Ellipsis
    bounds = [bound.strip() for bound in item.split(":")]
    if len(bounds) > 3 or not all(INTEGER.fullmatch(bound) or (not bound and len(bounds) > 1) for bound in bounds):
        raise UsageError(f"index {text!r}: expected whole numbers, slices and ..., as in '0, 2:5, ::-1', got {item!r}")
    numbers = [int(bound) if bound else None for bound in bounds]
    return slice(*numbers) if len(bounds) > 1 else int(bounds[0])


def to_box(index: Index, shape: tuple[int, ...]) -> tuple[Ranges, tuple[int | slice, ...]]:
    """Return the smallest box that holds what ``index`` selects, and the index into that box that selects it.

    >>> to_box((3, slice(8, 2, -2)), (5, 10))
    ((slice(3, 4, None), slice(4, 9, None)), (0, slice(4, None, -2)))

    Raises: IndexError, TypeError, as NumPy would.
    """
    items = list(index) if isinstance(index, tuple) else [index]
    if sum(item is Ellipsis for item in items) == 0:
        items.append(Ellipsis)
    at = next(i for i, item in enumerate(items) if item is Ellipsis)
    missing = len(shape) - len(items) + 1
    if missing < 0 or any(item is Ellipsis for item in items[at + 1 :]):
        raise IndexError(f"too many indices for {len(shape)} dimensions")
    items[at : at + 1] = [slice(None)] * missing
    axes = [_to_range(item, size) for item, size in zip(items, shape, strict=True)]
    return tuple(box for box, _ in axes), tuple(rest for _, rest in axes)


def _to_range(item: Any, size: int) -> tuple[slice, int | slice]:
    if isinstance(item, bool):  # which NumPy takes for a mask
        raise TypeError("a mask is no basic index")
    if not isinstance(item, slice):
        number = operator.index(item)
        if not -size <= number < size:
            raise IndexError(f"{number} is outside of an axis of {size}")
        at = number % size
        return slice(at, at + 1), 0
    chosen = range(size)[item]
    if not chosen:
        return slice(0, 0), slice(None)
    low, high = min(chosen[0], chosen[-1]), max(chosen[0], chosen[-1])
    return slice(low, high + 1), slice(chosen[0] - low, None, chosen.step)
