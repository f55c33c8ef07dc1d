"""The nine checkpoints that dialects are made of, and what becomes of each where nothing is wrong with it."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import tfckpt

DATA = Path(__file__).parents[1] / "data"
NAME = "model.ckpt-3"
# Whose values are asked for, by which targets. Of a classifier and a tagger "auto" cannot tell which it is.
TARGETS: Mapping[str, tuple[str, ...]] = {
    "bert_tf115": ("encoder", "encoder", "pretrainer", "bert-pretrainer", "pretrain-model", "bert-model", "auto"),
    "classifier_tf115": ("encoder", "classifier", "classifier", "classifier-own-pooler"),
    "squad_tf115": ("encoder", "span-labeler", "span-labeler", "auto"),
    "token_tf115": ("encoder", "token-classifier", "token-classifier"),
    "albert_tf115": ("encoder", "pretrainer", "auto"),
    "electra_tf115": ("encoder", "generator", "pretrainer", "pretrainer-tied"),
    "electra_cola_tf115": ("encoder",),
    "mobilebert_student_tf115": ("encoder", "pretrainer", "auto"),
    "mobilebert_teacher_tf115": ("encoder", "pretrainer", "auto"),
}
# Targets of the family that need a head which is not there.
TARGETS_OF_OTHERS: Mapping[str, tuple[str, ...]] = {
    "bert_tf115": ("classifier", "classifier-own-pooler", "span-labeler", "token-classifier"),
    "classifier_tf115": ("span-labeler", "pretrainer", "bert-pretrainer"),
    "squad_tf115": ("classifier", "token-classifier", "pretrainer"),
    "token_tf115": ("span-labeler", "bert-pretrainer"),
    "albert_tf115": ("classifier", "span-labeler"),
}
# What the names of each head begin with.
HEADS: Mapping[str, tuple[str, ...]] = {
    "bert_tf115": ("cls/predictions/", "cls/seq_relationship/"),
    "classifier_tf115": ("output_",),
    "squad_tf115": ("cls/squad/",),
    "token_tf115": ("output_",),
    "albert_tf115": ("cls/predictions/", "cls/seq_relationship/"),
    "electra_tf115": ("discriminator_predictions/", "generator_predictions/"),
    "electra_cola_tf115": ("task_specific/cola/",),
    "mobilebert_student_tf115": ("cls/predictions/", "cls/seq_relationship/"),
    "mobilebert_teacher_tf115": ("cls/predictions/", "cls/seq_relationship/"),
}
# What targets drop by name: whole heads, and the network of an ELECTRA that is not asked for.
DROPPED = (
    *("cls/predictions/*", "cls/seq_relationship/*", "cls/squad/*", "output_weights*", "output_bias*"),
    *("generator/*", "electra/*", "generator_predictions/*", "discriminator_predictions/*", "task_specific/*"),
)
# What values may be made up for: poolers and heads. All else is the body.
MADE_UP = ("*/pooler/*", "cls/*", "output_weights", "output_bias", "*_predictions/*", "generator_classification/*")
STATE = re.compile(r".*/adam_[mv]|global_step")  # what training keeps beside these models
ELECTRA = "electra_"
FILL = ("--fill", "normal:1")  # no ELECTRA has the pooler that every target of it needs
WITHOUT_CONFIGURATION = ("--num-heads", "2")
GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"

Array = np.ndarray[Any, Any]
Stored = tuple[str, tuple[int, ...], Any]  # dtype, shape, and bytes or strings


class Undamaged(NamedTuple):
    """What a checkpoint becomes: ``keys`` has the places of each variable that the target takes."""

    to: str
    keys: Mapping[str, tuple[str, ...]]
    values: Mapping[str, Stored]


@cache
def tensors_of(folder: str) -> Mapping[str, Array]:
    """Return every tensor of a checkpoint of tests/data."""
    with tfckpt.open(DATA / folder / NAME) as checkpoint:
        return {name: np.array(value) for name, value in checkpoint.items()}


def variables_of(folder: str) -> dict[str, Array]:
    """Return the model's variables: all but what training keeps beside them."""
    return {name: value for name, value in tensors_of(folder).items() if not STATE.fullmatch(name)}


@cache
def undamaged(folder: str, to: str) -> Undamaged | None:
    """Return what a checkpoint of tests/data becomes, or None if the target needs what it has not."""
    fill = FILL[1] if folder.startswith(ELECTRA) else None
    with tempfile.TemporaryDirectory() as directory:
        dest = os.path.join(directory, "model")
        try:
            plan = tfckpt.convert(DATA / folder / NAME, dest, to=to, fill=fill, sync=False)
        except tfckpt.TfckptError:
            return None
        keys: dict[str, list[str]] = {}
        for step in plan.steps:
            keys.setdefault(step.source, []).append(step.target)
        keys.pop("", None)  # what is filled
        return Undamaged(plan.to, {name: tuple(found) for name, found in keys.items()}, read(dest))


def asked(folder: str, to: str) -> Undamaged:
    """Return what a target takes; of one that needs a head which is not there, what the encoder does."""
    found = undamaged(folder, to) or undamaged(folder, "encoder")
    assert found is not None
    return found


def read(prefix: str) -> dict[str, Stored]:
    """Return the value of every tensor of a checkpoint."""
    with tfckpt.open(prefix) as checkpoint:
        return {name: stored(checkpoint[name]) for name in checkpoint}


def stored(array: Array) -> Stored:
    """Return a value as what can be compared bit for bit."""
    return str(array.dtype), array.shape, array.tolist() if array.dtype == object else array.tobytes()


def copy_configurations(folder: str, to: str) -> None:
    """Copy what states a model's sizes into a directory."""
    for path in (DATA / folder).glob("*_config.json"):
        shutil.copyfile(path, os.path.join(to, path.name))


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    """Return whether a name matches one of the globs."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)
