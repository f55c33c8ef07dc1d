"""Training goes on where it stopped: a step after the restore is the step that NumPy computes from the TF1 slots."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from support.garden import clear, legacy_keras, make_encoder, read_config, split_heads, tf1_name

import tfckpt

pytestmark = pytest.mark.tf

Array = npt.NDArray[np.float32]
Slots = Callable[[Any, Any], tuple[Array, Array]]  # (optimizer, variable) -> m, v

RATE, BETA_1, BETA_2, EPSILON, DECAY = 1e-3, 0.9, 0.999, 1e-6, 0.01
STEPS = 100  # of the schedule, from RATE down to nothing
NO_DECAY = ("LayerNorm", "layer_norm", "bias")


@pytest.fixture(scope="module")
def values(bert: str) -> dict[str, Any]:
    with np.load(Path(bert).parent / "vars.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module", params=["BertEncoder", "BertEncoderV2"])
def encoder(request: pytest.FixtureRequest, tf: Any, bert: str) -> Any:
    return make_encoder(request.param, read_config(Path(bert).parent / "bert_config.json"))


DATA = Path(__file__).parents[1] / "data"


def make_head(name: str) -> Any:
    from official.nlp.modeling import layers

    return layers.ClassificationHead(inner_dim=8, num_classes=2, dropout_rate=0.0, name=name)


def make_model(target: str, config: dict[str, Any]) -> Any:
    """Return a built model of a target, around a functional encoder."""
    from official.nlp.modeling import models

    encoder = make_encoder("BertEncoder", config)
    if target == "pretrainer":
        model = models.BertPretrainerV2(encoder, classification_heads=[make_head("next_sentence")])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a functional encoder says that the positions are not for it
            model(model.inputs)
        return model
    if target == "bert-pretrainer":
        from official.nlp.modeling import networks

        listed = networks.BertEncoder(30, 8, 2, 2, max_sequence_length=16, inner_dim=16, type_vocab_size=2)
        return models.BertPretrainer(listed, num_classes=2, num_token_predictions=3)
    if target == "pretrain-model":
        from official.legacy.bert import bert_models, configs

        return bert_models.pretrain_model(configs.BertConfig.from_dict(config), 10, 3)[0]
    if target.startswith("classifier"):
        return models.BertClassifier(encoder, 3, use_encoder_pooler=target == "classifier")
    return models.BertSpanLabeler(encoder) if target == "span-labeler" else models.BertTokenClassifier(encoder, 5)


def schedule(tf: Any) -> Any:
    return legacy_keras().optimizers.schedules.PolynomialDecay(RATE, STEPS, 0.0)


def garden_adam(tf: Any, scheduled: bool) -> Any:
    from official.nlp import optimization

    if scheduled:
        return optimization.create_optimizer(RATE, STEPS, 0)
    return optimization.AdamWeightDecay(
        RATE, weight_decay_rate=DECAY, epsilon=EPSILON, exclude_from_weight_decay=list(NO_DECAY)
    )


def keras_adamw(tf: Any, scheduled: bool) -> Any:
    rate = schedule(tf) if scheduled else RATE
    optimizer = legacy_keras().optimizers.AdamW(rate, weight_decay=DECAY, epsilon=EPSILON, global_clipnorm=1.0)
    optimizer.exclude_from_weight_decay(var_names=list(NO_DECAY))
    return optimizer


def gradients(variables: list[Any]) -> list[Array]:
    """Return gradients whose global norm is less than 1, so that nothing is clipped."""
    random = np.random.default_rng(5)
    return [random.normal(0, 1e-3, v.shape).astype(np.float32) for v in variables]


def expected_step(name: str, start: Array, m: Array, v: Array, gradient: Array, rate: float) -> dict[str, Array]:
    """Return weights and slots after the 4th step of Keras's Adam with decoupled weight decay, in float64."""
    weights, m, v, gradient = (a.astype(np.float64) for a in (start, m, v, gradient))  # type: ignore[assignment]
    if not any(text in name for text in NO_DECAY):
        weights = weights - rate * DECAY * weights
    m = BETA_1 * m + (1 - BETA_1) * gradient
    v = BETA_2 * v + (1 - BETA_2) * gradient**2
    correction = np.sqrt(1 - BETA_2**4) / (1 - BETA_1**4)
    return {"weights": weights - rate * correction * m / (np.sqrt(v) + EPSILON), "m": m, "v": v}


def legacy_slots(optimizer: Any, variable: Any) -> tuple[Array, Array]:
    return optimizer.get_slot(variable, "m").numpy(), optimizer.get_slot(variable, "v").numpy()


def listed_slots(optimizer: Any, variable: Any) -> tuple[Array, Array]:
    place = optimizer._index_dict[optimizer._var_key(variable)]
    return optimizer._momentums[place].numpy(), optimizer._velocities[place].numpy()


def build(optimizer: Any, kind: str, variables: list[Any]) -> None:
    if kind == "adamw":
        optimizer.build(variables)
    else:
        _ = optimizer.iterations
        optimizer._create_hypers()
        optimizer._create_slots(variables)


OPTIMIZERS = {
    "adam-weight-decay": (garden_adam, legacy_slots),
    "adamw": (keras_adamw, listed_slots),
}


@pytest.mark.parametrize("scheduled", [True, False], ids=["schedule", "constant"])
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_step_after_the_restore_is_the_step_from_the_slots_of_tf1(
    tf: Any, encoder: Any, bert: str, values: dict[str, Any], tmp_path: Path, kind: Any, scheduled: bool
) -> None:
    make, slots = OPTIMIZERS[kind]
    rate = None if scheduled else RATE
    tfckpt.convert(bert, tmp_path / "there", slots="convert", optimizer=kind, learning_rate=rate)
    clear(encoder)
    optimizer, variables = make(tf, scheduled), encoder.trainable_variables
    build(optimizer, kind, variables)
    status = tf.train.Checkpoint(model=encoder, optimizer=optimizer).read(str(tmp_path / "there"))
    status.assert_consumed()
    status.assert_existing_objects_matched()
    assert optimizer.iterations.numpy() == values["global_step"] == 3
    before = {}
    for variable in variables:
        name = tf1_name(variable)
        m, v = (split_heads(name, values[f"{name}/{slot}"], 2) for slot in ("adam_m", "adam_v"))
        np.testing.assert_array_equal(slots(optimizer, variable)[0], m, name)
        np.testing.assert_array_equal(slots(optimizer, variable)[1], v, name)
        before[name] = variable.numpy(), m, v

    given = gradients(variables)
    optimizer.apply_gradients(zip(map(tf.constant, given), variables, strict=True))
    now = RATE * (1 - 3 / STEPS) if scheduled else RATE
    for variable, gradient in zip(variables, given, strict=True):
        name = tf1_name(variable)
        expected = expected_step(variable.name, *before[name], gradient, now)
        m, v = slots(optimizer, variable)
        np.testing.assert_allclose(variable.numpy(), expected["weights"], rtol=1e-6, atol=1e-8, err_msg=name)
        np.testing.assert_allclose(m, expected["m"], rtol=1e-6, atol=1e-10, err_msg=name)
        np.testing.assert_allclose(v, expected["v"], rtol=2e-5, atol=1e-14, err_msg=name)  # 1 - 0.999 in float32
    assert optimizer.iterations.numpy() == 4


def test_slots_that_the_first_step_makes_are_restored(
    tf: Any, encoder: Any, bert: str, values: dict[str, Any], tmp_path: Path
) -> None:
    tfckpt.convert(bert, tmp_path / "there", slots="convert")
    clear(encoder)
    optimizer, variables = garden_adam(tf, scheduled=True), encoder.trainable_variables
    status = tf.train.Checkpoint(model=encoder, optimizer=optimizer).read(str(tmp_path / "there"))
    status.assert_existing_objects_matched()
    given = gradients(variables)
    optimizer.apply_gradients(zip(map(tf.constant, given), variables, strict=True))
    status.assert_consumed()
    assert optimizer.iterations.numpy() == 4
    for variable, gradient in zip(variables, given, strict=True):
        name = tf1_name(variable)
        m = BETA_1 * split_heads(name, values[f"{name}/adam_m"], 2) + (1 - BETA_1) * gradient
        np.testing.assert_allclose(legacy_slots(optimizer, variable)[0], m, rtol=1e-6, atol=1e-9, err_msg=name)


TARGETS = {
    "pretrainer": "bert_tf115",
    "bert-pretrainer": "bert_tf115",
    "pretrain-model": "bert_tf115",
    "classifier": "classifier_tf115",
    "classifier-own-pooler": "classifier_tf115",
    "span-labeler": "squad_tf115",
    "token-classifier": "token_tf115",
}


@pytest.mark.parametrize("target", TARGETS)
def test_every_slot_is_restored_for_its_own_variable(tf: Any, tmp_path: Path, target: str) -> None:
    data = DATA / TARGETS[target]
    with tfckpt.open(data / "model.ckpt-3") as checkpoint:
        tensors = {n: v for n, v in checkpoint.items() if "/adam_" not in n}
    lacking = "bert/pooler" if target in ("span-labeler", "token-classifier") else "no such thing"
    slots = {f"{n}/adam_{s}": sign * tensors[n] for n in tensors for s, sign in (("m", 1), ("v", -1))}
    slots = {n: v for n, v in slots.items() if "/" in n and not n.startswith((lacking, "global_step"))}
    tfckpt.save(tmp_path / "tf1", tensors | slots)
    model = make_model(target, read_config(data / "bert_config.json"))
    for kind, (make, read) in OPTIMIZERS.items():
        dest, config = tmp_path / kind, data / "bert_config.json"
        options: Any = {"to": target, "config": config, "slots": "convert", "optimizer": kind}
        tfckpt.convert(tmp_path / "tf1", dest, **options)
        clear(model)
        optimizer = make(tf, True)
        variables = model.trainable_variables
        if kind != "adamw":  # makes slots for what gets a gradient; Keras's new one for all
            variables = [v for v in variables if lacking not in tf1_pooler(v)]
        build(optimizer, kind, variables)
        items = dict(getattr(model, "checkpoint_items", {})) if target == "pretrainer" else {}
        status = tf.train.Checkpoint(model=model, optimizer=optimizer, **items).read(str(dest))
        status.assert_consumed()
        status.assert_existing_objects_matched()
        for variable in variables:
            m, v = read(optimizer, variable)
            value = variable.numpy() * (0 if lacking in tf1_pooler(variable) else 1)
            np.testing.assert_array_equal(m, value, variable.name)
            np.testing.assert_array_equal(v, -value, variable.name)


def tf1_pooler(variable: Any) -> str:
    return "bert/pooler" if "pooler_transform" in variable.name else ""
