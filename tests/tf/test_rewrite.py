"""Rewritten checkpoints, restored by TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.garden import assert_holds, clear, make_encoder, read_config

import tfckpt

pytestmark = pytest.mark.tf


@pytest.mark.parametrize(
    "options", [{"shards": 3}, {"max_shard_size": 300}, {"big_endian": True, "shards": 1}], ids=str
)
def test_every_tensor_is_restored_however_it_is_stored(tf: Any, bert: str, tmp_path: Path, options: Any) -> None:
    tfckpt.rewrite(bert, tmp_path / "out", **options)
    reader = tf.train.load_checkpoint(str(tmp_path / "out"))
    with tfckpt.open(bert) as source:
        assert set(reader.get_variable_to_shape_map()) == set(source)
        for name, value in source.items():
            np.testing.assert_array_equal(reader.get_tensor(name), value, name)


def test_an_encoder_with_other_keys_restores(tf: Any, bert: str, tmp_path: Path) -> None:
    tfckpt.convert(bert, tmp_path / "encoder")
    tfckpt.rewrite(
        tmp_path / "encoder",
        tmp_path / "out",
        rename=[(r"^encoder/layer_with_weights-(.+/\.ATTRIBUTES/)", r"net/part_\1")],
    )
    assert "net/part_0/embeddings/.ATTRIBUTES/VARIABLE_VALUE" in tfckpt.open(tmp_path / "out")
    encoder = make_encoder("BertEncoder", read_config(Path(bert).parent / "bert_config.json"))
    clear(encoder)
    status = tf.train.Checkpoint(model=encoder).restore(str(tmp_path / "out"))
    status.assert_consumed().assert_existing_objects_matched()
    with tfckpt.open(bert) as source:
        assert_holds(encoder, dict(source), num_heads=2)


def test_a_training_checkpoint_without_its_optimizer_restores_into_the_model(tf: Any, tmp_path: Path) -> None:
    import tf_keras

    def make_model() -> Any:
        model = tf_keras.Sequential([tf_keras.layers.Dense(3), tf_keras.layers.Dense(1)])
        model.build((None, 4))
        return model

    model, optimizer = make_model(), tf_keras.optimizers.legacy.Adam()
    optimizer.apply_gradients([(tf.ones_like(v), v) for v in model.trainable_variables])
    prefix = tf.train.Checkpoint(model=model, optimizer=optimizer).write(str(tmp_path / "trained"))

    plan = tfckpt.rewrite(prefix, tmp_path / "model", strip_optimizer=True)
    assert (len(plan.steps), len(plan.dropped)) == (4 + 1, 2 * 4 + 5)  # the graph; slots, and what the optimizer counts
    fresh = make_model()
    with pytest.raises(AssertionError):
        tf.train.Checkpoint(model=fresh).read(prefix).assert_consumed()
    status = tf.train.Checkpoint(model=fresh).read(str(tmp_path / "model"))
    status.assert_consumed().assert_existing_objects_matched()
    for before, after in zip(model.variables, fresh.variables, strict=True):
        np.testing.assert_array_equal(before.numpy(), after.numpy())


def test_a_cast_file_holds_what_the_note_says(tf: Any, bert: str, tmp_path: Path) -> None:
    tfckpt.rewrite(bert, tmp_path / "half", cast="float16")
    half = tf.train.load_checkpoint(str(tmp_path / "half"))
    assert half.get_variable_to_dtype_map()["bert/pooler/dense/bias"] == tf.float16
    with pytest.raises(tf.errors.InvalidArgumentError):
        tf.raw_ops.RestoreV2(
            prefix=str(tmp_path / "half"),
            tensor_names=["bert/pooler/dense/bias"],
            shape_and_slices=[""],
            dtypes=[tf.float32],
        )
