"""ELECTRA restored by Model Garden's own classes: every variable bit for bit, and what they compute."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import numpy_electra
from support.electra import FORMS, assert_network, electra_form, make_network
from support.garden import clear, read_config

import tfckpt

pytestmark = pytest.mark.tf

DATA = Path(__file__).parents[1] / "data"
SOURCES = {
    "encoder": DATA / "electra_tf115",
    "generator": DATA / "electra_tf115",
    "cola": DATA / "electra_cola_tf115",
    "squad": DATA / "electra_squad",
}
POOLERS_AND_CLASSES = 8
Convert = Callable[[str], str]


def open_all(prefix: str) -> dict[str, Any]:
    """Return every variable, copied, but for the optimizer's."""
    with tfckpt.open(prefix) as checkpoint:
        return {name: value.copy() for name, value in checkpoint.items() if "/adam_" not in name}


def inputs(ref: Any) -> dict[str, Any]:
    """Return the inputs of an encoder."""
    return {"input_word_ids": ref["ids"], "input_mask": ref["mask"], "input_type_ids": ref["typ"]}


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Convert:
    """Return a function that converts one of the sources to an encoder or a generator, and returns the prefix."""
    directory = tmp_path_factory.mktemp("converted")

    def convert(source: str) -> str:
        to = "generator" if source == "generator" else "encoder"
        dest = directory / source
        tfckpt.convert(SOURCES[source] / "model.ckpt-3", dest, to=to, fill="zeros", overwrite=True)
        return str(dest)

    return convert


@pytest.fixture(scope="module")
def encoders(tf: Any) -> dict[str, Any]:
    """One encoder for each source; the discriminators are of one size, and share it."""
    weights = open_all(str(SOURCES["encoder"] / "model.ckpt-3"))
    discriminator = make_network(weights, "electra", 2)
    return dict.fromkeys(SOURCES, discriminator) | {"generator": make_network(weights, "generator", 1)}


@pytest.mark.parametrize("method", ["read", "restore"])
@pytest.mark.parametrize("items", [("model",), ("encoder",), ("model", "encoder")], ids="+".join)
@pytest.mark.parametrize("source", SOURCES)
def test_an_encoder_restores_however_it_is_asked_for(
    tf: Any, converted: Convert, encoders: dict[str, Any], source: str, items: tuple[str, ...], method: str
) -> None:
    encoder = encoders[source]
    clear(encoder)
    status = getattr(tf.train.Checkpoint(**dict.fromkeys(items, encoder)), method)(converted(source))
    status.assert_consumed()
    status.assert_existing_objects_matched()
    assert len(encoder.variables) == 41
    network = "generator" if source == "generator" else "electra"
    assert_network(encoder, open_all(str(SOURCES[source] / "model.ckpt-3")), network)


@pytest.mark.parametrize("method", ["read", "restore"])
def test_an_encoder_restores_as_the_root(tf: Any, converted: Convert, method: str) -> None:
    weights = open_all(str(SOURCES["encoder"] / "model.ckpt-3"))
    encoder = make_network(weights, "electra", 2)  # a new one: TensorFlow leaves a save counter on a root
    status = getattr(tf.train.Checkpoint(root=encoder), method)(converted("encoder"))
    status.assert_consumed()
    status.assert_existing_objects_matched()
    assert_network(encoder, weights, "electra")


def test_both_networks_compute_what_they_did_under_tensorflow_1(
    tf: Any, converted: Convert, encoders: dict[str, Any]
) -> None:
    with np.load(SOURCES["encoder"] / "ref.npz") as ref:
        for source, name in (("encoder", "disc"), ("generator", "gen")):
            tf.train.Checkpoint(model=encoders[source]).read(converted(source)).assert_consumed()
            sequence = encoders[source](inputs(ref))["sequence_output"]
            np.testing.assert_allclose(sequence, ref[f"out_{name}_seq"], rtol=0, atol=3e-6)


def test_gelu_by_tanh_would_be_noticed(tf: Any, converted: Convert) -> None:
    from official.nlp.modeling import networks

    config = read_config(SOURCES["encoder"] / "bert_config.json")
    encoder = networks.BertEncoder(
        vocab_size=config["vocab_size"],
        hidden_size=config["hidden_size"],
        num_layers=2,
        num_attention_heads=2,
        inner_dim=config["intermediate_size"],
        max_sequence_length=16,
        type_vocab_size=2,
        embedding_width=4,
        dict_outputs=True,
    )
    tf.train.Checkpoint(model=encoder).read(converted("encoder")).assert_consumed()
    with np.load(SOURCES["encoder"] / "ref.npz") as ref:
        sequence = np.asarray(encoder(inputs(ref))["sequence_output"])
        assert np.abs(sequence - ref["out_disc_seq"]).max() > 4e-5


def test_heads_of_fine_tuned_tasks_over_the_restored_encoder_give_their_logits(
    tf: Any, converted: Convert, encoders: dict[str, Any]
) -> None:
    for source in ("cola", "squad"):
        tf.train.Checkpoint(model=encoders[source]).read(converted(source)).assert_consumed()
        weights = open_all(str(SOURCES[source] / "model.ckpt-3"))
        with np.load(SOURCES[source] / "ref.npz") as ref:
            sequence = np.asarray(encoders[source](inputs(ref))["sequence_output"])
            if source == "cola":
                logits = numpy_electra.task_logits(weights, sequence[:, 0], "cola")
                np.testing.assert_allclose(logits, ref["out_cola_logits"], rtol=0, atol=3e-6)
            else:
                start = numpy_electra.squad_start_logits(weights, sequence, ref["mask"], ref["typ"])
                np.testing.assert_allclose(start, ref["out_squad_start_logits"], rtol=0, atol=5e-5)


def make_pretrainer(weights: dict[str, Any], heads: int, mlm_activation: Any) -> Any:
    """Return a cleared ElectraPretrainer, all its variables made."""
    import tensorflow as tf
    from official.nlp.modeling import models

    model = models.ElectraPretrainer(
        generator_network=make_network(weights, "generator", heads),
        discriminator_network=make_network(weights, "electra", 2),
        vocab_size=30,
        num_classes=2,
        num_token_predictions=3,
        mlm_activation=mlm_activation,
    )
    ids, positions = tf.zeros((1, 10), tf.int32), tf.zeros((1, 3), tf.int32)
    model(
        {
            "input_word_ids": ids,
            "input_mask": ids + 1,
            "input_type_ids": ids,
            "masked_lm_positions": positions,
            "masked_lm_ids": positions,
            "masked_lm_weights": tf.zeros((1, 3)),
        }
    )
    clear(model)
    return model


@pytest.mark.parametrize("form", FORMS)
def test_a_pretrainer_restores_and_computes_what_numpy_does(tf: Any, form: str, tmp_path: Path) -> None:
    source = electra_form(form, tmp_path / "source")
    weights = open_all(source)
    heads = {"one network": 2, "wide generator": 2}.get(form, 1)
    plan = tfckpt.convert(source, tmp_path / "c", to="pretrainer", fill="zeros")
    assert sum(step.fill is not None for step in plan.steps) == POOLERS_AND_CLASSES
    model = make_pretrainer(weights, heads, lambda x: tf.nn.gelu(x, approximate=False))
    for items, method in (
        ({"model": model} | model.checkpoint_items, "read"),
        ({"model": model} | model.checkpoint_items, "restore"),
        ({"model": model}, "read"),
        ({"model": model}, "restore"),
        ({"root": model}, "read"),
    ):
        clear(model)
        status = getattr(tf.train.Checkpoint(**items), method)(str(tmp_path / "c"))
        status.assert_consumed()
        status.assert_existing_objects_matched()
        assert_pretrainer(model, weights)
    with np.load(SOURCES["encoder"] / "ref.npz") as ref:
        args = weights, read_config(SOURCES["encoder"] / "bert_config.json"), ref["ids"], ref["mask"], ref["typ"]
        discriminator = numpy_electra.electra(*args)
        sequence = model.discriminator_network(inputs(ref))["sequence_output"]
        np.testing.assert_allclose(sequence, discriminator.sequence, rtol=0, atol=3e-6)
        logits = model.discriminator_head(model.discriminator_projection(sequence))[..., 0]
        expected = numpy_electra.discriminator_logits(weights, discriminator.sequence)
        np.testing.assert_allclose(logits, expected, rtol=0, atol=3e-6)
        words = model.masked_lm(model.generator_network(inputs(ref))["sequence_output"], tf.constant(ref["pos"]))
        generated = discriminator if form == "one network" else numpy_electra.electra_generator(*args)
        expected = numpy_electra.generator_logits(weights, generated.sequence, ref["pos"])
        bound = 3e-6 if form != "wide generator" else 3e-5  # random weights 128 wide give logits of some tens
        np.testing.assert_allclose(words, expected, rtol=0, atol=bound)
        if form == "tied":
            np.testing.assert_allclose(logits, ref["out_disc_logits"], rtol=0, atol=3e-6)
            np.testing.assert_allclose(words, ref["out_gen_mlm_logits"], rtol=0, atol=3e-6)


def assert_pretrainer(model: Any, weights: dict[str, Any]) -> None:
    """Check every variable, bit for bit."""
    assert_network(model.discriminator_network, weights, "electra")
    assert_network(model.generator_network, weights, "generator")
    masked = "generator_predictions"
    for variable, name in (
        (model.masked_lm.dense.kernel, f"{masked}/dense/kernel"),
        (model.masked_lm.dense.bias, f"{masked}/dense/bias"),
        (model.masked_lm.layer_norm.gamma, f"{masked}/LayerNorm/gamma"),
        (model.masked_lm.layer_norm.beta, f"{masked}/LayerNorm/beta"),
        (model.masked_lm.bias, f"{masked}/output_bias"),
        (model.discriminator_projection.kernel, "discriminator_predictions/dense/kernel"),
        (model.discriminator_projection.bias, "discriminator_predictions/dense/bias"),
        (model.discriminator_head.kernel, "discriminator_predictions/dense_1/kernel"),
        (model.discriminator_head.bias, "discriminator_predictions/dense_1/bias"),
    ):
        np.testing.assert_array_equal(variable.numpy(), weights[name], name)
    assert not any(variable.numpy().any() for variable in model.classification.variables)


def make_task_model(tie: bool) -> Any:
    """Return the model that Model Garden's own task builds, with embeddings that are tied or not."""
    import tensorflow as tf
    from official.nlp.configs import electra, encoders
    from official.nlp.tasks import electra_task

    def network(hidden: int, inner: int, heads: int) -> Any:
        sizes = encoders.BertEncoderConfig(
            vocab_size=30,
            embedding_size=4,
            hidden_size=hidden,
            num_layers=2,
            num_attention_heads=heads,
            intermediate_size=inner,
            max_position_embeddings=16,
            type_vocab_size=2,
        )
        return encoders.EncoderConfig(type="bert", bert=sizes)

    config = electra.ElectraPretrainerConfig(
        tie_embeddings=tie,
        num_masked_tokens=3,
        sequence_length=10,
        discriminator_encoder=network(8, 16, 2),
        generator_encoder=network(6, 24, 1),
    )
    model = electra_task.ElectraPretrainTask(electra_task.ElectraPretrainConfig(model=config)).build_model()
    ids, positions = tf.zeros((1, 10), tf.int32), tf.zeros((1, 3), tf.int32)
    words = {"input_word_ids": ids, "input_mask": ids + 1, "input_type_ids": ids}
    masked = {"masked_lm_positions": positions, "masked_lm_ids": positions, "masked_lm_weights": tf.zeros((1, 3))}
    model(words | masked)
    clear(model)
    return model


@pytest.mark.parametrize(
    ("to", "tie", "variables"),
    [("pretrainer", False, 95), ("pretrainer", True, 94), ("pretrainer-tied", True, 94)],
)
def test_the_model_of_model_gardens_task_restores(tf: Any, tmp_path: Path, to: str, tie: bool, variables: int) -> None:
    source = str(SOURCES["encoder"] / "model.ckpt-3")
    tfckpt.convert(source, tmp_path / "there", to=to, fill="zeros")
    model = make_task_model(tie)
    assert len(model.variables) == variables
    status = tf.train.Checkpoint(model=model, **model.checkpoint_items).read(str(tmp_path / "there"))
    status.assert_consumed()
    status.assert_existing_objects_matched()
    assert_pretrainer(model, open_all(source))


def test_a_tied_model_that_tensorflow_saved_comes_back(tf: Any, tmp_path: Path) -> None:
    source = str(SOURCES["encoder"] / "model.ckpt-3")
    tfckpt.convert(source, tmp_path / "there", to="pretrainer-tied", fill="zeros")
    model = make_task_model(tie=True)
    tf.train.Checkpoint(model=model).read(str(tmp_path / "there")).assert_consumed()
    tf.train.Checkpoint(model=model, **model.checkpoint_items).write(str(tmp_path / "saved"))
    plan = tfckpt.convert(tmp_path / "saved", tmp_path / "back", to="tf1")
    assert plan.notes[0] == "the model is 'pretrainer-tied' of ELECTRA, at model"
    weights = open_all(source)
    del weights["global_step"]
    np.testing.assert_equal(open_all(str(tmp_path / "back")), weights)
