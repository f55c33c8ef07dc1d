"""``--to keras`` writes, byte for byte, what the 2019 script writes: the real one runs beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commands import Captured
from support.files import bundle_bytes
from support.release_2019 import fetch
from support.script_log import PREFIX, logged, parts
from support.warm import run_warm

import tfckpt

pytestmark = pytest.mark.tf

Convert = Callable[..., None]


@pytest.fixture(scope="session")
def release_2019() -> Path:
    return fetch()


@pytest.fixture(scope="session")
def convert_2019(release_2019: Path) -> Convert:
    script = Path(__file__).parents[1] / "support" / "convert_2019.py"

    def convert(source: str, dest: Path, num_heads: int = 0, exclude: tuple[str, ...] = ()) -> None:
        run_warm(script, release_2019, source, dest, num_heads, *exclude, legacy_keras=True).check_returncode()

    return convert


@pytest.mark.parametrize("exclude", [(), ("adam",), ("layer_1", "cls/")], ids=str)
@pytest.mark.parametrize("num_heads", [0, 2, 4])
def test_files_are_those_of_the_2019_script(
    convert_2019: Convert, bert: str, tmp_path: Path, num_heads: int, exclude: tuple[str, ...]
) -> None:
    convert_2019(bert, tmp_path / "theirs", num_heads, exclude)
    tfckpt.convert(bert, tmp_path / "ours", to="keras", num_heads=num_heads, exclude=exclude)
    assert bundle_bytes(tmp_path / "ours") == bundle_bytes(tmp_path / "theirs")


def test_names_that_no_substitution_knows_pass_through(tf: Any, convert_2019: Convert, tmp_path: Path) -> None:
    names = [
        "bert/bert/x",
        "module/bert/attention/self/query/kernel",
        "my_bert",
        "loss_scale",
        "a/output/dense/output/dense",
    ]
    source = str(tmp_path / "odd")
    tfckpt.save(source, {name: np.full((4, 4), i, np.float32) for i, name in enumerate(names)} | {"step": np.int64(1)})
    convert_2019(source, tmp_path / "theirs", 2)
    plan = tfckpt.convert(source, tmp_path / "ours", to="keras", num_heads=2)
    assert bundle_bytes(tmp_path / "ours") == bundle_bytes(tmp_path / "theirs")
    assert "2 names pass through as they are: loss_scale, step" in plan.notes


def test_without_a_head_count_the_2_20_script_agrees(tf: Any, bert: str, tmp_path: Path) -> None:
    from official.nlp.tools import tf1_bert_checkpoint_converter_lib as lib

    lib.convert(bert, str(tmp_path / "theirs"), 0, lib.BERT_NAME_REPLACEMENTS, lib.BERT_PERMUTATIONS)
    tfckpt.convert(bert, tmp_path / "ours", to="keras")
    assert bundle_bytes(tmp_path / "ours") == bundle_bytes(tmp_path / "theirs")


@pytest.mark.exhaustive
def test_the_206_variables_of_bert_base_get_the_names_of_2019(
    tf: Any, convert_2019: Convert, tmp_path: Path, bert_base: str
) -> None:
    plan = tfckpt.convert(bert_base, tmp_path / "ours", to="keras", num_heads=12)
    convert_2019(bert_base, tmp_path / "theirs", 12)
    assert len(plan.steps) == 206
    assert {step.source: step.target for step in plan.steps}["bert/encoder/layer_9/output/dense/kernel"] == (
        "bert_model/encoder/layer_9/output/kernel"
    )
    assert tfckpt.list_variables(tmp_path / "ours") == tf.train.list_variables(str(tmp_path / "theirs"))
    assert bundle_bytes(tmp_path / "ours") == bundle_bytes(tmp_path / "theirs")


@pytest.mark.parametrize(
    "flags",
    [
        ["--num_heads=2", "--exclude_patterns=layer_1,beta"],
        ["--create_v2_checkpoint"],
        ["-create_v2_checkpoint", "-num_heads", "4"],
    ],
    ids=" ".join,
)
def test_the_command_line_of_the_script_gives_its_files_and_its_log(
    release_2019: Path, bert: str, tmp_path: Path, capsys: Captured, flags: list[str]
) -> None:
    script = Path(__file__).parents[1] / "support" / "script_2019.py"
    flags = [f"--checkpoint_from_path={bert}", f"--checkpoint_to_path={tmp_path}/out", *flags]
    done = run_warm(script, release_2019, *flags, legacy_keras=True)
    done.check_returncode()
    expected = bundle_bytes(tmp_path / "out")
    ours = logged(capsys, "tf1-to-keras", *flags)
    assert bundle_bytes(tmp_path / "out") == expected
    theirs = [line for line in done.stderr.splitlines() if line.startswith(PREFIX)]
    assert parts("\n".join(ours)) == parts("\n".join(theirs))
