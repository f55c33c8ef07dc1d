"""What a tensor does in its model: one table of words for all that the page draws by kind."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from tfckpt.about.modules import Path
from tfckpt.checkpoint.graph.roles import COPY, MODEL, OPTIMIZER, UNKNOWN

ATTENTION, FEED_FORWARD, EMBEDDINGS, HEADS, OTHER = "attention", "feed-forward", "embeddings", "heads", "other"
STATE = "optimizer"
KINDS = (ATTENTION, FEED_FORWARD, EMBEDDINGS, HEADS, STATE, OTHER)  # in the order in which they are shown

# Words in the parts of a path, by kind; of several kinds the first here counts.
WORDS: Mapping[str, tuple[str, ...]] = {
    ATTENTION: ("attention", "attn"),
    EMBEDDINGS: ("embedding", "embeddings", "wte", "wpe"),
    HEADS: (
        *("cls", "predictions", "pooler", "classifier", "classification", "logits", "masked lm", "next sentence"),
        *("span labeling", "discriminator projection", "head", "heads", "output weights", "output bias"),
    ),
    FEED_FORWARD: ("intermediate", "output", "ffn", "mlp", "feed forward"),
}
SPACED = {kind: tuple(f" {word} " for word in known) for kind, known in WORDS.items()}
MODELS = frozenset({MODEL, COPY, UNKNOWN})  # roles of what a model computes with, or may
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def kind_of(path: Path, role: str) -> str:
    """Return the kind of a tensor, one of `KINDS`.

    >>> kind_of(("bert", "encoder", "layer_0", "attention", "output", "dense", "kernel"), "model")
    'attention'
    >>> kind_of(("encoder", "_transformer_layers", "0", "_output_dense", "kernel"), "model")
    'feed-forward'
    >>> kind_of(("output_weights",), "model"), kind_of(("global_step",), "training step")
    ('heads', 'other')
    """
    if role == OPTIMIZER:
        return STATE
    if role not in MODELS:
        return OTHER
    words = f" {' / '.join(map(_words, path))} "
    return next((kind for kind, known in SPACED.items() if any(word in words for word in known)), OTHER)


@lru_cache(maxsize=4096)
def _words(part: str) -> str:
    """Return the words in a part of a path; most parts are those of many paths."""
    return " ".join(WORD.findall(part)).lower()
