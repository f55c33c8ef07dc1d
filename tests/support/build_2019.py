"""Runs the lines that a report prints for a target of 2019; a program of its own: that release, too, is called `official`.

Usage: build_2019.py RELEASE LINES PREFIX ROOT REFERENCE

runs the file LINES, in which what is to choose are the inputs; restores PREFIX under ROOT into what that made, checks with
both asserts, and that the outputs are those of the file REFERENCE. Fails if not.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

release, lines, prefix, root, reference = sys.argv[1:]
sys.path.insert(0, release)

import tensorflow as tf  # noqa: E402

NAMES = ("input_word_ids", "input_mask", "input_type_ids")
inputs = {name: tf.keras.layers.Input(shape=(10,), dtype=tf.int32, name=name) for name in NAMES}
scope: dict[str, Any] = {"inputs": inputs}
code = Path(lines).read_text(encoding="utf-8")
for name in NAMES:
    code = code.replace(f"{name}=...", f"{name}=inputs[{name!r}]")
exec(code, scope)
built = scope[root]
tensors = list(inputs.values())
model = tf.keras.Model(tensors, list(built(*tensors))) if root == "bert_layer" else built
for variable in model.variables:
    variable.assign(np.full(variable.shape, -77, np.float32))
status = tf.train.Checkpoint(**{root: built}).read(prefix)
status.assert_consumed()
status.assert_existing_objects_matched()
ref = np.load(reference)
pooled, sequence = model([tf.constant(ref[name]) for name in ("ids", "mask", "typ")])
np.testing.assert_allclose(sequence, ref["sequence"], rtol=0, atol=3e-6)
np.testing.assert_allclose(pooled, ref["pooled"], rtol=0, atol=3e-6)
