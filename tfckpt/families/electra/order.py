"""The order of ``trainable_variables`` in Model Garden's ElectraPretrainer and its two encoders.

The discriminator comes first, since its name does. Source: official/nlp/modeling/models/electra_pretrainer.py,
networks/bert_encoder.py; checked against real models by tests/tf.
"""

from __future__ import annotations

from tfckpt.families.bert.order import BLOCK, MASKED_LM
from tfckpt.families.language.family import Order

PRETRAINER = ("discriminator_network", "generator_network", "masked_lm", "")

ORDER = Order(
    parts={
        "encoder": ("",),
        "generator": ("",),
        "pretrainer": PRETRAINER,
        "pretrainer-tied": PRETRAINER,
    },
    paths=(
        "_embedding_layer/embeddings",
        "_position_embedding_layer/embeddings",
        "_type_embedding_layer/embeddings",
        "_embedding_norm_layer/gamma",
        "_embedding_norm_layer/beta",
        "_embedding_projection/kernel",
        "_embedding_projection/bias",
        "_transformer_layers/{n}",
        "_pooler_layer/kernel",
        "_pooler_layer/bias",
        *MASKED_LM,
        "classification/dense/kernel",
        "classification/dense/bias",
        "classification/out_proj/kernel",
        "classification/out_proj/bias",
        "discriminator_projection/kernel",
        "discriminator_projection/bias",
        "discriminator_head/kernel",
        "discriminator_head/bias",
    ),
    block=BLOCK,
)
