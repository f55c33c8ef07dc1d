"""Slices of partitioned tensors: where each part sits in the whole, and the key that it is stored under.

Source: tensorflow/core/framework/tensor_slice.proto, tensor_slice.cc.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from tfckpt._proto.tensor_bundle_pb2 import TensorSliceProto
from tfckpt.bundle.values.ordered_code import FULL_EXTENT, encode_slice_key
from tfckpt.errors import FormatError, UnsupportedError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Ranges = tuple[slice, ...]  # a box of a tensor: start and stop of each dimension
MOST_CORNERS = 1 << 21  # of all boxes; a thousand slices may be cut in eleven dimensions
MOST_COMPARED = 500  # boxes of which a message names two that overlap
MOST_PAIRS = 1 << 19  # of boxes that are compared, to see whether any overlap
FEW_RUNS = 256  # each is read by itself; of more, those are joined that lie near
NEAR = 1 << 12  # bytes between two that are read rather than skipped


class Picked(NamedTuple):
    """What is wanted of a box along one axis: numbers in the whole tensor, sorted, each once.

    The box reaches from the first to the last of them.
    """

    axis: int
    ids: npt.NDArray[np.intp]

    def inside(self, part: Ranges) -> tuple[slice, Picked]:
        """Return which of the numbers lie in another box, and these in its coordinates."""
        low, high = part[self.axis].start, part[self.axis].stop
        chosen = slice(*(int(at) for at in self.ids.searchsorted((low, high))))
        return chosen, Picked(self.axis, self.ids[chosen] - low)

    def of(self, box: Ranges) -> Ranges:
        """Return the box with its axis as long as what is wanted of it: where that is put together."""
        return along(box, self.axis, slice(0, len(self.ids)))

    def within(self, box: Ranges) -> Ranges:
        """Return the part of the box that reaches from the first number to the last."""
        return along(box, self.axis, slice(int(self.ids[0]), int(self.ids[-1]) + 1))

    def runs(self, box: Ranges, row: int) -> list[slice]:
        """Return which of the numbers are read together, as one box: neighbours, if they are rows of ``row`` bytes.

        Where the axis is not the first of which the box has several, one box from first to last is no longer than each.
        """
        import numpy as np

        if math.prod(shape_of(box[: self.axis])) != 1:
            return [slice(0, len(self.ids))]
        gaps = np.diff(self.ids)
        ends = np.flatnonzero(gaps > 1) + 1
        if len(ends) >= FEW_RUNS:
            ends = np.flatnonzero(gaps > 1 + NEAR // row) + 1
        bounds = [0, *ends.tolist(), len(self.ids)]
        return [slice(start, stop) for start, stop in itertools.pairwise(bounds)]


class TensorSlice(NamedTuple):
    """One part of a partitioned tensor: ``(start, length)`` a dimension, length -1 for the whole dimension.

    The numbers are kept as written: an explicit full range and -1 mean the same, but name different keys.
    """

    extents: tuple[tuple[int, int], ...]

    @staticmethod
    def parse(proto: TensorSliceProto) -> TensorSlice:
        """Read a slice from its message."""
        return TensorSlice(tuple((e.start, e.length if e.HasField("length") else FULL_EXTENT) for e in proto.extent))

    def to_proto(self) -> TensorSliceProto:
        """Return the message; a full extent is an empty one."""
        proto = TensorSliceProto()
        for start, length in self.extents:
            extent = proto.extent.add()
            if length != FULL_EXTENT:
                extent.start, extent.length = start, length
        return proto

    def key(self, name: bytes) -> bytes:
        """Return the index key of this slice of tensor ``name``."""
        return encode_slice_key(name, self.extents)

    @staticmethod
    def of(box: Ranges, shape: tuple[int, ...]) -> TensorSlice:
        """Return the slice for a box of a tensor; a dimension of which it has all is a full extent.

        >>> TensorSlice.of((slice(0, 4), slice(2, 5)), (4, 8))
        TensorSlice(extents=((0, -1), (2, 3)))
        """
        sizes = zip(box, shape, strict=True)
        return TensorSlice(
            tuple((0, FULL_EXTENT) if (r.start, r.stop) == (0, n) else (r.start, r.stop - r.start) for r, n in sizes)
        )

    def is_full(self, shape: tuple[int, ...]) -> bool:
        """Return whether this slice is all of a tensor of ``shape``, in either spelling.

        >>> TensorSlice(((0, -1), (0, 3))).is_full((4, 3))
        True
        """
        full = [{(0, FULL_EXTENT), (0, size)} for size in shape]
        return len(full) == len(self.extents) and all(e in both for e, both in zip(self.extents, full, strict=True))

    def within(self, shape: tuple[int, ...]) -> Ranges:
        """Return the part of an array of ``shape`` that this slice covers.

        >>> TensorSlice(((0, -1), (2, 3))).within((4, 8))
        (slice(0, 4, None), slice(2, 5, None))

        Raises: FormatError if the rank differs or a range leaves its dimension.
        """
        if len(self.extents) != len(shape):
            raise FormatError("slice rank", expected=len(shape), got=len(self.extents))
        ranges = []
        for (start, length), size in zip(self.extents, shape, strict=True):
            stop = size if length == FULL_EXTENT else start + length
            if not (0 <= start <= stop <= size) or (length == FULL_EXTENT and start != 0):
                raise FormatError("slice range", expected=f"inside [0, {size})", got=f"start {start}, length {length}")
            ranges.append(slice(start, stop))
        return tuple(ranges)


def along(box: Ranges, axis: int, range_: slice) -> Ranges:
    """Return the box with another range along one axis.

    >>> along((slice(0, 4), slice(0, 8)), 1, slice(2, 5))
    (slice(0, 4, None), slice(2, 5, None))
    """
    return (*box[:axis], range_, *box[axis + 1 :])


def whole(shape: tuple[int, ...]) -> Ranges:
    """Return the box that is all of a tensor."""
    return tuple(slice(0, size) for size in shape)


def shape_of(ranges: Ranges) -> tuple[int, ...]:
    """Return the shape of a box."""
    return tuple(r.stop - r.start for r in ranges)


def brackets(ranges: Ranges) -> str:
    """Return a box as NumPy users write it.

    >>> brackets((slice(0, 2), slice(3, 5)))
    '[0:2, 3:5]'
    """
    return "[" + ", ".join(f"{r.start}:{r.stop}" for r in ranges) + "]"


def intersection(a: Ranges, b: Ranges) -> Ranges | None:
    """Return the box that two boxes share, or None.

    >>> intersection((slice(0, 4),), (slice(2, 9),))
    (slice(2, 4, None),)
    """
    shared = tuple(slice(max(x.start, y.start), min(x.stop, y.stop)) for x, y in zip(a, b, strict=True))
    return shared if all(r.start < r.stop for r in shared) else None


def relative(ranges: Ranges, origin: Ranges) -> Ranges:
    """Return a box in the coordinates of another that it lies in."""
    return tuple(slice(r.start - o.start, r.stop - o.start) for r, o in zip(ranges, origin, strict=True))


def check_cover(name: str, shape: tuple[int, ...], parts: Sequence[Ranges]) -> None:
    """Check that boxes hold each element of a tensor once.

    Raises: FormatError, which names two that overlap, or counts the elements; UnsupportedError if they are cut in so many
    dimensions that it would take too long.
    """
    size = math.prod(shape)
    count = sum(math.prod(shape_of(part)) for part in parts)
    if count == size and _covers(name, shape, parts):
        return
    clash = next(_overlaps(parts[:MOST_COMPARED]), None)
    got = f"{brackets(clash[0])} and {brackets(clash[1])}" if clash else f"{count:,} elements"
    raise FormatError(f"slices of tensor {name!r}", expected=f"each of {size:,} elements once", got=got)


def check_disjoint(name: str, parts: Sequence[Ranges]) -> None:
    """Check that no element of a tensor is in two boxes, though some may be in none.

    Raises: FormatError, which names two that overlap; UnsupportedError if they lie so that it would take too long.
    """
    try:
        clash = next(_overlaps(parts), None)
    except UnsupportedError as error:
        raise UnsupportedError(f"tensor {name!r}: {error}") from None
    if clash:
        got = f"{brackets(clash[0])} and {brackets(clash[1])}"
        raise FormatError(f"slices of tensor {name!r}", expected="each element once at most", got=got)


def _covers(name: str, shape: tuple[int, ...], parts: Sequence[Ranges]) -> bool:
    """Whether each element lies in one box.

    A box is told by its corners, with signs by turns; where boxes meet these cancel, and those of the whole are left. Two
    boxes need not be compared, of which there would be millions of pairs.
    """
    if not math.prod(shape):
        return True
    cut = [axis for axis, n in enumerate(shape) if any((part[axis].start, part[axis].stop) != (0, n) for part in parts)]
    if len(parts) << len(cut) > MOST_CORNERS:
        raise UnsupportedError(f"tensor {name!r}: {len(parts):,} slices, cut in {len(cut)} dimensions")
    turns = [math.prod(turn) for turn in itertools.product((1, -1), repeat=len(cut))]
    left: dict[tuple[int, ...], int] = {}
    for sign, part in ((-1, whole(shape)), *((1, part) for part in parts)):
        corners = itertools.product(*((part[axis].start, part[axis].stop) for axis in cut))
        for corner, turn in zip(corners, turns, strict=True):
            left[corner] = left.get(corner, 0) + sign * turn
    return not any(left.values())


def _overlaps(parts: Sequence[Ranges]) -> Iterator[tuple[Ranges, Ranges]]:
    """Yield the pairs of boxes that share an element, from a sweep along the axis on which they begin at the most places.

    Raises: UnsupportedError if too many lie beside each other there.
    """
    starts = [len({r.start for r in along_axis}) for along_axis in zip(*parts, strict=True)]
    axis = starts.index(max(starts)) if starts else 0
    active: list[Ranges] = []
    compared = 0
    for part in sorted(parts, key=lambda ranges: [r.start for r in ranges[axis:]]):
        active = [other for other in active if not part or other[axis].stop > part[axis].start]
        compared += len(active)
        if compared > MOST_PAIRS:
            raise UnsupportedError(f"{len(parts):,} slices, of which too many lie beside each other to be compared")
        yield from ((other, part) for other in active if intersection(other, part) is not None)
        active.append(part)
