"""The house: imports go down only, inside a room as well, and heavy ones happen late."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

import tfckpt

PACKAGE = Path(tfckpt.__path__[0])

# From the ground up; a room may import from itself and from what stands before it. Files of a room are in order, too.
ROOMS: dict[str, tuple[str, ...]] = {
    "windows": ("windows",),
    "progress": ("progress",),
    "options": ("options",),
    "codes": ("codes",),
    "issues": ("issues",),
    "errors": ("errors",),
    "html": ("html",),
    "arguments": ("arguments",),
    "log": ("log",),
    "signatures": ("signatures",),
    "_proto": (),
    "sstable": ("varint", "checksum", "block", "format", "reader", "recover", "writer"),
    "layouts": (
        "axes",
        "calls",
        "rules",
        "custom",
        "optimizer",
        "bert",
        "bert_2019",
        "albert",
        "electra",
        "mobilebert",
        "catalog",
    ),
    "flags": ("flags",),
    "bundle": (
        "paths",
        "ordered_code",
        "dtypes",
        "typed",
        "slices",
        "entry",
        "strings",
        "variants",
        "values",
        "forks",
        "local_input",
        "remote",
        "remote_files",
        "local_output",
        "files",
        "graphs",
        "kinds",
        "lock",
        "commit",
        "carry",
        "v1_files",
        "listing",
        "reader",
        "v1_values",
        "v1",
        "tensor_reader",
        "stream",
        "damage",
        "writer",
    ),
    "checkpoint": (
        "object_graph",
        "object_tensors",
        "path_globs",
        "optimizers",
        "optimizer_lists",
        "slot_owners",
        "agreement",
        "graph_roles",
        "named_roles",
        "roles",
        "object_paths",
        "outline",
        "ways",
        "graph_edit",
        "lookup",
        "prune",
        "foldable",
        "state_file",
        "guess",
        "locate",
        "partial",
        "checkpoint",
        "statistics",
        "train",
    ),
    "conversion": (
        "config",
        "exclusion",
        "plan",
        "source",
        "hints",
        "planning",
        "resize",
        "names",
        "log_2019",
        "target",
        "find_renames",
        "withheld",
        "slots",
        "layout_file",
        "fills",
        "strays",
        "objects",
        "match",
        "slots_back",
        "back",
        "keep_names",
        "compute",
        "choose",
        "execute",
        "places",
        "proof",
        "prove",
        "building",
        "request",
        "recover",
        "convert",
        "processes",
        "many",
        "manifest",
        "cluster",
    ),
    "edit": (
        "choice",
        "renaming",
        "edits",
        "rewrite",
        "evidence",
        "join",
        "preferences",
        "merge",
        "average",
        "draft",
        "salvage",
        "differences",
        "selection",
        "diff",
    ),
    "exchange": (
        "defaults",
        "kinds",
        "dtypes",
        "npy",
        "safetensors",
        "archive",
        "npz",
        "directory",
        "opening",
        "planning",
        "outgoing",
        "targets",
        "export",
        "importing",
    ),
    "page": ("modules", "kinds", "tensors", "summary", "mapping", "comparing", "document", "page", "report"),
    "types": ("types",),
    "cli": (
        "options",
        "stdin",
        "terminal",
        "folding",
        "tables",
        "output",
        "planned",
        "command",
        "trial",
        "advice",
        "convert",
        "tf1_to_keras",
        "many",
        "inspect",
        "salvage",
        "listing",
        "show",
        "diff",
        "tree",
        "report",
        "rewrite",
        "exchange",
        "demo",
        "completion",
        "main",
    ),
}
APART = {("layouts", "bundle"), ("layouts", "sstable"), ("bundle", "layouts"), ("checkpoint", "layouts")}
ROOF = ("__init__", "__main__")  # a list of names, and a door to the command line


def _modules() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if path.parent.name != "_proto"]


def _module(path: Path) -> tuple[str, str]:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0], parts[-1]


def _imports(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (room, file) of every import of our own, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("tfckpt."):
            parts = node.module.split(".")[1:]
            for alias in node.names:
                yield parts[0], parts[1] if len(parts) > 1 else alias.name


def _is_down(importer: tuple[str, str], imported: tuple[str, str]) -> bool:
    rooms = list(ROOMS)
    if importer[0] == imported[0]:
        files = ROOMS[importer[0]]
        return files.index(imported[1]) < files.index(importer[1])
    return rooms.index(imported[0]) < rooms.index(importer[0]) and (importer[0], imported[0]) not in APART


def test_imports_go_down() -> None:
    inside = [path for path in _modules() if _module(path)[0] not in ROOF and path.name != "__init__.py"]
    homeless = [path for path in inside if _module(path)[1] not in ROOMS[_module(path)[0]]]
    assert homeless == [], "files without a place in their room"
    pairs = [(_module(path), imported) for path in inside for imported in _imports(path)]
    assert [pair for pair in pairs if not _is_down(*pair)] == []


def test_every_room_and_file_named_here_exists() -> None:
    assert {module for module in map(_module, _modules()) if module[1] not in ROOF} == {
        (room, file) for room, files in ROOMS.items() for file in files
    }


def test_the_check_sees_an_import_that_goes_up() -> None:
    assert not _is_down(("bundle", "reader"), ("checkpoint", "train"))
    assert not _is_down(("bundle", "entry"), ("bundle", "reader"))
    assert _is_down(("conversion", "plan"), ("layouts", "rules"))


def _prints(path: Path) -> bool:
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    return any(isinstance(call.func, ast.Name) and call.func.id == "print" for call in calls)


def test_only_the_command_line_prints() -> None:
    printing = [path for path in _modules() if _prints(path)]
    assert printing
    assert [path for path in printing if _module(path)[0] != "cli"] == []


def test_few_files_open_files() -> None:
    doors = {"os.open", "os.fdopen", "os.replace", "os.unlink", "os.mkdir", "os.makedirs", "mmap.mmap", "io.open"}
    users = set()
    for path in _modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in doors:
                users.add(_module(path))
    assert users <= {
        ("bundle", "local_input"),
        ("bundle", "local_output"),
        ("bundle", "files"),
        ("bundle", "lock"),
        ("cli", "main"),
    }  # main points a broken stdout at the null device


def test_files_behind_urls_are_reached_through_the_door_and_on_request_alone() -> None:
    remote = {("bundle", "remote"), ("bundle", "remote_files")}
    users = {_module(path) for path in _modules() if remote & set(_imports(path))}
    assert users == {("bundle", "files"), ("bundle", "remote_files")}
    assert not _loaded_by("import tfckpt.bundle.files") & {
        "tfckpt.bundle.remote",
        "tfckpt.bundle.remote_files",
        "fsspec",
    }


def _loaded_by(statement: str) -> set[str]:
    program = f"import sys; {statement}; print(*sorted(sys.modules), file=sys.stderr)"
    command = [sys.executable, "-c", program]
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stderr.split())


def _loaded_by_command(*argv: str) -> set[str]:
    exits = f"import contextlib\nwith contextlib.suppress(SystemExit): from tfckpt.cli.main import main; main({argv!r})"
    return _loaded_by(f"exec({exits!r})")


# What none of the quick ways needs: other formats, other kinds of tensors, what is said only when something is wrong.
RARE = {"ml_dtypes", "snappy", "einops", "rich", "importlib.metadata", "logging", "difflib", "json", "tomllib"}
RARE |= {"crc32c", "tfckpt.bundle.v1", "tfckpt._proto.trackable_object_graph_pb2", "tfckpt._proto.checkpoint_state_pb2"}
# What no command needs that looks at no value. Each class that dataclasses make costs a millisecond.
UNCALLED_FOR = {"numpy", "dataclasses"}
HEAVY = {"google.protobuf", "tfckpt.layouts.rules", *UNCALLED_FOR, *RARE}


@cache
def _theirs() -> set[str]:
    """What the libraries load by themselves: old ones load more."""
    spec = find_spec("crc32c")
    is_package = spec is not None and spec.submodule_search_locations is not None  # whose compiled module is apart
    return _loaded_by("import numpy") | (set() if is_package else _loaded_by("import crc32c"))


def test_importing_the_package_loads_next_to_nothing() -> None:
    assert not _loaded_by("import tfckpt") & HEAVY


@pytest.mark.parametrize("flag", ["--help", "--version"])
def test_help_and_version_do_not_import_numpy(flag: str) -> None:
    loaded = _loaded_by_command(flag)
    assert "tfckpt.cli.tree" in loaded  # it did look at the commands
    assert not loaded & HEAVY


def test_opening_a_checkpoint_imports_only_what_it_needs(bert: str) -> None:
    loaded = _loaded_by(f"import numpy; import tfckpt; tfckpt.open({bert!r})")
    assert "tfckpt.bundle.reader" in loaded
    ours = loaded - _theirs()
    assert not ours & (RARE | {"tfckpt.bundle.writer", "tfckpt.layouts", "tfckpt.conversion", "numpy.typing"})


def test_listing_a_checkpoint_imports_only_what_it_needs(bert: str) -> None:
    loaded = _loaded_by_command("ls", bert)
    assert "tfckpt.bundle.reader" in loaded
    assert not loaded & UNCALLED_FOR
    ours = loaded - _theirs()
    assert not ours & (RARE | {"tfckpt.bundle.writer", "tfckpt.layouts.rules", "tfckpt.conversion"})


def test_converting_imports_only_what_it_needs(bert: str, tmp_path: Path) -> None:
    loaded = _loaded_by_command("convert", bert, str(tmp_path / "out"), "--no-sync")
    assert (tmp_path / "out.index").exists()
    assert not loaded & UNCALLED_FOR
    ours = loaded - _theirs()
    assert not ours & {"ml_dtypes", "snappy", "einops", "rich", "difflib", "tomllib", "crc32c", "importlib.metadata"}
    assert not ours & {f"tfckpt.conversion.{file}" for file in ("prove", "back", "choose", "layout_file", "rewrite")}


def test_nothing_imports_tensorflow(bert: str) -> None:
    assert "tensorflow" not in _loaded_by(f"import tfckpt; tfckpt.plan({bert!r}); tfckpt.open({bert!r})")
