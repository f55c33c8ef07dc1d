"""The wheel and the sdist: what is in them, and that whoever builds them gets the same bytes."""

from __future__ import annotations

import email
import os
import re
import runpy
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import tfckpt

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
NAME = f"tfckpt-{tfckpt.__version__}"
DIST_INFO = ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
MAN_PAGE = "share/man/man1/tfckpt.1"
PACKED = ("tfckpt", "proto", "tests", "benchmarks", "docs", "examples", ".ci")  # directories of the sdist
EPOCH = {"SOURCE_DATE_EPOCH": "1700000000"}  # 2023-11-14 22:13:20
LEFT_OUT = {"__pycache__", ".cache", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"}


def tracked_files() -> list[str]:
    """Return what may be packed and git does not ignore, relative to the root; without git, as in an sdist, what lies there.

    An environment in the checkout, whatever its name, is none of it.
    """
    if (ROOT / ".git").exists() and shutil.which("git"):
        command = [
            "git",
            "-c",
            f"safe.directory={ROOT}",
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
            "--",
            *PACKED,
            ":(glob)*",
        ]
        listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
        return sorted(name for name in listed if name and (ROOT / name).exists())
    files = [path for top in PACKED for path in (ROOT / top).rglob("*") if path.is_file()]
    inside = [path.relative_to(ROOT) for path in [*files, *(path for path in ROOT.iterdir() if path.is_file())]]
    return sorted(path.as_posix() for path in inside if not LEFT_OUT & set(path.parts))


def copy_checkout(dest: Path, *, changed: bool) -> None:
    """Copy the tracked files; ``changed`` ones come in another order, with other times and permissions."""
    for number, name in enumerate(sorted(tracked_files(), reverse=changed)):
        path = dest / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, path)
        if changed:
            path.chmod(0o600 | (path.stat().st_mode & 0o100))
            os.utime(path, (10**9 + number, 10**9 + number))


def build(source: Path, dest: Path, *targets: str, **environment: str) -> dict[str, Path]:
    """Build with the backend that is installed here; return what was built by its suffix."""
    options = [item for target in targets for item in ("--target", target)]
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(dest), *options]
    subprocess.run(command, cwd=source, env={**os.environ, **environment}, check=True, capture_output=True)
    return {path.suffix: path for path in dest.iterdir() if path.suffix in (".whl", ".gz")}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheel and the sdist of this checkout."""
    directory = tmp_path_factory.mktemp("one")
    copy_checkout(directory / "source", changed=False)
    return build(directory / "source", directory / "dist", "wheel", "sdist", **EPOCH)


def test_another_checkout_gives_the_same_bytes(built: dict[str, Path], tmp_path: Path) -> None:
    copy_checkout(tmp_path / "elsewhere" / "checkout", changed=True)
    odd = {"TZ": "Asia/Tokyo", "PYTHONHASHSEED": "7", "LC_ALL": "C"}
    again = build(tmp_path / "elsewhere" / "checkout", tmp_path / "dist", "sdist", "wheel", **EPOCH, **odd)
    assert sorted(again) == [".gz", ".whl"]
    for suffix, path in again.items():
        assert path.read_bytes() == built[suffix].read_bytes()
        assert path.name == built[suffix].name


def test_the_time_in_the_archives_is_the_one_that_was_asked_for(built: dict[str, Path]) -> None:
    with zipfile.ZipFile(built[".whl"]) as wheel, tarfile.open(built[".gz"]) as sdist:
        assert {info.date_time for info in wheel.infolist()} == {(2023, 11, 14, 22, 13, 20)}
        assert {member.mtime for member in sdist.getmembers()} == {1_700_000_000}


def test_the_wheel_built_from_the_sdist_is_the_same(built: dict[str, Path], tmp_path: Path) -> None:
    shutil.unpack_archive(built[".gz"], tmp_path, filter="data")
    again = build(tmp_path / NAME, tmp_path / "dist", "wheel", **EPOCH)
    assert again[".whl"].read_bytes() == built[".whl"].read_bytes()


def test_the_wheel_holds_the_package_and_its_metadata_and_nothing_else(built: dict[str, Path]) -> None:
    with zipfile.ZipFile(built[".whl"]) as wheel:
        names = wheel.namelist()
        assert wheel.testzip() is None
    package = [name for name in tracked_files() if name.startswith("tfckpt/")]
    assert "tfckpt/py.typed" in package
    assert {name.rpartition(".")[2] for name in package} == {"py", "pyi", "typed", "html", "css", "js"}
    metadata = [f"{NAME}.dist-info/{name}" for name in DIST_INFO]
    assert sorted(names) == sorted([*package, *metadata, f"{NAME}.data/data/{MAN_PAGE}"])


def test_the_sdist_holds_what_is_tracked_and_nothing_else(built: dict[str, Path]) -> None:
    with tarfile.open(built[".gz"]) as sdist:
        names = [member.name.removeprefix(f"{NAME}/") for member in sdist.getmembers() if member.isfile()]
    tops = (
        *(f"{name}/" for name in PACKED),
        "CHANGELOG.md",
        "CITATION.cff",
        "CONTRIBUTING.md",
        "LICENSE",
        "README.ko.md",
        "README.md",
        "SECURITY.md",
        "mkdocs.yml",
    )
    packed = [name for name in tracked_files() if name.startswith(tops)]
    assert sorted(names) == sorted([*packed, ".gitignore", "PKG-INFO", "pyproject.toml"])


def test_the_metadata_is_that_of_pyproject(built: dict[str, Path]) -> None:
    with zipfile.ZipFile(built[".whl"]) as wheel:
        metadata = email.message_from_bytes(wheel.read(f"{NAME}.dist-info/METADATA"))
        points = wheel.read(f"{NAME}.dist-info/entry_points.txt").decode().split()
        tags = email.message_from_bytes(wheel.read(f"{NAME}.dist-info/WHEEL")).get_all("Tag")
        license_text = wheel.read(f"{NAME}.dist-info/licenses/LICENSE")
    project = PROJECT["project"]
    needed = [text for text in metadata.get_all("Requires-Dist", []) if "extra ==" not in text]
    assert sorted(map(str, map(Requirement, needed))) == sorted(map(str, map(Requirement, project["dependencies"])))
    assert (metadata["Name"], metadata["Version"]) == ("tfckpt", tfckpt.__version__)
    assert metadata["Requires-Python"] == project["requires-python"]
    assert metadata["License-Expression"] == project["license"]
    assert set(metadata.get_all("Provides-Extra", [])) == set(project["optional-dependencies"])
    assert points == ["[console_scripts]", "tfckpt", "=", project["scripts"]["tfckpt"]]
    assert tags == ["py3-none-any"]
    assert license_text == (ROOT / "LICENSE").read_bytes()


def test_the_readme_of_the_package_links_to_no_file_beside_it(built: dict[str, Path]) -> None:
    with zipfile.ZipFile(built[".whl"]) as wheel:
        text = email.message_from_bytes(wheel.read(f"{NAME}.dist-info/METADATA")).get_payload()
    assert isinstance(text, str)
    assert "| [" not in text
    assert "(docs/why.md)" in text
    assert re.findall(r"\]\((?!https:)", text) == []


def test_with_an_address_the_readme_links_there_and_the_package_has_urls() -> None:
    hook = runpy.run_path(str(ROOT / "docs" / "package_readme.py"))
    address = "https://example.org/owner/tfckpt"
    text = hook["readme"]("[a](docs/why.md#how), [b](https://example.com), [`c`](SECURITY.md)", address)
    assert text == (
        f"[a]({address}/blob/HEAD/docs/why.md#how), [b](https://example.com), [`c`]({address}/blob/HEAD/SECURITY.md)"
    )
    urls = hook["urls"](address)
    assert urls["Homepage"] == address
    assert all((ROOT / url.partition("/HEAD/")[2]).exists() for url in urls.values() if "/HEAD/" in url)
    assert hook["urls"]("") == {}
