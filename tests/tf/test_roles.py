"""Roles against what the optimizers of TensorFlow and Keras say that they keep, told by values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.warm import run_warm

import tfckpt
from tfckpt.checkpoint.graph.object_graph import OBJECT_GRAPH_KEY
from tfckpt.checkpoint.graph.roles import OBJECT_GRAPH, find_roles

pytestmark = pytest.mark.tf
PROGRAM = Path(__file__).parents[1] / "support" / "training.py"


COUNTS = {"keras3": 82, "tf_keras": 80, "garden": 25, "tf1": 26, "graph_keras": 8}  # of checkpoints, at least
LONG = ("tf_keras", "tf1", "graph_keras")


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[pytest.mark.exhaustive] if kind in LONG else []) for kind in COUNTS]
)
def test_roles_are_what_the_optimizer_says_that_it_keeps(tf: Any, tmp_path: Path, kind: str) -> None:
    result = run_warm(PROGRAM, kind, tmp_path, legacy_keras=kind != "keras3")
    assert result.returncode == 0, result.stderr[-3000:]
    cases = json.loads(result.stdout.splitlines()[-1])
    assert len(cases) >= COUNTS[kind]
    for case in cases:
        reader = tf.train.load_checkpoint(case["prefix"])
        with tfckpt.open(case["prefix"]) as checkpoint:
            roles = dict(find_roles(checkpoint.entries(), checkpoint.object_graph))
        assert roles.pop(OBJECT_GRAPH_KEY, OBJECT_GRAPH) == OBJECT_GRAPH
        found: dict[str, set[float]] = {}
        for name, role in roles.items():
            found.setdefault(role, set()).add(float(reader.get_tensor(name).reshape(-1)[0]))
        assert found == {role: set(numbers) for role, numbers in case["roles"].items()}, case["name"]
