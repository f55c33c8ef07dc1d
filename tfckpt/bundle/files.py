"""The door to the disk: bounded reads, read-only maps, and files under temporary names until they are published.

Every refusal of the operating system leaves here as a tfckpt error. A path that is a URL goes through `tfckpt.bundle.remote`
to a store.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, TypeAlias

from tfckpt.bundle.forks import ThreadLock
from tfckpt.bundle.paths import is_remote
from tfckpt.errors import CheckpointNotFoundError, FormatError, StorageError, UnsupportedError, UsageError

if TYPE_CHECKING:
    from tfckpt.bundle.remote_files import RemoteInput, RemoteOutput

Input: TypeAlias = "InputFile | RemoteInput"
Output: TypeAlias = "OutputFile | RemoteOutput"

CHUNK_SIZE = 1 << 20  # bytes read at a time in bulk work: small enough to stay in a core's cache
WRITE_BUFFER_SIZE = 1 << 18
SYNC_PAUSE = 0.01  # seconds between two calls that hand the disk what has been written
TEMPORARY_MARK = ".tfckpt-"
TEMPORARY_SUFFIX = ".tmp"
LINK, CLONE = "link", "clone"
FICLONE = 0x40049409  # _IOW(0x94, 9, int) of linux/fs.h
REFUSALS = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM}

Identity = tuple[
    int, int, int, int
]  # device, inode, bytes, nanoseconds of the last change: what a file was when it was opened


@contextmanager
def refusals(action: str, path: str) -> Iterator[None]:
    """Turn an OSError into the tfckpt error that names the file and what was tried."""
    try:
        yield
    except FileNotFoundError as error:
        raise CheckpointNotFoundError(f"{path}: cannot {action}: {error.strerror}") from None
    except OSError as error:
        refusal = StorageError(f"{path}: cannot {action}: {error.strerror}")
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


def open_input(path: str, *, readahead: int = 0) -> Input:
    """Open a file for reading.

    Args:
        path: the file, or its URL.
        readahead: bytes that small reads from a URL ask for at once, because others near them will follow.
    Raises: CheckpointNotFoundError, StorageError, UsageError; UnsupportedError for a URL that needs a missing package.
    """
    if not is_remote(path):
        return InputFile(path)
    from tfckpt.bundle import remote_files

    return remote_files.RemoteInput(path, readahead=readahead)


class InputFile:
    """One file, opened for reading only. Reads do not move a position, so threads may share it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = -1
        self._map: mmap.mmap | None = None
        self._mapping = ThreadLock()
        check_path(path)
        with refusals("open", path):
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe's would wait for a writer
            status = os.fstat(self._fd)
        if not stat.S_ISREG(status.st_mode):
            self.close()
            kind = "a directory" if stat.S_ISDIR(status.st_mode) else "a pipe, a socket or a device"
            raise StorageError(f"{path}: cannot open: expected a regular file, got {kind}")
        self.size: int = status.st_size
        self.identity: Identity = _identity(status)

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
        if offset + nbytes > self.size:
            raise FormatError(
                "data range",
                path=self.path,
                offset=offset,
                expected=f"{nbytes:,} bytes in a file of at least {offset + nbytes:,}",
                got=f"a file of {self.size:,}",
                hint="the file is truncated, or belongs to another index",
            )

    def check_unchanged(self) -> None:
        """Raise StorageError unless the file still has its name, and is as it was when it was opened."""
        with refusals("look at", self.path):
            now = {_identity(os.fstat(self._fd)), _identity(os.stat(self.path))}
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


class OutputFile:
    """One temporary file on its way to a final name; `offset` is where its end will be.

    What is appended goes through a buffer. A range that is reserved is written by others, in any order, by `FilePatch`.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.offset = 0
        self.temporary = _temporary(path)
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
                    os.fdatasync(self._fd)

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
        remove(self.temporary)

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

    def copy(self, source: Input, source_offset: int, nbytes: int, offset: int) -> None:
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
        self.temporary = _temporary(path)
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
        remove(self.temporary)


def _temporary(path: str) -> str:
    check_path(path)
    return f"{path}{TEMPORARY_MARK}{os.urandom(4).hex()}{TEMPORARY_SUFFIX}"


def _write_at(fd: int, path: str, data: bytes | bytearray | memoryview, offset: int) -> None:
    with refusals("write", path), memoryview(data) as rest:
        done = os.pwrite(fd, rest, offset)
        while done < len(rest):  # a signal, or the last free block
            done += os.pwrite(fd, rest[done:], offset + done)


def _copy(source: int, dest: int, nbytes: int, source_offset: int, offset: int) -> int:
    """Let the kernel copy; return how much it did, 0 if it would rather not."""
    if not hasattr(os, "copy_file_range"):
        return 0
    try:
        return os.copy_file_range(source, dest, nbytes, source_offset, offset)
    except OSError as error:
        if error.errno in REFUSALS:
            return 0
        raise


def _link(source: InputFile, temporary: str) -> None:
    """Make a second name for an open file.

    Raises: UnsupportedError if the file systems or their rules do not allow it; FormatError if the name means another now.
    """
    try:
        os.link(os.path.realpath(source.path), temporary)
    except OSError as error:
        raise UnsupportedError(
            f"{source.path}: cannot be linked to {temporary}: {error.strerror}; --mode copy or --mode auto copies it"
        ) from error
    if not os.path.samestat(os.stat(temporary), os.fstat(source.fd)):
        remove(temporary)
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
        remove(temporary)
        raise UnsupportedError(
            f"{source.path}: cannot be cloned to {temporary}: {error.strerror}; --mode copy or --mode auto copies it"
        ) from error
    finally:
        os.close(fd)


def create_output(path: str) -> Output:
    """Open a new file that will be called ``path``, or what its attribute says when it is published."""
    if not is_remote(path):
        return OutputFile(path)
    from tfckpt.bundle import remote_files

    return remote_files.RemoteOutput(path)


def share(path: str, source: Input, *, how: str) -> SharedFile:
    """Make a file that will be called ``path`` and shares the bytes of ``source``, by `LINK` or `CLONE`.

    Raises: UnsupportedError if the file systems cannot, or one of the two is a URL.
    """
    if is_remote(path) or not isinstance(source, InputFile):
        why = "files behind URLs share no bytes; --mode copy or --mode auto copies it"
        raise UnsupportedError(f"{source.path}: cannot be linked to {path}: {why}")
    return SharedFile(path, source, how=how)


def identity(path: str) -> Identity | None:
    """Return what the file of that name is, a link itself and not what it leads to; None if there is none."""
    with suppress(FileNotFoundError), refusals("look at", path):
        return _identity(os.lstat(path))
    return None


def _identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def rename_link(existing: str, path: str) -> None:
    """Give a file a second name, whatever had it before; at every moment some file has it.

    Raises: StorageError, also if the file system has no hard links.
    """
    if is_same(existing, path):  # to rename one name of a file to another does nothing
        return
    temporary = _temporary(path)
    try:
        with refusals("link to", path):
            os.link(existing, temporary)
        with refusals("rename to", path):
            os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            remove(temporary)
        raise


def make_directory(path: str) -> None:
    """Make one directory."""
    with refusals("create", path):
        os.mkdir(path)


def sync_directory(path: str) -> None:
    """Have the names in a directory reach the disk, where its file system can say so."""
    with refusals("sync", path):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
        finally:
            os.close(fd)


def read_text(path: str, limit: int) -> str:
    """Return a whole small text file.

    Raises: FormatError if it is larger than ``limit`` bytes or not UTF-8; CheckpointNotFoundError, StorageError.
    """
    file = open_input(path)
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


def exists(path: str) -> bool:
    """Whether ``path`` is there, a directory included."""
    if is_remote(path):
        from tfckpt.bundle import remote

        return remote.exists(path)
    return os.path.lexists(path)


def is_same(a: str, b: str) -> bool:
    """Whether both paths lead to one file that is there."""
    if is_remote(a) and is_remote(b):
        from tfckpt.bundle import remote

        return remote.is_same(a, b)
    return os.path.exists(a) and os.path.exists(b) and os.path.samefile(a, b)


def is_file(path: str) -> bool:
    """Whether ``path`` is a regular file, or a link to one."""
    if is_remote(path):
        from tfckpt.bundle import remote

        return remote.is_file(path)
    return os.path.isfile(path)


def is_directory(path: str) -> bool:
    """Whether ``path`` is a directory."""
    if is_remote(path):
        from tfckpt.bundle import remote

        return remote.is_directory(path)
    return os.path.isdir(path)


def can_list(path: str) -> bool:
    """Whether directories can be listed there: everywhere but over HTTP."""
    if is_remote(path):
        from tfckpt.bundle import remote

        return remote.can_list(path)
    return True


def list_directory(path: str) -> list[str]:
    """Return the sorted names in a directory."""
    if is_remote(path):
        from tfckpt.bundle import remote

        return remote.list_directory(path)
    with refusals("list", path):
        return sorted(os.listdir(path))


def remove(path: str) -> None:
    """Remove a file that may be gone already.

    Raises: StorageError.
    """
    if is_remote(path):
        from tfckpt.bundle import remote

        remote.remove(path)
        return
    with suppress(FileNotFoundError), refusals("remove", path):
        os.unlink(path)
