"""The two records of a bundle's index: its header, and one entry a tensor.

Source: tensorflow/core/protobuf/tensor_bundle.proto; tensorflow/core/util/tensor_bundle/tensor_bundle.cc.
"""

from __future__ import annotations

import math
import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from google.protobuf.message import DecodeError

from tfckpt._proto.tensor_bundle_pb2 import BundleEntryProto, BundleHeaderProto, TensorShapeProto, VersionDef
from tfckpt._proto.types_pb2 import DT_RESOURCE, DT_STRING, DT_VARIANT, DataType
from tfckpt.bundle.values.dtypes import NUMERIC, dtype_name, is_numeric, item_size, numpy_dtype, tensor_type
from tfckpt.bundle.values.slices import TensorSlice
from tfckpt.errors import FormatError, UnsupportedError, count_of
from tfckpt.sstable.varint import encode_varint

if TYPE_CHECKING:
    import numpy as np

HEADER_KEY = b""
PRODUCER = 1  # kTensorBundleVersion: what we write, and the newest that a file may demand
DTYPE_TAG, SHAPE_TAG, SHARD_TAG, OFFSET_TAG, SIZE_TAG, CRC_TAG = 0x08, 0x12, 0x18, 0x20, 0x28, 0x35
CRC_FIELD = struct.Struct("<BI")
SHORTEST = 9  # bytes of an entry with a CRC
LONGEST_OFFSET = 10  # its tag, and 63 bits
SIZELESS = (DT_STRING, DT_VARIANT, DT_RESOURCE)  # dtypes whose elements differ in length
MAX_RANK = 254  # TensorShape::MaxDimensions
MOST_BITS = 4096  # of a tensor's size; no file is so large, and Python refuses to print far longer numbers
SHORT_SHAPE = 256  # bytes of a message that is worth remembering


def encode_name(name: str) -> bytes:
    """Return the index key of a tensor; the inverse of `decode_name`.

    Raises: TypeError.
    """
    if not isinstance(name, str):
        raise TypeError(f"tensor name: expected str, got {type(name).__name__} {name!r}")
    return name.encode("utf-8", "surrogateescape")


def decode_name(key: bytes) -> str:
    """Return a tensor's name: UTF-8, and bytes that are none survive as surrogates."""
    return key.decode("utf-8", "surrogateescape")


class Header(NamedTuple):
    """The value of the empty key: what holds for the whole bundle."""

    num_shards: int = 1
    big_endian: bool = False  # byte order of tensor data; the index itself is always little-endian
    version: int = PRODUCER  # of the format, as the writer calls it

    @staticmethod
    def parse(value: bytes) -> Header:
        """Read a ``BundleHeaderProto``.

        >>> Header.parse(bytes.fromhex("08011a020801"))
        Header(num_shards=1, big_endian=False, version=1)

        Raises: FormatError; UnsupportedError if the writer demands a newer reader.
        """
        proto = BundleHeaderProto()
        try:
            proto.ParseFromString(value)
        except DecodeError:
            raise FormatError("bundle header", expected="a BundleHeaderProto", got=value[:16].hex(" ")) from None
        if proto.num_shards < 1:
            raise FormatError("shard count in bundle header", expected="1 or more", got=proto.num_shards)
        if proto.endianness not in (BundleHeaderProto.LITTLE, BundleHeaderProto.BIG):
            raise FormatError("endianness in bundle header", expected="0 or 1", got=proto.endianness)
        check_version(proto.version, "bundle")
        return Header(proto.num_shards, proto.endianness == BundleHeaderProto.BIG, proto.version.producer)

    def encode(self) -> bytes:
        """Return the message as TensorFlow writes it."""
        proto = BundleHeaderProto(num_shards=self.num_shards)
        proto.endianness = BundleHeaderProto.BIG if self.big_endian else BundleHeaderProto.LITTLE
        proto.version.producer = PRODUCER
        return proto.SerializeToString(deterministic=True)


def check_version(version: VersionDef, what: str) -> None:
    """Check that a writer lets a reader of ours read; both formats are at version 1. Absent in 2016: producer 0.

    Raises: FormatError, UnsupportedError.
    """
    if version.producer < 0:
        raise FormatError(f"producer in {what} header", expected="0 or more", got=version.producer)
    if version.min_consumer > PRODUCER or PRODUCER in version.bad_consumers:
        raise UnsupportedError(
            f"{what} version: the writer (producer {version.producer}) demands a reader of version "
            f"{version.min_consumer} or above and refuses {list(version.bad_consumers)}; this one has {PRODUCER}"
        )


class Entry(NamedTuple):  # a million of them are made in half the time of a dataclass
    """Where one tensor's bytes live: one row of the bundle index (``BundleEntryProto``).

    Attributes:
        name: index key, e.g. ``"bert/pooler/dense/kernel"``.
        data_type: TensorFlow's number of the dtype; ``dtype`` is NumPy's view of it, ``dtype_name`` TensorFlow's name.
        shape: ``()`` is a scalar; a 0 dimension is legal and stores no bytes.
        shard: number of the file ``data-<shard>-of-<num_shards>``; of a partitioned tensor it means nothing, and is kept.
        offset: first byte inside that file.
        nbytes: stored bytes; of a partitioned tensor, those of all its slices.
        crc32c: masked CRC-32C of those bytes; of strings, of their lengths and bytes.
        slices: of a partitioned tensor, each with an entry of its own, in any order.
    """

    name: str
    data_type: DataType
    shape: tuple[int, ...]
    shard: int
    offset: int
    nbytes: int
    crc32c: int
    slices: tuple[TensorSlice, ...] = ()

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype of the values; ``object`` (of ``bytes``) for strings and variants.

        Raises: UnsupportedError for resources, which are no values.
        """
        try:
            return numpy_dtype(self.data_type)
        except UnsupportedError as error:
            raise UnsupportedError(f"tensor {self.name!r}: {error}") from None

    @property
    def dtype_name(self) -> str:
        """TensorFlow's name of the dtype: tells qint8 from int8."""
        return dtype_name(self.data_type)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def is_numeric(self) -> bool:
        """Whether the elements have one size; strings and variants are stored with their lengths."""
        return is_numeric(self.data_type)

    @property
    def _has_place(self) -> bool:
        """Whether its bytes lie in one place of a data file; those of slices, and of a V1 checkpoint, do not."""
        return not self.slices and (self.offset, self.crc32c) != (0, 0)

    def to_json(self) -> dict[str, Any]:
        """Return it as what ``json.dumps`` takes; ``stored`` is where its bytes lie, None if there is no such place."""
        where = {"shard": self.shard, "offset": self.offset, "crc32c": self.crc32c}
        return {
            "name": self.name,
            "dtype": self.dtype_name,
            "shape": list(self.shape),
            "elements": self.size,
            "nbytes": self.nbytes,
            "slices": len(self.slices),
            "stored": where if self._has_place else None,
        }

    def __repr__(self) -> str:
        pieces = [tensor_type(self.data_type, self.shape)]
        if self.nbytes or self.is_numeric:  # nobody knows those of strings in slices
            pieces.append(count_of(self.nbytes, "byte"))
        if self.slices:
            pieces[-1] += f" in {count_of(self.slices, 'slice')}"
        if self._has_place:
            pieces[-1] += f" at {self.offset:,} of shard {self.shard}"
            pieces.append(f"crc32c {self.crc32c:#010x}")
        return f"<Entry {self.name!r}: {', '.join(pieces)}>"

    def _repr_html_(self) -> str:
        from tfckpt.base.html import facts, shown

        stored = {"shard": self.shard, "offset": self.offset, "crc32c": f"{self.crc32c:#010x}"}
        document = self.to_json()
        return shown(repr(self), facts(document | {"stored": stored if document["stored"] else None}))

    @staticmethod
    def parse(key: bytes, value: bytes, num_shards: int | None = None) -> Entry:
        """Read a ``BundleEntryProto``.

        Args:
            key: the entry's key in the index.
            value: the message.
            num_shards: how many data files there are, if known.
        Raises: FormatError, naming the tensor, if a field makes no sense, or the size is not that of dtype and shape.
        """
        plain = _read_plain(key, value)
        if plain is not None:
            return plain
        name = decode_name(key)
        try:
            proto = BundleEntryProto.FromString(value)
        except DecodeError:
            raise FormatError(f"entry {name!r}", expected="a BundleEntryProto", got=value[:16].hex(" ")) from None
        data_type, shard, offset, nbytes = proto.dtype, proto.shard_id, proto.offset, proto.size
        try:
            shape, value_size = read_shape(data_type, proto.shape)
        except FormatError as error:
            error.what += f" of tensor {name!r}"
            raise
        if shard < 0 or offset < 0 or nbytes < 0:
            got = f"shard {shard}, offset {offset}, size {nbytes}"
            raise FormatError(f"place of tensor {name!r}", expected="numbers of 0 or more", got=got)
        if proto.slices:  # the full entry's own place means nothing: a merge may leave a stale one
            slices = tuple(map(TensorSlice.parse, proto.slices))
            return Entry(name, data_type, shape, shard, 0, value_size or 0, 0, slices)
        if value_size not in (None, nbytes):
            what = f"size of tensor {name!r}, {dtype_name(data_type)}{list(shape)}"
            raise FormatError(what, expected=f"{value_size:,} bytes", got=f"{nbytes:,}")
        if num_shards is not None and shard >= num_shards:
            raise FormatError(f"shard of tensor {name!r}", expected=f"below {num_shards}", got=shard)
        return Entry(name, data_type, shape, shard, offset, nbytes, proto.crc32c)

    def encode(self) -> bytes:
        """Return the message as TensorFlow writes it: a partitioned tensor's entry has a shard, and no place in it.

        Fields come in the order of their numbers, and zeros are absent; `_read_plain` has their layout.
        """
        kind = _encode_kind(self.data_type, self.shape)
        if self.slices:
            proto = BundleEntryProto(shard_id=self.shard, slices=[s.to_proto() for s in self.slices])
            return kind + proto.SerializeToString(deterministic=True)
        return kind + b"".join(
            (
                bytes([SHARD_TAG]) + encode_varint(self.shard) if self.shard else b"",
                bytes([OFFSET_TAG]) + encode_varint(self.offset) if self.offset else b"",
                bytes([SIZE_TAG]) + encode_varint(self.nbytes) if self.nbytes else b"",
                CRC_FIELD.pack(CRC_TAG, self.crc32c) if self.crc32c else b"",
            )
        )


@lru_cache(maxsize=4096)
def stored_at(entry: Entry) -> tuple[int, int, int]:
    """Return which bytes are a tensor's: their shard, offset and number.

    So sorted, tensors come as they were written: one without bytes begins where the next one does.
    """
    return entry.shard, entry.offset, entry.nbytes


def _encode_kind(data_type: DataType, shape: tuple[int, ...]) -> bytes:
    """Return the message's first fields, dtype and shape, which many tensors share."""
    proto = BundleEntryProto(dtype=data_type)
    proto.shape.SetInParent()
    for dim in shape:
        proto.shape.dim.add(size=dim)
    return proto.SerializeToString(deterministic=True)


def _read_plain(key: bytes, value: bytes) -> Entry | None:
    """Return the entry of a whole tensor in the first data file, if it is written as every writer does; None for any other.

        08 dtype  12 length shape  [20 offset]  [28 size]  35 crc32c:u32

    The fields come in the order of their numbers, an offset or a size of 0 is absent. An index may hold a million of these,
    of few shapes: equal bytes of dtype and shape are understood only once, and they tell how the size must be written.
    """
    if len(value) < SHORTEST:
        return None
    at, crc_at = 4 + value[3], len(value) - CRC_FIELD.size
    kind = _parse_kind(value[:at])
    tag, crc32c = CRC_FIELD.unpack_from(value, crc_at)
    if kind is None or tag != CRC_TAG:
        return None
    data_type, shape, nbytes, size_field = kind
    end = crc_at - len(size_field)
    if end < at or value[end:crc_at] != size_field:
        return None
    offset = shift = 0
    if at < end:
        if value[at] != OFFSET_TAG or value[end - 1] >= 0x80 or end - at > LONGEST_OFFSET:
            return None
        for byte in value[at + 1 : end - 1]:
            if byte < 0x80:
                return None
            offset |= (byte & 0x7F) << shift
            shift += 7
        offset |= value[end - 1] << shift
    fields = decode_name(key), data_type, shape, 0, offset, nbytes, crc32c, ()
    return tuple.__new__(Entry, fields)  # what the class does, without its call


@lru_cache(maxsize=4096)
def _parse_kind(serialized: bytes) -> tuple[DataType, tuple[int, ...], int, bytes] | None:
    """Return dtype, shape, size in bytes and the field that states it; None if that is not all there is to it."""
    if serialized[0] != DTYPE_TAG or serialized[2] != SHAPE_TAG or serialized[1] | serialized[3] >= 0x80:
        return None
    try:
        proto = BundleEntryProto.FromString(serialized)
        shape, nbytes = read_shape(proto.dtype, proto.shape)
    except (DecodeError, FormatError):
        return None
    if nbytes is None or nbytes >= 1 << 63:
        return None
    return proto.dtype, shape, nbytes, bytes([SIZE_TAG]) + encode_varint(nbytes) if nbytes else b""


def read_shape(data_type: DataType, proto: TensorShapeProto) -> tuple[tuple[int, ...], int | None]:
    """Return a shape, and the bytes of such a tensor unless its elements differ in length.

    Raises: FormatError, which does not know whose shape it is.
    """
    if len(proto.dim) > MAX_RANK:
        raise FormatError("rank", expected=f"at most {MAX_RANK}", got=len(proto.dim))
    serialized = proto.SerializeToString()
    return (parse_shape if len(serialized) <= SHORT_SHAPE else parse_shape.__wrapped__)(data_type, serialized)


@lru_cache(maxsize=4096)  # an index repeats few shapes many times
def parse_shape(data_type: DataType, serialized: bytes) -> tuple[tuple[int, ...], int | None]:
    """Read a serialized ``TensorShapeProto``, as `read_shape` does."""
    proto = TensorShapeProto.FromString(serialized)
    shape = tuple(dim.size for dim in proto.dim)
    if proto.unknown_rank or any(dim < 0 for dim in shape):
        got = "unknown rank" if proto.unknown_rank else list(shape)
        raise FormatError("shape", expected="dimensions of 0 or more", got=got)
    if data_type not in NUMERIC and data_type not in SIZELESS:
        raise FormatError("dtype", expected="one of TensorFlow's dtype numbers", got=data_type)
    nbytes = math.prod(shape) * (1 if data_type in SIZELESS else item_size(data_type))
    if nbytes.bit_length() > MOST_BITS:
        raise FormatError("shape", expected="fewer than 2**63 bytes", got=list(shape))
    return shape, None if data_type in SIZELESS else nbytes
