"""Write docs/report.png, a picture of the report, as a Chromium draws it: ``python docs/make_report_picture.py``.

The checkpoint is a small BERT with random weights, which deviate more from layer to layer, and its optimizer state.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import sync_playwright

import tfckpt
from tfckpt.cli.commands.demo import bert_shapes

PICTURE = Path(__file__).with_name("report.png").absolute()
WIDTH, HEIGHT = 960, 1450
CONFIG = {
    "vocab_size": 3000,
    "hidden_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 384,
    "max_position_embeddings": 128,
    "type_vocab_size": 2,
}


def make_bert() -> dict[str, Any]:
    """Return the variables of a BERT after some training steps."""
    rng = np.random.default_rng(seed=0)
    tensors: dict[str, Any] = {"global_step": np.array(1000, np.int64)}
    for name, shape in bert_shapes(CONFIG).items():
        layer = re.search("layer_([0-9]+)/(.)", name)
        scale = 0.02 if layer is None else 0.02 + 0.003 * int(layer[1]) - 0.004 * (layer[2] == "a")
        tensors[name] = rng.normal(scale=scale, size=shape).astype(np.float32)
        for slot in ("adam_m", "adam_v"):
            tensors[f"{name}/{slot}"] = rng.normal(scale=1e-4, size=shape).astype(np.float32) ** 2
    return tensors


def make_page() -> Path:
    """Write a checkpoint and the report on it into the current directory; return the page."""
    tfckpt.save("bert_model.ckpt", make_bert())
    Path("bert_config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    tfckpt.report("bert_model.ckpt", output="report.html")
    return Path("report.html").absolute()


def take_picture(page: Path) -> None:
    """Take the picture of the page's beginning."""
    with sync_playwright() as playwright:
        executable = shutil.which("chromium-headless-shell") or playwright.chromium.executable_path
        with playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"]) as browser:
            tab = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
            tab.goto(page.as_uri())
            tab.screenshot(path=PICTURE)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        take_picture(make_page())
