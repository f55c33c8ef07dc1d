"""The main job at its real size, beside Model Garden's own converter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.garden import assert_holds, make_encoder
from support.tf1 import BERT_BASE

import tfckpt

pytestmark = pytest.mark.tf


def test_a_bert_base_restores_into_the_encoder(tf: Any, bert_base: str, tmp_path: Path) -> None:
    dest = str(tmp_path / "encoder")
    plan = tfckpt.convert(bert_base, dest)
    assert (len(plan.steps), len(plan.dropped)) == (199, 7)
    encoder = make_encoder("BertEncoder", BERT_BASE)
    status = tf.train.Checkpoint(model=encoder).restore(dest)
    status.assert_consumed()
    status.assert_existing_objects_matched()
    with tfckpt.open(bert_base) as source:
        assert_holds(encoder, dict(source), num_heads=12)


def test_every_tensor_of_the_official_converter_is_in_ours_under_its_key(tf: Any, bert: str, tmp_path: Path) -> None:
    from official.legacy.bert import configs
    from official.nlp.tools import tf2_bert_encoder_checkpoint_converter as official

    config = configs.BertConfig.from_json_file(str(Path(bert).parent / "bert_config.json"))
    official.convert_checkpoint(config, str(tmp_path / "theirs" / "bert"), bert, checkpoint_model_name="encoder")
    tfckpt.convert(bert, tmp_path / "ours")
    with tfckpt.open(tmp_path / "theirs" / "bert-1") as theirs, tfckpt.open(tmp_path / "ours") as ours:
        extra = {"_CHECKPOINTABLE_OBJECT_GRAPH", "save_counter/.ATTRIBUTES/VARIABLE_VALUE"}
        assert len(theirs.keys() - extra) == 39
        for name in theirs.keys() - extra:
            np.testing.assert_array_equal(ours[name], theirs[name], name)
