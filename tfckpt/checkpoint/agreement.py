"""Whether two object graphs mean the same by their keys: of an object-based checkpoint a key alone says little.

Keras 3 keys a weight ``optimizer/_trainable_variables/3`` by its place in a list; another run may have another weight there.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator

from tfckpt.checkpoint.object_graph import ROOT, Attribute, ObjectGraph, join_path, path_to


def disagreement(ours: ObjectGraph, theirs: ObjectGraph) -> str | None:
    """Return in what two graphs, here and there, disagree, or None if each key of either is the same object's in both.

    Both are walked side by side, edge name by edge name, as TensorFlow restores. A path that both have must lead to the same
    keys, paths that meet in one must meet in the other, and some path to each key must be in both; a path that one alone has
    is no contradiction. The same full names must not stand at each other's keys.

    >>> from tfckpt.checkpoint.object_graph import Node
    >>> x, y = (Node(attributes=[Attribute("VARIABLE_VALUE", key)]) for key in "xy")
    >>> one, other = ObjectGraph([Node({"a": 1, "b": 2}), x, y]), ObjectGraph([Node({"a": 2, "b": 1}), x, y])
    >>> disagreement(one, one), disagreement(one, other)
    (None, "a is 'x' here, and 'y' there")
    """
    return _Walk(ours, theirs).disagreement() or _permuted(ours, theirs)


class _Walk:
    """Two graphs, and which node of one is which of the other, as far as values can be reached from them."""

    def __init__(self, ours: ObjectGraph, theirs: ObjectGraph) -> None:
        self._ours, self._theirs = ours, theirs
        self._partners, self._back = {ROOT: ROOT}, {ROOT: ROOT}
        self._ways: dict[int, tuple[int, str]] = {}

    def disagreement(self) -> str | None:
        return self._edges() or self._slots() or self._unreached()

    def _edges(self) -> str | None:
        alive, theirs_alive = self._ours.nodes_with_values(), self._theirs.nodes_with_values()
        queue = deque([ROOT])
        while queue:
            number = queue.popleft()
            others = self._theirs.nodes[self._partners[number]].children
            for name, child in self._ours.nodes[number].children.items():
                other = others.get(name)
                if other is None or child not in alive or other not in theirs_alive:
                    continue
                if child not in self._partners:
                    self._ways[child] = number, name
                    queue.append(child)
                if line := self._pair(child, other, number, name):
                    return line
        return None

    def _slots(self) -> str | None:
        for number, partner in list(self._partners.items()):
            slots = {
                (slot.original_variable, slot.slot_name): slot for slot in self._theirs.nodes[partner].slot_variables
            }
            for slot in self._ours.nodes[number].slot_variables:
                other = slots.get((self._partners.get(slot.original_variable, -1), slot.slot_name))
                if other is not None:
                    where = slot.original_variable, slot.slot_name
                    if line := self._pair(slot.slot_variable, other.slot_variable, *where):
                        return line
        return None

    def _unreached(self) -> str | None:
        for graph, reached in ((self._ours, self._partners), (self._theirs, self._back)):
            found = {a.checkpoint_key for number in reached for a in graph.nodes[number].attributes}
            for attribute in _attributes(graph):
                if attribute.checkpoint_key not in found:
                    return f"no path leads to {attribute.checkpoint_key!r} in both"
        return None

    def _pair(self, number: int, other: int, parent: int, name: str) -> str | None:
        """Take two nodes for the same object; return why they are not: their keys, or one of them is another's already."""
        theirs = {a.name: a.checkpoint_key for a in self._theirs.nodes[other].attributes}
        for attribute, key, _ in self._ours.nodes[number].attributes:
            if theirs.get(attribute, key) != key:
                return f"{self._path(parent, name)} is {key!r} here, and {theirs[attribute]!r} there"
        if self._partners.setdefault(number, other) != other or self._back.setdefault(other, number) != number:
            return f"{self._path(parent, name)} is the object of another path, too, here or there but not in both"
        return None

    def _path(self, parent: int, name: str) -> str:
        return join_path((*path_to(parent, self._ways), name))


def _permuted(ours: ObjectGraph, theirs: ObjectGraph) -> str | None:
    """Return which variable stands at another's key: in a list, positions went to other variables.

    Only where these keys are the same in both. Names that Keras counts, as ``dense_1``, may all be shifted.
    """
    here, there = _full_names(ours), _full_names(theirs)
    moved = [name for name, key in here.items() if there.get(name, key) != key]
    if not moved or {here[name] for name in moved} != {there[name] for name in moved}:
        return None
    return f"variable {moved[0]!r} is {here[moved[0]]!r} here, and {there[moved[0]]!r} there"


def _full_names(graph: ObjectGraph) -> dict[str, str]:
    """Return the key of each full name that only one key has."""
    pairs = dict.fromkeys((a.full_name, a.checkpoint_key) for a in _attributes(graph) if a.full_name)
    counts = Counter(name for name, _ in pairs)
    return {name: key for name, key in pairs if counts[name] == 1}


def _attributes(graph: ObjectGraph) -> Iterator[Attribute]:
    for node in graph.nodes:
        yield from node.attributes
