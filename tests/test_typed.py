"""Quantized tensors and variants stay what they are, through NumPy and into another checkpoint; all others are plain."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
from support.files import bundle_bytes
from support.missing import missing
from support.patience import PATIENCE

import tfckpt
from tfckpt._proto.types_pb2 import DT_QINT8, DT_QINT16, DT_QINT32, DT_QUINT8, DT_VARIANT
from tfckpt.bundle.values.dtypes import NUMERIC, UNNAMED, dtype_name, numpy_dtype
from tfckpt.bundle.values.typed import typed
from tfckpt.bundle.writer import BundleWriter
from tfckpt.types import TypedArray

Array = npt.NDArray[Any]

DATA = Path(__file__).parent / "data"
ORACLES = [
    *(DATA / "bundles" / name for name in ("tf220/dtypes", "tf220/variants", "tf220/slices", "tf220/strings")),
    *(DATA / "bundles" / name for name in ("tf221/dtypes", "tf221/slices")),
    *(DATA / "v1" / name for name in ("slices", "saver")),
]
NUMBERS = np.arange(12, dtype=np.int8).reshape(3, 4)


@pytest.fixture
def saved(tmp_path: Path) -> str:
    """A quantized matrix and scalar, variants, and what NumPy has a word for."""
    with BundleWriter(str(tmp_path / "m")) as writer:
        writer.add("q", NUMBERS, DT_QINT8)
        writer.add("scalar", np.int32(5), DT_QINT32)
        writer.add("variant", np.array([b"ab", b""], object), DT_VARIANT)
        writer.add("one", np.array(b"abc", object), DT_VARIANT)
        writer.add("plain", NUMBERS)
        writer.add("strings", np.array([b"ab", b""], object))
        writer.add("half", NUMBERS.astype(ml_dtypes.bfloat16))
        writer.add("int4", (NUMBERS % 8).astype(ml_dtypes.int4))
        writer.finish()
    return str(tmp_path / "m")


def kind(value: Any) -> str:
    """Return what a value remembers to be: a plain array nothing."""
    assert type(value) in (np.ndarray, TypedArray)
    return value.dtype_name if isinstance(value, TypedArray) else "plain"


@pytest.mark.parametrize("oracle", ORACLES, ids=lambda path: "/".join(path.parts[-2:]))
def test_a_dict_of_a_checkpoint_is_saved_as_the_checkpoint_is(tmp_path: Path, oracle: Path) -> None:
    with tfckpt.open(oracle) as checkpoint:
        tfckpt.save(tmp_path / "whole", checkpoint)
        tfckpt.save(tmp_path / "dict", dict(checkpoint))
        tfckpt.save(tmp_path / "slices", {name: checkpoint.get_slice(name)[...] for name in checkpoint})
        before = {entry.name: entry.data_type for entry in checkpoint.entries()}
    assert bundle_bytes(tmp_path / "dict") == bundle_bytes(tmp_path / "slices") == bundle_bytes(tmp_path / "whole")
    with tfckpt.open(tmp_path / "dict") as checkpoint:
        assert {entry.name: entry.data_type for entry in checkpoint.entries()} == before


def test_every_dtype_is_among_those() -> None:
    found = set()
    for oracle in ORACLES:
        with tfckpt.open(oracle) as checkpoint:
            found |= {entry.data_type for entry in checkpoint.entries()}
    assert found >= {*NUMERIC, *UNNAMED}


@pytest.mark.parametrize("oracle", ORACLES, ids=lambda path: "/".join(path.parts[-2:]))
def test_only_what_numpy_has_no_word_for_comes_in_a_class_of_its_own(oracle: Path) -> None:
    with tfckpt.open(oracle) as checkpoint:
        reader = tfckpt.types.CheckpointReader(checkpoint)
        for entry, value in zip(checkpoint.entries(), checkpoint.values(), strict=True):
            expected = entry.dtype_name if entry.data_type in UNNAMED else "plain"
            assert kind(value) == kind(checkpoint[entry.name]) == kind(dict(checkpoint)[entry.name]) == expected
            part = checkpoint.get_slice(entry.name)
            assert kind(part[...]) == expected
            assert type(np.asarray(value)) is type(np.asarray(part)) is np.ndarray
            copied = reader.get_tensor(entry.name)
            if expected != "plain" or value.ndim:
                assert kind(copied) == kind(tfckpt.load_variable(oracle, entry.name)) == expected
                assert copied.flags.writeable
            assert value.dtype == entry.dtype


def test_nothing_is_copied(saved: str) -> None:
    with tfckpt.open(saved) as checkpoint:
        value, again = checkpoint["q"], checkpoint["q"]
    assert np.shares_memory(value, again)
    assert not value.flags.writeable


KEEPING = {
    "row": lambda x: x[1:],
    "rows": lambda x: x[[0, 0]],
    "mask": lambda x: x[np.asarray(x) > 3],
    "reshape": lambda x: x.reshape(-1),
    "np.reshape": lambda x: np.reshape(x, -1),
    "transpose": lambda x: x.T,
    "view": lambda x: x.view(),
    "own dtype": lambda x: x.view(np.int8),
    "copy": lambda x: x.copy(),
    "np.copy": np.copy,
    "copy.copy": copy.copy,
    "copy.deepcopy": copy.deepcopy,
    "pickle": lambda x: pickle.loads(pickle.dumps(x)),
    "oldest pickle": lambda x: pickle.loads(pickle.dumps(x, protocol=0)),
    "astype to its own dtype": lambda x: x.astype(x.dtype),
    "concatenate": lambda x: np.concatenate([x, x]),
    "stack": lambda x: np.stack((x, x)),
    "split": lambda x: np.split(x, 3)[1],
    "take": lambda x: np.take(x, [0, 2], axis=0),
    "zeros_like": np.zeros_like,
    "subok": lambda x: np.array(x, subok=True),
}


@pytest.mark.parametrize("change", KEEPING.values(), ids=KEEPING)
def test_what_only_moves_elements_keeps_the_dtype(saved: str, change: Any) -> None:
    value, plain = tfckpt.open(saved)["q"], NUMBERS
    found, expected = change(value), change(plain)
    assert kind(found) == "qint8"
    np.testing.assert_array_equal(np.asarray(found), expected)


COMPUTING = {
    "+": lambda x: x + 1,
    "reflected": lambda x: 1 + x,
    "both": lambda x: x + x,
    "-": lambda x: -x,
    "==": lambda x: x == x.copy(),
    "@": lambda x: x @ x.T,
    "dot": lambda x: x.dot(x.T),
    "np.dot": lambda x: np.dot(x, x.T),
    "astype": lambda x: x.astype(np.float32),
    "view": lambda x: x.view(np.uint8),
    "mean of rows": lambda x: np.mean(x, axis=0),
    "maximum": lambda x: x.max(axis=0),
    "cumsum": lambda x: x.cumsum(),
    "accumulate": np.add.accumulate,
    "argmax": lambda x: x.argmax(axis=0),
    "clip": lambda x: np.clip(x, 2, 3),
    "where": lambda x: np.where(np.asarray(x) > 3, x, 0),
    "with plain ones": lambda x: np.concatenate([x, np.asarray(x)]),
    "like another dtype": lambda x: np.zeros_like(x, dtype=np.int16),
    "divmod": lambda x: np.divmod(x, 2)[0],
    "asarray": np.asarray,
    "array": np.array,
    "its base": lambda x: x.view(np.ndarray),
}


@pytest.mark.parametrize("change", COMPUTING.values(), ids=COMPUTING)
def test_what_is_computed_is_plain(saved: str, change: Any) -> None:
    found, expected = change(tfckpt.open(saved)["q"]), change(NUMBERS)
    assert type(found) is np.ndarray
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def test_one_quantized_number_is_computed_with_like_a_number(saved: str) -> None:
    value = tfckpt.open(saved)["q"]
    assert type(np.mean(value)) is np.float64
    assert np.mean(value) == value.mean() == NUMBERS.mean()
    assert type(value[0, 1]) is np.int8
    assert value.tolist() == NUMBERS.tolist()


def test_values_may_be_changed_in_place(saved: str, tmp_path: Path) -> None:
    value = tfckpt.open(saved)["q"].copy()
    same = value
    value += 1
    np.add(value, 1, out=value)
    value[0] = 7
    assert value is same
    expected = NUMBERS + np.int8(2)
    expected[0] = 7
    tfckpt.save(tmp_path / "out", {"q": value})
    with tfckpt.open(tmp_path / "out") as checkpoint:
        assert checkpoint.entry("q").dtype_name == "qint8"
        assert checkpoint["q"].tolist() == expected.tolist()


def test_variants_are_kept_apart_from_strings(saved: str, tmp_path: Path) -> None:
    with tfckpt.open(saved) as checkpoint:
        variants, strings = checkpoint["variant"], checkpoint["strings"]
        assert (kind(variants), kind(variants[::-1]), kind(strings)) == ("variant", "variant", "plain")
        assert type(variants + variants) is np.ndarray
        tensors = {"v": variants[::-1], "computed": variants + variants, "p": pickle.loads(pickle.dumps(variants))}
        tfckpt.save(tmp_path / "out", tensors)
    names = {entry.name: entry.dtype_name for entry in tfckpt.open(tmp_path / "out").entries()}
    assert names == {"v": "variant", "computed": "string", "p": "variant"}
    assert tfckpt.open(tmp_path / "out")["v"].tolist() == [b"", b"ab"]


def test_scalars_of_the_readers_of_tensorflow_keep_theirs(saved: str, tmp_path: Path) -> None:
    reader = tfckpt.load_checkpoint(saved)
    scalar, one = reader.get_tensor("scalar"), tfckpt.load_variable(saved, "one")
    assert (kind(scalar), scalar.item(), scalar + 1) == ("qint32", 5, 6)
    assert (kind(one), one.item()) == ("variant", b"abc")
    tfckpt.save(tmp_path / "out", {"scalar": scalar, "one": one})
    assert [entry.dtype_name for entry in tfckpt.open(tmp_path / "out").entries()] == ["variant", "qint32"]


def test_an_array_of_the_class_never_lies_about_itself() -> None:
    value: Any = typed(np.zeros(4, np.int16), DT_QINT16)
    value.dtype = np.uint8  # NumPy takes it where it stands
    assert (value.dtype_name, value.shape) == ("uint8", (8,))
    with pytest.raises(AssertionError):
        typed(np.zeros(2, np.int8), DT_QUINT8)
    assert typed(NUMBERS, NUMERIC_OF["int8"]) is NUMBERS


NUMERIC_OF = {dtype_name(data_type): data_type for data_type in NUMERIC}


@pytest.mark.parametrize("data_type", [item for item in UNNAMED if item != DT_VARIANT], ids=dtype_name)
def test_records_of_tensorflow_are_still_quantized(tmp_path: Path, data_type: Any) -> None:
    record = np.dtype([(dtype_name(data_type), numpy_dtype(data_type))])
    value = np.arange(3).astype(numpy_dtype(data_type))
    tfckpt.save(tmp_path / "record", {"q": value.view(record)})
    tfckpt.save(tmp_path / "typed", {"q": typed(value, data_type)})
    assert bundle_bytes(tmp_path / "record") == bundle_bytes(tmp_path / "typed")


def test_it_can_be_stored_in_the_other_byte_order(tmp_path: Path) -> None:
    value = typed(np.array([1, 2, -3], np.int16), DT_QINT16)
    tfckpt.save(tmp_path / "big", {"q": value}, big_endian=True)
    with tfckpt.open(tmp_path / "big") as checkpoint:
        assert (kind(checkpoint["q"]), checkpoint["q"].tolist()) == ("qint16", [1, 2, -3])
        assert kind(checkpoint.get_slice("q")[1:]) == "qint16"


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("framework", "program"),
    [
        ("torch", "import torch; t = torch.from_numpy(q); t += 1; assert t.tolist() == q.tolist()"),
        ("torch", "import torch; t = torch.as_tensor(q); assert t.dtype == torch.int8 and t.shape == (3, 4)"),
        ("jax", "import jax.numpy as jnp; assert jnp.asarray(q).tolist() == q.tolist()"),
        ("jax", "import jax; assert jax.jit(lambda x: x + 1)(q).tolist() == (q + 1).tolist()"),
    ],
)
def test_quantized_values_go_into_frameworks_without_a_warning(saved: str, framework: str, program: str) -> None:
    if find_spec(framework) is None:
        missing(f"{framework} is not installed")
    begin = f"import warnings, {framework}, tfckpt\nwarnings.simplefilter('error')\nq = tfckpt.open({saved!r})['q'].copy()\n"
    command = [sys.executable, "-c", begin + program]
    result = subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE)
    assert (result.returncode, result.stderr) == (0, "")
