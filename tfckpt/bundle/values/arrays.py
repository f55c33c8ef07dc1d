"""Stored bytes <-> ndarray."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tfckpt._proto.types_pb2 import DT_STRING, DT_VARIANT, DataType
from tfckpt.bundle.values.dtypes import component_size, data_type_of, is_numeric, item_size, numpy_dtype
from tfckpt.bundle.values.entry import Entry
from tfckpt.bundle.values.strings import decode_strings, encode_strings
from tfckpt.bundle.values.variants import decode_variants, encode_variants
from tfckpt.errors import UnsupportedError, UsageError
from tfckpt.sstable.checksum import masked_crc32c

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = np.ndarray[Any, np.dtype[Any]]

DECODERS = {DT_STRING: decode_strings, DT_VARIANT: decode_variants}
QUICKLY_COPIED = 1 << 12  # bytes of which a copy costs less than a view
ENCODERS = {DT_STRING: encode_strings, DT_VARIANT: encode_variants}


def shaped(name: str, make: Callable[[], Array]) -> Array:
    """Return ``make()``: shapes that the format allows and NumPy does not become an error of ours."""
    try:
        return make()
    except ValueError as error:
        raise _unshaped(name, error) from None


def _unshaped(name: str, error: ValueError) -> UnsupportedError:
    return UnsupportedError(f"tensor {name!r} cannot be a NumPy array: {error}")


def numeric_array(entry: Entry, stored: memoryview | bytes, *, big_endian: bool) -> Array:
    """Return the values of a numeric tensor: a read-only view of ``stored``, or a copy if the bytes must be swapped."""
    import numpy as np

    try:  # what `shaped` does, without its call: there may be very many small tensors
        array: Array = np.ndarray(entry.shape, numpy_dtype(entry.data_type), stored)
    except ValueError as error:
        raise _unshaped(entry.name, error) from None
    array.flags.writeable = False
    return swap(array.reshape(-1)).reshape(entry.shape) if big_endian else array


def numeric_box(entry: Entry, stored: memoryview | bytes, shape: tuple[int, ...], *, big_endian: bool) -> Array:
    """Return a box of a numeric tensor; ``stored`` is what lies between its first element and its last."""
    import numpy as np

    array: Array = np.ndarray(shape, entry.dtype, stored, strides=strides(entry))
    array.flags.writeable = False
    return swap(array) if big_endian else array


def strides(entry: Entry) -> tuple[int, ...]:
    """Return how many bytes lie between neighbours along each dimension of a numeric tensor."""
    return tuple(item_size(entry.data_type) * math.prod(entry.shape[axis + 1 :]) for axis in range(len(entry.shape)))


def swap(array: Array) -> Array:
    """Return a copy with each number's bytes (of a complex one, each half's) in the opposite order.

    >>> swap(np.uint16([1]))
    array([256], dtype=uint16)
    """
    import numpy as np

    width = component_size(array.dtype)
    return np.ascontiguousarray(array).view(f"u{width}").byteswap().view(array.dtype)


def element_array(entry: Entry, stored: bytes, *, big_endian: bool) -> tuple[Array, int]:
    """Return an object array of ``bytes``, the strings or variants of a tensor, and their masked checksum.

    Raises: FormatError, ChecksumError, with offsets inside the tensor; UnsupportedError.
    """
    import numpy as np

    dtype = entry.dtype  # of resources there is none
    elements, crc = DECODERS[entry.data_type](stored, entry.size, big_endian=big_endian)
    array: Array = np.empty(entry.size, dtype)
    array[:] = elements
    return shaped(entry.name, lambda: array.reshape(entry.shape)), crc


def encode_array(
    name: str, value: npt.ArrayLike, data_type: DataType | None = None, *, big_endian: bool = False
) -> tuple[DataType, tuple[int, ...], bytes | memoryview, int]:
    """Return a tensor's DataType, shape, stored bytes and their masked checksum.

    ``str`` becomes UTF-8; a NumPy bytes ("S") array loses trailing NULs, as it does in TensorFlow. ``data_type`` tells
    what NumPy cannot: quantized integers from plain ones, variants from strings. A `TypedArray` knows it itself.

    >>> _, shape, stored, crc = encode_array("w", np.float32([1, 2]))
    >>> shape, bytes(stored).hex(), hex(crc)
    ((2,), '0000803f00000040', '0x35e53c59')

    Raises: UnsupportedError if the values have no TensorFlow dtype; UsageError if they make no array.
    """
    if isinstance(value, (str, bytes)):  # a scalar such as the object graph, which is no reason to import NumPy
        data_type = DT_STRING if data_type is None else data_type
        return data_type, (), *ENCODERS[data_type]([_as_bytes(name, value)], big_endian=big_endian)
    import numpy as np

    if data_type is None and type(value) is not np.ndarray:
        from tfckpt.bundle.values.typed import TypedArray

        data_type = value.data_type if isinstance(value, TypedArray) else None
    try:
        array = np.asarray(value)
        natural = data_type_of(array.dtype)
    except ValueError as error:  # rows of different lengths
        raise UsageError(f"tensor {name!r}: {error}") from None
    except UnsupportedError as error:
        raise UnsupportedError(f"tensor {name!r}: {error}") from None
    data_type = natural if data_type is None else data_type
    assert numpy_dtype(data_type) == numpy_dtype(natural), (name, data_type, natural)
    if not is_numeric(data_type):
        elements = [_as_bytes(name, item) for item in array.ravel().tolist()]
        stored, crc = ENCODERS[data_type](elements, big_endian=big_endian)
        return data_type, array.shape, stored, crc
    data = encode_numbers(array, big_endian=big_endian)
    return data_type, array.shape, data, masked_crc32c(data)


def encode_numbers(array: Array, *, big_endian: bool) -> bytes | memoryview:
    """Return numbers as stored bytes of that byte order, in row-major order."""
    import numpy as np

    base = array.dtype[0] if array.dtype.names else array.dtype  # a record of one quantized number has no order itself
    if (base.byteorder == ">") != big_endian:
        array = swap(array)
    if array.nbytes <= QUICKLY_COPIED:
        return array.tobytes()
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _as_bytes(name: str, item: object) -> bytes:
    if isinstance(item, str):
        return item.encode()
    if isinstance(item, bytes):
        return item
    raise UnsupportedError(f"tensor {name!r}: an object array must hold bytes or str, got {type(item).__name__}")
