"""The proof: a checkpoint that some tool wrote holds what its source does, or every difference is named."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfckpt
from tfckpt.base.flags import add_flags, options_from
from tfckpt.base.issues import compare, give
from tfckpt.base.options import PlanOptions, for_shell
from tfckpt.checkpoint.graph.object_graph import (
    OBJECT_GRAPH_KEY,
    VARIABLE_VALUE,
    Attribute,
    ObjectGraph,
    split_path,
    variable_key,
)
from tfckpt.cli.main import main
from tfckpt.errors import PlanError, ProofError

DATA = Path(__file__).parent / "data"
TARGETS = [
    ("bert_tf115", "encoder"),
    ("bert_tf115", "pretrainer"),
    ("bert_tf115", "bert-pretrainer"),
    ("bert_tf115", "keras"),
    ("bert_tf115", "keras-v2"),
    ("classifier_tf115", "classifier-own-pooler"),
    ("squad_tf115", "span-labeler"),
]
Change = Callable[[ObjectGraph, dict[str, Any]], None]


def edited(prefix: Path, change: Change) -> str:
    """Write a checkpoint anew with another object graph or other tensors; return its prefix."""
    with tfckpt.open(prefix) as checkpoint:
        tensors = dict(checkpoint)
        graph = checkpoint.object_graph
    assert graph is not None
    change(graph, tensors)
    dest = str(prefix) + "_edited"
    tfckpt.save(dest, tensors | {OBJECT_GRAPH_KEY: graph.serialize()})
    return dest


def converted(bert: str, directory: Path, change: Change, to: str = "encoder") -> str:
    """Convert, edit the result, return its prefix."""
    tfckpt.convert(bert, directory / "out", to=to)
    return edited(directory / "out", change)


def differences(source: str, dest: str | Path, **options: Any) -> list[str]:
    """Return what a proof complains about, without the destination's name."""
    with pytest.raises(ProofError) as caught:
        tfckpt.prove(source, dest, **options)
    return [line.removeprefix(f"{dest}: ") for line in caught.value.reasons]


@pytest.mark.parametrize(("name", "to"), TARGETS)
def test_what_we_convert_is_right(name: str, to: str, tmp_path: Path) -> None:
    source = DATA / name / "model.ckpt-3"
    plan = tfckpt.convert(source, tmp_path / "out", to=to, prove=True)
    proof = tfckpt.prove(source, tmp_path / "out", to=to)
    assert [(checked.step, checked.key) for checked in proof.tensors] == [(step, step.target) for step in plan.steps]
    assert (proof.at, proof.extras, proof.differences) == (plan.model, (), ())


def test_the_way_back_is_proved_too(bert: str, tmp_path: Path) -> None:
    tfckpt.convert(bert, tmp_path / "there", to="pretrainer")
    tfckpt.convert(tmp_path / "there", tmp_path / "back", to="tf1", scope="module/", prove=True)
    proof = tfckpt.prove(tmp_path / "there", tmp_path / "back", to="tf1", scope="module/")
    assert len(proof.tensors) == 46


def test_training_beside_a_tf1_checkpoint_is_named(bert: str, tmp_path: Path) -> None:
    tfckpt.convert(bert, tmp_path / "there", to="pretrainer")
    proof = tfckpt.prove(tmp_path / "there", bert, to="tf1")
    assert {rule: len(names) for rule, names in proof.extras_by_rule().items()} == {
        "optimizer state": 92,
        "training step": 1,
    }


def test_any_root_and_any_spelling_will_do(bert: str, tmp_path: Path) -> None:
    def respell(graph: ObjectGraph, tensors: dict[str, Any]) -> None:
        model = graph.nodes[0].children["model"]
        graph.nodes[0].children = {"mine": model}
        mapping = {key: variable_key(f"tensor_{n}") for n, key in enumerate(tensors) if key != OBJECT_GRAPH_KEY}
        graph.rename_keys(mapping)
        for old, new in mapping.items():
            tensors[new] = tensors.pop(old)

    dest = converted(bert, tmp_path, respell, "pretrainer")
    proof = tfckpt.prove(bert, dest, to="pretrainer")
    assert proof.at == "mine"
    assert len(proof.tensors) == 48
    assert all(checked.key.startswith("tensor_") for checked in proof.tensors)


@pytest.mark.parametrize("kept", ["_", "layer_with_weights-"])
def test_either_names_of_attributes_or_numbers_are_enough(bert: str, tmp_path: Path, kept: str) -> None:
    def forget(graph: ObjectGraph, tensors: dict[str, Any]) -> None:
        for node in graph.nodes:
            if "_pooler_layer" in node.children:
                node.children = {name: n for name, n in node.children.items() if name.startswith(kept)}

    assert len(tfckpt.prove(bert, converted(bert, tmp_path, forget)).tensors) == 39


def test_what_training_saves_beside_the_model_is_named_and_no_difference(bert: str, tmp_path: Path) -> None:
    def train(graph: ObjectGraph, tensors: dict[str, Any]) -> None:
        for name in ("save_counter", "optimizer/iter"):
            attribute = Attribute(VARIABLE_VALUE, variable_key(name))
            graph.nodes[graph.node_at(split_path(name))].attributes.append(attribute)
            tensors[variable_key(name)] = np.array(1, np.int64)

    proof = tfckpt.prove(bert, converted(bert, tmp_path, train))
    assert [(extra.name, extra.rule) for extra in proof.extras] == [
        (variable_key("optimizer/iter"), "optimizer state"),
        (variable_key("save_counter"), "save counter"),
    ]


def test_one_value_that_differs_is_found(bert: str, tmp_path: Path) -> None:
    key = variable_key("encoder/layer_with_weights-0/embeddings")

    def flip(graph: ObjectGraph, tensors: dict[str, Any]) -> None:
        tensors[key] = tensors[key].copy()
        tensors[key][3, 4] = 7

    (line,) = differences(bert, converted(bert, tmp_path, flip))
    start = f"{key}: values differ from bert/embeddings/word_embeddings: 1 of 240, the first at [3, 4]: expected "
    assert line.startswith(start)
    assert line.endswith(", got 7.0")


def test_a_zero_of_another_sign_is_another_value(bert: str, tmp_path: Path) -> None:
    tensors = dict(tfckpt.open(bert))
    tensors["bert/pooler/dense/bias"] = np.array([0.0, np.nan] * 4, np.float32)
    tfckpt.save(tmp_path / "source", tensors)
    tfckpt.convert(tmp_path / "source", tmp_path / "out", num_heads=2)
    assert tfckpt.prove(tmp_path / "source", tmp_path / "out", num_heads=2).tensors
    key = variable_key("encoder/layer_with_weights-6/bias")

    def negate(graph: ObjectGraph, tensors: dict[str, Any]) -> None:
        tensors[key] = np.array([-0.0, np.nan] * 4, np.float32)

    dest = edited(tmp_path / "out", negate)
    (line,) = differences(str(tmp_path / "source"), dest, num_heads=2)
    assert ": 4 of 8, the first at [0]: expected 0.0, got -0.0" in line


def test_every_difference_is_named_at_once(bert: str, tmp_path: Path) -> None:
    def spoil(graph: ObjectGraph, tensors: dict[str, Any]) -> None:
        base = "encoder/layer_with_weights-"
        tensors[variable_key(f"{base}0/embeddings")] = np.zeros((30, 8), np.float32)
        tensors[variable_key(f"{base}1/embeddings")] = np.zeros((8, 16), np.float32)
        tensors[variable_key(f"{base}2/embeddings")] = np.zeros((2, 8), np.float64)
        del tensors[variable_key(f"{base}3/beta")]
        graph.nodes[graph.node_at(("model", "_pooler_layer"))].children.pop("bias")
        tensors[variable_key("head/kernel")] = np.zeros(3, np.float32)

    lines = differences(bert, converted(bert, tmp_path, spoil))
    text = "\n".join(lines)
    assert "values differ from bert/embeddings/word_embeddings" in text
    assert "expected shape float32[16, 8], got float32[8, 16]" in text
    assert "expected dtype float32, got float64" in text
    assert "missing; bert/embeddings/LayerNorm/beta belongs there" in text
    assert "missing; bert/pooler/dense/bias belongs there" in text
    assert "head/kernel/.ATTRIBUTES/VARIABLE_VALUE: nothing in the source corresponds to it" in text
    assert "layer_with_weights-6/bias/.ATTRIBUTES/VARIABLE_VALUE: nothing in the source corresponds to it" in text
    assert len(lines) == 7


def test_another_head_count_is_told_by_the_shapes(bert: str, tmp_path: Path) -> None:
    tensors = dict(tfckpt.open(bert))
    tfckpt.save(tmp_path / "bare", tensors)
    tfckpt.convert(tmp_path / "bare", tmp_path / "out", num_heads=4)
    lines = differences(bert, tmp_path / "out")
    assert lines[-1] == (
        "num_attention_heads: expected 2 (bert_config.json), got 4 in the shapes of 14 tensors; "
        "the values are the source's"
    )
    assert len(lines) == 15
    assert all("expected shape" in line for line in lines[:-1])


@pytest.mark.parametrize(
    ("made", "asked", "options"),
    [
        ({"to": "pretrainer"}, {}, ("--to", "pretrainer")),
        ({"to": "encoder"}, {"to": "pretrainer"}, ("--to", "encoder")),
        ({"to": "encoder"}, {"to": "auto"}, ("--to", "encoder")),
        ({"to": "encoder"}, {"to": "keras"}, ("--to", "encoder")),
        ({"to": "keras"}, {}, ("--to", "keras")),
        ({"to": "keras", "slots": "drop"}, {}, ("--to", "keras", "--slots", "drop")),
        ({"to": "keras", "slots": "drop"}, {"to": "keras"}, ("--slots", "drop")),
        ({"to": "keras", "num_heads": 2}, {"to": "keras"}, ("--num-heads", "2")),
        (
            {"to": "keras", "num_heads": 2, "slots": "drop"},
            {},
            ("--to", "keras", "--num-heads", "2", "--slots", "drop"),
        ),
        ({"keep_names": True}, {}, ("--keep-names",)),
        ({"to": "pretrainer", "keep_names": True}, {}, ("--to", "pretrainer", "--keep-names")),
    ],
    ids=str,
)
def test_what_another_request_makes_is_one_line_with_that_request(
    bert: str, tmp_path: Path, made: dict[str, Any], asked: dict[str, Any], options: tuple[str, ...]
) -> None:
    dest = str(tmp_path / "out")
    tfckpt.convert(bert, dest, **made)
    with pytest.raises(ProofError) as caught:
        tfckpt.prove(bert, dest, **asked)
    (line,) = caught.value.reasons
    (issue,) = caught.value.issues
    assert line == issue.text()
    line = issue.text(for_shell)
    wanted = asked.get("to", "encoder").replace("auto", "pretrainer")
    assert line == f"{dest}: it is not {wanted!r}: its names and shapes are those of {' '.join(options)}"
    assert caught.value.remedies == (give(**issue_options(options)),)
    assert caught.value.report is not None
    assert not caught.value.report["proved"]
    assert caught.value.report["differences"]
    assert tfckpt.prove(bert, dest, **asked | made).tensors


def issue_options(words: Sequence[str]) -> dict[str, Any]:
    """Return the options that a command line gives."""
    parser = argparse.ArgumentParser(argument_default=argparse.SUPPRESS)
    add_flags(parser, PlanOptions)
    for action in parser._actions:
        action.default = argparse.SUPPRESS
    return options_from(parser.parse_args(words), PlanOptions)


def test_a_scope_that_nobody_told_is_found(bert: str, tmp_path: Path) -> None:
    tfckpt.convert(bert, tmp_path / "there")
    tfckpt.convert(tmp_path / "there", tmp_path / "back", to="tf1", scope="module/")
    with pytest.raises(ProofError) as caught:
        tfckpt.prove(tmp_path / "there", tmp_path / "back", to="tf1")
    assert caught.value.remedies == (give(scope="module/"),)


def test_names_alone_make_no_other_target(bert: str, tmp_path: Path) -> None:
    tfckpt.convert(bert, tmp_path / "pretrainer", to="pretrainer")
    with tfckpt.open(tmp_path / "pretrainer") as checkpoint:
        graph = checkpoint.object_graph
        wider = {
            name: np.zeros((*value.shape, 2), value.dtype)
            for name, value in checkpoint.items()
            if value.dtype != object
        }
    assert graph is not None
    tfckpt.save(tmp_path / "wider", wider | {OBJECT_GRAPH_KEY: graph.serialize()})
    lines = differences(bert, tmp_path / "wider")
    assert sum("expected shape" in line for line in lines) == 39
    with tfckpt.open(bert) as checkpoint:
        tfckpt.save(tmp_path / "names", {name: np.zeros(3, np.float32) for name in checkpoint})
    assert "no object graph, which target 'encoder' has: it is name-based" in differences(bert, tmp_path / "names")


def test_what_training_adds_is_no_part_of_another_target(bert: str, tmp_path: Path) -> None:
    def train(graph: ObjectGraph, tensors: dict[str, Any]) -> None:
        attribute = Attribute(VARIABLE_VALUE, variable_key("save_counter"))
        graph.nodes[graph.node_at(("save_counter",))].attributes.append(attribute)
        tensors[variable_key("save_counter")] = np.array(1, np.int64)

    with pytest.raises(ProofError) as caught:
        tfckpt.prove(bert, converted(bert, tmp_path, train, "pretrainer"))
    assert caught.value.remedies == (give(to="pretrainer"),)

    def own(graph: ObjectGraph, tensors: dict[str, Any]) -> None:
        tensors["mine"] = np.zeros(3, np.float32)

    (tmp_path / "more").mkdir()
    lines = differences(bert, converted(bert, tmp_path / "more", own, "pretrainer"))
    assert "mine: nothing in the source corresponds to it" in lines
    assert len(lines) == 10


def test_a_copy_is_told(bert: str, tmp_path: Path) -> None:
    tfckpt.rewrite(bert, tmp_path / "copy", strip_optimizer=True)
    with pytest.raises(
        ProofError, match=r"it is not 'encoder': it has the names and shapes of the source, like a copy$"
    ) as caught:
        tfckpt.prove(bert, tmp_path / "copy")
    assert caught.value.remedies == (compare(bert, f"{tmp_path}/copy"),)


def test_a_target_that_is_not_whole_is_not_taken_for_another(bert: str, tmp_path: Path) -> None:
    key = variable_key("masked_lm/dense/kernel")

    def lose(graph: ObjectGraph, tensors: dict[str, Any]) -> None:
        del tensors[key]

    dest = converted(bert, tmp_path, lose, "pretrainer")
    assert differences(bert, dest, to="pretrainer") == [
        f"{key}: missing; cls/predictions/transform/dense/kernel belongs there"
    ]
    lines = differences(bert, dest)
    assert len(lines) == 8
    assert all(line.endswith("nothing in the source corresponds to it") for line in lines)


def test_two_models_are_not_chosen_between(bert: str, tmp_path: Path) -> None:
    def twice(graph: ObjectGraph, tensors: dict[str, Any]) -> None:
        offset = len(graph.nodes)
        copies = ObjectGraph.parse(graph.serialize()).nodes
        for node in copies:
            node.children = {name: child + offset for name, child in node.children.items()}
            node.attributes = [Attribute(a.name, f"ema/{a.checkpoint_key}") for a in node.attributes]
        tensors.update({f"ema/{key}": value for key, value in list(tensors.items()) if key != OBJECT_GRAPH_KEY})
        graph.nodes += copies
        graph.nodes[0].children = {"model": graph.nodes[0].children["model"], "ema": copies[0].children["model"]}

    lines = differences(bert, converted(bert, tmp_path, twice))
    assert "several models, and one is expected: model, ema" in lines


def test_no_object_graph_and_no_such_model(bert: str, tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "w", {"w": 1})
    lines = differences(bert, tmp_path / "w")
    assert lines == [
        "it has none of the 39 variables of target 'encoder'",
        "no object graph, which target 'encoder' has: it is name-based",
        "w: nothing in the source corresponds to it",
    ]
    tfckpt.save(tmp_path / "other", {OBJECT_GRAPH_KEY: ObjectGraph().serialize(), "v": 1, "w": 2})
    assert differences(bert, tmp_path / "other") == [
        "it has none of the 39 variables of target 'encoder'",
        "no 'encoder' in its object graph; tfckpt tree shows what it holds",
        "v and 1 more: nothing in the source corresponds to them",
    ]


@pytest.mark.parametrize("name", ["bert/pooler/dense/bias", "cls/predictions/output_bias"])
def test_damage_of_the_source_is_found_also_in_what_is_dropped(bert_copy: str, tmp_path: Path, name: str) -> None:
    tfckpt.convert(bert_copy, tmp_path / "out")
    with tfckpt.open(bert_copy) as source:
        offset = source.entry(name).offset
    with open(f"{bert_copy}.data-00000-of-00001", "r+b") as file:
        file.seek(offset)
        file.write(b"\xff")
    (line,) = differences(bert_copy, tmp_path / "out")
    assert f"checksum of tensor {name!r}" in line


def test_a_source_that_cannot_be_planned_is_no_proof(bert: str, tmp_path: Path) -> None:
    tfckpt.convert(bert, tmp_path / "out")
    with pytest.raises(PlanError, match="4 as given, but 2 in bert_config"):
        tfckpt.prove(bert, tmp_path / "out", num_heads=4)


def test_a_conversion_that_is_not_right_does_not_become_the_latest(
    bert: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tfckpt.bundle.writer import BundleWriter

    carry = BundleWriter.carry

    def wrong(self: BundleWriter, name: str, *rest: Any) -> None:
        carry(self, f"{name}x" if name.endswith("beta/.ATTRIBUTES/VARIABLE_VALUE") else name, *rest)

    monkeypatch.setattr(BundleWriter, "carry", wrong)
    with pytest.raises(ProofError, match="missing; bert/embeddings/LayerNorm/beta belongs there"):
        tfckpt.convert(bert, tmp_path / "out", update_state=True, prove=True)
    assert not (tmp_path / "checkpoint").exists()


def test_the_command_says_right_in_two_lines(bert: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dest = str(tmp_path / "out")
    assert main(["convert", bert, dest, "--prove"]) == 0
    assert f"proved: all 39 tensors match {bert}, and every checksum matches" in capsys.readouterr().out.splitlines()
    assert main(["prove", bert, dest]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"OK: all 39 tensors match {bert}",
        f"proved: {dest} (target 'encoder', at encoder); every checksum of both files matches",
    ]


def test_the_command_as_json_gives_a_line_to_each_tensor(
    bert: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dest = str(tmp_path / "out")
    assert main(["convert", bert, dest, "--prove", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["proved"] is True
    assert main(["prove", bert, dest, "--json"]) == 0
    text = capsys.readouterr().out
    report = json.loads(text)
    assert report["proved"] is True
    assert [tensor["verdict"] for tensor in report["tensors"]] == ["same"] * 39
    assert sum('"verdict": "same"' in line for line in text.splitlines()) == 39


def test_the_command_fails_with_every_difference(bert: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = variable_key("encoder/layer_with_weights-3/beta")

    def lose(graph: ObjectGraph, tensors: dict[str, Any]) -> None:
        del tensors[key]

    dest = converted(bert, tmp_path, lose)
    assert main(["prove", bert, dest, "--json"]) == 1
    out, err = capsys.readouterr()
    problem = "missing; bert/embeddings/LayerNorm/beta belongs there"
    assert err == f"tfckpt prove: {dest}: {key}: {problem}\n"
    report = json.loads(out)
    assert report["proved"] is False
    assert report["differences"] == [f"{dest}: {key}: {problem}"]
    assert [t["verdict"] for t in report["tensors"] if t["verdict"] != "same"] == [problem]


def test_slots_and_kept_names_are_proved_too(bert: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"to": "pretrainer", "slots": "convert", "learning_rate": 1e-4, "keep_names": True}
    plan = tfckpt.convert(bert, tmp_path / "out", **options)
    proof = tfckpt.prove(bert, tmp_path / "out", **options)
    assert [(checked.step, checked.key) for checked in proof.tensors] == [(step, step.target) for step in plan.steps]
    with tfckpt.open(tmp_path / "out") as checkpoint:
        tensors = dict(checkpoint)
    tensors["bert/pooler/dense/bias"] = tensors["bert/pooler/dense/bias"] + 1
    tfckpt.save(tmp_path / "wrong", tensors)
    (line,) = differences(bert, tmp_path / "wrong", **options)
    assert line.startswith("bert/pooler/dense/bias: values differ from bert/pooler/dense/bias")
