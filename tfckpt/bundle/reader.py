"""Reads one bundle: its header, its entries on demand, and tensors as views of mapped shards.

Strategy: opening reads the table's footer and index block and the one data block with the header. A single tensor is
looked up in the one block that may hold it; names and listings read all blocks, once.
Source: tensorflow/core/util/tensor_bundle/tensor_bundle.{h,cc}, class BundleReader.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import cached_property

import numpy as np

from tfckpt.bundle.dtypes import numpy_dtype
from tfckpt.bundle.entry import HEADER_KEY, Entry, Header, encode_name
from tfckpt.bundle.files import InputFile
from tfckpt.bundle.paths import index_path, shard_path
from tfckpt.bundle.slices import Ranges, brackets, check_cover
from tfckpt.bundle.strings import decode_strings, head_size, parse_head
from tfckpt.bundle.values import Array, numeric_array, shaped, string_array
from tfckpt.errors import ChecksumError, FormatError, located
from tfckpt.sstable.checksum import crc32c, mask, masked_crc32c
from tfckpt.sstable.reader import Table


class BundleReader:
    """The files of one prefix, opened for reading; safe to share between threads.

    Raises: CheckpointNotFoundError, FormatError, ChecksumError, UnsupportedError; from every method, as it reaches the
    damage.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self._shards: dict[int, InputFile] = {}
        self._lock = threading.Lock()
        self._index = InputFile(index_path(prefix))
        try:
            self._table = Table(self._index.read_at, self._index.size, self._index.path)
            value = self._table.get(HEADER_KEY)
            if value is None:  # TensorFlow would take the first tensor's entry for the header
                raise FormatError("header", path=self._index.path, expected="an entry under the empty key", got="none")
            with located(self._index.path, None):
                self.header = Header.parse(value)
        except BaseException:
            self._index.close()
            raise

    @property
    def num_shards(self) -> int:
        """Number of data files."""
        return self.header.num_shards

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """Every tensor's entry, by name, in key order. Slices of partitioned tensors are part of those, not listed."""
        hidden = {s.key(key) for key, entry in self._stored.items() for s in entry.slices}
        return {entry.name: entry for key, entry in self._stored.items() if key not in hidden}

    def entry(self, name: str) -> Entry | None:
        """Return one tensor's entry, or None; reads one block of the index at most."""
        return self._lookup(encode_name(name))

    def entry_slices(self, entry: Entry) -> Iterator[tuple[Ranges, Entry]]:
        """Yield, for each slice of a partitioned tensor, the part of the whole it covers and its own entry.

        Raises: FormatError if a slice is missing or is not of its tensor's dtype and its range's shape.
        """
        for tensor_slice in entry.slices:
            with located(self._index.path, None):
                part = tensor_slice.within(entry.shape)
            stored = self._lookup(tensor_slice.key(encode_name(entry.name)))
            expected = (entry.data_type, tuple(r.stop - r.start for r in part))
            if stored is None or (stored.data_type, stored.shape) != expected or stored.slices:
                got = "none" if stored is None else f"{stored.dtype_name}{list(stored.shape)}"
                raise FormatError(
                    f"slice {brackets(part)} of tensor {entry.name!r}",
                    path=self._index.path,
                    expected=f"an entry of {entry.dtype_name}{list(expected[1])}",
                    got=got,
                )
            yield part, stored

    def read(self, entry: Entry, *, verify: bool) -> Array:
        """Return a tensor's values: a read-only view of the mapped shard; strings, swapped and assembled ones are copies."""
        if entry.slices:
            return self._assemble(entry, verify=verify)
        file = self._file(entry)
        if entry.is_string:
            with located(file.path, entry.offset):
                stored = file.read_at(entry.offset, entry.nbytes)
                strings, crc = decode_strings(stored, entry.size, big_endian=self.header.big_endian)
            if verify:
                self._check(entry, crc)
            return string_array(entry, strings)
        dtype = entry.dtype  # before the bytes: variant and resource have none
        view = file.view(entry.offset, dtype.itemsize * entry.size)
        if verify:
            self._check(entry, masked_crc32c(view))
        return numeric_array(entry, view, big_endian=self.header.big_endian)

    def stores_as_written(self, entry: Entry) -> bool:
        """Whether the stored bytes are what a writer of ours would write: whole, and little-endian."""
        return not entry.slices and not self.header.big_endian

    def chunks(self, entry: Entry, *, verify: bool) -> Iterator[bytes]:
        """Yield a tensor's stored bytes in bounded pieces, read without the map; not for partitioned tensors.

        Raises: ChecksumError, with ``verify``, after the last piece of a numeric tensor, before the first of strings.
        """
        assert not entry.slices, entry
        if verify and entry.is_string:
            self._check(entry, self._string_crc(entry))
        crc = 0
        for chunk in self._file(entry).chunks(entry.offset, entry.nbytes):
            if verify and not entry.is_string:
                crc = crc32c(chunk, crc)
            yield chunk
        if verify and not entry.is_string:
            self._check(entry, mask(crc))

    def verify(self, entry: Entry) -> None:
        """Compare a tensor's bytes with their checksum, reading them in bounded pieces.

        Raises: ChecksumError, FormatError; UnsupportedError for variants.
        """
        if entry.slices:
            for _, stored in self._disjoint_slices(entry):
                self.verify(stored)
        elif entry.is_string:
            self._check(entry, self._string_crc(entry))
        else:
            numpy_dtype(entry.data_type)
            for _ in self.chunks(entry, verify=True):
                pass

    def close(self) -> None:
        """Close the files. Arrays that were read stay valid."""
        with self._lock:
            self._index.close()
            for file in self._shards.values():
                file.close()
            self._shards.clear()

    @cached_property
    def _stored(self) -> dict[bytes, Entry]:
        """Every entry under its raw key, slices included."""
        return {key: self._parse(key, value) for key, value in self._table if key != HEADER_KEY}

    def _lookup(self, key: bytes) -> Entry | None:
        if "_stored" in self.__dict__:
            return self._stored.get(key)
        value = self._table.get(key)
        return None if value is None or key == HEADER_KEY else self._parse(key, value)

    def _parse(self, key: bytes, value: bytes) -> Entry:
        with located(self._index.path, None):
            entry = Entry.parse(key, value)
            if entry.shard >= self.header.num_shards:
                expected = f"below {self.header.num_shards}"
                raise FormatError(f"shard of tensor {entry.name!r}", expected=expected, got=entry.shard)
        return entry

    def _file(self, entry: Entry) -> InputFile:
        with self._lock:
            file = self._shards.get(entry.shard)
            if file is None:
                file = InputFile(shard_path(self.prefix, entry.shard, self.header.num_shards))
                self._shards[entry.shard] = file
        if entry.offset + entry.nbytes > file.size:
            raise FormatError(
                f"tensor {entry.name!r}",
                path=file.path,
                offset=entry.offset,
                expected=f"{entry.nbytes:,} bytes in a file of at least {entry.offset + entry.nbytes:,}",
                got=f"a file of {file.size:,}",
                hint="the file is truncated, or belongs to another index",
            )
        return file

    def _check(self, entry: Entry, crc: int) -> None:
        if crc != entry.crc32c:
            raise ChecksumError(
                f"checksum of tensor {entry.name!r} ({entry.nbytes:,} bytes)",
                path=shard_path(self.prefix, entry.shard, self.header.num_shards),
                offset=entry.offset,
                expected=f"{entry.crc32c:#010x}",
                got=f"{crc:#010x}",
                hint="the file is damaged: fetch it again",
            )

    def _string_crc(self, entry: Entry) -> int:
        file = self._file(entry)
        head = file.read_at(entry.offset, head_size(entry.size, entry.nbytes))
        with located(file.path, entry.offset):
            _, data_at, crc = parse_head(head, entry.size, entry.nbytes, big_endian=self.header.big_endian)
        for chunk in file.chunks(entry.offset + data_at, entry.nbytes - data_at):
            crc = crc32c(chunk, crc)
        return mask(crc)

    def _assemble(self, entry: Entry, *, verify: bool) -> Array:
        parts = list(self._disjoint_slices(entry))
        whole = shaped(entry.name, lambda: np.empty(entry.shape, entry.dtype))
        for part, stored in parts:
            whole[part] = self.read(stored, verify=verify)
        return whole

    def _disjoint_slices(self, entry: Entry) -> Iterator[tuple[Ranges, Entry]]:
        """Yield `entry_slices` once they are known to fill the whole, each element once, and their bytes to be there."""
        parts = list(self.entry_slices(entry))
        for _, stored in parts:
            self._file(stored)
        with located(self._index.path, None):
            check_cover(entry.name, entry.shape, [part for part, _ in parts])
        yield from parts
