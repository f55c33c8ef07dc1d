"""What the package may not do: reach a network, run code from data, start programs; and what it is allowed to stand on."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import tfckpt

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PACKAGE = Path(tfckpt.__path__[0])
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

# Modules by what they could do, each with all that is under it.
BARRED = {
    "network": (
        *("socket", "_socket", "socketserver", "ssl", "http", "urllib", "ftplib", "smtplib", "poplib", "imaplib"),
        *(
            "telnetlib",
            "nntplib",
            "xmlrpc",
            "wsgiref",
            "asyncio",
            "webbrowser",
            "requests",
            "urllib3",
            "httpx",
            "aiohttp",
        ),
        *(
            "fsspec",
            "s3fs",
            "gcsfs",
            "adlfs",
            "boto3",
            "botocore",
            "paramiko",
            "grpc",
            "zmq",
            "distributed",
            "dask",
            "ray",
        ),
    ),
    "values that run": (
        *("pickle", "_pickle", "pickletools", "marshal", "shelve", "copyreg", "dill", "cloudpickle", "joblib", "yaml"),
    ),
    "code from data": ("importlib", "imp", "runpy", "code", "codeop", "builtins", "pkgutil", "zipimport", "pydoc"),
    "programs": (
        *("subprocess", "_posixsubprocess", "pty", "commands", "multiprocessing", "_multiprocessing", "sh", "pexpect"),
        *("concurrent.futures.process", "concurrent.futures.ProcessPoolExecutor"),
    ),
    "machine code": ("ctypes", "_ctypes", "cffi"),
}
MODULES_BARRED = tuple(name for names in BARRED.values() for name in names)
# Calls by name, bare or of a module.
CALLS = (
    *("eval", "exec", "compile", "__import__"),
    *("os.system", "os.popen", "os.startfile", "os.fork", "os.forkpty", "os.posix_spawn", "os.posix_spawnp"),
    *("os.execl", "os.execle", "os.execlp", "os.execlpe", "os.execv", "os.execve", "os.execvp", "os.execvpe"),
    *("os.spawnl", "os.spawnle", "os.spawnlp", "os.spawnlpe", "os.spawnv", "os.spawnve", "os.spawnvp", "os.spawnvpe"),
)
KEYWORDS = ("allow_pickle", "shell")  # of whatever function
# file: {what: why}
ALLOWED: dict[str, dict[str, str]] = {
    "__init__.py": {"importlib": "the public names, imported on first use from a literal table"},
    "sstable/checksum.py": {"importlib": "crc32c's compiled module, without the package around it; no name but that"},
    "storage/remote.py": {"fsspec": "reads and writes where the user's URL says; imported on request alone"},
    "storage/remote_files.py": {"fsspec": "the same"},
    "many/cluster.py": {"distributed": "the scheduler that the user names; imported on request alone"},
    "many/processes.py": {
        "multiprocessing": "workers of many conversions: this package's own functions, called by name",
        "concurrent.futures.process": "the same",
        "concurrent.futures.ProcessPoolExecutor": "the same",
    },
    "page/page.py": {"importlib": "importlib.resources: the page's own template, style and script"},
    "cli/main.py": {"importlib": "the file of the command that was typed, from a literal table"},
    "cli/advice.py": {"importlib": "importlib.metadata: which versions are installed, when one is too old"},
    "cli/ui/terminal.py": {"subprocess": "the user's own pager, started without a shell, on a terminal alone"},
}
ON_REQUEST = ("tfckpt.storage.remote", "tfckpt.many.cluster")


def _sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def _imported(tree: ast.AST) -> Iterator[str]:
    """Yield the full name of every import, wherever it stands; that of a call of import_module among them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield from (ast.literal_eval(item) for item in node.args if isinstance(item, ast.Constant))


def _run(tree: ast.Module) -> ast.Module:
    """Return a file without what only type checkers read."""
    body = [node for node in tree.body if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")]
    return ast.Module(body, [])


def _used(tree: ast.AST) -> set[str]:
    """Return every bare name and every ``module.name`` that is read."""
    loads = [node for node in ast.walk(tree) if isinstance(node, (ast.Name, ast.Attribute))]
    return {ast.unparse(node) for node in loads if isinstance(node.ctx, ast.Load)}


def _keywords(tree: ast.AST) -> set[str]:
    return {node.arg for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg}


def barred(source: str) -> set[str]:
    """Return what a source file uses of what nothing may."""
    tree = ast.parse(source)
    imported = set(_imported(tree))
    modules = {module for module in MODULES_BARRED for name in imported if f"{name}.".startswith(f"{module}.")}
    return modules | (imported | _used(tree)) & set(CALLS) | _keywords(tree) & set(KEYWORDS)


def test_no_file_reaches_a_network_runs_data_or_starts_programs() -> None:
    found = []
    for path in _sources():
        name = path.relative_to(PACKAGE).as_posix()
        found += [(name, use) for use in barred(path.read_text(encoding="utf-8")) - set(ALLOWED.get(name, {}))]
    assert found == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import urllib.request", "urllib"),
        ("from http import client", "http"),
        ("def f():\n    import socket as s", "socket"),
        ("if a:\n    from fsspec.core import open", "fsspec"),
        ("import numpy, pickle", "pickle"),
        ("numpy.load(f, allow_pickle=True)", "allow_pickle"),
        ("x = eval", "eval"),
        ("exec('1')", "exec"),
        ("compile('1', '', 'eval')", "compile"),
        ("__import__('socket')", "__import__"),
        ("from importlib import import_module", "importlib"),
        ("import_module('socket')", "socket"),
        ("import subprocess", "subprocess"),
        ("run('ls', shell=True)", "shell"),
        ("from concurrent.futures import ProcessPoolExecutor", "concurrent.futures.ProcessPoolExecutor"),
        ("os.system('ls')", "os.system"),
        ("from os import popen", "os.popen"),
        ("f = os.execvp", "os.execvp"),
        ("from ctypes import CDLL", "ctypes"),
    ],
)
def test_the_check_sees_each_way_to_do_it(source: str, found: str) -> None:
    assert barred(source) == {found}


def test_the_check_lets_pass_what_only_sounds_like_it() -> None:
    assert not barred(
        "import re, os\nre.compile('a')\nself.eval()\nos.path.join(a)\nfrom tfckpt.code import x\nimport concurrent.futures"
    )


@pytest.mark.parametrize("name", ALLOWED)
def test_every_allowance_is_used(name: str) -> None:
    assert set(ALLOWED[name]) <= barred((PACKAGE / name).read_text(encoding="utf-8"))


def _loaded_with_the_module(body: list[ast.stmt]) -> Iterator[str]:
    """Yield what is imported when the module is, not when one of its functions is called."""
    for node in body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from _imported(node)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.unparse(node.test):
            yield from _loaded_with_the_module([*node.body, *node.orelse])
        elif isinstance(node, (ast.Try, ast.With, ast.ClassDef)):
            yield from _loaded_with_the_module(node.body)


def test_what_reaches_a_network_is_imported_on_request_alone() -> None:
    found = []
    for path in _sources():
        module = ".".join(("tfckpt", *path.relative_to(PACKAGE).with_suffix("").parts))
        tree = ast.parse(path.read_text(encoding="utf-8"))
        loaded = () if module.startswith(ON_REQUEST) else _loaded_with_the_module(tree.body)
        found += [(module, name) for name in loaded if name.startswith(ON_REQUEST)]
    assert found == []


def test_the_check_tells_an_import_on_request_from_one_at_once() -> None:
    late = "def f():\n    from tfckpt.storage import remote\nif TYPE_CHECKING:\n    import tfckpt.storage.remote"
    assert not list(_loaded_with_the_module(ast.parse(late).body))
    early = "try:\n    from tfckpt.storage import remote\nexcept ImportError:\n    pass"
    assert list(_loaded_with_the_module(ast.parse(early).body)) == ["tfckpt.storage.remote"]


def _requirements(*groups: list[str]) -> list[Requirement]:
    return [Requirement(line) for group in groups for line in group]


def _minimum(requirement: Requirement) -> Version | None:
    """Return the one version that a requirement starts at; None if it is the only one it allows."""
    (specifier,) = requirement.specifier
    assert specifier.operator in (">=", "=="), f"{requirement}: a lower bound or one version, and no more"
    return Version(specifier.version) if specifier.operator == ">=" else None


def test_the_oldest_environment_is_what_pyproject_allows_at_least() -> None:
    project = PROJECT["project"]
    extras = project["optional-dependencies"].values()
    listed = _requirements(project["dependencies"], PROJECT["build-system"]["requires"], *extras)
    others = [requirement for requirement in listed if requirement.name != "tfckpt"]
    minimums = {(requirement.name, _minimum(requirement)) for requirement in others}
    lines = (ROOT / ".ci" / "oldest.txt").read_text(encoding="utf-8").splitlines()
    pins = [line.partition("==") for line in lines if not line.startswith("#")]
    assert [name for name, _, _ in pins] == sorted({name for name, _, _ in pins})
    assert {(name, Version(version)) for name, _, version in pins} == {
        (name, minimum) for name, minimum in minimums if minimum is not None
    }


# What a dependency is imported as; every other has its own name.
MODULES = {"python-snappy": "snappy", "protobuf": "google.protobuf", "ml-dtypes": "ml_dtypes"}


def test_every_dependency_is_imported_and_nothing_else_is() -> None:
    found = {name for path in _sources() for name in _imported(_run(ast.parse(path.read_text(encoding="utf-8"))))}
    tops = {name.partition(".")[0] for name in found} - sys.stdlib_module_names - {"tfckpt", "tomllib"}
    needed = [MODULES.get(item.name, item.name) for item in _requirements(PROJECT["project"]["dependencies"])]
    extras = PROJECT["project"]["optional-dependencies"]
    # On Python 3.11 and later the standard library has tomli's twin, which the same file imports.
    optional = {
        item.name for name, group in extras.items() if name not in ("test", "dev") for item in _requirements(group)
    }
    assert {module.partition(".")[0] for module in needed} <= tops
    assert tops - {module.partition(".")[0] for module in needed} <= {name.replace("-", "_") for name in optional}


def test_the_documented_dependencies_are_those() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    section = re.split(r"^## ", text.partition("## Supply chain\n")[2], flags=re.MULTILINE)[0]
    rows = re.findall(r"^\| `([a-z0-9-]+)` \|", section, re.MULTILINE)
    assert sorted(rows) == sorted(item.name for item in _requirements(PROJECT["project"]["dependencies"]))
