"""Paths and full names lead to what real TensorFlow and Keras call so: the values are those of the live objects."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfckpt
from tfckpt.checkpoint.graph.object_graph import escape, variable_key
from tfckpt.checkpoint.graph.ways import paths_of_variables
from tfckpt.errors import TensorNotFoundError

pytestmark = pytest.mark.tf


def legacy_model(tf: Any) -> Any:
    """Return a tf_keras model with an LSTM, whose weights SavedModels keep in a list, and with a model in it."""
    import tf_keras as keras

    tf.random.set_seed(7)
    inner = keras.Sequential([keras.layers.Dense(4, name="first"), keras.layers.BatchNormalization(name="norm")])
    layers = [keras.layers.Input((5, 2)), keras.layers.LSTM(3, name="lstm"), inner, keras.layers.Dense(1, name="head")]
    model = keras.Sequential(layers)
    for number, variable in enumerate(model.variables):
        variable.assign(np.full(variable.shape, number + 1) + np.arange(variable.shape[-1]) / 100)
    return model


def ways_of(tf: Any, root: Any) -> Iterator[tuple[str, Any]]:
    """Yield every variable of live objects with every way to it that comes to no object twice, as the keys spell them."""
    view = tf.train.TrackableView(root)

    def walk(trackable: Any, path: tuple[str, ...], above: tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
        if isinstance(trackable, tf.Variable):
            yield "/".join(path), trackable
        for name, child in view.children(trackable).items():
            if not any(child is other for other in above):
                yield from walk(child, (*path, escape(name)), (*above, child))

    return walk(root, (), (root,))


def test_every_way_through_live_objects_leads_to_their_values(tf: Any, tmp_path: Path) -> None:
    import tf_keras as keras

    model, optimizer = legacy_model(tf), keras.optimizers.legacy.Adam()
    optimizer.apply_gradients((tf.ones_like(v) * n, v) for n, v in enumerate(model.trainable_variables))
    model.owner = optimizer
    root = tf.train.Checkpoint(model=model, optimizer=optimizer)
    prefix = root.write(str(tmp_path / "ck"))
    ways = list(ways_of(tf, root))
    assert len(ways) > 3 * len(model.variables)
    with tfckpt.open(prefix) as checkpoint:
        graph = checkpoint.object_graph
        assert graph is not None
        for path, variable in ways:
            np.testing.assert_array_equal(checkpoint[path], variable.numpy(), path)
        spelled = {path for paths in paths_of_variables(graph).values() for path in paths}
        assert spelled == {path for path, _ in ways}
        for path, variable in ways[:: len(ways) // 20]:
            (entry,) = checkpoint.entries(f"{path[:-1]}[{path[-1]}]")
            np.testing.assert_array_equal(checkpoint[entry.name], variable.numpy(), path)


def test_slot_variables_are_found_by_path_and_by_full_name(tf: Any, tmp_path: Path) -> None:
    import tf_keras as keras

    model, optimizer = legacy_model(tf), keras.optimizers.legacy.Adam()
    optimizer.apply_gradients((tf.ones_like(v) * n, v) for n, v in enumerate(model.trainable_variables, 1))
    prefix = tf.train.Checkpoint(model=model, optimizer=optimizer, again=optimizer).write(str(tmp_path / "ck"))
    head = model.layers[-1].kernel
    with tfckpt.open(prefix) as checkpoint:
        for name in ("m", "v"):
            slot = optimizer.get_slot(head, name).numpy()
            assert slot.any()
            for path in ("model/layer_with_weights-2/kernel", "model/layer-2/kernel"):
                for owner in ("optimizer", "again"):
                    np.testing.assert_array_equal(checkpoint[f"{path}/.OPTIMIZER_SLOT/{owner}/{name}"], slot)
            np.testing.assert_array_equal(checkpoint[f"Adam/head/kernel/{name}"], slot)
        meant = checkpoint.lookup.match("model/layer-2/*")
        assert meant is not None
        assert (meant.how, len(meant.names)) == ("path", 6)  # two variables, each with two slots


def test_a_saved_model_is_exported_by_the_names_that_its_variables_have(tf: Any, tmp_path: Path) -> None:
    model = legacy_model(tf)
    model.save(str(tmp_path / "model"), save_format="tf")
    expected = {variable.name.removesuffix(":0"): variable.numpy() for variable in model.variables}
    assert "lstm/lstm_cell/kernel" in expected
    source = tmp_path / "model" / "variables"
    tfckpt.export(source, tmp_path / "full.npz", names="full", sync=False)
    with np.load(tmp_path / "full.npz") as found, tfckpt.open(source) as checkpoint:
        assert set(found.files) == set(expected)
        for name, value in expected.items():
            np.testing.assert_array_equal(found[name], value, name)
            np.testing.assert_array_equal(checkpoint[name], value, name)
        key = "variables/0/.ATTRIBUTES/VARIABLE_VALUE"
        np.testing.assert_array_equal(checkpoint[key], expected["lstm/lstm_cell/kernel"])
        kept = checkpoint.entries("keras_api/layers/[0-9]/cell/*")
        assert {entry.shape for entry in kept} == {value.shape for name, value in expected.items() if "lstm" in name}
    tfckpt.export(source, tmp_path / "cell.npz", keep=["keras_api/layers/[0-9]/cell/*"], names="full", sync=False)
    with np.load(tmp_path / "cell.npz") as found:
        assert set(found.files) == {name for name in expected if name.startswith("lstm/")}
        for name in found.files:
            np.testing.assert_array_equal(found[name], expected[name], name)


def test_variables_of_keras_3_are_found_by_their_paths_there(tf: Any, tmp_path: Path) -> None:
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.01), "mse")
    model.fit(np.ones((8, 3)), np.ones((8, 1)), verbose=0)
    prefix = tf.train.Checkpoint(model=model).write(str(tmp_path / "ck"))
    variables = [*model.weights, *model.optimizer.variables]
    assert len(variables) > 12
    with tfckpt.open(prefix) as checkpoint:
        for variable in variables:
            np.testing.assert_array_equal(checkpoint[variable.path], variable.numpy(), variable.path)
        for layer in (0, 1):
            for name, weight in zip(("_kernel", "bias"), model.layers[layer].weights, strict=True):
                path = f"model/_functional/_operations/{layer + 1}/{name}"
                np.testing.assert_array_equal(checkpoint[path], weight.numpy(), path)


def test_the_weights_that_a_keras_3_export_has_twice_are_not_told_apart_by_name(tf: Any, tmp_path: Path) -> None:
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dense(1)])
    model.export(str(tmp_path / "exported"), verbose=False)
    source = tmp_path / "exported" / "variables"
    name = model.layers[0].kernel.path
    with tfckpt.open(source) as checkpoint:
        with pytest.raises(
            TensorNotFoundError, match=r"2 variables have the full name .*'variables/0/.*'_all_variables/"
        ):
            checkpoint[name]
        assert name not in checkpoint
        found = checkpoint.entries(f"{name[:-1]}?")
        assert len(found) == 2
        for entry in found:
            np.testing.assert_array_equal(checkpoint[entry.name], model.layers[0].kernel.numpy())
    with pytest.raises(tfckpt.PlanError, match=f"would all be called '{name}'"):
        tfckpt.export(source, tmp_path / "o.npz", names="full")
    tfckpt.export(source, tmp_path / "o.npz", names="full", drop=["_all_variables/*"], sync=False)
    with np.load(tmp_path / "o.npz") as values:
        for weight in model.weights:
            np.testing.assert_array_equal(values[weight.path], weight.numpy())


def test_tables_and_iterators_are_found_whole_and_in_part(tf: Any, tmp_path: Path) -> None:
    table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1)
    table.insert(tf.constant(["a", "b"]), tf.constant([1, 2], tf.int64))
    iterator = iter(tf.data.Dataset.range(5))
    next(iterator)
    prefix = tf.train.Checkpoint(words=table, again=table, it=iterator).write(str(tmp_path / "ck"))
    with tfckpt.open(prefix) as checkpoint:
        for path in ("words", "again"):
            keys, values = checkpoint.entries(path)
            stored = dict(zip(checkpoint[keys.name].tolist(), checkpoint[values.name].tolist(), strict=True))
            assert stored == {b"a": 1, b"b": 2}
            assert sorted(checkpoint[f"{path}/{values.name.rpartition('/')[2]}"]) == [1, 2]
            for ask in (checkpoint.key_at, checkpoint.get_slice, checkpoint.__getitem__):
                with pytest.raises(TensorNotFoundError, match=f"{keys.name}', '{values.name}"):
                    ask(path)
        state = checkpoint.key_at("it")
        assert state in list(checkpoint)
        assert checkpoint["it"].tolist() == checkpoint[state].tolist()


def test_a_save_warns_of_what_tensorflow_does_not_restore(
    tf: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prefix = tf.train.Checkpoint(a=tf.Variable([1.0]), b=tf.Variable([2.0])).write(str(tmp_path / "ck"))
    tensors = dict(tfckpt.open(prefix)) | {variable_key("extra"): np.ones(1, np.float32)}
    tfckpt.save(tmp_path / "more", tensors)
    extra, a = tf.Variable([0.0]), tf.Variable([0.0])
    tf.train.Checkpoint(a=a, extra=extra).read(str(tmp_path / "more")).expect_partial()
    assert (a.numpy(), extra.numpy()) == (1, 0)
    del tensors[variable_key("a")]
    tfckpt.save(tmp_path / "less", tensors)
    with pytest.raises(tf.errors.NotFoundError, match="not found in checkpoint"):
        tf.train.Checkpoint(a=a).read(str(tmp_path / "less"))
    lines = [
        record.getMessage()
        for record in caplog.records
        if record.levelno == logging.WARNING and record.name == "tfckpt"
    ]
    expected = [("more", "leads to", "extra"), ("less", "leads to", "extra"), ("less", "asks for", "a")]
    assert len(lines) == 3
    for line, (name, what, path) in zip(lines, expected, strict=True):
        assert line.startswith(f"{tmp_path / name}: ")
        assert f"{what} '{variable_key(path)}'" in line
