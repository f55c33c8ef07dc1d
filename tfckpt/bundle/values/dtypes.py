"""TensorFlow's dtypes and NumPy's, one row each.

NumPy cannot tell qint8 from int8, nor variants from strings, so an `Entry` keeps the DataType, and so do arrays of these
(`tfckpt.bundle.values.typed`), whose elements are plain integers, as TensorFlow's own reader returns them. Types below one
byte are stored one byte an element, as ml_dtypes holds them.
Source: tensorflow/core/framework/types.proto, tensorflow/python/framework/dtypes.py.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from tfckpt._proto import types_pb2
from tfckpt._proto.types_pb2 import DataType
from tfckpt.errors import UnsupportedError

if TYPE_CHECKING:
    import numpy as np

# Names in NumPy, and bytes an element. NumPy itself is imported when values come up: it costs more than all else that an
# index needs.
NATIVE: dict[DataType, tuple[str, int]] = {
    types_pb2.DT_FLOAT: ("float32", 4),
    types_pb2.DT_DOUBLE: ("float64", 8),
    types_pb2.DT_INT32: ("int32", 4),
    types_pb2.DT_UINT8: ("uint8", 1),
    types_pb2.DT_INT16: ("int16", 2),
    types_pb2.DT_INT8: ("int8", 1),
    types_pb2.DT_COMPLEX64: ("complex64", 8),
    types_pb2.DT_INT64: ("int64", 8),
    types_pb2.DT_BOOL: ("bool", 1),
    types_pb2.DT_QINT8: ("int8", 1),
    types_pb2.DT_QUINT8: ("uint8", 1),
    types_pb2.DT_QINT32: ("int32", 4),
    types_pb2.DT_QINT16: ("int16", 2),
    types_pb2.DT_QUINT16: ("uint16", 2),
    types_pb2.DT_UINT16: ("uint16", 2),
    types_pb2.DT_COMPLEX128: ("complex128", 16),
    types_pb2.DT_HALF: ("float16", 2),
    types_pb2.DT_UINT32: ("uint32", 4),
    types_pb2.DT_UINT64: ("uint64", 8),
}

# The same in ml_dtypes, which few checkpoints need.
EXTENSIONS: dict[DataType, tuple[str, int]] = {
    types_pb2.DT_BFLOAT16: ("bfloat16", 2),
    types_pb2.DT_FLOAT8_E5M2: ("float8_e5m2", 1),
    types_pb2.DT_FLOAT8_E4M3FN: ("float8_e4m3fn", 1),
    types_pb2.DT_FLOAT8_E4M3FNUZ: ("float8_e4m3fnuz", 1),
    types_pb2.DT_FLOAT8_E4M3B11FNUZ: ("float8_e4m3b11fnuz", 1),
    types_pb2.DT_FLOAT8_E5M2FNUZ: ("float8_e5m2fnuz", 1),
    types_pb2.DT_INT4: ("int4", 1),
    types_pb2.DT_UINT4: ("uint4", 1),
    types_pb2.DT_INT2: ("int2", 1),
    types_pb2.DT_UINT2: ("uint2", 1),
    types_pb2.DT_FLOAT4_E2M1FN: ("float4_e2m1fn", 1),
}

NUMERIC = NATIVE | EXTENSIONS

QUANTIZED = (
    types_pb2.DT_QINT8,
    types_pb2.DT_QUINT8,
    types_pb2.DT_QINT32,
    types_pb2.DT_QINT16,
    types_pb2.DT_QUINT16,
)

UNNAMED = (*QUANTIZED, types_pb2.DT_VARIANT)  # for which NumPy has no word: their arrays remember TensorFlow's

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
MOST_SLICED_RANK = 8  # more dimensions end TensorFlow's process: kTensorSliceMaxRank of tensor_slice_util.h

OBJECTS = (types_pb2.DT_STRING, types_pb2.DT_VARIANT)  # arrays of bytes objects
STRING_KINDS = "OSUT"  # objects, bytes, text of a fixed length, text of any


@cache
def _data_types() -> dict[np.dtype[Any], DataType]:
    """Return what each dtype is stored as.

    tf.qint8.as_numpy_dtype is a record of one field, named after the type: the one way an array can say it is quantized.
    """
    import numpy as np

    plain = {numpy_dtype(data_type): data_type for data_type in NUMERIC if data_type not in QUANTIZED}
    records = {np.dtype([(dtype_name(data_type), numpy_dtype(data_type))]): data_type for data_type in QUANTIZED}
    return plain | records


def is_sliceable(data_type: DataType, rank: int) -> bool:
    """Whether TensorFlow can put slices of such a tensor together again."""
    return 0 < rank <= MOST_SLICED_RANK and data_type in SLICEABLE


def is_numeric(data_type: DataType) -> bool:
    """Whether elements have one size; those of strings and variants are stored with their lengths."""
    return data_type in NUMERIC


@cache
def numpy_dtype(data_type: DataType) -> np.dtype[Any]:
    """Return the NumPy dtype that holds ``data_type``; ``object`` for strings and variants.

    >>> numpy_dtype(types_pb2.DT_QINT8)
    dtype('int8')

    Raises: UnsupportedError for resources, which are no values.
    """
    import numpy as np

    if data_type in NATIVE:
        return np.dtype(NATIVE[data_type][0])
    if data_type in EXTENSIONS:
        import ml_dtypes

        extension: np.dtype[Any] = np.dtype(getattr(ml_dtypes, EXTENSIONS[data_type][0]))
        return extension
    if data_type not in OBJECTS:
        raise UnsupportedError(f"{dtype_name(data_type)} values have no NumPy form")
    return np.dtype(object)


def item_size(data_type: DataType) -> int:
    """Return the bytes of one element of a numeric dtype.

    >>> item_size(types_pb2.DT_HALF)
    2
    """
    return NUMERIC[data_type][1]


def data_type_of(dtype: np.dtype[Any]) -> DataType:
    """Return the DataType that stores arrays of ``dtype``, whatever its byte order.

    >>> data_type_of(np.dtype(">f4")) == types_pb2.DT_FLOAT
    True

    Raises: UnsupportedError, e.g. for datetimes and long doubles.
    """
    if dtype.kind in STRING_KINDS:
        return types_pb2.DT_STRING
    found = _data_types().get(dtype) or _data_types().get(dtype.newbyteorder("="))
    if found:
        return found
    raise UnsupportedError(f"NumPy dtype {dtype} has no TensorFlow counterpart")


def dtype_name(data_type: DataType) -> str:
    """Return TensorFlow's name of a dtype.

    >>> dtype_name(types_pb2.DT_HALF), dtype_name(types_pb2.DT_QINT8), dtype_name(types_pb2.DT_STRING)
    ('float16', 'qint8', 'string')
    """
    if data_type in NUMERIC and data_type not in QUANTIZED:
        return NUMERIC[data_type][0]
    return DataType.Name(data_type).removeprefix("DT_").lower()


def tensor_type(data_type: DataType, shape: tuple[int, ...]) -> str:
    """Return dtype and shape of a tensor, as people read them.

    >>> tensor_type(types_pb2.DT_FLOAT, (768, 12, 64)), tensor_type(types_pb2.DT_INT64, ())
    ('float32[768, 12, 64]', 'int64[]')
    """
    return f"{dtype_name(data_type)}{list(shape)}"


def component_size(dtype: np.dtype[Any]) -> int:
    """Return the bytes that one byte swap reverses: half the item for complex numbers."""
    return dtype.itemsize // 2 if dtype.kind == "c" else dtype.itemsize
