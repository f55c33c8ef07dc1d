"""Fixtures that several test files share."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from support.tf1 import BERT_BASE, write_bert

import tfckpt
from tfckpt.bundle.values.slices import TensorSlice
from tfckpt.bundle.writer import BundleWriter

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")  # what Model Garden 2.20 is built on
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

# A loaded machine draws slowly; what is drawn says nothing of how fast we are.
settings.register_profile("tfckpt", suppress_health_check=[HealthCheck.too_slow], deadline=None)
settings.load_profile("tfckpt")

DATA = Path(__file__).parent / "data"
EXHAUSTIVE = "exhaustive"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(f"--{EXHAUSTIVE}", action="store_true", help="also run the tests that are marked exhaustive")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the exhaustive tests, unless an option asks for them, or the command line names their file."""
    if _asks_for_exhaustive_tests(config):
        return
    named = _named_files(config)
    kept: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        is_left_out = item.get_closest_marker(EXHAUSTIVE) is not None and item.path.resolve() not in named
        (left_out if is_left_out else kept).append(item)
    config.hook.pytest_deselected(items=left_out)
    items[:] = kept


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was left out, also where `-q` hides the header."""
    if not _asks_for_exhaustive_tests(config) and not all(path.is_file() for path in _named_files(config)):
        terminalreporter.write_line("The tests marked exhaustive were left out: pytest --exhaustive runs them as well.")


def _asks_for_exhaustive_tests(config: pytest.Config) -> bool:
    return config.getoption(EXHAUSTIVE) or EXHAUSTIVE in config.getoption("markexpr")


def _named_files(config: pytest.Config) -> set[Path]:
    """Return the files and directories of the tests that the command line names."""
    return {(config.invocation_params.dir / argument.partition("::")[0]).resolve() for argument in config.args}


@pytest.fixture(scope="session")
def bert() -> str:
    """Prefix of a BERT written by google-research/bert under TensorFlow 1.15; never written to."""
    return str(DATA / "bert_tf115" / "model.ckpt-3")


@pytest.fixture
def bert_copy(tmp_path: Path) -> str:
    """Prefix of a copy of `bert` that a test may damage, its configuration beside it."""
    shutil.copytree(DATA / "bert_tf115", tmp_path / "source")
    return str(tmp_path / "source" / "model.ckpt-3")


@pytest.fixture(scope="session")
def tf() -> Any:
    """Real TensorFlow, the judge. A missing TensorFlow is a failure, not a skip."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own imports' deprecations are not ours
        import tensorflow

    return tensorflow


@pytest.fixture(scope="session")
def bert_base(tf: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Prefix of a checkpoint of BERT-base's shape with its pre-training heads, written by TensorFlow."""
    return write_bert(tf, tmp_path_factory.mktemp("bert_base"), BERT_BASE)


@pytest.fixture
def split() -> Callable[[str, Path, str, list[int]], None]:
    """Return a function that copies a checkpoint with one tensor partitioned along its first axis."""

    def copy(source: str, dest: Path, name: str, lengths: list[int]) -> None:
        with tfckpt.open(source) as checkpoint, BundleWriter(str(dest)) as writer:
            for other in checkpoint:
                if other != name:
                    writer.add(other, checkpoint[other])
            whole = checkpoint[name]
            starts = np.cumsum([0, *lengths])
            for start, length in zip(starts.tolist(), lengths, strict=False):
                part = TensorSlice(((start, length), (0, -1)))
                writer.add_slice(name, whole.shape, part, whole[part.within(whole.shape)])
            writer.finish()

    return copy
