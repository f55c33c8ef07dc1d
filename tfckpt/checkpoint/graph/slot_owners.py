"""Which variable a slot is for, in whatever way the optimizer's node tells it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tfckpt.checkpoint.graph.object_graph import Node, ObjectGraph
from tfckpt.checkpoint.graph.optimizer_lists import elements, find_optimizers


def slots_of_variables(graph: ObjectGraph) -> dict[int, list[int]]:
    """Return the nodes of slots by the node of their variable, as far as the graph tells.

    A legacy optimizer refers to each. One of Keras 3 lists what it trains, and place N of its other lists is for that. One of
    tf_keras lists slots alone: their full names end in their variable's, which tells if no other variable has that name.

    Example:
        >>> from tfckpt.checkpoint.graph.object_graph import Node
        >>> optimizer = Node({"_iterations": 2, "_variables": 4, "_trainable_variables": 3, "_momentums": 4})
        >>> graph = ObjectGraph([Node({"opt": 1}), optimizer, Node(), Node({"0": 5}), Node({"0": 6}), Node(), Node()])
        >>> slots_of_variables(graph)
        {5: [6]}
    """
    found: dict[int, list[int]] = {}
    for node in graph.nodes:
        for slot in node.slot_variables:
            found.setdefault(slot.original_variable, []).append(slot.slot_variable)
    named = by_name((a.full_name, number) for number, node in enumerate(graph.nodes) for a in node.attributes)
    for lists in find_optimizers(graph).values():
        trained = elements(graph, lists.variables)
        for number in lists.slots.values():
            for place, kept in enumerate(elements(graph, number)):
                owner = trained[place] if place < len(trained) else None
                if lists.variables is None:
                    owner = _named_like(full_name(graph.nodes[kept]), named)
                if owner is not None:
                    found.setdefault(owner, []).append(kept)
    return found


def full_name(node: Node) -> str:
    """Return what TensorFlow 1 would call a variable; the empty string if nothing tells."""
    return next((attribute.full_name for attribute in node.attributes), "")


def by_name(named: Iterable[tuple[str, int]]) -> dict[str, int | None]:
    """Return the node of each name; None by a name that several have.

    >>> by_name([("kernel", 1), ("bias", 2), ("bias", 3), ("", 4)])
    {'kernel': 1, 'bias': None}
    """
    found: dict[str, int | None] = {}
    for name, number in named:
        if name:
            found[name] = None if name in found else number
    return found


def _named_like(name: str, named: Mapping[str, int | None]) -> int | None:
    """Return the variable of a slot such as ``m/dense/kernel`` or ``Adam/m/dense/kernel``, if it is one."""
    for _ in range(2):
        name = name.partition("/")[2]
        if name in named:
            return named[name]
    return None
