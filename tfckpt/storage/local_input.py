"""A file on a disk of ours, opened for reading: bounded reads, and read-only views of its map.

Every refusal of the operating system leaves here as a tfckpt error.
"""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Iterator

from tfckpt.base.issues import Issue
from tfckpt.errors import CheckpointNotFoundError, FormatError, StorageError, UsageError
from tfckpt.storage.forks import ThreadLock
from tfckpt.storage.paths import anchored

CREATING = ("create", "lock")  # what needs a directory, and no file
CHUNK_SIZE = 1 << 20  # bytes read at a time in bulk work: small enough to stay in a core's cache

# Device, inode, bytes, nanoseconds of the last change: what a file was when it was opened.
Identity = tuple[int, int, int, int]


class refusals:  # noqa: N801 - what `contextlib.contextmanager` makes of a function takes five times as long
    """A block in which an OSError turns into the tfckpt error that names the file and what was tried."""

    def __init__(self, action: str, path: str) -> None:
        self._action, self._path = action, path

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if not isinstance(error, OSError):
            return
        issue = Issue("refused", self._path, self._action, str(error.strerror))
        if isinstance(error, FileNotFoundError) and self._action not in CREATING:
            raise CheckpointNotFoundError(issue) from None
        refusal = StorageError(issue)
        refusal.errno = error.errno  # the cause has it, too, but is not pickled
        raise refusal from error


def check_path(path: str) -> None:
    """Raise UsageError for a path that no system knows."""
    if "\0" in path:  # the operating system's interface would raise a ValueError that names no file
        raise UsageError(f"{path!r}: a path cannot hold a NUL character")
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        raise UsageError(f"{path!r}: a path cannot hold these characters here") from None


def identity_of(status: os.stat_result) -> Identity:
    """Return what the system says a file is."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def check_range(path: str, size: int, offset: int, nbytes: int) -> None:
    """Raise FormatError unless a file of ``size`` bytes holds ``nbytes`` at ``offset``."""
    if offset + nbytes > size:
        raise FormatError(
            "data range",
            path=path,
            offset=offset,
            expected=f"{nbytes:,} bytes in a file of at least {offset + nbytes:,}",
            got=f"a file of {size:,}",
            hint="the file is truncated, or belongs to another index",
        )


class InputFile:
    """One file, opened for reading only. Reads do not move a position, so threads may share it.

    Args:
        path: what messages call it.
        place: where it is, also when the process has changed its directory; unless given, where ``path`` leads to now.
    """

    def __init__(self, path: str, place: str = "") -> None:
        self.path = path
        self.place: str = place or anchored(path)
        self._fd = -1
        self._map: mmap.mmap | None = None
        self._mapping = ThreadLock()
        check_path(path)
        with refusals("open", path):
            self._fd = os.open(
                self.place, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
            )  # a pipe's would wait for a writer
            status = os.fstat(self._fd)
        if not stat.S_ISREG(status.st_mode):
            self.close()
            kind = "a directory" if stat.S_ISDIR(status.st_mode) else "a pipe, a socket or a device"
            raise StorageError(f"{path}: cannot open: expected a regular file, got {kind}")
        self.size: int = status.st_size
        self.identity: Identity = identity_of(status)

    @property
    def fd(self) -> int:
        """The descriptor, for what the system does with whole files and ranges."""
        return self._fd

    def read_at(self, offset: int, nbytes: int) -> bytes:
        """Return exactly ``nbytes`` at ``offset``.

        Raises: FormatError if the file ends before; StorageError if reading fails.
        """
        self.check_range(offset, nbytes)
        with refusals("read", self.path):
            data = os.pread(self._fd, nbytes, offset)
            while len(data) < nbytes and (more := os.pread(self._fd, nbytes - len(data), offset + len(data))):
                data += more
        if len(data) < nbytes:  # it was longer when it was opened
            got = f"{len(data):,}"
            raise FormatError("data", path=self.path, offset=offset, expected=f"{nbytes:,} bytes", got=got)
        return data

    def chunks(self, offset: int, nbytes: int) -> Iterator[bytes]:
        """Yield ``nbytes`` from ``offset`` on, in order, in pieces of at most `CHUNK_SIZE`."""
        self.check_range(offset, nbytes)
        for start in range(offset, offset + nbytes, CHUNK_SIZE):
            yield self.read_at(start, min(CHUNK_SIZE, offset + nbytes - start))

    def chunks_into(self, buffer: memoryview, offset: int, nbytes: int) -> Iterator[memoryview]:
        """Yield ``nbytes`` from ``offset`` on, in order, each piece in the same buffer, which the next one overwrites.

        Raises: FormatError if the file ends before; StorageError if reading fails.
        """
        self.check_range(offset, nbytes)
        end = offset + nbytes
        while offset < end:
            with refusals("read", self.path):
                done = os.preadv(self._fd, [buffer[: end - offset]], offset)
            if not done:  # it was longer when it was opened
                raise FormatError("data", path=self.path, offset=offset, expected=f"{end - offset:,} bytes", got="none")
            yield buffer[:done]
            offset += done

    def view(self, offset: int, nbytes: int) -> memoryview:
        """Return a read-only view of the mapped file; the map lives as long as any view of it.

        Raises: FormatError if the file has become shorter: a look at what is not there would end the process.
        """
        self.check_range(offset, nbytes)
        if nbytes == 0:  # an empty file cannot be mapped
            return memoryview(b"")
        with self._mapping:  # one map for all threads: each would count as memory of its own
            if self._map is None or os.lseek(self._fd, 0, os.SEEK_END) < self.size:  # the quickest question
                self._map_again()
            assert self._map is not None
            return memoryview(self._map)[offset : offset + nbytes]

    def _map_again(self) -> None:
        """Map the file, unless it is shorter than it was."""
        with refusals("map", self.path):
            size = os.fstat(self._fd).st_size
            if size < self.size:
                raise FormatError(
                    "size", path=self.path, expected=f"{self.size:,} bytes, as when opened", got=f"{size:,}"
                )
            self._map = mmap.mmap(self._fd, self.size, access=mmap.ACCESS_READ)

    def check_range(self, offset: int, nbytes: int) -> None:
        """Raise FormatError unless the file holds ``nbytes`` at ``offset``."""
        check_range(self.path, self.size, offset, nbytes)

    def check_unchanged(self) -> None:
        """Raise StorageError unless the file still has its name, and is as it was when it was opened."""
        with refusals("look at", self.path):
            now = {identity_of(os.fstat(self._fd)), identity_of(os.stat(self.place))}
        if now != {self.identity}:
            raise StorageError(f"{self.path}: changed while it was read; nothing is written")

    def close(self) -> None:
        """Close the descriptor. The map is only let go of: arrays may still look at it."""
        with self._mapping:
            if self._fd >= 0:
                self._close(self._fd)
                self._fd = -1
            self._map = None

    _close = staticmethod(os.close)  # held here: when the interpreter ends, a module's names may go before its objects
    __del__ = close  # a checkpoint that nobody closed gives its descriptors back when it goes
