"""Vocabulary and positions cut or extended: what is written has the new size, the source is still held to its own."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commands import Captured, fail_and_advise

import tfckpt
from tfckpt.checkpoint.graph.object_graph import variable_key
from tfckpt.cli.main import main
from tfckpt.errors import PlanError, ProofError, UsageError

WORDS = variable_key("encoder/layer_with_weights-0/embeddings")
POSITIONS = variable_key("encoder/layer_with_weights-1/embeddings")
TABLE = "bert/embeddings/word_embeddings"


def bias_key(checkpoint: tfckpt.Checkpoint) -> str:
    return checkpoint.key_at("masked_lm/output_bias.Sbias")


@pytest.mark.parametrize("fill", ["zeros", "mean"])
def test_what_has_a_row_for_each_word_gets_new_ones(bert: str, tmp_path: Path, fill: Any) -> None:
    tfckpt.convert(bert, tmp_path / "out", to="pretrainer", vocab_size=32, resize_fill=fill, prove=True)
    with tfckpt.open(bert) as source, tfckpt.open(tmp_path / "out") as dest:
        words, bias = source[TABLE], source["cls/predictions/output_bias"]
        table, other = dest[dest.key_at("encoder/_embedding_layer/embeddings")], dest[bias_key(dest)]
        expected_row = np.zeros(8, np.float32) if fill == "zeros" else words.mean(0, np.float64).astype(np.float32)
        expected_bias = np.float32(0) if fill == "zeros" else np.float32(bias.mean(dtype=np.float64))
        assert (table.dtype.name, table.shape, other.shape) == ("float32", (32, 8), (32,))
        np.testing.assert_array_equal(table[:30], words)
        np.testing.assert_array_equal(table[30:], np.stack([expected_row] * 2))
        np.testing.assert_array_equal(other, np.append(bias, [expected_bias] * 2))


def test_tables_are_cut_at_their_ends(bert: str, tmp_path: Path) -> None:
    plan = tfckpt.convert(bert, tmp_path / "out", vocab_size=29, max_positions=4)
    with tfckpt.open(bert) as source, tfckpt.open(tmp_path / "out") as dest:
        np.testing.assert_array_equal(dest[WORDS], source[TABLE][:29])
        np.testing.assert_array_equal(dest[POSITIONS], source["bert/embeddings/position_embeddings"][:4])
    assert plan.notes == (
        f"vocab_size: 30 -> 29: the last 1 row is cut off in {TABLE}",
        "max_position_embeddings: 16 -> 4: the last 12 rows are cut off in bert/embeddings/position_embeddings",
    )
    assert plan.nbytes == tfckpt.plan(bert).nbytes - 4 * 8 * 13


def test_the_report_names_the_change_and_keeps_the_sizes_of_the_source(bert: str) -> None:
    plan = tfckpt.plan(bert, vocab_size=64, resize_fill="mean")
    assert plan.notes == (f"vocab_size: 30 -> 64: 34 rows are added, the mean of the old ones, in {TABLE}",)
    assert (plan.sizes["vocab_size"].value, plan.sizes["vocab_size"].origin) == (30, "bert_config.json")
    changed = [step for step in plan.to_json()["steps"] if step["resizes"]]
    (step,) = changed
    assert (step["source_shape"], step["shape"], step["nbytes"]) == ([30, 8], [64, 8], 64 * 8 * 4)
    assert (step["resizes"], step["keeps_bytes"]) == ([{"axis": 0, "old": 30, "new": 64, "fill": "mean"}], False)


def test_a_size_that_it_has_already_changes_nothing(bert: str, tmp_path: Path) -> None:
    plan = tfckpt.plan(bert, vocab_size=30)
    assert plan.steps == tfckpt.plan(bert).steps
    assert plan.notes == (f"vocab_size: 30 already, in {TABLE}",)


def test_the_source_is_held_to_its_own_configuration(bert_copy: str) -> None:
    path = Path(bert_copy).parent / "bert_config.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"vocab_size": 32}), encoding="utf-8")
    with pytest.raises(PlanError, match=r"expected vocab_size = 32 \(bert_config.json\), got 30"):
        tfckpt.plan(bert_copy, vocab_size=32)


BIAS, PLACES = "cls/predictions/output_bias", "bert/embeddings/position_embeddings"


def padded(bert: str, directory: Path, *names: str, rows: int = 2) -> str:
    """Return the prefix of a copy in which these tables have more rows at their ends, beside the old configuration."""
    tensors = {name: np.array(value) for name, value in tfckpt.open(bert).items()}
    for name in [entry for entry in tensors if entry.startswith(names)]:
        more = np.full((rows, *tensors[name].shape[1:]), 7, np.float32)
        tensors[name] = np.concatenate([tensors[name], more])
    directory.mkdir()
    tfckpt.save(directory / "model.ckpt", tensors)
    shutil.copy(Path(bert).parent / "bert_config.json", directory)
    return str(directory / "model.ckpt")


@pytest.mark.parametrize(
    ("names", "subject", "field", "got", "option"),
    [
        ((TABLE,), f"{TABLE} [32, 8]", "vocab_size = 30", 32, "vocab-size 30"),
        ((TABLE, BIAS), f"{TABLE} [32, 8] and 1 more", "vocab_size = 30", 32, "vocab-size 30"),
        ((BIAS,), f"{BIAS} [32]", "vocab_size = 30", 32, "vocab-size 30"),
        ((PLACES,), f"{PLACES} [18, 8]", "max_position_embeddings = 16", 18, "max-positions 16"),
    ],
    ids=["the table", "the table and the head", "the head", "the positions"],
)
def test_a_table_with_more_rows_than_stated_is_said_with_both_numbers_and_cut_by_what_is_advised(
    bert: str, tmp_path: Path, capsys: Captured, names: tuple[str, ...], subject: str, field: str, got: int, option: str
) -> None:
    prefix, dest = padded(bert, tmp_path / "s", *names), str(tmp_path / "out")
    lines, advice = fail_and_advise(capsys, "convert", prefix, dest, "--to", "pretrainer")
    assert lines == [
        f"{prefix}: {subject}: expected {field} (bert_config.json), got {got} rows; if those beyond are padding, "
        f"--{option} cuts them off; else the configuration must state the source's own size"
    ]
    assert advice == f"tfckpt convert {prefix} {dest} --to pretrainer --{option}"
    assert main([*shlex.split(advice)[1:], "--prove"]) == 0
    plan = tfckpt.convert(bert, tmp_path / "right", to="pretrainer")
    assert tfckpt.diff(dest, tmp_path / "right").same
    assert plan.nbytes == tfckpt.plan(prefix, to="pretrainer", vocab_size=30, max_positions=16).nbytes


def test_what_is_cut_of_padded_tables_is_said_and_planned(bert: str, tmp_path: Path) -> None:
    plan = tfckpt.plan(padded(bert, tmp_path / "s", TABLE), to="pretrainer", vocab_size=30)
    assert plan.notes[:2] == (
        f"vocab_size: 32 -> 30: the last 2 rows are cut off in {TABLE}",
        f"vocab_size: 30 already, in {BIAS}",
    )
    (step,) = (step for step in plan.to_json()["steps"] if step["resizes"])
    assert (step["source_shape"], step["shape"]) == ([32, 8], [30, 8])
    assert step["resizes"] == [{"axis": 0, "old": 32, "new": 30, "fill": "zeros"}]
    assert (plan.sizes["vocab_size"].value, plan.sizes["vocab_size"].origin) == (30, "bert_config.json")
    (vocabulary,) = (item for item in plan.constructors[0].arguments if item.name == "vocab_size")
    assert vocabulary.value == 30


def test_a_padded_table_may_be_cut_to_fewer_rows_than_stated_but_not_to_more(bert: str, tmp_path: Path) -> None:
    prefix = padded(bert, tmp_path / "s", TABLE)
    tfckpt.convert(prefix, tmp_path / "out", vocab_size=20)
    with tfckpt.open(bert) as source, tfckpt.open(tmp_path / "out") as dest:
        np.testing.assert_array_equal(dest[WORDS], source[TABLE][:20])
    for size in (31, 32, 40):
        with pytest.raises(PlanError, match="must state the source's own size; use vocab_size to change it") as caught:
            tfckpt.plan(prefix, vocab_size=size)
        assert [remedy.action for remedy in caught.value.remedies] == ["configure"]


def test_a_table_with_fewer_rows_than_stated_is_refused_whatever_is_asked_for(bert_copy: str) -> None:
    path = Path(bert_copy).parent / "bert_config.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"vocab_size": 32}), encoding="utf-8")
    for size in (None, 20, 30, 32):
        with pytest.raises(PlanError, match=r"expected vocab_size = 32 \(bert_config.json\), got 30") as caught:
            tfckpt.plan(bert_copy, vocab_size=size)
        assert [issue.code for issue in caught.value.issues] == ["wrong-vocabulary"]


def test_without_a_configuration_a_padded_table_is_cut_to_the_rows_of_its_head(bert: str, tmp_path: Path) -> None:
    prefix = padded(bert, tmp_path / "s", TABLE)
    (tmp_path / "s" / "bert_config.json").unlink()
    with pytest.raises(PlanError, match=r"output_bias \[30\]: expected vocab_size = 32"):
        tfckpt.plan(prefix, to="pretrainer", num_heads=2)
    with pytest.raises(PlanError, match=r"output_bias \[30\]: expected vocab_size = 32"):
        tfckpt.plan(prefix, to="pretrainer", num_heads=2, vocab_size=31)  # the head has no row for it
    tfckpt.convert(prefix, tmp_path / "out", to="pretrainer", num_heads=2, vocab_size=30)
    tfckpt.convert(bert, tmp_path / "right", to="pretrainer")
    assert tfckpt.diff(tmp_path / "out", tmp_path / "right").same


def test_slots_of_padded_tables_are_cut_along(bert: str, tmp_path: Path) -> None:
    prefix = padded(bert, tmp_path / "s", TABLE, BIAS)
    tfckpt.convert(prefix, tmp_path / "out", to="pretrainer", slots="convert", vocab_size=30, prove=True)
    tfckpt.convert(bert, tmp_path / "right", to="pretrainer", slots="convert")
    assert tfckpt.diff(tmp_path / "out", tmp_path / "right").same


def test_padded_tables_of_objects_are_cut_on_the_way_back(bert: str, tmp_path: Path) -> None:
    prefix = padded(bert, tmp_path / "s", TABLE, BIAS)
    config = tmp_path / "s" / "bert_config.json"
    tfckpt.convert(prefix, tmp_path / "there", to="pretrainer", num_heads=2, vocab_size=30)
    (tmp_path / "s" / "other").mkdir()
    tensors = {name: np.array(value) for name, value in tfckpt.open(prefix).items() if "adam" not in name}
    tfckpt.save(tmp_path / "s" / "other" / "model.ckpt", tensors)
    tfckpt.convert(tmp_path / "s" / "other" / "model.ckpt", tmp_path / "long", to="pretrainer", num_heads=2)
    with pytest.raises(PlanError) as caught:
        tfckpt.plan(tmp_path / "long", to="tf1", config=config)
    assert [issue.code for issue in caught.value.issues] == ["padded-table"]
    tfckpt.convert(tmp_path / "long", tmp_path / "back", to="tf1", config=config, vocab_size=30, prove=True)
    tfckpt.convert(tmp_path / "there", tmp_path / "right", to="tf1")
    assert tfckpt.diff(tmp_path / "back", tmp_path / "right").same


def test_both_tables_are_cut_by_one_command(bert: str, tmp_path: Path, capsys: Captured) -> None:
    prefix, dest = padded(bert, tmp_path / "s", TABLE, BIAS, PLACES), str(tmp_path / "out")
    lines, advice = fail_and_advise(capsys, "convert", prefix, dest)
    assert len(lines) == 2
    assert advice is not None
    assert advice.split(dest)[1].split() == ["--max-positions", "16", "--vocab-size", "30"]
    assert main(shlex.split(advice)[1:]) == 0
    tfckpt.convert(bert, tmp_path / "right")
    assert tfckpt.diff(dest, tmp_path / "right").same


def test_the_way_back_resizes_too(bert: str, tmp_path: Path) -> None:
    tfckpt.convert(bert, tmp_path / "there", to="pretrainer", vocab_size=32, max_positions=20)
    tfckpt.convert(tmp_path / "there", tmp_path / "back", to="tf1", vocab_size=30, max_positions=16, prove=True)
    with tfckpt.open(bert) as source, tfckpt.open(tmp_path / "back") as back:
        for name in back:
            np.testing.assert_array_equal(back[name], source[name], name)


def test_a_filled_variable_gets_the_new_size(bert: str, tmp_path: Path) -> None:
    tensors = {n: v for n, v in tfckpt.open(bert).items() if n != "cls/predictions/output_bias" and "adam" not in n}
    tfckpt.save(tmp_path / "source", tensors)
    options: dict[str, Any] = {"to": "pretrainer", "num_heads": 2, "fill": "zeros", "vocab_size": 40}
    tfckpt.convert(tmp_path / "source", tmp_path / "out", **options, prove=True)
    with tfckpt.open(tmp_path / "out") as dest:
        np.testing.assert_array_equal(dest[bias_key(dest)], np.zeros(40, np.float32))


def test_another_dtype_stays(bert: str, tmp_path: Path) -> None:
    tensors = {name: np.asarray(value, np.float16) for name, value in tfckpt.open(bert).items()}
    tfckpt.save(tmp_path / "half", tensors)
    tfckpt.convert(tmp_path / "half", tmp_path / "out", num_heads=2, vocab_size=31, resize_fill="mean", prove=True)
    with tfckpt.open(tmp_path / "out") as dest:
        assert (dest[WORDS].dtype.name, dest[WORDS].shape) == ("float16", (31, 8))


def changed(bert: str, directory: Path, table: Any) -> str:
    """Return the prefix of an encoder whose words are another table."""
    tensors = {n: v for n, v in tfckpt.open(bert).items() if "adam" not in n and not n.startswith("cls/")}
    tfckpt.save(directory / "source", tensors | {TABLE: table})
    return str(directory / "source")


def test_a_table_without_a_row_gets_rows_of_zeros_but_no_mean(
    bert: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = changed(bert, tmp_path, np.zeros((0, 8), np.float32))
    plan = tfckpt.convert(source, tmp_path / "out", num_heads=2, vocab_size=5, prove=True)
    (step,) = (step for step in plan.steps if step.source == TABLE)
    assert (step.source_shape, step.shape, step.nbytes) == ((0, 8), (5, 8), 160)
    with tfckpt.open(tmp_path / "out") as dest:
        np.testing.assert_array_equal(dest[WORDS], np.zeros((5, 8), np.float32))
    line = f"tfckpt plan {source} --num-heads 2 --vocab-size 5 --resize-fill "
    assert main([*shlex.split(line)[1:], "mean"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"tfckpt plan: {source}: {TABLE}: it has no row of which new ones could be the mean; "
        "--resize-fill zeros fills them",
        f"tfckpt plan: next: {line}zeros",
    ]


@pytest.mark.parametrize("fill", ["zeros", "mean"])
def test_rows_of_no_width_are_added_to_rows_of_none(bert: str, tmp_path: Path, fill: Any) -> None:
    tensors = {n: v for n, v in tfckpt.open(bert).items() if "adam" not in n}
    narrow = {n: np.zeros([0 if dim == 8 else dim for dim in v.shape], v.dtype) for n, v in tensors.items()}
    tfckpt.save(tmp_path / "source", narrow)
    tfckpt.convert(tmp_path / "source", tmp_path / "out", num_heads=2, vocab_size=32, resize_fill=fill, prove=True)
    with tfckpt.open(tmp_path / "out") as dest:
        assert dest[WORDS].shape == (32, 0)


def test_only_numbers_are_resized(bert: str, tmp_path: Path) -> None:
    source = changed(bert, tmp_path, np.full((30, 8), b"x", object))
    for size in (29, 32):
        with pytest.raises(PlanError, match=f"{TABLE}: string, and only tables of numbers can be resized"):
            tfckpt.plan(source, num_heads=2, vocab_size=size)
    assert tfckpt.plan(source, num_heads=2, vocab_size=30).nbytes == tfckpt.plan(source, num_heads=2).nbytes


def test_the_mean_of_complex_numbers_is_complex(bert: str, tmp_path: Path) -> None:
    table = np.arange(240).reshape(30, 8).astype(np.complex64) * (1 + 2j)
    tfckpt.convert(changed(bert, tmp_path, table), tmp_path / "out", num_heads=2, vocab_size=31, resize_fill="mean")
    with tfckpt.open(tmp_path / "out") as dest:
        np.testing.assert_array_equal(dest[WORDS][30], (np.arange(8) + 116) * (1 + 2j))


def test_a_proof_takes_the_same_sizes(bert: str, tmp_path: Path) -> None:
    tfckpt.convert(bert, tmp_path / "out", vocab_size=32)
    assert len(tfckpt.prove(bert, tmp_path / "out", vocab_size=32).tensors) == 39
    with pytest.raises(ProofError, match=r"expected shape float32\[30, 8\], got float32\[32, 8\]"):
        tfckpt.prove(bert, tmp_path / "out")
    with pytest.raises(ProofError, match="16 of 256, the first at"):
        tfckpt.prove(bert, tmp_path / "out", vocab_size=32, resize_fill="mean")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vocab_size": 0}, "vocabulary size: expected 1 or more, got 0"),
        ({"max_positions": -1}, "number of positions: expected 1 or more, got -1"),
        ({"resize_fill": "ones"}, "resize_fill: expected 'zeros', 'mean', got 'ones'"),
        ({"vocab_size": 9, "to": "keras"}, "'keras' only renames"),
    ],
)
def test_what_makes_no_sense_is_refused(bert: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        tfckpt.plan(bert, **options)


def test_the_options_of_the_command(bert: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--vocab-size", "32", "--max-positions", "8", "--resize-fill", "mean"]
    dest = str(tmp_path / "out")
    assert main(["convert", bert, dest, *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"{TABLE}\t[30, 8] -> [32, 8]\t{WORDS}" in lines
    assert f"note: vocab_size: 30 -> 32: 2 rows are added, the mean of the old ones, in {TABLE}" in lines
    assert main(["prove", bert, dest, *options]) == 0
