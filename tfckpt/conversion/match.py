"""Which model an object graph holds: the layout all of whose rows lead to a variable, from whatever node.

The graph decides, not the spelling of keys: a model may hang on any root, the word table may be stored under a head, and
encoders written before their attributes had edges are reached by Keras's numbers alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

from tfckpt.checkpoint.object_graph import VARIABLE_VALUE, Attribute, ObjectGraph, join_path, split_path
from tfckpt.layouts.rules import NUMBER, NUMBER_MARK, NUMBERED, ObjectLayout, Part, Placed, Variable


@dataclass(frozen=True, slots=True)
class Found:
    """One row's variable in the graph."""

    variable: Variable
    node: int
    key: str


@dataclass(frozen=True, slots=True)
class Match:
    """A layout's model in a graph: ``path`` leads to its node; a hub name may be held by several variables."""

    layout: ObjectLayout
    path: str
    found: tuple[Found, ...]


def match_models(graph: ObjectGraph, layouts: Iterable[ObjectLayout]) -> list[Match]:
    """Return the models of the layout that the graph holds whole with the most variables, of those the first.

    There are several only if they share no variable.

    >>> match_models(ObjectGraph(), ())
    []
    """
    numbers = {id(node): number for number, node in enumerate(graph.nodes)}
    fullest: list[Match] = []
    for layout in layouts:
        models: list[Match] = []
        taken: set[int] = set()
        for path, node in graph.walk():
            found = _match_layout(graph, numbers[id(node)], layout)
            if found and taken.isdisjoint(item.node for item in found):
                models.append(Match(layout, join_path(path), found))
                taken.update(item.node for item in found)
        if models and (not fullest or len(models[0].found) > len(fullest[0].found)):
            fullest = models
    return fullest


def _match_layout(graph: ObjectGraph, model: int, layout: ObjectLayout) -> tuple[Found, ...]:
    """Return the variables of all the layout's parts below a node; none unless it is whole."""
    absent: set[str] = set()
    found: list[tuple[str, tuple[Found, ...]]] = []
    places: dict[str, list[Placed]] = {}
    for placed in layout.parts:
        places.setdefault(placed.path, []).append(placed)
    for forms in places.values():
        matched = ((placed, _match_placed(graph, model, placed)) for placed in forms)
        placed, part = next((item for item in matched if item[1]), (forms[0], ()))
        if not part and (len(forms) > 1 or not placed.only_with):
            return ()
        if not part:
            absent.add(placed.only_with)
        found.append((placed.only_with, part))
    return tuple(item for only_with, part in found if only_with not in absent for item in part)


def _match_placed(graph: ObjectGraph, model: int, placed: Placed) -> tuple[Found, ...]:
    node = _descend(graph, model, placed.path)
    return () if node is None else match_part(graph, node, placed.part)


def match_part(graph: ObjectGraph, node: int, part: Part) -> tuple[Found, ...]:
    """Return the variables of a part below a node; none unless every row leads to one."""
    for count in range(len(part.optional) + 1):
        for lacks in combinations(part.optional, count):
            for naming in (_Naming(graph, node, part, {}), _numbered(graph, node, part, lacks)):
                found = naming.find_all(lacks) if naming is not None else ()
                if naming is None or not found:
                    continue
                if not part.sign or _descend(graph, node, naming.spell(part.sign)) is not None:
                    return found
    return ()


@dataclass(frozen=True, slots=True)
class _Naming:
    """How a part's paths are spelled below a node: containers by attribute, or as ``containers`` says."""

    graph: ObjectGraph
    node: int
    part: Part
    containers: Mapping[str, str]

    def find_all(self, lacks: tuple[str, ...]) -> tuple[Found, ...]:
        """Return the variables of the part, or none if one of them is not there."""
        aliases = self.part.all_aliases(self.numbers)
        found = []
        for variable in self.part.variables(self.numbers, lacks):
            item = next(self._lookups(variable, aliases), None)
            if item is None:
                return ()
            found.append(item)
        return tuple(found)

    def _lookups(self, variable: Variable, aliases: Iterable[tuple[str, str]]) -> Iterator[Found]:
        paths = [variable.path]
        paths += [a + variable.path.removeprefix(to) for a, to in aliases if f"{variable.path}/".startswith(f"{to}/")]
        for path in paths:
            node = _descend(self.graph, self.node, self.spell(path))
            value = None if node is None else _value(self.graph, node)
            if node is not None and value is not None:
                yield Found(variable, node, value.checkpoint_key)

    def spell(self, path: str) -> str:
        """Return a path of the part as it is spelled here."""
        for container, alias in self.containers.items():
            if f"{path}/".startswith(f"{container}/"):
                return alias + path.removeprefix(container)
        return path

    def numbers(self, source: str, path: str, one_more: bool = False) -> list[int]:
        """Return the numbers that occur for ``{n}`` in a path of the part."""
        parts = path.rstrip("/").split("/")
        level = next(level for level, part in enumerate(parts) if NUMBER_MARK in part)
        listed = _numbers(self.containers, "/".join(parts[: level + 1]))
        if listed:
            return listed
        node = _descend(self.graph, self.node, self.spell("/".join(parts[:level])))
        return [] if node is None else _numbers(self.graph.nodes[node].children, parts[level])


def _numbered(graph: ObjectGraph, node: int, part: Part, lacks: tuple[str, ...]) -> _Naming | None:
    """Return the spelling by Keras's numbers alone: how many containers there are tells how many of them are layers."""
    count = sum(name.startswith(NUMBERED) for name in graph.nodes[node].children)

    def containers(layers: int) -> dict[str, str]:
        def numbers(source: str, path: str, one_more: bool = False) -> Iterable[int]:
            return range(layers) if path.partition(NUMBER_MARK)[0] + "*" in part.order else (0,)

        return part.numbered([variable.path for variable in part.variables(numbers, lacks)])

    layers = max(0, count - len(containers(0)))
    if layers == 1 and any(name in graph.nodes[node].children for name in part.order):
        return None  # its attributes do have edges: a block that all layers share looks like a single layer
    return _Naming(graph, node, part, containers(layers))


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
