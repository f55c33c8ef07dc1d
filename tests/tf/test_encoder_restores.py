"""The judge of the main job: one converted file restores into both encoders, however it is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.garden import ENCODERS, assert_holds, clear, make_encoder, read_config

import tfckpt

pytestmark = pytest.mark.tf

ITEMS = (("model",), ("encoder",), ("model", "encoder"), ("root",))


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory, bert: str) -> str:
    dest = str(tmp_path_factory.mktemp("converted") / "bert_encoder")
    tfckpt.convert(bert, dest)
    return dest


@pytest.fixture(scope="module")
def values(bert: str) -> dict[str, Any]:
    with np.load(Path(bert).parent / "vars.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def config(bert: str) -> dict[str, Any]:
    return read_config(Path(bert).parent / "bert_config.json")


@pytest.fixture(params=ENCODERS)
def encoder(request: pytest.FixtureRequest, tf: Any, config: dict[str, Any]) -> Any:
    return make_encoder(request.param, config)


@pytest.mark.parametrize("method", ["read", "restore"])
@pytest.mark.parametrize("items", ITEMS, ids="+".join)
def test_every_way_to_ask_restores_every_variable(
    tf: Any, encoder: Any, converted: str, values: dict[str, Any], items: tuple[str, ...], method: str
) -> None:
    clear(encoder)
    checkpoint = tf.train.Checkpoint(**dict.fromkeys(items, encoder))
    status = getattr(checkpoint, method)(converted)
    status.assert_consumed()
    status.assert_existing_objects_matched()
    assert len(encoder.variables) == 39
    assert_holds(encoder, values, num_heads=2)


def test_load_weights_restores_every_variable(
    tf: Any, converted: str, values: dict[str, Any], config: dict[str, Any]
) -> None:
    encoder = make_encoder("BertEncoder", config)
    clear(encoder)
    status = encoder.load_weights(converted)
    status.assert_consumed()
    status.assert_existing_objects_matched()
    assert_holds(encoder, values, num_heads=2)


def test_variables_created_after_the_restore_get_their_values(
    tf: Any, converted: str, values: dict[str, Any], config: dict[str, Any]
) -> None:
    from official.nlp.modeling import networks

    encoder = networks.BertEncoderV2(
        vocab_size=30,
        hidden_size=8,
        num_layers=2,
        num_attention_heads=2,
        inner_dim=16,
        max_sequence_length=16,
        type_vocab_size=2,
    )
    status = tf.train.Checkpoint(model=encoder).restore(converted)
    encoder(encoder.inputs)
    status.assert_consumed()
    status.assert_existing_objects_matched()
    assert_holds(encoder, values, num_heads=2)


def test_outputs_are_those_of_the_model_under_tensorflow_1(tf: Any, encoder: Any, converted: str, bert: str) -> None:
    tf.train.Checkpoint(model=encoder).read(converted).assert_consumed()
    with np.load(Path(bert).parent / "ref.npz") as ref:
        outputs = encoder({"input_word_ids": ref["ids"], "input_mask": ref["mask"], "input_type_ids": ref["typ"]})
        np.testing.assert_allclose(outputs["sequence_output"], ref["out_seq"], rtol=0, atol=2e-6)
        np.testing.assert_allclose(outputs["pooled_output"], ref["out_pooled"], rtol=0, atol=2e-6)


def test_the_lines_that_the_demo_prints_load_its_checkpoint(
    tf: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tfckpt.cli.main import main

    monkeypatch.chdir(tmp_path)
    assert main(["demo"]) == 0
    lines = capsys.readouterr().out.partition("in the environment):\n")[2]
    scope: dict[str, Any] = {}
    exec(lines, scope)
    with tfckpt.open("tfckpt-demo/tf1") as source:
        assert_holds(scope["encoder"], dict(source), num_heads=4)
