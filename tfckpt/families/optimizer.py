"""Where the optimizers that conversions carry along keep their state, in both generations.

Source: google-research/bert optimization.py (adam_m, adam_v); official/modeling/optimization/legacy_adamw.py
(AdamWeightDecay); tf_keras/src/optimizers/optimizer.py and adamw.py (AdamW).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from tfckpt.families.language.rules import NUMBER, NUMBER_MARK, ObjectLayout

# What google-research's Adam keeps for a variable, by the name of Keras's slot for the same.
ADAM_SLOTS = {"m": "adam_m", "v": "adam_v"}
TRAINING_STEP = "global_step"


class Optimizer(NamedTuple):
    """Where a Keras optimizer keeps its state, as edges from its own node.

    ``constants`` are values that the TF1 checkpoint does not hold. ``rate`` is where a learning rate that is one number
    stands, ``scheduled_rate`` where one that a schedule computes does. ``lists`` are edges to the slots of all variables, in
    the order in which the optimizer was given them; without them the graph's slot variables tell which is whose.
    """

    name: str
    step: str
    constants: tuple[tuple[str, float], ...]
    rate: str
    scheduled_rate: str = ""
    lists: Mapping[str, str] = MappingProxyType({})
    variables: str = ""  # edge to a list of the step and all slots, each variable's together


ADAM_WEIGHT_DECAY = Optimizer(
    "adam-weight-decay", "iter", (("beta_1", 0.9), ("beta_2", 0.999), ("decay", 0.0)), "learning_rate"
)
ADAMW = Optimizer(
    "adamw",
    "_iterations",
    (),
    "_learning_rate",
    "_current_learning_rate",
    lists={"m": "_momentums", "v": "_velocities"},
    variables="_variables",
)
OPTIMIZERS = {optimizer.name: optimizer for optimizer in (ADAM_WEIGHT_DECAY, ADAMW)}

# The order of `trainable_variables`, by family and target: parts by the path that they are placed at.
PART_ORDER: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("BERT", "encoder"): ("",),
    ("BERT", "pretrainer"): (
        "classification_heads/0/dense",
        "classification_heads/0/out_proj",
        "encoder_network",
        "masked_lm",
    ),
    ("BERT", "bert-pretrainer"): (
        "layer_with_weights-0",
        "layer_with_weights-1/layer_with_weights-0",
        "layer_with_weights-2",
    ),
    ("BERT", "pretrain-model"): (
        "layer_with_weights-0/layer_with_weights-0",
        "layer_with_weights-0/layer_with_weights-1/layer_with_weights-0",
        "layer_with_weights-0/layer_with_weights-2",
    ),
    ("BERT", "classifier"): ("layer_with_weights-0", "layer_with_weights-1/out_proj"),
    ("BERT", "classifier-own-pooler"): (
        "layer_with_weights-0",
        "layer_with_weights-1/dense",
        "layer_with_weights-1/out_proj",
    ),
    ("BERT", "span-labeler"): ("layer_with_weights-0", "layer_with_weights-1/layer_with_weights-0"),
    ("BERT", "token-classifier"): ("layer_with_weights-0", "layer_with_weights-1"),
}
# Inside a part, {n} being a block's number, and inside a block.
PATH_ORDER = (
    "_embedding_layer/embeddings",
    "_position_embedding_layer/embeddings",
    "_type_embedding_layer/embeddings",
    "_embedding_norm_layer/gamma",
    "_embedding_norm_layer/beta",
    "_transformer_layers/{n}",
    "_pooler_layer/kernel",
    "_pooler_layer/bias",
    "output_bias.Sbias",
    "dense/kernel",
    "dense/bias",
    "layer_norm/gamma",
    "layer_norm/beta",
    "kernel",
    "bias",
)
BLOCK_ORDER = (
    "_attention_layer/_query_dense/kernel",
    "_attention_layer/_query_dense/bias",
    "_attention_layer/_key_dense/kernel",
    "_attention_layer/_key_dense/bias",
    "_attention_layer/_value_dense/kernel",
    "_attention_layer/_value_dense/bias",
    "_attention_layer/_output_dense/kernel",
    "_attention_layer/_output_dense/bias",
    "_attention_layer_norm/gamma",
    "_attention_layer_norm/beta",
    "_intermediate_dense/kernel",
    "_intermediate_dense/bias",
    "_output_dense/kernel",
    "_output_dense/bias",
    "_output_layer_norm/gamma",
    "_output_layer_norm/beta",
)


def position(layout: ObjectLayout, placed: str, path: str) -> tuple[int, ...] | None:
    """Return what sorts a variable among a model's trainable ones; None if the model's order is not known.

    Args:
        placed: path of the variable's part below the model's node.
        path: its own path below the part.
    """
    parts = PART_ORDER.get((layout.family.name, layout.name), ())
    block = re.fullmatch(rf"(.+/){NUMBER}/(.+)", path)
    place, inner = (f"{block[1]}{NUMBER_MARK}", block[3]) if block else (path, BLOCK_ORDER[0])
    if placed not in parts or place not in PATH_ORDER or inner not in BLOCK_ORDER:
        return None
    return parts.index(placed), PATH_ORDER.index(place), int(block[2]) if block else 0, BLOCK_ORDER.index(inner)
