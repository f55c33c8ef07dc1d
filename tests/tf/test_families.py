"""TensorFlow restores the objects of a family that a folder of tables describes, and reads the names that it gets back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import nano

import tfckpt

pytestmark = pytest.mark.tf


def build(tf: Any) -> tuple[Any, dict[str, Any]]:
    """Return a model whose objects have the paths of the tables, and its variables by path; all are zeros."""
    model, variables = tf.Module(), {}
    for path, value in nano.objects(nano.tensors()).items():
        *edges, name = path.split("/")
        at = model
        for edge in edges:
            if not hasattr(at, edge):
                setattr(at, edge, tf.Module())
            at = getattr(at, edge)
        variables[path] = tf.Variable(tf.zeros(value.shape))
        setattr(at, name, variables[path])
    return model, variables


def test_tensorflow_restores_a_family_of_tables(tf: Any, tmp_path: Path) -> None:
    tfckpt.convert(nano.save(tmp_path), tmp_path / "tf2", families=nano.TABLES, sync=False)
    model, variables = build(tf)
    status = tf.train.Checkpoint(model=model).read(str(tmp_path / "tf2"))
    status.assert_consumed().assert_existing_objects_matched()
    for path, value in nano.objects(nano.tensors()).items():
        np.testing.assert_array_equal(variables[path].numpy(), value, path)


def test_what_tensorflow_saved_gets_the_family_s_names(tf: Any, tmp_path: Path) -> None:
    model, variables = build(tf)
    for path, value in nano.objects(nano.tensors()).items():
        variables[path].assign(value)
    prefix = tf.train.Checkpoint(model=model).save(str(tmp_path / "saved"))
    tfckpt.convert(prefix, tmp_path / "back", to="tf1", families=nano.TABLES, sync=False)
    reader = tf.train.load_checkpoint(str(tmp_path / "back"))
    assert reader.get_variable_to_shape_map().keys() == nano.tensors().keys()
    for name, value in nano.tensors().items():
        np.testing.assert_array_equal(reader.get_tensor(name), value, name)
