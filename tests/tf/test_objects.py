"""Objects renamed, moved and dropped, restored by TensorFlow under each Keras; values are compared, slots included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.files import bundle_bytes
from support.keras_runs import KINDS, run

import tfckpt
from tfckpt.checkpoint.graph.roles import find_roles
from tfckpt.errors import PlanError

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


@pytest.mark.parametrize("which", KINDS)
def test_a_strip_keeps_every_weight_whatever_the_optimizer_is_called(which: str, tmp_path: Path) -> None:
    before = run(which, ("save_compiled", {"directory": str(tmp_path)}))[0]
    roots = {"both": "model", "model": "model", "gan": "net", **({"opt": "opt"} if which == "keras3" else {})}
    for name in roots:
        plan = tfckpt.rewrite(tmp_path / name, tmp_path / f"{name}_stripped", strip_optimizer=True)
        assert {item.role for item in plan.dropped} == {"optimizer state"}
        with tfckpt.open(tmp_path / f"{name}_stripped") as stripped:
            assert set(find_roles(stripped.entries(), stripped.object_graph).values()) <= {"model", "object graph"}
    if which != "keras3":  # whose optimizers lead to no weights
        with pytest.raises(PlanError, match="no model variable would be left"):
            tfckpt.rewrite(tmp_path / "opt", tmp_path / "opt_stripped", strip_optimizer=True)
    jobs = [
        (
            "restore_compiled",
            {"prefix": str(tmp_path / f"{name}_stripped"), "root": root, "of_optimizer": name == "opt"},
        )
        for name, root in roots.items()
    ]
    for (_, arguments), after in zip(jobs, run(which, *jobs), strict=True):
        trained = [0, 1, 2, 3, 6, 7] if arguments["of_optimizer"] else range(8)  # an optimizer has no averages
        assert [after[n] for n in trained] == [before[n] for n in trained], arguments


def test_an_export_of_keras_3_has_nothing_to_strip(tmp_path: Path) -> None:
    run("keras3", ("save_compiled", {"directory": str(tmp_path)}))
    source = tmp_path / "export" / "variables" / "variables"
    plan = tfckpt.rewrite(source, tmp_path / "stripped", strip_optimizer=True)
    assert not plan.dropped
    assert bundle_bytes(tmp_path / "stripped") == bundle_bytes(source)
    with tfckpt.open(source) as ckpt:
        roles = list(find_roles(ckpt.entries(), ckpt.object_graph).values())
    assert (roles.count("model"), roles.count("copy"), roles.count("random state")) == (8, 8, 0)


@pytest.mark.parametrize("which", KINDS)
def test_a_head_that_goes_takes_its_moments_along_and_another_takes_its_place(which: str, tmp_path: Path) -> None:
    saved = run(which, ("save_headed", {"prefix": str(tmp_path / "trained")}))[0]
    plan = tfckpt.rewrite(tmp_path / "trained", tmp_path / "dropped", drop=["model/head/*"])
    assert [item.role for item in plan.dropped].count("model") == 6
    tfckpt.rewrite(
        tmp_path / "trained", tmp_path / "by_name", drop=["model/head"]
    )  # an object is what is below it, too
    with tfckpt.open(tmp_path / "trained") as ckpt:
        draft = tfckpt.Draft(ckpt)
        gone = draft.remove("model/head")
        draft.save(tmp_path / "removed")
    assert set(gone) == {item.source for item in plan.dropped}
    jobs = [
        ("restore_headed", {"prefix": str(tmp_path / name), "units": units})
        for name in ("dropped", "by_name", "removed")
        for units in (3, 5)
    ]
    for found in run(which, *jobs):
        before, after = found["before"], found["after"]
        assert after["body"] == saved["body"] != before["body"]
        assert after["head"] == before["head"]
        assert after["moments"][:4] == saved["moments"][:4]  # of the body's kernel and bias
        assert after["moments"][4:] == before["moments"][4:]


def test_dropping_an_optimizer_by_its_edge_leaves_the_weights_that_it_trains(tmp_path: Path) -> None:
    before = run("keras3", ("save_compiled", {"directory": str(tmp_path)}))[0]
    plan = tfckpt.rewrite(tmp_path / "both", tmp_path / "out", drop=["optimizer/*"])
    assert {item.role for item in plan.dropped} == {"optimizer state"}
    assert any("kept 6 model variables; its key begins with an optimizer's" in note for note in plan.notes)
    after = run("keras3", ("restore_compiled", {"prefix": str(tmp_path / "out"), "root": "model"}))[0]
    assert after == before
    plan = tfckpt.rewrite(tmp_path / "both", tmp_path / "named", drop=["optimizer/_trainable_variables/*"])
    assert [item.role for item in plan.dropped].count("model") == 6  # whoever spells the list means what it lists
