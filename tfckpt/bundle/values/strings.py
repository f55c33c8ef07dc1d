"""String tensors as stored: lengths, a checksum of the lengths, and all bytes behind each other.

        length      varint64[n]
        crc         u32           masked crc32c of the lengths, each as u32 (u64 if it does not fit), not as varint
        bytes       u8[sum of lengths]

The entry's own checksum covers the lengths as integers, the four bytes of the stored crc, and the bytes. Integers are in
the bundle's byte order. A tensor without elements is the four bytes of the crc, or nothing at all.
Source: tensorflow/core/util/tensor_bundle/tensor_bundle.cc, WriteStringTensor and ReadStringTensor.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Iterable, Sequence

from tfckpt.errors import ChecksumError, FormatError
from tfckpt.sstable.checksum import crc32c, mask
from tfckpt.sstable.varint import MAX_VARINT64_SIZE, encode_varint, read_varint

CRC_SIZE = 4
U32_LIMIT = 1 << 32
CONTINUED = bytes(range(0x80, 0x100))  # bytes of a varint after which it goes on


def head_size(count: int, nbytes: int) -> int:
    """Return how many of a tensor's ``nbytes`` are enough to read all its lengths and their checksum."""
    return min(count * MAX_VARINT64_SIZE + CRC_SIZE, nbytes)


def read_head(read: Callable[[int, int], bytes], count: int, nbytes: int) -> bytes:
    """Return the lengths of ``count`` strings and their checksum, as stored, without reading a byte beyond them.

    Args:
        read: returns as many bytes of the tensor as its second argument says, from the offset that is its first.
        nbytes: stored size of the tensor; if there cannot be so many strings in it, nothing is read.
    """
    if count > nbytes:
        return b""
    head, missing, most = bytearray(), count, head_size(count, nbytes) - CRC_SIZE
    while missing and len(head) < most:
        more = read(len(head), min(missing, most - len(head)))  # each length takes a byte at least
        ended = len(more.translate(None, CONTINUED))
        head += more
        if ended:
            missing -= ended
            most = min(most, len(head) + missing * MAX_VARINT64_SIZE)  # or it is none
    return bytes(head) + read(len(head), min(CRC_SIZE, nbytes - len(head)))


def parse_head(head: bytes, count: int, nbytes: int, *, big_endian: bool) -> tuple[list[int], int, int]:
    """Read the lengths of ``count`` strings stored in ``nbytes`` bytes, of which ``head`` are the first.

    Returns: the lengths, the offset of the first string's bytes, and the (unmasked) checksum so far.
    Raises: FormatError, ChecksumError, with offsets inside the tensor.
    """
    if count == 0 and nbytes == 0:
        return [], 0, 0
    if count > nbytes:
        raise FormatError("string count", offset=0, expected=f"at most one a byte: {nbytes:,}", got=f"{count:,}")
    lengths, pos = [], 0
    for _ in range(count):
        length, pos = read_varint(head, pos, "string length")
        lengths.append(length)
    data_at = pos + CRC_SIZE
    if data_at + sum(lengths) != nbytes:
        raise FormatError(
            "string lengths", offset=0, expected=f"{nbytes:,} bytes in all", got=f"{data_at + sum(lengths):,}"
        )
    stored = head[pos:data_at]
    crc = crc32c(_pack_lengths(lengths, big_endian))
    (expected,) = struct.unpack(">I" if big_endian else "<I", stored)
    if expected != mask(crc):
        raise ChecksumError(
            "string lengths", offset=pos, expected=f"checksum {expected:#010x}", got=f"{mask(crc):#010x}"
        )
    return lengths, data_at, crc32c(stored, crc)


def decode_strings(stored: bytes, count: int, *, big_endian: bool) -> tuple[list[bytes], int]:
    """Return the strings and their masked checksum, to compare with the entry's.

    >>> stored, crc = encode_strings([b"ab", b"", b"c"])
    >>> decode_strings(stored, 3, big_endian=False) == ([b"ab", b"", b"c"], crc)
    True
    """
    lengths, data_at, crc = parse_head(stored, count, len(stored), big_endian=big_endian)
    ends = list(itertools.accumulate(lengths, initial=data_at))
    strings = [stored[start:end] for start, end in itertools.pairwise(ends)]
    return strings, mask(crc32c(memoryview(stored)[data_at:], crc))


def encode_strings(strings: Sequence[bytes], *, big_endian: bool = False) -> tuple[bytes, int]:
    """Return the stored form and its masked checksum."""
    lengths = [len(s) for s in strings]
    crc = crc32c(_pack_lengths(lengths, big_endian))
    stored_crc = struct.pack(">I" if big_endian else "<I", mask(crc))
    data = b"".join(strings)
    stored = b"".join(map(encode_varint, lengths)) + stored_crc + data
    return stored, mask(crc32c(data, crc32c(stored_crc, crc)))


def _pack_lengths(lengths: Iterable[int], big_endian: bool) -> bytes:
    order = ">" if big_endian else "<"
    return b"".join(struct.pack(order + ("I" if length < U32_LIMIT else "Q"), length) for length in lengths)
