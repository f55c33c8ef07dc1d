"""Which model an object graph holds: the layout all of whose rows lead to a variable, from whatever node.

The graph decides, not the spelling of keys: a model may hang on any root, the word table may be stored under a head, and
encoders written before their attributes had edges are reached by Keras's numbers alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import NamedTuple

from tfckpt.checkpoint.graph.object_graph import VARIABLE_VALUE, Attribute, ObjectGraph, join_path, path_to, split_path
from tfckpt.errors import FormatError
from tfckpt.families.language.rules import NUMBER, NUMBER_MARK, NUMBERED, ObjectLayout, Part, Placed, Variable

# Variables that are looked up for each node and edge of a graph, and for any graph: real ones need a tenth of that.
LOOKUPS = 20
FREE_LOOKUPS = 100_000


class Found(NamedTuple):
    """One row's variable in the graph."""

    variable: Variable
    node: int
    key: str


class Match(NamedTuple):
    """A layout's model in a graph: ``path`` leads to its node; a hub name may be held by several variables."""

    layout: ObjectLayout
    path: str
    found: tuple[Found, ...]


def match_models(graph: ObjectGraph, layouts: Iterable[ObjectLayout]) -> list[Match]:
    """Return the models of the layout that the graph holds whole with the most variables, of those the first.

    There are several only if they share no variable. Raises: FormatError if the graph is so entangled that it would take
    forever.

    >>> match_models(ObjectGraph(), ())
    []
    """
    ways, search = graph.ways(), _Search(graph)
    fullest: list[Match] = []
    for layout in layouts:
        models: list[Match] = []
        taken: set[int] = set()
        begun = {edge for placed in layout.parts for edge in search.first_edges(placed)}
        for number in ways:
            names = graph.nodes[number].children.keys()
            if names.isdisjoint(begun) and number not in search.numbered:
                continue
            found = _match_layout(search, number, layout)
            if found and taken.isdisjoint(item.node for item in found):
                models.append(Match(layout, join_path(path_to(number, ways)), found))
                taken.update(item.node for item in found)
        if models and (not fullest or len(models[0].found) > len(fullest[0].found)):
            fullest = models
    return fullest


@dataclass(slots=True)
class _Search:
    """One graph, what is known of parts below its nodes, and how many variables may still be looked up."""

    graph: ObjectGraph
    known: dict[tuple[int, int], tuple[Found, ...]] = field(default_factory=dict)  # by node, and identity of the part
    begun: dict[int, tuple[Part, set[str]]] = field(
        default_factory=dict
    )  # by identity of a part: it, and its first edges
    numbered: set[int] = field(default_factory=set)  # nodes with containers that Keras has numbered
    left: int = 0

    def __post_init__(self) -> None:
        edges = sum(len(node.children) for node in self.graph.nodes)
        named = ((number, name) for number, node in enumerate(self.graph.nodes) for name in node.children)
        self.numbered = {number for number, name in named if name.startswith(NUMBERED)}
        self.left = LOOKUPS * (len(self.graph.nodes) + edges) + FREE_LOOKUPS

    def spend(self) -> None:
        """Count one variable that is looked up."""
        self.left -= 1
        if self.left < 0:
            raise FormatError(
                "object graph", expected="a model that is found in reasonable time", got="a maze of edges"
            )

    def part(self, node: int, part: Part) -> tuple[Found, ...]:
        """Return what `match_part` does, which is asked once."""
        key = node, id(part)
        if key not in self.known:
            names = self.graph.nodes[node].children.keys()
            hopeless = names.isdisjoint(self.first_edges(Placed(part))) and node not in self.numbered
            self.known[key] = () if hopeless else match_part(self, node, part)
        return self.known[key]

    def first_edges(self, placed: Placed) -> set[str]:
        """Return the edges with which the paths of a placed part begin, but for those that Keras numbers."""
        if placed.path:
            return {split_path(placed.path.partition("/")[0])[0]}
        part = placed.part
        if id(part) not in self.begun:
            self.begun[id(part)] = part, _first_edges(part)
        return self.begun[id(part)][1]


def _match_layout(search: _Search, model: int, layout: ObjectLayout) -> tuple[Found, ...]:
    """Return the variables of all the layout's parts below a node; none unless it is whole."""
    absent: set[str] = set()
    found: list[tuple[str, tuple[Found, ...]]] = []
    places: dict[str, list[Placed]] = {}
    for placed in layout.parts:
        places.setdefault(placed.path, []).append(placed)
    for forms in places.values():
        matched = ((placed, _match_placed(search, model, placed)) for placed in forms)
        placed, part = next((item for item in matched if item[1]), (forms[0], ()))
        if not part and (len(forms) > 1 or not placed.only_with):
            return ()
        if not part:
            absent.add(placed.only_with)
        found.append((placed.only_with, part))
    return tuple(item for only_with, part in found if only_with not in absent for item in part)


def _match_placed(search: _Search, model: int, placed: Placed) -> tuple[Found, ...]:
    node = _descend(search.graph, model, placed.path)
    return () if node is None else search.part(node, placed.part)


def match_part(search: _Search, node: int, part: Part) -> tuple[Found, ...]:
    """Return the variables of a part below a node; none unless every row leads to one."""
    for count in range(len(part.optional) + 1):
        for lacks in combinations(part.optional, count):
            for naming in (_Naming(search, node, part, {}), _numbered(search, node, part, lacks)):
                found = naming.find_all(lacks) if naming is not None else ()
                if naming is None or not found:
                    continue
                if not part.sign or _descend(search.graph, node, naming.spell(part.sign)) is not None:
                    return found
    return ()


def _first_edges(part: Part) -> set[str]:
    """Return the edges with which a part's paths begin."""
    number = part.variables(lambda *prefixes: (0,))
    paths = [v.path for v in number] + [alias for alias, _ in part.all_aliases(lambda *prefixes: (0,))]
    return {split_path(path.partition("/")[0])[0] for path in paths}


class _Naming(NamedTuple):
    """How a part's paths are spelled below a node: containers by attribute, or as ``containers`` says."""

    search: _Search
    node: int
    part: Part
    containers: Mapping[str, str]

    def find_all(self, lacks: tuple[str, ...]) -> tuple[Found, ...]:
        """Return the variables of the part, or none if one of them is not there."""
        aliases: dict[str, list[str]] = {}
        found = []
        for variable in self.part.each_variable(self.numbers, lacks):
            self.search.spend()
            item = self._look_up(variable, variable.path)
            if item is None:
                aliases = aliases or self._aliases()
                begun = [path for path in _beginnings(variable.path) if path in aliases]
                ways = (alias + variable.path.removeprefix(path) for path in begun for alias in aliases[path])
                item = next(filter(None, (self._look_up(variable, way) for way in ways)), None)
            if item is None:
                return ()
            found.append(item)
        return tuple(found)

    def _aliases(self) -> dict[str, list[str]]:
        """Return the second paths of each path."""
        aliases: dict[str, list[str]] = {}
        for alias, to in self.part.all_aliases(self.numbers):
            self.search.spend()
            aliases.setdefault(to, []).append(alias)
        return aliases

    def _look_up(self, variable: Variable, path: str) -> Found | None:
        graph = self.search.graph
        node = _descend(graph, self.node, self.spell(path))
        value = None if node is None else _value(graph, node)
        return None if node is None or value is None else Found(variable, node, value.checkpoint_key)

    def spell(self, path: str) -> str:
        """Return a path of the part as it is spelled here."""
        container = next((begun for begun in _beginnings(path) if begun in self.containers), None)
        return path if container is None else self.containers[container] + path.removeprefix(container)

    def numbers(self, source: str, path: str, one_more: bool = False) -> list[int]:
        """Return the numbers that occur for ``{n}`` in a path of the part."""
        parts = path.rstrip("/").split("/")
        level = next(level for level, part in enumerate(parts) if NUMBER_MARK in part)
        listed = _numbers(self.containers, "/".join(parts[: level + 1]))
        if listed:
            return listed
        node = _descend(self.search.graph, self.node, self.spell("/".join(parts[:level])))
        return [] if node is None else _numbers(self.search.graph.nodes[node].children, parts[level])


def _beginnings(path: str) -> Iterator[str]:
    """Yield a path, and those above it, the shortest first."""
    at = path.find("/")
    while at >= 0:
        yield path[:at]
        at = path.find("/", at + 1)
    yield path


def _numbered(search: _Search, node: int, part: Part, lacks: tuple[str, ...]) -> _Naming | None:
    """Return the spelling by Keras's numbers alone: how many containers there are tells how many of them are layers."""
    children = search.graph.nodes[node].children
    count = sum(name.startswith(NUMBERED) for name in children)
    if not count:
        return None

    def containers(layers: int) -> dict[str, str]:
        def numbers(source: str, path: str, one_more: bool = False) -> Iterable[int]:
            return range(layers) if path.partition(NUMBER_MARK)[0] + "*" in part.order else (0,)

        return part.numbered([variable.path for variable in part.variables(numbers, lacks)])

    layers = max(0, count - len(containers(0)))
    if layers == 1 and any(name in children for name in part.order):
        return None  # its attributes do have edges: a block that all layers share looks like a single layer
    without = _Naming(search, node, part, containers(0))
    first = next(part.each_variable(lambda *prefixes: (), lacks), None)
    if first is not None and without._look_up(first, first.path) is None:
        return None  # before all the layers' paths are spelled
    return _Naming(search, node, part, containers(layers))


def _numbers(names: Iterable[str], pattern: str) -> list[int]:
    regex = re.compile(re.escape(pattern).replace(re.escape(NUMBER_MARK), NUMBER))
    return sorted(int(match[1]) for match in map(regex.fullmatch, names) if match)


def _descend(graph: ObjectGraph, node: int, path: str) -> int | None:
    """Return the node that a path in key form leads to from another, or None."""
    number: int | None = node
    for name in split_path(path):
        number = None if number is None else graph.nodes[number].children.get(name)
    return number


def _value(graph: ObjectGraph, node: int) -> Attribute | None:
    return next((a for a in graph.nodes[node].attributes if a.name == VARIABLE_VALUE), None)
