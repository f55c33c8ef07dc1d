"""Files on a disk of ours under temporary names, until they are published: new ones, patches of them, links and clones.

Every refusal of the operating system leaves here as a tfckpt error.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Protocol

from tfckpt.errors import FormatError, UnsupportedError
from tfckpt.storage.local_input import InputFile, check_path, refusals

WRITE_BUFFER_SIZE = 1 << 18
SYNC_PAUSE = 0.01  # seconds between two calls that hand the disk what has been written
TEMPORARY_MARK = ".tfckpt-"
TEMPORARY_SUFFIX = ".tmp"
LINK, CLONE = "link", "clone"
FICLONE = 0x40049409  # _IOW(0x94, 9, int) of linux/fs.h
REFUSALS = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM}


class Chunked(Protocol):
    """What bytes may come from: an `InputFile`, or a file behind a URL."""

    def chunks(self, offset: int, nbytes: int) -> Iterator[bytes]:
        """Yield ``nbytes`` from ``offset`` on, in order."""


class OutputFile:
    """One temporary file on its way to a final name; `offset` is where its end will be.

    What is appended goes through a buffer. A range that is reserved is written by others, in any order, by `FilePatch`.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.offset = 0
        self.temporary = temporary_name(path)
        self._buffer = bytearray()
        with refusals("create", path):
            self._fd = os.open(self.temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)

    def write(self, data: bytes | memoryview) -> None:
        """Append ``data``."""
        if len(self._buffer) + len(data) > WRITE_BUFFER_SIZE:
            self._flush()
        if len(data) > WRITE_BUFFER_SIZE:
            _write_at(self._fd, self.path, data, self.offset)
        else:
            self._buffer += data
        self.offset += len(data)

    def rewrite(self, data: bytes | memoryview, offset: int) -> None:
        """Write over bytes that were appended."""
        assert offset + len(data) <= self.offset, self.path
        buffered = offset - (self.offset - len(self._buffer))
        if buffered >= 0:
            self._buffer[buffered : buffered + len(data)] = data
        else:
            self._flush()
            _write_at(self._fd, self.path, data, offset)

    def reserve(self, nbytes: int) -> int:
        """Leave room for ``nbytes`` at the end; return the offset of that range."""
        self._flush()
        offset = self.offset
        self.offset += nbytes
        return offset

    @contextmanager
    def syncing(self) -> Iterator[None]:
        """Have the disk begin with what is written in this block, while the rest is."""
        done = threading.Event()

        def sync() -> None:
            while not done.wait(SYNC_PAUSE):
                with suppress(OSError):  # `close` does it again, and complains
                    sync_data(self._fd)

        thread = threading.Thread(target=sync, name="tfckpt-sync", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def close(self, *, sync: bool) -> None:
        """Flush and close; with ``sync``, only after the bytes have reached the disk. Once is enough."""
        if self._fd < 0:
            return
        self._flush()
        with refusals("write", self.path):
            if sync:
                os.fsync(self._fd)
            fd, self._fd = self._fd, -1
            os.close(fd)

    def publish(self) -> None:
        """Give the file the name that `path` says by now."""
        with refusals("rename to", self.path):
            os.replace(self.temporary, self.path)

    def discard(self) -> None:
        """Close and remove the temporary file, whatever state it is in."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            with suppress(OSError):
                os.close(fd)
        unlink(self.temporary)

    def _flush(self) -> None:
        if self._buffer:
            _write_at(self._fd, self.path, self._buffer, self.offset - len(self._buffer))
            self._buffer.clear()


class FilePatch:
    """A temporary file that is there already, opened to write at places in it; threads and processes may each have one.

    Args:
        temporary: its name.
        path: the name that it will get, for messages.
    """

    def __init__(self, temporary: str, path: str) -> None:
        self.path = path
        with refusals("open", path):
            self._fd = os.open(temporary, os.O_WRONLY | os.O_CLOEXEC)

    def __enter__(self) -> FilePatch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._fd)

    def write_at(self, data: bytes | memoryview, offset: int) -> None:
        """Write all of ``data`` at ``offset``."""
        _write_at(self._fd, self.path, data, offset)

    def copy(self, source: Chunked, source_offset: int, nbytes: int, offset: int) -> None:
        """Copy ``nbytes`` from ``source``: inside the kernel, or through memory where the file systems refuse that.

        A file system that can share extents does.
        """
        done = 0
        with refusals("write", self.path):
            while (
                done < nbytes
                and isinstance(source, InputFile)
                and (more := _copy(source.fd, self._fd, nbytes - done, source_offset + done, offset + done))
            ):
                done += more
        for chunk in source.chunks(source_offset + done, nbytes - done):
            self.write_at(chunk, offset + done)
            done += len(chunk)


class SharedFile:
    """A temporary name for the bytes of a file that is there: a hard link to it, or a clone that shares its extents."""

    def __init__(self, path: str, source: InputFile, *, how: str) -> None:
        self.path, self.offset = path, source.size
        self.temporary = temporary_name(path)
        if how == LINK:
            _link(source, self.temporary)
        else:
            _clone(source, self.temporary)

    def close(self, *, sync: bool) -> None:
        """With ``sync``, return only after the bytes have reached the disk, whoever wrote them."""
        if sync:
            with refusals("sync", self.path):
                fd = os.open(self.temporary, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    os.fsync(fd)
                finally:
                    os.close(fd)

    def publish(self) -> None:
        """Give the file the name that `path` says by now."""
        with refusals("rename to", self.path):
            os.replace(self.temporary, self.path)

    def discard(self) -> None:
        """Remove the temporary name."""
        unlink(self.temporary)


def sync_data(fd: int) -> None:
    """Have a file's bytes reach the disk; its times may come later, where the system tells the two apart: macOS does not."""
    getattr(os, "fdatasync", os.fsync)(fd)


def temporary_name(path: str) -> str:
    """Return a name of its own for a file that will be called ``path``."""
    check_path(path)
    return f"{path}{TEMPORARY_MARK}{os.urandom(4).hex()}{TEMPORARY_SUFFIX}"


def unlink(path: str) -> None:
    """Remove a file that may be gone already.

    Raises: StorageError.
    """
    with suppress(FileNotFoundError), refusals("remove", path):
        os.unlink(path)


def _write_at(fd: int, path: str, data: bytes | bytearray | memoryview, offset: int) -> None:
    with refusals("write", path), memoryview(data) as rest:
        done = os.pwrite(fd, rest, offset)
        while done < len(rest):  # a signal, or the last free block
            done += os.pwrite(fd, rest[done:], offset + done)


def _copy(source: int, dest: int, nbytes: int, source_offset: int, offset: int) -> int:
    """Let the kernel copy; return how much it did, 0 if it would rather not."""
    copy_range: Callable[[int, int, int, int, int], int] | None = getattr(
        os, "copy_file_range", None
    )  # Linux alone has it
    if copy_range is None:
        return 0
    try:
        return copy_range(source, dest, nbytes, source_offset, offset)
    except OSError as error:
        if error.errno in REFUSALS:
            return 0
        raise


def _link(source: InputFile, temporary: str) -> None:
    """Make a second name for an open file.

    Raises: UnsupportedError if the file systems or their rules do not allow it; FormatError if the name means another now.
    """
    try:
        os.link(os.path.realpath(source.place), temporary)
    except OSError as error:
        raise UnsupportedError(f"{source.path}: cannot be linked: {error.strerror}") from error
    if not os.path.samestat(os.stat(temporary), os.fstat(source.fd)):
        unlink(temporary)
        raise FormatError("file", path=source.path, expected="the one that was opened", got="another of that name")


def _clone(source: InputFile, temporary: str) -> None:
    """Make a file with an open file's extents, which the file system copies when one of them is written.

    Raises: UnsupportedError if the file system cannot; StorageError.
    """
    with refusals("create", temporary):
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        fcntl.ioctl(fd, FICLONE, source.fd)
    except OSError as error:
        unlink(temporary)
        raise UnsupportedError(f"{source.path}: cannot be cloned: {error.strerror}") from error
    finally:
        os.close(fd)
