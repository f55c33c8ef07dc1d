"""Plans and errors go to other processes and back: pools and clusters need it."""

from __future__ import annotations

import errno
import multiprocessing
import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.processes import carry_out

import tfckpt
from tfckpt.errors import ChecksumError, StorageError, TfckptError, UsageError
from tfckpt.families.catalog import CATALOG

DATA = Path(__file__).parent / "data"
HEADS = {  # of an ALBERT, whose sources here have none of their own
    "classifier": ("output_weights", "output_bias"),
    "token-classifier": ("output_weights", "output_bias"),
    "span-labeler": ("cls/squad/output_weights", "cls/squad/output_bias"),
}
SOURCES = {  # by family and target
    **dict.fromkeys([("BERT", layout.name) for layout in CATALOG.models], "bert_tf115"),
    **dict.fromkeys([("BERT", "classifier"), ("BERT", "classifier-own-pooler")], "classifier_tf115"),
    ("BERT", "token-classifier"): "token_tf115",
    ("BERT", "span-labeler"): "squad_tf115",
    **dict.fromkeys([("ALBERT", layout.name) for layout in CATALOG.models], "albert_tf115"),
    **dict.fromkeys([("ELECTRA", layout.name) for layout in CATALOG.models], "electra_tf115"),
    **dict.fromkeys([("MobileBERT", layout.name) for layout in CATALOG.models], "mobilebert_student_tf115"),
}


def source_of(family: str, target: str, directory: Path) -> str:
    """Return the prefix of a checkpoint that has what a target needs."""
    prefix = str(DATA / SOURCES[family, target] / "model.ckpt-3")
    if family == "ALBERT" and target in HEADS:
        with tfckpt.open(prefix) as checkpoint:
            tensors: dict[str, Any] = dict(checkpoint)
        weights, bias = HEADS[target]
        width = len(tensors["bert/pooler/dense/bias"])
        tfckpt.save(directory / "source", tensors | {weights: np.ones((2, width), "f4"), bias: np.ones(2, "f4")})
        return str(directory / "source")
    return prefix


def test_nothing_changes_a_plan() -> None:
    plan = tfckpt.plan(DATA / "bert_tf115" / "model.ckpt-3", vocab_size=31, resize_fill="zeros", fill="zeros")
    assert plan.facts
    assert isinstance(plan.steps, tuple)
    for mapping in (plan.sizes, plan.facts, *(step.letters for step in plan.steps)):
        with pytest.raises(TypeError):
            mapping["vocab_size"] = 1  # type: ignore[index]
    for name in plan._fields:
        with pytest.raises(AttributeError):
            setattr(plan, name, None)


def assert_survives(plan: tfckpt.Plan) -> None:
    restored = pickle.loads(pickle.dumps(plan))
    assert restored is not plan
    assert restored == plan
    assert restored.to_json() == plan.to_json()
    if plan.object_graph is not None:
        assert restored.object_graph.serialize() == plan.object_graph.serialize()


@pytest.mark.parametrize("layout", CATALOG.models, ids=lambda layout: f"{layout.family.name}-{layout.name}")
def test_the_plan_of_every_object_based_target_survives_pickling(layout: Any, tmp_path: Path) -> None:
    source = source_of(layout.family.name, layout.name, tmp_path)
    config = next(DATA.joinpath(SOURCES[layout.family.name, layout.name]).glob("*bert_config.json"))
    plan = tfckpt.plan(source, to=layout.name, config=config, fill="zeros")
    assert plan.object_graph is not None
    assert_survives(plan)


OPTIONS: list[dict[str, Any]] = [
    {"to": "keras"},
    {"to": "keras-v2"},
    {"to": "pretrainer", "slots": "convert"},
    {"to": "pretrainer", "slots": "convert", "optimizer": "adamw", "learning_rate": 1e-4},
    {"keep_names": True},
    {"vocab_size": 40, "resize_fill": "mean"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(map(str, options.values())))
def test_plans_with_options_survive_pickling(bert: str, options: dict[str, Any]) -> None:
    assert_survives(tfckpt.plan(bert, **options))


def test_plans_of_the_way_back_and_of_a_rewrite_survive_pickling(bert: str, tmp_path: Path) -> None:
    dest = str(tmp_path / "tf2")
    tfckpt.convert(bert, dest, to="pretrainer", sync=False)
    assert_survives(tfckpt.plan(dest, to="tf1"))
    assert_survives(tfckpt.rewrite(bert, tmp_path / "half", cast="float16", strip_optimizer=True, dry_run=True))
    assert {layout.name for layout in CATALOG.models} | {"keras", "keras-v2", "tf1"} == set(CATALOG.names)


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    """One process that was not forked from this one: it imports everything itself."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor:
        yield executor


def test_a_spawned_process_carries_out_a_plan(bert: str, tmp_path: Path, pool: ProcessPoolExecutor) -> None:
    plan = tfckpt.plan(bert, to="pretrainer", slots="convert")
    assert pool.submit(carry_out, plan, str(tmp_path / "there")).result() == plan
    tfckpt.convert(bert, tmp_path / "here", to="pretrainer", slots="convert", sync=False)
    for suffix in (".index", ".data-00000-of-00001"):
        assert (tmp_path / f"there{suffix}").read_bytes() == (tmp_path / f"here{suffix}").read_bytes()


def test_a_spawned_processs_errors_arrive_whole(bert_copy: str, tmp_path: Path, pool: ProcessPoolExecutor) -> None:
    plan = tfckpt.plan(bert_copy)
    data = Path(f"{bert_copy}.data-00000-of-00001")
    with tfckpt.open(bert_copy) as checkpoint:
        offset = checkpoint.entry(plan.steps[0].source).offset
    damaged = bytearray(data.read_bytes())
    damaged[offset] ^= 1
    data.write_bytes(damaged)
    with pytest.raises(ChecksumError) as caught:
        pool.submit(carry_out, plan, str(tmp_path / "there")).result()
    assert (caught.value.path, caught.value.offset) == (str(data), offset)

    (tmp_path / "file").touch()
    with pytest.raises(StorageError) as refused:
        pool.submit(carry_out, plan, str(tmp_path / "file" / "there")).result()
    assert refused.value.errno == errno.EEXIST


def hiding_its_cause() -> TfckptError:
    try:
        raise OSError(threading.Lock())
    except OSError:
        try:
            raise UsageError("told without its cause") from None
        except UsageError as error:
            return error


def test_what_is_not_shown_of_an_error_does_not_travel() -> None:
    """Dask pickles contexts, too, and those of other libraries may not pickle."""
    error = hiding_its_cause()
    assert error.__context__ is not None
    pickle.dumps(error)
    assert error.__context__ is None
