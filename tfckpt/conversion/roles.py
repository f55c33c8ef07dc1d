"""What a tensor is for, judged by its name."""

from __future__ import annotations

from tfckpt.checkpoint.object_graph import OBJECT_GRAPH_KEY
from tfckpt.layouts.optimizer import TRAINING, TRAINING_STEP

MODEL, OBJECT_GRAPH, OPTIMIZER = "model", "object graph", "optimizer state"


def role_of(name: str) -> str:
    """Return what a tensor is for: the model, or what training keeps beside it.

    >>> role_of("bert/pooler/dense/kernel"), role_of("bert/pooler/dense/kernel/adam_m"), role_of("global_step")
    ('model', 'optimizer state', 'training step')
    """
    if name == OBJECT_GRAPH_KEY:
        return OBJECT_GRAPH
    if name == TRAINING_STEP:
        return "training step"
    return next((drop.rule for drop in TRAINING if drop.matches(name)), MODEL)
