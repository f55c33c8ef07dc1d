"""google-research/electra in NumPy: discriminator, generator, and their pre-training and fine-tuning heads.

Example:
    >>> out = electra(weights, config, ids, mask, types)  # doctest: +SKIP
    >>> replaced = discriminator_logits(weights, out.sequence) > 0  # doctest: +SKIP
"""

from __future__ import annotations

import numpy as np

from support.numpy_bert import encode
from support.numpy_parts import (
    Array,
    Config,
    Ints,
    Outputs,
    Weights,
    dense,
    embed,
    erf_gelu,
    layer_norm,
    pick,
    softmax,
    weight,
)

HEAD_SIZE = 64  # a generator has a head for every full 64 of its hidden size, and one at least
OUTSIDE = -1000.0  # added to the logits of positions where no answer may start or end


def electra(weights: Weights, config: Config, ids: Ints, mask: Ints, types: Ints, scope: str = "electra/") -> Outputs:
    """Return what ELECTRA's discriminator computes; ``pooled`` is the first position, as there is no pooler.

    Args:
        weights: TF1 variables by name.
        config: the discriminator's ``bert_config.json``; read for the numbers of layers and heads.
        ids: ``[batch, length]``; so are ``mask`` and ``types``.
        mask: 1 for a token, 0 for padding.
        types: the segments.
        scope: before the variables' names.
    """
    return _network(weights, config, ids, mask, types, scope, f"{scope}embeddings/")


def electra_generator(weights: Weights, config: Config, ids: Ints, mask: Ints, types: Ints) -> Outputs:
    """Return what the generator computes; as `electra`, but its number of heads follows from its hidden size.

    Without embeddings of its own it shares the discriminator's; it always projects them with its own variables.
    """
    hidden = weights["generator/encoder/layer_0/output/dense/bias"].shape[0]
    config = {**config, "num_attention_heads": max(1, hidden // HEAD_SIZE)}
    return _network(weights, config, ids, mask, types, "generator/", generator_embeddings(weights))


def generator_embeddings(weights: Weights) -> str:
    """Return the scope of the embeddings that the generator uses."""
    tied = "generator/embeddings/word_embeddings" not in weights
    return "electra/embeddings/" if tied else "generator/embeddings/"


def _network(weights: Weights, config: Config, ids: Ints, mask: Ints, types: Ints, scope: str, tables: str) -> Outputs:
    words = weight(weights, f"{tables}word_embeddings")[ids]
    x = layer_norm(weights, f"{tables}LayerNorm/", embed(weights, tables, words, types))
    if f"{scope}embeddings_project/kernel" in weights:
        x = dense(weights, f"{scope}embeddings_project/", x)
    layers = encode(weights, config, f"{scope}encoder/", x, mask, erf_gelu)
    return Outputs(x, layers, layers[-1][:, 0])


def discriminator_logits(weights: Weights, sequence: Array) -> Array:
    """Return ``[batch, length]``, positive where the token looks replaced; the probability is its sigmoid."""
    hidden = erf_gelu(dense(weights, "discriminator_predictions/dense/", sequence))
    return dense(weights, "discriminator_predictions/dense_1/", hidden)[..., 0]


def generator_logits(weights: Weights, sequence: Array, positions: Ints) -> Array:
    """Return masked-LM logits ``[batch, predictions, vocabulary]`` for positions ``[batch, predictions]``."""
    scope = "generator_predictions/"
    hidden = erf_gelu(dense(weights, f"{scope}dense/", pick(sequence, positions)))
    hidden = layer_norm(weights, f"{scope}LayerNorm/", hidden)
    table = weight(weights, f"{generator_embeddings(weights)}word_embeddings")
    return hidden @ table.T + weight(weights, f"{scope}output_bias")


def task_logits(weights: Weights, pooled: Array, task: str = "cola") -> Array:
    """Return ``[batch, classes]`` of a task that classifies sentences."""
    return dense(weights, f"task_specific/{task}/dense/", pooled)


def squad_start_logits(weights: Weights, sequence: Array, mask: Ints, types: Ints, task: str = "squad") -> Array:
    """Return ``[batch, length]``: where the answer starts; 1000 less where it may not."""
    return dense(weights, f"task_specific/{task}/dense/", sequence)[..., 0] + _outside(mask, types)


def squad_end_logits(
    weights: Weights, sequence: Array, mask: Ints, types: Ints, start: Ints, task: str = "squad"
) -> Array:
    """Return ``[batch, length]``: where the answer ends, if it starts at ``start``, ``[batch]``."""
    first = np.broadcast_to(pick(sequence, start[:, None]), sequence.shape)
    hidden = erf_gelu(dense(weights, f"task_specific/{task}/qa_hidden/", np.concatenate([first, sequence], axis=-1)))
    return dense(weights, f"task_specific/{task}/dense_1/", hidden)[..., 0] + _outside(mask, types)


def squad_answerable_logits(weights: Weights, sequence: Array, start_logits: Array, task: str = "squad") -> Array:
    """Return ``[batch]``, positive where no answer is to be found; ``start_logits`` are `squad_start_logits`."""
    start = np.einsum("bt,bth->bh", softmax(start_logits), sequence)
    both = np.concatenate([sequence[:, 0], start], axis=-1)
    hidden = erf_gelu(dense(weights, f"task_specific/{task}/dense_2/", both))
    return dense(weights, f"task_specific/{task}/dense_3/", hidden)[..., 0]


def _outside(mask: Ints, types: Ints) -> Array:
    """Return what is added to logits: nothing in the second segment, and at the first position, which says "no answer"."""
    allowed = (mask * types).astype(np.float64)
    allowed[:, 0] += 1
    return np.asarray(OUTSIDE * (1 - allowed))
