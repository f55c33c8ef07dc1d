"""Reading a part of a tensor: what an index asks for, as a box to read and what is left to do with it.

A list of ids, or a mask, asks for some of the box along one axis: each of them is read once, and put where the index has it.
"""

from __future__ import annotations

import operator
import re
from types import EllipsisType
from typing import TYPE_CHECKING, Any, TypeAlias

from tfckpt.bundle.tensor_reader import TensorReader
from tfckpt.bundle.values.dtypes import UNNAMED
from tfckpt.bundle.values.entry import Entry
from tfckpt.bundle.values.slices import Picked, Ranges
from tfckpt.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

    from tfckpt.bundle.values.arrays import Array

Index: TypeAlias = Any  # an int, a slice, ..., an array of numbers or a mask, or a tuple of them
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

    def __len__(self) -> int:
        """Return the number of rows, as NumPy does.

        Raises: TypeError of a scalar, which has none.
        """
        if not self.entry.shape:
            raise TypeError(f"tensor {self.entry.name!r} is a scalar, which has no len()")
        return self.entry.shape[0]

    def __bool__(self) -> bool:
        return True  # whatever its length

    def __getitem__(self, index: Index) -> Array:
        """Return what ``whole[index]`` would be, as an array.

        Args:
            index: integers, slices and ``...``, as in NumPy's basic indexing; among them may be one list or array of whole
                numbers, in any order and number, or one mask as long as its axis. Only rows that these ask for are read.
        Raises: UsageError if the index does not fit the shape; FormatError if bytes are missing.
        """
        try:
            items = per_axis(index, self.entry.shape)
            picked, order = pick(items, self.entry.shape)
            box, rest = to_box(tuple(items), self.entry.shape)
        except (IndexError, TypeError, ValueError) as error:
            shown = " ".join(repr(index).split())
            raise UsageError(f"tensor {self.entry.name!r} {list(self.entry.shape)}: index {shown}: {error}") from None
        if picked is None:
            found = self._reader.read_box(self.entry, box)[(*rest, ...)]  # of one string, too, an array
        else:
            array = self._reader.read_picked(self.entry, box, picked)
            left = [*rest[: picked.axis], order, *rest[picked.axis + 1 :]]
            found = array[tuple(with_ellipsis(left, index))]
        return found if self.entry.data_type not in UNNAMED else _typed(found, self.entry)

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


def per_axis(index: Index, shape: tuple[int, ...]) -> list[Any]:
    """Return an index of each axis.

    >>> per_axis((..., 3), (5, 10, 2))
    [slice(None, None, None), slice(None, None, None), 3]

    Raises: IndexError, as NumPy would.
    """
    items = list(index) if isinstance(index, tuple) else [index]
    if sum(item is Ellipsis for item in items) == 0:
        items.append(Ellipsis)
    at = next(i for i, item in enumerate(items) if item is Ellipsis)
    missing = len(shape) - len(items) + 1
    if missing < 0 or any(item is Ellipsis for item in items[at + 1 :]):
        raise IndexError(f"too many indices for {len(shape)} dimensions")
    items[at : at + 1] = [slice(None)] * missing
    return items


def with_ellipsis(items: list[Any], index: Index) -> list[Any]:
    """Return an index of each axis with the ``...`` of ``index``, if that stands for no axis.

    To NumPy it parts a whole number from a list even so, and then the list's axes come first.

    >>> with_ellipsis([0, [2]], (0, ..., [2])), with_ellipsis([0, slice(None), [2]], (0, ..., [2]))
    ([0, Ellipsis, [2]], [0, slice(None, None, None), [2]])
    """
    places = [at for at, item in enumerate(index) if item is Ellipsis] if isinstance(index, tuple) else []
    if places and len(index) == len(items) + 1:
        return [*items[: places[0]], Ellipsis, *items[places[0] :]]
    return items


def to_box(index: Index, shape: tuple[int, ...]) -> tuple[Ranges, tuple[int | slice, ...]]:
    """Return the smallest box that holds what ``index`` selects, and the index into that box that selects it.

    >>> to_box((3, slice(8, 2, -2)), (5, 10))
    ((slice(3, 4, None), slice(4, 9, None)), (0, slice(4, None, -2)))

    Raises: IndexError, TypeError, as NumPy would.
    """
    axes = [_to_range(item, size) for item, size in zip(per_axis(index, shape), shape, strict=True)]
    return tuple(box for box, _ in axes), tuple(rest for _, rest in axes)


def pick(items: list[Any], shape: tuple[int, ...]) -> tuple[Picked | None, Any]:
    """Return what a list of ids, or a mask, wants along its axis, and where the index has each; None if there is none.

    In ``items`` a slice from the first to the last takes its place.

    >>> items: list[Any] = [[7, 2, 7], slice(None)]
    >>> pick(items, (10, 4))
    (Picked(axis=0, ids=array([2, 7])), array([1, 0, 1]))
    >>> items
    [slice(2, 8, None), slice(None, None, None)]

    Raises: IndexError, as NumPy would, and if there are two; TypeError, ValueError if they are no numbers.
    """
    several = [axis for axis, item in enumerate(items) if _is_several(item)]
    if not several:
        return None, None
    if len(several) > 1:
        raise IndexError(f"expected a list of ids or a mask of one axis, got {len(several)}")
    import numpy as np

    axis = several[0]
    wanted = _ids(items[axis], shape[axis])
    ids, order = np.unique(wanted, return_inverse=True)
    order = order.reshape(wanted.shape)
    items[axis] = slice(int(ids[0]), int(ids[-1]) + 1) if len(ids) else slice(0, 0)
    if wanted.shape == ids.shape and (wanted == ids).all() and all(isinstance(item, slice) for item in items):
        return Picked(axis, ids), slice(None)  # nothing is left to do, and nothing to copy
    return Picked(axis, ids), order


def _is_several(item: Any) -> bool:
    """Whether an index of one axis is a list, a mask or another array: of what NumPy takes for one, scalars excepted."""
    return bool(getattr(item, "ndim", 0)) or isinstance(item, list | tuple | range)


def _ids(item: Any, size: int) -> Array:
    """Return a list of ids as numbers from 0 on; of a mask, where it is true."""
    import numpy as np

    found: Array = np.asarray(item)
    if not found.size and not hasattr(item, "dtype"):  # an empty list is one of no ids
        found = found.astype(np.intp)
    if found.dtype == np.bool_:
        if found.shape != (size,):
            raise IndexError(f"expected a mask of {[size]}, as its axis is, got one of {list(found.shape)}")
        return np.flatnonzero(found)
    if found.dtype.kind not in "iu":
        raise IndexError(f"expected ids that are whole numbers, or a mask, got {found.dtype}")
    for number in (int(found.min()), int(found.max())) if found.size else ():
        if not -size <= number < size:
            raise IndexError(f"{number} is outside of an axis of {size}")
    found = found.astype(np.intp)
    return np.where(found < 0, found + size, found)


def _typed(array: Array, entry: Entry) -> Array:
    from tfckpt.bundle.values.typed import typed  # few are of these dtypes

    return typed(array, entry.data_type)


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
