"""Reads a V1 checkpoint: one table, or shards of it, in which every value is a SavedTensorSlices message.

    ""             meta    every tensor's name, dtype and shape, and the slices of it that lie in this file
    slice key      data    the values of one slice, which may be all of its tensor

Strategy: opening reads each file's meta; a tensor is put together from its slices, wherever they lie. There are no
checksums but those of the table's blocks, which the table checks whenever it reads one.
Source: tensorflow/core/util/saved_tensor_slice.proto; tensorflow/core/util/tensor_slice_reader.cc, tensor_slice_set.cc.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from google.protobuf.message import DecodeError

from tfckpt._proto.saved_tensor_slices_pb2 import SavedSlice, SavedSliceMeta, SavedTensorSliceMeta, SavedTensorSlices
from tfckpt._proto.types_pb2 import DataType
from tfckpt.bundle.carry import Count, Damage, StoredBytes
from tfckpt.bundle.listing import once
from tfckpt.bundle.v1.files import check_complete
from tfckpt.bundle.v1.values import FIELDS, decode_values
from tfckpt.bundle.values.arrays import shaped
from tfckpt.bundle.values.dtypes import dtype_name
from tfckpt.bundle.values.entry import HEADER_KEY, Entry, check_version, decode_name, encode_name, read_shape
from tfckpt.bundle.values.slices import (
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
from tfckpt.errors import FormatError, TfckptError, located
from tfckpt.sstable.reader import ReadAt, Table
from tfckpt.storage.files import Input, open_input
from tfckpt.storage.forks import ThreadLock
from tfckpt.storage.paths import V1, v1_paths

if TYPE_CHECKING:
    from tfckpt.bundle.values.arrays import Array
    from tfckpt.sstable.recover import RecoveredTable

READAHEAD = 1 << 17  # bytes that one request brings of a remote file, where blocks are read


@dataclass(frozen=True, slots=True)
class _Tensor:
    """What the metas of all files say of one tensor."""

    name: str
    data_type: DataType
    shape: tuple[int, ...]
    nbytes: int  # of its values; 0 for strings
    shard: int  # the file that named it first
    parts: list[tuple[TensorSlice, int]] = field(default_factory=list)  # each slice, and the file that holds it

    @property
    def kind(self) -> str:
        return f"{dtype_name(self.data_type)}{list(self.shape)}"

    def to_entry(self) -> Entry:
        slices = tuple(tensor_slice for tensor_slice, _ in self.parts)
        if len(slices) == 1 and slices[0].is_full(self.shape):
            slices = ()
        return Entry(self.name, self.data_type, self.shape, self.shard, 0, self.nbytes, 0, slices)


class V1Reader:
    """The files of one V1 checkpoint, opened for reading; safe to share between threads.

    Args:
        prefix: the path of the one file, or the pattern of its shards: ``export-?????-of-00003``.
        paths: those of the files that are to be read, if not all of them are.
        table: opens a file, from a function that reads it, its size and its path.
    Raises: CheckpointNotFoundError, which names missing shards; FormatError, ChecksumError, UnsupportedError.
    """

    format = V1

    def __init__(
        self,
        prefix: str,
        paths: Sequence[str] | None = None,
        table: Callable[[ReadAt, int, str], Table | RecoveredTable] = Table,
    ) -> None:
        self.prefix = prefix
        self._reading = ThreadLock()  # of the list of tensors
        self._files: list[Input] = []
        self._tables: list[Table | RecoveredTable] = []
        self._tensors: dict[str, _Tensor] = {}
        if paths is None:
            check_complete(prefix)
        try:
            for shard, path in enumerate(v1_paths(prefix) if paths is None else paths):
                self._files.append(open_input(path, readahead=READAHEAD))
                self._tables.append(table(self._files[-1].read_at, self._files[-1].size, path))
                self._add_tensors(shard)
        except BaseException as error:
            if isinstance(error, FormatError) and self._files:
                _explain(error, self._files[-1])
            self.close()
            raise

    @property
    def num_shards(self) -> int:
        """Number of files."""
        return len(self._files)

    @property
    def big_endian(self) -> bool:
        """Whether values are stored in the byte order of big-endian machines: never."""
        return False

    @property
    def stored(self) -> dict[bytes, Entry]:
        """Every tensor's entry by its name in bytes."""
        return {encode_name(name): entry for name, entry in self.entries.items()}

    @once
    def entries(self) -> dict[str, Entry]:
        """Every tensor's entry, by name, in key order: the shard is the first that names it, offset and checksum are 0.

        The length of strings is 0, too: it is known only when they are read.
        """
        return {name: self._tensors[name].to_entry() for name in sorted(self._tensors, key=encode_name)}

    def entry(self, name: str) -> Entry | None:
        """Return one tensor's entry, or None."""
        return self.entries.get(name)

    def read(self, entry: Entry, *, verify: bool, mapped: bool = True) -> Array:
        """Return the values of a tensor or a piece, in a fresh array and always from blocks whose checksums were compared."""
        if entry.shape != self._tensors[entry.name].shape:  # a piece, of which its one slice is all
            return self._slice(self._tensors[entry.name], entry.slices[0], entry.shard)
        return self.read_box(entry, whole(entry.shape))

    def read_box(self, entry: Entry, box: Ranges, *, mapped: bool = True) -> Array:
        """Return a box of a tensor; reads all of each slice that it touches."""
        tensor = self._tensors[entry.name]
        values = [
            (part, shared, self._slice(tensor, tensor_slice, shard))
            for part, tensor_slice, shard in self._parts(tensor)
            if (shared := intersection(part, box)) is not None or not entry.slices
        ]
        if len(values) == 1 and not entry.slices:
            return values[0][2][box] if box else values[0][2]  # indexing a scalar would take the element out
        array = shaped(tensor.name, lambda: np.empty(shape_of(box), entry.dtype))
        for part, shared, part_values in values:
            assert shared is not None
            array[relative(shared, box)] = part_values[relative(shared, part)]
        return array

    def read_picked(self, entry: Entry, box: Ranges, picked: Picked) -> Array:
        """Return of a box what is wanted along one axis; reads all of each slice that holds some of it, once."""
        if not len(picked.ids) or 0 in shape_of(box):
            return self.read_box(entry, picked.of(box))
        tensor, found = self._tensors[entry.name], []
        for part, tensor_slice, shard in self._parts(tensor):
            shared, (chosen, own) = intersection(part, box), picked.inside(part)
            if shared is not None and len(own.ids):
                values = self._slice(tensor, tensor_slice, shard)[own.within(relative(shared, part))]
                where = along(relative(shared, box), picked.axis, chosen)
                found.append((where, values.take(own.ids - own.ids[0], picked.axis)))
        array = shaped(tensor.name, lambda: np.empty(shape_of(picked.of(box)), entry.dtype))
        for where, values in found:
            array[where] = values
        return array

    def pieces(self, entry: Entry) -> list[tuple[TensorSlice | None, Entry]]:
        """Return what can be read of a tensor one by one: all of it, put together; its slices if some are missing."""
        tensor = self._tensors[entry.name]
        boxes = [(part, part.within(entry.shape), shard) for part, shard in tensor.parts]
        if sum(math.prod(shape_of(box)) for _, box, _ in boxes) >= entry.size:
            return [(None, entry)]
        nbytes = entry.nbytes // entry.size  # which is not zero: there is more than the boxes have
        return [
            (
                part,
                entry._replace(
                    shape=shape_of(box), shard=shard, nbytes=nbytes * math.prod(shape_of(box)), slices=(part,)
                ),
            )
            for part, box, shard in boxes
        ]

    def stores_as_written(self, entry: Entry, *, big_endian: bool = False) -> bool:
        """Whether the stored bytes are what a writer of ours would write: they are messages, so never."""
        return False

    def chunks(self, entry: Entry, *, verify: bool) -> StoredBytes:
        """Never called: `stores_as_written` is false."""
        raise AssertionError(entry)

    def verify(self, entry: Entry) -> None:
        """Read all of a tensor, which compares the checksums of its blocks.

        Raises: ChecksumError, FormatError.
        """
        tensor = self._tensors[entry.name]
        for _, tensor_slice, shard in self._parts(tensor):
            self._slice(tensor, tensor_slice, shard)

    def find_damage(self, entries: Iterable[Entry], *, progress: Count | None = None) -> list[Damage]:
        """Read many tensors; return what is damaged."""
        return [damage for entry in entries if (damage := self._damage(entry, progress)) is not None]

    def compare(self, entries: Iterable[Entry], *, progress: Count | None = None) -> None:
        """Read many tensors.

        Raises: ChecksumError, FormatError, StorageError, of the first damaged one.
        """
        if damage := self.find_damage(entries, progress=progress):
            raise damage[0].error

    def data_files(self) -> list[Input]:
        """Return the files, in the order of their numbers."""
        return list(self._files)

    def check_sharing(self, entries: Iterable[Entry]) -> None:
        """Do nothing: every slice has a message of its own."""

    def places(self, entry: Entry) -> list[tuple[str, str, tuple[int, int] | None, Callable[[], Array]]]:
        """Return, for each slice of a tensor, its box, its file, the byte range of its block, and what reads it.

        A tensor in one piece has an empty box. The range is None if the block is not known.
        Raises: FormatError if the slices do not hold each element once.
        """
        tensor = self._tensors[entry.name]
        key = encode_name(entry.name)
        return [
            (
                brackets(box) if entry.slices else "",
                self._files[shard].path,
                self._tables[shard].span(part.key(key)),
                partial(self._slice, tensor, part, shard),
            )
            for box, part, shard in self._parts(tensor)
        ]

    def check_files(self) -> None:
        """Do nothing: whoever opens a table has found its end."""

    def explain(self, error: TfckptError) -> bool:
        """Return False: a file that is something else has no list of tensors, and was not opened."""
        return False

    def check_unchanged(self) -> None:
        """Raise StorageError if a file has changed since it was opened, or has lost its name."""
        for file in self._files:
            file.check_unchanged()

    def close(self) -> None:
        """Close the files. Arrays that were read stay valid."""
        for file in self._files:
            file.close()

    def _damage(self, entry: Entry, progress: Count | None) -> Damage | None:
        try:
            self.verify(entry)
        except TfckptError as error:
            return Damage(entry.name, self._files[entry.shard].path, entry.offset, entry.nbytes, error)
        if progress is not None:
            progress(entry.nbytes)
        return None

    def _add_tensors(self, shard: int) -> None:
        """Add what one file's meta says to what the files before it said."""
        table = self._tables[shard]
        value = table.get(HEADER_KEY)
        if value is None:
            expected = "a V1 checkpoint's list of tensors under the empty key"
            raise FormatError("header", path=table.path, expected=expected, got="none")
        with table.in_block(HEADER_KEY):
            meta = _parse_meta(value)
        for proto in meta.tensor:
            with table.in_block(HEADER_KEY, f" of tensor {decode_name(proto.name)!r}"):
                found = _parse_tensor(proto, shard)
                tensor = self._tensors.setdefault(found.name, found)
                if tensor.kind != found.kind:
                    expected = f"{tensor.kind}, as in {self._files[tensor.shard].path}"
                    raise FormatError("dtype and shape", expected=expected, got=found.kind)
                tensor.parts.extend((TensorSlice.parse(s), shard) for s in proto.slice)

    def _parts(self, tensor: _Tensor) -> list[tuple[Ranges, TensorSlice, int]]:
        """Return the box of each slice, the slice and its file, once all are known to hold each element once."""
        parts = []
        for tensor_slice, shard in tensor.parts:
            with self._tables[shard].in_block(HEADER_KEY, f" of tensor {tensor.name!r}"):
                parts.append((tensor_slice.within(tensor.shape), tensor_slice, shard))
        with located(self.prefix):
            check_cover(tensor.name, tensor.shape, [box for box, _, _ in parts])
        return parts

    def _slice(self, tensor: _Tensor, tensor_slice: TensorSlice, shard: int) -> Array:
        """Return the values of one slice."""
        table, key = self._tables[shard], tensor_slice.key(encode_name(tensor.name))
        box = tensor_slice.within(tensor.shape)
        what = f" of slice {brackets(box)} of tensor {tensor.name!r}"
        value = table.get(key)
        if value is None:
            raise FormatError(f"values{what}", path=table.path, expected=f"an entry under {key!r}", got="none")
        with table.in_block(key, what):
            saved = _parse_data(value, tensor.name, tensor_slice)
            shape = shape_of(box)
            values = decode_values(saved.data, tensor.data_type, math.prod(shape))
        return shaped(tensor.name, lambda: values.reshape(shape))


def _explain(error: FormatError, file: Input) -> None:
    """Say in the error of a file that cannot be opened what it is, if it is something else."""
    from tfckpt.storage.sniff import OLD, explain, kind_in  # what is whole needs none of its patterns

    with suppress(TfckptError):
        explain(error, kind_in(file), OLD, file.path)


def _parse(value: bytes) -> SavedTensorSlices:
    try:
        return SavedTensorSlices.FromString(value)
    except DecodeError:
        raise FormatError("message", expected="SavedTensorSlices", got=value[:16].hex(" ")) from None


def _parse_meta(value: bytes) -> SavedTensorSliceMeta:
    """Read the value of the empty key; 2016's have no versions."""
    proto = _parse(value)
    if not proto.HasField("meta"):
        hint = "an index of a V2 checkpoint has its header there; its name must end in .index"
        raise FormatError("header", expected="a SavedTensorSliceMeta", got=value[:16].hex(" ") or "nothing", hint=hint)
    check_version(proto.meta.versions, "V1 checkpoint")
    return proto.meta


def _parse_tensor(proto: SavedSliceMeta, shard: int) -> _Tensor:
    """Read what a meta says of one tensor, its slices excepted."""
    if proto.type not in FIELDS:
        raise FormatError("dtype", expected="a dtype number that V1 checkpoints can hold", got=proto.type)
    shape, nbytes = read_shape(proto.type, proto.shape)
    return _Tensor(decode_name(proto.name), proto.type, shape, nbytes or 0, shard)


def _parse_data(value: bytes, name: str, tensor_slice: TensorSlice) -> SavedSlice:
    """Read the value of a slice's key."""
    proto = _parse(value)
    if not proto.HasField("data"):
        raise FormatError("message", expected="a SavedSlice", got=value[:16].hex(" ") or "nothing")
    if proto.data.name != encode_name(name):
        raise FormatError("name", expected=repr(name), got=repr(decode_name(proto.data.name)))
    if (found := TensorSlice.parse(proto.data.slice)) != tensor_slice:
        raise FormatError("extents", expected=list(tensor_slice.extents), got=list(found.extents))
    return proto.data
