"""Bundles that TensorFlow wrote: read to the bit, and written again to the byte. tests/data/make_bundles.py made them."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from support.files import bundle_bytes

import tfckpt
from tfckpt._proto.types_pb2 import DT_VARIANT
from tfckpt.bundle.values.dtypes import NUMERIC, dtype_name
from tfckpt.bundle.values.entry import encode_name
from tfckpt.bundle.writer import BundleWriter
from tfckpt.sstable.writer import BLOCK_SIZE

BUNDLES = Path(__file__).parent / "data" / "bundles"
ORACLES = sorted(str(path.relative_to(BUNDLES)).removesuffix(".index") for path in BUNDLES.rglob("*.index"))

Array = npt.NDArray[Any]


def values(oracle: str) -> dict[str, Array]:
    """Return what TensorFlow was given, or read itself: the bytes of an element in one more dimension, strings as objects."""
    version, _, bundle = oracle.partition("/")
    with np.load(BUNDLES / version / "values.npz") as arrays:
        found = {key.removeprefix(f"{bundle}:"): arrays[key] for key in arrays if key.startswith(f"{bundle}:")}
    for key in [key for key in found if key.endswith(":bytes")]:
        name = key.removesuffix(":bytes")
        data, lengths = found.pop(key).tobytes(), found[name]
        strings: Array = np.empty(lengths.size, object)
        ends = zip(np.cumsum(lengths).tolist(), lengths.reshape(-1).tolist(), strict=True)
        strings[:] = [data[end - length : end] for end, length in ends]
        found[name] = strings.reshape(lengths.shape)
    return found


def printed(name: str) -> str:
    """Return a tensor's name as the file of values has it."""
    return encode_name(name).decode("utf-8", "backslashreplace").replace("\0", "\\0")


def assert_is(value: Array, expected: Array) -> None:
    """Check a value against one of `values`."""
    if expected.dtype == object:
        assert (value.shape, value.tolist()) == (expected.shape, expected.tolist())
    else:
        assert (value.shape, value.tobytes()) == (expected.shape[:-1], expected.tobytes())


def test_every_dtype_is_in_the_files_that_tensorflow_wrote() -> None:
    """Every dtype is there, whole and in slices, and everything that the generator writes is."""
    assert [oracle.partition("/")[2] for oracle in ORACLES if oracle.startswith("tf220/")] == [
        *("basename/", "dtypes", "max_shard_size", "merged", "names", "objects-1", "saver", "sharded", "slices"),
        *("strings", "variants"),
    ]
    for bundle in ("dtypes", "slices"):
        held = {entry.data_type for v in ("tf220", "tf221") for entry in tfckpt.open(BUNDLES / v / bundle).entries()}
        assert not [dtype_name(data_type) for data_type in set(NUMERIC) - held]


@pytest.mark.parametrize("oracle", [oracle for oracle in ORACLES if oracle != "tf220/variants"])
def test_every_value_is_read_to_the_bit(oracle: str) -> None:
    expected = values(oracle)
    with tfckpt.open(f"{BUNDLES}/{oracle}") as checkpoint:
        found = {printed(name): name for name in checkpoint}
        # A policy's save has an object graph and an index of its shards besides; what they hold is not known beforehand.
        assert set(found) - set(expected) <= {"_CHECKPOINTABLE_OBJECT_GRAPH"}
        assert len(expected) > 0
        for name, value in expected.items():
            assert_is(checkpoint[found[name]], value)
        checkpoint.verify()


@pytest.mark.parametrize("oracle", ORACLES)
def test_a_rewrite_is_the_same_to_the_byte(oracle: str, tmp_path: Path) -> None:
    tfckpt.rewrite(f"{BUNDLES}/{oracle}", tmp_path / "out")
    assert bundle_bytes(tmp_path / "out") == files_of(oracle)


@pytest.mark.parametrize("oracle", ORACLES)
def test_what_is_written_from_the_values_is_the_same_to_the_byte(oracle: str, tmp_path: Path) -> None:
    known = values(oracle) if oracle != "tf220/variants" else {}
    with tfckpt.open(f"{BUNDLES}/{oracle}") as checkpoint, BundleWriter(str(tmp_path / "out")) as writer:
        reader = checkpoint.reader
        pieces = [(e, part, stored) for e in checkpoint.entries() for part, stored in reader.pieces(e)]
        for entry, part, stored in sorted(pieces, key=lambda piece: (piece[2].shard, piece[2].offset)):
            writer.extend_to(stored.shard + 1)
            value = known.get(printed(entry.name), checkpoint[entry.name])
            if entry.is_numeric:
                value = np.frombuffer(value.tobytes(), entry.dtype).reshape(entry.shape)
            if part is None:
                writer.add(entry.name, value, entry.data_type)
            else:
                writer.add_slice(entry.name, entry.shape, part, value[part.within(entry.shape)], entry.data_type)
        for entry in checkpoint.entries():
            if entry.slices:
                writer.arrange(entry.name, entry.slices, entry.shard)
        writer.finish()
    assert bundle_bytes(tmp_path / "out") == files_of(oracle)


def files_of(oracle: str) -> dict[str, bytes]:
    """Return an oracle's files by what follows the prefix, which may end in a slash."""
    prefix = f"{BUNDLES}/{oracle}"
    directory, base = Path(prefix.rpartition("/")[0]), prefix.rpartition("/")[2]
    found = [*directory.glob(f"{base}.index"), *directory.glob(f"{base}.data-*")]
    return {path.name.removeprefix(base): path.read_bytes() for path in found}


@pytest.mark.parametrize("oracle", ORACLES)
def test_every_part_is_what_the_whole_says(oracle: str) -> None:
    rng = np.random.default_rng(seed=1)
    with tfckpt.open(f"{BUNDLES}/{oracle}") as checkpoint:
        for name in checkpoint:
            array, part = checkpoint[name], checkpoint.get_slice(name)
            for step in (1, 2, -1, 3) * 2:
                ends: list[list[int]] = [sorted(rng.integers(0, size + 1, 2).tolist()) for size in array.shape]
                index: Any = tuple(slice(a, b, step) if step > 0 else slice(b, a, step) for a, b in ends)
                read, expected = part[index], array[(*index, ...)]
                assert read.shape == expected.shape
                assert (
                    read.tolist() == expected.tolist() if read.dtype == object else read.tobytes() == expected.tobytes()
                )


def test_variants_are_the_messages_that_tensorflow_stored() -> None:
    with tfckpt.open(BUNDLES / "tf220" / "variants") as checkpoint:
        assert {entry.data_type for entry in checkpoint.entries()} == {DT_VARIANT}
        two, one = checkpoint["two"], checkpoint["one"]
    assert (two.shape, one.shape) == ((2,), ())
    assert two[1] == one.item()
    assert np.array([1, 2], np.float32).tobytes() in one.item()
    assert np.array([1, 2], np.float32).tobytes() not in two[0]


def test_slices_lie_where_tensorflow_was_told() -> None:
    with tfckpt.open(BUNDLES / "tf220" / "slices") as checkpoint:
        full, some = (0, -1), (0, 2)
        assert [part.extents for part in checkpoint.entry("uint16/2d").slices] == [
            (full, some),
            ((0, 1), (2, 4)),
            ((1, 3), (2, 4)),
        ]
        # The numbers of explicit full ranges are part of the key.
        assert checkpoint.entry("uint16/3d").slices[0].extents == ((0, 2), (0, 3), (0, 1))
    with tfckpt.open(BUNDLES / "tf220" / "max_shard_size") as checkpoint:
        cut = {
            entry.name.partition("/")[0]: {
                axis for part in entry.slices for axis, n in enumerate(part.extents) if n[1] != entry.shape[axis]
            }
            for entry in checkpoint.entries()
            if entry.slices
        }
        assert cut == {"float32": {0, 2}, "float16": {0, 1}, "complex64": {0, 1}, "strings": {0}}
        name = "float32/.ATTRIBUTES/VARIABLE_VALUE"
        assert len({stored.shard for _, stored in checkpoint.reader.pieces(checkpoint.entry(name))}) > 2


def test_an_index_of_several_blocks_is_read_whole(tmp_path: Path) -> None:
    """Whoever looks at the first block alone would lose most of the names."""
    index = gzip.decompress((BUNDLES / "tf220" / "blocks.index.gz").read_bytes())
    (tmp_path / "blocks.index").write_bytes(index)
    shutil.copy(BUNDLES / "tf220" / "blocks.data-00000-of-00001", tmp_path)
    assert len(index) > 2 * BLOCK_SIZE
    names = [f"scope_{n % 7}/{n}" for n in range(36000)]
    with tfckpt.open(tmp_path / "blocks") as checkpoint:
        assert checkpoint.entry(names[-1]).shape == (0,)
        assert list(checkpoint) == sorted(names)
    tfckpt.rewrite(tmp_path / "blocks", tmp_path / "out")
    tfckpt.save(tmp_path / "anew", dict.fromkeys(names, np.empty(0, np.float32)))
    assert bundle_bytes(tmp_path / "out") == bundle_bytes(tmp_path / "anew") == bundle_bytes(tmp_path / "blocks")


@pytest.mark.parametrize("typed", ["basename", "basename/", "basename/.index", "basename/.data-00000-of-00001"])
def test_a_prefix_may_end_in_a_slash(typed: str) -> None:
    with tfckpt.open(f"{BUNDLES}/tf220/{typed}") as checkpoint:
        assert checkpoint.prefix == f"{BUNDLES}/tf220/basename/"
        assert checkpoint["w"].tolist() == [0, 1, 2]


def test_graphs_of_both_generations_keep_their_bytes() -> None:
    """2.20 says of every node whether it leads to values, 1.15 of none."""
    said: dict[str, set[bool | None]] = {}
    for version in ("tf115", "tf220"):
        with tfckpt.open(BUNDLES / version / "objects-1") as checkpoint:
            graph = checkpoint.object_graph
            assert graph is not None
            assert graph.serialize() == checkpoint["_CHECKPOINTABLE_OBJECT_GRAPH"].item()
            assert {"a..b/.ATTRIBUTES/VARIABLE_VALUE", "c.Sd/.ATTRIBUTES/VARIABLE_VALUE"} <= set(checkpoint)
            assert checkpoint.key_at("again/kernel") == checkpoint.key_at("model/kernel")
            assert checkpoint[checkpoint.key_at("c.Sd")] == 2
            slots = [slot.slot_name for _, node in graph.walk() for slot in node.slot_variables]
            assert sorted(slots) == ["m", "m", "v", "v"]
            said[version] = {node.has_checkpoint_values for _, node in graph.walk()}
    assert said == {"tf115": {None}, "tf220": {True}}
