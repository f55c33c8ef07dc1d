"""TensorFlow's dtypes and NumPy's, one row each.

NumPy cannot tell qint8 from int8, so an `Entry` keeps the DataType; arrays carry quantized values as plain integers, as
TensorFlow's own reader returns them. Types below one byte are stored one byte an element, as ml_dtypes holds them.
Source: tensorflow/core/framework/types.proto, tensorflow/python/framework/dtypes.py.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from tfckpt._proto import types_pb2
from tfckpt._proto.types_pb2 import DataType
from tfckpt.errors import UnsupportedError

NATIVE: dict[DataType, np.dtype[Any]] = {
    types_pb2.DT_FLOAT: np.dtype(np.float32),
    types_pb2.DT_DOUBLE: np.dtype(np.float64),
    types_pb2.DT_INT32: np.dtype(np.int32),
    types_pb2.DT_UINT8: np.dtype(np.uint8),
    types_pb2.DT_INT16: np.dtype(np.int16),
    types_pb2.DT_INT8: np.dtype(np.int8),
    types_pb2.DT_COMPLEX64: np.dtype(np.complex64),
    types_pb2.DT_INT64: np.dtype(np.int64),
    types_pb2.DT_BOOL: np.dtype(np.bool_),
    types_pb2.DT_QINT8: np.dtype(np.int8),
    types_pb2.DT_QUINT8: np.dtype(np.uint8),
    types_pb2.DT_QINT32: np.dtype(np.int32),
    types_pb2.DT_QINT16: np.dtype(np.int16),
    types_pb2.DT_QUINT16: np.dtype(np.uint16),
    types_pb2.DT_UINT16: np.dtype(np.uint16),
    types_pb2.DT_COMPLEX128: np.dtype(np.complex128),
    types_pb2.DT_HALF: np.dtype(np.float16),
    types_pb2.DT_UINT32: np.dtype(np.uint32),
    types_pb2.DT_UINT64: np.dtype(np.uint64),
}

# Names in ml_dtypes, which is imported when one of them comes up: 8 ms that few checkpoints need.
EXTENSIONS: dict[DataType, str] = {
    types_pb2.DT_BFLOAT16: "bfloat16",
    types_pb2.DT_FLOAT8_E5M2: "float8_e5m2",
    types_pb2.DT_FLOAT8_E4M3FN: "float8_e4m3fn",
    types_pb2.DT_FLOAT8_E4M3FNUZ: "float8_e4m3fnuz",
    types_pb2.DT_FLOAT8_E4M3B11FNUZ: "float8_e4m3b11fnuz",
    types_pb2.DT_FLOAT8_E5M2FNUZ: "float8_e5m2fnuz",
    types_pb2.DT_INT4: "int4",
    types_pb2.DT_UINT4: "uint4",
    types_pb2.DT_INT2: "int2",
    types_pb2.DT_UINT2: "uint2",
    types_pb2.DT_FLOAT4_E2M1FN: "float4_e2m1fn",
}

NUMERIC = frozenset((*NATIVE, *EXTENSIONS))

QUANTIZED = (
    types_pb2.DT_QINT8,
    types_pb2.DT_QUINT8,
    types_pb2.DT_QINT32,
    types_pb2.DT_QINT16,
    types_pb2.DT_QUINT16,
)

FLOATING = (types_pb2.DT_HALF, types_pb2.DT_BFLOAT16, types_pb2.DT_FLOAT, types_pb2.DT_DOUBLE)

# Slices of these dtypes are what TensorFlow can put together again; it writes those of others and cannot read them.
# tensorflow/core/util/tensor_bundle/tensor_bundle.cc, BundleReader::GetSliceValue.
SLICEABLE = (
    types_pb2.DT_FLOAT,
    types_pb2.DT_DOUBLE,
    types_pb2.DT_INT8,
    types_pb2.DT_INT16,
    types_pb2.DT_INT32,
    types_pb2.DT_INT64,
    types_pb2.DT_UINT8,
    types_pb2.DT_COMPLEX64,
    types_pb2.DT_COMPLEX128,
    types_pb2.DT_BOOL,
    types_pb2.DT_QINT8,
    types_pb2.DT_QINT32,
    types_pb2.DT_QUINT8,
    types_pb2.DT_BFLOAT16,
    types_pb2.DT_INT4,
    types_pb2.DT_UINT4,
)

STRING_KINDS = "OSUT"  # objects, bytes, text of a fixed length, text of any
OBJECT = np.dtype(object)  # DT_STRING, DT_VARIANT: an array of bytes objects

# tf.qint8.as_numpy_dtype is a record of one field, named after the type: the one way an array can say it is quantized.
_RECORDS = {np.dtype([(tensorflow_name, NATIVE[data_type])]): data_type for tensorflow_name, data_type in (
    ("qint8", types_pb2.DT_QINT8),
    ("quint8", types_pb2.DT_QUINT8),
    ("qint32", types_pb2.DT_QINT32),
    ("qint16", types_pb2.DT_QINT16),
    ("quint16", types_pb2.DT_QUINT16),
)}  # fmt: skip

_DATA_TYPES = {dtype: data_type for data_type, dtype in NATIVE.items() if data_type not in QUANTIZED} | _RECORDS


@cache
def _extensions() -> dict[DataType, np.dtype[Any]]:
    import ml_dtypes

    return {data_type: np.dtype(getattr(ml_dtypes, name)) for data_type, name in EXTENSIONS.items()}


def is_numeric(data_type: DataType) -> bool:
    """Whether elements have one size; those of strings and variants are stored with their lengths."""
    return data_type in NUMERIC


def numpy_dtype(data_type: DataType) -> np.dtype[Any]:
    """Return the NumPy dtype that holds ``data_type``; ``object`` for strings and variants.

    >>> numpy_dtype(types_pb2.DT_QINT8)
    dtype('int8')

    Raises: UnsupportedError for resources, which are no values.
    """
    if data_type in NATIVE:
        return NATIVE[data_type]
    if data_type in EXTENSIONS:
        return _extensions()[data_type]
    if data_type not in (types_pb2.DT_STRING, types_pb2.DT_VARIANT):
        raise UnsupportedError(f"{dtype_name(data_type)} values have no NumPy form")
    return OBJECT


def data_type_of(dtype: np.dtype[Any]) -> DataType:
    """Return the DataType that stores arrays of ``dtype``, whatever its byte order.

    >>> data_type_of(np.dtype(">f4")) == types_pb2.DT_FLOAT
    True

    Raises: UnsupportedError, e.g. for datetimes and long doubles.
    """
    if dtype.kind in STRING_KINDS:
        return types_pb2.DT_STRING
    found = _DATA_TYPES.get(dtype) or _DATA_TYPES.get(dtype.newbyteorder("="))
    if found:
        return found
    for data_type, extension in _extensions().items():
        if extension == dtype.newbyteorder("="):
            return data_type
    raise UnsupportedError(f"NumPy dtype {dtype} has no TensorFlow counterpart")


def dtype_name(data_type: DataType) -> str:
    """Return TensorFlow's name of a dtype.

    >>> dtype_name(types_pb2.DT_HALF), dtype_name(types_pb2.DT_QINT8), dtype_name(types_pb2.DT_STRING)
    ('float16', 'qint8', 'string')
    """
    if data_type in NATIVE and data_type not in QUANTIZED:
        return NATIVE[data_type].name
    if data_type in EXTENSIONS:
        return EXTENSIONS[data_type]
    return DataType.Name(data_type).removeprefix("DT_").lower()


def component_size(dtype: np.dtype[Any]) -> int:
    """Return the bytes that one byte swap reverses: half the item for complex numbers."""
    return dtype.itemsize // 2 if dtype.kind == "c" else dtype.itemsize
