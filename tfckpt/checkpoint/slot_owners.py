"""Which variable a slot is for, in whatever way the optimizer's node tells it."""

from __future__ import annotations

from collections.abc import Mapping

from tfckpt.checkpoint.object_graph import ObjectGraph
from tfckpt.checkpoint.optimizer_lists import elements, find_optimizers


def slots_of_variables(graph: ObjectGraph) -> dict[int, list[int]]:
    """Return the nodes of slots by the node of their variable, as far as the graph tells.

    A legacy optimizer refers to each. One of Keras 3 lists what it trains, and place N of its other lists is for that. One of
    tf_keras lists slots alone: their full names end in their variable's, which tells if no other variable has that name.

    Example:
        >>> from tfckpt.checkpoint.object_graph import Node
        >>> optimizer = Node({"_iterations": 2, "_variables": 4, "_trainable_variables": 3, "_momentums": 4})
        >>> graph = ObjectGraph([Node({"opt": 1}), optimizer, Node(), Node({"0": 5}), Node({"0": 6}), Node(), Node()])
        >>> slots_of_variables(graph)
        {5: [6]}
    """
    found: dict[int, list[int]] = {}
    for node in graph.nodes:
        for slot in node.slot_variables:
            found.setdefault(slot.original_variable, []).append(slot.slot_variable)
    named = _by_full_name(graph)
    for lists in find_optimizers(graph).values():
        trained = elements(graph, lists.variables)
        for number in lists.slots.values():
            for place, kept in enumerate(elements(graph, number)):
                owner = trained[place] if place < len(trained) else None
                if lists.variables is None:
                    owner = _named_like(_full_name(graph, kept), named)
                if owner is not None:
                    found.setdefault(owner, []).append(kept)
    return found


def _named_like(full_name: str, named: Mapping[str, int | None]) -> int | None:
    """Return the variable of a slot such as ``m/dense/kernel`` or ``Adam/m/dense/kernel``, if it is one."""
    for _ in range(2):
        full_name = full_name.partition("/")[2]
        if full_name in named:
            return named[full_name]
    return None


def _full_name(graph: ObjectGraph, number: int) -> str:
    return next((attribute.full_name for attribute in graph.nodes[number].attributes), "")


def _by_full_name(graph: ObjectGraph) -> dict[str, int | None]:
    """Return the node of each full name; None of one that several have."""
    named: dict[str, int | None] = {}
    for number, node in enumerate(graph.nodes):
        for attribute in node.attributes:
            named[attribute.full_name] = None if attribute.full_name in named else number
    named.pop("", None)
    return named
