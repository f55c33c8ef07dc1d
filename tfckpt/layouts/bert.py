"""BERT: google-research/bert variables, Model Garden's encoder objects, and the names of its 2019 release.

A row is (hub name, path, axes). Axes are einops patterns and they run: they check the source's shape, then reshape or
transpose. v vocabulary, p positions, t segment types, h and k hidden, a heads, d = h / a, f feed-forward; {p} is gamma or
beta, {qkv} is query, key or value.

Source: google-research/bert modeling.py (hub names); official/nlp/modeling/networks/bert_encoder.py, encoder_scaffold and
layers/transformer_encoder_block.py (paths); official/nlp/bert/tf1_checkpoint_converter_lib.py of tf-models-official
0.0.3.dev1 (the 2019 names).
"""

from __future__ import annotations

from tfckpt.layouts.optimizer import SLOTS
from tfckpt.layouts.rules import Drop, Each, NameLayout, ObjectLayout, Part

SIZES = {
    "a": "num_attention_heads",
    "f": "intermediate_size",
    "h": "hidden_size",
    "k": "hidden_size",
    "p": "max_position_embeddings",
    "t": "type_vocab_size",
    "v": "vocab_size",
}

# fmt: off
ENCODER_PART = Part(rows=(
    ("bert/embeddings/word_embeddings",       "_embedding_layer/embeddings",          "v h"),
    ("bert/embeddings/position_embeddings",   "_position_embedding_layer/embeddings", "p h"),
    ("bert/embeddings/token_type_embeddings", "_type_embedding_layer/embeddings",     "t h"),
    ("bert/embeddings/LayerNorm/{p}",         "_embedding_norm_layer/{p}",            "h"),
    ("bert/pooler/dense/kernel",              "_pooler_layer/kernel",                 "h k"),
    ("bert/pooler/dense/bias",                "_pooler_layer/bias",                   "k"),
), per_layer=Each("bert/encoder/layer_{layer}/", "_transformer_layers/{layer}/", rows=(
    ("attention/self/{qkv}/kernel",    "_attention_layer/_{qkv}_dense/kernel",  "h (a d) -> h a d"),
    ("attention/self/{qkv}/bias",      "_attention_layer/_{qkv}_dense/bias",    "(a d) -> a d"),
    ("attention/output/dense/kernel",  "_attention_layer/_output_dense/kernel", "(a d) h -> a d h"),
    ("attention/output/dense/bias",    "_attention_layer/_output_dense/bias",   "h"),
    ("attention/output/LayerNorm/{p}", "_attention_layer_norm/{p}",             "h"),
    ("intermediate/dense/kernel",      "_intermediate_dense/kernel",            "h f"),
    ("intermediate/dense/bias",        "_intermediate_dense/bias",              "f"),
    ("output/dense/kernel",            "_output_dense/kernel",                  "f h"),
    ("output/dense/bias",              "_output_dense/bias",                    "h"),
    ("output/LayerNorm/{p}",           "_output_layer_norm/{p}",                "h"),
), aliases=(
    ("_attention_layer_norm_kv", "_attention_layer_norm"),
)), aliases=(
    ("_position_embedding_layer/_position_embeddings", "_position_embedding_layer/embeddings"),
), order=(
    "_embedding_layer", "_position_embedding_layer", "_type_embedding_layer", "_embedding_norm_layer",
    "_transformer_layers/*", "_pooler_layer",
))

DROPS = (
    Drop("optimizer slot", SLOTS),
    Drop("training step", ("global_step",)),
    Drop("masked-LM head", ("cls/predictions/*",)),
    Drop("next-sentence head", ("cls/seq_relationship/*",)),
    Drop("question-answering head", ("cls/squad/*",)),
    Drop("classification head", ("output_weights", "output_bias")),
)

ENCODER = ObjectLayout(
    "encoder",
    about="TensorFlow 2, object-based: Model Garden's BertEncoder and BertEncoderV2",
    anchor="bert/embeddings/word_embeddings",
    sizes=SIZES,
    part=ENCODER_PART,
    roots=("encoder", "model", ""),
    drops=DROPS,
    placeholders=("save_counter",),  # tf.train.Checkpoint adds it to what it restores; a value would stay unused by read()
)

KERAS = NameLayout(
    "keras",
    about="name-based, bert_model/...: tf1_to_keras_checkpoint_converter.py of 2019",
    substitutions=(
        ("bert", "bert_model"),
        ("embeddings/word_embeddings", "word_embeddings/embeddings"),
        ("embeddings/token_type_embeddings", "embedding_postprocessor/type_embeddings"),
        ("embeddings/position_embeddings", "embedding_postprocessor/position_embeddings"),
        ("embeddings/LayerNorm", "embedding_postprocessor/layer_norm"),
        ("attention/self", "self_attention"),
        ("attention/output/dense", "self_attention_output"),
        ("attention/output/LayerNorm", "self_attention_layer_norm"),
        ("intermediate/dense", "intermediate"),
        ("output/dense", "output"),
        ("output/LayerNorm", "output_layer_norm"),
        ("pooler/dense", "pooler_transform"),
    ),
    sizes={"a": SIZES["a"]},
    reshapes=(
        (("attention/output/dense/kernel",), "(a d) h -> a d h"),
        (("attention/self/query", "kernel"), "h (a d) -> h a d"),
        (("attention/self/query", "bias"),   "(a d) -> a d"),
        (("attention/self/value", "kernel"), "h (a d) -> h a d"),
        (("attention/self/value", "bias"),   "(a d) -> a d"),
        (("attention/self/key", "kernel"),   "h (a d) -> h a d"),
        (("attention/self/key", "bias"),     "(a d) -> a d"),
    ),
)
# fmt: on
