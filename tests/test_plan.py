from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfckpt
from tfckpt.errors import PlanError, UsageError

STRAY = "'encoder' neither takes nor drops this variable; exclude leaves out its trained values"
CONFIG: dict[str, Any] = {
    "vocab_size": 30,
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 16,
    "type_vocab_size": 2,
}


@pytest.fixture
def tensors(bert: str) -> dict[str, Any]:
    """The variables of the BERT without optimizer states, to be changed."""
    with tfckpt.open(bert) as checkpoint:
        return {name: value for name, value in checkpoint.items() if "/adam_" not in name}


def complaints(
    directory: Path, tensors: dict[str, Any], config: dict[str, Any] | None = None, **options: Any
) -> list[str]:
    """Return what a plan complains about, without the name of the source."""
    prefix = directory / "bert_model.ckpt"
    tfckpt.save(prefix, tensors, overwrite=True)
    if config is not None:
        (directory / "bert_config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(PlanError) as caught:
        tfckpt.plan(prefix, **options)
    assert str(caught.value) == "\n".join(caught.value.reasons)
    lines = [line.removeprefix(f"{prefix}: ") for line in caught.value.reasons]
    assert lines != list(caught.value.reasons)
    return lines


def test_every_variable_is_converted_or_dropped_by_a_rule(bert: str) -> None:
    plan = tfckpt.plan(bert)
    sources = [step.source for step in plan.steps] + [item.source for item in plan.dropped]
    assert sorted(sources) == [name for name, _ in tfckpt.list_variables(bert)]
    assert {rule: len(items) for rule, items in plan.dropped_by_rule().items()} == {
        "optimizer state": 92,
        "masked-LM head": 5,
        "next-sentence head": 2,
        "training step": 1,
    }


def test_no_tensor_of_an_encoder_is_transposed(bert: str) -> None:
    assert all(step.keeps_bytes for step in tfckpt.plan(bert).steps)


def test_steps_come_in_the_order_of_the_source_data(bert: str) -> None:
    with tfckpt.open(bert) as checkpoint:
        offsets = [checkpoint.entry(step.source).offset for step in tfckpt.plan(bert).steps]
    assert offsets == sorted(offsets)


def test_the_report_says_where_each_size_comes_from(bert: str) -> None:
    sizes = tfckpt.plan(bert).sizes
    assert {name: size.value for name, size in sizes.items()} == CONFIG
    assert {size.origin for size in sizes.values()} == {"bert_config.json"}


def test_a_plan_pickles_and_its_report_is_json(bert: str) -> None:
    plan = tfckpt.plan(bert)
    assert pickle.loads(pickle.dumps(plan)) == plan
    report = json.loads(json.dumps(plan.to_json()))
    assert (report["num_heads"], len(report["steps"]), len(report["dropped"])) == (2, 39, 100)


def test_the_head_count_has_no_default(tmp_path: Path, tensors: dict[str, Any]) -> None:
    (line,) = complaints(tmp_path, tensors)
    assert line.startswith("num_attention_heads is unknown")
    assert line.endswith("give config or num_heads")


@pytest.mark.parametrize("to", ["bert-model", "bert-layer"])
def test_where_nothing_is_split_the_head_count_does_not_matter(
    tmp_path: Path, tensors: dict[str, Any], to: str
) -> None:
    tfckpt.save(tmp_path / "c", tensors)
    plan = tfckpt.plan(tmp_path / "c", to=to)
    assert (plan.num_heads, len(plan.steps)) == (None, 39)
    assert all(step.source_shape == step.shape for step in plan.steps)
    assert tfckpt.plan(tmp_path / "c", to=to, num_heads=2).num_heads is None


def test_a_configuration_without_the_head_count_is_not_enough(tmp_path: Path, tensors: dict[str, Any]) -> None:
    (line,) = complaints(tmp_path, tensors, {"hidden_size": 8})
    assert "bert_config.json does not state it" in line


def test_the_head_count_as_an_option_is_enough(tmp_path: Path, tensors: dict[str, Any]) -> None:
    tfckpt.save(tmp_path / "c", tensors)
    plan = tfckpt.plan(tmp_path / "c", num_heads=4)
    assert plan.num_heads == 4
    shapes = {step.source: step.shape for step in plan.steps}
    assert shapes["bert/encoder/layer_0/attention/self/query/kernel"] == (8, 4, 2)
    assert shapes["bert/encoder/layer_0/attention/output/dense/kernel"] == (4, 2, 8)
    assert plan.sizes["vocab_size"].origin == "bert/embeddings/word_embeddings"


def test_a_head_count_that_contradicts_the_configuration(tmp_path: Path, tensors: dict[str, Any]) -> None:
    assert complaints(tmp_path, tensors, CONFIG, num_heads=4) == [
        "num_attention_heads: 4 as given, but 2 in bert_config.json"
    ]


def test_heads_that_do_not_divide(tmp_path: Path, tensors: dict[str, Any]) -> None:
    (line,) = complaints(tmp_path, tensors, CONFIG | {"num_attention_heads": 3})
    assert line == (
        "bert/encoder/layer_0/attention/output/dense/kernel [8, 8] and 13 more: "
        "expected a multiple of num_attention_heads = 3 (bert_config.json), got 8"
    )


@pytest.mark.parametrize("field", ["vocab_size", "max_position_embeddings", "type_vocab_size"])
def test_a_size_that_the_shapes_contradict(tmp_path: Path, tensors: dict[str, Any], field: str) -> None:
    (line,) = complaints(tmp_path, tensors, CONFIG | {field: 99})
    assert f"expected {field} = 99 (bert_config.json), got {CONFIG[field]}" in line
    assert line.startswith("bert/embeddings/")


@pytest.mark.parametrize("layers", [1, 3, 12])
def test_a_layer_count_that_the_names_contradict(tmp_path: Path, tensors: dict[str, Any], layers: int) -> None:
    assert complaints(tmp_path, tensors, CONFIG | {"num_hidden_layers": layers}) == [
        f"num_hidden_layers: {layers} in bert_config.json, but the checkpoint has 2 layers"
    ]


def test_a_missing_pooler_is_named(tmp_path: Path, tensors: dict[str, Any]) -> None:
    kept = {name: value for name, value in tensors.items() if "pooler" not in name}
    lines = complaints(tmp_path, kept, CONFIG)
    assert sorted(line.partition(": missing")[0] for line in lines) == [
        "bert/pooler/dense/bias",
        "bert/pooler/dense/kernel",
    ]


def test_an_unknown_variable_is_named(tmp_path: Path, tensors: dict[str, Any]) -> None:
    tensors["bert/encoder/layer_0/adapter/kernel"] = np.zeros((8, 4), np.float32)
    (line,) = complaints(tmp_path, tensors, CONFIG)
    assert line == f"bert/encoder/layer_0/adapter/kernel [8, 4]: {STRAY}"


def test_an_unknown_variable_may_be_excluded(tmp_path: Path, tensors: dict[str, Any]) -> None:
    tfckpt.save(tmp_path / "c", tensors | {"bert/adapter": np.float32(1)})
    plan = tfckpt.plan(tmp_path / "c", num_heads=2, exclude=["adapter"])
    assert (plan.dropped[0].source, plan.dropped[0].rule) == ("bert/adapter", "excluded by 'adapter'")


def test_all_complaints_come_at_once(tmp_path: Path, tensors: dict[str, Any]) -> None:
    del tensors["bert/pooler/dense/bias"]
    tensors["unknown"] = np.float32(0)
    tensors["bert/embeddings/LayerNorm/beta"] = np.zeros(7, np.float32)
    lines = complaints(tmp_path, tensors, CONFIG | {"num_hidden_layers": 3, "vocab_size": 31}, num_heads=4)
    assert len(lines) == 6


def test_layers_with_a_gap(tmp_path: Path, tensors: dict[str, Any]) -> None:
    moved = {name.replace("layer_1", "layer_9"): value for name, value in tensors.items()}
    assert complaints(tmp_path, moved, num_heads=2) == ["bert/encoder/layer_{n}: expected 0 to 1, got 0, 9"]


def test_a_scope_before_the_names_is_found_and_said(tmp_path: Path, tensors: dict[str, Any]) -> None:
    scoped = {f"module/{name}" if name.startswith("bert/") else name: value for name, value in tensors.items()}
    tfckpt.save(tmp_path / "c", scoped)
    plan = tfckpt.plan(tmp_path / "c", num_heads=2)
    assert plan.scope == "module/"
    assert "the scope 'module/' before the variables' names is left out" in plan.notes
    assert len(plan.steps) == 39
    assert {step.target for step in plan.steps} == {step.target for step in _unscoped(tmp_path, tensors).steps}


def _unscoped(directory: Path, tensors: dict[str, Any]) -> tfckpt.Plan:
    tfckpt.save(directory / "unscoped", tensors)
    return tfckpt.plan(directory / "unscoped", num_heads=2)


def test_two_models_in_one_file_are_not_guessed_between(tmp_path: Path, tensors: dict[str, Any]) -> None:
    two = tensors | {f"teacher/{name}": value for name, value in tensors.items()}
    first, *models = complaints(tmp_path, two, num_heads=2)
    assert first == "2 models, and one is expected: source_scope names it"
    assert [line.partition(" variables")[0] for line in models] == ["'bert/': 39", "'teacher/bert/': 39"]


def test_what_is_no_bert_is_said_in_one_line(tmp_path: Path) -> None:
    (line,) = complaints(tmp_path, {"resnet/conv1/kernel": np.zeros(3, np.float32)}, CONFIG)
    assert line.startswith("no variable 'bert/embeddings/word_embeddings'")


def test_another_dtype_is_noted(tmp_path: Path, tensors: dict[str, Any]) -> None:
    half = {name: np.asarray(value, np.float16) for name, value in tensors.items()}
    tfckpt.save(tmp_path / "c", half)
    (note,) = tfckpt.plan(tmp_path / "c", num_heads=2).notes
    assert note.startswith("39 variables are float16: TensorFlow does not cast")


def test_keras_names_do_not_read_the_configuration(bert_copy: str) -> None:
    (Path(bert_copy).parent / "bert_config.json").write_text("not JSON", encoding="utf-8")
    plan = tfckpt.plan(bert_copy, to="keras")
    assert (len(plan.steps), plan.num_heads, plan.dropped) == (139, None, ())
    assert all(step.source_shape == step.shape for step in plan.steps)


def test_keras_names_come_in_the_order_of_their_keys(bert: str) -> None:
    targets = [step.target for step in tfckpt.plan(bert, to="keras").steps]
    assert targets == sorted(targets)


def test_two_variables_that_would_get_one_name(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "c", {"x/output/dense": 1, "x/output": 2})
    with pytest.raises(PlanError, match="x/output and x/output/dense would both be called x/output"):
        tfckpt.plan(tmp_path / "c", to="keras")


def test_a_negative_head_count_is_refused(bert: str) -> None:
    with pytest.raises(UsageError, match="expected 1 or more, got -1"):
        tfckpt.plan(bert, to="keras", num_heads=-1)
