"""Checkpoints of training, and what the optimizer says that it keeps: run by tests/tf/test_roles.py, in a process of its own.

    python training.py keras3|tf_keras|garden|tf1|graph_keras DIRECTORY

Every variable is given a number that no other has, so that values alone tell which tensor is which variable. Standard output
has an object for each checkpoint: its prefix, and by role the numbers of the variables that have it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

MODEL, OPTIMIZER, AVERAGE, STATE = "model", "optimizer state", "moving average", "training state"
COPY, RANDOM = "copy", "random state"
Truth = Mapping[str, Iterable[Any]]  # variables by role
Case = tuple[str, Callable[[str], object], Truth]  # its name, what writes it to a prefix, and what it holds


class Numbers:
    """The number of each variable."""

    def __init__(self) -> None:
        self._of: dict[int, int] = {}
        self._kept: list[Any] = []

    def of(self, variable: Any) -> int:
        """Return a variable's number; it is filled with it when it is first asked for."""
        value = getattr(variable, "_value", variable)  # of a Keras 3 variable, TensorFlow's own
        if id(value) not in self._of:
            self._of[id(value)] = 2 + len(self._of)
            self._kept.append(value)
            value.assign(tf.cast(tf.fill(value.shape, self._of[id(value)]), value.dtype))
        return self._of[id(value)]

    def by_role(self, truth: Truth) -> dict[str, list[int]]:
        """Return the numbers of variables, by role; a variable that is in several has the last, but for copies."""
        roles = {self.of(v): role for role, variables in truth.items() for v in variables if role != COPY}
        found = {COPY: [self.of(variable) for variable in truth[COPY]]} if COPY in truth else {}
        for number, role in sorted(roles.items()):
            found.setdefault(role, []).append(number)
        return found


def write(cases: Iterator[Case], directory: str) -> Iterator[dict[str, Any]]:
    """Write each case's checkpoint and yield what it holds."""
    for name, save, truth in cases:
        numbers = Numbers().by_role(truth)
        prefix = os.path.join(directory, name)
        save(prefix)
        if os.path.isdir(prefix):
            prefix = os.path.join(prefix, "variables", "variables")
        yield {"name": name, "prefix": prefix, "roles": numbers}


def layers(keras: Any, *, embeds: bool = True) -> Any:
    """Return a small model with what models are made of; some optimizers take no sparse gradients."""
    return keras.Sequential(
        [
            keras.layers.Input((6,)),
            *([keras.layers.Embedding(7, 3), keras.layers.Flatten()] if embeds else []),
            keras.layers.Dense(4),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(2, name="optimizer"),
        ]
    )


def weights(model: Any) -> list[Any]:
    """Return a model's variables but for the states of random generators, to which Keras 3 lets no edge lead."""
    return [variable for variable in model.variables if "seed_generator_state" not in variable.name]


def checkpoints(name: str, model: Any, optimizer: Any, state: Truth) -> Iterator[Case]:
    """Yield the usual checkpoints of a model that is compiled with an optimizer."""
    whole = {MODEL: weights(model), **state}
    both = tf.train.Checkpoint(model=model, optimizer=optimizer)
    yield f"{name}-both", both.write, whole
    if getattr(model, "optimizer", None) is not None:
        root = tf.train.Checkpoint(model)
        yield f"{name}-root", root.write, whole
    named = tf.train.Checkpoint(net=model, generator_optimizer=optimizer)
    yield f"{name}-named", named.write, whole


def keras3() -> Iterator[Case]:
    """Yield checkpoints of every optimizer of Keras 3."""
    from tensorflow import keras

    abstract = {"Optimizer", "MultiOptimizer", "OptimizerMap", "LossScaleOptimizer"}
    kinds = [kind for kind in map(keras.optimizers.__dict__.get, dir(keras.optimizers)) if isinstance(kind, type)]
    kinds = [kind for kind in kinds if kind.__name__ not in abstract]
    assert len(kinds) >= 11, kinds
    made = [(kind.__name__, kind()) for kind in kinds]
    made += [
        ("sgd-momentum", keras.optimizers.SGD(momentum=0.9)),
        ("centered", keras.optimizers.RMSprop(centered=True)),
    ]
    made += [("amsgrad", keras.optimizers.Adam(amsgrad=True)), ("ema", keras.optimizers.Adam(use_ema=True))]
    made += [("accumulating", keras.optimizers.Lion(gradient_accumulation_steps=2, use_ema=True))]
    made += [("scaled", keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(use_ema=True)))]
    for name, optimizer in made:
        model = layers(keras)
        model.compile(optimizer, "mse", metrics=["mae"])
        optimizer.build(model.trainable_variables)
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        averages = getattr(inner, "_model_variables_moving_average", None) or []
        state = {OPTIMIZER: [*optimizer.variables, *inner.variables], AVERAGE: averages}
        yield from checkpoints(name, model, optimizer, state)
        alone = tf.train.Checkpoint(opt=optimizer)
        yield f"{name}-alone", alone.write, {MODEL: model.trainable_variables, **state}
    yield "saved", partial(tf.saved_model.save, model), {MODEL: weights(model), **state}
    seeds = [variable for variable in model.variables if "seed_generator_state" in variable.name]
    truth = {MODEL: weights(model), COPY: weights(model), RANDOM: seeds}
    yield "exported", partial(model.export, verbose=False), truth


def tf_keras() -> Iterator[Case]:
    """Yield checkpoints of every optimizer of tf_keras, the new ones and the legacy ones."""
    import tf_keras as keras

    legacy = keras.optimizers.legacy
    kinds = {name: getattr(keras.optimizers, name) for name in dir(keras.optimizers) if name[0].isupper()}
    kinds |= {f"legacy-{name}": getattr(legacy, name) for name in dir(legacy) if name[0].isupper()}
    assert len(kinds) >= 21, kinds
    made = [(name, kind()) for name, kind in kinds.items() if not name.endswith("Optimizer")]
    made += [("sgd-momentum", keras.optimizers.SGD(momentum=0.9)), ("ema", keras.optimizers.Adam(use_ema=True))]
    made += [
        ("legacy-momentum", legacy.SGD(momentum=0.9)),
        ("legacy-centered", legacy.RMSprop(centered=True, momentum=0.1)),
    ]
    made += [("legacy-scheduled", legacy.Adam(keras.optimizers.schedules.PiecewiseConstantDecay([1], [0.1, 0.2])))]
    made += [("scheduled", keras.optimizers.Adam(keras.optimizers.schedules.PiecewiseConstantDecay([1], [0.1, 0.2])))]
    scaled = keras.mixed_precision.LossScaleOptimizer
    made += [("scaled", scaled(keras.optimizers.Adam())), ("legacy-scaled", scaled(legacy.Adam()))]
    yield from _of_tf_keras(keras, made)


def garden() -> Iterator[Case]:
    """Yield checkpoints of the Model Garden's own optimizers."""
    import tf_keras as keras
    from official.modeling.optimization import ema_optimizer, lamb, lars, legacy_adamw

    legacy = keras.optimizers.legacy
    made = [("adamw", legacy_adamw.AdamWeightDecay()), ("lamb", lamb.LAMB()), ("lars", lars.LARS())]
    made += [("average", ema_optimizer.ExponentialMovingAverage(legacy.Adam()))]
    made += [
        (
            "average-adamw",
            ema_optimizer.ExponentialMovingAverage(legacy_adamw.AdamWeightDecay(), trainable_weights_only=False),
        )
    ]
    yield from _of_tf_keras(keras, made, saves=False)  # their configurations hold what no SavedModel takes
    train = tf.compat.v1.train
    for name in ("AdagradOptimizer", "AdamOptimizer", "FtrlOptimizer", "ProximalAdagradOptimizer", "RMSPropOptimizer"):
        model, optimizer = layers(keras, embeds=False), getattr(train, name)(0.1)
        optimizer.apply_gradients([(tf.ones_like(v), v) for v in model.trainable_variables])
        yield from checkpoints(name, model, optimizer, {OPTIMIZER: optimizer.variables()})


def _of_tf_keras(keras: Any, made: Iterable[tuple[str, Any]], *, saves: bool = True) -> Iterator[Case]:
    for name, optimizer in made:
        model = layers(keras, embeds=name != "lars")
        if hasattr(optimizer, "shadow_copy"):
            optimizer.shadow_copy(model)
        model.compile(optimizer, "mse", metrics=["mae", keras.metrics.AUC()])
        model.train_on_batch(np.zeros((3, 6), np.int32), np.zeros((3, 2)))
        own = optimizer
        while hasattr(own, "_optimizer"):  # what it wraps
            own = own._optimizer
        found = [*_variables(optimizer), *_variables(own)]
        if hasattr(own, "_hyper"):  # legacy: hyperparameters are saved, and are not in `variables`
            found += [value for value in own._hyper.values() if isinstance(value, tf.Variable)]
        else:
            unlisted = [getattr(own, name, None) for name in ("_learning_rate", "_current_learning_rate", "_u_product")]
            unlisted += [*getattr(own, "_r", ()), *getattr(own, "_c", ())]  # Adafactor has one more, of vectors
            found += [value for value in unlisted if isinstance(value, tf.Variable)]
        averages = list(getattr(own, "_model_variables_moving_average", None) or [])
        averages += list(getattr(optimizer, "_average_weights", []))
        scale = getattr(optimizer, "_loss_scale", None)
        counters = [] if scale is None else [scale._current_loss_scale, scale._counter]
        state = {OPTIMIZER: found, AVERAGE: averages, STATE: counters}
        yield from checkpoints(name, model, optimizer, state)
        if saves and name in ("Adam", "legacy-Adam", "scaled"):
            metrics = {"metric": [v for metric in model.metrics for v in metric.variables]}
            truth = {MODEL: weights(model), **state, **metrics}
            yield f"{name}-saved", model.save, truth


def _variables(optimizer: Any) -> list[Any]:
    return list(optimizer.variables() if callable(optimizer.variables) else optimizer.variables)


def tf1(directory: str) -> Iterator[dict[str, Any]]:
    """Write what a Saver of TF1 saves of every optimizer, and yield what it holds."""
    v1 = tf.compat.v1
    train = v1.train
    kinds = {name: getattr(train, name) for name in dir(train) if name.endswith("Optimizer")}
    assert len(kinds) == 12, kinds
    made: dict[str, Callable[[], Any]] = {
        name: partial(kind, 0.1)
        for name, kind in kinds.items()
        if name not in ("Optimizer", "AdagradDAOptimizer", "MomentumOptimizer", "SyncReplicasOptimizer")
    }
    made["AdagradDAOptimizer"] = lambda: train.AdagradDAOptimizer(0.1, train.get_or_create_global_step())
    made["MomentumOptimizer"] = lambda: train.MomentumOptimizer(0.1, 0.9)
    made["SyncReplicasOptimizer"] = lambda: train.SyncReplicasOptimizer(train.AdamOptimizer(), 1)
    made["centered"] = lambda: train.RMSPropOptimizer(0.1, centered=True)
    made["named"] = lambda: train.AdamOptimizer(name="Adam_net")
    made["unknown"] = lambda: train.AdamOptimizer(name="Frobnicate")
    for name, make in made.items():
        for scope in ("", "opt"):
            with tf.Graph().as_default():
                yield _of_tf1(name, make, scope, directory)


def _of_tf1(name: str, make: Callable[[], Any], scope: str, directory: str) -> dict[str, Any]:
    v1 = tf.compat.v1
    with v1.variable_scope("net"):
        shapes = {"dense/kernel": (3, 4), "dense/bias": (4,), "norm/gamma": (4,), "norm/beta": (4,)}
        weights = [v1.get_variable(weight, shape) for weight, shape in shapes.items()]
        frozen = [v1.get_variable("norm/moving_mean", (4,), trainable=False)]
    step = v1.train.get_or_create_global_step()
    loss = tf.add_n([tf.reduce_sum(weight**2) for weight in weights])
    average = tf.train.ExponentialMovingAverage(0.9, step)
    with v1.variable_scope(scope) if scope else tf.name_scope("training"):
        optimizer = make()
        optimizer.minimize(loss, global_step=step)
        average.apply(weights)
    truth = {MODEL: [*weights, *frozen], "training step": [step], OPTIMIZER: optimizer.variables()}
    truth[AVERAGE] = [average.average(weight) for weight in weights]
    assert {v.op.name for vs in truth.values() for v in vs} == {v.op.name for v in v1.global_variables()}
    return _saved_by_tf1(os.path.join(directory, f"{name}-{scope}"), truth)


def _saved_by_tf1(prefix: str, truth: Truth) -> dict[str, Any]:
    v1 = tf.compat.v1
    numbers: dict[str, list[int]] = {}
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        count = 1
        for role, variables in truth.items():
            for variable in variables:
                count += 1
                numbers.setdefault(role, []).append(count)
                variable.load(np.full(variable.shape, count, variable.dtype.as_numpy_dtype), session)
        v1.train.Saver().save(session, prefix, write_meta_graph=False, write_state=False)
    return {"name": os.path.basename(prefix), "prefix": prefix, "roles": numbers}


def graph_keras(directory: str) -> Iterator[dict[str, Any]]:
    """Write what a Saver of TF1 saves of Keras models, and yield what it holds."""
    import tf_keras as keras

    legacy = keras.optimizers.legacy
    for name in (name for name in dir(legacy) if name[0].isupper() and name != "Optimizer"):
        keras.backend.clear_session()
        model = layers(keras)
        model.compile(getattr(legacy, name)(), "mse")
        model._make_train_function()
        hypers = [value for value in model.optimizer._hyper.values() if isinstance(value, tf.Variable)]
        truth = {MODEL: model.variables, OPTIMIZER: [*model.optimizer.weights, *hypers]}
        yield _saved_by_tf1(os.path.join(directory, name), truth)


def main() -> None:
    """Write the checkpoints of one library."""
    kind, directory = sys.argv[1:]
    if kind in ("tf1", "graph_keras"):
        tf.compat.v1.disable_v2_behavior()
        found = {"tf1": tf1, "graph_keras": graph_keras}[kind](directory)
    else:
        found = write({"keras3": keras3, "tf_keras": tf_keras, "garden": garden}[kind](), directory)
    sys.stdout.write(json.dumps(list(found)))


if __name__ == "__main__":
    main()
