"""Checksums made right again after a mutation, so that a fuzzer gets behind them."""

from __future__ import annotations

import struct
import zlib

from tfckpt.errors import TfckptError
from tfckpt.sstable.block import iter_entries
from tfckpt.sstable.checksum import crc32c, mask, masked_crc32c
from tfckpt.sstable.format import FOOTER_SIZE, MAGIC, TRAILER_SIZE, BlockHandle, unwrap_block
from tfckpt.sstable.varint import encode_varint, read_varint

MOST_BLOCKS = 64


def mend_table(data: bytes) -> bytes:
    """Return a table file with the magic at its end and the checksum of each block that its handles reach."""
    if len(data) < FOOTER_SIZE:
        return data
    mended = bytearray(data)
    struct.pack_into("<Q", mended, len(mended) - 8, MAGIC)
    try:
        footer = bytes(mended[-FOOTER_SIZE:])
        _, pos = BlockHandle.parse(footer)
        index, _ = BlockHandle.parse(footer, pos)
        _mend_block(mended, index)
        stored = bytes(mended[index.offset : index.offset + index.nbytes + TRAILER_SIZE])
        for _, (_, value) in zip(range(MOST_BLOCKS), iter_entries(unwrap_block(stored)), strict=False):
            _mend_block(mended, BlockHandle.parse(value)[0])
    except (TfckptError, struct.error):
        pass  # as far as it makes sense
    return bytes(mended)


def _mend_block(data: bytearray, handle: BlockHandle) -> None:
    end = handle.offset + handle.nbytes + 1  # of payload and type
    if end + 4 <= len(data):
        struct.pack_into("<I", data, end, masked_crc32c(memoryview(data)[handle.offset : end]))


def mend_strings(data: bytes, count: int, *, big_endian: bool) -> bytes:
    """Return a stored string tensor with the checksum that its lengths have."""
    lengths, pos = [], 0
    try:
        for _ in range(min(count, len(data))):
            length, pos = read_varint(data, pos)
            lengths.append(length)
    except TfckptError:
        return data
    order = ">" if big_endian else "<"
    packed = b"".join(struct.pack(order + ("I" if length < 1 << 32 else "Q"), length) for length in lengths)
    return data[:pos] + struct.pack(order + "I", mask(crc32c(packed))) + data[pos + 4 :]


def mend_variants(data: bytes, count: int) -> bytes:
    """Return a stored variant tensor with the checksum after each message that is all there."""
    mended, pos, crc = bytearray(data), 0, 0
    try:
        for _ in range(min(count, len(data))):
            length, start = read_varint(memoryview(mended), pos)
            end = start + length
            if end + 4 > len(mended):
                break
            crc = crc32c(memoryview(mended)[start:end], crc32c(struct.pack("<Q", length), crc))
            struct.pack_into("<I", mended, end, mask(crc))
            crc = crc32c(bytes(mended[end : end + 4]), crc)
            pos = end + 4
    except TfckptError:
        pass
    return bytes(mended)


def pack(*parts: bytes) -> bytes:
    """Return parts as one input: each but the last after its length."""
    return b"".join(encode_varint(len(part)) + part for part in parts[:-1]) + parts[-1]


def unpack(data: bytes, count: int) -> list[bytes]:
    """Return the parts of an input; of one that makes no sense, some parts are empty."""
    parts = []
    for _ in range(count - 1):
        try:
            length, pos = read_varint(data, 0)
        except TfckptError:
            length, pos = 0, 0
        parts.append(data[pos : pos + length])
        data = data[pos + length :]
    return [*parts, data]


def mend_header(data: bytes) -> bytes:
    """Return a safetensors file whose length is that of the header up to where the braces end, if they do."""
    end = data.find(b"}}", 8) + 2
    return len(data[8:end]).to_bytes(8, "little") + data[8:] if end > 8 and len(data) % 3 else data


def mend_zip(data: bytes) -> bytes:
    """Return a zip archive with the checksum of each member that is stored as it is, and whole."""
    mended = bytearray(data)
    at = data.find(b"PK\x01\x02")
    while at >= 0 and at + 46 <= len(data):
        method, nbytes, start = (
            struct.unpack_from("<H", data, at + 10)[0],
            *struct.unpack_from("<I", data, at + 20),
            *struct.unpack_from("<I", data, at + 42),
        )
        if method == 0 and start + 30 + nbytes <= len(data):
            values = start + 30 + sum(struct.unpack_from("<HH", data, start + 26))
            struct.pack_into("<I", mended, at + 16, zlib.crc32(data[values : values + nbytes]))
        at = data.find(b"PK\x01\x02", at + 4)
    return bytes(mended)
