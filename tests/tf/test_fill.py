"""What is filled can be trained, and what is refused could not be: by the gradients of Model Garden's own models."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.garden import clear, legacy_keras
from support.garden_heads import make_model, source_name

import tfckpt
from tfckpt.families.bert.garden import AT_A_NORM, IN_A_ROW, PRETRAINER
from tfckpt.families.language.rules import NotZeros

pytestmark = [
    pytest.mark.tf,
    # A pretrainer hands its encoder the positions of the masked words as well.
    pytest.mark.filterwarnings("ignore:Input dict contained keys:UserWarning"),
]

DATA = Path(__file__).parents[1] / "data" / "bert_tf115"
MASKED_LM = "cls/predictions/transform/"
NOT_ZEROS = {
    item.names: item for placed in PRETRAINER.parts for item in placed.part.all_not_zeros(lambda *prefixes: range(2))
}
SGD = 0.1


@cache
def pretrainer() -> Any:
    return make_model("pretrainer", "BertEncoder", DATA / "bert_config.json")


def restore(directory: Path, **options: Any) -> tfckpt.Plan:
    """Convert the checkpoint and restore it; return the plan."""
    plan = tfckpt.convert(DATA / "model.ckpt-3", directory / "c", to="pretrainer", **options)
    clear(pretrainer())
    import tensorflow as tf

    status = tf.train.Checkpoint(model=pretrainer()).read(str(directory / "c"))
    status.assert_consumed().assert_existing_objects_matched()
    return plan


def gradients(*heads: str) -> Mapping[str, Any]:
    """Return the gradients of the heads' losses by TF1 name; nothing of what no loss depends on."""
    import tensorflow as tf

    loss_of = legacy_keras().losses.sparse_categorical_crossentropy
    with np.load(DATA / "ref.npz") as ref:
        inputs = {"input_word_ids": ref["ids"], "input_mask": ref["mask"], "input_type_ids": ref["typ"]}
        inputs |= {"masked_lm_positions": ref["pos"]}
    with tf.GradientTape() as tape:
        outputs = pretrainer()({name: tf.constant(value, tf.int32) for name, value in inputs.items()}, training=False)
        logits = [tf.reshape(outputs[head], (-1, outputs[head].shape[-1])) for head in heads]
        losses = [loss_of(np.arange(len(rows)) % rows.shape[1], rows, True) for rows in logits]
        loss = sum(map(tf.reduce_mean, losses))
    found = zip(variables(), tape.gradient(loss, [v for _, v in variables()]), strict=True)
    return {name: tf.convert_to_tensor(value).numpy() for (name, _), value in found if value is not None}


def variables() -> list[tuple[str, Any]]:
    """Return the trainable variables with their TF1 names, the encoder's pooler first: it is idle, the head has its own."""
    found = [(source_name(v, "cls/seq_relationship/"), v) for v in pretrainer().trainable_variables]
    return sorted(found, key=lambda item: "pooler_transform" not in item[1].name)


def set_zeros(names: Any) -> None:
    for name, variable in variables():
        if name in names:
            variable.assign(np.zeros(variable.shape, np.float32))


def train(found: Mapping[str, Any]) -> None:
    for name, variable in variables():
        if name in found:
            variable.assign_sub(SGD * found[name])


def test_every_kernel_that_is_filled_is_trained_by_the_first_step(tf: Any, tmp_path: Path) -> None:
    plan = restore(tmp_path, exclude=["cls/predictions/", "bert/pooler/"], fill="normal:1")
    assert plan.filled == 5 + 2 * 2
    filled = [name for name, _ in variables() if name.startswith(("cls/predictions/", "bert/pooler/"))]
    assert len(filled) == plan.filled
    before = {name: variable.numpy() for name, variable in variables()}
    found = gradients("mlm_logits", "next_sentence")
    for name in filled:
        assert np.abs(found[name]).max() > 1e-6, name
    train(found)
    for name, variable in variables():
        assert name not in filled or np.any(variable.numpy() != before[name]), name


@pytest.mark.parametrize("item", [i for i in NOT_ZEROS.values() if i.why == IN_A_ROW], ids=lambda i: i.names[0])
def test_zeros_in_a_row_never_get_a_gradient_and_without_one_of_them_they_do(
    tf: Any, tmp_path: Path, item: NotZeros
) -> None:
    restore(tmp_path)
    set_zeros(item.names)
    for _ in range(3):
        found = gradients("mlm_logits", "next_sentence")
        assert not any(found[name].any() for name in item.names)
        train(found)
    for kept in item.names:
        restore(tmp_path, overwrite=True)
        set_zeros({*item.names} - {kept})
        found = gradients("mlm_logits", "next_sentence")
        assert any(found[name].any() for name in item.names if name != kept), kept


@pytest.mark.parametrize("item", [i for i in NOT_ZEROS.values() if i.why == AT_A_NORM], ids=lambda i: i.names[0])
def test_zeros_at_a_norm_let_nothing_through_and_their_own_gradient_is_huge(
    tf: Any, tmp_path: Path, item: NotZeros
) -> None:
    restore(tmp_path, exclude=["cls/predictions/"], fill="normal:1")
    right = gradients("mlm_logits")
    set_zeros(item.names)
    wrong = gradients("mlm_logits")
    encoder = [name for name in right if name.startswith("bert/encoder/") and right[name].any()]
    assert encoder
    assert not any(wrong[name].any() for name in encoder)
    assert not wrong[f"{MASKED_LM}LayerNorm/gamma"].any()
    for name in item.names:
        assert 10_000 < np.abs(wrong[name]).max() / np.abs(right[name]).max() < 1e7


def test_a_bottleneck_of_zeros_at_a_norm_has_a_huge_gradient_too(tf: Any) -> None:
    from official.nlp.modeling.layers import MobileBertTransformer

    layer = MobileBertTransformer(
        hidden_size=16,
        num_attention_heads=2,
        intermediate_size=32,
        intra_bottleneck_size=8,
        hidden_dropout_prob=0.0,
        normalization_type="layer_norm",
        key_query_shared_bottleneck=True,
    )
    rng = np.random.default_rng(3)
    inputs, weights = (tf.constant(rng.normal(size=(2, 5, 16)), tf.float32) for _ in range(2))
    layer(inputs)
    for variable in layer.trainable_variables:
        variable.assign(rng.normal(0, 0.3, variable.shape))
    for name in ("bottleneck_input", "kq_shared_bottleneck"):
        kernel, bias = layer.block_layers[name][0].weights
        bias.assign(np.zeros(bias.shape))
        sizes = []
        for values in (rng.normal(0, 0.02, kernel.shape), np.zeros(kernel.shape)):
            kernel.assign(values)
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(layer(inputs) * weights)
            sizes.append(np.abs(tape.gradient(loss, kernel).numpy()).max())
        assert sizes[1] > 1000 * sizes[0]
