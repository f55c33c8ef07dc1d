"""Partitioned tensors: what TensorFlow writes in slices, what it reads of ours, and what only we read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.files import bundle_bytes
from support.kernels import DTYPES, Array, make, restore_v2, save_slices, save_v2, type_name

import tfckpt
from tfckpt._proto.types_pb2 import DT_HALF, DT_STRING, DataType
from tfckpt.bundle.values.dtypes import FLOATING, SLICEABLE, dtype_name
from tfckpt.bundle.values.slices import TensorSlice
from tfckpt.bundle.writer import BundleWriter

pytestmark = pytest.mark.tf

WORDS = np.array([[b"", b"a\0", b"b"], [b"\xff" * 300, "물".encode(), b"c"]], object)
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


def whole(tf: Any, number: DataType) -> Any:
    return WORDS if number == DT_STRING else make(tf, number, (4, 6))


def bits(value: Array) -> Any:
    """Return what is the same of two arrays of the same bits."""
    return value.tolist() if value.dtype.hasobject else value.tobytes()


def boxes(value: Array) -> list[tuple[str, Array]]:
    """Return slices in two dimensions: the last column, and what is left by rows."""
    rows, columns = value.shape
    left = value[:, :-1]
    by_rows = [(f"{rows} {columns} {row},1:0,{columns - 1}", left[row : row + 1]) for row in range(rows)]
    return [(f"{rows} {columns} -:{columns - 1},1", value[:, -1:]), *by_rows]


@pytest.mark.parametrize("number", [*DTYPES, DT_STRING], ids=type_name)
def test_slices_are_read_in_every_dtype_and_by_tensorflow_in_some(tf: Any, tmp_path: Path, number: DataType) -> None:
    value = whole(tf, number)
    save_slices(tf, tmp_path / "theirs", [("w", spec, part) for spec, part in boxes(value)])
    with tfckpt.open(tmp_path / "theirs") as checkpoint, BundleWriter(str(tmp_path / "ours")) as writer:
        ours = checkpoint["w"]
        assert (ours.shape, bits(ours)) == (value.shape, bits(value))
        checkpoint.verify()
        for part in checkpoint.entry("w").slices:
            writer.add_slice("w", value.shape, part, ours[part.within(value.shape)], number)
        writer.finish()
    assert bundle_bytes(tmp_path / "ours") == bundle_bytes(tmp_path / "theirs")
    if number in SLICEABLE:
        assert restore_v2(tf, tmp_path / "ours", "w", number).numpy().tobytes() == value.tobytes()
    else:
        with pytest.raises(tf.errors.InvalidArgumentError):
            restore_v2(tf, tmp_path / "ours", "w", number)
    save_v2(tf, tmp_path / "whole", {"w": value})
    tfckpt.rewrite(tmp_path / "ours", tmp_path / "joined", max_shard_size=1 << 20)
    if number not in SLICEABLE:  # a way out: whole, it can be read
        assert bundle_bytes(tmp_path / "joined") == bundle_bytes(tmp_path / "whole")


@pytest.mark.parametrize("number", [*DTYPES, DT_STRING], ids=type_name)
def test_whatever_we_cut_tensorflow_puts_together(tf: Any, tmp_path: Path, number: DataType) -> None:
    value = whole(tf, number)
    row = value.nbytes // 4
    tensors = {"a": np.array([1], np.int8), "w": value, "z": np.array([1, 2], np.float32)}
    save_v2(tf, tmp_path / "one", tensors)
    tfckpt.rewrite(tmp_path / "one", tmp_path / "cut", max_shard_size=row)
    tfckpt.save(tmp_path / "saved", tfckpt.open(tmp_path / "one"), max_shard_size=row)
    for prefix in (tmp_path / "cut", tmp_path / "saved"):
        with tfckpt.open(prefix) as checkpoint:
            parts = checkpoint.entry("w").slices
            assert len(parts) == (4 if number in SLICEABLE else 0)
            assert all(part.extents[1] == (0, -1) for part in parts)
            assert bits(checkpoint["w"]) == bits(value)
        assert bits(restore_v2(tf, prefix, "w", number).numpy()) == bits(value)
        assert restore_v2(tf, prefix, "z", tf.float32).numpy().tolist() == [1, 2]
        if number in SLICEABLE:
            assert max(path.stat().st_size for path in tmp_path.glob(f"{prefix.name}.data-*")) <= max(row, 8)
            box = restore_v2(tf, prefix, "w", number, "4 6 1,2:2,3").numpy()
            assert box.tobytes() == value[1:3, 2:5].tobytes()


@pytest.mark.parametrize("size", [64, 100, 500])
def test_what_a_policy_of_tensorflow_cuts_is_read(tf: Any, tmp_path: Path, size: int) -> None:
    shapes: dict[str, tuple[int, ...]] = {"float32": (3, 4, 5), "float16": (5, 10), "bool": (7,), "complex128": (2, 5)}
    numbers = {name: tf.dtypes.as_dtype(name).as_datatype_enum for name in shapes}
    variables = {name: tf.Variable(make(tf, numbers[name], shape)) for name, shape in shapes.items()}
    step = tf.Variable(7, dtype=tf.int64)
    policy = tf.train.experimental.MaxShardSizePolicy(size)
    options = tf.train.CheckpointOptions(experimental_sharding_callback=policy)
    prefix = tf.train.Checkpoint(step=step, **variables).write(str(tmp_path / "theirs"), options=options)
    with tfckpt.open(prefix) as checkpoint:
        assert checkpoint.num_shards > 1
        for name, variable in variables.items():
            entry = checkpoint.entry(name + VALUE)
            assert checkpoint[name + VALUE].tobytes() == variable.numpy().tobytes()
            assert entry.slices or entry.nbytes <= size
        assert checkpoint["step" + VALUE] == 7
        checkpoint.verify()
        was_cut = bool(checkpoint.entry("float16" + VALUE).slices)
        assert was_cut == (size < 500)
    tfckpt.rewrite(prefix, tmp_path / "same")
    assert bundle_bytes(tmp_path / "same") == bundle_bytes(prefix)

    expected = {name: variable.numpy() for name, variable in variables.items()}
    for variable in variables.values():
        variable.assign(tf.zeros_like(variable))
    root = tf.train.Checkpoint(step=step, **variables)
    if was_cut:  # its own save, which it cannot restore
        with pytest.raises(tf.errors.InvalidArgumentError):
            root.read(prefix)
    tfckpt.rewrite(prefix, tmp_path / "ours", max_shard_size=size)
    root.read(str(tmp_path / "ours")).assert_consumed()
    for name, variable in variables.items():
        assert variable.numpy().tobytes() == expected[name].tobytes()


@pytest.mark.parametrize("number", FLOATING, ids=dtype_name)
def test_a_cast_leaves_nothing_in_slices_that_tensorflow_cannot_read(tf: Any, tmp_path: Path, number: DataType) -> None:
    value: Any = make(tf, tf.float32.as_datatype_enum, (4, 6))
    save_slices(tf, tmp_path / "theirs", [("w", spec, part) for spec, part in boxes(value)])
    tfckpt.rewrite(tmp_path / "theirs", tmp_path / "cast", cast=dtype_name(number))
    with tfckpt.open(tmp_path / "cast") as checkpoint:
        assert bool(checkpoint.entry("w").slices) == (number != DT_HALF)
    read = restore_v2(tf, tmp_path / "cast", "w", number)
    assert read.numpy().astype(np.float32).tolist() == value.tolist()


def test_slices_of_rank_zero_and_of_nothing(tf: Any, tmp_path: Path) -> None:
    """A slice without elements is one all the same; of a scalar there is only the whole."""
    empty = np.zeros((0, 3), np.float32)
    rows: Any = [("w", "2 3 0,0:-", empty), ("w", "2 3 0,2:-", np.ones((2, 3), np.float32)), ("s", "", np.float32(1))]
    with pytest.raises(tf.errors.InvalidArgumentError):
        save_slices(tf, tmp_path / "theirs", rows)
    with BundleWriter(str(tmp_path / "ours")) as writer:
        writer.add_slice("s", (), TensorSlice(()), np.float32(1))
        writer.add_slice("w", (2, 3), TensorSlice(((0, 0), (0, -1))), empty)
        writer.add_slice("w", (2, 3), TensorSlice(((0, 1), (0, -1))), np.ones((1, 3), np.float32))
        writer.add_slice("w", (2, 3), TensorSlice(((1, 1), (0, -1))), np.ones((1, 3), np.float32))
        writer.finish()
    with tfckpt.open(tmp_path / "ours") as checkpoint:
        assert checkpoint.entry("s").slices == ()
        assert checkpoint["w"].tolist() == [[1] * 3] * 2
