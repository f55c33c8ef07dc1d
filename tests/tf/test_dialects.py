"""Checkpoints of other people's BERT code, converted and restored into the real encoder by TensorFlow."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from advice import follow
from support.dialects import ASKED, CONFIG, DATA, DEST, DIALECTS, NOT_YET, REFUSED, SOURCE, Dialect, End
from support.garden import assert_holds, clear, make_encoder, read_config

pytestmark = pytest.mark.tf

CASES = [
    (dialect, end)
    for dialect in DIALECTS.values()
    for end in dialect.ends
    if end.end not in (ASKED, REFUSED) and "--to" not in end.words
]


@pytest.fixture(scope="module")
def encoder(tf: Any) -> Any:
    return make_encoder("BertEncoder", read_config(DATA / CONFIG))


@pytest.mark.parametrize(("dialect", "end"), CASES, ids=[f"{dialect.name} {end.words}" for dialect, end in CASES])
def test_an_encoder_restores_every_value(
    tf: Any, encoder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dialect: Dialect, end: End
) -> None:
    if (dialect.name, end.words) in NOT_YET:
        pytest.xfail(NOT_YET[dialect.name, end.words])
    monkeypatch.chdir(tmp_path)
    dialect.write(Path(SOURCE).parent)
    assert follow.follow(["convert", SOURCE, DEST, *shlex.split(end.words)]).end == follow.DONE
    clear(encoder)
    status = tf.train.Checkpoint(model=encoder).read(DEST)
    status.assert_consumed()
    status.assert_existing_objects_matched()
    assert_holds(encoder, dialect.clean(end.values), num_heads=2)
