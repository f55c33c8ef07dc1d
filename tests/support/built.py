"""Models built by the lines that a report prints, pasted as they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import tfckpt
from support.garden import clear
from tfckpt.cli.ui.planned import build_lines, load_lines

CHOICES = {
    "init_lr": "1e-4",
    "num_train_steps": 100,
    "num_warmup_steps": 10,
    "learning_rate": "tf_keras.optimizers.schedules.PolynomialDecay(1e-4, 100)",
    "num_token_predictions": 3,
    "seq_length": 10,
    "max_predictions_per_seq": 3,
}  # of the reference inputs


def build(plan: tfckpt.Plan) -> dict[str, Any]:
    """Return the names that the lines make; what they leave to choose is chosen for the reference inputs."""
    return _run(build_lines(plan.constructors))


def load(plan: tfckpt.Plan, dest: str) -> dict[str, Any]:
    """Return the names that the lines make which a conversion ends with: the model is built and restored."""
    _, _, *lines = load_lines(plan, dest)
    return _run(lines)


def _run(lines: Iterable[str]) -> dict[str, Any]:
    code = "\n".join(lines)
    for name, value in CHOICES.items():
        code = code.replace(f"{name}=...", f"{name}={value}")
    assert "=..." not in code
    scope: dict[str, Any] = {}
    exec(code, scope)
    return scope


def inputs(ref: Any) -> dict[str, Any]:
    """Return reference inputs under the names of Model Garden, those that some models alone take among them."""
    import tensorflow as tf

    given = {"input_word_ids": ref["ids"], "input_mask": ref["mask"], "input_type_ids": ref["typ"]}
    if "pos" in ref:
        given |= {"masked_lm_positions": ref["pos"], "masked_lm_ids": ref["pos"]}
        given["masked_lm_weights"] = ref["pos"].astype("float32")
    return {name: tf.constant(value) for name, value in given.items()}


def restore(model: Any, prefix: str) -> None:
    """Restore a model whose variables are made, and check each of them, bit for bit, and that nothing is left over."""
    import tensorflow as tf

    clear(model)
    status = tf.train.Checkpoint(model=model).read(prefix)
    status.assert_consumed()
    status.assert_existing_objects_matched()
    check_values(model, prefix)


def check_values(model: Any, prefix: str) -> None:
    """Check that a model has the values of a checkpoint, bit for bit, and that nothing is left over."""
    with tfckpt.open(prefix) as checkpoint:
        stored = Counter(entry_bytes(checkpoint[entry.name]) for entry in checkpoint.entries() if entry.is_numeric)
    assert Counter(entry_bytes(variable.numpy()) for variable in model.variables) == stored


def entry_bytes(value: Any) -> tuple[tuple[int, ...], bytes]:
    """Return shape and bytes of a value."""
    return value.shape, value.tobytes()
