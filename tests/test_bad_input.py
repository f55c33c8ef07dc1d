"""Bad input to the main job: one clear line, exit code 1, and everything on the disk as it was."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commands import NEXT, Captured, fail_and_advise
from support.files import bundle_bytes

import tfckpt
from tfckpt.cli.main import main
from tfckpt.errors import ChecksumError, TfckptError

pytestmark = pytest.mark.exhaustive

Damage = Callable[[str], None]

NOBODY = 65534


def index(prefix: str) -> str:
    return f"{prefix}.index"


def data(prefix: str) -> str:
    return f"{prefix}.data-00000-of-00001"


def config(prefix: str) -> Path:
    return Path(prefix).parent / "bert_config.json"


def nothing(prefix: str) -> None:
    """Damage nothing: what is wrong is elsewhere."""


def truncated(path: Callable[[str], str], nbytes: int) -> Damage:
    return lambda prefix: os.truncate(path(prefix), nbytes)


def flipped(path: Callable[[str], str], at: int) -> Damage:
    return lambda prefix: flip(path(prefix), at)


def missing(path: Callable[[str], str | Path]) -> Damage:
    return lambda prefix: os.unlink(path(prefix))


def configured(**fields: int | str) -> Damage:
    return lambda prefix: _write(config(prefix), json.dumps(json.loads(config(prefix).read_text()) | fields))


def config_is(text: str) -> Damage:
    return lambda prefix: _write(config(prefix), text)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def without_pooler(prefix: str) -> None:
    with tfckpt.open(prefix) as checkpoint:
        tfckpt.save(prefix, {name: checkpoint[name] for name in checkpoint if "pooler" not in name}, overwrite=True)


def with_an_adapter(prefix: str) -> None:
    with tfckpt.open(prefix) as checkpoint:
        tensors = dict(checkpoint) | {"bert/adapter/kernel": np.zeros((8, 4), np.float32)}
    tfckpt.save(prefix, tensors, overwrite=True)


def flip(path: str, at: int) -> None:
    """Change one bit of a file's byte; doing it twice changes nothing."""
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def contents(directory: Path) -> dict[str, bytes | None]:
    """Return everything below a directory: the bytes of files, None for directories."""
    return {
        str(path.relative_to(directory)): path.read_bytes() if path.is_file() else None for path in directory.rglob("*")
    }


HEX = "0x[0-9a-f]+"
CHECKSUM = f"expected {HEX}, got {HEX}"
TRUNCATED = "the file is truncated, or belongs to another index"
BROKEN = "the index is damaged, cut short, or something else: download or copy it again"
INCOMPLETE = "the index names this file: the download or copy is incomplete"
CUT_OFF = "the download or copy is incomplete: repeat it"
DAMAGED = "the file is damaged: download or copy it again"
NO_JSON = "Expecting property name enclosed in double quotes: line 1 column 2 .char 1."


# What is wrong, options, and a pattern for each line on stderr, sorted; S is the source's prefix, D the destination's.
CASES: dict[str, tuple[Damage, list[str], list[str]]] = {
    "no source": (
        missing(index),
        [],
        ["S: no checkpoint: no file S\\.index; its data files are there: the download or copy is incomplete"],
    ),
    "empty index": (
        truncated(index, 0),
        [],
        [r"S\.index: file: expected a checkpoint's index, got an empty file; " + CUT_OFF],
    ),
    "index of 47 bytes": (
        truncated(index, 47),
        [],
        [r"S\.index: table file: expected at least 48 bytes, got 47; " + BROKEN],
    ),
    "half an index": (truncated(index, 2000), [], [rf"S\.index: table magic at byte 1,992: {CHECKSUM}; {BROKEN}"]),
    "index without its last byte": (
        truncated(index, 4570),
        [],
        [rf"S\.index: table magic at byte 4,562: {CHECKSUM}; {BROKEN}"],
    ),
    "flip in the index": (flipped(index, 1000), [], [rf"S\.index: block checksum at byte 4,486: {CHECKSUM}; {BROKEN}"]),
    "flip in the footer": (flipped(index, 4570), [], [rf"S\.index: table magic at byte 4,563: {CHECKSUM}; {BROKEN}"]),
    "no data": (missing(data), [], [r"S\.data-00000-of-00001: cannot open: No such file or directory; " + INCOMPLETE]),
    "empty data": (
        truncated(data, 0),
        [],
        [r"S\.data-00000-of-00001: file: expected a checkpoint's data file, got an empty file; " + CUT_OFF],
    ),
    "truncated data": (
        truncated(data, 5000),
        [],
        [
            r"S\.data-00000-of-00001: tensor 'bert/encoder/layer_0/attention/output/dense/bias' at byte 4,992: "
            f"expected 32 bytes in a file of at least 5,024, got a file of 5,000; {TRUNCATED}"
        ],
    ),
    "flip in the data": (
        flipped(data, 5000),
        [],
        [
            r"S\.data-00000-of-00001: checksum of tensor 'bert/encoder/layer_0/attention/output/dense/bias' "
            rf"\(32 bytes\) at byte 4,992: {CHECKSUM}; {DAMAGED}"
        ],
    ),
    "wrong layer count": (
        configured(num_hidden_layers=3),
        [],
        [r"S: num_hidden_layers: 3 in bert_config\.json, but the checkpoint has 2 layers"],
    ),
    "heads that do not divide": (
        configured(num_attention_heads=3),
        [],
        [
            r"S: bert/encoder/layer_0/attention/output/dense/kernel \[8, 8\] and 13 more: "
            r"expected a multiple of num_attention_heads = 3 \(bert_config\.json\), got 8"
        ],
    ),
    "heads that contradict": (
        nothing,
        ["--num-heads", "4"],
        [r"S: num_attention_heads: 4 as given, but 2 in bert_config\.json"],
    ),
    "wrong vocabulary": (
        configured(vocab_size=31),
        [],
        [
            "S: bert/embeddings/word_embeddings \\[30, 8\\]: expected vocab_size = 31 \\(bert_config\\.json\\), got 30; "
            "the configuration must state the source's own size; use --vocab-size to change it in the target"
        ],
    ),
    "no pooler": (
        without_pooler,
        [],
        [
            rf"S: bert/pooler/dense/{part}: missing, and 'encoder' needs it for "
            rf"encoder/layer_with_weights-6/{part}/\.ATTRIBUTES/VARIABLE_VALUE; --fill gives it values"
            for part in ("bias", "kernel")
        ],
    ),
    "unknown variable": (
        with_an_adapter,
        [],
        [
            "S: bert/adapter/kernel \\[8, 4\\]: 'encoder' neither takes nor drops this variable; --exclude leaves out "
            "its trained values"
        ],
    ),
    "no head count": (
        missing(config),
        [],
        [
            r"S: num_attention_heads is unknown: "
            r"no configuration file lies beside the checkpoint, and shapes do not show it; give --config or --num-heads"
        ],
    ),
    "everything wrong at once": (
        configured(vocab_size=31, num_hidden_layers=1),
        ["--exclude", "pooler/dense/bias"],
        [
            r"S: bert/embeddings/word_embeddings \[30, 8\]: .*",
            r"S: bert/pooler/dense/bias: excluded by 'pooler/dense/bias', and 'encoder' needs it for .*",
            r"S: num_hidden_layers: 1 .*",
        ],
    ),
    "configuration that is not JSON": (
        config_is("{vocab"),
        [],
        [rf".*/source/bert_config\.json: not JSON: {NO_JSON}"],
    ),
    "configuration that is no object": (
        config_is("[]"),
        [],
        [r".*/source/bert_config\.json: expected a JSON object, got a list"],
    ),
    "configuration of something else": (
        config_is("{}"),
        [],
        [r".*/source/bert_config\.json: not a model's configuration: none of vocab_size, .*"],
    ),
    "size that is no number": (
        configured(hidden_size="8"),
        [],
        [r".*/source/bert_config\.json: hidden_size: expected a positive integer, got '8'"],
    ),
    "no such configuration": (
        nothing,
        ["--config", "nowhere.json"],
        [r"nowhere\.json: cannot open: No such file or directory"],
    ),
    "negative head count": (
        nothing,
        ["--num-heads", "-2"],
        [r"number of attention heads: expected 1 or more, got -2"],
    ),
}


def assert_refused(
    capsys: Captured, watched: Path, argv: list[str], patterns: list[str], source: str, dest: str
) -> None:
    """Check that a conversion fails with just these lines and changes nothing in a directory."""
    before = contents(watched)
    assert main(["convert", source, dest, *argv]) == 1
    assert contents(watched) == before
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    if lines[-1].startswith(f"tfckpt convert: {NEXT}"):  # test_teaching has what is said there
        lines.pop()
    for line, pattern in zip(sorted(lines), patterns, strict=True):
        filled = re.sub(r"\b[SD]\b", lambda match: re.escape({"S": source, "D": dest}[match[0]]), pattern)
        assert re.fullmatch(f"tfckpt convert: {filled}", line), line


@pytest.mark.parametrize(("damage", "options", "patterns"), CASES.values(), ids=CASES)
def test_bad_input_leaves_the_old_checkpoint_at_the_destination(
    bert_copy: str, tmp_path: Path, capsys: Captured, damage: Damage, options: list[str], patterns: list[str]
) -> None:
    dest = str(tmp_path / "dest" / "out")
    tfckpt.save(dest, {"mine": np.arange(5)})
    before = bundle_bytes(dest)
    damage(bert_copy)
    assert_refused(capsys, tmp_path, [*options, "--overwrite"], patterns, bert_copy, dest)
    assert bundle_bytes(dest) == before


@pytest.mark.parametrize(("damage", "options", "patterns"), CASES.values(), ids=CASES)
def test_bad_input_leaves_nothing_at_a_new_destination(
    bert_copy: str, tmp_path: Path, capsys: Captured, damage: Damage, options: list[str], patterns: list[str]
) -> None:
    damage(bert_copy)
    assert_refused(capsys, tmp_path, options, patterns, bert_copy, str(tmp_path / "new" / "deep" / "out"))


@pytest.mark.parametrize(
    ("dest", "options", "pattern"),
    [
        ("dest/out", [], r"D: already exists \(D\.index\); choose another name, or give --overwrite to replace it"),
        ("dest", ["--overwrite"], "D: a directory; give the prefix of the files to write, such as D/model\\.ckpt"),
        ("new/", ["--overwrite"], ".*/new/: a directory; give the prefix of the files to write, such as .*"),
        ("dest/out.index", ["--overwrite"], "D: the name of one of a checkpoint's files; give the prefix .*/dest/out"),
        ("source/model.ckpt-3", ["--overwrite"], r"D: source and destination are the same checkpoint"),
        ("dest/../source/model.ckpt-3", ["--overwrite"], r"D: source and destination are the same checkpoint"),
        ("source/bert_config.json/out", [], r".*/source/bert_config\.json: cannot create: File exists"),
    ],
)
def test_a_bad_destination_changes_nothing(
    bert_copy: str, tmp_path: Path, capsys: Captured, dest: str, options: list[str], pattern: str
) -> None:
    tfckpt.save(tmp_path / "dest" / "out", {"mine": np.arange(5)})
    assert_refused(capsys, tmp_path, options, [pattern], bert_copy, f"{tmp_path}/{dest}")


@contextmanager
def without_privileges() -> Iterator[None]:
    """Run the block as somebody whom file modes bind."""
    privileged = os.geteuid() == 0
    if privileged:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if privileged:
            os.seteuid(0)


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that everybody may enter, which pytest's own are not."""
    directory = Path(tempfile.mkdtemp())
    directory.chmod(0o755)
    yield directory
    (directory / "dest").chmod(0o755)
    shutil.rmtree(directory)


@pytest.mark.parametrize("occupied", [False, True], ids=["empty", "occupied"])
def test_a_read_only_directory_is_left_alone(bert: str, public: Path, capsys: Captured, occupied: bool) -> None:
    source, dest = str(public / "source" / "model.ckpt-3"), str(public / "dest" / "out")
    shutil.copytree(Path(bert).parent, public / "source")
    tfckpt.convert(source, public / "warm-up")  # what is imported late must be readable still
    (public / "dest").mkdir()
    if occupied:
        tfckpt.save(dest, {"mine": np.arange(5)})
    (public / "dest").chmod(0o555)
    with without_privileges():
        pattern = r"D\.tfckpt-lock: cannot lock: Permission denied"
        assert_refused(capsys, public, ["--overwrite"], [pattern], source, dest)


@pytest.mark.parametrize(
    ("argv", "dest", "elsewhere"),
    [
        (["convert", "{0}/source"], "{0}/dest/out", "out"),
        (["convert", "{0}/source"], "{0}/dest/new/out", "out"),
        (["export", "{0}/source"], "{0}/dest/out/", "out/"),
        (["report", "{0}/source", "-o"], "{0}/dest/page.html", "page.html"),
        (["demo"], "{0}/dest", "dest"),
    ],
    ids=["a file", "a directory", "a directory of arrays", "a page", "a demo"],
)
def test_what_may_not_be_written_is_advised_elsewhere(
    bert: str,
    public: Path,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
    argv: list[str],
    dest: str,
    elsewhere: str,
) -> None:
    shutil.copytree(Path(bert).parent, public / "source")
    argv = [word.format(public) for word in argv]
    assert main([*argv, f"{public}/{elsewhere}", "-q"]) == 0  # what is imported late must be readable still
    (public / "dest").mkdir(exist_ok=True)
    (public / "dest").chmod(0o555)
    home = public / "home"
    home.mkdir()
    home.chmod(0o777)
    monkeypatch.setenv("HOME", str(home))
    for here, place in ((home, ""), (public / "dest", f"{home}/")):
        monkeypatch.chdir(here)
        with without_privileges():
            lines, advice = fail_and_advise(capsys, *argv, dest.format(public))
        assert re.search(r"dest.*: cannot .*: Permission denied$", lines[-1])
        assert advice == shlex.join(["tfckpt", *argv, f"{place}{elsewhere}"])


def test_a_demo_where_nothing_may_be_written_is_advised_elsewhere(
    public: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["demo", f"{public}/warm-up", "-q"]) == 0
    (public / "dest").mkdir(mode=0o555)
    (public / "home").mkdir()
    (public / "home").chmod(0o777)
    monkeypatch.setenv("HOME", f"{public}/home")
    monkeypatch.chdir(public / "dest")
    with without_privileges():
        assert fail_and_advise(capsys, "demo")[1] == f"tfckpt demo {public}/home/tfckpt-demo"


def test_what_may_not_be_read_is_one_line_and_shown(bert: str, public: Path, capsys: Captured) -> None:
    (public / "dest").mkdir()
    shutil.copytree(Path(bert).parent, public / "source")
    tfckpt.convert(public / "source", public / "warm-up")
    data = f"{public}/source/model.ckpt-3.data-00000-of-00001"
    os.chmod(data, 0o000)
    with without_privileges():
        lines, advice = fail_and_advise(capsys, "verify", f"{public}/source")
        assert lines == [f"{data}: cannot open: Permission denied (139 tensors)"]
        assert advice == shlex.join(["ls", "-ld", data])
        lines, advice = fail_and_advise(capsys, "convert", f"{public}/source", f"{public}/dest/out")
        assert (lines, advice) == ([f"{data}: cannot open: Permission denied"], shlex.join(["ls", "-ld", data]))


def test_every_truncation_of_the_index_is_noticed(bert_copy: str) -> None:
    for nbytes in reversed(range(os.path.getsize(index(bert_copy)))):
        os.truncate(index(bert_copy), nbytes)
        with pytest.raises(TfckptError, match=r"^.*/model\.ckpt-3\.index: "):
            tfckpt.plan(bert_copy)


def test_every_changed_byte_of_the_index_is_noticed_or_means_nothing(bert_copy: str) -> None:
    expected = tfckpt.plan(bert_copy)
    harmless, complaints = 0, []
    for at in range(os.path.getsize(index(bert_copy))):
        flip(index(bert_copy), at)
        try:
            assert tfckpt.plan(bert_copy) == expected
            harmless += 1
        except TfckptError as error:
            complaints.append(str(error))
        flip(index(bert_copy), at)
    assert all(line.startswith(f"{index(bert_copy)}: ") for line in complaints)
    assert harmless < 60, "only the metaindex, which nobody reads, and the footer's padding"


def test_every_changed_byte_of_the_data_is_noticed(bert_copy: str) -> None:
    with tfckpt.open(bert_copy) as checkpoint:
        owners: dict[int, Any] = {}
        for entry in checkpoint.entries():
            owners |= dict.fromkeys(range(entry.offset, entry.offset + entry.nbytes), entry)
        assert len(owners) == os.path.getsize(data(bert_copy))
        for at in range(0, len(owners), 7):
            flip(data(bert_copy), at)
            with pytest.raises(ChecksumError) as caught:
                checkpoint.verify()
            flip(data(bert_copy), at)
            assert (caught.value.path, caught.value.offset) == (data(bert_copy), owners[at].offset)
            assert f"checksum of tensor {owners[at].name!r} " in str(caught.value)
        checkpoint.verify()


def test_an_empty_destination_is_refused(
    bert: str, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_refused(capsys, tmp_path, [], ["an empty path: give the prefix of the files to write"], bert, "")


def test_data_cut_short_is_refused_even_where_only_dropped_tensors_are_lost(
    bert_copy: str, tmp_path: Path, capsys: Captured
) -> None:
    with tfckpt.open(bert_copy) as checkpoint:
        last = max(checkpoint.entries(), key=lambda entry: entry.offset)
    assert last.name in [item.source for item in tfckpt.plan(bert_copy).dropped]
    os.truncate(f"{bert_copy}.data-00000-of-00001", last.offset + last.nbytes - 1)
    (tmp_path / "out").mkdir()
    assert main(["convert", bert_copy, str(tmp_path / "out" / "x")]) == 1
    line, advice = capsys.readouterr().err.splitlines()
    assert last.name in line
    assert advice == f"tfckpt convert: next: tfckpt verify {bert_copy}"
    assert f"at byte {last.offset:,}" in line
    assert not list((tmp_path / "out").iterdir())
