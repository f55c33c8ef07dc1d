"""Model Garden's models with heads, built from a TF1 configuration, and what their variables must hold after a restore."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from support.garden import Array, make_encoder, read_config, split_heads, tf1_name

# Names of heads' variables, and the TF1 variables that belong there. ``{head}`` is the scope of that kind of model's
# head in TF1; TF1 keeps the weights of these output layers the other way round.
HEADS = (
    (r"cls/predictions/output_bias/bias", r"cls/predictions/output_bias"),
    (r"cls/predictions/transform/(dense|LayerNorm)/(\w+)", r"cls/predictions/transform/\1/\2"),
    (r"(?:next_sentence|sentence_prediction)/pooler_dense/(\w+)", r"bert/pooler/dense/\1"),
    (r"(?:next_sentence|sentence_prediction|predictions/transform)/logits/kernel", r"{head}output_weights"),
    (r"(?:next_sentence|sentence_prediction|predictions/transform)/logits/bias", r"{head}output_bias"),
)
SEQUENCE = 10  # length and predictions of the reference inputs, which the functional models have fixed
PREDICTIONS = 3
CLASSES = 3  # of classifier_tf115
TAGS = 5  # of token_tf115


def make_pretrainer(encoder: str, config: dict[str, Any], next_sentence: bool) -> Any:
    """Return a built ``BertPretrainerV2``."""
    import tensorflow as tf
    from official.nlp.modeling import layers, models

    size = config["hidden_size"]
    heads = [layers.ClassificationHead(inner_dim=size, num_classes=2, name="next_sentence")] if next_sentence else []
    model = models.BertPretrainerV2(
        make_encoder(encoder, config),
        mlm_activation=lambda x: tf.nn.gelu(x, approximate=True),
        classification_heads=heads,
    )
    model(model.inputs)
    return model


def make_bert_pretrainer(config: dict[str, Any]) -> Any:
    """Return the first ``BertPretrainer``, which takes only an encoder that returns a list."""
    import tensorflow as tf
    from official.nlp.modeling import models, networks

    def gelu(x: Any) -> Any:
        return tf.nn.gelu(x, approximate=True)

    encoder = networks.BertEncoder(
        vocab_size=config["vocab_size"],
        hidden_size=config["hidden_size"],
        num_layers=config["num_hidden_layers"],
        num_attention_heads=config["num_attention_heads"],
        inner_dim=config["intermediate_size"],
        inner_activation=gelu,
        max_sequence_length=config["max_position_embeddings"],
        type_vocab_size=config["type_vocab_size"],
    )
    return models.BertPretrainer(encoder, num_classes=2, num_token_predictions=PREDICTIONS, activation=gelu)


def make_fine_tuned(kind: str, encoder: str, config: dict[str, Any]) -> Any:
    """Return a classifier, ``own-pooler`` one, span labeler or token classifier of ``official.nlp.modeling.models``."""
    from official.nlp.modeling import models

    network = make_encoder(encoder, config)
    if kind == "classifier":
        return models.BertClassifier(network, CLASSES)
    if kind == "classifier-own-pooler":
        return models.BertClassifier(network, CLASSES, use_encoder_pooler=False)
    return models.BertSpanLabeler(network) if kind == "span-labeler" else models.BertTokenClassifier(network, TAGS)


def make_legacy(kind: str, config_path: Path) -> Any:
    """Return a model of ``official.legacy.bert.bert_models`` by the name of our target."""
    from official.legacy.bert import bert_models, configs

    config = configs.BertConfig.from_json_file(str(config_path))
    if kind == "classifier":
        return bert_models.classifier_model(config, CLASSES, SEQUENCE)[0]
    if kind == "span-labeler":
        return bert_models.squad_model(config, SEQUENCE)[0]
    whole, _, core = bert_models.pretrain_model(config, SEQUENCE, PREDICTIONS, return_core_pretrainer_model=True)
    return whole if kind == "pretrain-model" else core


def make_model(kind: str, encoder: str, config_path: Path) -> Any:
    """Return the model that a target is for, on one of Model Garden's encoders or as its legacy code builds it.

    ``kind`` is the target's name; ``pretrainer-no-nsp`` is a pretrainer without a next-sentence head.
    """
    config = read_config(config_path)
    if encoder == "legacy":
        return make_legacy(kind, config_path)
    if kind == "bert-pretrainer":
        return make_bert_pretrainer(config)
    if kind.startswith("pretrainer"):
        return make_pretrainer(encoder, config, next_sentence=kind == "pretrainer")
    return make_fine_tuned(kind, encoder, config)


def source_name(variable: Any, head: str) -> str:
    """Return the TF1 variable that belongs into a model's; ``head`` is the scope of its head there."""
    name = variable.name.removesuffix(":0").removeprefix("bert/")  # a pretrainer is called "bert"
    for pattern, replacement in HEADS:
        if re.fullmatch(pattern, name):
            return re.sub(pattern, replacement, name).replace("{head}", head)
    return tf1_name(variable)


def expected(variable: Any, values: Mapping[str, Array], head: str, num_heads: int) -> Array:
    """Return what a model's variable must hold, from TF1's values."""
    name = source_name(variable, head)
    value = values[name]
    return np.transpose(value) if name.endswith("output_weights") else split_heads(name, value, num_heads)


def assert_model_holds(model: Any, values: Mapping[str, Array], head: str, num_heads: int = 2) -> None:
    """Check every variable of a model, bit for bit, against the TF1 values."""
    for variable in model.variables:
        np.testing.assert_array_equal(variable.numpy(), expected(variable, values, head, num_heads), variable.name)
