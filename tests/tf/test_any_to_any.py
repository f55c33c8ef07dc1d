"""What Model Garden saved becomes another of its models, or a clean one of the same kind, in one step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.garden import clear, make_encoder, read_config
from support.garden_heads import assert_model_holds, make_model

import tfckpt
from tfckpt.checkpoint.graph.object_graph import OBJECT_GRAPH_KEY

pytestmark = pytest.mark.tf


@pytest.fixture(scope="module")
def values(bert: str) -> dict[str, Any]:
    with np.load(Path(bert).parent / "vars.npz") as arrays:
        return dict(arrays)


def trained(tf: Any, bert: str, to: str, directory: Path) -> str:
    """Restore a model of Model Garden, train nothing, and save it with an optimizer, as its trainers do."""
    from official.modeling.optimization.legacy_adamw import AdamWeightDecay

    tfckpt.convert(bert, directory / "first", to=to, sync=False)
    model = make_model(to, "BertEncoderV2", Path(bert).parent / "bert_config.json")
    tf.train.Checkpoint(model=model).read(str(directory / "first")).assert_consumed()
    optimizer = AdamWeightDecay(learning_rate=0.0)
    optimizer.apply_gradients([(tf.zeros_like(v), v) for v in model.trainable_variables])
    prefix: str = tf.train.Checkpoint(model=model, optimizer=optimizer).save(str(directory / "trained"))
    return prefix


@pytest.mark.parametrize("to", ["pretrainer", "bert-pretrainer"])
def test_a_trained_pretrainer_becomes_a_clean_encoder(
    tf: Any, bert: str, to: str, values: dict[str, Any], tmp_path: Path
) -> None:
    prefix = trained(tf, bert, to, tmp_path)
    tfckpt.convert(prefix, tmp_path / "encoder", sync=False)
    encoder = make_encoder("BertEncoder", read_config(Path(bert).parent / "bert_config.json"))
    clear(encoder)
    status = tf.train.Checkpoint(model=encoder).read(str(tmp_path / "encoder"))
    status.assert_consumed().assert_existing_objects_matched()
    assert_model_holds(encoder, values, "")
    with tfckpt.open(tmp_path / "encoder") as ours:
        assert len(ours) == 40  # its 39 variables, and the object graph


def test_what_model_garden_saved_gets_the_keys_that_convert_writes(tf: Any, bert: str, tmp_path: Path) -> None:
    prefix = trained(tf, bert, "pretrainer", tmp_path)
    tfckpt.convert(prefix, tmp_path / "clean", to="pretrainer", sync=False)
    with tfckpt.open(tmp_path / "first") as first, tfckpt.open(tmp_path / "clean") as clean:
        assert list(first) == list(clean)
        for name in set(first) - {OBJECT_GRAPH_KEY}:
            np.testing.assert_array_equal(first[name], clean[name], name)


def test_its_optimizer_goes_along(tf: Any, bert: str, tmp_path: Path) -> None:
    prefix = trained(tf, bert, "pretrainer", tmp_path)
    plan = tfckpt.convert(prefix, tmp_path / "encoder", slots="convert", sync=False)
    slots = [step for step in plan.steps if "/.OPTIMIZER_SLOT/" in step.target]
    assert len(slots) == 2 * 39
    with tfckpt.open(tmp_path / "encoder") as ours:
        (step,) = [name for name in ours if name.startswith("optimizer/iter/")]
        assert ours[step] == 1
