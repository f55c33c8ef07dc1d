"""google-research/bert in NumPy, and the heads that albert and mobilebert share with it.

Example:
    >>> weights, inputs = tfckpt.open(prefix), (ids, mask, types)  # doctest: +SKIP
    >>> out = bert(weights, config, *inputs)  # doctest: +SKIP
    >>> start, end = span_logits(weights, out.sequence)  # doctest: +SKIP
"""

from __future__ import annotations

import numpy as np

from support.numpy_parts import (
    ACTIVATIONS,
    Activation,
    Array,
    Config,
    Ints,
    Outputs,
    Weights,
    attend,
    dense,
    embed,
    layer_norm,
    log_softmax,
    pick,
    weight,
)


def bert(weights: Weights, config: Config, ids: Ints, mask: Ints, types: Ints, scope: str = "bert/") -> Outputs:
    """Return what BERT computes; ``pooled`` without a pooler is the first position.

    Args:
        weights: TF1 variables by name.
        config: ``bert_config.json``; read for the numbers of layers and heads, and the activation.
        ids: ``[batch, length]``; so are ``mask`` and ``types``.
        mask: 1 for a token, 0 for padding.
        types: the segments.
        scope: before the variables' names.
    """
    words = weight(weights, f"{scope}embeddings/word_embeddings")[ids]
    embeddings = layer_norm(
        weights, f"{scope}embeddings/LayerNorm/", embed(weights, f"{scope}embeddings/", words, types)
    )
    layers = encode(weights, config, f"{scope}encoder/", embeddings, mask, ACTIVATIONS[config["hidden_act"]])
    return Outputs(embeddings, layers, pool(weights, scope, layers[-1]))


def encode(
    weights: Weights, config: Config, scope: str, x: Array, mask: Ints, activation: Activation
) -> tuple[Array, ...]:
    """Return what every layer under ``scope`` computes, the first from ``x``, ``[batch, length, hidden]``."""
    layers = []
    for layer in range(config["num_hidden_layers"]):
        x = _layer(weights, f"{scope}layer_{layer}/", x, mask, config["num_attention_heads"], activation)
        layers.append(x)
    return tuple(layers)


def _layer(weights: Weights, scope: str, x: Array, mask: Ints, heads: int, activation: Activation) -> Array:
    seen = attend(weights, f"{scope}attention/self/", x, x, x, mask, heads)
    attention = dense(weights, f"{scope}attention/output/dense/", seen)
    x = layer_norm(weights, f"{scope}attention/output/LayerNorm/", x + attention)
    inner = activation(dense(weights, f"{scope}intermediate/dense/", x))
    return layer_norm(weights, f"{scope}output/LayerNorm/", x + dense(weights, f"{scope}output/dense/", inner))


def pool(weights: Weights, scope: str, sequence: Array) -> Array:
    """Return ``[batch, hidden]``: the first position, through the pooler if there is one."""
    first = sequence[:, 0]
    has_pooler = f"{scope}pooler/dense/kernel" in weights
    return np.tanh(dense(weights, f"{scope}pooler/dense/", first)) if has_pooler else first


def masked_lm_logits(
    weights: Weights,
    config: Config,
    sequence: Array,
    positions: Ints,
    scope: str = "cls/predictions/",
    table: str = "bert/embeddings/word_embeddings",
) -> Array:
    """Return ``[batch, predictions, vocabulary]`` for positions ``[batch, predictions]``.

    MobileBERT's word table is narrower than its hidden layer; ``extra_output_weights`` are its missing columns.
    """
    hidden = ACTIVATIONS[config["hidden_act"]](dense(weights, f"{scope}transform/dense/", pick(sequence, positions)))
    hidden = layer_norm(weights, f"{scope}transform/LayerNorm/", hidden)
    columns = weight(weights, table)
    if f"{scope}extra_output_weights" in weights:
        columns = np.concatenate([columns, weight(weights, f"{scope}extra_output_weights")], axis=1)
    return hidden @ columns.T + weight(weights, f"{scope}output_bias")


def masked_lm_log_probs(weights: Weights, config: Config, sequence: Array, positions: Ints) -> Array:
    """Return the logarithms of the probabilities of `masked_lm_logits`."""
    return log_softmax(masked_lm_logits(weights, config, sequence, positions))


def output_logits(weights: Weights, x: Array, scope: str = "") -> Array:
    """Return ``[..., classes]`` for x of ``[..., hidden]``.

    This is run_classifier's head for ``Outputs.pooled`` and a token classifier's for ``Outputs.sequence``; with another
    scope the next-sentence head and run_squad's.
    """
    return x @ weight(weights, f"{scope}output_weights").T + weight(weights, f"{scope}output_bias")


def next_sentence_logits(weights: Weights, pooled: Array, scope: str = "cls/seq_relationship/") -> Array:
    """Return ``[batch, 2]``: the second sentence follows the first, or is any other."""
    return output_logits(weights, pooled, scope)


def next_sentence_log_probs(weights: Weights, pooled: Array) -> Array:
    """Return the logarithms of the probabilities of `next_sentence_logits`."""
    return log_softmax(next_sentence_logits(weights, pooled))


def span_logits(weights: Weights, sequence: Array, scope: str = "cls/squad/") -> tuple[Array, Array]:
    """Return the logits of a span's start and of its end, each ``[batch, length]``."""
    start, end = np.moveaxis(output_logits(weights, sequence, scope), -1, 0)
    return start, end
