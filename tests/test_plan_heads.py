"""Heads that a target wants and the source lacks, or that the source has and the target cannot hold; and sources that
keep BERT's names but not all else: scopes, no pooler, no heads, other numbers of rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfckpt
from tfckpt.errors import PlanError
from tfckpt.families.catalog import CATALOG

DATA = Path(__file__).parent / "data"
WORDS = "bert/embeddings/word_embeddings"
POSITIONS = "bert/embeddings/position_embeddings"
TYPES = "bert/embeddings/token_type_embeddings"
POOLER = ["bert/pooler/dense/bias", "bert/pooler/dense/kernel"]

BEGINNINGS: dict[str, str | tuple[str, ...]] = {  # of the names of what a rule drops
    "masked-LM head": ("cls/predictions/", "generator_predictions/"),
    "next-sentence head": "cls/seq_relationship/",
    "sentence-order head": "cls/seq_relationship/",
    "question-answering head": "cls/squad/",
    "question-answering head of SQuAD 2.0": ("start_logits/", "end_logits/", "answer_class/"),
    "classification head": ("output_weights", "output_bias"),
    "discriminator": ("electra/", "discriminator_predictions/"),
    "discriminator's head": "discriminator_predictions/",
    "generator": ("generator/", "generator_predictions/"),
    "head of a fine-tuned task": "task_specific/",
}
TASKS = {
    "cls/squad/output_weights": (2, 8),
    "cls/squad/output_bias": (2,),
    "output_weights": (3, 8),
    "output_bias": (3,),
}
SQUAD2 = {f"{scope}/dense/kernel": (8, 1) for scope in ("start_logits", "end_logits", "answer_class")}
ADDED: dict[str, dict[str, tuple[int, ...]]] = {  # the heads that these sources lack
    "bert_tf115": TASKS,
    "albert_tf115": TASKS | SQUAD2,
    "electra_tf115": {"task_specific/cola/dense/kernel": (8, 2), "task_specific/squad/qa_hidden/bias": (8,)},
    "mobilebert_student_tf115": TASKS,
}
MASKED, NEXT, ORDER, SPANS, CLASSES, SPANS2 = (
    "masked-LM head",
    "next-sentence head",
    "sentence-order head",
    "question-answering head",
    "classification head",
    "question-answering head of SQuAD 2.0",
)
DROPPED: dict[tuple[str, str], set[str]] = {
    ("bert_tf115", "encoder"): {MASKED, NEXT, SPANS, CLASSES},
    ("bert_tf115", "pretrainer"): {SPANS, CLASSES},
    ("bert_tf115", "bert-pretrainer"): {SPANS, CLASSES},
    ("bert_tf115", "pretrain-model"): {SPANS, CLASSES},
    ("bert_tf115", "classifier"): {MASKED, NEXT, SPANS},
    ("bert_tf115", "classifier-own-pooler"): {MASKED, NEXT, SPANS},
    ("bert_tf115", "token-classifier"): {MASKED, NEXT, SPANS},
    ("bert_tf115", "span-labeler"): {MASKED, NEXT, CLASSES},
    ("bert_tf115", "bert-model"): {MASKED, NEXT, SPANS, CLASSES},
    ("bert_tf115", "bert-layer"): {MASKED, NEXT, SPANS, CLASSES},
    ("albert_tf115", "encoder"): {MASKED, ORDER, SPANS, CLASSES, SPANS2},
    ("albert_tf115", "pretrainer"): {SPANS, CLASSES, SPANS2},
    ("albert_tf115", "classifier"): {MASKED, ORDER, SPANS, SPANS2},
    ("albert_tf115", "token-classifier"): {MASKED, ORDER, SPANS, SPANS2},
    ("albert_tf115", "span-labeler"): {MASKED, ORDER, CLASSES, SPANS2},
    ("electra_tf115", "encoder"): {"generator", "discriminator's head", "head of a fine-tuned task"},
    ("electra_tf115", "generator"): {"discriminator", MASKED, "head of a fine-tuned task"},
    ("electra_tf115", "pretrainer"): {"head of a fine-tuned task"},
    ("electra_tf115", "pretrainer-tied"): {"head of a fine-tuned task"},
    ("mobilebert_student_tf115", "encoder"): {MASKED, NEXT, SPANS, CLASSES},
    ("mobilebert_student_tf115", "pretrainer"): {NEXT, SPANS, CLASSES},
}


def tensors(name: str = "bert_tf115") -> dict[str, Any]:
    with tfckpt.open(DATA / name / "model.ckpt-3") as checkpoint:
        return {name: value for name, value in checkpoint.items() if "/adam_" not in name}


def saved(directory: Path, variables: dict[str, Any], **config: Any) -> str:
    """Return the prefix of a checkpoint, its configuration beside it if one is given."""
    prefix = str(directory / "model.ckpt")
    tfckpt.save(prefix, variables)
    if config:
        (directory / "bert_config.json").write_text(json.dumps(config), encoding="utf-8")
    return prefix


def complaints(source: str | Path, **options: Any) -> list[str]:
    with pytest.raises(PlanError) as caught:
        tfckpt.plan(source, **options)
    return [line.partition(": ")[2] for line in caught.value.reasons]


def test_what_is_filled_may_take_sixteen_times_the_source_and_64_mib(tmp_path: Path) -> None:
    """A configuration may claim any size."""
    variables = {name: value for name, value in tensors().items() if name != TYPES}
    most = 16 * sum(value.nbytes for value in variables.values()) + 64 * 2**20
    rows = most // (8 * 4)
    sizes = {"num_attention_heads": 2, "type_vocab_size": rows}
    plan = tfckpt.plan(saved(tmp_path, variables, **sizes), fill="zeros", exclude=[f"={TYPES}"])
    (step,) = (step for step in plan.steps if step.fill is not None)
    assert (step.shape, step.nbytes) == ((rows, 8), most)
    (tmp_path / "larger").mkdir()
    prefix = saved(tmp_path / "larger", variables, **sizes | {"type_vocab_size": rows + 1})
    (line,) = complaints(prefix, fill="zeros", exclude=[f"={TYPES}"])
    assert line.startswith(f"{TYPES}: missing, and 'encoder' needs it for encoder/")
    assert line.endswith(f"; [{rows + 1}, 8] is far larger than all that the source holds")


def test_each_head_that_the_source_lacks_is_one_line() -> None:
    assert complaints(DATA / "classifier_tf115" / "model.ckpt-3", to="bert-pretrainer") == [
        "no masked-LM head, cls/predictions/*, which 'bert-pretrainer' needs for 5 variables; the source has "
        'classification head; give it values with fill, or use to="auto" to take what the source has',
        "no next-sentence head, cls/seq_relationship/*, which 'bert-pretrainer' needs for 2 variables; the source "
        'has classification head; give it values with fill, or use to="auto" to take what the source has',
    ]


@pytest.mark.parametrize(
    ("name", "to", "head", "held"),
    [
        ("bert_tf115", "classifier", "classification head", "masked-LM head, next-sentence head"),
        ("bert_tf115", "token-classifier", "classification head", "masked-LM head, next-sentence head"),
        ("bert_tf115", "span-labeler", "question-answering head", "masked-LM head, next-sentence head"),
        ("squad_tf115", "pretrainer", "masked-LM head", "question-answering head"),
        ("squad_tf115", "classifier-own-pooler", "classification head", "question-answering head"),
    ],
)
def test_the_heads_that_the_source_has_are_named_beside(name: str, to: str, head: str, held: str) -> None:
    (line,) = complaints(DATA / name / "model.ckpt-3", to=to)
    assert line.startswith(f"no {head}, ")
    assert f"; the source has {held};" in line


def test_without_any_head_that_is_said(tmp_path: Path) -> None:
    variables = {name: value for name, value in tensors().items() if name.startswith("bert/")}
    (line,) = complaints(saved(tmp_path, variables), to="pretrainer", num_heads=2)
    assert "the source has no head at all" in line


def test_a_head_in_part_is_missed_variable_by_variable(tmp_path: Path) -> None:
    variables = tensors()
    del variables["cls/predictions/transform/LayerNorm/beta"]
    (line,) = complaints(saved(tmp_path, variables), to="pretrainer", num_heads=2)
    assert line.startswith("cls/predictions/transform/LayerNorm/beta: missing, and 'pretrainer' needs it")


def test_a_missing_head_hides_no_other_complaint(tmp_path: Path) -> None:
    variables = tensors("classifier_tf115") | {"bert/adapter": np.float32(0)}
    del variables["bert/pooler/dense/bias"]
    variables["bert/embeddings/LayerNorm/beta"] = np.zeros(7, np.float32)
    prefix = saved(tmp_path, variables, num_attention_heads=2, hidden_size=8, vocab_size=31)
    lines = complaints(prefix, to="pretrainer")
    assert [line.partition(": ")[0].partition(" [")[0].partition(", ")[0] for line in lines] == [
        "bert/adapter",
        "no masked-LM head",
        "bert/pooler/dense/bias",
        "bert/embeddings/LayerNorm/beta",
        WORDS,
    ]


def test_a_head_may_be_filled() -> None:
    plan = tfckpt.plan(DATA / "bert_tf115" / "model.ckpt-3", to="pretrainer", exclude=["cls/"], fill="normal:1")
    assert [(step.target.split("/.ATTR")[0], str(step.fill)) for step in plan.steps if step.fill is not None] == [
        ("masked_lm/dense/kernel", "normal, deviation 0.02, seed 1"),
        ("masked_lm/dense/bias", "zeros"),
        ("masked_lm/layer_norm/gamma", "ones"),
        ("masked_lm/layer_norm/beta", "zeros"),
        ("masked_lm/output_bias.Sbias", "zeros"),
    ]
    assert sum(": filled (" in note for note in plan.notes) == 5


@pytest.mark.parametrize(
    ("name", "to", "rules"),
    [
        ("bert_tf115", "encoder", {"masked-LM head": 5, "next-sentence head": 2}),
        ("classifier_tf115", "encoder", {"classification head": 2}),
        ("token_tf115", "encoder", {"classification head": 2}),
        ("squad_tf115", "encoder", {"question-answering head": 2}),
        ("bert_tf115", "pretrainer", {}),
        ("squad_tf115", "span-labeler", {}),
    ],
)
def test_a_head_that_the_target_cannot_hold_is_dropped_by_its_name(name: str, to: str, rules: dict[str, int]) -> None:
    dropped = tfckpt.plan(DATA / name / "model.ckpt-3", to=to).dropped_by_rule()
    others = ("optimizer state", "training step")
    assert {rule: len(items) for rule, items in dropped.items() if rule not in others} == rules


@pytest.mark.parametrize(("name", "to"), DROPPED)
def test_of_a_source_with_every_head_a_target_takes_its_own_and_drops_the_others(
    name: str, to: str, tmp_path: Path
) -> None:
    added = {head: np.zeros(shape, np.float32) for head, shape in ADDED[name].items()}
    variables = tensors(name) | added
    plan = tfckpt.plan(saved(tmp_path, variables), to=to, num_heads=2, fill="zeros")
    dropped = {rule: [item.source for item in items] for rule, items in plan.dropped_by_rule().items()}
    taken = {step.source for step in plan.steps}
    others = {rule: [n for n in variables if n.startswith(BEGINNINGS[rule])] for rule in DROPPED[name, to]}
    expected = {rule: sorted(set(names) - taken) for rule, names in others.items()}
    assert dropped == expected | {"training step": ["global_step"]}
    assert all(expected.values())


def test_every_target_has_a_row_of_what_it_drops() -> None:
    rows = {(CATALOG.find_family(tensors(name)), to) for name, to in DROPPED}
    assert rows == {(layout.family, layout.name) for layout in CATALOG.models}


@pytest.mark.parametrize("scope", ["roberta/", "module/", "student/0/"])
@pytest.mark.parametrize("to", ["encoder", "pretrainer"])
def test_a_scope_of_any_kind_is_left_out_of_everything(scope: str, to: str, tmp_path: Path) -> None:
    plan = tfckpt.plan(saved(tmp_path, {scope + n: v for n, v in tensors().items()}), to=to, num_heads=2)
    assert plan.scope == scope
    assert plan.object_graph == tfckpt.plan(DATA / "bert_tf115" / "model.ckpt-3", to=to).object_graph


def test_a_pooler_is_filled_on_request_and_named(tmp_path: Path) -> None:
    prefix = saved(tmp_path, {name: value for name, value in tensors().items() if name not in POOLER})
    lines = complaints(prefix, num_heads=2)
    assert sorted(line.partition(":")[0] for line in lines) == POOLER
    assert all(line.endswith("; fill gives it values") for line in lines)
    plan = tfckpt.plan(prefix, num_heads=2, fill="zeros")
    assert {step.target: step.shape for step in plan.steps if step.fill is not None} == {
        "encoder/layer_with_weights-6/kernel/.ATTRIBUTES/VARIABLE_VALUE": (8, 8),
        "encoder/layer_with_weights-6/bias/.ATTRIBUTES/VARIABLE_VALUE": (8,),
    }
    assert sum(note.startswith("encoder/layer_with_weights-6/") for note in plan.notes) == 2


def pad(name: str, rows: int) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return a function that cuts a table to ``rows``, or pads it with zeros."""

    def change(variables: dict[str, Any]) -> dict[str, Any]:
        old = variables[name]
        new = np.zeros((rows, *old.shape[1:]), old.dtype)
        new[: len(old)] = old[:rows]
        return variables | {name: new}

    return change


@pytest.mark.parametrize(
    ("name", "rows", "field"),
    [
        (POSITIONS, 18, "max_position_embeddings"),  # RoBERTa's two rows more, for its padding
        (POSITIONS, 12, "max_position_embeddings"),
        (TYPES, 1, "type_vocab_size"),
        (WORDS, 32, "vocab_size"),  # padded to a multiple of eight
    ],
)
def test_numbers_of_rows_come_from_the_shapes(name: str, rows: int, field: str, tmp_path: Path) -> None:
    prefix = saved(tmp_path, pad(name, rows)(tensors()), hidden_size=8, num_attention_heads=2)
    plan = tfckpt.plan(prefix)
    assert (plan.sizes[field].value, plan.sizes[field].origin) == (rows, name)
    assert next(step.shape for step in plan.steps if step.source == name) == (rows, 8)


@pytest.mark.parametrize(
    ("name", "rows", "field", "stated"),
    [
        (POSITIONS, 18, "max_position_embeddings", 16),
        (TYPES, 1, "type_vocab_size", 2),
        (WORDS, 32, "vocab_size", 30),
    ],
)
def test_numbers_of_rows_that_the_configuration_contradicts(
    name: str, rows: int, field: str, stated: int, tmp_path: Path
) -> None:
    prefix = saved(tmp_path, pad(name, rows)(tensors()), **{field: stated, "num_attention_heads": 2})
    (line,) = complaints(prefix)
    assert line.startswith(f"{name} [{rows}, 8]: expected {field} = {stated} (bert_config.json), got {rows}")


def test_a_padded_vocabulary_pads_the_head_as_well(tmp_path: Path) -> None:
    """Else the two contradict each other, and no configuration is needed to see it."""
    variables = pad(WORDS, 32)(tensors())
    (line,) = complaints(saved(tmp_path, variables), to="pretrainer", num_heads=2)
    assert line == f"cls/predictions/output_bias [30]: expected vocab_size = 32 ({WORDS}), got 30"
    both = pad("cls/predictions/output_bias", 32)(variables)
    (tmp_path / "both").mkdir()
    plan = tfckpt.plan(saved(tmp_path / "both", both), to="pretrainer", num_heads=2)
    assert plan.sizes["vocab_size"].value == 32
