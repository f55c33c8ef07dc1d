"""Restores into the model of Model Garden's 2019 release; a program of its own, since that release is also called `official`.

Usage: restore_2019.py RELEASE CONFIG SOURCE DIRECTORY [PREFIX ROOT]...

builds the model as that release's tf2_checkpoint_converter.py does; brings the TF1 checkpoint SOURCE into it in that
release's way, by its names of 2019, and saves it as that script does, as DIRECTORY/model-1 and DIRECTORY/bert_layer-1. Then
restores each PREFIX under its ROOT (``model``, ``bert_layer``, ``root=model``, ``root=bert_layer``), by `read` and `restore`,
into a model of its own each time, and checks with both asserts that the variables are again those of SOURCE. Fails if not.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

release, config_path, source, directory, *pairs = sys.argv[1:]
sys.path.insert(0, release)

import tensorflow as tf  # noqa: E402
from official.nlp import bert_modeling  # noqa: E402
from official.nlp.bert import tf1_checkpoint_converter_lib as lib  # noqa: E402


def build() -> Any:
    config = bert_modeling.BertConfig.from_json_file(config_path)
    names = ("input_word_ids", "input_mask", "input_type_ids")
    shape = (config.max_position_embeddings,)
    inputs = [tf.keras.layers.Input(shape=shape, dtype=tf.int32, name=name) for name in names]
    return bert_modeling.get_bert_model(*inputs, config=config, name="bert_model", float_type=tf.float32)


model = build()
named = f"{directory}/named"
lib.convert(
    checkpoint_from_path=source,
    checkpoint_to_path=named,
    num_heads=0,
    name_replacements=lib.BERT_NAME_REPLACEMENTS,
    permutations=lib.BERT_PERMUTATIONS,
)
for variable in model.variables:
    variable.assign(tf.train.load_variable(named, variable.name.removesuffix(":0")))
expected = [variable.numpy() for variable in model.variables]


def objects(model: Any) -> dict[str, Any]:
    return {"model": model, "bert_layer": model.get_layer("bert_model")}


for root, item in objects(model).items():
    tf.train.Checkpoint(**{root: item}).save(f"{directory}/{root}")

for prefix, root in zip(pairs[::2], pairs[1::2], strict=True):
    for method in ("read", "restore"):
        name, _, item = root.rpartition("=")
        restored = build()
        for variable in restored.variables:
            variable.assign(np.full(variable.shape, -77, np.float32))
        checkpoint = tf.train.Checkpoint(**{name or item: objects(restored)[item]})
        status = getattr(checkpoint, method)(prefix)
        status.assert_consumed()
        status.assert_existing_objects_matched()
        for variable, value in zip(restored.variables, expected, strict=True):
            np.testing.assert_array_equal(variable.numpy(), value, variable.name)
