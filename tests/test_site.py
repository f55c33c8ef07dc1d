"""The site of the documentation, built and opened from the disk in a real browser."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.browser import chromium
from support.missing import missing
from support.patience import PATIENCE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the site; that it is built without a warning is its first test."""
    if not find_spec("mkdocs"):
        missing("the site needs the extra docs")
    directory = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(directory)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return directory


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page, which may load nothing but files, and may not complain."""
    context = browser.new_context(viewport={"width": 390, "height": 844})
    context.set_default_timeout(PATIENCE * 1000)
    page, asked, said = context.new_page(), list[str](), list[str]()
    page.on("request", lambda request: asked.append(request.url))
    page.on("requestfailed", lambda request: said.append(request.url))
    page.on("pageerror", lambda error: said.append(str(error)))
    yield page
    context.close()
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert said == []


def test_no_page_is_wider_than_a_phone(site: Path, page: Page) -> None:
    too_wide = []
    for path in sorted(set(site.rglob("*.html")) - {site / "404.html"}):  # which a server shows
        page.goto(path.as_uri())
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            too_wide.append(path.name)
    assert too_wide == []


def test_search_finds_pages_without_a_server(site: Path, page: Page) -> None:
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto((site / "examples" / "average.html").as_uri())
    page.fill(".md-search__input", "safetensors")
    page.wait_for_selector(".md-search-result__link")
    assert "export.html" in (page.locator(".md-search-result__link").first.get_attribute("href") or "")


def test_a_block_of_a_terminal_copies_its_commands_alone(site: Path, page: Page) -> None:
    page.goto((site / "tf1.html").as_uri())
    copied = [block.get_attribute("data-copy") or "" for block in page.locator(".language-console").all()]
    assert "tfckpt convert trained tf1/model.ckpt --to tf1" in copied
    page.goto((site / "cli.html").as_uri())
    first = page.locator(".language-console").first.get_attribute("data-copy") or ""
    assert first.startswith("tfckpt plan bert_model.ckpt\ntfckpt convert bert_model.ckpt tf2/encoder --prove\n")


def test_an_example_of_the_reference_copies_its_python_alone(site: Path, page: Page) -> None:
    page.goto((site / "api_reading.html").as_uri())
    first = page.locator(".language-pycon").first.get_attribute("data-copy")
    assert first == 'tfckpt.open("bert_model.ckpt")["bert/pooler/dense/kernel"].shape'


def test_signatures_of_the_reference_wrap(site: Path, page: Page) -> None:
    page.goto((site / "api_converting.html").as_uri())
    lines = page.locator(".doc-signature code").first.inner_text().splitlines()
    assert lines[:2] == ["convert(", "    source: PathLike,"]
