from __future__ import annotations

import struct
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
from support.missing import missing

from tfckpt._proto import types_pb2
from tfckpt._proto.types_pb2 import DataType
from tfckpt.bundle.values.arrays import encode_array, numeric_array
from tfckpt.bundle.values.dtypes import (
    NUMERIC,
    QUANTIZED,
    component_size,
    data_type_of,
    dtype_name,
    is_numeric,
    numpy_dtype,
)
from tfckpt.bundle.values.entry import Entry
from tfckpt.errors import UnsupportedError

# (number, name, bytes an element) as TensorFlow has them; no bytes: no fixed size.
TENSORFLOW = [
    (1, "float32", 4),
    (2, "float64", 8),
    (3, "int32", 4),
    (4, "uint8", 1),
    (5, "int16", 2),
    (6, "int8", 1),
    (7, "string", None),
    (8, "complex64", 8),
    (9, "int64", 8),
    (10, "bool", 1),
    (11, "qint8", 1),
    (12, "quint8", 1),
    (13, "qint32", 4),
    (14, "bfloat16", 2),
    (15, "qint16", 2),
    (16, "quint16", 2),
    (17, "uint16", 2),
    (18, "complex128", 16),
    (19, "float16", 2),
    (20, "resource", None),
    (21, "variant", None),
    (22, "uint32", 4),
    (23, "uint64", 8),
    (24, "float8_e5m2", 1),
    (25, "float8_e4m3fn", 1),
    (26, "float8_e4m3fnuz", 1),
    (27, "float8_e4m3b11fnuz", 1),
    (28, "float8_e5m2fnuz", 1),
    (29, "int4", 1),
    (30, "uint4", 1),
    (31, "int2", 1),
    (32, "uint2", 1),
    (33, "float4_e2m1fn", 1),
]

ONE_PLUS_TWO_I = struct.pack("<2f", 1, 2)


def test_every_number_of_the_protocol_is_known_here() -> None:
    assert sorted(DataType.values()) == [0, *(number for number, _, _ in TENSORFLOW)]


@pytest.mark.parametrize(("number", "name", "nbytes"), TENSORFLOW)
def test_a_dtype_has_tensorflows_name_and_width(number: DataType, name: str, nbytes: int | None) -> None:
    assert dtype_name(number) == name
    assert is_numeric(number) is (nbytes is not None)
    if is_numeric(number):
        assert numpy_dtype(number).itemsize == nbytes


REFUSED = {types_pb2.DT_INVALID: "invalid", types_pb2.DT_RESOURCE: "resource"}
OBJECTS = {types_pb2.DT_STRING, types_pb2.DT_VARIANT}


@pytest.mark.parametrize(("member", "name"), REFUSED.items())
def test_a_dtype_without_a_numpy_form_is_refused_by_name(member: DataType, name: str) -> None:
    with pytest.raises(UnsupportedError, match=f"^{name} values have no NumPy form"):
        numpy_dtype(member)


def test_all_other_dtypes_have_a_numpy_form() -> None:
    assert set(DataType.values()) == {*NUMERIC, *OBJECTS, *REFUSED}
    assert {numpy_dtype(member) for member in OBJECTS} == {np.dtype(object)}


@pytest.mark.parametrize("member", [member for member in NUMERIC if member not in QUANTIZED], ids=dtype_name)
def test_an_array_is_stored_under_the_dtype_that_it_is_read_as(member: DataType) -> None:
    dtype = numpy_dtype(member)
    assert data_type_of(dtype) == member
    assert data_type_of(dtype.newbyteorder("S")) == member


@pytest.mark.parametrize("member", QUANTIZED, ids=dtype_name)
def test_a_quantized_array_is_a_record_named_after_its_type(member: DataType) -> None:
    plain = numpy_dtype(member)
    assert data_type_of(np.dtype([(dtype_name(member), plain)])) == member
    assert data_type_of(plain) not in QUANTIZED


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("O", types_pb2.DT_STRING),
        ("S3", types_pb2.DT_STRING),
        ("U3", types_pb2.DT_STRING),
        ("longlong", types_pb2.DT_INT64),
        ("intc", types_pb2.DT_INT32),
        (">f2", types_pb2.DT_HALF),
    ],
)
def test_other_spellings_of_a_dtype_mean_the_same(dtype: str, expected: DataType) -> None:
    assert data_type_of(np.dtype(dtype)) == expected


@pytest.mark.parametrize(
    "dtype",
    [
        "datetime64[s]",
        "timedelta64[ns]",
        "longdouble",
        "clongdouble",
        "V4",
        [("x", "f4")],
        [("qint8", "u1")],
        [("qint8", "i1"), ("more", "i1")],
        ml_dtypes.float8_e3m4,
    ],
    ids=str,
)
def test_a_dtype_that_tensorflow_lacks_is_refused_by_name(dtype: Any) -> None:
    with pytest.raises(UnsupportedError, match=r"NumPy dtype .* has no TensorFlow counterpart") as caught:
        data_type_of(np.dtype(dtype))
    assert str(np.dtype(dtype)) in str(caught.value)


@pytest.mark.parametrize(("value", "kind"), [(None, "NoneType"), ([b"a", None], "NoneType"), ([b"a", {}], "dict")])
def test_objects_other_than_strings_are_refused_by_tensor(value: Any, kind: str) -> None:
    with pytest.raises(UnsupportedError, match=f"tensor 'w': an object array must hold bytes or str, got {kind}"):
        encode_array("w", np.array(value, dtype=object))


@pytest.mark.parametrize(
    ("dtype", "width"),
    [
        ("f4", 4),
        ("i8", 8),
        ("?", 1),
        ("c8", 4),
        ("c16", 8),
        (ml_dtypes.bfloat16, 2),
        (ml_dtypes.int4, 1),
    ],
    ids=str,
)
def test_a_byte_swap_reverses_each_part_of_a_complex_number(dtype: npt.DTypeLike, width: int) -> None:
    assert component_size(np.dtype(dtype)) == width


BIG_ENDIAN = [
    (types_pb2.DT_FLOAT, np.array([1, 2], np.float32), ">2f", (1, 2)),
    (types_pb2.DT_INT64, np.array([-1, 2], np.int64), ">2q", (-1, 2)),
    (types_pb2.DT_HALF, np.array([1, 2], np.float16), ">2e", (1, 2)),
    (types_pb2.DT_BFLOAT16, np.array([1, 2], ml_dtypes.bfloat16), ">2H", (0x3F80, 0x4000)),
    (types_pb2.DT_UINT8, np.array([1, 2], np.uint8), ">2B", (1, 2)),
    (types_pb2.DT_COMPLEX64, np.array([1 + 2j, 3 + 4j], np.complex64), ">4f", (1, 2, 3, 4)),
    (types_pb2.DT_COMPLEX128, np.array([1 + 2j, 3 + 4j], np.complex128), ">4d", (1, 2, 3, 4)),
    (types_pb2.DT_QINT16, np.array([-1, 2], np.int16), ">2h", (-1, 2)),
]


@pytest.mark.parametrize(("member", "expected", "layout", "numbers"), BIG_ENDIAN)
def test_values_of_a_big_endian_bundle_are_swapped(
    member: DataType, expected: npt.NDArray[Any], layout: str, numbers: tuple[float, ...]
) -> None:
    stored = struct.pack(layout, *numbers)
    entry = Entry("w", member, (2, 1), 0, 0, len(stored), 0)
    array = numeric_array(entry, stored, big_endian=True)
    assert array.dtype == expected.dtype
    np.testing.assert_array_equal(array, expected.reshape(2, 1))
    assert bytes(encode_array("w", array, member, big_endian=True)[2]) == stored
    assert bytes(encode_array("w", array.astype(array.dtype.newbyteorder(">")), member, big_endian=True)[2]) == stored


@pytest.mark.parametrize(
    "array",
    [np.array([1 + 2j], ">c8"), np.array([1, 2], ">f4"), np.array([1, 2], "<f4"), np.array([1, 9, 2], "<f4")[::2]],
    ids=["complex", "big-endian", "little-endian", "strided"],
)
def test_arrays_are_stored_little_endian_whatever_their_own_order(array: npt.NDArray[Any]) -> None:
    _, shape, stored, _ = encode_array("w", array)
    assert bytes(stored) == ONE_PLUS_TWO_I
    assert shape == array.shape


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("é", b"\x02\xc3\xa9"),
        (b"a\x00", b"\x02a\x00"),
        (np.array(["é", "a"]), b"\x02\x01\xc3\xa9a"),
        (np.array([b"a\x00", "é"], object), b"\x02\x02a\x00\xc3\xa9"),
        (np.array([[b"a\x00"]]), b"\x01a"),  # NumPy's own loss
    ],
    ids=["str", "bytes", "U", "object", "S"],
)
def test_text_is_stored_as_utf_8(value: Any, stored: bytes) -> None:
    member, shape, encoded, _ = encode_array("w", value)
    assert (member, shape) == (types_pb2.DT_STRING, np.shape(value))
    count = int(np.prod(shape))
    assert bytes(encoded[:count]) + bytes(encoded[count + 4 :]) == stored


@pytest.mark.parametrize("name", ["qint16", "quint16", "qint32"])
@pytest.mark.parametrize("big_endian", [False, True])
def test_records_of_quantized_numbers_are_stored_in_the_bundle_s_order(name: str, big_endian: bool) -> None:
    kind = name.removeprefix("q").replace("16", "2").replace("32", "4").replace("uint", "u").replace("int", "i")
    for order in "<>":
        record = np.array([(258,)], np.dtype([(name, order + kind)]))
        stored = bytes(encode_array("q", record, big_endian=big_endian)[2])
        assert int.from_bytes(stored, "big" if big_endian else "little") == 258


@pytest.mark.exhaustive  # the oldest NumPy of CI is older
def test_text_of_any_length_is_text() -> None:
    if not hasattr(getattr(np, "dtypes", None), "StringDType"):
        missing("this NumPy has no StringDType")
    value = np.array(["a", "물"], np.dtypes.StringDType())
    assert bytes(encode_array("s", value)[2]) == bytes(encode_array("s", ["a", "물"])[2])
