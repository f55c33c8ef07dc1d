"""Objects renamed, moved and dropped, restored by TensorFlow under each Keras; values are compared, slots included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.keras_runs import KINDS, run

import tfckpt

pytestmark = pytest.mark.tf


@pytest.fixture(scope="module", params=KINDS)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Any]:
    """A Keras, the prefix of what it trained and saved, and the values of that."""
    prefix = tmp_path_factory.mktemp(request.param) / "trained"
    return request.param, prefix, run(request.param, ("save_trained", {"prefix": str(prefix)}))[0]


def renamed(values: dict[str, Any], old: str, new: str) -> dict[str, Any]:
    """Return the values of a model whose attribute has another name."""
    return {path.replace(old, new): value for path, value in values.items()}


def test_values_and_moments_restore_into_a_model_whose_attributes_were_renamed(
    trained: tuple[str, Path, Any], tmp_path: Path
) -> None:
    which, prefix, values = trained
    out = tmp_path / "renamed"
    plan = tfckpt.rewrite(prefix, out, rename=[("^model/dense1/", "model/proj/")])
    assert plan.moved == (("model/dense1", "model/proj"),)
    lifted, nested = tmp_path / "lifted", tmp_path / "nested"
    tfckpt.rewrite(prefix, lifted, rename=[("^model/", "net/model/")])
    tfckpt.rewrite(lifted, nested, rename=[("^net/model/(.*)", r"\1"), ("^(dense.)", r"model/\1")])
    stripped = tmp_path / "stripped"
    tfckpt.rewrite(prefix, stripped, strip_optimizer=True)
    with tfckpt.open(prefix) as ckpt:
        draft = tfckpt.Draft(ckpt)
        draft.move("model/dense2", "model/head")
        draft.alias("copy", "model")
        draft.remove("optimizer")
        draft.save(tmp_path / "draft")
    found = run(
        which,
        ("restore", {"prefix": str(out), "first": "proj"}),
        ("restore", {"prefix": str(nested)}),
        ("restore", {"prefix": str(stripped), "with_optimizer": False}),
        ("restore", {"prefix": str(tmp_path / "draft"), "with_optimizer": False, "root": "copy", "second": "head"}),
    )
    assert found[0]["model"] == renamed(values["model"], "dense1", "proj")
    assert found[0]["moments"] == renamed(values["moments"], "dense1", "proj")
    assert found[1] == values
    assert found[0]["step"] == values["step"] == 2
    assert found[2]["model"] == values["model"]
    assert found[3]["model"] == renamed(values["model"], "dense2", "head")
