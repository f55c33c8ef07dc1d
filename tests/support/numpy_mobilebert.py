"""google-research/mobilebert in NumPy; its heads are BERT's, in `numpy_bert`."""

from __future__ import annotations

import numpy as np

from support.numpy_bert import pool
from support.numpy_parts import (
    ACTIVATIONS,
    Array,
    Config,
    Ints,
    Outputs,
    Weights,
    attend,
    dense,
    embed,
    layer_norm,
    weight,
)


def mobilebert(weights: Weights, config: Config, ids: Ints, mask: Ints, types: Ints, scope: str = "bert/") -> Outputs:
    """Return what MobileBERT computes, as student or as teacher; ``pooled`` without a pooler is the first position.

    Args:
        weights: TF1 variables by name.
        config: ``bert_config.json``; everything in it but the sizes and the dropouts is heeded. Padding is masked as in the
            first release, by adding -10000 to scores; the later code multiplies and adds -6.
        ids: ``[batch, length]``; so are ``mask`` and ``types``.
        mask: 1 for a token, 0 for padding.
        types: the segments.
        scope: before the variables' names.
    """
    x = weight(weights, f"{scope}embeddings/word_embeddings")[ids]
    if config["trigram_input"]:
        x = _trigrams(x)
    if f"{scope}embeddings/embedding_transformation/kernel" in weights:
        x = dense(weights, f"{scope}embeddings/embedding_transformation/", x)
    x = embeddings = _norm(weights, config, f"{scope}embeddings/", embed(weights, f"{scope}embeddings/", x, types))
    layers = []
    for layer in range(config["num_hidden_layers"]):
        x = _layer(weights, config, f"{scope}encoder/layer_{layer}/", x, mask)
        layers.append(x)
    return Outputs(embeddings, tuple(layers), pool(weights, scope, x))


def _trigrams(words: Array) -> Array:
    """Return ``[batch, length, 3 width]``: the next word, the word, the one before; zeros beyond the ends."""
    padded = np.pad(words, ((0, 0), (1, 1), (0, 0)))
    return np.concatenate([padded[:, 2:], words, padded[:, :-2]], axis=-1)


def _norm(weights: Weights, config: Config, scope: str, x: Array) -> Array:
    """Return x normalised, or only scaled and shifted, which MobileBERT calls a norm as well."""
    if config["normalization_type"] == "layer_norm":
        return layer_norm(weights, f"{scope}LayerNorm/", x)
    return x * weight(weights, f"{scope}FakeLayerNorm/gamma") + weight(weights, f"{scope}FakeLayerNorm/beta")


def _layer(weights: Weights, config: Config, scope: str, x: Array, mask: Ints) -> Array:
    def narrow(name: str) -> Array:
        inner = dense(weights, f"{scope}bottleneck/{name}/dense/", x)
        return _norm(weights, config, f"{scope}bottleneck/{name}/", inner)

    inner = narrow("input")
    if config.get("use_bottleneck_attention", False):
        query = key = value = inner
    elif config["key_query_shared_bottleneck"]:
        query = key = narrow("attention")
        value = x
    else:
        query = key = value = x
    seen = attend(weights, f"{scope}attention/self/", query, key, value, mask, config["num_attention_heads"])
    attention = dense(weights, f"{scope}attention/output/dense/", seen)
    inner = _norm(weights, config, f"{scope}attention/output/", inner + attention)
    for number in range(config["num_feedforward_networks"] - 1):
        inner = _feed_forward(weights, config, f"{scope}ffn_layer_{number}/", inner)
    inner = _feed_forward(weights, config, scope, inner)
    wide = dense(weights, f"{scope}output/bottleneck/dense/", inner)
    return _norm(weights, config, f"{scope}output/bottleneck/", x + wide)


def _feed_forward(weights: Weights, config: Config, scope: str, x: Array) -> Array:
    inner = ACTIVATIONS[config["hidden_act"]](dense(weights, f"{scope}intermediate/dense/", x))
    return _norm(weights, config, f"{scope}output/", x + dense(weights, f"{scope}output/dense/", inner))
