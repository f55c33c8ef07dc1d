"""What TensorFlow makes of the bundles in tests/test_corner_cases.py: it reads them, loses tensors, or ends the process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.bundles import edited_entry, edited_rows, read_rows, write_rows
from support.kernels import DTYPES, make, restore_v2, save_slices, save_v2, type_name

import tfckpt
from tfckpt._proto import types_pb2
from tfckpt._proto.tensor_bundle_pb2 import BundleEntryProto
from tfckpt._proto.types_pb2 import DataType
from tfckpt.bundle.values.slices import TensorSlice
from tfckpt.errors import FormatError
from tfckpt.sstable.checksum import mask

pytestmark = pytest.mark.tf

W = np.arange(6, dtype=np.float32).reshape(2, 3)
UNSWAPPED = range(types_pb2.DT_FLOAT8_E5M2, types_pb2.DT_FLOAT4_E2M1FN)
STRINGS = np.array([[b"", b"a\0"], [b"\xff" * 300, b"b" * 70_000]], object)
TENSORS: dict[str, Any] = {"w": W, "v": np.array(-5), "s": STRINGS}


@pytest.fixture
def prefix(tf: Any, tmp_path: Path) -> str:
    """Prefix of a bundle that TensorFlow wrote, of two numeric tensors and one of strings."""
    save_v2(tf, tmp_path / "m", TENSORS)
    return str(tmp_path / "m")


def assert_both_read(tf: Any, prefix: str | Path) -> None:
    with tfckpt.open(prefix) as checkpoint:
        assert tfckpt.list_variables(prefix) == tf.train.list_variables(str(prefix))
        for name, dtype in (("w", tf.float32), ("v", tf.int64), ("s", tf.string)):
            expected = TENSORS[name].tolist()
            assert checkpoint[name].tolist() == restore_v2(tf, prefix, name, dtype).numpy().tolist() == expected
        checkpoint.verify()


@pytest.mark.parametrize(
    "options",
    [
        {"compressed": True},
        {"compressed": True, "rows_per_block": 1},
        {"before": b"junk", "between": b"?" * 70_000, "rows_per_block": 2},
    ],
    ids=["snappy", "snappy-blocks", "junk"],
)
def test_an_index_may_be_laid_out_in_any_way(tf: Any, prefix: str, options: dict[str, Any]) -> None:
    write_rows(prefix, sorted(read_rows(prefix).items()), **options)
    assert_both_read(tf, prefix)


def test_bytes_that_no_tensor_owns_or_two_tensors_share_do_no_harm(tf: Any, prefix: str) -> None:
    data = Path(f"{prefix}.data-00000-of-00001")
    data.write_bytes(b"gap" + data.read_bytes() + b"tail")
    for name in TENSORS:
        with edited_entry(prefix, name) as proto:
            proto.offset += 3
    with edited_rows(prefix) as rows:
        rows[b"alias"] = rows[b"w"]
    assert_both_read(tf, prefix)
    assert restore_v2(tf, prefix, "alias", tf.float32).numpy().tolist() == tfckpt.open(prefix)["alias"].tolist()


@pytest.mark.parametrize("number", DTYPES, ids=type_name)
def test_big_endian_values_are_read_by_both(tf: Any, tmp_path: Path, number: DataType) -> None:
    value = make(tf, number, (3, 4))
    tfckpt.save(tmp_path / "big", {"w": value}, big_endian=True)
    assert tfckpt.open(tmp_path / "big")["w"].tobytes() == value.tobytes()
    if number in UNSWAPPED:  # of one byte each: there is nothing to swap, but TensorFlow does not know
        with pytest.raises(tf.errors.UnimplementedError, match="Byte-swapping not supported"):
            restore_v2(tf, tmp_path / "big", "w", number)
    else:
        assert restore_v2(tf, tmp_path / "big", "w", number).numpy().tobytes() == value.tobytes()


def test_big_endian_strings_are_read_by_both(tf: Any, tmp_path: Path) -> None:
    tensors = {"s": STRINGS, "none": np.empty((0, 2), object), "one": np.array(b"one", object)}
    tfckpt.save(tmp_path / "big", tensors, big_endian=True)
    for name, value in tensors.items():
        assert tfckpt.open(tmp_path / "big")[name].tolist() == value.tolist()
        assert np.array(restore_v2(tf, tmp_path / "big", name, tf.string), object).tolist() == value.tolist()


def test_strings_without_elements_may_store_nothing(tf: Any, tmp_path: Path) -> None:
    save_v2(tf, tmp_path / "m", {"s": np.empty((0, 2), object)})
    with edited_entry(tmp_path / "m", "s") as proto:
        assert proto.size == 4
        proto.size, proto.crc32c = 0, mask(0)
    assert restore_v2(tf, tmp_path / "m", "s", tf.string).shape == tfckpt.open(tmp_path / "m")["s"].shape == (0, 2)


def test_a_missing_checksum_is_a_wrong_one(tf: Any, prefix: str) -> None:
    with edited_entry(prefix, "w") as proto:
        proto.ClearField("crc32c")
    with pytest.raises(tf.errors.DataLossError, match=r"[Cc]hecksum does not match"):
        restore_v2(tf, prefix, "w", tf.float32)
    with pytest.raises(FormatError, match="checksum"):
        tfckpt.open(prefix)["w"]


def test_tensorflow_loses_keys_out_of_order_without_a_word(tf: Any, tmp_path: Path) -> None:
    names = [f"n{i:03d}" for i in range(100)]
    save_v2(tf, tmp_path / "m", dict.fromkeys(names, W))
    rows = sorted(read_rows(tmp_path / "m").items())
    write_rows(tmp_path / "m", [rows[0], *rows[51:], *rows[1:51]])
    reader = tf.train.load_checkpoint(str(tmp_path / "m"))
    dtypes, specs = [tf.float32] * len(names), [""] * len(names)
    with pytest.raises(tf.errors.NotFoundError):
        tf.raw_ops.RestoreV2(prefix=str(tmp_path / "m"), tensor_names=names, shape_and_slices=specs, dtypes=dtypes)
    assert len(reader.get_variable_to_shape_map()) == len(names)
    with pytest.raises(FormatError, match=r"m\.index: key order in block at byte [\d,]+: expected a key after"):
        list(tfckpt.open(tmp_path / "m"))


def test_odd_names_are_listed_alike(tf: Any, tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "m", {"\0leading": 1, "a\0b": 2, "größe": 3})
    assert tfckpt.list_variables(tmp_path / "m") == tf.train.list_variables(str(tmp_path / "m"))
    tfckpt.save(tmp_path / "n", {"\udcff": 1})
    with pytest.raises(UnicodeDecodeError):
        tf.train.list_variables(str(tmp_path / "n"))
    assert tfckpt.list_variables(tmp_path / "n") == [("\udcff", [])]


def test_a_slice_that_belongs_to_nobody_is_listed_by_both(tf: Any, tmp_path: Path) -> None:
    save_slices(tf, tmp_path / "m", [("w", "2 3 0,1:-", W[:1]), ("w", "2 3 1,1:-", W[1:])])
    assert tf.train.list_variables(str(tmp_path / "m")) == tfckpt.list_variables(tmp_path / "m") == [("w", [2, 3])]
    with edited_rows(tmp_path / "m") as rows:
        del rows[b"w"]
    # The first length in a key is no UTF-8, so TensorFlow counts it and cannot say its name.
    assert len(tfckpt.open(tmp_path / "m")) == 2
    with pytest.raises(UnicodeDecodeError):
        tf.train.list_variables(str(tmp_path / "m"))


def test_slices_in_any_order_and_a_stale_place(tf: Any, tmp_path: Path) -> None:
    save_slices(tf, tmp_path / "m", [("w", "2 3 0,1:0,3", W[:1]), ("w", "2 3 1,1:-", W[1:])])
    with edited_entry(tmp_path / "m", "w") as proto:
        found = list(proto.slices)
        del proto.slices[:]
        proto.slices.extend(found[::-1])
        proto.shard_id, proto.offset, proto.size, proto.crc32c = 9, 1 << 40, 77, 1
    assert tfckpt.open(tmp_path / "m").entry("w").slices[1] == TensorSlice(((0, 1), (0, 3)))
    assert tfckpt.open(tmp_path / "m")["w"].tolist() == W.tolist()
    assert restore_v2(tf, tmp_path / "m", "w", tf.float32).numpy().tolist() == W.tolist()


def test_a_missing_slice_is_an_error(tf: Any, tmp_path: Path) -> None:
    save_slices(tf, tmp_path / "m", [("w", "2 3 0,1:-", W[:1])])
    with pytest.raises(tf.errors.OpError):
        restore_v2(tf, tmp_path / "m", "w", tf.float32)
    with pytest.raises(FormatError, match="expected each of 6 elements once, got 3"):
        tfckpt.open(tmp_path / "m")["w"]


def test_a_prefix_that_ends_in_a_slash(tf: Any, tmp_path: Path) -> None:
    save_v2(tf, f"{tmp_path}/dir/", {"w": W})
    assert sorted(path.name for path in (tmp_path / "dir").iterdir()) == [".data-00000-of-00001", ".index"]
    for typed in (f"{tmp_path}/dir/", f"{tmp_path}/dir"):
        assert tfckpt.open(typed)["w"].tolist() == W.tolist()


def test_paths_of_files_open_here_and_mislead_there(tf: Any, prefix: str) -> None:
    assert tf.train.load_checkpoint(f"{prefix}.index").get_variable_to_shape_map() == {}
    with pytest.raises((tf.errors.OpError, ValueError)):
        tf.train.load_checkpoint(f"{prefix}.data-00000-of-00001")
    for suffix in (".index", ".data-00000-of-00001"):
        assert set(tfckpt.load_checkpoint(prefix + suffix).get_variable_to_shape_map()) == set(TENSORS)


ABORTS = {
    "negative dimension": "12021208" + "fe" + "ff" * 8 + "01",
    "dtype 77": "084d",
    "dtype 0": "0800",
    "reference dtype": "0865",
}
# One import of TensorFlow, and a fork a case: what ends the process ends only that.
READ = """
import os, sys
import tensorflow as tf
for prefix in sys.argv[1:]:
    child = os.fork()
    if not child:
        tf.train.load_checkpoint(prefix).get_tensor("w")
        os._exit(0)
    print(os.waitpid(child, 0)[1])
"""


def test_what_ends_tensorflows_process_is_an_error_here(tmp_path: Path) -> None:
    prefixes = []
    for name, change in ABORTS.items():
        prefix = str(tmp_path / name.replace(" ", "_"))
        tfckpt.save(prefix, {"w": W})
        with edited_rows(prefix) as rows:
            proto = BundleEntryProto.FromString(rows[b"w"])
            if "dimension" in name:
                proto.shape.dim[0].size = -2
                rows[b"w"] = proto.SerializeToString()
            else:
                proto.ClearField("dtype")
                rows[b"w"] = bytes.fromhex(change) + proto.SerializeToString()
        prefixes.append(prefix)
    run = subprocess.run([sys.executable, "-c", READ, *prefixes], capture_output=True, text=True, check=True)
    statuses = [int(line) for line in run.stdout.split()]
    assert len(statuses) == len(ABORTS)
    assert all(status & 0x7F == 6 for status in statuses), statuses  # SIGABRT
    for prefix in prefixes:
        with pytest.raises(FormatError, match=rf"^{prefix}\.index: (shape|dtype) of tensor 'w'"):
            tfckpt.list_variables(prefix)
