"""The types of the package, as a project sees them that has installed the wheel: two strict checkers, no checkout."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pytest
from support.patience import PATIENCE

from tfckpt.base.options import ConvertOptions, options_of

ROOT = Path(__file__).parents[1]
PROJECT = Path(__file__).parent / "downstream"
# What the package's types are made of. No stubs for protobuf: those who install the wheel have none either.
DEPENDENCIES = ("numpy", "ml_dtypes", "google", "typing_extensions")
STRICT = {"typeCheckingMode": "strict"}

pytestmark = pytest.mark.exhaustive  # the checkers are the same whatever the versions of the dependencies


class Site(NamedTuple):
    """An environment with the wheel in it."""

    python: Path
    packages: Path

    def run(self, project: Path, *command: str) -> str:
        """Run a checker of this environment on a project in the other one, which alone it may see."""
        hidden = {"PYTHONPATH", "MYPYPATH"}
        environment = {name: value for name, value in os.environ.items() if name not in hidden}
        environment["PATH"] = f"{self.python.parent}{os.pathsep}{environment['PATH']}"
        line = [sys.executable, "-m", *command]
        return subprocess.run(
            line, cwd=project, env=environment, check=False, capture_output=True, text=True, timeout=PATIENCE
        ).stdout

    def mypy(self, project: Path, *more: str) -> str:
        """Return what mypy says of a project."""
        cache = str(self.python.parent / "cache")
        options = ("--strict", "--no-error-summary", "--cache-dir", cache, "--python-executable", str(self.python))
        return self.run(project, "mypy", *options, *more, ".")

    def pyright(self, project: Path, *options: str) -> dict[str, Any]:
        """Return what pyright says of a project, as JSON."""
        report: dict[str, Any] = json.loads(self.run(project, "basedpyright", "--outputjson", *options))
        return report


def install(wheel: Path, packages: Path) -> None:
    """Put the package of a wheel, which is pure Python, and what its types come from where they are imported from."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    for name in DEPENDENCIES:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        place = Path(next(iter(spec.submodule_search_locations or [spec.origin or ""])))
        (packages / place.name).symlink_to(place)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """An environment with the wheel of this checkout."""
    directory = tmp_path_factory.mktemp("typing")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(directory / "dist")]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    venv.create(directory / "site", with_pip=False, symlinks=True)
    packages = Path(sysconfig.get_path("purelib", "posix_prefix", {"base": str(directory / "site")}))
    (wheel,) = (directory / "dist").glob("*.whl")
    install(wheel, packages)
    return Site(directory / "site" / "bin" / "python", packages)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project that embeds the package, set to be checked strictly."""
    shutil.copytree(PROJECT, tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "project" / "pyrightconfig.json").write_text(json.dumps(STRICT), encoding="utf-8")
    return tmp_path / "project"


def test_a_project_that_embeds_the_wheel_passes_mypy_and_only_because_the_wheel_says_that_it_is_typed(
    site: Site, project: Path
) -> None:
    assert site.mypy(project) == ""
    marker = site.packages / "tfckpt" / "py.typed"
    marker.unlink()
    try:
        assert "module is installed, but missing library stubs or py.typed marker" in site.mypy(project)
    finally:
        marker.touch()


def test_a_project_that_embeds_the_wheel_passes_pyright(site: Site, project: Path) -> None:
    report = site.pyright(project, ".")
    assert report["summary"]["filesAnalyzed"] == len(list(PROJECT.glob("*.py")))
    assert [item["message"] for item in report["generalDiagnostics"]] == []


WRONG = """import tfckpt
tfckpt.convert('a', 'b', progress=lambda done: None)
tfckpt.plan('a', num_heads='12')
tfckpt.convert('a', 'b', mode='move')
tfckpt.prove('a', 'b', slots='none')
tfckpt.export('a', 'b', overwritten=True)
tfckpt.rewrite('a', 'b', keep='a', source_format='v3')
tfckpt.convert('a', 'b', to='a-family-of-mine', mode='link', source_format='v1', resize_fill='mean')
"""


@pytest.mark.parametrize("version", ["3.10", "3.13"])
def test_the_checkers_see_a_wrong_call(site: Site, tmp_path: Path, version: str) -> None:
    (tmp_path / "wrong.py").write_text(WRONG, encoding="utf-8")
    said = site.mypy(tmp_path, "--python-version", version)
    assert {line.split(":")[1] for line in said.splitlines() if "error:" in line} == {"2", "3", "4", "5", "6", "7"}
    found = site.pyright(tmp_path, "--level", "error", "--pythonversion", version, ".")["generalDiagnostics"]
    assert {item["range"]["start"]["line"] + 1 for item in found} == {2, 3, 4, 5, 6, 7}


def test_an_editor_that_hovers_over_a_call_shows_every_option_with_its_default_and_what_it_means(
    site: Site, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text("import tfckpt\ntfckpt.convert\n", encoding="utf-8")
    (tmp_path / "pyrightconfig.json").write_text(json.dumps({"venvPath": str(tmp_path)}), encoding="utf-8")
    text = hover(site, tmp_path, tmp_path / "mine.py", line=1, character=9)
    for name, option in options_of(ConvertOptions).items():
        default = f'"{option.default}"' if isinstance(option.default, str) else repr(option.default)
        assert re.search(rf"\b{name}: [^\n]* = {re.escape(default)}[,\n]", text), name
        wanted = words(option.help)[:6]
        assert wanted in [words(said)[: len(wanted)] for said in text.split(f"{name}:")], name


def words(text: str) -> list[str]:
    """Return the words of a text, whatever marks stand round them."""
    return re.findall(r"[A-Za-z0-9]+", text)


def hover(site: Site, project: Path, file: Path, *, line: int, character: int) -> str:
    """Return what an editor shows that has pyright's server, where the cursor is over a place."""
    server = subprocess.Popen(
        [sys.executable, "-c", "from basedpyright.langserver import main; main()", "--stdio"],
        cwd=project,
        env={name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MYPYPATH")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    answers: BinaryIO = server.stdout  # type: ignore[assignment]
    requests: BinaryIO = server.stdin  # type: ignore[assignment]

    def say(method: str, params: Any, number: int | None = None) -> None:
        said = {"jsonrpc": "2.0", "method": method, "params": params} | ({} if number is None else {"id": number})
        body = json.dumps(said).encode()
        requests.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        requests.flush()

    def answer(number: int) -> Any:
        while True:
            length = 0
            while (header := answers.readline().strip()) != b"":
                name, _, value = header.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            found = json.loads(answers.read(length))
            if found.get("method") == "workspace/configuration":
                settings = [{"pythonPath": str(site.python)} for _ in found["params"]["items"]]
                body = json.dumps({"jsonrpc": "2.0", "id": found["id"], "result": settings}).encode()
                requests.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
                requests.flush()
            elif found.get("id") == number and "method" not in found:
                return found["result"]

    folder = {"uri": project.as_uri(), "name": "project"}
    capabilities = {"workspace": {"configuration": True, "workspaceFolders": True}}
    start = {"processId": None, "rootUri": folder["uri"], "capabilities": capabilities, "workspaceFolders": [folder]}
    document = {"uri": file.as_uri(), "languageId": "python", "version": 1, "text": file.read_text(encoding="utf-8")}
    place = {"textDocument": {"uri": file.as_uri()}, "position": {"line": line, "character": character}}
    try:
        say("initialize", start, 1)
        answer(1)
        say("initialized", {})
        say("textDocument/didOpen", {"textDocument": document})
        say("textDocument/hover", place, 2)
        found = answer(2)
        return str(found["contents"]["value"])
    finally:
        server.kill()
        server.wait()
        answers.close()
        requests.close()


def test_the_type_of_everything_public_is_known_and_the_same_to_every_checker(site: Site, tmp_path: Path) -> None:
    complete = site.pyright(tmp_path, "--verifytypes", "tfckpt", "--ignoreexternal")["typeCompleteness"]
    assert Path(complete["packageRootDirectory"]).is_relative_to(site.packages)
    public = [symbol for symbol in complete["symbols"] if is_public(symbol["name"])]
    assert {"tfckpt.convert", "tfckpt.errors.FormatError.hint", "tfckpt.types.Outcome"} <= {s["name"] for s in public}
    assert [s["name"] for s in public if not s["isTypeKnown"] or s["isTypeAmbiguous"]] == []


def is_public(name: str) -> bool:
    """Whether a symbol is one of the package's own names, of the errors, or of the types."""
    return name.count(".") == 1 or name.startswith(("tfckpt.errors.", "tfckpt.types."))
