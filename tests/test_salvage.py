from __future__ import annotations

import gzip
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damage.damages import done as damaged
from damage.damages import every, read_files
from damage.kinds import KINDS
from damage.ours import read
from support import bundles, v1

import tfckpt
from tfckpt._proto.types_pb2 import DT_VARIANT
from tfckpt.bundle.damage import find_all, slice_name, survey
from tfckpt.bundle.writer import BundleWriter
from tfckpt.checkpoint.graph.object_graph import Attribute, Node, ObjectGraph, variable_key
from tfckpt.cli.main import main
from tfckpt.errors import CheckpointExistsError, CheckpointNotFoundError, FormatError, UsageError
from tfckpt.sstable.format import FOOTER_SIZE, SNAPPY
from tfckpt.sstable.recover import find_blocks
from tfckpt.sstable.writer import TableBuilder

pytestmark = pytest.mark.exhaustive

Captured = pytest.CaptureFixture[str]
DATA = Path(__file__).parent / "data"
CASES = 10  # of each kind; tests/damage/run has all for reading
SHARD = ".data-00000-of-00001"


@pytest.fixture
def make(tmp_path: Path) -> Callable[[str], str]:
    """Return a function that makes a checkpoint of a kind that may be damaged."""

    def make(kind: str) -> str:
        (tmp_path / "source").mkdir()
        return KINDS[kind].make(tmp_path / "source")

    return make


LOST_ROWS = {0: 2, 1: 3, 2: 3, 3: 1}  # by block: the header is in the first, which has room for two tensors


def flip(path: str | Path, at: int) -> None:
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def salvaged(source: str, tmp_path: Path, **options: Any) -> tfckpt.Salvage:
    """Salvage; check that what was written has just what was said, and is whole."""
    report = tfckpt.salvage(source, tmp_path / "out", sync=False, **options)
    with tfckpt.open(tmp_path / "out") as checkpoint:
        checkpoint.verify()
        assert list(checkpoint) == [entry.name for entry in report.saved]
    assert not {entry.name for entry in report.saved} & set(report.lost)
    return report


def test_progress_of_no_bytes_is_at_its_end(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "empty", {"w": np.zeros((0, 3), np.float32)})
    calls: list[tuple[int, int]] = []
    salvaged(str(tmp_path / "empty"), tmp_path, progress=lambda done, total: calls.append((done, total)))
    assert set(calls) == {(0, 0)}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_intact_comes_back_whole(kind: str, make: Callable[[str], str], tmp_path: Path) -> None:
    source = make(kind)
    before = read_files(Path(source).parent)
    report = salvaged(source, tmp_path)
    assert (report.damage, report.lost, report.notes) == ((), (), ())
    assert read(str(tmp_path / "out")) == read(source)
    assert read_files(Path(source).parent) == before


@pytest.mark.parametrize("kind", ["plain", "shards", "merged", "policy", "objects", "strings", "variants"])
def test_intact_bundles_come_back_byte_for_byte_where_no_slices_are(
    kind: str, make: Callable[[str], str], tmp_path: Path
) -> None:
    source = make(kind)
    salvaged(source, tmp_path)
    data = [path.read_bytes() for path in sorted(Path(source).parent.glob("*.data-*"))]
    assert [path.read_bytes() for path in sorted(tmp_path.glob("out.data-*"))] == data


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_the_damage_what_is_saved_is_right_and_the_rest_is_named(
    kind: str, make: Callable[[str], str], tmp_path: Path
) -> None:
    source = make(kind)
    files, values = read_files(Path(source).parent), read(source)
    damages = list(every(files))
    for damage in damages[:: max(1, len(damages) // CASES)]:
        with damaged(damage, Path(source).parent, files):
            try:
                report = salvaged(source, tmp_path, overwrite=True)
            except (FormatError, CheckpointNotFoundError):
                continue
            saved = read(str(tmp_path / "out"))
        saved.pop("_CHECKPOINTABLE_OBJECT_GRAPH", None)  # it may go without what is lost
        assert saved.items() <= values.items(), damage[:2]
        assert bool(report.damage) or saved.keys() >= values.keys() - {"_CHECKPOINTABLE_OBJECT_GRAPH"}, damage[:2]
        assert not set(report.lost) - values.keys(), damage[:2]


def test_a_flipped_bit_costs_one_tensor(make: Callable[[str], str], tmp_path: Path) -> None:
    source = make("plain")
    flip(source + SHARD, 3)
    with tfckpt.open(source) as checkpoint:
        names = list(checkpoint)
        (hit,) = [e for e in checkpoint.reader.stored.values() if not e.slices and e.offset <= 3 < e.offset + e.nbytes]
    report = salvaged(source, tmp_path)
    (damage,) = report.damage
    assert (damage.path, damage.start, damage.end) == (source + SHARD, hit.offset, hit.offset + hit.nbytes)
    assert sorted([*report.lost, *(entry.name for entry in report.saved)]) == names


def test_a_missing_shard_costs_what_lay_in_it_and_partitioned_tensors_whole(
    make: Callable[[str], str], tmp_path: Path
) -> None:
    source = make("partitioned")
    os.unlink(f"{source}.data-00001-of-00003")
    report = salvaged(source, tmp_path)
    (damage,) = report.damage
    assert (report.lost, damage.part, damage.path) == (("table",), "[2:3, 0:2]", f"{source}.data-00001-of-00003")
    assert (damage.start, damage.end) == (None, None)
    assert "No such file" in damage.reason
    assert [entry.name for entry in report.saved] == ["step"]


def test_a_shard_cut_short_costs_what_was_cut_off(make: Callable[[str], str], tmp_path: Path) -> None:
    source = make("plain")
    size = os.path.getsize(source + SHARD)
    with tfckpt.open(source) as checkpoint:
        last = max(checkpoint.reader.stored.values(), key=lambda entry: entry.offset)
    os.truncate(source + SHARD, size - 1)
    (damage,) = salvaged(source, tmp_path).damage
    assert (damage.start, damage.end) == (last.offset, size)
    assert "the file is truncated" in damage.reason


@pytest.mark.parametrize("kind", ["blocks", "compressed"])
@pytest.mark.parametrize("block", LOST_ROWS)
def test_a_damaged_index_block_costs_its_tensors(
    kind: str, block: int, make: Callable[[str], str], tmp_path: Path
) -> None:
    source = make(kind)
    handles = [handle for handle, _ in find_blocks(Path(source + ".index").read_bytes())]
    flip(source + ".index", handles[block].offset + 2)
    report = salvaged(source, tmp_path)
    assert report.damage[0][:5] == (None, "", source + ".index", handles[block].offset, handles[block].end)
    assert len(report.saved) == 9 - LOST_ROWS[block]
    assert bool(report.notes) == (block == 0)


@pytest.mark.parametrize("kind", ["blocks", "compressed", "plain", "v1 blocks", "v1 compressed"])
def test_a_lost_footer_costs_nothing(kind: str, make: Callable[[str], str], tmp_path: Path) -> None:
    source = make(kind)
    values = read(source)
    path = source if kind.startswith("v1") else source + ".index"
    size = os.path.getsize(path)
    os.truncate(path, size - 9)
    report = salvaged(source, tmp_path)
    assert read(str(tmp_path / "out")) == values
    (damage,) = report.damage
    assert (damage.path, damage.start, damage.end) == (path, size - FOOTER_SIZE, size - 9)
    assert report.lost == ()


def test_blocks_behind_a_damaged_one_are_found_without_a_footer(make: Callable[[str], str], tmp_path: Path) -> None:
    source = make("blocks")
    handles = [handle for handle, _ in find_blocks(Path(source + ".index").read_bytes())]
    flip(source + ".index", handles[1].offset + 5)
    os.truncate(source + ".index", os.path.getsize(source + ".index") - 1)
    report = salvaged(source, tmp_path)
    assert [entry.name for entry in report.saved] == [f"scope/{n}" for n in (0, 1, 5, 6, 7, 8)]
    assert [(d.start, d.end) for d in report.damage[:1]] == [(handles[1].offset, handles[1].end)]


def test_a_large_index_without_its_end_gives_up_its_whole_blocks(tmp_path: Path) -> None:
    index = gzip.decompress((DATA / "bundles/tf220/blocks.index.gz").read_bytes())
    blocks = list(find_blocks(index))
    assert sum(len(rows) for _, rows in blocks[:-2]) == 36001
    cut = index[: blocks[0][0].end + 1000]
    (tmp_path / "m.index").write_bytes(cut)
    shutil.copy(DATA / "bundles/tf220/blocks.data-00000-of-00001", tmp_path / "m.data-00000-of-00001")
    report = salvaged(str(tmp_path / "m"), tmp_path)
    assert len(report.saved) == len(blocks[0][1]) - 1
    assert [(d.start, d.end) for d in report.damage] == [(blocks[0][0].end, len(cut))]


def test_an_index_of_nothing_whole_writes_nothing(make: Callable[[str], str], tmp_path: Path) -> None:
    source = make("plain")
    Path(source + ".index").write_bytes(bytes(5000))
    with pytest.raises(FormatError, match=r"saver: salvage: expected an intact tensor, got none; .*at byte 4,992"):
        tfckpt.salvage(source, tmp_path / "new" / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_without_any_data_nothing_is_written(make: Callable[[str], str], tmp_path: Path) -> None:
    source = make("plain")
    os.unlink(source + SHARD)
    with pytest.raises(FormatError, match="expected an intact tensor, got none"):
        tfckpt.salvage(source, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_the_object_graph_goes_without_what_is_lost(make: Callable[[str], str], tmp_path: Path) -> None:
    source = make("objects")
    key = "again/kernel/.ATTRIBUTES/VARIABLE_VALUE"
    with tfckpt.open(source) as checkpoint:
        flip(source + SHARD, checkpoint.entry(key).offset)
    report = salvaged(source, tmp_path)
    assert report.lost == (key,)
    assert report.notes == (f"the object graph goes without 1 lost value: {key!r}",)
    graph = tfckpt.open(tmp_path / "out").object_graph
    assert graph is not None
    named = {attribute.checkpoint_key for node in graph.nodes for attribute in node.attributes}
    assert named == {entry.name for entry in report.saved} - {"_CHECKPOINTABLE_OBJECT_GRAPH"}


def test_a_damaged_object_graph_is_left_behind(make: Callable[[str], str], tmp_path: Path) -> None:
    source = make("objects")
    with tfckpt.open(source) as checkpoint:
        flip(source + SHARD, checkpoint.entry("_CHECKPOINTABLE_OBJECT_GRAPH").offset + 50)
    report = salvaged(source, tmp_path)
    assert report.lost == ("_CHECKPOINTABLE_OBJECT_GRAPH",)
    assert report.notes == ("the object graph is lost: TensorFlow restores what was saved by names only",)
    assert tfckpt.open(tmp_path / "out").object_graph is None


def test_an_object_graph_that_is_none_goes_along_as_it_is(tmp_path: Path) -> None:
    source = str(tmp_path / "m")
    tfckpt.save(source, {"_CHECKPOINTABLE_OBJECT_GRAPH": b"\xff", "a": 1, "b": 2})
    with tfckpt.open(source) as checkpoint:
        flip(source + SHARD, checkpoint.entry("a").offset)
    report = salvaged(source, tmp_path)
    assert report.lost == ("a",)
    assert len(report.notes) == 1
    assert "cannot be read" in report.notes[0]
    assert tfckpt.open(tmp_path / "out")["_CHECKPOINTABLE_OBJECT_GRAPH"].item() == b"\xff"


def test_a_slice_whose_tensor_lost_its_entry_is_named(make: Callable[[str], str], tmp_path: Path) -> None:
    source = make("partitioned")
    rows = sorted(bundles.read_rows(source).items())
    bundles.write_rows(source, rows, rows_per_block=len(rows) - 1)  # the last one is the table's own
    handles = [handle for handle, _ in find_blocks(Path(source + ".index").read_bytes())]
    assert rows[-1][0] == b"table"
    flip(source + ".index", handles[1].offset + 4)
    report = salvaged(source, tmp_path)
    assert ([entry.name for entry in report.saved], report.lost) == (["step"], ("table",))
    assert "its own entry is lost" in report.damage[-1].reason


def test_a_missing_v1_file_costs_what_lay_in_it(make: Callable[[str], str], tmp_path: Path) -> None:
    source = make("v1 shards")
    gone = source.replace("?????", "00001")
    values = read(source)
    os.unlink(gone)
    report = salvaged(source, tmp_path)
    assert (report.damage[0].tensor, report.damage[0].path) == (None, gone)
    assert {entry.name for entry in report.saved} < values.keys()
    assert report.saved


def test_a_damaged_v1_block_costs_its_tensors(make: Callable[[str], str], tmp_path: Path) -> None:
    source = make("v1 blocks")
    blocks = list(find_blocks(Path(source).read_bytes()))
    flip(source, blocks[-3][0].offset + 5)
    report = salvaged(source, tmp_path)
    assert set(report.lost) == {slice_name(key) for key in blocks[-3][1]}
    spans = {(d.start, d.end) for d in report.damage}
    assert spans == {(blocks[-3][0].offset, blocks[-3][0].end)}


@pytest.mark.parametrize("v1_format", [None, "v1"])
def test_destinations_that_are_refused(make: Callable[[str], str], tmp_path: Path, v1_format: Any) -> None:
    source = make("plain" if v1_format is None else "v1")
    tfckpt.save(tmp_path / "taken", {"mine": 1})
    with pytest.raises(CheckpointExistsError):
        tfckpt.salvage(source, tmp_path / "taken")
    if v1_format is None:
        with pytest.raises(UsageError, match="the same checkpoint"):
            tfckpt.salvage(source, source, overwrite=True)
    with pytest.raises(CheckpointNotFoundError):
        tfckpt.salvage(tmp_path / "nowhere", tmp_path / "out", source_format=v1_format)


def test_the_command_lists_what_is_lost_and_exits_with_1(
    make: Callable[[str], str], tmp_path: Path, capsys: Captured
) -> None:
    source, out = make("plain"), str(tmp_path / "out")
    assert main(["salvage", source, out]) == 0
    said, complained = capsys.readouterr()
    assert said.splitlines() == [
        f"{source}: 5 tensors, 527 bytes saved; nothing lost",
        f"written: {out}",
    ]
    assert complained == ""
    with tfckpt.open(source) as checkpoint:
        step = checkpoint.entry("step")
    flip(source + SHARD, step.offset)
    assert main(["salvage", source, out, "--overwrite", "--no-sync"]) == 1
    said, complained = capsys.readouterr()
    assert said.splitlines()[0] == f"{source}: 4 tensors, 519 bytes saved; 1 known to be lost"
    (line,) = complained.splitlines()
    assert line.startswith(f"tfckpt salvage: {source}{SHARD}: checksum of tensor 'step' (8 bytes) at byte ")
    assert line.endswith(f"; bytes [{step.offset}, {step.offset + 8})")
    assert main(["salvage", source, out, "--overwrite", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["lost"], len(report["saved"]), report["destination"]) == (["step"], 4, out)
    assert report["damage"][0]["start"] == step.offset


def test_verify_names_tensor_slice_file_and_bytes_and_goes_on(make: Callable[[str], str], capsys: Captured) -> None:
    source = make("partitioned")
    for shard in (0, 1, 2):
        flip(f"{source}.data-0000{shard}-of-00003", 1)
    assert main(["verify", source, "--json"]) == 1
    out, err = capsys.readouterr()
    found = [tuple(d[k] for k in ("tensor", "slice", "file", "start", "end")) for d in json.loads(out)["damaged"]]
    assert found == [
        ("step", "", f"{source}.data-00002-of-00003", 0, 8),
        ("table", "[0:2, 0:2]", f"{source}.data-00000-of-00003", 0, 16),
        ("table", "[2:3, 0:2]", f"{source}.data-00001-of-00003", 0, 8),
    ]
    assert "checksum of tensor 'table[2:3, 0:2]' (8 bytes) at byte 0" in err.splitlines()[2]
    assert err.splitlines()[2].endswith("; bytes [0, 8)")


def test_verify_goes_on_behind_a_damaged_block_of_the_index(make: Callable[[str], str], capsys: Captured) -> None:
    source = make("blocks")
    handles = [handle for handle, _ in find_blocks(Path(source + ".index").read_bytes())]
    flip(source + ".index", handles[1].offset + 5)
    flip(source + SHARD, 4 * 7)
    assert main(["verify", source, "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["tensors"] == 6
    places = [(d["tensor"], d["file"], d["start"], d["end"]) for d in document["damaged"]]
    assert places == [
        (None, source + ".index", handles[1].offset, handles[1].end),
        ("scope/7", source + SHARD, 28, 32),
    ]


def test_the_search_for_blocks_ends_whatever_the_bytes_are() -> None:
    rng = np.random.default_rng(0)
    for data in (
        bytes(20_000),
        bytes([SNAPPY]) * 20_000,
        rng.bytes(20_000),
        b"\0\1\0a" * 5_000,
        b"\0\0\0\0\1\0\0\0\0" * 2222,
    ):
        assert not list(find_blocks(data))


def test_every_block_of_a_file_is_found_without_its_footer(tmp_path: Path) -> None:
    rows = v1.to_rows({f"t{n}": np.arange(50, dtype=np.float32) for n in range(40)})
    for builder in (TableBuilder, v1.SnappyBuilder):
        v1.write_rows(tmp_path / "m", rows, builder)
        found: dict[bytes, bytes] = {}
        for _, block in list(find_blocks((tmp_path / "m").read_bytes()))[:-1]:
            found |= block
        assert found == rows


def test_a_survey_of_what_is_whole_finds_nothing(bert: str) -> None:
    found = survey(bert)
    assert not found.damage
    assert not found.issues
    assert find_all(found.reader) == []
    found.reader.close()


def objects_in_two_files(tmp_path: Path) -> str:
    """Return the prefix of a checkpoint whose values are in the first data file, and the object graph in the second."""
    graph = ObjectGraph([Node({"w": 1}), Node(attributes=[Attribute("VARIABLE_VALUE", variable_key("w"))])])
    prefix = str(tmp_path / "two")
    with BundleWriter(prefix) as writer:
        writer.add(variable_key("w"), [1.0, 2.0])
        writer.next_shard()
        writer.add("_CHECKPOINTABLE_OBJECT_GRAPH", graph.serialize())
        writer.finish()
    return prefix


@pytest.mark.parametrize("missing", [(".data-00000-of-00002",), (".data-00000-of-00002", ".data-00001-of-00002")])
def test_verify_advises_no_salvage_that_would_save_nothing(
    tmp_path: Path, capsys: Captured, missing: tuple[str, ...]
) -> None:
    source = objects_in_two_files(tmp_path)
    for suffix in missing:
        os.unlink(source + suffix)
    assert main(["verify", source]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == f"tfckpt verify: next: ls -l {tmp_path}"
    with pytest.raises(FormatError, match="expected an intact tensor, got none"):
        tfckpt.salvage(source, tmp_path / "out")
    assert not list(tmp_path.glob("out*"))


def test_verify_advises_a_salvage_that_saves_something(tmp_path: Path, capsys: Captured) -> None:
    source = objects_in_two_files(tmp_path)
    os.unlink(source + ".data-00001-of-00002")
    assert main(["verify", source]) == 1
    *_, advice = capsys.readouterr().err.splitlines()
    assert advice.startswith(f"tfckpt verify: next: tfckpt salvage {source} ")
    assert main(advice.partition("next: tfckpt ")[2].split()) == 1
    assert tfckpt.open(f"{source}.salvaged")[variable_key("w")].tolist() == [1.0, 2.0]


def test_verify_of_an_index_of_nothing_whole_advises_no_salvage(
    make: Callable[[str], str], tmp_path: Path, capsys: Captured
) -> None:
    source = make("plain")
    Path(source + ".index").write_bytes(bytes(5000))
    assert main(["verify", source]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == f"tfckpt verify: next: ls -l {tmp_path / 'source'}"


def test_verify_names_what_the_object_graph_has_and_the_checkpoint_has_not(tmp_path: Path, capsys: Captured) -> None:
    table = Node(attributes=[Attribute("table", "t/.ATTRIBUTES/table")])
    graph = ObjectGraph(
        [Node({"w": 1, "t": 2}), Node(attributes=[Attribute("VARIABLE_VALUE", variable_key("w"))]), table]
    )
    halves = {f"t/.ATTRIBUTES/table-{half}": [1] for half in ("keys", "values")}
    tensors: dict[str, Any] = {"_CHECKPOINTABLE_OBJECT_GRAPH": graph.serialize(), variable_key("w"): 1, **halves}
    tfckpt.save(tmp_path / "whole", tensors)
    assert main(["verify", str(tmp_path / "whole"), "--json"]) == 0
    out, err = capsys.readouterr()
    assert ("missing" in json.loads(out), err) == (False, "")

    del tensors["t/.ATTRIBUTES/table-values"], tensors[variable_key("w")]
    tfckpt.save(tmp_path / "broken", tensors)
    assert main(["verify", str(tmp_path / "broken"), "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["missing"] == [variable_key("w"), "t/.ATTRIBUTES/table"]
    assert err == (
        f"tfckpt verify: note: the object graph names {variable_key('w')!r}, 't/.ATTRIBUTES/table', and no such tensor is "
        "here: TensorFlow's restore fails as a whole for a program that asks for it\n"
    )


def test_a_dry_run_says_what_would_be_saved_and_what_the_rest_is_for(bert_copy: str, tmp_path: Path) -> None:
    with tfckpt.open(bert_copy) as ckpt:
        places = {name: ckpt.entry(f"bert/pooler/dense/bias{name}").offset for name in ("", "/adam_m")}
    with Path(f"{bert_copy}.data-00000-of-00001").open("r+b") as file:
        for offset in places.values():
            file.seek(offset)
            file.write(b"\xff\xff")
    report = tfckpt.salvage(bert_copy, tmp_path / "out", dry_run=True)
    assert not list(tmp_path.glob("out*"))
    assert report.roles == {"bert/pooler/dense/bias": "model", "bert/pooler/dense/bias/adam_m": "optimizer state"}
    assert report == tfckpt.salvage(bert_copy, tmp_path / "out")
    assert report.to_json()["roles"] == report.roles
    assert len(tfckpt.open(tmp_path / "out")) == len(report.saved) == 137


def test_damaged_variants_and_lengths_of_strings_are_named(tmp_path: Path, capsys: Captured) -> None:
    with BundleWriter(str(tmp_path / "m")) as writer:
        writer.add("names", np.array([b"ab", b"c"], object))
        writer.add("state", np.array([b"variant"], object), DT_VARIANT)
        writer.add("w", np.ones(3))
        writer.finish()
    with tfckpt.open(tmp_path / "m") as checkpoint:
        places = {name: checkpoint.entry(name).offset + 2 for name in ("names", "state")}
    for name, at in places.items():
        flip(tmp_path / f"m{SHARD}", at)
        for command in (
            ["verify", str(tmp_path / "m")],
            ["salvage", str(tmp_path / "m"), str(tmp_path / "out"), "--dry-run"],
        ):
            assert main(command) == 1
            assert f"tensor '{name}' is damaged: fetch the file again; bytes [{at - 2}, " in capsys.readouterr().err
        flip(tmp_path / f"m{SHARD}", at)
