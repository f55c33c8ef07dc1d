"""What `keras_runs` runs: each function makes checkpoints, or restores one and returns what was restored."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import tensorflow as tf

WHICH = sys.argv[1]
if WHICH == "keras3":
    import keras
else:
    import tf_keras as keras


class TwoLayers(keras.Model):  # type: ignore[misc]
    """Two dense layers of equal shapes; the attributes' names, and the order of building, are the caller's."""

    def __init__(self, first: str = "dense1", second: str = "dense2", built: str = "") -> None:
        super().__init__()
        self.names = first, second
        for name in self.names:
            setattr(self, name, keras.layers.Dense(4, name=f"layer_{name}"))
        for name in (built,) if built else ():
            getattr(self, name).build((None, 4))

    def call(self, x: Any) -> Any:
        for name in self.names:
            x = getattr(self, name)(x)
        return x


def make_optimizer() -> Any:
    return keras.optimizers.legacy.Adam(0.01) if WHICH == "legacy" else keras.optimizers.Adam(0.01)


def train(model: Any, optimizer: Any, seed: int, steps: int = 2) -> None:
    random = np.random.default_rng(seed)
    for _ in range(steps):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(random.standard_normal((8, 4)).astype("float32")) - 1.0) ** 2)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(list(zip(gradients, model.trainable_variables, strict=True)))


def moments(optimizer: Any, model: Any) -> dict[str, Any]:
    """Return Adam's two moments of each variable, by the path of the variable in the model."""
    found: dict[str, Any] = {}
    variables = model.trainable_variables
    for number, variable in enumerate(variables):
        name = place(model, variable)
        if WHICH == "legacy":
            pair = [optimizer.get_slot(variable, slot) for slot in ("m", "v")]
        else:
            where = number if WHICH == "keras3" else optimizer._index_dict[optimizer._var_key(variable)]
            pair = [optimizer._momentums[where], optimizer._velocities[where]]
        found[name] = [np.asarray(value).tolist() for value in pair]
    return found


def place(model: Any, variable: Any) -> str:
    for name in model.names:
        layer = getattr(model, name)
        for attribute in ("kernel", "bias"):
            own = getattr(layer, attribute)
            if own is variable or (hasattr(own, "path") and own.path == getattr(variable, "path", None)):
                return f"{name}/{attribute}"
    raise AssertionError(variable)


def state(model: Any, optimizer: Any | None = None) -> dict[str, Any]:
    """Return the values of a model by path, and of an optimizer."""
    found: dict[str, Any] = {"model": {}}
    for name in model.names:
        for attribute in ("kernel", "bias"):
            found["model"][f"{name}/{attribute}"] = np.asarray(getattr(getattr(model, name), attribute)).tolist()
    if optimizer is not None:
        found["moments"] = moments(optimizer, model)
        found["step"] = int(np.asarray(optimizer.iterations))
    return found


def save_trained(prefix: str, seed: int = 1, **names: str) -> dict[str, Any]:
    """Train a model, save it with its optimizer, return what both hold."""
    keras.utils.set_random_seed(seed)
    model, optimizer = TwoLayers(**names), make_optimizer()
    train(model, optimizer, seed)
    tf.train.Checkpoint(model=model, optimizer=optimizer).write(prefix)
    return state(model, optimizer)


def restore(prefix: str, with_optimizer: bool = True, root: str = "model", **names: str) -> dict[str, Any]:
    """Restore into a fresh model, by both of TensorFlow's assertions; return what is there then."""
    keras.utils.set_random_seed(99)
    model, optimizer = TwoLayers(**names), make_optimizer() if with_optimizer else None
    model(np.zeros((1, 4), "float32"))
    if optimizer is None:
        checkpoint = tf.train.Checkpoint(**{root: model})
    else:
        optimizer.build(model.trainable_variables) if WHICH != "legacy" else optimizer._create_all_weights(
            model.trainable_variables
        )
        checkpoint = tf.train.Checkpoint(**{root: model, "optimizer": optimizer})
    status = checkpoint.read(prefix)
    status.assert_existing_objects_matched()
    status.assert_consumed()
    return state(model, optimizer)


def make_compiled() -> Any:
    """Return a compiled model with weights that are trained, and averages that are not."""
    layers = [keras.layers.Dense(4), keras.layers.BatchNormalization(), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((3,)), *layers])
    model.compile(make_optimizer(), "mse")
    return model


def save_compiled(directory: str) -> list[Any]:
    """Train a compiled model, save it and its optimizer in each way that people do, return the weights."""
    keras.utils.set_random_seed(5)
    model = make_compiled()
    random = np.random.default_rng(5)
    model.fit(random.standard_normal((16, 3)), random.standard_normal((16, 1)), verbose=0)
    tf.train.Checkpoint(model=model, optimizer=model.optimizer).write(f"{directory}/both")
    tf.train.Checkpoint(model=model).write(f"{directory}/model")
    tf.train.Checkpoint(opt=model.optimizer).write(f"{directory}/opt")
    tf.train.Checkpoint(net=model, generator_optimizer=model.optimizer).write(f"{directory}/gan")
    if WHICH == "keras3":
        model.export(f"{directory}/export", verbose=False)
    return weights(model)


def restore_compiled(prefix: str, root: str, of_optimizer: bool = False) -> list[Any]:
    """Restore into a fresh model, or through its optimizer into what that trains; return the weights."""
    keras.utils.set_random_seed(77)
    model = make_compiled()
    if of_optimizer:
        model.optimizer.build(model.trainable_variables)
    status = tf.train.Checkpoint(**{root: model.optimizer if of_optimizer else model}).read(prefix)
    if of_optimizer:
        status.expect_partial()
    else:
        status.expect_partial() if WHICH == "keras3" else status.assert_consumed()
        status.assert_nontrivial_match()
    return weights(model)


def weights(model: Any) -> list[Any]:
    return [np.asarray(value).tolist() for value in model.get_weights()]


class Headed(keras.Model):  # type: ignore[misc]
    """A body, and a head that has weights which are not trained as well."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.body = keras.layers.Dense(4, name="body")
        self.head = keras.Sequential([keras.layers.Dense(units, name="logits"), keras.layers.BatchNormalization()])

    def call(self, x: Any, training: bool = False) -> Any:
        return self.head(self.body(x), training=training)


def make_headed(units: int) -> tuple[Any, Any]:
    model, optimizer = Headed(units), make_optimizer()
    model(np.zeros((2, 4), "float32"))
    build(optimizer, model)
    return model, optimizer


def build(optimizer: Any, model: Any) -> None:
    make = optimizer._create_all_weights if WHICH == "legacy" else optimizer.build
    make(model.trainable_variables)


def headed_state(model: Any, optimizer: Any) -> dict[str, Any]:
    """Return the weights of both parts, and the moments of all that is trained, in order."""
    found = {"body": weights(model.body), "head": weights(model.head)}
    if WHICH == "legacy":
        slots = [optimizer.get_slot(v, slot) for v in model.trainable_variables for slot in ("m", "v")]
    else:
        pairs = zip(optimizer._momentums, optimizer._velocities, strict=True)
        slots = [slot for pair in pairs for slot in pair]
    found["moments"] = [np.asarray(slot).tolist() for slot in slots]
    return found


def save_headed(prefix: str) -> dict[str, Any]:
    """Train a model with a head, and save it with its optimizer."""
    keras.utils.set_random_seed(3)
    model, optimizer = make_headed(3)
    random = np.random.default_rng(3)
    for _ in range(2):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(model(random.standard_normal((8, 4)).astype("float32"), training=True) ** 3)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(list(zip(gradients, model.trainable_variables, strict=True)))
    tf.train.Checkpoint(optimizer=optimizer, model=model).write(prefix)
    return headed_state(model, optimizer)


def restore_headed(prefix: str, units: int) -> dict[str, Any]:
    """Restore into a model whose head may be another; return what it held before, and what it holds then."""
    keras.utils.set_random_seed(44)
    model, optimizer = make_headed(units)
    before = headed_state(model, optimizer)
    tf.train.Checkpoint(optimizer=optimizer, model=model).read(prefix).expect_partial()
    return {"before": before, "after": headed_state(model, optimizer)}
