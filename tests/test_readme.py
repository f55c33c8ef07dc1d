"""The README, taken at its word: its blocks run, its tables are those of the package."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.garden import assert_holds

import tfckpt
from tfckpt.cli.main import build_parser, main
from tfckpt.layouts.bert import BERT, ENCODER
from tfckpt.layouts.catalog import NAMES, OBJECT_LAYOUTS
from tfckpt.layouts.defaults import AUTO

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
FOLDER = "uncased_L-12_H-768_A-12"
LOAD, API = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
(CONVERT,) = re.findall(r"^    tfckpt (convert .*)$", README, re.MULTILINE)


def rows(header: str) -> dict[str, str]:
    """Return the first two columns of the table under ``header``, without its marks of code."""
    lines = README.partition(f"{header}\n")[2].partition("\n\n")[0].splitlines()[1:]
    return {cells[1].strip(): cells[2].strip() for cells in (line.split("|") for line in lines)}


def test_the_python_block_runs(bert: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / FOLDER).mkdir()
    for path in Path(bert).parent.glob("*[!z]"):
        shutil.copy(path, tmp_path / FOLDER / path.name.replace("model.ckpt-3", "bert_model.ckpt"))
    (tmp_path / FOLDER / "checkpoint").unlink()
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {}
    exec(API, scope)
    assert scope["table"].shape == (30, 8)
    assert scope["report"].num_heads == 2
    assert scope["reader"].has_tensor(scope["name"])


@pytest.mark.tf
def test_the_command_and_the_block_that_loads_its_output(
    tf: Any, bert_base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / FOLDER).symlink_to(Path(bert_base).parent)
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(CONVERT)) == 0
    scope: dict[str, Any] = {}
    exec(LOAD, scope)
    with tfckpt.open(bert_base) as source:
        assert_holds(scope["encoder"], dict(source), num_heads=12)


def test_the_targets_are_those_of_the_catalog() -> None:
    assert sorted(re.findall("`(.*?)`", target)[0] for target in rows("| `--to` | what it writes |")) == sorted(NAMES)


def test_the_targets_that_are_described_exist_and_every_one_with_a_head_is_described() -> None:
    text = (Path(__file__).parents[1] / "docs" / "targets.md").read_text(encoding="utf-8")
    headings = [name for line in re.findall(r"^##+ (.*)$", text, re.MULTILINE) for name in re.findall("`(.*?)`", line)]
    assert set(headings) <= {*NAMES, AUTO}
    assert {layout.name for layout in OBJECT_LAYOUTS if layout.family == BERT and len(layout.parts) > 1} <= set(
        headings
    )


def test_the_rules_are_those_of_the_encoder() -> None:
    patterns = {rule: tuple(re.findall("`(.*?)`", text)) for rule, text in rows("| rule | variables |").items()}
    assert patterns == {drop.rule: drop.patterns for drop in ENCODER.drops}


def test_the_commands_are_those_of_the_parser() -> None:
    commands = [re.findall(r"`tfckpt ([\w-]+)", text)[0] for text in rows("| command | what it does |")]
    (subparsers,) = (action for action in build_parser()._actions if action.dest == "command")
    assert subparsers.choices is not None
    assert sorted(commands) == sorted(subparsers.choices)
