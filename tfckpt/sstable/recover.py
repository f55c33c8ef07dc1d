"""Finds the blocks of a damaged table that are whole.

Strategy: while footer and index block are whole, they say where the blocks lie. Where they are not, blocks are looked for:
the first starts at byte 0, each of the others behind the one before it, and a block is found when its entries, or its snappy
elements, lead to an end whose checksum matches. Behind a damaged block that is not compressed, the next one is looked for
where a block may end.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from tfckpt.errors import FormatError, TfckptError, UnsupportedError
from tfckpt.sstable.block import U32, iter_entries
from tfckpt.sstable.format import RAW, SNAPPY, TRAILER_SIZE, BlockHandle, unwrap_block
from tfckpt.sstable.reader import ReadAt, Table
from tfckpt.sstable.varint import read_varint

MOST_STEPS_A_BYTE = 2  # how far the search goes, so that no file makes it endless
# A restart count below 2**16, a type, a checksum; then an entry that shares nothing and has a key, or the empty one.
SEAM = re.compile(rb"(?s)(?=..\0\0[\0\1].{4}\0)")


class Broken(NamedTuple):
    """A range of a file that holds no whole block, and why that is known."""

    start: int
    end: int
    reason: str


class RecoveredTable:
    """What is whole of a table; to a reader it is a `Table` without the rest. It holds every entry in memory.

    Attributes:
        rows: every key and value of the blocks that are whole.
        broken: where others were.
    """

    def __init__(self, read_at: ReadAt, size: int, path: str) -> None:
        self.path = path
        self.rows: dict[bytes, bytes] = {}
        self.broken: list[Broken] = []
        self._table: Table | None = None
        try:
            self._table = Table(read_at, size, path)
        except (FormatError, UnsupportedError) as error:
            self._search(read_at(0, size), str(error))
            return
        for handle, found in self._table.blocks():
            if isinstance(found, TfckptError):
                self.broken.append(Broken(handle.offset, min(size, handle.end), str(found)))
            else:
                self.rows.update(found)

    def get(self, key: bytes) -> bytes | None:
        """Return the value under ``key``, or None."""
        return self.rows.get(key)

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield every ``(key, value)`` in key order."""
        return iter(sorted(self.rows.items()))

    def span(self, key: bytes) -> tuple[int, int] | None:
        """Return the byte range of the block that has, or had, ``key``; None if that is not known."""
        return None if self._table is None else self._table.span(key)

    def locate(self, error: FormatError, key: bytes, what: str = "") -> None:
        """Say of an error in the value under ``key`` what it is about, and in which file."""
        span = self.span(key)
        error.what, error.path = f"{error.what}{what}, in the block", self.path
        error.offset = None if span is None else span[0]

    @contextmanager
    def in_block(self, key: bytes, what: str = "") -> Iterator[None]:
        """Say of errors from inside what `locate` says of one."""
        try:
            yield
        except FormatError as error:
            self.locate(error, key, what)
            raise

    def _search(self, data: bytes, reason: str) -> None:
        """Take the rows of all whole blocks in a file; what lies between them, and behind the last, is broken."""
        end = 0
        for handle, rows in find_blocks(data):
            if handle.offset > end:
                self.broken.append(Broken(end, handle.offset, f"{self.path}: no whole block at byte {end:,}"))
            end = handle.end
            if not _is_index(rows, handle.offset):
                self.rows.update(rows)
        self.broken.append(Broken(end, len(data), reason))


def find_blocks(data: bytes) -> Iterator[tuple[BlockHandle, dict[bytes, bytes]]]:
    """Yield each whole block of a table without footer: where it is, and what it holds."""
    steps = _Steps(MOST_STEPS_A_BYTE * len(data))
    start: int | None = 0
    while start is not None and start < len(data):
        found = _block_at(data, start, steps)
        if found is None:
            start = next((at for at in _seams(data, start) if _block_at(data, at, steps) is not None), None)
        else:
            yield found
            start = found[0].end


class _Steps:
    """How much work is left."""

    def __init__(self, most: int) -> None:
        self.left = most

    def take(self, count: int = 1) -> bool:
        self.left -= count
        return self.left >= 0


def _seams(data: bytes, start: int) -> Iterator[int]:
    """Yield the places behind ``start`` where an uncompressed block may end and another begin."""
    for match in SEAM.finditer(data, start):
        (n,) = struct.unpack_from("<I", data, match.start())
        restarts_at = match.start() - U32 * n
        if restarts_at > start and data[restarts_at : restarts_at + U32] == bytes(U32):
            yield match.start() + U32 + TRAILER_SIZE


def _block_at(data: bytes, start: int, steps: _Steps) -> tuple[BlockHandle, dict[bytes, bytes]] | None:
    """Return the block that starts here and what it holds, if it is whole."""
    for end in (*_raw_ends(data, start, steps), *_snappy_ends(data, start, steps)):
        if not steps.take((end - start) >> 8):  # a checksum is far cheaper than a step
            return None
        try:
            rows = dict(iter_entries(unwrap_block(data[start : end + TRAILER_SIZE])))
        except TfckptError:
            continue
        return BlockHandle(start, end - start), rows
    return None


def _raw_ends(data: bytes, start: int, steps: _Steps) -> Iterator[int]:
    """Yield where the payload of an uncompressed block may end: behind restarts that follow its entries."""
    pos, key_size = start, 0
    while steps.take():
        if data[pos : pos + U32] == bytes(U32) and (end := _restarts_end(data, pos, steps)) is not None:
            yield end
        try:
            shared, pos = read_varint(data, pos)
            unshared, pos = read_varint(data, pos)
            nbytes, pos = read_varint(data, pos)
        except FormatError:
            return
        if shared > key_size:
            return
        key_size = shared + unshared
        pos += unshared + nbytes


def _restarts_end(data: bytes, pos: int, steps: _Steps) -> int | None:
    """Return where restarts that begin here end, with their number; None unless a raw block's type follows."""
    count, previous = 0, -1
    while pos + U32 <= len(data) and steps.take():
        (word,) = struct.unpack_from("<I", data, pos)
        pos += U32
        if count and word == count and data[pos : pos + 1] == bytes([RAW]):
            return pos
        if word <= previous:
            return None
        count, previous = count + 1, word
    return None


def _snappy_ends(data: bytes, start: int, steps: _Steps) -> Iterator[int]:
    """Yield where a compressed block ends: behind the elements that make as many bytes as it says.

        length      varint
        element*    tag u8: kind in two bits, then for 0 a literal of 1 + n bytes (n of 60 to 63: 1 to 4 bytes hold it),
                    1 a copy of 4 to 11 bytes from 1 byte of offset, 2 and 3 of 1 to 64 from 2 and 4

    Source: google/snappy format_description.txt.
    """
    try:
        left, pos = read_varint(data, start)
    except FormatError:
        return
    while left > 0 and pos < len(data) and steps.take():
        kind, n = data[pos] & 3, data[pos] >> 2
        pos += 1
        if kind == 0:
            width = max(0, n - 59)
            size = 1 + (int.from_bytes(data[pos : pos + width], "little") if width else n)
            pos += width + size
        else:
            size = 4 + (n & 7) if kind == 1 else 1 + n
            pos += (0, 1, 2, 4)[kind]
        left -= size
    if left == 0 and data[pos : pos + 1] == bytes([SNAPPY]):
        yield pos


def _is_index(rows: dict[bytes, bytes], start: int) -> bool:
    """Whether each value is a handle of a block before ``start``, and no more: no header, no entry is."""
    for value in rows.values():
        try:
            handle, end = BlockHandle.parse(value)
        except FormatError:
            return False
        if end != len(value) or handle.end > start:
            return False
    return True
