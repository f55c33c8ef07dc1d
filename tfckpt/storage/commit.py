"""The files of a bundle appear together, whole, or not at all; what is there stays readable until then.

Strategy: files are written under temporary names, then renamed, data first; the index's rename is the commit point. An index
says of how many data files it is, and their names say so too. Where new names equal old ones, this closes the gap between
two renames:

    stage A   the new data files get the names of a count that nothing there has; an index that says so is renamed
    stage B   each gets its own name as well, by hard link, which the index no longer means; its own index is renamed

Whoever dies in between leaves the old bundle or the new one. What nobody names goes last. Stores behind URLs have neither
locks nor links: there the old bundle goes first, its index before all, and whoever dies leaves the old, the new or none.
Source: none; TensorFlow renames over what it may still name.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TypeAlias

from tfckpt.base import log
from tfckpt.errors import UsageError
from tfckpt.storage import files
from tfckpt.storage.local_input import Identity, check_path
from tfckpt.storage.local_output import SharedFile
from tfckpt.storage.lock import Lock
from tfckpt.storage.paths import SHARD_SUFFIX, file_names, index_path, is_remote, join, shard_path, split

TEXT_WAIT = 10.0  # seconds; a small file is written in milliseconds
TEMPORARY = re.compile(r"(?:\.index|\.data-\d{5,}-of-\d{5,})?\.tfckpt-[0-9a-f]{8}\.tmp")

NewFile: TypeAlias = "files.Output | SharedFile"


class FileSet:
    """The files that will be called ``prefix`` and more: written under temporary names, named by `commit`.

    From construction until `commit` or `discard` no other `FileSet` can have the prefix, in any process. What one that died
    left is removed. A directory that is missing is made.

    Args:
        sync: have bytes and names on the disk before `commit` returns.
        wait: seconds to wait for another writer.
    Raises: StorageError, also if another is writing; UsageError.
    """

    def __init__(self, prefix: str, *, sync: bool, wait: float = 0.0) -> None:
        self._prefix, self._sync, self._process = prefix, sync, os.getpid()
        self._is_remote = is_remote(prefix)
        self._directory = os.path.dirname(prefix) or os.curdir
        self._files: list[NewFile] = []
        self._directories: list[str] = []  # made here, innermost last
        self._named: list[tuple[str, Identity | None]] = []  # data files that have names which no index means yet
        self._index: NewFile | None = None  # that will mean them
        self._lock: Lock | None = None
        if self._is_remote:
            return
        check_path(prefix)
        try:
            self._make_directory(self._directory)
            self._lock = Lock(prefix, wait=wait)
            self._remove_leftovers()
        except BaseException:
            self.discard()
            raise

    def create(self, path: str) -> files.Output:
        """Open a new file that will be called ``path``, unless `commit` finds another name."""
        self._check_process()
        file = files.create_output(path)
        self._files.append(file)
        return file

    def share(self, path: str, source: files.Source, *, how: str) -> SharedFile:
        """Make a file that will be called ``path`` and shares the bytes of ``source``, by `LINK` or `CLONE`.

        Raises: UnsupportedError if the file systems cannot, or one of the two is a URL.
        """
        self._check_process()
        file = files.share(path, source, how=how)
        self._files.append(file)
        return file

    def drop(self, file: NewFile) -> None:
        """Remove a file that is not needed after all."""
        self._files.remove(file)
        file.discard()

    def seal(self, file: NewFile) -> None:
        """End a file before the others: many may be written, few need to be open."""
        file.close(sync=self._sync)

    def commit(self, shards: Sequence[NewFile], write_index: Callable[[int], NewFile]) -> None:
        """Give all files their names, the index last, and remove the bundle that was there.

        Where hard links are refused and the old data files have the same names, the new ones keep those of another count.

        Args:
            shards: the data files, in the order of their numbers.
            write_index: creates the index of a bundle of so many data files.
        Raises: StorageError. Before the index has its name, all is as it was; after that, the new bundle is there.
        """
        self._check_process()
        taken: Sequence[str] = existing_files(self._prefix)
        names: Sequence[str] = shard_paths(self._prefix, len(shards))
        if self._is_remote:
            self._replace_remote(shards, names, write_index(len(shards)), taken)
            taken = ()
        elif set(names).isdisjoint(taken):
            self._publish(shards, names, write_index(len(shards)))
        else:
            names, taken = self._publish_twice(shards, names, taken, write_index)
        for path in taken:
            if path not in names and path != index_path(self._prefix):
                _remove_or_warn(path)
        self._end()

    def commit_file(self, file: NewFile, others: Sequence[NewFile] = ()) -> None:
        """Give a file its name, after those beside it that it tells of."""
        self._check_process()
        names = [other.path for other in others]
        if self._is_remote:
            self._replace_remote(others, names, file, ())
        else:
            self._publish(others, names, file)
        self._end()

    def discard(self) -> None:
        """Remove whatever was not committed, and the directories that were made for it. A forked child removes nothing."""
        if self._process != os.getpid():
            return
        self._roll_back()
        for file in reversed(self._files):  # an index first
            with suppress(OSError):  # the next writer removes it
                file.discard()
        if self._lock is not None and self._lock.held:
            with suppress(OSError):  # an interrupt may have come before a file was in the list
                self._remove_temporaries()
            self._lock.release()
        for path in reversed(self._directories):
            with suppress(OSError):  # someone else put something there meanwhile
                os.rmdir(path)
        self._end()

    def _publish(self, shards: Sequence[NewFile], names: Sequence[str], index: NewFile) -> None:
        """Give data files and then their index their names: what the index means is on the disk before it is."""
        assert self._lock is not None
        for file in (*shards, index):
            file.close(sync=self._sync)
        named = [(name, files.identity(file.temporary)) for file, name in zip(shards, names, strict=True)]
        self._lock.write_journal([identity for _, identity in named if identity is not None])
        self._named, self._index = named, index
        for file, name in zip(shards, names, strict=True):
            file.path = name
            file.publish()
        if self._sync:
            for directory in self._directories:
                files.sync_directory(os.path.dirname(directory) or os.curdir)
        if shards:
            self._sync_names()
        index.publish()
        self._named = []
        self._sync_names()
        self._lock.write_journal([])

    def _publish_twice(
        self,
        shards: Sequence[NewFile],
        names: Sequence[str],
        taken: Sequence[str],
        write_index: Callable[[int], NewFile],
    ) -> tuple[Sequence[str], Sequence[str]]:
        """Name the files anew while their names are in use; return the names they have, and all that may be there."""
        index = write_index(len(shards))  # now, while a full disk does no harm
        self.seal(index)
        count = _unused_count(taken, len(shards))
        staged = shard_paths(self._prefix, count)
        empty = [self.create(name) for name in staged[len(shards) :]]  # an index means all of its files
        self._publish([*shards, *empty], staged, write_index(count))
        try:
            for old, new in zip(staged, names, strict=False):
                files.rename_link(old, new)
            self._sync_names()
        except OSError as error:
            log.warning("%s: whole, as %d data files and not %d: %s", self._prefix, count, len(shards), error)
            with suppress(OSError):
                index.discard()
            return staged, (*taken, *names)
        index.publish()
        self._sync_names()
        return names, (*taken, *staged)

    def _replace_remote(
        self, shards: Sequence[NewFile], names: Sequence[str], index: NewFile, taken: Sequence[str]
    ) -> None:
        """Remove the old bundle and give the new files their names, in a store."""
        for file in (*shards, index):
            file.close(sync=self._sync)
        for path in taken:
            files.remove(path)
        for file, name in zip(shards, names, strict=True):
            file.path = name
            file.publish()
        index.publish()

    def _sync_names(self) -> None:
        if self._sync:
            files.sync_directory(self._directory)

    def _roll_back(self) -> None:
        """Take the names back from data files whose index did not get its own."""
        if self._index is None or files.identity(self._index.temporary) is None:  # its rename was the commit
            return
        for path, identity in self._named:
            with suppress(OSError):
                if files.identity(path) == identity:
                    files.remove(path)

    def _remove_leftovers(self) -> None:
        """Remove what a dead writer left, but nothing that an index may mean."""
        assert self._lock is not None
        if not self._lock.held:
            return
        journal = self._lock.read_journal()
        if not files.exists(index_path(self._prefix)):
            for path, identity in zip(shard_paths(self._prefix, len(journal)), journal, strict=True):
                if files.identity(path) == identity:
                    files.remove(path)
        self._remove_temporaries()
        if journal:
            self._lock.write_journal([])

    def _remove_temporaries(self) -> None:
        base = os.path.basename(self._prefix)
        for name in files.list_directory(self._directory):
            if name.startswith(base) and TEMPORARY.fullmatch(name, len(base)):
                files.remove(os.path.join(self._directory, name))

    def _make_directory(self, path: str) -> None:
        if path and not files.is_directory(path):
            self._make_directory(os.path.dirname(path))
            self._directories.append(path)  # before it is there: an interrupt may come right after
            if not files.make_directory(path):
                self._directories.remove(path)

    def _check_process(self) -> None:
        if self._process != os.getpid():
            raise UsageError(f"{self._prefix}: a writer stays in the process that made it; this is a fork of that one")

    def _end(self) -> None:
        """Let go of everything."""
        self._files.clear()
        self._directories.clear()
        self._named, self._index = [], None
        if self._lock is not None:
            self._lock.release()


def shard_paths(prefix: str, count: int) -> list[str]:
    """Return the names of all data files of a bundle that has ``count``."""
    return [shard_path(prefix, number, count) for number in range(count)]


def existing_files(prefix: str) -> tuple[str, ...]:
    """Return the files of a bundle that is already under ``prefix``, its index first."""
    directory, base = split(prefix)
    if not files.is_directory(directory or os.curdir):
        return ()
    names = file_names(prefix, files.list_directory(directory or os.curdir))
    if is_remote(prefix):
        return tuple(join(directory, name) for name in names)
    return tuple(prefix + name[len(base) :] for name in names)  # as the prefix is spelled, so that they can be compared


def _unused_count(taken: Sequence[str], count: int) -> int:
    """Return the next larger number of data files that no file among ``taken`` has in its name."""
    used = {int(match[2]) for path in taken if (match := SHARD_SUFFIX.search(path))}
    return next(number for number in itertools.count(count + 1) if number not in used)


def _remove_or_warn(path: str) -> None:
    """Remove a file of the old bundle; if it stays, it is in nobody's way, and the next writer tries again."""
    try:
        files.remove(path)
    except OSError as error:
        log.warning("%s; it is not used any more", error)


@contextmanager
def new_file(path: str, *, sync: bool) -> Iterator[files.Output]:
    """Yield a new file; it gets its name when the block ends, and is removed if the block raises.

    Raises: StorageError, also if another process writes it.
    """
    new = FileSet(path, sync=sync)
    try:
        file = new.create(path)
        yield file
        new.commit_file(file)
    finally:
        new.discard()


@contextmanager
def replacing(path: str, *, sync: bool) -> Iterator[Callable[[str], None]]:
    """Hold a small text file while it is read and written anew: yield what writes it, whole or not at all, once.

    Raises: StorageError, also if another process holds it for long.
    """
    new = FileSet(path, sync=sync, wait=TEXT_WAIT)

    def write(text: str) -> None:
        file = new.create(path)
        file.write(text.encode())
        new.commit_file(file)

    try:
        yield write
    finally:
        new.discard()


def write_text(path: str, text: str, *, sync: bool = False) -> None:
    """Write a small text file, whole or not at all."""
    with replacing(path, sync=sync) as write:
        write(text)
