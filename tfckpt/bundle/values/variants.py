"""Variant tensors as stored: serialized messages, each followed by a checksum of all that came before it.

        element*   length    varint64
                   message   u8[length]    a VariantTensorDataProto, carried as bytes
                   crc       u32           masked crc32c of everything so far; little-endian

The running checksum covers each length as u64, the message and the stored crc word; masked, it is the entry's own. TensorFlow
refuses to read or write variants of the other byte order, and so does tfckpt.
Source: tensorflow/core/util/tensor_bundle/tensor_bundle.cc, WriteVariantTensor and ReadVariantTensor.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from tfckpt.errors import ChecksumError, FormatError, UnsupportedError
from tfckpt.sstable.checksum import crc32c, mask
from tfckpt.sstable.varint import encode_varint, read_varint

CRC_SIZE = 4


def decode_variants(stored: bytes, count: int, *, big_endian: bool) -> tuple[list[bytes], int]:
    """Return the messages and their masked checksum, to compare with the entry's.

    >>> stored, crc = encode_variants([b"ab", b""], big_endian=False)
    >>> decode_variants(stored, 2, big_endian=False) == ([b"ab", b""], crc)
    True

    Raises: FormatError, ChecksumError, with offsets inside the tensor; UnsupportedError for a big-endian bundle.
    """
    _refuse_big_endian(big_endian)
    if count * (1 + CRC_SIZE) > len(stored):
        expected = f"at most one for {1 + CRC_SIZE} of {len(stored):,} bytes"
        raise FormatError("variant count", offset=0, expected=expected, got=f"{count:,}")
    messages, pos, crc = [], 0, 0
    for _ in range(count):
        length, start = read_varint(stored, pos, "variant length")
        pos = start + length + CRC_SIZE
        if pos > len(stored):
            raise FormatError("variant", offset=start, expected=f"an end <= {len(stored):,}", got=f"{pos:,}")
        message, word = stored[start : start + length], stored[pos - CRC_SIZE : pos]
        crc = crc32c(message, crc32c(struct.pack("<Q", length), crc))
        (expected,) = struct.unpack("<I", word)
        if expected != mask(crc):
            raise ChecksumError(
                "variant", offset=start, expected=f"checksum {expected:#010x}", got=f"{mask(crc):#010x}"
            )
        crc = crc32c(word, crc)
        messages.append(message)
    if pos != len(stored):
        raise FormatError("variants", offset=pos, expected=f"{len(stored):,} bytes in all", got=f"{pos:,}")
    return messages, mask(crc)


def encode_variants(messages: Iterable[bytes], *, big_endian: bool) -> tuple[bytes, int]:
    """Return the stored form and its masked checksum.

    Raises: UnsupportedError for a big-endian bundle.
    """
    _refuse_big_endian(big_endian)
    parts, crc = [], 0
    for message in messages:
        crc = crc32c(message, crc32c(struct.pack("<Q", len(message)), crc))
        word = struct.pack("<I", mask(crc))
        crc = crc32c(word, crc)
        parts += [encode_varint(len(message)), message, word]
    return b"".join(parts), mask(crc)


def _refuse_big_endian(big_endian: bool) -> None:
    if big_endian:
        raise UnsupportedError("variant tensors of big-endian bundles: TensorFlow has no form for them either")
