"""BERT as Model Garden of 2019 kept it: the objects of its tf2_checkpoint_converter.py, and its second form by names.

Rows as in `bert`. That script builds its model with ``BertConfig.backward_compatible`` at its default, true: the variables
have the shapes of TF1, and nothing is split into heads. It saves the model, or, by export_bert_as_layer, the layer in it.

The first name-based form is `bert.KERAS`; this one is what the same script, tf1_to_keras_checkpoint_converter.py, wrote with
its flag create_v2_checkpoint. It turns the next-sentence head's weights, head count or not.

Source: official/nlp/bert/tf2_checkpoint_converter.py, tf1_checkpoint_converter_lib.py and official/nlp/bert_modeling.py of
tf-models-official 0.0.3.dev1.
"""

from __future__ import annotations

from tfckpt.families.bert.garden import (
    BERT,
    BLOCK_NOT_ZEROS,
    CONFIG_ARGUMENTS,
    KERAS,
    PRETRAINING_HEADS,
    SAVE_COUNTER,
    TASK_HEADS,
)
from tfckpt.families.language.calls import Call, Chosen, Code
from tfckpt.families.language.layouts import ObjectRows, Placed, Substitutions
from tfckpt.families.language.rules import Each, Part

# fmt: off
BLOCK_ROWS = (
    ("attention/self/{qkv}/kernel",    "attention_layer/{qkv}_dense/kernel", "h k"),
    ("attention/self/{qkv}/bias",      "attention_layer/{qkv}_dense/bias",   "h"),
    ("attention/output/dense/kernel",  "attention_output_dense/kernel",      "h k"),
    ("attention/output/dense/bias",    "attention_output_dense/bias",        "h"),
    ("attention/output/LayerNorm/{p}", "attention_layer_norm/{p}",           "h"),
    ("intermediate/dense/kernel",      "intermediate_dense/kernel",          "h f"),
    ("intermediate/dense/bias",        "intermediate_dense/bias",            "f"),
    ("output/dense/kernel",            "output_dense/kernel",                "f h"),
    ("output/dense/bias",              "output_dense/bias",                  "h"),
    ("output/LayerNorm/{p}",           "output_layer_norm/{p}",              "h"),
)
LAYER_PART = Part(rows=(
    ("bert/embeddings/word_embeddings",       "embedding_lookup/embeddings",                   "v h"),
    ("bert/embeddings/position_embeddings",   "embedding_postprocessor/position_embeddings",   "p h"),
    ("bert/embeddings/token_type_embeddings", "embedding_postprocessor/type_embeddings",       "t h"),
    ("bert/embeddings/LayerNorm/{p}",         "embedding_postprocessor/output_layer_norm/{p}", "h"),
    ("bert/pooler/dense/kernel",              "pooler_transform/kernel",                       "h k"),
    ("bert/pooler/dense/bias",                "pooler_transform/bias",                         "k"),
), each=(
    Each(
        "bert/encoder/layer_{n}/", "encoder/layers/{n}/", BLOCK_ROWS, field="num_hidden_layers", not_zeros=BLOCK_NOT_ZEROS,
    ),
))
KERAS_V2 = Substitutions(
    "keras-v2",
    about="name-based, transformer/...: that script's flag create_v2_checkpoint",
    of=BERT,
    substitutions=(
        ("bert/", ""),
        ("encoder", "transformer"),
        ("embeddings/word_embeddings", "word_embeddings/embeddings"),
        ("embeddings/token_type_embeddings", "type_embeddings/embeddings"),
        ("embeddings/position_embeddings", "position_embedding/embeddings"),
        ("embeddings/LayerNorm", "embeddings/layer_norm"),
        ("attention/self", "self_attention"),
        ("attention/output/dense", "self_attention_output"),
        ("attention/output/LayerNorm", "self_attention_layer_norm"),
        ("intermediate/dense", "intermediate"),
        ("output/dense", "output"),
        ("output/LayerNorm", "output_layer_norm"),
        ("pooler/dense", "pooler_transform"),
        ("cls/predictions/output_bias", "cls/predictions/output_bias/bias"),
        ("cls/seq_relationship/output_bias", "predictions/transform/logits/bias"),
        ("cls/seq_relationship/output_weights", "predictions/transform/logits/kernel"),
    ),
    sizes=KERAS.sizes,
    reshapes=(*KERAS.reshapes, (("cls/seq_relationship/output_weights",), "c h -> h c")),
)
CONFIG_CALL = Call("config", "official.nlp", "bert_modeling.BertConfig", CONFIG_ARGUMENTS)
BERT_MODEL_CALL = Call("model", "official.nlp", "bert_modeling.get_bert_model", (
    ("input_word_ids", Chosen()),
    ("input_mask",     Chosen()),
    ("input_type_ids", Chosen()),
    ("config",         Code("config")),
))
BERT_LAYER_CALL = Call("bert_layer", "official.nlp", "bert_modeling.BertModel", (
    ("config", Code("config")),
))
# fmt: on

BERT_MODEL = ObjectRows(
    "bert-model",
    BERT,
    about="get_bert_model of 2019, as tf2_checkpoint_converter.py saved it",
    model="model",
    parts=(Placed(LAYER_PART, "layer_with_weights-0"),),
    edges=(("model/layer-3", "model/layer_with_weights-0"),),
    roots=("",),
    drops=(*PRETRAINING_HEADS, *TASK_HEADS),
    placeholders=SAVE_COUNTER,
    calls=(CONFIG_CALL, BERT_MODEL_CALL),
)
BERT_LAYER = ObjectRows(
    "bert-layer",
    BERT,
    about="BertModel of 2019, the layer in that model: its script's flag export_bert_as_layer",
    model="bert_layer",
    parts=(Placed(LAYER_PART),),
    roots=("",),
    drops=(*PRETRAINING_HEADS, *TASK_HEADS),
    placeholders=SAVE_COUNTER,
    calls=(CONFIG_CALL, BERT_LAYER_CALL),
)
