"""Failures that people meet: each says what was meant and what to type next, and that works when it is typed."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import Captured
from teaching import stage
from teaching.cases import CASES, GROUPS, Case
from teaching.page import INTRODUCTION, PAGE, anchor, provoke, run_here, section

from tfckpt.cli.main import build_parser, main
from tfckpt.cli.options import SYNONYMS

pytestmark = pytest.mark.exhaustive

# No command of a shell makes a TensorFlow checkpoint of these, what a file lacks that was cut short, a configuration that was
# never fetched, or a class that holds the model. What is there is replaced only by whoever says so, and so are trained
# values left out.
WITHOUT_ADVICE = {
    "Keras weights",
    "A Keras model",
    "PyTorch",
    "TorchScript",
    "A pickle",
    "Flax",
    "T5X",
    "Orbax",
    "ONNX",
    "TensorFlow Lite",
    "GGUF",
    "The name without its suffix",
    "The folder of a model of Keras",
    "Importing PyTorch",
    "A zip archive that was cut short",
    "A frozen graph",
    "A web page as configuration",
    "A configuration with several kinds of segments",
    "A destination that exists",
    "A variable of your own",
}


def contents(directory: Path) -> dict[str, bytes | None]:
    """Return everything below a directory: the bytes of files, None for directories."""
    return {
        str(path.relative_to(directory)): path.read_bytes() if path.is_file() else None
        for path in directory.rglob("*")
        if "__pycache__" not in path.parts
    }


@pytest.fixture
def bin_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the command ``tfckpt``, for shells."""
    path = tmp_path_factory.mktemp("bin") / "tfckpt"
    path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m tfckpt "$@"\n')
    path.chmod(0o755)
    return path.parent


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with a BERT in it."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    stage.bert(tmp_path / "here")
    return tmp_path / "here"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_a_failure_says_what_to_type_next(directory: Path, bin_directory: Path, case: Case) -> None:
    case.make(directory)
    before = contents(directory)
    said = provoke(case, directory)
    assert contents(directory) == before, "something is left behind"
    assert (said.code, said.out) == (case.code, "")
    assert all(line.startswith(f"tfckpt {case.line.split()[0]}: ") for line in said.lines)
    assert section(case, said) in PAGE.read_text(encoding="utf-8"), "run tests/teaching/run"
    assert (said.advice == "") == (case.what in WITHOUT_ADVICE)
    if said.advice and case.follow is not None:
        assert follow(said.advice, bin_directory) == case.follow


def follow(command: str, bin_directory: Path) -> int:
    """Type what is said to be next: in this process if it is tfckpt alone, else in a shell; return the exit code."""
    words = shlex.split(command)
    if words[0] == "tfckpt" and "&&" not in words:
        return run_here(words[1:]).code
    environment = {
        **os.environ,
        "PATH": f"{bin_directory}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(PAGE.parents[1]), os.environ.get("PYTHONPATH", "")])),
    }
    return subprocess.run(["sh", "-c", command], check=False, capture_output=True, env=environment).returncode


def test_the_page_is_made_of_these_failures_alone() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text.startswith(INTRODUCTION)
    headings = [line.strip("# ") for line in text.splitlines() if line.startswith(("## ", "### "))]
    assert headings == [heading for group in GROUPS for heading in (group.heading, *(c.what for c in group.cases))]
    assert len({anchor(case.what) for case in CASES}) == len(CASES)
    assert text.count("\n| [") == len(CASES)


def test_what_was_unpacked_opens_when_one_goes_on(directory: Path, bin_directory: Path) -> None:
    """From the archive by way of the folder that is in it to the conversion, by typing what is said to be next."""
    stage.archive("download.zip")(directory)
    first = run_here(["convert", "download.zip", "out/model"])
    assert follow(first.advice, bin_directory) == 0
    second = run_here(["convert", "download", "out/model"])
    assert second.advice == "tfckpt convert download/bert/bert_model.ckpt out/model"
    assert follow(second.advice, bin_directory) == 0


def test_damage_leads_by_verify_to_salvage(directory: Path) -> None:
    stage.flipped(f"bert/{stage.NAME}{stage.SHARD}", 5000)(directory)
    first = run_here(["convert", "bert", "out/model"])
    assert first.advice == "tfckpt verify bert/bert_model.ckpt"
    second = run_here(shlex.split(first.advice)[1:])
    assert second.advice == "tfckpt salvage bert/bert_model.ckpt bert/bert_model.ckpt.salvaged"
    assert run_here(shlex.split(second.advice)[1:]).code == 1  # something is lost
    assert run_here(["verify", "bert/bert_model.ckpt.salvaged"]).code == 0


@pytest.mark.parametrize(
    ("argv", "advice"),
    [
        (["convert", "bert/b.ckpt", "a b/c"], "tfckpt convert bert/bert_model.ckpt 'a b/c'"),
        (["convert", "--to=tf1", "bert", "out/x"], "tfckpt convert bert out/x"),
        (["convert", "bert", "out/x", "--num-heads=4"], "tfckpt convert bert out/x"),
        (["plan", "bert", "--to", "classifier", "--fill=", "-q"], None),
        (["tf1-to-keras", "--checkpoint_from_path=bert/b", "--checkpoint_to_path=out/x"], "tfckpt tf1-to-keras "
            "--checkpoint_from_path=bert/bert_model.ckpt --checkpoint_to_path=out/x"),
    ],
)  # fmt: skip
def test_the_command_is_the_one_that_was_typed(directory: Path, argv: list[str], advice: str | None) -> None:
    assert run_here(argv).advice == (advice or "")


def test_a_target_that_is_nearly_one_is_told(capsys: Captured) -> None:
    with pytest.raises(SystemExit):
        main(["plan", "bert", "--to", "clasifier"])
    assert capsys.readouterr().err.endswith("; did you mean 'classifier'?\n")


def test_what_nobody_foresaw_is_still_a_traceback(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfckpt.plan", lambda *args, **options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["plan", "bert"])


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("lis", "ls"), ("list", "ls"), ("help", "--help"), ("version", "--version"), ("check", "verify")],
)
def test_a_command_that_is_nearly_one_or_called_so_elsewhere_is_told(capsys: Captured, typed: str, meant: str) -> None:
    with pytest.raises(SystemExit):
        main([typed, "bert"])
    assert capsys.readouterr().err.endswith(f"; did you mean {meant!r}?\n")


def test_without_a_command_it_says_what_lists_them(capsys: Captured) -> None:
    with pytest.raises(SystemExit):
        main([])
    assert capsys.readouterr().err.endswith("required: COMMAND; tfckpt --help lists them\n")


def test_every_synonym_is_of_a_command_or_an_option_that_is_there() -> None:
    (commands,) = (action.choices for action in build_parser()._actions if action.dest == "command")
    assert commands is not None
    assert {*SYNONYMS.values()} <= {*commands, "--help", "--version"}
    assert SYNONYMS.keys().isdisjoint(commands)
