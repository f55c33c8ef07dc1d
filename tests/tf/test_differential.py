"""TensorFlow and tfckpt over random checkpoints: some hundred cases of what tests/differential/run does in thousands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from differential import judge, theirs
from differential.cases import from_json, make_case
from differential.compare import KEPT
from differential.judge import try_case
from differential.known import KNOWN

pytestmark = pytest.mark.tf

CASES = 300
FILES = sorted(KEPT.glob("*.json"))


@pytest.mark.parametrize("start", range(0, CASES, 100))
def test_both_agree_about_random_checkpoints(tf: Any, start: int, tmp_path: Path) -> None:
    found = {n: try_case(make_case(1, n), tmp_path / "case", tf).found for n in range(start, start + 100)}
    assert not {number: texts for number, texts in found.items() if texts}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_both_agree_about_a_kept_case_but_for_what_it_is_named_after(tf: Any, path: Path, tmp_path: Path) -> None:
    verdict = try_case(from_json(path.read_text(encoding="utf-8")), tmp_path / "case", tf)
    assert not verdict.found
    assert path.stem not in KNOWN or path.stem in verdict.known


def test_a_difference_that_has_no_name_is_found(tf: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = from_json((KEPT / "slices-not-read.json").read_text(encoding="utf-8"))
    monkeypatch.setattr(judge, "SLICEABLE", [tensor.number for tensor in case.tensors])
    assert any("TensorFlow InvalidArgumentError" in text for text in try_case(case, tmp_path / "case", tf).found)


def test_other_bytes_than_tensorflow_writes_are_found(tf: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = next(case for case in (make_case(1, n) for n in range(100)) if case.plain and len(case.tensors) > 1)
    write = theirs.write
    monkeypatch.setattr(theirs, "write", lambda tf, case, writes, prefix: write(tf, case, writes[::-1], prefix))
    assert "other bytes than SaveV2 writes" in try_case(case, tmp_path / "case", tf).found
