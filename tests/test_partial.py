"""Parts of tensors: what NumPy's indexing of the whole would give, from the bytes that it needs and no others."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bundles import edited_entry

import tfckpt
from tfckpt._proto.types_pb2 import DT_STRING, DT_VARIANT, DataType
from tfckpt.bundle.values.dtypes import NUMERIC, dtype_name, numpy_dtype
from tfckpt.bundle.values.slices import TensorSlice
from tfckpt.bundle.writer import BundleWriter
from tfckpt.checkpoint.partial import to_box
from tfckpt.errors import CheckpointNotFoundError, FormatError, TensorNotFoundError, UsageError
from tfckpt.storage.local_input import InputFile

Array = npt.NDArray[Any]
Range = tuple[str, int, int]

STRINGS = np.array([[b"", b"a"], [b"bb" * 100, b"c"], [b"ddd", b"\0e" * 9000], [b"f" * 65536, b"g"]], object)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Range]:
    """What is read or mapped of data files, as (suffix, first byte, byte after the last), in order."""
    found: list[Range] = []
    read_at, view = InputFile.read_at, InputFile.view

    def note(self: InputFile, offset: int, nbytes: int) -> None:
        if ".data-" in self.path and nbytes:
            found.append((self.path[-len("00000-of-00001") :], offset, offset + nbytes))

    def reading(self: InputFile, offset: int, nbytes: int) -> bytes:
        note(self, offset, nbytes)
        return read_at(self, offset, nbytes)

    def viewing(self: InputFile, offset: int, nbytes: int) -> memoryview:
        note(self, offset, nbytes)
        return view(self, offset, nbytes)

    monkeypatch.setattr(InputFile, "read_at", reading)
    monkeypatch.setattr(InputFile, "view", viewing)
    return found


def make(data_type: DataType, shape: tuple[int, ...]) -> Array:
    """Return values of a dtype, no two rows alike."""
    numbers = np.arange(np.prod(shape)).reshape(shape)
    values: Array = (numbers % 4 if numpy_dtype(data_type).itemsize == 1 else numbers).astype(numpy_dtype(data_type))
    return values


def total(reads: list[Range]) -> int:
    return sum(stop - start for _, start, stop in reads)


@pytest.mark.parametrize("data_type", NUMERIC, ids=dtype_name)
@pytest.mark.parametrize("big_endian", [False, True], ids=["little", "big"])
def test_rows_of_a_tensor_are_read_alone(
    tmp_path: Path, reads: list[Range], data_type: DataType, big_endian: bool
) -> None:
    whole = make(data_type, (64, 6))
    with BundleWriter(str(tmp_path / "m"), big_endian=big_endian) as writer:
        writer.add("before", np.int8(1))
        writer.add("w", whole, data_type)
        writer.finish()
    with tfckpt.open(tmp_path / "m") as checkpoint:
        rows = checkpoint.get_slice("w")
        row = 6 * whole.itemsize
        for index, first, last in (
            (np.s_[10:20], 10, 20),
            (np.s_[-1], 63, 64),
            (np.s_[:], 0, 64),
            (np.s_[8:4:-2], 6, 9),
        ):
            reads.clear()
            part = rows[index]
            assert (part.shape, part.dtype, part.tobytes()) == (whole[index].shape, whole.dtype, whole[index].tobytes())
            assert reads == [("00000-of-00001", 1 + first * row, 1 + last * row)]
        reads.clear()
        assert rows[5, 3].tobytes() == whole[5, 3].tobytes()
        assert total(reads) == whole.itemsize
        reads.clear()
        assert rows[10:12, 2:4].tobytes() == whole[10:12, 2:4].tobytes()
        assert total(reads) == row + 2 * whole.itemsize  # to the last element from the first
        reads.clear()
        assert rows[3:3].shape == (0, 6)
        assert not reads


@pytest.mark.parametrize("data_type", NUMERIC, ids=dtype_name)
@pytest.mark.parametrize("big_endian", [False, True], ids=["little", "big"])
def test_of_a_partitioned_tensor_only_parts_of_slices_are_read(
    tmp_path: Path, reads: list[Range], data_type: DataType, big_endian: bool
) -> None:
    whole = make(data_type, (30, 8))
    with BundleWriter(str(tmp_path / "m"), big_endian=big_endian) as writer:
        for start in (0, 12, 24):
            for extents in (((start, min(12, 30 - start)), (0, 3)), ((start, min(12, 30 - start)), (3, 5))):
                part = TensorSlice(extents)
                writer.add_slice("w", whole.shape, part, whole[part.within(whole.shape)], data_type)
            writer.next_shard()
        writer.finish()
    last = tmp_path / "m.data-00002-of-00004"
    with tfckpt.open(tmp_path / "m") as checkpoint:
        rows, item = checkpoint.get_slice("w"), whole.itemsize
        assert checkpoint["w"].tobytes() == whole.tobytes()
        reads.clear()
        assert rows[10:20].tobytes() == whole[10:20].tobytes()
        assert total(reads) == 10 * 8 * item
        assert {name for name, _, _ in reads} == {"00000-of-00004", "00001-of-00004"}
        reads.clear()
        assert rows[13, 2:5].tobytes() == whole[13, 2:5].tobytes()
        assert total(reads) == 3 * item
        reads.clear()
        assert rows[13:20, 4:4].shape == (7, 0)
        assert not reads
    os.unlink(last)
    with tfckpt.open(tmp_path / "m") as checkpoint:
        assert checkpoint.get_slice("w")[:24].tobytes() == whole[:24].tobytes()
        with pytest.raises(CheckpointNotFoundError, match=last.name):
            checkpoint.get_slice("w")[:25]


@pytest.mark.parametrize("big_endian", [False, True], ids=["little", "big"])
def test_of_strings_their_lengths_are_read_and_those_asked_for(
    tmp_path: Path, reads: list[Range], big_endian: bool
) -> None:
    tfckpt.save(tmp_path / "m", {"before": 1, "s": STRINGS}, big_endian=big_endian)
    head = 1 + 1 + 2 + 1 + 1 + 3 + 3 + 1 + 4
    with tfckpt.open(tmp_path / "m") as checkpoint:
        rows = checkpoint.get_slice("s")
        for index in (np.s_[2], np.s_[0:2], np.s_[:, 1], np.s_[3, 1], np.s_[::-1, 0], np.s_[1:1], np.s_[...]):
            reads.clear()
            part, expected = rows[index], np.array(STRINGS[index], object)
            assert (part.shape, part.tolist()) == (expected.shape, expected.tolist())
            assert total(reads) == head + sum(map(len, expected.reshape(-1).tolist()))


def test_strings_in_slices_are_read_alone_too(tmp_path: Path, reads: list[Range]) -> None:
    with BundleWriter(str(tmp_path / "m")) as writer:
        for start in (0, 2):
            part = TensorSlice(((start, 2), (0, -1)))
            writer.add_slice("s", STRINGS.shape, part, STRINGS[start : start + 2])
        writer.finish()
    with tfckpt.open(tmp_path / "m") as checkpoint:
        assert checkpoint["s"].tolist() == STRINGS.tolist()
        reads.clear()
        assert checkpoint.get_slice("s")[3, 1].item() == b"g"
        assert total(reads) == 1 + 3 + 3 + 1 + 4 + 1


def test_a_string_or_a_number_alone_is_an_array(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "m", {"s": "one", "n": 3, "none": np.empty((0, 2), object)})
    with tfckpt.open(tmp_path / "m") as checkpoint:
        for name, value in (("s", b"one"), ("n", 3)):
            for index in ((), ...):
                part = checkpoint.get_slice(name)[index]
                assert (part.shape, part.item()) == ((), value)
        assert checkpoint.get_slice("none")[:, 1].shape == (0,)


def test_a_part_that_is_all_is_an_array_to_numpy(bert: str) -> None:
    with tfckpt.open(bert) as checkpoint:
        name = "bert/embeddings/word_embeddings"
        part = checkpoint.get_slice(name)
        assert np.array_equal(np.asarray(part), checkpoint[name])
        assert np.asarray(part, np.float16).dtype == np.float16
        with pytest.raises(UsageError, match="a mask is no basic index"):
            part[True]
        with pytest.raises(UsageError, match=r"index \(0, 99\): 99 is outside of an axis of 8"):
            part[0, 99]


def test_variants_are_read_whole(tmp_path: Path) -> None:
    messages = np.array([b"ab", b"", b"cde"], object)
    with BundleWriter(str(tmp_path / "m")) as writer:
        writer.add("v", messages, DT_VARIANT)
        writer.finish()
    with tfckpt.open(tmp_path / "m") as checkpoint:
        assert checkpoint.get_slice("v")[1:].tolist() == [b"", b"cde"]
        assert checkpoint.get_slice("v")[2].item() == b"cde"


def test_a_tensor_larger_than_memory_is_read_in_part(tmp_path: Path) -> None:
    """Sixty-four gibibytes that nobody wrote: holes in a file read as zeros."""
    rows, columns = 1 << 24, 1 << 10
    tfckpt.save(tmp_path / "m", {"w": np.float32(0)})
    with edited_entry(tmp_path / "m", "w") as proto:
        proto.shape.dim.add(size=rows)
        proto.shape.dim.add(size=columns)
        proto.size = 4 * rows * columns
    data = tmp_path / "m.data-00000-of-00001"
    os.truncate(data, 4 * rows * columns)
    with open(data, "r+b") as file:
        file.seek(4 * ((rows - 3) * columns + 7))
        file.write(np.float32(5).tobytes())
    with tfckpt.open(tmp_path / "m") as checkpoint:
        part = checkpoint.get_slice("w")
        assert part[-3, 7] == 5
        assert part[-4:-2, 6:9].tolist() == [[0, 0, 0], [0, 5, 0]]


def test_other_parts_may_be_damaged_and_this_one_is_not_checked(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "m", {"w": np.arange(8, dtype=np.int8), "s": ["abc", "def"]})
    with open(tmp_path / "m.data-00000-of-00001", "r+b") as file:
        file.write(b"\x63")
        file.seek(8 + 2 + 4)
        file.write(b"X")
    with tfckpt.open(tmp_path / "m") as checkpoint:
        assert checkpoint.get_slice("w")[1:3].tolist() == [1, 2]
        assert checkpoint.get_slice("w")[0] == 0x63
        assert checkpoint.get_slice("s")[1].item() == b"def"
        assert checkpoint.get_slice("s")[0].item() == b"Xbc"
        for name in ("w", "s"):
            with pytest.raises(FormatError, match=f"checksum of tensor '{name}'"):
                checkpoint.verify(name)


def test_lengths_of_strings_are_checked_even_for_a_part(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "m", {"s": ["abc", "def"]})
    with open(tmp_path / "m.data-00000-of-00001", "r+b") as file:
        file.write(b"\2\4")
    with tfckpt.open(tmp_path / "m") as checkpoint, pytest.raises(FormatError, match="string lengths at byte 2"):
        checkpoint.get_slice("s")[0]


@pytest.mark.parametrize(
    "stored", [b"\x80" * 4096, b"\xff" * 9 + b"\x01" + b"a" * 4096, b"\3"], ids=["endless", "huge", "cut"]
)
def test_lengths_that_make_no_sense_are_read_no_further(tmp_path: Path, reads: list[Range], stored: bytes) -> None:
    tfckpt.save(tmp_path / "m", {"s": ["abc"]})
    (tmp_path / "m.data-00000-of-00001").write_bytes(stored)
    with edited_entry(tmp_path / "m", "s") as proto:
        proto.size = len(stored)
    with tfckpt.open(tmp_path / "m") as checkpoint:
        with pytest.raises(FormatError, match=r"data-00000-of-00001: string length"):
            checkpoint.get_slice("s")[0]
        assert total(reads) <= 14


def test_more_strings_than_bytes_are_refused_unread(tmp_path: Path, reads: list[Range]) -> None:
    tfckpt.save(tmp_path / "m", {"s": ["abc"]})
    with edited_entry(tmp_path / "m", "s") as proto:
        proto.shape.dim[0].size = 1 << 60
    with tfckpt.open(tmp_path / "m") as checkpoint, pytest.raises(FormatError, match="string count"):
        checkpoint.get_slice("s")[0]
    assert not reads


@pytest.mark.parametrize("index", [4, -5, (0, 0, 0), (..., ...), "x", 1.5, None, [4], (0, [1], [0])], ids=repr)
def test_an_index_that_does_not_fit_names_the_tensor(tmp_path: Path, index: Any) -> None:
    tfckpt.save(tmp_path / "m", {"w": np.zeros((4, 2), np.float32)})
    with tfckpt.open(tmp_path / "m") as checkpoint:
        with pytest.raises(UsageError, match=r"^tensor 'w' \[4, 2\]: index "):
            checkpoint.get_slice("w")[index]
        with pytest.raises(TensorNotFoundError, match="'v'"):
            checkpoint.get_slice("v")


def test_a_part_knows_its_tensor_without_reading_it(tmp_path: Path, reads: list[Range]) -> None:
    tfckpt.save(tmp_path / "m", {"w": np.zeros((4, 2), np.float16), "s": ["a"]})
    with tfckpt.open(tmp_path / "m") as checkpoint:
        part = checkpoint.get_slice("w")
        assert (part.shape, part.dtype, part.entry) == ((4, 2), np.dtype(np.float16), checkpoint.entry("w"))
        assert repr(part) == "<tfckpt.PartialTensor 'w': float16[4, 2]>"
        assert checkpoint.get_slice("s").entry.data_type == DT_STRING
        with pytest.raises(TypeError):
            iter(part)
    assert not reads


SIZES = st.lists(st.integers(0, 5), max_size=3).map(tuple)
ENDS = st.none() | st.integers(-7, 7)
ITEMS = st.integers(-6, 5) | st.builds(slice, ENDS, ENDS, st.none() | st.integers(-3, 3).filter(bool)) | st.just(...)


@given(SIZES, st.lists(ITEMS, max_size=4).map(tuple) | ITEMS)
def test_any_index_means_what_it_means_to_numpy(shape: tuple[int, ...], index: Any) -> None:
    whole = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    try:
        expected = np.asarray(whole[index])
    except IndexError:
        with pytest.raises(IndexError):
            to_box(index, shape)
        return
    box, rest = to_box(index, shape)
    np.testing.assert_array_equal(whole[box][rest], expected)
    if expected.size:
        held = [axis[index] for axis in np.indices(shape)]
        assert [r.stop - r.start for r in box] == [np.ptp(axis) + 1 for axis in held]
