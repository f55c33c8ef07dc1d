from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfckpt.bundle.values.variants import decode_variants, encode_variants
from tfckpt.errors import ChecksumError, FormatError, TfckptError, UnsupportedError
from tfckpt.sstable.checksum import crc32c, mask

TF_VARIANT = bytes.fromhex(  # a TensorList of one float32[2], written by TensorFlow 2.20's SaveV2
    "3e"  # 62 bytes of VariantTensorDataProto follow
    "0a1674656e736f72666c6f773a3a54656e736f724c697374 12100001ffffffffffffffffff0112020802"
    "1a1208011204120208022a080000803f00000040"
    "0d823e32"  # masked checksum of the length and the message
)
TF_CRC = 0xCE86B69A


def test_what_tensorflow_wrote_is_read_and_written_again() -> None:
    messages, crc = decode_variants(TF_VARIANT, 1, big_endian=False)
    assert (len(messages[0]), crc) == (62, TF_CRC)
    assert encode_variants(messages, big_endian=False) == (TF_VARIANT, TF_CRC)


@given(st.lists(st.binary(max_size=200), max_size=6))
def test_what_is_encoded_is_decoded(messages: list[bytes]) -> None:
    stored, crc = encode_variants(messages, big_endian=False)
    assert decode_variants(stored, len(messages), big_endian=False) == (messages, crc)


def test_the_running_checksum_covers_lengths_as_u64_messages_and_checksums() -> None:
    stored, crc = encode_variants([b"ab", b"c"], big_endian=False)
    first = crc32c(struct.pack("<Q", 2) + b"ab")
    second = crc32c(struct.pack("<I", mask(first)) + struct.pack("<Q", 1) + b"c", first)
    assert stored == b"\2ab" + struct.pack("<I", mask(first)) + b"\1c" + struct.pack("<I", mask(second))
    assert crc == mask(crc32c(struct.pack("<I", mask(second)), second))


def test_every_truncation_and_every_other_byte_is_noticed() -> None:
    stored, _ = encode_variants([b"ab", b"", b"cde"], big_endian=False)
    for cut in range(len(stored)):
        with pytest.raises(FormatError):
            decode_variants(stored[:cut], 3, big_endian=False)
    for at in range(len(stored)):
        changed = stored[:at] + bytes([stored[at] ^ 1]) + stored[at + 1 :]
        with pytest.raises(TfckptError):
            decode_variants(changed, 3, big_endian=False)


@pytest.mark.parametrize("count", [0, 1, 3, 2**60])
def test_another_count_is_noticed(count: int) -> None:
    stored, _ = encode_variants([b"ab", b"c"], big_endian=False)
    with pytest.raises(FormatError):
        decode_variants(stored, count, big_endian=False)


def test_a_damaged_message_is_a_checksum_error_that_says_where() -> None:
    stored, _ = encode_variants([b"ab", b"cd"], big_endian=False)
    with pytest.raises(ChecksumError) as caught:
        decode_variants(stored.replace(b"cd", b"ce"), 2, big_endian=False)
    assert caught.value.offset == stored.index(b"cd")


def test_big_endian_variants_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="big-endian"):
        encode_variants([b""], big_endian=True)
    with pytest.raises(UnsupportedError, match="big-endian"):
        decode_variants(b"", 0, big_endian=True)
