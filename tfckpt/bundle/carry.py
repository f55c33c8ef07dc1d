"""Carries stored bytes from file to file, on all cores, and compares their checksums while they pass.

Strategy: tensors that lie one after another on both sides make one run, so that how long it takes depends on bytes and not
on tensors. A run is plain data that pickles and knows its files by name: runs depend on nothing but these, and threads, or
processes on several machines, may do them in any order. A run whose checksums are compared passes through a small buffer,
which stays in the core's cache between reading, checking and writing; one that is believed is copied inside the kernel.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

from tfckpt.base.html import in_notebooks
from tfckpt.errors import ChecksumError, FormatError, TfckptError
from tfckpt.sstable.checksum import crc32c, mask
from tfckpt.storage.files import Input, Source, open_input
from tfckpt.storage.local_input import Identity
from tfckpt.storage.local_output import FilePatch

if TYPE_CHECKING:
    from concurrent.futures import Executor  # imports logging, which costs as much as opening a checkpoint

RUN_SIZE = 1 << 24  # bytes after which a run ends, so that all cores have some; one tensor may be larger
COPY_SIZE = 1 << 26  # the same for bytes that nobody looks at, of which a tensor may be cut
BUFFER_SIZE = 1 << 18  # bytes that a thread holds

Where = tuple[str, int, int]  # a file's path, where bytes begin in it, and how many they are
Count = Callable[[int], None]  # bytes that were done since the last call


def counting(report: Callable[[int, int], None] | None, total: int) -> Count | None:
    """Return a callback that adds up, for one that wants (bytes done, bytes in all).

    >>> add = counting(lambda done, total: print(done, "of", total), 12)
    >>> add(8), add(4)
    8 of 12
    12 of 12
    (None, None)
    """
    if report is None:
        return None
    done = 0

    def add(nbytes: int) -> None:
        nonlocal done
        done = min(done + nbytes, total)  # an object graph comes on top, which nobody weighs before it is written
        report(done, total)

    return add


class Piece(NamedTuple):
    """One tensor in a run, or one slice."""

    name: str
    nbytes: int
    crc32c: int | None  # masked; None if it is to be computed


class Run(NamedTuple):
    """A range of stored bytes, and where it goes."""

    source: str
    identity: Identity  # of the file of that name
    offset: int
    nbytes: int
    pieces: tuple[Piece, ...] = ()  # what to compare: nothing, or all of the range
    temporary: str = ""  # the file to write; none if the bytes are only compared
    path: str = ""  # the name that it will get, for messages
    dest_offset: int = 0
    place: str = ""  # of the source, whatever directory the process is in meanwhile


class StoredBytes:
    """The bytes of one tensor in an open file. Iterating yields them in bounded chunks, and compares them in the end.

    Args:
        crc: their masked checksum; None if nobody knows it.
        compare: whether to compare it.
    Raises: ChecksumError after the last chunk; FormatError, StorageError.
    """

    name: str
    file: Source
    offset: int
    nbytes: int
    crc: int | None
    compare: bool

    def __init__(
        self, name: str, file: Source, offset: int, nbytes: int, crc: int | None = None, *, compare: bool = True
    ) -> None:
        self.name, self.file, self.offset, self.nbytes, self.crc = name, file, offset, nbytes, crc
        self.compare = compare and crc is not None

    def __iter__(self) -> Iterator[bytes]:
        found = 0
        for chunk in self.file.chunks(self.offset, self.nbytes):
            if self.compare:
                found = crc32c(chunk, found)
            yield chunk
        if self.crc is not None and self.compare and mask(found) != self.crc:
            raise damaged(self.name, self.file.path, self.offset, self.nbytes, self.crc, mask(found))

    @property
    def where(self) -> Where:
        """Which bytes they are."""
        return self.file.path, self.offset, self.nbytes

    def to_run(self, temporary: str = "", path: str = "", dest_offset: int = 0) -> Run:
        """Return what carries them to a place in another file, or only compares them; what lacks a checksum gets one."""
        is_believed = self.crc is not None and not self.compare
        pieces = () if is_believed else (Piece(self.name, self.nbytes, self.crc),)
        where = self.file.path, self.file.identity, self.offset, self.nbytes
        return Run(*where, pieces, temporary, path, dest_offset, self.file.place)


@in_notebooks
class Damage(NamedTuple):
    """One tensor, or one slice, whose bytes are not what they were, or are not there.

    Attributes:
        name: of the tensor.
        path: the file.
        offset: first of its bytes there.
        nbytes: how many they are.
        error: what reading them raises.
    """

    name: str
    path: str
    offset: int
    nbytes: int
    error: TfckptError

    def to_json(self) -> dict[str, Any]:
        """Return it as what ``json.dumps`` takes, under the names that `Finding.to_json` has."""
        where = {"file": self.path, "start": self.offset, "end": self.offset + self.nbytes}
        return {"tensor": self.name, **where, "reason": str(self.error)}

    def __repr__(self) -> str:
        return f"<Damage of {self.name!r}: {str(self.error)!r}>"


class Computed(NamedTuple):
    """The checksum of bytes of which nobody knew it."""

    where: Where
    crc32c: int  # masked


Checksums = dict[Where, int]  # what was computed


def damaged(name: str, path: str, offset: int, nbytes: int, expected: int, got: int) -> ChecksumError:
    """Return the error of a tensor whose bytes do not match their checksum."""
    return ChecksumError(
        f"checksum of tensor {name!r} ({nbytes:,} bytes)",
        path=path,
        offset=offset,
        expected=f"{expected:#010x}",
        got=f"{got:#010x}",
        hint="the file is damaged: download or copy it again",
    )


def carry(runs: Iterable[Run], *, executor: Executor | None = None, progress: Count | None = None) -> Checksums:
    """Carry every run; each tensor is in one of its own. Return the checksums that were to be computed.

    Args:
        runs: neighbours in the order in which they lie in their files, so that they are joined.
        executor: does the runs; unless given, as many threads as there are cores.
        progress: called in this thread.
    Raises: ChecksumError, of the first damaged tensor that was met; FormatError, StorageError.
    """
    checksums: Checksums = {}
    with closing(_map(join(runs), executor)) as done:
        for run, found in done:
            for item in found:
                if isinstance(item, Damage):
                    raise item.error
                checksums[item.where] = item.crc32c
            if progress is not None:
                progress(run.nbytes)
    return checksums


def find_damage(
    runs: Iterable[Run], *, executor: Executor | None = None, progress: Count | None = None
) -> list[Damage]:
    """Compare the tensors of every run, which write nothing; return all that are damaged. Arguments as for `carry`."""
    damage: list[Damage] = []
    for run, found in _map(join(runs), executor):
        damage += [item for item in found if isinstance(item, Damage)]
        if progress is not None:
            progress(run.nbytes)
    return damage


def join(runs: Iterable[Run]) -> list[Run]:
    """Return the same work as runs of a size for one thread: neighbours joined, long ones cut where nothing is compared.

    >>> file = ("model.data", (0, 0, 0, 0))
    >>> runs = [Run(*file, 0, 8, (Piece("a", 8, 1),)), Run(*file, 8, 4, (Piece("b", 4, 2),)), Run(*file, 99, 2)]
    >>> [(run.offset, run.nbytes, [piece.name for piece in run.pieces]) for run in join(runs)]
    [(0, 12, ['a', 'b']), (99, 2, [])]
    """
    groups: list[list[Run]] = []
    nbytes = 0
    for run in runs:
        if groups and _follows(run, groups[-1][0], nbytes) and (nbytes < RUN_SIZE or not run.pieces):
            groups[-1].append(run)
            nbytes += run.nbytes
        else:
            groups.append([run])
            nbytes = run.nbytes
    return [part for group in groups for part in _cut(_joined(group))]


def do(run: Run) -> list[Damage | Computed]:
    """Do one run; return what is wrong with its tensors, and the checksums that nobody knew, in order.

    A module's function, so that it pickles.

    Raises: FormatError, StorageError if it is to be carried and its source cannot be read, or is another file than the one
    that was planned for. If it is only compared, these are damage.
    """
    try:
        return _do(run)
    except TfckptError as error:
        if run.temporary:
            raise
        if len(run.pieces) == 1:
            return [Damage(run.pieces[0].name, run.source, run.offset, run.nbytes, error)]
        return [item for part in _parts(run) for item in do(part)]


def _do(run: Run) -> list[Damage | Computed]:
    source = open_input(run.source, place=run.place)
    try:
        if run.temporary and source.identity != run.identity:
            raise FormatError(
                "file", path=run.source, expected="the one that was opened", got="a changed or another one"
            )
        with FilePatch(run.temporary, run.path) if run.temporary else nullcontext() as dest:
            if run.pieces:
                return _pass_through(run, source, dest)
            if dest is not None:
                dest.copy(source, run.offset, run.nbytes, run.dest_offset)
            return []
    finally:
        source.close()


def _parts(run: Run) -> Iterator[Run]:
    """Yield a run for each piece of one that is only compared."""
    offset = run.offset
    for piece in run.pieces:
        yield run._replace(offset=offset, nbytes=piece.nbytes, pieces=(piece,))
        offset += piece.nbytes


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _map(runs: Sequence[Run], executor: Executor | None) -> Generator[tuple[Run, list[Damage | Computed]], None, None]:
    """Yield each run with what was found in it, in order. Whoever stops listening stops the rest."""
    if executor is not None:
        yield from zip(runs, executor.map(do, runs), strict=True)
    elif len(runs) < 2 or cores() == 1:
        yield from ((run, do(run)) for run in runs)
    else:
        from concurrent.futures import ThreadPoolExecutor  # costs several milliseconds, which small ones need not spend

        threads = ThreadPoolExecutor(min(cores(), len(runs)), "tfckpt-carry")
        try:
            yield from zip(runs, threads.map(do, runs), strict=True)
        finally:
            threads.shutdown(cancel_futures=True)


def _pass_through(run: Run, source: Input, dest: FilePatch | None) -> list[Damage | Computed]:
    buffer = memoryview(bytearray(min(BUFFER_SIZE, run.nbytes)))
    check = _Check(run)
    at = run.dest_offset
    for chunk in source.chunks_into(buffer, run.offset, run.nbytes):
        check.add(chunk)
        if dest is not None:
            if check.is_damaged:
                break
            dest.write_at(chunk, at)
            at += len(chunk)
    return check.found


class _Check:
    """Compares the tensors of a run while their bytes come by, or computes their checksums."""

    def __init__(self, run: Run) -> None:
        self.found: list[Damage | Computed] = []
        self.is_damaged = False
        self._run, self._pieces = run, iter(run.pieces)
        self._offset, self._crc = run.offset, 0
        self._piece: Piece | None = next(self._pieces)
        self._left = self._piece.nbytes
        self._end_pieces()

    def add(self, chunk: memoryview) -> None:
        """Take the next bytes."""
        while chunk:
            part, chunk = chunk[: self._left], chunk[self._left :]
            self._crc = crc32c(part, self._crc)
            self._left -= len(part)
            self._end_pieces()

    def _end_pieces(self) -> None:
        """Compare what is complete: the current piece, and those without bytes that follow it."""
        while self._piece is not None and not self._left:
            name, nbytes, expected = self._piece
            if expected is None:
                self.found.append(Computed((self._run.source, self._offset, nbytes), mask(self._crc)))
            elif mask(self._crc) != expected:
                where = name, self._run.source, self._offset, nbytes
                self.found.append(Damage(*where, damaged(*where, expected, mask(self._crc))))
                self.is_damaged = True
            self._offset += nbytes
            self._crc, self._piece = 0, next(self._pieces, None)
            self._left = self._piece.nbytes if self._piece is not None else 0


def _follows(run: Run, first: Run, nbytes: int) -> bool:
    """Whether a run lies right behind ``nbytes`` that begin with ``first``, on both sides."""
    return (
        run.source == first.source
        and run.temporary == first.temporary
        and run.offset == first.offset + nbytes
        and run.dest_offset == first.dest_offset + nbytes * bool(first.temporary)
        and bool(run.pieces) == bool(first.pieces)
    )


def _joined(group: Sequence[Run]) -> Run:
    nbytes = sum(run.nbytes for run in group)
    return group[0]._replace(nbytes=nbytes, pieces=tuple(piece for run in group for piece in run.pieces))


def _cut(run: Run) -> Iterator[Run]:
    """Yield parts of a run that nobody looks into; any other as it is."""
    if run.pieces or run.nbytes <= COPY_SIZE:
        yield run
        return
    for start in range(0, run.nbytes, COPY_SIZE):
        nbytes = min(COPY_SIZE, run.nbytes - start)
        yield run._replace(offset=run.offset + start, dest_offset=run.dest_offset + start, nbytes=nbytes)
