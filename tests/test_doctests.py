from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfckpt


def _modules() -> Iterator[str]:
    yield "tfckpt"
    for module in pkgutil.walk_packages(tfckpt.__path__, "tfckpt."):
        if not module.name.endswith(("_pb2", ".__main__")):
            yield module.name


class _Finder(doctest.DocTestFinder):
    """One that also finds what a decorator of another module made."""

    def _from_module(self, module: Any, value: Any) -> Any:
        is_ours = inspect.isroutine(value) and value.__module__ == module.__name__
        return is_ours or super()._from_module(module, value)  # type: ignore[misc]  # typeshed leaves it out


def test_examples_in_docstrings_are_true(bert: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The examples of a module find a checkpoint ``bert_model.ckpt`` where they run."""
    failed = {name: count for name in _modules() if (count := _failures(name, bert, tmp_path / name, monkeypatch))}
    assert failed == {}  # what was printed says which examples, and what they gave


def _failures(name: str, bert: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    directory.mkdir()
    for path in Path(bert).parent.glob("model.ckpt-3.*"):
        shutil.copy(path, directory / path.name.replace("model.ckpt-3", "bert_model.ckpt"))
    shutil.copy(Path(bert).parent / "bert_config.json", directory)
    monkeypatch.chdir(directory)
    runner = doctest.DocTestRunner()
    for example in _Finder().find(importlib.import_module(name), name, extraglobs={"tfckpt": tfckpt, "np": np}):
        runner.run(example)
    return runner.summarize(verbose=False).failed


def test_the_examples_of_every_public_call_are_among_them() -> None:
    calls = [getattr(tfckpt, name) for name in tfckpt.__all__ if inspect.isfunction(getattr(tfckpt, name))]
    for call in calls:
        found = _Finder().find(importlib.import_module(call.__module__), call.__module__)
        assert any(example.examples for example in found if example.name == f"{call.__module__}.{call.__name__}"), call


def test_no_example_is_skipped() -> None:
    sources = Path(tfckpt.__path__[0]).rglob("*.py")
    assert not [path for path in sources if "doctest: +SKIP" in path.read_text(encoding="utf-8")]
