"""BERT: google-research/bert variables, Model Garden's models, and the names of its 2019 release.

A row is (hub name, path, axes). Axes are einops patterns and they run: they check the source's shape, then reshape or
transpose. v vocabulary, p positions, t segment types, h and k hidden, a heads, d = h / a, f feed-forward, c classes; {p} is
gamma or beta, {qkv} is query, key or value, {kb} is kernel or bias.

Source: google-research/bert modeling.py, run_pretraining.py, run_classifier.py, run_squad.py (hub names);
official/nlp/modeling/networks/bert_encoder.py, encoder_scaffold.py, layers/transformer_encoder_block.py, layers/masked_lm.py,
models/bert_pretrainer.py, bert_classifier.py, bert_span_labeler.py, bert_token_classifier.py (paths, calls);
official/legacy/bert/bert_models.py, configs.py (the calls of ``pretrain-model``);
official/nlp/bert/tf1_checkpoint_converter_lib.py of tf-models-official 0.0.3.dev1 (the 2019 names).
"""

from __future__ import annotations

from tfckpt.families.bert.order import ORDER
from tfckpt.families.bert.relatives import RELATIVES
from tfckpt.families.language.calls import (
    ACTIVATIONS,
    CALL_ONCE,
    GELU,
    ActivationOf,
    Always,
    Call,
    Chosen,
    Code,
    FactOf,
    LengthOf,
    SizeOf,
)
from tfckpt.families.language.family import Drop, Family
from tfckpt.families.language.layouts import ObjectRows, Placed, Substitutions
from tfckpt.families.language.rules import Each, NotZeros, Part

SIZES = {
    "a": "num_attention_heads",
    "f": "intermediate_size",
    "h": "hidden_size",
    "k": "hidden_size",
    "p": "max_position_embeddings",
    "s": "span_outputs",
    "t": "type_vocab_size",
    "v": "vocab_size",
}

MASKED_LM_HEAD = Drop("masked-LM head", ("cls/predictions/*",))
NEXT_SENTENCE_HEAD = Drop("next-sentence head", ("cls/seq_relationship/*",))
SPAN_HEAD = Drop("question-answering head", ("cls/squad/*",))
CLASS_HEAD = Drop("classification head", ("output_weights", "output_bias"))
PRETRAINING_HEADS = (MASKED_LM_HEAD, NEXT_SENTENCE_HEAD)
TASK_HEADS = (SPAN_HEAD, CLASS_HEAD)

SPAN_OUTPUTS = ("span_outputs", 2, "a span labeler has a start and an end")

BERT = Family(
    "BERT",
    "bert/embeddings/word_embeddings",
    SIZES,
    heads=(*PRETRAINING_HEADS, *TASK_HEADS),
    activations=ACTIVATIONS,
    activation="gelu",
    config_files=("bert_config.json", "config.json"),
    defaults=(SPAN_OUTPUTS,),
    head_size=64,  # of all that google-research/bert released, from 128 wide with 2 heads to 1,024 with 16
    look_alikes=(("classifier", "token-classifier", "classifier-own-pooler"),),
    order=ORDER,
    relatives=RELATIVES,
)

IN_A_ROW = "each has its gradient through the others, and zeros let none through"
# A norm divides by how far values lie apart, and equal ones by the root of its epsilon, which is 1e-12.
AT_A_NORM = "a norm comes next: zeros let no gradient through, and their own is up to a million times too large"

# fmt: off
BLOCK_ROWS = (
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
)
BLOCK_NOT_ZEROS = (
    NotZeros(IN_A_ROW, (
        "attention/self/query/kernel", "attention/self/query/bias", "attention/self/key/kernel", "attention/self/key/bias",
    )),
    NotZeros(IN_A_ROW, (
        "attention/self/value/kernel", "attention/self/value/bias", "attention/output/dense/kernel",
    )),
    NotZeros(IN_A_ROW, ("intermediate/dense/kernel", "intermediate/dense/bias", "output/dense/kernel")),
)
BLOCK_ALIASES = (
    ("_attention_layer_norm_kv", "_attention_layer_norm"),
    ("_attention_output_dense", "_attention_layer/_output_dense"),  # where Model Garden 2.2 has it
)

ENCODER_PART = Part(rows=(
    ("bert/embeddings/word_embeddings",       "_embedding_layer/embeddings",          "v h"),
    ("bert/embeddings/position_embeddings",   "_position_embedding_layer/embeddings", "p h"),
    ("bert/embeddings/token_type_embeddings", "_type_embedding_layer/embeddings",     "t h"),
    ("bert/embeddings/LayerNorm/{p}",         "_embedding_norm_layer/{p}",            "h"),
    ("bert/pooler/dense/kernel",              "_pooler_layer/kernel",                 "h k"),
    ("bert/pooler/dense/bias",                "_pooler_layer/bias",                   "k"),
), each=(
    Each(
        "bert/encoder/layer_{n}/", "_transformer_layers/{n}/", BLOCK_ROWS, aliases=BLOCK_ALIASES, field="num_hidden_layers",
        not_zeros=BLOCK_NOT_ZEROS,
    ),
), aliases=(
    ("_position_embedding_layer/_position_embeddings", "_position_embedding_layer/embeddings"),
), order=(
    "_embedding_layer", "_position_embedding_layer", "_type_embedding_layer", "_embedding_norm_layer",
    "_transformer_layers/*", "_pooler_layer",
))

POOLER = ("bert/pooler/dense/kernel", "bert/pooler/dense/bias")
# A head that has a pooler of its own starts from the encoder's, which is idle then: training moves only the head's. So it
# stands before the encoder: on the way back, where TF1 has one pooler, the first is taken.
POOLER_COPY = Part(rows=(
    ("bert/pooler/dense/kernel", "kernel", "h k"),
    ("bert/pooler/dense/bias",   "bias",   "k"),
))
MASKED_LM = Part(rows=(
    ("cls/predictions/transform/dense/kernel",  "dense/kernel",      "h k"),
    ("cls/predictions/transform/dense/bias",    "dense/bias",        "k"),
    ("cls/predictions/transform/LayerNorm/{p}", "layer_norm/{p}",    "h"),
    ("cls/predictions/output_bias",             "output_bias.Sbias", "v"),
), aliases=(
    ("bias", "output_bias.Sbias"),
), not_zeros=(
    NotZeros(AT_A_NORM, ("cls/predictions/transform/dense/kernel", "cls/predictions/transform/dense/bias")),
))
NEXT_SENTENCE = Part(rows=(
    ("cls/seq_relationship/output_weights", "kernel", "c h -> h c"),
    ("cls/seq_relationship/output_bias",    "bias",   "c"),
), not_zeros=(NotZeros(IN_A_ROW, (*POOLER, "cls/seq_relationship/output_weights")),))
SPANS = Part(rows=(
    ("cls/squad/output_weights", "kernel", "s h -> h s"),
    ("cls/squad/output_bias",    "bias",   "s"),
))
CLASSES = Part(rows=(
    ("output_weights", "kernel", "c h -> h c"),
    ("output_bias",    "bias",   "c"),
))
POOLED_CLASSES = CLASSES._replace(not_zeros=(NotZeros(IN_A_ROW, (*POOLER, "output_weights")),))

# What builds the models. The encoders may be BertEncoderV2 as well, but for the first BertPretrainer.
GARDEN = "official.nlp.modeling"
SENTENCES = "cls/seq_relationship/output_weights"
ENCODER_CALL = Call("encoder", GARDEN, "networks.BertEncoder", (
    ("vocab_size",          SizeOf("vocab_size")),
    ("hidden_size",         SizeOf("hidden_size")),
    ("num_layers",          SizeOf("num_hidden_layers")),
    ("num_attention_heads", SizeOf("num_attention_heads")),
    ("inner_dim",           SizeOf("intermediate_size")),
    ("inner_activation",    ActivationOf(GELU)),
    ("output_dropout",      FactOf("hidden_dropout_prob", 0.1)),
    ("attention_dropout",   FactOf("attention_probs_dropout_prob", 0.1)),
    ("max_sequence_length", SizeOf("max_position_embeddings")),
    ("type_vocab_size",     SizeOf("type_vocab_size")),
))
NEXT_SENTENCE_CALL = Call("next_sentence", GARDEN, "layers.ClassificationHead", (
    ("inner_dim",   SizeOf("hidden_size")),
    ("num_classes", LengthOf(SENTENCES)),
    ("name",        Always("next_sentence")),
), only_with=SENTENCES)
PRETRAINER_CALL = Call("model", GARDEN, "models.BertPretrainerV2", (
    ("encoder_network",      Code("encoder")),
    ("mlm_activation",       ActivationOf("None")),
    ("classification_heads", Code("[next_sentence]"), SENTENCES),
), first_call=CALL_ONCE)
BERT_PRETRAINER_CALL = Call("model", GARDEN, "models.BertPretrainer", (
    ("network",               Code("encoder")),
    ("num_classes",           LengthOf(SENTENCES)),
    ("num_token_predictions", Chosen()),
    ("activation",            ActivationOf("None")),
))
CLASSIFIER_CALL = Call("model", GARDEN, "models.BertClassifier", (
    ("network",     Code("encoder")),
    ("num_classes", LengthOf("output_weights", "num_labels")),
))
CLASSIFIER_OWN_POOLER_CALL = Call("model", GARDEN, "models.BertClassifier", (
    *CLASSIFIER_CALL.arguments,
    ("use_encoder_pooler", Always(False)),
))
SPAN_LABELER_CALL = Call("model", GARDEN, "models.BertSpanLabeler", (
    ("network", Code("encoder")),
))
TOKEN_CLASSIFIER_CALL = Call("model", GARDEN, "models.BertTokenClassifier", CLASSIFIER_CALL.arguments)
CONFIG_ARGUMENTS = (
    ("vocab_size",                   SizeOf("vocab_size")),
    ("hidden_size",                  SizeOf("hidden_size")),
    ("num_hidden_layers",            SizeOf("num_hidden_layers")),
    ("num_attention_heads",          SizeOf("num_attention_heads")),
    ("intermediate_size",            SizeOf("intermediate_size")),
    ("hidden_act",                   ActivationOf(GELU)),
    ("hidden_dropout_prob",          FactOf("hidden_dropout_prob", 0.1)),
    ("attention_probs_dropout_prob", FactOf("attention_probs_dropout_prob", 0.1)),
    ("max_position_embeddings",      SizeOf("max_position_embeddings")),
    ("type_vocab_size",              SizeOf("type_vocab_size")),
)
LEGACY_CONFIG_CALL = Call("config", "official.legacy.bert", "configs.BertConfig", CONFIG_ARGUMENTS)
PRETRAIN_MODEL_CALL = Call("model, encoder", "official.legacy.bert", "bert_models.pretrain_model", (
    ("bert_config",             Code("config")),
    ("seq_length",              Chosen()),
    ("max_predictions_per_seq", Chosen()),
))

SAVE_COUNTER = ("save_counter",)  # tf.train.Checkpoint adds it to what it restores; a value would stay unused by read()

ENCODER = ObjectRows(
    "encoder", BERT,
    about="TensorFlow 2, object-based: Model Garden's BertEncoder and BertEncoderV2",
    model="encoder",
    parts=(Placed(ENCODER_PART),),
    roots=("model", ""),
    drops=(*PRETRAINING_HEADS, *TASK_HEADS),
    placeholders=SAVE_COUNTER,
    calls=(ENCODER_CALL,),
)
PRETRAINER = ObjectRows(
    "pretrainer", BERT,
    about="BertPretrainerV2: masked-LM head, and the next-sentence head if the source has one",
    model="model",
    parts=(
        Placed(POOLER_COPY, "classification_heads/0/dense", only_with="cls/seq_relationship/output_weights"),
        Placed(ENCODER_PART, "encoder_network"),
        Placed(MASKED_LM, "masked_lm"),
        Placed(NEXT_SENTENCE, "classification_heads/0/out_proj", only_with="cls/seq_relationship/output_weights"),
    ),
    edges=(
        ("encoder", "model/encoder_network"),
        ("masked_lm", "model/masked_lm"),
        ("next_sentence..pooler_dense", "model/classification_heads/0/dense"),
        ("masked_lm/embedding_table", "encoder/_embedding_layer/embeddings"),
    ),
    roots=("",),
    drops=TASK_HEADS,
    placeholders=SAVE_COUNTER,
    calls=(ENCODER_CALL, NEXT_SENTENCE_CALL, PRETRAINER_CALL),
)
BERT_PRETRAINER = ObjectRows(
    "bert-pretrainer", BERT,
    about="BertPretrainer (the first one): both pre-training heads",
    model="model",
    parts=(
        Placed(ENCODER_PART, "layer_with_weights-0"),
        Placed(NEXT_SENTENCE, "layer_with_weights-1/layer_with_weights-0"),
        Placed(MASKED_LM, "layer_with_weights-2"),
    ),
    edges=(
        ("model/encoder", "model/layer_with_weights-0"),
        ("model/classification", "model/layer_with_weights-1"),
        ("model/masked_lm", "model/layer_with_weights-2"),
        ("model/masked_lm/embedding_table", "model/encoder/_embedding_layer/embeddings"),
    ),
    roots=("",),
    drops=TASK_HEADS,
    placeholders=SAVE_COUNTER,
    calls=(ENCODER_CALL, BERT_PRETRAINER_CALL),
)
PRETRAIN_MODEL = ObjectRows(
    "pretrain-model", BERT,
    about="pretrain_model of official.legacy.bert.bert_models: a BertPretrainer with its loss",
    model="model",
    parts=(
        Placed(ENCODER_PART, "layer_with_weights-0/layer_with_weights-0"),
        Placed(NEXT_SENTENCE, "layer_with_weights-0/layer_with_weights-1/layer_with_weights-0"),
        Placed(MASKED_LM, "layer_with_weights-0/layer_with_weights-2"),
    ),
    edges=(
        ("model/layer_with_weights-0/encoder", "model/layer_with_weights-0/layer_with_weights-0"),
        ("model/layer_with_weights-0/classification", "model/layer_with_weights-0/layer_with_weights-1"),
        ("model/layer_with_weights-0/masked_lm", "model/layer_with_weights-0/layer_with_weights-2"),
        (
            "model/layer_with_weights-0/masked_lm/embedding_table",
            "model/layer_with_weights-0/encoder/_embedding_layer/embeddings",
        ),
    ),
    roots=("",),
    drops=TASK_HEADS,
    placeholders=SAVE_COUNTER,
    calls=(LEGACY_CONFIG_CALL, PRETRAIN_MODEL_CALL),
)
CLASSIFIER = ObjectRows(
    "classifier", BERT,
    about="BertClassifier, from run_classifier's head: output_weights, output_bias",
    model="model",
    parts=(Placed(ENCODER_PART, "layer_with_weights-0"), Placed(POOLED_CLASSES, "layer_with_weights-1/out_proj")),
    edges=(("model/_network", "model/layer_with_weights-0"), ("model/classifier", "model/layer_with_weights-1")),
    roots=("",),
    drops=(*PRETRAINING_HEADS, SPAN_HEAD),
    placeholders=SAVE_COUNTER,
    calls=(ENCODER_CALL, CLASSIFIER_CALL),
)
CLASSIFIER_OWN_POOLER = ObjectRows(
    "classifier-own-pooler", BERT,
    about="BertClassifier(use_encoder_pooler=False): its head has a pooler of its own, a copy of the encoder's",
    model="model",
    parts=(
        Placed(POOLER_COPY, "layer_with_weights-1/dense"),
        Placed(ENCODER_PART, "layer_with_weights-0"),
        Placed(POOLED_CLASSES, "layer_with_weights-1/out_proj"),
    ),
    edges=(
        ("encoder", "model/layer_with_weights-0"),
        ("sentence_prediction..pooler_dense", "model/layer_with_weights-1/dense"),
        ("model/_network", "model/layer_with_weights-0"),
        ("model/classifier", "model/layer_with_weights-1"),
    ),
    roots=("",),
    drops=(*PRETRAINING_HEADS, SPAN_HEAD),
    placeholders=SAVE_COUNTER,
    calls=(ENCODER_CALL, CLASSIFIER_OWN_POOLER_CALL),
)
SPAN_LABELER = ObjectRows(
    "span-labeler", BERT,
    about="BertSpanLabeler, from run_squad's head: cls/squad",
    model="model",
    parts=(Placed(ENCODER_PART, "layer_with_weights-0"), Placed(SPANS, "layer_with_weights-1/layer_with_weights-0")),
    edges=(("model/_network", "model/layer_with_weights-0"), ("model/span_labeling", "model/layer_with_weights-1")),
    roots=("",),
    drops=(*PRETRAINING_HEADS, CLASS_HEAD),
    placeholders=SAVE_COUNTER,
    calls=(ENCODER_CALL, SPAN_LABELER_CALL),
)
TOKEN_CLASSIFIER = ObjectRows(
    "token-classifier", BERT,
    about="BertTokenClassifier, from the token head of named-entity taggers: output_weights, output_bias",
    model="model",
    parts=(Placed(ENCODER_PART, "layer_with_weights-0"), Placed(CLASSES, "layer_with_weights-1")),
    edges=(("model/_network", "model/layer_with_weights-0"), ("model/classifier", "model/layer_with_weights-1")),
    roots=("",),
    drops=(*PRETRAINING_HEADS, SPAN_HEAD),
    placeholders=SAVE_COUNTER,
    calls=(ENCODER_CALL, TOKEN_CLASSIFIER_CALL),
)

KERAS = Substitutions(
    "keras",
    about="name-based, bert_model/...: tf1_to_keras_checkpoint_converter.py of 2019",
    of=BERT,
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
