"""From any layout of a family to any other in one step: what comes out is what two steps make, by way of TF1."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfckpt
from tfckpt.checkpoint.graph.object_graph import OBJECT_GRAPH_KEY, ObjectGraph
from tfckpt.errors import PlanError, UsageError

DATA = Path(__file__).parent / "data"
SOURCES = {
    "BERT": ("bert_tf115", ("pretrainer", "bert-pretrainer", "pretrain-model", "encoder", "bert-model", "bert-layer")),
    "BERT's classifier": ("classifier_tf115", ("classifier", "classifier-own-pooler", "token-classifier", "encoder")),
    "BERT's span labeler": ("squad_tf115", ("span-labeler", "encoder")),
    "ALBERT": ("albert_tf115", ("pretrainer", "encoder")),
    "ELECTRA": ("electra_tf115", ("pretrainer", "pretrainer-tied", "encoder", "generator")),
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


def with_values(source: Path, dest: Path, *, drop: str = "", graph: ObjectGraph | None = None) -> Path:
    """Write a checkpoint in which every tensor of floats has values of its own, and some tensors are not there."""
    with tfckpt.open(source) as checkpoint:
        found = {name: np.array(value) for name, value in checkpoint.items()}
    for number, (name, value) in enumerate(found.items()):
        if value.dtype == np.float32:
            found[name] = np.arange(1000 * number, 1000 * number + value.size).astype(np.float32).reshape(value.shape)
    if graph is not None:
        found[OBJECT_GRAPH_KEY] = np.array(graph.serialize(), object)
    tfckpt.save(dest, {name: value for name, value in found.items() if not drop or drop not in name})
    return dest


def slots_of(prefix: Path, variable: str, to: str = "tf1") -> dict[str, Any]:
    """Return a variable and its slots by TF1's names."""
    tfckpt.convert(prefix, f"{prefix}.{to}", to=to, slots="convert", sync=False, overwrite=True)
    found = values(Path(f"{prefix}.{to}"))
    return {end: found[f"{variable}{end}"] for end in ("", "/adam_m", "/adam_v")}


@pytest.mark.parametrize("optimizer", ["adam-weight-decay", "adamw"])
def test_each_of_two_poolers_has_its_own_slots(optimizer: str, tmp_path: Path) -> None:
    """The head's pooler is the one that training moves, so its slots go with it; in its own layout each keeps its own."""
    to = "classifier-own-pooler"
    options: dict[str, Any] = {"slots": "convert", "optimizer": optimizer}
    model = made(DATA / "classifier_tf115" / "model.ckpt-3", tmp_path / "model", to, **options)
    trained = with_values(model, tmp_path / "trained")
    same = made(trained, tmp_path / "same", to, **options)
    assert_equal(same, trained)
    with tfckpt.open(trained) as checkpoint:
        graph = checkpoint.object_graph
        assert graph is not None
        (owner,) = [
            n for n, node in enumerate(graph.nodes) if node is graph.find(("model", "classifier", "dense", "kernel"))
        ]
        key = graph.nodes[owner].attributes[0].checkpoint_key
        expected = checkpoint[key]
    found = slots_of(trained, "bert/pooler/dense/kernel")
    np.testing.assert_array_equal(found[""], expected)
    again = made(Path(f"{trained}.tf1"), tmp_path / "again", to, **options, **HEADS)
    for end, value in slots_of(again, "bert/pooler/dense/kernel").items():
        np.testing.assert_array_equal(value, found[end])
    distance = {end: value.flat[0] // 1000 for end, value in found.items()}
    assert len(set(distance.values())) == 3


def test_an_optimizer_keeps_its_own_settings(bert: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"slots": "convert", "learning_rate": 0.5}
    trained = with_values(made(Path(bert), tmp_path / "model", "pretrainer", **options), tmp_path / "trained")
    plan = tfckpt.convert(trained, tmp_path / "out", to="encoder", slots="convert", sync=False)
    before, after = values(trained), values(tmp_path / "out")
    for name in ("beta_1", "beta_2", "decay", "learning_rate"):
        key = f"optimizer/{name}/.ATTRIBUTES/VARIABLE_VALUE"
        np.testing.assert_array_equal(after[key], before[key])
    assert not any("optimizer's own" in note for note in plan.notes)
    given = tfckpt.plan(trained, to="encoder", slots="convert", learning_rate=0.25)
    assert any("learning_rate" in note and "0.25" in note for note in given.notes)
    other = tfckpt.convert(trained, tmp_path / "new", slots="convert", optimizer="adamw", sync=False)
    rate = values(tmp_path / "new")["optimizer/_learning_rate/.ATTRIBUTES/VARIABLE_VALUE"]
    np.testing.assert_array_equal(rate, before["optimizer/learning_rate/.ATTRIBUTES/VARIABLE_VALUE"])
    assert {item.rule for item in other.dropped if "beta_1" in item.source} == {"optimizer state"}


@pytest.mark.parametrize("optimizer", ["adam-weight-decay", "adamw"])
def test_another_optimizer_is_not_taken_for_adam(bert: str, optimizer: str, tmp_path: Path) -> None:
    model = made(Path(bert), tmp_path / "model", "encoder", slots="convert", optimizer=optimizer)
    with tfckpt.open(model) as checkpoint:
        graph = checkpoint.object_graph
        assert graph is not None
        graph = graph.copy()
    graph.node_at(("optimizer", "_u_product"))  # a Nadam's
    trained = with_values(model, tmp_path / "nadam", graph=graph)
    with pytest.raises(PlanError, match="optimizer"):
        tfckpt.plan(trained, slots="convert")
    assert tfckpt.plan(trained).steps


@pytest.mark.parametrize("to", ["encoder", "pretrainer", "tf1", "keras"])
@pytest.mark.parametrize("lost", ["layer_with_weights-5/", "next_sentence", "classification_heads/0/out_proj/bias"])
def test_what_the_object_graph_has_and_the_file_lacks_stops_the_plan(
    bert: str, to: str, lost: str, tmp_path: Path
) -> None:
    model = made(Path(bert), tmp_path / "model", "pretrainer")
    damaged = with_values(model, tmp_path / "damaged", drop=lost)
    with pytest.raises(PlanError, match="missing, though the object graph has it"):
        tfckpt.plan(damaged, to=to)


def test_names_of_2019_that_lack_a_variable_stop_the_plan(bert: str, tmp_path: Path) -> None:
    old = made(Path(bert), tmp_path / "old", "keras", slots="drop")
    tfckpt.rewrite(old, tmp_path / "less", drop=["*/layer_1/self_attention/key/bias"], sync=False)
    for to in ("tf1", "keras-v2", "encoder"):
        with pytest.raises(PlanError, match=r"layer_1/(self_attention|attention/self)/key/bias"):
            tfckpt.plan(tmp_path / "less", to=to, **HEADS)


def test_names_of_2019_are_undone_for_a_bert_alone(tmp_path: Path) -> None:
    old = made(DATA / "albert_tf115" / "model.ckpt-3", tmp_path / "old", "keras", slots="drop")
    with pytest.raises(PlanError, match="it has other variables"):
        tfckpt.plan(old, to="encoder", num_heads=2)
