"""All the ways that lead to objects of a graph, spelled as paths, and what is done where there are too many.

An object has as many paths as there are ways to it: Keras alone keeps a layer as an attribute, in a list and under two
numbers, so that a variable of a model within models has hundreds. A graph of a few nodes may have more than can be counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple, TypeAlias

from tfckpt.checkpoint.graph.object_graph import ATTRIBUTES, ROOT, ObjectGraph, escape, join_path, path_to, split_path
from tfckpt.checkpoint.graph.optimizer_lists import is_surely_optimizer
from tfckpt.checkpoint.graph.optimizers import TRAINED
from tfckpt.errors import FormatError

# Edges that are looked at, all together: so many times those of the graph, and as many as a small one may have. Saved Keras
# models come to twenty times their edges where they are small, and to one and a half times where they are large.
MAX_STEPS_RATIO = 8
FREE_STEPS = 200_000
# And characters of paths: so many times those of the edges' names, which stand in a graph once.
MAX_PATHS_RATIO = 64
FREE_CHARACTERS = 1 << 20

Edge: TypeAlias = "tuple[int, str]"  # the node that it leaves, and its name
Edges: TypeAlias = (
    "list[tuple[str, str, int]]"  # of one node: names as they are, as they stand in paths, and where they lead
)


class Way(NamedTuple):
    """A way from the root to a node.

    Attributes:
        number: ways are counted in the order in which they are found, the short ones first; that to the root is 0.
        node: where it leads.
        edge: the name of its last edge.
        path: of the node, in key form.
        before: the way without its last edge; None before the root.
        length: how many edges it has.
    """

    number: int
    node: int
    edge: str
    path: str
    before: Way | None
    length: int


class Paths(dict[int, tuple[str, ...]]):
    """Paths in key form, by node number, the shortest first; ``is_complete`` unless there were too many to spell all."""

    is_complete = True


def paths_of_variables(graph: ObjectGraph) -> Paths:
    """Return the paths of all objects that have tensors, but for slot variables, which no edge leads to.

    A way that comes to an object twice does not count: of those there is no end. If there are too many ways (see
    ``is_complete``), each object has those that `outline_objects` draws, those that go on from the shortest way to an object
    that leads to it, the one by which its key is spelled, and as many others as there is room for.

    Example:
        >>> from tfckpt.checkpoint.graph.object_graph import Attribute, Node
        >>> value = Attribute("VARIABLE_VALUE", "layer/w/.ATTRIBUTES/VARIABLE_VALUE")
        >>> graph = ObjectGraph([Node({"layer": 1, "again": 1}), Node({"w": 2, "owner": 0}), Node(attributes=[value])])
        >>> paths_of_variables(graph)
        {2: ('layer/w', 'again/w')}
    """
    return paths_to(graph, [number for number, node in enumerate(graph.nodes) if node.attributes])


def paths_to(graph: ObjectGraph, numbers: Collection[int], *, without: Collection[Edge] = ()) -> Paths:
    """Return the paths of some objects, as `paths_of_variables` does of those with tensors; some edges may be no way."""
    wanted = frozenset(numbers)
    edges = _edges_towards(graph, wanted, without)
    found: dict[int, dict[str, None]] = {number: {} for number in sorted(wanted)}
    is_complete = True
    try:
        for way in _all_ways(edges, _Room(graph)):
            if way.node in found:
                found[way.node][way.path] = None
    except _NoRoomError:
        is_complete = False
        with suppress(_NoRoomError):
            for number, path in _chief_ways(graph, found, edges, _Room(graph)):
                if number in found:
                    found[number][path] = None
    paths = Paths((number, tuple(sorted(ways, key=len))) for number, ways in found.items() if ways)
    paths.is_complete = is_complete
    return paths


def all_ways(graph: ObjectGraph, numbers: Collection[int]) -> list[Way]:
    """Return every way that leads to one of some nodes, or on to one, and comes to no node twice; short ones first.

    Raises: FormatError if there are too many.
    """
    try:
        return list(_all_ways(_edges_towards(graph, frozenset(numbers)), _Room(graph)))
    except _NoRoomError:
        raise FormatError("ways through the object graph", expected="as many as a model has", got="far more") from None


class _NoRoomError(Exception):
    """There are more ways than are spelled."""


class _Room:
    """How many edges may still be looked at, and how many characters paths may still take."""

    def __init__(self, graph: ObjectGraph) -> None:
        self._steps = MAX_STEPS_RATIO * sum(len(node.children) for node in graph.nodes) + FREE_STEPS
        names = sum(len(name) for node in graph.nodes for name in node.children)
        self._characters = MAX_PATHS_RATIO * names + FREE_CHARACTERS

    def take(self, steps: int, characters: int) -> None:
        """Count what is about to be done.

        Raises: _NoRoomError.
        """
        self._steps -= steps
        self._characters -= characters
        if self._steps < 0 or self._characters < 0:
            raise _NoRoomError


def edges_of_training(graph: ObjectGraph) -> set[Edge]:
    """Return the edges by which optimizers list what they train, as far as other edges lead there too.

    Nobody who names an optimizer means the model's weights.
    """
    optimizers = (node for node in graph.nodes if is_surely_optimizer(node))
    lists = {child for node in optimizers for name, child in node.children.items() if name in TRAINED}
    elsewhere = {child for n, node in enumerate(graph.nodes) if n not in lists for child in node.children.values()}
    return {(n, name) for n in lists for name, child in graph.nodes[n].children.items() if child in elsewhere}


def _edges_towards(graph: ObjectGraph, wanted: Collection[int], without: Collection[Edge] = ()) -> Mapping[int, Edges]:
    """Return the edges of each node that lead, in the end, to one of those wanted."""
    parents: dict[int, list[int]] = {}
    for number, node in enumerate(graph.nodes):
        for child in node.children.values():
            parents.setdefault(child, []).append(number)
    leading, queue = set(wanted), list(wanted)
    while queue:
        above = [parent for parent in parents.pop(queue.pop(), []) if parent not in leading]
        leading.update(above)
        queue += above
    return {
        number: [
            (name, escape(name), child)
            for name, child in graph.nodes[number].children.items()
            if child in leading and (number, name) not in without
        ]
        for number in sorted(leading)
    }


def _before_circles(edges: Mapping[int, Edges]) -> set[int]:
    """Return the nodes from which a way leads into a circle: only these can stand on it twice."""
    parents: dict[int, list[int]] = {}
    left = {number: len(below) for number, below in edges.items()}
    for number, below in edges.items():
        for *_, child in below:
            parents.setdefault(child, []).append(number)
    ends = [number for number, count in left.items() if not count]
    while ends:
        number = ends.pop()
        del left[number]
        for parent in parents.get(number, ()):
            left[parent] -= 1
            if not left[parent]:
                ends.append(parent)
    return set(left)


def _all_ways(edges: Mapping[int, Edges], room: _Room) -> Iterator[Way]:
    """Yield every way that comes to no node twice, the short ones first.

    Raises: _NoRoomError.
    """
    circular = _before_circles(edges)
    queue = deque([Way(0, ROOT, "", "", None, 0)])
    count = 1
    while queue:
        way = queue.popleft()
        yield way
        for name, spelled, child in edges.get(way.node, ()):
            may_return = child in circular
            room.take(1 + way.length if may_return else 1, len(way.path) + len(spelled) + 1)
            if not (may_return and _passes(way, child)):
                path = f"{way.path}/{spelled}" if way.node != ROOT else spelled
                queue.append(Way(count, child, name, path, way, way.length + 1))
                count += 1


def _passes(way: Way, node: int) -> bool:
    """Whether a way comes to a node."""
    at: Way | None = way
    while at is not None and at.node != node:
        at = at.before
    return at is not None


def _chief_ways(
    graph: ObjectGraph, wanted: Collection[int], edges: Mapping[int, Edges], room: _Room
) -> Iterator[tuple[int, str]]:
    """Yield the ways that matter most: the shortest, those by which keys are spelled, those that a tree draws.

    Raises: _NoRoomError.
    """
    from tfckpt.checkpoint.graph.outline import drawn_paths  # which few need

    ways = graph.ways()
    for number in wanted:
        if number in ways:
            path = join_path(path_to(number, ways))
            room.take(1, len(path))
            yield number, path
    for number in wanted:
        for attribute in graph.nodes[number].attributes:
            path = attribute.checkpoint_key.partition(ATTRIBUTES)[0]
            room.take(1, len(path))
            if graph.number_at(split_path(path)) == number:
                yield number, path
    with suppress(FormatError):  # such a graph has no tree
        drawn = drawn_paths(graph)
        yield from drawn.items()
        yield from _one_edge_on(drawn.items(), edges, room)
    shortest = ((number, join_path(path_to(number, ways))) for number in ways if edges.get(number))
    yield from _one_edge_on(shortest, edges, room)


def _one_edge_on(
    paths: Iterator[tuple[int, str]] | Collection[tuple[int, str]], edges: Mapping[int, Edges], room: _Room
) -> Iterator[tuple[int, str]]:
    for number, path in paths:
        room.take(1, len(path))
        for _, spelled, child in edges.get(number, ()):
            room.take(1, len(path) + len(spelled) + 1)
            yield child, f"{path}/{spelled}" if number != ROOT else spelled
