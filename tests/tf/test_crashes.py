"""TensorFlow reads the old checkpoint or the new one, whole, wherever a writer was killed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from faults import count, theirs

pytestmark = pytest.mark.tf

# Commands, and every how many of their calls are tried; `tests/faults/run` tries all of all.
SAMPLES = {
    "save": 3,
    "save over equal names": 3,
    "save over as many files": 4,
    "update a state file": 1,
    "merge over equal names": 4,
    "convert": 11,
    "convert by hard links over hard links": 5,
    "rewrite": 11,
}


def kill(command: str, every: int, directory: Path) -> Path:
    """Kill a writer at every so many of its calls; return the directory with what that left."""
    arguments = "--fault", "kill -9", "--every", str(every), "--keep", str(directory / "states")
    count.run("faults.crashes", command, *arguments)
    return directory / "states"


@pytest.mark.parametrize("command", SAMPLES)
def test_tensorflow_reads_the_old_checkpoint_or_the_new_one(tf: Any, tmp_path: Path, command: str) -> None:
    found = theirs.count(tf, kill(command, SAMPLES[command], tmp_path))
    assert set(found) == {"absent" if command == "save" else "old", "new"}
    assert found.total() > 5


@pytest.mark.parametrize("kind", ["index", "data-00000-of-00001"])
def test_a_mix_of_the_old_and_the_new_would_be_noticed(tf: Any, tmp_path: Path, kind: str) -> None:
    states = kill("save over equal names", 100, tmp_path)
    shutil.copytree(states / "new", states / "1000")
    shutil.copy(states / "old" / f"model.{kind}", states / "1000")
    with pytest.raises((AssertionError, IndexError, tf.errors.OpError)):
        theirs.count(tf, states)
