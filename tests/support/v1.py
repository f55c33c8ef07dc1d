"""V1 checkpoints written by hand: a table's keys and values as a dict, to change before it is written."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import snappy

from tfckpt._proto.saved_tensor_slices_pb2 import SavedTensorSlices, TensorProto
from tfckpt._proto.tensor_bundle_pb2 import TensorShapeProto
from tfckpt._proto.types_pb2 import DT_STRING, DataType
from tfckpt.bundle.v1.values import FIELDS, ITEMS
from tfckpt.bundle.values.dtypes import data_type_of
from tfckpt.bundle.values.entry import encode_name
from tfckpt.bundle.values.slices import TensorSlice, whole
from tfckpt.sstable.block import BlockBuilder
from tfckpt.sstable.checksum import masked_crc32c
from tfckpt.sstable.format import SNAPPY, BlockHandle
from tfckpt.sstable.reader import Table
from tfckpt.sstable.writer import TableBuilder
from tfckpt.storage.local_input import InputFile

Array = npt.NDArray[Any]
Rows = dict[bytes, bytes]


class SnappyBuilder(TableBuilder):
    """Writes every block compressed, as TensorFlow's writers did until 2016."""

    def _write_block(self, block: BlockBuilder) -> BlockHandle:
        typed = snappy.compress(block.finish()) + bytes([SNAPPY])
        handle = BlockHandle(self._offset, len(typed) - 1)
        stored = typed + struct.pack("<I", masked_crc32c(typed))
        self._write(stored)
        self._offset += len(stored)
        return handle


def read_rows(path: str | Path) -> Rows:
    """Return what a table holds."""
    file = InputFile(str(path))
    rows = dict(Table(file.read_at, file.size, file.path))
    file.close()
    return rows


def write_rows(path: str | Path, rows: Rows, builder: type[TableBuilder] = TableBuilder, block_size: int = 512) -> None:
    """Write a table, of several blocks even if it is small."""
    with open(path, "wb") as file:
        table = builder(file.write, block_size)
        for key in sorted(rows):
            table.add(key, rows[key])
        table.finish()


def to_rows(
    tensors: Mapping[str, Array],
    *,
    slices: Mapping[str, Sequence[TensorSlice]] | None = None,
    data_types: Mapping[str, DataType] | None = None,
) -> Rows:
    """Return the rows of a V1 checkpoint of these tensors, the partitioned among them in the slices given."""
    meta = SavedTensorSlices()
    meta.meta.versions.producer = 1
    rows = {}
    for name, value in tensors.items():
        data_type = (data_types or {}).get(name, data_type_of(value.dtype))
        shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in value.shape])
        row = meta.meta.tensor.add(name=encode_name(name), shape=shape, type=data_type)
        row.shape.SetInParent()
        for part in (slices or {}).get(name, [TensorSlice.of(whole(value.shape), value.shape)]):
            row.slice.append(part.to_proto())
            saved = SavedTensorSlices()
            saved.data.name = encode_name(name)
            saved.data.slice.CopyFrom(part.to_proto())
            box = part.within(value.shape)
            saved.data.data.CopyFrom(to_proto(value[box] if box else value, data_type))
            rows[part.key(encode_name(name))] = saved.SerializeToString()
    return rows | {b"": meta.SerializeToString()}


def to_proto(value: Array, data_type: DataType) -> TensorProto:
    """Return values as a V1 checkpoint stores them."""
    field = FIELDS[data_type]
    flat = np.ascontiguousarray(value).reshape(-1)
    if data_type == DT_STRING:
        return TensorProto(string_val=flat.tolist())
    if field == "half_val":
        flat = flat.view(np.uint16)
    elif flat.dtype.kind in "fc":
        flat = flat.view(ITEMS[field])
    return TensorProto(**{field: flat.astype(ITEMS[field]).tolist()})
