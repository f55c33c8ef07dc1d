"""``--to auto``: the fullest target for what the source holds, and why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfckpt
from tfckpt.cli.main import main
from tfckpt.errors import PlanError
from tfckpt.families.catalog import CATALOG

DATA = Path(__file__).parent / "data"
CONFIG = DATA / "bert_tf115" / "bert_config.json"


def source(name: str) -> str:
    return str(DATA / name / "model.ckpt-3")


def changed(directory: Path, name: str, keep: Callable[[str], bool], scope: str = "", **more: Any) -> str:
    """Return the prefix of a copy with the variables whose names ``keep`` keeps, under a scope, and some more."""
    with tfckpt.open(source(name)) as checkpoint:
        tensors = {scope + name: value for name, value in checkpoint.items() if keep(name)}
    tfckpt.save(directory / "model.ckpt", tensors | more)
    return str(directory / "model.ckpt")


def choice(prefix: str, **options: Any) -> tuple[str, str]:
    plan = tfckpt.plan(prefix, to="auto", config=CONFIG, **options)
    return plan.to, plan.notes[0]


def test_a_pretrained_bert_with_both_heads_is_a_pretrainer() -> None:
    to, why = choice(source("bert_tf115"))
    assert to == "pretrainer"
    assert why == (
        "target 'pretrainer': the fullest for what the source holds: an encoder of BERT, masked-LM head, "
        "next-sentence head; pretrain-model, bert-pretrainer would hold the same"
    )


def test_without_a_next_sentence_head_only_the_new_pretrainer_fits(tmp_path: Path) -> None:
    to, why = choice(changed(tmp_path, "bert_tf115", lambda name: "seq_relationship" not in name))
    assert (to, why) == (
        "pretrainer",
        "target 'pretrainer': the fullest for what the source holds: an encoder of BERT, masked-LM head",
    )


def test_a_question_answering_head_is_a_span_labelers() -> None:
    to, why = choice(source("squad_tf115"))
    assert to == "span-labeler"
    assert why.endswith("an encoder of BERT, question-answering head")


def test_without_heads_it_is_an_encoder(tmp_path: Path) -> None:
    to, why = choice(changed(tmp_path, "bert_tf115", lambda name: name.startswith("bert/")))
    assert (to, why) == ("encoder", "target 'encoder': the fullest for what the source holds: an encoder of BERT")


def test_a_head_that_no_target_takes_by_itself_is_named(tmp_path: Path) -> None:
    to, why = choice(changed(tmp_path, "bert_tf115", lambda name: "cls/predictions" not in name))
    assert to == "encoder"
    assert why.endswith("an encoder of BERT; no target takes next-sentence head with it")


def test_other_families_have_heads_as_well() -> None:
    plan = tfckpt.plan(source("albert_tf115"), to="auto")
    assert plan.to == "pretrainer"
    assert plan.notes[0].endswith("an encoder of ALBERT, masked-LM head, sentence-order head")


@pytest.mark.parametrize(
    ("name", "to", "why"),
    [
        (
            "electra_tf115",
            "pretrainer",
            "an encoder of ELECTRA, generator, discriminator's head, masked-LM head; pretrainer-tied would hold the same",
        ),
        ("electra_cola_tf115", "encoder", "an encoder of ELECTRA; no target takes head of a fine-tuned task with it"),
        (
            "mobilebert_student_tf115",
            "pretrainer",
            "MobileBERT, masked-LM head; no target takes next-sentence head with it",
        ),
    ],
)
def test_electra_and_mobilebert_have_them_too(name: str, to: str, why: str) -> None:
    plan = tfckpt.plan(source(name), to="auto", fill="zeros")
    assert plan.to == to
    assert plan.notes[0].endswith(why)


def test_what_is_excluded_does_not_count() -> None:
    to, _ = choice(source("bert_tf115"), exclude=["cls/"])
    assert to == "encoder"
    to, _ = choice(source("classifier_tf115"), exclude=["output_"])
    assert to == "encoder"


def test_heads_are_found_under_a_scope(tmp_path: Path) -> None:
    assert choice(changed(tmp_path, "squad_tf115", lambda name: True, scope="module/"))[0] == "span-labeler"


def test_a_head_that_lost_a_variable_is_not_left_behind(tmp_path: Path) -> None:
    prefix = changed(tmp_path, "bert_tf115", lambda name: name != "cls/predictions/output_bias")
    with pytest.raises(PlanError) as caught:
        choice(prefix)
    (line,) = caught.value.reasons
    assert line.startswith(f"{prefix}: cls/predictions/output_bias: missing, and 'pretrainer' needs it")


def test_a_missing_pooler_does_not_change_the_choice(tmp_path: Path) -> None:
    prefix = changed(tmp_path, "bert_tf115", lambda name: "pooler" not in name)
    assert choice(prefix, fill="zeros")[0] == "pretrainer"


@pytest.mark.parametrize("name", ["classifier_tf115", "token_tf115"])
def test_a_classifier_and_a_tagger_are_not_told_apart(name: str) -> None:
    with pytest.raises(PlanError) as caught:
        choice(source(name))
    assert caught.value.reasons == (
        f"{source(name)}: names and shapes do not tell whether this is a model for classifier, token-classifier or "
        "classifier-own-pooler: give to with one of them",
    )


@pytest.mark.parametrize(("name", "to"), [("bert_tf115", "encoder"), ("squad_tf115", "span-labeler")])
def test_an_object_based_source_goes_back(name: str, to: str, tmp_path: Path) -> None:
    tfckpt.convert(source(name), tmp_path / "there", to=to)
    assert choice(str(tmp_path / "there")) == (
        "tf1",
        "target 'tf1': the source is object-based, and this is the way back",
    )
    plan = tfckpt.convert(tmp_path / "there", tmp_path / "back", to="auto", scope="module/")
    assert plan.scope == "module/"
    assert "module/bert/pooler/dense/bias" in tfckpt.open(tmp_path / "back")


def test_a_model_of_no_family_is_said(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "other", {"resnet/kernel": np.zeros(3, np.float32)})
    with pytest.raises(PlanError, match=r"no model of a known family: expected one of .*bert/.* \(BERT\)"):
        tfckpt.plan(tmp_path / "other", to="auto")


def test_the_result_is_that_of_the_chosen_target(tmp_path: Path) -> None:
    auto = tfckpt.convert(source("bert_tf115"), tmp_path / "auto", to="auto")
    named = tfckpt.convert(source("bert_tf115"), tmp_path / "named", to="pretrainer")
    assert (auto.steps, auto.dropped, auto.object_graph) == (named.steps, named.dropped, named.object_graph)
    assert auto.notes[1:] == named.notes


def test_the_command_line_takes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", source("bert_tf115"), "--to", "auto"]) == 0
    assert "note: target 'pretrainer': the fullest" in capsys.readouterr().out
    assert main(["convert", source("squad_tf115"), str(tmp_path / "out"), "--to", "auto"]) == 0
    assert main(["convert", source("token_tf115"), str(tmp_path / "none"), "--to", "auto"]) == 1
    assert "give --to with one of them" in capsys.readouterr().err
    assert not (tmp_path / "none.index").exists()


def test_targets_that_look_alike_are_targets() -> None:
    assert {name for family in CATALOG.families for names in family.look_alikes for name in names} <= set(CATALOG.names)
