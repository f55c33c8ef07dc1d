"""Checkpoints of other people's BERT code: each conversion ends as the table of tests/data/dialects says it must."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from support.dialects import (
    CONFIG,
    DATA,
    DEAD_END,
    DIALECTS,
    MOMENTS,
    NOT_YET,
    PLAIN,
    RIGHT,
    WRONG,
    Dialect,
    End,
    try_end,
)

import tfckpt
from tfckpt.checkpoint.graph.roles import BESIDE, MODEL, MOVING_AVERAGE, find_roles

CASES = [(dialect, end) for dialect in DIALECTS.values() for end in dialect.ends]
MADE = sorted(path.name for path in DATA.iterdir() if path.is_dir())
MOST_BYTES = 3_000_000


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, and an empty one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("dialect", "end"), CASES, ids=[f"{dialect.name} {end.words}" for dialect, end in CASES])
def test_a_conversion_ends_as_it_must(here: Path, dialect: Dialect, end: End) -> None:
    ended = try_end(dialect, end)
    assert ended.end not in (WRONG, DEAD_END), ended.why
    if (dialect.name, end.words) in NOT_YET:
        assert not ended.reaches(end), "it ends as it must: NOT_YET needs it no more"
        pytest.xfail(NOT_YET[dialect.name, end.words])
    assert ended.reaches(end), (ended.end, ended.why)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_roles_tell_the_model_from_what_training_keeps(here: Path, dialect: Dialect) -> None:
    with tfckpt.open(dialect.write(here / "source")) as checkpoint:
        roles = find_roles(checkpoint.entries(), checkpoint.object_graph)
    trained = set() if dialect.is_of_objects else {*dialect.variables.values()} - dialect.averages
    assert {roles[name] for name in trained} <= {MODEL}
    assert {roles[name] for name in dialect.averages} <= {MOVING_AVERAGE}
    missed = {name for name in dialect.beside if roles[name] not in BESIDE}
    assert not missed


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_what_training_keeps_is_stripped_and_all_else_stays(here: Path, dialect: Dialect) -> None:
    tfckpt.rewrite(dialect.write(here / "source"), here / "small", strip_optimizer=True, sync=False)
    with tfckpt.open(here / "small") as checkpoint:
        left = dict(checkpoint)
    assert {*left} >= {*dialect.tensors} - dialect.beside
    assert all(np.array_equal(value, dialect.tensors[name]) for name, value in left.items())
    # None of these is an optimizer's.
    kept = dialect.averages | {name for name in left if re.match("global_step|(count|total)(_[0-9]+)?$", name)}
    too_much = {*left} & dialect.beside - kept
    assert not too_much


# --- the data


def test_the_table_lists_each_folder_and_its_origin() -> None:
    programs = [DATA.parent / name for name in ("make_dialects.py", "make_keras_ports.py")]
    text = "".join(program.read_text(encoding="utf-8") for program in programs)
    for name in MADE:
        assert f'    "{name}": ' in text
        assert {path.name for path in (DATA / name).iterdir()} == {
            "model.ckpt-2.index",
            "model.ckpt-2.data-00000-of-00001",
        }
    assert {*MADE} == {name for name, dialect in DIALECTS.items() if not dialect.is_derived}
    assert all(len(dialect.origin) > 20 and dialect.ends for dialect in DIALECTS.values())
    assert sum(path.stat().st_size for path in DATA.rglob("*")) < MOST_BYTES


@pytest.mark.parametrize("name", MADE)
def test_a_folder_holds_the_whole_model_and_no_value_twice(name: str) -> None:
    clean = DIALECTS[name].clean()
    shapes = {hub: value.shape for hub, value in DIALECTS[PLAIN].clean().items()}
    without = ("cls/", "bert/pooler/") if name == "bert_for_tf2" else ("-",)
    assert {hub: value.shape for hub, value in clean.items() if not hub.startswith("output_")} == {
        hub: shape for hub, shape in shapes.items() if not hub.startswith(without)
    }
    assert len({value.tobytes() for value in clean.values()}) == len(clean)


@pytest.mark.parametrize("name", [name for name in MADE if DIALECTS[name].has_moments])
def test_moments_are_what_the_table_says(name: str) -> None:
    """The first have both signs, the second are means of squares: of the same gradients, so the order of size is the same."""
    clean = DIALECTS[name].clean(slots=True)
    table = "bert/embeddings/position_embeddings"
    first, second = (clean[f"{table}/{slot}"] for slot in MOMENTS)
    assert first.min() < 0 < first.max()
    assert second.min() >= 0
    assert np.corrcoef(np.abs(first).ravel(), np.sqrt(second).ravel())[0, 1] > 0.9
    assert clean["global_step"] == 2


def test_what_is_not_yet_so_is_in_the_table() -> None:
    assert NOT_YET.keys() <= {(dialect.name, end.words) for dialect, end in CASES}


def test_most_conversions_of_the_table_end_right_at_once() -> None:
    assert sum(end.end == RIGHT for _, end in CASES) > len(CASES) / 2
    assert (DATA / CONFIG).exists()
