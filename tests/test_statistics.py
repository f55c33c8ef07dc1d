"""The statistics of a tensor against NumPy's own, dtype by dtype, and in bounded memory."""

from __future__ import annotations

import inspect
import json
import pickle
import tracemalloc
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tfckpt
from tfckpt.bundle.values.slices import TensorSlice
from tfckpt.bundle.writer import BundleWriter
from tfckpt.checkpoint.statistics import Statistics, measure
from tfckpt.cli.main import main
from tfckpt.errors import ChecksumError, TensorNotFoundError, UsageError
from tfckpt.types import CheckpointStatistics

RNG = np.random.default_rng(0)


def statistics(directory: Path, value: Any, **options: Any) -> Statistics:
    tfckpt.save(directory / "c", {"w": value}, overwrite=True, **options)
    with tfckpt.open(directory / "c") as checkpoint:
        return measure(checkpoint.reader, checkpoint.entry("w"))


@pytest.mark.parametrize(
    "dtype",
    [
        np.float32,
        np.float64,
        np.float16,
        ml_dtypes.bfloat16,
        ml_dtypes.float8_e4m3fn,
        np.int8,
        np.uint16,
        np.int64,
        ml_dtypes.int4,
    ],
)
@pytest.mark.parametrize("big_endian", [False, True])
def test_statistics_are_those_that_numpy_computes(tmp_path: Path, dtype: Any, big_endian: bool) -> None:
    values = RNG.normal(scale=3, size=(70, 50)).astype(dtype)
    wide = values.astype(np.float64)
    found = statistics(tmp_path, values, big_endian=big_endian)
    assert (found.of, found.count, found.zeros) == ("values", 3500, int((wide == 0).sum()))
    assert (found.minimum, found.maximum) == (wide.min(), wide.max())
    assert found.mean == pytest.approx(wide.mean(), rel=1e-12)
    assert found.std == pytest.approx(wide.std(), rel=1e-12)
    counts, edges = np.histogram(wide, 10)
    assert (list(found.counts), list(found.edges)) == (counts.tolist(), edges.tolist())


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.float64, st.integers(0, 20), elements=st.floats(width=64)))
def test_any_doubles_have_statistics(tmp_path_factory: pytest.TempPathFactory, values: Any) -> None:
    found = statistics(tmp_path_factory.mktemp("any"), values)
    finite = values[np.isfinite(values)]
    assert (found.nan, found.positive_inf, found.negative_inf) == (
        np.isnan(values).sum(),
        np.isposinf(values).sum(),
        np.isneginf(values).sum(),
    )
    assert sum(found.counts) == finite.size
    if finite.size:
        assert None not in (found.mean, found.std)
        assert (found.minimum, found.maximum) == (finite.min(), finite.max())
        widest = np.longdouble(finite)
        assert found.mean == pytest.approx(float(widest.mean()), rel=1e-9, abs=float(abs(widest).max()) * 1e-15)
        assert 0 <= (found.std or 0) <= float(abs(finite).max()) * (1 + 1e-9)


def test_huge_values_do_not_overflow(tmp_path: Path) -> None:
    found = statistics(tmp_path, [1.7e308, -1.7e308, 1.7e308])
    assert found.mean == pytest.approx(1.7e308 / 3)
    assert found.std == pytest.approx(1.7e308 * np.sqrt(8 / 9))
    assert sum(found.counts) == 3


def test_tiny_values_do_not_overflow(tmp_path: Path) -> None:
    found = statistics(tmp_path, [2.0**-1022, 0.0])
    assert (found.mean, found.std) == (2.0**-1023, 2.0**-1023)
    assert found.counts == (1, *(0,) * 8, 1)


def test_bins_that_no_float_can_tell_apart_are_one(tmp_path: Path) -> None:
    found = statistics(tmp_path, [5e-324, 0.0])
    assert (found.edges, found.counts) == ((0.0, 5e-324), (2,))


def test_a_mean_far_from_zero_does_not_cost_the_deviation(tmp_path: Path) -> None:
    found = statistics(tmp_path, 1e9 + RNG.normal(size=400_000))  # four pieces
    assert found.std == pytest.approx(1.0, rel=0.01)


def test_integers_beyond_a_double_are_exact(tmp_path: Path) -> None:
    found = statistics(tmp_path, np.array([2**64 - 1, 2**64 - 2], np.uint64))
    assert (found.minimum, found.maximum) == (2**64 - 2, 2**64 - 1)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.zeros((0, 3), np.float32), Statistics("values", 0)),
        (np.array([np.nan, np.inf], np.float32), Statistics("values", 2, nan=1, positive_inf=1)),
        (
            np.float32(2.5),
            Statistics("values", 1, minimum=2.5, maximum=2.5, mean=2.5, std=0, edges=(2.5, 2.5), counts=(1,)),
        ),
        (
            np.array([True, True]),
            Statistics("values", 2, minimum=1, maximum=1, mean=1, std=0, edges=(1, 1), counts=(2,)),
        ),
        (
            np.array([3 + 4j], np.complex64),
            Statistics("magnitudes", 1, minimum=5, maximum=5, mean=5, std=0, edges=(5, 5), counts=(1,)),
        ),
        (
            ["", ""],
            Statistics("lengths", 2, zeros=2, minimum=0, maximum=0, mean=0, std=0, edges=(0, 0), counts=(2,)),
        ),
    ],
    ids=["empty", "not finite", "scalar", "bool", "complex", "string"],
)
def test_statistics_of_other_kinds(tmp_path: Path, value: Any, expected: Statistics) -> None:
    assert statistics(tmp_path, value) == expected


def test_neighbouring_floats_share_a_bin(tmp_path: Path) -> None:
    low, high = 1.0, float(np.nextafter(1.0, 2))
    found = statistics(tmp_path, [low, high])
    assert (found.edges, found.counts) == ((low, high), (2,))


def test_a_partitioned_tensor_however_it_was_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfckpt.bundle.stream.RUN_SIZE", 7)
    values = RNG.normal(size=(4, 5, 6))
    with BundleWriter(str(tmp_path / "c")) as writer:
        for start, length in ((0, 2), (2, 3)):
            part = TensorSlice(((0, -1), (start, length), (0, -1)))
            writer.add_slice("w", values.shape, part, values[part.within(values.shape)])
        writer.finish()
    with tfckpt.open(tmp_path / "c") as checkpoint:
        found = measure(checkpoint.reader, checkpoint.entry("w"))
    assert (found.count, sum(found.counts)) == (120, 120)
    assert found.mean == pytest.approx(values.mean(), rel=1e-12)


def test_v1_values_are_measured_too() -> None:
    with tfckpt.open(Path(__file__).parent / "data" / "v1" / "slices", format="v1") as checkpoint:
        name = next(e.name for e in checkpoint.entries() if e.is_numeric and e.size)
        found = measure(checkpoint.reader, checkpoint.entry(name))
        assert found.count == checkpoint[name].size


def test_damage_is_found_in_passing(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "c", {"w": np.ones(9)})
    data = tmp_path / "c.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:-1] + b"\0")
    with tfckpt.open(tmp_path / "c") as checkpoint:
        with pytest.raises(ChecksumError, match="checksum of tensor 'w'"):
            measure(checkpoint.reader, checkpoint.entry("w"))
        assert measure(checkpoint.reader, checkpoint.entry("w"), verify=False).maximum == 1


def test_memory_is_bounded(tmp_path: Path) -> None:
    size = 8 << 20
    tfckpt.save(tmp_path / "c", {"w": np.zeros(size, np.float32)}, sync=False)
    with tfckpt.open(tmp_path / "c") as checkpoint:
        tracemalloc.start()
        measure(checkpoint.reader, checkpoint.entry("w"))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 4 * size / 2  # NumPy's own memory is traced: the tensor has 4 * size bytes


# --- the public call


MIXED: dict[str, Any] = {
    "b/bias": [0.0, np.nan, np.inf],
    "a/kernel": np.arange(6.0).reshape(2, 3),
    "labels": ["yes", "no"],
}


@pytest.fixture
def mixed(tmp_path: Path) -> str:
    """A checkpoint of two numeric tensors and one of strings."""
    tfckpt.save(tmp_path / "m", MIXED)
    return str(tmp_path / "m")


def test_a_call_measures_every_numeric_tensor_and_names_the_others(mixed: str) -> None:
    found = tfckpt.statistics(mixed)
    assert isinstance(found, CheckpointStatistics)
    assert (found.source, list(found), len(found), found.skipped) == (mixed, ["a/kernel", "b/bias"], 2, ("labels",))
    kernel, bias = found.values()
    assert (kernel.count, kernel.minimum, kernel.maximum, kernel.mean) == (6, 0.0, 5.0, 2.5)
    assert kernel.std == pytest.approx(np.arange(6.0).std(), rel=1e-12)
    assert (bias.count, bias.nan, bias.positive_inf, bias.zeros, bias.mean) == (3, 1, 1, 1, 0.0)
    assert found.tensors["a/kernel"].entry.shape == (2, 3)
    assert found == pickle.loads(pickle.dumps(found))
    with pytest.raises(AttributeError):
        found.source = "another"  # type: ignore[misc]


def test_a_call_finds_what_the_command_show_prints(mixed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", mixed, "a/kernel", "b/bias", "--bins", "3", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    document = tfckpt.statistics(mixed, bins=3).to_json()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["tensors"] == [{key: row[key] for key in document["tensors"][0]} for row in shown]
    assert (document["source"], document["skipped"]) == (mixed, ["labels"])


def test_bins_are_as_many_as_asked_for(mixed: str) -> None:
    assert tfckpt.statistics(mixed, "a/*", bins=2)["a/kernel"].counts == (3, 3)
    assert len(tfckpt.statistics(mixed)["a/kernel"].counts) == 10
    assert inspect.signature(tfckpt.statistics).parameters["pattern"].default is None


@pytest.mark.parametrize("bins", [0, -1, 1.5, "many"])
def test_bins_that_are_no_number_of_bars_are_refused(mixed: str, bins: Any) -> None:
    with pytest.raises(UsageError, match=r"^bins: expected"):
        tfckpt.statistics(mixed, bins=bins)


def test_a_pattern_chooses_and_one_that_matches_nothing_is_an_error(mixed: str, bert: str) -> None:
    assert list(tfckpt.statistics(mixed, "b/*")) == ["b/bias"]
    assert tfckpt.statistics(mixed, "lab*").skipped == ("labels",)
    assert len(tfckpt.statistics(bert, "bert/pooler/*")) == 6
    with pytest.raises(TensorNotFoundError, match="no tensor 'b/bais'; did you mean 'b/bias'"):
        tfckpt.statistics(mixed, "b/bais")


def test_a_name_with_a_bracket_in_it_is_found_as_it_is(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "m", {"w[0]": [1.0]})
    assert list(tfckpt.statistics(tmp_path / "m", "w[0]")) == ["w[0]"]


def test_paths_of_objects_choose_too(bert: str, tmp_path: Path) -> None:
    tfckpt.convert(bert, tmp_path / "m", sync=False)
    (found,) = tfckpt.statistics(tmp_path / "m", "model/_pooler_layer/kernel").values()
    assert found == tfckpt.statistics(bert, "bert/pooler/dense/kernel")["bert/pooler/dense/kernel"]


@pytest.mark.parametrize("name", ["saver", "slices", "shards"])
def test_v1_checkpoints_have_statistics_too(name: str) -> None:
    prefix = Path(__file__).parent / "data" / "v1" / name
    found = tfckpt.statistics(prefix, source_format="v1")
    assert found
    with tfckpt.open(prefix) as checkpoint:
        assert {*found, *found.skipped} == set(checkpoint)
        for name, statistics in found.items():
            assert statistics.count == checkpoint[name].size


def test_all_bytes_are_counted_twice_since_they_are_read_twice(mixed: str) -> None:
    seen: list[tuple[int, int]] = []
    tfckpt.statistics(mixed, progress=lambda done, total: seen.append((done, total)))
    with tfckpt.open(mixed) as checkpoint:
        total = 2 * sum(entry.nbytes for entry in checkpoint.entries() if entry.is_numeric)
    assert seen[-1] == (total, total)
    assert seen == sorted(seen)
    assert len(seen) > 3


def test_damage_is_an_error_that_names_the_tensor(mixed: str) -> None:
    path = Path(f"{mixed}.data-00000-of-00001")
    data = bytearray(path.read_bytes())
    with tfckpt.open(mixed) as checkpoint:
        data[checkpoint.entry("a/kernel").offset] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(ChecksumError, match="'a/kernel'"):
        tfckpt.statistics(mixed)
    assert list(tfckpt.statistics(mixed, "b/*")) == ["b/bias"]


def test_a_large_checkpoint_takes_no_more_memory_than_a_piece(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "m", {name: RNG.normal(size=1_000_000) for name in ("a", "b")}, sync=False)
    tfckpt.statistics(tmp_path / "m", "a")  # what is imported, and remembered, does not count
    tracemalloc.start()
    try:
        tfckpt.statistics(tmp_path / "m")
        assert tracemalloc.get_traced_memory()[1] < 6 << 20  # of 16 MB
    finally:
        tracemalloc.stop()
