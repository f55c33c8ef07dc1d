"""The only door to the disk: bounded reads, read-only maps, and files that appear whole or not at all.

Strategy: a writer creates temporary siblings of its files, and `FileSet.commit` renames them one by one in the order they
were created; whoever creates the index last makes that rename the commit point. Every refusal of the operating system
leaves here as a tfckpt error.
"""

from __future__ import annotations

import mmap
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from tfckpt.errors import CheckpointNotFoundError, FormatError, StorageError, UsageError

CHUNK_SIZE = 1 << 20  # bytes read at a time in bulk work: small enough to stay in a core's cache
WRITE_BUFFER_SIZE = 1 << 18
TEMPORARY_MARK = ".tfckpt-"
TEMPORARY_SUFFIX = ".tmp"


@contextmanager
def _refusals(action: str, path: str) -> Iterator[None]:
    """Turn an OSError into the tfckpt error that names the file and what was tried."""
    try:
        yield
    except FileNotFoundError as error:
        raise CheckpointNotFoundError(f"{path}: cannot {action}: {error.strerror}") from None
    except OSError as error:
        refusal = StorageError(f"{path}: cannot {action}: {error.strerror}")
        refusal.errno = error.errno  # the cause has it, too, but is not pickled
        raise refusal from error


def _check_path(path: str) -> None:
    if "\0" in path:  # the operating system's interface would raise a ValueError that names no file
        raise UsageError(f"{path!r}: a path cannot hold a NUL character")


class InputFile:
    """One file, opened for reading only. Reads do not move a position, so threads may share it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = -1
        self._map: mmap.mmap | None = None
        self._mapping = threading.Lock()
        _check_path(path)
        with _refusals("open", path):
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            self.size = os.fstat(self._fd).st_size

    def read_at(self, offset: int, nbytes: int) -> bytes:
        """Return exactly ``nbytes`` at ``offset``.

        Raises: FormatError if the file ends before; StorageError if reading fails.
        """
        self.check_range(offset, nbytes)
        with _refusals("read", self.path):
            parts = [os.pread(self._fd, nbytes, offset)]
            done = len(parts[0])
            while done < nbytes and parts[-1]:
                parts.append(os.pread(self._fd, nbytes - done, offset + done))
                done += len(parts[-1])
        if done < nbytes:  # it was longer when it was opened
            raise FormatError("data", path=self.path, offset=offset, expected=f"{nbytes:,} bytes", got=f"{done:,}")
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def chunks(self, offset: int, nbytes: int) -> Iterator[bytes]:
        """Yield ``nbytes`` from ``offset`` on, in order, in pieces of at most `CHUNK_SIZE`."""
        self.check_range(offset, nbytes)
        for start in range(offset, offset + nbytes, CHUNK_SIZE):
            yield self.read_at(start, min(CHUNK_SIZE, offset + nbytes - start))

    def view(self, offset: int, nbytes: int) -> memoryview:
        """Return a read-only view of the mapped file; the map lives as long as any view of it."""
        self.check_range(offset, nbytes)
        if nbytes == 0:  # an empty file cannot be mapped
            return memoryview(b"")
        with self._mapping:  # one map for all threads: each would count as memory of its own
            if self._map is None:
                with _refusals("map", self.path):
                    self._map = mmap.mmap(self._fd, 0, access=mmap.ACCESS_READ)
            return memoryview(self._map)[offset : offset + nbytes]

    def check_range(self, offset: int, nbytes: int) -> None:
        """Raise FormatError unless the file holds ``nbytes`` at ``offset``."""
        if offset + nbytes > self.size:
            raise FormatError(
                "data range",
                path=self.path,
                offset=offset,
                expected=f"{nbytes:,} bytes in a file of at least {offset + nbytes:,}",
                got=f"a file of {self.size:,}",
                hint="the file is truncated, or belongs to another index",
            )

    def close(self) -> None:
        """Close the descriptor. The map is only let go of: arrays may still look at it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._map = None

    __del__ = close  # a checkpoint that nobody closed gives its descriptors back when it goes


class OutputFile:
    """One temporary file on its way to a final name; `offset` is the number of bytes written."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.offset = 0
        _check_path(path)
        self.temporary = f"{path}{TEMPORARY_MARK}{os.urandom(4).hex()}{TEMPORARY_SUFFIX}"
        with _refusals("create", path):
            fd = os.open(self.temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            self._file: BinaryIO = os.fdopen(fd, "wb", WRITE_BUFFER_SIZE)

    def write(self, data: bytes | memoryview) -> None:
        """Append ``data``."""
        with _refusals("write", self.path):
            self._file.write(data)
        self.offset += len(data)

    def close(self, *, sync: bool) -> None:
        """Flush and close; with ``sync``, only after the bytes have reached the disk. Once is enough."""
        if self._file.closed:
            return
        with _refusals("write", self.path):
            self._file.flush()
            if sync:
                os.fsync(self._file.fileno())
            self._file.close()

    def discard(self) -> None:
        """Close and remove the temporary file, whatever state it is in."""
        with suppress(OSError):  # a full disk refuses the last buffer too; the file goes anyway
            self._file.close()
        remove(self.temporary)


class FileSet:
    """Files that appear together: written under temporary names, renamed by `commit`, removed by `discard`.

    Args:
        sync: have bytes and names on the disk before `commit` returns.
    """

    def __init__(self, *, sync: bool) -> None:
        self._sync = sync
        self._files: list[OutputFile] = []
        self._directories: list[str] = []  # made here, innermost last

    def create(self, path: str) -> OutputFile:
        """Open a new file that will be called ``path``, or what its attribute says by the time of `commit`.

        The directory is made if it is missing.
        """
        self._make_directory(os.path.dirname(path))
        file = OutputFile(path)
        self._files.append(file)
        return file

    def seal(self, file: OutputFile) -> None:
        """End a file before the others: many may be written, few need to be open."""
        file.close(sync=self._sync)

    def commit(self, *, replaced: tuple[str, ...] = ()) -> None:
        """Give every file its name, in order of creation.

        Args:
            replaced: files of an older checkpoint that go first, its index before all: from then on, until the last
                rename, there is no checkpoint here, rather than a mix of two.
        """
        for file in self._files:
            file.close(sync=self._sync)
        for path in replaced:
            with _refusals("replace", path):
                remove(path)
        for file in self._files:
            with _refusals("rename to", file.path):
                os.replace(file.temporary, file.path)
        if self._sync:
            for directory in {os.path.dirname(file.path) or os.curdir for file in self._files}:
                _sync_directory(directory)
        self._files.clear()
        self._directories.clear()

    def discard(self) -> None:
        """Remove whatever was not committed, and the directories that were made for it."""
        for file in self._files:
            file.discard()
        self._files.clear()
        for path in reversed(self._directories):
            with suppress(OSError):  # someone else put something there meanwhile
                os.rmdir(path)
        self._directories.clear()

    def _make_directory(self, path: str) -> None:
        if path and not os.path.isdir(path):
            self._make_directory(os.path.dirname(path))
            with _refusals("create", path):
                os.mkdir(path)
            self._directories.append(path)


def _sync_directory(directory: str) -> None:
    with _refusals("sync", directory):
        fd = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def read_text(path: str, limit: int) -> str:
    """Return a whole small text file.

    Raises: FormatError if it is larger than ``limit`` bytes or not UTF-8; CheckpointNotFoundError, StorageError.
    """
    file = InputFile(path)
    try:
        if file.size > limit:
            raise FormatError("text file", path=path, expected=f"at most {limit:,} bytes", got=f"{file.size:,}")
        data = file.read_at(0, file.size)
    finally:
        file.close()
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise FormatError("text", path=path, offset=error.start, expected="UTF-8", got=hex(data[error.start])) from None


def write_text(path: str, text: str) -> None:
    """Write a small text file, whole or not at all."""
    files = FileSet(sync=False)
    try:
        files.create(path).write(text.encode())
        files.commit()
    finally:
        files.discard()


def exists(path: str) -> bool:
    """Whether ``path`` is there, a directory included."""
    return os.path.lexists(path)


def is_same(a: str, b: str) -> bool:
    """Whether both paths lead to one file that is there."""
    return os.path.exists(a) and os.path.exists(b) and os.path.samefile(a, b)


def is_file(path: str) -> bool:
    """Whether ``path`` is a regular file, or a link to one."""
    return os.path.isfile(path)


def is_directory(path: str) -> bool:
    """Whether ``path`` is a directory."""
    return os.path.isdir(path)


def list_directory(path: str) -> list[str]:
    """Return the sorted names in a directory."""
    with _refusals("list", path):
        return sorted(os.listdir(path))


def remove(path: str) -> None:
    """Remove a file that may be gone already."""
    with suppress(FileNotFoundError):
        os.unlink(path)
