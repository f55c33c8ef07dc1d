"""Two checkpoints compared: by name, across layouts, as numbers, in bounded memory."""

from __future__ import annotations

import math
import tracemalloc
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.commands import Captured, succeed
from support.v1 import to_rows, write_rows

import tfckpt
from tfckpt.cli.main import main
from tfckpt.edit.comparison.diff import Comparison
from tfckpt.edit.comparison.differences import Distance, Tolerance, aligned
from tfckpt.errors import ChecksumError, PlanError, UsageError


def compare(directory: Path, a: Any, b: Any, **options: Any) -> Comparison:
    """Compare two checkpoints of one tensor, or of several."""
    for name, value in (("a", a), ("b", b)):
        tfckpt.save(directory / name, value if isinstance(value, dict) else {"w": value}, overwrite=True)
    return tfckpt.diff(directory / "a", directory / "b", **options)


def distance(directory: Path, a: Any, b: Any, **options: Any) -> Distance:
    (pair,) = compare(directory, a, b, **options).pairs
    assert pair.distance is not None
    return pair.distance


@pytest.mark.parametrize(
    ("a", "b", "max_absolute", "max_relative", "differing"),
    [
        (np.array([1, 2, 4], np.float32), np.array([1, 2, 5], np.float32), 1.0, 0.2, 1),
        (np.array([0, -2], np.float64), np.array([1e-3, 2], np.float64), 4.0, 2.0, 2),
        (np.array([2**62, 1]), np.array([2**62 + 1, 1]), 1, 2.0**-62, 1),  # which doubles cannot tell apart
        (np.array([-(2**63)]), np.array([2**63 - 1]), 2**64 - 1, 2.0, 1),
        (np.array([2**64 - 1], np.uint64), np.array([0], np.uint64), 2**64 - 1, 1.0, 1),
        (np.array([True, False]), np.array([True, True]), 1.0, 1.0, 1),
        (np.array([1, 1j], np.complex64), np.array([1, -1j], np.complex64), 2.0, 2.0, 1),
        (np.array([1, 2], ml_dtypes.bfloat16), np.array([1, 3], ml_dtypes.bfloat16), 1.0, 1 / 3, 1),
        (np.array([1, -8], ml_dtypes.int4), np.array([1, 7], ml_dtypes.int4), 15, 15 / 8, 1),
        (np.array([np.nan, 0.0], np.float32), np.array([np.nan, -0.0], np.float32), 0, 0, 0),
        ([1e308, 1.0], [-1e308, 1.0], math.inf, math.inf, 1),
        (["a", "b"], ["a", "c"], None, None, 1),
    ],
    ids=["float32", "sign", "int64", "ends", "uint64", "bool", "complex", "bfloat16", "int4", "nan", "over", "str"],
)
def test_the_largest_differences_and_the_first_place_are_found(
    tmp_path: Path, a: Any, b: Any, max_absolute: float | None, max_relative: float | None, differing: int
) -> None:
    for found in (distance(tmp_path, a, b), distance(tmp_path, b, a)):
        assert (found.max_absolute, found.differing) == (max_absolute, differing)
        assert found.max_relative == (max_relative if max_relative is None else pytest.approx(max_relative))
        assert found.first == (None if not differing else int(np.argmax(np.asarray(a) != np.asarray(b))))


def test_what_is_not_finite_on_one_side_differs_whatever_the_tolerance(tmp_path: Path) -> None:
    a, b = np.array([np.nan, np.inf, np.inf, 1, np.inf], np.float32), np.array([1, 1, -np.inf, 1.5, np.inf], np.float32)
    found = distance(tmp_path, a, b, atol=1e30, rtol=1)
    assert (found.differing, found.one_sided, found.max_absolute) == (3, 3, 0.5)


@pytest.mark.parametrize(
    ("options", "same"),
    [({}, False), ({"atol": 0.25}, True), ({"atol": 0.24}, False), ({"rtol": 0.2}, True), ({"rtol": 0.19}, False)],
)
def test_a_tolerance_holds_at_its_very_end(tmp_path: Path, options: dict[str, float], same: bool) -> None:
    assert compare(tmp_path, [1.0], [1.25], **options).same is same
    assert compare(tmp_path, [1.25], [1.0], **options).same is same


@settings(max_examples=60)
@given(st.lists(st.tuples(st.floats(width=32), st.floats(width=32)), min_size=1, max_size=30), st.data())
def test_pieces_of_any_size_give_the_same_distance(values: list[tuple[float, float]], data: st.DataObject) -> None:
    a, b = np.array(values, np.float32).T
    whole, pieces = Distance(), Distance()
    whole.add(a, b, Tolerance())
    cuts = sorted(data.draw(st.lists(st.integers(0, len(a)), max_size=3)))
    for x, y in aligned(np.split(a, cuts), np.array_split(b, 2)):
        pieces.add(x, y, Tolerance())
    assert pieces == whole
    assert whole.differing == (~((a == b) | (np.isnan(a) & np.isnan(b)))).sum()


def test_names_dtypes_and_shapes(tmp_path: Path) -> None:
    a = {"cast": np.array([1.5], np.float32), "gone": 1, "kind": ["x"], "reshaped": np.zeros((2, 3)), "same": 1}
    b = {"cast": np.array([1.5], np.float16), "kind": [1], "new": 1, "reshaped": np.zeros((3, 2)), "same": 1}
    found = compare(tmp_path, a, b)
    assert {pair.a or pair.b: pair.verdict for pair in found.pairs} == {
        "cast": "dtype",
        "gone": "only in A",
        "kind": "dtype",
        "reshaped": "shape",
        "same": "same",
        "new": "only in B",
    }
    verdicts = {pair.a: pair.verdict for pair in tfckpt.diff(tmp_path / "a", tmp_path / "b", ignore_dtypes=True).pairs}
    assert (verdicts["cast"], verdicts["kind"]) == ("same", "dtype")


def test_a_checkpoint_is_the_same_in_v1_in_slices_and_in_the_other_byte_order(tmp_path: Path) -> None:
    tensors: dict[str, Any] = {"w": np.arange(600.0).reshape(20, 30), "s": ["a", "b"]}
    tfckpt.save(tmp_path / "a", tensors)
    tfckpt.save(tmp_path / "big", tensors, big_endian=True)
    tfckpt.save(tmp_path / "cut", tensors, max_shard_size=1000)
    write_rows(tmp_path / "v1", to_rows(dict(tfckpt.open(tmp_path / "a"))))
    assert tfckpt.open(tmp_path / "cut").entry("w").slices
    assert tfckpt.open(tmp_path / "v1").format == "v1"
    for other in ("big", "cut", "v1"):
        for pair in (("a", other), (other, "a")):
            assert tfckpt.diff(*(tmp_path / name for name in pair)).same, other


@pytest.mark.parametrize("to", ["encoder", "pretrainer", "keras"])
def test_across_layouts_nothing_differs_until_a_value_does(bert: str, tmp_path: Path, to: str) -> None:
    plan = tfckpt.convert(bert, tmp_path / "out", to=to)
    same = tfckpt.diff(bert, tmp_path / "out", plan=plan)
    assert same.same
    assert len(same.pairs) == len(plan.steps)
    assert set(same.ignored) == {item.source for item in plan.dropped}

    step = next(step for step in plan.steps if step.source.endswith("layer_1/attention/self/query/kernel"))
    with tfckpt.open(tmp_path / "out") as checkpoint:
        tensors = dict(checkpoint)
    tensors[step.target] = tensors[step.target].copy()
    tensors[step.target].reshape(-1)[5] += 0.5
    tfckpt.save(tmp_path / "edited", tensors)
    (pair,) = tfckpt.diff(bert, tmp_path / "edited", plan=plan).differing
    assert (pair.a, pair.b, pair.verdict) == (step.source, step.target, "values")
    assert pair.distance is not None
    assert (pair.distance.first, pair.distance.differing) == (5, 1)
    assert tfckpt.diff(bert, tmp_path / "edited", plan=plan, atol=0.51).same


def test_the_way_back_is_compared_too(bert: str, tmp_path: Path) -> None:
    tfckpt.convert(bert, tmp_path / "out")
    found = tfckpt.diff(tmp_path / "out", bert, plan=tfckpt.plan(tmp_path / "out", to="tf1"))
    assert {pair.verdict for pair in found.pairs if pair.a} == {"same"}
    assert {pair.b.split("/")[0] for pair in found.differing} == {"cls"}  # heads, which an encoder has not
    assert set(found.ignored.values()) == {"optimizer state", "training step", "object graph"}


def test_a_layout_that_b_has_not_is_said(bert: str, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="no object graph, which target 'encoder' has"):
        tfckpt.diff(bert, bert, plan=tfckpt.plan(bert))
    tfckpt.save(tmp_path / "x", {"w": 1})
    plan = tfckpt.plan(bert)
    with pytest.raises(UsageError, match=r"^plan: it is for "):
        tfckpt.diff(tmp_path / "x", bert, plan=plan)


@pytest.mark.parametrize("options", [{"atol": -1.0}, {"rtol": math.nan}])
def test_a_tolerance_that_is_none_is_refused(bert: str, options: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="expected numbers of 0 or more"):
        tfckpt.diff(bert, bert, **options)  # type: ignore[arg-type]


def test_damage_on_either_side_is_no_difference(tmp_path: Path) -> None:
    for name in ("a", "b"):
        tfckpt.save(tmp_path / name, {"w": np.ones(9)})
    data = tmp_path / "b.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:-1] + b"\0")
    for pair in (("a", "b"), ("b", "a")):
        with pytest.raises(ChecksumError, match="checksum of tensor 'w'"):
            tfckpt.diff(*(tmp_path / name for name in pair))


def test_memory_is_bounded(tmp_path: Path) -> None:
    size = 8 << 20
    for name, value in (("a", 0), ("b", 1)):
        tfckpt.save(tmp_path / name, {"w": np.full(size, value, np.float32)}, sync=False)
    tracemalloc.start()
    found = tfckpt.diff(tmp_path / "a", tmp_path / "b")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.pairs[0].distance is not None
    assert found.pairs[0].distance.differing == size
    assert peak < 4 * size  # one of the two would be as much


def test_the_command_prints_what_differs(tmp_path: Path, capsys: Captured) -> None:
    compare(tmp_path, {"s": ["a"], "w": [1.0, 2.0], "x": 1}, {"s": ["a"], "w": [1.0, 2.5], "y": 1})
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    assert main(["diff", a, b]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "values\tw\tfloat64\t[2]\t1 of 2\t[1]\t0.5\t0.2",
        "only in A\tx\tint64\t[]\t\t\t\t",
        "only in B\ty\tint64\t[]\t\t\t\t",
        f"{a}, {b}: 1 tensor matches, 1 differs in values, 1 is only in A, 1 is only in B",
    ]
    assert succeed(capsys, "diff", a, a, "--all")[0] == "same\ts\tstring\t[1]\t\t\t\t"
    assert main(["diff", a, b, "--quiet"]) == 1
    assert capsys.readouterr() == ("", "")


def test_the_command_compares_across_layouts(bert: str, tmp_path: Path, capsys: Captured) -> None:
    dest = str(tmp_path / "out")
    tfckpt.convert(bert, dest, num_heads=2)
    assert succeed(capsys, "diff", bert, dest, "--map", "encoder") == [
        f"OK: all 39 tensors match: {bert} as encoder, {dest}",
        "not compared: 92 (optimizer state)",
        "not compared: 5 (masked-LM head)",
        "not compared: 2 (next-sentence head)",
        "not compared: 1 (training step)",
    ]
    assert main(["diff", bert, dest]) == 1
    hint = "no tensor is in both; of a model that was converted: --map TARGET, such as encoder, or tf1"
    assert capsys.readouterr().out.splitlines()[-2:] == [
        f"{bert}, {dest}: 139 tensors are only in A, 40 are only in B",
        hint,
    ]
    assert main(["diff", bert, dest, "--map", "encoder", "--num-heads", "4"]) == 2  # the configuration says 2
    with pytest.raises(SystemExit, match="2"):
        main(["diff", bert, dest, "--map", "encode"])
    assert "did you mean 'encoder'?" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [["{0}/none", "{0}/none"], ["{0}/a", "{0}/a", "--atol=-1"]])
def test_what_cannot_be_compared_exits_with_2(tmp_path: Path, capsys: Captured, argv: list[str]) -> None:
    tfckpt.save(tmp_path / "a", {"w": 1})
    assert main(["diff", *(argument.format(tmp_path) for argument in argv)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    first, *others = err.splitlines()
    assert first.startswith("tfckpt diff: ")
    assert all(line.startswith("tfckpt diff: next: ") for line in others)
