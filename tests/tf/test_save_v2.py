"""What tfckpt writes is what TensorFlow's SaveV2 writes, byte for byte; and each reads the other's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from support.files import bundle_bytes
from support.kernels import DTYPES, Array, make, save_v2, type_name

import tfckpt
from tfckpt._proto.types_pb2 import DataType
from tfckpt.bundle.values.dtypes import QUANTIZED

pytestmark = pytest.mark.tf

SHAPES: tuple[tuple[int, ...], ...] = ((), (1,), (0,), (3, 0, 2), (5, 7), (2, 3, 4, 5))
STRINGS = np.array([[b"", b"a\0"], [b"\xff" * 300, "물".encode()]], object)


def assert_same_files(tf: Any, directory: Path, tensors: Mapping[str, npt.ArrayLike]) -> None:
    save_v2(tf, str(directory / "theirs"), tensors)
    tfckpt.save(directory / "ours", tensors)
    assert bundle_bytes(directory / "ours") == bundle_bytes(directory / "theirs")


def every_dtype(tf: Any) -> dict[str, Array]:
    """Return tensors of every dtype and shape, not in the order of their names."""
    tensors = {f"{type_name(n)}/{len(shape)}/{shape}": make(tf, n, shape) for shape in SHAPES for n in DTYPES}
    return tensors | {"strings": STRINGS, "string": np.array(b"one", object), "no_strings": np.empty((0, 2), object)}


@pytest.mark.parametrize("number", DTYPES, ids=type_name)
def test_a_dtype_is_written_as_tensorflow_writes_it(tf: Any, tmp_path: Path, number: DataType) -> None:
    assert_same_files(tf, tmp_path, {f"t{shape}": make(tf, number, shape) for shape in SHAPES})


def test_strings_are_written_as_tensorflow_writes_them(tf: Any, tmp_path: Path) -> None:
    assert_same_files(
        tf, tmp_path, {"s": STRINGS, "empty": np.empty((0,), object), "scalar": np.array(b"x" * 5000, object)}
    )


def test_data_keeps_the_order_of_the_mapping_and_the_index_sorts(tf: Any, tmp_path: Path) -> None:
    assert_same_files(tf, tmp_path, every_dtype(tf))


def test_an_index_of_many_blocks_is_written_as_tensorflow_writes_it(tf: Any, tmp_path: Path) -> None:
    names = [f"scope_{i % 7}/{'long_' * 8}{i}/kernel" for i in range(20_000)]
    assert_same_files(tf, tmp_path, {name: np.float32(i) for i, name in enumerate(names)})
    assert (tmp_path / "ours.index").stat().st_size > 2 * 262_144


def test_a_key_of_more_than_two_blocks_is_written_as_tensorflow_writes_it(tf: Any, tmp_path: Path) -> None:
    one = np.float32(1)
    assert_same_files(tf, tmp_path, {"a": one, "b" * 600_000: one, "c": one, "d" * 300_000: one, "e": one})


@pytest.mark.parametrize("number", DTYPES, ids=type_name)
def test_each_reads_what_the_other_wrote(tf: Any, tmp_path: Path, number: DataType) -> None:
    tensors = {f"t{shape}": make(tf, number, shape) for shape in SHAPES}
    save_v2(tf, str(tmp_path / "theirs"), tensors)
    tfckpt.save(tmp_path / "ours", tensors)
    with tfckpt.open(tmp_path / "theirs") as theirs:
        for name, value in tensors.items():
            assert theirs.entry(name).data_type == number
            read = tf.raw_ops.RestoreV2(
                prefix=str(tmp_path / "ours"), tensor_names=[name], shape_and_slices=[""], dtypes=[number]
            )[0]
            assert (read.shape, read.numpy().tobytes()) == (value.shape, value.tobytes())
            assert (theirs[name].shape, theirs[name].tobytes()) == (value.shape, value.tobytes())


def test_strings_are_read_as_tensorflow_reads_them(tf: Any, tmp_path: Path) -> None:
    save_v2(tf, str(tmp_path / "theirs"), {"s": STRINGS})
    tfckpt.save(tmp_path / "ours", {"s": STRINGS})
    assert tfckpt.open(tmp_path / "theirs")["s"].tolist() == STRINGS.tolist()
    assert tf.train.load_checkpoint(str(tmp_path / "ours")).get_tensor("s").tolist() == STRINGS.tolist()


def test_a_copy_of_an_open_checkpoint_is_the_same_checkpoint(tf: Any, tmp_path: Path) -> None:
    tensors = every_dtype(tf)
    save_v2(tf, str(tmp_path / "theirs"), dict(sorted(tensors.items())))
    with tfckpt.open(tmp_path / "theirs") as theirs:
        assert {theirs.entry(f"{type_name(n)}/0/()").data_type for n in QUANTIZED} == set(QUANTIZED)
        tfckpt.save(tmp_path / "ours", theirs)
    assert bundle_bytes(tmp_path / "ours") == bundle_bytes(tmp_path / "theirs")


def test_arrays_of_another_byte_order_or_layout_are_written_little_endian_in_c_order(tf: Any, tmp_path: Path) -> None:
    value = np.arange(24, dtype=np.float32).reshape(4, 6)
    save_v2(tf, str(tmp_path / "theirs"), {"a": value, "b": value.T.copy()})
    tfckpt.save(tmp_path / "ours", {"a": value.astype(">f4"), "b": value.T})
    assert bundle_bytes(tmp_path / "ours") == bundle_bytes(tmp_path / "theirs")
