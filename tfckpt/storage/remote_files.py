"""One file behind a URL: read by range requests, or written so that it appears whole.

Strategy: reads are requests of exactly the bytes asked for, except that small ones take their surroundings along, so that an
index is one request and neighbouring small tensors are one. Writing keeps the order of local files, the index last. S3 can
hold an upload back until all files are there; elsewhere files have temporary names until then.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from tfckpt.errors import FormatError, StorageError, TfckptError, UnsupportedError
from tfckpt.storage.forks import ThreadLock
from tfckpt.storage.local_input import check_range
from tfckpt.storage.remote import HTTP, open_store, protocols, refusals, remove

REQUEST_SIZE = 8 << 20  # bytes of one request at most: a lost connection, or a time limit, concerns no more
PART_SIZE = 16 << 20  # bytes of an upload that are held in memory; S3 takes 10,000 parts
WINDOWS_KEPT = 2  # the last ones, of each file
TEMPORARY_MARK = ".tfckpt-"
TEMPORARY_SUFFIX = ".tmp"
VERSIONS = ("ETag", "etag", "LastModified", "Last-Modified", "mtime", "created")  # what stores call them
HELD_BACK = {"s3", "s3a"}  # an upload can be complete and not be there yet


class RemoteInput:
    """One file behind a URL, for reading only; safe to share between threads.

    Args:
        url: the file.
        readahead: reads of up to this many bytes are cut from a window of that size, of which the last two are kept.
    """

    def __init__(self, url: str, *, readahead: int) -> None:
        self.path = url
        self.place = url
        self._fs, self._path = open_store(url)
        self._readahead = readahead
        self._windows: dict[int, bytes] = {}
        self._lock = ThreadLock()
        with refusals("open", url):
            info = self._fs.info(self._path)
        size = info.get("size")
        if size is None:
            raise StorageError(f"{url}: cannot open: the server does not say how large it is")
        self.size: int = int(size)
        self.identity: tuple[int, int, int, int] = self._identify(info)

    def read_at(self, offset: int, nbytes: int) -> bytes:
        """Return exactly ``nbytes`` at ``offset``.

        Raises: FormatError if the file, or what the server sends of it, ends before; StorageError if reading fails.
        """
        self.check_range(offset, nbytes)
        if nbytes > self._readahead:
            return self._fetch(offset, nbytes)
        parts = []
        while nbytes:
            number, start = divmod(offset, self._readahead)
            parts.append(self._window(number)[start : start + nbytes])
            offset, nbytes = offset + len(parts[-1]), nbytes - len(parts[-1])
        return b"".join(parts)

    def chunks(self, offset: int, nbytes: int) -> Iterator[bytes]:
        """Yield ``nbytes`` from ``offset`` on, in order, in pieces of at most `REQUEST_SIZE`."""
        self.check_range(offset, nbytes)
        for start in range(offset, offset + nbytes, REQUEST_SIZE):
            yield self.read_at(start, min(REQUEST_SIZE, offset + nbytes - start))

    def chunks_into(self, buffer: memoryview, offset: int, nbytes: int) -> Iterator[memoryview]:
        """Yield ``nbytes`` from ``offset`` on, in order, in pieces no larger than the buffer, which stays unused.

        Raises: FormatError if the file ends before; StorageError if reading fails.
        """
        for chunk in self.chunks(offset, nbytes):
            for start in range(0, len(chunk), len(buffer)):
                yield memoryview(chunk)[start : start + len(buffer)]

    def view(self, offset: int, nbytes: int) -> memoryview:
        """Return a copy: nothing can be mapped."""
        return memoryview(self.read_at(offset, nbytes))

    def check_range(self, offset: int, nbytes: int) -> None:
        """Raise FormatError unless the file holds ``nbytes`` at ``offset``."""
        check_range(self.path, self.size, offset, nbytes)

    def check_unchanged(self) -> None:
        """Raise StorageError unless the file is as it was when it was opened, as far as the store can tell."""
        with refusals("look at", self.path):
            info = self._fs.info(self._path)
        if self._identify(info) != self.identity:
            raise StorageError(f"{self.path}: changed while it was read; nothing is written")

    def close(self) -> None:
        """Let go of what was read ahead."""
        self._windows.clear()

    def _identify(self, info: dict[str, Any]) -> tuple[int, int, int, int]:
        version = [info.get(name) for name in VERSIONS]
        return (0, zlib.crc32(repr(version).encode()), int(info["size"] or 0), 0)

    def _window(self, number: int) -> bytes:
        with self._lock:  # whoever wants the same one waits, rather than asks for it again
            window = self._windows.pop(number, None)
            if window is None:
                start = number * self._readahead
                window = self._fetch(start, min(self._readahead, self.size - start))
            self._windows[number] = window
            while len(self._windows) > WINDOWS_KEPT:
                del self._windows[next(iter(self._windows))]
        return window

    def _fetch(self, offset: int, nbytes: int) -> bytes:
        end = offset + nbytes
        parts = [self._request(at, min(REQUEST_SIZE, end - at)) for at in range(offset, end, REQUEST_SIZE)]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _request(self, offset: int, nbytes: int) -> bytes:
        with refusals("read", self.path):
            if protocols(self._fs) & HTTP:
                data = self._request_http(offset, nbytes)
            else:
                data = bytes(self._fs.cat_file(self._path, start=offset, end=offset + nbytes))
        if len(data) != nbytes:
            raise FormatError(
                "answer to a range request",
                path=self.path,
                offset=offset,
                expected=f"{nbytes:,} bytes",
                got=f"{len(data):,}",
                hint="the file has changed, or the server is broken",
            )
        return data

    def _request_http(self, offset: int, nbytes: int) -> bytes:
        """Read through fsspec's file: it does not take in all of a file when a server sends that instead of a part."""
        with self._fs.open(self._path, "rb", block_size=REQUEST_SIZE, cache_type="none", size=self.size) as file:
            file.seek(offset)
            try:
                return bytes(file.read(nbytes))
            except ValueError:
                raise StorageError(
                    f"{self.path}: cannot read {nbytes:,} bytes at byte {offset:,}: the server does not answer range "
                    "requests; download the checkpoint's files and read those"
                ) from None


class RemoteOutput:
    """One file on its way to a URL; `offset` is the number of bytes written."""

    def __init__(self, url: str) -> None:
        self.path = url
        self.offset = 0
        self._fs, path = open_store(url)
        if protocols(self._fs) & HTTP:
            raise UnsupportedError(f"{url}: cannot create: HTTP servers are only read from")
        self._is_held_back = bool(protocols(self._fs) & HELD_BACK)
        mark = "" if self._is_held_back else f"{TEMPORARY_MARK}{os.urandom(4).hex()}{TEMPORARY_SUFFIX}"
        self.temporary = path + mark  # under which name it is before `publish`
        self._is_published = False
        with refusals("create", url):
            self._file = self._open()

    def write(self, data: bytes | memoryview) -> None:
        """Append ``data``."""
        with refusals("write", self.path), memoryview(data) as view:
            for start in range(0, len(view), PART_SIZE):
                self._file.write(view[start : start + PART_SIZE])
        self.offset += len(data)

    def close(self, *, sync: bool) -> None:
        """Send what is left. Once is enough, and ``sync`` is nothing more: a store keeps what it has acknowledged."""
        with refusals("write", self.path):
            self._file.close()

    def publish(self) -> None:
        """Give the file the name that `path` says by now."""
        _, path = open_store(self.path)
        with refusals("publish", self.path):
            self._is_published = True  # an error may come after the fact
            if self._is_held_back:
                self._file.commit()
            if path != self.temporary:
                _move(self._fs, self.temporary, path)

    def discard(self) -> None:
        """Remove the file, under whatever name it is, and what was sent of it."""
        with suppress(Exception):
            if self._is_held_back:
                self._file.discard()
                self._file.closed = True  # or it is completed when it goes
            else:
                self._file.close()
        if self._is_published or not self._is_held_back:  # else what has the name is another checkpoint's
            with suppress(Exception):
                self._fs.rm_file(self.temporary)
        if self._is_published:
            with suppress(TfckptError):
                remove(self.path)

    def _open(self) -> Any:
        options = {"autocommit": False} if self._is_held_back else {}
        try:
            return self._fs.open(self.temporary, "wb", block_size=PART_SIZE, **options)
        except FileNotFoundError:  # a file system with directories
            self._fs.makedirs(self._fs._parent(self.temporary), exist_ok=True)
            return self._fs.open(self.temporary, "wb", block_size=PART_SIZE, **options)


def _move(fs: Any, path: str, dest: str) -> None:
    """Rename a file, or copy it inside the store where that has no renaming. Neither takes a part of a name for a pattern."""
    from fsspec import AbstractFileSystem

    if type(fs).mv is AbstractFileSystem.mv:
        fs.cp_file(path, dest)
        fs.rm_file(path)
    else:
        fs.mv(path, dest)
