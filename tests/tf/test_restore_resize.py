"""A vocabulary extended, padding and positions cut: the real model of the new sizes restores them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.garden import ENCODERS, assert_holds, clear, make_encoder, read_config

import tfckpt

pytestmark = pytest.mark.tf


@pytest.mark.parametrize("kind", ENCODERS)
def test_a_model_of_the_new_sizes_restores_every_variable(tf: Any, bert: str, tmp_path: Path, kind: str) -> None:
    tfckpt.convert(bert, tmp_path / "out", vocab_size=33, max_positions=12, resize_fill="mean")
    sizes = {"vocab_size": 33, "max_position_embeddings": 12}
    encoder = make_encoder(kind, read_config(Path(bert).parent / "bert_config.json") | sizes)
    clear(encoder)
    status = tf.train.Checkpoint(model=encoder).read(str(tmp_path / "out"))
    status.assert_consumed().assert_existing_objects_matched()
    with tfckpt.open(bert) as source:
        values = dict(source)
    words = values["bert/embeddings/word_embeddings"]
    mean = words.mean(0, np.float64).astype(np.float32)
    values["bert/embeddings/word_embeddings"] = np.concatenate([words, np.stack([mean] * 3)])
    values["bert/embeddings/position_embeddings"] = values["bert/embeddings/position_embeddings"][:12]
    assert_holds(encoder, values, num_heads=2)


@pytest.mark.parametrize("kind", ENCODERS)
def test_a_model_of_the_stated_sizes_restores_tables_whose_padding_is_cut(
    tf: Any, bert: str, tmp_path: Path, kind: str
) -> None:
    with tfckpt.open(bert) as source:
        values = {name: np.array(value) for name, value in source.items()}
    longer = {
        name: np.concatenate([values[name], np.full((2, 8), 7, np.float32)])
        for name in ("bert/embeddings/word_embeddings", "bert/embeddings/position_embeddings")
    }
    tfckpt.save(tmp_path / "padded", values | longer)
    config = Path(bert).parent / "bert_config.json"
    tfckpt.convert(tmp_path / "padded", tmp_path / "out", config=config, vocab_size=30, max_positions=16)
    encoder = make_encoder(kind, read_config(config))
    clear(encoder)
    status = tf.train.Checkpoint(model=encoder).read(str(tmp_path / "out"))
    status.assert_consumed().assert_existing_objects_matched()
    assert_holds(encoder, values, num_heads=2)
