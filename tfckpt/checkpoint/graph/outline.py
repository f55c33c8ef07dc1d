"""A checkpoint as a tree, the way a person thinks of a model.

Strategy: each object gets one place, under the path with the fewest of Keras's numbers (``layer_with_weights-3``,
``layer-7``); of these the one with the most edges that keys spell too; of these the shortest; of these the first. Other
paths to it are named there as aliases, and where another object leads to it stands a pointer. A name-based checkpoint is
a tree already, by the slashes in its names.
"""

from __future__ import annotations

import heapq
import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tfckpt.bundle.values.entry import Entry
from tfckpt.checkpoint.graph.object_graph import (
    ATTRIBUTES,
    OBJECT_GRAPH_KEY,
    ROOT,
    VARIABLE_VALUE,
    Node,
    ObjectGraph,
    escape,
    split_path,
)
from tfckpt.checkpoint.graph.object_tensors import ObjectTensors
from tfckpt.errors import FormatError

KERAS_NUMBER = re.compile(r"layer(_with_weights)?-[0-9]+")
MAX_DEPTH = 100  # levels that are drawn; no model comes near, but a crafted graph may be a chain of any length

# Paths of a tree, all together, take so many times the characters of the names in it, and as many as a small tree may have.
# Models come to a tenth of that; a crafted chain of long names would take the square of its own size.
MAX_PATHS_RATIO = 64  # of edges' names, which stand in a graph once
MAX_NAMES_RATIO = 16  # of whole names, which are paths themselves
FREE_CHARACTERS = 1 << 20

THE_ROOT = "the root"  # what its empty path is called
Edges = Mapping[str, int]  # of one node: local name -> node number


@dataclass(frozen=True, slots=True)
class Slot:
    """A variable that an optimizer keeps for another, such as Adam's ``m``."""

    name: str
    variable: str  # path of the other
    entry: Entry


class Hidden(NamedTuple):
    """What a branch has below it and is not drawn."""

    variables: int
    nbytes: int


@dataclass(slots=True)
class Branch:
    """One object, variable or part of a name, and what hangs below it; paths are in key form, the root's is empty."""

    name: str
    path: str
    entry: Entry | None = None
    aliases: list[str] = field(default_factory=list)  # a mere name: from the same parent
    points_to: str | None = None  # path of the place where this object is drawn
    note: str = ""
    slots: list[Slot] = field(default_factory=list)
    children: list[Branch] = field(default_factory=list)
    hidden: Hidden | None = None

    @property
    def remarks(self) -> list[str]:
        """What there is to say of it besides its tensor: its other paths, where it is drawn, a note."""
        pieces = [f"= {', '.join(path or THE_ROOT for path in self.aliases)}"] if self.aliases else []
        pieces += [f"-> {self.points_to or THE_ROOT}"] if self.points_to is not None else []
        return pieces + ([f"({self.note})"] if self.note else [])


@dataclass(frozen=True, slots=True)
class Outline:
    """The tree, and the tensors that have no place in it."""

    root: Branch
    rest: tuple[Entry, ...] = ()


class _Room:
    """How many characters paths may still take."""

    def __init__(self, names: Iterable[str], ratio: int) -> None:
        self._most = self._left = ratio * sum(map(len, names)) + FREE_CHARACTERS

    def take(self, text: str) -> str:
        """Return the text.

        Raises: FormatError if there is no room for it.
        """
        self._left -= len(text)
        if self._left < 0:
            raise FormatError("tree", expected=f"paths of at most {self._most:,} characters in all", got="more")
        return text


def outline_names(entries: Collection[Entry]) -> Outline:
    """Return the tree of the names' parts, numbers in numeric order. A name may hold a tensor and others below it.

    Raises: FormatError if the paths of the tree would be far longer than all names together.
    """
    root = Branch("", "")
    below: dict[str, dict[str, Branch]] = {"": {}}
    room = _Room((entry.name for entry in entries), MAX_NAMES_RATIO)
    for entry in sorted(entries, key=lambda entry: natural_order(entry.name)):
        branch, path = root, ""
        for part in entry.name.split("/", MAX_DEPTH - 1):
            siblings = below[path]
            path = f"{path}{part}/"
            if part not in siblings:
                siblings[part] = Branch(part, room.take(path[:-1]))
                branch.children.append(siblings[part])
                below[path] = {}
            branch = siblings[part]
        branch.entry = entry
    return Outline(root)


def outline_objects(graph: ObjectGraph, entries: Sequence[Entry], *, everything: bool = False) -> Outline:
    """Return the tree of a checkpoint's objects.

    Args:
        graph: its object graph.
        entries: its tensors.
        everything: also show objects that hold no value, and lead to none.
    Raises: FormatError if the paths of the tree would be far longer than all names of edges together.
    """
    drawing = _Drawing(graph, entries, everything=everything)
    return Outline(drawing.branch(ROOT), tuple(drawing.unclaimed.values()))


def drawn_paths(graph: ObjectGraph) -> dict[int, str]:
    """Return, by its number, the path under which `outline_objects` draws each object that edges reach.

    Raises: FormatError if the paths would be far longer than all names of edges together.
    """
    edges, _ = _without_copies(graph, graph.nodes_with_values())
    return {number: place.path for number, place in _places(edges, _spelled(graph), _room_of(graph)).items()}


def natural_order(name: str) -> tuple[tuple[int, str], ...]:
    """Return a sort key by which numbers in names count as numbers.

    >>> sorted(["layer_10/a", "layer_9/b", "layer_9/a"], key=natural_order)
    ['layer_9/a', 'layer_9/b', 'layer_10/a']
    """
    pieces = re.split(r"([0-9]+)", name)  # text and digits by turns
    return tuple((len(piece.lstrip("0")) if n % 2 else 0, piece) for n, piece in enumerate(pieces))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where one node is drawn."""

    parent: int
    name: str
    path: str
    depth: int


class _Drawing:
    """One graph on its way to a tree; ``unclaimed`` are the tensors that no branch has taken so far."""

    def __init__(self, graph: ObjectGraph, entries: Sequence[Entry], *, everything: bool) -> None:
        self._nodes = graph.nodes
        self.unclaimed = {entry.name: entry for entry in entries if entry.name != OBJECT_GRAPH_KEY}
        self._entries = dict(self.unclaimed)
        self._tensors = ObjectTensors(graph, self._entries)
        self._drawn: set[str] = set()  # keys, and slots: what many references name is drawn for the first of them
        self._slots_drawn: set[int] = set()
        room = _room_of(graph)
        valued = graph.nodes_with_values()
        self._edges, stand_in = _without_copies(graph, valued)
        self._places = _places(self._edges, _spelled(graph), room)
        self._shown = self._places.keys() if everything else self._places.keys() & valued
        self._aliases = _aliases(self._edges, self._places, room)
        if stand_in is not None:
            self._aliases.setdefault(stand_in, []).append("")

    def branch(self, number: int) -> Branch:
        """Return a node's branch, with all that is drawn below it."""
        place, node = self._places[number], self._nodes[number]
        branch = Branch(place.name, place.path, aliases=self._aliases.get(number, []))
        if node.registered_saver is not None:
            branch.note = f"saved by {node.registered_saver[0]}"
        if place.depth == MAX_DEPTH and node.children:
            branch.note = "deeper levels are not drawn"
        self._add_values(branch, node)
        self._add_saved(branch, number)
        for name, child in self._children(number):
            target = self._places[child]
            if (target.parent, target.name) == (number, name) and child != ROOT:  # an edge to the root may have no name
                branch.children.append(self.branch(child))
            elif not _is_keras_number(name):  # those are named over there, and that is enough
                branch.children.append(Branch(name, _join(place.path, name), points_to=target.path))
        branch.slots = list(self._slots(node))
        return branch

    def _add_values(self, branch: Branch, node: Node) -> None:
        for attribute in node.attributes:
            found = list(self._claim(attribute.checkpoint_key))
            if not found:
                branch.children.append(Branch(attribute.name, attribute.checkpoint_key, note="no such tensor"))
            elif attribute.name == VARIABLE_VALUE and branch.entry is None and len(found) == 1:
                branch.entry = found[0]
            else:
                branch.children += [Branch(e.name.rpartition(ATTRIBUTES)[2], e.name, e) for e in found]

    def _add_saved(self, branch: Branch, number: int) -> None:
        """Add the tensors of a registered saver."""
        for name in self._tensors.of_saver(number):
            entry = self.unclaimed.pop(name, None)
            if entry is not None and name == branch.path and branch.entry is None:
                branch.entry = entry
            elif entry is not None:
                branch.children.append(Branch(name.rpartition("/")[2], name, entry))

    def _slots(self, node: Node) -> Iterator[Slot]:
        for slot in node.slot_variables:
            if slot.slot_variable not in self._places and slot.slot_variable not in self._slots_drawn:
                self._slots_drawn.add(slot.slot_variable)
                original = self._places.get(slot.original_variable)
                path = f"node {slot.original_variable}" if original is None else original.path
                for attribute in self._nodes[slot.slot_variable].attributes:
                    for entry in self._claim(attribute.checkpoint_key):
                        yield Slot(slot.slot_name, path, entry)

    def _claim(self, key: str) -> Iterator[Entry]:
        """Yield the tensors of an attribute; if they are not called as its key, only the first time."""
        names = self._tensors.of_key(key)
        if names != (key,):
            names = () if key in self._drawn else names
            self._drawn.add(key)
        for name in names:
            self.unclaimed.pop(name, None)
            yield self._entries[name]

    def _children(self, number: int) -> list[tuple[str, int]]:
        """Return the edges to draw, one a child, in the order to draw them: a list where its first element would stand."""
        edges = self._edges[number]
        names: dict[int, str] = {}
        for name, child in sorted(edges.items(), key=lambda edge: _is_keras_number(edge[0])):
            if child in self._shown:
                place = self._places[child]
                names.setdefault(child, place.name if place.parent == number and child != ROOT else name)
        if all(name.isdecimal() for name in names.values()):
            return sorted(((name, child) for child, name in names.items()), key=lambda edge: natural_order(edge[0]))
        first: dict[int, int] = {}
        for position, child in enumerate(edges.values()):
            first.setdefault(child, position)

        def position_of(child: int) -> int:
            below = self._edges[child].values() if self._places[child].parent == number else ()
            return min([first[child], *(first[other] for other in below if other in first)])

        return [(names[child], child) for child in sorted(names, key=position_of)]


def _room_of(graph: ObjectGraph) -> _Room:
    return _Room((name for node in graph.nodes for name in node.children), MAX_PATHS_RATIO)


def _is_keras_number(name: str) -> bool:
    return KERAS_NUMBER.fullmatch(name) is not None


def _join(path: str, name: str) -> str:
    return f"{path}/{escape(name)}" if path else escape(name)


def _is_below(path: str, other: str) -> bool:
    """Whether a path is another one, or leads on from it."""
    return path.startswith(other) and path[len(other) : len(other) + 1] in ("", "/")


def _without_copies(graph: ObjectGraph, valued: set[int]) -> tuple[list[Edges], int | None]:
    """Return every node's edges, and the child that the root stands for as well, if it repeats all its edges.

    That is how one file serves ``Checkpoint(model=...)`` and ``Checkpoint(root=...)``; the copies would draw the model twice.
    """
    edges: list[Edges] = [node.children for node in graph.nodes]
    root = graph.nodes[ROOT].children
    for child in dict.fromkeys(root.values()):
        copies = graph.nodes[child].children
        if copies and child in valued and child not in (ROOT, *copies.values()) and copies.items() <= root.items():
            edges[ROOT] = {name: number for name, number in root.items() if name not in copies}
            return edges, child
    return edges, None


def _spelled(graph: ObjectGraph) -> set[tuple[int, str]]:
    """Return the edges, each by its parent and name, that stand in keys: the ways that the writer of the graph went."""
    edges = set()
    for node in graph.nodes:
        for attribute in node.attributes:
            number: int | None = ROOT
            for name in split_path(attribute.checkpoint_key.partition(ATTRIBUTES)[0]):
                if number is not None:
                    edges.add((number, name))
                    number = graph.nodes[number].children.get(name)
    return edges


def _places(edges: Sequence[Edges], spelled: Collection[tuple[int, str]], room: _Room) -> dict[int, _Place]:
    """Return the place of every node that edges reach, by number: Dijkstra's shortest paths."""
    places: dict[int, _Place] = {}
    order = itertools.count()
    queue = [(0, 0, 0, next(order), ROOT, ROOT, "")]
    while queue:
        numbers, strange, depth, _, number, parent, name = heapq.heappop(queue)
        if number in places:
            continue
        path = room.take(_join(places[parent].path, name)) if number != ROOT else ""
        places[number] = _Place(parent, name, path, depth)
        for edge, child in edges[number].items() if depth < MAX_DEPTH else ():
            if child not in places:
                cost = numbers + _is_keras_number(edge), strange + ((number, edge) not in spelled), depth + 1
                heapq.heappush(queue, (*cost, next(order), child, number, edge))
    return places


def _aliases(edges: Sequence[Edges], places: Mapping[int, _Place], room: _Room) -> dict[int, list[str]]:
    """Return the other ways to each node: a name if its own parent has it, else a path; no circles back to it."""
    aliases: dict[int, list[str]] = {}
    for number, place in places.items():
        for name, child in edges[number].items():
            target = places.get(child)
            if target is None or (target.parent, target.name) == (number, name):
                continue
            if child != ROOT and not _is_below(place.path, target.path):
                alias = room.take(escape(name) if target.parent == number else _join(place.path, name))
                aliases.setdefault(child, []).append(alias)
    return aliases
