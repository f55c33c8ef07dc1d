"""Writes one bundle, byte for byte as TensorFlow's SaveV2 does for the same tensors in the same order.

Strategy: tensor bytes go to temporary shards as they come, densely; entries are kept, and the index, sorted, is written
and renamed last. How many shards there are is known at the end, so they get their names then. Bytes that lie in a file get a
place when they are added, and are carried there later, by all cores.
Source: tensorflow/core/util/tensor_bundle/tensor_bundle.cc, class BundleWriter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from types import TracebackType
from typing import TYPE_CHECKING

from tfckpt._proto.types_pb2 import DataType
from tfckpt.base.arguments import whole_number
from tfckpt.base.issues import Issue
from tfckpt.bundle.carry import Count, Run, StoredBytes, Where, carry
from tfckpt.bundle.values.arrays import encode_array
from tfckpt.bundle.values.dtypes import is_sliceable
from tfckpt.bundle.values.entry import HEADER_KEY, Entry, Header, decode_name, encode_name
from tfckpt.bundle.values.slices import TensorSlice, brackets, shape_of, whole
from tfckpt.errors import CheckpointExistsError, UnsupportedError, UsageError
from tfckpt.sstable.checksum import crc32c, mask
from tfckpt.sstable.writer import TableBuilder
from tfckpt.storage import files
from tfckpt.storage.commit import FileSet, existing_files
from tfckpt.storage.local_output import OutputFile, SharedFile
from tfckpt.storage.paths import index_path, shard_path

if TYPE_CHECKING:
    import numpy.typing as npt

Chunk = bytes | memoryview  # of single bytes
LONG = 1 << 26  # bytes that take the disk long enough to have it begin before all are written


class BundleWriter:
    """A bundle that appears under ``prefix`` when `finish` is called, and not at all if the block fails.

    Args:
        prefix: the exact prefix of the files.
        overwrite: replace a bundle that is already there.
        sync: return from `finish` only when the files have reached the disk.
        big_endian: byte order of the tensors' bytes; the index is the same.
        max_shard_size: bytes; a tensor that would make a shard larger opens the next one. A tensor larger than that by itself
            is cut along its first axis, if TensorFlow can read slices of its dtype and rank.
        progress: called with the number of bytes that were written since the last call.
        stream: write all bytes one after another as they come, in this thread: the simple way, and the slow one.
    Raises: CheckpointExistsError, StorageError, also if another process is writing the prefix; UsageError.
    """

    def __init__(
        self,
        prefix: str,
        *,
        overwrite: bool = False,
        sync: bool = True,
        big_endian: bool = False,
        max_shard_size: int | None = None,
        progress: Count | None = None,
        stream: bool = False,
    ) -> None:
        if max_shard_size is not None:
            max_shard_size = whole_number("maximum shard size", max_shard_size, " byte")
        self.prefix, self.big_endian = prefix, big_endian
        self._max_shard_size = max_shard_size
        self._entries: dict[bytes, Entry] = {}
        self._finished = False
        self._sync, self._progress, self._stream = sync, progress, stream
        self._files = FileSet(prefix, sync=sync)
        self._shared: list[SharedFile] = []
        self._shards: list[files.Output] = []
        self._waiting: list[Run] = []
        self._unknown: dict[bytes, Where] = {}  # keys of entries without a checksum, and where their bytes lie
        try:
            check_free(prefix, overwrite=overwrite)
            self.next_shard()
        except BaseException:
            self._files.discard()
            raise

    def __enter__(self) -> BundleWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._files.discard()

    def next_shard(self) -> None:
        """End the current data file: what is added from now on goes into another."""
        if self._shards:
            self._carry_waiting()
            self._files.seal(self._shards[-1])
        number = len(self._shards)  # the last one, as far as is known
        self._shards.append(self._files.create(shard_path(self.prefix, number, number + 1)))

    def share(self, sources: Sequence[files.Source], *, how: str) -> None:
        """Begin with data files that share the bytes of ``sources``, as ``how`` says: `refer` names tensors in them.

        Raises: UnsupportedError if the file systems cannot.
        """
        assert not self._entries, self.prefix
        try:
            for number, source in enumerate(sources):
                self._shared.append(self._files.share(shard_path(self.prefix, number, len(sources)), source, how=how))
        except UnsupportedError:
            while self._shared:
                self._files.drop(self._shared.pop())
            raise

    def refer(self, name: str, shape: tuple[int, ...], stored: Entry) -> None:
        """Add an entry over bytes that lie in a shared data file; ``stored`` is the source's entry for them.

        Raises: UsageError if the name is taken.
        """
        assert stored.shard < len(self._shared), stored
        key = encode_name(name)
        self._check_name(key)
        where = stored.shard, stored.offset, stored.nbytes, stored.crc32c
        self._entries[key] = Entry(name, stored.data_type, shape, *where)

    def extend_to(self, count: int) -> None:
        """End data files until there are at least ``count``, the current one included."""
        while len(self._shards) < count:
            self.next_shard()

    def add(self, name: str, value: npt.ArrayLike, data_type: DataType | None = None) -> None:
        """Append a tensor; ``data_type`` tells what NumPy cannot: quantized integers from plain ones, variants from strings.

        Raises: UnsupportedError if NumPy's dtype has no TensorFlow counterpart; UsageError if the name is taken.
        """
        data_type, shape, stored, crc = encode_array(name, value, data_type, big_endian=self.big_endian)
        self.carry(name, data_type, shape, [stored], len(stored), crc)

    def add_slice(
        self,
        name: str,
        shape: tuple[int, ...],
        part: TensorSlice,
        value: npt.ArrayLike,
        data_type: DataType | None = None,
    ) -> None:
        """Append one slice of the partitioned tensor ``name``, whose whole shape is ``shape``.

        Raises: as `carry_slice`; UnsupportedError.
        """
        data_type, got, stored, crc = encode_array(name, value, data_type, big_endian=self.big_endian)
        assert got == shape_of(part.within(shape)), (got, part, shape)
        self.carry_slice(name, data_type, shape, part, [stored], len(stored), crc)

    def carry(
        self,
        name: str,
        data_type: DataType,
        shape: tuple[int, ...],
        chunks: Iterable[Chunk],
        nbytes: int,
        crc: int | None,
    ) -> None:
        """Append a tensor from its stored bytes, in this bundle's byte order.

        ``crc`` is their masked checksum, which is believed; None if it is to be computed from the bytes of a numeric tensor,
        on the way.
        """
        most = self._max_shard_size
        if most is not None and nbytes > most and is_sliceable(data_type, len(shape)):
            self._cut(name, data_type, shape, chunks, nbytes, most)
        else:
            self._put(encode_name(name), data_type, shape, chunks, nbytes, crc)

    def alias(self, name: str, shape: tuple[int, ...], *, of: str) -> None:
        """Add an entry over the bytes that are already written under another name: one tensor, in two shapes perhaps.

        Raises: UsageError if ``of`` is not written, or in slices, or has another number of elements; if the name is taken.
        """
        entry = self._entries.get(encode_name(of))
        if entry is None or entry.slices or math.prod(shape) != entry.size:
            got = "none" if entry is None else f"{list(entry.shape)}" + (" in slices" if entry.slices else "")
            raise UsageError(f"tensor {name!r} {list(shape)} of {of!r}: expected a whole one of that size, got {got}")
        key = encode_name(name)
        self._check_name(key)
        self._entries[key] = entry._replace(name=name, shape=shape)
        if encode_name(of) in self._unknown:
            self._unknown[key] = self._unknown[encode_name(of)]

    def holds_whole(self, name: str) -> bool:
        """Whether a tensor is written, and not in slices: `alias` takes it."""
        entry = self._entries.get(encode_name(name))
        return entry is not None and not entry.slices

    def carry_slice(
        self,
        name: str,
        data_type: DataType,
        shape: tuple[int, ...],
        part: TensorSlice,
        chunks: Iterable[Chunk],
        nbytes: int,
        crc: int | None,
    ) -> None:
        """Append one slice of a partitioned tensor from its stored bytes, as `carry` does. A slice that is all of it is none.

        Raises: FormatError if the slice leaves ``shape``; UsageError if it is there already, or of another tensor.
        """
        key, box = encode_name(name), part.within(shape)
        if box == whole(shape):
            self._put(key, data_type, shape, chunks, nbytes, crc)
            return
        full = self._entries.get(key)
        if full is not None and ((full.data_type, full.shape) != (data_type, shape) or not full.slices):
            raise UsageError(f"slice of tensor {name!r}: it is already written, with another dtype or shape or whole")
        if part.key(key) in self._entries:
            raise UsageError(f"slice {brackets(box)} of tensor {name!r}: already written")
        self._put(part.key(key), data_type, shape_of(box), chunks, nbytes, crc)
        if full is None:
            full = Entry(name, data_type, shape, self._number, 0, 0, 0)
        self._entries[key] = full._replace(slices=(*full.slices, part))

    def arrange(self, name: str, slices: Sequence[TensorSlice], shard: int | None) -> None:
        """Say how the entry of a partitioned tensor, all written, lists its slices, and which file it names.

        Neither has a meaning, but both are bytes of the index. Unless told, it is the order of writing, and the first one's.
        """
        key = encode_name(name)
        full = self._entries[key]
        assert sorted(full.slices, key=repr) == sorted(slices, key=repr), (full.slices, slices)
        self._entries[key] = full._replace(slices=tuple(slices), shard=full.shard if shard is None else shard)

    def finish(self, *, check: Callable[[], None] | None = None) -> None:
        """Carry what waits, write the index and give all files their names, the index last.

        Args:
            check: raises if the sources of what was carried have changed; called when nothing has a name yet.
        Raises: ChecksumError, FormatError, StorageError; UsageError the second time.
        """
        self._check_unfinished()
        self._carry_waiting()
        if self._shared and not self._data.offset:
            self._files.drop(self._shards.pop())
        if check is not None:
            check()
        self._files.commit([*self._shared, *self._shards], self._write_index)
        self._finished = True

    def _write_index(self, num_shards: int) -> files.Output:
        index = self._files.create(index_path(self.prefix))
        table = TableBuilder(index.write)
        table.add(HEADER_KEY, Header(num_shards, self.big_endian).encode())
        for key in sorted(self._entries):
            table.add(key, self._entries[key].encode())
        table.finish()
        return index

    def _put(
        self,
        key: bytes,
        data_type: DataType,
        shape: tuple[int, ...],
        chunks: Iterable[Chunk],
        nbytes: int,
        crc: int | None,
    ) -> None:
        """Append bytes to the shard, and their entry to the index."""
        self._check_name(key)
        if self._max_shard_size is not None and self._data.offset and self._data.offset + nbytes > self._max_shard_size:
            self.next_shard()
        data = self._data
        offset = data.offset
        may_wait = not self._stream and (crc is not None or nbytes)
        if may_wait and isinstance(chunks, StoredBytes) and isinstance(data, OutputFile):  # stores take bytes in order
            data.reserve(nbytes)
            self._waiting.append(chunks.to_run(data.temporary, data.path, offset))
            if crc is None:
                self._unknown[key] = chunks.where
                crc = 0
        else:
            crc = self._append(data, chunks, crc)
        name = decode_name(key)
        assert data.offset - offset == nbytes, (name, nbytes)
        self._entries[key] = Entry(name, data_type, shape, self._number, offset, nbytes, crc)

    def _append(self, data: files.Output, chunks: Iterable[Chunk], crc: int | None) -> int:
        """Write chunks at the end of a shard; return their masked checksum, which is computed unless it is given."""
        computed = 0
        for chunk in chunks:
            if crc is None:
                computed = crc32c(chunk, computed)
            data.write(chunk)
            if self._progress is not None:
                self._progress(len(chunk))
        return mask(computed) if crc is None else crc

    def _carry_waiting(self) -> None:
        """Have the bytes carried that got a place in the current shard."""
        waiting, self._waiting = self._waiting, []
        long, data = sum(run.nbytes for run in waiting) > LONG, self._data
        with data.syncing() if self._sync and long and isinstance(data, OutputFile) else nullcontext():
            checksums = carry(waiting, progress=self._progress)
        for key, where in self._unknown.items():
            self._entries[key] = self._entries[key]._replace(crc32c=checksums[where])
        self._unknown.clear()

    def _check_name(self, key: bytes) -> None:
        self._check_unfinished()
        if key == HEADER_KEY or key in self._entries:
            raise UsageError(
                f"tensor name {decode_name(key)!r}: " + ("already written" if key else "must not be empty")
            )

    def _check_unfinished(self) -> None:
        if self._finished:
            raise UsageError(f"{self.prefix}: already written, by this writer")

    def _cut(
        self, name: str, data_type: DataType, shape: tuple[int, ...], chunks: Iterable[Chunk], nbytes: int, most: int
    ) -> None:
        """Append a tensor as slices of whole rows, each of at most ``most`` bytes if a row is no more."""
        row = nbytes // shape[0]
        rows = max(1, most // row)
        stream = _Stream(chunks)
        for start in range(0, shape[0], rows):
            box = (slice(start, min(start + rows, shape[0])), *whole(shape[1:]))
            size = row * (box[0].stop - start)
            self.carry_slice(name, data_type, shape, TensorSlice.of(box, shape), stream.take(size), size, None)
        stream.finish()

    @property
    def _data(self) -> files.Output:
        return self._shards[-1]

    @property
    def _number(self) -> int:
        return len(self._shared) + len(self._shards) - 1


class _Stream:
    """Bytes that come in chunks, taken in other portions."""

    def __init__(self, chunks: Iterable[Chunk]) -> None:
        self._chunks = iter(chunks)
        self._rest = memoryview(b"")

    def take(self, nbytes: int) -> Iterator[memoryview]:
        """Yield the next ``nbytes``."""
        while nbytes:
            self._rest = self._rest or memoryview(next(self._chunks))
            piece, self._rest = self._rest[:nbytes], self._rest[nbytes:]
            nbytes -= len(piece)
            yield piece

    def finish(self) -> None:
        """Let the source run to its end, where it compares its checksum."""
        assert not self._rest
        assert next(self._chunks, None) is None


def check_free(prefix: str, *, overwrite: bool) -> None:
    """Raise CheckpointExistsError if ``prefix`` holds a bundle, or a part of one, that may not be overwritten."""
    if not overwrite and (taken := existing_files(prefix)):
        raise CheckpointExistsError(Issue("taken", prefix, got=f" ({taken[0]})"))
