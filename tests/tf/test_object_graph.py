"""Graphs that TensorFlow wrote keep their bytes; what is left after an edit is all that TensorFlow asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfckpt
from tfckpt.checkpoint.graph.object_graph import OBJECT_GRAPH_KEY, ObjectGraph

pytestmark = pytest.mark.tf

UNTRAINED = -77.0  # a value that no checkpoint here holds


@pytest.fixture
def model(tf: Any) -> Any:
    return make_model()


def make_model() -> Any:
    import tf_keras

    return tf_keras.Sequential(
        [tf_keras.layers.Dense(3, input_shape=(2,)), tf_keras.layers.BatchNormalization(), tf_keras.layers.Dense(1)]
    )


def train(tf: Any, model: Any) -> Any:
    """Return a training checkpoint whose optimizer, of the kind that has slot variables, has made a step."""
    import tf_keras

    optimizer = tf_keras.optimizers.legacy.Adam()
    optimizer.apply_gradients((tf.ones_like(v), v) for v in model.trainable_variables)
    return tf.train.Checkpoint(model=model, optimizer=optimizer)


def drop_optimizer(source: str, dest: str, *others: str) -> None:
    """Copy a training checkpoint without its optimizer, and without the tensors of which the names begin with ``others``."""
    with tfckpt.open(source) as checkpoint:
        graph = checkpoint.object_graph
        dropped = {name for name in checkpoint if name.startswith(("optimizer/", *others)) or ".OPTIMIZER_SLOT" in name}
        assert graph is not None
        assert len(dropped) > 8
        graph.drop_keys(dropped)
        kept = {name: checkpoint[name] for name in checkpoint if name not in dropped}
    tfckpt.save(dest, kept | {OBJECT_GRAPH_KEY: graph.serialize()})


def assert_restored(model: Any, values: list[Any]) -> None:
    assert len(values) == 8
    for variable, value in zip(model.variables, values, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_graphs_that_tensorflow_wrote_keep_their_bytes(tf: Any, model: Any, tmp_path: Path) -> None:
    prefix = train(tf, model).save(str(tmp_path / "training"))
    with tfckpt.open(prefix) as checkpoint:
        serialized = checkpoint[OBJECT_GRAPH_KEY].item()
    graph = ObjectGraph.parse(serialized)
    assert sum(len(node.slot_variables) for node in graph.nodes) == 12
    assert graph.serialize() == serialized


def test_what_is_left_without_the_optimizer_is_read_and_consumed(tf: Any, model: Any, tmp_path: Path) -> None:
    prefix = train(tf, model).write(str(tmp_path / "training"))
    drop_optimizer(prefix, str(tmp_path / "model"))
    values = [variable.numpy() for variable in model.variables]
    clear(model)
    status = tf.train.Checkpoint(model=model).read(str(tmp_path / "model"))
    status.assert_consumed()
    status.assert_existing_objects_matched()
    assert_restored(model, values)


def test_what_is_left_of_a_numbered_save_is_restored_and_consumed(tf: Any, model: Any, tmp_path: Path) -> None:
    prefix = train(tf, model).save(str(tmp_path / "training"))
    drop_optimizer(prefix, str(tmp_path / "model"))
    values = [variable.numpy() for variable in model.variables]
    clear(model)
    checkpoint = tf.train.Checkpoint(model=model)
    status = checkpoint.restore(str(tmp_path / "model"))
    status.assert_consumed()
    status.assert_existing_objects_matched()
    assert_restored(model, values)
    assert int(checkpoint.save_counter) == 1


def test_without_its_counter_a_numbered_save_is_read_and_consumed(tf: Any, model: Any, tmp_path: Path) -> None:
    prefix = train(tf, model).save(str(tmp_path / "training"))
    drop_optimizer(prefix, str(tmp_path / "model"), "save_counter/")
    values = [variable.numpy() for variable in model.variables]
    clear(model)
    tf.train.Checkpoint(model=model).read(str(tmp_path / "model")).assert_consumed()
    assert_restored(model, values)


def test_a_new_optimizer_is_not_asked_about_one_that_was_dropped(tf: Any, model: Any, tmp_path: Path) -> None:
    """The references to slots are gone as well: TensorFlow would wait for them."""
    prefix = train(tf, model).write(str(tmp_path / "training"))
    drop_optimizer(prefix, str(tmp_path / "model"))
    values = [variable.numpy() for variable in model.variables]
    training = train(tf, model)
    clear(model)
    training.read(str(tmp_path / "model")).expect_partial()
    assert_restored(model, values)
    assert int(training.optimizer.iterations) == 1


def test_a_head_is_dropped_with_its_slots_and_the_optimizer_stays(tf: Any, model: Any, tmp_path: Path) -> None:
    """A reference to a slot that stayed behind would be an "unresolved slot restoration"."""
    import tf_keras

    body = tf_keras.Sequential(model.layers[:-1])
    prefix = train(tf, model).write(str(tmp_path / "training"))
    with tfckpt.open(prefix) as checkpoint:
        graph = checkpoint.object_graph
        head = {name for name in checkpoint if name.startswith("model/layer_with_weights-2/")}
        assert graph is not None
        assert len(head) == 6
        graph.drop_keys(head)
        kept = {name: checkpoint[name] for name in checkpoint if name not in head}
    tfckpt.save(tmp_path / "body", kept | {OBJECT_GRAPH_KEY: graph.serialize()})

    optimizer = tf_keras.optimizers.legacy.Adam()
    status = tf.train.Checkpoint(model=body, optimizer=optimizer).read(str(tmp_path / "body"))
    optimizer.apply_gradients((tf.zeros_like(v), v) for v in body.trainable_variables)
    status.assert_consumed()
    assert int(optimizer.iterations) == 2


def test_renamed_keys_restore_as_before(tf: Any, model: Any, tmp_path: Path) -> None:
    prefix = tf.train.Checkpoint(model=model).write(str(tmp_path / "named"))
    with tfckpt.open(prefix) as checkpoint:
        graph = checkpoint.object_graph
        assert graph is not None
        names = {name: name.replace("model/layer_with_weights-", "part ") for name in checkpoint}
        graph.rename_keys(names)
        tensors = {names[name]: checkpoint[name] for name in checkpoint}
    tfckpt.save(tmp_path / "renamed", tensors | {OBJECT_GRAPH_KEY: graph.serialize()})
    values = [variable.numpy() for variable in model.variables]
    clear(model)
    status = tf.train.Checkpoint(model=model).read(str(tmp_path / "renamed"))
    status.assert_consumed()
    status.assert_existing_objects_matched()
    assert_restored(model, values)


def clear(model: Any) -> None:
    for variable in model.variables:
        variable.assign(np.full(variable.shape, np.float32(UNTRAINED)))
