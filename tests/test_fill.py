"""Variables that the source lacks: what values they get, which are refused, and that no proof takes them for the source's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commands import Captured, succeed, succeed_json
from support.gpt2 import HPARAMS, LAYOUT, make_gpt2

import tfckpt
from tfckpt._proto.types_pb2 import DT_FLOAT
from tfckpt.base.issues import give
from tfckpt.bundle.values.entry import Entry
from tfckpt.checkpoint.graph.object_graph import variable_key
from tfckpt.cli.ui.planned import what_holds
from tfckpt.errors import PlanError, ProofError
from tfckpt.families.catalog import CATALOG
from tfckpt.families.language.layouts import ObjectRows
from tfckpt.families.language.target import TargetVariable
from tfckpt.planning.asked.fills import own_fill
from tfckpt.planning.steps import Fill, carrying, filling

DATA = Path(__file__).parent / "data"
TRANSFORM = ("cls/predictions/transform/dense/kernel", "cls/predictions/transform/dense/bias")
POOLER = ("bert/pooler/dense/kernel", "bert/pooler/dense/bias")
POOLED = "encoder/layer_with_weights-6"  # the pooler's object, of two layers
LAST_LAYER = [
    f"bert/encoder/layer_1/output/{name}"
    for name in ("dense/kernel", "dense/bias", "LayerNorm/gamma", "LayerNorm/beta")
]
UNTRAINED = "filled with zeros, from which training cannot start"


def source(name: str) -> str:
    return str(DATA / name / "model.ckpt-3")


def read(prefix: Path, path: str) -> Any:
    return tfckpt.load_variable(str(prefix), variable_key(path))


def test_a_norm_gets_ones_and_zeros_and_a_kernel_what_was_asked_for(tmp_path: Path) -> None:
    tfckpt.convert(
        source("bert_tf115"), tmp_path / "out", to="pretrainer", exclude=["cls/"], fill="normal:3", prove=True
    )
    np.testing.assert_array_equal(read(tmp_path / "out", "masked_lm/layer_norm/gamma"), np.ones(8, np.float32))
    np.testing.assert_array_equal(read(tmp_path / "out", "masked_lm/layer_norm/beta"), np.zeros(8, np.float32))
    np.testing.assert_array_equal(read(tmp_path / "out", "masked_lm/dense/bias"), np.zeros(8, np.float32))
    np.testing.assert_array_equal(read(tmp_path / "out", "masked_lm/output_bias.Sbias"), np.zeros(30, np.float32))
    expected = np.random.default_rng(3).normal(0, 0.02, (8, 8)).astype(np.float32)
    np.testing.assert_array_equal(read(tmp_path / "out", "masked_lm/dense/kernel"), expected)


@pytest.mark.parametrize(
    ("attribute", "axes", "expected"),
    [
        ("bias", "(a d) -> a d", "zeros"),
        ("kernel", "h (a d) -> h a d", "3"),
        ("w", "1 h -> h", "zeros"),
        ("w", "c h", "3"),
    ],
)
def test_a_bias_that_is_split_into_heads_is_one_nevertheless(attribute: str, axes: str, expected: str) -> None:
    assert str(own_fill(TargetVariable("name", "key", axes, attribute), Fill(3.0), 0)) == expected


def test_a_scale_that_belongs_to_no_real_norm_gets_ones_too() -> None:
    lost = "bert/encoder/layer_0/bottleneck/input/FakeLayerNorm"
    plan = tfckpt.plan(source("mobilebert_student_tf115"), exclude=[f"={lost}/gamma", f"={lost}/beta"], fill="normal:1")
    fills = {step.target.split("/.ATTR")[0].rpartition("/")[2]: str(step.fill) for step in plan.steps if step.fill}
    assert fills == {"gamma": "ones", "beta": "zeros"}


def test_a_layout_of_ones_own_tells_scales_by_their_attribute(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "model.ckpt", make_gpt2())
    (tmp_path / "hparams.json").write_text(json.dumps(HPARAMS), encoding="utf-8")
    options: dict[str, Any] = {
        "layout": LAYOUT,
        "config": tmp_path / "hparams.json",
        "exclude": [f"=model/{name}" for name in ("ln_f/g", "ln_f/b", "h0/attn/c_proj/w", "h0/attn/c_proj/b")],
    }
    plan = tfckpt.plan(tmp_path / "model.ckpt", **options, fill="normal:1")
    fills = {step.target.split("/.ATTR")[0]: str(step.fill) for step in plan.steps if step.fill is not None}
    assert fills == {
        "model/blocks/0/attn/c_proj/kernel": "normal, deviation 0.02, seed 3",
        "model/blocks/0/attn/c_proj/bias": "zeros",
        "model/ln_f/gamma": "ones",
        "model/ln_f/beta": "zeros",
    }


NEXT_SENTENCE = (*POOLER, "cls/seq_relationship/output_weights")
CLASSES = (*POOLER, "output_weights")
FEED_FORWARD = ("intermediate/dense/kernel", "intermediate/dense/bias", "output/dense/kernel")
VALUE = ("self/value/kernel", "self/value/bias", "output/dense/kernel")
QUERY = ("query/kernel", "query/bias", "key/kernel", "key/bias")
ALBERTS = "bert/encoder/transformer/group_0/inner_group_0/ffn_1/intermediate/"
REFUSED = [  # source, target, and the names, the first part of which they share
    ("bert_tf115", "pretrainer", "", TRANSFORM),
    ("albert_tf115", "pretrainer", "", TRANSFORM),
    ("mobilebert_student_tf115", "pretrainer", "", TRANSFORM),
    ("electra_tf115", "pretrainer", "generator_predictions/dense/", ("kernel", "bias")),
    ("electra_tf115", "pretrainer", "discriminator_predictions/", ("dense/kernel", "dense/bias", "dense_1/kernel")),
    ("bert_tf115", "bert-pretrainer", "", NEXT_SENTENCE),
    ("bert_tf115", "pretrain-model", "", NEXT_SENTENCE),
    ("classifier_tf115", "classifier", "", CLASSES),
    ("classifier_tf115", "classifier-own-pooler", "", CLASSES),
    ("bert_tf115", "encoder", "bert/encoder/layer_1/attention/self/", QUERY),
    ("bert_tf115", "bert-model", "bert/encoder/layer_0/attention/", VALUE),
    ("bert_tf115", "encoder", "bert/encoder/layer_0/", FEED_FORWARD),
    ("albert_tf115", "encoder", ALBERTS, ("dense/kernel", "dense/bias", "output/dense/kernel")),
    ("electra_tf115", "encoder", "electra/encoder/layer_0/", FEED_FORWARD),
    ("electra_tf115", "generator", "generator/encoder/layer_1/", FEED_FORWARD),
    ("mobilebert_student_tf115", "encoder", "bert/encoder/layer_0/ffn_layer_0/", FEED_FORWARD),
    ("mobilebert_teacher_tf115", "encoder", "bert/encoder/layer_1/bottleneck/input/dense/", ("kernel", "bias")),
]


def refusals(name: str, to: str, excluded: Sequence[str], fill: str) -> list[str]:
    """Return the complaints, but for those about a size: of a head's classes nothing tells the number."""
    try:
        assert tfckpt.plan(source(name), to=to, exclude=[f"={name}" for name in excluded], fill=fill).filled >= len(
            excluded
        )
    except PlanError as error:
        return [line for line in error.reasons if "nothing shows its size" not in line]
    return []


@pytest.mark.parametrize(("name", "to", "under", "names"), REFUSED)
def test_zeros_that_no_gradient_gets_through_are_refused(name: str, to: str, under: str, names: Sequence[str]) -> None:
    missing = [under + name for name in names]
    (line,) = refusals(name, to, missing, "zeros")
    assert line.startswith(f"{source(name)}: {', '.join(missing)}: {UNTRAINED}: ")
    assert line.endswith('; fill="normal:SEED" gives values from which it can')
    assert not refusals(name, to, missing, "normal:1")
    for kept in missing:
        assert not refusals(name, to, [name for name in missing if name != kept], "zeros")


def test_what_to_type_instead_is_said() -> None:
    with pytest.raises(PlanError) as caught:
        tfckpt.plan(source("bert_tf115"), to="pretrainer", exclude=["cls/"], fill="zeros")
    assert caught.value.remedies == (give(fill="normal:1"),)
    assert len(caught.value.reasons) == 1


def test_a_scope_stands_before_the_names_that_are_refused(bert: str, tmp_path: Path) -> None:
    with tfckpt.open(bert) as checkpoint:
        tensors = {f"module/{n}": v for n, v in checkpoint.items() if n.startswith("bert/") and "/adam_" not in n}
    tfckpt.save(tmp_path / "c", tensors)
    with pytest.raises(PlanError, match=r": module/cls/predictions/transform/dense/kernel, module/cls/predictions/"):
        tfckpt.plan(tmp_path / "c", to="pretrainer", fill="zeros", num_heads=2)


def test_a_head_that_reads_no_pooler_and_what_electra_never_trains_may_be_zeros() -> None:
    assert not refusals("token_tf115", "token-classifier", CLASSES, "zeros")
    assert not refusals("electra_tf115", "pretrainer", (), "zeros")


@pytest.mark.parametrize("layout", CATALOG.models, ids=lambda layout: f"{layout.family.name}-{layout.name}")
def test_what_must_not_be_zeros_are_variables_of_the_target(layout: ObjectRows) -> None:
    parts = [placed.part for placed in layout.parts]
    names = {row.name for part in parts for row in part.variables(lambda *prefixes: range(2))}
    found = [item for part in parts for item in part.all_not_zeros(lambda *prefixes: range(2))]
    assert found
    assert not {name for item in found for name in item.names} - names


def test_plan_proof_and_outcome_count_what_was_filled(bert: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"to": "pretrainer", "exclude": ["cls/"], "fill": "normal:1"}
    plan = tfckpt.convert(bert, tmp_path / "out", **options)
    proof = tfckpt.prove(bert, tmp_path / "out", **options)
    with ThreadPoolExecutor(1) as pool:
        (outcome,) = tfckpt.convert_many([{"source": bert, "dest": tmp_path / "out", **options}], pool)
    assert outcome.status == "skipped"
    for found in (plan, proof, outcome):
        assert (found.from_source, found.filled) == (39, 5)
        document = found.to_json()
        assert (document["from_source"], document["filled"]) == (39, 5)
    whole = tfckpt.convert(bert, tmp_path / "whole")
    assert (whole.from_source, whole.filled) == (39, 0)


def test_a_proof_that_fails_counts_only_what_is_right(bert: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"exclude": ["pooler"], "fill": "zeros"}
    tfckpt.convert(bert, tmp_path / "out", **options)
    with tfckpt.open(tmp_path / "out") as checkpoint:
        tensors = dict(checkpoint)
    for name in (f"{POOLED}/kernel", "encoder/layer_with_weights-3/beta", "encoder/layer_with_weights-3/gamma"):
        tensors[variable_key(name)] = tensors[variable_key(name)] + 1
    tfckpt.save(tmp_path / "wrong", tensors)
    with pytest.raises(ProofError) as caught:
        tfckpt.prove(bert, tmp_path / "wrong", **options)
    report = caught.value.report
    assert report is not None
    assert (report["from_source"], report["filled"], len(report["tensors"])) == (35, 1, 39)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--exclude", "pooler", "--fill", "normal:1"],
            "37 tensors hold the source's values, 2 were filled (normal, deviation 0.02, seed 1; zeros)",
        ),
        (["--exclude", "pooler", "--fill", "zeros"], "37 tensors hold the source's values, 2 were filled (zeros)"),
        (
            ["--exclude", "pooler/dense/bias", "--fill", "zeros"],
            "38 tensors hold the source's values, 1 was filled (zeros)",
        ),
        (
            [word for name in LAST_LAYER for word in ("--exclude", f"={name}")]
            + ["--exclude", "pooler", "--fill", "normal:7"],
            "33 tensors hold the source's values, 6 were filled (normal, deviation 0.02, seeds 7 to 9; zeros; ones)",
        ),
    ],
)
def test_the_commands_say_how_many_hold_the_sources_values(
    bert: str, tmp_path: Path, capsys: Captured, options: list[str], said: str
) -> None:
    dest = str(tmp_path / "out")
    proved = f"proved: {said}, and every checksum matches"
    assert proved in succeed(capsys, "convert", bert, dest, "--prove", *options)
    assert f"OK: {said}" in succeed(capsys, "prove", bert, dest, *options)


def test_one_tensor_holds() -> None:
    step = carrying(Entry("a", DT_FLOAT, (2,), 0, 0, 8, 0), "b")
    assert what_holds([step, step], "c") == "all 2 tensors match c"
    assert what_holds([step, filling("b", DT_FLOAT, (2,), Fill(1.0))], "c") == (
        "1 tensor holds the source's values, 1 was filled (ones)"
    )


def test_the_documents_and_the_lines_of_many_have_the_counts(bert: str, tmp_path: Path, capsys: Captured) -> None:
    options = ["--exclude", "pooler", "--fill", "normal:1"]
    dest = str(tmp_path / "out")
    for command in ("convert", "prove"):
        more = ["--prove"] if command == "convert" else []
        document = succeed_json(capsys, command, bert, dest, *options, *more)
        assert (document["proved"], document["from_source"], document["filled"]) == (True, 37, 2)
    (tmp_path / "m.csv").write_text(f"source,destination,options\n{bert},out,{' '.join(options)}\n", encoding="utf-8")
    (job,) = succeed_json(capsys, "convert-many", str(tmp_path / "m.csv"), "--jobs", "1")["jobs"]
    assert (job["status"], job["from_source"], job["filled"]) == ("skipped", 37, 2)
    line = succeed(capsys, "convert-many", str(tmp_path / "m.csv"), "--jobs", "1")[0]
    assert line == f"skipped\t{bert}\t{dest}\tencoder: 39 variables, 2 of them filled, 6,688 bytes, 2 heads"
