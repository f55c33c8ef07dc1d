"""The documentation, taken at its word: its blocks run, print what the pages show, and are all part of the site."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from support.api import public_names
from support.pages import OTHERS, ROOT, Page, run
from support.scenes import set_up

import tfckpt
import tfckpt.errors
import tfckpt.types
from tfckpt.base.options import DEFAULT
from tfckpt.families.catalog import CATALOG

README, KOREAN = "README.md", "README.ko.md"
DOCS = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").glob("*.md"))]
PAGES = [README, KOREAN, *DOCS]
WITH_BLOCKS = [name for name in PAGES if Page(name).blocks]
# Commands of the pages that no test runs, by page and the first words: what they need is not there.
NOT_RUN = {
    "docs/json.md": {"tfckpt ls": 1, "tfckpt diff": 1},  # jq
    "docs/cli.md": {"tfckpt convert-many": 1},  # a cluster
    "docs/many.md": {"tfckpt convert-many": 1},
    "docs/remote.md": {"tfckpt ls": 1, "tfckpt convert": 2},  # a network
    "docs/export.md": {"tfckpt export": 1},  # another machine
}
OTHER_FRAMEWORKS = {"docs/export.md"}  # what tests/test_frameworks.py runs
HOW_TO = ("docs/bert.md", "docs/electra.md", "docs/tf1.md", "docs/names_2019.md")
KINDS = {"python", "console", "indented", "text"}


def test_what_does_not_run_is_known_by_name() -> None:
    found = {
        name: dict(Counter(" ".join(c.text.split()[:2]) for c in Page(name).commands if not c.runs and c.parts))
        for name in PAGES
    }
    assert {name: counted for name, counted in found.items() if counted} == NOT_RUN
    assert {name for name in PAGES if Page(name).sections_with(OTHERS)} == OTHER_FRAMEWORKS


@pytest.mark.parametrize("name", WITH_BLOCKS)
def test_every_block_runs_is_an_output_or_is_a_file(name: str) -> None:
    assert not [
        f"line {block.line}: {block.kind}" for block in Page(name).blocks if block.kind not in KINDS and not block.title
    ]


def test_the_korean_readme_has_the_blocks_of_the_english_one_but_for_their_comments() -> None:
    english, korean = (
        [(block.kind, re.sub("#.*", "#", block.text)) for block in Page(name).blocks] for name in (README, KOREAN)
    )
    assert korean == english
    assert not re.search("#.*[A-Za-z]{3,} [a-z]{2,} [a-z]{2,}", "".join(block.text for block in Page(KOREAN).blocks))


@pytest.mark.parametrize("name", WITH_BLOCKS)
def test_the_blocks_of_a_page_run_and_print_what_it_shows(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(name, tmp_path)
    monkeypatch.chdir(tmp_path)
    scope = run(Page(name), tmp_path, tensorflow=False)
    if name == README:
        assert scope["table"].shape == (30, 8)
        assert scope["report"].num_heads == 2
    if name == "docs/api.md":
        assert scope["reader"].has_tensor(scope["name"])


@pytest.mark.parametrize("target", CATALOG.names)
def test_every_target_is_written_on_a_page_that_shows_how_to_use_it(target: str) -> None:
    option = "tfckpt convert (?!.*--to )" if target == DEFAULT else rf"tfckpt convert .*--to {target}(?= |$)"
    assert any(re.match(option, command.text) for name in HOW_TO for command in Page(name).commands)


def test_every_page_is_in_the_navigation_of_the_site() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    listed = re.findall(r": (\S+\.md)$", navigation, re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert {name.removeprefix("docs/") for name in DOCS} <= set(listed)
    assert {f"examples/{path.stem}.md" for path in (ROOT / "examples").glob("*.py")} <= set(listed)


def test_the_installation_page_has_every_extra() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    extras = project.partition("\n[project.optional-dependencies]\n")[2].partition("\n[project.scripts]")[0]
    text = Page("docs/install.md").text.partition("| extra |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == set(re.findall(r"^(\w+) = ", extras, re.MULTILINE))


def test_the_reference_has_every_public_name_once() -> None:
    text = "\n".join(Page(name).text for name in DOCS if name.startswith("docs/api"))
    assert sorted(re.findall(r"^::: tfckpt\.(\w+)$", text, re.MULTILINE)) == sorted([*tfckpt.__all__, "errors"])
    assert sorted(re.findall(r"^::: tfckpt\.types\.(\w+)$", text, re.MULTILINE)) == sorted(tfckpt.types.__all__)
    (listed,) = re.findall(r"^      members: \[(.*)\]$", text, re.MULTILINE)
    assert sorted(listed.split(", ")) == sorted(set(public_names(tfckpt.errors)) - set(tfckpt.__all__))
