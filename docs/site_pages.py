"""A hook of MkDocs: pages outside docs/ are part of the site, and links written for the repository lead to them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
OUTSIDE = {  # file of the repository: its page
    "README.ko.md": "ko.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "benchmarks/RESULTS.md": "benchmarks.md",
    "benchmarks/RESULTS.svg": "RESULTS.svg",
}
LINK = re.compile(r"(\]\()([^)#:\s]+)(#[^)\s]*)?(\))")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that stand outside."""
    for path, name in OUTSIDE.items():
        files.append(File.generated(config, name, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn the links to other files of the repository into links to their pages."""
    home = next((path for path, name in OUTSIDE.items() if name == page.file.src_uri), f"docs/{page.file.src_uri}")

    def turn(link: re.Match[str]) -> str:
        target = os.path.normpath(os.path.join(os.path.dirname(home), link[2]))
        target = {"README.md": "index.md", **OUTSIDE}.get(target, target.removeprefix("docs/"))
        return f"{link[1]}{target}{link[3] or ''}{link[4]}"

    return LINK.sub(turn, markdown)
