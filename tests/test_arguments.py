"""Arguments that Python takes and nobody means: each is refused by its name, before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfckpt
from tfckpt.errors import UnsupportedError, UsageError

WRONG: list[tuple[Callable[..., Any], dict[str, Any], str]] = [
    (tfckpt.rewrite, {"drop": "*/adam_m"}, r"drop: expected a list of texts, got '\*/adam_m'"),
    (tfckpt.rewrite, {"keep": "bert/*"}, r"keep: expected a list of texts"),
    (tfckpt.rewrite, {"keep": [1]}, r"keep: expected a list of texts, got 1"),
    (tfckpt.rewrite, {"rename": {"a": "b"}}, r"rename: expected pairs of a pattern and its replacement, got 'a'"),
    (tfckpt.rewrite, {"rename": [("a",)]}, r"rename: expected pairs"),
    (tfckpt.rewrite, {"shards": 1.5}, r"shards: expected a whole number, got 1\.5"),
    (tfckpt.rewrite, {"shards": "2"}, r"shards: expected a whole number, got '2'"),
    (tfckpt.rewrite, {"shards": 0}, r"shards: expected 1 or more, got 0"),
    (tfckpt.rewrite, {"max_shard_size": "1GB"}, r"maximum shard size: expected a whole number byte, got '1GB'"),
    (tfckpt.export, {"drop": "a"}, r"drop: expected a list of texts"),
    (tfckpt.convert, {"exclude": "adam"}, r"exclude: expected a list of texts, got 'adam'"),
    (tfckpt.convert, {"num_heads": 0}, r"number of attention heads: expected 1 or more, got 0"),
    (tfckpt.convert, {"num_heads": 2.0}, r"number of attention heads: expected a whole number, got 2\.0"),
    (tfckpt.convert, {"vocab_size": 10.5}, r"vocabulary size: expected a whole number, got 10\.5"),
]


@pytest.mark.parametrize(("call", "options", "message"), WRONG)
def test_an_argument_in_a_sense_that_nobody_means(
    bert: str, tmp_path: Path, call: Callable[..., Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        call(bert, f"{tmp_path}/out/", **options) if call is tfckpt.export else call(bert, tmp_path / "out", **options)
    assert not list(tmp_path.iterdir())


def test_sources_of_a_merge_are_several(bert: str, tmp_path: Path) -> None:
    for call in (tfckpt.merge, tfckpt.average):
        with pytest.raises(UsageError, match=r"sources: expected a list of checkpoints, got '.*model.ckpt-3'"):
            call(bert, tmp_path / "out")


def test_no_heads_are_some_to_a_name_based_target_alone(bert: str) -> None:
    assert tfckpt.plan(bert, to="keras", num_heads=0).steps == tfckpt.plan(bert, to="keras").steps
    with pytest.raises(UsageError, match="number of attention heads: expected 1 or more, got -1"):
        tfckpt.plan(bert, to="keras", num_heads=-1)


def test_whole_numbers_of_numpy_are_taken_for_whole_numbers(bert: str) -> None:
    assert tfckpt.plan(bert, num_heads=np.int64(2)).num_heads == 2  # type: ignore[arg-type]


def test_a_name_that_is_no_text_is_a_type_error(bert: str, tmp_path: Path) -> None:
    with tfckpt.open(bert) as checkpoint, pytest.raises(TypeError, match="tensor name: expected str, got int 3"):
        checkpoint[3]  # type: ignore[index]
    with pytest.raises(TypeError, match="tensor name: expected str, got int 1"):
        tfckpt.save(tmp_path / "m", {1: 2})  # type: ignore[dict-item]


def test_values_that_are_no_array_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="tensor 'ragged': "):
        tfckpt.save(tmp_path / "m", {"ragged": [[1], [2, 3]]})
    with pytest.raises(UnsupportedError, match="tensor 'when': NumPy dtype datetime64"):
        tfckpt.save(tmp_path / "m", {"when": np.array(["2024-01-01"], "datetime64[D]")})
    assert not list(tmp_path.iterdir())
