"""Rows by a list of ids or a mask: what NumPy's indexing of the whole would give, and only those rows are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.v1 import to_rows, write_rows

import tfckpt
from tfckpt._proto.types_pb2 import DT_QINT8, DT_VARIANT
from tfckpt.bundle.v1.values import decode_values
from tfckpt.bundle.values.slices import FEW_RUNS, TensorSlice
from tfckpt.bundle.writer import BundleWriter
from tfckpt.checkpoint.checkpoint import Checkpoint
from tfckpt.errors import CheckpointNotFoundError, UsageError
from tfckpt.storage.local_input import InputFile
from tfckpt.types import PartialTensor, TypedArray

Array = npt.NDArray[Any]

TABLE = np.arange(6 * 4 * 3, dtype=np.int32).reshape(6, 4, 3)
WORDS = np.array([[f"{row}-{column}".encode() * (row + 1) for column in range(4)] for row in range(6)], object)
PARTS = (((0, 2), (0, -1), (0, -1)), ((2, 4), (0, 3), (0, -1)), ((2, 4), (3, 1), (0, -1)))
VARIANTS = np.array([b"ab", b"", b"cde"], object)
ROWS = 1000


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[PartialTensor, Array]]]:
    """One tensor in every form in which it can be stored, and its values."""
    directory = tmp_path_factory.mktemp("picked")
    write(directory / "little", big_endian=False)
    write(directory / "big", big_endian=True)
    write_rows(directory / "v1", to_rows({"whole": TABLE, "words": WORDS}))
    found: dict[str, tuple[PartialTensor, Array]] = {}
    opened: list[Checkpoint] = []
    for file in ("little", "big", "v1"):
        opened.append(tfckpt.open(directory / file))
        for name in opened[-1]:
            found[f"{file} {name}"] = opened[-1].get_slice(name), np.asarray(opened[-1][name])
    assert len(found) == 4 + 4 + 2
    yield found
    for checkpoint in opened:
        checkpoint.close()


def write(prefix: Path, *, big_endian: bool) -> None:
    with BundleWriter(str(prefix), big_endian=big_endian) as writer:
        writer.add("whole", TABLE)
        writer.add("words", WORDS)
        for part in map(TensorSlice, PARTS):
            writer.add_slice("parts", TABLE.shape, part, TABLE[part.within(TABLE.shape)])
            own = TensorSlice(part.extents[:2])
            writer.add_slice("wordy parts", WORDS.shape, own, WORDS[own.within(WORDS.shape)])
        writer.finish()


ENDS = st.none() | st.integers(-7, 7)
BASIC = st.integers(-4, 3) | st.builds(slice, ENDS, ENDS, st.none() | st.integers(-3, 3).filter(bool)) | st.just(...)


@st.composite
def indexes(draw: st.DrawFn) -> Any:
    """Draw a list of ids, an array of them in any shape, or a mask, among basic indexes."""
    size = draw(st.sampled_from((6, 4, 3)))
    ids = st.lists(st.integers(-size, size - 1), max_size=9)
    several = draw(
        ids
        | ids.map(lambda found: np.array(found, np.int16))
        | ids.map(lambda found: np.array(found * 2, np.int64).reshape(2, -1))
        | st.lists(st.booleans(), min_size=size, max_size=size)
        | st.lists(st.booleans(), min_size=size, max_size=size).map(np.array)
    )
    before, after = draw(st.lists(BASIC, max_size=2)), draw(st.lists(BASIC, max_size=2))
    return several if not before and not after and draw(st.booleans()) else (*before, several, *after)


@given(index=indexes(), which=st.integers(0, 9))
def test_any_index_means_what_it_means_to_numpy(
    opened: dict[str, tuple[PartialTensor, Array]], index: Any, which: int
) -> None:
    part, whole = list(opened.values())[which]
    try:
        expected = np.asarray(whole[index])
    except (IndexError, DeprecationWarning):  # NumPy before 1.25 only warns where nothing is chosen
        with pytest.raises(UsageError, match=r"^tensor '"):
            part[index]
        return
    found = part[index]
    assert (type(found), found.dtype, found.shape) == (np.ndarray, whole.dtype, expected.shape)
    np.testing.assert_array_equal(found, expected)


def test_the_length_is_that_of_the_first_axis(opened: dict[str, tuple[PartialTensor, Array]], tmp_path: Path) -> None:
    assert {len(part) for part, _ in opened.values()} == {6}
    tfckpt.save(tmp_path / "m", {"scalar": 1, "none": np.empty((0, 3), np.float32)})
    with tfckpt.open(tmp_path / "m") as checkpoint:
        none, scalar = checkpoint.get_slice("none"), checkpoint.get_slice("scalar")
        assert len(none) == 0
        assert (none[[]].shape, none[:, [2, 2]].shape) == ((0, 3), (0, 2))
        assert none  # as before it had a length
        assert scalar
        with pytest.raises(TypeError, match="'scalar' is a scalar"):
            len(scalar)
        with pytest.raises(UsageError, match=r"index \[0\]: too many indices for 0 dimensions"):
            scalar[[0]]


def test_what_is_like_an_array_is_one(opened: dict[str, tuple[PartialTensor, Array]]) -> None:
    class Ids:
        ndim = 1

        def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
            return np.array([4, 0])

    part, _ = opened["little parts"]
    for index in (Ids(), range(4, -1, -4), np.array([4, 0], np.uint64), ((4, 0),)):
        np.testing.assert_array_equal(part[index], TABLE[[4, 0]])
    np.testing.assert_array_equal(part[np.array(2)], TABLE[2])  # an array of no dimensions is a number


MISTAKES = [
    ([6], "6 is outside of an axis of 6"),
    ([0, -7], "-7 is outside of an axis of 6"),
    (np.array([2**63], np.uint64), f"{2**63} is outside of an axis of 6"),
    ((slice(None), [0, 4]), "4 is outside of an axis of 4"),
    ([True] * 5, r"expected a mask of \[6\], as its axis is, got one of \[5\]"),
    (np.ones((6, 4), bool), r"expected a mask of \[6\], as its axis is, got one of \[6, 4\]"),
    ((0, [True] * 6), r"expected a mask of \[4\], as its axis is, got one of \[6\]"),
    ([0.0, 1.0], "expected ids that are whole numbers, or a mask, got float64"),
    (np.empty(0), "expected ids that are whole numbers, or a mask, got float64"),
    (["a"], "expected ids that are whole numbers, or a mask, got <U1"),
    ([None], "expected ids that are whole numbers, or a mask, got object"),
    ([[1], [2, 3]], "inhomogeneous"),
    (([0], [1]), "expected a list of ids or a mask of one axis, got 2"),
    (([0], 0, 0, 0), "too many indices for 3 dimensions"),
    (([0], 9), "9 is outside of an axis of 4"),
]


@pytest.mark.parametrize(("index", "message"), MISTAKES, ids=[message for _, message in MISTAKES])
def test_an_index_that_does_not_fit_says_what_was_expected(
    opened: dict[str, tuple[PartialTensor, Array]], index: Any, message: str
) -> None:
    for name in ("little whole", "little parts", "v1 whole"):
        with pytest.raises(UsageError, match=r"^tensor '\w+' \[6, 4, 3\]: index .*" + message):
            opened[name][0][index]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Return a function that returns how many bytes of data files have been read or mapped since it was called last."""
    sizes: list[int] = []

    def count(name: str) -> None:
        original = getattr(InputFile, name)

        def counted(self: InputFile, offset: int, nbytes: int) -> Any:
            if ".data-" in self.path or self.path.endswith("v1"):
                sizes.append(nbytes)
            return original(self, offset, nbytes)

        monkeypatch.setattr(InputFile, name, counted)

    def taken() -> int:
        nbytes = sum(sizes)
        sizes.clear()
        return nbytes

    count("read_at")
    count("view")
    return taken


def tables(directory: Path) -> Array:
    """Write a table, whole and in ten slices of rows, one a file."""
    table = np.arange(ROWS * 16, dtype=np.float32).reshape(ROWS, 16)
    with BundleWriter(str(directory / "m")) as writer:
        writer.add("whole", table)
        for start in range(0, ROWS, 100):
            writer.next_shard()
            part = TensorSlice(((start, 100), (0, -1)))
            writer.add_slice("parts", table.shape, part, table[part.within(table.shape)])
        writer.finish()
    return table


@pytest.mark.parametrize("name", ["whole", "parts"])
def test_three_rows_are_read_and_not_the_table(tmp_path: Path, read: Callable[[], int], name: str) -> None:
    table = tables(tmp_path)
    mask = np.zeros(ROWS, bool)
    mask[[1, 500, 999]] = True
    with tfckpt.open(tmp_path / "m") as checkpoint:
        part = checkpoint.get_slice(name)
        for index in ([1, 500, 999], [999, 1, -500, 1, 1, 500], mask, np.array([[500, 1], [999, 1]])):
            read()
            np.testing.assert_array_equal(part[index], table[index])
            assert read() == 3 * 16 * 4
        np.testing.assert_array_equal(part[[1, 500, 999], 2:4], table[[1, 500, 999], 2:4])
        assert read() == 3 * 2 * 4
        np.testing.assert_array_equal(part[7, [1, 5]], table[7, [1, 5]])
        assert read() == 2 * 4
        np.testing.assert_array_equal(part[[]], table[[]])
        assert read() == 0


def test_files_that_no_id_asks_for_may_be_missing(tmp_path: Path) -> None:
    table = tables(tmp_path)
    (tmp_path / "m.data-00005-of-00011").unlink()
    with tfckpt.open(tmp_path / "m") as checkpoint:
        part = checkpoint.get_slice("parts")
        np.testing.assert_array_equal(part[[1, 399, 500, 999]], table[[1, 399, 500, 999]])
        with pytest.raises(CheckpointNotFoundError, match=r"m\.data-00005-of-00011"):
            part[[1, 450, 999]]


def test_many_ids_near_each_other_are_read_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tables(tmp_path)
    views: list[int] = []
    view = InputFile.view

    def counted(self: InputFile, offset: int, nbytes: int) -> memoryview:
        views.append(nbytes)
        return view(self, offset, nbytes)

    monkeypatch.setattr(InputFile, "view", counted)
    ids = [*range(0, 600, 2), 999]
    assert len(ids) > FEW_RUNS
    with tfckpt.open(tmp_path / "m") as checkpoint:
        np.testing.assert_array_equal(checkpoint.get_slice("whole")[ids], table[ids])
    assert views == [599 * 64, 64]


def test_columns_of_slices_of_columns_leave_the_others_alone(tmp_path: Path, read: Callable[[], int]) -> None:
    table = np.arange(50 * 40, dtype=np.float64).reshape(50, 40)
    with BundleWriter(str(tmp_path / "m")) as writer:
        for start in range(0, 40, 10):
            part = TensorSlice(((0, -1), (start, 10)))
            writer.add_slice("t", table.shape, part, table[part.within(table.shape)])
        writer.finish()
    with tfckpt.open(tmp_path / "m") as checkpoint:
        np.testing.assert_array_equal(checkpoint.get_slice("t")[:, [39, 1]], table[:, [39, 1]])
        assert read() == 2 * (49 * 10 + 1) * 8


def test_of_strings_those_asked_for_are_read(tmp_path: Path, read: Callable[[], int]) -> None:
    words = np.array([b"x" * 50] * ROWS, object)
    tfckpt.save(tmp_path / "m", {"words": words})
    with tfckpt.open(tmp_path / "m") as checkpoint:
        assert checkpoint.get_slice("words")[[3, 999, 3]].tolist() == [b"x" * 50] * 3
        assert read() == ROWS + 4 + 2 * 50


def test_of_a_v1_checkpoint_each_slice_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []

    def counted(proto: Any, data_type: Any, count: int) -> Any:
        decoded.append(count)
        return decode_values(proto, data_type, count)

    monkeypatch.setattr("tfckpt.bundle.v1.reader.decode_values", counted)
    write_rows(tmp_path / "v1", to_rows({"t": TABLE}))
    with tfckpt.open(tmp_path / "v1") as checkpoint:
        np.testing.assert_array_equal(checkpoint.get_slice("t")[[5, 0, 3]], TABLE[[5, 0, 3]])
    assert decoded == [TABLE.size]


def test_the_oracle_of_v1_in_slices_gives_its_rows() -> None:
    with tfckpt.open(Path(__file__).parent / "data" / "v1" / "slices") as checkpoint:
        sliced = [entry.name for entry in checkpoint.entries() if entry.slices]
        assert sliced
        for name in sliced:
            value = np.asarray(checkpoint[name])
            index = [len(value) - 1, 0, 0]
            found = checkpoint.get_slice(name)[index]
            assert found.tobytes() == value[index].tobytes() or found.tolist() == value[index].tolist()


def test_quantized_rows_and_variants_stay_what_they_are(tmp_path: Path) -> None:
    with BundleWriter(str(tmp_path / "m")) as writer:
        writer.add("q", np.array([[1, 2], [3, 4], [5, 6]], np.int8), DT_QINT8)
        writer.add("v", VARIANTS, DT_VARIANT)
        writer.finish()
    with tfckpt.open(tmp_path / "m") as checkpoint:
        rows, variants = checkpoint.get_slice("q")[[2, 0]], checkpoint.get_slice("v")[[2, 0, 2]]
    assert isinstance(rows, TypedArray)
    assert isinstance(variants, TypedArray)
    assert (rows.dtype_name, rows.tolist()) == ("qint8", [[5, 6], [1, 2]])
    assert (variants.dtype_name, variants.tolist()) == ("variant", [b"cde", b"ab", b"cde"])


def test_dots_that_stand_for_no_axis_part_a_number_from_a_list_as_in_numpy(
    opened: dict[str, tuple[PartialTensor, Array]],
) -> None:
    part, whole = opened["little parts"]
    for index in ((slice(None), 0, ..., [1, 2]), ([1, 2], ..., 0, slice(None)), (..., slice(None), 0, [1, 2])):
        np.testing.assert_array_equal(part[index], whole[index])
