"""The examples, run as their docstrings say."""

from __future__ import annotations

import ast
import re
import runpy
import shlex
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.patience import PATIENCE

import tfckpt

EXAMPLES = Path(__file__).parents[1] / "examples"
NAMES = ("average", "fine_tune", "list_remote")


def load(name: str) -> Callable[[list[str]], Any]:
    """Return the ``main`` of an example."""
    main: Callable[[list[str]], Any] = runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"]
    return main


def run(name: str, *argv: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run an example as a user does."""
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *argv]
    return subprocess.run(command, cwd=cwd, check=False, capture_output=True, text=True, timeout=PATIENCE)


def test_every_example_is_tested_and_says_how_to_run_it() -> None:
    assert sorted(path.stem for path in EXAMPLES.glob("*.py")) == sorted(NAMES)
    for name in NAMES:
        docstring = ast.get_docstring(ast.parse((EXAMPLES / f"{name}.py").read_text(encoding="utf-8"))) or ""
        lines = [line.partition("  #")[0] for line in docstring.splitlines()]
        calls = [shlex.split(line) for line in lines if line.startswith("    python ")]
        assert calls
        assert {call[1] for call in calls} == {f"examples/{name}.py"}
        assert re.search(r"^    pip install \S*tfckpt", docstring, re.MULTILINE)


@pytest.fixture
def steps(tmp_path: Path) -> list[str]:
    """Three checkpoints of a run: a table, a half-precision vector, the step, a string."""
    prefixes = [str(tmp_path / f"model.ckpt-{step}") for step in (1000, 2000, 3000)]
    for number, prefix in enumerate(prefixes):
        rng = np.random.default_rng(number)
        tensors: dict[str, Any] = {"table": rng.normal(size=(200, 30)).astype(np.float32)}
        tensors |= {"half": rng.normal(size=9).astype(np.float16), "global_step": np.int64(1000 * (number + 1))}
        tfckpt.save(prefix, tensors | {"who": f"run {number}"}, sync=False)
    return prefixes


def test_the_average_is_that_of_every_number_and_the_rest_is_the_last_ones(steps: list[str], tmp_path: Path) -> None:
    result = run("average", "averaged", *(Path(step).name for step in steps), cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines()[-1] == "averaged: 4 tensors, the average of 3 checkpoints"
    assert "note: int64, not averaged but as in model.ckpt-3000: global_step" in result.stdout.splitlines()
    checkpoints = [dict(tfckpt.open(step)) for step in steps]
    averaged = dict(tfckpt.open(tmp_path / "averaged"))
    for name in ("table", "half"):
        expected = np.mean([each[name].astype(np.float64) for each in checkpoints], axis=0)
        np.testing.assert_array_equal(averaged[name], expected.astype(checkpoints[0][name].dtype))
        assert averaged[name].dtype == checkpoints[0][name].dtype
    assert averaged["global_step"] == 3000
    assert averaged["who"] == b"run 2"


def test_a_moving_average_is_that_of_its_definition(steps: list[str], tmp_path: Path) -> None:
    assert load("average")([str(tmp_path / "out"), *steps, "--decay", "0.75"]) == 0
    first, *rest = (tfckpt.open(step)["table"].astype(np.float64) for step in steps)
    for table in rest:
        first = 0.75 * first + 0.25 * table
    np.testing.assert_allclose(tfckpt.open(tmp_path / "out")["table"], first, rtol=1e-7)


def test_averaging_keeps_the_object_graph(bert: str, tmp_path: Path) -> None:
    tfckpt.convert(bert, tmp_path / "a", sync=False)
    assert load("average")([str(tmp_path / "out"), str(tmp_path / "a"), str(tmp_path / "a")]) == 0
    assert tfckpt.diff(tmp_path / "out", tmp_path / "a").same
    with tfckpt.open(tmp_path / "out") as averaged, tfckpt.open(tmp_path / "a") as source:
        assert averaged.object_graph == source.object_graph


def test_averaging_holds_one_tensor_at_a_time(tmp_path: Path) -> None:
    tensors = {f"w{number}": np.full((500, 1000), number, np.float32) for number in range(12)}  # 2 MB each
    for name in ("a", "b"):
        tfckpt.save(tmp_path / name, tensors, sync=False)
    del tensors
    main = load("average")
    tracemalloc.start()
    try:
        assert main([str(tmp_path / "out"), str(tmp_path / "a"), str(tmp_path / "b")]) == 0
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 14_000_000  # one in float64, its quotient, and it in float32; all of them would be 24 MB and more


def test_checkpoints_of_different_models_are_not_averaged(steps: list[str], tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "other", {"table": np.zeros((2, 2), np.float32)}, sync=False)
    result = run("average", str(tmp_path / "out"), steps[0], str(tmp_path / "other"))
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        f"average: {tmp_path / 'other'}: lacks 3 of the tensors of {steps[0]}: 'global_step', 'half', 'who'",
        f"{steps[0]}: tensor 'table' is float32[200, 30], and float32[2, 2] in {tmp_path / 'other'}",
    ]
    assert not list(tmp_path.glob("out*"))


@pytest.mark.remote
def test_a_checkpoint_in_memory_is_listed() -> None:
    result = run("list_remote", "--show", "global_step")
    assert (result.returncode, result.stderr) == (0, "")
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines == [
        ["36", "float32", "[3,", "3]", "dense/kernel"],
        ["8", "int64", "[]", "global_step"],
        ["44", "bytes", "in", "2", "of", "2", "tensors"],
        ["global_step:"],
        ["1000"],
    ]


@pytest.mark.remote
def test_a_checkpoint_behind_http_is_listed_from_its_index_alone(tmp_path: Path) -> None:
    from support.web import serve

    tensors = {f"layer_{number}/kernel": np.full((256, 256), number, np.float32) for number in range(20)}
    tfckpt.save(tmp_path / "model.ckpt", tensors, sync=False)
    with serve(tmp_path) as site:
        listed = run("list_remote", f"{site.url}/model.ckpt", "layer_1*/kernel")
        fetched = site.nbytes()
        shown = run("list_remote", f"{site.url}/model.ckpt", "--show", "layer_7/kernel")
        missing = run("list_remote", f"{site.url}/nothing.ckpt")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert listed.stdout.splitlines()[-1].split() == ["2,883,584", "bytes", "in", "11", "of", "20", "tensors"]
    assert fetched < 10_000
    assert "[7. 7. 7. ... 7. 7. 7.]" in shown.stdout
    assert missing.returncode == 1
    assert missing.stderr.startswith(f"list_remote: {site.url}/nothing.ckpt")


@pytest.mark.tf
def test_fine_tuning_a_converted_bert_learns_the_task(tf: Any) -> None:
    before, after = load("fine_tune")([])
    assert 0.6 < before < 0.8  # the logarithm of 2: nothing is known
    assert after < before / 2


@pytest.mark.tf
def test_fine_tuning_takes_a_checkpoint_of_ones_own(tf: Any, bert: str) -> None:
    tf.config.run_functions_eagerly(True)  # one step is not worth a graph
    try:
        before, after = load("fine_tune")([str(Path(bert).parent), "--steps", "1", "--batch", "2"])
    finally:
        tf.config.run_functions_eagerly(False)
    assert np.isfinite([before, after]).all()
    assert after != before
