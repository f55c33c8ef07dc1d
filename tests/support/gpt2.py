"""A tiny GPT-2 as openai/gpt-2 names its variables, random, and what a forward pass of it computes in NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

HPARAMS = {"n_vocab": 11, "n_ctx": 6, "n_embd": 8, "n_head": 2, "n_layer": 2}
LAYOUT = Path(__file__).parents[2] / "docs" / "gpt2.toml"

Array = npt.NDArray[np.float32]


def gpt2_shapes() -> dict[str, tuple[int, ...]]:
    """Return the shape of every variable, by name."""
    h = HPARAMS["n_embd"]
    shapes: dict[str, tuple[int, ...]] = {"model/wte": (HPARAMS["n_vocab"], h), "model/wpe": (HPARAMS["n_ctx"], h)}
    norms = ["model/ln_f"]
    for n in range(HPARAMS["n_layer"]):
        block = f"model/h{n}"
        norms += [f"{block}/ln_1", f"{block}/ln_2"]
        for name, rows, columns in (
            ("attn/c_attn", h, 3 * h),
            ("attn/c_proj", h, h),
            ("mlp/c_fc", h, 4 * h),
            ("mlp/c_proj", 4 * h, h),
        ):
            shapes[f"{block}/{name}/w"] = (1, rows, columns)
            shapes[f"{block}/{name}/b"] = (columns,)
    for norm in norms:
        shapes[f"{norm}/g"] = shapes[f"{norm}/b"] = (h,)
    return dict(sorted(shapes.items()))


def make_gpt2() -> dict[str, Array]:
    """Return every variable of the model, random."""
    rng = np.random.default_rng(4)
    return {name: rng.normal(scale=0.3, size=shape).astype(np.float32) for name, shape in gpt2_shapes().items()}


def forward(variables: dict[str, Array], ids: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the logits of one sequence, computed in float64 from the TF1 variables."""
    v: dict[str, Any] = {name.removeprefix("model/"): value.astype(np.float64) for name, value in variables.items()}

    def norm(x: Any, name: str) -> Any:
        centred = x - x.mean(-1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * v[f"{name}/g"] + v[f"{name}/b"]

    def dense(x: Any, name: str) -> Any:
        return x @ v[f"{name}/w"][0] + v[f"{name}/b"]

    def gelu(x: Any) -> Any:
        return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))

    def attend(x: Any, name: str) -> Any:
        query, key, value = (
            part.reshape(len(ids), HPARAMS["n_head"], -1).swapaxes(0, 1)
            for part in np.split(dense(x, f"{name}/c_attn"), 3, axis=-1)
        )
        scores = query @ key.swapaxes(1, 2) / np.sqrt(query.shape[-1])
        scores = np.where(np.tri(len(ids), dtype=bool), scores, -1e10)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        return dense((weights @ value).swapaxes(0, 1).reshape(len(ids), -1), f"{name}/c_proj")

    x = v["wte"][ids] + v["wpe"][: len(ids)]
    for n in range(HPARAMS["n_layer"]):
        x = x + attend(norm(x, f"h{n}/ln_1"), f"h{n}/attn")
        x = x + dense(gelu(dense(norm(x, f"h{n}/ln_2"), f"h{n}/mlp/c_fc")), f"h{n}/mlp/c_proj")
    return np.asarray(norm(x, "ln_f") @ v["wte"].T)
