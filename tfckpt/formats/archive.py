"""A file of tensors of another program, opened for reading: a source of which each tensor is a range of bytes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tfckpt._proto.types_pb2 import DataType
from tfckpt.bundle.carry import Count, StoredBytes, carry
from tfckpt.bundle.values.arrays import shaped, swap
from tfckpt.bundle.values.dtypes import dtype_name, item_size, numpy_dtype
from tfckpt.bundle.values.entry import Entry, encode_name
from tfckpt.bundle.values.slices import TensorSlice
from tfckpt.errors import FormatError, UnsupportedError
from tfckpt.formats.container import NO_NOTE
from tfckpt.formats.dtypes import NAMELESS, WRITTEN_AS
from tfckpt.formats.npy import Header, strings_in
from tfckpt.storage.files import Input, Source

if TYPE_CHECKING:
    from tfckpt.bundle.values.arrays import Array
    from tfckpt.checkpoint.graph.object_graph import ObjectGraph

# A compressed array that must be held whole may be so much larger than what is stored of it, or this large in any case.
MAX_INFLATION = 64
FREE_NBYTES = 1 << 26


class Member(NamedTuple):
    """One tensor of an archive."""

    name: str
    data_type: DataType  # what it becomes
    header: Header  # what the file holds
    stored_nbytes: int  # what that takes there
    chunks: Callable[[], Iterable[bytes]]  # its bytes as they are, in order, in pieces of whole elements

    @property
    def stored(self) -> StoredBytes | None:
        """The bytes where they lie in a file, if a bundle would store the same."""
        if not self.is_streamed or (
            self.data_type not in NAMELESS and self.header.dtype != numpy_dtype(self.data_type)
        ):
            return None
        chunks = self.chunks()
        return chunks if isinstance(chunks, StoredBytes) else None

    @property
    def is_streamed(self) -> bool:
        """Whether pieces can be taken as they come: numbers in row-major order."""
        return self.header.dtype.kind not in "SU" and not (self.header.is_fortran and len(self.header.shape) > 1)

    def stream(self) -> Iterator[Array]:
        """Yield the values in row-major order as one-dimensional arrays of the tensor's dtype.

        Raises: FormatError if the file ends before, or a number does not fit the dtype that is noted; StorageError.
        """
        if not self.is_streamed:
            yield self.read().reshape(-1)
            return
        for chunk in self.chunks():
            yield self._convert(np.frombuffer(chunk, self.header.dtype))

    def read(self) -> Array:
        """Return all values.

        Raises: as `stream`; FormatError also if they are compressed far below what an array of them would take.
        """
        header = self.header
        most = max(FREE_NBYTES, MAX_INFLATION * self.stored_nbytes)
        if header.nbytes > most:
            expected = f"an array of at most {most:,} bytes, since it cannot be read in pieces"
            raise FormatError(f"tensor {self.name!r}", expected=expected, got=f"{header.nbytes:,}")
        flat = np.frombuffer(b"".join(self.chunks()), header.dtype)
        array: Array = shaped(self.name, lambda: flat.reshape(header.shape, order="F" if header.is_fortran else "C"))
        if header.dtype.kind in "SU":
            return strings_in(array)
        return self._convert(np.ascontiguousarray(array).reshape(header.shape))

    def _convert(self, values: Array) -> Array:
        """Return values in the machine's byte order and the tensor's dtype."""
        if values.dtype.byteorder == ">":
            values = swap(values).view(values.dtype.newbyteorder("="))
        dtype = numpy_dtype(self.data_type)
        if self.data_type in NAMELESS:
            return values.view(dtype)
        if values.dtype == dtype:
            return values
        converted = values.astype(dtype)
        if (converted.astype(values.dtype) != values).any():
            expected = f"numbers that {dtype_name(self.data_type)} holds, as is noted beside it"
            raise FormatError(f"tensor {self.name!r}", expected=expected, got=f"others in {values.dtype}")
        return converted


class Archive:
    """The tensors of one file, or of a directory of files: a `TensorSource`.

    Args:
        path: of it.
        members: its tensors.
        metadata: what the file says of itself besides.
        check: raises if the file has changed since it was opened.
        close: closes it.
    """

    object_graph: ObjectGraph | None = None  # none of these files has one

    def __init__(
        self,
        path: str,
        members: Iterable[Member],
        *,
        metadata: Mapping[str, Any] = NO_NOTE,
        check: Callable[[], None],
        close: Callable[[], None],
    ) -> None:
        self.prefix = path
        self.members: Mapping[str, Member] = {m.name: m for m in sorted(members, key=lambda m: encode_name(m.name))}
        self.metadata, self.check_unchanged, self.close = metadata, check, close

    def entries(self) -> list[Entry]:
        """Return what is known of each tensor, sorted by name; places mean nothing."""
        return [_entry(member) for member in self.members.values()]

    def __iter__(self) -> Iterator[str]:
        return iter(self.members)

    def entry(self, name: str) -> Entry | None:
        """Return one tensor's entry, or None."""
        return _entry(self.members[name]) if name in self.members else None

    def read(self, entry: Entry, *, verify: bool, mapped: bool = False) -> Array:
        """Return a tensor's values; see `Member.read`."""
        return self.members[entry.name].read()

    def stream(self, entry: Entry, *, verify: bool) -> Iterator[Array]:
        """Yield a tensor's values; see `Member.stream`."""
        return self.members[entry.name].stream()

    def stored_bytes(self, entry: Entry, *, verify: bool, big_endian: bool) -> StoredBytes | None:
        """Return a tensor's bytes in the file, if a bundle of that byte order would store the same; None if not."""
        return None if big_endian else self.members[entry.name].stored

    def pieces(self, entry: Entry) -> list[tuple[TensorSlice | None, Entry]]:
        """Return the tensor itself: none is stored in slices."""
        return [(None, entry)]

    def why_unshared(self, entries: Iterable[Entry]) -> str:
        """Return why no file can be a data file of a bundle; empty if one can."""
        return "" if self.data_files(entries) else "no tensor lies in it as a checkpoint stores it"

    def data_files(self, entries: Iterable[Entry]) -> list[Source]:
        """Return the files in which these tensors lie as a bundle would store them: one, or one for each array."""
        stored = (self.members[entry.name].stored for entry in entries)
        return list({item.file.path: item.file for item in stored if item is not None}.values())

    def checksums(self, entries: Sequence[Entry], *, verify: bool, count: Count | None) -> list[int]:
        """Compute the masked checksums of tensors, on all cores: no such file has any."""
        found = [self.members[entry.name].stored for entry in entries]
        stored = [item for item in found if item is not None]
        assert len(stored) == len(entries)
        computed = carry((item.to_run() for item in stored), progress=count)
        return [computed[item.where] for item in stored]

    def check(self, entries: Sequence[Entry], *, verify: bool) -> None:
        """Do nothing: headers were compared with the size of the file when it was opened."""


def _entry(member: Member) -> Entry:
    header, nbytes = member.header, member.header.nbytes
    if header.dtype.kind not in "SU":
        nbytes = math.prod(header.shape) * item_size(member.data_type)
    return Entry(member.name, member.data_type, header.shape, 0, 0, nbytes, 0)


def plain_member(name: str, data_type: DataType, shape: tuple[int, ...], file: Input, offset: int) -> Member:
    """Return a tensor that lies in a file as TensorFlow stores it."""
    dtype = numpy_dtype(data_type)
    if data_type in NAMELESS:
        dtype = np.dtype(f"V{dtype.itemsize}")
    header = Header(dtype, shape, False, math.prod(shape) * dtype.itemsize, 0)
    stored = StoredBytes(name, file, offset, header.nbytes)
    return Member(name, data_type, header, header.nbytes, lambda: stored)


def noted_type(name: str, form: DataType, noted: str | None, names: Mapping[str, DataType]) -> DataType:
    """Return the dtype that a tensor is noted to have had, if it is written as ``form``.

    Raises: FormatError; UnsupportedError for a dtype that is none of TensorFlow's.
    """
    if noted is None:
        return form
    if noted not in names:
        raise UnsupportedError(f"tensor {name!r}: no dtype {noted!r} is known")
    data_type = names[noted]
    if WRITTEN_AS.get(data_type, data_type) != form:
        raise FormatError(f"dtype of tensor {name!r}", expected=f"one that holds {noted}", got=dtype_name(form))
    return data_type
