"""The differential harness without TensorFlow: its cases, what it kept, and tfckpt's part of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from differential import compare
from differential.cases import Case, Rewrite, Tensor, Write, from_json, make_case, to_json
from differential.judge import try_case
from differential.known import KNOWN
from differential.smaller import smaller

import tfckpt
from tfckpt._proto.types_pb2 import DT_INT32

pytestmark = pytest.mark.exhaustive

KEPT = sorted(compare.KEPT.glob("*.json"))
FEW = 60


@pytest.mark.parametrize("number", range(0, FEW, 10))
def test_random_checkpoints_are_read_as_they_were_written(number: int, tmp_path: Path) -> None:
    for n in range(number, number + 10):
        assert not try_case(make_case(2, n), tmp_path / "case").found, n


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_a_kept_case_is_read_as_it_was_written(path: Path, tmp_path: Path) -> None:
    assert not try_case(from_json(path.read_text(encoding="utf-8")), tmp_path / "case").found


def test_a_case_is_the_same_each_time_and_survives_its_file() -> None:
    for number in range(20):
        assert from_json(to_json(make_case(0, number))) == make_case(0, number)
    assert make_case(0, 0) != make_case(1, 0)


def test_the_cases_have_all_that_they_are_said_to_have() -> None:
    cases = [make_case(0, number) for number in range(300)]
    tensors = [tensor for case in cases for tensor in case.tensors]
    assert len({tensor.number for tensor in tensors}) > 25
    assert {len(tensor.shape) for tensor in tensors} >= {0, 1, 2, 3, 4, 5, 8, 12}
    assert any(not tensor.value.size for tensor in tensors)
    assert any("\udc80" <= letter <= "\udcff" for tensor in tensors for letter in tensor.key)
    assert any(tensor.parts for tensor in tensors)
    assert any(len(case.bundles) > 1 for case in cases)
    assert all(
        any(getattr(case, name) for case in cases)
        for name in ("big_endian", "max_shard_size", "breaks", "rewrite", "damage", "policy")
    )


ONE_AND_ANOTHER = Case(
    (
        Tensor(b"good", DT_INT32, (2,), bytes(8)),
        Tensor(b"bad", DT_INT32, (3,), np.arange(3, dtype=np.int32).tobytes()),
    ),
    ((Write(0),), (Write(1),)),
    rewrite=Rewrite(suffix="_2"),
)


def test_a_difference_is_found_and_made_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not try_case(ONE_AND_ANOTHER, tmp_path / "case").found
    read = tfckpt.Checkpoint.__getitem__
    monkeypatch.setattr(
        tfckpt.Checkpoint,
        "__getitem__",
        lambda self, name: read(self, name)[::-1] if "bad" in name else read(self, name),
    )
    (found,) = try_case(ONE_AND_ANOTHER, tmp_path / "case").found
    assert re.match("'bad_2': tfckpt a result that is not what was written", found)
    small = smaller(ONE_AND_ANOTHER, lambda case: bool(try_case(case, tmp_path / "case").found))
    assert ([tensor.name for tensor in small.tensors], small.bundles, small.rewrite) == ([b"bad"], ((Write(0),),), None)


def test_the_table_of_the_docs_is_the_results() -> None:
    results = json.loads(compare.RESULTS.read_text(encoding="utf-8"))
    text = compare.DOCS.read_text(encoding="utf-8")
    assert compare.table(results) in text
    assert (results["cases"], results["found"]) == (10_000, 0)
    assert list(results["known"]) == list(KNOWN)
    assert all(results["known"].values())


def test_every_known_difference_has_a_case_of_its_own() -> None:
    assert set(KNOWN) <= {path.stem for path in KEPT}
