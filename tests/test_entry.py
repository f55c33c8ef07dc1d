from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfckpt._proto import types_pb2
from tfckpt._proto.tensor_bundle_pb2 import BundleEntryProto, BundleHeaderProto
from tfckpt.bundle.values.entry import Entry, Header, decode_name, encode_name
from tfckpt.bundle.values.slices import TensorSlice
from tfckpt.errors import FormatError, UnsupportedError

HALVES = (TensorSlice(((0, 25),)), TensorSlice(((25, 25),)))

# Written by TensorFlow: the value, and what it says.
TF_ENTRIES = [
    ("0801120412020802280835593ce535", Entry("t", types_pb2.DT_FLOAT, (2,), 0, 0, 8, 0x35E53C59)),
    ("0801120028043581a5da2b", Entry("t", types_pb2.DT_FLOAT, (), 0, 0, 4, 0x2BDAA581)),
    ("0801120612001202080335d8ea82a2", Entry("t", types_pb2.DT_FLOAT, (0, 3), 0, 0, 0, 0xA282EAD8)),
    ("080112041202081920642864353b7d4a7f", Entry("t", types_pb2.DT_FLOAT, (25,), 0, 100, 100, 0x7F4A7D3B)),
    ("0807120412020803280a351cd336ed", Entry("t", types_pb2.DT_STRING, (3,), 0, 0, 10, 0xED36D31C)),
    ("080712021200280435f6c10c64", Entry("t", types_pb2.DT_STRING, (0,), 0, 0, 4, 0x640CC1F6)),
    ("08011204120208323a040a0210193a060a0408191019", Entry("t", types_pb2.DT_FLOAT, (50,), 0, 0, 200, 0, HALVES)),
]
ENTRY_IDS = ["vector", "scalar", "zero-dimension", "later", "strings", "no-strings", "partitioned"]

HEADERS = [
    ("08011a020801", Header()),
    ("08021a020801", Header(num_shards=2)),
    ("080110011a020801", Header(big_endian=True)),
]


def entry_bytes(
    dtype: int = types_pb2.DT_FLOAT,
    shape: tuple[int, ...] = (2,),
    nbytes: int = 8,
    shard: int = 0,
    offset: int = 0,
    unknown_rank: bool = False,
) -> bytes:
    proto = BundleEntryProto(shard_id=shard, offset=offset, size=nbytes, crc32c=1)
    proto.dtype = dtype  # type: ignore[assignment]  # numbers that no release has given a name
    proto.shape.unknown_rank = unknown_rank
    for size in shape:
        proto.shape.dim.add(size=size)
    return proto.SerializeToString()


@pytest.mark.parametrize(("value", "header"), HEADERS, ids=["one", "two", "big-endian"])
def test_known_headers_are_encoded_and_decoded(value: str, header: Header) -> None:
    assert Header.parse(bytes.fromhex(value)) == header
    assert header.encode().hex() == value


@pytest.mark.parametrize(
    ("version", "number"),
    [
        ("", 0),  # before 2016-09
        ("1a00", 0),
        ("1a020802", 2),  # a later writer, content with us
        ("1a0408021001", 2),
        ("1a0408011802", 1),  # refuses another reader
        ("1a0508011a0102", 1),  # the same, packed
    ],
)
def test_headers_that_allow_this_version_are_read(version: str, number: int) -> None:
    assert Header.parse(bytes.fromhex("0801" + version)) == Header(version=number)


@pytest.mark.parametrize(
    "version",
    ["1a0408021002", "1a0408011801", "1a0608011802 1801", "1a0508011a0102 1a021801"],
    ids=["min-consumer", "bad-consumer", "bad-consumers", "bad-consumers-in-two-messages"],
)
def test_headers_that_demand_another_reader_are_unsupported(version: str) -> None:
    with pytest.raises(UnsupportedError, match="bundle version"):
        Header.parse(bytes.fromhex("0801" + version))


@pytest.mark.parametrize(
    ("proto", "message"),
    [
        (BundleHeaderProto(), "shard count in bundle header: expected 1 or more, got 0"),
        (BundleHeaderProto(num_shards=-1), "shard count in bundle header: expected 1 or more, got -1"),
    ],
)
def test_a_header_without_shards_is_an_error(proto: BundleHeaderProto, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        Header.parse(proto.SerializeToString())


def test_a_negative_producer_is_an_error() -> None:
    proto = BundleHeaderProto(num_shards=1)
    proto.version.producer = -1
    with pytest.raises(FormatError, match="producer in bundle header: expected 0 or more, got -1"):
        Header.parse(proto.SerializeToString())


def test_a_third_byte_order_is_an_error() -> None:
    with pytest.raises(FormatError, match="endianness in bundle header: expected 0 or 1, got 2"):
        Header.parse(bytes.fromhex("08011002"))


@pytest.mark.parametrize("value", [b"\x08", b"\x0a\x7f", b"\xff\xff", b"\x08\x01\x1a\x05\x08"])
def test_garbage_is_no_header_and_no_entry(value: bytes) -> None:
    with pytest.raises(FormatError, match=f"bundle header: expected a BundleHeaderProto, got {value.hex(' ')}"):
        Header.parse(value)
    with pytest.raises(FormatError, match=f"entry 'scope/w': expected a BundleEntryProto, got {value.hex(' ')}"):
        Entry.parse(b"scope/w", value)


@pytest.mark.parametrize(("value", "entry"), TF_ENTRIES, ids=ENTRY_IDS)
def test_entries_that_tensorflow_wrote_are_decoded_and_encoded(value: str, entry: Entry) -> None:
    assert Entry.parse(b"t", bytes.fromhex(value)) == entry
    assert entry.encode().hex() == value


@pytest.mark.parametrize("entry", [entry for _, entry in TF_ENTRIES], ids=ENTRY_IDS)
def test_an_entry_pickles(entry: Entry) -> None:
    assert pickle.loads(pickle.dumps(entry)) == entry


def test_an_entry_in_a_later_shard_is_read_back() -> None:
    entry = Entry("w", types_pb2.DT_INT64, (3, 5), 7, 2**40, 120, 0xFFFFFFFF)
    assert Entry.parse(b"w", entry.encode()) == entry


def test_what_an_entry_says_of_its_values() -> None:
    entry = Entry("w", types_pb2.DT_QINT8, (3, 5), 0, 0, 15, 0)
    assert (entry.dtype, entry.dtype_name, entry.size, entry.is_numeric) == (np.dtype(np.int8), "qint8", 15, True)
    strings = entry._replace(data_type=types_pb2.DT_STRING, shape=())
    assert (strings.dtype, strings.dtype_name, strings.size, strings.is_numeric) == (
        np.dtype(object),
        "string",
        1,
        False,
    )


def test_fields_of_the_future_are_ignored() -> None:
    value, entry = TF_ENTRIES[0]
    assert Entry.parse(b"t", bytes.fromhex(value + "7801" + "820102abcd")) == entry
    assert Header.parse(bytes.fromhex("08011a020801" + "7801")) == Header()


def test_a_missing_checksum_is_a_checksum_of_zero() -> None:
    value, entry = TF_ENTRIES[0]
    assert Entry.parse(b"t", bytes.fromhex(value.removesuffix("35593ce535"))) == entry._replace(crc32c=0)


def test_the_place_of_a_partitioned_tensor_means_nothing() -> None:
    value, entry = TF_ENTRIES[-1]
    stale = bytes.fromhex("1807 2005 2803 3501020304")
    assert Entry.parse(b"t", bytes.fromhex(value) + stale) == entry._replace(shard=7)


@pytest.mark.parametrize("dtype", [0, 77, 100, 101, 120, -1])
def test_an_unknown_dtype_names_the_tensor(dtype: int) -> None:
    message = f"dtype of tensor 'scope/w': expected one of TensorFlow's dtype numbers, got {dtype}$"
    with pytest.raises(FormatError, match=message):
        Entry.parse(b"scope/w", entry_bytes(dtype=dtype))


@pytest.mark.parametrize("dtype", [types_pb2.DT_STRING, types_pb2.DT_VARIANT, types_pb2.DT_RESOURCE])
def test_elements_without_a_fixed_size_may_take_any_room(dtype: types_pb2.DataType) -> None:
    entry = Entry.parse(b"w", entry_bytes(dtype=dtype, shape=(), nbytes=77))
    assert (entry.nbytes, entry.is_numeric) == (77, False)


def test_a_resource_is_listed_but_has_no_values() -> None:
    entry = Entry.parse(b"w", entry_bytes(dtype=types_pb2.DT_RESOURCE, shape=()))
    assert entry.dtype_name == "resource"
    with pytest.raises(UnsupportedError, match="resource values have no NumPy form"):
        entry.dtype  # noqa: B018


@pytest.mark.parametrize("shape", [(-1,), (-2, -2), (0, -1), (2, -(2**63))])
def test_a_negative_dimension_names_the_tensor(shape: tuple[int, ...]) -> None:
    with pytest.raises(FormatError, match=r"shape of tensor 'scope/w': expected dimensions of 0 or more, got \[.*-"):
        Entry.parse(b"scope/w", entry_bytes(shape=shape, nbytes=16))


def test_an_unknown_rank_names_the_tensor() -> None:
    with pytest.raises(FormatError, match=r"shape of tensor 'scope/w': .*, got unknown rank"):
        Entry.parse(b"scope/w", entry_bytes(shape=(), nbytes=4, unknown_rank=True))


@pytest.mark.parametrize(
    ("dtype", "shape", "nbytes", "what", "expected"),
    [
        (types_pb2.DT_FLOAT, (2,), 7, "float32[2]", "8"),
        (types_pb2.DT_FLOAT, (2,), 0, "float32[2]", "8"),
        (types_pb2.DT_FLOAT, (), 8, "float32[]", "4"),
        (types_pb2.DT_HALF, (2,), 8, "float16[2]", "4"),
        (types_pb2.DT_QINT32, (2,), 2, "qint32[2]", "8"),
        (types_pb2.DT_INT4, (2,), 1, "int4[2]", "2"),
        (types_pb2.DT_FLOAT, (0, 3), 12, "float32[0, 3]", "0"),
        # 2**124 elements: 0 in 64 bits, the size that a wrapping product would accept
        (types_pb2.DT_INT8, (2**62, 2**62), 0, f"int8[{2**62}, {2**62}]", f"{2**124:,}"),
        (types_pb2.DT_FLOAT, (2**62,), 0, f"float32[{2**62}]", f"{2**64:,}"),
    ],
)
def test_a_size_that_is_not_that_of_the_shape_names_the_tensor(
    dtype: types_pb2.DataType, shape: tuple[int, ...], nbytes: int, what: str, expected: str
) -> None:
    with pytest.raises(FormatError) as caught:
        Entry.parse(b"scope/w", entry_bytes(dtype, shape, nbytes))
    assert str(caught.value) == (
        f"<bytes>: size of tensor 'scope/w', {what}: expected {expected} bytes, got {nbytes:,}"
    )


def test_a_size_of_64_bits_is_none() -> None:
    assert Entry.parse(b"w", entry_bytes(shape=(2**61 - 1,), nbytes=2**63 - 4)).nbytes == 2**63 - 4
    with pytest.raises(FormatError, match="tensor 'w'"):  # which fits the field, as a negative number
        Entry.parse(b"w", entry_bytes(shape=(2**61,), nbytes=-(2**63)))


def test_a_size_that_would_be_far_too_long_to_print_is_not_printed() -> None:
    for bits, expected in ((4096, f"expected {2**4095:,} bytes"), (4097, "expected fewer than 2**63 bytes")):
        shape = (*[2**62] * 66, 2 ** (bits - 3 - 62 * 66))  # of four bytes each
        with pytest.raises(FormatError) as caught:
            Entry.parse(b"w", entry_bytes(shape=shape, nbytes=0))
        assert expected in str(caught.value)


def test_a_zero_dimension_beside_huge_ones_stores_nothing() -> None:
    assert Entry.parse(b"w", entry_bytes(shape=(2**62, 0, 2**62), nbytes=0)).size == 0


@pytest.mark.parametrize(("shard", "offset", "nbytes"), [(0, -1, 8), (0, 0, -8), (-1, 0, 8)])
@pytest.mark.parametrize("dtype", [types_pb2.DT_FLOAT, types_pb2.DT_STRING])
def test_a_negative_place_names_the_tensor(dtype: types_pb2.DataType, shard: int, offset: int, nbytes: int) -> None:
    with pytest.raises(FormatError, match=r"place of tensor 'scope/w': expected numbers of 0 or more, got shard .*-"):
        Entry.parse(b"scope/w", entry_bytes(dtype, (2,), nbytes, shard, offset))


@pytest.mark.parametrize("position", range(15))
def test_any_changed_byte_of_an_entry_gives_an_entry_or_an_error_of_ours(position: int) -> None:
    value = bytearray.fromhex(TF_ENTRIES[0][0])
    for byte in range(256):
        value[position] = byte
        try:
            entry = Entry.parse(b"t", bytes(value))
        except FormatError as error:
            named = "'t'" in str(error)
        else:
            named = Entry.parse(b"t", entry.encode()) == entry
        assert named


@given(st.binary(max_size=12))
def test_a_name_of_any_bytes_is_kept(key: bytes) -> None:
    value, entry = TF_ENTRIES[0]
    parsed = Entry.parse(key, bytes.fromhex(value))
    assert encode_name(parsed.name) == key
    assert parsed == entry._replace(name=decode_name(key))


@pytest.mark.parametrize(
    ("key", "name"),
    [("größe/w".encode(), "größe/w"), (b"a\x00b", "a\x00b"), (b"\xff\xfew", "\udcff\udcfew"), (b"\xc3", "\udcc3")],
)
def test_a_name_is_utf_8_where_it_can_be(key: bytes, name: str) -> None:
    assert decode_name(key) == name
    assert encode_name(name) == key
