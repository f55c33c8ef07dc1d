"""The house: imports go down only, inside a room as well, and heavy ones happen late."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

import tfckpt

PACKAGE = Path(tfckpt.__path__[0])

# Each folder from the ground up: its files, and its folders, which end in a slash. What stands later may import what stands
# before it, here and in every folder above.
ROOMS: dict[str, str] = {
    "": "base/ _proto/ sstable/ storage/ bundle/ checkpoint/ formats/ families/ planning/ execution/ proof/ edit/ about/ "
    "calls/ many/ page/ types cli/",
    "base/": "windows shell progress options codes issues errors html arguments substitutions log signatures flags",
    "sstable/": "varint checksum block format reader recover writer",
    "storage/": "paths forks local_input remote remote_files local_output files kinds/ sniff renamed lock commit",
    "storage/kinds/": "table graphs msgpack archives",
    "bundle/": "values/ carry listing reader v1/ tensor_reader stream damage writer",
    "bundle/values/": "ordered_code dtypes typed slices entry strings variants arrays",
    "bundle/v1/": "files values reader",
    "checkpoint/": "graph/ find/ prune foldable partial checkpoint statistics train",
    "checkpoint/graph/": "object_graph object_tensors path_globs optimizers optimizer_lists slot_owners agreement "
    "graph_roles named_roles roles object_paths outline ways graph_edit",
    "checkpoint/find/": "lookup state_file near guess locate",
    "formats/": "container dtypes sinks npy archive safetensors zips npz directory bundle opening",
    "families/": "language/ bert/ albert/ electra/ mobilebert/ catalog folder targets",
    "families/language/": "axes calls facts optimizer rules relatives family layouts custom match target layout_file",
    "families/bert/": "order relatives garden garden_2019",
    "families/albert/": "order garden",
    "families/electra/": "order garden",
    "families/mobilebert/": "order garden",
    "planning/": "steps config plan source exclusion dialect/ builder asked/ bound optimizer/ bind fitting/ mending/ sides "
    "planner keep_names building choose request",
    "planning/dialect/": "scopes moments dialect",
    "planning/asked/": "resize fills heads",
    "planning/optimizer/": "slots slots_back",
    "planning/fitting/": "hints checks strays withheld missing",
    "planning/mending/": "find_renames relatives other_models mend",
    "execution/": "values compute run pieces forms",
    "proof/": "proof places prove recover",
    "edit/": "paths choice renaming edits merging/ average draft salvage comparison/ exchange",
    "edit/merging/": "evidence join preferences merge",
    "edit/comparison/": "differences selection diff",
    "about/": "modules kinds places summary state origin targets next info",
    "calls/": "convert export importing rewrite merge average salvage diff info",
    "many/": "processes many manifest cluster",
    "page/": "tensors mapping comparing document page report",
    "cli/": "options stdin ui/ command trial advice log_2019 commands/ main",
    "cli/ui/": "terminal folding tables output planned described",
    "cli/commands/": "convert tf1_to_keras many verify salvage ls show diff tree report rewrite exchange demo completion",
}
OUTSIDE = {
    "errors": "base/"
}  # files that stay at the top, since users and pickles name them, and the room that they are of
APART = {("bundle/", "families/"), ("checkpoint/", "families/")}
MOST_FILES = 14  # of a folder, beside its folders
ROOF = ("__init__", "__main__")  # a list of names, and a door to the command line

Place = tuple[str, ...]  # of a module: its folders, each with a slash, and its name


def _modules() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if path.parent.name != "_proto"]


def _place(path: Path) -> Place:
    *folders, name = path.relative_to(PACKAGE).with_suffix("").parts
    rooms = [OUTSIDE[name]] if not folders and name in OUTSIDE else [f"{folder}/" for folder in folders]
    return (*rooms, name)


def _imports(path: Path) -> Iterator[Place]:
    """Yield the place of every import of our own, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("tfckpt."):
            inside = PACKAGE.joinpath(*node.module.split(".")[1:])
            yield from (_place(inside / alias.name if inside.is_dir() else inside) for alias in node.names)


def _order(room: str) -> list[str]:
    return ROOMS[room].split()


def _is_down(importer: Place, imported: Place) -> bool:
    """Whether a module stands before another one, in the folder where their ways part."""
    shared = next(n for n, (a, b) in enumerate(zip(importer, imported, strict=False)) if a != b)
    order = _order("".join(importer[:shared]))
    is_apart = (importer[0], imported[0]) in APART
    return order.index(imported[shared]) < order.index(importer[shared]) and not is_apart


def test_imports_go_down() -> None:
    pairs = [
        (_place(path), imported)
        for path in _modules()
        if _place(path)[-1] not in ROOF
        for imported in _imports(path)
        if imported[0] != "_proto/"
    ]
    assert [pair for pair in pairs if not _is_down(*pair)] == []


def test_every_room_and_file_named_here_exists_and_no_other() -> None:
    named = {f"{room}{item}" for room in ROOMS for item in _order(room) if not item.endswith("/")}
    assert named == {"".join(_place(path)) for path in _modules() if _place(path)[-1] not in ROOF}
    assert set(ROOMS) == {"", *(f"{room}{item}" for room in ROOMS for item in _order(room) if item[-1] == "/")} - {
        "_proto/"
    }


def test_no_room_has_so_many_files_that_nobody_finds_one() -> None:
    files = {room: [item for item in _order(room) if not item.endswith("/")] for room in ROOMS}
    assert [room for room in files if len(files[room]) > MOST_FILES] == []


def test_the_documentation_names_the_rooms_in_their_order() -> None:
    text = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| `tfckpt/(.*?)` \|", text, re.MULTILINE)
    assert named == list(ROOMS)


def test_the_check_sees_an_import_that_goes_up() -> None:
    assert not _is_down(("bundle/", "reader"), ("checkpoint/", "train"))
    assert not _is_down(("bundle/", "values/", "entry"), ("bundle/", "reader"))
    assert not _is_down(("formats/", "sinks"), ("planning/", "steps"))  # a sink does not know what a step is
    assert not _is_down(("bundle/", "values/", "slices"), ("bundle/", "values/", "entry"))
    assert _is_down(("bundle/", "reader"), ("bundle/", "values/", "entry"))
    assert _is_down(("planning/", "plan"), ("families/", "language/", "rules"))


def _prints(path: Path) -> bool:
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    return any(isinstance(call.func, ast.Name) and call.func.id == "print" for call in calls)


def test_only_the_command_line_prints() -> None:
    printing = [path for path in _modules() if _prints(path)]
    assert printing
    assert [path for path in printing if _place(path)[0] != "cli/"] == []


def test_few_files_open_files() -> None:
    doors = {"os.open", "os.fdopen", "os.replace", "os.unlink", "os.mkdir", "os.makedirs", "mmap.mmap", "io.open"}
    users = set()
    for path in _modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in doors:
                users.add("".join(_place(path)))
    assert users <= {
        "storage/local_input",
        "storage/local_output",
        "storage/files",
        "storage/lock",
        "cli/main",  # points a broken stdout at the null device
    }


def test_files_behind_urls_are_reached_through_the_door_and_on_request_alone() -> None:
    remote = {("storage/", "remote"), ("storage/", "remote_files")}
    users = {"".join(_place(path)) for path in _modules() if remote & set(_imports(path))}
    assert users == {"storage/files", "storage/remote_files"}
    assert not _loaded_by("import tfckpt.storage.files") & {
        "tfckpt.storage.remote",
        "tfckpt.storage.remote_files",
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
RARE |= {
    "crc32c",
    "tfckpt.bundle.v1.reader",
    "tfckpt._proto.trackable_object_graph_pb2",
    "tfckpt._proto.checkpoint_state_pb2",
}
# What no command needs that looks at no value. Each class that dataclasses make costs a millisecond.
UNCALLED_FOR = {"numpy", "dataclasses"}
HEAVY = {"google.protobuf", "tfckpt.families.language.rules", *UNCALLED_FOR, *RARE}


@cache
def _theirs() -> set[str]:
    """What the libraries load by themselves: old ones load more."""
    spec = find_spec("crc32c")
    is_package = spec is not None and spec.submodule_search_locations is not None  # whose compiled module is apart
    return _loaded_by("import numpy") | (set() if is_package else _loaded_by("import crc32c"))


def test_importing_the_package_loads_next_to_nothing() -> None:
    assert not _loaded_by("import tfckpt") & HEAVY


def test_a_command_loads_no_other() -> None:
    loaded = _loaded_by_command("layouts")
    assert {name for name in loaded if name.startswith("tfckpt.cli.commands.")} == {"tfckpt.cli.commands.convert"}


@pytest.mark.parametrize("flag", ["--help", "--version"])
def test_help_and_version_do_not_import_numpy(flag: str) -> None:
    loaded = _loaded_by_command(flag)
    assert ("tfckpt.cli.commands.tree" in loaded) == (flag == "--help")  # which alone looks at the commands
    assert not loaded & HEAVY


def test_opening_a_checkpoint_imports_only_what_it_needs(bert: str) -> None:
    loaded = _loaded_by(f"import numpy; import tfckpt; tfckpt.open({bert!r})")
    assert "tfckpt.bundle.reader" in loaded
    ours = loaded - _theirs()
    assert not ours & (RARE | {"tfckpt.bundle.writer", "tfckpt.families", "tfckpt.planning", "numpy.typing"})


def test_listing_a_checkpoint_imports_only_what_it_needs(bert: str) -> None:
    loaded = _loaded_by_command("ls", bert)
    assert "tfckpt.bundle.reader" in loaded
    assert not loaded & UNCALLED_FOR
    ours = loaded - _theirs()
    assert not ours & (RARE | {"tfckpt.bundle.writer", "tfckpt.families.language.rules", "tfckpt.planning"})


def test_converting_imports_only_what_it_needs(bert: str, tmp_path: Path) -> None:
    loaded = _loaded_by_command("convert", bert, str(tmp_path / "out"), "--no-sync")
    assert (tmp_path / "out.index").exists()
    assert not loaded & UNCALLED_FOR
    ours = loaded - _theirs()
    assert not ours & {"ml_dtypes", "snappy", "einops", "rich", "difflib", "tomllib", "crc32c", "importlib.metadata"}
    assert not ours & {
        f"tfckpt.{place}"
        for place in (
            "proof.prove",
            "planning.back",
            "planning.choose",
            "families.language.layout_file",
            "calls.rewrite",
        )
    }


def test_nothing_imports_tensorflow(bert: str) -> None:
    assert "tensorflow" not in _loaded_by(f"import tfckpt; tfckpt.plan({bert!r}); tfckpt.open({bert!r})")
