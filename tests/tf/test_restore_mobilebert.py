"""MobileBERT restored by Model Garden's own classes: every variable bit for bit, and what they compute."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.garden import clear, read_config
from support.numpy_bert import masked_lm_logits
from support.numpy_mobilebert import mobilebert

import tfckpt

pytestmark = pytest.mark.tf

DATA = Path(__file__).parents[1] / "data"
SOURCES = {name: DATA / f"mobilebert_{name}_tf115" for name in ("student", "teacher")}
NORMS = {"no_norm": "FakeLayerNorm", "layer_norm": "LayerNorm"}
TF1_NAMES = (  # of MobileBERTEncoder's variables, and of google-research's
    (r"mobile_bert_embedding(?:_\d+)?/(word|position)_embedding/embeddings", r"bert/embeddings/\1_embeddings"),
    (r"mobile_bert_embedding(?:_\d+)?/type_embedding/embeddings", r"bert/embeddings/token_type_embeddings"),
    (r"mobile_bert_embedding(?:_\d+)?/embedding_projection/", r"bert/embeddings/embedding_transformation/"),
    (r"mobile_bert_embedding(?:_\d+)?/embedding_norm/", r"bert/embeddings/NORM/"),
    (r"^pooler/", r"bert/pooler/dense/"),
    (r"^transformer_layer_", r"bert/encoder/layer_"),
    (r"/bottleneck_input/norm/", r"/bottleneck/input/NORM/"),
    (r"/bottleneck_input/dense/", r"/bottleneck/input/dense/"),
    (r"/kq_shared_bottleneck/norm/", r"/bottleneck/attention/NORM/"),
    (r"/kq_shared_bottleneck/dense/", r"/bottleneck/attention/dense/"),
    (r"/bottleneck_output/norm/", r"/output/bottleneck/NORM/"),
    (r"/bottleneck_output/dense/", r"/output/bottleneck/dense/"),
    (r"/attention/norm/", r"/attention/output/NORM/"),
    (r"/attention/attention_output/", r"/attention/output/dense/"),
    (r"/attention/(query|key|value)/", r"/attention/self/\1/"),
    (r"/(ffn_layer_\d+)/(intermediate|output)_dense/", r"/\1/\2/dense/"),
    (r"/(ffn_layer_\d+)/norm/", r"/\1/output/NORM/"),
)


def make_pretrainer(config: dict[str, Any]) -> Any:
    """Return what `create_mobilebert_pretrainer` means to build: that one fails, for the name of Keras that it lacks."""
    import tensorflow as tf
    from official.modeling import tf_utils
    from official.nlp.modeling import layers, models, networks

    activation = tf_utils.get_activation(config["hidden_act"])
    encoder = networks.MobileBERTEncoder(
        word_vocab_size=config["vocab_size"],
        word_embed_size=config["embedding_size"],
        type_vocab_size=config["type_vocab_size"],
        max_sequence_length=config["max_position_embeddings"],
        num_blocks=config["num_hidden_layers"],
        hidden_size=config["hidden_size"],
        num_attention_heads=config["num_attention_heads"],
        intermediate_size=config["intermediate_size"],
        intermediate_act_fn=activation,
        intra_bottleneck_size=config["intra_bottleneck_size"],
        use_bottleneck_attention=config.get("use_bottleneck_attention", False),
        key_query_shared_bottleneck=config["key_query_shared_bottleneck"],
        num_feedforward_networks=config["num_feedforward_networks"],
        normalization_type=config["normalization_type"],
        classifier_activation=config["classifier_activation"],
    )
    head = layers.MobileBertMaskedLM(
        embedding_table=encoder.get_embedding_table(), activation=activation, name="cls/predictions"
    )
    model = models.BertPretrainerV2(encoder_network=encoder, customized_masked_lm=head)
    model.masked_lm(tf.zeros((1, 10, config["hidden_size"])), tf.zeros((1, 3), tf.int32))  # makes the head's variables
    return model


class Case:
    """One source, and Model Garden's model of its form."""

    def __init__(self, name: str, directory: Path) -> None:
        self.config = read_config(SOURCES[name] / "bert_config.json")
        self.model = make_pretrainer(self.config)
        self.encoder = self.model.encoder_network
        self.converted = {to: str(directory / to) for to in ("encoder", "pretrainer")}
        source = SOURCES[name] / "model.ckpt-3"
        for to, dest in self.converted.items():
            tfckpt.convert(source, dest, to=to)
        with tfckpt.open(source) as checkpoint:
            self.weights = {n: v.copy() for n, v in checkpoint.items() if "/adam_" not in n}
        with np.load(SOURCES[name] / "ref.npz") as ref:
            self.ref = dict(ref)

    def tf1_name(self, variable: Any) -> str:
        """Return the TF1 variable that belongs into one of the encoder's."""
        name = str(variable.name).removesuffix(":0")
        for pattern, replacement in TF1_NAMES:
            name = re.sub(pattern, replacement, name)
        last = f"/ffn_layer_{self.config['num_feedforward_networks'] - 1}/"
        return name.replace(last, "/").replace("NORM", NORMS[self.config["normalization_type"]])

    def assert_encoder(self) -> None:
        """Check every variable of the encoder, bit for bit."""
        names = [self.tf1_name(variable) for variable in self.encoder.variables]
        assert sorted(names) == sorted(name for name in self.weights if name.startswith("bert/"))
        for name, variable in zip(names, self.encoder.variables, strict=True):
            np.testing.assert_array_equal(variable.numpy(), self.weights[name].reshape(variable.shape), name)

    def assert_head(self) -> None:
        """Check every variable of the masked-LM head, bit for bit."""
        head, scope = self.model.masked_lm, "cls/predictions"
        for variable, name in (
            (head.dense.kernel, "transform/dense/kernel"),
            (head.dense.bias, "transform/dense/bias"),
            (head.layer_norm.gamma, "transform/LayerNorm/gamma"),
            (head.layer_norm.beta, "transform/LayerNorm/beta"),
            (head.extra_output_weights, "extra_output_weights"),
            (head.bias, "output_bias"),
        ):
            np.testing.assert_array_equal(variable.numpy(), self.weights[f"{scope}/{name}"], name)


@pytest.fixture(scope="module", params=SOURCES)
def case(request: pytest.FixtureRequest, tf: Any, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(request.param, tmp_path_factory.mktemp(request.param))


@pytest.mark.parametrize("method", ["read", "restore"])
@pytest.mark.parametrize("items", [("model",), ("encoder",), ("model", "encoder")], ids="+".join)
def test_an_encoder_restores_however_it_is_asked_for(tf: Any, case: Case, items: tuple[str, ...], method: str) -> None:
    clear(case.encoder)
    checkpoint = tf.train.Checkpoint(**dict.fromkeys(items, case.encoder))
    status = getattr(checkpoint, method)(case.converted["encoder"])
    status.assert_consumed()
    status.assert_existing_objects_matched()
    case.assert_encoder()


def test_an_encoder_restores_as_the_root(tf: Any, case: Case) -> None:
    clear(case.encoder)
    status = tf.train.Checkpoint(root=case.encoder).read(case.converted["encoder"])
    status.assert_consumed()
    status.assert_existing_objects_matched()
    case.assert_encoder()


@pytest.mark.parametrize("method", ["read", "restore"])
@pytest.mark.parametrize("with_items", [True, False])
def test_a_pretrainer_restores_with_its_items_and_without(tf: Any, case: Case, with_items: bool, method: str) -> None:
    clear(case.model)
    items = case.model.checkpoint_items if with_items else {}
    status = getattr(tf.train.Checkpoint(model=case.model, **items), method)(case.converted["pretrainer"])
    status.assert_consumed()
    status.assert_existing_objects_matched()
    case.assert_encoder()
    case.assert_head()


@pytest.mark.parametrize("kind", ["out", "fullmask"])
def test_outputs_are_those_of_the_model_under_tensorflow_1_and_numpys(tf: Any, case: Case, kind: str) -> None:
    tf.train.Checkpoint(model=case.model).read(case.converted["pretrainer"]).assert_consumed()
    ref = case.ref
    mask = ref["mask"] if kind == "out" else np.ones_like(ref["mask"])
    outputs = case.encoder({"input_word_ids": ref["ids"], "input_mask": mask, "input_type_ids": ref["typ"]})
    logits = case.model.masked_lm(outputs["sequence_output"], tf.constant(ref["pos"]))
    expected = mobilebert(case.weights, case.config, ref["ids"], mask, ref["typ"])
    words = masked_lm_logits(case.weights, case.config, expected.sequence, ref["pos"])
    for ours, numpys, name in (
        (outputs["sequence_output"], expected.sequence, "seq"),
        (outputs["pooled_output"], expected.pooled, "pooled"),
        (logits, words, "mlm_logits"),
    ):
        np.testing.assert_allclose(ours, numpys, rtol=0, atol=1e-5)
        np.testing.assert_allclose(ours, ref[f"{kind}_{name}"].reshape(np.shape(ours)), rtol=0, atol=1e-5)
