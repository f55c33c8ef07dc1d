"""The door to files: a path leads to the disk, one that is a URL through `tfckpt.storage.remote` to a store.

Every refusal of the operating system leaves here as a tfckpt error.
"""

from __future__ import annotations

import codecs
import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeAlias

from tfckpt.base.issues import Issue
from tfckpt.errors import CheckpointExistsError, FormatError, UnsupportedError, UsageError
from tfckpt.storage.local_input import Identity, InputFile, identity_of, refusals
from tfckpt.storage.local_output import OutputFile, SharedFile, temporary_name, unlink
from tfckpt.storage.paths import is_remote

if TYPE_CHECKING:
    from tfckpt.storage.remote_files import RemoteInput, RemoteOutput

Input: TypeAlias = "InputFile | RemoteInput"
Output: TypeAlias = "OutputFile | RemoteOutput"
Source: TypeAlias = "Input | ReopenedInput"  # what bytes are carried from: open, or opened when they are asked for


def open_input(path: str, *, place: str = "", readahead: int = 0) -> Input:
    """Open a file for reading.

    Args:
        path: the file, or its URL.
        place: where the file is, if the process may have changed its directory since ``path`` was given.
        readahead: bytes that small reads from a URL ask for at once, because others near them will follow.
    Raises: CheckpointNotFoundError, StorageError, UsageError; UnsupportedError for a URL that needs a missing package.
    """
    if not is_remote(path):
        return InputFile(path, place)
    from tfckpt.storage import remote_files

    return remote_files.RemoteInput(path, readahead=readahead)


class ReopenedInput:
    """A file that is open only while it is read: of many files, few need to be open.

    Args:
        file: it, open; it may be closed then.
    """

    path: str
    place: str
    identity: Identity
    size: int

    def __init__(self, file: Input) -> None:
        self.path, self.place, self.identity, self.size = file.path, file.place, file.identity, file.size

    @contextmanager
    def opened(self) -> Iterator[Input]:
        """Give the file, open as long as the block runs.

        Raises: FormatError if it is another one by now; StorageError.
        """
        file = open_input(self.path, place=self.place)
        try:
            if file.identity != self.identity:
                raise FormatError("file", path=self.path, expected="the one that was opened", got="another one")
            yield file
            file.check_unchanged()
        finally:
            file.close()

    def chunks(self, offset: int, nbytes: int) -> Iterator[bytes]:
        """Yield ``nbytes`` from ``offset`` on, in order, in bounded pieces.

        Raises: as `opened`; FormatError also if it ends before.
        """
        with self.opened() as file:
            yield from file.chunks(offset, nbytes)


def create_output(path: str) -> Output:
    """Open a new file that will be called ``path``, or what its attribute says when it is published."""
    if not is_remote(path):
        return OutputFile(path)
    from tfckpt.storage import remote_files

    return remote_files.RemoteOutput(path)


def share(path: str, source: Source, *, how: str) -> SharedFile:
    """Make a file that will be called ``path`` and shares the bytes of ``source``, by `LINK` or `CLONE`.

    Raises: UnsupportedError if the file systems cannot, or one of the two is a URL; FormatError, StorageError.
    """
    if isinstance(source, ReopenedInput):
        with source.opened() as file:
            return share(path, file, how=how)
    if is_remote(path) or not isinstance(source, InputFile):
        raise UnsupportedError(f"{source.path}: cannot be linked to {path}: files behind URLs share no bytes")
    return SharedFile(path, source, how=how)


def identity(path: str) -> Identity | None:
    """Return what the file of that name is, a link itself and not what it leads to; None if there is none."""
    with suppress(FileNotFoundError), refusals("look at", path):
        return identity_of(os.lstat(path))
    return None


def rename_link(existing: str, path: str) -> None:
    """Give a file a second name, whatever had it before; at every moment some file has it.

    Raises: StorageError, also if the file system has no hard links.
    """
    if is_same(existing, path):  # to rename one name of a file to another does nothing
        return
    temporary = temporary_name(path)
    try:
        with refusals("link to", path):
            os.link(existing, temporary)
        with refusals("rename to", path):
            os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            unlink(temporary)
        raise


def make_directory(path: str) -> bool:
    """Make one directory; return whether it was made here, and not at the same time by another writer."""
    with refusals("create", path):
        try:
            os.mkdir(path)
        except FileExistsError:
            if not os.path.isdir(path):
                raise
            return False
    return True


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


def read_head(path: str, nbytes: int) -> bytes:
    """Return a file's first bytes, fewer if it is shorter."""
    file = open_input(path)
    try:
        return file.read_at(0, min(nbytes, file.size))
    finally:
        file.close()


def read_text(path: str, limit: int) -> str:
    """Return a whole small text file, in UTF-8; in UTF-16 if it begins as editors of Windows begin that.

    Raises: FormatError if it is larger than ``limit`` bytes or not in these; CheckpointNotFoundError, StorageError.
    """
    file = open_input(path)
    try:
        if file.size > limit:
            raise FormatError("text file", path=path, expected=f"at most {limit:,} bytes", got=f"{file.size:,}")
        data = file.read_at(0, file.size)
    finally:
        file.close()
    encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8"
    try:
        return data.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        got = hex(data[error.start])
        raise FormatError("text", path=path, offset=error.start, expected=encoding.upper(), got=got) from None


def exists(path: str) -> bool:
    """Whether ``path`` is there, a directory included."""
    if is_remote(path):
        from tfckpt.storage import remote

        return remote.exists(path)
    return os.path.lexists(path)


def check_free(path: str, inputs: Iterable[str], *, overwrite: bool) -> None:
    """Check that a file may be written there, before anything else is done.

    Args:
        path: the file.
        inputs: files that are read for it.
        overwrite: whether a file that is there may be replaced.
    Raises: CheckpointExistsError; UsageError if it is a directory, a device or a pipe, or one of the inputs.
    """
    if is_directory(path) or path.endswith("/"):
        raise UsageError(f"{path}: a directory; expected the name of a file")
    if exists(path) and not is_file(path):  # renaming a file to /dev/null would be the end of it
        raise UsageError(f"{path}: not a regular file; expected the name of a file, or - for stdout")
    if any(is_same(path, name) for name in inputs):
        raise UsageError(f"{path}: a file of the checkpoint itself; choose another name")
    if exists(path) and not overwrite:
        raise CheckpointExistsError(Issue("taken", path))


def is_same(a: str, b: str) -> bool:
    """Whether both paths lead to one file that is there."""
    if is_remote(a) and is_remote(b):
        from tfckpt.storage import remote

        return remote.is_same(a, b)
    return os.path.exists(a) and os.path.exists(b) and os.path.samefile(a, b)


def is_file(path: str) -> bool:
    """Whether ``path`` is a regular file, or a link to one."""
    if is_remote(path):
        from tfckpt.storage import remote

        return remote.is_file(path)
    return os.path.isfile(path)


def is_directory(path: str) -> bool:
    """Whether ``path`` is a directory."""
    if is_remote(path):
        from tfckpt.storage import remote

        return remote.is_directory(path)
    return os.path.isdir(path)


def can_list(path: str) -> bool:
    """Whether directories can be listed there: everywhere but over HTTP."""
    if is_remote(path):
        from tfckpt.storage import remote

        return remote.can_list(path)
    return True


def list_directory(path: str) -> list[str]:
    """Return the sorted names in a directory."""
    if is_remote(path):
        from tfckpt.storage import remote

        return remote.list_directory(path)
    with refusals("list", path):
        return sorted(os.listdir(path))


def remove(path: str) -> None:
    """Remove a file that may be gone already.

    Raises: StorageError.
    """
    if is_remote(path):
        from tfckpt.storage import remote

        remote.remove(path)
        return
    unlink(path)
