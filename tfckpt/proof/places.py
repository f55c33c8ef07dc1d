"""Where the variables of a planned object graph are in another one, whoever wrote it.

Strategy, as TensorFlow's own when it restores: both graphs are walked side by side along edges of one name, from the model's
node in the plan and a node of the other graph. The node from which most variables are met is the model, whatever its root
is called and whatever its keys are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tfckpt.checkpoint.graph.object_graph import ROOT, ObjectGraph, join_path, path_to, split_path, value_of

Pair = tuple[int, int]  # number of a node in the plan's graph, and of one in the other


class Places(NamedTuple):
    """Where a planned model is.

    Attributes:
        paths: the nodes that may be the model, each under its shortest path; several only if they hold different
            variables. Of several ways to the same variables, the plan's own comes first.
        keys: for each planned key, the keys of the other graph that stand for it from the first of those nodes.
    """

    paths: tuple[str, ...]
    keys: Mapping[str, tuple[str, ...]]


class _Met(NamedTuple):
    """What is met from one node of the other graph: pairs of nodes, and the keys of variables among them."""

    node: int
    pairs: list[Pair]
    keys: dict[str, tuple[str, ...]]


def find_places(planned: ObjectGraph, model: str, other: ObjectGraph) -> Places:
    """Return where the variables of ``planned`` are in ``other``; ``model`` is the path of the model's node in the plan.

    >>> find_places(ObjectGraph(), "", ObjectGraph())
    Places(paths=(), keys={})
    """
    start = planned.find(split_path(model))
    first = next(number for number, node in enumerate(planned.nodes) if node is start)
    ways = other.ways()
    best: list[_Met] = []
    for number in ways:
        pairs = _walk(planned, other, [(first, number)])
        met = _Met(number, pairs, _keys(planned, other, pairs))
        if best and len(met.keys) > len(best[0].keys):
            best = []
        if met.keys and (not best or len(met.keys) == len(best[0].keys)):
            best.append(met)
    if not best:
        return Places((), {})
    pairs, keys = best[0].pairs, best[0].keys
    same = [join_path(path_to(met.node, ways)) for met in best if met.keys == keys]
    apart = [join_path(path_to(met.node, ways)) for met in best if met.keys != keys]
    rest = _walk(planned, other, [*pairs, (ROOT, ROOT)])
    return Places(
        (model if model in same else same[0], *apart), _keys(planned, other, _with_slots(planned, other, rest)) | keys
    )


def _walk(planned: ObjectGraph, other: ObjectGraph, start: Iterable[Pair]) -> list[Pair]:
    """Return the pairs of nodes that edges of the same names lead to, breadth first."""
    found = dict.fromkeys(start)
    queue = deque(found)
    while queue:
        ours, theirs = queue.popleft()
        children = other.nodes[theirs].children
        for name, child in planned.nodes[ours].children.items():
            pair = (child, children.get(name, -1))
            if name in children and pair not in found:
                found[pair] = None
                queue.append(pair)
    return list(found)


def _with_slots(planned: ObjectGraph, other: ObjectGraph, pairs: list[Pair]) -> list[Pair]:
    """Return the pairs, and those of the slots that optimizers among them keep for variables among them."""
    known = set(pairs)
    return pairs + [
        (slot.slot_variable, peer.slot_variable)
        for ours, theirs in pairs
        for slot in planned.nodes[ours].slot_variables
        for peer in other.nodes[theirs].slot_variables
        if slot.slot_name == peer.slot_name and (slot.original_variable, peer.original_variable) in known
    ]


def _keys(planned: ObjectGraph, other: ObjectGraph, pairs: Iterable[Pair]) -> dict[str, tuple[str, ...]]:
    """Return the keys that stand for each planned key: more than one, if the names of its edges lead apart."""
    keys: dict[str, dict[str, None]] = {}
    for ours, theirs in pairs:
        value, peer = value_of(planned.nodes[ours]), value_of(other.nodes[theirs])
        if value is not None and peer is not None:
            keys.setdefault(value.checkpoint_key, {})[peer.checkpoint_key] = None
    return {key: tuple(peers) for key, peers in keys.items()}
