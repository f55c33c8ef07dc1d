"""An object graph changed: objects added, moved, reached by another way, taken away; keys follow.

TensorFlow finds an object by edges alone, so to rename or to move one is to change the edge that leads to it: its node, and
with it every slot variable and every other way to it, stays. A key only names a tensor, but people read it, so a key that
spells a way is spelled anew when that way changes.
Source: tensorflow/python/checkpoint/restore.py; tensorflow/python/trackable/trackable_utils.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Container, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from tfckpt.checkpoint.graph.object_graph import (
    ATTRIBUTES,
    ROOT,
    SLOT_MARK,
    VARIABLE_VALUE,
    Attribute,
    Node,
    ObjectGraph,
    Path,
    join_path,
    split_path,
    variable_key,
)
from tfckpt.checkpoint.graph.slot_owners import slots_of_variables
from tfckpt.checkpoint.graph.ways import Edge, Way, all_ways, edges_of_training
from tfckpt.errors import PlanError, UsageError, some

Rename = Callable[[str], str]

KEYS_ALONE = "rename every way to an object alike; or its key alone, by a pattern that names /.ATTRIBUTES/"


class Moved(NamedTuple):
    """An edge that leads to its object from another place, or by another name: both paths in key form."""

    old: str
    new: str


class Changes(NamedTuple):
    """What became of a graph: the edges that lead elsewhere, and the new keys by the old."""

    moved: tuple[Moved, ...] = ()
    keys: Mapping[str, str] = MappingProxyType({})


def rename_paths(graph: ObjectGraph, rename: Rename) -> Changes:
    """Move what a function of paths gives another path; nothing changes if it gives none.

    Every way to a value is tried, and if none of them changes, every way to an object. A node whose content would go only in
    part while other ways lead to it stays whole: that is refused.

    Args:
        graph: is changed in place.
        rename: from a path in key form to its new one.
    Raises:
        PlanError: two objects would have one path, an object none, or a node with other ways in would be split; lists all.
        FormatError: the graph has too many ways to look at.
    Example:
        >>> graph = ObjectGraph([Node({"model": 1}), Node({"dense1": 2}), Node(attributes=[Attribute("V", "k")])])
        >>> rename_paths(graph, lambda path: path.replace("dense1", "proj")).moved
        (Moved(old='model/dense1', new='model/proj'),)
    """
    renaming = _Renaming(graph, rename)
    return renaming.carry_out() if renaming.changes_something else Changes()


def move(graph: ObjectGraph, old: str, new: str) -> Changes:
    """Let the object at one path be found at another instead, with all below it; other ways to it stay.

    Args:
        graph: is changed in place.
        old: path of the object in key form.
        new: its new path; objects that are missing on the way to it are added.
    Raises:
        UsageError: there is no object at ``old``, or another one at ``new``, or one of them is the root.
    Example:
        >>> graph = ObjectGraph([Node({"model": 1}), Node({"enc": 2}), Node(attributes=[Attribute("V", "k")])])
        >>> move(graph, "model/enc", "encoder").moved, graph.nodes[0].children
        ((Moved(old='model/enc', new='encoder'),), {'model': 1, 'encoder': 2})
    """
    number = _existing(graph, old)
    source, target = split_path(old), split_path(new)
    _check_free(graph, new, number)
    if target[: len(source)] == source and target != source:
        raise UsageError(f"move {old!r} to {new!r}: an object cannot go below itself")
    before = [dict(node.children) for node in graph.nodes]  # edges are added to what is there
    parent = graph.number_at(source[:-1])
    assert parent is not None, old
    stays = target[:-1] == source[:-1]
    changes = {(parent, source[-1]): _Change(target[-1]) if stays else _Change(source[-1], (target,))}
    complaints: list[str] = []
    _change_edges(graph, changes, complaints)
    assert not complaints, complaints
    keys = _respelled(graph, before, changes)
    graph.rename_keys(keys)
    return Changes((Moved(old, new),), keys)


def add_alias(graph: ObjectGraph, alias: str, path: str) -> None:
    """Let a second path lead to the object at ``path`` as well, so that a model that has it there restores too.

    Raises: UsageError if there is no object at ``path``, or another one at ``alias``.
    """
    number = _existing(graph, path)
    _check_free(graph, alias, number)
    names = split_path(alias)
    graph.nodes[_lead_to_values(graph, names[:-1])].children[names[-1]] = number


def add_variable(graph: ObjectGraph, path: str, full_name: str = "", *, taken: Container[str] = ()) -> str:
    """Add a variable at a path, and what is missing on the way to it; return the key of its tensor.

    Args:
        graph: is changed in place.
        path: in key form.
        full_name: what TensorFlow 1 restores it by, from an object-based checkpoint.
        taken: keys that other tensors have, whose objects may be elsewhere by now.
    Raises:
        UsageError: there is a value already, its key is taken, or the path has an empty part.
    """
    names = _checked(path)
    for end in range(1, len(names) + 1):
        node = graph.find(names[:end])
        if node is not None and node.attributes:
            held = f"{join_path(names[:end])!r} has a value already: {node.attributes[0].checkpoint_key!r}"
            raise UsageError(f"object {path!r}: {held}")
    key = variable_key(path)
    if key in taken:
        raise UsageError(f"object {path!r}: the key {key!r} is that of another object's tensor")
    graph.nodes[_lead_to_values(graph, names)].attributes = [Attribute(VARIABLE_VALUE, key, full_name)]
    return key


def remove(graph: ObjectGraph, path: str) -> frozenset[str]:
    """Take the object at a path away, by whatever ways it is reached, and return the keys that went.

    All that nothing else leads to goes along; that an optimizer lists what it trains keeps nothing. With a variable go its
    slots, as far as the graph tells them, and with an optimizer those of all variables. Nodes keep their numbers.

    Raises: UsageError if there is no object at ``path``, or it is the root.
    Example:
        >>> graph = ObjectGraph([Node({"a": 1, "b": 1, "c": 2}), Node(attributes=[Attribute("V", "k")]), Node()])
        >>> remove(graph, "a"), graph.nodes[0].children
        (frozenset({'k'}), {'c': 2})
    """
    removed = _existing(graph, path)
    valued, slots, no_ways = graph.nodes_with_values(), slots_of_variables(graph), edges_of_training(graph)
    before = _living(graph, no_ways)
    _cut(graph, {removed})
    gone = before - _living(graph, no_ways)
    gone |= {slot for number in gone for slot in slots.get(number, ())}
    keys = {attribute.checkpoint_key for number in gone for attribute in graph.nodes[number].attributes}
    _cut(graph, gone)
    for number in gone:
        graph.nodes[number] = Node()
    for node in graph.nodes:
        node.slot_variables = [s for s in node.slot_variables if not {s.original_variable, s.slot_variable} & gone]
        keys -= {attribute.checkpoint_key for attribute in node.attributes}
    graph.forget_values(valued)
    return frozenset(keys)


def _cut(graph: ObjectGraph, numbers: Collection[int]) -> None:
    """Take all edges to some nodes away."""
    for node in graph.nodes:
        if any(child in numbers for child in node.children.values()):
            node.children = {name: child for name, child in node.children.items() if child not in numbers}


def _living(graph: ObjectGraph, no_ways: Collection[Edge]) -> set[int]:
    """Return the nodes that edges reach, and the slot variables that optimizers among them keep for others among them.

    Args:
        no_ways: edges that keep nothing: those by which an optimizer lists what it trains.
    """
    living, queue = {ROOT}, [ROOT]
    while queue:
        number = queue.pop()
        below = {c for name, c in graph.nodes[number].children.items() if (number, name) not in no_ways} - living
        living |= below
        queue += below
    slots = [slot for number in living for slot in graph.nodes[number].slot_variables]
    return living | {slot.slot_variable for slot in slots if slot.original_variable in living}


def _existing(graph: ObjectGraph, path: str) -> int:
    number = graph.number_at(split_path(path))
    if number is None or not path:
        got = "no object there" if path else "the root"
        raise UsageError(f"object {path!r}: expected the path of an object below the root, got {got}")
    return number


def _check_free(graph: ObjectGraph, path: str, number: int) -> None:
    """Raise UsageError unless a path may lead to a node."""
    there = graph.number_at(_checked(path))
    if there is not None and there != number:
        raise UsageError(f"object {path!r}: another object is there already; remove or move that first")


def _checked(path: str) -> Path:
    names = split_path(path)
    if not names or not all(names):
        raise UsageError(f"object {path!r}: expected a path without an empty part")
    if join_path(names) != path:
        raise UsageError(f"object {path!r}: expected a path in key form, which begins no part with '.'; a key is none")
    return names


def _lead_to_values(graph: ObjectGraph, path: Path) -> int:
    """Return the node at a path, adding what is missing; all on the way say, as the root does, that they lead to values."""
    if graph.nodes[ROOT].has_checkpoint_values is not None:  # old writers say nothing
        for end in range(len(path) + 1):
            graph.nodes[graph.node_at(path[:end])].has_checkpoint_values = True
    return graph.node_at(path)


class _Change(NamedTuple):
    """What becomes of an edge: its new name, or instead of it the paths that lead to its object."""

    name: str
    away: tuple[Path, ...] = ()


class _Renaming:
    """One function of paths on its way to edges.

    Strategy: ways are a tree. Of each way to a value the function tells the new path. The object of a way before it goes
    where all that is behind it goes, last edges aside, if that is one place, and else where the object before it goes. An
    edge gets a new name if the object that it leaves goes along, and leads away otherwise. Ways are meant by their numbers.
    """

    def __init__(self, graph: ObjectGraph, rename: Rename) -> None:
        self._graph = graph
        values = {number for number, node in enumerate(graph.nodes) if node.attributes or node.registered_saver}
        self._ways = all_ways(graph, values)
        self._complaints: list[str] = []
        self._old: list[Path] = [()]
        for way, before in self._steps():
            self._old.append((*self._old[before], way.edge))
        self._values = {way.number for way in self._ways[1:] if way.node in values}
        self._new = {number: self._renamed(number, rename) for number in self._values}
        if not self.changes_something:
            self._new = self._with_objects(rename)

    @property
    def changes_something(self) -> bool:
        """Whether any path is another one."""
        return any(self._old[number] != path for number, path in self._new.items())

    def carry_out(self) -> Changes:
        """Change the graph and its keys.

        Raises: PlanError.
        """
        before = [dict(node.children) for node in self._graph.nodes]  # edges are added to what is there
        changes = self._changes()
        if not self._complaints:
            _change_edges(self._graph, changes, self._complaints)
        if self._complaints:
            raise PlanError([*dict.fromkeys(self._complaints), KEYS_ALONE])
        keys = _respelled(self._graph, before, changes)
        self._graph.rename_keys(keys)
        return Changes(self._moved(changes), keys)

    def _steps(self) -> Iterator[tuple[Way, int]]:
        """Yield every way but that to the root, and the number of the one before it."""
        for way in itertools.islice(self._ways, 1, None):
            assert way.before is not None, way
            yield way, way.before.number

    def _renamed(self, number: int, rename: Rename) -> Path:
        path = self._old[number]
        old = self._ways[number].path
        renamed = rename(old)
        if renamed == old:
            return path
        new = split_path(renamed)
        if not new or not all(new):
            self._complaints.append(f"object {old!r} would be at {renamed!r}: a path has no empty part")
        return new

    def _with_objects(self, rename: Rename) -> dict[int, Path]:
        """Return the new path of each way to a value by those of the objects on it: the first to change takes all along."""
        new: list[Path] = [()]
        for way, before in self._steps():
            goes_along = new[before] != self._old[before] or way.number in self._values
            new.append((*new[before], way.edge) if goes_along else self._renamed(way.number, rename))
        return {number: new[number] for number in self._values}

    def _aims(self) -> dict[int, Path | None]:
        """Return where the object of each way to a value goes; None if what is behind it parts, so that it goes nowhere."""
        aims: dict[int, Path | None] = {**self._new}
        leading: dict[int, None] = {}
        for way, parent in reversed(list(self._steps())):
            aim = aims.get(way.number)
            if way.number not in aims and way.number not in leading:
                continue  # it leads to values that it has passed, in a circle
            leading[parent] = None
            if aim is not None and parent and parent not in self._new:
                above = aim[:-1] or None  # what leaves for the root's own edges takes nothing along
                aims[parent] = above if aims.get(parent, above) == above else None
        return {number: aims.get(number) for number in sorted({*leading, *self._new} - {0})}

    def _changes(self) -> dict[Edge, _Change]:
        """Return what becomes of edges. Complains of what would split a node, and of two objects in one place."""
        aims = self._aims()
        place: dict[int, Path] = {0: ()}
        owners = {self._old[number]: number for number, aim in aims.items() if aim in (None, self._old[number])}
        outcomes: list[tuple[Edge, str, Path, int]] = []  # the edge, its name or where it leads away to, and the way
        for way, before in self._steps():
            if way.number not in aims:
                continue
            natural = (*place[before], way.edge)
            aim = aims[way.number] or natural
            owner = way.number if aim == natural else owners.setdefault(aim, way.number)
            if self._ways[owner].node != way.node:
                if self._is_one_thing(way.node):
                    both = f"{self._text(owner)} and {self._text(way.number)}"
                    self._complaints.append(f"{both} would both be at {join_path(aim)!r}")
                aim = natural  # and what is below it goes there piece by piece
            place[way.number] = aim
            edge, in_place = (self._ways[before].node, way.edge), aim[:-1] == place[before]
            outcomes.append((edge, aim[-1] if in_place else "", () if in_place else aim, way.number))
        changing: dict[Edge, dict[tuple[str, Path], list[int]]] = {
            edge: {} for edge, name, _, _ in outcomes if name != edge[1]
        }
        for edge, name, away, number in outcomes:
            if edge in changing:
                changing[edge].setdefault((name, away), []).append(number)
        return {edge: self._change(edge, found) for edge, found in changing.items()}

    def _is_one_thing(self, node: int) -> bool:
        """Whether a node is more than a place for others: then it cannot go in pieces."""
        held = self._graph.nodes[node]
        return bool(held.attributes or held.slot_variables or held.registered_saver)

    def _change(self, edge: Edge, outcomes: Mapping[tuple[str, Path], list[int]]) -> _Change:
        """Return the one thing that becomes of an edge, whatever ways there are to it."""
        names = {name: ways[0] for (name, away), ways in outcomes.items() if not away and name != edge[1]}
        aways = {away: ways[0] for (_, away), ways in outcomes.items() if away}
        staying = outcomes.get((edge[1], ()), [])
        if len(names) > 1 or (names and aways):
            places = [self._text(number) for number in (*names.values(), *aways.values())]
            self._complaints.append(f"one object would get several names: {' and '.join(places)} are the same edge")
        elif aways and staying:
            leaving, where = self._text(next(iter(aways.values()))), join_path(next(iter(aways)))
            others = some([self._text(number) for number in staying])
            self._complaints.append(
                f"{leaving} would move to {where!r} and vanish from {others}, where it is found too"
            )
        return _Change(next(iter(names), edge[1]), tuple(aways))

    def _text(self, number: int) -> str:
        return repr(self._ways[number].path)

    def _moved(self, changes: Mapping[Edge, _Change]) -> tuple[Moved, ...]:
        """Return the edges that changed, by the first way to each."""
        first: dict[Edge, int] = {}
        for way, before in self._steps():
            edge = self._ways[before].node, way.edge
            if edge in changes:
                first.setdefault(edge, way.number)
        return tuple(
            Moved(self._ways[number].path, join_path(new))
            for edge, number in first.items()
            for new in changes[edge].away or [(*self._old[number][:-1], changes[edge].name)]
        )


def _change_edges(graph: ObjectGraph, changes: Mapping[Edge, _Change], complaints: list[str]) -> None:
    """Rename edges where they are, then let those that lead away begin elsewhere; complain of two that would be one."""
    valued = graph.nodes_with_values()
    leaving = [
        (path, graph.nodes[number].children[name]) for (number, name), change in changes.items() for path in change.away
    ]
    for number in {number for number, _ in changes}:
        children: dict[str, int] = {}
        for name, child in graph.nodes[number].children.items():
            change = changes.get((number, name), _Change(name))
            if not change.away and children.setdefault(change.name, child) != child:
                complaints.append(f"two objects of one parent would both be called {change.name!r}")
        graph.nodes[number].children = children
    for path, child in leaving:
        parent = _lead_to_values(graph, path[:-1])
        if graph.nodes[parent].children.setdefault(path[-1], child) != child:
            complaints.append(f"two objects would both be at {join_path(path)!r}")
    graph.forget_values(valued)


def _respelled(
    graph: ObjectGraph, before: Sequence[Mapping[str, int]], changes: Mapping[Edge, _Change]
) -> dict[str, str]:
    """Return the new spelling of each key that spells a way which has changed, its variable's or its optimizer's."""
    keys: dict[str, str] = {}
    for node in graph.nodes:
        for attribute in node.attributes:
            paths, mark, end = attribute.checkpoint_key.partition(ATTRIBUTES)
            variable, slot, optimizer = paths.partition(SLOT_MARK)
            new = _new_spelling(variable, before, changes)
            if slot:
                new += slot + _new_spelling(optimizer, before, changes)
            if new != paths:
                keys[attribute.checkpoint_key] = new + mark + end
    taken = {attribute.checkpoint_key for attribute in graph.attributes()} - keys.keys()
    while clashing := [
        old for old, new in keys.items() if new in taken
    ]:  # a key only names a tensor: the old one will do
        taken.update(clashing)
        for old in clashing:
            del keys[old]
    return keys


def _new_spelling(path: str, before: Sequence[Mapping[str, int]], changes: Mapping[Edge, _Change]) -> str:
    """Return a path as it is after the changes; what it does not lead along stays."""
    names, number = split_path(path), ROOT
    new: list[str] = []
    for at, name in enumerate(names):
        change = changes.get((number, name), _Change(name))
        new = list(change.away[0]) if change.away else [*new, change.name]
        child = before[number].get(name)
        if child is None:
            return join_path((*new, *names[at + 1 :]))
        number = child
    return join_path(tuple(new))
