"""TensorFlow reads a checkpoint whose data file is another program's file."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.garden import assert_holds, clear, make_encoder, read_config

import tfckpt

pytestmark = pytest.mark.tf


@pytest.fixture
def file(bert: str, tmp_path: Path) -> Path:
    """Return a safetensors file of a BERT, its configuration beside it."""
    tfckpt.export(bert, tmp_path / "model.safetensors")
    return Path(shutil.copy(Path(bert).parent / "bert_config.json", tmp_path)).with_name("model.safetensors")


def test_values_in_a_shared_safetensors_file_are_read_by_name(tf: Any, bert: str, file: Path) -> None:
    prefix = str(file.with_name("shared"))
    tfckpt.import_(file, prefix, mode="link")
    assert Path(f"{prefix}.data-00000-of-00001").samefile(file)
    assert tf.train.list_variables(prefix) == tf.train.list_variables(bert)
    for name, _ in tf.train.list_variables(prefix):
        np.testing.assert_array_equal(tf.train.load_variable(prefix, name), tf.train.load_variable(bert, name))


def test_a_model_is_restored_from_a_shared_safetensors_file(tf: Any, bert: str, file: Path) -> None:
    prefix = str(file.with_name("shared"))
    tfckpt.import_(file, prefix, to="encoder", mode="link")
    encoder = make_encoder("BertEncoder", read_config(file.with_name("bert_config.json")))
    clear(encoder)
    tf.train.Checkpoint(model=encoder).restore(prefix).assert_existing_objects_matched()
    with np.load(Path(bert).parent / "vars.npz") as values:
        assert_holds(encoder, dict(values), num_heads=2)
