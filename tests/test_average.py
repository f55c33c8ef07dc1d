"""The average of checkpoints: which values it has, what it leaves alone, and which sources it refuses."""

from __future__ import annotations

import logging
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from support.commands import Captured, fail, succeed, succeed_json
from support.files import bundle_bytes
from support.patience import ends
from support.v1 import to_rows, write_rows

import tfckpt
from tfckpt._proto.types_pb2 import DT_QINT8, DT_VARIANT
from tfckpt.base.issues import compare
from tfckpt.bundle.values.dtypes import NUMERIC, dtype_name, numpy_dtype
from tfckpt.bundle.values.slices import TensorSlice
from tfckpt.bundle.writer import BundleWriter
from tfckpt.checkpoint.graph.agreement import disagreement, doubts
from tfckpt.checkpoint.graph.object_graph import (
    OBJECT_GRAPH_KEY,
    VARIABLE_VALUE,
    Attribute,
    Node,
    ObjectGraph,
    SlotVariable,
    variable_key,
)
from tfckpt.edit.average import AVERAGED, mean, rounded
from tfckpt.errors import (
    CheckpointExistsError,
    ChecksumError,
    FormatError,
    PlanError,
    TensorNotFoundError,
    UsageError,
)

Array = npt.NDArray[Any]

ROWS = np.random.default_rng(0).normal(size=(3, 700, 500)).astype(np.float32)  # more than a piece
FRACTIONS = ("float16", "bfloat16", "float32", "float64", "complex64", "complex128", "float8_e4m3fn", "float8_e5m2")
SMALL = [number for number in AVERAGED if numpy_dtype(number).kind == "V"]


@pytest.fixture
def runs(tmp_path: Path) -> list[str]:
    """Three checkpoints with a tensor of every kind."""
    prefixes = []
    for n in range(3):
        values = np.arange(12).reshape(3, 4) / 8 * (n + 1)
        with BundleWriter(str(tmp_path / f"run-{n}")) as writer:
            for number in NUMERIC:
                writer.add(dtype_name(number), values.astype(numpy_dtype(number)), number)
            writer.add("large", ROWS[n])
            writer.add("none", np.empty((0, 3), np.float32))
            writer.add("learning_rate", np.float32(0.1))
            writer.add("scale", np.float64(n))
            writer.add("string", f"run {n}")
            writer.add("variant", np.array([b"%d" % n], object), DT_VARIANT)
            writer.finish()
        prefixes.append(str(tmp_path / f"run-{n}"))
    return prefixes


def expected_mean(name: str, prefixes: list[str], weights: list[float] | None = None) -> Array:
    """Return the mean as NumPy computes it, in its own dtype."""
    arrays = [np.asarray(tfckpt.open(prefix)[name]) for prefix in prefixes]
    wide = [array.astype(np.complex128 if array.dtype.kind == "c" else np.float64) for array in arrays]
    found: Array = np.asarray(np.mean(wide, axis=0) if weights is None else np.average(wide, axis=0, weights=weights))
    return found.astype(arrays[0].dtype)


def test_numbers_with_a_fraction_are_averaged_in_their_dtype(runs: list[str], tmp_path: Path) -> None:
    plan = tfckpt.average(runs, tmp_path / "out")
    with tfckpt.open(tmp_path / "out") as averaged, tfckpt.open(runs[-1]) as last:
        assert [(e.name, e.data_type, e.shape) for e in averaged.entries()] == [
            (e.name, e.data_type, e.shape) for e in last.entries()
        ]
        for entry in averaged.entries():
            found = averaged[entry.name]
            if entry.data_type in AVERAGED:
                np.testing.assert_array_equal(found, expected_mean(entry.name, runs), entry.name)
                assert entry.name in {"learning_rate", "none"} or found.tolist() != last[entry.name].tolist()
            else:
                assert found.tolist() == last[entry.name].tolist()
        assert {e.dtype_name for e in averaged.entries() if e.data_type in AVERAGED} >= set(FRACTIONS)
        assert averaged["qint8"].tolist() == last["qint8"].tolist()
        averaged.verify()
    assert "scalars that differ, averaged as if they were weights: scale" in plan.notes
    assert f"int64, not averaged but as in {runs[-1]}: int64" in plan.notes
    assert not any("learning_rate" in note for note in plan.notes)


def test_weights_count_by_their_ratios(runs: list[str], tmp_path: Path) -> None:
    tfckpt.average(runs, tmp_path / "a", weights=[1, 2, 4])
    tfckpt.average(runs, tmp_path / "b", weights=np.array([1e-300, 2e-300, 4e-300]))  # type: ignore[arg-type]
    tfckpt.average(runs, tmp_path / "c", weights=[5e200] * 3)
    tfckpt.average(runs, tmp_path / "d")
    assert bundle_bytes(tmp_path / "c") == bundle_bytes(tmp_path / "d")
    for name in ("large", "float64", "bfloat16", "complex128"):
        found = tfckpt.open(tmp_path / "a")[name]
        np.testing.assert_allclose(
            found.astype(np.complex128), expected_mean(name, runs, [1, 2, 4]).astype(np.complex128), rtol=1e-6
        )
        np.testing.assert_array_equal(tfckpt.open(tmp_path / "b")[name], found)
    assert not np.array_equal(tfckpt.open(tmp_path / "a")["large"], tfckpt.open(tmp_path / "d")["large"])


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1, 2], "weights: expected 3, one for each source, got 2"),
        ([1, 2, 0], r"weights: expected positive numbers, got \[1, 2, 0\]"),
        ([1, 2, -1], "expected positive numbers"),
        ([1, 2, float("nan")], "expected positive numbers"),
        ([1, 2, float("inf")], "expected positive numbers"),
        ([1, 2, True], "expected positive numbers"),
        ([1, 2, "3"], "expected positive numbers"),
        ([1, 2, None], "weights: expected a list of numbers"),
        (3, "weights: expected a list of numbers, got 3"),
        ("123", "expected positive numbers"),
    ],
)
def test_weights_are_positive_numbers_one_for_each(runs: list[str], tmp_path: Path, weights: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        tfckpt.average(runs, tmp_path / "out", weights=weights)
    assert not list(tmp_path.glob("out*"))


def test_no_source_and_itself_are_refused(runs: list[str], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="average: expected one source or more, got none"):
        tfckpt.average([], tmp_path / "out")
    before = bundle_bytes(runs[0])
    with pytest.raises(UsageError, match="source and destination are the same checkpoint"):
        tfckpt.average(runs, runs[0], overwrite=True)
    assert bundle_bytes(runs[0]) == before
    tfckpt.save(tmp_path / "out", {"mine": 1})
    with pytest.raises(CheckpointExistsError):
        tfckpt.average(runs, tmp_path / "out")


@given(
    hnp.arrays(np.uint64, 5),
    st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=5),
    st.sampled_from(sorted(AVERAGED)),
)
def test_the_mean_of_equal_numbers_is_that_number_bit_for_bit(bits: Array, weights: list[float], number: Any) -> None:
    dtype = numpy_dtype(number)
    values = bits.view(np.uint8)[: 2 * dtype.itemsize].view(dtype)  # NaNs of all kinds, -0.0 and infinities among them
    found, _ = mean([values] * len(weights), weights)
    assert (found.dtype, found.tobytes()) == (dtype, values.tobytes())


@given(
    st.lists(hnp.arrays(np.float32, 4, elements=st.floats(-(2.0**100), 2.0**100, width=32)), min_size=2, max_size=5),
)
def test_a_mean_lies_between_what_it_is_of(arrays: list[Array]) -> None:
    found, odd = mean(arrays, [1.0] * len(arrays))
    assert odd == 0
    assert (found >= np.min(arrays, axis=0)).all()
    assert (found <= np.max(arrays, axis=0)).all()


def test_a_sum_that_is_too_large_is_none_of_the_mean() -> None:
    large = np.array([1.7e308, -1.7e308, 1.0])
    found, odd = mean([large, large * 0.9, large * 0.8], [1.0, 1.0, 1.0])
    np.testing.assert_allclose(found, large * 0.9)
    assert odd == 0


@pytest.mark.parametrize("number", SMALL, ids=dtype_name)
def test_small_dtypes_are_rounded_once_and_to_the_nearest(number: Any) -> None:
    dtype = numpy_dtype(number)
    width = 4 if dtype_name(number) == "float4_e2m1fn" else 8 * dtype.itemsize
    with np.errstate(invalid="ignore"):
        every = np.arange(1 << width).astype(f"u{dtype.itemsize}").view(dtype).astype(np.float64)
    numbers = np.unique(every[np.isfinite(every)])
    middles = (numbers[1:] + numbers[:-1]) / 2
    steps = np.abs(np.spacing(middles))
    np.testing.assert_array_equal(rounded(middles + steps, dtype).astype(np.float64), numbers[1:])
    np.testing.assert_array_equal(rounded(middles - steps, dtype).astype(np.float64), numbers[:-1])
    np.testing.assert_array_equal(rounded(numbers, dtype).astype(np.float64), numbers)
    np.testing.assert_array_equal(rounded(middles, dtype), middles.astype(np.float32).astype(dtype))


def test_values_that_are_not_finite_are_noted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    infinite = [np.array([-np.inf, 1, np.inf], np.float32), np.array([-np.inf, 2, 3], np.float32)]
    for n in range(2):
        tfckpt.save(
            tmp_path / f"{n}", {"w": np.array([1, [np.nan, 2][n], 3], np.float32), "mask": infinite[n], "ok": 1.5}
        )
    with caplog.at_level(logging.WARNING, "tfckpt"):
        plan = tfckpt.average([tmp_path / "0", tmp_path / "1"], tmp_path / "out")
    assert plan.notes[-1] == "values that are no finite numbers in some source, and in the average: w (1), mask (1)"
    assert "w: 1 values are not finite in the average" in caplog.text
    averaged = tfckpt.open(tmp_path / "out")
    np.testing.assert_array_equal(averaged["w"], [1, np.nan, 3])
    np.testing.assert_array_equal(averaged["mask"], [-np.inf, 1.5, np.inf])


def test_one_source_is_copied(runs: list[str], tmp_path: Path) -> None:
    plan = tfckpt.average(runs[:1], tmp_path / "out")
    assert bundle_bytes(tmp_path / "out") == bundle_bytes(runs[0])
    assert plan.notes[0] == f"{len(AVERAGED) + 4} tensors are as in the one source"


def test_files_and_slices_are_as_in_the_last_source(tmp_path: Path) -> None:
    def write(name: str, n: int, extents: Any, *, shards: bool, big_endian: bool = False) -> str:
        with BundleWriter(str(tmp_path / name), big_endian=big_endian) as writer:
            writer.add("step", np.int64(n))
            for part in map(TensorSlice, extents):
                writer.add_slice("w", ROWS[n].shape, part, ROWS[n][part.within(ROWS[n].shape)])
                if shards:
                    writer.next_shard()
            writer.add("q", np.array([n], np.int8), DT_QINT8)
            writer.finish()
        return str(tmp_path / name)

    write_rows(tmp_path / "v1", to_rows({"step": np.array(0, np.int64), "w": ROWS[0]}))
    with tfckpt.open(tmp_path / "v1") as checkpoint:  # which a writer by hand gives no quantized tensor
        tfckpt.save(
            tmp_path / "whole", {**checkpoint, "q": tfckpt.open(write("one", 0, [((0, -1),) * 2], shards=False))["q"]}
        )
    columns = [((0, -1), (0, 100)), ((0, -1), (100, 400))]
    blocks = [((400, 300), (0, -1)), ((0, 400), (0, 250)), ((0, 400), (250, 250))]
    sources = [str(tmp_path / "whole"), write("columns", 1, columns, shards=False)]
    for name, big_endian in (("blocks", False), ("big", True)):
        last = write(name, 2, blocks, shards=True, big_endian=big_endian)
        tfckpt.average([*sources, last], tmp_path / f"{name}-mean")
        with tfckpt.open(tmp_path / f"{name}-mean") as averaged, tfckpt.open(last) as before:
            places = [
                [e._replace(crc32c=0) for e in checkpoint.reader.stored.values()] for checkpoint in (averaged, before)
            ]
            assert places[0] == places[1]
            assert averaged.num_shards == before.num_shards == 4
            assert averaged.reader.big_endian is big_endian
            averaged.verify()
            np.testing.assert_array_equal(averaged["w"], np.mean(ROWS, axis=0, dtype=np.float64).astype(np.float32))
            assert (averaged["step"].item(), averaged["q"].tolist()) == (2, [2])
            assert averaged.entry("q").dtype_name == "qint8"


def test_v1_sources_are_averaged_too(tmp_path: Path) -> None:
    for n in range(3):
        write_rows(tmp_path / f"v1-{n}", to_rows({"step": np.array(n, np.int64), "w": ROWS[n][:20]}))
    tfckpt.average([tmp_path / f"v1-{n}" for n in range(3)], tmp_path / "out")
    with tfckpt.open(tmp_path / "out") as averaged:
        expected = np.mean(ROWS[:, :20], axis=0, dtype=np.float64).astype(np.float32)
        np.testing.assert_array_equal(averaged["w"], expected)
        assert averaged["step"] == 2


def test_a_last_source_that_is_not_the_newest_is_noted(tmp_path: Path) -> None:
    for step in (5, 10):
        tfckpt.save(tmp_path / f"ckpt-{step}", {"w": [1.0, step], "global_step": np.int64(step), "version": 2})
    sources = sorted(tmp_path.glob("ckpt-*.index"))
    plan = tfckpt.average(sources, tmp_path / "out")
    last = tmp_path / "ckpt-5"
    assert f"smaller in {last}, which should be the newest, than in another source: global_step" in plan.notes
    assert not any("newest" in note for note in tfckpt.average(sources[::-1], tmp_path / "right").notes)


def test_a_damaged_source_ends_it(runs: list[str], tmp_path: Path) -> None:
    with tfckpt.open(runs[0]) as checkpoint:
        offset = checkpoint.entry("large").offset
    with open(f"{runs[0]}.data-00000-of-00001", "r+b") as file:
        file.seek(offset)
        file.write(b"!")
    with pytest.raises(ChecksumError, match=r"run-0.*checksum of tensor 'large'"):
        tfckpt.average(runs, tmp_path / "out")
    assert not list(tmp_path.glob("out*"))
    tfckpt.average(runs, tmp_path / "out", verify=False)


def test_a_piece_at_a_time_is_in_memory(tmp_path: Path) -> None:
    for name in "abcd":
        tfckpt.save(tmp_path / name, {"w": np.ones((4000, 1000), np.float32), "v": np.ones(10)}, sync=False)  # 16 MB
    tracemalloc.start()
    try:
        tfckpt.average([tmp_path / name for name in "abcd"], tmp_path / "out", sync=False)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16_000_000


def test_a_dry_run_says_all_that_and_writes_nothing(runs: list[str], tmp_path: Path) -> None:
    plan = tfckpt.average(runs, tmp_path / "out", dry_run=True)
    assert not list(tmp_path.glob("out*"))
    assert plan == tfckpt.average(runs, tmp_path / "out")


def test_sources_that_differ_are_refused_with_every_difference(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "a", {"w": np.zeros(3), "v": np.zeros(3), "x": np.zeros(2), "only a": 1, "b": np.zeros(1)})
    tfckpt.save(
        tmp_path / "b",
        {"w": np.zeros(3), "v": np.zeros(4), "x": np.zeros(2, np.float32), "only b": 1, "b": np.zeros(1)},
    )
    with pytest.raises(PlanError) as caught:
        tfckpt.average([tmp_path / "a", tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    a, b = tmp_path / "a", tmp_path / "b"
    assert caught.value.reasons == (
        f"{a}: lacks 1 of the tensors of {b}: 'only b'",
        f"{b}: lacks 1 of the tensors of {a}: 'only a'",
        f"{a}: tensor 'v' is float64[3], and float64[4] in {b}",
        f"{a}: tensor 'x' is float64[2], and float32[2] in {b}",
    )
    assert caught.value.remedies == (compare(str(a), str(b)),)


# Object graphs


def variable(key: str, full_name: str = "") -> Node:
    return Node(attributes=[Attribute(VARIABLE_VALUE, variable_key(key), full_name)])


def model(first: str = "a", second: str = "b", **more: int) -> ObjectGraph:
    """Return a graph of two weights in a list, and of what else the root leads to."""
    return ObjectGraph([Node({"model": 1, **more}), Node({"0": 2, "1": 3}), variable(first), variable(second)])


def with_slots(first: str, second: str) -> ObjectGraph:
    graph = model(optimizer=4)
    graph.nodes += [
        Node(slot_variables=[SlotVariable(2, "m", 5), SlotVariable(3, "m", 6)]),
        variable(first),
        variable(second),
    ]
    return graph


def named(first: str, second: str) -> ObjectGraph:
    return ObjectGraph([Node({"0": 1, "1": 2}), variable("a", first), variable("b", second)])


AGREEING = {
    "one graph": (model(), model()),
    "other numbers": (model(), ObjectGraph([Node({"model": 3}), variable("b"), variable("a"), Node({"1": 1, "0": 2})])),
    "another way": (model(), model(alias=2)),
    "a node without values": (model(), ObjectGraph([*model(extra=4).nodes, Node()])),
    "a cycle": (model(), ObjectGraph([Node({"model": 1}), Node({"0": 2, "1": 3, "up": 0}), *model().nodes[2:]])),
    "slots": (with_slots("m0", "m1"), with_slots("m0", "m1")),
    "names": (named("x", "y"), named("x", "y")),
    "other names": (named("dense/kernel", "dense_1/kernel"), named("dense_1/kernel", "dense_2/kernel")),
    "equal names": (named("kernel", "kernel"), named("kernel", "kernel")),
}
SPLIT = ObjectGraph([Node({"model": 1, "alias": 4}), *model().nodes[1:], variable("a")])
DISAGREEING = {
    "another order": (model(), model("b", "a"), "model/0 is 'a/.ATTRIBUTES/VARIABLE_VALUE' here, and 'b/"),
    "a way to another": (model(alias=2), model(alias=3), "alias is 'a/.ATTRIBUTES/VARIABLE_VALUE' here, and 'b/"),
    "one that is two": (
        model(alias=2),
        SPLIT,
        "is the object of another path, too, here or there but not in both",
    ),
    "two that are one": (SPLIT, model(alias=2), "is the object of another path, too, here or there but not in both"),
    "other paths": (
        model(),
        ObjectGraph([Node({"net": 1}), *model().nodes[1:]]),
        "no path leads to 'a/.ATTRIBUTES/VARIABLE_VALUE' in both",
    ),
    "slots": (with_slots("m0", "m1"), with_slots("m1", "m0"), "model/0/m is 'm0/.ATTRIBUTES/VARIABLE_VALUE' here, and"),
    "names": (named("x", "y"), named("y", "x"), "variable 'x' is 'a/.ATTRIBUTES/VARIABLE_VALUE' here, and 'b/"),
}


@pytest.mark.parametrize(("ours", "theirs"), AGREEING.values(), ids=AGREEING)
def test_graphs_that_lead_the_same_ways_agree(ours: ObjectGraph, theirs: ObjectGraph) -> None:
    assert disagreement(ours, theirs) is None
    assert disagreement(theirs, ours) is None


@pytest.mark.parametrize(("ours", "theirs", "message"), DISAGREEING.values(), ids=DISAGREEING)
def test_graphs_that_mean_other_objects_by_a_key_do_not(ours: ObjectGraph, theirs: ObjectGraph, message: str) -> None:
    found = disagreement(ours, theirs)
    assert found is not None
    assert message in found
    assert disagreement(theirs, ours) is not None


def save_objects(prefix: Path, graph: ObjectGraph, value: float) -> Path:
    values = {variable_key(key): np.full(3, float(value + n)) for n, key in enumerate("ab")}
    tfckpt.save(prefix, {**values, OBJECT_GRAPH_KEY: graph.serialize()})
    return prefix


def test_checkpoints_of_other_objects_are_refused_though_their_keys_are_equal(tmp_path: Path) -> None:
    first, other = save_objects(tmp_path / "a", model(), 0), save_objects(tmp_path / "b", model("b", "a"), 1)
    with pytest.raises(PlanError, match=r"a: the object graph is not that of .*b: model/0 is 'a/"):
        tfckpt.average([first, other], tmp_path / "out")
    assert not list(tmp_path.glob("out*"))
    same = save_objects(tmp_path / "c", AGREEING["other numbers"][1], 4)
    tfckpt.average([first, same], tmp_path / "out")
    with tfckpt.open(tmp_path / "out") as averaged, tfckpt.open(same) as last:
        assert averaged[variable_key("a")].tolist() == [2.0] * 3
        assert averaged[OBJECT_GRAPH_KEY].item() == last[OBJECT_GRAPH_KEY].item()


@pytest.mark.parametrize(
    ("count", "last"),
    [
        (20, []),
        (21, ["a: 1 more tensor of another dtype or shape than in b"]),
        (22, ["a: 2 more tensors of another dtype or shape than in b"]),
    ],
)
def test_tensors_of_another_kind_are_named_and_those_beyond_twenty_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, last: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for prefix, dtype in (("a", np.float32), ("b", np.float64)):
        tfckpt.save(prefix, {f"w{n:02}": np.zeros(2, dtype) for n in range(count)} | {"same": 1.0})
    with pytest.raises(PlanError) as caught:
        tfckpt.average(["a", "b"], "out")
    named = [f"a: tensor 'w{n:02}' is float32[2], and float64[2] in b" for n in range(20)]
    assert list(caught.value.reasons) == named + last


def test_an_object_graph_in_one_alone_is_a_tensor_too_many(tmp_path: Path) -> None:
    save_objects(tmp_path / "a", model(), 0)
    with tfckpt.open(tmp_path / "a") as checkpoint:
        tfckpt.save(tmp_path / "b", {name: value for name, value in checkpoint.items() if name != OBJECT_GRAPH_KEY})
        with pytest.raises(TensorNotFoundError):
            tfckpt.open(tmp_path / "b")[OBJECT_GRAPH_KEY]
    with pytest.raises(PlanError, match=f"lacks 1 of the tensors of .*a: '{OBJECT_GRAPH_KEY}'"):
        tfckpt.average([tmp_path / "b", tmp_path / "a"], tmp_path / "out")


def test_a_graph_that_is_none_is_an_error(tmp_path: Path) -> None:
    for name, graph in (("a", b"\xff\xff"), ("b", model().serialize())):
        tfckpt.save(tmp_path / name, {"w": 1.5, OBJECT_GRAPH_KEY: graph})
    with pytest.raises(FormatError, match=OBJECT_GRAPH_KEY):
        tfckpt.average([tmp_path / "a", tmp_path / "b"], tmp_path / "out")


def test_a_graph_of_many_meshed_nodes_is_walked_once() -> None:
    """Whoever tried all paths would never end: there are 2**20000."""

    def mesh(last: str) -> ObjectGraph:
        nodes = [Node({"left": n + 1, "right": n + 1, "up": max(0, n - 1)}) for n in range(20_000)]
        return ObjectGraph([*nodes, variable(last)])

    assert disagreement(mesh("a"), mesh("a")) is None
    assert "is 'a/.ATTRIBUTES/VARIABLE_VALUE' here, and 'b/" in (disagreement(mesh("a"), mesh("b")) or "")


# Roles, and places in lists


def test_tables_and_training_state_are_the_last_sources(tmp_path: Path) -> None:
    """A table lists its keys in any order, and may have grown; an average of loss scales is none that training had."""
    edges = {"table": 1, "optimizer": 2, "w": 3}
    nodes = [Node(edges), Node(attributes=[Attribute("table", "t/.ATTRIBUTES/table")])]
    nodes += [Node({"iter": 4, "learning_rate": 5, "loss_scale": 6}), *map(variable, ("w", "i", "r"))]
    graph = ObjectGraph([*nodes, Node({"current_loss_scale": 7}), variable("scale")])
    for name, keys in (("a", [1, 2]), ("b", [3, 2, 1])):
        tensors: dict[str, Any] = {variable_key(key): np.float32(len(keys)) for key in ("w", "r", "scale")}
        tensors |= {f"t/.ATTRIBUTES/table-{part}": np.array(keys, np.float32) for part in ("keys", "values")}
        tfckpt.save(tmp_path / name, {**tensors, variable_key("i"): 7, OBJECT_GRAPH_KEY: graph.serialize()})
    plan = tfckpt.average([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    with tfckpt.open(tmp_path / "out") as out:
        assert [out[variable_key(key)].item() for key in ("w", "r", "scale")] == [2.5, 2.5, 3.0]
        assert out["t/.ATTRIBUTES/table-values"].tolist() == [3, 2, 1]
    kept = "not averaged but as in"
    assert f"training state, {kept} {tmp_path / 'b'}: {variable_key('scale')}" in plan.notes
    assert any(note.startswith(f"object of several tensors, {kept}") for note in plan.notes)


def test_a_table_is_known_by_its_keys_without_a_graph(tmp_path: Path) -> None:
    for name, values in (("a", [1.0, 2.0]), ("b", [20.0, 10.0])):
        keys = np.array(values) > 2
        tfckpt.save(tmp_path / name, {"t/.ATTRIBUTES/table-keys": keys, "t/.ATTRIBUTES/table-values": np.array(values)})
    tfckpt.average([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    assert tfckpt.open(tmp_path / "out")["t/.ATTRIBUTES/table-values"].tolist() == [20, 10]


def lists(names: tuple[str, str], moments: tuple[str, str], trained: tuple[int, ...] = ()) -> ObjectGraph:
    """Return a graph of two weights and an optimizer with a list of moments; of Keras 3, if it says what is trained."""
    optimizer = Node(
        {"_iterations": 4, "_variables": 5, "_momentums": 6, **({"_trainable_variables": 9} if trained else {})}
    )
    nodes = [Node({"optimizer": 1, "x": 2, "y": 3} if names[0] else {"optimizer": 1}), optimizer]
    weights = [variable("a", names[0]), variable("b", names[1])]
    nodes += [*(weights if names[0] or trained else (Node(), Node())), variable("n")]
    nodes += [
        Node({"0": 4, "1": 7, "2": 8}),
        Node({"0": 7, "1": 8}),
        variable("ma", moments[0]),
        variable("mb", moments[1]),
    ]
    return ObjectGraph([*nodes, Node({str(place): n for place, n in enumerate(trained)})])


TOLD = lists(("x/k", "y/k"), ("m/x/k", "m/y/k"))
ALONE = lists(("", ""), ("m/x/k", "m/y/k"))
PROVEN = {
    "names": (TOLD, TOLD),
    "other names of one order": (TOLD, lists(("x2/k", "y2/k"), ("m/x2/k", "m/y2/k"))),
    "trained": (lists(("k", "k"), ("", ""), (2, 3)), lists(("k", "k"), ("", ""), (2, 3))),
}
UNPROVEN = {
    "nameless": (lists(("k", "k"), ("m/k", "m/k")),) * 2,
    "alone": (ALONE, ALONE),
    "alone, trained": (lists(("", ""), ("m/x", "m/y"), (2, 3)),) * 2,
    "one named by none": (TOLD, lists(("x/k", "y/k"), ("m/x/k", "m/z/k"))),
}


@pytest.mark.parametrize(("ours", "theirs"), PROVEN.values(), ids=PROVEN)
def test_moments_are_averaged_where_their_variables_are_known(ours: ObjectGraph, theirs: ObjectGraph) -> None:
    assert disagreement(ours, theirs) is None
    assert doubts(ours, theirs) == doubts(theirs, ours) == []


@pytest.mark.parametrize(("ours", "theirs"), UNPROVEN.values(), ids=UNPROVEN)
def test_equal_graphs_alone_prove_no_order(ours: ObjectGraph, theirs: ObjectGraph) -> None:
    assert disagreement(ours, theirs) is None
    for found in (doubts(ours, theirs), doubts(theirs, ours)):
        ((number, keys),) = found
        assert number == 1
        alone = ours.nodes[0].children.keys() == {"optimizer"} and "_trainable_variables" in ours.nodes[1].children
        assert keys == {variable_key(key) for key in ("n", "ma", "mb", *("ab" if alone else ""))}


def test_moments_of_other_variables_at_one_place_disagree() -> None:
    one, other = (lists(("x/k", "y/k"), (f"m/{first}/k", "m/other")) for first in "xy")
    found = disagreement(one, other)
    assert found == "in the lists of 'optimizer' one place is that of 'm/x/k' here, and of 'm/y/k' there"
    slower = lists(("x/k", "y/k"), ("m/x/k", "m/y/k"))
    slower.nodes[1].children["_velocities"] = slower.nodes[1].children.pop("_momentums")
    assert "an optimizer with the lists _momentums here, and _velocities there" in (disagreement(TOLD, slower) or "")


def test_slots_count_beside_an_optimizer_that_keeps_nothing() -> None:
    def graph(first: str, second: str) -> ObjectGraph:
        found = with_slots(first, second)
        found.nodes[0].children["stripped"] = len(found.nodes)
        found.nodes += [Node({"_iterations": 8, "_variables": 8}), Node()]
        return found

    assert disagreement(graph("m0", "m1"), graph("m0", "m1")) is None
    assert "model/0/m is" in (disagreement(graph("m0", "m1"), graph("m1", "m0")) or "")


@pytest.mark.parametrize("depth", [0, 1])
def test_a_graph_of_many_optimizers_is_walked_once(depth: int) -> None:
    count = 5000
    nodes = [Node({f"{n}": 1 + n for n in range(count)} if depth == 0 else {"next": 1})]
    for n in range(count):
        following = {"next": 2 + n} if depth and n + 1 < count else {}
        nodes.append(Node({**following, "_iterations": count + 1, "_variables": count + 2, "_m": count + 3}))
    nodes += [variable("i"), Node({"0": count + 4}), Node({"0": count + 4}), variable("m")]
    graph = ObjectGraph(nodes)
    with ends(5):
        assert disagreement(graph, graph) is None
        assert len(doubts(graph, graph)) >= 1


def test_an_optimizer_in_doubt_is_the_last_sources_whole(tmp_path: Path) -> None:
    graph = UNPROVEN["nameless"][0].serialize()
    for name, value in (("a", 1.0), ("b", 2.0)):
        tensors = {variable_key(key): np.full(2, value) for key in ("a", "b", "ma", "mb")}
        tfckpt.save(tmp_path / name, {**tensors, variable_key("n"): 5, OBJECT_GRAPH_KEY: graph})
    plan = tfckpt.average([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    with tfckpt.open(tmp_path / "out") as out:
        assert [out[variable_key(key)].tolist() for key in ("a", "ma", "mb")] == [[1.5] * 2, [2.0] * 2, [2.0] * 2]
    assert any(note.startswith("optimizer 'optimizer': places in lists alone") for note in plan.notes)
    assert any(note.startswith("optimizer state in lists of no known order, not averaged") for note in plan.notes)
    one = tfckpt.average([tmp_path / "a"], tmp_path / "one")
    assert not any("lists" in note for note in one.notes)


def exported(prefix: Path, order: tuple[int, ...], values: tuple[float, ...]) -> Path:
    """Save as Keras 3 exports: two lists of the same weights, all of one name here, the second in an order of its own."""
    nodes = [Node({"variables": 1, "_all_variables": 2})]
    nodes += [Node({str(n): 3 + n for n in range(3)}), Node({str(n): 6 + n for n in range(3)})]
    nodes += [variable(f"variables/{n}", "kernel") for n in range(3)]
    nodes += [variable(f"_all_variables/{n}", "kernel") for n in range(3)]
    tensors: dict[str, Any] = {
        variable_key(f"variables/{n}"): np.full(n + 2, float(value)) for n, value in enumerate(values)
    }
    if values[0] == values[1]:
        tensors |= {variable_key(f"variables/{n}"): np.full(2, float(values[n])) for n in (0, 1)}
    copies = {variable_key(f"_all_variables/{n}"): tensors[variable_key(f"variables/{o}")] for n, o in enumerate(order)}
    tfckpt.save(prefix, {**tensors, **copies, OBJECT_GRAPH_KEY: ObjectGraph(nodes).serialize()})
    return prefix


def test_copies_follow_the_weights_whatever_their_order(tmp_path: Path) -> None:
    a = exported(tmp_path / "a", (0, 1, 2), (1, 2, 3))
    b = exported(tmp_path / "b", (2, 0, 1), (3, 6, 9))
    tfckpt.average([a, b], tmp_path / "out")
    with tfckpt.open(tmp_path / "out") as out:
        assert [out[variable_key(f"variables/{n}")].tolist() for n in range(3)] == [[2] * 2, [4] * 3, [6] * 4]
        for copy, original in enumerate((2, 0, 1)):
            values = out[variable_key(f"_all_variables/{copy}")], out[variable_key(f"variables/{original}")]
            np.testing.assert_array_equal(*values)


def test_a_copy_that_could_be_of_two_weights_is_refused(tmp_path: Path) -> None:
    a = tmp_path / "a"
    b = exported(tmp_path / "b", (0, 1, 2), (1, 1, 3))
    with tfckpt.open(b) as checkpoint:
        tensors = dict(checkpoint)
    for name in (variable_key("variables/1"), variable_key("_all_variables/1")):
        tensors[name] = np.full(2, 5.0)
    tfckpt.save(a, tensors)
    with pytest.raises(
        PlanError,
        match=r"stores a weight of the model a second time.*rewriting each source with drop '_all_variables/\*'",
    ):
        tfckpt.average([a, b], tmp_path / "out")
    for source in (a, b):
        tfckpt.rewrite(source, f"{source}-once", drop=["_all_variables/*"])
    tfckpt.average([f"{a}-once", f"{b}-once"], tmp_path / "out")
    assert tfckpt.open(tmp_path / "out")[variable_key("variables/1")].tolist() == [3, 3]


# The command


def test_the_command_averages_and_says_what_it_did_not(runs: list[str], tmp_path: Path, capsys: Captured) -> None:
    out = str(tmp_path / "out")
    assert not any(line.startswith("written:") for line in succeed(capsys, "average", *runs, out, "--dry-run"))
    assert not list(tmp_path.glob("out*"))
    lines = succeed(capsys, "average", *runs, out, "--weights", "1,2,0.5")
    assert lines[-1] == f"written: {out}"
    assert f"note: string, not averaged but as in {runs[-1]}: string" in lines
    np.testing.assert_allclose(tfckpt.open(out)["large"], np.average(ROWS, axis=0, weights=[1, 2, 0.5]), rtol=1e-5)
    found = succeed_json(capsys, "average", *runs, out, "--overwrite")
    assert found["destination"] == out
    assert fail(capsys, "average", *runs, out, "--overwrite", "--weights", "1,2") == [
        "weights: expected 3, one for each source, got 2"
    ]
    with pytest.raises(SystemExit):
        tfckpt_main(["average", *runs, out, "--weights", "1,a,3"])
    assert "--weights: expected numbers such as 1,1,2, got '1,a,3'" in capsys.readouterr().err


def tfckpt_main(argv: list[str]) -> int:
    from tfckpt.cli.main import main

    return main(argv)
