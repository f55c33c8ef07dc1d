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


def tf_keras_new_run(tf: Any) -> tuple[dict[str, Any], Callable[[int], None]]:
    import tf_keras

    tf_keras.backend.clear_session()
    model = tf_keras.Sequential([tf_keras.layers.Dense(3), tf_keras.layers.Dense(3)])
    model.build((None, 3))
    optimizer, counter = tf_keras.optimizers.Adam(0.1, amsgrad=True), tf.Variable(0, dtype=tf.int64)
    optimizer.build(model.trainable_variables)

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


@pytest.mark.parametrize("make", [tf_keras_run, tf_keras_new_run, keras_run])
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


def nameless(tf: Any, order: tuple[str, str], seed: int) -> tuple[Any, Any]:
    """Return a trained model of which neither weights nor moments have names that tell, and its optimizer."""
    import tf_keras

    model = tf.Module()
    for n, name in enumerate(("encoder", "head")):
        layer = tf.Module()
        layer.w = tf.Variable(tf.random.stateless_normal((3, 3), [seed, n]))
        setattr(model, name, layer)
    optimizer = tf_keras.optimizers.Adam(0.1)
    variables = [getattr(model, name).w for name in order]
    optimizer.build(variables)
    optimizer.apply_gradients([(tf.random.stateless_normal((3, 3), [seed, 5 + n]), v) for n, v in enumerate(variables)])
    return model, optimizer


def moment(optimizer: Any, variable: Any) -> Any:
    return optimizer._momentums[optimizer._index_dict[optimizer._var_key(variable)]].numpy()


def test_moments_in_lists_of_no_known_order_are_the_last_sources_whole(tf: Any, tmp_path: Path) -> None:
    orders = {"a": ("encoder", "head"), "b": ("head", "encoder")}
    made = {name: nameless(tf, order, seed) for seed, (name, order) in enumerate(orders.items())}
    for name, (model, optimizer) in made.items():
        tf.train.Checkpoint(model=model, optimizer=optimizer).write(str(tmp_path / name))
    plan = tfckpt.average([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    assert "2 tensors are the average of 2 checkpoints" in plan.notes
    assert any(note.startswith("optimizer 'optimizer': places in lists alone tell") for note in plan.notes)
    fresh, optimizer = nameless(tf, orders["b"], 9)
    tf.train.Checkpoint(model=fresh, optimizer=optimizer).read(str(tmp_path / "out")).assert_consumed()
    for name in ("encoder", "head"):
        a, b = (getattr(made[n][0], name).w.numpy() for n in "ab")
        np.testing.assert_allclose(getattr(fresh, name).w.numpy(), (a + b) / 2, rtol=1e-6)
        last = moment(made["b"][1], getattr(made["b"][0], name).w)
        np.testing.assert_array_equal(moment(optimizer, getattr(fresh, name).w), last)


def test_moments_of_other_variables_are_refused_and_the_weights_average_without_them(tf: Any, tmp_path: Path) -> None:
    import tf_keras

    weights = {}
    for seed, frozen in enumerate(("encoder", "head")):
        tf_keras.backend.clear_session()
        model = tf_keras.Sequential([tf_keras.layers.Dense(3, name=name) for name in ("encoder", "head")])
        model.build((None, 3))
        model.get_layer(frozen).trainable = False
        optimizer = tf_keras.optimizers.Adam(0.1)
        optimizer.build(model.trainable_variables)
        optimizer.apply_gradients(
            [(tf.random.stateless_normal(v.shape, [seed, 1]), v) for v in model.trainable_variables]
        )
        tf.train.Checkpoint(model=model, optimizer=optimizer).write(str(tmp_path / frozen))
        weights[frozen] = model.get_weights()
        tfckpt.rewrite(tmp_path / frozen, tmp_path / f"{frozen}-weights", strip_optimizer=True)
    with pytest.raises(
        PlanError, match=r"one place is that of .*m/head/kernel.*rewriting each source with strip_optimizer"
    ):
        tfckpt.average([tmp_path / "encoder", tmp_path / "head"], tmp_path / "out")
    tfckpt.average([tmp_path / "encoder-weights", tmp_path / "head-weights"], tmp_path / "out")
    tf.train.Checkpoint(model=model).read(str(tmp_path / "out")).expect_partial()
    for found, a, b in zip(model.get_weights(), weights["encoder"], weights["head"], strict=True):
        np.testing.assert_allclose(found, (a + b) / 2, rtol=1e-6)


def test_optimizers_of_keras_3_in_another_order_average_once_they_are_stripped(tf: Any, tmp_path: Path) -> None:
    import keras

    class Net(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.head = keras.layers.Dense(3), keras.layers.Dense(3)
            for layer in (self.encoder, self.head):
                layer.build((None, 3))

    weights = {}
    for n, order in enumerate([(0, 1, 2, 3), (2, 3, 0, 1)]):
        model, optimizer = Net(), keras.optimizers.Adam(0.1)
        variables = [model.trainable_variables[place] for place in order]
        optimizer.build(variables)
        optimizer.apply_gradients([(tf.random.stateless_normal(v.shape, [n, 1]), v) for v in variables])
        tf.train.Checkpoint(model=model, optimizer=optimizer).write(str(tmp_path / f"{n}"))
        weights[n] = model.get_weights()
        tfckpt.rewrite(tmp_path / f"{n}", tmp_path / f"{n}-weights", strip_optimizer=True)
    with pytest.raises(PlanError, match=r"without optimizers they agree: .*rewriting each source with strip_optimizer"):
        tfckpt.average([tmp_path / "0", tmp_path / "1"], tmp_path / "out")
    tfckpt.average([tmp_path / "0-weights", tmp_path / "1-weights"], tmp_path / "out")
    fresh = Net()
    tf.train.Checkpoint(model=fresh).read(str(tmp_path / "out")).assert_existing_objects_matched()
    for found, a, b in zip(fresh.get_weights(), weights[0], weights[1], strict=True):
        np.testing.assert_allclose(found, (a + b) / 2, rtol=1e-6)


@pytest.mark.parametrize("keras", ["tf_keras", "keras"])
def test_of_an_optimizer_saved_alone_nothing_is_mixed(tf: Any, tmp_path: Path, keras: str) -> None:
    """Layers made in another order have equal names at equal places: Keras counts them."""
    from importlib import import_module

    k: Any = import_module(keras)
    for name in ("a", "b"):
        k.backend.clear_session()
        made = {part: k.layers.Dense(3) for part in (("encoder", "head") if name == "a" else ("head", "encoder"))}
        for layer in made.values():
            layer.build((None, 3))
        optimizer = k.optimizers.Adam(0.1)
        variables = [v for layer in made.values() for v in layer.trainable_variables]
        optimizer.build(variables)
        optimizer.apply_gradients([(tf.random.stateless_normal(v.shape, [len(name), 1]), v) for v in variables])
        tf.train.Checkpoint(optimizer=optimizer).write(str(tmp_path / name))
    plan = tfckpt.average([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    assert f"nothing is averaged: all is as in {tmp_path / 'b'}" in plan.notes
    assert tfckpt.diff(tmp_path / "b", tmp_path / "out").same


def test_tables_and_iterators_are_the_last_sources_and_the_weights_are_averaged(tf: Any, tmp_path: Path) -> None:
    def build(values: dict[str, float], weight: float, drawn: int) -> Any:
        table = tf.lookup.experimental.MutableHashTable(tf.string, tf.float32, -1.0)
        if values:
            table.insert(tf.constant(list(values)), tf.constant(list(values.values())))
        iterator = iter(tf.data.Dataset.range(1000).shuffle(10 + 10 * drawn, seed=3))
        for _ in range(drawn):
            next(iterator)
        return tf.train.Checkpoint(table=table, iterator=iterator, w=tf.Variable([weight, weight + 1.0]))

    build({"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}, 1, 2).write(str(tmp_path / "a"))
    last = build({"c": 30.0, "b": 20.0, "a": 10.0}, 4, 3)
    last.write(str(tmp_path / "b"))
    following = [next(last.iterator).numpy() for _ in range(5)]
    plan = tfckpt.average([tmp_path / "a", tmp_path / "b"], tmp_path / "out", weights=[1, 2])
    assert any(note.startswith("object of several tensors, not averaged") for note in plan.notes)
    assert any(note.startswith("variant, not averaged") and "ITERATOR" in note for note in plan.notes)
    fresh = build({}, 0, 3)
    fresh.read(str(tmp_path / "out")).assert_consumed()
    keys, values = fresh.table.export()
    assert dict(zip(keys.numpy().tolist(), values.numpy().tolist(), strict=True)) == {b"a": 10, b"b": 20, b"c": 30}
    assert [next(fresh.iterator).numpy() for _ in range(5)] == following
    np.testing.assert_array_equal(fresh.w.numpy(), [3, 4])


def test_exports_of_keras_3_average_though_the_second_list_has_another_order(tf: Any, tmp_path: Path) -> None:
    import keras

    models = []
    for seed in (1, 2, 3):
        keras.backend.clear_session()
        keras.utils.set_random_seed(seed)
        output = inputs = keras.Input((4,))
        for n in range(6):
            output = keras.layers.Dense(4, name=f"d{n}")(output)
        models.append(keras.Model(inputs, output))
        models[-1].export(str(tmp_path / f"e{seed}"), verbose=False)
    prefixes = [tmp_path / f"e{seed}" / "variables" / "variables" for seed in (1, 2, 3)]
    orders = {tuple(e.shape for e in tfckpt.open(p).entries() if e.name.startswith("_all")) for p in prefixes}
    assert len(orders) > 1, "the order was the same by chance: this test shows nothing"
    plan = tfckpt.average(prefixes, tmp_path / "none", dry_run=True)
    assert any(note.startswith("copies of weights, which follow the weights: _all_variables/0") for note in plan.notes)
    tfckpt.average(prefixes, tmp_path / "out")
    for suffix in (".index", ".data-00000-of-00001"):
        (tmp_path / f"out{suffix}").rename(f"{prefixes[-1]}{suffix}")
    expected = [np.mean(w, axis=0, dtype=np.float64) for w in zip(*(m.get_weights() for m in models), strict=True)]
    models[0].set_weights(expected)
    x = np.ones((2, 4), np.float32)
    loaded = tf.saved_model.load(str(tmp_path / "e3"))
    served = loaded.serve(x)
    np.testing.assert_allclose(served, models[0](x), rtol=1e-5)
    with tfckpt.open(prefixes[-1]) as averaged:
        by_name: dict[str, list[Any]] = {}
        for node in averaged.object_graph.nodes:  # type: ignore[union-attr]
            for attribute in node.attributes:
                by_name.setdefault(attribute.full_name, []).append(averaged[attribute.checkpoint_key])
    assert [len(values) for values in by_name.values()] == [2] * 12
    for first, second in by_name.values():
        np.testing.assert_array_equal(first, second)
