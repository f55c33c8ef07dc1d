"""Bundles merged as TensorFlow's MergeBundles merges them: the same index, the same data, the same names."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.files import bundle_bytes
from support.kernels import DTYPES, make, merge_v2, restore_v2, save_slices, save_v2, type_name

import tfckpt
from tfckpt._proto.types_pb2 import DataType
from tfckpt.bundle.slices import TensorSlice
from tfckpt.bundle.writer import BundleWriter
from tfckpt.errors import PlanError, UsageError

pytestmark = pytest.mark.tf

W = np.arange(50, dtype=np.float32).reshape(5, 10)


def assert_merged_alike(tf: Any, directory: Path, sources: Sequence[str]) -> dict[str, bytes]:
    """Merge bundles by both programs; return the files. TensorFlow moves its sources away, so it comes second.

    TensorFlow does not mind slices that are missing.
    """
    paths = [directory / source for source in sources]
    tfckpt.merge(paths, directory / "ours", partial=True)
    merge_v2(tf, paths, directory / "theirs")
    ours, theirs = bundle_bytes(directory / "ours"), bundle_bytes(directory / "theirs")
    assert ours == theirs
    return ours


@pytest.mark.parametrize("number", DTYPES, ids=type_name)
def test_two_bundles_are_merged_into_the_files_that_tensorflow_makes(tf: Any, tmp_path: Path, number: DataType) -> None:
    for name in ("foo", "bar"):
        save_v2(tf, tmp_path / name, {f"{name}_{i}": make(tf, number, (2, i)) for i in (3, 0, 2, 1)})
    files = assert_merged_alike(tf, tmp_path, ["foo", "bar"])
    assert sorted(files) == [".data-00000-of-00002", ".data-00001-of-00002", ".index"]
    with tfckpt.open(tmp_path / "ours") as merged:
        assert list(merged) == [f"{name}_{i}" for name in ("bar", "foo") for i in range(4)]
        assert {merged.entry(f"foo_{i}").shard for i in range(4)} == {0}  # in the order given, not that of names
        for name, value in merged.items():
            expected = make(tf, number, (2, int(name[-1])))
            assert (value.shape, value.tobytes()) == (expected.shape, expected.tobytes())


def test_merging_one_bundle_renames_it(tf: Any, tmp_path: Path) -> None:
    save_v2(tf, tmp_path / "worker0", {"tensor0": W})
    assert sorted(assert_merged_alike(tf, tmp_path, ["worker0"])) == [".data-00000-of-00001", ".index"]


@pytest.mark.parametrize("order", [("a", "b", "c"), ("c", "a", "b"), ("b", "c", "a")], ids="".join)
def test_slices_of_one_tensor_are_collected_from_several_bundles(
    tf: Any, tmp_path: Path, order: tuple[str, ...]
) -> None:
    save_slices(tf, tmp_path / "a", [("other", "", W), ("w", "5 10 0,2:-", W[:2])])
    save_slices(tf, tmp_path / "b", [("plain", "", W)])
    save_slices(tf, tmp_path / "c", [("w", "5 10 2,3:4,6", W[2:, 4:]), ("w", "5 10 2,3:0,4", W[2:, :4])])
    assert_merged_alike(tf, tmp_path, order)
    with tfckpt.open(tmp_path / "ours") as merged:
        assert list(merged) == ["other", "plain", "w"]
        assert len(merged.entry("w").slices) == 3
        np.testing.assert_array_equal(merged["w"], W)
    np.testing.assert_array_equal(restore_v2(tf, tmp_path / "ours", "w", tf.float32), W)


def test_merged_bundles_are_merged_again(tf: Any, tmp_path: Path) -> None:
    save_slices(tf, tmp_path / "a", [("z", "", W)])
    save_slices(tf, tmp_path / "b", [("w", "5 10 0,2:-", W[:2]), ("a", "", W)])
    save_slices(tf, tmp_path / "c", [("w", "5 10 2,3:-", W[2:]), ("y", "", W)])
    merge_v2(tf, [tmp_path / "a", tmp_path / "b"], tmp_path / "ab")
    files = assert_merged_alike(tf, tmp_path, ["ab", "c"])
    assert len(files) == 4
    with tfckpt.open(tmp_path / "ours") as merged:
        # As the index of "ab" names them first: the slice in its second file, then "z".
        assert {name: merged.entry(name).shard for name in ("a", "z", "y")} == {"a": 0, "z": 1, "y": 2}


@pytest.mark.parametrize("seed", range(8))
def test_merges_of_merges_list_their_slices_as_tensorflow_does(tf: Any, tmp_path: Path, seed: int) -> None:
    """In the order of the sources, not of the data, and under the number of a file that means nothing any more."""
    rng = np.random.default_rng(seed)
    left = []
    for row, name in enumerate("abcde"):
        rows: list[tuple[str, str, Any]] = [("w", f"5 10 {row},1:-", W[row : row + 1]), (f"{name}_plain", "", W)]
        save_slices(tf, tmp_path / name, rows if rng.integers(2) else rows[::-1])
        left.append(name)
    while len(left) > 1:
        sources = [left.pop(rng.integers(len(left))) for _ in range(min(len(left), int(rng.integers(1, 4))))]
        name = "_".join(sources)
        for path in tmp_path.glob("ours.*"):
            path.unlink()
        assert_merged_alike(tf, tmp_path, sources)
        for path in tmp_path.glob("theirs.*"):
            path.rename(path.with_name(path.name.replace("theirs", f"_{name}")))
        tfckpt.rewrite(tmp_path / f"_{name}", tmp_path / "same", overwrite=True)
        assert bundle_bytes(tmp_path / "same") == bundle_bytes(tmp_path / f"_{name}")
        left.append(f"_{name}")
    np.testing.assert_array_equal(tfckpt.open(tmp_path / left[0])["w"], W)


def test_a_name_in_two_bundles_is_refused_by_both(tf: Any, tmp_path: Path) -> None:
    save_v2(tf, tmp_path / "a", {"x": W, "twice": W})
    save_v2(tf, tmp_path / "b", {"twice": W, "y": W})
    save_slices(tf, tmp_path / "c", [("twice", "5 10 0,2:-", W[:2])])
    before = sorted(tmp_path.iterdir())
    for sources in (["a", "b"], ["a", "c"], ["c", "a"]):
        paths = [tmp_path / name for name in sources]
        with pytest.raises(PlanError, match=rf"^{paths[1]}: tensor 'twice' is in {paths[0]} already$"):
            tfckpt.merge(paths, tmp_path / "merged")
        assert sorted(tmp_path.iterdir()) == before
    with pytest.raises(tf.errors.InvalidArgumentError, match="Duplicate tensor keyed by twice"):
        merge_v2(tf, [tmp_path / "a", tmp_path / "b"], tmp_path / "merged")


def test_one_slice_in_two_bundles_is_refused_by_both(tf: Any, tmp_path: Path) -> None:
    for name in "ab":
        save_slices(tf, tmp_path / name, [("w", "5 10 0,2:-", W[:2])])
    save_slices(tf, tmp_path / "c", [("w", "5 10 2,3:-", W[2:])])
    with pytest.raises(PlanError, match=rf"^{tmp_path}/b: tensor 'w' is in {tmp_path}/a already$"):
        tfckpt.merge([tmp_path / "c", tmp_path / "a", tmp_path / "b"], tmp_path / "merged")
    assert not list(tmp_path.glob("merged*"))
    with pytest.raises(tf.errors.InvalidArgumentError, match="Duplicate tensor keyed by"):
        merge_v2(tf, [tmp_path / "a", tmp_path / "b"], tmp_path / "merged")


@pytest.mark.parametrize("sources", [["empty", "one"], ["one", "empty"]], ids="+".join)
def test_an_empty_bundle_is_counted_by_tensorflow_and_breaks_its_merge_but_not_ours(
    tf: Any, tmp_path: Path, sources: list[str]
) -> None:
    tfckpt.save(tmp_path / "empty", {})
    save_v2(tf, tmp_path / "one", {"x": W})
    for name in ("empty", "one"):
        for path in tmp_path.glob(f"{name}.*"):
            shutil.copy(path, tmp_path / f"our_{path.name}")
    merge_v2(tf, [tmp_path / source for source in sources], tmp_path / "theirs")
    with tfckpt.open(tmp_path / "theirs") as theirs:
        assert theirs.num_shards == 2
    assert len(bundle_bytes(tmp_path / "theirs")) == 2
    with pytest.raises(tf.errors.OpError):
        restore_v2(tf, tmp_path / "theirs", "x", tf.float32)

    tfckpt.merge([tmp_path / f"our_{source}" for source in sources], tmp_path / "ours")
    with tfckpt.open(tmp_path / "ours") as ours:
        assert f".data-00000-of-{ours.num_shards:05d}" in bundle_bytes(tmp_path / "ours")
        ours.verify()
    np.testing.assert_array_equal(restore_v2(tf, tmp_path / "ours", "x", tf.float32), W)


def test_bundles_of_two_byte_orders_are_refused_by_both(tf: Any, tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "little", {"x": W})
    tfckpt.save(tmp_path / "big", {"y": W}, big_endian=True)
    with pytest.raises(UsageError, match="byte order"):
        tfckpt.merge([tmp_path / "little", tmp_path / "big"], tmp_path / "merged")
    with pytest.raises(tf.errors.InvalidArgumentError, match="conflicting endianness"):
        merge_v2(tf, [tmp_path / "little", tmp_path / "big"], tmp_path / "merged")


def test_big_endian_bundles_are_merged_and_restored(tf: Any, tmp_path: Path) -> None:
    for name in "ab":
        tfckpt.save(tmp_path / name, {name: W, f"{name}/complex": W.astype(np.complex128) * 1j}, big_endian=True)
    assert_merged_alike(tf, tmp_path, ["a", "b"])
    with tfckpt.open(tmp_path / "ours") as ours:
        assert ours.reader.big_endian
    for name in "ab":
        np.testing.assert_array_equal(restore_v2(tf, tmp_path / "ours", name, tf.float32), W)
        read = restore_v2(tf, tmp_path / "ours", f"{name}/complex", tf.complex128)
        np.testing.assert_array_equal(read, W * 1j)


def test_a_merge_keeps_the_numbers_of_explicit_full_ranges(tf: Any, tmp_path: Path) -> None:
    with BundleWriter(str(tmp_path / "a")) as writer:
        writer.add_slice("w", (5, 10), TensorSlice(((0, 2), (0, 10))), W[:2])
        writer.finish()
    save_slices(tf, tmp_path / "b", [("w", "5 10 2,3:-", W[2:])])
    assert_merged_alike(tf, tmp_path, ["a", "b"])
    assert tfckpt.open(tmp_path / "ours").entry("w").slices == (
        TensorSlice(((0, 2), (0, 10))),
        TensorSlice(((2, 3), (0, -1))),
    )
