"""Indexes taken apart and put together by hand: what no writer would write, TensorFlow's or ours."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import snappy

from tfckpt._proto.tensor_bundle_pb2 import BundleEntryProto
from tfckpt.bundle.values.entry import encode_name
from tfckpt.sstable.checksum import masked_crc32c
from tfckpt.sstable.format import RAW, SNAPPY, TRAILER_SIZE, BlockHandle, encode_footer
from tfckpt.sstable.reader import Table
from tfckpt.sstable.varint import encode_varint

Rows = dict[bytes, bytes]


def read_rows(prefix: str | Path) -> Rows:
    """Return the raw keys and values of a bundle's index, the header's among them."""
    data = Path(f"{prefix}.index").read_bytes()
    return dict(Table(lambda offset, nbytes: data[offset : offset + nbytes], len(data), "index"))


def write_rows(
    prefix: str | Path,
    rows: Iterable[tuple[bytes, bytes]],
    *,
    rows_per_block: int = 1000,
    compressed: bool = False,
    before: bytes = b"",
    between: bytes = b"",
) -> None:
    """Write an index with rows in any order; ``before`` comes first of all, ``between`` after each block."""
    rest = list(rows)
    data, index = bytearray(before), []
    while rest:
        block, rest = rest[:rows_per_block], rest[rows_per_block:]
        index.append((block[-1][0], _append(data, block, compressed, between).encode()))
    metaindex = _append(data, [], compressed, between)
    footer = encode_footer(metaindex, _append(data, index, compressed, between))
    Path(f"{prefix}.index").write_bytes(bytes(data) + footer)


def _append(data: bytearray, rows: Iterable[tuple[bytes, bytes]], compressed: bool, after: bytes) -> BlockHandle:
    entries = (b"\0" + encode_varint(len(k)) + encode_varint(len(v)) + k + v for k, v in rows)
    payload = b"".join(entries) + struct.pack("<II", 0, 1)
    typed = snappy.compress(payload) + bytes([SNAPPY]) if compressed else payload + bytes([RAW])
    handle = BlockHandle(len(data), len(typed) + 4 - TRAILER_SIZE)
    data += typed + struct.pack("<I", masked_crc32c(typed)) + after
    return handle


@contextmanager
def edited_rows(prefix: str | Path) -> Iterator[Rows]:
    """Let the block edit the rows of a bundle's index, then write them, sorted, in its place."""
    rows = read_rows(prefix)
    yield rows
    write_rows(prefix, sorted(rows.items()))


@contextmanager
def edited_entry(prefix: str | Path, name: str) -> Iterator[BundleEntryProto]:
    """Let the block edit one entry's message."""
    with edited_rows(prefix) as rows:
        proto = BundleEntryProto.FromString(rows[encode_name(name)])
        yield proto
        rows[encode_name(name)] = proto.SerializeToString(deterministic=True)
