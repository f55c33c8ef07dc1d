"""Damage is noticed, or harmless: a sample of what tests/damage/run counts in full, and its results held against the docs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from damage import count, damages, ours
from damage.kinds import KINDS

pytestmark = pytest.mark.exhaustive

SAMPLE = 25  # cuts and flips of each kind; of other damages every one


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_noticed_or_harmless(kind: str, tmp_path: Path) -> None:
    prefix = KINDS[kind].make(tmp_path)
    files = damages.read_files(tmp_path)
    few, every = list(damages.rare(files)), list(damages.every(files))
    counted = ours.count(prefix, [*few, *every[len(few) :: (len(every) - len(few)) // SAMPLE]], files)
    assert {what for what, _ in counted} >= {"truncated", "bit flipped", "file missing", "bytes appended"}
    assert sum(n for (_, outcome), n in counted.items() if outcome == ours.NOTICED) > SAMPLE // 2
    assert damages.read_files(tmp_path) == files


def test_a_reader_that_does_not_notice_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prefix = KINDS["plain"].make(tmp_path)
    files, values = damages.read_files(tmp_path), ours.read(prefix)
    monkeypatch.setattr("tfckpt.bundle.reader.BundleReader._check", lambda *_: None)
    flip = next(d for d in damages.every(files) if d.what == "bit flipped" and "data" in d.where)
    with damages.done(flip, tmp_path, files), pytest.raises(AssertionError, match="read as something else"):
        ours.judge(prefix, flip, values)


@pytest.mark.parametrize("kind", KINDS)
def test_the_results_are_of_all_cases_of_this_kind(kind: str, tmp_path: Path) -> None:
    KINDS[kind].make(tmp_path)
    files = damages.read_files(tmp_path)
    results = json.loads(count.RESULTS.read_text(encoding="utf-8"))["kinds"][kind]
    nbytes = sum(map(len, files.values()))
    for whose in ("tfckpt", "tensorflow"):
        counted = {what: sum(outcomes.values()) for what, outcomes in results[whose].items()}
        assert (counted["truncated"], counted["bit flipped"]) == (nbytes, 8 * nbytes)
        assert sum(counted.values()) == 9 * nbytes + len(list(damages.rare(files)))
    assert {outcome for outcomes in results["tfckpt"].values() for outcome in outcomes} <= {ours.NOTICED, ours.HARMLESS}


def test_the_table_of_the_docs_is_the_results() -> None:
    results = json.loads(count.RESULTS.read_text(encoding="utf-8"))
    assert list(results["kinds"]) == list(KINDS)
    text = count.DOCS.read_text(encoding="utf-8")
    assert count.TABLE.findall(text) == [count.table(results)]
    assert f"TensorFlow {results['tensorflow'].removesuffix('.0')}" in text
