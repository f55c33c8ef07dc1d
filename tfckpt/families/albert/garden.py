"""ALBERT: google-research/albert variables, and where Model Garden's AlbertEncoder and the heads over it keep them.

Rows as in `bert`, with e for the width of the embeddings. All layers share one block: neither names nor shapes tell how many
there are. Its two versions differ in dropout and activation, not in variables. The embeddings are projected to the hidden
size only where that is another one.

Source: google-research/albert modeling.py, run_pretraining.py, classifier_utils.py, squad_utils.py (hub names);
official/nlp/modeling/networks/albert_encoder.py (paths, calls), and those of `bert` for the heads.
"""

from __future__ import annotations

from tfckpt.families.albert.order import ORDER
from tfckpt.families.bert import garden as bert
from tfckpt.families.language.calls import GELU, ActivationOf, Call, FactOf, SizeOf
from tfckpt.families.language.family import Drop, Family
from tfckpt.families.language.layouts import Placed
from tfckpt.families.language.relatives import OwnNorms, Relative
from tfckpt.families.language.rules import NotZeros, Part, Row

BLOCK = "bert/encoder/transformer/group_0/inner_group_0"
PROJECTION = "bert/encoder/embedding_hidden_mapping_in/"
SHARED = "<transformer>"  # the block has no edge by an attribute's name

SEVERAL_GROUPS = Drop(
    "several groups of layers, and no target holds them: Model Garden's AlbertEncoder has one block for all layers",
    ("bert/encoder/transformer/group_[1-9]*", "bert/encoder/transformer/group_0/inner_group_[1-9]*"),
)

# google-research/albert#241: norms made under TensorFlow 2 are called layer_normalization_N, one pair for each layer.
OWN_NORMS = Relative(
    OwnNorms((f"{BLOCK}/LayerNorm/", f"{BLOCK}/LayerNorm_1/"), "bert/encoder/"),
    "each layer has norms of its own, and shares all else ({found})",
    "ALBERTs trained by code that makes the norms anew for each layer",
)

# fmt: off
BLOCK_ROWS: tuple[Row, ...] = (
    ("attention_1/self/{qkv}/kernel",          "_attention_layer/_{qkv}_dense/kernel",  "h (a d) -> h a d"),
    ("attention_1/self/{qkv}/bias",            "_attention_layer/_{qkv}_dense/bias",    "(a d) -> a d"),
    ("attention_1/output/dense/kernel",        "_attention_layer/_output_dense/kernel", "(a d) h -> a d h"),
    ("attention_1/output/dense/bias",          "_attention_layer/_output_dense/bias",   "h"),
    ("LayerNorm/{p}",                          "_attention_layer_norm/{p}",             "h"),
    ("ffn_1/intermediate/dense/kernel",        "_intermediate_dense/kernel",            "h f"),
    ("ffn_1/intermediate/dense/bias",          "_intermediate_dense/bias",              "f"),
    ("ffn_1/intermediate/output/dense/kernel", "_output_dense/kernel",                  "f h"),
    ("ffn_1/intermediate/output/dense/bias",   "_output_dense/bias",                    "h"),
    ("LayerNorm_1/{p}",                        "_output_layer_norm/{p}",                "h"),
)
BLOCK_NOT_ZEROS = (
    NotZeros(bert.IN_A_ROW, (
        "attention_1/self/query/kernel", "attention_1/self/query/bias", "attention_1/self/key/kernel",
        "attention_1/self/key/bias",
    )),
    NotZeros(bert.IN_A_ROW, (
        "attention_1/self/value/kernel", "attention_1/self/value/bias", "attention_1/output/dense/kernel",
    )),
    NotZeros(bert.IN_A_ROW, (
        "ffn_1/intermediate/dense/kernel", "ffn_1/intermediate/dense/bias", "ffn_1/intermediate/output/dense/kernel",
    )),
)

ENCODER_PART = Part(rows=(
    ("bert/embeddings/word_embeddings",       "_embedding_layer/embeddings",          "v e"),
    ("bert/embeddings/position_embeddings",   "_position_embedding_layer/embeddings", "p e"),
    ("bert/embeddings/token_type_embeddings", "<type_embeddings>/embeddings",         "t e"),
    ("bert/embeddings/LayerNorm/{p}",         "<layer_norm>/{p}",                     "e"),
    (f"{PROJECTION}kernel",                   "<embedding_projection>/kernel",        "e h"),
    (f"{PROJECTION}bias",                     "<embedding_projection>/bias",          "h"),
    *((f"{BLOCK}/{name}", f"{SHARED}/{path}", axes) for name, path, axes in BLOCK_ROWS),
    ("bert/pooler/dense/kernel",              "<pooler_transform>/kernel",            "h k"),
    ("bert/pooler/dense/bias",                "<pooler_transform>/bias",              "k"),
), aliases=(
    ("_position_embedding_layer/_position_embeddings", "_position_embedding_layer/embeddings"),
    *((f"{SHARED}/{alias}", f"{SHARED}/{path}") for alias, path in bert.BLOCK_ALIASES),
), order=(
    "_embedding_layer", "_position_embedding_layer", "<type_embeddings>", "<layer_norm>",
    "<embedding_projection>", SHARED, "<pooler_transform>",
), optional=(PROJECTION,), equal=((PROJECTION, "embedding_size", "hidden_size"),), not_zeros=tuple(
    item.under(f"{BLOCK}/") for item in BLOCK_NOT_ZEROS
))

MASKED_LM = Part(rows=(
    ("cls/predictions/transform/dense/kernel",  "dense/kernel",      "h e"),
    ("cls/predictions/transform/dense/bias",    "dense/bias",        "e"),
    ("cls/predictions/transform/LayerNorm/{p}", "layer_norm/{p}",    "e"),
    ("cls/predictions/output_bias",             "output_bias.Sbias", "v"),
), aliases=bert.MASKED_LM.aliases, not_zeros=bert.MASKED_LM.not_zeros)

ENCODER_CALL = Call("encoder", bert.GARDEN, "networks.AlbertEncoder", (
    ("vocab_size",             SizeOf("vocab_size")),
    ("embedding_width",        SizeOf("embedding_size")),
    ("hidden_size",            SizeOf("hidden_size")),
    ("num_layers",             SizeOf("num_hidden_layers")),
    ("num_attention_heads",    SizeOf("num_attention_heads")),
    ("max_sequence_length",    SizeOf("max_position_embeddings")),
    ("type_vocab_size",        SizeOf("type_vocab_size")),
    ("intermediate_size",      SizeOf("intermediate_size")),
    ("activation",             ActivationOf(GELU)),
    ("dropout_rate",           FactOf("hidden_dropout_prob", 0.1)),
    ("attention_dropout_rate", FactOf("attention_probs_dropout_prob", 0.1)),
))
# fmt: on

# google-research/albert calls it as BERT does its next-sentence head; the labels mean whether two segments are in order.
SENTENCE_ORDER_HEAD = Drop("sentence-order head", bert.NEXT_SENTENCE_HEAD.patterns)
SQUAD2_HEAD = Drop("question-answering head of SQuAD 2.0", ("start_logits/*", "end_logits/*", "answer_class/*"))
PRETRAINING_HEADS = (bert.MASKED_LM_HEAD, SENTENCE_ORDER_HEAD)
TASK_HEADS = (bert.SPAN_HEAD, bert.CLASS_HEAD, SQUAD2_HEAD)

ALBERT = Family(
    "ALBERT",
    f"{BLOCK}/attention_1/self/query/kernel",
    bert.SIZES | {"e": "embedding_size"},
    only={"num_hidden_groups": 1, "inner_group_num": 1},
    refuses=(SEVERAL_GROUPS,),
    heads=(*PRETRAINING_HEADS, *TASK_HEADS),
    activations=bert.BERT.activations,
    activation="gelu",
    config_files=("albert_config.json", "config.json"),
    defaults=(bert.SPAN_OUTPUTS,),
    look_alikes=(("classifier", "token-classifier"),),
    order=ORDER,
    relatives=(OWN_NORMS,),
)

ENCODER = bert.ENCODER._replace(
    family=ALBERT,
    about="Model Garden's AlbertEncoder",
    parts=(Placed(ENCODER_PART),),
    drops=(*PRETRAINING_HEADS, *TASK_HEADS),
    calls=(ENCODER_CALL,),
)
PRETRAINER = bert.PRETRAINER._replace(
    family=ALBERT,
    about="BertPretrainerV2 over an AlbertEncoder: masked-LM head, and the sentence-order head if the source has one",
    parts=(
        Placed(bert.POOLER_COPY, "classification_heads/0/dense", only_with="cls/seq_relationship/output_weights"),
        Placed(ENCODER_PART, "encoder_network"),
        Placed(MASKED_LM, "masked_lm"),
        Placed(bert.NEXT_SENTENCE, "classification_heads/0/out_proj", only_with="cls/seq_relationship/output_weights"),
    ),
    drops=TASK_HEADS,
    calls=(ENCODER_CALL, bert.NEXT_SENTENCE_CALL, bert.PRETRAINER_CALL),
)
CLASSIFIER = bert.CLASSIFIER._replace(
    family=ALBERT,
    about="BertClassifier over an AlbertEncoder, from run_classifier's head: output_weights, output_bias",
    parts=(Placed(ENCODER_PART, "layer_with_weights-0"), Placed(bert.POOLED_CLASSES, "layer_with_weights-1/out_proj")),
    drops=(*PRETRAINING_HEADS, bert.SPAN_HEAD, SQUAD2_HEAD),
    calls=(ENCODER_CALL, bert.CLASSIFIER_CALL),
)
SPAN_LABELER = bert.SPAN_LABELER._replace(
    family=ALBERT,
    about="BertSpanLabeler over an AlbertEncoder, from run_squad_v1's head: cls/squad",
    parts=(
        Placed(ENCODER_PART, "layer_with_weights-0"),
        Placed(bert.SPANS, "layer_with_weights-1/layer_with_weights-0"),
    ),
    drops=(*PRETRAINING_HEADS, bert.CLASS_HEAD, SQUAD2_HEAD),
    calls=(ENCODER_CALL, bert.SPAN_LABELER_CALL),
)
TOKEN_CLASSIFIER = bert.TOKEN_CLASSIFIER._replace(
    family=ALBERT,
    about="BertTokenClassifier over an AlbertEncoder, from a token head: output_weights, output_bias",
    parts=(Placed(ENCODER_PART, "layer_with_weights-0"), Placed(bert.CLASSES, "layer_with_weights-1")),
    drops=(*PRETRAINING_HEADS, bert.SPAN_HEAD, SQUAD2_HEAD),
    calls=(ENCODER_CALL, bert.TOKEN_CLASSIFIER_CALL),
)
