"""Is this Model Garden output right? Its own converter's files, proved or refuted."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.garden import make_encoder, read_config

import tfckpt
from tfckpt.errors import ProofError

pytestmark = pytest.mark.tf

Convert = Callable[..., str]


@pytest.fixture(scope="module")
def garden(tf: Any, bert: str, tmp_path_factory: pytest.TempPathFactory) -> Convert:
    """Return a function that converts with Model Garden's own library, as its command does, and returns the prefix."""
    from official.nlp.modeling import models
    from official.nlp.tools import tf1_bert_checkpoint_converter_lib as lib

    def convert(name: str = "encoder", *, heads: int = 2, pretrainer: bool = False, change: Any = None) -> str:
        directory = tmp_path_factory.mktemp("garden")
        lib.convert(
            bert,
            str(directory / "temp_v1" / "ckpt"),
            heads,
            lib.BERT_V2_NAME_REPLACEMENTS,
            lib.BERT_V2_PERMUTATIONS,
            ["adam", "Adam"],
        )
        config = read_config(Path(bert).parent / "bert_config.json") | {"num_attention_heads": heads}
        model = make_encoder("BertEncoder", config)
        if pretrainer:
            model = models.BertPretrainerV2(encoder_network=model)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # its encoder has no use for one of its inputs
                model(model.inputs)
        if change is not None:
            model.load_weights = changing(model.load_weights, model, change)
        (directory / "out").mkdir()
        lib.create_v2_checkpoint(model, str(directory / "temp_v1" / "ckpt"), str(directory / "out" / "bert"), name)
        return str(directory / "out" / "bert-1")

    def changing(load: Callable[[str], Any], model: Any, change: Callable[[Any], None]) -> Callable[[str], Any]:
        def load_and_change(path: str) -> Any:
            status = load(path)
            change(model)
            return status

        return load_and_change

    return convert


@pytest.mark.parametrize("name", ["encoder", "model", "bert_of_mine"])
def test_the_output_of_model_garden_is_proved_right(garden: Convert, bert: str, name: str) -> None:
    proof = tfckpt.prove(bert, garden(name))
    assert (proof.at, len(proof.tensors)) == (name, 39)
    assert {rule: len(names) for rule, names in proof.extras_by_rule().items()} == {"save counter": 1}


def test_another_head_count_is_found_and_named(garden: Convert, bert: str) -> None:
    with pytest.raises(ProofError) as caught:
        tfckpt.prove(bert, garden(heads=4))
    *lines, last = caught.value.reasons
    assert len(lines) == 14
    assert any("expected shape float32[8, 2, 4], got float32[8, 4, 2]" in line for line in lines)
    assert last.endswith(
        "num_attention_heads: expected 2 (bert_config.json), got 4 in the shapes of 14 tensors; "
        "the values are the source's"
    )


def test_one_value_that_differs_is_found(garden: Convert, bert: str) -> None:
    def flip(model: Any) -> None:
        table = model.get_embedding_table()
        values = table.numpy()
        values[29, 7] = np.nextafter(values[29, 7], np.float32(9))
        table.assign(values)

    with pytest.raises(ProofError) as caught:
        tfckpt.prove(bert, garden(change=flip))
    (line,) = caught.value.reasons
    assert "values differ from bert/embeddings/word_embeddings: 1 of 240, the first at [29, 7]: expected" in line


@pytest.mark.parametrize("name", ["encoder", "model"])
def test_the_head_that_model_garden_loses_is_found_missing(garden: Convert, bert: str, name: str) -> None:
    dest = garden(name, pretrainer=True)
    with pytest.raises(ProofError) as caught:
        tfckpt.prove(bert, dest, to="pretrainer")
    missing = sorted(line.partition("missing; ")[2] for line in caught.value.reasons)
    assert missing == [
        "bert/pooler/dense/bias belongs there",
        "bert/pooler/dense/kernel belongs there",
        "cls/seq_relationship/output_bias belongs there",
        "cls/seq_relationship/output_weights belongs there",
    ]
    proof = tfckpt.prove(bert, dest, to="pretrainer", exclude=["cls/seq_relationship"])
    assert (proof.at, len(proof.tensors)) == (name, 44)


def test_a_model_after_training_is_told_from_its_source(
    tf: Any, garden: Convert, bert: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tfckpt.cli.main import main

    encoder = make_encoder("BertEncoderV2", read_config(Path(bert).parent / "bert_config.json"))
    optimizer = tf.keras.optimizers.legacy.Adam(1e-3)
    checkpoint = tf.train.Checkpoint(model=encoder, optimizer=optimizer)
    checkpoint.read(garden("model")).expect_partial()
    optimizer.apply_gradients([(tf.zeros_like(v), v) for v in encoder.trainable_variables])
    dest = checkpoint.write(str(tmp_path / "idle"))
    assert main(["prove", bert, dest, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["proved"], report["at"], len(report["tensors"])) == (True, "model", 39)
    assert {extra["rule"] for extra in report["extras"]} == {"optimizer state"}
    optimizer.apply_gradients([(tf.ones_like(v), v) for v in encoder.trainable_variables])
    assert main(["prove", bert, checkpoint.write(str(tmp_path / "trained")), "--json"]) == 1
    out, err = capsys.readouterr()
    assert len(json.loads(out)["differences"]) == 39
    assert err == f"tfckpt prove: {tmp_path / 'trained'}: all 39 tensors differ: it holds another model's values\n"
