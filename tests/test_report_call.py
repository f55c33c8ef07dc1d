"""The call `tfckpt.report`: what a checkpoint is, what another one is taken for, where two of them differ."""

from __future__ import annotations

import json
import shutil
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commands import Captured, fail, succeed, succeed_json

import tfckpt
from tfckpt.about.kinds import KINDS, WORDS, kind_of
from tfckpt.errors import CheckpointExistsError, UsageError
from tfckpt.types import Report

DATA = Path(__file__).parent / "data"
LAYER = "bert/encoder/layer_1"


def changed(source: str, dest: Path, changes: dict[str, Any], without: str = "") -> Path:
    """Write a checkpoint that is another one but for some values; return its prefix."""
    with tfckpt.open(source) as checkpoint:
        tensors = {name: value for name, value in checkpoint.items() if not without or not name.startswith(without)}
    tfckpt.save(dest, tensors | changes)
    return dest


def without_values(source: str | Path, dest: Path) -> Path:
    """Copy a checkpoint with zeros for all values, but for the object graph's; return the prefix."""
    for suffix in (".index", ".data-00000-of-00001"):
        shutil.copy(f"{source}{suffix}", f"{dest}{suffix}")
    with tfckpt.open(dest) as checkpoint, open(f"{dest}.data-00000-of-00001", "r+b") as file:
        for entry in checkpoint.entries():
            if entry.name != "_CHECKPOINTABLE_OBJECT_GRAPH":
                file.seek(entry.offset)
                file.write(bytes(entry.nbytes))
    return dest


def sums(report: Report) -> dict[tuple[str, str], dict[str, Any]]:
    """Return what a comparison says of each layer and kind."""
    assert report.comparison is not None
    return {("/".join(group["layer"]), group["kind"]): group for group in report.comparison["layers"]}


def test_the_call_returns_what_the_command_prints(bert: str, capsys: Captured) -> None:
    found = tfckpt.report(bert, to="encoder", bins=5)
    assert json.loads(json.dumps(found.to_json())) == succeed_json(
        capsys, "report", bert, "--to", "encoder", "--bins", "5"
    )


def test_a_report_is_frozen_and_its_repr_is_a_line(bert: str, tmp_path: Path) -> None:
    found = tfckpt.report(bert)
    about = "BERT, 139 tensors, 1,808 parameters, 2 layers, 2 heads, float32, int64, global_step 3"
    assert repr(found) == f"<Report on {bert!r}: {about}>"
    with pytest.raises(FrozenInstanceError):
        found.source = "other"  # type: ignore[misc]
    tfckpt.convert(bert, tmp_path / "out")
    found = tfckpt.report(bert, tmp_path / "out")
    assert repr(found).endswith("; 'encoder': proved, every value is as it should be>")
    assert (found.source, found.dest, found.problems) == (bert, str(tmp_path / "out"), ())


def test_notebooks_get_a_short_summary_in_which_names_are_text(tmp_path: Path) -> None:
    directory = tmp_path / "<img src=x onerror=alert(1)>"
    tfckpt.save(directory / "c", {"<script>alert(1)</script>": np.arange(3)})
    with open(f"{directory}/c.data-00000-of-00001", "r+b") as file:
        file.write(b"!")
    shown = tfckpt.report(directory / "c")._repr_html_()
    assert "&lt;img src=x onerror=alert(1)&gt;" in shown
    assert "&lt;script&gt;" in shown  # of what is wrong with it
    assert "<img" not in shown
    assert "<script" not in shown


def test_the_page_is_written_if_asked_for(bert: str, tmp_path: Path) -> None:
    found = tfckpt.report(bert, output=tmp_path / "new" / "r.html")
    text = (tmp_path / "new" / "r.html").read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>")
    assert json.dumps(found.summary.parameters) in text
    with pytest.raises(CheckpointExistsError):
        tfckpt.report(bert, output=tmp_path / "new" / "r.html")
    tfckpt.report(bert, output=tmp_path / "new" / "r.html", overwrite=True)


@pytest.mark.parametrize(
    ("bins", "said"), [(0, "expected 1 or more"), (1001, "expected 1000 or fewer"), (1.5, "whole")]
)
def test_histograms_have_one_to_a_thousand_bars(bert: str, bins: Any, said: str) -> None:
    with pytest.raises(UsageError, match=rf"^bins: .*{said}"):
        tfckpt.report(bert, bins=bins)


@pytest.mark.parametrize(
    ("source", "family", "layers", "heads"),
    [
        ("bert_tf115", "BERT", (2, "the names"), (2, "bert_config.json")),
        ("albert_tf115", "ALBERT", (3, "albert_config.json"), (2, "albert_config.json")),
        ("electra_tf115", "ELECTRA", (2, "the names"), (2, "bert_config.json")),
        ("mobilebert_student_tf115", "MobileBERT", (2, "the names"), (2, "bert_config.json")),
    ],
)
def test_the_summary_knows_the_families(
    source: str, family: str, layers: tuple[int, str], heads: tuple[int, str], tmp_path: Path
) -> None:
    found = tfckpt.report(DATA / source)
    assert found.summary.family == family
    assert found.summary.layers is not None
    assert found.summary.heads is not None
    config = json.loads((DATA / source / heads[1]).read_text(encoding="utf-8"))
    assert found.summary.layers[:2] == (config.get("num_hidden_layers", layers[0]), layers[1])
    assert found.summary.heads[:2] == (config.get("num_attention_heads", heads[0]), heads[1])
    tfckpt.convert(DATA / source, tmp_path / "out", fill="zeros")
    converted = tfckpt.report(tmp_path / "out").summary
    assert converted.family is not None
    assert family in converted.family.split(" or ")
    assert converted.heads == (found.summary.heads.value, "the shapes", "")
    model = [tensor for tensor in found.tensors if tensor.role == "model"]
    assert found.summary.parameters == sum(tensor.entry.size for tensor in model)


def test_the_steps_of_objects_are_found(bert: str, tmp_path: Path) -> None:
    tfckpt.convert(bert, tmp_path / "out", slots="convert")
    assert tfckpt.report(tmp_path / "out").summary.steps == {"optimizer/iter": 3}
    assert tfckpt.report(tmp_path / "out", stats=False).summary.steps == {"optimizer/iter": None}
    assert tfckpt.report(DATA / "bundles" / "tf220" / "objects-1").summary.steps == {"save_counter": 1}


def test_kinds_are_told_by_the_words_of_a_path_and_the_role() -> None:
    assert set(WORDS) < set(KINDS)
    told = {
        "bert/embeddings/word_embeddings": "embeddings",
        "bert/encoder/layer_0/attention/output/dense/kernel": "attention",
        "bert/encoder/layer_0/intermediate/dense/kernel": "feed-forward",
        "bert/encoder/layer_0/output/LayerNorm/gamma": "feed-forward",
        "bert/encoder/transformer/group_0/inner_group_0/ffn_1/intermediate/dense/bias": "feed-forward",
        "encoder/_transformer_layers/0/_attention_layer/_output_dense/kernel": "attention",
        "encoder/_transformer_layers/0/_output_layer_norm/beta": "feed-forward",
        "model/masked_lm/embedding_table": "embeddings",
        "model/masked_lm/dense/kernel": "heads",
        "bert/pooler/dense/bias": "heads",
        "output_weights": "heads",
        "decoder/block_0/SelfAttention/q": "attention",
        "conv1/kernel": "other",
    }
    assert {name: kind_of(tuple(name.split("/")), "model") for name in told} == told
    assert kind_of(("bert", "pooler", "dense", "bias", "adam_m"), "optimizer state") == "optimizer"


def test_two_checkpoints_with_the_same_names_are_compared(bert: str, tmp_path: Path, capsys: Captured) -> None:
    with tfckpt.open(bert) as checkpoint:
        kernel, bias = (
            np.array(checkpoint[f"{LAYER}/attention/self/query/kernel"]),
            checkpoint["bert/pooler/dense/bias"],
        )
    kernel[0, :2] += (0.5, -0.25)
    other = changed(
        bert,
        tmp_path / "b",
        {
            f"{LAYER}/attention/self/query/kernel": kernel,
            "bert/pooler/dense/bias": np.where(np.arange(8) < 3, np.nan, bias),
            f"{LAYER}/output/dense/bias": np.zeros(9, np.float32),
            "output_weights": np.ones((2, 8), np.float32),
        },
        without="cls/",
    )
    found = tfckpt.report(bert, other)
    assert found.relation == ("comparison", "39 of its 40 model tensors are named as in the source")
    assert found.mapping is None
    assert found.problems == ()
    groups = sums(found)
    attention = groups[LAYER, "attention"]
    assert (attention["tensors"], attention["differing"]) == (10, 1)
    assert attention["max_absolute"] == pytest.approx(0.5, rel=1e-6)
    assert groups["bert/encoder/layer_0", "attention"]["max_absolute"] == 0
    assert (groups["bert/pooler", "heads"]["one_sided"], groups["bert/pooler", "heads"]["differing"]) == (3, 1)
    assert (groups[LAYER, "feed-forward"]["differing"], groups["", "heads"]["only_in_one"]) == (1, 1)
    compared = tfckpt.diff(bert, other)
    assert found.comparison is not None
    assert found.comparison["differing"] == len(compared.differing)
    assert [pair.to_json()["verdict"] for pair in compared.pairs] == [t["verdict"] for t in found.comparison["tensors"]]
    lines = succeed(capsys, "report", bert, str(other), "-o", str(tmp_path / "r.html"))
    assert lines[1:] == [
        f"{other}: taken as a comparison: 39 of its 40 model tensors are named as in the source",
        f"{found.comparison['differing']} of 140 tensors differ",
    ]


def test_one_layout_of_objects_is_compared_too(bert: str, tmp_path: Path) -> None:
    tfckpt.convert(bert, tmp_path / "a")
    tfckpt.rewrite(tmp_path / "a", tmp_path / "b")
    found = tfckpt.report(tmp_path / "a", tmp_path / "b")
    assert found.relation is not None
    assert found.relation.taken_as == "comparison"
    assert found.comparison is not None
    assert (found.comparison["same"], found.findings[1]) == (True, "40 tensors, all the same")


@pytest.mark.parametrize(
    ("to", "options", "asked", "why"),
    [
        ("encoder", {}, {}, "it is object-based and the source is not"),
        ("encoder", {"keep_names": True}, {}, "it is object-based and the source is not"),
        ("keras", {}, {}, "only 7 of its 46 model tensors are named as in the source"),
        ("encoder", {}, {"to": "encoder"}, "the option 'to' asks for one"),
        ("encoder", {"vocab_size": 40}, {"vocab_size": 40}, "the option 'vocab_size' asks for one"),
    ],
    ids=str,
)
def test_what_has_other_names_is_a_conversion(
    bert: str, tmp_path: Path, to: str, options: dict[str, Any], asked: dict[str, Any], why: str
) -> None:
    tfckpt.convert(bert, tmp_path / "out", to=to, **options)
    found = tfckpt.report(bert, tmp_path / "out", **asked)
    assert found.relation == ("conversion", why)
    assert found.mapping is not None
    assert (found.mapping["to"], found.mapping["proved"], found.comparison) == (to, True, None)


def test_without_statistics_no_tensor_of_either_is_read(bert: str, tmp_path: Path, capsys: Captured) -> None:
    tfckpt.convert(bert, tmp_path / "out")
    source, dest = without_values(bert, tmp_path / "a"), without_values(tmp_path / "out", tmp_path / "b")
    found = tfckpt.report(source, dest, stats=False, num_heads=2)
    assert found.mapping is not None
    assert (found.mapping["proved"], found.mapping["values_compared"], found.problems) == (None, False, ())
    assert {step["problem"] for step in found.mapping["steps"]} == {None}
    assert found.findings[1] == "'encoder': names, dtypes and shapes are as they should be, values were not compared"
    same = tfckpt.report(source, without_values(bert, tmp_path / "c"), stats=False)
    assert same.comparison is not None
    assert (same.comparison["same"], same.comparison["values_compared"]) == (None, False)
    assert same.findings[1] == "0 of 139 tensors differ by name, dtype or shape, values were not compared"
    document = succeed_json(capsys, "report", str(source), str(dest), "--no-stats", "--num-heads", "2")
    assert "proved" not in json.dumps(document).replace('"proved": null', "")
    assert fail(capsys, "report", str(source), str(dest), "--num-heads", "2", "--json")


def test_without_statistics_a_wrong_shape_or_name_is_found_all_the_same(bert: str, tmp_path: Path) -> None:
    tfckpt.convert(bert, tmp_path / "out", vocab_size=40)
    found = tfckpt.report(bert, tmp_path / "out", stats=False)
    (line,) = found.problems
    assert "expected shape float32[30, 8], got float32[40, 8]" in line
    assert found.mapping is not None
    assert found.mapping["proved"] is False
    other = changed(bert, tmp_path / "b", {"bert/pooler/dense/bias": np.zeros(9, np.float32)})
    compared = tfckpt.report(bert, other, stats=False)
    assert sums(compared)["bert/pooler", "heads"]["differing"] == 1
    assert compared.comparison is not None
    assert compared.comparison["same"] is False


def test_damage_of_either_is_a_problem_of_the_comparison(bert: str, tmp_path: Path, capsys: Captured) -> None:
    other = changed(bert, tmp_path / "b", {})
    with tfckpt.open(other) as checkpoint:
        offset = checkpoint.entry("bert/pooler/dense/kernel").offset
    with open(f"{other}.data-00000-of-00001", "r+b") as file:
        file.seek(offset)
        file.write(b"!!!!")
    found = tfckpt.report(bert, other)
    (line,) = found.problems
    assert "'bert/pooler/dense/kernel'" in line
    assert sums(found)["bert/pooler", "heads"]["unreadable"] == 1
    assert found.comparison is not None
    assert found.comparison["same"] is None
    assert found.findings[1] == "0 of 139 tensors differ, 1 cannot be read"
    assert fail(capsys, "report", bert, str(other), "-o", str(tmp_path / "r.html")) == [line]


def test_a_proof_without_values_proves_nothing(bert: str, tmp_path: Path) -> None:
    from tfckpt.proof.prove import compare

    plan = tfckpt.convert(bert, tmp_path / "out")
    with tfckpt.open(bert) as source, tfckpt.open(tmp_path / "out") as dest:
        proof = compare(plan, source, dest, values=False)
    assert (proof.differences, proof.to_json()["proved"], proof.from_source) == ((), False, 0)


def test_looking_for_a_model_counts_the_keys_of_each_node_once(
    bert: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tfckpt.proof import places

    plan = tfckpt.convert(bert, tmp_path / "out", slots="convert")
    assert plan.object_graph is not None
    calls: list[int] = []
    keys = places._keys

    def counted(planned: Any, other: Any, pairs: Any) -> Any:
        calls.append(len(pairs))
        return keys(planned, other, pairs)

    monkeypatch.setattr(places, "_keys", counted)
    assert places.find_places(plan.object_graph, plan.model, plan.object_graph).keys
    assert len(calls) == len(plan.object_graph.ways()) + 1  # and once for all of what was found
