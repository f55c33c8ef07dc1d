"""A new Keras optimizer keeps its slots by number: each must come to its own variable, there and back."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.built import load
from support.electra import electra_form
from support.garden import legacy_keras

import tfckpt
from tfckpt.families.catalog import CATALOG

pytestmark = [
    pytest.mark.tf,
    # Models take those of the inputs that they have names for.
    pytest.mark.filterwarnings("ignore:Input dict contained keys:UserWarning"),
    pytest.mark.filterwarnings("ignore:(?s).*did not match any model input:UserWarning"),
]

DATA = Path(__file__).parents[1] / "data"
SOURCES = (  # what it is, the target, and the head that no checkpoint of tests/data has
    ("bert_tf115", "encoder", ""),
    ("bert_tf115", "pretrainer", ""),
    ("albert_tf115", "encoder", ""),
    ("albert_tf115", "pretrainer", ""),
    ("albert_tf115", "classifier", "output"),
    ("albert_tf115", "span-labeler", "cls/squad/output"),
    ("albert_tf115", "token-classifier", "output"),
    ("electra_tf115", "encoder", ""),
    ("electra_tf115", "generator", ""),
    ("tied", "pretrainer", ""),
    ("tied", "pretrainer-tied", ""),
    ("untied", "pretrainer", ""),
    ("one network", "pretrainer", ""),
    ("no projection", "pretrainer", ""),
    ("mobilebert_student_tf115", "encoder", ""),
    ("mobilebert_student_tf115", "pretrainer", ""),
    ("mobilebert_teacher_tf115", "encoder", ""),
    ("mobilebert_teacher_tf115", "pretrainer", ""),
)
STATE = {"adam_m": 1, "adam_v": -1}  # signs, by which the slots differ from their variable and from each other


def read(prefix: str | Path) -> dict[str, Any]:
    with tfckpt.open(prefix) as checkpoint:
        return {name: np.array(value) for name, value in checkpoint.items()}


def source_of(form: str, head: str, directory: Path) -> str:
    """Write a model whose variables all differ, with slots that are these variables or their negatives."""
    if (DATA / form).is_dir():
        shutil.copytree(DATA / form, directory)
        tensors = read(directory / "model.ckpt-3")
    else:
        tensors = read(electra_form(form, directory))
    tensors = {name: value for name, value in tensors.items() if "/adam_" not in name and name != "global_step"}
    rng = np.random.default_rng(3)
    if head:
        tensors = {name: value for name, value in tensors.items() if name.startswith("bert/")}
        rows = 2 if "squad" in head else 3
        tensors |= {f"{head}_weights": np.zeros((rows, 8)), f"{head}_bias": np.zeros(rows)}
    tensors = {name: rng.normal(size=value.shape).astype(np.float32) for name, value in tensors.items()}
    slots = {f"{name}/{slot}": sign * value for name, value in tensors.items() for slot, sign in STATE.items()}
    tfckpt.save(directory / "tf1", tensors | slots | {"global_step": np.int64(3)})
    return str(directory / "tf1")


@pytest.mark.parametrize(("form", "to", "head"), SOURCES)
def test_each_slot_is_its_variables(tf: Any, tmp_path: Path, form: str, to: str, head: str) -> None:
    source, dest = source_of(form, head, tmp_path / "source"), str(tmp_path / "tf2")
    family = family_of(source)
    fill = "zeros" if family == "ELECTRA" else None
    plan = tfckpt.convert(source, dest, to=to, fill=fill, slots="convert", optimizer="adamw")
    scope = load(plan, dest)  # its lines ask TensorFlow whether all of the file was restored, and all of the model
    model, optimizer = scope[plan.constructors[-1].name.partition(",")[0]], scope["optimizer"]
    variables = model.trainable_variables
    assert len(variables) == len(optimizer._momentums) == len(optimizer._velocities)
    for variable, m, v in zip(variables, optimizer._momentums, optimizer._velocities, strict=True):
        np.testing.assert_array_equal(m.numpy(), variable.numpy(), variable.name)
        np.testing.assert_array_equal(v.numpy(), -variable.numpy(), variable.name)
    check_the_way_back(tf, source, tmp_path, model, f"{family}/{to}")


def check_the_way_back(tf: Any, source: str, directory: Path, model: Any, kind: str) -> None:
    """Train a model one step, whose gradients are its variables and which moves none of them, and bring it back to TF1."""
    optimizer, variables = legacy_keras().optimizers.AdamW(0.0), model.trainable_variables
    optimizer.build(variables)
    optimizer.apply_gradients([(tf.identity(variable), variable) for variable in variables])
    items = getattr(model, "checkpoint_items", {})
    tf.train.Checkpoint(model=model, optimizer=optimizer, **items).write(str(directory / "trained"))
    tfckpt.convert(directory / "trained", directory / "back", to="tf1", model=kind, slots="convert")
    before, after = read(source), read(directory / "back")
    assert after["global_step"] == 1
    names = {name for name in after if "/adam_" not in name} - {"global_step"}
    assert after.keys() == names | {f"{name}/{slot}" for name in names for slot in STATE} | {"global_step"}
    assert sum(before[name].size for name in names) > 500
    for name in names:
        np.testing.assert_array_equal(after[name], before[name], name)
        np.testing.assert_allclose(after[f"{name}/adam_m"], 0.1 * before[name], rtol=1e-6, err_msg=name)
        np.testing.assert_allclose(after[f"{name}/adam_v"], 0.001 * before[name] ** 2, rtol=1e-4, err_msg=name)


def family_of(source: str) -> str:
    with tfckpt.open(source) as checkpoint:
        family = CATALOG.find_family(list(checkpoint))
    assert family is not None
    return family.name
