"""Slices of partitioned tensors: where each part sits in the whole, and the key that it is stored under.

Source: tensorflow/core/framework/tensor_slice.proto, tensor_slice.cc.
"""

from __future__ import annotations

from dataclasses import dataclass

from tfckpt._proto.tensor_bundle_pb2 import TensorSliceProto
from tfckpt.bundle.ordered_code import FULL_EXTENT, encode_slice_key
from tfckpt.errors import FormatError


@dataclass(frozen=True, slots=True)
class TensorSlice:
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

    def within(self, shape: tuple[int, ...]) -> tuple[slice, ...]:
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
