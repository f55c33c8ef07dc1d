"""A file of tensors, opened for reading: what a plan is made from, and the values piece by piece."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tfckpt._proto.types_pb2 import DataType
from tfckpt.bundle.values.arrays import shaped, swap
from tfckpt.bundle.values.dtypes import dtype_name, item_size, numpy_dtype
from tfckpt.bundle.values.entry import Entry, encode_name
from tfckpt.errors import FormatError, UnsupportedError
from tfckpt.formats.dtypes import NAMELESS, WRITTEN_AS
from tfckpt.formats.npy import Header, strings_in

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
    chunks: Callable[[], Iterator[bytes]]  # its bytes as they are, in order, in pieces of whole elements

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
    """The tensors of one file, or of a directory of files.

    Args:
        path: of it.
        members: its tensors.
        notes: what a user should know.
        check: raises if the file has changed since it was opened.
        close: closes it.
    """

    object_graph: ObjectGraph | None = None  # none of these files has one

    def __init__(
        self,
        path: str,
        members: Iterable[Member],
        *,
        check: Callable[[], None],
        close: Callable[[], None],
    ) -> None:
        self.prefix = path
        self.members: Mapping[str, Member] = {m.name: m for m in sorted(members, key=lambda m: encode_name(m.name))}
        self.check_unchanged, self.close = check, close

    def entries(self) -> list[Entry]:
        """Return what is known of each tensor, sorted by name; places mean nothing."""
        return [_entry(member) for member in self.members.values()]

    def __iter__(self) -> Iterator[str]:
        return iter(self.members)


def _entry(member: Member) -> Entry:
    header = member.header
    nbytes = header.nbytes
    if header.dtype.kind not in "SU":
        nbytes = math.prod(header.shape) * item_size(member.data_type)
    return Entry(member.name, member.data_type, header.shape, 0, 0, nbytes, 0)


def plain_header(data_type: DataType, shape: tuple[int, ...], nbytes: int) -> Header:
    """Return the header of values that lie in a file as TensorFlow stores them."""
    dtype = numpy_dtype(data_type)
    if data_type in NAMELESS:
        dtype = np.dtype(f"V{dtype.itemsize}")
    return Header(dtype, shape, False, nbytes, 0)


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
