"""Object graphs joined: what the same path leads to is the same object.

Strategy: the first graph is the structure, and the others are laid on it one after the other. A walk of both from the roots,
along edges of the same names, pairs their nodes; what has no partner is added. Two things are no matter of edges: slot
variables are paired by optimizer, variable and name; and the lists of later optimizers, by the variable at each place, since
the same place may be another variable's in another run, of the same shape even: its moments would be mixed up without a word.
Each node and edge is looked at a few times, whatever the graph.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from tfckpt.base.issues import Issue
from tfckpt.bundle.listing import once
from tfckpt.checkpoint.graph.object_graph import (
    ROOT,
    VARIABLE_VALUE,
    Node,
    ObjectGraph,
    SlotVariable,
    Ways,
    path_to,
    quoted,
    value_of,
)
from tfckpt.checkpoint.graph.optimizer_lists import EVERYTHING, Lists, elements, find_optimizers, kept
from tfckpt.checkpoint.graph.optimizers import TRAINED_LIST
from tfckpt.checkpoint.graph.slot_owners import by_name
from tfckpt.edit.merging.evidence import MOST_PREFIXES, NOWHERE, misplaced, owners, without_counts
from tfckpt.errors import PlanError, count_of
from tfckpt.storage.forks import ThreadLock

MOST_SAID = 20  # contradictions that are spelled out
_VARIABLE = "a variable"

# Returns the source that counts for an object, or None: from the sources that have it, and its number in each.
Choose = Callable[[Sequence[int], Mapping[int, int]], int | None]


class Part(NamedTuple):
    """One graph to join.

    Attributes:
        source: which source it is from.
        name: what messages call that.
        graph: the graph; it is left as it is.
    """

    source: int
    name: str
    graph: ObjectGraph


class Joined(NamedTuple):
    """Graphs that became one.

    Attributes:
        graph: with the keys of the first source, and no attributes of the others yet.
        numbers: by source, the number in the joined graph of each of its nodes; `NOWHERE` if it did not go along.
        back: by source, the way back: its number of each joined node that it has.
        notes: what a user should know.
        doubts: by source, why its paths may mean other objects than the same ones of the first source; then no values of both
            may be mixed.
        owners: the variable of each element of a list that only its full name tells.
    """

    graph: ObjectGraph
    numbers: Mapping[int, list[int]]
    back: Mapping[int, Mapping[int, int]]
    notes: tuple[Issue, ...]
    doubts: Mapping[int, str]
    owners: Mapping[int, int]

    def holders(self, number: int) -> dict[int, int]:
        """Return a joined node's number in each source that has it."""
        return _holders(self.back, number)


class OtherFirstError(Exception):
    """What contradicts is all preferred from another source, which has to be the structure."""

    def __init__(self, source: int) -> None:
        super().__init__(source)
        self.source = source


def join_graphs(parts: Sequence[Part], choose: Choose) -> Joined:
    """Join graphs, of which the first is the structure.

    Raises:
        PlanError: they contradict, and nothing says which counts; names the paths.
    """
    tried: set[int] = set()
    while True:
        joining = _Joining(parts[0])
        try:
            found = {parts[0].source: list(range(len(parts[0].graph.nodes)))}
            for part in parts[1:]:
                found[part.source] = _Laying(joining, part, choose, parts).lay()
            for part in parts:
                found[part.source] = [NOWHERE if n in joining.gone else n for n in found[part.source]]
        except OtherFirstError as error:
            tried.add(parts[0].source)
            if error.source in tried:
                text = "contradictions that are preferred from several sources; expected them from one"
                raise PlanError([f"{', '.join(part.name for part in parts)}: {text}"]) from None
            first = error.source
            parts = sorted(parts, key=lambda part: part.source != first)
            continue
        if tried:
            joining.notes.insert(0, Issue("structure-preferred", parts[0].name))
        return Joined(joining.graph, found, joining.back, tuple(joining.notes), joining.doubts, joining.owners())


class _Joining:
    """The joined graph while it grows."""

    def __init__(self, first: Part) -> None:
        self.graph = first.graph.copy()
        self.back: dict[int, dict[int, int]] = {first.source: {n: n for n in range(len(self.graph.nodes))}}
        self.gone: set[int] = set()  # nodes that were replaced
        self.notes: list[Issue] = []
        self.doubts: dict[int, str] = {}
        self.names: dict[int, str] = {}  # full names of variables, whatever source they are from
        self.valued: set[int] = set()  # nodes with a value in some source
        self.learn(first.graph, range(len(self.graph.nodes)))

    def learn(self, graph: ObjectGraph, numbers: Sequence[int]) -> None:
        """Note what a source has at joined nodes: the graph itself gets attributes of the first one only."""
        for node, number in zip(graph.nodes, numbers, strict=True):
            if number != NOWHERE and node.attributes:
                self.valued.add(number)
                if _full_name(node):
                    self.names.setdefault(number, _full_name(node))

    def owners(self) -> dict[int, int]:
        """Return the variable of each element of lists that do not lead to their variables, as far as names prove it."""
        found: dict[int, int] = {}
        optimizers = find_optimizers(self.graph)
        variables = _by_name(_variables(self.graph, optimizers, self.names))
        for lists in optimizers.values():
            if lists.variables is None:
                held = [elements(self.graph, number) for number in lists.slots.values()]
                own = owners([[self.names.get(n, "") for n in part] for part in held], variables) or ()
                found.update(pair for part in held for pair in zip(part, own, strict=False))
        return found

    def holders(self, number: int) -> dict[int, int]:
        """Return a joined node's number in each source that has had it by now."""
        return _holders(self.back, number)


class _Laying:
    """One graph on its way into the joined one: ``to`` has the joined number of each of its nodes."""

    def __init__(self, joining: _Joining, part: Part, choose: Choose, parts: Sequence[Part]) -> None:
        self._reading = ThreadLock()  # of what is made when it is asked for
        self._joining, self._part, self._choose = joining, part, choose
        self._source = part.graph.nodes
        self._target = joining.graph.nodes
        self._names = {other.source: other.name for other in parts}
        self._to = [NOWHERE] * len(self._source)
        self._back: dict[int, int] = {}
        self._cut: set[tuple[int, str]] = set()  # edges that do not go along
        self._settled: set[int] = set()  # lists whose elements are paired, or do not go along
        self._left_slots: set[int] = set()  # slot variables that do not go along
        self._instead: dict[int, dict[str, int]] = {}  # children of lists in another order
        self._own_lists, self._their_lists = find_optimizers(part.graph), find_optimizers(joining.graph)
        self._queue: deque[int] = deque()
        self._optimizers: deque[int] = deque()
        self._complaints: list[str] = []
        self._unsaid = 0
        self._others: Counter[int] = Counter()  # sources that are preferred to the structure
        self._ways: Ways = part.graph.ways()
        self._their_ways: Ways | None = None
        self._order: bool | None = None

    @once
    def _own_values(self) -> set[int]:
        return self._part.graph.nodes_with_values()

    @once
    def _their_values(self) -> set[int]:
        return self._joining.graph.nodes_with_values()

    @once
    def _own_variables(self) -> dict[int, str]:
        """Return this source's variables, with their full names; the structure's where this source has a node alone."""
        graph, names = self._part.graph, self._joining.names
        own = {n: _full_name(node) or names.get(self._to[n], "") for n, node in enumerate(graph.nodes)}
        return _variables(graph, self._own_lists, {n: name for n, name in own.items() if name})

    @once
    def _their_variables(self) -> dict[int, str]:
        names = dict(self._joining.names)
        for number, target in enumerate(self._to):
            if target != NOWHERE and target not in names and _full_name(self._source[number]):
                names[target] = _full_name(self._source[number])
        return _variables(self._joining.graph, self._their_lists, names)

    def lay(self) -> list[int]:
        """Pair, then add; return the joined number of each node."""
        is_joined = self._pair(ROOT, ROOT)
        while self._queue or self._optimizers:
            while self._queue:
                self._visit(self._queue.popleft())
            if self._optimizers:
                self._match_optimizer(self._optimizers.popleft())
        self._check_new_lists()
        self._note_doubt()
        if self._complaints:
            more = [f"and {count_of(self._unsaid, 'more contradiction')}"] if self._unsaid else []
            raise PlanError(self._complaints + more)
        if self._others:
            raise OtherFirstError(self._others.most_common(1)[0][0])
        if is_joined:
            self._add()
        self._joining.back[self._part.source] = self._back
        self._joining.learn(self._part.graph, self._to)
        return self._to

    def _note_doubt(self) -> None:
        """Note that this source's paths, numbers and names do not agree which object is which."""
        graph = self._part.graph
        aside = {child for number in self._own_lists for child in graph.nodes[number].children.values()}
        names = self._own_variables, self._their_variables
        why = misplaced(graph, self._joining.graph, self._to, names, aside | set(self._own_lists))
        if why:
            self._joining.doubts[self._part.source] = why

    def _visit(self, number: int) -> None:
        """Pair what edges of the same name lead to."""
        lists = self._own_lists.get(number)
        theirs = self._target[self._to[number]].children
        if lists is not None and self._to[number] in self._their_lists:
            self._optimizers.append(number)
            names = lists.names() | self._their_lists[self._to[number]].names()
        else:
            names = set()
        for name, child in self._source[number].children.items():
            common = name in theirs and name not in names and number not in self._settled
            if common and not self._pair(child, theirs[name]):
                self._cut.add((number, name))

    def _pair(self, number: int, target: int) -> bool:
        """Take two nodes for one object; return whether they are, or else what they contradict in is preferred as it is."""
        if self._to[number] == target:
            return True
        why = self._contradiction(number, target)
        if why:
            self._contradict(number, target, why)
            return False
        self._to[number] = target
        self._back[target] = number
        self._queue.append(number)
        return True

    def _contradiction(self, number: int, target: int) -> str:
        """Return why two nodes cannot be one object; nothing if they can."""
        here, there = self._part.name, self._held_by(target)
        if self._to[number] != NOWHERE:
            other = self._their_path(self._to[number])
            return f"one object in {here}; {self._their_path(target)} and {other} are two in {there}"
        if target in self._back:
            other = self._own_path(self._back[target])
            return f"one object in {there}; {self._own_path(number)} and {other} are two in {here}"
        own, their = self._source[number], self._target[target]
        if own.attributes or their.attributes:
            kinds = self._kind(own, number, self._part.graph), self._kind(their, target, self._joining.graph)
            if _VARIABLE in kinds and kinds[0] != kinds[1] and all(kinds):
                return f"{kinds[0]} in {here}, {kinds[1]} in {there}"
        savers = own.registered_saver, their.registered_saver
        if None not in savers and savers[0] != savers[1]:
            return f"saved by {savers[0]!r} in {here}, by {savers[1]!r} in {there}"
        return ""

    def _kind(self, node: Node, number: int, graph: ObjectGraph) -> str:
        """Return what a node is, as far as that excludes that it is something else; nothing if it can be anything."""
        if node.attributes:
            names = {attribute.name for attribute in node.attributes}
            return _VARIABLE if VARIABLE_VALUE in names else f"an object with the value {min(names)!r}"
        values = self._own_values if graph is self._part.graph else self._their_values
        return "an object without a value of its own" if node.children and number in values else ""

    def _contradict(self, number: int, target: int, why: str) -> None:
        """Have the preferred source count; complain if there is none."""
        holders = self._joining.holders(target)
        chosen = self._choose([*holders, self._part.source], holders | {self._part.source: number})
        if chosen == self._part.source:
            self._others[self._part.source] += 1
        elif chosen is None:
            self._complain(f"{self._own_path(number)}: {why}")

    def _complain(self, text: str) -> None:
        if len(self._complaints) < MOST_SAID:
            self._complaints.append(f"{self._part.name}: {text}")
        else:
            self._unsaid += 1

    def _held_by(self, target: int) -> str:
        return ", ".join(self._names[source] for source in self._joining.holders(target))

    def _own_path(self, number: int) -> str:
        return _path(number, self._ways) if len(self._complaints) < MOST_SAID else ""

    def _their_path(self, number: int) -> str:
        if self._their_ways is None:
            self._their_ways = self._joining.graph.ways()
        return _path(number, self._their_ways) if len(self._complaints) < MOST_SAID else ""

    # Optimizers

    def _match_optimizer(self, number: int) -> None:
        """Pair the slot variables of two optimizers that are one, and the elements of their lists."""
        target = self._to[number]
        theirs = {(s.original_variable, s.slot_name): s.slot_variable for s in self._target[target].slot_variables}
        for slot in self._source[number].slot_variables:
            partner = theirs.get((self._to[slot.original_variable], slot.slot_name))
            if partner is not None and not self._pair(slot.slot_variable, partner):
                self._left_slots.add(slot.slot_variable)
        own, their = self._own_lists[number], self._their_lists[target]
        if (own.slots or own.loose) and (their.slots or their.loose):
            self._match_lists(number, own, their)
        elif own.slots or own.loose:
            self._bring_lists(number, own, their)
        else:  # it has not been built; what it has, edges of their own lead to
            for mine, other in ((own.variables, their.variables), (own.everything, their.everything)):
                if mine is not None and other is not None:
                    self._settle(mine, other)

    def _settle(self, own: int, their: int) -> None:
        """Pair two lists, whose elements are not paired by their places."""
        self._settled.add(own)
        self._pair(own, their)

    def _match_lists(self, number: int, own: Lists, their: Lists) -> None:
        """Pair elements by the variable that they are for."""
        target = self._to[number]
        sizes, theirs = _sizes(self._part.graph, own), _sizes(self._joining.graph, their)
        are_placed = own.variables is not None or (self._has_values(own) and self._had_values(their))
        if set(sizes) != set(theirs) or not are_placed:
            chosen: int | None = self._part.source
            if not self._has_values(own):
                chosen = NOWHERE
            elif self._had_values(their):
                chosen = self._chosen_lists(own, their, target)
            if chosen == self._part.source:
                self._bring_lists(number, own, their)
                return
            if chosen is None:
                lists = f"lists {_spelled(sizes)} in {self._part.name}, {_spelled(theirs)} in {self._held_by(target)}"
                self._complain(f"{self._own_path(number)}: optimizers of two kinds: {lists}")
            self._leave_lists(number, own)
            return
        order, why = self._order_of(number, own, their)
        if order is not None and own.loose and (sizes != theirs or not _is_identity(order)):
            order, why = None, self._unknown_order(target)
        if order is None:
            if self._has_values(own) and self._chosen_lists(own, their, target) in (None, self._part.source):
                self._complain(f"{self._own_path(number)}: {why}")
            self._leave_lists(number, own)
            return
        self._pair_elements(own, their, order)

    def _pair_elements(self, own: Lists, their: Lists, order: Sequence[int]) -> None:
        graph, joined = self._part.graph, self._joining.graph
        if own.variables is not None and their.variables is not None:
            self._settle(own.variables, their.variables)
        for name, number in own.slots.items():
            self._settle(number, their.slots[name])
            places = elements(joined, their.slots[name])
            for place, element in enumerate(elements(graph, number)):
                new = order[place] if place < len(order) else NOWHERE
                if 0 <= new < len(places):
                    self._pair(element, places[new])
                elif self._to[element] == NOWHERE:
                    self._no_place(element, their.slots[name])
        if own.everything is None or their.everything is None:
            return
        self._settle(own.everything, their.everything)
        for element, place in zip(own.loose, their.loose, strict=True):
            self._pair(element, place)

    def _no_place(self, element: int, there: int) -> None:
        """Leave out an element for which the structure has no place, if that is preferred."""
        if element not in self._own_values:
            return
        holders = self._joining.holders(there)
        chosen = self._choose([*holders, self._part.source], {self._part.source: element})
        if chosen in (None, self._part.source):
            where = self._held_by(there)
            hint = f"name {self._part.name} before {where}, whose order of variables counts now"
            self._complain(f"{self._own_path(element)}: no place in the lists of the optimizer of {where}; {hint}")

    def _leave_lists(self, number: int, own: Lists) -> None:
        """Have no list of an optimizer go along."""
        self._cut.update((number, name) for name in own.names())

    def _chosen_lists(self, own: Lists, their: Lists, target: int) -> int | None:
        """Return the source whose lists count: this one if any of its elements does."""
        holders = self._joining.holders(target)
        mine = [e for e in kept(self._part.graph, own) if self._source[e].attributes]
        theirs = next((e for e in kept(self._joining.graph, their) if e in self._joining.valued), target)
        candidates = [*holders, self._part.source]
        chosen = self._choose(candidates, self._joining.holders(theirs) | {self._part.source: mine[0]})
        alone = (self._choose(candidates, {self._part.source: element}) for element in mine)
        return self._part.source if chosen != self._part.source and self._part.source in alone else chosen

    def _has_values(self, lists: Lists) -> bool:
        """Whether an element of a list of this source has a value."""
        return any(self._source[element].attributes for element in kept(self._part.graph, lists))

    def _had_values(self, lists: Lists) -> bool:
        """Whether an element of a list of the structure has one, in any source."""
        return any(element in self._joining.valued for element in kept(self._joining.graph, lists))

    def _own_owners(self, lists: Lists) -> list[int] | None:
        """Return the variable that each place of this source's lists is for, if names tell."""
        held = [elements(self._part.graph, number) for number in lists.slots.values()]
        return owners([[_full_name(self._source[n]) for n in part] for part in held], _by_name(self._own_variables))

    def _their_owners(self, lists: Lists) -> list[int] | None:
        held = [elements(self._joining.graph, number) for number in lists.slots.values()]
        names = self._joining.names
        return owners([[names.get(n, "") for n in part] for part in held], _by_name(self._their_variables))

    def _bring_lists(self, number: int, own: Lists, their: Lists) -> None:
        """Have this source's lists replace the structure's, in the order of the structure's variables."""
        target, graph = self._to[number], self._part.graph
        size = max((len(elements(graph, n)) for n in own.slots.values()), default=len(elements(graph, own.variables)))
        variables = [self._to[n] for n in elements(graph, own.variables)]
        wanted = elements(self._joining.graph, their.variables)
        if variables and wanted:
            position = {variable: place for place, variable in enumerate(wanted)}
            order = [position.get(variable, NOWHERE) for variable in variables]
            why = (
                "" if sorted(order) == list(range(size)) and len(wanted) == size else "their variables are not the same"
            )
        else:
            is_known = own.variables is not None or self._own_owners(own) is not None
            order, why = list(range(size)), "" if is_known and self._same_order() else self._unknown_order(target)
        if own.loose and not _is_identity(order):
            why = self._unknown_order(target)
        if why:
            if self._has_values(own):
                self._complain(f"{self._own_path(number)}: {why}")
            self._leave_lists(number, own)
            return
        self._drop_lists(target, their, keep_variables=bool(variables and wanted))
        if variables and wanted:
            assert own.variables is not None
            assert their.variables is not None
            self._settle(own.variables, their.variables)
        else:
            self._joining.notes.append(self._order_note(number))
        self._reorder(own, order)

    def _check_new_lists(self) -> None:
        """Complain about lists that come to a model without any, if its variables may be in another order."""
        for number, own in self._own_lists.items():
            if self._to[number] in self._their_lists or not self._has_values(own):
                continue
            variables = elements(self._part.graph, own.variables)
            is_known = bool(variables) and not self._are_theirs_by_name(own, variables)
            if not variables:
                variables = self._own_owners(own) or []
                is_known = bool(variables) or not self._may_be_for_theirs(own)
            if is_known and all(self._to[n] == NOWHERE for n in variables):
                continue  # it is an optimizer of other variables
            if is_known and self._same_order():
                self._joining.notes.append(self._order_note(number))
            else:
                self._complain(f"{self._own_path(number)}: {self._unknown_order(ROOT)}")

    def _are_theirs_by_name(self, lists: Lists, variables: Sequence[int]) -> bool:
        """Whether an optimizer that was saved without its model may be that of the structure, which has none."""
        if any(self._had_values(theirs) for theirs in self._their_lists.values()):
            return False
        held = set(variables)
        elsewhere = (
            child for n, node in enumerate(self._source) if n != lists.variables for child in node.children.values()
        )
        names = set(self._their_variables.values())
        return held.isdisjoint(elsewhere) and any(_full_name(self._source[n]) in names for n in held)

    def _may_be_for_theirs(self, lists: Lists) -> bool:
        """Whether an element of a list may be what is kept for a variable of the structure."""
        there = set(self._their_variables.values())
        names = [_full_name(self._source[element]) for element in kept(self._part.graph, lists)]
        return any(self._to[n] != NOWHERE for n in self._own_variables) or any(_ends_in(name, there) for name in names)

    def _order_note(self, number: int) -> Issue:
        return Issue("order-of-lists", self._own_path(number), got=self._part.name)

    def _reorder(self, own: Lists, order: Sequence[int]) -> None:
        """Have what is at place N of a list come to place ``order[N]``."""
        graph = self._part.graph
        if _is_identity(order):
            return
        moved: dict[int, int] = {}  # by element: what comes to its place
        for number in own.slots.values():
            held = elements(graph, number)
            placed = dict(zip(order, held, strict=True))
            self._instead[number] = {str(place): placed[place] for place in sorted(placed)}
            moved.update({element: placed[place] for place, element in enumerate(held)})
        if own.everything is not None:
            children = graph.nodes[own.everything].children
            self._instead[own.everything] = {name: moved.get(child, child) for name, child in children.items()}

    def _drop_lists(self, target: int, their: Lists, *, keep_variables: bool) -> None:
        children = self._target[target].children
        names = their.names() - ({TRAINED_LIST} if keep_variables else set())
        numbers = [children.pop(name) for name in names]
        kept_here = set(children.values())  # what an edge of its own leads to: the step, the learning rate
        gone = set(numbers)
        for number in numbers:
            gone.update(elements(self._joining.graph, number) if number != their.variables else ())
            self._target[number].children = {}
        self._joining.gone |= gone - kept_here
        for number in gone - kept_here:
            self._target[number].attributes = []

    def _order_of(self, number: int, own: Lists, their: Lists) -> tuple[list[int] | None, str]:
        """Return, for each place of this source's lists, the structure's place for the same variable; or why not."""
        target = self._to[number]
        mine, wanted = elements(self._part.graph, own.variables), elements(self._joining.graph, their.variables)
        if mine and wanted:
            position = {variable: place for place, variable in enumerate(wanted)}
            found = [position.get(self._to[n], NOWHERE) for n in mine]
            if all(self._to[n] != NOWHERE for n in mine):
                return found, ""
            if self._all_named_alike(mine, wanted):
                for n, other in zip(mine, wanted, strict=True):
                    self._pair(n, other)
                return list(range(len(mine))), ""
            if any(self._to[n] != NOWHERE for n in mine):
                return found, ""
            return None, (
                f"the order of {TRAINED_LIST} is not known to be that of {self._held_by(target)}: no other path leads to its "
                "variables, so moments could go to the wrong ones"
            )
        found_here, found_there = self._own_owners(own), self._their_owners(their)
        if mine or wanted or found_here is None or found_there is None:
            return None, self._unknown_order(target)
        position = {variable: place for place, variable in enumerate(found_there)}
        return [position.get(self._to[variable], NOWHERE) for variable in found_here], ""

    def _unknown_order(self, target: int) -> str:
        there = self._held_by(target)
        return (
            f"the order of its lists is not known to be that of {there}: neither {TRAINED_LIST} nor full names tell for sure "
            f"which variable each place is for, so moments could go to the wrong ones; to keep the order of "
            f"{self._part.name}, prefer it, and a pattern of paths from {there}"
        )

    def _all_named_alike(self, mine: Sequence[int], wanted: Sequence[int]) -> bool:
        """Whether two lists, to whose elements no other path leads, have variables of the same names, each once.

        A number that Keras counts makes no name another: ``dense`` and ``dense_1`` may be made the other way round.
        """
        if any(self._to[n] != NOWHERE for n in mine) or any(n in self._back for n in wanted):
            return False
        names = [_full_name(self._source[n]) for n in mine]
        different = {without_counts(name) for name in names}
        return (
            "" not in names and len(different) == len(names) and names == [_full_name(self._target[n]) for n in wanted]
        )

    def _same_order(self) -> bool:
        """Whether the structure's objects, those of optimizers aside, are all here too, and made in the same order."""
        if self._order is None:
            self._order = all(
                self._is_ordered_alike(number, target) for number, target in enumerate(self._to) if target != NOWHERE
            )
        return self._order

    def _is_ordered_alike(self, number: int, target: int) -> bool:
        if target in self._their_lists or number in self._own_lists:
            return True
        theirs = [n for n, child in self._target[target].children.items() if self._counts(target, child)]
        place = {name: at for at, name in enumerate(self._source[number].children)}
        if any(name not in place for name in theirs):
            return False
        places = [place[name] for name in theirs]
        return places == sorted(places)

    def _counts(self, parent: int, child: int) -> bool:
        """Whether a child has a say in the order of a model's variables: not a counter beside it, nor an optimizer."""
        if child in self._their_lists:
            return False
        node = self._target[child]
        if parent == ROOT and not node.children:
            return False
        return child in self._their_values or bool(node.children)

    # What is added

    def _add(self) -> None:
        """Add what has no partner: nodes, edges, slot variables."""
        reached = self._reached()
        for number in reached:
            if self._to[number] == NOWHERE:
                self._to[number] = len(self._target)
                self._back[self._to[number]] = number
                node = self._source[number]
                saver, values = node.registered_saver, node.has_checkpoint_values
                self._target.append(Node(registered_saver=saver, has_checkpoint_values=values))
            elif self._source[number].has_checkpoint_values:
                target = self._target[self._to[number]]
                target.has_checkpoint_values = target.has_checkpoint_values is not None or None
        savers = {node.registered_saver for node in self._target if node.registered_saver is not None}
        for number in reached:
            node, target = self._source[number], self._target[self._to[number]]
            for name, child in self._children(number):
                target.children.setdefault(name, self._to[child])
            if target.registered_saver is None and node.registered_saver not in savers:
                target.registered_saver = node.registered_saver
            self._add_slots(node, target)
        named = Counter(node.registered_saver for node in self._target if node.registered_saver is not None)
        twice = [f"{self._part.name}: two objects are saved by {saver!r}" for saver, n in named.items() if n > 1]
        if twice:
            raise PlanError(twice[:MOST_SAID])

    def _add_slots(self, node: Node, target: Node) -> None:
        there = {(slot.original_variable, slot.slot_name) for slot in target.slot_variables}
        for slot in node.slot_variables:
            original, variable = self._to[slot.original_variable], self._to[slot.slot_variable]
            if NOWHERE not in (original, variable) and (original, slot.slot_name) not in there:
                target.slot_variables.append(SlotVariable(original, slot.slot_name, variable))

    def _children(self, number: int) -> list[tuple[str, int]]:
        if number in self._settled:
            return []
        children = self._instead.get(number, self._source[number].children)
        return [(name, child) for name, child in children.items() if (number, name) not in self._cut]

    def _reached(self) -> list[int]:
        """Return the nodes that go along, in the order of their numbers: those that nothing ever led to, too."""
        led_to = set(self._ways) | {slot.slot_variable for node in self._source for slot in node.slot_variables}
        reached: set[int] = set()
        left = [ROOT, *(number for number, to in enumerate(self._to) if to != NOWHERE or number not in led_to)]
        while left:
            number = left.pop()
            if number not in reached:
                reached.add(number)
                left += [child for _, child in self._children(number)]
                slots = (slot.slot_variable for slot in self._source[number].slot_variables)
                left += [slot for slot in slots if slot not in self._left_slots]
        return sorted(reached)


def _holders(back: Mapping[int, Mapping[int, int]], number: int) -> dict[int, int]:
    return {source: own[number] for source, own in back.items() if number in own}


def _path(number: int, ways: Ways) -> str:
    return quoted(path_to(number, ways)) if number in ways else f"node {number}"


def _is_identity(order: Sequence[int]) -> bool:
    return list(order) == list(range(len(order)))


def _sizes(graph: ObjectGraph, lists: Lists) -> dict[str, int]:
    """Return how many elements each list has."""
    loose = {EVERYTHING: len(lists.loose)} if lists.loose else {}
    return {name: len(elements(graph, number)) for name, number in lists.slots.items()} | loose


def _spelled(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{name} of {size}" for name, size in sorted(sizes.items())) or "none"


def _full_name(node: Node) -> str:
    value = value_of(node)
    return "" if value is None else value.full_name


def _variables(graph: ObjectGraph, optimizers: Mapping[int, Lists], names: Mapping[int, str]) -> dict[int, str]:
    """Return every named variable that is not in an optimizer's lists; counters beside a model aside, if it has others."""
    lists = [n for o in optimizers.values() for n in (o.everything, *o.slots.values()) if n is not None]
    own = {child for number in lists for child in graph.nodes[number].children.values()}
    beside = set(graph.nodes[ROOT].children.values())
    found = {n: name for n, name in sorted(names.items()) if n not in own}
    return {n: name for n, name in found.items() if n not in beside} or found


def _by_name(variables: Mapping[int, str]) -> dict[str, int | None]:
    return by_name((name, number) for number, name in variables.items())


def _ends_in(name: str, ends: Collection[str]) -> bool:
    """Whether a name is one of these behind a prefix, as ``Adam/m/``."""
    parts = name.split("/", MOST_PREFIXES)
    return any("/".join(parts[n:]) in ends for n in range(1, len(parts)))
