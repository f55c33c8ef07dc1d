"""A command of the recipe in the documentation: a file, and its name in one table."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from support.commands import Captured, succeed

import tfckpt.cli.commands
from tfckpt.cli.main import GROUPS, main

RECIPE = Path(__file__).parents[1] / "docs" / "architecture.md"
TITLE = "tfckpt/cli/commands/count.py"


@pytest.fixture
def count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Add the command of the recipe, as the recipe says."""
    text = RECIPE.read_text(encoding="utf-8")
    (file,) = re.findall(rf'```python title="{TITLE}"\n(.*?)```', text, re.DOTALL)
    (tmp_path / "commands").mkdir()
    (tmp_path / "commands" / "count.py").write_text(file, encoding="utf-8")
    monkeypatch.setattr(tfckpt.cli.commands, "__path__", [*tfckpt.cli.commands.__path__, str(tmp_path / "commands")])
    monkeypatch.setattr("tfckpt.cli.main.GROUPS", {**GROUPS, "count": ("count",)})


@pytest.mark.usefixtures("count")
def test_the_command_of_the_recipe_runs(bert: str, capsys: Captured) -> None:
    assert succeed(capsys, "count", bert) == ["139 tensors"]
    assert main(["count", bert, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"tensors": 139}


@pytest.mark.usefixtures("count")
def test_help_lists_the_command_of_the_recipe(capsys: Captured) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "count the tensors of a checkpoint" in capsys.readouterr().out
