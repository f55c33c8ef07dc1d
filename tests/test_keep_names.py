"""One data file, two generations: keys of TF2 and names of TF1 over the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.files import bundle_bytes

import tfckpt
from tfckpt.bundle.writer import BundleWriter
from tfckpt.checkpoint.object_graph import OBJECT_GRAPH_KEY
from tfckpt.cli.main import main
from tfckpt.conversion.prove import prove
from tfckpt.errors import ProofError, UsageError

HEAD = "cls/seq_relationship/output_weights"


def range_of(checkpoint: tfckpt.Checkpoint, name: str) -> tuple[int, int, int]:
    (entry,) = checkpoint.entries(name)
    return entry.shard, entry.offset, entry.nbytes


def test_each_tensor_is_listed_twice_and_stored_once(bert: str, tmp_path: Path) -> None:
    plain = tfckpt.convert(bert, tmp_path / "plain")
    plan = tfckpt.convert(bert, tmp_path / "dual", keep_names=True)
    sizes = [(tmp_path / f"{name}.data-00000-of-00001").stat().st_size for name in ("plain", "dual")]
    assert sizes[0] == sizes[1]
    assert plan.nbytes == plain.nbytes
    assert len(plan.steps) == 2 * len(plain.steps) == 78
    with tfckpt.open(bert) as source, tfckpt.open(tmp_path / "dual") as checkpoint:
        for step in plain.steps:
            assert range_of(checkpoint, step.source) == range_of(checkpoint, step.target)
            assert checkpoint[step.target].shape == step.shape
            np.testing.assert_array_equal(checkpoint[step.source], source[step.source], step.source)
            assert checkpoint[step.source].shape == source[step.source].shape


def test_everything_that_tf1_had_is_there_in_one_set_of_bytes(bert: str, tmp_path: Path) -> None:
    plan = tfckpt.convert(bert, tmp_path / "dual", to="pretrainer", slots="convert", keep_names=True)
    with tfckpt.open(bert) as source, tfckpt.open(tmp_path / "dual") as checkpoint:
        assert set(source) <= set(checkpoint)
        for name, value in source.items():
            np.testing.assert_array_equal(checkpoint[name], value, name)
        # The head and its two slots are transposed, so their bytes are there in both forms; the optimizer's own are three.
        total = sum(entry.nbytes for entry in source.entries()) + 3 * 2 * 8 * 4 + 3 * 4
        ranges = {range_of(checkpoint, name) for name in checkpoint if name != OBJECT_GRAPH_KEY}
        assert sum(nbytes for _, _, nbytes in ranges) == total == plan.nbytes
        pooler = "bert/pooler/dense/kernel"
        assert len([s for s in plan.steps if s.source == pooler and s.same_as is not None]) == 2  # its copy, its name


def test_the_plan_names_what_is_stored_twice(bert: str) -> None:
    plan = tfckpt.plan(bert, to="pretrainer", keep_names=True)
    assert [note for note in plan.notes if "stored twice" in note] == [
        f"{HEAD}: stored twice, since its bytes change places"
    ]
    shared = {row["target"]: row["same_as"] for row in plan.to_json()["steps"]}
    first, second = (step.target for step in plan.steps if step.source == "bert/pooler/dense/bias" != step.target)
    assert (shared[first], shared["bert/pooler/dense/bias"], shared[second]) == (None, first, first)
    assert shared[HEAD] is None


@pytest.mark.parametrize("name", ["bert/pooler/dense/kernel", HEAD])
def test_a_proof_sees_every_name(bert: str, tmp_path: Path, name: str) -> None:
    plan = tfckpt.convert(bert, tmp_path / "dual", to="pretrainer", keep_names=True)
    with tfckpt.open(bert) as source:
        with tfckpt.open(tmp_path / "dual") as dest:
            prove(plan, source, dest)
            tensors = dict(dest)
        tfckpt.save(tmp_path / "wrong", tensors | {name: tensors[name] + 1})
        with tfckpt.open(tmp_path / "wrong") as dest, pytest.raises(ProofError) as caught:
            prove(plan, source, dest)
    (line,) = caught.value.complaints
    assert line.startswith(f"{tmp_path / 'wrong'}: {name}: values differ from {name}")


def test_the_way_back_takes_each_tensor_once(bert: str, tmp_path: Path) -> None:
    tfckpt.convert(bert, tmp_path / "dual", to="pretrainer", slots="convert", keep_names=True)
    plan = tfckpt.convert(tmp_path / "dual", tmp_path / "back", to="tf1", slots="convert")
    assert bundle_bytes(tmp_path / "back") == bundle_bytes(bert)
    assert len(plan.dropped_by_rule()["kept name"]) == 139
    assert len(tfckpt.plan(tmp_path / "dual", to="tf1").steps) == 46


def test_it_is_a_source_like_the_one_that_it_was_made_of(bert: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"num_heads": 2, "slots": "convert"}
    tfckpt.convert(bert, tmp_path / "dual", to="pretrainer", keep_names=True, **options)
    plan = tfckpt.convert(tmp_path / "dual", tmp_path / "again", to="pretrainer", **options)
    tfckpt.convert(bert, tmp_path / "once", to="pretrainer", **options)
    assert "object key" in plan.dropped_by_rule()
    with tfckpt.open(tmp_path / "again") as again, tfckpt.open(tmp_path / "once") as once:
        np.testing.assert_equal(dict(again), dict(once))


def test_the_command_line_verifies_and_lists_it(bert: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dest = str(tmp_path / "dual")
    assert main(["convert", bert, dest, "--keep-names", "--slots", "convert", "--learning-rate", "1e-4"]) == 0
    assert "same bytes" in capsys.readouterr().out
    assert main(["verify", dest]) == 0
    assert "every checksum matches" in capsys.readouterr().out
    assert main(["ls", dest, "bert/pooler/dense/kernel*"]) == 0
    assert capsys.readouterr().out.count("bert/pooler/dense/kernel") == 3
    data = tmp_path / "dual.data-00000-of-00001"
    damaged = bytearray(data.read_bytes())
    with tfckpt.open(dest) as checkpoint:
        _, offset, _ = range_of(checkpoint, "bert/pooler/dense/kernel")
    damaged[offset] ^= 1
    data.write_bytes(damaged)
    assert main(["verify", dest]) == 1
    assert capsys.readouterr().err.count("checksum") == 2  # under both names


def test_a_partitioned_variable_is_whole_under_both_names(bert: str, split: Any, tmp_path: Path) -> None:
    table = "bert/embeddings/word_embeddings"
    split(bert, tmp_path / "parts", table, [10, 20])
    tfckpt.convert(tmp_path / "parts", tmp_path / "dual", num_heads=2, keep_names=True)
    with tfckpt.open(bert) as source, tfckpt.open(tmp_path / "dual") as checkpoint:
        np.testing.assert_array_equal(checkpoint[table], source[table])
        assert range_of(checkpoint, table)[2] == source[table].nbytes


@pytest.mark.parametrize("to", ["keras", "tf1"])
def test_name_based_targets_keep_no_names(bert: str, to: str) -> None:
    with pytest.raises(UsageError, match=f"keep_names: for object-based targets; '{to}' is name-based itself"):
        tfckpt.plan(bert, to=to, keep_names=True)


def test_a_second_entry_over_written_bytes(tmp_path: Path) -> None:
    with BundleWriter(str(tmp_path / "shared")) as writer:
        writer.add("a", np.arange(6, dtype=np.float32).reshape(2, 3))
        writer.alias("b", (3, 2), of="a")
        writer.add("c", np.float32(7))
        for name, shape, of, message in (
            ("d", (5,), "a", r"'d' \[5\] of 'a': expected a whole one of that size, got \[2, 3\]"),
            ("d", (6,), "x", "of 'x': expected a whole one of that size, got none"),
            ("b", (6,), "a", "'b': already written"),
        ):
            with pytest.raises(UsageError, match=message):
                writer.alias(name, shape, of=of)
        writer.finish()
    assert (tmp_path / "shared.data-00000-of-00001").stat().st_size == 7 * 4
    with tfckpt.open(tmp_path / "shared") as checkpoint:
        np.testing.assert_array_equal(checkpoint["b"], [[0, 1], [2, 3], [4, 5]])
        assert checkpoint["c"] == 7
