"""google-research/albert in NumPy; its heads are BERT's, in `numpy_bert`."""

from __future__ import annotations

from support.numpy_bert import pool
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
    weight,
)


def albert(weights: Weights, config: Config, ids: Ints, mask: Ints, types: Ints, scope: str = "bert/") -> Outputs:
    """Return what ALBERT computes: as `bert`, its ``embeddings`` those before the projection to the hidden size.

    A layer is ``inner_group_num`` blocks; layers of one of the ``num_hidden_groups`` share their variables.
    """
    words = weight(weights, f"{scope}embeddings/word_embeddings")[ids]
    embeddings = layer_norm(
        weights, f"{scope}embeddings/LayerNorm/", embed(weights, f"{scope}embeddings/", words, types)
    )
    x, projection = embeddings, f"{scope}encoder/embedding_hidden_mapping_in/"
    if f"{projection}kernel" in weights:
        x = dense(weights, projection, x)
    heads, activation = config["num_attention_heads"], ACTIVATIONS[config["hidden_act"]]
    layers = []
    for layer in range(config["num_hidden_layers"]):
        group = layer * config["num_hidden_groups"] // config["num_hidden_layers"]
        for inner in range(config["inner_group_num"]):
            block = f"{scope}encoder/transformer/group_{group}/inner_group_{inner}/"
            x = _block(weights, block, x, mask, heads, activation)
        layers.append(x)
    return Outputs(embeddings, tuple(layers), pool(weights, scope, x))


def _block(weights: Weights, scope: str, x: Array, mask: Ints, heads: int, activation: Activation) -> Array:
    seen = attend(weights, f"{scope}attention_1/self/", x, x, x, mask, heads)
    x = layer_norm(weights, f"{scope}LayerNorm/", x + dense(weights, f"{scope}attention_1/output/dense/", seen))
    inner = activation(dense(weights, f"{scope}ffn_1/intermediate/dense/", x))
    output = dense(weights, f"{scope}ffn_1/intermediate/output/dense/", inner)
    return layer_norm(weights, f"{scope}LayerNorm_1/", x + output)
