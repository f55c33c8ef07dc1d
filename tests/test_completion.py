"""The completion scripts and the man page: what the parser has, they have."""

from __future__ import annotations

import argparse
import io
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import Captured, fail, succeed
from support.missing import missing
from support.patience import PATIENCE

import tfckpt
from tfckpt.checkpoint.graph.object_graph import OBJECT_GRAPH_KEY, Attribute, ObjectGraph, variable_key
from tfckpt.cli.commands.completion import SHELLS
from tfckpt.cli.main import build_parser

DOCS = Path(__file__).parents[1] / "docs"
COMPLETE = """
set -u
source "$1"
COMP_WORDS=("${@:2}")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
COMP_LINE="${COMP_WORDS[*]}"
COMP_POINT=${#COMP_LINE}
_shtab_tfckpt
printf '%s\\n' "${COMPREPLY[@]+"${COMPREPLY[@]}"}"
"""


def parsers() -> dict[str, argparse.ArgumentParser]:
    (commands,) = (a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    return dict(commands.choices)


@pytest.fixture
def script(tmp_path: Path, capsys: Captured) -> Path:
    if shutil.which("bash") is None:
        missing("bash is not installed")
    path = tmp_path / "completion.bash"
    path.write_text("\n".join(succeed(capsys, "completion", "bash")))
    return path


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["tr"], ["tree"]),
        (["convert", "--keep"], ["--keep-names"]),
        (["ls", "--total", "r"], ["role"]),
        (["ls", "--format", ""], ["v1", "v2"]),
        (["convert", "--to", "bert-p"], ["bert-pretrainer"]),
        (["report", "--to", "bert-p"], ["bert-pretrainer"]),
        (["diff", "--map", "bert-p"], ["bert-pretrainer"]),
        (["completion", "f"], ["fish"]),
        (["ls", "--json", "./here"], ["./here_it_is.index"]),
    ],
    ids=" ".join,
)
def test_bash_completes_every_kind_of_word(script: Path, tmp_path: Path, words: list[str], expected: list[str]) -> None:
    (tmp_path / "here_it_is.index").touch()
    command = ["bash", "-c", COMPLETE, "bash", str(script), "tfckpt", *words]
    result = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path, timeout=PATIENCE)
    assert sorted(result.stdout.split()) == expected


@pytest.fixture
def objects(tmp_path: Path) -> str:
    """Prefix of a checkpoint with a variable ``net/dense/kernel``, also at ``alias``, and names that a shell would run."""
    graph = ObjectGraph()
    kernel = Attribute("VARIABLE_VALUE", variable_key("net/dense/kernel"), "full/kernel")
    number = graph.node_at(("net", "dense", "kernel"))
    graph.nodes[number].attributes.append(kernel)
    graph.add_edge(("alias",), number)
    tensors = {kernel.checkpoint_key: 1.0, "net/$(touch run)": 2.0, "net/a b": 3.0, "net/`x`": 4.0, "net/d": 5.0}
    tfckpt.save(tmp_path / "c", tensors | {OBJECT_GRAPH_KEY: graph.serialize()})
    return str(tmp_path / "c")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ls", "./c", "net/dense/kernel/"], [variable_key("net/dense/kernel")]),
        (["ls", "./c", "net/d"], ["net/d", "net/dense/kernel", variable_key("net/dense/kernel")]),
        (["tree", "--depth", "2", "./c", "al"], ["alias"]),
        (["show", "--no-stats", "c.index", "net/d", "full"], ["full/kernel"]),
        (["rewrite", "./c", "./out", "--drop", "fu"], ["full/kernel"]),
        (
            ["export", "./c", "./out.npz", "--keep", "net/dense/k"],
            ["net/dense/kernel", variable_key("net/dense/kernel")],
        ),
        (["ls", "./c", "net/$"], []),
        (["ls", "./nothing", "net/"], []),
    ],
    ids=" ".join,
)
def test_bash_completes_names_of_tensors(
    script: Path, tmp_path: Path, objects: str, words: list[str], expected: list[str]
) -> None:
    door = tmp_path / "bin" / "tfckpt"
    door.parent.mkdir()
    door.write_text(f'#!/bin/sh\nexec {sys.executable} -m tfckpt "$@"\n')
    door.chmod(0o755)
    environment = {**os.environ, "PATH": f"{door.parent}{os.pathsep}{os.environ['PATH']}"}
    command = ["bash", "-c", COMPLETE, "bash", str(script), "tfckpt", *words]
    result = subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=tmp_path, timeout=PATIENCE, env=environment
    )
    assert sorted(result.stdout.split()) == expected
    assert result.stderr == ""
    assert not (tmp_path / "run").exists()


def test_the_names_that_a_shell_gets_are_all_but_those_that_it_would_break_or_run(
    objects: str, capsys: Captured
) -> None:
    lines = succeed(capsys, "completion", "zsh", "--names-of", objects)
    key = variable_key("net/dense/kernel")
    assert lines == [OBJECT_GRAPH_KEY, "net/d", key, "alias", "net/dense/kernel", "full/kernel"]
    assert succeed(capsys, "completion", "fish", "--names-of", objects, "--beginning=al") == ["alias"]
    fail(capsys, "completion", "bash", "--names-of", f"{objects}.nothing")


def test_of_a_damaged_graph_the_keys_are_completed(tmp_path: Path, capsys: Captured) -> None:
    tfckpt.save(tmp_path / "c", {"a": 1, OBJECT_GRAPH_KEY: b"\xff"})
    assert succeed(capsys, "completion", "bash", "--names-of", str(tmp_path / "c")) == [OBJECT_GRAPH_KEY, "a"]


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_asks_for_names_of_tensors(capsys: Captured, shell: str) -> None:
    text = "\n".join(succeed(capsys, "completion", shell))
    assert f"tfckpt completion {shell} --names-of=" in text
    assert text.count("_tfckpt_names") >= 7  # its own, and of ls, tree, show; of --drop and --keep


@pytest.mark.parametrize("shell", SHELLS)
def test_every_command_and_option_is_in_the_script(capsys: Captured, shell: str) -> None:
    text = "\n".join(succeed(capsys, "completion", shell))
    for name, parser in parsers().items():
        assert re.search(rf"\b{name}\b", text)
        for option in parser._option_string_actions:
            assert option.lstrip("-") in text


def test_the_man_page_is_that_of_the_parser() -> None:
    page = (DOCS / "tfckpt.1").read_text(encoding="utf-8")
    assert page == runpy.run_path(str(DOCS / "make_man_page.py"))["man_page"](), "run docs/make_man_page.py"
    assert f"tfckpt {tfckpt.__version__}" in page
    for name, parser in parsers().items():
        assert f".SS tfckpt {name} [OPTIONS]".replace("-", r"\-") in page
        for option in parser._option_string_actions:
            assert option.replace("-", r"\-") in page


def test_the_wheel_brings_the_man_page() -> None:
    project = (DOCS.parent / "pyproject.toml").read_text(encoding="utf-8")
    assert '"docs/tfckpt.1" = "share/man/man1/tfckpt.1"' in project


def stdin(text: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8")


def test_a_configuration_and_a_layout_come_from_stdin(
    bert_copy: str, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Path(bert_copy).parent / "bert_config.json"
    text = config.read_text()
    config.unlink()
    monkeypatch.setattr("sys.stdin", stdin(text))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = sorted(tmp_path.iterdir())
    assert "num_attention_heads: 2 (stdin)" in succeed(capsys, "plan", bert_copy, "--config", "-")
    monkeypatch.setattr("sys.stdin", stdin("not = [toml"))
    (line,) = fail(capsys, "plan", bert_copy, "--layout", "-")
    assert line.startswith("stdin: not TOML: ")
    assert sorted(tmp_path.iterdir()) == before
