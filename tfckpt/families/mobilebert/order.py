"""The order of ``trainable_variables`` in Model Garden's MobileBERTEncoder and its pretrainer.

What a layer holds comes by the alphabet. Source: official/nlp/modeling/networks/mobile_bert_encoder.py,
layers/mobile_bert_layers.py; checked against real models by tests/tf.
"""

from __future__ import annotations

from tfckpt.families.bert.order import MASKED_LM
from tfckpt.families.language.family import Order

ORDER = Order(
    parts={"encoder": ("",), "pretrainer": ("encoder_network", "masked_lm")},
    paths=(
        "<embedding>/word_embedding/embeddings",
        "<embedding>/type_embedding/embeddings",
        "<embedding>/pos_embedding/embeddings",
        "<embedding>/word_embedding_proj/kernel",
        "<embedding>/word_embedding_proj/bias",
        "<embedding>/layer_norm/gamma",
        "<embedding>/layer_norm/beta",
        "<layers>/{n}",
        "<pooler>/kernel",
        "<pooler>/bias",
        "extra_output_weights",
        *MASKED_LM,
    ),
    block=(
        "block_layers/attention/0/_query_dense/kernel",
        "block_layers/attention/0/_query_dense/bias",
        "block_layers/attention/0/_key_dense/kernel",
        "block_layers/attention/0/_key_dense/bias",
        "block_layers/attention/0/_value_dense/kernel",
        "block_layers/attention/0/_value_dense/bias",
        "block_layers/attention/0/_output_dense/kernel",
        "block_layers/attention/0/_output_dense/bias",
        "block_layers/attention/1/gamma",
        "block_layers/attention/1/beta",
        "block_layers/bottleneck_input/0/kernel",
        "block_layers/bottleneck_input/0/bias",
        "block_layers/bottleneck_input/1/gamma",
        "block_layers/bottleneck_input/1/beta",
        "block_layers/bottleneck_output/0/kernel",
        "block_layers/bottleneck_output/0/bias",
        "block_layers/bottleneck_output/2/gamma",
        "block_layers/bottleneck_output/2/beta",
        "block_layers/ffn/{n}/0/kernel",
        "block_layers/ffn/{n}/0/bias",
        "block_layers/ffn/{n}/1/kernel",
        "block_layers/ffn/{n}/1/bias",
        "block_layers/ffn/{n}/2/gamma",
        "block_layers/ffn/{n}/2/beta",
        "block_layers/kq_shared_bottleneck/0/kernel",
        "block_layers/kq_shared_bottleneck/0/bias",
        "block_layers/kq_shared_bottleneck/1/gamma",
        "block_layers/kq_shared_bottleneck/1/beta",
    ),
    shift_first="FakeLayerNorm",
)
