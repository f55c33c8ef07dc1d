"""Averaged checkpoints, restored by TensorFlow: each variable is the mean of what it was, the optimizer's too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfckpt
from tfckpt.errors import PlanError

pytestmark = pytest.mark.tf

STEPS = 4


def train(tf: Any, directory: Path, objects: dict[str, Any], step: Callable[[int], None]) -> list[str]:
    """Return the prefixes of a run's checkpoints."""
    checkpoint = tf.train.Checkpoint(**objects)
    prefixes = []
    for n in range(STEPS):
        step(n)
        prefixes.append(checkpoint.save(str(directory / "ckpt")))
    return prefixes


def tf_keras_run(tf: Any) -> tuple[dict[str, Any], Callable[[int], None]]:
    import tf_keras

    model = tf_keras.Sequential(
        [tf_keras.layers.Dense(3), tf_keras.layers.BatchNormalization(), tf_keras.layers.Dense(3)]
    )
    model.build((None, 3))
    optimizer, counter = tf_keras.optimizers.legacy.Adam(0.1), tf.Variable(0, dtype=tf.int64)

    def step(n: int) -> None:
        optimizer.apply_gradients([(tf.random.stateless_normal(v.shape, [n, 1]), v) for v in model.trainable_variables])
        counter.assign(10 * n)

    return {"model": model, "optimizer": optimizer, "step": counter}, step


def keras_run(tf: Any, order: tuple[int, ...] = (0, 1, 2, 3)) -> tuple[dict[str, Any], Callable[[int], None]]:
    import keras

    keras.backend.clear_session()  # so that names are the same in every run
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3), keras.layers.Dense(3)])
    optimizer, counter = keras.optimizers.Adam(0.1), tf.Variable(0, dtype=tf.int64)
    variables = [model.trainable_variables[n] for n in order]
    optimizer.build(variables)

    def step(n: int) -> None:
        optimizer.apply_gradients([(tf.random.stateless_normal(v.shape, [n, 1]), v) for v in variables])
        counter.assign(10 * n)

    return {"model": model, "optimizer": optimizer, "step": counter}, step


def values_of(objects: dict[str, Any]) -> dict[str, Any]:
    model, optimizer = objects["model"], objects["optimizer"]
    if hasattr(optimizer, "get_slot"):
        slots = [optimizer.get_slot(v, name) for v in model.trainable_variables for name in ("m", "v")]
        variables = [optimizer.iterations, *slots]
    else:
        variables = optimizer.variables
    found = [*model.variables, *variables, objects["step"]]
    return {f"{n}": variable.numpy() for n, variable in enumerate(found)}


@pytest.mark.parametrize("make", [tf_keras_run, keras_run])
@pytest.mark.parametrize("weights", [None, [1, 2, 3, 10]])
def test_an_average_restores_with_its_optimizer(
    tf: Any, tmp_path: Path, make: Callable[[Any], Any], weights: list[float] | None
) -> None:
    objects, step = make(tf)
    history: list[dict[str, Any]] = []

    def noted(n: int) -> None:
        step(n)
        history.append(values_of(objects))

    prefixes = train(tf, tmp_path, objects, noted)
    plan = tfckpt.average(prefixes, tmp_path / "averaged", weights=weights)
    assert any("int64, not averaged" in note for note in plan.notes)

    fresh, begin = make(tf)
    status = tf.train.Checkpoint(**fresh).restore(str(tmp_path / "averaged"))
    begin(99)  # which makes the slots, that are restored as they come
    status.assert_consumed()
    tf.train.Checkpoint(**fresh).restore(str(tmp_path / "averaged"))
    restored = values_of(fresh)
    assert len(restored) > 10
    moved = 0
    for name, value in restored.items():
        each = [values[name] for values in history]
        if value.dtype.kind == "f":
            expected = np.average([part.astype(np.float64) for part in each], axis=0, weights=weights)
            np.testing.assert_allclose(value, expected, rtol=1e-6, atol=1e-7)
            moved += not np.array_equal(value, each[-1])
        else:
            np.testing.assert_array_equal(value, each[-1])
    assert moved > 8


def test_optimizers_of_keras_3_that_were_built_in_another_order_are_refused(tf: Any, tmp_path: Path) -> None:
    """Their keys and shapes are equal, and the mean of a kernel's moment with another kernel's would be written."""
    prefixes: dict[str, dict[str, str]] = {"both": {}, "optimizer": {}}
    for name, order in (("a", (0, 1, 2, 3)), ("b", (2, 3, 0, 1)), ("c", (0, 1, 2, 3))):
        objects, step = keras_run(tf, order)
        step(1)
        for kind, saved in (("both", objects), ("optimizer", {"optimizer": objects["optimizer"]})):
            prefixes[kind][name] = tf.train.Checkpoint(**saved).write(str(tmp_path / f"{kind}-{name}"))
    for kind, found in prefixes.items():
        with pytest.raises(PlanError, match="the object graph is not that of"):
            tfckpt.average([found["a"], found["b"]], tmp_path / "out")
        assert not list(tmp_path.glob("out*"))
        tfckpt.average([found["a"], found["c"]], tmp_path / f"{kind}-averaged")


def test_a_partitioned_table_of_tf1_restores_averaged(tf: Any, tmp_path: Path) -> None:
    v1 = tf.compat.v1
    tables = np.random.default_rng(0).normal(size=(3, 12, 4)).astype(np.float32)

    def graph() -> Any:
        with v1.variable_scope("", partitioner=v1.fixed_size_partitioner(3)):
            table = v1.get_variable("table", [12, 4])
        return table, v1.get_variable("global_step", [], tf.int64, initializer=v1.zeros_initializer())

    for n, value in enumerate(tables):
        with tf.Graph().as_default(), v1.Session() as session:
            table, step = graph()
            session.run([v1.assign(part, value[4 * i : 4 * i + 4]) for i, part in enumerate(table)])
            session.run(v1.assign(step, n))
            v1.train.Saver().save(session, str(tmp_path / f"model-{n}"))
    tfckpt.average([tmp_path / f"model-{n}" for n in range(3)], tmp_path / "averaged")
    with tf.Graph().as_default(), v1.Session() as session:
        table, step = graph()
        v1.train.Saver().restore(session, str(tmp_path / "averaged"))
        np.testing.assert_allclose(
            session.run(tf.concat(list(table), 0)), tables.mean(axis=0, dtype=np.float64), rtol=1e-6
        )
        assert session.run(step) == 2
