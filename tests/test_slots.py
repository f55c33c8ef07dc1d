"""Optimizer state: TF1's slots become a Keras optimizer's, and TF1's again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from support.files import bundle_bytes

import tfckpt
from tfckpt.checkpoint.graph.object_graph import OBJECT_GRAPH_KEY, ObjectGraph, variable_key
from tfckpt.errors import PlanError, UsageError
from tfckpt.families.bert.garden import BERT
from tfckpt.families.catalog import CATALOG
from tfckpt.families.language.family import Order
from tfckpt.families.language.layouts import ObjectRows
from tfckpt.families.language.rules import Variable
from tfckpt.families.mobilebert.garden import MOBILEBERT
from tfckpt.planning.optimizer.slots import variable_order

DATA = Path(__file__).parent / "data"
KINDS = ("adam-weight-decay", "adamw")
DUMPS = (
    ("opt_legacy_adamw", "adam-weight-decay", None),
    ("opt_legacy_adamw_constlr", "adam-weight-decay", 1e-3),
    ("opt_new_adamw", "adamw", 1e-3),
    ("opt_new_adamw_sched", "adamw", None),
)
ROUND_TRIPS = (
    ("bert_tf115", "pretrainer"),
    ("bert_tf115", "bert-pretrainer"),
    ("bert_tf115", "pretrain-model"),
    ("classifier_tf115", "classifier"),
    ("classifier_tf115", "classifier-own-pooler"),
    ("squad_tf115", "span-labeler"),
    ("token_tf115", "token-classifier"),
    ("albert_tf115", "pretrainer"),
)


def source(name: str) -> str:
    return str(DATA / name / "model.ckpt-3")


def variables(prefix: str | Path) -> dict[str, Any]:
    with tfckpt.open(prefix) as checkpoint:
        return dict(checkpoint)


def slot_key(key: str, slot: str) -> str:
    return variable_key(f"{key.partition('/.ATTRIBUTES/')[0]}/.OPTIMIZER_SLOT/optimizer/{slot}")


def complaints(tensors: dict[str, Any], tmp_path: Path, **options: Any) -> tuple[str, ...]:
    """Return why the slots of these variables cannot be converted."""
    tfckpt.save(tmp_path / "changed", tensors)
    with pytest.raises(PlanError) as caught:
        tfckpt.plan(tmp_path / "changed", slots="convert", num_heads=2, **options)
    return tuple(line.removeprefix(f"{tmp_path / 'changed'}: ") for line in caught.value.reasons)


def test_slots_are_dropped_unless_asked_for(bert: str) -> None:
    assert tfckpt.plan(bert) == tfckpt.plan(bert, slots="drop")
    assert len(tfckpt.plan(bert).dropped_by_rule()["optimizer state"]) == 92


@pytest.mark.parametrize(("dump", "kind", "rate"), DUMPS)
def test_keys_and_shapes_are_those_that_tensorflow_saves(
    bert: str, tmp_path: Path, dump: str, kind: Any, rate: float | None
) -> None:
    saved = json.loads((DATA / "graphs" / f"{dump}.json").read_text(encoding="utf-8"))
    tfckpt.convert(bert, tmp_path / "there", slots="convert", optimizer=kind, learning_rate=rate)
    with tfckpt.open(tmp_path / "there") as checkpoint:
        graph = checkpoint.object_graph
        ours = {e.name.replace("encoder/", "model/", 1): list(e.shape) for e in checkpoint.entries()}
    assert ours == {name: tensor["shape"] for name, tensor in saved["tensors"].items()}
    assert graph is not None
    nodes = saved["nodes"]
    for name, number in nodes[nodes[0]["children"]["optimizer"]]["children"].items():
        for edge, child in nodes[number].get("children", {}).items():
            node = graph.find(("optimizer", name, edge))
            assert node is not None
            assert node.attributes[0].checkpoint_key == nodes[child]["attributes"][0]["checkpoint_key"]


@pytest.mark.parametrize("dump", ["opt_new_adamw", "opt_new_adamw_sched"])
def test_a_new_optimizer_lists_slots_in_the_order_that_tensorflow_saves(bert: str, tmp_path: Path, dump: str) -> None:
    nodes = json.loads((DATA / "graphs" / f"{dump}.json").read_text(encoding="utf-8"))["nodes"]
    listed = nodes[nodes[nodes[0]["children"]["optimizer"]]["children"]["_momentums"]]["children"]
    names = [nodes[listed[str(i)]]["attributes"][0]["full_name"].removeprefix("AdamW/m/") for i in range(len(listed))]
    keys = {a["full_name"]: a["checkpoint_key"] for node in nodes for a in node.get("attributes", ())}
    tfckpt.convert(bert, tmp_path / "there", slots="convert", optimizer="adamw")
    steps = {step.target: step.source for step in tfckpt.plan(bert, slots="convert", optimizer="adamw").steps}
    for index, name in enumerate(names):
        key = keys[name].replace("model/", "encoder/", 1)
        for offset, slot in ((1, "adam_m"), (2, "adam_v")):
            assert steps[variable_key(f"optimizer/_variables/{2 * index + offset}")] == f"{steps[key]}/{slot}"


def test_slots_hold_what_tf1_had_in_the_form_of_their_variable(bert: str, tmp_path: Path) -> None:
    plan = tfckpt.convert(bert, tmp_path / "there", to="pretrainer", slots="convert")
    before, after = variables(bert), variables(tmp_path / "there")
    (head,) = [s for s in plan.steps if s.source == "cls/seq_relationship/output_weights"]
    (query,) = [s for s in plan.steps if s.source == "bert/encoder/layer_1/attention/self/query/kernel"]
    for slot in "mv":
        np.testing.assert_array_equal(
            after[slot_key(head.target, slot)], before[f"cls/seq_relationship/output_weights/adam_{slot}"].T
        )
        np.testing.assert_array_equal(
            after[slot_key(query.target, slot)], before[f"{query.source}/adam_{slot}"].reshape(8, 2, 4)
        )
    step = after[variable_key("optimizer/iter")]
    assert (step.dtype, step.shape, step[()]) == (np.int64, (), 3)
    assert after[variable_key("optimizer/beta_2")] == np.float32(0.999)


def test_a_variable_that_goes_to_two_places_takes_its_slots_along(bert: str) -> None:
    plan = tfckpt.plan(bert, to="pretrainer", slots="convert")
    targets = [step.target for step in plan.steps if step.source == "bert/pooler/dense/kernel"]
    slots = [step.target for step in plan.steps if step.source == "bert/pooler/dense/kernel/adam_m"]
    assert len(targets) == 2
    assert slots == [slot_key(target, "m") for target in targets]


def test_the_graph_refers_to_every_slot_and_its_variable(bert: str, tmp_path: Path) -> None:
    tfckpt.convert(bert, tmp_path / "there", slots="convert")
    with tfckpt.open(tmp_path / "there") as checkpoint:
        graph = checkpoint.object_graph
    assert graph is not None
    optimizer = graph.find(("optimizer",))
    assert optimizer is not None
    assert len(optimizer.slot_variables) == 2 * 39
    for slot in optimizer.slot_variables:
        (variable,) = graph.nodes[slot.original_variable].attributes
        (value,) = graph.nodes[slot.slot_variable].attributes
        assert value.checkpoint_key == slot_key(variable.checkpoint_key, slot.slot_name)
    assert all(node.has_checkpoint_values for node in graph.nodes)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "to"), ROUND_TRIPS)
def test_there_and_back_again_to_the_byte(name: str, to: str, kind: Any, tmp_path: Path) -> None:
    tfckpt.convert(source(name), tmp_path / "there", to=to, slots="convert", optimizer=kind)
    tfckpt.convert(tmp_path / "there", tmp_path / "back", to="tf1", slots="convert")
    if kind == "adamw" and to in ("span-labeler", "token-classifier"):  # it lists the pooler, too
        expected, back = variables(source(name)), variables(tmp_path / "back")
        added = back.keys() - expected.keys()
        assert added == {f"bert/pooler/dense/{k}/adam_{s}" for k in ("kernel", "bias") for s in "mv"}
        assert not any(back.pop(slot).any() for slot in added)
        np.testing.assert_equal(back, expected)
    else:
        assert bundle_bytes(tmp_path / "back") == bundle_bytes(source(name))


def test_the_way_back_leaves_slots_out_unless_asked_for(bert: str, tmp_path: Path) -> None:
    tfckpt.convert(bert, tmp_path / "there", to="pretrainer", slots="convert")
    plan = tfckpt.plan(tmp_path / "there", to="tf1")
    assert len(plan.steps) == 46
    assert len(plan.dropped_by_rule()["optimizer state"]) == 2 * 48 + 4
    assert tfckpt.plan(tmp_path / "there", to="tf1", slots="keep").steps == (
        tfckpt.plan(tmp_path / "there", to="tf1", slots="convert").steps
    )


def test_a_scope_stands_before_slots_but_not_before_the_step(bert: str, tmp_path: Path) -> None:
    scoped = {n if n == "global_step" else f"module/{n}": v for n, v in variables(bert).items()}
    tfckpt.save(tmp_path / "hub", dict(sorted(scoped.items())))
    tfckpt.convert(tmp_path / "hub", tmp_path / "there", to="pretrainer", slots="convert", num_heads=2)
    tfckpt.convert(tmp_path / "there", tmp_path / "back", to="tf1", slots="convert", scope="module/")
    assert bundle_bytes(tmp_path / "back") == bundle_bytes(tmp_path / "hub")


def test_an_optimizer_under_another_edge_is_found(bert: str, tmp_path: Path) -> None:
    tfckpt.convert(bert, tmp_path / "there", to="pretrainer", slots="convert")
    tensors = variables(tmp_path / "there")
    graph = ObjectGraph.parse(tensors[OBJECT_GRAPH_KEY][()])
    graph.nodes[0].children["my_adam"] = graph.nodes[0].children.pop("optimizer")
    keys = {key: key.replace("optimizer/", "my_adam/") for key in tensors if "optimizer/" in key}
    graph.rename_keys(keys)
    renamed = {keys.get(key, key): value for key, value in tensors.items()}
    tfckpt.save(tmp_path / "mine", renamed | {OBJECT_GRAPH_KEY: graph.serialize()})
    tfckpt.convert(tmp_path / "mine", tmp_path / "back", to="tf1", slots="convert")
    assert bundle_bytes(tmp_path / "back") == bundle_bytes(bert)


def test_no_optimizer_on_the_way_back_is_a_complaint(bert: str, tmp_path: Path) -> None:
    tfckpt.convert(bert, tmp_path / "there")
    with pytest.raises(PlanError, match="one optimizer with slots m, v is expected in the object graph, got 0"):
        tfckpt.plan(tmp_path / "there", to="tf1", slots="convert")


@pytest.mark.parametrize("dump", ["opt_new_adamw", "opt_new_adamw_sched"])
def test_an_optimizer_is_found_with_all_the_edges_that_tensorflow_saves(bert: str, tmp_path: Path, dump: str) -> None:
    nodes = json.loads((DATA / "graphs" / f"{dump}.json").read_text(encoding="utf-8"))["nodes"]
    edges = nodes[nodes[0]["children"]["optimizer"]]["children"]
    tfckpt.convert(bert, tmp_path / "there", slots="convert", optimizer="adamw")
    tensors = variables(tmp_path / "there")
    graph = ObjectGraph.parse(tensors[OBJECT_GRAPH_KEY][()])
    for edge in edges:  # one leads to the places of variables in the lists, and holds no value
        graph.node_at(("optimizer", edge))
    tfckpt.save(tmp_path / "saved", tensors | {OBJECT_GRAPH_KEY: graph.serialize()})
    tfckpt.convert(tmp_path / "saved", tmp_path / "back", to="tf1", slots="convert")
    with tfckpt.open(tmp_path / "back") as back, tfckpt.open(bert) as source:
        name = "bert/encoder/layer_1/attention/self/query/kernel/adam_v"
        np.testing.assert_array_equal(back[name], source[name])


def test_an_optimizer_of_some_of_the_variables_is_a_complaint(bert: str, tmp_path: Path) -> None:
    tfckpt.convert(bert, tmp_path / "there", slots="convert", optimizer="adamw")
    tensors = variables(tmp_path / "there")
    graph = ObjectGraph.parse(tensors[OBJECT_GRAPH_KEY][()])
    momentums = graph.find(("optimizer", "_momentums"))
    assert momentums is not None
    del momentums.children["38"]
    tfckpt.save(tmp_path / "some", tensors | {OBJECT_GRAPH_KEY: graph.serialize()})
    with pytest.raises(PlanError, match="_momentums: 38 slots, and the 'encoder' has 39 variables to train"):
        tfckpt.plan(tmp_path / "some", to="tf1", slots="convert")


def test_a_source_without_slots_is_a_complaint(bert: str, tmp_path: Path) -> None:
    tensors = {name: value for name, value in variables(bert).items() if "adam_" not in name}
    assert complaints(tensors, tmp_path) == ("no optimizer state: none of the variables has adam_m or adam_v",)


def test_what_is_wrong_with_slots_is_said_at_once(bert: str, tmp_path: Path) -> None:
    tensors = variables(bert)
    del tensors["global_step"], tensors["bert/pooler/dense/bias/adam_v"]
    tensors["bert/pooler/dense/kernel/adam_m"] = np.zeros((8, 4), np.float32)
    table = tensors.pop("bert/embeddings/word_embeddings/adam_m")
    tensors["bert/embeddings/word_embeddings/part_0/adam_m"] = table[:10]
    assert sorted(complaints(tensors, tmp_path)) == [
        "bert/embeddings/word_embeddings/adam_m: missing, though its other slot is there",
        "bert/embeddings/word_embeddings/part_0/adam_m: the pieces of this slot do not make up "
        'bert/embeddings/word_embeddings; slots="drop" leaves all out',
        "bert/pooler/dense/bias/adam_v: missing, though its other slot is there",
        "bert/pooler/dense/kernel/adam_m: expected float32[8, 8], as bert/pooler/dense/kernel, got float32[8, 4]",
        "global_step: missing, and the optimizer needs it for optimizer/iter/.ATTRIBUTES/VARIABLE_VALUE",
    ]


def test_a_step_of_another_dtype_is_a_complaint(bert: str, tmp_path: Path) -> None:
    tensors = variables(bert) | {"global_step": np.array(3, np.int32)}
    assert complaints(tensors, tmp_path) == ("global_step: expected int64[], got int32[]",)


def test_filled_variables_have_no_slots_and_zeros_in_a_list(bert: str, tmp_path: Path) -> None:
    tensors = {name: value for name, value in variables(bert).items() if "pooler" not in name}
    tfckpt.save(tmp_path / "tf1", tensors)
    options: dict[str, Any] = {"slots": "convert", "fill": "normal:1", "num_heads": 2}
    legacy = tfckpt.plan(tmp_path / "tf1", **options)
    assert sum(".OPTIMIZER_SLOT" in step.target for step in legacy.steps) == 2 * 37
    listed = tfckpt.plan(tmp_path / "tf1", optimizer="adamw", **options)
    zeros = [step.shape for step in listed.steps if "_variables" in step.target and str(step.fill) == "zeros"]
    assert zeros == [(8, 8), (8, 8), (8,), (8,)]


def test_an_order_that_is_not_known_is_a_complaint(bert: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert BERT.order is not None
    monkeypatch.delitem(cast("dict[str, Any]", BERT.order.parts), "encoder")
    with pytest.raises(PlanError, match="order in which 'adamw' keeps its slots is not known for 'encoder' of BERT"):
        tfckpt.plan(bert, slots="convert", optimizer="adamw")


@pytest.mark.parametrize(
    "layout",
    [o for o in CATALOG.models if o.family.order and o.name in o.family.order.parts],
    ids=lambda layout: f"{layout.family.name}-{layout.name}",
)
def test_a_known_order_has_one_place_for_each_variable(layout: ObjectRows) -> None:
    order = layout.family.order
    assert order is not None
    rows = [(placed, v) for placed in layout.parts for v in placed.part.variables(lambda *prefixes: range(3))]
    places = [order.position(layout.name, placed.path, variable) for placed, variable in rows]
    assert None not in places
    forms = {placed.only_with for placed in layout.parts if [p.path for p in layout.parts].count(placed.path) > 1}
    of_one = [{p for (at, _), p in zip(rows, places, strict=True) if at.only_with == form} for form in forms]
    assert len(set(places)) == len(rows) - sum(len(form) for form in of_one[1:])  # of several forms a model has one


def test_only_models_of_2019_have_no_known_order() -> None:
    unknown = [o for o in CATALOG.models if o.family.order is None or o.name not in o.family.order.parts]
    assert [(layout.family.name, layout.name) for layout in unknown] == [("BERT", "bert-model"), ("BERT", "bert-layer")]


def place_of(order: Order | None, path: str, name: str = "") -> tuple[int, ...]:
    assert order is not None
    place = order.position("encoder", "", Variable(name, path, ""))
    assert place is not None
    return place


def test_blocks_are_in_the_order_of_their_numbers() -> None:
    layout = CATALOG.find_layout("encoder")
    assert isinstance(layout, ObjectRows)
    assert place_of(BERT.order, "_transformer_layers/2/_output_dense/bias") < place_of(
        BERT.order, "_transformer_layers/10/_attention_layer/_query_dense/kernel"
    )
    assert variable_order(layout, {"bert/encoder/layer_0/": 0}) is not None


def test_lists_within_blocks_are_in_the_order_of_their_numbers() -> None:
    block = "<layers>/{}/block_layers/ffn/{}/{}"
    paths = [
        block.format(*at) for at in ((2, 2, "2/beta"), (2, 10, "0/kernel"), (2, 10, "1/bias"), (10, 0, "0/kernel"))
    ]
    places = [place_of(MOBILEBERT.order, path) for path in paths]
    assert places == sorted(places)


def test_a_norm_that_is_none_makes_its_shift_first() -> None:
    for norm, first, second in (("LayerNorm", "gamma", "beta"), ("FakeLayerNorm", "beta", "gamma")):
        places = [place_of(MOBILEBERT.order, f"<embedding>/layer_norm/{p}", f"{norm}/{p}") for p in (first, second)]
        assert places == sorted(places)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"slots": "keep"}, "slots: 'encoder' takes 'drop' or 'convert', not 'keep'"),
        ({"slots": "convert", "to": "keras"}, "slots: 'keras' takes 'drop' or 'keep', not 'convert'"),
        ({"slots": "yes"}, "expected 'drop', 'convert', 'keep', got 'yes'"),
        ({"slots": "convert", "optimizer": "sgd"}, "expected 'adam-weight-decay', 'adamw', got 'sgd'"),
        ({"optimizer": "adamw"}, "they say what slots are converted to"),
        ({"learning_rate": 1e-3}, "they say what slots are converted to"),
        ({"slots": "convert", "learning_rate": float("nan")}, "expected a number, 0 or more, got nan"),
        ({"slots": "convert", "learning_rate": 1.0, "to": "tf1"}, "not on the way back"),
    ],
)
def test_options_that_make_no_sense(bert: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        tfckpt.plan(bert, **options)


def test_names_of_2019_keep_slots_unless_told(bert: str) -> None:
    kept = tfckpt.plan(bert, to="keras")
    assert tfckpt.plan(bert, to="keras", slots="keep") == kept
    assert len(kept.steps) == 139
    dropped = tfckpt.plan(bert, to="keras", slots="drop")
    assert len(dropped.steps) == 46
    assert dropped.dropped_by_rule().keys() == {"optimizer state", "training step"}
