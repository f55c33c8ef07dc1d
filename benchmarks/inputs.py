"""The checkpoints that the benchmarks convert: real layouts and sizes, random weights.

    python -m benchmarks.inputs DIRECTORY [SIZE]

writes a BERT with its pre-training heads and its configuration; SIZE is one of `SIZES`, ``base`` unless given.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

import tfckpt
from tfckpt.cli.commands.demo import bert_shapes


def bert(hidden: int, layers: int, vocab: int = 30522) -> dict[str, int]:
    """Return the configuration of a BERT in which heads are 64 wide and the rest follows from the hidden size."""
    return {
        "vocab_size": vocab,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": hidden // 64,
        "intermediate_size": 4 * hidden,
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
    }


SIZES = {
    "mini": bert(256, 4),
    "medium": bert(512, 8),
    "base": bert(768, 12),
    "large": bert(1024, 24),
    "10 GB": bert(2048, 48, vocab=50_000),
}


class _Random(Mapping[str, npt.ArrayLike]):
    """Tensors that are made when they are asked for, so that ten gigabytes need no memory."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self._shapes, self._rng = shapes, np.random.default_rng(seed=0)

    def __getitem__(self, name: str) -> npt.ArrayLike:
        return self._rng.standard_normal(self._shapes[name], np.float32)

    def __iter__(self) -> Iterator[str]:
        return iter(self._shapes)

    def __len__(self) -> int:
        return len(self._shapes)


def write_bert(directory: Path, config: Mapping[str, int]) -> str:
    """Write a pretrained BERT and its configuration; return the prefix."""
    prefix = str(directory / "bert_model.ckpt")
    tfckpt.save(prefix, _Random(bert_shapes(config)), sync=False)
    (directory / "bert_config.json").write_text(json.dumps(dict(config)), encoding="utf-8")
    return prefix


if __name__ == "__main__":
    write_bert(Path(sys.argv[1]), SIZES[sys.argv[2] if len(sys.argv) > 2 else "base"])
