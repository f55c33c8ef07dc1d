"""The header of a .npy file: written and read by NumPy, within bounds that are checked first.

    93 "NUMPY" | major | minor | length u16 (u32 from version 2 on) | a dict literal: descr, fortran_order, shape | values

Source: numpy/lib/_format_impl.py.
"""

from __future__ import annotations

import io
import math
import sys
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy_format

from tfckpt._proto.types_pb2 import DT_STRING, DataType
from tfckpt.base.issues import Issue
from tfckpt.bundle.values import entry
from tfckpt.bundle.values.dtypes import EXTENSIONS, OBJECTS, data_type_of, dtype_name, numpy_dtype
from tfckpt.errors import FormatError, UnsupportedError
from tfckpt.formats.container import Tensor
from tfckpt.formats.dtypes import NAMELESS, WRITTEN_AS
from tfckpt.formats.sinks import PlainSink

if TYPE_CHECKING:
    from tfckpt.bundle.values.arrays import Array

MAX_HEADER_SIZE = 10_000  # bytes; NumPy's own bound
START_SIZE = 12 + MAX_HEADER_SIZE  # bytes in which a header lies, with what says how long it is
MAX_RANK = 32  # of an array of NumPy 1
MAX_DIM = 1 << 63
SURROGATES = range(0xD800, 0xE000)  # code points that are no characters
PADDING = 16  # times their own bytes that strings may take where all are as long as the longest


class Header(NamedTuple):
    """What a .npy file says of its values."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    is_fortran: bool  # whether the first index changes fastest
    nbytes: int  # of the values
    size: int  # of the header


def write_header(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """Return the header that `numpy.save` writes for an array in row-major order.

    >>> write_header(np.dtype("float32"), (2,))[:51]
    b"\\x93NUMPY\\x01\\x00v\\x00{'descr': '<f4', 'fortran_order': False, "
    """
    buffer = io.BytesIO()
    fields = {"descr": npy_format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    npy_format.write_array_header_1_0(buffer, fields)
    return buffer.getvalue()


def parse_header(start: bytes) -> Header:
    """Read the header from the first bytes of a file: all of it, or `START_SIZE`.

    Raises: FormatError; UnsupportedError for what only a pickle can hold, and for records.
    """
    buffer = io.BytesIO(start)
    try:
        version = npy_format.read_magic(buffer)
        if version not in ((1, 0), (2, 0)):
            raise UnsupportedError(
                f".npy version {version[0]}.{version[1]}: only records need it, which are no tensors"
            )
        read = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of files from Python 2
            shape, is_fortran, dtype = read(buffer, max_header_size=MAX_HEADER_SIZE)
    except UnsupportedError:
        raise
    except Exception as error:  # it goes through Python's own tokenizer and parser, which have many
        raise FormatError(".npy header", offset=0, expected="one that NumPy reads", got=str(error)[:200]) from None
    if dtype.hasobject:
        raise UnsupportedError("Python objects: only a pickle holds them, and none is ever loaded")
    if dtype.names is not None or dtype.subdtype is not None or dtype.itemsize == 0:
        raise UnsupportedError(f"NumPy dtype {dtype} is no tensor's")
    if len(shape) > entry.MAX_RANK or any(isinstance(dim, bool) or not 0 <= dim < MAX_DIM for dim in shape):
        raise FormatError("shape in .npy header", offset=0, expected="dimensions of 0 or more", got=str(shape)[:200])
    return Header(dtype, shape, is_fortran, math.prod(shape) * dtype.itemsize, buffer.tell())


def data_type_in(header: Header, noted: DataType | None) -> DataType:
    """Return the dtype that values become: the one noted beside them, if the file's can be that, or the file's own.

    Raises: FormatError if it cannot; UnsupportedError if TensorFlow has none.
    """
    dtype = header.dtype
    if noted is None:
        if dtype.kind == "V":
            raise UnsupportedError(f"void values of {dtype.itemsize} bytes, and no note of what they are")
        return data_type_of(dtype)
    if noted in NAMELESS:
        fits = dtype.kind == "V" and dtype.itemsize == EXTENSIONS[noted][1]
    elif noted in OBJECTS:
        fits = noted == DT_STRING and dtype.kind in "SU"
    else:
        fits = dtype.newbyteorder("=") == numpy_dtype(WRITTEN_AS.get(noted, noted))
    if not fits:
        raise FormatError("dtype in .npy header", offset=0, expected=f"one that holds {dtype_name(noted)}", got=dtype)
    return noted


def pad_strings(values: Array) -> Array | None:
    """Return strings as an array of one width, from which they come back; None if they do not, or take far more room.

    >>> pad_strings(np.array([b"yes", b"no"], object))
    array([b'yes', b'no'], dtype='|S3')
    """
    strings = values.reshape(-1).tolist()
    width = max(1, *map(len, strings)) if strings else 1
    if any(text.endswith(b"\0") for text in strings):  # NumPy takes these for padding
        return None
    if width * len(strings) > PADDING * (sum(map(len, strings)) + len(strings)):
        return None
    return np.array(strings, f"S{width}").reshape(values.shape)


def strings_in(values: Array) -> Array:
    """Return an array of one width as an object array of bytes; text as UTF-8.

    Raises: FormatError for text that is none.
    """
    found: Array = np.empty(values.size, object)
    flat = values.reshape(-1)
    if flat.dtype.kind == "U":
        flat = flat.astype(flat.dtype.newbyteorder("="))
        points = flat.view(np.uint32)
        wrong = points[(points > sys.maxunicode) | ((points >= SURROGATES.start) & (points < SURROGATES.stop))]
        if wrong.size:  # Python could not even make a string of it
            raise FormatError("text", expected="Unicode", got=hex(wrong[0]))
        found[:] = [text.encode() for text in flat.tolist()]
    else:
        found[:] = flat.tolist()
    return found.reshape(values.shape)


class ArraySink(PlainSink):
    """What can be written as a .npy file, and the header of one: what .npz files and directories have in common."""

    @classmethod
    def form(cls, data_type: DataType) -> DataType | None:
        """Return the dtype that one is written as; None if it has no form there."""
        return data_type if data_type == DT_STRING else super().form(data_type)

    @classmethod
    def complain(cls, tensor: Tensor, read: Callable[[], Array]) -> Issue | None:
        """Return why a tensor cannot go, if it cannot. Strings are read, to see whether they can be given one width."""
        if (why := super().complain(tensor, read)) is not None:
            return why
        if len(tensor.shape) > MAX_RANK:
            return Issue("no-form", got=f"rank {len(tensor.shape)}: NumPy reads at most {MAX_RANK}")
        if tensor.data_type == DT_STRING and pad_strings(read()) is None:
            got = "strings that end in NUL, or of very different lengths, have no form in NumPy's files"
            return Issue("no-form", got=got)
        return None

    def header(self, tensor: Tensor) -> bytes:
        """Return what stands before a number's values: void for what ml_dtypes brings, as `numpy.load` returns it.

        `numpy.save` mostly writes that, too; but float8_e5m2 as ``<f1``, which nothing reads.
        """
        form = self.form(tensor.data_type)
        assert form is not None, tensor
        dtype = numpy_dtype(form)
        return write_header(np.dtype(f"V{dtype.itemsize}") if form in EXTENSIONS else dtype, tensor.shape)


def padded(tensor: Tensor, values: Array) -> tuple[bytes, bytes]:
    """Return the header and the values of strings, which `ArraySink.complain` had nothing against."""
    array = pad_strings(values)
    assert array is not None, tensor
    return write_header(array.dtype, tensor.shape), array.tobytes()
