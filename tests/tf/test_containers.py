"""TensorFlow reads a checkpoint whose data files are another program's files."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from support.garden import assert_holds, clear, make_encoder, read_config

import tfckpt

pytestmark = pytest.mark.tf


def test_values_in_a_shared_safetensors_file_are_read_by_name(tf: Any, bert: str, tmp_path: Path) -> None:
    file, prefix = tmp_path / "model.safetensors", f"{tmp_path}/shared"
    tfckpt.export(bert, file)
    tfckpt.import_(file, prefix, mode="link")
    assert Path(f"{prefix}.data-00000-of-00001").samefile(file)
    assert tf.train.list_variables(prefix) == tf.train.list_variables(bert)
    for name, _ in tf.train.list_variables(prefix):
        np.testing.assert_array_equal(tf.train.load_variable(prefix, name), tf.train.load_variable(bert, name))


@pytest.mark.parametrize("kind", ["safetensors", "npy"])
def test_a_model_is_restored_from_files_that_are_shared(
    tf: Any, bert: str, tmp_path: Path, kind: Literal["safetensors", "npy"]
) -> None:
    tfckpt.export(bert, tmp_path / "weights", kind=kind)
    shutil.copy(Path(bert).parent / "bert_config.json", tmp_path)
    prefix = f"{tmp_path}/shared"
    tfckpt.import_(tmp_path / "weights", prefix, to="encoder", mode="link")
    encoder = make_encoder("BertEncoder", read_config(tmp_path / "bert_config.json"))
    clear(encoder)
    tf.train.Checkpoint(model=encoder).restore(prefix).assert_existing_objects_matched()
    with np.load(Path(bert).parent / "vars.npz") as values:
        assert_holds(encoder, dict(values), num_heads=2)
