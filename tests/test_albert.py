"""ALBERT: one block that all layers share, embeddings of a width of their own, and the same heads as BERT's."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.files import bundle_bytes

import tfckpt
from tfckpt.checkpoint.graph.object_graph import OBJECT_GRAPH_KEY, Attribute, Node, ObjectGraph
from tfckpt.errors import PlanError, UsageError
from tfckpt.families.albert import garden as albert
from tfckpt.families.bert import garden as bert
from tfckpt.families.catalog import CATALOG
from tfckpt.families.language.layouts import ObjectRows
from tfckpt.families.language.target import build_target

DATA = Path(__file__).parent / "data"
SOURCE = str(DATA / "albert_tf115" / "model.ckpt-3")
CONFIG: dict[str, Any] = json.loads((DATA / "albert_tf115" / "albert_config.json").read_text(encoding="utf-8"))
BLOCK = "bert/encoder/transformer/group_0/inner_group_0/"
PROJECTION = "bert/encoder/embedding_hidden_mapping_in/"
ORDER_HEAD = "cls/seq_relationship/"

# What google-research/albert publishes with its versions 1 and 2 of the base model, but for the sizes.
VERSIONS = {
    1: {"attention_probs_dropout_prob": 0.1, "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "gap_size": 0},
    2: {"attention_probs_dropout_prob": 0, "hidden_act": "gelu_new", "hidden_dropout_prob": 0, "layers_to_keep": []},
}
HEADS = {
    "classifier": {"output_weights": (3, 8), "output_bias": (3,)},
    "token-classifier": {"output_weights": (5, 8), "output_bias": (5,)},
    "span-labeler": {"cls/squad/output_weights": (2, 8), "cls/squad/output_bias": (2,)},
}


@pytest.fixture
def tensors() -> dict[str, Any]:
    """The variables without optimizer states, to be changed."""
    with tfckpt.open(SOURCE) as checkpoint:
        return {name: v for name, v in checkpoint.items() if "/adam_" not in name and name != "global_step"}


def fine_tuned(tensors: dict[str, Any], to: str) -> dict[str, Any]:
    """Return the encoder's variables with a task's head."""
    encoder = {name: value for name, value in tensors.items() if name.startswith("bert/")}
    rng = np.random.default_rng(1)
    head = {name: rng.normal(size=shape).astype(np.float32) for name, shape in sorted(HEADS[to].items())}
    return encoder | head  # in the order of names, as TF1 writes them


def equal_widths(tensors: dict[str, Any]) -> dict[str, Any]:
    """Return an encoder whose embeddings are as wide as the hidden size, and not projected."""
    wide = {name: value for name, value in tensors.items() if name.startswith("bert/") and PROJECTION not in name}
    doubled = {n: np.concatenate([v, -v], axis=-1) for n, v in wide.items() if n.startswith("bert/embeddings/")}
    return wide | doubled


def complaints(directory: Path, tensors: dict[str, Any], config: dict[str, Any], **options: Any) -> list[str]:
    """Return what a plan complains about, without the name of the source."""
    prefix = directory / "model.ckpt"
    tfckpt.save(prefix, tensors, overwrite=True)
    (directory / "albert_config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(PlanError) as caught:
        tfckpt.plan(prefix, **options)
    return [line.removeprefix(f"{prefix}: ") for line in caught.value.reasons]


def dump(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((DATA / "graphs" / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


def variable_paths(nodes: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Return every path to a variable in a dump, but for Keras's count of all layers and what a configuration repeats."""
    paths = []
    stack: list[tuple[int, tuple[str, ...]]] = [(0, ())]
    while stack:
        number, path = stack.pop()
        if nodes[number].get("attributes"):
            paths.append(path)
        for edge, child in nodes[number].get("children", {}).items():
            if edge != "_config" and not edge.startswith("layer-"):
                stack.append((child, (*path, edge)))
    return paths


DUMPS = [
    (albert.ENCODER, "albert_encoder", ("cls/",)),
    (albert.ENCODER, "albert_encoder_embw_eq", ("cls/", PROJECTION)),
    (albert.PRETRAINER, "albert_pretrainer", (ORDER_HEAD,)),
]


@pytest.mark.parametrize(("layout", "name", "without"), DUMPS, ids=[row[1] for row in DUMPS])
def test_keys_and_paths_are_those_that_model_garden_saves(
    layout: ObjectRows, name: str, without: tuple[str, ...], tensors: dict[str, Any]
) -> None:
    target = build_target(layout, [variable for variable in tensors if not variable.startswith(without)])
    assert target.graph is not None
    model = dump(name)
    assert {variable.key for variable in target.variables} == model["tensors"].keys() - {OBJECT_GRAPH_KEY}
    for path in variable_paths(model["nodes"]):
        node = target.graph.find(path)
        assert node is not None, path
        assert node.attributes, path


@pytest.mark.parametrize("to", ["encoder", "pretrainer"])
def test_shapes_are_those_that_model_garden_saves(to: str, tensors: dict[str, Any], tmp_path: Path) -> None:
    kept = {name: value for name, value in tensors.items() if not name.startswith(ORDER_HEAD)}
    tfckpt.save(tmp_path / "source", kept)
    plan = tfckpt.plan(tmp_path / "source", to=to, num_heads=2)
    shapes = {key: tuple(tensor["shape"]) for key, tensor in dump(f"albert_{to}")["tensors"].items()}
    assert {step.target: step.shape for step in plan.steps} | {OBJECT_GRAPH_KEY: ()} == shapes


def test_equal_widths_give_the_shapes_of_the_real_model(tensors: dict[str, Any], tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "source", equal_widths(tensors))
    plan = tfckpt.plan(tmp_path / "source", num_heads=2)
    shapes = {key: tuple(tensor["shape"]) for key, tensor in dump("albert_encoder_embw_eq")["tensors"].items()}
    assert {step.target: step.shape for step in plan.steps} | {OBJECT_GRAPH_KEY: ()} == shapes


def test_the_family_is_told_from_the_names(tensors: dict[str, Any]) -> None:
    assert CATALOG.find_family(tensors) is albert.ALBERT
    assert CATALOG.find_layout("encoder", CATALOG.find_family(tensors)) is albert.ENCODER
    assert CATALOG.find_family([f"module/{name}" for name in tensors]) is albert.ALBERT
    assert CATALOG.find_family(["bert/embeddings/word_embeddings"]) is bert.BERT


def test_every_variable_is_converted_or_dropped_by_a_rule() -> None:
    plan = tfckpt.plan(SOURCE)
    sources = [step.source for step in plan.steps] + [item.source for item in plan.dropped]
    assert sorted(sources) == [name for name, _ in tfckpt.list_variables(SOURCE)]
    assert {rule: len(items) for rule, items in plan.dropped_by_rule().items()} == {
        "optimizer state": 64,
        "masked-LM head": 5,
        "sentence-order head": 2,
        "training step": 1,
    }


def test_a_pretrainer_holds_both_heads_and_drops_neither() -> None:
    plan = tfckpt.plan(SOURCE, to="pretrainer")
    assert plan.dropped_by_rule().keys() == {"optimizer state", "training step"}
    targets = [step.target.removesuffix("/.ATTRIBUTES/VARIABLE_VALUE") for step in plan.steps]
    assert {"model/classification_heads/0/out_proj/kernel", "next_sentence..pooler_dense/kernel"} <= set(targets)
    assert "masked_lm/embedding_table" in targets


def test_the_head_of_squad_2_is_dropped_by_its_name(tensors: dict[str, Any], tmp_path: Path) -> None:
    names = [f"{scope}/dense_0/kernel" for scope in ("start_logits", "end_logits", "answer_class")]
    tfckpt.save(tmp_path / "source", tensors | {name: np.zeros((8, 1), np.float32) for name in names})
    dropped = tfckpt.plan(tmp_path / "source", num_heads=2).dropped_by_rule()
    assert sorted(item.source for item in dropped["question-answering head of SQuAD 2.0"]) == sorted(names)


@pytest.mark.parametrize("version", VERSIONS)
def test_configurations_of_both_versions_are_taken(version: int, tensors: dict[str, Any], tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "model.ckpt-best", tensors)
    (tmp_path / "albert_config.json").write_text(json.dumps(CONFIG | VERSIONS[version]), encoding="utf-8")
    plan = tfckpt.plan(tmp_path / "model.ckpt-best")
    assert (plan.sizes["embedding_size"].value, plan.sizes["embedding_size"].origin) == (4, "albert_config.json")
    assert plan.num_heads == 2
    assert [(s.source, s.shape) for s in plan.steps] == [(s.source, s.shape) for s in tfckpt.plan(SOURCE).steps]


def test_a_width_of_embeddings_that_the_shapes_contradict(tensors: dict[str, Any], tmp_path: Path) -> None:
    lines = complaints(tmp_path, tensors, CONFIG | {"embedding_size": 128})
    assert any("expected embedding_size = 128 (albert_config.json), got 4" in line for line in lines)


def test_nothing_tells_how_many_layers_share_the_block(tensors: dict[str, Any], tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "model.ckpt", tensors)
    (tmp_path / "albert_config.json").write_text(json.dumps(CONFIG | {"num_hidden_layers": 12}), encoding="utf-8")
    assert tfckpt.plan(tmp_path / "model.ckpt").sizes["num_hidden_layers"].value == 12


@pytest.mark.parametrize("stated", [1, 2])
@pytest.mark.parametrize(("old", "new"), [("/group_0/", "/group_1/"), ("/inner_group_0/", "/inner_group_1/")])
def test_several_groups_of_layers_are_one_complaint(
    old: str, new: str, stated: int, tensors: dict[str, Any], tmp_path: Path
) -> None:
    more = {name.replace(old, new): value for name, value in tensors.items() if name.startswith(BLOCK)}
    slots = {f"{name}/adam_m": value for name, value in more.items()}
    sizes = {"num_hidden_groups": stated, "inner_group_num": stated}
    (line,) = complaints(tmp_path, tensors | more | slots, CONFIG | sizes)
    first = min(more)
    assert line == (
        f"{first} and 15 more: several groups of layers, and no target holds them: Model Garden's AlbertEncoder has one "
        "block for all layers; a table of your own can place them: layout"
    )


def test_several_groups_become_layers_by_the_table_of_the_documentation(
    tensors: dict[str, Any], tmp_path: Path
) -> None:
    more = {n.replace("/group_0/", "/group_1/"): -value for n, value in tensors.items() if n.startswith(BLOCK)}
    tfckpt.save(tmp_path / "model.ckpt", tensors | more)
    layout = Path(__file__).parents[1] / "docs" / "albert_groups.toml"
    plan = tfckpt.convert(tmp_path / "model.ckpt", tmp_path / "tf2", layout=layout, num_heads=2)
    of_layers: dict[int | None, set[bool]] = {}
    for step in plan.steps:
        layer = re.search(r"_transformer_layers/(\d)/", step.target)
        of_layers.setdefault(int(layer[1]) if layer else None, set()).add("group_1/" in step.source)
    assert of_layers == {None: {False}, 0: {False}, 1: {False}, 2: {True}, 3: {True}}
    proof = tfckpt.prove(tmp_path / "model.ckpt", tmp_path / "tf2", layout=layout, num_heads=2)
    assert len(proof.tensors) == len(plan.steps) == 73


def test_a_configuration_of_several_groups_is_of_another_model(tensors: dict[str, Any], tmp_path: Path) -> None:
    lines = complaints(tmp_path, tensors, CONFIG | {"num_hidden_groups": 2, "inner_group_num": 3})
    assert lines == [
        "num_hidden_groups: 2 in albert_config.json, but 'encoder' can only have 1",
        "inner_group_num: 3 in albert_config.json, but 'encoder' can only have 1",
    ]


def test_a_missing_projection_is_a_complaint(tensors: dict[str, Any], tmp_path: Path) -> None:
    kept = {name: value for name, value in tensors.items() if PROJECTION not in name}
    (line,) = complaints(tmp_path, kept, CONFIG)
    assert line == f"{PROJECTION}*: missing, though embedding_size = 4 and hidden_size = 8 are not equal"


def test_a_projection_between_equal_widths_is_a_complaint(tensors: dict[str, Any], tmp_path: Path) -> None:
    kept = equal_widths(tensors)
    kept |= {f"{PROJECTION}kernel": np.eye(8, dtype=np.float32), f"{PROJECTION}bias": np.zeros(8, np.float32)}
    (line,) = complaints(tmp_path, kept, {"num_attention_heads": 2})
    assert line == f"{PROJECTION}*: there, though embedding_size = 8 and hidden_size = 8 are equal"


def test_half_of_a_projection_is_a_variable_missing(tensors: dict[str, Any], tmp_path: Path) -> None:
    del tensors[f"{PROJECTION}bias"]
    (line,) = complaints(tmp_path, tensors, CONFIG)
    assert line.startswith(f"{PROJECTION}bias: missing, and 'encoder' needs it for encoder/layer_with_weights-4/bias")


def test_a_configuration_of_a_bert_does_not_pass(tensors: dict[str, Any], tmp_path: Path) -> None:
    config = json.loads((DATA / "bert_tf115" / "bert_config.json").read_text(encoding="utf-8"))
    lines = complaints(tmp_path, tensors, config | {"vocab_size": 31, "num_attention_heads": 3})
    assert len(lines) == 2


def test_a_target_that_is_for_bert_alone_names_those_for_albert() -> None:
    with pytest.raises(UsageError, match=r"no target 'bert-model' for ALBERT.*pretrainer, classifier"):
        tfckpt.plan(SOURCE, to="bert-model")


def test_there_and_back_again_to_the_byte(tensors: dict[str, Any], tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "tf1", tensors)
    tfckpt.convert(tmp_path / "tf1", tmp_path / "there", to="pretrainer", num_heads=2)
    plan = tfckpt.convert(tmp_path / "there", tmp_path / "back", to="tf1")
    assert plan.notes[0] == "the model is 'pretrainer' of ALBERT, at the root"
    assert bundle_bytes(tmp_path / "back") == bundle_bytes(tmp_path / "tf1")


@pytest.mark.parametrize("to", HEADS)
def test_fine_tuned_ones_go_there_and_back_to_the_byte(to: str, tensors: dict[str, Any], tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "tf1", fine_tuned(tensors, to))
    tfckpt.convert(tmp_path / "tf1", tmp_path / "there", to=to, num_heads=2)
    plan = tfckpt.convert(tmp_path / "there", tmp_path / "back", to="tf1")
    assert plan.notes[0] == f"the model is {to!r} of ALBERT, at the root"
    assert bundle_bytes(tmp_path / "back") == bundle_bytes(tmp_path / "tf1")


@pytest.mark.parametrize("widths", ["equal", "unequal"])
def test_an_encoder_comes_back_as_an_albert(widths: str, tensors: dict[str, Any], tmp_path: Path) -> None:
    encoder = {name: value for name, value in tensors.items() if name.startswith("bert/")}
    tfckpt.save(tmp_path / "tf1", equal_widths(tensors) if widths == "equal" else encoder)
    tfckpt.convert(tmp_path / "tf1", tmp_path / "there", num_heads=2)
    plan = tfckpt.convert(tmp_path / "there", tmp_path / "back", to="tf1")
    assert plan.notes[0] == "the model is 'encoder' of ALBERT, at the root"
    assert bundle_bytes(tmp_path / "back") == bundle_bytes(tmp_path / "tf1")


@pytest.mark.parametrize("name", ["albert_encoder", "albert_encoder_embw_eq"])
def test_what_model_garden_saves_comes_back_as_an_albert(name: str, tmp_path: Path) -> None:
    model = dump(name)
    tensors = {
        key: np.zeros(tensor["shape"], np.float32)
        for key, tensor in model["tensors"].items()
        if key != OBJECT_GRAPH_KEY
    }
    graph = ObjectGraph(
        [
            Node(n.get("children", {}), [Attribute(a["name"], a["checkpoint_key"]) for a in n.get("attributes", [])])
            for n in model["nodes"]
        ]
    )
    tfckpt.save(tmp_path / "saved", tensors | {OBJECT_GRAPH_KEY: graph.serialize()})
    plan = tfckpt.plan(tmp_path / "saved", to="tf1")
    assert plan.notes[0] == "the model is 'encoder' of ALBERT, at encoder"
    assert len(plan.steps) == len(tensors)


def test_a_bert_of_one_layer_stays_a_bert(bert: str, tmp_path: Path) -> None:
    with tfckpt.open(bert) as checkpoint:
        one = {n: v for n, v in checkpoint.items() if n.startswith("bert/") and "layer_1" not in n and "adam" not in n}
    tfckpt.save(tmp_path / "tf1", one)
    tfckpt.convert(tmp_path / "tf1", tmp_path / "there", num_heads=2)
    assert tfckpt.plan(tmp_path / "there", to="tf1").notes[0] == "the model is 'encoder' of BERT, at the root"
