"""A real headless Chromium, and how to look at a page in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from support.missing import missing
from support.patience import PATIENCE

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
MISSING = "no Chromium: apt-get install chromium-headless-shell, or playwright install --only-shell chromium"


def find_chromium(own: str) -> str:
    """Return the browser to use: the system's, else Playwright's ``own``. Without one, CI fails, and others skip."""
    found = next(filter(None, map(shutil.which, NAMES)), None) or (own if Path(own).exists() else None)
    if found is None:
        missing(MISSING)
    return found


@contextmanager
def chromium() -> Iterator[Browser]:
    """Yield the browser, started."""
    if find_spec("playwright") is None:
        missing("playwright, of the extra test, is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = find_chromium(playwright.chromium.executable_path)
        # As root, which containers run as, Chromium refuses to start in its sandbox; the pages are our own.
        with playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox"], timeout=PATIENCE * 1000
        ) as browser:
            yield browser
