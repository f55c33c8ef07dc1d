"""The checkpoints that the benchmarks convert: real layouts and sizes, random weights.

    python -m benchmarks.inputs DIRECTORY

writes a BERT-base with its pre-training heads, 206 variables, and its configuration.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

import tfckpt
from tfckpt.cli.demo import bert_shapes

BERT_BASE = {
    "vocab_size": 30522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
}


def write_bert(directory: Path, config: Mapping[str, int]) -> str:
    """Write a pretrained BERT and its configuration; return the prefix."""
    rng = np.random.default_rng(seed=0)
    prefix = str(directory / "bert_model.ckpt")
    tfckpt.save(prefix, {name: rng.standard_normal(shape, np.float32) for name, shape in bert_shapes(config).items()})
    (directory / "bert_config.json").write_text(json.dumps(dict(config)), encoding="utf-8")
    return prefix


if __name__ == "__main__":
    write_bert(Path(sys.argv[1]), BERT_BASE)
