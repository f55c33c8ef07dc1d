"""What a release says of itself: one version, in every place that states it, and a citation that tools can read."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

import tfckpt
from tfckpt.cli.main import main

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
SECTIONS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}  # of keepachangelog.com
# The schema of the Citation File Format 1.2.0: what must be there, and what of the rest is used here.
REQUIRED = {"authors", "cff-version", "message", "title"}
OPTIONAL = {"abstract", "date-released", "doi", "keywords", "license", "repository-code", "type", "url", "version"}
PERSON = {
    "family-names",
    "given-names",
    "name-particle",
    "name-suffix",
    "affiliation",
    "email",
    "orcid",
    "alias",
    "website",
}
ENTITY = {"name", "email", "orcid", "website", "alias", "city", "country"}


def releases() -> list[tuple[Version, date]]:
    """Return the releases of the changelog, in its order."""
    found = re.findall(r"^## (\d\S*) - (\d{4}-\d\d-\d\d)$", CHANGELOG, re.MULTILINE)
    return [(Version(version), date.fromisoformat(day)) for version, day in found]


@pytest.fixture
def citation() -> dict[str, Any]:
    """The citation, which is YAML."""
    import yaml

    found: dict[str, Any] = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    return found


def test_the_package_alone_says_which_version_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert "version" not in PROJECT["project"]
    assert "version" in PROJECT["project"]["dynamic"]
    assert PROJECT["tool"]["hatch"]["version"]["path"] == "tfckpt/__init__.py"
    source = (ROOT / "tfckpt" / "__init__.py").read_text(encoding="utf-8")
    assert re.findall(r'^__version__ = "(.*)"$', source, re.MULTILINE) == [tfckpt.__version__]
    assert str(Version(tfckpt.__version__)) == tfckpt.__version__
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"tfckpt {tfckpt.__version__}\n"


def test_no_other_source_file_states_it() -> None:
    stating = {
        path.relative_to(ROOT).as_posix()
        for top in ("tfckpt", "examples", "proto")
        for path in (ROOT / top).rglob("*")
        if path.suffix in (".py", ".pyi", ".proto", ".md") and f'"{tfckpt.__version__}"' in path.read_text("utf-8")
    }
    assert stating == {"tfckpt/__init__.py"}


def test_the_man_page_and_the_citation_have_that_version() -> None:
    first, _, _ = (ROOT / "docs" / "tfckpt.1").read_text(encoding="utf-8").partition("\n")
    assert f'"tfckpt {tfckpt.__version__}"' in first
    lines = (ROOT / "CITATION.cff").read_text(encoding="utf-8").splitlines()
    assert f"version: {tfckpt.__version__}" in lines


def test_the_changelog_is_in_the_order_of_releases_and_ends_no_later_than_this_version() -> None:
    headings = re.findall(r"^## (.*)$", CHANGELOG, re.MULTILINE)
    assert len(headings) == len(releases()) + (headings[0] == "Unreleased")
    assert releases() == sorted(releases(), reverse=True)
    assert all(version <= Version(tfckpt.__version__) for version, _ in releases())
    if headings[0] != "Unreleased":
        assert headings[0].startswith(f"{tfckpt.__version__} - ")
    assert set(re.findall(r"^### (.*)$", CHANGELOG, re.MULTILINE)) <= SECTIONS


@pytest.mark.exhaustive  # PyYAML comes with the extra test alone
def test_the_citation_is_what_its_schema_asks_for(citation: dict[str, Any]) -> None:
    assert set(citation) >= REQUIRED
    assert set(citation) <= REQUIRED | OPTIONAL
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] == "software"
    strings = [citation[name] for name in ("abstract", "license", "message", "title", "version")]
    assert all(isinstance(text, str) and text for text in [*strings, *citation["keywords"]])
    assert len(set(citation["keywords"])) == len(citation["keywords"])
    assert citation["authors"]
    for author in citation["authors"]:
        assert set(author) <= (ENTITY if "name" in author else PERSON)


@pytest.mark.exhaustive
def test_the_citation_says_what_pyproject_does(citation: dict[str, Any]) -> None:
    project = PROJECT["project"]
    assert citation["title"] == project["name"]
    assert citation["license"] == project["license"]
    assert citation["keywords"] == project["keywords"]
    assert [author["name"] for author in citation["authors"]] == [author["name"] for author in project["authors"]]
    assert project["description"].partition(":")[0] in citation["abstract"]
    released = dict(releases()).get(Version(tfckpt.__version__))
    assert citation.get("date-released") == released


def test_the_version_is_known_without_importing_what_it_is_for() -> None:
    program = (
        "import sys, tfckpt; print(tfckpt.__version__); assert not [m for m in sys.modules if m.startswith('tfckpt.')]"
    )
    result = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert result.stdout == f"{tfckpt.__version__}\n"
