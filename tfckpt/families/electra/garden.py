"""ELECTRA: google-research/electra variables, and Model Garden's models that hold them.

Discriminator and generator are two encoders in one checkpoint. By default they share the embeddings, which are stored under
``electra/`` alone; trained as one network, all of it is. Neither has a pooler, which Model Garden's encoders always have: its
variables come from ``fill``, and so do those of the generator's classification head. Where both share the embeddings here,
Model Garden's models can share no more than the word table: ``tie_embeddings=True``. Zeros are allowed for all of them,
though they cannot be trained: nothing that ELECTRA trains reads them. Activations are exact gelu, which has to be asked for:
Model Garden's default is tanh's.

Letters are those of `tfckpt.families.bert`, and: e width of the embeddings; of the generator b heads, i feed-forward, g
and j hidden, w width of its embeddings; c classes.

BertClassifier has no form that computes what run_finetuning's heads do: they read the sequence's first position itself, and
it reads a pooler. So a fine-tuned checkpoint goes to ``encoder``, which drops the heads by name.

Source: google-research/electra model/modeling.py, pretrain/pretrain_helpers.py, run_pretraining.py, finetune/ (hub names);
official/nlp/modeling/models/electra_pretrainer.py, networks/bert_encoder.py (paths, calls).
"""

from __future__ import annotations

from tfckpt.families.bert.garden import (
    AT_A_NORM,
    BLOCK_ALIASES,
    BLOCK_NOT_ZEROS,
    BLOCK_ROWS,
    ENCODER_PART,
    GARDEN,
    IN_A_ROW,
    SAVE_COUNTER,
)
from tfckpt.families.electra.order import ORDER
from tfckpt.families.language.calls import (
    ACTIVATIONS,
    EXACT_GELU,
    GELU,
    ActivationOf,
    Always,
    Call,
    Chosen,
    Code,
    FactOf,
    SizeOf,
)
from tfckpt.families.language.family import Borrow, Drop, Family, SecondNetwork
from tfckpt.families.language.layouts import ObjectRows, Placed, Shared
from tfckpt.families.language.rules import Each, NotZeros, Part

SIZES = {
    "a": "num_attention_heads",
    "b": "generator_num_attention_heads",
    "c": "num_classes",
    "e": "embedding_size",
    "f": "intermediate_size",
    "g": "generator_hidden_size",
    "h": "hidden_size",
    "i": "generator_intermediate_size",
    "j": "generator_hidden_size",
    "k": "hidden_size",
    "p": "max_position_embeddings",
    "t": "type_vocab_size",
    "v": "vocab_size",
    "w": "generator_embedding_size",
}

GENERATOR_NETWORK = Drop("generator", ("generator/*", "generator_predictions/*"))
DISCRIMINATOR_NETWORK = Drop("discriminator", ("electra/*", "discriminator_predictions/*"))
DISCRIMINATOR_HEAD = Drop("discriminator's head", ("discriminator_predictions/*",))
MASKED_LM_HEAD = Drop("masked-LM head", ("generator_predictions/*",))
TASK_HEADS = Drop("head of a fine-tuned task", ("task_specific/*",))

ELECTRA = Family(
    "ELECTRA",
    "electra/embeddings/word_embeddings",
    SIZES,
    borrows=(
        Borrow("generator/", "electra/", only_with="generator_predictions/"),
        Borrow(
            "generator/embeddings/", "electra/embeddings/", sign="generator/embeddings_project/", only_with="generator/"
        ),
    ),
    second=SecondNetwork("generator_", "generator_config.json", "generator/encoder/layer_0/output/dense/bias", 64),
    defaults=(("num_classes", 2, "Model Garden's default"),),
    heads=(GENERATOR_NETWORK, DISCRIMINATOR_HEAD, MASKED_LM_HEAD, TASK_HEADS),
    unknown=Drop(
        "not in ELECTRA",
        ("electra/pooler/*", "generator/pooler/*", "generator_classification/*"),
    ),
    activations={**ACTIVATIONS, "gelu": EXACT_GELU},
    activation="gelu",
    config_files=("bert_config.json", "config.json"),
    order=ORDER,
)

# fmt: off
GENERATOR_BLOCK_ROWS = (
    ("attention/self/{qkv}/kernel",    "_attention_layer/_{qkv}_dense/kernel",  "g (b d) -> g b d"),
    ("attention/self/{qkv}/bias",      "_attention_layer/_{qkv}_dense/bias",    "(b d) -> b d"),
    ("attention/output/dense/kernel",  "_attention_layer/_output_dense/kernel", "(b d) g -> b d g"),
    ("attention/output/dense/bias",    "_attention_layer/_output_dense/bias",   "g"),
    ("attention/output/LayerNorm/{p}", "_attention_layer_norm/{p}",             "g"),
    ("intermediate/dense/kernel",      "_intermediate_dense/kernel",            "g i"),
    ("intermediate/dense/bias",        "_intermediate_dense/bias",              "i"),
    ("output/dense/kernel",            "_output_dense/kernel",                  "i g"),
    ("output/dense/bias",              "_output_dense/bias",                    "g"),
    ("output/LayerNorm/{p}",           "_output_layer_norm/{p}",                "g"),
)
CONTAINERS = (
    "_embedding_layer", "_position_embedding_layer", "_type_embedding_layer", "_embedding_norm_layer",
    "_embedding_projection", "_transformer_layers/*", "_pooler_layer",
)
DISCRIMINATOR = Part(rows=(
    ("electra/embeddings/word_embeddings",       "_embedding_layer/embeddings",          "v e"),
    ("electra/embeddings/position_embeddings",   "_position_embedding_layer/embeddings", "p e"),
    ("electra/embeddings/token_type_embeddings", "_type_embedding_layer/embeddings",     "t e"),
    ("electra/embeddings/LayerNorm/{p}",         "_embedding_norm_layer/{p}",            "e"),
    ("electra/embeddings_project/kernel",        "_embedding_projection/kernel",         "e h"),
    ("electra/embeddings_project/bias",          "_embedding_projection/bias",           "h"),
    ("electra/pooler/dense/kernel",              "_pooler_layer/kernel",                 "h k"),
    ("electra/pooler/dense/bias",                "_pooler_layer/bias",                   "k"),
), each=(
    Each(
        "electra/encoder/layer_{n}/", "_transformer_layers/{n}/", BLOCK_ROWS, aliases=BLOCK_ALIASES,
        field="num_hidden_layers", not_zeros=BLOCK_NOT_ZEROS,
    ),
), aliases=ENCODER_PART.aliases, order=CONTAINERS, optional=("electra/embeddings_project/",), equal=(
    ("electra/embeddings_project/", "embedding_size", "hidden_size"),
))
GENERATOR_PART = Part(rows=(
    ("generator/embeddings/word_embeddings",       "_embedding_layer/embeddings",          "v w"),
    ("generator/embeddings/position_embeddings",   "_position_embedding_layer/embeddings", "p w"),
    ("generator/embeddings/token_type_embeddings", "_type_embedding_layer/embeddings",     "t w"),
    ("generator/embeddings/LayerNorm/{p}",         "_embedding_norm_layer/{p}",            "w"),
    ("generator/embeddings_project/kernel",        "_embedding_projection/kernel",         "w g"),
    ("generator/embeddings_project/bias",          "_embedding_projection/bias",           "g"),
    ("generator/pooler/dense/kernel",              "_pooler_layer/kernel",                 "g j"),
    ("generator/pooler/dense/bias",                "_pooler_layer/bias",                   "j"),
), each=(
    Each(
        "generator/encoder/layer_{n}/", "_transformer_layers/{n}/", GENERATOR_BLOCK_ROWS, aliases=BLOCK_ALIASES,
        field="generator_num_hidden_layers", not_zeros=BLOCK_NOT_ZEROS,
    ),
), aliases=ENCODER_PART.aliases, order=CONTAINERS, optional=("generator/embeddings_project/",), equal=(
    ("generator/embeddings_project/", "generator_embedding_size", "generator_hidden_size"),
))
MASKED_LM = Part(rows=(
    ("generator_predictions/dense/kernel",  "dense/kernel",      "g w"),
    ("generator_predictions/dense/bias",    "dense/bias",        "w"),
    ("generator_predictions/LayerNorm/{p}", "layer_norm/{p}",    "w"),
    ("generator_predictions/output_bias",   "output_bias.Sbias", "v"),
), aliases=(
    ("bias", "output_bias.Sbias"),
), not_zeros=(
    NotZeros(AT_A_NORM, ("generator_predictions/dense/kernel", "generator_predictions/dense/bias")),
))
HEADS = Part(rows=(
    ("generator_classification/dense/kernel",      "classification/dense/kernel",     "g j"),
    ("generator_classification/dense/bias",        "classification/dense/bias",       "j"),
    ("generator_classification/out_proj/kernel",   "classification/out_proj/kernel",  "g c"),
    ("generator_classification/out_proj/bias",     "classification/out_proj/bias",    "c"),
    ("discriminator_predictions/dense/kernel",     "discriminator_projection/kernel", "h k"),
    ("discriminator_predictions/dense/bias",       "discriminator_projection/bias",   "k"),
    ("discriminator_predictions/dense_1/kernel",   "discriminator_head/kernel",       "h o"),
    ("discriminator_predictions/dense_1/bias",     "discriminator_head/bias",         "o"),
), not_zeros=(
    NotZeros(IN_A_ROW, (
        "discriminator_predictions/dense/kernel", "discriminator_predictions/dense/bias",
        "discriminator_predictions/dense_1/kernel",
    )),
))

ENCODER_CALL = Call("encoder", GARDEN, "networks.BertEncoder", (
    ("vocab_size",          SizeOf("vocab_size")),
    ("embedding_width",     SizeOf("embedding_size")),
    ("hidden_size",         SizeOf("hidden_size")),
    ("num_layers",          SizeOf("num_hidden_layers")),
    ("num_attention_heads", SizeOf("num_attention_heads")),
    ("inner_dim",           SizeOf("intermediate_size")),
    ("inner_activation",    ActivationOf(GELU)),
    ("output_dropout",      FactOf("hidden_dropout_prob", 0.1)),
    ("attention_dropout",   FactOf("attention_probs_dropout_prob", 0.1)),
    ("max_sequence_length", SizeOf("max_position_embeddings")),
    ("type_vocab_size",     SizeOf("type_vocab_size")),
    ("dict_outputs",        Always(True)),
))
GENERATOR_CALL = Call("generator", GARDEN, "networks.BertEncoder", (
    ("vocab_size",          SizeOf("vocab_size")),
    ("embedding_width",     SizeOf("generator_embedding_size")),
    ("hidden_size",         SizeOf("generator_hidden_size")),
    ("num_layers",          SizeOf("generator_num_hidden_layers")),
    ("num_attention_heads", SizeOf("generator_num_attention_heads")),
    ("inner_dim",           SizeOf("generator_intermediate_size")),
    ("inner_activation",    ActivationOf(GELU, "generator_hidden_act")),
    ("output_dropout",      FactOf("generator_hidden_dropout_prob", 0.1)),
    ("attention_dropout",   FactOf("generator_attention_probs_dropout_prob", 0.1)),
    ("max_sequence_length", SizeOf("max_position_embeddings")),
    ("type_vocab_size",     SizeOf("type_vocab_size")),
    ("dict_outputs",        Always(True)),
))
TIED_GENERATOR_CALL = GENERATOR_CALL._replace(arguments=(
    *GENERATOR_CALL.arguments,
    ("embedding_layer",     Code("encoder.get_embedding_layer()")),
))
FIRST_CALL = """\
ids, positions = tf.zeros((1, 8), tf.int32), tf.zeros((1, 1), tf.int32)
words = {"input_word_ids": ids, "input_mask": ids + 1, "input_type_ids": ids}
masked = {"masked_lm_positions": positions, "masked_lm_ids": positions, "masked_lm_weights": tf.zeros((1, 1))}
model(words | masked)  # makes the variables"""
PRETRAINER_CALL = Call("model", GARDEN, "models.ElectraPretrainer", (
    ("generator_network",     Code("generator")),
    ("discriminator_network", Code("encoder")),
    ("vocab_size",            SizeOf("vocab_size")),
    ("num_classes",           SizeOf("num_classes")),
    ("num_token_predictions", Chosen()),
    ("mlm_activation",        ActivationOf("None")),
), first_call=FIRST_CALL)

PRETRAINER = ObjectRows(
    "pretrainer", ELECTRA,
    about="ElectraPretrainer: discriminator, generator, both heads; ``fill`` for poolers and the classification head",
    model="model",
    parts=(
        Placed(DISCRIMINATOR, "discriminator_network"),
        Placed(GENERATOR_PART, "generator_network"),
        Placed(MASKED_LM, "masked_lm"),
        Placed(HEADS),
    ),
    edges=(
        ("encoder", "model/discriminator_network"),
        ("model/masked_lm/embedding_table", "model/generator_network/_embedding_layer/embeddings"),
    ),
    roots=("",),
    drops=(TASK_HEADS,),
    placeholders=SAVE_COUNTER,
    calls=(ENCODER_CALL, GENERATOR_CALL, PRETRAINER_CALL),
)
PRETRAINER_TIED = PRETRAINER._replace(
    name="pretrainer-tied",
    about="ElectraPretrainer with tie_embeddings=True: one word table; ``fill`` for poolers and the classification head",
    shared=(Shared("generator_network/_embedding_layer", "discriminator_network/_embedding_layer", "pretrainer"),),
    calls=(ENCODER_CALL, TIED_GENERATOR_CALL, PRETRAINER_CALL),
)
ENCODER = ObjectRows(
    "encoder", ELECTRA,
    about="the discriminator as BertEncoder, embedding_width as the source has it; ``fill`` for the pooler",
    model="encoder",
    parts=(Placed(DISCRIMINATOR),),
    roots=("model", ""),
    drops=(GENERATOR_NETWORK, DISCRIMINATOR_HEAD, TASK_HEADS),
    placeholders=SAVE_COUNTER,
    calls=(ENCODER_CALL,),
)
GENERATOR = ObjectRows(
    "generator", ELECTRA,
    about="the generator as BertEncoder, with the embeddings that it shares; ``fill`` for the pooler",
    model="encoder",
    parts=(Placed(GENERATOR_PART),),
    roots=("model", ""),
    drops=(DISCRIMINATOR_NETWORK, MASKED_LM_HEAD, TASK_HEADS),
    placeholders=SAVE_COUNTER,
    calls=(GENERATOR_CALL,),
)
# fmt: on
