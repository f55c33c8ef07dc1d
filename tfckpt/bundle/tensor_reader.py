"""What the rooms above use of a checkpoint's files, whichever format they have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

from tfckpt.bundle.carry import Count, Damage, StoredBytes
from tfckpt.bundle.reader import BundleReader
from tfckpt.bundle.v1.files import has_any_file
from tfckpt.bundle.values.entry import Entry
from tfckpt.bundle.values.slices import Picked, Ranges, TensorSlice
from tfckpt.errors import TfckptError
from tfckpt.storage import files
from tfckpt.storage.files import Input
from tfckpt.storage.paths import V1, index_path

if TYPE_CHECKING:
    from tfckpt.bundle.values.arrays import Array


class TensorReader(Protocol):
    """A `BundleReader` or a `V1Reader`; what its methods do and raise is said there."""

    prefix: str
    format: str

    @property
    def num_shards(self) -> int:
        """Number of files with values."""

    @property
    def big_endian(self) -> bool:
        """Whether values are stored in the byte order of big-endian machines."""

    @property
    def stored(self) -> Mapping[bytes, Entry]:
        """Every entry under its raw key, in key order."""

    @property
    def entries(self) -> Mapping[str, Entry]:
        """Every tensor's entry, by name, in key order."""

    def entry(self, name: str) -> Entry | None:
        """Return one tensor's entry, or None."""

    def read(self, entry: Entry, *, verify: bool, mapped: bool = True) -> Array:
        """Return a tensor's values."""

    def read_box(self, entry: Entry, box: Ranges, *, mapped: bool = True) -> Array:
        """Return a box of a tensor."""

    def read_picked(self, entry: Entry, box: Ranges, picked: Picked) -> Array:
        """Return of a box what is wanted along one axis."""

    def pieces(self, entry: Entry) -> list[tuple[TensorSlice | None, Entry]]:
        """Return what can be read of a tensor one by one: itself, or its slices."""

    def stores_as_written(self, entry: Entry, *, big_endian: bool = False) -> bool:
        """Whether the stored bytes are what a writer of ours would write; if so, `chunks` gives them."""

    def chunks(self, entry: Entry, *, verify: bool) -> StoredBytes:
        """Return a tensor's stored bytes, to be iterated or carried."""

    def verify(self, entry: Entry) -> None:
        """Compare a tensor's bytes with their checksums."""

    def find_damage(self, entries: Iterable[Entry], *, progress: Count | None = None) -> list[Damage]:
        """Compare many tensors with their checksums; return what is damaged."""

    def compare(self, entries: Iterable[Entry], *, progress: Count | None = None) -> None:
        """Compare many tensors with their checksums; raise the error of the first damaged one."""

    def data_files(self) -> list[Input]:
        """Return all files with values."""

    def check_sharing(self, entries: Iterable[Entry]) -> None:
        """Check that tensors do not use the same bytes again and again."""

    def check_files(self) -> None:
        """Check that no file is missing or cut short."""

    def explain(self, error: TfckptError) -> bool:
        """Say in the error of a tensor's bytes what their file is, if it is something else; return whether it is."""

    def check_unchanged(self) -> None:
        """Check that the files are as they were when they were opened."""

    def close(self) -> None:
        """Close the files."""


def open_reader(prefix: str, source_format: str | None = None) -> TensorReader:
    """Open the files of a prefix in the format asked for, or in the one found; where both are, V2, as in TensorFlow.

    Raises: CheckpointNotFoundError, FormatError, ChecksumError, UnsupportedError, StorageError.
    """
    if source_format == V1 or (source_format is None and _is_only_v1(prefix)):
        from tfckpt.bundle.v1.reader import V1Reader  # rare, and has message types of its own

        return V1Reader(prefix)
    return BundleReader(prefix)


def place_of(reader: TensorReader, entry: Entry) -> tuple[int, ...] | None:
    """Return what a tensor has in common with others that are stored once with it, as values of one dtype.

    None of one that shares with none: whose bytes are none, or in slices, or in a V1 file, where they have no place.
    """
    if reader.format == V1 or entry.slices or not entry.nbytes:
        return None
    return entry.shard, entry.offset, entry.nbytes, entry.crc32c, entry.data_type, entry.size


def _is_only_v1(prefix: str) -> bool:
    return not files.exists(index_path(prefix)) and has_any_file(prefix)
