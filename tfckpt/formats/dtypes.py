"""TensorFlow's dtypes in the files of others, and what has no form there.

Quantized integers are integers to everyone else, and those below one byte, which TensorFlow stores in a byte each, are
widened: the number is what counts. What such a tensor was stands in the file as well, where only tfckpt looks.
"""

from __future__ import annotations

from tfckpt._proto import types_pb2
from tfckpt._proto.types_pb2 import DataType
from tfckpt.bundle.values.dtypes import EXTENSIONS, dtype_name

# Codes of safetensors, in the order in which its library lays tensors out: the last of its enumeration first, so that each
# begins at a multiple of its size. Source: safetensors/src/tensor.rs, Dtype; FNUZ since 0.8, all others since 0.7
CODES: dict[DataType, str] = {
    types_pb2.DT_UINT64: "U64",
    types_pb2.DT_INT64: "I64",
    types_pb2.DT_DOUBLE: "F64",
    types_pb2.DT_COMPLEX64: "C64",
    types_pb2.DT_FLOAT: "F32",
    types_pb2.DT_UINT32: "U32",
    types_pb2.DT_INT32: "I32",
    types_pb2.DT_BFLOAT16: "BF16",
    types_pb2.DT_HALF: "F16",
    types_pb2.DT_UINT16: "U16",
    types_pb2.DT_INT16: "I16",
    types_pb2.DT_FLOAT8_E5M2FNUZ: "F8_E5M2FNUZ",
    types_pb2.DT_FLOAT8_E4M3FNUZ: "F8_E4M3FNUZ",
    types_pb2.DT_FLOAT8_E4M3FN: "F8_E4M3",
    types_pb2.DT_FLOAT8_E5M2: "F8_E5M2",
    types_pb2.DT_INT8: "I8",
    types_pb2.DT_UINT8: "U8",
    types_pb2.DT_BOOL: "BOOL",
}
RANKS = {code: rank for rank, code in enumerate(CODES.values())}
DATA_TYPES = {code: data_type for data_type, code in CODES.items()}

# What is written as another dtype, and which.
WRITTEN_AS: dict[DataType, DataType] = {
    types_pb2.DT_QINT8: types_pb2.DT_INT8,
    types_pb2.DT_QUINT8: types_pb2.DT_UINT8,
    types_pb2.DT_QINT16: types_pb2.DT_INT16,
    types_pb2.DT_QUINT16: types_pb2.DT_UINT16,
    types_pb2.DT_QINT32: types_pb2.DT_INT32,
    types_pb2.DT_INT4: types_pb2.DT_INT8,
    types_pb2.DT_UINT4: types_pb2.DT_UINT8,
    types_pb2.DT_INT2: types_pb2.DT_INT8,
    types_pb2.DT_UINT2: types_pb2.DT_UINT8,
}
# NumPy's files name these by their width alone: they come back as void, which ``.view(ml_dtypes.bfloat16)`` makes right.
NAMELESS = tuple(data_type for data_type in EXTENSIONS if data_type not in WRITTEN_AS)
NAMES = {dtype_name(data_type): data_type for data_type in (*WRITTEN_AS, *NAMELESS)}
