"""The way back: what the object graph holds becomes TF1 variables again, whatever the keys are called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.files import bundle_bytes

import tfckpt
from tfckpt.base.issues import give
from tfckpt.checkpoint.graph.object_graph import OBJECT_GRAPH_KEY, VARIABLE_VALUE, Attribute, ObjectGraph, variable_key
from tfckpt.errors import PlanError, UsageError

DATA = Path(__file__).parent / "data"
HEADLESS = ("encoder", "bert-model", "bert-layer")
ROUND_TRIPS = [
    ("bert_tf115", "encoder"),
    ("bert_tf115", "pretrainer"),
    ("bert_tf115", "bert-pretrainer"),
    ("bert_tf115", "pretrain-model"),
    ("classifier_tf115", "classifier"),
    ("classifier_tf115", "classifier-own-pooler"),
    ("squad_tf115", "span-labeler"),
    ("token_tf115", "token-classifier"),
    ("bert_tf115", "bert-model"),
    ("bert_tf115", "bert-layer"),
]


def source(name: str) -> str:
    return str(DATA / name / "model.ckpt-3")


def weights(prefix: str) -> dict[str, Any]:
    """Return the TF1 variables without the optimizer's."""
    with tfckpt.open(prefix) as checkpoint:
        return {name: v for name, v in checkpoint.items() if "/adam_" not in name and name != "global_step"}


def edit(prefix: str, change: Any) -> None:
    """Change the object graph of a checkpoint."""
    with tfckpt.open(prefix) as checkpoint:
        tensors = dict(checkpoint)
        graph = checkpoint.object_graph
    assert graph is not None
    change(graph, tensors)
    tfckpt.save(prefix, tensors | {OBJECT_GRAPH_KEY: graph.serialize()}, overwrite=True)


@pytest.mark.parametrize(("name", "to"), ROUND_TRIPS)
def test_there_and_back_again(name: str, to: str, tmp_path: Path) -> None:
    there, back = tmp_path / "there", tmp_path / "back"
    kept = {step.source for step in tfckpt.convert(source(name), there, to=to).steps}
    plan = tfckpt.convert(there, back, to="tf1")
    assert plan.notes[0].startswith(f"the model is {to!r} of BERT")
    expected = {name: value for name, value in weights(source(name)).items() if name in kept}
    with tfckpt.open(back) as checkpoint:
        assert sorted(checkpoint) == sorted(expected)
        for variable, value in expected.items():
            np.testing.assert_array_equal(checkpoint[variable], value, variable)


@pytest.mark.parametrize(("name", "to"), [row for row in ROUND_TRIPS if row[1] not in HEADLESS])
def test_the_files_are_those_that_tf1_wrote_for_the_same_variables(name: str, to: str, tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "tf1", weights(source(name)))
    tfckpt.convert(tmp_path / "tf1", tmp_path / "there", to=to, config=DATA / name / "bert_config.json")
    tfckpt.convert(tmp_path / "there", tmp_path / "back", to="tf1")
    assert bundle_bytes(tmp_path / "back") == bundle_bytes(tmp_path / "tf1")


def test_a_scope_is_given_back(tmp_path: Path) -> None:
    variables = {f"module/{name}": value for name, value in weights(source("bert_tf115")).items()}
    tfckpt.save(tmp_path / "hub", variables)
    assert tfckpt.convert(tmp_path / "hub", tmp_path / "there", to="pretrainer", num_heads=2).scope == "module/"
    tfckpt.convert(tmp_path / "there", tmp_path / "back", to="tf1", scope="module/")
    assert bundle_bytes(tmp_path / "back") == bundle_bytes(tmp_path / "hub")


def test_a_scope_is_for_the_way_back_only(bert: str) -> None:
    with pytest.raises(UsageError, match="scope: only for the way back, 'tf1'"):
        tfckpt.plan(bert, scope="module/")


def test_any_root_will_do(tmp_path: Path) -> None:
    def rename(graph: ObjectGraph, tensors: dict[str, Any]) -> None:
        model = graph.nodes[0].children.pop("model")
        graph.nodes[0].children = {"my_own_name": model}

    tfckpt.convert(source("classifier_tf115"), tmp_path / "there", to="classifier")
    edit(str(tmp_path / "there"), rename)
    plan = tfckpt.plan(tmp_path / "there", to="tf1")
    assert plan.notes[0] == "the model is 'classifier' of BERT, at my_own_name"


@pytest.mark.parametrize("to", ["encoder", "pretrainer"])
def test_numbers_of_keras_are_enough(to: str, tmp_path: Path) -> None:
    def forget_attributes(graph: ObjectGraph, tensors: dict[str, Any]) -> None:
        for node in graph.nodes:
            if any(name.startswith("layer_with_weights-") for name in node.children):
                node.children = {n: c for n, c in node.children.items() if not n.startswith("_")}

    tfckpt.convert(source("bert_tf115"), tmp_path / "there", to=to)
    before = tfckpt.plan(tmp_path / "there", to="tf1")
    edit(str(tmp_path / "there"), forget_attributes)
    after = tfckpt.plan(tmp_path / "there", to="tf1")
    assert [(s.source, s.target, s.shape) for s in after.steps] == [(s.source, s.target, s.shape) for s in before.steps]


def test_the_graph_decides_and_not_the_spelling_of_keys(tmp_path: Path) -> None:
    def respell(graph: ObjectGraph, tensors: dict[str, Any]) -> None:
        mapping = {key: variable_key(f"tensor_{n}") for n, key in enumerate(tensors) if key != OBJECT_GRAPH_KEY}
        graph.rename_keys(mapping)
        for old, new in mapping.items():
            tensors[new] = tensors.pop(old)

    tfckpt.convert(source("bert_tf115"), tmp_path / "there", to="pretrainer")
    edit(str(tmp_path / "there"), respell)
    tfckpt.convert(tmp_path / "there", tmp_path / "back", to="tf1")
    with tfckpt.open(tmp_path / "back") as checkpoint:
        for name, value in weights(source("bert_tf115")).items():
            np.testing.assert_array_equal(checkpoint[name], value, name)


def test_a_copy_that_differs_is_reported(tmp_path: Path) -> None:
    """It is the idle one that is left out: the head's pooler is the one that training moves."""
    key = variable_key("next_sentence..pooler_dense/kernel")
    idle = variable_key("encoder/layer_with_weights-6/kernel")

    def train(graph: ObjectGraph, tensors: dict[str, Any]) -> None:
        tensors[key] = tensors[key] + 1

    tfckpt.convert(source("bert_tf115"), tmp_path / "there", to="pretrainer")
    same = tfckpt.plan(tmp_path / "there", to="tf1")
    assert len(same.notes) == 1
    assert ("another copy of bert/pooler/dense/kernel", idle) in [(item.rule, item.source) for item in same.dropped]
    edit(str(tmp_path / "there"), train)
    (_, note) = tfckpt.plan(tmp_path / "there", to="tf1").notes
    assert note == f"{idle} differs from {key}, which is taken for bert/pooler/dense/kernel"


def test_what_training_saves_beside_the_model_is_dropped_by_its_rules(tmp_path: Path) -> None:
    tfckpt.convert(source("bert_tf115"), tmp_path / "there")
    names = {
        "save_counter": "save counter",
        "optimizer/iter": "optimizer state",
        "global_step": "training step",
        "model/keras_api/metrics/0/total": "metric",
    }

    def add(graph: ObjectGraph, tensors: dict[str, Any]) -> None:
        tensors.update({variable_key(name): np.array(1, np.int64) for name in names})

    edit(str(tmp_path / "there"), add)
    plan = tfckpt.plan(tmp_path / "there", to="tf1")
    rules = {item.source: item.rule for item in plan.dropped}
    assert rules == {variable_key(name): rule for name, rule in names.items()} | {OBJECT_GRAPH_KEY: "object graph"}


def test_a_variable_that_is_no_part_of_the_model_stops_the_plan(tmp_path: Path) -> None:
    def add(graph: ObjectGraph, tensors: dict[str, Any]) -> None:
        graph.nodes[graph.node_at(("head", "kernel"))].attributes.append(
            Attribute(VARIABLE_VALUE, variable_key("head"))
        )
        tensors[variable_key("head")] = np.zeros(3, np.float32)

    tfckpt.convert(source("bert_tf115"), tmp_path / "there")
    edit(str(tmp_path / "there"), add)
    with pytest.raises(PlanError, match=r"head/.ATTRIBUTES/VARIABLE_VALUE \[3\]: no part of the 'encoder'") as caught:
        tfckpt.plan(tmp_path / "there", to="tf1")
    assert caught.value.remedies == (give(exclude=f"={variable_key('head')}"),)
    exported = tfckpt.export(tmp_path / "there", tmp_path / "x.npz", to="tf1", drop=["head"])
    assert [item.rule for item in exported.dropped if item.source == variable_key("head")] == ["pattern 'head'"]
    assert tfckpt.plan(tmp_path / "there", to="tf1", exclude=["head/"]).dropped[0].rule == "excluded by 'head/'"


def test_a_tensor_that_the_graph_has_and_the_file_has_not(tmp_path: Path) -> None:
    key = variable_key("encoder/layer_with_weights-6/bias")

    def lose(graph: ObjectGraph, tensors: dict[str, Any]) -> None:
        del tensors[key]

    tfckpt.convert(source("bert_tf115"), tmp_path / "there")
    edit(str(tmp_path / "there"), lose)
    with pytest.raises(PlanError) as caught:
        tfckpt.plan(tmp_path / "there", to="tf1")
    (line,) = caught.value.reasons
    assert line.endswith(f"{key}: missing, though the object graph has it; it would become bert/pooler/dense/bias")


def test_several_models_are_told_apart_by_nobody(tmp_path: Path) -> None:
    def twice(graph: ObjectGraph, tensors: dict[str, Any]) -> None:
        offset = len(graph.nodes)
        copies = ObjectGraph.parse(graph.serialize()).nodes
        for node in copies:
            node.children = {name: child + offset for name, child in node.children.items()}
        graph.nodes += copies
        graph.nodes[0].children = {"model": graph.nodes[0].children["model"], "ema": copies[0].children["model"]}

    tfckpt.convert(source("bert_tf115"), tmp_path / "there")
    edit(str(tmp_path / "there"), twice)
    with pytest.raises(PlanError, match="several models, and one is expected: model, ema"):
        tfckpt.plan(tmp_path / "there", to="tf1")


def test_a_name_based_checkpoint_has_no_way_back(bert: str) -> None:
    with pytest.raises(PlanError, match="no object graph: it is name-based"):
        tfckpt.plan(bert, to="tf1")


def test_objects_of_some_other_model(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "other", {OBJECT_GRAPH_KEY: ObjectGraph().serialize()})
    with pytest.raises(PlanError, match=r"no model of BERT.* in its object graph"):
        tfckpt.plan(tmp_path / "other", to="tf1")


def test_a_head_count_that_the_shapes_contradict(tmp_path: Path) -> None:
    tfckpt.convert(source("bert_tf115"), tmp_path / "there")
    with pytest.raises(PlanError, match=r"expected num_attention_heads = 4 \(as given\), got 2"):
        tfckpt.plan(tmp_path / "there", to="tf1", num_heads=4)
