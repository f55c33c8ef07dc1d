"""What each tensor of a checkpoint is for: the model, or what training keeps beside it.

One implementation serves all that shows, drops or compares by role. An object graph tells by its structure; keys of objects
whose graph is not there are read as the tree that they spell; of other names, the parts of the name and the shapes tell.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from tfckpt.bundle.values.entry import Entry, stored_at
from tfckpt.checkpoint.graph.graph_roles import graph_of_keys, roles_in_graph
from tfckpt.checkpoint.graph.named_roles import guessed_in_names, roles_of_names
from tfckpt.checkpoint.graph.object_graph import ATTRIBUTES, OBJECT_GRAPH_KEY, ObjectGraph
from tfckpt.checkpoint.graph.object_tensors import ObjectTensors
from tfckpt.checkpoint.graph.optimizers import (
    COPY,
    METRIC,
    MODEL,
    MOVING_AVERAGE,
    OBJECT_GRAPH,
    OPTIMIZER,
    RANDOM_STATE,
    ROLES,
    SAVE_COUNTER,
    TRAINING_STATE,
    TRAINING_STEP,
    UNKNOWN,
)

__all__ = [
    "BESIDE",
    "COPY",
    "METRIC",
    "MODEL",
    "MOVING_AVERAGE",
    "OBJECT_GRAPH",
    "OPTIMIZER",
    "RANDOM_STATE",
    "ROLES",
    "SAVE_COUNTER",
    "TRAINING_STATE",
    "TRAINING_STEP",
    "UNKNOWN",
    "find_roles",
    "guessed_suffixes",
]
# What training keeps beside a model: no weight that a model computes with, but a moving average may be meant to be.
BESIDE = frozenset({OPTIMIZER, TRAINING_STEP, TRAINING_STATE, SAVE_COUNTER, METRIC, MOVING_AVERAGE, RANDOM_STATE})


def find_roles(
    entries: Collection[Entry], graph: ObjectGraph | None, tensors: ObjectTensors | None = None
) -> Mapping[str, str]:
    """Return what each tensor is for, by name.

    Args:
        entries: all of a checkpoint's: of a part of them, less can be told.
        graph: its object graph, if it has one.
        tensors: of that graph and these entries, for whom it is made already.
    Returns:
        One of `ROLES` for each entry. ``"unknown"`` is a name that may be a slot's and may be a weight's; ``"copy"`` a tensor
        that stores a weight of the model a second time.
    Example:
        >>> from tfckpt.checkpoint.graph.roles import find_roles
        >>> tfckpt.save("w.ckpt", {"w": [1.0, 2.0], "w/Adam": [0.0, 0.0], "beta1_power": 0.9, "w/mask": [1.0, 0.0]})
        >>> checkpoint = tfckpt.open("w.ckpt")
        >>> [f"{name}: {role}" for name, role in find_roles(checkpoint.entries(), None).items()]
        ['beta1_power: optimizer state', 'w: model', 'w/Adam: optimizer state', 'w/mask: unknown']
    """
    by_name = {entry.name: entry for entry in entries}
    found: dict[str, str] = {OBJECT_GRAPH_KEY: OBJECT_GRAPH}
    if graph is not None:
        found |= roles_in_graph(graph, tensors or ObjectTensors(graph, by_name), by_name)
    keys = {name: entry for name, entry in by_name.items() if ATTRIBUTES in name and name not in found}
    if keys:
        tree = graph_of_keys(keys)
        found |= roles_in_graph(tree, ObjectTensors(tree, keys), keys)
    rest = [entry for name, entry in by_name.items() if name not in found]
    named = roles_of_names(rest)
    if graph is not None:
        # A name beside an object's key may share its bytes.
        places = {stored_at(by_name[name]) for name in found if name in by_name and by_name[name].nbytes}
        named.update((e.name, COPY) for e in rest if named[e.name] == MODEL and stored_at(e) in places)
    return named if len(rest) == len(by_name) else {n: found[n] if n in found else named[n] for n in by_name}


def guessed_suffixes(entries: Collection[Entry], roles: Mapping[str, str]) -> list[str]:
    """Return the parts behind variables' names that were taken for slots though they are no known ones, each once.

    Args:
        entries: those that `find_roles` was given.
        roles: what it returned.

    >>> entries = [Entry(n, 1, s, 0, 0, 8, 0) for n, s in (("k", (1, 2)), ("k/Foo", (1, 2)), ("b", (2,)), ("b/Foo", (2,)))]
    >>> guessed_suffixes(entries, find_roles(entries, None))
    ['Foo']
    """
    return guessed_in_names((entry for entry in entries if ATTRIBUTES not in entry.name), roles)
