"""Writes training checkpoints to merge, and says what a restored one holds; in a process for each Keras.

Layers have equal shapes, so that a moment of the wrong one would fit. Every value tells the run, the layer and what
it is: of run 1000, layer b's kernel is 1200, and what its optimizer keeps for it is 1201, 1202 and so on.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
if sys.argv[1] != "keras3":
    os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np
import tensorflow as tf

keras: Any = tf.keras
LAYERS = "abcdefgh"
SEEN: dict[int, list[Any]] = {}  # the variables that each optimizer was given, in that order


class Model(keras.Model):  # type: ignore[misc, unused-ignore]
    """Layers of one shape, made in the order of their letters in ``order``."""

    def __init__(self, order: str) -> None:
        super().__init__(name="net")
        self.order = order
        for name in order:
            setattr(self, name, keras.layers.Dense(4, name=f"dense_{name}"))

    def call(self, inputs: Any) -> Any:
        """Apply the layers in the order of the alphabet."""
        for name in sorted(self.order):
            inputs = getattr(self, name)(inputs)
        return inputs


def functional(order: str, *, attributes: bool) -> Any:
    """Return a functional model whose layers stand in an order, and have attributes of its own if asked for."""
    inputs = keras.Input((4,))
    layers = {name: keras.layers.Dense(4, name=f"dense_{name}") for name in order}
    model = keras.Model(inputs, keras.layers.Add()([layers[name](inputs) for name in order]))
    model.order = order
    for name in sorted(order) if attributes else ():
        setattr(model, name, layers[name])
    return model


def built(order: str, how: str) -> Any:
    """Return a model whose variables are there.

    Args:
        order: of its layers.
        how: "bare" for variables that are all called kernel or bias; "wide" for a last layer of seven units; "numbered" and
            "attributes" for a functional model, whose layers have numbers alone, or attributes as well.
    """
    if how in ("numbered", "attributes"):
        return functional(order, attributes=how == "attributes")
    model = Model(order)
    if how == "bare":
        for name in order:
            getattr(model, name).build((None, 4))
        model.built = True
        return model
    if how == "wide":
        getattr(model, max(order)).units = 7
    model(tf.zeros((1, 4)))
    return model


def weights(model: Model) -> list[tuple[int, Any]]:
    """Return each variable with the number that its values end in."""
    found = []
    for name in model.order:
        layer = model.get_layer(f"dense_{name}")
        number = 100 * (1 + LAYERS.index(name))
        found += [(number, layer.kernel), (number + 50, layer.bias)]
    return found


def optimizers() -> dict[str, Any]:
    """Return what makes an optimizer of each kind."""
    kinds = keras.optimizers
    if sys.argv[1] == "keras3":
        names = [
            "Adadelta",
            "Adafactor",
            "Adagrad",
            "Adam",
            "AdamW",
            "Adamax",
            "Ftrl",
            "Lamb",
            "Lion",
            "Nadam",
            "RMSprop",
        ]
        made: dict[str, Any] = {name: getattr(kinds, name) for name in names}
        made["momentum"] = lambda: kinds.SGD(momentum=0.9)
        made["amsgrad"] = lambda: kinds.Adam(amsgrad=True)
        made["ema"] = lambda: kinds.Adam(use_ema=True)
        made["accumulating"] = lambda: kinds.Lion(gradient_accumulation_steps=2)
        made["centered"] = lambda: kinds.RMSprop(centered=True, momentum=0.9)
        made["scaled"] = lambda: kinds.LossScaleOptimizer(kinds.Adam())
        return made
    if sys.argv[1] == "legacy":
        names = ["Adadelta", "Adagrad", "Adam", "Adamax", "Ftrl", "Nadam", "RMSprop"]
        return {name: getattr(kinds.legacy, name) for name in names}
    return {name: getattr(kinds, name) for name in ("Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Ftrl", "Nadam")}


def kept(optimizer: Any, model: Model) -> Iterator[tuple[int, Any]]:
    """Yield what an optimizer keeps for each variable, and the number that its values end in; and its own, with 0."""
    numbers = {id(variable): number for number, variable in weights(model)}
    if sys.argv[1] == "legacy":
        for name in sorted(optimizer.get_slot_names()):
            place = 1 + sorted(optimizer.get_slot_names()).index(name)
            for number, variable in weights(model):
                yield number + place, optimizer.get_slot(variable, name)
        yield 0, optimizer.iterations
        return
    inner = getattr(optimizer, "inner_optimizer", None) or optimizer
    order = getattr(inner, "_trainable_variables", None)
    if not order:
        order = SEEN[id(optimizer)]
    lists = [
        (name, held)
        for name, held in sorted(vars(inner).items())
        if isinstance(held, list) and len(held) == len(order) and name not in ("_variables", "_trainable_variables")
        if all(hasattr(element, "assign") for element in held)
    ]
    for place, (_, held) in enumerate(lists):
        for variable, element in zip(order, held, strict=True):
            yield numbers[id(variable)] + 1 + place, element
    yield 0, inner._iterations


def make(kind: str, order: str, given: str = "", how: str = "") -> tuple[Model, Any]:
    """Return a model with an optimizer that has seen its variables, in an order of its own perhaps, or some of them."""
    model = built(order, how)
    optimizer = optimizers()[kind]()
    variables = [
        v for n in given for v in (getattr(model, n).kernel, getattr(model, n).bias)
    ] or model.trainable_variables
    if sys.argv[1] == "legacy":
        optimizer._create_all_weights(variables)
    else:
        optimizer.build(variables)
    SEEN[id(optimizer)] = variables
    return model, optimizer


def checkpoint(kind: str, order: str, what: str, given: str = "", how: str = "") -> tuple[Any, Model, Any]:
    """Return what saves and restores."""
    model, optimizer = make(kind, order, given, how)
    objects = {"model": model, "optimizer": optimizer}
    return (
        tf.train.Checkpoint(**{name: value for name, value in objects.items() if what in ("both", name)}),
        model,
        optimizer,
    )


def main() -> None:
    """Write, or restore and print, each checkpoint of a list: its prefix, kind, order, what is saved, and run."""
    for case in json.load(sys.stdin):
        training, model, optimizer = checkpoint(
            case["kind"], case["order"], case.get("what", "both"), case.get("given", ""), case.get("how", "")
        )
        held = weights(model) + list(kept(optimizer, model))
        if "run" in case:
            for number, variable in held:
                variable.assign(np.full(variable.shape, case["run"] + number))
            training.write(case["prefix"])
            continue
        status = training.read(case["prefix"])
        status.assert_existing_objects_matched()
        status.assert_consumed()
        values = [(number, np.unique(variable.numpy()).tolist()) for number, variable in held]
        sys.stdout.write(json.dumps(values) + "\n")


if __name__ == "__main__":
    main()
