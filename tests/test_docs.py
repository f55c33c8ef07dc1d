"""The documentation, taken at its word: its blocks run, and print what the pages show."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from support.pages import ROOT, Page, run
from support.scenes import set_up

README = "README.md"
PAGES = [README, "README.ko.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md"))]
WITH_BLOCKS = [name for name in PAGES if Page(name).blocks]
# Commands of the pages that no test runs, by page and the first words: what they need is not there, or takes too long.
NOT_RUN = {
    "docs/json.md": {"tfckpt ls": 1, "tfckpt diff": 1},  # jq
    "docs/cli.md": {"tfckpt convert-many": 1},  # a cluster
    "docs/many.md": {"tfckpt convert-many": 1},
    "docs/remote.md": {"tfckpt ls": 1, "tfckpt convert": 2},  # a network
}


def test_what_does_not_run_is_known_by_name() -> None:
    found = {
        name: dict(Counter(" ".join(c.text.split()[:2]) for c in Page(name).commands if not c.runs and c.parts))
        for name in PAGES
    }
    assert {name: counted for name, counted in found.items() if counted} == NOT_RUN


@pytest.mark.parametrize("name", WITH_BLOCKS)
def test_the_blocks_of_a_page_run_and_print_what_it_shows(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(name, tmp_path)
    monkeypatch.chdir(tmp_path)
    run(Page(name), tmp_path, tensorflow=False)
