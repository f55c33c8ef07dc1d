"""Every target's graph beside that of the real model: each variable's paths, key and shape.

The dumps are of checkpoints that Model Garden's own models saved. ``layer-N``, where Keras counts the layers without
variables too, and the copies of a configuration below ``_config`` lead to nothing that another edge does not lead to.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import tfckpt
from tfckpt.checkpoint.graph.object_graph import VARIABLE_VALUE, ObjectGraph

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Row:
    """A target, a source for it, and a dump of the model that reads it.

    ``same_keys`` is whether the model spells every key as ours: not where another encoder, or another root, has other
    shortest paths. ``exclude`` and ``fill`` are the plan's: what the source has too much, or lacks.
    """

    dump: str
    to: str
    source: str
    same_keys: bool = True
    exclude: tuple[str, ...] = ()
    fill: str | None = None


NO_NSP = ("cls/seq_relationship",)
ROWS = (
    Row("encoder_v1", "encoder", "bert_tf115"),
    Row("conv_bert_encoder_encoder", "encoder", "bert_tf115"),
    Row("model_encoder_v1", "encoder", "bert_tf115", same_keys=False),
    Row("model_encoder_v1_dict", "encoder", "bert_tf115", same_keys=False),
    Row("conv_bert_encoder_model", "encoder", "bert_tf115", same_keys=False),
    Row("model_encoder_v2", "encoder", "bert_tf115", same_keys=False),
    Row("pretrainer_v2_v1enc_nsp", "pretrainer", "bert_tf115"),
    Row("pretrainer_v2_v2enc_nsp", "pretrainer", "bert_tf115", same_keys=False),
    Row("pretrainer_v2_v1enc", "pretrainer", "bert_tf115", exclude=NO_NSP),
    Row("conv_bert_pretrainer_model", "pretrainer", "bert_tf115", exclude=NO_NSP),
    Row("pretrainer_v2_v1enc_modelonly", "pretrainer", "bert_tf115", same_keys=False, exclude=NO_NSP),
    Row("pretrainer_v2_v2enc", "pretrainer", "bert_tf115", same_keys=False, exclude=NO_NSP),
    Row("pretrainer_v1", "bert-pretrainer", "bert_tf115"),
    Row("legacy_pretrain_core", "bert-pretrainer", "bert_tf115"),
    Row("legacy_pretrain", "pretrain-model", "bert_tf115"),
    Row("classifier", "classifier", "classifier_tf115"),
    Row("legacy_classifier", "classifier", "classifier_tf115"),
    Row("classifier_v2enc", "classifier", "classifier_tf115", same_keys=False),
    Row("classifier_nopooler_items", "classifier-own-pooler", "classifier_tf115"),
    Row("span_labeler", "span-labeler", "squad_tf115"),
    Row("legacy_squad", "span-labeler", "squad_tf115"),
    Row("span_labeler_v2enc", "span-labeler", "squad_tf115", same_keys=False),
    Row(
        "token_classifier", "token-classifier", "classifier_tf115"
    ),  # a tagger has the same names; these have 3 classes
    Row("token_classifier_v2enc", "token-classifier", "classifier_tf115", same_keys=False),
)


@dataclass(frozen=True)
class Variable:
    """A variable of a dump: its paths, its key, its shape."""

    paths: tuple[tuple[str, ...], ...]
    key: str
    shape: tuple[int, ...]


def read_dump(name: str) -> list[Variable]:
    """Return the model's variables, but for those that a save or a training adds."""
    dump = json.loads((DATA / "graphs" / f"{name}.json").read_text(encoding="utf-8"))
    paths: dict[int, list[tuple[str, ...]]] = {}
    for path, number in walk(dump["nodes"], 0, (), frozenset()):
        paths.setdefault(number, []).append(path)
    variables = []
    for number, node in enumerate(dump["nodes"]):
        for attribute in node.get("attributes", ()):
            assert attribute["name"] == VARIABLE_VALUE
            key = attribute["checkpoint_key"]
            if not key.startswith(("save_counter/", "optimizer/")) and ".OPTIMIZER_SLOT" not in key:
                variables.append(Variable(tuple(paths[number]), key, tuple(dump["tensors"][key]["shape"])))
    return variables


def walk(
    nodes: list[dict[str, Any]], number: int, path: tuple[str, ...], above: frozenset[int]
) -> Iterator[tuple[tuple[str, ...], int]]:
    """Yield every path without a loop, and the node that it leads to."""
    yield path, number
    for name, child in nodes[number].get("children", {}).items():
        if not name.startswith("layer-") and name != "_config" and child not in above:
            yield from walk(nodes, child, (*path, name), above | {number})


def plan_of(row: Row) -> tfckpt.Plan:
    source = DATA / row.source / "model.ckpt-3"
    return tfckpt.plan(source, to=row.to, exclude=row.exclude, fill=row.fill)


def graph_of(plan: tfckpt.Plan) -> ObjectGraph:
    assert plan.object_graph is not None
    return plan.object_graph


@pytest.fixture(params=ROWS, ids=lambda row: row.dump)
def row(request: pytest.FixtureRequest) -> Row:
    found: Row = request.param
    return found


def test_every_path_of_a_variable_leads_to_one_node_of_its_shape(row: Row) -> None:
    plan = plan_of(row)
    shapes = {step.target: step.shape for step in plan.steps}
    nodes: dict[int, str] = {}
    for variable in read_dump(row.dump):
        found = {path: graph_of(plan).find(path) for path in variable.paths}
        assert not [path for path, node in found.items() if node is None or not node.attributes]
        (node,) = {id(node): node for node in found.values()}.values()
        assert node is not None
        assert nodes.setdefault(id(node), variable.key) == variable.key, "one of ours for two of theirs"
        assert shapes[node.attributes[0].checkpoint_key] == variable.shape


def test_there_are_as_many_variables_as_the_model_has(row: Row) -> None:
    assert len(plan_of(row).steps) == len(read_dump(row.dump))


def test_every_key_is_spelled_as_the_model_spells_it(row: Row) -> None:
    ours = {step.target for step in plan_of(row).steps}
    assert (ours == {variable.key for variable in read_dump(row.dump)}) == row.same_keys
