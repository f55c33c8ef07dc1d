"""Checkpoints of other people's BERT code, converted and restored into the real encoder by TensorFlow."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from advice import follow
from support.dialects import ASKED, CONFIG, DATA, DEST, DIALECTS, NOT_YET, REFUSED, SOURCE, Dialect, End
from support.garden import assert_holds, clear, make_encoder, read_config
from support.garden_heads import CLASSES, TAGS, assert_model_holds, make_model

pytestmark = [
    pytest.mark.tf,
    # A pretrainer hands its encoder the positions of the masked words as well.
    pytest.mark.filterwarnings("ignore:Input dict contained keys:UserWarning"),
]

# Targets with heads, the scope of each head in TF1, and how many outputs the model of the tests has.
MODELS = {
    "pretrainer": ("cls/seq_relationship/", 2),
    "classifier": ("", CLASSES),
    "token-classifier": ("", TAGS),
    "span-labeler": ("cls/squad/", 2),
}


def target_of(end: End) -> str:
    """Return the target that a command line names."""
    words = end.words.split()
    return words[words.index("--to") + 1] if "--to" in words else ""


HELD = [
    (dialect, end)
    for dialect in DIALECTS.values()
    for end in dialect.ends
    if end.end not in (ASKED, REFUSED) and not {"--slots", "--fill"} & {*end.words.split()}
]
CASES = [(dialect, end) for dialect, end in HELD if "--to" not in end.words]
OTHER_SIZES = [("head_of_run_classifier", "token-classifier")]  # of which the model of the tests has more outputs
HEADS = [
    (dialect, end)
    for dialect, end in HELD
    if target_of(end) in MODELS and (dialect.name, target_of(end)) not in OTHER_SIZES
]


@pytest.fixture(scope="module")
def encoder(tf: Any) -> Any:
    return make_encoder("BertEncoder", read_config(DATA / CONFIG))


@pytest.fixture(scope="module")
def models(tf: Any) -> Any:
    return {kind: make_model(kind, "BertEncoder", DATA / CONFIG) for kind in MODELS}


def convert_and_restore(tf: Any, model: Any, dialect: Dialect, end: End) -> None:
    """Convert a dialect below the current directory, do what is said to be next, and restore the result."""
    if (dialect.name, end.words) in NOT_YET:
        pytest.xfail(NOT_YET[dialect.name, end.words])
    dialect.write(Path(SOURCE).parent)
    assert follow.follow(["convert", SOURCE, DEST, *shlex.split(end.words)]).end == follow.DONE
    clear(model)
    status = tf.train.Checkpoint(model=model).read(DEST)
    status.assert_consumed()
    status.assert_existing_objects_matched()


@pytest.mark.parametrize(("dialect", "end"), CASES, ids=[f"{dialect.name} {end.words}" for dialect, end in CASES])
def test_an_encoder_restores_every_value(
    tf: Any, encoder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dialect: Dialect, end: End
) -> None:
    monkeypatch.chdir(tmp_path)
    convert_and_restore(tf, encoder, dialect, end)
    assert_holds(encoder, dialect.clean(end.values), num_heads=2)


@pytest.mark.parametrize(("dialect", "end"), HEADS, ids=[f"{dialect.name} {end.words}" for dialect, end in HEADS])
def test_a_model_with_a_head_restores_every_value(
    tf: Any, models: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dialect: Dialect, end: End
) -> None:
    monkeypatch.chdir(tmp_path)
    kind, values = target_of(end), dialect.clean(end.values)
    head, outputs = MODELS[kind]
    assert values[f"{head}output_bias"].shape == (outputs,)
    convert_and_restore(tf, models[kind], dialect, end)
    assert_model_holds(models[kind], values, head)
