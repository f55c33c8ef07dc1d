"""The values of one slice as a V1 checkpoint stores them: in that field of a TensorProto which its dtype calls for.

Source: tensorflow/core/util/saved_tensor_slice_util.h; tensorflow/core/framework/tensor.proto.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tfckpt._proto import types_pb2
from tfckpt._proto.saved_tensor_slices_pb2 import TensorProto
from tfckpt._proto.types_pb2 import DataType
from tfckpt.bundle.values.dtypes import numpy_dtype
from tfckpt.errors import FormatError

if TYPE_CHECKING:
    from tfckpt.bundle.values.arrays import Array

FIELDS = {
    types_pb2.DT_FLOAT: "float_val",
    types_pb2.DT_DOUBLE: "double_val",
    types_pb2.DT_INT32: "int_val",
    types_pb2.DT_UINT8: "int_val",
    types_pb2.DT_INT16: "int_val",
    types_pb2.DT_INT8: "int_val",
    types_pb2.DT_STRING: "string_val",
    types_pb2.DT_COMPLEX64: "scomplex_val",  # real, imaginary
    types_pb2.DT_INT64: "int64_val",
    types_pb2.DT_BOOL: "bool_val",
    types_pb2.DT_QINT8: "int_val",
    types_pb2.DT_QUINT8: "int_val",
    types_pb2.DT_QINT32: "int_val",
    types_pb2.DT_BFLOAT16: "half_val",  # TensorFlow never wrote it, nor uint32, uint64
    types_pb2.DT_QINT16: "int_val",
    types_pb2.DT_QUINT16: "int_val",
    types_pb2.DT_UINT16: "int_val",
    types_pb2.DT_COMPLEX128: "dcomplex_val",
    types_pb2.DT_HALF: "half_val",  # the 16 bits as a number
    types_pb2.DT_UINT32: "uint32_val",
    types_pb2.DT_UINT64: "uint64_val",
}

ITEMS: dict[str, type[np.integer[Any]]] = {  # what our definition of each field holds
    "float_val": np.uint32,
    "double_val": np.uint64,
    "int_val": np.int64,
    "scomplex_val": np.uint32,
    "int64_val": np.int64,
    "bool_val": np.uint64,
    "dcomplex_val": np.uint64,
    "half_val": np.int64,
    "uint32_val": np.uint64,
    "uint64_val": np.uint64,
}

BITS = ("float_val", "double_val", "scomplex_val", "dcomplex_val")  # fields whose items are the values' bits
PAIRS = ("scomplex_val", "dcomplex_val")


def decode_values(proto: TensorProto, data_type: DataType, count: int) -> Array:
    """Return ``count`` values, in one dimension.

    >>> decode_values(TensorProto(half_val=[0x3C00, 0xC000]), types_pb2.DT_HALF, 2)
    array([ 1., -2.], dtype=float16)

    Raises: FormatError if there are more or fewer, or one that the dtype cannot hold.
    """
    field = FIELDS[data_type]
    stored = getattr(proto, field)
    nitems = 2 * count if field in PAIRS else count
    if len(stored) != nitems:
        raise FormatError("number of values", expected=f"{nitems:,} in {field}", got=f"{len(stored):,}")
    if data_type == types_pb2.DT_STRING:
        strings: Array = np.empty(count, object)
        strings[:] = list(stored)
        return strings
    items = np.array(stored, ITEMS[field])
    dtype = numpy_dtype(data_type)
    if field in BITS:
        return items.view(dtype)
    if dtype.kind == "b":
        _check_range(items, 0, 1)
        return items.astype(dtype)
    unit = np.dtype(np.uint16) if field == "half_val" else dtype
    limits = np.iinfo(unit)
    _check_range(items, int(limits.min), int(limits.max))
    return items.astype(unit).view(dtype)


def _check_range(items: Array, low: int, high: int) -> None:
    outside = (items < low) | (items > high)
    if outside.any():
        at = int(outside.argmax())
        raise FormatError(f"value {at:,}", expected=f"{low} to {high}", got=int(items[at]))
