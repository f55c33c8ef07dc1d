"""A metadata hook of hatchling: on a package index, the README's links do not lead nowhere.

An index shows the README far from the files that it links to. Where pyproject.toml states the project's public address, the
links lead there, and the package has its URLs; where it states none, the names of the files stand in place of links.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"\[((?:[^\]`]|`[^`]*`)+)\]\((?!\w+:)([^)#]+)(#[^)]*)?\)")
PAGES = {"Documentation": "docs/index.md", "Changelog": "CHANGELOG.md", "Security": "SECURITY.md"}


class PackageReadme(MetadataHookInterface):
    """Sets the readme and the URLs of the package."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Write both into the metadata of the project."""
        address = self.config.get("address", "").rstrip("/")
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": readme(text, address)}
        metadata["urls"] = urls(address)


def urls(address: str) -> dict[str, str]:
    """Return the URLs of the package, by their labels; none without an address."""
    if not address:
        return {}
    return {"Homepage": address, "Issues": f"{address}/issues"} | {k: _file(address, v) for k, v in PAGES.items()}


def readme(text: str, address: str) -> str:
    """Return a README whose links to files lead to the address, or are their names."""

    def turn(link: re.Match[str]) -> str:
        shown, path, anchor = link[1], link[2], link[3] or ""
        return f"[{shown}]({_file(address, path)}{anchor})" if address else f"{shown} ({path})"

    return LINK.sub(turn, text)


def _file(address: str, path: str) -> str:
    return f"{address}/blob/HEAD/{path}"
