"""What an application relies on that has tfckpt in it: progress that can be trusted, and nothing changed behind its back."""

from __future__ import annotations

import ast
import importlib
import logging
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.api import describe
from support.patience import PATIENCE
from support.state import CHANGES, changed, of_package, of_process

import tfckpt
from tfckpt.types import Progress

OF_AN_OLD_PROTOBUF = "Type google._upb._message"  # as in pyproject.toml
PACKAGE = Path(tfckpt.__path__[0])


def verify(source: str, directory: Path, progress: Progress | None) -> None:
    with tfckpt.open(source) as checkpoint:
        checkpoint.verify(progress=progress)


def find_damage(source: str, directory: Path, progress: Progress | None) -> None:
    with tfckpt.open(source) as checkpoint:
        assert checkpoint.find_damage(progress=progress) == []


def convert(source: str, directory: Path, progress: Progress | None, **options: Any) -> None:
    tfckpt.convert(source, directory / "out", sync=False, progress=progress, **options)


def convert_and_prove(source: str, directory: Path, progress: Progress | None) -> None:
    convert(source, directory, progress, prove=True)


def convert_sharing_files(source: str, directory: Path, progress: Progress | None) -> None:
    convert(source, directory, progress, mode="link", verify=False)


def prove(source: str, directory: Path, progress: Progress | None) -> None:
    tfckpt.convert(source, directory / "converted", sync=False)
    tfckpt.prove(source, directory / "converted", progress=progress)


def statistics(source: str, directory: Path, progress: Progress | None) -> None:
    assert tfckpt.statistics(source, progress=progress)


def diff(source: str, directory: Path, progress: Progress | None) -> None:
    assert tfckpt.diff(source, source, progress=progress).same


def diff_across_layouts(source: str, directory: Path, progress: Progress | None) -> None:
    tfckpt.convert(source, directory / "converted", sync=False)
    assert tfckpt.diff(source, directory / "converted", plan=tfckpt.plan(source), progress=progress).same


def report(source: str, directory: Path, progress: Progress | None) -> None:
    tfckpt.convert(source, directory / "converted", sync=False)
    assert not tfckpt.report(source, directory / "converted", progress=progress).problems


def report_on_differences(source: str, directory: Path, progress: Progress | None) -> None:
    assert not tfckpt.report(source, source, progress=progress).problems


def rewrite(source: str, directory: Path, progress: Progress | None) -> None:
    tfckpt.rewrite(source, directory / "out", cast="float16", sync=False, progress=progress)


def merge(source: str, directory: Path, progress: Progress | None) -> None:
    tfckpt.merge([source], directory / "out", sync=False, progress=progress)


def average(source: str, directory: Path, progress: Progress | None) -> None:
    tfckpt.average([source, source], directory / "out", sync=False, progress=progress)


def salvage(source: str, directory: Path, progress: Progress | None) -> None:
    assert not tfckpt.salvage(source, directory / "out", sync=False, progress=progress).damage


def export(source: str, directory: Path, progress: Progress | None, name: str = "out.npz") -> None:
    tfckpt.export(source, f"{directory}/{name}", sync=False, progress=progress)


def export_safetensors(source: str, directory: Path, progress: Progress | None) -> None:
    export(source, directory, progress, "out.safetensors")


def export_directory(source: str, directory: Path, progress: Progress | None) -> None:
    export(source, directory, progress, "out/")


def import_(source: str, directory: Path, progress: Progress | None) -> None:
    export(source, directory, None, "converted.npz")
    tfckpt.import_(directory / "converted.npz", directory / "out", sync=False, progress=progress)


EXPORTS = (export, export_safetensors, export_directory, import_)
WRITERS = (convert, convert_and_prove, convert_sharing_files, rewrite, merge, average, salvage, *EXPORTS)
CALLS = (
    *WRITERS,
    verify,
    find_damage,
    prove,
    statistics,
    diff,
    diff_across_layouts,
    report,
    report_on_differences,
)
Call = Callable[[str, Path, Progress | None], None]


def calls_with_progress() -> set[str]:
    lines = [line for line in describe() if "progress:" in line]
    return {re.findall(r"(\w+)\(", line)[0] for line in lines}


def test_every_call_with_progress_is_tried_here() -> None:
    assert len(calls_with_progress()) > 7
    assert calls_with_progress() <= {call.__name__ for call in CALLS}


def test_every_call_with_progress_is_named_in_the_docs() -> None:
    text = (Path(__file__).parents[1] / "docs" / "embedding.md").read_text(encoding="utf-8")
    names = set(re.findall(r"`(?:Checkpoint\.)?(\w+)`", text))
    assert calls_with_progress() <= names


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_progress_rises_to_all_of_what_was_told_at_first_in_the_thread_of_the_call(
    call: Call, bert_copy: str, tmp_path: Path
) -> None:
    seen: list[tuple[int, int]] = []
    threads = set()

    def note(done: int, total: int) -> None:
        seen.append((done, total))
        threads.add(threading.get_ident())

    call(bert_copy, tmp_path, note)
    total = seen[0][1]
    assert total > 0
    assert {told for _, told in seen} == {total}
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[0][0] >= 0
    assert seen[-1][0] == total
    assert threads == {threading.get_ident()}


@pytest.mark.parametrize(
    "call", [prove, statistics, diff, diff_across_layouts, convert_and_prove], ids=lambda c: c.__name__
)
def test_progress_moves_while_the_work_is_done_and_not_only_in_the_end(
    call: Call, bert_copy: str, tmp_path: Path
) -> None:
    seen: list[float] = []
    call(bert_copy, tmp_path, lambda done, total: seen.append(done / total))
    for low, high in ((0.05, 0.45), (0.55, 0.95)):
        assert any(low < part < high for part in seen)


class CancelledError(Exception):
    """What an application raises to be done with it."""


def stop(done: int, total: int) -> None:
    raise CancelledError


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_an_exception_in_progress_ends_the_call_and_leaves_nothing_behind(
    call: Call, bert_copy: str, tmp_path: Path
) -> None:
    with pytest.raises(CancelledError):
        call(bert_copy, tmp_path, stop)
    left = {path.name for path in tmp_path.iterdir()} - {"source"}
    assert not [name for name in left if not name.startswith("converted.")]


def test_a_dry_run_has_no_progress(bert: str, tmp_path: Path) -> None:
    tfckpt.rewrite(bert, tmp_path / "out", dry_run=True, progress=stop)


def test_the_logger_has_a_handler_that_does_nothing_once_there_is_something_to_say(bert: str, tmp_path: Path) -> None:
    logger = logging.getLogger("tfckpt")
    before = logger.handlers[:]
    try:
        logger.handlers[:] = []
        tfckpt.salvage(bert, tmp_path / "out", sync=False)
        assert [type(handler) for handler in logger.handlers] == [logging.NullHandler]
    finally:
        logger.handlers[:] = before


def test_no_function_assigns_to_its_module() -> None:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        writes: list[ast.AST] = [node for node in ast.walk(tree) if isinstance(node, ast.Global)]
        writes += [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.Subscript)
            and isinstance(node.ctx, ast.Store)
            and ast.unparse(node.value) in ("globals()", "os.environ", "sys.modules")
        ]
        found[str(path.relative_to(PACKAGE))] = [ast.unparse(node) for node in writes]
    assert found.pop("__init__.py") == ["globals()[name]"]  # a public name, when it is first used
    assert {path: writes for path, writes in found.items() if writes} == {}


def test_the_messages_have_names_that_no_other_library_registers() -> None:
    """Protobuf has one registry for the process, in which TensorFlow's files and messages have TensorFlow's names."""
    names = [f"tfckpt._proto.{path.stem}" for path in (PACKAGE / "_proto").glob("*_pb2.py")]
    files = [importlib.import_module(name).DESCRIPTOR for name in names]
    assert len(files) > 3
    assert {file.package for file in files} == {"tfckpt"}
    assert all(file.name.startswith("tfckpt/") for file in files)


def test_nothing_of_the_process_is_changed_by_importing_and_using_it(bert: str, tmp_path: Path) -> None:
    """In a process of its own: what there is of warnings, logging, NumPy, signals and so on, and every global of ours."""
    filters = ["-W", "error", "-W", f"ignore:{OF_AN_OLD_PROTOBUF}:DeprecationWarning"]
    command = [sys.executable, *filters, "-m", "support.state", bert, str(tmp_path)]
    result = subprocess.run(
        command, cwd=Path(__file__).parent, check=False, capture_output=True, text=True, timeout=PATIENCE
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_the_process_is_seen_by_the_check(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = of_process() | of_package()
    with monkeypatch.context() as patch, ExitStack() as stack:
        CHANGES[name](patch, stack)
        assert name in changed(before, of_process() | of_package())
