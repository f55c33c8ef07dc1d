"""Reads one bundle: its header, its entries on demand, and tensors as views of mapped shards.

Strategy: opening reads the table's footer and index block and the one data block with the header. A single tensor is
looked up in the one block that may hold it; names and listings read all blocks, once.
Source: tensorflow/core/util/tensor_bundle/tensor_bundle.{h,cc}, class BundleReader.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from tfckpt._proto.types_pb2 import DT_STRING
from tfckpt.bundle.carry import Count, Damage, Run, StoredBytes, carry, damaged, find_damage
from tfckpt.bundle.listing import collector_paused, once
from tfckpt.bundle.values.arrays import element_array, numeric_array, numeric_box, shaped, strides
from tfckpt.bundle.values.dtypes import item_size
from tfckpt.bundle.values.entry import HEADER_KEY, Entry, Header, encode_name
from tfckpt.bundle.values.slices import (
    NEAR,
    Picked,
    Ranges,
    TensorSlice,
    along,
    brackets,
    check_cover,
    intersection,
    relative,
    shape_of,
    whole,
)
from tfckpt.bundle.values.strings import parse_head, read_head
from tfckpt.errors import CheckpointNotFoundError, FormatError, StorageError, TfckptError, located, remedied
from tfckpt.sstable.checksum import crc32c, mask, masked_crc32c
from tfckpt.sstable.reader import ReadAt, Table
from tfckpt.storage.files import Input, open_input
from tfckpt.storage.forks import ThreadLock
from tfckpt.storage.paths import SHARD_SUFFIX, V2, anchored, index_path, looking, shard_path, split_query, strip_suffix

if TYPE_CHECKING:
    from tfckpt.bundle.values.arrays import Array
    from tfckpt.sstable.recover import RecoveredTable
    from tfckpt.storage.kinds.table import Kind

FEW_SLICES = 16  # are looked up one by one; for more, the whole index is read
# How often one byte of data may be part of a tensor; a file with two generations of names uses each twice.
MAX_SHARING = 16
UNREADABLE = FormatError, CheckpointNotFoundError, StorageError  # what whoever reads a tensor gets
KEYS_SLACK = 1 << 20  # bytes by which an index with holes may list more of slices' keys than it has keys

INDEX_READAHEAD = 8 << 20  # bytes that one request brings of a remote index: all of it, nearly always
DATA_READAHEAD = 1 << 17  # of a remote data file: biases and norms lie together, and nothing else large comes along


class BundleReader:
    """The files of one prefix, opened for reading; safe to share between threads.

    Args:
        prefix: the path without ``.index``.
        table: opens the index, from a function that reads it, its size and its path.
    Raises: CheckpointNotFoundError, FormatError, ChecksumError, UnsupportedError; from every method, as it reaches the
    damage.
    """

    format = V2

    def __init__(self, prefix: str, table: Callable[[ReadAt, int, str], Table | RecoveredTable] = Table) -> None:
        self.prefix, self._place = prefix, anchored(prefix)
        self._shards: dict[int, Input] = {}
        self._kinds: dict[int, Kind | None] = {}
        self._lock = ThreadLock()  # of the files
        self._reading = ThreadLock()  # of the index
        self._index = open_input(index_path(prefix), readahead=INDEX_READAHEAD)
        try:
            self._table = table(self._index.read_at, self._index.size, self._index.path)
            value = self._table.get(HEADER_KEY)
            if value is None:  # TensorFlow would take the first tensor's entry for the header
                raise FormatError("header", path=self._index.path, expected="an entry under the empty key", got="none")
            with self._table.in_block(HEADER_KEY):
                self.header = Header.parse(value)
        except BaseException as error:
            if isinstance(error, FormatError):
                _explain_index(error, self._index)
            self._index.close()
            raise

    @property
    def num_shards(self) -> int:
        """Number of data files."""
        return self.header.num_shards

    @property
    def big_endian(self) -> bool:
        """Whether values are stored in the byte order of big-endian machines."""
        return self.header.big_endian

    @once
    def entries(self) -> dict[str, Entry]:
        """Every tensor's entry, by name, in key order. Slices of partitioned tensors are part of those, not listed."""
        sliced = [(key, entry) for key, entry in self.stored.items() if entry.slices]
        self._check_slices(sliced)
        hidden = {s.key(key) for key, entry in sliced for s in entry.slices}
        if not hidden:
            return {entry.name: entry for entry in self.stored.values()}
        return {entry.name: entry for key, entry in self.stored.items() if key not in hidden}

    def entry(self, name: str) -> Entry | None:
        """Return one tensor's entry, or None; reads one block of the index at most."""
        return self._lookup(encode_name(name))

    def slices(self, entry: Entry) -> list[tuple[Ranges, Entry]]:
        """Return, for each slice of a partitioned tensor, the box of the whole that it holds, and its own entry.

        Raises: FormatError if a slice is missing, is not of its tensor's dtype and its box's shape, or they do not hold each
        element once.
        """
        if len(entry.slices) > FEW_SLICES:
            assert (
                self.entries is not None
            )  # reads each block once, and checks that the keys of all slices are not too long
        found = [self._slice(entry, tensor_slice) for tensor_slice in entry.slices]
        with self._table.in_block(encode_name(entry.name)):
            check_cover(entry.name, entry.shape, [box for box, _ in found])
        return found

    def read(self, entry: Entry, *, verify: bool, mapped: bool = True) -> Array:
        """Return a tensor's values: a read-only view of the mapped shard; strings, swapped and assembled ones are copies.

        With ``mapped`` false, all are copies, made without the map.
        """
        if entry.slices:
            return self._assemble(
                entry, whole(entry.shape), lambda stored: self.read(stored, verify=verify, mapped=mapped)
            )
        file = self._file(entry)
        if not entry.is_numeric:
            data = file.read_at(entry.offset, entry.nbytes)
            with self._explaining(), located(file.path, entry.offset, entry.name):
                array, crc = element_array(entry, data, big_endian=self.header.big_endian)
            if verify:
                self._check(entry, crc)
            return array
        stored = (file.view if mapped else file.read_at)(entry.offset, entry.nbytes)
        if verify:
            self._check(entry, masked_crc32c(stored))
        return numeric_array(entry, stored, big_endian=self.header.big_endian)

    def read_box(self, entry: Entry, box: Ranges, *, mapped: bool = True) -> Array:
        """Return a box of a tensor: a view from its first element to its last, or of strings, copies of those in it.

        No checksum covers a part, but of strings the lengths have one of their own. Of variants all are read. With ``mapped``
        false, numbers are read without the map: all from the first element to the last.
        """
        import numpy as np

        if entry.slices:
            return self._assemble(entry, box, None, mapped=mapped)
        if entry.data_type == DT_STRING:
            return self._string_box(entry, box)
        if not entry.is_numeric:
            array = self.read(entry, verify=False)
            return array[box] if box else array  # indexing a scalar would take the element out of its array
        shape = shape_of(box)
        if 0 in shape:
            return shaped(entry.name, lambda: np.empty(shape, entry.dtype))
        steps = strides(entry)
        first = sum(step * r.start for step, r in zip(steps, box, strict=True))
        last = sum(step * (r.stop - 1) for step, r in zip(steps, box, strict=True))
        file, nbytes = self._file(entry), last - first + item_size(entry.data_type)
        stored = (file.view if mapped else file.read_at)(entry.offset + first, nbytes)
        return shaped(entry.name, lambda: numeric_box(entry, stored, shape, big_endian=self.header.big_endian))

    def read_picked(self, entry: Entry, box: Ranges, picked: Picked) -> Array:
        """Return of a box what is wanted along one axis: rows of numbers are read alone, those far from each other by turns.

        Of slices only those are read that hold some of it. Otherwise as `read_box`.
        """
        import numpy as np

        if not len(picked.ids) or 0 in shape_of(box):
            return self.read_box(entry, picked.of(box))
        if entry.slices:
            return self._assemble_picked(entry, box, picked)
        if entry.data_type == DT_STRING:
            return self._string_box(entry, box, picked)
        row = item_size(entry.data_type) * math.prod(shape_of(box[picked.axis + 1 :])) if entry.is_numeric else NEAR
        runs = picked.runs(box, row)
        self._file(entry)  # the bytes are there, before as many are allocated
        array = shaped(entry.name, lambda: np.empty(shape_of(picked.of(box)), entry.dtype))
        for run in runs:
            own = Picked(picked.axis, picked.ids[run])
            part = self.read_box(entry, own.within(box))
            array[along(whole(array.shape), own.axis, run)] = part.take(own.ids - own.ids[0], own.axis)
        return array

    def pieces(self, entry: Entry) -> list[tuple[TensorSlice | None, Entry]]:
        """Return what is stored of a tensor: itself, or its slices, each with its own entry, even if they are not all."""
        return [(part, self._slice(entry, part)[1]) for part in entry.slices] or [(None, entry)]

    def stores_as_written(self, entry: Entry, *, big_endian: bool = False) -> bool:
        """Whether the stored bytes are what a writer would write: whole, and in that byte order."""
        return not entry.slices and self.header.big_endian == big_endian

    def chunks(self, entry: Entry, *, verify: bool) -> StoredBytes:
        """Return a tensor's stored bytes, to be iterated in bounded chunks or carried; not for partitioned tensors.

        Raises: ChecksumError if ``verify`` finds strings or variants damaged. Of others the chunks raise it, in the end.
        """
        assert not entry.slices, entry
        in_passing = verify and entry.is_numeric
        if verify and not in_passing:
            self.verify(entry)
        where = self._file(entry), entry.offset, entry.nbytes
        return StoredBytes(entry.name, *where, entry.crc32c, compare=in_passing)

    def verify(self, entry: Entry) -> None:
        """Compare a tensor's bytes with their checksum, reading them in bounded pieces.

        Raises: ChecksumError, FormatError; UnsupportedError for resources.
        """
        if entry.slices:
            for _, stored in self.slices(entry):
                self.verify(stored)
            return
        with self._explaining():
            if entry.is_numeric:
                carry([self.chunks(entry, verify=True).to_run()])
            elif entry.data_type == DT_STRING:
                self._check(entry, self._string_crc(entry))
            else:
                self.read(entry, verify=True)

    def find_damage(self, entries: Iterable[Entry], *, progress: Count | None = None) -> list[Damage]:
        """Compare the bytes of many tensors with their checksums, on all cores; return what is damaged.

        Tensors come in the order of the files; a slice of a partitioned tensor stands for itself.
        """
        entries = list(entries)
        self.check_sharing(entries)
        found = [self._runs(entry) for entry in entries]
        runs = sorted((run for runs, _ in found for run in runs), key=lambda run: (run.source, run.offset))
        damage = [damage for _, damage in found if damage is not None] + find_damage(runs, progress=progress)
        for item in damage:
            self.explain(item.error)
        return damage

    def compare(self, entries: Iterable[Entry], *, progress: Count | None = None) -> None:
        """Compare the bytes of many tensors with their checksums, on all cores.

        Raises: ChecksumError, FormatError, StorageError, of the first damaged one.
        """
        if damage := self.find_damage(entries, progress=progress):
            raise damage[0].error

    def data_files(self) -> list[Input]:
        """Open all data files, in the order of their numbers.

        Raises: CheckpointNotFoundError, StorageError.
        """
        return [self._open(shard) for shard in range(self.num_shards)]

    def check_files(self) -> None:
        """Check that every data file is there and holds the bytes of all its tensors; reads none of them.

        Raises: CheckpointNotFoundError, FormatError, which names the first tensor that is cut off.
        """
        for entry in self.stored.values():
            if not entry.slices:
                self._file(entry)

    def check_unchanged(self) -> None:
        """Raise StorageError if a file that was opened has changed since, or has lost its name."""
        for file in (self._index, *list(self._shards.values())):
            file.check_unchanged()

    def check_sharing(self, entries: Iterable[Entry]) -> None:
        """Check that these tensors are not far larger together than the data files: ten thousand may name one range.

        Raises: FormatError. A file or a slice that is missing or cut short is an error of whoever reads it.
        """
        nbytes, sizes = 0, dict[int, int]()
        for entry in entries:
            for stored in self._known_slices(entry) if entry.slices else (entry,):
                if stored.shard not in sizes:
                    sizes[stored.shard] = self._known_size(stored.shard)
                if stored.offset + stored.nbytes <= sizes[stored.shard]:
                    nbytes += stored.nbytes
        most = MAX_SHARING * sum(sizes.values())
        if nbytes > most:
            expected = f"at most {MAX_SHARING} times the size of their data files, {most:,} bytes"
            raise FormatError(
                "tensors over the same bytes", path=self._index.path, expected=expected, got=f"{nbytes:,}"
            )

    def _known_slices(self, entry: Entry) -> list[Entry]:
        """Return the entries of a tensor's slices; none if one of them is wrong, which is an error of whoever reads it."""
        with suppress(*UNREADABLE):
            return [stored for _, stored in self.pieces(entry)]
        return []

    def _known_size(self, shard: int) -> int:
        """Return the size of a data file; 0 if it cannot be opened, which is an error of whoever reads it."""
        with suppress(*UNREADABLE):
            return self._open(shard).size
        return 0

    def explain(self, error: TfckptError) -> bool:
        """Make an error in a data file one about the file, if that is something else altogether; return whether it is."""
        if not isinstance(error, FormatError) or error.path is None:
            return False
        match = SHARD_SUFFIX.search(split_query(error.path)[0])
        if match is None or error.path != shard_path(self.prefix, shard := int(match[1]), self.num_shards):
            return False
        from tfckpt.storage.sniff import DATA, explain  # what is whole needs none of its patterns

        return explain(error, self._kind(shard), DATA, error.path)

    def close(self) -> None:
        """Close the files. Arrays that were read stay valid."""
        with self._lock:
            self._index.close()
            for file in self._shards.values():
                file.close()
            self._shards.clear()

    @once
    def stored(self) -> dict[bytes, Entry]:
        """Every entry under its raw key, in key order, slices of partitioned tensors included."""
        stored, key, num_shards = {}, HEADER_KEY, self.header.num_shards
        try:  # around all of them: a call more for each would cost a tenth of the time
            with collector_paused():
                for key, value in self._table:
                    if key != HEADER_KEY:
                        stored[key] = Entry.parse(key, value, num_shards)
        except FormatError as error:
            if error.path is None:  # the table's own errors know where they are
                self._table.locate(error, key)
            raise
        return stored

    def _lookup(self, key: bytes) -> Entry | None:
        if "stored" in self.__dict__:
            return self.stored.get(key)
        value = self._table.get(key)
        if value is None or key == HEADER_KEY:
            return None
        with self._table.in_block(key):
            return Entry.parse(key, value, self.header.num_shards)

    def _open(self, shard: int) -> Input:
        file = self._shards.get(shard)
        if file is None:
            with self._lock:
                file = self._shards.get(shard)
                if file is None:
                    path, place = (
                        shard_path(prefix, shard, self.header.num_shards) for prefix in (self.prefix, self._place)
                    )
                    file = _open_data(path, place)
                    self._shards[shard] = file
        return file

    def _file(self, entry: Entry) -> Input:
        file = self._open(entry.shard)
        if entry.offset + entry.nbytes > file.size:
            error = FormatError(
                f"tensor {entry.name!r}",
                path=file.path,
                offset=entry.offset,
                expected=f"{entry.nbytes:,} bytes in a file of at least {entry.offset + entry.nbytes:,}",
                got=f"a file of {file.size:,}",
                hint="the file is truncated, or belongs to another index",
            )
            self.explain(error)
            raise error
        return file

    def _kind(self, shard: int) -> Kind | None:
        """Return what a data file is, if it is something else: it begins so, and not with the tensor that it should."""
        if shard not in self._kinds:
            from tfckpt.storage.sniff import kind_in

            self._kinds[shard] = None  # for errors of the tensor that is looked at
            with suppress(TfckptError):
                kind = kind_in(self._open(shard))
                if kind is not None and not self._begins_well(shard):
                    self._kinds[shard] = kind
        return self._kinds[shard]

    def _begins_well(self, shard: int) -> bool:
        """Whether the first tensor of a data file is whole, as bytes of any kind may be."""
        with suppress(TfckptError):
            inside = (e for e in self.stored.values() if e.shard == shard and e.nbytes and not e.slices)
            self.verify(min(inside, key=lambda entry: entry.offset))
            return True
        return False

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except FormatError as error:
            self.explain(error)
            raise

    def _check_slices(self, sliced: Iterable[tuple[bytes, Entry]]) -> None:
        """Check that the keys of all slices that are listed are not far longer than the keys that are there."""
        nbytes = sum(len(key) * len(entry.slices) for key, entry in sliced)
        most = sum(map(len, self.stored)) + KEYS_SLACK
        if nbytes > most:
            expected = f"keys of at most {most:,} bytes"
            raise FormatError(
                "slices of partitioned tensors", path=self._index.path, expected=expected, got=f"{nbytes:,}"
            )

    def _check(self, entry: Entry, crc: int) -> None:
        if crc != entry.crc32c:
            path = shard_path(self.prefix, entry.shard, self.header.num_shards)
            error = damaged(entry.name, path, entry.offset, entry.nbytes, entry.crc32c, crc)
            self.explain(error)
            raise error

    def _runs(self, entry: Entry) -> tuple[list[Run], Damage | None]:
        """Return what compares a tensor, or what is wrong with it already; strings and variants are compared here."""
        try:
            pieces = [stored for _, stored in self.slices(entry)] if entry.slices else [entry]
            for stored in pieces:
                if not stored.is_numeric:
                    self.verify(stored)
            return [self.chunks(s, verify=True).to_run() for s in pieces if s.is_numeric], None
        except TfckptError as error:
            path = shard_path(self.prefix, entry.shard, self.header.num_shards)
            return [], Damage(entry.name, path, entry.offset, entry.nbytes, error)

    def _string_head(self, entry: Entry) -> tuple[list[int], int, int]:
        """Return, of a string tensor, the lengths, where the first string starts, and the checksum so far."""
        file = self._file(entry)
        head = read_head(lambda at, nbytes: file.read_at(entry.offset + at, nbytes), entry.size, entry.nbytes)
        with located(file.path, entry.offset, entry.name):
            return parse_head(head, entry.size, entry.nbytes, big_endian=self.header.big_endian)

    def _string_box(self, entry: Entry, box: Ranges, picked: Picked | None = None) -> Array:
        """Return a box of a string tensor, or some of it; reads the lengths of all strings and the bytes of those in it."""
        import numpy as np

        lengths, data_at, _ = self._string_head(entry)
        ends = list(accumulate(lengths, initial=entry.offset + data_at))
        numbers = shaped(entry.name, lambda: np.arange(entry.size).reshape(entry.shape)[box])
        if picked is not None:
            numbers = numbers.take(picked.ids - box[picked.axis].start, picked.axis)
        wanted = numbers.reshape(-1)
        strings: list[bytes] = []
        for run in filter(len, np.split(wanted, np.flatnonzero(np.diff(wanted) != 1) + 1)):
            own = ends[run[0] : run[-1] + 2]
            data = self._file(entry).read_at(own[0], own[-1] - own[0])
            strings += [data[start - own[0] : end - own[0]] for start, end in pairwise(own)]
        array: Array = np.empty(len(strings), entry.dtype)
        array[:] = strings
        return array.reshape(numbers.shape)

    def _string_crc(self, entry: Entry) -> int:
        file = self._file(entry)
        _, data_at, crc = self._string_head(entry)
        for chunk in file.chunks(entry.offset + data_at, entry.nbytes - data_at):
            crc = crc32c(chunk, crc)
        return mask(crc)

    def _slice(self, entry: Entry, tensor_slice: TensorSlice) -> tuple[Ranges, Entry]:
        key = encode_name(entry.name)
        with self._table.in_block(key, f" of tensor {entry.name!r}"):
            box = tensor_slice.within(entry.shape)
        shape, stored = shape_of(box), self._lookup(tensor_slice.key(key))
        if stored is None or (stored.data_type, stored.shape) != (entry.data_type, shape) or stored.slices:
            with self._table.in_block(key, f" of tensor {entry.name!r}"):
                expected = f"an entry of {entry.dtype_name}{list(shape)}"
                got = "none" if stored is None else f"{stored.dtype_name}{list(stored.shape)}"
                raise FormatError(f"slice {brackets(box)}", expected=expected, got=got)
        return box, stored

    def _assemble(
        self, entry: Entry, box: Ranges, read: Callable[[Entry], Array] | None, *, mapped: bool = True
    ) -> Array:
        """Return a box of a partitioned tensor, from the slices that it touches: all of each by ``read``, or just a part."""
        import numpy as np

        touched = self._touched(entry, box)
        array = shaped(entry.name, lambda: np.empty(shape_of(box), entry.dtype))
        for part, stored, shared in touched:
            inside = relative(shared, part)
            part_of = self.read_box(stored, inside, mapped=mapped) if read is None else read(stored)[inside]
            array[relative(shared, box)] = part_of
        return array

    def _assemble_picked(self, entry: Entry, box: Ranges, picked: Picked) -> Array:
        """Return some of a box of a partitioned tensor, from the slices that hold any of it."""
        import numpy as np

        touched = self._touched(entry, box, picked)
        array = shaped(entry.name, lambda: np.empty(shape_of(picked.of(box)), entry.dtype))
        for part, stored, shared in touched:
            chosen, own = picked.inside(part)
            values = self.read_picked(stored, own.within(relative(shared, part)), own)
            array[along(relative(shared, box), picked.axis, chosen)] = values
        return array

    def _touched(self, entry: Entry, box: Ranges, picked: Picked | None = None) -> list[tuple[Ranges, Entry, Ranges]]:
        """Return the slices that hold something of a box: where each lies, its entry, and what they share."""
        parts = [(part, stored, intersection(part, box)) for part, stored in self.slices(entry)]
        touched = [
            (part, stored, shared)
            for part, stored, shared in parts
            if shared is not None and (picked is None or len(picked.inside(part)[1].ids))
        ]
        for _, stored, _ in touched:
            self._file(stored)  # the bytes are there: an index that lies makes nobody allocate what it claims
        self.check_sharing(stored for _, stored, _ in touched)  # and it does not claim the same ones for many slices
        return touched


def _open_data(path: str, place: str) -> Input:
    try:
        return open_input(path, place=place, readahead=DATA_READAHEAD)
    except CheckpointNotFoundError as error:
        from tfckpt.storage.renamed import renamed_files  # what is whole needs none of its patterns

        told, remedy = renamed_files(strip_suffix(path)) or ("the download or copy is incomplete", looking(path))
        raise remedied(CheckpointNotFoundError(f"{error}; the index names this file: {told}"), remedy) from None


def _explain_index(error: FormatError, index: Input) -> None:
    from tfckpt.storage.sniff import BROKEN_INDEX, INDEX, explain, kind_in  # what is whole needs none of its patterns

    error.hint = error.hint or BROKEN_INDEX
    with suppress(TfckptError):
        explain(error, kind_in(index), INDEX, index.path)
