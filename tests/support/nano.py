"""A made-up model, Nano: its checkpoint as its own code saves it, and what its objects hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

import tfckpt

TABLES = Path(__file__).parents[1] / "data" / "families"
SIZES = {"n_vocab": 11, "n_embd": 6, "n_head": 2, "n_layer": 2}
WIDTH, HEADS, LAYERS = SIZES["n_embd"], SIZES["n_head"], SIZES["n_layer"]
PARTS = ("query", "key", "value")  # of what c_attn holds, side by side


def tensors() -> dict[str, Any]:
    """Return a checkpoint's tensors by name: query, key and value are one, and the words are stored a second time, turned."""
    random = np.random.default_rng(17)

    def values(*shape: int) -> Any:
        return random.normal(size=shape).astype(np.float32)

    words = values(SIZES["n_vocab"], WIDTH)
    found = {"transformer/wte": words, "lm_head/weight": np.ascontiguousarray(words.T)}
    norms = ["transformer/ln_f"]
    for number in range(LAYERS):
        block = f"transformer/block_{number:03}"
        found[f"{block}/attn/c_attn/w"] = values(WIDTH, 3 * WIDTH)
        found[f"{block}/attn/c_attn/b"] = values(3 * WIDTH)
        found[f"{block}/attn/c_proj/w"] = values(WIDTH, WIDTH)
        norms.append(f"{block}/ln")
    return found | {f"{norm}/{name}": values(WIDTH) for norm in norms for name in ("gamma", "beta")}


def objects(tensors: dict[str, Any]) -> dict[str, Any]:
    """Return what the model's objects hold, by path: attention is split into heads."""
    found = {"embedding/embeddings": tensors["transformer/wte"]}
    found |= {f"norm/{name}": tensors[f"transformer/ln_f/{name}"] for name in ("gamma", "beta")}
    for number in range(LAYERS):
        block, layer = f"transformer/block_{number:03}", f"layers/{number}"
        kernels = np.split(tensors[f"{block}/attn/c_attn/w"], 3, axis=1)
        biases = np.split(tensors[f"{block}/attn/c_attn/b"], 3)
        for name, kernel, bias in zip(PARTS, kernels, biases, strict=True):
            found[f"{layer}/attention/{name}/kernel"] = kernel.reshape(WIDTH, HEADS, -1)
            found[f"{layer}/attention/{name}/bias"] = bias.reshape(HEADS, -1)
        found[f"{layer}/attention/output/kernel"] = tensors[f"{block}/attn/c_proj/w"].reshape(HEADS, -1, WIDTH)
        found |= {f"{layer}/norm/{name}": tensors[f"{block}/ln/{name}"] for name in ("gamma", "beta")}
    return found


def save(directory: Path, **changes: Any) -> Path:
    """Write the checkpoint with its configuration beside it; return its prefix."""
    tfckpt.save(directory / "nano.ckpt", tensors() | {"global_step": np.int64(7)} | changes)
    (directory / "nano.json").write_text(json.dumps(SIZES), encoding="utf-8")
    return directory / "nano.ckpt"
