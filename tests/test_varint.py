from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfckpt.errors import FormatError
from tfckpt.sstable.varint import encode_varint, read_varint

U64 = st.integers(0, 2**64 - 1)

ENCODINGS = [
    (0, "00"),
    (1, "01"),
    (127, "7f"),
    (128, "8001"),
    (300, "ac02"),
    (2**14 - 1, "ff7f"),
    (2**14, "808001"),
    (2**32 - 1, "ffffffff0f"),
    (2**32, "8080808010"),
    (2**63, "80808080808080808001"),
    (2**64 - 1, "ffffffffffffffffff01"),
]


@pytest.mark.parametrize(("value", "encoded"), ENCODINGS)
def test_known_numbers_are_encoded_and_decoded(value: int, encoded: str) -> None:
    assert encode_varint(value).hex() == encoded
    assert read_varint(bytes.fromhex(encoded), 0) == (value, len(encoded) // 2)


@given(U64, st.binary(max_size=3), st.binary(max_size=3))
def test_an_integer_is_read_back_from_between_other_bytes(value: int, before: bytes, after: bytes) -> None:
    encoded = encode_varint(value)
    assert len(encoded) == max(1, -(-value.bit_length() // 7))
    buffer = before + encoded + after
    assert read_varint(memoryview(buffer), len(before)) == (value, len(before + encoded))


@given(U64, st.data())
def test_a_cut_integer_is_an_error_at_its_first_byte(value: int, data: st.DataObject) -> None:
    encoded = encode_varint(value)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(FormatError, match="block size at byte 2: expected a varint") as caught:
        read_varint(b"\x07\x07" + encoded[:cut], 2, "block size")
    assert caught.value.offset == 2


@pytest.mark.parametrize(
    "encoded",
    [
        "80808080808080808002",  # 2**64, the least that does not fit
        "ffffffffffffffffff02",
        "ffffffffffffffffff7f",
        "8080808080808080808001",  # eleven bytes
        "8080808080808080808000",
        "ff" * 20,
    ],
)
def test_more_than_64_bits_is_an_error(encoded: str) -> None:
    with pytest.raises(FormatError, match="64 bits at most"):
        read_varint(bytes.fromhex(encoded), 0)


@pytest.mark.parametrize(("encoded", "value"), [("8000", 0), ("ac8200", 300), ("80808080808080808000", 0)])
def test_needless_zero_groups_are_read_as_leveldb_reads_them(encoded: str, value: int) -> None:
    assert read_varint(bytes.fromhex(encoded), 0) == (value, len(encoded) // 2)


@given(
    st.lists(st.sampled_from([0x00, 0x01, 0x02, 0x7F, 0x80, 0x81, 0xFF]), max_size=13).map(bytes), st.integers(0, 14)
)
def test_any_bytes_are_an_integer_of_64_bits_or_an_error(buffer: bytes, pos: int) -> None:
    try:
        value, end = read_varint(buffer, pos)
    except FormatError:
        groups = buffer[pos : pos + 10]
        number = sum((byte & 0x7F) << 7 * i for i, byte in enumerate(groups))
        assert number >= 2**64 or all(byte >= 0x80 for byte in groups)
        return
    groups = buffer[pos:end]
    assert value == sum((byte & 0x7F) << 7 * i for i, byte in enumerate(groups)) < 2**64
    assert [byte >= 0x80 for byte in groups] == [True] * (len(groups) - 1) + [False]


@pytest.mark.parametrize("value", [-1, 2**64])
def test_writing_what_no_reader_accepts_is_our_bug(value: int) -> None:
    with pytest.raises(AssertionError):
        encode_varint(value)
