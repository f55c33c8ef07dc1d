"""What docs/export.md shows: an open checkpoint in NumPy, PyTorch and JAX; without a warning, and the values are those."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.missing import missing
from support.patience import PATIENCE

import tfckpt

PAGE = (Path(__file__).parents[1] / "docs" / "export.md").read_text(encoding="utf-8")
NUMPY, TORCH, JAX, BACK = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
BFLOAT16 = """
import ml_dtypes
tfckpt.save("b", {"w": np.array([1.5, -2], ml_dtypes.bfloat16)})
half = tfckpt.open("b")["w"]
"""
CHECK_TORCH = """
for name, array in weights.items():
    assert np.array_equal(tensors[name].numpy(), array)
    tensors[name].zero_()  # and they can be changed
converted = from_bfloat16(half)
assert (converted.dtype, converted.tolist()) == (torch.bfloat16, [1.5, -2])
tfckpt.save("back", {name: tensor.detach().cpu() for name, tensor in tensors.items()})
assert not any(np.any(value) for value in tfckpt.open("back").values())
"""
CHECK_JAX = """
for name, array in weights.items():
    assert np.array_equal(np.asarray(params[name]), array)
back = tfckpt.open("from_jax.ckpt")
assert all(np.array_equal(back[name], array) for name, array in weights.items())
array = jnp.asarray(half)
assert (str(array.dtype), array.tolist()) == ("bfloat16", [1.5, -2])
"""


@pytest.fixture
def here(bert: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go where the checkpoint of the page is."""
    for path in Path(bert).parent.glob("model.ckpt-3.*"):
        shutil.copy(path, tmp_path / path.name.replace("model.ckpt-3", "bert_model.ckpt"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_checkpoint_is_a_dict_of_numpy_arrays(here: Path) -> None:
    scope: dict[str, Any] = {}
    exec(NUMPY, scope)
    with tfckpt.open(here / "bert_model.ckpt") as checkpoint:
        assert scope["weights"].keys() == set(checkpoint)
        for name, value in checkpoint.items():
            assert not scope["weights"][name].flags.writeable
            assert np.array_equal(scope["weights"][name], value)
        table = checkpoint["bert/embeddings/word_embeddings"]
        assert np.array_equal(scope["rows"], table[:10])
        assert np.array_equal(scope["mean"], table.mean(axis=0))


def need(framework: str) -> None:
    """End the test if a framework is not there."""
    if find_spec(framework) is None:
        missing(f"{framework} is not installed")


@pytest.mark.exhaustive
@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("framework", "blocks"),
    [("torch", (NUMPY, TORCH, BFLOAT16, CHECK_TORCH)), ("jax", (NUMPY, JAX, BACK, BFLOAT16, CHECK_JAX))],
)
def test_a_framework_takes_what_is_read_and_gives_it_back_without_a_warning(framework: str, blocks: list[str]) -> None:
    """In a process of its own: these have threads, and warn whoever forks later."""
    need(framework)
    program = f"import warnings, {framework}\nwarnings.simplefilter('error')\n" + "".join(blocks)
    result = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=PATIENCE
    )
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.exhaustive
@pytest.mark.usefixtures("here")
def test_the_view_itself_would_make_pytorch_warn() -> None:
    need("torch")
    program = "import torch, tfckpt; torch.from_numpy(tfckpt.open('bert_model.ckpt')['bert/pooler/dense/bias'])"
    result = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=PATIENCE
    )
    assert "not writable" in result.stderr
