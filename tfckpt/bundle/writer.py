"""Writes one bundle, byte for byte as TensorFlow's SaveV2 does for the same tensors in the same order.

Strategy: tensor bytes stream to a temporary shard as they come, densely; entries are kept, and the index, sorted, is
written and renamed last.
Source: tensorflow/core/util/tensor_bundle/tensor_bundle.cc, class BundleWriter.
"""

from __future__ import annotations

import os.path
from collections.abc import Iterable
from types import TracebackType

import numpy.typing as npt

from tfckpt._proto.types_pb2 import DataType
from tfckpt.bundle import files
from tfckpt.bundle.dtypes import numpy_dtype
from tfckpt.bundle.entry import HEADER_KEY, Entry, Header, encode_name
from tfckpt.bundle.paths import file_names, index_path, shard_path
from tfckpt.bundle.values import encode_array
from tfckpt.errors import CheckpointExistsError, UsageError
from tfckpt.sstable.writer import TableBuilder


class BundleWriter:
    """A bundle of one shard that appears under ``prefix`` when `finish` is called, and not at all if the block fails.

    Args:
        prefix: the exact prefix of the files.
        overwrite: replace a bundle that is already there.
        sync: return from `finish` only when the files have reached the disk.
    Raises: CheckpointExistsError, StorageError.
    """

    def __init__(self, prefix: str, *, overwrite: bool = False, sync: bool = True) -> None:
        check_free(prefix, overwrite=overwrite)
        self.prefix = prefix
        self._entries: dict[bytes, Entry] = {}
        self._files = files.FileSet(sync=sync)
        self._data = self._files.create(shard_path(prefix, 0, 1))

    def __enter__(self) -> BundleWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._files.discard()

    def add(self, name: str, value: npt.ArrayLike, data_type: DataType | None = None) -> None:
        """Append a tensor; ``data_type`` tells quantized integers from plain ones, which NumPy cannot.

        Raises: UnsupportedError if NumPy's dtype has no TensorFlow counterpart; UsageError if the name is taken.
        """
        natural, shape, stored, crc = encode_array(name, value)
        assert data_type is None or numpy_dtype(data_type) == numpy_dtype(natural), (name, data_type, natural)
        self.carry(name, natural if data_type is None else data_type, shape, [stored], crc)

    def carry(
        self,
        name: str,
        data_type: DataType,
        shape: tuple[int, ...],
        chunks: Iterable[bytes | memoryview],
        crc: int,
    ) -> None:
        """Append a tensor from its stored, little-endian bytes and their masked checksum, which is believed."""
        key = encode_name(name)
        if key == HEADER_KEY or key in self._entries:
            raise UsageError(f"tensor name {name!r}: " + ("already written" if key else "must not be empty"))
        offset = self._data.offset
        for chunk in chunks:
            self._data.write(chunk)
        self._entries[key] = Entry(name, data_type, shape, 0, offset, self._data.offset - offset, crc)

    def finish(self) -> None:
        """Write the index and give all files their names, the index last."""
        index = self._files.create(index_path(self.prefix))
        table = TableBuilder(index.write)
        table.add(HEADER_KEY, Header(num_shards=1).encode())
        for key in sorted(self._entries):
            table.add(key, self._entries[key].encode())
        table.finish()
        self._files.commit(replaced=existing_files(self.prefix))


def existing_files(prefix: str) -> tuple[str, ...]:
    """Return the files of a bundle that is already under ``prefix``, its index first."""
    directory = os.path.dirname(prefix) or os.curdir
    if not files.is_directory(directory):
        return ()
    return tuple(os.path.join(directory, name) for name in file_names(prefix, files.list_directory(directory)))


def check_free(prefix: str, *, overwrite: bool) -> None:
    """Raise CheckpointExistsError if ``prefix`` holds a bundle, or a part of one, that may not be overwritten."""
    if not overwrite and (taken := existing_files(prefix)):
        raise CheckpointExistsError(f"{prefix}: already exists ({taken[0]}); choose another name, or overwrite it")
