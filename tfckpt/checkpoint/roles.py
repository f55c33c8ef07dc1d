"""stub"""

from __future__ import annotations

(
    MODEL,
    OBJECT_GRAPH,
    OPTIMIZER,
    TRAINING_STEP,
    TRAINING_STATE,
    SAVE_COUNTER,
    METRIC,
    MOVING_AVERAGE,
    RANDOM_STATE,
    COPY,
    UNKNOWN,
) = (
    "model",
    "object graph",
    "optimizer state",
    "training step",
    "training state",
    "save counter",
    "metric",
    "moving average",
    "random state",
    "copy",
    "unknown",
)


def find_roles(entries, graph):
    import re
    from tfckpt.checkpoint.object_graph import OBJECT_GRAPH_KEY

    def role(n):
        if n == OBJECT_GRAPH_KEY:
            return OBJECT_GRAPH
        if "_trainable_variables" in n:
            return MODEL
        if (
            "optimizer" in n.split("/")[0]
            or "OPTIMIZER_SLOT" in n
            or re.search("/(optimizer)/|/Adam(_1)?$|/adam_[mv]$|beta._power$", n)
        ):
            return OPTIMIZER
        return MODEL

    return {e.name: role(e.name) for e in entries}


def guessed_suffixes(entries, roles):
    return []
