from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.files import bundle_bytes

import tfckpt
from tfckpt.base.issues import compare
from tfckpt.bundle.values.slices import TensorSlice
from tfckpt.bundle.writer import BundleWriter
from tfckpt.checkpoint.graph.object_graph import OBJECT_GRAPH_KEY, ObjectGraph
from tfckpt.errors import CheckpointExistsError, ChecksumError, PlanError, UsageError

W = np.arange(24, dtype=np.float32).reshape(6, 4)
TENSORS: dict[str, npt.ArrayLike] = {
    "model/w": W,
    "model/w/Adam": W * 2,
    "model/names": np.array([b"x", b"yy"], object),
    "step": np.int64(3),
}


def values(prefix: Path | str) -> dict[str, Any]:
    with tfckpt.open(prefix) as checkpoint:
        return {name: value.tolist() for name, value in checkpoint.items()}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    tfckpt.save(tmp_path / "source", TENSORS)
    return tmp_path / "source"


@pytest.fixture
def encoder(bert: str, tmp_path: Path) -> Path:
    tfckpt.convert(bert, tmp_path / "encoder")
    return tmp_path / "encoder"


def test_a_rewrite_that_changes_nothing_writes_the_same_bytes(bert: str, encoder: Path, tmp_path: Path) -> None:
    for source in (bert, encoder):
        tfckpt.rewrite(source, tmp_path / "same", overwrite=True)
        assert bundle_bytes(tmp_path / "same") == bundle_bytes(source)


def test_a_tensor_without_elements_keeps_its_place_before_the_one_that_begins_there(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "source", {"b": np.zeros((0, 3), np.float32), "a": W})
    tfckpt.rewrite(tmp_path / "source", tmp_path / "same")
    tfckpt.merge([tmp_path / "source"], tmp_path / "merged")
    assert bundle_bytes(tmp_path / "same") == bundle_bytes(tmp_path / "source") == bundle_bytes(tmp_path / "merged")


@pytest.mark.parametrize(("rank", "cut"), [(8, True), (9, False)])
def test_only_what_tensorflow_can_put_together_is_cut(tmp_path: Path, rank: int, cut: bool) -> None:
    shape = (6, 4, *[1] * (rank - 2))
    tfckpt.save(tmp_path / "small", {"w": W.reshape(shape)}, max_shard_size=32)
    with tfckpt.open(tmp_path / "small") as checkpoint:
        assert bool(checkpoint.entry("w").slices) == cut
        assert (checkpoint["w"] == W.reshape(shape)).all()


def test_slices_of_too_many_dimensions_are_put_together_where_sizes_are_asked_for(tmp_path: Path) -> None:
    shape = (6, 4, *[1] * 7)
    with BundleWriter(str(tmp_path / "parts")) as writer:
        for start in (0, 3):
            part = TensorSlice(((start, 3), *[(0, -1)] * 8))
            writer.add_slice("w", shape, part, W.reshape(shape)[start : start + 3])
        writer.finish()
    tfckpt.rewrite(tmp_path / "parts", tmp_path / "joined", max_shard_size=1000)
    with tfckpt.open(tmp_path / "joined") as checkpoint:
        assert not checkpoint.entry("w").slices
        assert (checkpoint["w"] == W.reshape(shape)).all()


@pytest.mark.parametrize("big_endian", [False, True])
def test_shards_slices_and_byte_order_are_kept(tmp_path: Path, big_endian: bool) -> None:
    with BundleWriter(str(tmp_path / "parts"), big_endian=big_endian) as writer:
        writer.add_slice("w", (6, 4), TensorSlice(((0, 2), (0, -1))), W[:2])
        writer.add("s", np.array([b"x"], object))
        writer.next_shard()
        writer.add_slice("w", (6, 4), TensorSlice(((2, 4), (0, 4))), W[2:])
        writer.finish()
    tfckpt.rewrite(tmp_path / "parts", tmp_path / "same")
    assert len(bundle_bytes(tmp_path / "same")) == 3
    assert bundle_bytes(tmp_path / "same") == bundle_bytes(tmp_path / "parts")


def test_keep_and_drop_take_globs_and_every_tensor_is_accounted_for(source: Path, tmp_path: Path) -> None:
    plan = tfckpt.rewrite(source, tmp_path / "out", keep=["model/*"], drop=["*/names", "*.none"])
    assert list(values(tmp_path / "out")) == ["model/w", "model/w/Adam"]
    assert {(item.source, item.rule) for item in plan.dropped} == {
        ("model/names", "pattern '*/names'"),
        ("step", "not among 'model/*'"),
    }
    assert plan.notes == ("pattern '*.none': no tensor",)


def test_renames_come_one_after_the_other(source: Path, tmp_path: Path) -> None:
    plan = tfckpt.rewrite(source, tmp_path / "out", rename=[("^model/(.)", r"net/\1"), ("net/w", "net/kernel")])
    assert [step.target for step in plan.steps] == ["net/names", "net/kernel", "net/kernel/Adam", "step"]
    assert values(tmp_path / "out")["net/kernel"] == W.tolist()


def test_names_that_would_meet_or_vanish_are_all_complained_about(source: Path, tmp_path: Path) -> None:
    with pytest.raises(PlanError) as caught:
        tfckpt.rewrite(source, tmp_path / "out", rename=[("model/(w|names)$", "x"), ("^step$", "")])
    assert [line.removeprefix(f"{source}: ") for line in caught.value.reasons] == [
        "model/names and model/w would all be called 'x'",
        "step would have no name",
    ]
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rename": [("(", "x")]}, r"rename '\(' to 'x'"),
        ({"rename": [("x", r"\2")]}, "invalid group reference"),
        ({"cast": "int8"}, "no floating-point dtype 'int8'; there are float16, bfloat16, float32, float64"),
        ({"shards": 0}, "expected 1 or more, got 0"),
        ({"max_shard_size": 0}, "expected 1 byte or more, got 0"),
        ({"shards": 2, "max_shard_size": 9}, "expected one of both"),
    ],
)
def test_options_that_make_no_sense(source: Path, tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        tfckpt.rewrite(source, tmp_path / "out", **options)
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_cast_changes_floating_point_tensors_only(source: Path, tmp_path: Path, dtype: str) -> None:
    plan = tfckpt.rewrite(source, tmp_path / "out", cast=dtype)
    with tfckpt.open(tmp_path / "out") as out:
        dtypes = {entry.name: entry.dtype_name for entry in out.entries()}
        np.testing.assert_array_equal(out["model/w"], W.astype(out["model/w"].dtype))
    assert dtypes == {"model/names": "string", "model/w": dtype, "model/w/Adam": dtype, "step": "int64"}
    assert plan.notes == ("TensorFlow does not cast when it restores: the model must have the new dtype too",)


def test_values_beyond_the_new_dtype_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tfckpt.save(tmp_path / "c", {"w": np.array([1, 1e6, np.inf], np.float32)})
    with caplog.at_level(logging.WARNING, "tfckpt"):
        tfckpt.rewrite(tmp_path / "c", tmp_path / "out", cast="float16")
    assert caplog.messages == ["w: 1 values are too large for float16"]


def test_optimizer_state_of_both_generations_is_stripped(tmp_path: Path, bert: str) -> None:
    keys = ["m/.OPTIMIZER_SLOT/optimizer/m/.ATTRIBUTES/VARIABLE_VALUE", "optimizer/iter/.ATTRIBUTES/VARIABLE_VALUE"]
    state = ["bert/x/adam_m", "x/Momentum", "beta1_power", *keys]
    kept = ["bert/x", "global_step", "optimizer_notes", "my_optimizer"]
    tfckpt.save(tmp_path / "c", dict.fromkeys([*state, *kept], 1))
    plan = tfckpt.rewrite(tmp_path / "c", tmp_path / "out", strip_optimizer=True)
    assert sorted(item.source for item in plan.dropped) == sorted(state)
    assert list(values(tmp_path / "out")) == sorted(kept)


def test_the_object_graph_follows_the_keys(encoder: Path, tmp_path: Path) -> None:
    number = "encoder/layer_with_weights-6"
    tfckpt.rewrite(encoder, tmp_path / "renamed", rename=[(number, "encoder/pooler")], keep=["encoder/*"])
    with tfckpt.open(tmp_path / "renamed") as renamed, tfckpt.open(encoder) as before:
        key = renamed.key_at("model/_pooler_layer/kernel")
        assert key == "encoder/pooler/kernel/.ATTRIBUTES/VARIABLE_VALUE"
        np.testing.assert_array_equal(renamed[key], before[before.key_at("model/_pooler_layer/kernel")])


def test_the_object_graph_forgets_what_is_dropped(encoder: Path, tmp_path: Path) -> None:
    tfckpt.rewrite(encoder, tmp_path / "out", drop=["encoder/layer_with_weights-6/*"])
    with tfckpt.open(tmp_path / "out") as out:
        assert out.object_graph is not None
        keys = {attribute.checkpoint_key for node in out.object_graph.nodes for attribute in node.attributes}
        assert keys == set(out) - {OBJECT_GRAPH_KEY}
        assert len(keys) == 37


def test_the_object_graph_may_be_dropped_by_name(encoder: Path, tmp_path: Path) -> None:
    tfckpt.rewrite(encoder, tmp_path / "out", drop=[OBJECT_GRAPH_KEY, "*-6/*"])
    assert tfckpt.open(tmp_path / "out").object_graph is None


def test_a_dry_run_writes_nothing_and_plans_the_same(source: Path, tmp_path: Path) -> None:
    plan = tfckpt.rewrite(source, tmp_path / "out", drop=["*/Adam"], cast="float16", dry_run=True)
    assert not list(tmp_path.glob("out*"))
    assert tfckpt.rewrite(source, tmp_path / "out", drop=["*/Adam"], cast="float16") == plan


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_shards_are_as_many_as_asked_for_and_about_the_same_size(bert: str, tmp_path: Path, count: int) -> None:
    tfckpt.rewrite(bert, tmp_path / "out", shards=count)
    data = [path.stat().st_size for path in sorted(tmp_path.glob("out.data-*"))]
    assert len(data) == tfckpt.open(tmp_path / "out").num_shards == count
    assert sum(data) == 21_704
    assert max(data) - min(data) <= 2 * 960  # the largest tensor
    assert values(tmp_path / "out") == values(bert)


def test_more_shards_than_tensors_leaves_some_empty_and_all_readable(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "c", {"a": 1, "b": 2})
    tfckpt.rewrite(tmp_path / "c", tmp_path / "out", shards=5)
    assert len(list(tmp_path.glob("out.data-*-of-00005"))) == 5
    assert values(tmp_path / "out") == {"a": 1, "b": 2}


def test_a_maximum_size_cuts_what_is_larger(bert: str, tmp_path: Path) -> None:
    tfckpt.rewrite(bert, tmp_path / "out", max_shard_size=500)
    assert max(path.stat().st_size for path in tmp_path.glob("out.data-*")) <= 500
    with tfckpt.open(tmp_path / "out") as out:
        assert len(out.entry("bert/embeddings/word_embeddings").slices) == 2
    assert values(tmp_path / "out") == values(bert)


@given(st.lists(st.lists(st.integers(0, 5), max_size=3).map(tuple), min_size=1, max_size=5), st.integers(1, 60))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_fits_stays_whole_and_the_rest_is_cut_along_its_first_axis(
    tmp_path: Path, shapes: list[tuple[int, ...]], size: int
) -> None:
    tensors = {f"t{n}": np.full(shape, n, np.int16) for n, shape in enumerate(shapes)}
    tfckpt.save(tmp_path / "cut", tensors, max_shard_size=size, overwrite=True)
    with tfckpt.open(tmp_path / "cut") as checkpoint:
        held: dict[int, list[int]] = {}
        for entry in checkpoint.entries():
            pieces = [stored for _, stored in checkpoint.reader.pieces(entry)]
            assert bool(entry.slices) == (entry.nbytes > size and entry.shape != () and entry.shape[0] > 1)
            assert all(stored.shape[1:] == entry.shape[1:] for stored in pieces if entry.slices)
            assert all(stored.nbytes <= size or stored.shape[:1] in ((), (1,)) for stored in pieces)
            for stored in pieces:
                held.setdefault(stored.shard, []).append(stored.nbytes)
        assert set(held) == set(range(checkpoint.num_shards))
        assert all(sum(sizes) <= size or len([n for n in sizes if n]) == 1 for sizes in held.values())
    assert values(tmp_path / "cut") == {name: value.tolist() for name, value in tensors.items()}


def test_slices_that_are_too_large_are_cut_anew(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "c", {"w": W, "names": ["x"]}, max_shard_size=48)
    tfckpt.rewrite(tmp_path / "c", tmp_path / "out", max_shard_size=16)
    tfckpt.save(tmp_path / "anew", {"w": W, "names": ["x"]}, max_shard_size=16)
    assert bundle_bytes(tmp_path / "out") == bundle_bytes(tmp_path / "anew")
    tfckpt.rewrite(tmp_path / "c", tmp_path / "same", max_shard_size=48)
    assert bundle_bytes(tmp_path / "same") == bundle_bytes(tmp_path / "c")


def test_slices_are_cast_and_renamed_as_slices(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "c", {"w": W}, max_shard_size=32)
    tfckpt.rewrite(tmp_path / "c", tmp_path / "out", cast="float64", rename=[("w", "v")], shards=1, big_endian=True)
    with tfckpt.open(tmp_path / "out") as out:
        assert [len(out), len(out.entry("v").slices), out.num_shards, out.reader.big_endian] == [1, 3, 1, True]
        np.testing.assert_array_equal(out["v"], W)


def test_damage_in_the_source_stops_a_rewrite_and_leaves_nothing(bert_copy: str, tmp_path: Path) -> None:
    with open(f"{bert_copy}.data-00000-of-00001", "r+b") as file:
        file.write(b"\xff\xff")
    ways: list[dict[str, Any]] = [{}, {"cast": "float16"}, {"big_endian": True}, {"max_shard_size": 100}]
    for options in ways:
        with pytest.raises(ChecksumError):
            tfckpt.rewrite(bert_copy, tmp_path / "new" / "out", **options)
        assert not (tmp_path / "new").exists()
    tfckpt.rewrite(bert_copy, tmp_path / "out", verify=False)
    with tfckpt.open(tmp_path / "out") as out, pytest.raises(ChecksumError):
        out.verify()


@pytest.mark.parametrize(
    "call", [lambda source, *rest, **options: tfckpt.merge([source], *rest, **options), tfckpt.rewrite]
)
def test_the_destination_is_guarded(source: Path, tmp_path: Path, call: Callable[..., Any]) -> None:
    with pytest.raises(UsageError, match="are the same checkpoint"):
        call(source, source, overwrite=True)
    tfckpt.save(tmp_path / "out", {"mine": 1})
    with pytest.raises(CheckpointExistsError):
        call(source, tmp_path / "out")
    assert values(tmp_path / "out") == {"mine": 1}


def test_progress_counts_bytes_up_to_all_of_them(bert: str, tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    tfckpt.rewrite(bert, tmp_path / "out", progress=lambda done, total: calls.append((done, total)))
    assert calls == sorted(calls)
    assert calls[-1] == (21_704, 21_704)


def test_a_merge_holds_what_its_sources_hold(bert: str, tmp_path: Path) -> None:
    tfckpt.rewrite(bert, tmp_path / "a", keep=["bert/*"], shards=2)
    tfckpt.rewrite(bert, tmp_path / "b", drop=["bert/*"])
    plan = tfckpt.merge([tmp_path / "a", tmp_path / "b"], tmp_path / "whole")
    assert len(plan.steps) == 139
    assert values(tmp_path / "whole") == values(bert)
    assert len(list(tmp_path.glob("whole.data-*-of-00003"))) == 3


def test_slices_of_one_tensor_may_come_from_several_sources(tmp_path: Path) -> None:
    for name, rows in (("a", slice(4, 6)), ("b", slice(0, 4))):
        with BundleWriter(str(tmp_path / name)) as writer:
            writer.add_slice("w", (6, 4), TensorSlice.of((rows, slice(0, 4)), (6, 4)), W[rows])
            writer.finish()
    tfckpt.merge([tmp_path / "a", tmp_path / "b"], tmp_path / "whole")
    assert values(tmp_path / "whole") == {"w": W.tolist()}


def test_a_merge_complains_about_every_name_that_comes_twice(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "a", {"x": 1, "y": 2, "z": 3})
    tfckpt.save(tmp_path / "b", {"x": 1, "y": 2.0, "v": 3})
    with pytest.raises(PlanError) as caught:
        tfckpt.merge([tmp_path / "a", tmp_path / "b"], tmp_path / "whole")
    assert caught.value.reasons == (f"{tmp_path}/b: tensor 'x' and 1 more are in {tmp_path}/a already",)
    assert caught.value.remedies == (compare(f"{tmp_path}/a", f"{tmp_path}/b"),)


def test_a_merge_needs_sources_of_one_byte_order(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "little", {"x": 1})
    tfckpt.save(tmp_path / "big", {"y": 1}, big_endian=True)
    with pytest.raises(UsageError, match="got both"):
        tfckpt.merge([tmp_path / "little", tmp_path / "big"], tmp_path / "out")
    with pytest.raises(UsageError, match="got no source"):
        tfckpt.merge([], tmp_path / "out")


def test_an_empty_source_adds_no_file_that_is_counted_and_missing(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "empty", {})
    tfckpt.save(tmp_path / "one", {"x": 1})
    tfckpt.merge([tmp_path / "empty", tmp_path / "one", tmp_path / "empty"], tmp_path / "out")
    with tfckpt.open(tmp_path / "out") as out:
        out.reader.check_files()
        assert (out.num_shards, int(out["x"])) == (1, 1)


@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), min_size=1, max_size=8), st.integers(0, 7), min_size=1, max_size=8
    ),
    st.integers(1, 5),
    st.integers(1, 60),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_way_of_splitting_changes_a_value(tmp_path: Path, rows: dict[str, int], shards: int, size: int) -> None:
    tensors = {name: np.arange(n * 3, dtype=np.int16).reshape(n, 3) for name, n in rows.items()}
    tfckpt.save(tmp_path / "c", tensors, overwrite=True)
    tfckpt.rewrite(tmp_path / "c", tmp_path / "cut", max_shard_size=size, overwrite=True)
    tfckpt.rewrite(tmp_path / "cut", tmp_path / "spread", shards=shards, overwrite=True)
    assert values(tmp_path / "spread") == values(tmp_path / "cut") == values(tmp_path / "c")


def test_an_edited_graph_is_still_a_graph(encoder: Path, tmp_path: Path) -> None:
    tfckpt.rewrite(encoder, tmp_path / "out", drop=["*kernel*"])
    graph = tfckpt.open(tmp_path / "out")[OBJECT_GRAPH_KEY].item()
    assert ObjectGraph.parse(graph).serialize() == graph
