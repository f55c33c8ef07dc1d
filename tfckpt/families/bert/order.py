"""The order of ``trainable_variables`` in Model Garden's BERT models: new Keras optimizers list their slots by it.

Source: official/nlp/modeling/networks/bert_encoder.py, models/bert_*.py; checked against real models by tests/tf.
"""

from __future__ import annotations

from tfckpt.families.language.family import Order

BLOCK = (
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
MASKED_LM = (
    "output_bias.Sbias",
    "dense/kernel",
    "dense/bias",
    "layer_norm/gamma",
    "layer_norm/beta",
)

ORDER = Order(
    parts={
        "encoder": ("",),
        "pretrainer": (
            "classification_heads/0/dense",
            "classification_heads/0/out_proj",
            "encoder_network",
            "masked_lm",
        ),
        "bert-pretrainer": (
            "layer_with_weights-0",
            "layer_with_weights-1/layer_with_weights-0",
            "layer_with_weights-2",
        ),
        "pretrain-model": (
            "layer_with_weights-0/layer_with_weights-0",
            "layer_with_weights-0/layer_with_weights-1/layer_with_weights-0",
            "layer_with_weights-0/layer_with_weights-2",
        ),
        "classifier": ("layer_with_weights-0", "layer_with_weights-1/out_proj"),
        "classifier-own-pooler": (
            "layer_with_weights-0",
            "layer_with_weights-1/dense",
            "layer_with_weights-1/out_proj",
        ),
        "span-labeler": ("layer_with_weights-0", "layer_with_weights-1/layer_with_weights-0"),
        "token-classifier": ("layer_with_weights-0", "layer_with_weights-1"),
    },
    paths=(
        "_embedding_layer/embeddings",
        "_position_embedding_layer/embeddings",
        "_type_embedding_layer/embeddings",
        "_embedding_norm_layer/gamma",
        "_embedding_norm_layer/beta",
        "_transformer_layers/{n}",
        "_pooler_layer/kernel",
        "_pooler_layer/bias",
        *MASKED_LM,
        "kernel",
        "bias",
    ),
    block=BLOCK,
)
