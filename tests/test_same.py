"""The comparison of two commits sees what is gone, what is another, and files of other bytes; what is new, it lets pass."""

from __future__ import annotations

from typing import Any

import pytest
from same.compare import differences
from same.outputs import LOOKS, OPTIONS, SOURCES, TARGETS, cases

CASE: dict[str, Any] = {"code": 0, "document": {"steps": [{"shape": [1]}], "notes": ["a"]}, "files": {"m.index": "1"}}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, []),
        ({"document": CASE["document"] | {"more": 1}}, []),
        ({"document": CASE["document"] | {"notes": ["b"]}}, []),
        ({"document": CASE["document"] | {"steps": [{"shape": [2]}]}}, [".steps[0].shape[0]: 1 became 2"]),
        ({"document": {"steps": CASE["document"]["steps"]}}, [".notes: gone"]),
        ({"document": CASE["document"] | {"steps": []}}, [".steps: [{'shape': [1]}] became []"]),
        ({"files": {"m.index": "2"}}, ["m.index: other bytes"]),
        ({"files": {}}, ["m.index: other bytes"]),
        ({"files": {"m.index": "1", "more": "3"}}, ["more: other bytes"]),
        ({"code": 1}, ["exit code 0 became 1"]),
    ],
)
def test_what_differs_is_told(change: dict[str, Any], found: list[str]) -> None:
    assert differences(CASE, CASE | change) == found


def test_every_source_meets_every_target_with_every_option() -> None:
    assert len(list(cases())) == len(SOURCES) * (len(LOOKS) + len(TARGETS) * len(OPTIONS))
