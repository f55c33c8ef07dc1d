"""``--to bert-model`` and ``bert-layer`` restore into the model of the 2019 release, and hold what that release saves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.numpy_bert import bert as numpy_bert
from support.release_2019 import fetch
from support.warm import run_warm

import tfckpt
from tfckpt.checkpoint.graph.object_graph import OBJECT_GRAPH_KEY
from tfckpt.cli.ui.planned import build_lines

pytestmark = pytest.mark.tf

SUPPORT = Path(__file__).parents[1] / "support"
SCRIPT = SUPPORT / "restore_2019.py"
ROOTS = {
    "bert-model": ("model", "root=model"),
    "bert-layer": ("bert_layer", "root=bert_layer"),
}
Restore = Callable[[str, Path, "tuple[str, ...]"], None]


@pytest.fixture(scope="module")
def restore_2019() -> Restore:
    """Return a function that restores into that release's model, which runs as a program of its own."""
    release = fetch()

    def restore(source: str, directory: Path, pairs: tuple[str, ...]) -> None:
        config = Path(source).parent / "bert_config.json"
        done = run_warm(SCRIPT, release, config, source, directory, *pairs, legacy_keras=True)
        assert done.returncode == 0, done.stderr

    return restore


@pytest.fixture(scope="module")
def restored(restore_2019: Restore, bert: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of our files, each restored under all its roots, and of those that the release saved."""
    directory = tmp_path_factory.mktemp("restored")
    for to in ROOTS:
        tfckpt.convert(bert, directory / to, to=to)
    pairs = [(str(directory / to), root) for to, roots in ROOTS.items() for root in roots]
    restore_2019(bert, directory, sum(pairs, ()))
    return directory


@pytest.mark.parametrize("to", ROOTS)
def test_that_release_restores_it_and_saves_the_same(restored: Path, to: str) -> None:
    with tfckpt.open(restored / f"{ROOTS[to][0]}-1") as theirs, tfckpt.open(restored / to) as ours:
        counter = {key for key in theirs if key.startswith("save_counter/")}
        assert theirs.keys() - counter == ours.keys()
        assert len(ours) == 40
        for key in ours.keys() - {OBJECT_GRAPH_KEY}:
            np.testing.assert_array_equal(ours[key], theirs[key], key)


@pytest.mark.parametrize("to", ROOTS)
def test_what_that_release_saves_comes_back(restored: Path, bert: str, tmp_path: Path, to: str) -> None:
    root = ROOTS[to][0]
    plan = tfckpt.convert(restored / f"{root}-1", tmp_path / "back", to="tf1")
    assert plan.notes[0] == f"the model is {to!r} of BERT, at {root}"
    with tfckpt.open(tmp_path / "back") as back, tfckpt.open(bert) as source:
        names = [name for name in source if name.startswith("bert/") and "/adam_" not in name]
        assert sorted(back) == sorted(names)
        for name in names:
            np.testing.assert_array_equal(back[name], source[name], name)


def test_the_two_forms_are_not_each_other(restore_2019: Restore, restored: Path, bert: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="not bound to checkpointed values"):
        restore_2019(bert, tmp_path, (str(restored / "bert-layer"), "model"))


@pytest.mark.parametrize("to", ROOTS)
@pytest.mark.parametrize("hidden_act", ["gelu", "relu"])
def test_the_lines_of_the_report_build_what_computes_as_the_source_did(
    bert_copy: str, tmp_path: Path, to: str, hidden_act: str
) -> None:
    path = Path(bert_copy).parent / "bert_config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | {"hidden_act": hidden_act}
    path.write_text(json.dumps(config), encoding="utf-8")
    plan = tfckpt.convert(bert_copy, tmp_path / "out", to=to)
    (tmp_path / "lines.py").write_text("\n".join(build_lines(plan.constructors)), encoding="utf-8")
    with tfckpt.open(bert_copy) as weights, np.load(path.parent / "ref.npz") as ref:
        given = {name: ref[name] for name in ("ids", "mask", "typ")}
        outputs = numpy_bert(weights, config, *given.values())
    np.savez(tmp_path / "expected.npz", sequence=outputs.sequence, pooled=outputs.pooled, **given)
    paths = (fetch(), tmp_path / "lines.py", tmp_path / "out", ROOTS[to][0], tmp_path / "expected.npz")
    done = run_warm(SUPPORT / "build_2019.py", *paths, legacy_keras=True)
    assert done.returncode == 0, done.stderr
