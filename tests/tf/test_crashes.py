"""TensorFlow reads the old checkpoint or the new one, whole, wherever a writer was killed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from faults import count, theirs
from support.garden import assert_holds, clear, make_encoder, read_config, tf1_name

import tfckpt

pytestmark = pytest.mark.tf

KERNEL = "bert/pooler/dense/kernel"

# Commands, and every how many of their calls are tried; `tests/faults/run` tries all of all.
SAMPLES = {
    "save": 3,
    "save over equal names": 3,
    "save over as many files": 4,
    "update a state file": 1,
    "merge over equal names": 4,
    "convert": 11,
    "convert by hard links over hard links": 5,
    "convert over TensorFlow's own": 11,
    "rewrite": 11,
    "rewrite, edited, over TensorFlow's own": 4,
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


def visible(directory: Path) -> frozenset[tuple[str, bytes]]:
    """Return what is there under names that are not temporary."""
    return frozenset((path.name, path.read_bytes()) for path in directory.iterdir() if ".tfckpt-" not in path.name)


def test_a_model_is_restored_from_whatever_a_killed_conversion_left(tf: Any, bert: str, tmp_path: Path) -> None:
    """Old and new differ in nothing but values: a mix would restore as well."""
    states = {visible(path): path for path in kill("convert by hard links over the same model", 1, tmp_path).iterdir()}
    encoder = make_encoder("BertEncoder", read_config(Path(bert).parent / "bert_config.json"))
    with tfckpt.open(bert) as source:
        values = {1: dict(source), -1: {name: -value for name, value in source.items()}}
    signs = []
    for state in states.values():
        clear(encoder)
        status = tf.train.Checkpoint(model=encoder).restore(tf.train.latest_checkpoint(str(state)))
        status.assert_consumed().assert_existing_objects_matched()
        kernel = next(variable for variable in encoder.variables if tf1_name(variable) == KERNEL)
        signs.append(1 if (kernel.numpy() == values[1][KERNEL]).all() else -1)
        assert_holds(encoder, values[signs[-1]], num_heads=2)
    assert len(signs) >= 4  # the new one in two files, too, and what lies beside them
    assert set(signs) == {1, -1}


@pytest.mark.parametrize("kind", ["index", "data-00000-of-00001"])
def test_a_mix_of_the_old_and_the_new_would_be_noticed(tf: Any, tmp_path: Path, kind: str) -> None:
    states = kill("save over equal names", 100, tmp_path)
    shutil.copytree(states / "new", states / "1000")
    shutil.copy(states / "old" / f"model.{kind}", states / "1000")
    with pytest.raises((AssertionError, IndexError, tf.errors.OpError)):
        theirs.count(tf, states)
