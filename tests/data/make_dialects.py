"""Writes the checkpoints of tests/data/dialects with TensorFlow 1.15 under Python 3.7: python make_dialects.py DIRECTORY

Each is a small BERT with google-research's names after two training steps, by one of the optimizers that people train BERTs
with; dialects.json there says who. Optimizers that TensorFlow 1.15 does not have are written here: they name what they keep
as the public code does, and are otherwise as simple as can be.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow.python.keras import optimizers as old_keras_optimizers

v1 = tf.compat.v1
Optimizer: Any = v1.train.Optimizer
v1.logging.set_verbosity(v1.logging.ERROR)

WORDS, HIDDEN, INNER, LAYERS, HEADS, POSITIONS, TYPES = 30, 16, 32, 2, 2, 24, 2
BATCH, LENGTH, STEPS, RATE = 4, 8, 2, 0.01
ONE_AT_A_TIME = v1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)


# --- the model


def dense(x: Any, units: int, activation: Any = None, name: str = "dense") -> Any:
    """Return google-research's dense layer."""
    return v1.layers.dense(x, units, activation, name=name)


def contrib_norm(x: Any) -> Any:
    """Normalize as google-research does: the variables are called LayerNorm/beta and LayerNorm/gamma."""
    return tf.contrib.layers.layer_norm(x, begin_norm_axis=-1, begin_params_axis=-1, scope="LayerNorm")


def keras_norm(x: Any) -> Any:
    """Normalize as ports to TensorFlow 2 do: Keras numbers these layers as they come."""
    return tf.keras.layers.LayerNormalization(axis=-1, epsilon=1e-12)(x)


def attend(x: Any) -> Any:
    """Return what self-attention makes of a sequence."""
    with v1.variable_scope("self"):
        query, key, value = (dense(x, HIDDEN, name=name) for name in ("query", "key", "value"))
    query, key, value = (tf.reshape(t, [BATCH, LENGTH, HEADS, HIDDEN // HEADS]) for t in (query, key, value))
    scores = tf.nn.softmax(tf.einsum("bfhd,bthd->bhft", query, key) / (HIDDEN // HEADS) ** 0.5)
    return tf.reshape(tf.einsum("bhft,bthd->bfhd", scores, value), [BATCH, LENGTH, HIDDEN])


def embed(ids: Any, types: Any, norm: Callable[[Any], Any]) -> tuple[Any, Any]:
    """Return the table of words, and the embeddings of a sequence."""
    table = v1.get_variable("word_embeddings", [WORDS, HIDDEN])
    kinds = v1.get_variable("token_type_embeddings", [TYPES, HIDDEN])
    places = v1.get_variable("position_embeddings", [POSITIONS, HIDDEN])
    return table, norm(tf.gather(table, ids) + tf.gather(kinds, types) + places[:LENGTH])


def bert(ids: Any, types: Any, norm: Callable[[Any], Any]) -> tuple[Any, Any, Any]:
    """Return the table of words, a sequence's output, and the pooled output."""
    with v1.variable_scope("bert"):
        with v1.variable_scope("embeddings"):
            table, x = embed(ids, types, norm)
        for number in range(LAYERS):
            with v1.variable_scope(f"encoder/layer_{number}"):
                with v1.variable_scope("attention"):
                    attended = attend(x)
                    with v1.variable_scope("output"):
                        x = norm(dense(attended, HIDDEN) + x)
                with v1.variable_scope("intermediate"):
                    inner = dense(x, INNER, tf.nn.tanh)
                with v1.variable_scope("output"):
                    x = norm(dense(inner, HIDDEN) + x)
        with v1.variable_scope("pooler"):
            return table, x, dense(x[:, 0], HIDDEN, tf.tanh)


def pretraining_loss(norm: Callable[[Any], Any]) -> Any:
    """Return the loss of a BERT with both of its pre-training heads on made-up sentences."""
    rng = np.random.RandomState(1)
    ids, types = rng.randint(WORDS, size=(BATCH, LENGTH)), rng.randint(TYPES, size=(BATCH, LENGTH))
    table, sequence, pooled = bert(tf.constant(ids), tf.constant(types), norm)
    with v1.variable_scope("cls/predictions"):
        with v1.variable_scope("transform"):
            x = norm(dense(sequence, HIDDEN, tf.nn.tanh))
        logits = tf.einsum("bth,vh->btv", x, table) + v1.get_variable("output_bias", [WORDS])
    words = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=tf.constant(ids[:, ::-1].copy()), logits=logits)
    with v1.variable_scope("cls/seq_relationship"):
        weights = v1.get_variable("output_weights", [2, HIDDEN])
        logits = tf.matmul(pooled, weights, transpose_b=True) + v1.get_variable("output_bias", [2])
    follows = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=tf.constant([0, 1, 1, 0]), logits=logits)
    return tf.reduce_mean(words) + tf.reduce_mean(follows)


# --- optimizers


class WithSlots(Optimizer):  # type: ignore[misc]
    """An Adam without corrections whose m and v are slots that TensorFlow names: X/NAME and X/NAME_1."""

    def _create_slots(self, var_list: list[Any]) -> None:
        for variable in var_list:
            for slot in ("m", "v"):
                self._zeros_slot(variable, slot, self._name)

    def _resource_apply_dense(self, grad: Any, handle: Any) -> Any:
        return self._apply_dense(grad, handle)

    def _apply_dense(self, grad: Any, var: Any) -> Any:
        return adam_step(grad, var, self.get_slot(var, "m"), self.get_slot(var, "v"))

    def _apply_sparse(self, grad: Any, var: Any) -> Any:
        return self._apply_dense(tf.convert_to_tensor(grad), var)


class RectifiedAdam(WithSlots):
    """keras-radam's: it also counts its steps, in a variable that stands in no scope."""

    def _create_slots(self, var_list: list[Any]) -> None:
        first = min(var_list, key=lambda variable: variable.name)
        for name, value in (("step", 1.0), ("beta1_power", 0.9), ("beta2_power", 0.999)):
            self._create_non_slot_variable(value, name, first)
        super()._create_slots(var_list)


class MultistepAdam(WithSlots):
    """tensor2tensor's: it makes a step of several batches, whose gradients it adds up in a third slot."""

    def _create_slots(self, var_list: list[Any]) -> None:
        first = min(var_list, key=lambda variable: variable.name)
        for name, value in (("iter", 1.0), ("beta1_power", 0.9), ("beta2_power", 0.999)):
            self._create_non_slot_variable(value, name, first)
        super()._create_slots(var_list)
        for variable in var_list:
            self._zeros_slot(variable, "grad_acc", self._name)

    def _apply_dense(self, grad: Any, var: Any) -> Any:
        return tf.group(super()._apply_dense(grad, var), self.get_slot(var, "grad_acc").assign_add(grad))


class Adafactor(WithSlots):
    """tensor2tensor's with a first moment: of a matrix it keeps m and the means of rows and of columns, else m and v."""

    def _create_slots(self, var_list: list[Any]) -> None:
        for variable in var_list:
            shape = variable.shape.as_list()
            self._zeros_slot(variable, "m", self._name)
            kept = {"vr": shape[:1], "vc": shape[1:]} if len(shape) > 1 else {"v": shape}
            for slot, sizes in kept.items():
                self._get_or_make_slot(variable, tf.zeros(sizes), slot, self._name)

    def _apply_dense(self, grad: Any, var: Any) -> Any:
        squares = tf.square(grad)
        kept = [("vr", 1), ("vc", 0)] if len(var.shape) > 1 else [("v", None)]
        updates = []
        for slot, axis in kept:
            mean = squares if axis is None else tf.reduce_mean(squares, axis)
            updates.append(self.get_slot(var, slot).assign(0.1 * mean))
        m = self.get_slot(var, "m").assign(0.9 * self.get_slot(var, "m") + 0.1 * grad)
        return tf.group(var.assign_sub(RATE * m), *updates)


def adam_step(grad: Any, var: Any, m: Any, v: Any) -> Any:
    """Return an operation that makes a step of google-research's Adam."""
    next_m, next_v = 0.9 * m + 0.1 * grad, 0.999 * v + 0.001 * tf.square(grad)
    update = next_m / (tf.sqrt(next_v) + 1e-6) + 0.01 * var
    return tf.group(var.assign_sub(RATE * update), m.assign(next_m), v.assign(next_v))


class ByGetVariable(Optimizer):  # type: ignore[misc]
    """google-research's AdamWeightDecayOptimizer: it makes variables called X/adam_m and X/adam_v.

    Args:
        accumulates: whether it keeps gradients in X/accum, as NVIDIA's code does.
    """

    def __init__(self, accumulates: bool = False) -> None:
        super().__init__(False, "AdamWeightDecayOptimizer")
        self.accumulates = accumulates

    def apply_gradients(self, grads_and_vars: Any, global_step: Any = None, name: Any = None) -> Any:
        """See the base class."""
        pairs = [(tf.convert_to_tensor(grad), variable) for grad, variable in grads_and_vars]
        steps = [adam_step(grad, var, beside(var, "adam_m"), beside(var, "adam_v")) for grad, var in pairs]
        if self.accumulates:
            steps += [beside(variable, "accum").assign_add(grad) for grad, variable in pairs]
        return tf.group(*steps, *([] if global_step is None else [global_step.assign_add(1)]))


def beside(variable: Any, name: str, **options: Any) -> Any:
    """Return a new variable of a variable's shape, called as it is with more behind."""
    options = options or {"shape": variable.shape.as_list(), "initializer": v1.zeros_initializer()}
    return v1.get_variable(f"{variable.op.name}/{name}", trainable=False, **options)


# --- how each dialect is trained


def minimize(optimizer: Any, loss: Any) -> Any:
    """Return the operation of a training step; no gradient sees what the step changes, so that all runs are alike."""
    pairs = optimizer.compute_gradients(loss)
    with tf.control_dependencies([grad for grad, _ in pairs]):
        return optimizer.apply_gradients(pairs, v1.train.get_or_create_global_step())


def by(make: Callable[..., Any], *args: Any, **options: Any) -> Callable[[Any], Any]:
    """Return what trains with an optimizer."""
    return lambda loss: minimize(make(*args, **options), loss)


def with_averages(loss: Any) -> Any:
    """Train by Adam and keep moving averages of what is trained."""
    step = minimize(v1.train.AdamOptimizer(RATE), loss)
    with tf.control_dependencies([step]):
        return tf.train.ExponentialMovingAverage(0.9).apply(v1.trainable_variables())


def in_a_scope(loss: Any) -> Any:
    """Train by an optimizer that is made in a variable scope."""
    v1.train.get_or_create_global_step()
    with v1.variable_scope("optimizer"):
        return minimize(v1.train.AdamOptimizer(RATE), loss)


def two_of_one_name(loss: Any) -> Any:
    """Train the encoder by one Adam and the heads by another, which learns faster."""
    body, heads = (v1.trainable_variables(scope) for scope in ("bert/", "cls/"))
    first = v1.train.AdamOptimizer(RATE).minimize(loss, v1.train.get_or_create_global_step(), body)
    return tf.group(first, v1.train.AdamOptimizer(10 * RATE).minimize(loss, var_list=heads))


def two_for_all(loss: Any) -> Any:
    """Train everything by two Adams in turn: each keeps a state of its own for each variable."""
    first = minimize(v1.train.AdamOptimizer(RATE), loss)
    with tf.control_dependencies([first]):
        return v1.train.AdamOptimizer(RATE, beta1=0.5).minimize(2 * loss)


def nvidia(loss: Any) -> Any:
    """Train in half precision as NVIDIA's code does by hand: a loss scale, and gradients that are accumulated."""
    manager = tf.contrib.mixed_precision.ExponentialUpdateLossScaleManager(2.0**15, 1000)
    optimizer = tf.contrib.mixed_precision.LossScaleOptimizer(ByGetVariable(accumulates=True), manager)
    v1.get_variable("local_step", [], tf.int32, v1.zeros_initializer(), trainable=False)
    v1.get_variable("batch_finite", [], tf.bool, v1.ones_initializer(), trainable=False)
    return minimize(optimizer, loss)


def nvidia_amp(loss: Any) -> Any:
    """Train in half precision as NVIDIA's code lets TensorFlow do it."""
    scale = v1.train.experimental.DynamicLossScale()
    optimizer = v1.train.experimental.MixedPrecisionLossScaleOptimizer(ByGetVariable(), scale)
    return minimize(optimizer, loss)


def by_keras(make: Callable[..., Any]) -> Callable[[Any], Any]:
    """Return what trains by a Keras optimizer as the fit method of a model does."""

    def train(loss: Any) -> Any:
        variables = v1.trainable_variables()  # the older optimizers add some of their own
        with tf.keras.backend.name_scope("training"):
            return tf.group(*make(RATE).get_updates(loss, variables))

    return train


class Dialect(NamedTuple):
    """How a checkpoint is made: what trains, what normalizes, and whether variables are resources, as Keras takes them."""

    train: Callable[[Any], Any]
    norm: Callable[[Any], Any] = contrib_norm
    resources: bool = False


opt = tf.contrib.opt
DIALECTS = {
    "adadelta": Dialect(by(v1.train.AdadeltaOptimizer, 1.0)),
    "adafactor": Dialect(by(Adafactor, False, "Adafactor")),
    "adagrad": Dialect(by(v1.train.AdagradOptimizer, RATE)),
    "adam": Dialect(by(v1.train.AdamOptimizer, RATE)),
    "adam_in_scope": Dialect(in_a_scope),
    "adamax": Dialect(by(opt.AdaMaxOptimizer, RATE)),
    "adamw": Dialect(by(opt.AdamWOptimizer, 0.01, RATE)),
    "adams_of_parts": Dialect(two_of_one_name),
    "adams_of_all": Dialect(two_for_all),
    "biobert": Dialect(by(v1.train.AdamOptimizer, RATE, name="BERTAdam")),
    "deeppavlov": Dialect(by(WithSlots, False, "AdamWeightDecayOptimizer")),
    "averages": Dialect(with_averages),
    "ftrl": Dialect(by(v1.train.FtrlOptimizer, RATE)),
    "google_research": Dialect(by(ByGetVariable)),
    "keras_norms": Dialect(by(ByGetVariable), keras_norm),
    "lamb": Dialect(by(WithSlots, False, "LAMB")),
    "lazy_adam": Dialect(by(opt.LazyAdamOptimizer, RATE, name="LazyAdam")),
    "momentumw": Dialect(by(opt.MomentumWOptimizer, 0.01, RATE, 0.9)),
    "multistep_adam": Dialect(by(MultistepAdam, False, "Adam")),
    "nvidia": Dialect(nvidia),
    "nvidia_amp": Dialect(nvidia_amp),
    "radam": Dialect(by(RectifiedAdam, False, "RAdam")),
    "rmsprop": Dialect(by(v1.train.RMSPropOptimizer, RATE, momentum=0.9)),
    "tf_keras": Dialect(by_keras(tf.keras.optimizers.Adam), resources=True),
    "keras_of_2018": Dialect(by_keras(old_keras_optimizers.Adam), resources=True),
}


def scatter(variables: list[Any], session: Any) -> None:
    """Give every variable of the model values that no other has."""
    rng = np.random.RandomState(2)
    for variable in sorted(variables, key=lambda variable: variable.name):
        mean = float(variable.op.name.endswith("gamma"))
        variable.load(rng.normal(mean, 0.2, variable.shape.as_list()).astype(np.float32), session)


def write(directory: str, dialect: Dialect) -> None:
    """Train a model and save it."""
    os.makedirs(directory, exist_ok=True)
    with tf.Graph().as_default(), v1.variable_scope("", use_resource=dialect.resources):
        v1.set_random_seed(1)
        loss = pretraining_loss(dialect.norm)
        variables = v1.trainable_variables()
        train = dialect.train(loss)
        with v1.Session(config=ONE_AT_A_TIME) as session:
            session.run(v1.global_variables_initializer())
            scatter(variables, session)
            for _ in range(STEPS):
                session.run(train)
            saver = v1.train.Saver()
            saver.save(session, os.path.join(directory, "model.ckpt"), STEPS, write_meta_graph=False, write_state=False)


def main(directory: str, *names: str) -> None:
    """Write those dialects, or all of them."""
    for name in names or DIALECTS:
        tf.keras.backend.clear_session()
        write(os.path.join(directory, name), DIALECTS[name])


if __name__ == "__main__":
    main(*sys.argv[1:])
