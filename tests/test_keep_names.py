"""One data file, two generations: keys of TF2 and names of TF1 over the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.files import bundle_bytes

import tfckpt
from tfckpt._proto.types_pb2 import DT_INT32
from tfckpt.bundle.writer import BundleWriter
from tfckpt.checkpoint.graph.object_graph import OBJECT_GRAPH_KEY
from tfckpt.cli.main import main
from tfckpt.errors import ProofError, UsageError
from tfckpt.proof.prove import prove
from tfckpt.sstable.checksum import crc32c, mask

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
    (line,) = caught.value.reasons
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


def test_a_second_name_may_stand_for_the_bytes_of_a_first_one(tmp_path: Path) -> None:
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


def saved(source: Path, dest: Path) -> None:
    with tfckpt.open(source) as checkpoint:
        tfckpt.save(dest, checkpoint)


def saved_in_small_files(source: Path, dest: Path) -> None:
    with tfckpt.open(source) as checkpoint:
        tfckpt.save(dest, checkpoint, max_shard_size=3000)


def data_bytes(prefix: Path) -> int:
    return sum(path.stat().st_size for path in prefix.parent.glob(f"{prefix.name}.data-*"))


COPIES: dict[str, Callable[[Path, Path], object]] = {
    "rewrite": tfckpt.rewrite,
    "shards": lambda source, dest: tfckpt.rewrite(source, dest, shards=3),
    "max_shard_size": lambda source, dest: tfckpt.rewrite(source, dest, max_shard_size=3000),
    "big_endian": lambda source, dest: tfckpt.rewrite(source, dest, big_endian=True),
    "merge": lambda source, dest: tfckpt.merge([source], dest),
    "salvage": tfckpt.salvage,
    "save": saved,
    "save in small files": saved_in_small_files,
}


@pytest.mark.parametrize("copy", COPIES)
def test_a_copy_stores_once_what_is_stored_once(bert: str, tmp_path: Path, copy: str) -> None:
    tfckpt.convert(bert, tmp_path / "dual", keep_names=True)
    COPIES[copy](tmp_path / "dual", tmp_path / "copy")
    assert data_bytes(tmp_path / "copy") == data_bytes(tmp_path / "dual")
    with tfckpt.open(tmp_path / "dual") as source, tfckpt.open(tmp_path / "copy") as checkpoint:
        checkpoint.verify()
        assert list(checkpoint) == list(source)
        for name, value in source.items():
            np.testing.assert_array_equal(checkpoint[name], value, name)
            assert checkpoint.entry(name).shape == value.shape
        assert len({range_of(checkpoint, name) for name in checkpoint}) == len({range_of(source, n) for n in source})


def test_a_copy_spread_over_files_fills_each(bert: str, tmp_path: Path) -> None:
    tfckpt.convert(bert, tmp_path / "dual", keep_names=True)
    tfckpt.rewrite(tmp_path / "dual", tmp_path / "copy", shards=3, drop=["_CHECK*"])
    sizes = [path.stat().st_size for path in sorted(tmp_path.glob("copy.data-*"))]
    assert len(sizes) == 3
    assert min(sizes) > sum(sizes) / 6


def test_what_is_cut_is_copied_for_every_name(bert: str, tmp_path: Path) -> None:
    tfckpt.convert(bert, tmp_path / "dual", keep_names=True)
    tfckpt.rewrite(tmp_path / "dual", tmp_path / "copy", max_shard_size=200)
    with tfckpt.open(tmp_path / "dual") as source, tfckpt.open(tmp_path / "copy") as checkpoint:
        assert any(entry.slices for entry in checkpoint.entries())
        for name, value in source.items():
            np.testing.assert_array_equal(checkpoint[name], value, name)


def test_tensors_that_are_cast_share_their_new_bytes(bert: str, tmp_path: Path) -> None:
    tfckpt.convert(bert, tmp_path / "dual", keep_names=True)
    tfckpt.rewrite(tmp_path / "dual", tmp_path / "half", cast="float16", drop=["_CHECK*"])
    with tfckpt.open(tmp_path / "dual") as source, tfckpt.open(tmp_path / "half") as half:
        assert data_bytes(tmp_path / "half") == sum({range_of(half, n): half.entry(n).nbytes for n in half}.values())
        assert len({range_of(half, name) for name in half}) == len({range_of(source, name) for name in half})
        for name, value in half.items():
            np.testing.assert_array_equal(value, source[name].astype(value.dtype), name)


def test_the_name_that_is_left_has_the_bytes(bert: str, tmp_path: Path) -> None:
    tfckpt.convert(bert, tmp_path / "dual", keep_names=True)
    plan = tfckpt.rewrite(tmp_path / "dual", tmp_path / "names", keep=["bert/*"], drop=["_CHECK*"])
    assert not any(step.same_as for step in plan.steps)
    with tfckpt.open(bert) as source, tfckpt.open(tmp_path / "names") as checkpoint:
        for name, value in checkpoint.items():
            np.testing.assert_array_equal(value, source[name], name)


def test_the_report_of_a_rewrite_says_what_shares_its_bytes(
    bert: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tfckpt.convert(bert, tmp_path / "dual", keep_names=True)
    assert main(["rewrite", str(tmp_path / "dual"), str(tmp_path / "copy")]) == 0
    out = capsys.readouterr().out
    with tfckpt.open(tmp_path / "dual") as source:
        stored = {range_of(source, name): source.entry(name).nbytes for name in source}
    assert out.count(" same bytes\t") == 39
    assert f"{sum(stored.values()):,} bytes" in out


def test_bytes_that_overlap_in_part_are_copied(tmp_path: Path) -> None:
    """And those of one place that are something else: another dtype, or another checksum."""
    values = np.arange(8, dtype=np.float32)
    with BundleWriter(str(tmp_path / "source")) as writer:
        writer.add("whole", values)
        whole = writer._entries[b"whole"]
        half = mask(crc32c(values[:4].tobytes()))
        writer._entries[b"part"] = whole._replace(name="part", shape=(4,), nbytes=16, crc32c=half)
        writer._entries[b"ints"] = whole._replace(name="ints", data_type=DT_INT32)
        writer.finish()
    tfckpt.rewrite(tmp_path / "source", tmp_path / "copy")
    assert data_bytes(tmp_path / "copy") == 32 + 16 + 32
    with tfckpt.open(tmp_path / "copy") as checkpoint:
        assert checkpoint["whole"].tolist() == values.tolist()
        assert checkpoint["part"].tolist() == [0.0, 1.0, 2.0, 3.0]
        assert checkpoint["ints"].tolist() == values.view(np.int32).tolist()


def test_empty_tensors_at_the_end_make_no_file_of_their_own(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "source", {"a": [1.0], "b": [2.0], "z": np.zeros((0, 3))})
    tfckpt.rewrite(tmp_path / "source", tmp_path / "copy", shards=2)
    assert len(list(tmp_path.glob("copy.data-*"))) == 2
    assert tfckpt.open(tmp_path / "copy")["z"].shape == (0, 3)
