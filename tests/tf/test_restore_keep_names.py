"""One file restores by object graph in TensorFlow 2 and by name in TensorFlow 1's way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.garden import ENCODERS, assert_holds, clear, make_encoder, read_config

import tfckpt

pytestmark = pytest.mark.tf


@pytest.fixture(scope="module")
def values(bert: str) -> dict[str, Any]:
    with np.load(Path(bert).parent / "vars.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def dual(tmp_path_factory: pytest.TempPathFactory, bert: str) -> str:
    dest = str(tmp_path_factory.mktemp("dual") / "bert")
    tfckpt.convert(bert, dest, keep_names=True)
    return dest


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, bert: str) -> str:
    """Prefix of a checkpoint with everything that TF1 had, slots and transposed heads included."""
    dest = str(tmp_path_factory.mktemp("whole") / "bert")
    tfckpt.convert(bert, dest, to="pretrainer", slots="convert", keep_names=True)
    return dest


@pytest.mark.parametrize("kind", ENCODERS)
def test_objects_find_their_values(tf: Any, bert: str, dual: str, values: dict[str, Any], kind: str) -> None:
    encoder = make_encoder(kind, read_config(Path(bert).parent / "bert_config.json"))
    clear(encoder)
    status = tf.train.Checkpoint(model=encoder).restore(dual)
    status.assert_consumed()
    status.assert_existing_objects_matched()
    assert_holds(encoder, values, num_heads=2)


def test_a_saver_of_tf1_finds_every_name(tf: Any, whole: str, values: dict[str, Any]) -> None:
    v1 = tf.compat.v1
    with tf.Graph().as_default():
        for name, value in values.items():
            v1.get_variable(name, value.shape, value.dtype, v1.zeros_initializer(), use_resource=False)
        with v1.Session() as session:
            v1.train.Saver().restore(session, whole)
            restored = {v.op.name: session.run(v) for v in v1.global_variables()}
    np.testing.assert_equal(restored, values)


def test_names_and_keys_are_read_one_by_one(tf: Any, whole: str, values: dict[str, Any]) -> None:
    listed = dict(tf.train.list_variables(whole))
    for name, value in values.items():
        assert listed[name] == list(value.shape)
        np.testing.assert_array_equal(tf.train.load_variable(whole, name), value, name)
    key = "next_sentence..pooler_dense/kernel/.ATTRIBUTES/VARIABLE_VALUE"
    np.testing.assert_array_equal(tf.train.load_variable(whole, key), values["bert/pooler/dense/kernel"])


@pytest.mark.parametrize("options", [{}, {"shards": 2}, {"cast": "bfloat16"}], ids=str)
def test_a_rewrite_that_stores_bytes_once_is_read_under_both_names(
    tf: Any, bert: str, dual: str, values: dict[str, Any], tmp_path: Path, options: Any
) -> None:
    plan = tfckpt.rewrite(dual, tmp_path / "copy", **options)
    reader = tf.train.load_checkpoint(str(tmp_path / "copy"))
    pairs = [(step.target, step.same_as) for step in plan.steps if step.same_as is not None]
    assert len(pairs) == 39
    stored = sum(path.stat().st_size for path in tmp_path.glob("copy.data-*"))
    assert stored < 1.01 * sum(path.stat().st_size for path in Path(dual).parent.glob("bert.data-*"))
    for name, key in pairs:
        one, other = (np.asarray(reader.get_tensor(n)) for n in (name, key))
        assert one.tobytes() == other.tobytes()
    names = [name for name in reader.get_variable_to_shape_map() if name in values]
    assert len(names) == 39
    for name in names:
        expected = tf.cast(values[name], reader.get_variable_to_dtype_map()[name]).numpy()
        np.testing.assert_array_equal(reader.get_tensor(name), expected, name)
    if "cast" not in options:
        encoder = make_encoder("BertEncoder", read_config(Path(bert).parent / "bert_config.json"))
        clear(encoder)
        tf.train.Checkpoint(model=encoder).read(str(tmp_path / "copy")).expect_partial()
        assert_holds(encoder, values, num_heads=2)
