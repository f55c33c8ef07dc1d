"""Names that another code gave: what is left over is paired with what is missing, or nothing is said."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commands import Captured, fail_and_advise

import tfckpt
from tfckpt.cli.main import main
from tfckpt.errors import PlanError

DATA = Path(__file__).parent / "data" / "bert_tf115"
CONFIG = json.loads((DATA / "bert_config.json").read_text("utf-8"))
Change = Callable[[str], str]


def variables() -> dict[str, Any]:
    """Return the model of a real checkpoint."""
    with tfckpt.open(DATA / "model.ckpt-3") as checkpoint:
        return {n: np.array(v) for n, v in checkpoint.items() if "/adam_" not in n and n != "global_step"}


def source(tmp_path: Path, change: Change, **more: Any) -> str:
    """Return the prefix of that model under other names, beside its configuration."""
    (tmp_path / "s").mkdir(parents=True)
    tfckpt.save(tmp_path / "s" / "model.ckpt", {**{change(name): value for name, value in variables().items()}, **more})
    (tmp_path / "s" / "bert_config.json").write_text(json.dumps(CONFIG))
    return str(tmp_path / "s" / "model.ckpt")


def renames(prefix: str, **options: Any) -> list[tuple[str, str]] | None:
    """Return what is said to mend the names; None if nothing is."""
    with pytest.raises(PlanError) as caught:
        tfckpt.plan(prefix, **options)
    said = [issue for issue in caught.value.issues if issue.code == "renamed"]
    assert len(said) <= 1
    return [*said[0].remedies[1].argument("rename")] if said else None


def replaced(old: str, new: str) -> Change:
    return lambda name: re.sub(old, new, name)


PART, END = "(?<=/)", "(?=/|$)"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (replaced("LayerNorm", "layer_normalization_7"), [(f"{PART}layer_normalization_7{END}", "LayerNorm")]),
        (replaced("LayerNorm", "a=b.c"), [(rf"{PART}a\x3db\.c{END}", "LayerNorm")]),
        (replaced("/dense/", "/fc/"), [(f"{PART}fc{END}", "dense")]),
        (replaced("kernel$", "w"), [(f"{PART}w{END}", "kernel")]),
        (replaced("/layer_", "/block"), [(r"^bert/encoder/block(?=\d)", "bert/encoder/layer_")]),
        (replaced("^bert/", "text/"), [("^text/", "bert/")]),
        (replaced("/", "."), [(r"\.", "/")]),
        (replaced("word_embeddings", "table"), [(f"{PART}table{END}", "word_embeddings")]),
        (replaced("/query/", "/lookup/"), [(f"{PART}lookup{END}", "query")]),
    ],
)
def test_what_one_substitution_mends_is_said_and_ends_with_every_value(
    tmp_path: Path, capsys: Captured, change: Change, expected: list[tuple[str, str]]
) -> None:
    prefix, dest = source(tmp_path, change), str(tmp_path / "d")
    assert renames(prefix) == expected
    lines, advice = fail_and_advise(capsys, "convert", prefix, dest)
    assert sum("under other names" in line for line in lines) == 1
    assert advice is not None
    assert main(shlex.split(advice)[1:]) == 0
    tfckpt.convert(DATA / "model.ckpt-3", tmp_path / "right")
    assert tfckpt.diff(dest, tmp_path / "right").same


@pytest.mark.parametrize(
    "change",
    [
        lambda name: name.replace("/query/", "/x/").replace("/key/", "/y/").replace("/value/", "/z/"),
        lambda name: name.replace("/query/", "/x/").replace("/key/", "/y/"),
        lambda name: name.replace("gamma", "p_0").replace("beta", "p_1"),
    ],
    ids=["query, key and value", "query and key", "gamma and beta"],
)
def test_what_shape_and_place_do_not_tell_apart_is_never_paired(tmp_path: Path, change: Change) -> None:
    assert renames(source(tmp_path, change)) is None


def test_values_of_another_shape_are_never_paired(tmp_path: Path) -> None:
    prefix = source(tmp_path, replaced("position_embeddings", "positions"))
    with tfckpt.open(prefix) as checkpoint:
        tensors = dict(checkpoint)
    tensors["bert/embeddings/positions"] = np.zeros((16, 9), np.float32)
    tfckpt.save(prefix, tensors, overwrite=True)
    assert renames(prefix) is None


def test_what_no_substitution_mends_wholly_is_not_said(tmp_path: Path) -> None:
    adapter = {"bert/encoder/layer_0/adapter/kernel": np.zeros((8, 3), np.float32)}
    assert renames(source(tmp_path, replaced("LayerNorm", "ln"), **adapter)) is None


def test_the_head_that_a_target_drops_keeps_its_own_names(tmp_path: Path) -> None:
    prefix = source(tmp_path, lambda name: name.replace("LayerNorm", "ln") if name.startswith("bert/") else name)
    assert renames(prefix, to="pretrainer") == [(f"{PART}ln{END}", "LayerNorm")]


def dense(start: str, rows: int = 8, columns: int = 8) -> dict[str, Any]:
    return {
        f"{start}/kernel": np.full((rows, columns), 7, np.float32),
        f"{start}/bias": np.full(columns, 7, np.float32),
    }


@pytest.mark.parametrize(
    ("gone", "more"),
    [
        ("bert/pooler/.*", dense("bert/adapter/dense")),
        ("bert/pooler/.*", dense("my_head/dense")),
        (
            "bert/encoder/layer_0/attention/output/LayerNorm/beta",
            {"bert/encoder/layer_0/attention/output/adapter/beta": np.full(8, 7, np.float32)},
        ),
        ("bert/encoder/layer_1/attention/self/query/.*", dense("bert/encoder/layer_1/attention/self/lora")),
        ("bert/embeddings/LayerNorm/gamma", {"bert/embeddings/other/beta": np.full(8, 7, np.float32)}),
    ],
    ids=[
        "an adapter for a pooler",
        "a head for a pooler",
        "one of a scope that is there",
        "a query that other layers have",
        "a beta for a gamma",
    ],
)
def test_what_may_be_something_else_is_never_paired(tmp_path: Path, gone: str, more: dict[str, Any]) -> None:
    prefix = source(tmp_path, str)
    with tfckpt.open(prefix) as checkpoint:
        tensors = {name: value for name, value in checkpoint.items() if not re.fullmatch(gone, name)}
    tfckpt.save(prefix, tensors | more, overwrite=True)
    assert renames(prefix) is None


def test_an_electra_has_no_pooler_under_any_name(tmp_path: Path) -> None:
    data = DATA.parent / "electra_tf115"
    with tfckpt.open(data / "model.ckpt-3") as checkpoint:
        size = checkpoint["electra/encoder/layer_0/output/dense/bias"].shape[0]
        tfckpt.save(tmp_path / "m", {**checkpoint, **dense("task/dense", size, size)})
    with pytest.raises(PlanError) as caught:
        tfckpt.plan(tmp_path / "m", config=data / "bert_config.json")
    assert "renamed" not in {issue.code for issue in caught.value.issues}


def test_a_mobilebert_whose_norms_are_called_otherwise_may_be_a_student_or_a_teacher(tmp_path: Path) -> None:
    data = DATA.parent / "mobilebert_student_tf115"
    with tfckpt.open(data / "model.ckpt-3") as checkpoint:
        tfckpt.save(tmp_path / "m", {n.replace("FakeLayerNorm", "norm"): v for n, v in checkpoint.items()})
    with pytest.raises(PlanError) as caught:
        tfckpt.plan(tmp_path / "m", config=next(data.glob("*_config.json")))
    assert "renamed" not in {issue.code for issue in caught.value.issues}


@pytest.mark.parametrize("command", ["convert {0} {1}", "convert {0} {0}/below"], ids=["taken", "below a file"])
def test_no_substitution_is_said_where_nothing_could_be_written(tmp_path: Path, capsys: Captured, command: str) -> None:
    prefix = source(tmp_path, replaced("LayerNorm", "ln"))
    (tmp_path / "s" / "model.ckpt").write_text("")
    tfckpt.save(tmp_path / "d", {"x": 1})
    lines, advice = fail_and_advise(capsys, *command.format(prefix, tmp_path / "d").split())
    assert any("under other names" in line for line in lines)
    assert advice is None


@pytest.mark.parametrize("command", ["diff {0} {1} --map encoder", "prove {0} {1}"])
def test_every_command_that_plans_finds_the_names(tmp_path: Path, capsys: Captured, command: str) -> None:
    prefix = source(tmp_path, replaced("LayerNorm", "ln"))
    argv = command.format(prefix, DATA / "model.ckpt-3").split()
    lines, advice = fail_and_advise(capsys, *argv, code=2 if argv[0] == "diff" else 1)
    assert any("under other names" in line for line in lines)
    assert advice == shlex.join(["tfckpt", *argv, "--rename", "auto"])


@pytest.mark.parametrize(
    ("config", "more"),
    [
        (CONFIG | {"vocab_size": 31}, {}),
        (CONFIG, {"bert/encoder/layer_0/adapter/kernel": np.zeros((8, 3), np.float32)}),
        ({"vocab_size": 30}, {}),
    ],
    ids=["a size as well", "a variable more", "no head count"],
)
def test_where_more_is_wrong_the_pairs_are_said_and_no_substitution(
    tmp_path: Path, capsys: Captured, config: dict[str, Any], more: dict[str, Any]
) -> None:
    prefix = source(tmp_path, replaced("LayerNorm", "ln"), **more)
    (tmp_path / "s" / "bert_config.json").write_text(json.dumps(config))
    lines, advice = fail_and_advise(capsys, "convert", prefix, str(tmp_path / "d"))
    assert sum("ln/beta is bert/embeddings/LayerNorm/beta, told by place and shape" in line for line in lines) == 1
    assert advice is None or "--rename" not in advice
    assert renames(prefix) is None


def test_paths_that_look_like_shell_are_only_paths(tmp_path: Path, capsys: Captured) -> None:
    prefix = source(tmp_path / "a && b | tfckpt c 'd", replaced("LayerNorm", "ln"))
    _, advice = fail_and_advise(capsys, "convert", prefix, str(tmp_path / "out"))
    assert advice is not None
    words = shlex.split(advice)
    assert words == ["tfckpt", "convert", prefix, str(tmp_path / "out"), "--rename", "auto"]
    assert main(words[1:]) == 0
    tfckpt.convert(DATA / "model.ckpt-3", tmp_path / "right")
    assert tfckpt.diff(tmp_path / "out", tmp_path / "right").same
