"""What is wrong with a checkpoint, all of it: which tensors, in which file, from which byte to which."""

from __future__ import annotations

import errno
import os.path
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from tfckpt.base.html import in_notebooks
from tfckpt.base.issues import Issue, Remedy, find_damage
from tfckpt.bundle.carry import Count
from tfckpt.bundle.reader import BundleReader
from tfckpt.bundle.tensor_reader import TensorReader, open_reader
from tfckpt.bundle.v1.files import has_any_file
from tfckpt.bundle.v1.reader import V1Reader
from tfckpt.bundle.values.entry import HEADER_KEY, Entry, Header, encode_name
from tfckpt.bundle.values.slices import brackets, check_cover
from tfckpt.errors import FormatError, StorageError, TfckptError, located, remedied
from tfckpt.sstable.recover import RecoveredTable
from tfckpt.storage import files
from tfckpt.storage.kinds.table import remedy_for
from tfckpt.storage.paths import (
    INDEX_SUFFIX,
    SHARD_SUFFIX,
    V1,
    index_path,
    is_remote,
    shard_path,
    strip_suffix,
    v1_paths,
)
from tfckpt.storage.sniff import BROKEN_INDEX, kind_of

PARTS = b"\x00"  # what the keys of slices begin with
NAME_END = b"\x00\x01"


@in_notebooks
class Finding(NamedTuple):
    """One place where bytes are not what they were, or are not there.

    Attributes:
        tensor: whose bytes they are; None for a part of an index, or a file, that says what tensors there are.
        part: of a partitioned tensor, the box that is damaged, as NumPy users write it; else empty.
        path: the file.
        start, end: the bytes [start, end) of it; None where the file is missing, may not be read or is something else
            altogether, or nobody knows.
        reason: the error that reading them raises.
    """

    tensor: str | None
    part: str
    path: str
    start: int | None
    end: int | None
    reason: str

    @property
    def line(self) -> str:
        """The reason, and the byte range."""
        return self.reason if self.start is None else f"{self.reason}; bytes [{self.start}, {self.end})"

    def to_json(self) -> dict[str, Any]:
        """Return it as what JSON knows."""
        where = {"file": self.path, "start": self.start, "end": self.end}
        return {"tensor": self.tensor, "slice": self.part, **where, "reason": self.reason}


@dataclass(frozen=True)
class Survey:
    """A checkpoint that may be damaged, opened, and what is wrong with its index.

    Attributes:
        reader: reads what the index still lists.
        damage: what it does not list any more.
        issues: what had to be assumed, as data.
    """

    reader: TensorReader
    damage: tuple[Finding, ...] = ()
    issues: tuple[Issue, ...] = ()


def survey(prefix: str, source_format: str | None = None) -> Survey:
    """Open a checkpoint; of a damaged one, what is whole of its index.

    Raises: CheckpointNotFoundError; FormatError if nothing is whole; UnsupportedError, StorageError.
    """
    try:
        reader = open_reader(prefix, source_format)
        try:
            assert reader.entries is not None  # reads all of the index
        except BaseException:
            reader.close()
            raise
        return Survey(reader)
    except TfckptError as error:
        is_v1 = source_format == V1 or not files.exists(index_path(prefix))
        if is_v1 and not has_any_file(prefix):
            raise
        return _recover_v1(prefix, error) if is_v1 else _recover(prefix, error)


def find_all(reader: TensorReader, *, progress: Count | None = None) -> list[Finding]:
    """Compare the bytes of every tensor with their checksums, on all cores; return all that is damaged, by tensor.

    Only what is damaged is looked at a second time, for the place of each part.
    """
    damaged = {found.name for found in reader.find_damage(reader.entries.values(), progress=progress)}
    if not damaged:
        return []
    find = _find_v1 if isinstance(reader, V1Reader) else _find
    suspects = [entry for entry in reader.entries.values() if entry.name in damaged or entry.slices]
    return [finding for entry in suspects for finding in find(reader, entry)]


def remedy_for_all(damage: Iterable[Finding]) -> Remedy | None:
    """Return what brings a file in whose place something else is, such as a pointer; None if no command does."""
    paths = dict.fromkeys(item.path for item in damage if item.start is None)
    known = ((kind_of(path), path) for path in paths)
    return next((remedy for kind, path in known if kind and (remedy := remedy_for(kind, path))), None)


def explain(error: FormatError) -> None:
    """Say in an error about a bundle's file what it is, if it is something else altogether, and what helps.

    For whoever has no reader any more: it is opened again.
    """
    path = error.path
    if path is None or is_remote(path) or strip_suffix(path) == path:
        return
    prefix = strip_suffix(path)
    if SHARD_SUFFIX.search(path):
        with suppress(TfckptError), closing(BundleReader(prefix)) as reader:
            reader.explain(error)
    elif not error.hint:
        error.hint = BROKEN_INDEX
    if not error.remedies:
        remedied(error, find_damage(prefix))


def _find(reader: TensorReader, entry: Entry) -> Iterator[Finding]:
    """Yield what is damaged of one tensor of a bundle: every slice that is, and that some are missing."""
    boxes = []
    for tensor_slice in entry.slices or (None,):
        one = entry if tensor_slice is None else entry._replace(slices=(tensor_slice,))
        part, path, span = "", index_path(reader.prefix), None
        try:
            ((_, stored),) = reader.pieces(one)
            path = shard_path(reader.prefix, stored.shard, reader.num_shards)
            span = stored.offset, stored.offset + stored.nbytes
            if tensor_slice is not None:
                boxes.append(tensor_slice.within(entry.shape))
                part = brackets(boxes[-1])
            reader.verify(stored._replace(name=entry.name + part))  # a slice's own name is its key
        except TfckptError as error:
            yield _damage(entry.name, part, path, None if reader.explain(error) else span, error)
    if len(boxes) == len(entry.slices) > 0:
        try:
            with located(index_path(reader.prefix), None):
                check_cover(entry.name, entry.shape, boxes)
        except FormatError as error:
            yield _damage(entry.name, "", index_path(reader.prefix), None, error)


def _find_v1(reader: TensorReader, entry: Entry) -> Iterator[Finding]:
    """Yield what is damaged of one tensor of a V1 checkpoint, whose blocks alone have checksums."""
    assert isinstance(reader, V1Reader)
    try:
        places = reader.places(entry)
    except FormatError as error:
        yield _damage(entry.name, "", error.path or reader.prefix, None, error)
        return
    for part, path, span, check in places:
        try:
            check()
        except FormatError as error:  # noqa: PERF203 - the others are looked at, too
            yield _damage(entry.name, part, path, span, error)


def _damage(name: str, part: str, path: str, span: tuple[int, int] | None, error: Exception) -> Finding:
    has_no_bytes = not files.exists(path) or (isinstance(error, StorageError) and error.errno == errno.EACCES)
    start, end = (None, None) if span is None or has_no_bytes else span
    return Finding(name, part, path, start, end, str(error))


def _recover(prefix: str, error: Exception) -> Survey:
    """Open a bundle of which the index is damaged.

    Raises: ``error`` if nothing of an index is there.
    """
    if kind_of(index_path(prefix)) is not None:
        raise error
    tables: list[RecoveredTable] = []
    damage: list[Finding] = []
    notes: list[Issue] = []

    def make(read_at: Callable[[int, int], bytes], size: int, path: str) -> RecoveredTable:
        table = RecoveredTable(read_at, size, path)
        _complete_header(table, prefix, notes)
        damage.extend(_keep_entries(table))
        tables.append(table)
        return table

    reader = BundleReader(prefix, make)
    if not reader.stored and not tables[0].broken:
        reader.close()
        raise error
    broken = [Finding(None, "", tables[0].path, *found) for found in tables[0].broken]
    return Survey(reader, (*broken, *damage), tuple(notes))


def _complete_header(table: RecoveredTable, prefix: str, notes: list[Issue]) -> None:
    """Make up a lost header: how many data files there are, their names tell; the byte order is that of nearly all."""
    if HEADER_KEY in table.rows:
        return
    directory, base = os.path.split(prefix)
    names = files.list_directory(directory or os.curdir)
    found = [match for name in names if (match := SHARD_SUFFIX.search(name)) and name[: match.start()] == base]
    counts = sorted({int(match[2]) for match in found})
    if len(counts) != 1:
        got = f"those of {', '.join(map(str, counts))}" if counts else "none"
        expected = f"data files of one count beside it, since the header of {base}{INDEX_SUFFIX} is lost"
        raise FormatError("data files", path=prefix, expected=expected, got=got)
    table.rows[HEADER_KEY] = Header(counts[0]).encode()
    notes.append(Issue("header-lost", got=str(counts[0])))


def _keep_entries(table: RecoveredTable) -> Iterator[Finding]:
    """Take the rows that are no entries out of a table, and slices whose tensor is lost; yield what they were."""
    num_shards = Header.parse(table.rows[HEADER_KEY]).num_shards
    listed: set[bytes] = set()
    for key in sorted(table.rows.keys() - {HEADER_KEY}):
        try:
            entry = Entry.parse(key, table.rows[key], num_shards)
            listed.update(part.key(key) for part in entry.slices)
        except FormatError as error:  # noqa: PERF203 - the others are kept
            del table.rows[key]
            table.locate(error, key)
            yield _damage(key.decode("utf-8", "surrogateescape"), "", table.path, table.span(key), error)
    for key in sorted(table.rows.keys() - listed) if table.broken else ():
        name = slice_name(key)
        if name is not None and encode_name(name) not in table.rows:
            del table.rows[key]
            reason = f"{table.path}: tensor {name!r}: its own entry is lost, and with it the shape"
            yield Finding(name, "", table.path, None, None, reason)


def slice_name(key: bytes) -> str | None:
    r"""Return the name in the key of a slice; None if it is no such key.

    >>> slice_name(bytes.fromhex("0077000101018099")), slice_name(b"w")
    ('w', None)
    """
    end = key.find(NAME_END, 1)
    if not key.startswith(PARTS) or end < 0:
        return None
    return key[1:end].replace(b"\x00\xff", b"\x00").replace(b"\xff\x00", b"\xff").decode("utf-8", "surrogateescape")


def _recover_v1(prefix: str, error: Exception) -> Survey:
    """Open the files of a V1 checkpoint of which some are missing or damaged; one without its list of tensors is none."""
    damage: list[Finding] = []
    tables: list[RecoveredTable] = []

    def make(read_at: Callable[[int, int], bytes], size: int, path: str) -> RecoveredTable:
        tables.append(RecoveredTable(read_at, size, path))
        return tables[-1]

    usable = []
    for path in v1_paths(prefix):
        try:
            V1Reader(path, [path], make).close()
            usable.append(path)
        except TfckptError as problem:  # noqa: PERF203 - the others may do
            damage.append(Finding(None, "", path, None, None, str(problem)))
    if not usable:
        raise error
    tables.clear()  # those of the trial
    reader = V1Reader(prefix, usable, make)
    damage += [Finding(None, "", table.path, *found) for table in tables for found in table.broken]
    return Survey(reader, tuple(damage))
