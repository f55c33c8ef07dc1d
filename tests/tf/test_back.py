"""The judge of the way back: what Model Garden's models saved is restored by TF1's Saver under google-research's names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.garden import read_config
from support.garden_heads import assert_model_holds, make_model
from support.numpy_bert import bert, masked_lm_logits, next_sentence_logits, output_logits

import tfckpt
from tfckpt.families.bert.garden import CLASSIFIER_OWN_POOLER, PRETRAINER

pytestmark = [
    pytest.mark.tf,
    pytest.mark.filterwarnings("ignore:Input dict contained keys:UserWarning"),
]

DATA = Path(__file__).parents[1] / "data"
CONFIG = DATA / "bert_tf115" / "bert_config.json"
NO_NEXT_SENTENCE = "cls/seq_relationship"
# kind of model, its encoder, the source with the same variables under TF1, and the scope of its output layer there
ROWS = [
    ("pretrainer", "BertEncoder", "bert_tf115", "cls/seq_relationship/"),
    ("pretrainer-no-nsp", "BertEncoderV2", "bert_tf115", ""),
    ("bert-pretrainer", "legacy", "bert_tf115", "cls/seq_relationship/"),
    ("pretrain-model", "legacy", "bert_tf115", "cls/seq_relationship/"),
    ("classifier", "BertEncoder", "classifier_tf115", ""),
    ("classifier", "BertEncoderV2", "classifier_tf115", ""),
    ("classifier-own-pooler", "BertEncoder", "classifier_tf115", ""),
    ("span-labeler", "legacy", "squad_tf115", "cls/squad/"),
    ("token-classifier", "BertEncoderV2", "token_tf115", ""),
]
POOLERS = (CLASSIFIER_OWN_POOLER.name, PRETRAINER.name)  # models with two poolers, of which TF1 has one


def reference(source: str) -> dict[str, Any]:
    with np.load(DATA / source / "ref.npz") as arrays:
        return dict(arrays)


def inputs_of(source: str) -> dict[str, Any]:
    ref = reference(source)
    names = {"ids": "input_word_ids", "mask": "input_mask", "typ": "input_type_ids", "pos": "masked_lm_positions"}
    return {to: ref[name] for name, to in names.items() if name in ref}


def loss_of(tf: Any, kind: str, model: Any, source: str) -> Any:
    """Return some loss that depends on every output of the model."""
    inputs = inputs_of(source)
    if kind == "pretrain-model":
        words, sentences = np.ones((3, 3), np.int32), np.ones((3, 1), np.int32)
        labels = {"masked_lm_ids": words, "masked_lm_weights": words, "next_sentence_labels": sentences}
        return tf.reduce_sum(model(inputs | labels))
    outputs = model(list(inputs.values()) if kind == "bert-pretrainer" else inputs)
    arrays = outputs.values() if isinstance(outputs, dict) else tf.nest.flatten(outputs)
    return tf.add_n([tf.reduce_sum(array**2) for array in tf.nest.flatten(list(arrays))])


def train(tf: Any, kind: str, model: Any, source: str) -> Any:
    """Make one step with Model Garden's optimizer, and return it."""
    from official.nlp import optimization

    optimizer = optimization.AdamWeightDecay(0.01, weight_decay_rate=0.01)
    with tf.GradientTape() as tape:
        loss = loss_of(tf, kind, model, source)
    gradients = zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables, strict=True)
    optimizer.apply_gradients([(g, v) for g, v in gradients if g is not None])
    return optimizer


def tf1_shapes(tf: Any, kind: str, source: str) -> dict[str, list[int]]:
    """Return what google-research's code calls the variables of such a model, and their shapes."""
    shapes: Mapping[str, list[int]] = tf.train.load_checkpoint(
        str(DATA / source / "model.ckpt-3")
    ).get_variable_to_shape_map()
    lacks = NO_NEXT_SENTENCE if kind == "pretrainer-no-nsp" else "?"
    return {
        name: shape
        for name, shape in shapes.items()
        if "/adam_" not in name and name != "global_step" and not name.startswith(lacks)
    }


def restore_by_name(tf: Any, prefix: str, shapes: Mapping[str, list[int]]) -> dict[str, Any]:
    """Return the values that a TF1 program with variables of these names and shapes gets from a checkpoint."""
    v1 = tf.compat.v1
    with tf.Graph().as_default():
        variables = {name: v1.get_variable(name, shape, tf.float32) for name, shape in shapes.items()}
        with v1.Session() as session:
            v1.train.Saver().restore(session, prefix)
            values: dict[str, Any] = session.run(variables)
    return values


def back(tf: Any, saved: str, dest: Path, shapes: Mapping[str, list[int]]) -> dict[str, Any]:
    """Convert to TF1, and return what its Saver restores; the names and shapes are those of TF1, and no others."""
    tfckpt.convert(saved, dest, to="tf1")
    assert dict(tf.train.list_variables(str(dest))) == shapes
    return restore_by_name(tf, str(dest), shapes)


@pytest.fixture(scope="module", params=ROWS, ids=lambda row: f"{row[0]}-{row[1]}")
def trained(
    tf: Any, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, str, str, Any, Any]:
    """A kind of model, its source and scope, the model after a training step, and the optimizer."""
    kind, encoder, source, head = request.param
    model = make_model(kind, encoder, CONFIG)
    start = tmp_path_factory.mktemp("start") / kind
    exclude = [NO_NEXT_SENTENCE] if kind == "pretrainer-no-nsp" else []
    to = kind.removesuffix("-no-nsp")
    tfckpt.convert(DATA / source / "model.ckpt-3", start, to=to, exclude=exclude)
    tf.train.Checkpoint(model=model).read(str(start)).assert_consumed()
    return kind, source, head, model, train(tf, kind, model, source)


def in_use(kind: str, model: Any) -> Any:
    """Return the model's variables, but for an encoder's pooler where the head has one of its own."""
    idle = kind in POOLERS
    return SimpleNamespace(variables=[v for v in model.variables if not (idle and "pooler_transform/" in v.name)])


def test_what_training_saved_is_restored_by_name(
    tf: Any, trained: tuple[str, str, str, Any, Any], tmp_path: Path
) -> None:
    import tf_keras

    kind, source, head, model, optimizer = trained
    items = getattr(model, "checkpoint_items", {})
    metric = tf_keras.metrics.Mean("loss")
    metric.update_state(1.0)
    step = optimizer.iterations
    checkpoint = tf.train.Checkpoint(model=model, optimizer=optimizer, global_step=step, metrics=[metric], **items)
    saved = checkpoint.save(str(tmp_path / "saved"))
    keys = {name for name, _ in tf.train.list_variables(saved)}
    assert any(".OPTIMIZER_SLOT/optimizer/m" in key for key in keys)
    assert {key.partition("/")[0] for key in keys} >= {"metrics", "save_counter"}
    values = back(tf, saved, tmp_path / "back", tf1_shapes(tf, kind, source))
    assert_model_holds(in_use(kind, model), values, head)


def test_saved_weights_are_restored_by_name(tf: Any, trained: tuple[str, str, str, Any, Any], tmp_path: Path) -> None:
    kind, source, head, model, _ = trained
    model.save_weights(str(tmp_path / "weights"))
    values = back(tf, str(tmp_path / "weights"), tmp_path / "back", tf1_shapes(tf, kind, source))
    assert_model_holds(in_use(kind, model), values, head)


@pytest.mark.parametrize("encoder", ["BertEncoder", "BertEncoderV2"])
@pytest.mark.parametrize("items", [("encoder",), ("model", "encoder"), ("root",), ("my_bert",)], ids="+".join)
def test_an_encoder_is_found_under_any_root(tf: Any, encoder: str, items: tuple[str, ...], tmp_path: Path) -> None:
    from support.garden import make_encoder

    model = make_encoder(encoder, read_config(CONFIG))
    saved = tf.train.Checkpoint(**dict.fromkeys(items, model)).save(str(tmp_path / "saved"))
    shapes = {n: shape for n, shape in tf1_shapes(tf, "encoder", "bert_tf115").items() if n.startswith("bert/")}
    assert_model_holds(model, back(tf, saved, tmp_path / "back", shapes), "")


@pytest.mark.parametrize("trained", [row for row in ROWS if row[0] in POOLERS], ids=lambda row: row[0], indirect=True)
def test_the_pooler_that_a_trained_pretrainer_uses_is_the_one_that_tf1_gets(
    tf: Any, trained: tuple[str, str, str, Any, Any], tmp_path: Path
) -> None:
    """Its head has a pooler of its own, and the encoder's is not trained: with that one TF1 would compute something else."""
    kind, source, _, model, _ = trained
    used, idle = (
        next(v.numpy() for v in model.variables if name in v.name)
        for name in ("pooler_dense/kernel", "pooler_transform/kernel")
    )
    assert not np.array_equal(used, idle)
    saved = tf.train.Checkpoint(model=model).save(str(tmp_path / "saved"))
    values = back(tf, saved, tmp_path / "back", tf1_shapes(tf, kind, source))
    ref, config = reference(source), read_config(CONFIG)
    ours = bert(values, config, ref["ids"], ref["mask"], ref["typ"])
    outputs = model(inputs_of(source))
    if kind == PRETRAINER.name:
        np.testing.assert_allclose(
            outputs["next_sentence"], next_sentence_logits(values, ours.pooled), rtol=0, atol=3e-6
        )
        words = masked_lm_logits(values, config, ours.sequence, ref["pos"])
        np.testing.assert_allclose(outputs["mlm_logits"], words, rtol=0, atol=3e-6)
    else:
        np.testing.assert_allclose(outputs, output_logits(values, ours.pooled), rtol=0, atol=3e-6)
