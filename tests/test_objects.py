"""Edits of objects: an object is renamed, moved and dropped as a whole, and what is not named stays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import tfckpt
from tfckpt.checkpoint.graph.object_graph import Attribute, Node, ObjectGraph, SlotVariable, split_path, variable_key
from tfckpt.errors import FormatError, PlanError, UsageError

TABLE = "table/.ATTRIBUTES/table"
SLOT = "model/dense1/kernel/.OPTIMIZER_SLOT/optimizer/m/.ATTRIBUTES/VARIABLE_VALUE"


def value(path: str, full_name: str = "") -> Node:
    return Node(attributes=[Attribute("VARIABLE_VALUE", variable_key(path), full_name)], has_checkpoint_values=True)


@pytest.fixture
def source(tmp_path: Path) -> str:
    """A model of two layers, the second of which has two names; a table; and an optimizer with a slot."""
    nodes = [
        Node({"model": 1, "table": 2, "optimizer": 3}, has_checkpoint_values=True),
        Node({"dense1": 4, "dense2": 5, "layer-1": 5}, has_checkpoint_values=True),
        Node(attributes=[Attribute("table", TABLE)], has_checkpoint_values=True),
        Node({"iter": 6}, slot_variables=[SlotVariable(7, "m", 10)], has_checkpoint_values=True),
        Node({"kernel": 7, "bias": 8}, has_checkpoint_values=True),
        Node({"kernel": 9, "bias": 11}, has_checkpoint_values=True),
        value("optimizer/iter", "Adam/iter"),
        value("model/dense1/kernel", "net/d1/kernel"),
        value("model/dense1/bias", "net/d1/bias"),
        value("model/layer-1/kernel", "net/d2/kernel"),
        Node(attributes=[Attribute("VARIABLE_VALUE", SLOT, "Adam/net/d1/kernel/m")], has_checkpoint_values=True),
        value("model/layer-1/bias", "net/d2/bias"),
    ]
    tensors: dict[str, npt.ArrayLike] = {
        f"{TABLE}-keys": np.array([b"a", b"b"], object),
        f"{TABLE}-values": np.array([1, 2], np.int64),
        variable_key("optimizer/iter"): np.int64(7),
        variable_key("model/dense1/kernel"): np.full((2, 2), 1, np.float32),
        variable_key("model/dense1/bias"): np.full(2, 2, np.float32),
        variable_key("model/layer-1/kernel"): np.full((2, 2), 3, np.float32),
        variable_key("model/layer-1/bias"): np.full(2, 5, np.float32),
        SLOT: np.full((2, 2), 4, np.float32),
        "_CHECKPOINTABLE_OBJECT_GRAPH": ObjectGraph(nodes).serialize(),
    }
    tfckpt.save(tmp_path / "source", tensors)
    return str(tmp_path / "source")


def at(prefix: str | Path, path: str) -> Any:
    """Return the value of the variable at a path."""
    with tfckpt.open(prefix) as ckpt:
        return ckpt[ckpt.key_at(path)].tolist()


def fits(prefix: str | Path) -> bool:
    """Whether the graph asks for nothing that is not there: TensorFlow restores nothing at all of such a file."""
    with tfckpt.open(prefix) as ckpt:
        assert ckpt.object_graph is not None
        keys = {attribute.checkpoint_key for node in ckpt.object_graph.nodes for attribute in node.attributes}
        return all(any(name == key or name.startswith(f"{key}-") for name in ckpt) for key in keys)


def test_a_rename_of_paths_renames_edges_and_keys_and_slots_follow(source: str, tmp_path: Path) -> None:
    plan = tfckpt.rewrite(source, tmp_path / "out", rename=[("^model/dense1/", "model/proj/")])
    assert plan.moved == (("model/dense1", "model/proj"),)
    assert any("taken for paths of objects; 'model/dense1' is 'model/proj' now" in note for note in plan.notes)
    assert at(tmp_path / "out", "model/proj/kernel") == [[1, 1], [1, 1]]
    with tfckpt.open(tmp_path / "out") as ckpt:
        graph = ckpt.object_graph
        assert graph is not None
        assert not any("dense1" in name for name in ckpt)
        slots = [slot for node in graph.nodes for slot in node.slot_variables]
        assert graph.nodes[slots[0].original_variable] == value("model/proj/kernel", "net/d1/kernel")
        assert ckpt[graph.nodes[slots[0].slot_variable].attributes[0].checkpoint_key].tolist() == [[4, 4], [4, 4]]
    assert fits(tmp_path / "out")


def test_a_rename_by_one_of_two_names_leaves_the_other(source: str, tmp_path: Path) -> None:
    plan = tfckpt.rewrite(source, tmp_path / "out", rename=[("^model/dense2/", "model/head/")])
    assert at(tmp_path / "out", "model/head/kernel") == at(tmp_path / "out", "model/layer-1/kernel") == [[3, 3], [3, 3]]
    assert variable_key("model/layer-1/kernel") in {step.target for step in plan.steps}


@pytest.mark.parametrize(
    ("rename", "path"),
    [
        (("^model/(dense1/.*)", r"\1"), "dense1/kernel"),
        (("^", "net/"), "net/model/dense1/kernel"),
        (("^model/dense1/kernel$", "model/w"), "model/w"),
        (("^model$", "encoder"), "encoder/dense1/kernel"),
    ],
)
def test_renames_lift_and_nest_objects(source: str, tmp_path: Path, rename: tuple[str, str], path: str) -> None:
    tfckpt.rewrite(source, tmp_path / "out", rename=[rename])
    assert at(tmp_path / "out", path) == [[1, 1], [1, 1]]
    assert fits(tmp_path / "out")


def test_an_object_that_would_vanish_from_another_way_is_not_moved(source: str, tmp_path: Path) -> None:
    with pytest.raises(PlanError) as caught:
        tfckpt.rewrite(source, tmp_path / "out", rename=[("^model/dense2/kernel", "head/kernel")])
    assert caught.value.reasons[0] == (
        f"{source}: 'model/dense2/kernel' would move to 'head/kernel' and vanish from 'model/layer-1/kernel', "
        "where it is found too"
    )
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize(
    "rename", [("^model/dense1/bias", "model/dense1/kernel"), ("^model/dense1/", "model/dense2/"), ("^table$", "")]
)
def test_two_objects_in_one_place_or_none_are_refused(source: str, tmp_path: Path, rename: tuple[str, str]) -> None:
    with pytest.raises(PlanError, match=r"would both be at|a path has no empty part"):
        tfckpt.rewrite(source, tmp_path / "out", rename=[rename])
    assert not list(tmp_path.glob("out*"))


def test_objects_join_what_is_at_their_new_place(source: str, tmp_path: Path) -> None:
    tfckpt.rewrite(source, tmp_path / "out", rename=[("^model/dense1/bias", "model/dense2/offset")])
    assert at(tmp_path / "out", "model/layer-1/offset") == [2, 2]
    assert at(tmp_path / "out", "model/dense1/kernel") == [[1, 1], [1, 1]]


def test_a_pattern_that_names_attributes_is_for_keys_alone(source: str, tmp_path: Path) -> None:
    rename = [(r"^model/dense1/(.*/\.ATTRIBUTES/)", r"x/\1")]
    plan = tfckpt.rewrite(source, tmp_path / "out", rename=rename)
    assert plan.moved == ()
    assert any("taken for keys, of which 3 changed" in note for note in plan.notes)
    with tfckpt.open(tmp_path / "out") as ckpt:
        assert ckpt.key_at("model/dense1/kernel") == variable_key("x/kernel")


def test_a_pattern_that_no_path_has_is_for_full_names(source: str, tmp_path: Path) -> None:
    plan = tfckpt.rewrite(source, tmp_path / "out", rename=[("^net/d1/", "bert/"), ("nothing", "x")])
    assert any("taken for full names, which TensorFlow 1 restores by; 2 names changed" in note for note in plan.notes)
    assert "'nothing', which is to be renamed: no path, no full name" in plan.notes
    with tfckpt.open(tmp_path / "out") as ckpt:
        assert ckpt.object_graph is not None
        names = {a.full_name for node in ckpt.object_graph.nodes for a in node.attributes}
        assert {"bert/kernel", "bert/bias", "net/d2/kernel"} <= names
        assert sorted(ckpt) == sorted(tfckpt.open(source))


@pytest.mark.parametrize("drop", ["table", f"{TABLE}-keys", "table/*"])
def test_a_table_goes_as_a_whole(source: str, tmp_path: Path, drop: str) -> None:
    plan = tfckpt.rewrite(source, tmp_path / "out", drop=[drop])
    assert sorted(item.source for item in plan.dropped) == [f"{TABLE}-keys", f"{TABLE}-values"]
    assert fits(tmp_path / "out")
    with tfckpt.open(tmp_path / "out") as ckpt:
        assert ckpt.object_graph is not None
        assert not ckpt.object_graph.nodes[2].attributes


def test_a_table_is_renamed_as_a_whole(source: str, tmp_path: Path) -> None:
    tfckpt.rewrite(source, tmp_path / "out", rename=[("^table$", "vocabulary")])
    with tfckpt.open(tmp_path / "out") as ckpt:
        assert ckpt["vocabulary/.ATTRIBUTES/table-values"].tolist() == [1, 2]
    assert fits(tmp_path / "out")


def test_patterns_are_tried_on_paths_and_full_names_too(source: str, tmp_path: Path) -> None:
    plan = tfckpt.rewrite(source, tmp_path / "by_path", drop=["model/dense2/*"])
    assert {item.source for item in plan.dropped} == {
        variable_key(f"model/layer-1/{name}") for name in ("bias", "kernel")
    }
    assert "pattern 'model/dense2/*': taken for paths of objects; 2 tensors" in plan.notes
    plan = tfckpt.rewrite(source, tmp_path / "by_name", drop=["net/d1/*"])
    weights = [variable_key(f"model/dense1/{name}") for name in ("bias", "kernel")]
    assert [item.source for item in plan.dropped] == [*weights, SLOT]
    assert f"pattern 'net/d1/*': with 1 slot of what goes: {SLOT}" in plan.notes
    plan = tfckpt.rewrite(source, tmp_path / "kept", keep=["model/dense*"])
    assert {step.source for step in plan.steps} == {
        "_CHECKPOINTABLE_OBJECT_GRAPH",
        *(
            variable_key(path)
            for path in ("model/dense1/kernel", "model/dense1/bias", "model/layer-1/kernel", "model/layer-1/bias")
        ),
        SLOT,
    }


def test_what_goes_is_said_by_role(source: str, tmp_path: Path) -> None:
    plan = tfckpt.rewrite(source, tmp_path / "out", drop=["model/dense1/*"], strip_optimizer=True)
    roles = {item.source: item.role for item in plan.dropped}
    assert roles[variable_key("model/dense1/bias")] == "model"
    assert roles[variable_key("optimizer/iter")] == roles[SLOT] == "optimizer state"
    assert {item["role"] for item in plan.to_json()["dropped"]} == {"model", "optimizer state"}


def test_a_strip_that_would_leave_no_model_is_refused_and_a_pattern_that_does_is_noted(
    source: str, tmp_path: Path
) -> None:
    tfckpt.rewrite(source, tmp_path / "state", keep=["optimizer/*", "*/.OPTIMIZER_SLOT/*"])
    with pytest.raises(PlanError, match="optimizer state is all that is there"):
        tfckpt.rewrite(tmp_path / "state", tmp_path / "out", strip_optimizer=True)
    assert not list(tmp_path.glob("out*"))
    plan = tfckpt.rewrite(source, tmp_path / "out", keep=["optimizer/*"])
    assert "no model variable is left: 6 model variables dropped" in plan.notes


def test_a_graph_that_goes_is_said_and_names_are_free_then(source: str, tmp_path: Path) -> None:
    suffix = r"/\.ATTRIBUTES/VARIABLE_VALUE$"
    with pytest.raises(UsageError, match="expected one that ends in") as caught:
        tfckpt.rewrite(source, tmp_path / "out", rename=[(suffix, "")])
    assert "_CHECKPOINTABLE_OBJECT_GRAPH" in str(caught.value)
    plan = tfckpt.rewrite(source, tmp_path / "out", drop=["_CHECKPOINTABLE_OBJECT_GRAPH"], rename=[(suffix, "")])
    assert "model/dense1/kernel" in tfckpt.open(tmp_path / "out")
    assert any(note.startswith("without its object graph") for note in plan.notes)


def test_a_draft_adds_moves_aliases_replaces_and_removes(source: str, tmp_path: Path) -> None:
    with tfckpt.open(source) as ckpt:
        draft = tfckpt.Draft(ckpt)
        draft.add("model/extra", np.ones(3, np.float32), full_name="net/extra")
        draft.replace("model/dense1/bias", np.zeros(5, np.float16))
        draft.move("model", "net")
        draft.alias("encoder", "net")
        assert sorted(draft.remove("table")) == [f"{TABLE}-keys", f"{TABLE}-values"]
        names = draft.names()
        draft.save(tmp_path / "out")
        before = ckpt.object_graph
    assert before is not None
    assert before.find(("table",)) is not None  # the source's own graph is as it was
    with tfckpt.open(tmp_path / "out") as ckpt:
        assert list(ckpt) == names
        assert ckpt[ckpt.key_at("encoder/dense1/bias")].dtype == np.float16
    assert at(tmp_path / "out", "net/extra") == at(tmp_path / "out", "encoder/extra") == [1, 1, 1]
    assert at(tmp_path / "out", "net/dense2/kernel") == [[3, 3], [3, 3]]
    assert fits(tmp_path / "out")


def test_a_draft_keeps_slices_and_byte_order(source: str, tmp_path: Path) -> None:
    tfckpt.rewrite(source, tmp_path / "big", big_endian=True, max_shard_size=8)
    with tfckpt.open(tmp_path / "big") as ckpt:
        draft = tfckpt.Draft(ckpt)
        draft.move("model/dense1", "model/proj")
        draft.save(tmp_path / "out")
        slices = ckpt.entry(variable_key("model/dense1/kernel")).slices
    with tfckpt.open(tmp_path / "out") as ckpt:
        assert ckpt.reader.big_endian
        assert ckpt.entry(variable_key("model/proj/kernel")).slices == slices
        assert len(slices) == 2
    assert at(tmp_path / "out", "model/proj/kernel") == [[1, 1], [1, 1]]


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (lambda draft: draft.add("model/dense1/bias", 1), "has a value already"),
        (lambda draft: draft.add("model//x", 1), "without an empty part"),
        (lambda draft: draft.add("table/x", 1), "'table' has a value already"),
        (lambda draft: draft.add(variable_key("model/x"), 1), "a key is none"),
        (lambda draft: draft.replace("table", 1), "expected a variable, got an object with"),
        (lambda draft: draft.move("model/none", "x"), "got no object there"),
        (lambda draft: draft.move("model", "model/inner"), "cannot go below itself"),
        (lambda draft: draft.move("model/dense1", "model/dense2"), "another object is there already"),
        (lambda draft: draft.alias("model/dense1", "table"), "another object is there already"),
        (lambda draft: draft.remove(""), "got the root"),
        (lambda draft: draft.replace("model", 1), "expected a variable, got an object with no value"),
    ],
)
def test_steps_that_make_no_sense_are_refused(source: str, step: Callable[[Any], Any], message: str) -> None:
    with tfckpt.open(source) as ckpt:
        draft = tfckpt.Draft(ckpt)
        names, graph = draft.names(), draft.graph.copy()
        with pytest.raises(UsageError, match=message):
            step(draft)
        assert (draft.names(), draft.graph) == (names, graph)


def test_a_name_based_checkpoint_has_no_draft(bert: str) -> None:
    with tfckpt.open(bert) as ckpt, pytest.raises(UsageError, match="a name-based checkpoint"):
        tfckpt.Draft(ckpt)


def test_circles_and_shared_objects_are_renamed(tmp_path: Path) -> None:
    nodes = [Node({"a": 1, "b": 1}), Node({"up": 0, "self": 1, "w": 2}), value("a/w")]
    tensors: dict[str, npt.ArrayLike] = {
        variable_key("a/w"): np.ones(2),
        "_CHECKPOINTABLE_OBJECT_GRAPH": ObjectGraph(nodes).serialize(),
    }
    tfckpt.save(tmp_path / "c", tensors)
    tfckpt.rewrite(tmp_path / "c", tmp_path / "out", rename=[("/w$", "/kernel")])
    assert at(tmp_path / "out", "b/kernel") == at(tmp_path / "out", "a/self/up/a/kernel") == [1, 1]


def test_a_graph_of_countless_ways_is_refused_in_no_time(tmp_path: Path) -> None:
    nodes = [Node({f"e{n}": number + 1 for n in range(10)}) for number in range(60)] + [value("x")]
    tensors: dict[str, npt.ArrayLike] = {
        variable_key("x"): np.ones(2),
        "_CHECKPOINTABLE_OBJECT_GRAPH": ObjectGraph(nodes).serialize(),
    }
    tfckpt.save(tmp_path / "c", tensors)
    with pytest.raises(FormatError, match="ways through the object graph"):
        tfckpt.rewrite(tmp_path / "c", tmp_path / "out", rename=[("e1", "x")])
    tfckpt.rewrite(tmp_path / "c", tmp_path / "out", rename=[(r"^x(/\.ATTRIBUTES)", r"y\1")])  # keys need no ways
    assert variable_key("y") in tfckpt.open(tmp_path / "out")


def test_a_path_is_split_where_its_parts_are() -> None:
    assert split_path("a/b.Sc") == ("a", "b/c")


def test_a_dry_run_says_what_the_run_would_refuse(source: str, tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "there", {"w": 1})
    notes = tfckpt.rewrite(source, tmp_path / "there", dry_run=True).notes
    assert notes == (f"{tmp_path / 'there'} is there already: without overwrite it is refused",)
    with pytest.raises(UsageError, match="source and destination are the same"):
        tfckpt.rewrite(source, source, dry_run=True)


def test_a_name_that_object_graphs_have_is_refused(bert: str, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="as object graphs alone are"):
        tfckpt.rewrite(bert, tmp_path / "out", rename=[("^global_step$", "_CHECKPOINTABLE_OBJECT_GRAPH")])


def test_edits_of_a_saved_model_say_that_its_graph_asks_for_all(source: str, tmp_path: Path) -> None:
    folder = tmp_path / "model" / "variables"
    folder.mkdir(parents=True)
    tfckpt.rewrite(source, folder / "variables")
    (tmp_path / "model" / "saved_model.pb").write_bytes(b"")
    plan = tfckpt.rewrite(folder / "variables", tmp_path / "out", strip_optimizer=True)
    assert any("does not load with variables that lack any" in note for note in plan.notes)
    plan = tfckpt.rewrite(folder / "variables", tmp_path / "same")
    assert plan.notes == ()


def test_a_layer_keeps_weights_that_are_called_as_an_optimizers(tmp_path: Path) -> None:
    draft = tfckpt.Draft()
    for name, shape in (("_iterations", ()), ("_learning_rate", ()), ("kernel", (3, 3))):
        draft.add(f"model/odd/{name}", np.ones(shape, np.float32))
    for name in ("iter", "decay"):
        draft.add(f"model/like/{name}", np.float32(1))
    draft.save(tmp_path / "c")
    plan = tfckpt.rewrite(tmp_path / "c", tmp_path / "out", strip_optimizer=True)
    assert sorted(item.source for item in plan.dropped) == [
        variable_key(f"model/odd/{name}") for name in ("_iterations", "_learning_rate")
    ]


def test_what_a_registered_saver_saved_goes_along_or_with_its_object(tmp_path: Path) -> None:
    nodes = [Node({"r": 1, "w": 2}), Node(registered_saver=("pk.sv", "r")), value("w")]
    tensors: dict[str, npt.ArrayLike] = {"r/value": 7, variable_key("w"): 1}
    tfckpt.save(tmp_path / "c", {**tensors, "_CHECKPOINTABLE_OBJECT_GRAPH": ObjectGraph(nodes).serialize()})
    with tfckpt.open(tmp_path / "c") as ckpt:
        draft = tfckpt.Draft(ckpt)
        draft.move("w", "v")
        draft.save(tmp_path / "moved")
        assert draft.remove("r") == ("r/value",)
        draft.save(tmp_path / "removed")
    with tfckpt.open(tmp_path / "moved") as ckpt:
        assert (int(ckpt["r/value"]), int(ckpt["v"])) == (7, 1)
    assert "r/value" not in tfckpt.open(tmp_path / "removed")
    plan = tfckpt.rewrite(tmp_path / "c", tmp_path / "out", drop=["r/value"])
    graph = tfckpt.open(tmp_path / "out").object_graph
    assert graph is not None
    assert graph.nodes[1].registered_saver is None
    assert [item.source for item in plan.dropped] == ["r/value"]


def test_a_draft_is_not_written_over_its_source(source: str) -> None:
    with tfckpt.open(source) as ckpt, pytest.raises(UsageError, match="source and destination are the same"):
        tfckpt.Draft(ckpt).save(source, overwrite=True)


def test_a_key_that_another_object_has_is_left_to_it(tmp_path: Path) -> None:
    nodes = [Node({"a": 1, "b": 2}), Node({"w": 3}), value("c/w"), value("a/w")]
    tensors: dict[str, npt.ArrayLike] = {variable_key("a/w"): 1, variable_key("c/w"): 2}
    tfckpt.save(tmp_path / "c", {**tensors, "_CHECKPOINTABLE_OBJECT_GRAPH": ObjectGraph(nodes).serialize()})
    tfckpt.rewrite(tmp_path / "c", tmp_path / "out", rename=[("^a/", "c/")])
    assert (at(tmp_path / "out", "c/w"), at(tmp_path / "out", "b")) == (1, 2)


def test_a_copy_of_a_changed_graph_has_the_change(source: str) -> None:
    graph = tfckpt.open(source).object_graph
    assert graph is not None
    graph.drop_keys([SLOT])
    copy = graph.copy().copy()
    assert ObjectGraph.parse(copy.serialize()) == graph
    assert SLOT.encode() not in copy.serialize()


def test_a_strip_keeps_and_names_averages_and_iterators_and_takes_loss_scales(tmp_path: Path) -> None:
    tensors: dict[str, npt.ArrayLike] = {}
    for name in ("a/kernel", "a/bias", "b/kernel", "b/bias"):
        array = np.ones((2, 2) if name.endswith("kernel") else 2, np.float32)
        tensors |= dict.fromkeys([name, f"{name}/Adam", f"{name}/ExponentialMovingAverage"], array)
    tensors |= {"loss_scale": np.float32(2), "good_steps": 3, "odd/kernel/v": np.ones((2, 2), np.float32)}
    tfckpt.save(tmp_path / "c", tensors)
    plan = tfckpt.rewrite(tmp_path / "c", tmp_path / "out", strip_optimizer=True)
    rules = {item.source: item.rule for item in plan.dropped}
    assert rules == {
        **{f"{layer}/{part}/Adam": "optimizer state" for layer in "ab" for part in ("kernel", "bias")},
        **dict.fromkeys(("loss_scale", "good_steps"), "training state"),
    }
    assert any(
        note.startswith("moving average: kept 4 tensors, a/bias/ExponentialMovingAverage") for note in plan.notes
    )


def test_many_attributes_of_one_key_are_looked_at_once(tmp_path: Path) -> None:
    nodes = [Node({"t": 1}), Node(attributes=[Attribute("table", TABLE)] * 3000)]
    tensors: dict[str, npt.ArrayLike] = {f"{TABLE}-{number}": 1 for number in range(3000)}
    tfckpt.save(tmp_path / "c", {**tensors, "_CHECKPOINTABLE_OBJECT_GRAPH": ObjectGraph(nodes).serialize()})
    plan = tfckpt.rewrite(tmp_path / "c", tmp_path / "out", keep=["t"], dry_run=True)
    assert (len(plan.steps), len(plan.dropped)) == (3001, 0)
