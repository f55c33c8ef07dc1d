"""What has come in place of a checkpoint's file, such as a Git LFS pointer, is called that: once for each file."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commands import Captured, fail_and_advise
from support.foreign import TORCH
from teaching.stage import PAGE, POINTER

import tfckpt
from tfckpt.bundle.damage import find_all, survey
from tfckpt.cli.main import main
from tfckpt.errors import FormatError

V1 = Path(__file__).parent / "data" / "v1"
POINTED = "got a Git LFS pointer, not the file itself; let Git download the file"
PAGED = "got a web page instead of the file; download the file itself"
EMPTIED = "got an empty file; the download or copy is incomplete: repeat it"
PULL = "git -C run lfs pull"
SHARDS = [f"run/m.data-{shard:05d}-of-00003" for shard in range(3)]
READING = {
    "show": "show run/m bert/pooler/dense/bias",
    "convert": "convert run/m new/m",
    "convert by links": "convert run/m new/m --mode link --no-verify",
    "rewrite": "rewrite run/m new/m",
    "merge": "merge run/m other/m new/m",
    "average": "average run/m copy/m new/m",
    "export": "export run/m new.npz",
    "diff": "diff run/m copy/m",
    "diff of the second": "diff copy/m run/m",
    "prove": "prove run/m made/m",
    "report of two": "report run/m made/m -o new.html",
}
OTHERS = {
    "ls": "ls run/m",
    "ls of the directory": "ls run",
    "tree": "tree run/m",
    "verify": "verify run/m",
    "salvage": "salvage run/m new/m",
    "report": "report run/m -o new.html",
}


@pytest.fixture
def here(bert: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with a BERT in three data files as run/m, a copy/m of it, made/m of it, and other/m."""
    monkeypatch.chdir(tmp_path)
    tfckpt.rewrite(bert, "run/m", max_shard_size=8_000, sync=False)
    shutil.copy(Path(bert).parent / "bert_config.json", "run")
    shutil.copytree("run", "copy")
    tfckpt.convert("run/m", "made/m", sync=False)
    tfckpt.save("other/m", {"u": np.arange(9.0)})
    assert sorted(map(str, Path("run").glob("m.data*"))) == SHARDS
    return tmp_path


def put(content: bytes, *paths: str) -> None:
    """Put something else in place of files."""
    for path in paths:
        Path(path).write_bytes(content)


def of_data(path: str, what: str = POINTED) -> str:
    return f"{path}: file: expected a checkpoint's data file, {what}"


def tensors_in(shard: int) -> list[str]:
    with tfckpt.open("copy/m") as checkpoint:
        return [entry.name for entry in checkpoint.entries() if entry.shard == shard]


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def code_of(command: str) -> int:
    return 2 if command.startswith("diff") else 1


# --- one file, every command


@pytest.mark.parametrize("command", [*READING, *OTHERS])
def test_an_index_that_is_a_pointer_is_called_that(here: Path, capsys: Captured, command: str) -> None:
    put(POINTER, "run/m.index")
    before = contents(here)
    line = (READING | OTHERS)[command]
    lines, advice = fail_and_advise(capsys, *line.split(), code=code_of(command))
    assert lines == [f"run/m.index: file: expected a checkpoint's index, {POINTED}"]
    assert advice == PULL
    assert contents(here) == before


@pytest.mark.parametrize("command", READING)
def test_data_that_are_a_pointer_are_called_that(here: Path, capsys: Captured, command: str) -> None:
    put(POINTER, *SHARDS)
    before = contents(here)
    lines, advice = fail_and_advise(capsys, *READING[command].split(), code=code_of(command))
    assert len(lines) == 1
    assert lines[0] in map(of_data, SHARDS)
    assert advice == PULL
    assert contents(here) == before


@pytest.mark.parametrize("dest", ["made/m", "copy/m"])
def test_a_pointer_in_the_destination_of_a_proof_is_no_difference(here: Path, capsys: Captured, dest: str) -> None:
    """Be it the object graph that cannot be read, or values of a name-based checkpoint."""
    (data,) = Path(dest).parent.glob("m.data-00000-*")
    put(POINTER, str(data))
    to = [] if dest == "made/m" else ["--to", "keras"]
    if to:
        tfckpt.convert("run/m", dest, to="keras", overwrite=True, sync=False)
        (data,) = Path(dest).parent.glob("m.data-00000-*")
        put(POINTER, str(data))
    lines, advice = fail_and_advise(capsys, "prove", "run/m", dest, *to)
    assert lines == [of_data(str(data))]
    assert advice == f"git -C {data.parent} lfs pull"


@pytest.mark.parametrize("command", ["ls run/m", "tree run/m"])
def test_what_reads_the_index_alone_needs_no_data(here: Path, capsys: Captured, command: str) -> None:
    assert main(command.split()) == 0
    before = capsys.readouterr()
    put(POINTER, *SHARDS)
    assert main(command.split()) == 0
    assert capsys.readouterr() == before


# --- several files, a line for each


def test_verify_has_a_line_for_each_file(here: Path, capsys: Captured) -> None:
    put(POINTER, *SHARDS)
    lines, advice = fail_and_advise(capsys, "verify", "run/m")
    counts = [len(tensors_in(shard)) for shard in range(3)]
    assert sum(counts) == 139
    assert lines == [f"{of_data(path)} ({count} tensors)" for path, count in zip(SHARDS, counts, strict=True)]
    assert advice == PULL


def test_verify_has_a_line_for_a_pointer_and_others_for_damage(here: Path, capsys: Captured) -> None:
    put(POINTER, SHARDS[1])
    data = bytearray(Path(SHARDS[0]).read_bytes())
    data[0] ^= 1
    put(bytes(data), SHARDS[0])
    lines, advice = fail_and_advise(capsys, "verify", "run/m")
    assert len(lines) == 2
    assert lines[0].startswith(f"{SHARDS[0]}: checksum of tensor {tensors_in(0)[0]!r} (")
    assert lines[0].endswith("; the file is damaged: download or copy it again; bytes [0, 32)")
    assert lines[1] == f"{of_data(SHARDS[1])} ({len(tensors_in(1))} tensors)"
    assert advice == PULL


def test_verify_says_the_same_in_json(here: Path, capsys: Captured) -> None:
    put(POINTER, SHARDS[1])
    assert main(["verify", "run/m", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    where = {"slice": "", "file": SHARDS[1], "start": None, "end": None, "reason": of_data(SHARDS[1])}
    assert document["damaged"] == [{"tensor": name, **where} for name in tensors_in(1)]


def test_a_report_has_a_line_for_each_file(here: Path, capsys: Captured) -> None:
    put(POINTER, SHARDS[0])
    put(PAGE * 10, SHARDS[2])
    lines, _ = fail_and_advise(capsys, "report", "run/m", "-o", "page.html", "-q")
    assert lines == [of_data(SHARDS[0]), of_data(SHARDS[2], PAGED)]
    assert main(["report", "run/m", "--json", "-q"]) == 1
    tensors = json.loads(capsys.readouterr().out)["tensors"]
    problems = {SHARDS[0]: of_data(SHARDS[0]), SHARDS[2]: of_data(SHARDS[2], PAGED)}
    assert [t["problem"] for t in tensors] == [problems.get(SHARDS[t["stored"]["shard"]]) for t in tensors]


def test_salvage_makes_nothing_of_pointers(here: Path, capsys: Captured) -> None:
    put(POINTER, *SHARDS)
    before = contents(here)
    lines, advice = fail_and_advise(capsys, "salvage", "run/m", "new/m")
    first = f"3 places are damaged, the first: {of_data(SHARDS[0])}"
    assert lines == [f"run/m: salvage: expected an intact tensor, got none; {first}"]
    assert advice == PULL
    assert contents(here) == before


def test_salvage_of_one_file_says_it_as_it_is(here: Path, capsys: Captured) -> None:
    put(POINTER, *SHARDS)
    tfckpt.save("run/m", {"a": np.arange(99.0), "b": 1}, overwrite=True)
    put(POINTER, "run/m.data-00000-of-00001")
    lines, advice = fail_and_advise(capsys, "salvage", "run/m", "new/m")
    of_it = of_data("run/m.data-00000-of-00001")
    assert lines == [f"run/m: salvage: expected an intact tensor, got none; {of_it}"]
    assert advice == PULL


def test_salvage_of_the_files_that_are_there_says_which_is_not(here: Path, capsys: Captured) -> None:
    put(POINTER, SHARDS[1])
    lost = tensors_in(1)
    lines, advice = fail_and_advise(capsys, "salvage", "run/m", "new/m", "-q")
    assert lines == [f"{of_data(SHARDS[1])} ({len(lost)} tensors)"]
    assert advice == PULL
    with tfckpt.open("new/m") as saved, tfckpt.open("copy/m") as whole:
        saved.verify()
        assert sorted({*saved, *lost}) == sorted(whole)
        assert not {*lost} & {*saved}


# --- what else comes in place of data


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (POINTER, POINTED),
        (PAGE[:200], PAGED),
        (PAGE * 50, PAGED),  # longer than the data
        (b"", EMPTIED),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "got a server's answer in XML, not the "
                                                                           "file; the download was refused: try it "
                                                                           "again"),
        (b"BZh91AY&SY" * 99, "got a tar archive; unpack it first"),
    ],
    ids=["pointer", "page", "long page", "nothing", "answer", "tar"],
)  # fmt: skip
def test_the_library_calls_data_what_they_are(here: Path, content: bytes, what: str) -> None:
    put(content, *SHARDS)
    lines = [of_data(path, what) for path in SHARDS]
    with tfckpt.open("run/m") as checkpoint:
        of = {entry.name: lines[entry.shard] for entry in checkpoint.entries()}
        assert {damage.name: str(damage.error) for damage in checkpoint.find_damage()} == of
        with pytest.raises(FormatError) as caught:
            checkpoint.verify()
        assert str(caught.value) in lines
        for name, line in of.items():
            with pytest.raises(FormatError) as caught:
                checkpoint.verify(name)
            assert str(caught.value) == line
            with pytest.raises(FormatError) as caught:
                checkpoint[name]
            assert str(caught.value) == line
    found = survey("run/m")
    assert {(item.tensor, item.start, item.end, item.line) for item in find_all(found.reader)} == {
        (name, None, None, line) for name, line in of.items()
    }
    found.reader.close()


def test_slices_and_strings_are_in_files_that_are_called_what_they_are(
    here: Path, bert: str, split: Any, capsys: Captured
) -> None:
    split(bert, here / "parts", "bert/pooler/dense/kernel", [3, 5])
    tfckpt.save("texts", {"a": np.array([b"one", b"two"], object), "b": b"three"})
    for prefix, count in (("parts", 140), ("texts", 2)):
        data = f"{prefix}.data-00000-of-00001"
        put(PAGE * 50, data)
        lines, _ = fail_and_advise(capsys, "verify", prefix)
        assert lines == [f"{of_data(data, PAGED)} ({count} tensors)"]
    with tfckpt.open("texts") as checkpoint, pytest.raises(FormatError) as caught:
        checkpoint.verify("a")
    assert str(caught.value) == of_data("texts.data-00000-of-00001", PAGED)
    lines, _ = fail_and_advise(capsys, "show", "texts", "a", "--slice", "0:1")
    assert lines == [of_data("texts.data-00000-of-00001", PAGED)]


@pytest.mark.parametrize("content", [POINTER, PAGE, TORCH], ids=["pointer", "page", "PyTorch"])
@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_bytes_of_any_kind_may_be_a_tensor(here: Path, capsys: Captured, content: bytes, damage: str) -> None:
    """A file that begins as its index says is damaged where it is, whatever its first tensor holds."""
    tfckpt.save("own", {"a": np.frombuffer(content, np.uint8), "b": np.arange(99.0), "c": np.arange(9.0)})
    data = Path("own.data-00000-of-00001")
    size = data.stat().st_size
    if damage == "cut":
        os.truncate(data, size - 1)
    else:
        put(data.read_bytes()[:-1] + b"\7", str(data))
    lines, _ = fail_and_advise(capsys, "verify", "own")
    assert len(lines) == 1
    assert lines[0].startswith(f"{data}: {'' if damage == 'cut' else 'checksum of '}tensor 'c' ")
    assert lines[0].endswith(f"; bytes [{size - 72}, {size})")
    report = tfckpt.salvage("own", "saved", sync=False)
    assert (report.lost, [entry.name for entry in report.saved]) == (("c",), ["a", "b"])
    lines, advice = fail_and_advise(capsys, "rewrite", "own", "new/own")
    assert lines[0].startswith(f"{data}: {'' if damage == 'cut' else 'checksum of '}tensor 'c' ")
    assert advice == "tfckpt verify own"


# --- other files than V2's


def test_a_v1_checkpoint_has_a_line_for_each_file(here: Path, capsys: Captured) -> None:
    names = [f"shards-0000{shard}-of-00002" for shard in range(2)]
    for name in names:
        shutil.copy(V1 / name, "run")
    put(POINTER, f"run/{names[1]}")
    line = f"run/{names[1]}: file: expected a file of a V1 checkpoint, {POINTED}"
    for command in ("ls run/shards", "show run/shards matrix", "export run/shards new.npz"):
        assert fail_and_advise(capsys, *command.split()) == ([line], PULL)
    lines, advice = fail_and_advise(capsys, "verify", "run/shards")
    assert [text for text in lines if "pointer" in text] == [line]
    assert advice == PULL
    lines, advice = fail_and_advise(capsys, "salvage", "run/shards", "new/m", "-q")
    assert [text for text in lines if "pointer" in text] == [line]
    assert advice == PULL
    put(POINTER, f"run/{names[0]}")
    line = line.replace(names[1], names[0])
    for command in ("verify run/shards", "salvage run/shards other/n"):
        assert fail_and_advise(capsys, *command.split()) == ([line], PULL)


@pytest.mark.parametrize("command", ["ls run/old", "verify run/old", "convert run/old new/m", "salvage run/old new/m"])
def test_a_v1_checkpoint_of_one_file_is_called_what_it_is(here: Path, capsys: Captured, command: str) -> None:
    put(POINTER, "run/old")
    lines, advice = fail_and_advise(capsys, *command.split())
    what = "file: expected a file of a V1 checkpoint, got" if command.startswith("salvage") else "no checkpoint; it is"
    assert lines == [f"run/old: {what} {POINTED.removeprefix('got ')}"]
    assert advice == PULL


def test_a_directory_of_one_pointer_is_told(here: Path, capsys: Captured) -> None:
    Path("lone").mkdir()
    put(POINTER, "lone/model.ckpt")
    lines, advice = fail_and_advise(capsys, "ls", "lone")
    what = "the directory has no checkpoint: no file in it ends in .index"
    assert lines == [f"lone: {what}; lone/model.ckpt is {POINTED.removeprefix('got ')}"]
    assert advice == "git -C lone lfs pull"


@pytest.mark.parametrize(
    ("name", "command", "line"),
    [
        ("checkpoint", "ls run", f"run/checkpoint: file: expected a state file, {POINTED}"),
        (
            "bert_config.json",
            "convert run/m new/m",
            "run/bert_config.json: not JSON: Expecting value: line 1 column 1 (char 0); "
            f"it is {POINTED.removeprefix('got ')}",
        ),
        ("w.npz", "import run/w.npz new/m", f"run/w.npz: file: expected a safetensors or .npz file, {POINTED}"),
        ("w.npz", "import run/w.npz new/m --as npz", f"run/w.npz: file: expected a safetensors or .npz file, {POINTED}"),
        (
            "w.safetensors",
            "import run/w.safetensors new/m --as safetensors",
            f"run/w.safetensors: file: expected a safetensors or .npz file, {POINTED}",
        ),
    ],
)  # fmt: skip
def test_a_file_beside_is_called_what_it_is(here: Path, capsys: Captured, name: str, command: str, line: str) -> None:
    put(POINTER, f"run/{name}")
    assert fail_and_advise(capsys, *command.split()) == ([line], PULL)


@pytest.mark.parametrize(("name", "what"), [("index.json", "the index.json of an export"), ("00000", "a .npy file")])
def test_a_file_of_a_directory_of_arrays_is_called_what_it_is(
    here: Path, capsys: Captured, name: str, what: str
) -> None:
    tfckpt.export("run/m", "arrays/")
    (path,) = Path("arrays").glob(f"{name}*")
    put(POINTER, str(path))
    lines, advice = fail_and_advise(capsys, "import", "arrays", "new/m")
    assert lines == [f"{path}: file: expected {what}, {POINTED}"]
    assert advice == "git -C arrays lfs pull"
