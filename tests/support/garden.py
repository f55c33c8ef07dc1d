"""Model Garden's encoders, built from a TF1 configuration, and what their variables must hold after a restore."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

ENCODERS = ("BertEncoder", "BertEncoderV2")  # functional, and a Layer

# Names of BertEncoder's own variables, and the TF1 variables whose values belong there.
TF1_NAMES = (
    (r"word_embeddings/embeddings", r"bert/embeddings/word_embeddings"),
    (r"position_embedding/embeddings", r"bert/embeddings/position_embeddings"),
    (r"type_embeddings/embeddings", r"bert/embeddings/token_type_embeddings"),
    (r"embeddings/layer_norm/(\w+)", r"bert/embeddings/LayerNorm/\1"),
    (
        r"transformer/layer_(\d+)/self_attention/attention_output/(\w+)",
        r"bert/encoder/layer_\1/attention/output/dense/\2",
    ),
    (r"transformer/layer_(\d+)/self_attention/(\w+)/(\w+)", r"bert/encoder/layer_\1/attention/self/\2/\3"),
    (
        r"transformer/layer_(\d+)/self_attention_layer_norm/(\w+)",
        r"bert/encoder/layer_\1/attention/output/LayerNorm/\2",
    ),
    (r"transformer/layer_(\d+)/intermediate/(\w+)", r"bert/encoder/layer_\1/intermediate/dense/\2"),
    (r"transformer/layer_(\d+)/output/(\w+)", r"bert/encoder/layer_\1/output/dense/\2"),
    (r"transformer/layer_(\d+)/output_layer_norm/(\w+)", r"bert/encoder/layer_\1/output/LayerNorm/\2"),
    (r"pooler_transform/(\w+)", r"bert/pooler/dense/\1"),
)


def read_config(path: Path) -> dict[str, Any]:
    """Return a ``bert_config.json``."""
    config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return config


def legacy_keras() -> Any:
    """Return the Keras that Model Garden is built on: a package of its own since TensorFlow 2.16."""
    try:
        import tf_keras
    except ImportError:
        import tensorflow as tf

        return tf.keras
    return tf_keras


def make_encoder(kind: str, config: dict[str, Any]) -> Any:
    """Return a built encoder whose activation is google-research's gelu, the tanh approximation."""
    import tensorflow as tf
    from official.nlp.modeling import networks

    options = {"dict_outputs": True} if kind == "BertEncoder" else {}  # V2 always returns a dict
    encoder = getattr(networks, kind)(
        vocab_size=config["vocab_size"],
        hidden_size=config["hidden_size"],
        num_layers=config["num_hidden_layers"],
        num_attention_heads=config["num_attention_heads"],
        inner_dim=config["intermediate_size"],
        inner_activation=lambda x: tf.nn.gelu(x, approximate=True),
        max_sequence_length=config["max_position_embeddings"],
        type_vocab_size=config["type_vocab_size"],
        **options,
    )
    if kind == "BertEncoderV2":
        encoder(encoder.inputs)  # a Layer has no variables before its first call
    return encoder


def clear(encoder: Any) -> None:
    """Fill every variable with a value that no checkpoint holds."""
    for variable in encoder.variables:
        variable.assign(np.full(variable.shape, np.float32(-77)))


def tf1_name(variable: Any) -> str:
    """Return the TF1 variable that belongs into a variable of an encoder."""
    name = re.sub(r"^bert_encoder_v2(_\d+)?/", "", variable.name.removesuffix(":0"))
    for pattern, replacement in TF1_NAMES:
        if re.fullmatch(pattern, name):
            return re.sub(pattern, replacement, name)
    raise AssertionError(f"a variable that no test knows: {variable.name}")


def assert_holds(encoder: Any, values: dict[str, Array], num_heads: int) -> None:
    """Check every variable of an encoder, bit for bit, against the TF1 values."""
    for variable in encoder.variables:
        name = tf1_name(variable)
        np.testing.assert_array_equal(variable.numpy(), split_heads(name, values[name], num_heads), name)


def split_heads(name: str, value: Array, num_heads: int) -> Array:
    """Return a TF1 value in the shape that Model Garden's attention layers keep it in."""
    if re.search(r"attention/self/\w+/kernel$", name):
        return value.reshape(value.shape[0], num_heads, -1)
    if re.search(r"attention/self/\w+/bias$", name):
        return value.reshape(num_heads, -1)
    if name.endswith("attention/output/dense/kernel"):
        return value.reshape(num_heads, -1, value.shape[1])
    return value
