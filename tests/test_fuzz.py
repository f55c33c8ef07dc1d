"""The harnesses of `tests/fuzz` without atheris: mutations of each seed, the same every time, and what was found before."""

from __future__ import annotations

import json
import random
import time
from functools import partial
from pathlib import Path

import pytest
from fuzz import harnesses
from fuzz.mutators import mutate_bytes

pytestmark = pytest.mark.exhaustive

FOUND = sorted((Path(__file__).parent / "data" / "fuzz").glob("*/*"))
COUNTS = Path(__file__).parents[1] / "docs" / "fuzzing.json"
SECONDS = 0.4  # of a harness; the first inputs are the same however far a machine gets
FEWEST = 20


def _mutants(name: str) -> harnesses.Inputs:
    harness, rng = harnesses.HARNESSES[name], random.Random(name)
    seeds = list(harness.seeds())
    change = partial(mutate_bytes, rng)
    while True:
        data = rng.choice(seeds)
        for _ in range(rng.randrange(1, 5)):
            data = harness.mutate(data, change) if harness.mutate is not None and rng.random() < 0.75 else change(data)
        yield data


@pytest.mark.parametrize("name", harnesses.HARNESSES)
def test_whatever_is_read_ends_in_a_result_or_an_error_of_ours(name: str) -> None:
    start, count = time.monotonic(), 0
    for count, data in enumerate(_mutants(name), 1):
        try:
            harnesses.run_one(name, data)
        except BaseException as error:
            raise AssertionError(f"harness {name}, input {count}: {data.hex()}") from error
        if count >= FEWEST and time.monotonic() > start + SECONDS:
            break
    assert count >= FEWEST


@pytest.mark.parametrize("name", harnesses.HARNESSES)
def test_every_seed_is_read(name: str) -> None:
    seeds = list(harnesses.HARNESSES[name].seeds())
    assert seeds
    for seed in seeds:
        harnesses.run_one(name, seed)


@pytest.mark.parametrize("path", FOUND, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_a_fuzzer_found_once_stays_repaired(path: Path) -> None:
    harnesses.run_one(path.parent.name, path.read_bytes())


def test_the_check_sees_an_error_that_is_not_ours() -> None:
    def broken(_: bytes) -> None:
        raise KeyError

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(harnesses.HARNESSES, "broken", harnesses.Harness(broken, lambda: iter([b""])))
        with pytest.raises(KeyError):
            harnesses.run_one("broken", b"")


def test_every_harness_is_in_the_runner_and_in_the_counts() -> None:
    folder = Path(__file__).parent / "fuzz"
    assert all(f'"{name}"' in (folder / "run").read_text(encoding="utf-8") for name in harnesses.HARNESSES)
    pairs = json.loads(COUNTS.read_text(encoding="utf-8"), object_pairs_hook=list)
    assert sorted(name for name, _ in pairs) == sorted(harnesses.HARNESSES)
    counts = [dict(count) for _, count in pairs]
    assert all(count["executions"] for count in counts)
    assert sum(count["executions"] for count in counts) > 20_000_000
    assert not any(count["findings"] for count in counts)
