"""Every way that leads from the root of an object graph to a variable, as a tree of edges.

Several ways may lead to one object: an attribute, ``layer_with_weights-3``, an optimizer's list of what it trains. Whoever
types a path means one of them. A graph of a stranger may have more ways than anybody can count: the shortest come first, and
there is a limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tfckpt.checkpoint.object_graph import ROOT, ObjectGraph, Path

MAX_DEPTH = 100  # edges of a way; no model comes near, but a crafted graph may be a chain of any length
# Ways, all together: so many for each edge of the graph, and as many as a small graph may have. Models come to a tenth of it.
MAX_WAYS_RATIO = 16
FREE_WAYS = 1 << 16


class Way(NamedTuple):
    """One step of the tree: the way before it, by number, the edge, and the node that it leads to."""

    parent: int
    edge: str
    node: int
    depth: int


class WayTree:
    """The ways to what holds values, shortest first; number 0 is the empty one, at the root.

    ``complete`` says whether there are no others: circles aside, and unless the graph has far too many.

    Example:
        >>> from tfckpt.checkpoint.object_graph import Attribute, Node
        >>> graph = ObjectGraph([Node({"a": 1, "b": 1}), Node({"w": 2}), Node(attributes=[Attribute("x", "y")])])
        >>> [ways.path(number) for ways in [WayTree(graph)] for number in ways.to_values()]
        [('a', 'w'), ('b', 'w')]
    """

    def __init__(self, graph: ObjectGraph) -> None:
        self.complete = True
        self.all: list[Way] = [Way(0, "", ROOT, 0)]
        self._graph = graph
        self._grow(graph)

    def _grow(self, graph: ObjectGraph) -> None:
        valued = graph.nodes_with_values()
        edges = [
            [(name, child) for name, child in node.children.items() if child in valued] if number in valued else []
            for number, node in enumerate(graph.nodes)
        ]
        most = MAX_WAYS_RATIO * sum(map(len, edges)) + FREE_WAYS
        for number, way in enumerate(self.all):  # which grows meanwhile
            if not edges[way.node]:
                continue
            if way.depth == MAX_DEPTH or len(self.all) + len(edges[way.node]) > most:
                self.complete = False
                continue
            passed = self._nodes_on(number)
            self.all += [
                Way(number, edge, child, way.depth + 1) for edge, child in edges[way.node] if child not in passed
            ]

    def _nodes_on(self, number: int) -> set[int]:
        """Return the nodes that a way passes: whoever comes back to one goes in a circle."""
        nodes = {ROOT}
        while number:
            way = self.all[number]
            nodes.add(way.node)
            number = way.parent
        return nodes

    def path(self, number: int) -> Path:
        """Return the edges of a way, from the root."""
        names = []
        while number:
            way = self.all[number]
            names.append(way.edge)
            number = way.parent
        return tuple(reversed(names))

    def to_values(self) -> Iterator[int]:
        """Yield the ways that end at an object with attributes, shortest first."""
        for number, way in enumerate(self.all):
            if self._graph.nodes[way.node].attributes:
                yield number
