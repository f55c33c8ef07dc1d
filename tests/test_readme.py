"""The README's tables are those of the package; tests/test_docs.py runs its blocks."""

from __future__ import annotations

import re
from pathlib import Path

from tfckpt.checkpoint.roles import BESIDE, ROLES
from tfckpt.cli.main import build_parser
from tfckpt.layouts.bert import BERT, ENCODER
from tfckpt.layouts.catalog import NAMES, OBJECT_LAYOUTS
from tfckpt.options import AUTO

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def rows(header: str) -> dict[str, str]:
    """Return the first two columns of the table under ``header``, without its marks of code."""
    lines = README.partition(f"{header}\n")[2].partition("\n\n")[0].splitlines()[1:]
    return {cells[1].strip(): cells[2].strip() for cells in (line.split("|") for line in lines)}


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


def test_the_roles_that_a_conversion_drops_are_those_that_are_listed() -> None:
    listed = README.partition("under the name of its [role](docs/roles.md): ")[2].partition(".")[0]
    assert set(listed.replace("\n", " ").split(", ")) == BESIDE
    text = (Path(__file__).parents[1] / "docs" / "roles.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(.*?)` \|", text, re.MULTILINE)) == set(ROLES)


def test_the_commands_are_those_of_the_parser() -> None:
    commands = [re.findall(r"`tfckpt ([\w-]+)", text)[0] for text in rows("| command | what it does |")]
    (subparsers,) = (action for action in build_parser()._actions if action.dest == "command")
    assert subparsers.choices is not None
    assert sorted(commands) == sorted(subparsers.choices)
