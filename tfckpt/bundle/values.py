"""Stored bytes <-> ndarray."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from tfckpt._proto.types_pb2 import DataType
from tfckpt.bundle.dtypes import OBJECT, component_size, data_type_of
from tfckpt.bundle.entry import Entry
from tfckpt.bundle.strings import encode_strings
from tfckpt.errors import UnsupportedError
from tfckpt.sstable.checksum import masked_crc32c

Array = npt.NDArray[Any]


def shaped(name: str, make: Callable[[], Array]) -> Array:
    """Return ``make()``: shapes that the format allows and NumPy does not become an error of ours."""
    try:
        return make()
    except ValueError as error:
        raise UnsupportedError(f"tensor {name!r} cannot be a NumPy array: {error}") from None


def numeric_array(entry: Entry, stored: memoryview | bytes, *, big_endian: bool) -> Array:
    """Return the values of a numeric tensor: a read-only view of ``stored``, or a copy if the bytes must be swapped."""
    array: Array = np.frombuffer(stored, dtype=entry.dtype, count=entry.size)
    array.flags.writeable = False
    width = component_size(entry.dtype)
    if big_endian and width > 1:
        array = array.view(f"u{width}").byteswap().view(entry.dtype)
    return shaped(entry.name, lambda: array.reshape(entry.shape))


def string_array(entry: Entry, strings: list[bytes]) -> Array:
    """Return an object array of ``bytes``."""
    array: Array = np.empty(entry.size, OBJECT)
    array[:] = strings
    return shaped(entry.name, lambda: array.reshape(entry.shape))


def encode_array(name: str, value: npt.ArrayLike) -> tuple[DataType, tuple[int, ...], bytes | memoryview, int]:
    """Return a tensor's DataType, shape, stored little-endian bytes and their masked checksum.

    ``str`` becomes UTF-8; a NumPy bytes ("S") array loses trailing NULs, as it does in TensorFlow.

    >>> _, shape, stored, crc = encode_array("w", np.float32([1, 2]))
    >>> shape, bytes(stored).hex(), hex(crc)
    ((2,), '0000803f00000040', '0x35e53c59')

    Raises: UnsupportedError if the values have no TensorFlow dtype.
    """
    array = np.asarray(value, dtype=OBJECT) if isinstance(value, (str, bytes)) else np.asarray(value)
    data_type = data_type_of(array.dtype)
    if array.dtype.kind in "OSU":
        stored, crc = encode_strings([_as_bytes(name, item) for item in array.ravel().tolist()])
        return data_type, array.shape, stored, crc
    little = array.astype(array.dtype.newbyteorder("<"), copy=False) if array.dtype.byteorder == ">" else array
    flat = np.ascontiguousarray(little).reshape(-1).view(np.uint8)
    return data_type, array.shape, flat.data, masked_crc32c(flat.data)


def _as_bytes(name: str, item: object) -> bytes:
    if isinstance(item, str):
        return item.encode()
    if isinstance(item, bytes):
        return item
    raise UnsupportedError(f"tensor {name!r}: an object array must hold bytes or str, got {type(item).__name__}")
