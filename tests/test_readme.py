"""The READMEs stay short, their links lead somewhere, and they name what the package has; so do the tables of the docs.

tests/test_docs.py runs their blocks.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tfckpt.base.options import AUTO
from tfckpt.checkpoint.graph.roles import BESIDE, ROLES
from tfckpt.cli.main import build_parser
from tfckpt.families.bert.garden import BERT, ENCODER
from tfckpt.families.catalog import CATALOG

ROOT = Path(__file__).parents[1]
READMES = ("README.md", "README.ko.md")
LINES, WIDTH = 130, 120
OF_ELECTRA = {"generator", "pretrainer-tied"}  # no places where a BERT can go


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def rows(text: str, header: str) -> dict[str, str]:
    """Return the first two columns of the table under ``header``."""
    lines = text.partition(f"{header}\n")[2].partition("\n\n")[0].splitlines()[1:]
    assert lines, f"no table {header}"
    return {cells[1].strip(): cells[2].strip() for cells in (line.split("|") for line in lines)}


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and the site make them."""
    without_code = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", without_code, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", READMES)
def test_a_readme_fits_in_130_lines_of_120_characters(name: str) -> None:
    lines = read(name).splitlines()
    assert len(lines) <= LINES
    assert [number for number, line in enumerate(lines, 1) if len(line) > WIDTH] == []


@pytest.mark.parametrize("name", READMES)
def test_every_link_of_a_readme_leads_to_a_file_and_a_heading_in_it(name: str) -> None:
    links = re.findall(r"\]\(([^)#]+)#?([^)]*)\)", read(name))
    assert len(links) > 30
    assert [path for path, _ in links if not (ROOT / path).exists()] == []
    assert [(path, anchor) for path, anchor in links if anchor and anchor not in anchors(read(path))] == []


@pytest.mark.parametrize("name", READMES)
def test_the_two_first_commands_stay(name: str) -> None:
    assert {"    pip install . && tfckpt demo", "    pip install '.[test]' && pytest"} <= set(read(name).splitlines())


@pytest.mark.parametrize("name", READMES)
def test_every_place_that_a_bert_can_go_to_has_a_row(name: str) -> None:
    section = read(name).split("\n## ")[4]
    options = [cell.split("|")[2] for cell in section.splitlines() if cell.startswith("|") and "`--to " in cell]
    targets = [target for option in options for target in re.findall(r"`(?:--to )?([\w-]+)`", option)]
    assert sorted(targets) == sorted(set(CATALOG.names) - OF_ELECTRA)
    assert {"`tfckpt export`", "`tfckpt.open`", "`--slots convert`", "`--keep-names`"} <= {
        line.split("|")[2].strip() for line in section.splitlines() if line.startswith("|")
    }


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("README.md", "| command | what it does |"),
        ("README.ko.md", "| 명령 | 하는 일 |"),
        ("docs/cli.md", "| command | what it does |"),
    ],
)
def test_the_commands_are_those_of_the_parser(name: str, header: str) -> None:
    commands = [re.findall(r"`tfckpt ([\w-]+)", text)[0] for text in rows(read(name), header)]
    (subparsers,) = (action for action in build_parser()._actions if action.dest == "command")
    assert subparsers.choices is not None
    assert sorted(commands) == sorted(subparsers.choices)


def test_the_numbers_at_the_beginning_are_those_that_were_measured() -> None:
    measured = rows(read("benchmarks/RESULTS.md"), "| whole process | median s | min to max s | x cp | peak MB |")
    table = read("benchmarks/RESULTS.md").splitlines()
    peaks = {line.split("|")[1].strip(): line.split("|")[5].strip() for line in table if line.count("|") == 6}
    assert round(float(measured["tfckpt convert"])) == 1
    assert f"takes about a second and {peaks['tfckpt convert']} MB of memory" in read("README.md")
    theirs = "Model Garden 2.20, convert()"
    seconds, gigabytes = round(float(measured[theirs]), 1), int(peaks[theirs].replace(",", "")) // 1000
    assert f"converter takes {seconds} seconds and {gigabytes} GB" in " ".join(read("docs/index.md").split())


def test_the_targets_are_those_of_the_catalog() -> None:
    listed = rows(read("docs/targets.md"), "| `--to` | what it writes |")
    assert sorted(re.findall("`(.*?)`", target)[0] for target in listed) == sorted(CATALOG.names)


def test_the_targets_that_are_described_exist_and_every_one_with_a_head_is_described() -> None:
    text = read("docs/targets.md")
    headings = [name for line in re.findall(r"^##+ (.*)$", text, re.MULTILINE) for name in re.findall("`(.*?)`", line)]
    assert set(headings) <= {*CATALOG.names, AUTO}
    assert {layout.name for layout in CATALOG.models if layout.family == BERT and len(layout.parts) > 1} <= set(
        headings
    )


def test_the_rules_are_those_of_the_encoder() -> None:
    listed = rows(read("docs/targets.md"), "| rule | variables |")
    patterns = {rule: tuple(re.findall("`(.*?)`", text)) for rule, text in listed.items()}
    assert patterns == {drop.rule: drop.patterns for drop in ENCODER.drops}


def test_the_roles_that_a_conversion_drops_are_those_that_are_listed() -> None:
    text = " ".join(read("docs/targets.md").split())
    assert set(text.partition("under the name of its [role](roles.md): ")[2].partition(".")[0].split(", ")) == BESIDE
    assert set(re.findall(r"^\| `(.*?)` \|", read("docs/roles.md"), re.MULTILINE)) == set(ROLES)
