"""Where the tests of a module are, so that whoever changes it finds them.

The tests of ``tfckpt/bundle/reader.py`` are in test_reader.py, in test_bundle.py, or in the files that import the module.
For a module that has none of these, `ELSEWHERE` names the file.
"""

from __future__ import annotations

import ast
from pathlib import Path

import tfckpt

PACKAGE = Path(tfckpt.__path__[0])
TESTS = Path(__file__).parent

# Modules, and folders, which end in a slash and stand for all that is in them.
ELSEWHERE = {
    "base/log": "test_terminal.py",
    "base/progress": "test_embedding.py",
    "base/signatures": "test_options.py",
    "base/substitutions": "test_find_renames.py",
    "storage/forks": "test_processes.py",
    "storage/remote": "remote/test_stores.py",
    "bundle/listing": "test_open.py",
    "checkpoint/find/": "test_open.py",
    "checkpoint/graph/": "test_roles.py",
    "checkpoint/graph/graph_edit": "test_objects.py",
    "checkpoint/prune": "test_tree.py",
    "checkpoint/train": "tf/test_drop_ins.py",
    "families/": "test_layouts.py",
    "planning/": "test_plan.py",
    "execution/": "test_convert.py",
    "proof/": "test_prove.py",
    "edit/": "test_rewrite.py",
    "formats/": "test_export.py",
    "calls/importing": "test_import.py",
    "page/": "test_report.py",
}


def modules() -> list[tuple[str, ...]]:
    """Return the folders and the name of every module but lists of names, the door to the command line, and messages."""
    paths = [path.relative_to(PACKAGE).with_suffix("").parts for path in sorted(PACKAGE.rglob("*.py"))]
    return [parts for parts in paths if not parts[-1].startswith("__") and parts[0] != "_proto"]


def imported() -> set[str]:
    """Return the full names that test files import."""
    found = set()
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            elif isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
    return found


def without_a_test_file() -> list[tuple[str, ...]]:
    """Return the modules whose tests neither a name nor an import tells."""
    names, imports = {path.stem.removeprefix("test_") for path in TESTS.rglob("test_*.py")}, imported()
    return [parts for parts in modules() if not names & set(parts) and ".".join(("tfckpt", *parts)) not in imports]


def entries(parts: tuple[str, ...]) -> set[str]:
    """Return what the table may call a module: its path, and every folder that it is in."""
    return {"/".join(parts), *("/".join(parts[:depth]) + "/" for depth in range(1, len(parts)))}


def test_the_tests_of_every_module_are_found() -> None:
    assert ["/".join(parts) for parts in without_a_test_file() if not entries(parts) & ELSEWHERE.keys()] == []


def test_the_table_names_modules_and_files_that_are_there() -> None:
    assert [name for name in ELSEWHERE.values() if not (TESTS / name).is_file()] == []
    assert set(ELSEWHERE) - set().union(*map(entries, modules())) == set()
