from __future__ import annotations

import struct

import pytest
from crc32c import crc32c
from hypothesis import given
from hypothesis import strategies as st

from tfckpt.bundle.values.strings import decode_strings, encode_strings, head_size, parse_head
from tfckpt.errors import ChecksumError, FormatError

STRINGS = [b"ab", b"", b"c"]
STORED = bytes.fromhex("020001 65148e11 616263")  # written by TensorFlow 2.20, as are the two below
STORED_CRC = 0xED36D31C
EMPTY, EMPTY_CRC = bytes.fromhex("d8ea82a2"), 0x640CC1F6
LONG, LONG_CRC = [b"x" * 300], 0x5E0397C6

LISTS = st.lists(st.binary(max_size=6) | st.integers(120, 300).map(bytes), max_size=6)


def masked(crc: int) -> int:
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def by_hand(strings: list[bytes], order: str) -> tuple[bytes, int]:
    """Return the stored form of strings below 128 bytes, and its checksum, by the format's own words."""
    lengths = struct.pack(f"{order}{len(strings)}I", *map(len, strings))
    lengths_crc = struct.pack(f"{order}I", masked(crc32c(lengths)))
    data = b"".join(strings)
    return bytes(map(len, strings)) + lengths_crc + data, masked(crc32c(lengths + lengths_crc + data))


@pytest.mark.parametrize(
    ("strings", "stored", "crc"),
    [
        (STRINGS, STORED, STORED_CRC),
        ([], EMPTY, EMPTY_CRC),
        (LONG, bytes.fromhex("ac02 a359d2e0") + LONG[0], LONG_CRC),
    ],
    ids=["three", "none", "long"],
)
def test_strings_are_stored_as_tensorflow_stores_them(strings: list[bytes], stored: bytes, crc: int) -> None:
    assert encode_strings(strings) == (stored, crc)
    assert decode_strings(stored, len(strings), big_endian=False) == (strings, crc)


@pytest.mark.parametrize(("order", "big_endian"), [("<", False), (">", True)])
@pytest.mark.parametrize("strings", [[], [b""], STRINGS, [b"\x00" * 127, b"\xff"]])
def test_strings_are_stored_as_the_format_says(strings: list[bytes], order: str, big_endian: bool) -> None:
    stored, crc = by_hand(strings, order)
    assert encode_strings(strings, big_endian=big_endian) == (stored, crc)
    assert decode_strings(stored, len(strings), big_endian=big_endian) == (strings, crc)


@given(LISTS, st.booleans())
def test_strings_are_read_back(strings: list[bytes], big_endian: bool) -> None:
    stored, crc = encode_strings(strings, big_endian=big_endian)
    assert decode_strings(stored, len(strings), big_endian=big_endian) == (strings, crc)


@given(LISTS, st.booleans())
def test_the_head_alone_tells_where_each_string_lies(strings: list[bytes], big_endian: bool) -> None:
    stored, _ = encode_strings(strings, big_endian=big_endian)
    head = stored[: head_size(len(strings), len(stored))]
    lengths, data_at, _ = parse_head(head, len(strings), len(stored), big_endian=big_endian)
    assert lengths == [len(string) for string in strings]
    assert stored[data_at:] == b"".join(strings)


@pytest.mark.parametrize(("count", "nbytes", "expected"), [(1, 10**9, 14), (3, 20, 20), (0, 4, 4), (0, 0, 0)])
def test_the_head_is_short_whatever_the_strings_weigh(count: int, nbytes: int, expected: int) -> None:
    assert head_size(count, nbytes) == expected


def test_a_tensor_without_elements_may_store_nothing() -> None:
    strings, crc = decode_strings(b"", 0, big_endian=False)
    assert (strings, crc) == ([], masked(0))


@pytest.mark.parametrize(
    ("length", "packed"), [(2**32 - 1, "<I"), (2**32, "<Q"), (2**40 + 1, "<Q")], ids=["u32", "u64", "u64-large"]
)
def test_a_length_beyond_32_bits_is_summed_as_64(length: int, packed: str) -> None:
    summed = struct.pack("<I", 5) + struct.pack(packed, length)
    crc = struct.pack("<I", masked(crc32c(summed)))
    varint = b"".join(bytes([length >> shift & 0x7F | 0x80]) for shift in range(0, 35, 7)) + bytes([length >> 35])
    head = b"\x05" + varint + crc
    lengths, data_at, running = parse_head(head, 2, len(head) + 5 + length, big_endian=False)
    assert (lengths, data_at) == ([5, length], len(head))
    assert running == crc32c(summed + crc)


@pytest.mark.parametrize("cut", range(len(STORED)))
def test_any_truncation_is_a_format_error(cut: int) -> None:
    with pytest.raises(FormatError):
        decode_strings(STORED[:cut], 3, big_endian=False)


@pytest.mark.parametrize("position", range(len(STORED)))
def test_any_changed_byte_is_an_error_or_another_checksum(position: int) -> None:
    for bits in range(1, 256):
        damaged = bytearray(STORED)
        damaged[position] ^= bits
        try:
            _, crc = decode_strings(bytes(damaged), 3, big_endian=False)
        except FormatError:
            assert position < 7  # lengths and their checksum
        else:
            assert position >= 7
            assert crc != STORED_CRC


def test_lengths_that_trade_a_byte_are_told_by_their_checksum() -> None:
    damaged = b"\x01\x01\x01" + STORED[3:]
    with pytest.raises(ChecksumError, match="string lengths at byte 3: expected checksum 0x118e1465") as caught:
        decode_strings(damaged, 3, big_endian=False)
    assert caught.value.offset == 3


def test_the_other_byte_order_is_another_checksum() -> None:
    with pytest.raises(ChecksumError):
        decode_strings(STORED, 3, big_endian=True)


@pytest.mark.parametrize(
    ("stored", "count", "in_all"),
    [
        (STORED + b"d", 3, 10),
        (STORED, 2, 8),
        (b"\x03" + STORED[1:], 3, 11),
        (b"d", 0, 4),
        (bytes.fromhex("ffffffffffffffffff01") + STORED[3:], 1, 2**64 - 1 + 14),
    ],
    ids=["surplus", "fewer", "longer", "none", "overflow"],
)
def test_lengths_that_do_not_add_up_are_an_error(stored: bytes, count: int, in_all: int) -> None:
    with pytest.raises(
        FormatError, match=f"string lengths at byte 0: expected {len(stored)} bytes in all, got {in_all:,}"
    ):
        decode_strings(stored, count, big_endian=False)


@pytest.mark.parametrize("count", [11, 2**63, 2**124])
def test_more_strings_than_bytes_are_refused_before_they_are_counted(count: int) -> None:
    with pytest.raises(FormatError, match="string count at byte 0: expected at most one a byte: 10, got"):
        decode_strings(STORED, count, big_endian=False)


def test_a_length_of_more_than_64_bits_is_an_error() -> None:
    with pytest.raises(FormatError, match="string length at byte 1"):
        decode_strings(b"\x00" + b"\xff" * 11, 2, big_endian=False)
