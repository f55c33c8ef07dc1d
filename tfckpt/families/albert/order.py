"""The order of ``trainable_variables`` in Model Garden's models over an AlbertEncoder.

Source: official/nlp/modeling/networks/albert_encoder.py, models/bert_*.py; checked against real models by tests/tf.
"""

from __future__ import annotations

from tfckpt.families.bert import order as bert
from tfckpt.families.language.family import Order

ORDER = Order(
    parts={
        target: bert.ORDER.parts[target]
        for target in ("encoder", "pretrainer", "classifier", "span-labeler", "token-classifier")
    },
    paths=(
        "_embedding_layer/embeddings",
        "_position_embedding_layer/embeddings",
        "<type_embeddings>/embeddings",
        "<layer_norm>/gamma",
        "<layer_norm>/beta",
        "<embedding_projection>/kernel",
        "<embedding_projection>/bias",
        *(f"<transformer>/{path}" for path in bert.BLOCK),
        "<pooler_transform>/kernel",
        "<pooler_transform>/bias",
        *bert.MASKED_LM,
        "kernel",
        "bias",
    ),
)
