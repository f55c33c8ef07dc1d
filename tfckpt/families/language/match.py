"""Which model a source holds: in an object graph, the layout all of whose rows lead to a variable, from whatever node.

The graph decides, not the spelling of keys: a model may hang on any root, the word table may be stored under a head, and
encoders written before their attributes had edges are reached by Keras's numbers alone. Without a graph, names decide.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from tfckpt.checkpoint.graph.object_graph import ObjectGraph, join_path, path_to, split_path, value_of
from tfckpt.errors import FormatError
from tfckpt.families.language.axes import parse
from tfckpt.families.language.family import Family
from tfckpt.families.language.layouts import Layout, NameRows, ObjectRows, Placed, Substitutions
from tfckpt.families.language.optimizer import ADAM_SLOTS, TRAINING_STEP
from tfckpt.families.language.rules import (
    NUMBER,
    NUMBERED,
    PADDED_MARK,
    Part,
    Variable,
    numbers_in,
    pattern_of,
    scopes_before,
)

# Variables that are looked up for each node and edge of a graph, and for any graph: real ones need a tenth of that.
LOOKUPS = 20
FREE_LOOKUPS = 100_000
MOST_LAYERS = 128  # of a model whose names tell them


NOWHERE = -1  # the node of what no graph holds


class Found(NamedTuple):
    """One row's variable in a source: its node in the graph, if there is one, and its key or name."""

    variable: Variable
    node: int
    key: str


class Match(NamedTuple):
    """A layout's model in a source: ``path`` leads to its node, or is the scope of its names.

    A hub name may be held by several variables. ``absent`` are those that names ask for, and that are not there.
    """

    layout: Layout
    family: Family
    path: str
    found: tuple[Found, ...]
    absent: tuple[Found, ...] = ()


def match_names(names: Collection[str], layout: NameRows) -> list[Match]:
    """Return the models whose variables have the names of a layout's rows, one for each scope before them."""
    assert layout.part is not None
    assert layout.family is not None
    family = layout.family
    one = layout.part.each_variable(lambda *prefixes: (0,))
    anchor = next(variable.path for variable in one if family.anchor in variable.names)
    matches = []
    for scope in scopes_before(anchor, names):
        own = {name.removeprefix(scope) for name in names if name.startswith(scope)}
        there = numbers_in(own)
        rows = layout.part.variables(lambda source, path, one_more=False, there=there: there(path, ""))
        absent = tuple(Found(row, NOWHERE, scope + row.path) for row in rows if row.path not in own)
        found = [Found(row, NOWHERE, scope + row.path) for row in rows if row.path in own]
        matches.append(Match(layout, family, scope, _with_state(found, names), absent))
    return matches


def match_substituted(
    shapes: Mapping[str, tuple[int, ...]], layout: Substitutions, models: Sequence[ObjectRows]
) -> list[Match]:
    """Return the model whose hub names became these names by a layout's substitutions; none if its anchor is not there.

    Args:
        shapes: of all tensors, by name.
        layout: the substitutions.
        models: whose rows have the hub names.
    """
    family = layout.of
    if family is None or layout.rename(family.anchor) not in shapes:
        return []
    numbers = sorted({int(n) for name in shapes for n in re.findall(rf"(?<![0-9]){NUMBER}(?![0-9])", name)})[
        :MOST_LAYERS
    ]
    parts = [placed.part for model in models if model.family == family for placed in model.parts]
    rows = dict.fromkeys(variable.name for part in parts for variable in part.each_variable(lambda *prefixes: numbers))
    found, absent = [], []
    for name in rows:
        key = layout.rename(name)
        if key in shapes:
            found.append(Found(Variable(name, key, _unsplit(layout.axes(name), shapes[key])), NOWHERE, key))
        else:
            absent.append(Found(Variable(name, key, ""), NOWHERE, key))
    if not any(layer.isdecimal() for item in found for layer in re.split("[/_]", item.variable.name)):
        return []  # another model may call its words so
    scopes = set(map(_scope, found))  # of layers that are there
    absent = [item for item in absent if _scope(item) in scopes]
    return [Match(layout, family, "", _with_state(found, shapes), tuple(absent))]


def _unsplit(axes: str | None, shape: Sequence[int]) -> str:
    """Return the pattern if a tensor has the form that it leads to; empty if it has the hub's."""
    return axes if axes is not None and len(parse(axes)[1]) == len(shape) else ""


def _scope(item: Found) -> str:
    """Return the scope of the layer that a variable is of."""
    return item.variable.name.rpartition("/")[0].rpartition("/")[0]


def _with_state(found: Sequence[Found], names: Collection[str]) -> tuple[Found, ...]:
    """Return variables, and the slots of theirs and the training step that are among these names."""
    slots = (Found(f.variable.slot(slot), NOWHERE, f"{f.key}/{slot}") for f in found for slot in ADAM_SLOTS.values())
    step = Found(Variable(TRAINING_STEP, TRAINING_STEP, ""), NOWHERE, TRAINING_STEP)
    return (*found, *(item for item in (*slots, step) if item.key in names))


def match_models(graph: ObjectGraph, layouts: Iterable[ObjectRows]) -> list[Match]:
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
                models.append(Match(layout, layout.family, join_path(path_to(number, ways)), found))
                taken.update(item.node for item in found)
        if models and (not fullest or _fullness(models[0]) > _fullness(fullest[0])):
            fullest = models
    return fullest


def _fullness(match: Match) -> tuple[int, int]:
    """Return how much of a graph a model accounts for: its variables, and what it says of those that parts share."""
    shared = match.layout.shared if isinstance(match.layout, ObjectRows) else ()
    return len(match.found), len(shared)


class _Search:
    """One graph, what is known of parts below its nodes, and how many variables may still be looked up."""

    def __init__(self, graph: ObjectGraph) -> None:
        self.graph = graph
        self.known: dict[tuple[int, int], tuple[Found, ...]] = {}  # by node, and identity of the part
        self.begun: dict[int, tuple[Part, set[str]]] = {}  # by identity of a part: it, and its first edges
        edges = sum(len(node.children) for node in graph.nodes)
        named = ((number, name) for number, node in enumerate(graph.nodes) for name in node.children)
        self.numbered = {number for number, name in named if name.startswith(NUMBERED)}  # with what Keras has numbered
        self.left = LOOKUPS * (len(graph.nodes) + edges) + FREE_LOOKUPS

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


def _match_layout(search: _Search, model: int, layout: ObjectRows) -> tuple[Found, ...]:
    """Return the variables of all the layout's parts below a node; none unless it is whole."""
    for item in layout.shared:
        if (node := _descend(search.graph, model, item.path)) is None:
            return ()
        if node != _descend(search.graph, model, item.owner):
            return ()
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
        value = None if node is None else value_of(graph.nodes[node])
        return None if node is None or value is None else Found(variable, node, value.checkpoint_key)

    def spell(self, path: str) -> str:
        """Return a path of the part as it is spelled here."""
        container = next((begun for begun in _beginnings(path) if begun in self.containers), None)
        return path if container is None else self.containers[container] + path.removeprefix(container)

    def numbers(self, source: str, path: str, one_more: bool = False) -> list[int]:
        """Return the numbers that occur for ``{n}`` in a path of the part."""
        parts = path.rstrip("/").split("/")
        level = next(level for level, part in enumerate(parts) if PADDED_MARK.search(part))
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
            return range(layers) if PADDED_MARK.split(path)[0] + "*" in part.order else (0,)

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
    return sorted(int(match[1]) for match in map(pattern_of(pattern).fullmatch, names) if match)


def _descend(graph: ObjectGraph, node: int, path: str) -> int | None:
    """Return the node that a path in key form leads to from another, or None."""
    number: int | None = node
    for name in split_path(path):
        number = None if number is None else graph.nodes[number].children.get(name)
    return number
