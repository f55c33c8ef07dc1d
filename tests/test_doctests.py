from __future__ import annotations

import doctest
import importlib
import pkgutil
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import tfckpt


def _modules() -> Iterator[str]:
    yield "tfckpt"
    for module in pkgutil.walk_packages(tfckpt.__path__, "tfckpt."):
        if not module.name.endswith(("_pb2", ".__main__")):
            yield module.name


@pytest.mark.parametrize("name", list(_modules()))
def test_examples_in_docstrings_are_true(name: str, bert: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The examples find a checkpoint ``bert_model.ckpt`` where they run."""
    for path in Path(bert).parent.glob("model.ckpt-3.*"):
        shutil.copy(path, tmp_path / path.name.replace("model.ckpt-3", "bert_model.ckpt"))
    shutil.copy(Path(bert).parent / "bert_config.json", tmp_path)
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    results = doctest.testmod(module, extraglobs={"tfckpt": tfckpt, "np": np}, raise_on_error=False, verbose=False)
    assert results.failed == 0


def test_no_example_is_skipped() -> None:
    sources = Path(tfckpt.__path__[0]).rglob("*.py")
    assert not [path for path in sources if "doctest: +SKIP" in path.read_text(encoding="utf-8")]
