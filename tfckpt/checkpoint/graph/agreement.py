"""Whether two object graphs mean the same by their keys: of an object-based checkpoint a key alone says little.

Keras 3 keys a weight ``optimizer/_trainable_variables/3`` by its place in a list; another run may have another weight there.
Optimizers of tf_keras have no list of variables at all: for which one a moment is, only its full name tells, if it has one.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from tfckpt.checkpoint.graph.object_graph import ROOT, Node, ObjectGraph, join_path, path_to, quoted
from tfckpt.checkpoint.graph.optimizer_lists import Lists, elements, find_optimizers
from tfckpt.checkpoint.graph.slot_owners import by_name, full_name


def disagreement(ours: ObjectGraph, theirs: ObjectGraph) -> str | None:
    """Return in what two graphs, here and there, disagree, or None if each key of either is the same object's in both.

    Both are walked side by side, edge name by edge name, as TensorFlow restores. A path that both have must lead to the same
    keys, paths that meet in one must meet in the other, and some path to each key must be in both; a path that one alone has
    is no contradiction. The same full names must not stand at each other's keys. Optimizers that keep nothing do not count.

    >>> from tfckpt.checkpoint.graph.object_graph import Attribute, Node
    >>> x, y = (Node(attributes=[Attribute("VARIABLE_VALUE", key)]) for key in "xy")
    >>> one, other = ObjectGraph([Node({"a": 1, "b": 2}), x, y]), ObjectGraph([Node({"a": 2, "b": 1}), x, y])
    >>> disagreement(one, one), disagreement(one, other)
    (None, "a is 'x' here, and 'y' there")
    """
    ours, theirs = without_optimizers(ours, empty=True), without_optimizers(theirs, empty=True)
    return _Walk(ours, theirs).disagreement() or _permuted(ours, theirs) or _Places(ours, theirs).disagreement()


class Doubt(NamedTuple):
    """An optimizer of which nothing proves that each place in its lists is for the same variable in both graphs.

    Attributes:
        optimizer: the number of its node in the second graph.
        keys: of all that is known to be the same by these places alone: what it keeps, and variables that nothing else
            leads to.
    """

    optimizer: int
    keys: frozenset[str]


def doubts(ours: ObjectGraph, theirs: ObjectGraph) -> list[Doubt]:
    """Return the optimizers of two graphs, which do not disagree, whose lists may be of variables in another order.

    Place N of Keras 3 is for what ``_trainable_variables/N`` leads to: proven if a path that passes through no optimizer
    leads to it as well, in both. In lists of tf_keras it is for the variable whose full name ends the moment's, as in
    ``Adam/m/dense/kernel``, if one alone is called so. Names of moments that are equal in both prove nothing without their
    variables: Keras counts names in the order in which layers are made.

    >>> from tfckpt.checkpoint.graph.object_graph import Attribute, Node
    >>> value = lambda name: Node(attributes=[Attribute("VARIABLE_VALUE", name.replace("/", "."), name)])
    >>> optimizer = Node({"_iterations": 3, "_variables": 4, "_m": 4})
    >>> nodes = [optimizer, value("kernel"), value("step"), Node({"0": 5}), value("Adam/m/kernel")]
    >>> told, alone = (ObjectGraph([Node({"opt": 1, **edges}), *nodes]) for edges in ({"w": 2}, {}))
    >>> doubts(told, told), [(number, sorted(keys)) for number, keys in doubts(alone, alone)]
    ([], [(1, ['Adam.m.kernel', 'step'])])
    """
    return list(_Places(ours, theirs).doubts())


def without_optimizers(graph: ObjectGraph, *, empty: bool = False) -> ObjectGraph:
    """Return a graph without what optimizers lead to, unless that is a variable that no other path reaches.

    Args:
        graph: it stays as it is.
        empty: leave all optimizers but those that keep nothing, as one that was stripped does.

    >>> from tfckpt.checkpoint.graph.object_graph import Attribute, Node
    >>> optimizer = Node({"_iterations": 3, "_variables": 2, "w": 4})
    >>> value = Node(attributes=[Attribute("VARIABLE_VALUE", "x")])
    >>> graph = ObjectGraph([Node({"opt": 1, "w": 4}), optimizer, Node(), value, value])
    >>> [len(node.attributes) for node in without_optimizers(graph).nodes], len(graph.nodes[1].children)
    ([0, 0, 0, 0, 1], 3)
    """
    optimizers = find_optimizers(graph)
    reached = _reached(graph, optimizers) if optimizers else ()
    gone = []
    for number, lists in optimizers.items():
        trained = elements(graph, lists.variables)
        if all(n in reached for n in trained) and not (empty and _keeps_any(graph, number, lists, reached)):
            gone.append(number)
    if not gone:
        return graph
    model = graph.copy()
    for number in gone:
        model.nodes[number].children, model.nodes[number].slot_variables = {}, []
    for number in _led_to(graph) - _led_to(model):
        model.nodes[number].attributes = []
    return model


class _Places:
    """The places in optimizers' lists, of two graphs."""

    def __init__(self, ours: ObjectGraph, theirs: ObjectGraph) -> None:
        self._ours, self._theirs = ours, theirs
        self._own_lists, self._their_lists = find_optimizers(ours), find_optimizers(theirs)
        self._optimizers = [(n, other) for n, other in _common(ours, theirs).items() if n in self._own_lists]
        self._model = _common(ours, theirs, self._own_lists) if self._optimizers else {}
        self._reached = _reached(theirs, self._their_lists) if self._optimizers else ()
        self._own_names = _by_full_name(ours, _reached(ours, self._own_lists) if self._optimizers else ())
        self._their_names = _by_full_name(theirs, self._reached)

    def disagreement(self) -> str | None:
        """Return which optimizers are of two kinds, or which place is for two variables."""
        for number, other in self._optimizers:
            own, their = self._own_lists[number], self._their_lists.get(other)
            if their is None or own.slots.keys() != their.slots.keys():
                names = ", ".join(sorted(own.slots)), ", ".join(sorted(their.slots if their else ()))
                path = _quoted(self._ours, number)
                return (
                    f"{path} is an optimizer with the lists {names[0] or 'none'} here, and {names[1] or 'none'} there"
                )
            if own.variables is None:
                for here, there in self._moments(own, their):
                    owner, its = self._owners(here, there)
                    if owner is not None and its is not None and self._model.get(owner) != its:
                        names = full_name(self._ours.nodes[here]), full_name(self._theirs.nodes[there])
                        path = _quoted(self._ours, number)
                        return (
                            f"in the lists of {path} one place is that of {names[0]!r} here, and of {names[1]!r} there"
                        )
        return None

    def doubts(self) -> Iterator[Doubt]:
        for number, other in self._optimizers:
            own, their = self._own_lists[number], self._their_lists.get(other)
            if their is not None and not self._is_proven(own, their):
                kept = _kept(self._theirs, other, their)
                nodes = (self._theirs.nodes[n] for n in kept if n not in self._reached)
                keys = frozenset(a.checkpoint_key for node in nodes for a in node.attributes)
                if keys:
                    yield Doubt(other, keys)

    def _is_proven(self, own: Lists, their: Lists) -> bool:
        if own.variables is not None or their.variables is not None:
            mine, wanted = elements(self._ours, own.variables), elements(self._theirs, their.variables)
            return len(mine) == len(wanted) and all(map(self._are_same, mine, wanted))
        if own.loose or their.loose:
            return False
        return all(self._are_same(*self._owners(here, there)) for here, there in self._moments(own, their))

    def _are_same(self, own: int | None, their: int | None) -> bool:
        return own is not None and their is not None and self._model.get(own) == their

    def _moments(self, own: Lists, their: Lists) -> Iterator[tuple[int, int]]:
        """Yield what is at equal places; of places that one alone has, the keys differ."""
        for name, number in own.slots.items():
            yield from zip(elements(self._ours, number), elements(self._theirs, their.slots[name]), strict=False)

    def _owners(self, here: int, there: int) -> tuple[int | None, int | None]:
        """Return the variables for which two moments are."""
        own, their = self._ours.nodes[here], self._theirs.nodes[there]
        return _owner(own, self._own_names), _owner(their, self._their_names)


def _kept(graph: ObjectGraph, number: int, lists: Lists) -> list[int]:
    """Return what an optimizer's edges, slots and lists lead to."""
    node, places = graph.nodes[number], (lists.variables, lists.everything, *lists.slots.values())
    slots = [slot.slot_variable for slot in node.slot_variables]
    return [*node.children.values(), *slots, *(n for place in places for n in elements(graph, place))]


def _keeps_any(graph: ObjectGraph, number: int, lists: Lists, reached: Collection[int]) -> bool:
    """Whether an optimizer leads to any value that no other path reaches, or to an object that may do."""
    known = {lists.variables, lists.everything, *lists.slots.values()}
    objects = (n for n in graph.nodes[number].children.values() if n not in known and graph.nodes[n].children)
    values = (n for n in _kept(graph, number, lists) if graph.nodes[n].attributes)
    return any(n not in reached for n in (*objects, *values))


def _common(ours: ObjectGraph, theirs: ObjectGraph, without: Collection[int] = ()) -> dict[int, int]:
    """Return which node is which where both graphs have a path, of those that pass through none of ``without``."""
    partners = {} if ROOT in without else {ROOT: ROOT}
    queue = deque(partners)
    while queue:
        number = queue.popleft()
        others = theirs.nodes[partners[number]].children
        for name, child in ours.nodes[number].children.items():
            if name in others and child not in partners and child not in without:
                partners[child] = others[name]
                queue.append(child)
    return partners


def _reached(graph: ObjectGraph, optimizers: Collection[int]) -> Collection[int]:
    """Return the nodes to which a path leads that passes through no optimizer."""
    return _common(graph, graph, optimizers).keys()


def _led_to(graph: ObjectGraph) -> set[int]:
    """Return the nodes to which edges or slots lead."""
    slots = (slot.slot_variable for node in graph.nodes for slot in node.slot_variables)
    return {*_reached(graph, ()), *slots}


def _by_full_name(graph: ObjectGraph, numbers: Collection[int]) -> dict[str, int | None]:
    return by_name((full_name(graph.nodes[number]), number) for number in numbers)


def _owner(node: Node, variables: Mapping[str, int | None]) -> int | None:
    """Return the variable that a moment is for, by the end of its full name; None where none or several are called so."""
    name = full_name(node)
    while "/" in name:
        name = name.partition("/")[2]
        if name in variables:
            return variables[name]
    return None


def _quoted(graph: ObjectGraph, number: int) -> str:
    """Return the path of an optimizer, as a message has it."""
    return quoted(path_to(number, graph.ways()))


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
            for attribute in graph.attributes():
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
    pairs = dict.fromkeys((a.full_name, a.checkpoint_key) for a in graph.attributes() if a.full_name)
    counts = Counter(name for name, _ in pairs)
    return {name: key for name, key in pairs if counts[name] == 1}
