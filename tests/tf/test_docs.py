"""The documentation's blocks that load what was converted: into real models, with real TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.garden import assert_holds
from support.pages import ROOT, Page, run
from support.release_2019 import fetch
from support.scenes import FOLDER, set_up

import tfckpt

pytestmark = pytest.mark.tf

README = "README.md"  # speaks of BERT-base, and builds it
NAMES = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").glob("*.md"))]
PAGES = [name for name in NAMES if Page(name).tensorflow_sections]


@pytest.mark.parametrize("name", PAGES)
def test_the_blocks_of_a_page_run_and_print_what_it_shows(
    tf: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(name, tmp_path)
    if name == "docs/names_2019.md":
        (tmp_path / "models_2019").symlink_to(fetch())
    monkeypatch.chdir(tmp_path)
    run(Page(name), tmp_path, tensorflow=True)


def test_the_readme_converts_a_bert_base_and_loads_it(
    tf: Any, bert_base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / FOLDER).symlink_to(Path(bert_base).parent)
    monkeypatch.chdir(tmp_path)
    scope = run(Page(README), tmp_path, tensorflow=True)
    with tfckpt.open(bert_base) as source:
        assert_holds(scope["encoder"], dict(source), num_heads=12)
