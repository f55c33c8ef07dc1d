"""Writes a table, byte for byte as TensorFlow does.

Source: tensorflow/core/lib/io/table_builder.cc; parameters from xla/tsl/lib/io/table_options.h.
"""

from __future__ import annotations

from collections.abc import Callable

from tfckpt.sstable.block import BlockBuilder, shared_size
from tfckpt.sstable.format import BlockHandle, encode_footer, wrap_block

BLOCK_SIZE = 262_144  # bytes after which a data block is written out
OVERLY_LARGE_RATIO = 2  # an entry of this many block sizes gets a block of its own


def shortest_separator(start: bytes, limit: bytes) -> bytes:
    """Return a short key that is >= ``start`` and < ``limit``.

    >>> shortest_separator(b"the quick brown fox", b"the who")
    b'the r'
    """
    at = shared_size(start, limit)
    if at < min(len(start), len(limit)) and start[at] + 1 < limit[at]:
        return start[:at] + bytes([start[at] + 1])
    return start


def short_successor(key: bytes) -> bytes:
    r"""Return a short key that is >= ``key``.

    >>> short_successor(b"\xff\xffmodel")
    b'\xff\xffn'
    """
    tail = key.lstrip(b"\xff")
    if not tail:
        return key
    return key[: len(key) - len(tail)] + bytes([tail[0] + 1])


class TableBuilder:
    """Streams a table into ``write``. Keys come in strictly ascending order; `finish` ends it."""

    def __init__(self, write: Callable[[bytes], object], block_size: int = BLOCK_SIZE) -> None:
        self._write, self._block_size = write, block_size
        self._data, self._index = BlockBuilder(), BlockBuilder(restart_interval=1)
        self._offset = 0
        self._last_key = b""
        self._pending: BlockHandle | None = None  # written; waits for the next key to be indexed

    def add(self, key: bytes, value: bytes) -> None:
        """Append one entry."""
        if len(key) + len(value) >= OVERLY_LARGE_RATIO * self._block_size:
            self._flush()
        if self._pending is not None:
            self._index_pending(shortest_separator(self._last_key, key))
        self._data.add(key, value)
        self._last_key = key
        if self._data.nbytes >= self._block_size:
            self._flush()

    def finish(self) -> None:
        """Write what is left, the empty metaindex, the index and the footer."""
        self._flush()
        metaindex = self._write_block(BlockBuilder())
        if self._pending is not None:
            self._index_pending(short_successor(self._last_key))
        self._write(encode_footer(metaindex, self._write_block(self._index)))

    def _flush(self) -> None:
        if not self._data.empty:
            self._pending = self._write_block(self._data)
            self._data.reset()

    def _index_pending(self, separator: bytes) -> None:
        assert self._pending is not None
        self._index.add(separator, self._pending.encode())
        self._pending = None

    def _write_block(self, block: BlockBuilder) -> BlockHandle:
        payload = block.finish()
        handle = BlockHandle(self._offset, len(payload))
        stored = wrap_block(payload)
        self._write(stored)
        self._offset += len(stored)
        return handle
