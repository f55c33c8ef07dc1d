"""Reads a table through a function that reads byte ranges, one block at a time.

Source: tensorflow/core/lib/io/table.cc.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tfckpt.errors import FormatError, TfckptError, UnsupportedError, located
from tfckpt.sstable.block import iter_entries
from tfckpt.sstable.format import FOOTER_SIZE, RAW, TRAILER_SIZE, BlockHandle, parse_footer, unwrap_block

ReadAt = Callable[[int, int], bytes]  # (offset, nbytes) -> exactly nbytes


class Table:
    """A sorted map from bytes to bytes. Opening costs the footer and the index block.

    Args:
        read_at: reads ``nbytes`` at ``offset``, inside ``size``.
        size: length of the file, in bytes.
        path: the file's name, for error messages.
    Raises: FormatError, ChecksumError, UnsupportedError; also from every method, when it reaches the damage.
    """

    def __init__(self, read_at: ReadAt, size: int, path: str) -> None:
        self._read_at, self._size, self.path = read_at, size, path
        if size < FOOTER_SIZE:
            raise FormatError("table file", path=path, expected=f"at least {FOOTER_SIZE} bytes", got=f"{size:,}")
        footer_at = size - FOOTER_SIZE
        with located(path, footer_at):
            index = parse_footer(read_at(footer_at, FOOTER_SIZE))
        self._separators: list[bytes] = []
        self._handles: list[BlockHandle] = []
        for separator, value in self._entries(index):
            with located(path, None):
                handle, _ = BlockHandle.parse(value)
            self._separators.append(separator)
            self._handles.append(handle)
        self._check_sizes()
        self._last: tuple[BlockHandle, dict[bytes, bytes]] | None = None  # a block of which two keys were asked for

    def get(self, key: bytes) -> bytes | None:
        """Return the value under ``key``, or None. Reads one block."""
        at = bisect_left(self._separators, key)  # a separator is >= every key of its block
        if at == len(self._handles):
            return None
        return self._get(self._handles[at], key)

    def span(self, key: bytes) -> tuple[int, int] | None:
        """Return the byte range of the block that has ``key`` if any has."""
        at = bisect_left(self._separators, key)
        return None if at == len(self._handles) else (self._handles[at].offset, self._handles[at].end)

    def blocks(self) -> Iterator[tuple[BlockHandle, dict[bytes, bytes] | TfckptError]]:
        """Yield each block's place and what it holds, or what is wrong with it."""
        for handle in self._handles:
            try:
                yield handle, dict(self._entries(handle))
            except (FormatError, UnsupportedError) as error:  # noqa: PERF203 - the others may be whole
                yield handle, error

    def locate(self, error: FormatError, key: bytes, what: str = "") -> None:
        """Say of an error in the value under ``key`` what it is about, and where in which file the block with it starts."""
        at = bisect_left(self._separators, key)
        error.what, error.path = f"{error.what}{what}, in the block", self.path
        error.offset = None if at == len(self._handles) else self._handles[at].offset

    @contextmanager
    def in_block(self, key: bytes, what: str = "") -> Iterator[None]:
        """Say of errors from inside what `locate` says of one; of what is not handled here, the file."""
        try:
            yield
        except FormatError as error:
            self.locate(error, key, what)
            raise
        except UnsupportedError as error:
            raise UnsupportedError(f"{self.path}: {error}") from None

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield every ``(key, value)`` in key order. Reads every block.

        A key beyond the separators of its block is an error: whoever looks it up, as TensorFlow does, would not find it.
        """
        below: bytes | None = None
        for separator, handle in zip(self._separators, self._handles, strict=True):
            entries = list(self._entries(handle))  # in ascending order, or it had failed
            if entries and (entries[-1][0] > separator or (below is not None and entries[0][0] <= below)):
                expected = f"above {below!r}, up to {separator!r}" if below is not None else f"up to {separator!r}"
                stray = next(k for k, _ in entries if k > separator or (below is not None and k <= below))
                what = "key in the block"
                raise FormatError(what, path=self.path, offset=handle.offset, expected=expected, got=repr(stray))
            yield from entries
            below = separator

    def _check_sizes(self) -> None:
        """Check that the blocks have room side by side: one that many handles reach would be read as many times.

        One that leaves the file is an error of its own, when it is read.
        """
        ends = (handle.offset + handle.nbytes + TRAILER_SIZE for handle in self._handles)
        nbytes = sum(end - handle.offset for end, handle in zip(ends, self._handles, strict=True) if end <= self._size)
        if nbytes > self._size:
            expected = f"at most {self._size:,} bytes in all"
            raise FormatError("data blocks", path=self.path, expected=expected, got=f"{nbytes:,}")

    def _get(self, handle: BlockHandle, key: bytes) -> bytes | None:
        """Look a key up in a block; one that is asked for a second key is kept: its keys are often asked for in turn."""
        last = self._last
        if last is None or last[0] != handle:
            self._last = handle, {}
            return next((value for k, value in self._entries(handle) if k == key), None)
        if not last[1]:
            last = handle, dict(self._entries(handle))
            self._last = last if len(last[1]) > 1 else None  # a block of one may be as large as a tensor
        return last[1].get(key)

    def _entries(self, handle: BlockHandle) -> Iterator[tuple[bytes, bytes]]:
        end = handle.offset + handle.nbytes + TRAILER_SIZE
        if end > self._size:
            raise FormatError(
                "block handle",
                path=self.path,
                offset=handle.offset,
                expected=f"an end <= {self._size:,}",
                got=f"{end:,}",
            )
        stored = self._read_at(handle.offset, handle.nbytes + TRAILER_SIZE)
        with located(self.path, handle.offset):
            try:
                payload = unwrap_block(stored)
            except UnsupportedError as error:
                raise UnsupportedError(f"{self.path}: block at byte {handle.offset:,}: {error}") from None
        is_raw = stored[handle.nbytes] == RAW
        with located(self.path, handle.offset if is_raw else None):
            yield from iter_entries(payload)
