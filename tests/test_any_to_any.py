"""From any layout of a family to any other in one step: what comes out is what two steps make, by way of TF1."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfckpt
from tfckpt.checkpoint.graph.object_graph import OBJECT_GRAPH_KEY
from tfckpt.errors import PlanError, UsageError

DATA = Path(__file__).parent / "data"
SOURCES = {
    "BERT": ("bert_tf115", ("pretrainer", "bert-pretrainer", "pretrain-model", "encoder", "bert-model", "bert-layer")),
    "BERT's classifier": ("classifier_tf115", ("classifier", "classifier-own-pooler", "token-classifier", "encoder")),
    "BERT's span labeler": ("squad_tf115", ("span-labeler", "encoder")),
    "ALBERT": ("albert_tf115", ("pretrainer", "encoder")),
    "ELECTRA": ("electra_tf115", ("pretrainer", "encoder", "generator")),
    "MobileBERT": ("mobilebert_student_tf115", ("pretrainer", "encoder")),
}
BY_NAMES = ("keras", "keras-v2")
HEADS: dict[str, Any] = {"num_heads": 2}
APART: dict[str, Any] = {"generator": {"model": "ELECTRA/generator", "num_heads": 1}}  # which is as an encoder is
PAIRS = [
    pytest.param(source, a, b, id=f"{family}: {a} to {b}")
    for family, (source, targets) in SOURCES.items()
    for a, b in itertools.product(targets, targets)
]


def values(prefix: Path) -> dict[str, Any]:
    with tfckpt.open(prefix) as checkpoint:
        return {name: np.array(value) for name, value in checkpoint.items() if name != OBJECT_GRAPH_KEY}


def assert_equal(one: Path, other: Path) -> None:
    ours, theirs = values(one), values(other)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_array_equal(value, theirs[name], name)
    with tfckpt.open(one) as a, tfckpt.open(other) as b:
        assert a.object_graph == b.object_graph


def made(source: Path, dest: Path, to: str, **options: Any) -> Path:
    tfckpt.convert(source, dest, to=to, sync=False, **options)
    return dest


def holds_more(source: str, a: str, b: str) -> bool:
    """Whether a model has variables that another one lacks, so that no way leads from this to that without a fill."""
    wanted = {step.source for step in tfckpt.plan(DATA / source / "model.ckpt-3", to=b, fill="zeros").steps}
    return not wanted <= {step.source for step in tfckpt.plan(DATA / source / "model.ckpt-3", to=a, fill="zeros").steps}


@pytest.mark.parametrize(("source", "a", "b"), PAIRS)
def test_one_step_makes_what_two_steps_make(source: str, a: str, b: str, tmp_path: Path) -> None:
    first = made(DATA / source / "model.ckpt-3", tmp_path / "a", a, fill="zeros")
    which = APART.get(a, HEADS)
    if holds_more(source, a, b):
        with pytest.raises(PlanError, match=r"missing|the source has|needs"):
            tfckpt.plan(first, to=b, **which)
        return
    fill: dict[str, Any] = {"fill": "zeros"} if source.startswith("electra") and a != b else {}
    one = made(first, tmp_path / "one", b, **which, **fill)
    assert tfckpt.prove(first, one, to=b, **which, **fill).tensors
    if a == b:
        assert_equal(one, first)
        return
    made(first, tmp_path / "back", "tf1", **which)
    assert_equal(one, made(tmp_path / "back", tmp_path / "two", b, **HEADS, **fill))


@pytest.mark.parametrize("by_names", BY_NAMES)
@pytest.mark.parametrize("heads", [0, 2])
def test_the_names_of_2019_are_a_source(bert: str, by_names: str, heads: int, tmp_path: Path) -> None:
    old = made(Path(bert), tmp_path / "old", by_names, num_heads=heads)
    assert_equal(made(old, tmp_path / "one", "pretrainer", **HEADS), made(Path(bert), tmp_path / "two", "pretrainer"))
    made(old, tmp_path / "tf1", "tf1", slots="keep")
    back, source = values(tmp_path / "tf1"), values(Path(bert))
    assert back.keys() == source.keys()
    for name, value in source.items():
        np.testing.assert_array_equal(back[name], value, name)
    assert tfckpt.plan(old, to="encoder", **HEADS).notes[0] == f"the names are those of {by_names!r} of BERT"


@pytest.mark.parametrize("by_names", BY_NAMES)
def test_a_model_of_today_gets_the_names_of_2019(bert: str, by_names: str, tmp_path: Path) -> None:
    model = made(Path(bert), tmp_path / "model", "pretrainer")
    one = made(model, tmp_path / "one", by_names, **HEADS)
    two = made(Path(bert), tmp_path / "two", by_names, **HEADS, slots="drop")
    assert_equal(one, two)


def test_one_form_of_2019_becomes_the_other(bert: str, tmp_path: Path) -> None:
    old = made(Path(bert), tmp_path / "old", "keras", **HEADS)
    one = made(old, tmp_path / "one", "keras-v2", **HEADS, slots="keep")
    assert_equal(one, made(Path(bert), tmp_path / "two", "keras-v2", **HEADS))


@pytest.mark.parametrize("optimizer", ["adam-weight-decay", "adamw"])
@pytest.mark.parametrize("other", ["adam-weight-decay", "adamw"])
def test_the_optimizer_goes_along_in_one_step(bert: str, optimizer: str, other: str, tmp_path: Path) -> None:
    trained = made(Path(bert), tmp_path / "trained", "pretrainer", slots="convert", optimizer=optimizer)
    one = made(trained, tmp_path / "one", "encoder", slots="convert", optimizer=other)
    two = made(Path(bert), tmp_path / "two", "encoder", slots="convert", optimizer=other)
    assert_equal(one, two)


def test_a_checkpoint_of_training_becomes_a_clean_encoder(bert: str, tmp_path: Path) -> None:
    trained = made(Path(bert), tmp_path / "trained", "pretrainer", slots="convert")
    plan = tfckpt.convert(trained, tmp_path / "clean", sync=False)
    assert_equal(tmp_path / "clean", made(Path(bert), tmp_path / "encoder", "encoder"))
    assert len(plan.dropped_by_rule()["optimizer state"]) > 80
    assert all(step.keeps_bytes for step in plan.steps)


def test_copies_that_differ_stay_where_they_are_in_their_own_layout(bert: str, tmp_path: Path) -> None:
    model = made(Path(bert), tmp_path / "model", "pretrainer")
    changed = {name: np.array(value) for name, value in values(model).items()}
    (pooler,) = [name for name in changed if "pooler_dense/kernel" in name or "_pooler_layer/kernel" in name][:1]
    changed[pooler] = changed[pooler] + 1
    with tfckpt.open(model) as checkpoint:
        draft = tfckpt.Draft(checkpoint)
        draft.replace(pooler.partition("/.ATTRIBUTES")[0], changed[pooler])
        draft.save(tmp_path / "changed")
    same = tfckpt.convert(tmp_path / "changed", tmp_path / "same", to="pretrainer", sync=False)
    assert_equal(tmp_path / "same", tmp_path / "changed")
    assert not any("differs from" in note for note in same.notes)
    assert any("differs from" in note for note in tfckpt.plan(tmp_path / "changed", to="encoder").notes)


def test_a_size_changes_on_the_way_from_objects_to_objects(bert: str, tmp_path: Path) -> None:
    model = made(Path(bert), tmp_path / "model", "pretrainer")
    one = made(model, tmp_path / "one", "encoder", vocab_size=40, max_positions=4, resize_fill="mean")
    two = made(Path(bert), tmp_path / "two", "encoder", vocab_size=40, max_positions=4, resize_fill="mean")
    assert_equal(one, two)


def test_what_is_missing_can_be_filled(bert: str, tmp_path: Path) -> None:
    model = made(Path(bert), tmp_path / "model", "encoder")
    plan = tfckpt.convert(model, tmp_path / "filled", to="pretrainer", fill="normal:3", sync=False)
    assert plan.filled > 0
    assert plan.from_source == 39


def test_what_an_exclusion_takes_is_needed_all_the_same(bert: str, tmp_path: Path) -> None:
    model = made(Path(bert), tmp_path / "model", "pretrainer")
    with pytest.raises(PlanError, match="excluded by '_output_dense'"):
        tfckpt.plan(model, exclude=["_output_dense"])


def test_only_tf1_names_can_be_kept(bert: str, tmp_path: Path) -> None:
    model = made(Path(bert), tmp_path / "model", "pretrainer")
    with pytest.raises(UsageError, match="only a checkpoint of TF1 has TF1's names to keep"):
        tfckpt.plan(model, keep_names=True)
