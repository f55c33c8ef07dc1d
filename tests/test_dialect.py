"""Files of other code: names, scopes, averages and slots that are not the family's own, read as they are meant."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commands import Captured, fail_and_advise

import tfckpt
from tfckpt.cli.main import main
from tfckpt.errors import FormatError, PlanError, TfckptError, UsageError

DATA = Path(__file__).parent / "data" / "bert_tf115"
Tensors = Mapping[str, Any]
RANDOM = np.random.default_rng(7)


@pytest.fixture(scope="module")
def model() -> Tensors:
    """Return the variables of a real checkpoint, without what training keeps."""
    with tfckpt.open(DATA / "model.ckpt-3") as checkpoint:
        return {n: np.array(v) for n, v in checkpoint.items() if "/adam_" not in n and n != "global_step"}


@pytest.fixture
def save(tmp_path: Path) -> Callable[[Tensors], str]:
    """Return what saves variables beside the model's configuration, and returns the prefix."""
    shutil.copy(DATA / "bert_config.json", tmp_path)

    def saved(tensors: Tensors) -> str:
        tfckpt.save(tmp_path / "model.ckpt", tensors, overwrite=True)
        return str(tmp_path / "model.ckpt")

    return saved


def like(value: Any) -> Any:
    return RANDOM.standard_normal(np.shape(value)).astype(np.float32)


def slots(model: Tensors, *names: str) -> dict[str, Any]:
    """Return slots of these names behind those of variables; of the second ones no value is negative."""
    return {
        name.format(of): np.abs(like(value)) if number % 2 else like(value)
        for of, value in model.items()
        for number, name in enumerate(names)
    }


def assert_encoder(dest: Path, expected: Tensors) -> None:
    """Check that an encoder holds what the same model of usual names would."""
    tfckpt.save(dest.parent / "right.ckpt", expected)
    tfckpt.convert(dest.parent / "right.ckpt", dest.parent / "right", config=DATA / "bert_config.json")
    assert tfckpt.diff(dest, dest.parent / "right", only=["model"]).same


# --- renames


def test_a_model_is_read_under_the_names_that_substitutions_give(
    model: Tensors, save: Callable[[Tensors], str], tmp_path: Path
) -> None:
    source = save({name.replace("bert/", "roberta/").replace("LayerNorm", "ln"): v for name, v in model.items()})
    plan = tfckpt.convert(
        source, tmp_path / "out", rename=[("^roberta/", "bert/"), ("/ln/", "/LayerNorm/")], prove=True
    )
    assert_encoder(tmp_path / "out", model)
    (note,) = plan.notes
    assert note.startswith("41 variables read under other names: cls/predictions/transform/ln/beta as cls/")
    assert "roberta/embeddings/ln/beta" in {step.source for step in plan.steps}
    proof = tfckpt.prove(source, tmp_path / "out", rename="auto")
    assert len(proof.tensors) == 39


def test_auto_finds_the_names_and_says_which_substitutions_do_it(
    model: Tensors, save: Callable[[Tensors], str], tmp_path: Path
) -> None:
    source = save({name.replace("LayerNorm", "layer_norm"): v for name, v in model.items()})
    plan = tfckpt.convert(source, tmp_path / "out", rename="auto")
    assert_encoder(tmp_path / "out", model)
    assert "rename '(?<=/)layer_norm(?=/|$)=LayerNorm': found by place and shape" in plan.notes


def test_auto_changes_nothing_where_the_names_are_right(model: Tensors, save: Callable[[Tensors], str]) -> None:
    source = save(model)
    assert tfckpt.plan(source, rename="auto") == tfckpt.plan(source)


def test_given_substitutions_come_before_those_that_are_found(
    model: Tensors, save: Callable[[Tensors], str], tmp_path: Path
) -> None:
    others = {"/query/": "/a/", "/key/": "/b/", "/value/": "/c/", "LayerNorm": "ln"}

    def renamed(name: str) -> str:
        for old, new in others.items():
            name = name.replace(old, new)
        return name

    source = save({renamed(name): value for name, value in model.items()})
    own = [("/a/", "/query/"), ("/b/", "/key/"), ("/c/", "/value/")]
    with pytest.raises(PlanError):
        tfckpt.plan(source, rename=own)
    with pytest.raises(PlanError):
        tfckpt.plan(source, rename="auto")
    tfckpt.convert(source, tmp_path / "out", rename=[*own, "auto"])
    assert_encoder(tmp_path / "out", model)


@pytest.mark.parametrize("wrong", ["outo", ["outo"], [("(", "x")], ["x", "y"], [("x", r"\1")]])
def test_what_is_no_substitution_is_refused(model: Tensors, save: Callable[[Tensors], str], wrong: Any) -> None:
    with pytest.raises(UsageError, match="rename"):
        tfckpt.plan(save(model), rename=wrong)


def test_an_export_renames_the_source_if_it_does_not_fit_and_the_result_if_it_does(
    model: Tensors, save: Callable[[Tensors], str], tmp_path: Path
) -> None:
    source = save({name.replace("LayerNorm", "ln"): v for name, v in model.items()})
    tfckpt.export(source, tmp_path / "a.npz", to="encoder", rename=[("/ln/", "/LayerNorm/")])
    tfckpt.export(source, tmp_path / "b.npz", to="encoder", rename="auto")
    tfckpt.export(save(model), tmp_path / "c.npz", to="encoder", rename=[("encoder/", "net/")])
    with np.load(tmp_path / "b.npz") as b, np.load(tmp_path / "c.npz") as c:
        assert {*np.load(tmp_path / "a.npz")} == {*b}
        assert {name.replace("net/", "encoder/") for name in c} == {*b}
        assert all(name.startswith("net/") for name in c)


def test_objects_are_not_renamed_by_the_names_of_variables(tmp_path: Path) -> None:
    tfckpt.convert(DATA / "model.ckpt-3", tmp_path / "objects")
    for options in ({"rename": "auto"}, {"averages": True}, {"source_scope": "bert"}, {"head": ["x"]}):
        with pytest.raises(UsageError, match="only for a source whose names are"):
            tfckpt.plan(tmp_path / "objects", to="tf1", **options)


# --- averages


@pytest.mark.parametrize("name", ["{}/ExponentialMovingAverage", "{}/shadow", "ema/{}"])
def test_averages_take_the_place_of_variables(
    model: Tensors, save: Callable[[Tensors], str], tmp_path: Path, name: str
) -> None:
    raw = ["bert/pooler/dense/kernel", "bert/embeddings/word_embeddings"]
    averages = {of: like(value) for of, value in model.items() if of not in raw}
    source = save({**model, **{name.format(of): value for of, value in averages.items()}, "global_step": np.int64(7)})
    plan = tfckpt.convert(source, tmp_path / "out", averages=True, prove=True)
    assert_encoder(tmp_path / "out", {**model, **averages})
    note = next(note for note in plan.notes if "moving average is taken" in note)
    assert note.startswith(f"{len(averages)} variables: ")
    assert "2 variables have none: bert/embeddings/word_embeddings, bert/pooler/dense/kernel" in note
    dropped = {item.source: item.rule for item in plan.dropped}
    assert dropped["bert/pooler/dense/bias"] == "its moving average is taken"


def test_averages_are_refused_where_there_are_none(model: Tensors, save: Callable[[Tensors], str]) -> None:
    with pytest.raises(UsageError, match="no variable has a moving average"):
        tfckpt.plan(save(model), averages=True)


def test_averages_are_left_out_and_said_so_unless_they_are_asked_for(
    model: Tensors, save: Callable[[Tensors], str], tmp_path: Path
) -> None:
    source = save({**model, **{f"{of}/ExponentialMovingAverage": like(value) for of, value in model.items()}})
    plan = tfckpt.convert(source, tmp_path / "out")
    assert_encoder(tmp_path / "out", model)
    assert any("averages takes them" in note for note in plan.notes)


# --- several models


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("bert/", "bert_1/"),
        ("teacher/bert/", "student/bert/"),
        ("bert/", "tower/bert/"),
        ("query/", "passage/"),
        ("bert/", "bert/bert/"),
    ],
)
def test_one_of_two_models_is_taken_by_its_scope(
    model: Tensors, save: Callable[[Tensors], str], tmp_path: Path, capsys: Captured, first: str, second: str
) -> None:
    other = {name: like(value) for name, value in model.items()}
    body = [name for name in model if name.startswith("bert/")]
    both = {
        f"{root}{name.removeprefix('bert/')}": m[name] for root, m in ((first, model), (second, other)) for name in body
    }
    projection = {"text_projection": RANDOM.standard_normal((8, 3)).astype(np.float32)}
    source = save({**both, **slots(both, "{}/adam_m", "{}/adam_v"), **projection})
    assert main(["convert", source, str(tmp_path / "x")]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [sum(f"{root!r}: 39 variables" in line for line in lines) for root in (first, second)] == [1, 1]
    assert [sum(line.endswith(f"--source-scope {root[:-1]}") for line in lines) for root in (first, second)] == [1, 1]
    for root, expected in ((first, model), (second, other)):
        dest = tmp_path / root.replace("/", "") / "out"
        plan = tfckpt.convert(source, dest, source_scope=root.rstrip("/"), prove=True)
        assert_encoder(dest, {name: expected[name] for name in body})
        rules = {item.source: item.rule for item in plan.dropped}
        assert f"not of the model at {root.rstrip('/')!r}" in rules.values()
        assert rules["text_projection"] in (f"not of the model at {root[:-1]!r}", "beside the model that is named")
        assert any("under no model's scope" in note for note in plan.notes) == (rules["text_projection"][0] == "b")


def test_the_heads_of_a_model_without_a_scope_are_not_those_of_another(
    model: Tensors, save: Callable[[Tensors], str]
) -> None:
    student = {f"student/{name}": like(value) for name, value in model.items() if name.startswith("bert/")}
    source = save({**model, **student})
    with pytest.raises(PlanError, match="no masked-LM head"):
        tfckpt.plan(source, to="pretrainer", source_scope="student")
    assert tfckpt.plan(source, to="pretrainer", source_scope="bert").to == "pretrainer"


def test_heads_that_may_be_of_either_model_are_said(model: Tensors, save: Callable[[Tensors], str]) -> None:
    second = {name.replace("bert/", "bert_1/"): like(v) for name, v in model.items() if name.startswith("bert/")}
    plan = tfckpt.plan(save({**model, **second}), to="pretrainer", source_scope="bert_1")
    assert any(note.startswith("cls/") and "under no model's scope" in note for note in plan.notes)


def test_a_scope_of_no_model_is_refused_with_those_that_there_are(
    model: Tensors, save: Callable[[Tensors], str]
) -> None:
    with pytest.raises(UsageError, match="there are 'bert/'"):
        tfckpt.plan(save(model), source_scope="bort")


# --- slots


@pytest.mark.parametrize(
    "names",
    [
        ("{}/AdamWeightDecayOptimizer", "{}/AdamWeightDecayOptimizer_1"),
        ("{}/BERTAdam", "{}/BERTAdam_1"),
        ("{}/Adam", "{}/Adam_1"),
        ("{}/LAMB", "{}/LAMB_1"),
        ("training/Adam/{}/m", "training/Adam/{}/v"),
        ("{}/lamb_m", "{}/lamb_v"),
        ("opt/{}/Adam", "opt/{}/Adam_1"),
    ],
)
def test_moments_of_any_name_become_the_slots_of_an_optimizer(
    model: Tensors, save: Callable[[Tensors], str], tmp_path: Path, names: tuple[str, str]
) -> None:
    state = slots(model, *names)
    source = save({**model, **state, "global_step": np.int64(7), "beta1_power": np.float32(0.5)})
    dropped = tfckpt.convert(source, tmp_path / "dropped")
    assert {item.rule for item in dropped.dropped if item.source in state} == {"optimizer state"}
    plan = tfckpt.convert(source, tmp_path / "out", slots="convert", prove=True)
    google = {f"{of}/adam_{'mv'[number]}": state[name.format(of)] for of in model for number, name in enumerate(names)}
    tfckpt.save(tmp_path / "right.ckpt", {**model, **google, "global_step": np.int64(7)})
    tfckpt.convert(tmp_path / "right.ckpt", tmp_path / "right", slots="convert")
    assert tfckpt.diff(tmp_path / "out", tmp_path / "right").same
    assert any("taken for adam_m, adam_v" in note for note in plan.notes)


def test_a_second_moment_with_a_negative_value_is_refused(
    model: Tensors, save: Callable[[Tensors], str], tmp_path: Path
) -> None:
    state = slots(model, "{}/Adam_1", "{}/Adam")  # the other way round
    with pytest.raises(FormatError, match=r"model\.ckpt: tensor 'bert/.*_1': expected a second moment, 0 or more"):
        tfckpt.convert(save({**model, **state, "global_step": np.int64(7)}), tmp_path / "out", slots="convert")
    assert not list(tmp_path.glob("out*"))


def test_the_state_of_two_optimizers_is_not_guessed_between(model: Tensors, save: Callable[[Tensors], str]) -> None:
    state = slots(model, "a/{}/m", "a/{}/v", "b/{}/Adam", "b/{}/Adam_1")
    with pytest.raises(PlanError, match="do not tell which are its two moments"):
        tfckpt.plan(save({**model, **state, "global_step": np.int64(7)}), slots="convert")


@pytest.mark.parametrize(
    "names", [("{}/RMSProp", "{}/RMSProp_1"), ("{}/AdaMax", "{}/AdaMax_1"), ("{}/Ftrl", "{}/Ftrl_1"), ("{}/Momentum",)]
)
def test_slots_that_are_no_moments_are_not_taken_for_such(
    model: Tensors, save: Callable[[Tensors], str], names: tuple[str, ...]
) -> None:
    with pytest.raises(PlanError, match="no optimizer state"):
        tfckpt.plan(save({**model, **slots(model, *names), "global_step": np.int64(7)}), slots="convert")


def test_the_step_of_a_keras_optimizer_is_the_training_step(
    model: Tensors, save: Callable[[Tensors], str], tmp_path: Path
) -> None:
    state = slots(model, "training/Adam/{}/m", "training/Adam/{}/v")
    source = save({**model, **state, "training/Adam/iter": np.int64(11)})
    tfckpt.convert(source, tmp_path / "out", slots="convert")
    with tfckpt.open(tmp_path / "out") as found:
        assert found["optimizer/iter/.ATTRIBUTES/VARIABLE_VALUE"] == 11


def test_names_that_all_end_in_an_output_number_are_read_without_it(
    model: Tensors, save: Callable[[Tensors], str], tmp_path: Path
) -> None:
    state = slots(model, "{}/adam_m", "{}/adam_v")
    tfckpt.convert(save({f"{name}:0": value for name, value in {**model, **state}.items()}), tmp_path / "out")
    assert_encoder(tmp_path / "out", model)


# --- parameters and heads under other names


@pytest.mark.parametrize(
    "change",
    [
        {"LayerNorm/gamma": "LayerNorm/weight", "LayerNorm/beta": "LayerNorm/bias"},
        {"LayerNorm/gamma": "layer_norm/scale", "LayerNorm/beta": "layer_norm/offset"},
        {"dense/kernel": "dense/w", "dense/bias": "dense/b"},
        {"dense/bias": "dense/beta"},
        {"kernel": "weight", "LayerNorm/gamma": "LayerNorm/weight", "LayerNorm/beta": "LayerNorm/bias"},
    ],
    ids=["torch's norms", "Sonnet's norms", "w and b", "beta for a bias", "weight for kernel and gamma"],
)
@pytest.mark.parametrize("to", ["encoder", "pretrainer"])
def test_parameters_are_told_by_what_other_code_calls_them(
    model: Tensors, save: Callable[[Tensors], str], tmp_path: Path, change: dict[str, str], to: str
) -> None:
    def renamed(name: str) -> str:
        for old, new in change.items():
            name = name.replace(old, new)
        return name

    tfckpt.convert(DATA / "model.ckpt-3", tmp_path / "right", to=to)
    source = save({renamed(name): value for name, value in model.items()})
    tfckpt.convert(source, tmp_path / "out", to=to, rename="auto")
    assert tfckpt.diff(tmp_path / "out", tmp_path / "right").same


def test_hugging_faces_names_of_heads_are_found_and_a_tied_decoder_is_a_copy(
    model: Tensors, save: Callable[[Tensors], str], tmp_path: Path
) -> None:
    change = {
        "cls/predictions/output_bias": "cls/predictions/bias",
        "cls/seq_relationship/output_weights": "cls/seq_relationship/kernel",
        "cls/seq_relationship/output_bias": "cls/seq_relationship/bias",
    }
    words, bias = model["bert/embeddings/word_embeddings"], model["cls/predictions/output_bias"]
    tied = {"cls/predictions/decoder/kernel": words, "cls/predictions/decoder/bias": bias}
    source = save({change.get(name, name): value for name, value in model.items()} | tied)
    plan = tfckpt.convert(source, tmp_path / "out", to="pretrainer", rename="auto", prove=True)
    tfckpt.convert(DATA / "model.ckpt-3", tmp_path / "right", to="pretrainer")
    assert tfckpt.diff(tmp_path / "out", tmp_path / "right").same
    dropped = {item.source: item.rule for item in plan.dropped}
    assert dropped["cls/predictions/decoder/kernel"] == "another copy of bert/embeddings/word_embeddings"


def test_a_decoder_that_is_not_tied_is_no_copy(model: Tensors, save: Callable[[Tensors], str]) -> None:
    source = save({**model, "cls/predictions/decoder/kernel": like(model["bert/embeddings/word_embeddings"])})
    with pytest.raises(PlanError, match="cls/predictions/decoder/kernel"):
        tfckpt.plan(source, to="pretrainer")


KERNEL, BIAS = RANDOM.standard_normal((8, 5)).astype(np.float32), RANDOM.standard_normal(5).astype(np.float32)


def assert_head(dest: Path, model: Tensors, to: str, weights: Any, bias: Any, usual: tuple[str, str]) -> None:
    """Check that a model with a head holds what the same one of usual names would."""
    body = {name: value for name, value in model.items() if name.startswith("bert/")}
    tfckpt.save(dest.parent / "right.ckpt", {**body, usual[0]: weights, usual[1]: bias})
    tfckpt.convert(dest.parent / "right.ckpt", dest.parent / "right", to=to, config=DATA / "bert_config.json")
    assert tfckpt.diff(dest, dest.parent / "right", only=["model"]).same


CLASSES, SPANS = ("output_weights", "output_bias"), ("cls/squad/output_weights", "cls/squad/output_bias")


@pytest.mark.parametrize(
    ("head", "more", "to", "usual"),
    [
        (
            "loss/output_weights:classifier",
            {"loss/output_weights": KERNEL.T, "loss/output_bias": BIAS},
            "classifier",
            CLASSES,
        ),
        ("loss:token", {"loss/output_weights": KERNEL.T, "loss/output_bias": BIAS}, "token-classifier", CLASSES),
        ("project/logits:token", {"project/logits/W": KERNEL, "project/logits/b": BIAS}, "token-classifier", CLASSES),
        (
            "mnli/kernel:classifier",
            {"mnli/kernel": KERNEL, "mnli/bias": BIAS, "qqp/kernel": like(KERNEL), "qqp/bias": like(BIAS)},
            "classifier",
            CLASSES,
        ),
        ("qa/kernel:span", {"qa/kernel": KERNEL[:, :2], "qa/bias": BIAS[:2]}, "span-labeler", SPANS),
        (
            "a_weights:classifier",
            {"a_weights": KERNEL, "a_bias": BIAS, "b_weights": KERNEL, "b_bias": -BIAS},
            "classifier",
            CLASSES,
        ),
    ],
)
def test_a_variable_is_taken_as_the_head_that_it_is_named(
    model: Tensors,
    save: Callable[[Tensors], str],
    tmp_path: Path,
    head: str,
    more: Tensors,
    to: str,
    usual: tuple[str, str],
) -> None:
    body = {name: value for name, value in model.items() if name.startswith("bert/")}
    crf = {"crf_loss/transitions": RANDOM.standard_normal((5, 5)).astype(np.float32)}
    plan = tfckpt.convert(save({**body, **more, **crf}), tmp_path / "out", head=[head], prove=True)
    assert plan.to == to
    count = 2 if to == "span-labeler" else 5
    assert_head(tmp_path / "out", model, to, KERNEL.T[:count], BIAS[:count], usual)
    assert any("left out, since it is beside the model" in note and "crf_loss" in note for note in plan.notes)


def test_a_head_without_a_bias_gets_zeros_and_the_report_says_so(
    model: Tensors, save: Callable[[Tensors], str], tmp_path: Path
) -> None:
    body = {name: value for name, value in model.items() if name.startswith("bert/")}
    plan = tfckpt.convert(save({**body, "out/kernel": KERNEL}), tmp_path / "out", to="classifier", head=["out/kernel"])
    assert_head(tmp_path / "out", model, "classifier", KERNEL.T, np.zeros(5, np.float32), CLASSES)
    assert any("filled (zeros)" in note for note in plan.notes)


def test_a_square_head_is_asked_about_and_each_answer_is_taken(
    model: Tensors, save: Callable[[Tensors], str], tmp_path: Path, capsys: Captured
) -> None:
    body = {name: value for name, value in model.items() if name.startswith("bert/")}
    square, bias = RANDOM.standard_normal((8, 8)).astype(np.float32), RANDOM.standard_normal(8).astype(np.float32)
    source = save({**body, "out/w": square, "out/b": bias})
    assert main(["convert", source, str(tmp_path / "x"), "--head", "out/w:classifier"]) == 1
    said = capsys.readouterr().err
    assert "as long as it is wide" in said
    assert [f"--head out/w:classifier:{form}" in said for form in ("kernel", "weights")] == [True, True]
    for form, weights in (("kernel", square.T), ("weights", square)):
        tfckpt.convert(source, tmp_path / form / "out", head=[f"out/w:classifier:{form}"], prove=True)
        assert_head(tmp_path / form / "out", model, "classifier", weights, bias, CLASSES)


def test_the_one_head_that_a_target_lacks_is_advised(
    model: Tensors, save: Callable[[Tensors], str], tmp_path: Path, capsys: Captured
) -> None:
    body = {name: value for name, value in model.items() if name.startswith("bert/")}
    source = save({**body, "project/logits/W": KERNEL, "project/logits/b": BIAS})
    argv = ["convert", source, str(tmp_path / "out"), "--to", "token-classifier"]
    lines, advice = fail_and_advise(capsys, *argv)
    assert any("project/logits/W may be the head" in line for line in lines)
    assert advice == shlex.join(["tfckpt", *argv, "--head", "project/logits/W"])
    assert main(shlex.split(advice)[1:]) == 0
    assert_head(tmp_path / "out", model, "token-classifier", KERNEL.T, BIAS, CLASSES)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"head": ["nothing"], "to": "classifier"}, "there is none of that name"),
        ({"head": ["a"], "to": "classifier"}, "it has a/kernel, a/other"),
        ({"head": ["a/kernel"]}, "name its target with to"),
        ({"head": ["a/kernel:span"], "to": "classifier"}, "it is of the target 'span-labeler', and to is 'classifier'"),
        ({"head": ["a/bias"], "to": "classifier"}, "expected 8 inputs"),
    ],
)
def test_what_is_no_head_is_refused(
    model: Tensors, save: Callable[[Tensors], str], options: dict[str, Any], why: str
) -> None:
    body = {name: value for name, value in model.items() if name.startswith("bert/")}
    source = save({**body, "a/kernel": KERNEL, "a/other": KERNEL, "a/bias": BIAS})
    with pytest.raises(TfckptError, match=why):
        tfckpt.plan(source, **options)


@pytest.mark.parametrize("names", [("{}/adam_m", "{}/adam_v"), ("{}/Adam", "{}/Adam_1")])
@pytest.mark.parametrize("optimizer", ["adam-weight-decay", "adamw"])
def test_the_slots_of_a_partitioned_variable_are_joined(
    model: Tensors, save: Callable[[Tensors], str], tmp_path: Path, names: tuple[str, str], optimizer: Any
) -> None:
    state = slots(model, *names)
    google = {f"{of}/adam_{'mv'[number]}": state[name.format(of)] for of in model for number, name in enumerate(names)}
    whole = {**model, **google, "global_step": np.int64(7)}
    config = DATA / "bert_config.json"
    tfckpt.save(tmp_path / "whole.ckpt", whole)
    tfckpt.convert(tmp_path / "whole.ckpt", tmp_path / "right", slots="convert", optimizer=optimizer, config=config)
    cut = {
        "bert/embeddings/word_embeddings": (0, [10, 20]),
        "bert/encoder/layer_0/attention/self/query/kernel": (1, [3]),
    }
    for of, (axis, places) in cut.items():
        for name in names:
            for number, part in enumerate(np.split(state.pop(name.format(of)), places, axis)):
                state[name.format(f"{of}/part_{number}")] = part
    source = save({**model, **state, "global_step": np.int64(7)})
    tfckpt.convert(source, tmp_path / "out", slots="convert", optimizer=optimizer, prove=True)
    assert tfckpt.diff(tmp_path / "out", tmp_path / "right").same
    cut_again: dict[str, Any] = {"slots": "convert", "optimizer": optimizer, "vocab_size": 25, "overwrite": True}
    tfckpt.convert(tmp_path / "whole.ckpt", tmp_path / "right", config=config, **cut_again)
    tfckpt.convert(source, tmp_path / "out", prove=True, **cut_again)
    assert tfckpt.diff(tmp_path / "out", tmp_path / "right").same
