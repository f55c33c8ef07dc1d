"""The parts of a table file around its blocks: handles, block trailers, the footer.

Strategy: a reader starts from the last 48 bytes. The footer points at the index block, the index block at the data
blocks; all offsets are absolute, so bytes that no handle points at do not matter.
Source: leveldb doc/table_format.md, table/format.cc; tensorflow/core/lib/io/format.cc.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from tfckpt.errors import ChecksumError, FormatError, UnsupportedError
from tfckpt.sstable.checksum import masked_crc32c
from tfckpt.sstable.varint import encode_varint, read_varint

MAGIC = 0xDB4775248B80FB57  # kTableMagicNumber: the first 64 bits of sha1("http://code.google.com/p/leveldb/")
FOOTER_SIZE = 48  # two handles of two varint64 each, padded to 40 bytes, and the magic
TRAILER_SIZE = 5  # compression type, masked crc32c
RAW, SNAPPY = 0, 1  # CompressionType
# The densest snappy element copies 64 bytes and takes 3, so no honest block expands further.
MAX_SNAPPY_RATIO = 22


class BlockHandle(NamedTuple):
    """Where a block's payload lies; its 5-byte trailer follows."""

    offset: int
    nbytes: int

    @property
    def end(self) -> int:
        """Where the trailer ends."""
        return self.offset + self.nbytes + TRAILER_SIZE

    def encode(self) -> bytes:
        """Return two varint64: offset, size."""
        return encode_varint(self.offset) + encode_varint(self.nbytes)

    @staticmethod
    def parse(buffer: bytes, pos: int = 0) -> tuple[BlockHandle, int]:
        """Read a handle at ``pos``; return it and the position after it. What follows is not looked at."""
        offset, pos = read_varint(buffer, pos, "block offset")
        nbytes, pos = read_varint(buffer, pos, "block size")
        return BlockHandle(offset, nbytes), pos


def encode_footer(metaindex: BlockHandle, index: BlockHandle) -> bytes:
    """Return the 48 bytes that end a table."""
    handles = metaindex.encode() + index.encode()
    return handles.ljust(FOOTER_SIZE - 8, b"\0") + struct.pack("<Q", MAGIC)


def has_magic(footer: bytes) -> bool:
    """Whether these are the last bytes of a table."""
    return footer.endswith(struct.pack("<Q", MAGIC))


def has_bundle_header(head: bytes) -> bool:
    """Whether a table's first bytes are those of a TensorBundle's index: an empty key with a header, and no V1 meta.

        00 00 | length of the header | 08 num_shards, or 10 or 1a where that is 0

    Source: tensorflow/core/protobuf/tensor_bundle.proto, BundleHeaderProto.
    """
    return head[:2] == b"\0\0" and head[3:4] in (b"\x08", b"\x10", b"\x1a")


def parse_footer(footer: bytes) -> BlockHandle:
    """Return the handle of the index block.

        metaindex   varint64 offset, varint64 size    never read
        index       varint64 offset, varint64 size
        padding     zeros up to 40 bytes
        magic       u64 little-endian

    >>> parse_footer(encode_footer(BlockHandle(300, 8), BlockHandle(313, 20)))
    BlockHandle(offset=313, nbytes=20)

    Raises: FormatError if the magic or a handle is wrong; offsets count from the footer's first byte.
    """
    (magic,) = struct.unpack_from("<Q", footer, FOOTER_SIZE - 8)
    if magic != MAGIC:
        raise FormatError("table magic", offset=FOOTER_SIZE - 8, expected=f"{MAGIC:#x}", got=f"{magic:#x}")
    _, pos = BlockHandle.parse(footer)
    index, _ = BlockHandle.parse(footer, pos)
    return index


def wrap_block(payload: bytes) -> bytes:
    """Return an uncompressed block as it lies in the file: payload and trailer."""
    typed = payload + bytes([RAW])
    return typed + struct.pack("<I", masked_crc32c(typed))


def unwrap_block(stored: bytes) -> bytes:
    """Return the payload of a block as it lies in the file, decompressed.

        payload     u8[]
        type        u8       0 raw, 1 snappy
        crc         u32      masked crc32c of payload and type; little-endian

    >>> unwrap_block(wrap_block(b"abc"))
    b'abc'

    Raises: ChecksumError, FormatError (a snappy stream that lies about its length), UnsupportedError (another type).
    """
    typed = memoryview(stored)[: 1 - TRAILER_SIZE]
    (crc,) = struct.unpack_from("<I", stored, len(typed))
    computed = masked_crc32c(typed)
    if crc != computed:
        raise ChecksumError("block checksum", offset=len(typed), expected=f"{crc:#010x}", got=f"{computed:#010x}")
    compression = typed[-1]
    if compression == RAW:
        return stored[:-TRAILER_SIZE]
    if compression == SNAPPY:
        return _unsnap(stored[:-TRAILER_SIZE])
    raise UnsupportedError(
        f"block compression type {compression}: only raw (0) and snappy (1) blocks exist in checkpoints"
    )


def _unsnap(compressed: bytes) -> bytes:
    """Decompress one raw snappy block, trusting its stated length only after a look at its own size."""
    import snappy  # rare: TensorFlow itself writes raw blocks

    nbytes, _ = read_varint(compressed, 0, "snappy length")
    most = MAX_SNAPPY_RATIO * len(compressed)
    if nbytes > most:
        raise FormatError("snappy length", offset=0, expected=f"at most {most:,}", got=f"{nbytes:,}")
    try:
        payload: bytes = snappy.uncompress(compressed)
    except snappy.UncompressError as error:
        raise FormatError(
            "snappy block", offset=0, expected=f"{nbytes:,} bytes", got=f"a broken stream ({error})"
        ) from None
    if len(payload) != nbytes:
        raise FormatError("snappy block", offset=0, expected=f"{nbytes:,} bytes", got=f"{len(payload):,}")
    return payload
