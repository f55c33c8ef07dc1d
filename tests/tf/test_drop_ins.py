"""The drop-ins return what their namesakes in tf.train return."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfckpt

pytestmark = pytest.mark.tf


@pytest.fixture(scope="module")
def mixed(tf: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A checkpoint directory with a state file, written by TensorFlow."""
    directory = tmp_path_factory.mktemp("mixed")
    checkpoint = tf.train.Checkpoint(
        a=tf.Variable([[1.0, 2.0]]),
        n=tf.Variable(7, dtype=tf.int64),
        s=tf.Variable("text"),
        names=tf.Variable(["x", "y"]),
    )
    checkpoint.save(str(directory / "ckpt"))
    return str(directory)


def test_list_variables_returns_what_tensorflow_returns(tf: Any, bert: str, mixed: str) -> None:
    assert tfckpt.list_variables(bert) == tf.train.list_variables(bert)
    assert tfckpt.list_variables(mixed) == tf.train.list_variables(mixed)


def test_load_variable_returns_the_same_types(tf: Any, mixed: str) -> None:
    for name, _ in tf.train.list_variables(mixed):
        ours, theirs = tfckpt.load_variable(mixed, name), tf.train.load_variable(mixed, name)
        assert type(ours) is type(theirs), name
        np.testing.assert_array_equal(ours, theirs)


def test_load_variable_ignores_the_output_number(tf: Any, bert: str) -> None:
    assert tfckpt.load_variable(bert, "global_step:0") == tf.train.load_variable(bert, "global_step:0") == 3


def test_load_checkpoint_returns_a_reader_with_the_same_answers(tf: Any, mixed: str) -> None:
    ours, theirs = tfckpt.load_checkpoint(mixed), tf.train.load_checkpoint(mixed)
    assert ours.get_variable_to_shape_map() == theirs.get_variable_to_shape_map()
    dtypes = {name: np.dtype(dtype.as_numpy_dtype) for name, dtype in theirs.get_variable_to_dtype_map().items()}
    assert ours.get_variable_to_dtype_map() == dtypes
    assert ours.debug_string() == theirs.debug_string()
    assert ours.has_tensor("a/.ATTRIBUTES/VARIABLE_VALUE")
    assert not ours.has_tensor("b")


def test_tensors_read_may_be_written_to(bert: str) -> None:
    tensor = tfckpt.load_checkpoint(bert).get_tensor("bert/pooler/dense/bias")
    tensor += 1


def test_latest_checkpoint_returns_what_tensorflow_returns(tf: Any, mixed: str, tmp_path: Path) -> None:
    assert tfckpt.latest_checkpoint(mixed) == tf.train.latest_checkpoint(mixed) == f"{mixed}/ckpt-1"
    assert tfckpt.latest_checkpoint(tmp_path) is tf.train.latest_checkpoint(str(tmp_path)) is None
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "gone"\n', encoding="utf-8")
    assert tfckpt.latest_checkpoint(tmp_path) is tf.train.latest_checkpoint(str(tmp_path)) is None
