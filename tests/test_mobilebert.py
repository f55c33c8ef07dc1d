"""MobileBERT: students and teachers, feed-forward networks of which the last has no number, heads."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.files import bundle_bytes

import tfckpt
from tfckpt.checkpoint.graph.object_graph import OBJECT_GRAPH_KEY, variable_key
from tfckpt.errors import PlanError
from tfckpt.families.catalog import CATALOG
from tfckpt.families.language.rules import Each, Part, Variable, numbers_in
from tfckpt.families.language.target import build_target
from tfckpt.families.mobilebert import garden as mobilebert

DATA = Path(__file__).parent / "data"
SOURCES = {name: DATA / f"mobilebert_{name}_tf115" for name in ("student", "teacher")}


def source(name: str) -> str:
    return str(SOURCES[name] / "model.ckpt-3")


def weights(name: str) -> dict[str, Any]:
    """Return the variables but for the optimizer's and the head that no target has."""
    with tfckpt.open(source(name)) as checkpoint:
        return {n: v for n, v in checkpoint.items() if not re.search("/adam_|global_step|seq_relationship", n)}


def test_a_mobilebert_is_not_taken_for_a_bert() -> None:
    family = CATALOG.find_family(
        ["module/bert/embeddings/embedding_transformation/kernel", "bert/embeddings/word_embeddings"]
    )
    assert family is mobilebert.MOBILEBERT


def test_keys_and_paths_are_those_of_model_garden() -> None:
    dump = json.loads((DATA / "graphs" / "mobilebert_encoder.json").read_text(encoding="utf-8"))
    names = [name for name in weights("student") if "ffn_layer_1" not in name]  # the dump's has two networks a layer
    target = build_target(mobilebert.ENCODER, names)
    assert target.graph is not None
    assert {variable.key for variable in target.variables} == dump["tensors"].keys() - {OBJECT_GRAPH_KEY}
    paths = list(_paths(dump["nodes"], 0, ()))
    assert len(paths) > 100
    for path, key in paths:
        node = target.graph.find(path)
        assert node is not None, path
        assert [attribute.checkpoint_key for attribute in node.attributes] == [key]


def _paths(nodes: list[dict[str, Any]], number: int, path: tuple[str, ...]) -> Any:
    """Yield every path to a variable, and its key, but for those through Keras's numbers of all layers."""
    for attribute in nodes[number].get("attributes", ()):
        yield path, attribute["checkpoint_key"]
    for name, child in nodes[number].get("children", {}).items():
        if not re.fullmatch(r"layer-\d+", name):
            yield from _paths(nodes, child, (*path, name))


def test_the_network_without_a_number_is_the_last() -> None:
    steps = {step.source: step.target for step in tfckpt.plan(source("student")).steps}
    block = "encoder/layer_with_weights-2/block_layers/ffn"
    for name, number in (("ffn_layer_0/", 0), ("ffn_layer_1/", 1), ("", 2)):
        key = steps[f"bert/encoder/layer_1/{name}intermediate/dense/kernel"]
        assert key == variable_key(f"{block}/{number}/0/kernel")
    steps = {step.source: step.target for step in tfckpt.plan(source("teacher")).steps}
    assert steps["bert/encoder/layer_1/intermediate/dense/kernel"] == variable_key(f"{block}/0/0/kernel")


def test_rows_that_repeat_may_end_with_one_that_has_no_number() -> None:
    part = Part(each=(Each("f_{n}/", "f/{n}/", (("w", "w", "h"),), last=""),))
    assert part.variables(numbers_in(["f_0/w", "f_1/w", "w"])) == [
        Variable("f_0/w", "f/0/w", "h"),
        Variable("f_1/w", "f/1/w", "h"),
        Variable("w", "f/2/w", "h"),
    ]
    assert part.variables(numbers_in(["w"])) == [Variable("w", "f/0/w", "h")]


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("to", ["encoder", "pretrainer"])
def test_every_variable_is_converted_or_dropped_by_a_rule(name: str, to: str) -> None:
    plan = tfckpt.plan(source(name), to=to)
    sources = [step.source for step in plan.steps] + [item.source for item in plan.dropped]
    assert sorted(sources) == [name for name, _ in tfckpt.list_variables(source(name))]
    assert all(step.keeps_bytes for step in plan.steps)
    assert len(plan.dropped_by_rule()["next-sentence head"]) == 2
    assert ("masked-LM head" in plan.dropped_by_rule()) == (to == "encoder")


def test_a_pooler_comes_along_if_the_source_has_one() -> None:
    for name, has in (("student", False), ("teacher", True)):
        assert any(step.source == "bert/pooler/dense/kernel" for step in tfckpt.plan(source(name)).steps) is has


@pytest.mark.parametrize("name", SOURCES)
def test_a_pretrainer_comes_back_to_the_byte(name: str, tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "tf1", weights(name))
    tfckpt.convert(tmp_path / "tf1", tmp_path / "there", to="pretrainer", config=SOURCES[name] / "bert_config.json")
    plan = tfckpt.convert(tmp_path / "there", tmp_path / "back", to="tf1")
    assert plan.notes == ("the model is 'pretrainer' of MobileBERT, at the root",)
    assert bundle_bytes(tmp_path / "back") == bundle_bytes(tmp_path / "tf1")


@pytest.mark.parametrize("name", SOURCES)
def test_an_encoder_comes_back_under_its_names(name: str, tmp_path: Path) -> None:
    kept = {step.source for step in tfckpt.convert(source(name), tmp_path / "there").steps}
    tfckpt.convert(tmp_path / "there", tmp_path / "back", to="tf1")
    with tfckpt.open(tmp_path / "back") as back:
        assert sorted(back) == sorted(kept)
        for variable, value in weights(name).items():
            if variable in kept:
                np.testing.assert_array_equal(back[variable], value, variable)


def test_embeddings_as_wide_as_the_model_need_no_extra_weights(tmp_path: Path) -> None:
    tensors = weights("student")
    del tensors["cls/predictions/extra_output_weights"]
    tfckpt.save(tmp_path / "tf1", tensors)
    tfckpt.convert(tmp_path / "tf1", tmp_path / "there", to="pretrainer", num_heads=2)
    tfckpt.convert(tmp_path / "there", tmp_path / "back", to="tf1")
    assert bundle_bytes(tmp_path / "back") == bundle_bytes(tmp_path / "tf1")


def test_a_network_that_is_missing_between_others_is_noticed(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "tf1", {n: v for n, v in weights("student").items() if "layer_0/ffn_layer_0" not in n})
    with pytest.raises(PlanError, match=r"layer_0/ffn_layer_1/.*neither takes nor drops"):
        tfckpt.plan(tmp_path / "tf1", num_heads=2)


def test_a_head_count_that_does_not_divide(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "tf1", weights("student"))
    with pytest.raises(PlanError, match="expected a multiple of num_attention_heads = 3"):
        tfckpt.plan(tmp_path / "tf1", num_heads=3)
    with pytest.raises(PlanError, match="num_attention_heads is unknown"):
        tfckpt.plan(tmp_path / "tf1")


def test_a_student_whose_attention_reads_the_bottleneck_comes_back_as_well(tmp_path: Path) -> None:
    tensors = {n: v for n, v in weights("student").items() if "/bottleneck/attention/" not in n}
    for layer in (0, 1):
        tensors[f"bert/encoder/layer_{layer}/attention/self/value/kernel"] = np.full((8, 8), layer, np.float32)
    tfckpt.save(tmp_path / "tf1", tensors)
    plan = tfckpt.convert(tmp_path / "tf1", tmp_path / "there", to="pretrainer", num_heads=2)
    assert not [step for step in plan.steps if "kq_shared_bottleneck" in step.target]
    tfckpt.convert(tmp_path / "there", tmp_path / "back", to="tf1")
    assert bundle_bytes(tmp_path / "back") == bundle_bytes(tmp_path / "tf1")


def test_one_layer_without_the_bottleneck_that_others_have_is_noticed(tmp_path: Path) -> None:
    tensors = {n: v for n, v in weights("student").items() if "layer_1/bottleneck/attention/" not in n}
    tfckpt.save(tmp_path / "tf1", tensors)
    with pytest.raises(PlanError, match="bert/encoder/layer_1/bottleneck/attention/dense/kernel: missing"):
        tfckpt.plan(tmp_path / "tf1", num_heads=2)
