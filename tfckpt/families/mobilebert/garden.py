"""MobileBERT: google-research/mobilebert variables, and Model Garden's MobileBERTEncoder and its pretrainer.

Names are BERT's but for the bottlenecks. A student has no norms, only scales and shifts called FakeLayerNorm; a teacher has
LayerNorm. Both are beta and gamma in TF2, a student's also bias and scale, by which the way back tells them apart. Of the
feed-forward networks of a layer the last has no number in its hub names. The pooler and the bottleneck that query and key
share are there or not, as the configuration has it.

Letters are those of `tfckpt.families.bert`, and: e width of the word table, q three of them, u bottleneck, m what a
projection of attention reads (u or h), x what the word table lacks to h.

Source: google-research/mobilebert modeling.py (hub names); official/nlp/modeling/networks/mobile_bert_encoder.py,
layers/mobile_bert_layers.py, official/projects/mobilebert/model_utils.py (paths, calls).
"""

from __future__ import annotations

from tfckpt.families.bert import garden as bert
from tfckpt.families.bert.garden import GARDEN, NEXT_SENTENCE_HEAD, PRETRAINING_HEADS, SAVE_COUNTER, TASK_HEADS
from tfckpt.families.bert.garden import SIZES as BERT_SIZES
from tfckpt.families.language.calls import (
    ACTIVATIONS,
    CALL_ONCE,
    ActivationOf,
    Always,
    Call,
    Code,
    CountOf,
    FactOf,
    Has,
    RowsAre,
    SizeOf,
)
from tfckpt.families.language.family import Family
from tfckpt.families.language.layouts import ObjectRows, Placed
from tfckpt.families.language.rules import Alias, Each, NotZeros, Part, Row
from tfckpt.families.mobilebert.order import ORDER

SIZES = {**BERT_SIZES, "e": "embedding_size", "u": "intra_bottleneck_size"}

MOBILEBERT = Family(
    "MobileBERT",
    "bert/embeddings/embedding_transformation/kernel",
    SIZES,
    heads=PRETRAINING_HEADS,
    activations=ACTIVATIONS,  # a released student has relu, its teacher gelu
    config_files=("bert_config.json", "config.json"),
    order=ORDER,
)

# fmt: off
# NORM in a name is FakeLayerNorm or LayerNorm.
EMBEDDING_ROWS = (
    ("bert/embeddings/word_embeddings",                 "<embedding>/word_embedding/embeddings",   "v e"),
    ("bert/embeddings/token_type_embeddings",           "<embedding>/type_embedding/embeddings",   "t h"),
    ("bert/embeddings/position_embeddings",             "<embedding>/pos_embedding/embeddings",    "p h"),
    ("bert/embeddings/embedding_transformation/kernel", "<embedding>/word_embedding_proj/kernel",  "q h"),
    ("bert/embeddings/embedding_transformation/bias",   "<embedding>/word_embedding_proj/bias",    "h"),
    ("bert/embeddings/NORM/{p}",                        "<embedding>/layer_norm/{p}",              "h"),
    ("bert/pooler/dense/kernel",                        "<pooler>/kernel",                         "h k"),
    ("bert/pooler/dense/bias",                          "<pooler>/bias",                           "k"),
)
LAYER_ROWS = (
    ("bottleneck/input/dense/kernel",     "bottleneck_input/0/kernel",          "h u"),
    ("bottleneck/input/dense/bias",       "bottleneck_input/0/bias",            "u"),
    ("bottleneck/input/NORM/{p}",         "bottleneck_input/1/{p}",             "u"),
    ("bottleneck/attention/dense/kernel", "kq_shared_bottleneck/0/kernel",      "h u"),
    ("bottleneck/attention/dense/bias",   "kq_shared_bottleneck/0/bias",        "u"),
    ("bottleneck/attention/NORM/{p}",     "kq_shared_bottleneck/1/{p}",         "u"),
    ("attention/self/{qkv}/kernel",       "attention/0/_{qkv}_dense/kernel",    "m (a d) -> m a d"),
    ("attention/self/{qkv}/bias",         "attention/0/_{qkv}_dense/bias",      "(a d) -> a d"),
    ("attention/output/dense/kernel",     "attention/0/_output_dense/kernel",   "(a d) u -> a d u"),
    ("attention/output/dense/bias",       "attention/0/_output_dense/bias",     "u"),
    ("attention/output/NORM/{p}",         "attention/1/{p}",                    "u"),
    ("output/bottleneck/dense/kernel",    "bottleneck_output/0/kernel",         "u h"),
    ("output/bottleneck/dense/bias",      "bottleneck_output/0/bias",           "h"),
    ("output/bottleneck/NORM/{p}",        "bottleneck_output/2/{p}",            "h"),
)
FEED_FORWARD_ROWS = (
    ("intermediate/dense/kernel", "0/kernel", "u f"),
    ("intermediate/dense/bias",   "0/bias",   "f"),
    ("output/dense/kernel",       "1/kernel", "f u"),
    ("output/dense/bias",         "1/bias",   "u"),
    ("output/NORM/{p}",           "2/{p}",    "u"),
)
MASKED_LM = Part(rows=(
    ("cls/predictions/transform/dense/kernel",  "dense/kernel",         "h k"),
    ("cls/predictions/transform/dense/bias",    "dense/bias",           "k"),
    ("cls/predictions/transform/LayerNorm/{p}", "layer_norm/{p}",       "h"),
    ("cls/predictions/extra_output_weights",    "extra_output_weights", "v x"),
    ("cls/predictions/output_bias",             "output_bias.Sbias",    "v"),
), aliases=(
    ("bias", "output_bias.Sbias"),
), optional=("cls/predictions/extra_output_weights",), not_zeros=bert.MASKED_LM.not_zeros)
*ATTENTION_NOT_ZEROS, FEED_FORWARD_NOT_ZEROS = bert.BLOCK_NOT_ZEROS
BOTTLENECKS_NOT_ZEROS = tuple(
    NotZeros(bert.AT_A_NORM, (f"bottleneck/{name}/dense/kernel", f"bottleneck/{name}/dense/bias"))
    for name in ("input", "attention")
)
POSITIONS = ("<embedding>/pos_embedding/_position_embeddings", "<embedding>/pos_embedding/embeddings")
LAYER_NORMS = ("bottleneck_input/1", "kq_shared_bottleneck/1", "attention/1", "bottleneck_output/2")


def _with_norm(rows: tuple[Row, ...], norm: str) -> tuple[Row, ...]:
    return tuple((name.replace("NORM", norm), path, axes) for name, path, axes in rows)


def _second_names(*norms: str) -> tuple[Alias, ...]:
    """Return what the variables of a norm that is none are also called."""
    return tuple((f"{norm}/{a}", f"{norm}/{to}") for norm in norms for a, to in (("bias", "beta"), ("scale", "gamma")))


def _encoder(norm: str, fake: bool) -> Part:
    feed_forward = Each(
        "ffn_layer_{n}/", "ffn/{n}/", _with_norm(FEED_FORWARD_ROWS, norm), last="",
        aliases=_second_names("2") if fake else (), not_zeros=(FEED_FORWARD_NOT_ZEROS,),
    )
    layer = Each(
        "bert/encoder/layer_{n}/", "<layers>/{n}/block_layers/", _with_norm(LAYER_ROWS, norm), each=(feed_forward,),
        aliases=_second_names(*LAYER_NORMS) if fake else (), field="num_hidden_layers",
        not_zeros=(*ATTENTION_NOT_ZEROS, *(() if fake else BOTTLENECKS_NOT_ZEROS)),
    )
    return Part(
        _with_norm(EMBEDDING_ROWS, norm), each=(layer,), order=("<embedding>", "<layers>/*", "<pooler>"),
        aliases=(POSITIONS, *(_second_names("<embedding>/layer_norm") if fake else ())),
        optional=("bert/pooler/", "bert/encoder/layer_{n}/bottleneck/attention/"),
        sign="<embedding>/layer_norm/scale" if fake else "",
    )


STUDENT = _encoder("FakeLayerNorm", fake=True)
TEACHER = _encoder("LayerNorm", fake=False)


def _forms(path: str) -> tuple[Placed, Placed]:
    return (
        Placed(STUDENT, path, only_with="bert/embeddings/FakeLayerNorm/gamma"),
        Placed(TEACHER, path, only_with="bert/embeddings/LayerNorm/gamma"),
    )


ENCODER_CALL = Call("encoder", GARDEN, "networks.MobileBERTEncoder", (
    ("word_vocab_size",              SizeOf("vocab_size")),
    ("word_embed_size",              SizeOf("embedding_size")),
    ("type_vocab_size",              SizeOf("type_vocab_size")),
    ("max_sequence_length",          SizeOf("max_position_embeddings")),
    ("num_blocks",                   SizeOf("num_hidden_layers")),
    ("hidden_size",                  SizeOf("hidden_size")),
    ("num_attention_heads",          SizeOf("num_attention_heads")),
    ("intermediate_size",            SizeOf("intermediate_size")),
    ("intermediate_act_fn",          ActivationOf("tf.nn.relu")),
    ("hidden_dropout_prob",          FactOf("hidden_dropout_prob", 0.1)),
    ("attention_probs_dropout_prob", FactOf("attention_probs_dropout_prob", 0.1)),
    ("intra_bottleneck_size",        SizeOf("intra_bottleneck_size")),
    ("use_bottleneck_attention",     RowsAre(
        "bert/encoder/layer_0/attention/self/value/kernel", "intra_bottleneck_size", "hidden_size",
        "use_bottleneck_attention",
    )),
    ("key_query_shared_bottleneck",  Has("bert/encoder/layer_0/bottleneck/attention/")),
    ("num_feedforward_networks",     CountOf("bert/encoder/layer_0/ffn_layer_{n}/", 1)),
    ("normalization_type",           Has("bert/embeddings/FakeLayerNorm/", "no_norm", "layer_norm")),
    ("classifier_activation",        Has("bert/pooler/")),
))
HEAD_CALL = Call("head", GARDEN, "layers.MobileBertMaskedLM", (
    ("embedding_table", Code("encoder.get_embedding_table()")),
    ("activation",      ActivationOf("None")),
    ("name",            Always("cls/predictions")),
))
PRETRAINER_CALL = Call("model", GARDEN, "models.BertPretrainerV2", (
    ("encoder_network",      Code("encoder")),
    ("customized_masked_lm", Code("head")),
), first_call=CALL_ONCE)

ENCODER = ObjectRows(
    "encoder", MOBILEBERT,
    about="MobileBERTEncoder, as student or teacher, with a pooler if the source has one",
    model="encoder",
    parts=_forms(""),
    roots=("model", ""),
    drops=(*PRETRAINING_HEADS, *TASK_HEADS),
    placeholders=SAVE_COUNTER,
    calls=(ENCODER_CALL,),
)
PRETRAINER = ObjectRows(
    "pretrainer", MOBILEBERT,
    about="BertPretrainerV2 with a MobileBertMaskedLM; it has no next-sentence head",
    model="model",
    parts=(*_forms("encoder_network"), Placed(MASKED_LM, "masked_lm")),
    edges=(
        ("encoder", "model/encoder_network"),
        ("masked_lm", "model/masked_lm"),
        ("masked_lm/embedding_table", "encoder/layer_with_weights-0/word_embedding/embeddings"),
    ),
    roots=("",),
    drops=(NEXT_SENTENCE_HEAD, *TASK_HEADS),
    placeholders=SAVE_COUNTER,
    calls=(ENCODER_CALL, HEAD_CALL, PRETRAINER_CALL),
)
# fmt: on
