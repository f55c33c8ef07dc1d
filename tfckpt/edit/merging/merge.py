"""Checkpoints joined into one: as TensorFlow joins the parts of a sharded save, or with what is preferred of each.

Strategy: what is one thing in several sources is found first: a tensor by its name, or an object by its paths (`join`). Then
each is taken whole from one source, the bytes as they are stored, and every tensor that is not taken is accounted for.
Source: tensorflow/core/util/tensor_bundle/tensor_bundle.cc, MergeBundles.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from tfckpt.base.issues import Issue, compare
from tfckpt.bundle.values.entry import Entry
from tfckpt.bundle.values.slices import check_cover, check_disjoint, shape_of
from tfckpt.checkpoint.graph.object_graph import (
    ATTRIBUTES,
    OBJECT_GRAPH_KEY,
    ROOT,
    VARIABLE_VALUE,
    Attribute,
    ObjectGraph,
    escape,
)
from tfckpt.checkpoint.graph.optimizer_lists import elements, find_optimizers, kept
from tfckpt.edit.merging.evidence import NOWHERE
from tfckpt.edit.merging.join import MOST_SAID, Joined, Part, join_graphs
from tfckpt.edit.merging.preferences import Choice, Origin, Preferences
from tfckpt.errors import FormatError, PlanError, UnsupportedError, count_of, remedied, some
from tfckpt.execution.pieces import stored_once
from tfckpt.planning.plan import NO_SIZES, Dropped, Plan
from tfckpt.planning.steps import Step, carrying
from tfckpt.storage import files
from tfckpt.storage.paths import index_path

if TYPE_CHECKING:
    pass

# Of the path of a key that is spelled anew; a crafted graph may be a chain of any length, with names of any length.
MOST_PARTS = 100
MOST_CHARACTERS = 200  # of an edge


class _Held(NamedTuple):
    """What one source has of a thing: its tensors, under the key of an object's attribute or their own name."""

    key: str
    tensors: tuple[str, ...]


_Thing = dict[int, _Held]  # by source


class Merging:
    """A merge on its way to a plan."""

    def __init__(self, origins: Sequence[Origin], prefer: Sequence[str]) -> None:
        self._origins = origins
        self._check_apart()
        self._preferences = Preferences(prefer, origins)
        self._entries = [{entry.name: entry for entry in origin.checkpoint.entries()} for origin in origins]
        self._twice: dict[tuple[int, int], list[str]] = {}
        self._differences: list[str] = []
        self._targets: list[dict[str, list[str]]] = [{} for _ in origins]  # of each tensor that is taken
        self._rules: list[dict[str, str]] = [{} for _ in origins]  # of each that is not
        self._missed: dict[tuple[Choice, int], list[str]] = {}
        self._replaced: dict[int, set[tuple[int, ...]]] = {}
        self._notes: list[Issue] = []
        self._joined = self._join()

    def plan(self, *, partial: bool) -> tuple[Plan, list[list[Step]]]:
        """Return the plan, and the steps of each source.

        Raises: PlanError.
        """
        names, objects = self._things()
        taken: dict[str, tuple[int, str]] = {}
        for name, thing in names.items():
            for source in self._resolve(thing, None):
                self._targets[source].setdefault(name, []).append(name)
                taken[name] = source, name
        copies = self._copies(objects)
        chosen = {key: self._resolve(thing, key[0]) for key, thing in objects.items() if key not in copies}
        self._complain_of_clashes()
        self._complain_of_doubts(chosen)
        self._follow(copies, objects, chosen)
        if self._joined is not None:
            self._check_moments(self._joined.graph, objects, chosen)
            self._spell(self._joined.graph, objects, chosen, taken)
        self._check_covers(partial=partial)
        return self._to_plan()

    def _check_apart(self) -> None:
        """Raise PlanError if a source is given twice; one without tensors may be."""
        prefixes = [origin.checkpoint.prefix for origin in self._origins]
        for n, later in enumerate(prefixes):
            earlier = [prefix for prefix in prefixes[:n] if _are_one(prefix, later)]
            if earlier and len(self._origins[n].checkpoint):
                raise PlanError([f"{later}: given twice"])

    def _join(self) -> Joined | None:
        """Return the joined object graph, if there are several."""
        parts = [
            Part(n, origin.typed, origin.graph) for n, origin in enumerate(self._origins) if origin.graph is not None
        ]
        if len(parts) < 2:
            return None
        parts.sort(key=lambda part: part.source != self._preferences.default)
        pair = self._origins[parts[0].source].checkpoint.prefix, self._origins[parts[1].source].checkpoint.prefix
        try:
            return join_graphs(parts, self._choose_object)
        except PlanError as error:
            raise remedied(error, compare(*pair)) from None

    def _choose_object(self, candidates: Sequence[int], nodes: Mapping[int, int]) -> int | None:
        names = {
            source: found[0] for source, node in nodes.items() if (found := self._origins[source].tensors.of_node(node))
        }
        return self._preferences.choose(candidates, nodes, names)

    def _things(self) -> tuple[dict[str, _Thing], dict[tuple[int, str], _Thing]]:
        """Return what there is: tensors by name, and objects' values by joined node and attribute."""
        names: dict[str, _Thing] = {}
        objects: dict[tuple[int, str], _Thing] = {}
        if self._joined is not None:
            for source, numbers in sorted(self._joined.numbers.items(), key=lambda item: self._rank(item[0])):
                self._add_objects(source, numbers, objects)
        called = self._objects_by_name(objects)
        for source, origin in enumerate(self._origins):
            joined = self._joined is not None and origin.graph is not None
            for name in self._of_no_attribute(origin) if joined else origin.checkpoint:
                thing = called[name] if name in called else names.setdefault(name, {})
                thing.setdefault(source, _Held(name, (name,)))
        return names, objects

    def _of_no_attribute(self, origin: Origin) -> list[str]:
        """Return the tensors that no attribute stands for: those of no object, and those of registered savers."""
        assert origin.graph is not None
        savers = (number for number, node in enumerate(origin.graph.nodes) if node.registered_saver is not None)
        return [*origin.tensors.unclaimed, *(name for number in savers for name in origin.tensors.of_saver(number))]

    def _rank(self, source: int) -> bool:
        return source != self._preferences.default

    def _add_objects(self, source: int, numbers: Sequence[int], objects: dict[tuple[int, str], _Thing]) -> None:
        origin = self._origins[source]
        assert origin.graph is not None
        for node, number in enumerate(numbers):
            for attribute in origin.graph.nodes[node].attributes if number != NOWHERE else ():
                tensors = origin.tensors.of_key(attribute.checkpoint_key)
                if tensors:
                    thing = objects.setdefault((number, attribute.name), {})
                    thing[source] = _Held(attribute.checkpoint_key, tensors)

    def _objects_by_name(self, objects: Mapping[tuple[int, str], _Thing]) -> dict[str, _Thing]:
        """Return the objects whose one tensor has a name in a source, by it: another source may have it without an object."""
        called: dict[str, _Thing] = {}
        for thing in objects.values():
            for held in thing.values():
                if held.tensors == (held.key,):
                    called.setdefault(held.key, thing)
        return called

    def _resolve(self, thing: _Thing, number: int | None) -> list[int]:
        """Return the sources that a thing is taken from: one, or those that hold slices of one tensor.

        Args:
            number: of the joined node, if it is an object's.
        """
        if len(thing) == 1 and not self._preferences.choices:
            return list(thing)
        sources, nodes = sorted(thing), self._holders(number)
        names = {source: held.tensors[0] for source, held in thing.items()}
        meant = self._preferences.first(nodes, names)
        if meant is not None and meant.source not in thing:
            self._missed.setdefault((meant, sources[0]), []).append(names[sources[0]])
        if len(thing) == 1:
            return sources
        clash = self._clash(thing, sources)
        if clash is None:
            return sources
        chosen = meant.source if meant is not None and meant.source in thing else None
        chosen = self._preferences.choose(sources, nodes, names) if chosen is None else chosen
        if chosen is None:
            self._note_clash(*clash, thing)
            return []
        for source in sources:
            if source != chosen:
                rule = f"also in {self._typed(source)}, taken from {self._typed(chosen)}"
                self._rules[source].update(dict.fromkeys(thing[source].tensors, rule))
        return [chosen]

    def _holders(self, number: int | None) -> dict[int, int]:
        return {} if self._joined is None or number is None else self._joined.holders(number)

    def _clash(self, thing: _Thing, sources: Sequence[int]) -> tuple[int, int] | None:
        """Return two sources that both have what may come once; None if all have other slices of one tensor."""
        entries = {}
        for source in sources:
            if len(thing[source].tensors) > 1:
                return sources[0], sources[1]
            entries[source] = self._entries[source][thing[source].tensors[0]]
        known = entries[sources[0]]
        for source in sources[1:]:
            entry = entries[source]
            if not _is_another_part(known, entry):
                earlier = (s for s in sources if s != source and not _is_another_part(entries[s], entry))
                return next(earlier, sources[0]), source
            known = known._replace(slices=known.slices + entry.slices)
        return None

    def _note_clash(self, earlier: int, later: int, thing: _Thing) -> None:
        held = thing[later]
        self._twice.setdefault((earlier, later), []).append(held.tensors[0])
        own, other = self._kind(later, held), self._kind(earlier, thing[earlier])
        if self._joined is not None and own != other and len(self._differences) < MOST_SAID:
            where = f"{self._typed(later)}: {held.key!r}"
            self._differences.append(f"{where}: {own}; in {self._typed(earlier)} it is {other}")

    def _kind(self, source: int, held: _Held) -> str:
        entries = [self._entries[source][name] for name in held.tensors]
        return ", ".join(f"{entry.dtype_name}{list(entry.shape)}" for entry in entries)

    def _complain_of_clashes(self) -> None:
        """Raise PlanError, with a line for any two sources that both have what may come once."""
        if not self._twice:
            return
        prefixes = [origin.checkpoint.prefix for origin in self._origins]
        lines = []
        for (earlier, later), names in self._twice.items():
            are = "is" if len(names) == 1 else "are"
            tensors = some([repr(name) for name in names], 1)
            lines.append(f"{prefixes[later]}: tensor {tensors} {are} in {prefixes[earlier]} already")
        pair = next(iter(self._twice))
        raise remedied(PlanError(lines + self._differences), compare(prefixes[pair[0]], prefixes[pair[1]]))

    def _complain_of_doubts(self, chosen: Mapping[tuple[int, str], Sequence[int]]) -> None:
        """Raise PlanError if values of two sources would be mixed of which it is not known what is what; counters may be."""
        if self._joined is None or not self._joined.doubts:
            return
        beside = set(self._joined.graph.nodes[ROOT].children.values())
        taken = {source for (number, _), sources in chosen.items() if number not in beside for source in sources}
        structure = self._typed(self._structure())
        lines = [
            f"{self._typed(source)}: {why} in {structure}: layers stand in another order, so the same path may mean another "
            f"object, and values would go to the wrong ones; prefer all of {self._typed(source)}, or all of {structure}"
            for source, why in self._joined.doubts.items()
            if source in taken
        ]
        if lines:
            raise PlanError(lines)

    def _structure(self) -> int:
        """Return the source whose structure of objects the joined graph has."""
        assert self._joined is not None
        return next(iter(self._joined.numbers))

    def _copies(self, objects: Mapping[tuple[int, str], _Thing]) -> dict[tuple[int, str], list[tuple[int, str]]]:
        """Return the values that are copies of others in the structure, each with these."""
        if self._joined is None:
            return {}
        found = {}
        for copy, originals in self._origins[self._structure()].copies.items():
            key, others = (copy, VARIABLE_VALUE), [(number, VARIABLE_VALUE) for number in originals]
            if others and key in objects and all(other in objects for other in others):
                found[key] = others
        return found

    def _follow(
        self,
        copies: Mapping[tuple[int, str], Sequence[tuple[int, str]]],
        objects: dict[tuple[int, str], _Thing],
        chosen: dict[tuple[int, str], list[int]],
    ) -> None:
        """Take each copy from where the value is taken that it is a copy of.

        Raises: PlanError if a preference of its own says otherwise, or the copied values are of several sources.
        """
        lines = []
        for key, others in copies.items():
            structure, thing = self._structure(), objects[key]
            original = objects[others[0]]
            name = repr(thing[structure].key)
            sources = chosen[others[0]]
            meant = self._preferences.first({structure: key[0]}, {structure: thing[structure].tensors[0]})
            wanted = sources if meant is None or meant.source not in original else [meant.source]
            if wanted != sources or any(chosen[other] != sources for other in others):
                where = f"{self._typed(structure)}: {name} is a copy of {original[structure].key!r}"
                lines.append(f"{where}, and would be taken from another source; prefer both from one")
            for source, held in thing.items():
                self._rules[source].update(
                    dict.fromkeys(held.tensors, "in the place of a copy, which follows its original")
                )
            chosen[key] = sources
            objects[key] = thing if sources == [structure] else original
        if lines:
            raise PlanError(lines[:MOST_SAID])
        if any(chosen[key] != [self._structure()] for key in copies):
            self._notes.append(Issue("copies-follow"))

    def _spell(
        self,
        graph: ObjectGraph,
        objects: Mapping[tuple[int, str], _Thing],
        chosen: Mapping[tuple[int, str], list[int]],
        taken: dict[str, tuple[int, str]],
    ) -> None:
        """Give every value of an object a key that no other has, and the graph its attributes."""
        paths = _Paths(graph)
        places: dict[int, dict[str, int]] = {}  # of attributes, by name
        for (number, name), sources in sorted(chosen.items(), key=lambda item: item[0][0]):
            thing = objects[number, name]
            attributes = graph.nodes[number].attributes
            if number not in places:
                places[number] = {a.name: n for n, a in reversed([*enumerate(attributes)])}
            place = places[number].setdefault(name, len(attributes))
            if place == len(attributes):
                first = min(thing, key=self._rank)
                attributes.append(Attribute(name, thing[first].key, self._full_name(first, number, name)))
            key = attributes[place].checkpoint_key
            wanted = self._contents(thing, sources)
            while any(taken.get(key + end, content) != content for end, content in wanted.items()):
                key = paths.key(number, name)
            attributes[place] = attributes[place]._replace(checkpoint_key=key)
            for end, content in wanted.items():
                taken[key + end] = content
            for source in sources:
                for tensor in thing[source].tensors:
                    targets = self._targets[source].setdefault(tensor, [])
                    target = key + tensor.removeprefix(thing[source].key)
                    if target not in targets:
                        targets.append(target)

    def _full_name(self, source: int, number: int, name: str) -> str:
        node, graph = self._holders(number).get(source), self._origins[source].graph
        attributes = [] if node is None or graph is None else graph.nodes[node].attributes
        return next((attribute.full_name for attribute in attributes if attribute.name == name), "")

    def _contents(self, thing: _Thing, sources: Sequence[int]) -> dict[str, tuple[int, str]]:
        """Return what lies under each end of a key, that of the attribute itself included."""
        held = thing[sources[0]]
        ends = {"": (sources[0], held.key)}
        if held.tensors == (held.key,):
            return ends
        return ends | {tensor.removeprefix(held.key): (sources[0], tensor) for tensor in held.tensors}

    def _check_moments(
        self,
        graph: ObjectGraph,
        objects: Mapping[tuple[int, str], _Thing],
        chosen: Mapping[tuple[int, str], list[int]],
    ) -> None:
        """Raise PlanError if what an optimizer keeps for a variable would come to one of another shape."""
        assert self._joined is not None
        lines = self._different_moments(graph, objects, chosen)
        for slot, variable in [*_slots(graph), *self._joined.owners.items()]:
            sources = chosen.get((slot, VARIABLE_VALUE)), chosen.get((variable, VARIABLE_VALUE))
            if not sources[0] or not sources[1] or sources[0] == sources[1]:
                continue
            thing, held = objects[slot, VARIABLE_VALUE], objects[variable, VARIABLE_VALUE]
            source, other = sources[0][0], sources[1][0]
            shape = self._shape(source, thing)
            own = self._shape(source, held) if source in held else None
            if own is not None and own != self._shape(other, held) and (shape or not own):
                got = f"for a variable of {list(self._shape(other, held))} of {self._typed(other)}"
                lines.append(f"{self._typed(source)}: {thing[source].key!r}: {list(shape)}, {got}")
        if lines:
            raise PlanError(lines[:MOST_SAID])

    def _different_moments(
        self,
        graph: ObjectGraph,
        objects: Mapping[tuple[int, str], _Thing],
        chosen: Mapping[tuple[int, str], list[int]],
    ) -> list[str]:
        """Return what to say of elements of lists that do not tell their variable, and may be for one of another shape."""
        assert self._joined is not None
        lines = []
        for lists in find_optimizers(graph).values():
            for slot in kept(graph, lists) if lists.variables is None else lists.loose:
                thing = objects.get((slot, VARIABLE_VALUE), {})
                for source in chosen.get((slot, VARIABLE_VALUE), ()) if slot not in self._joined.owners else ():
                    shape = self._shape(source, thing)
                    others = [other for other in thing if self._shape(other, thing) != shape]
                    if others and source != self._preferences.default:
                        got = f"{list(self._shape(others[0], thing))} in {self._typed(others[0])}"
                        lines.append(f"{self._typed(source)}: {thing[source].key!r}: {list(shape)}, {got}")
                    elif shape and shape in self._replaced_shapes(source, objects, chosen):
                        got = "which may be for a variable that has another shape in the result"
                        lines.append(f"{self._typed(source)}: {thing[source].key!r}: {list(shape)}, {got}")
        return lines

    def _replaced_shapes(
        self,
        source: int,
        objects: Mapping[tuple[int, str], _Thing],
        chosen: Mapping[tuple[int, str], list[int]],
    ) -> set[tuple[int, ...]]:
        """Return the shapes of a source's variables that have another one in the result; those of reduced moments as well."""
        if source not in self._replaced:
            found = self._replaced[source] = set()
            for key, thing in objects.items():
                if key[1] != VARIABLE_VALUE or source not in thing or not chosen.get(key) or source in chosen[key]:
                    continue
                shape = self._shape(source, thing)
                if shape != self._shape(chosen[key][0], thing):
                    found |= {shape, *(shape[:at] + shape[at + 1 :] for at in range(len(shape)))}
        return self._replaced[source]

    def _shape(self, source: int, thing: _Thing) -> tuple[int, ...]:
        return self._entries[source][thing[source].tensors[0]].shape

    def _check_covers(self, *, partial: bool) -> None:
        """Raise PlanError if slices, those of all sources together, do not hold each element of their tensor once."""
        held: dict[str, list[tuple[int, Entry]]] = {}
        for source, targets in enumerate(self._targets):
            for name, keys in targets.items():
                if self._entries[source][name].slices:
                    for key in keys:
                        held.setdefault(key, []).append((source, self._entries[source][name]))
        lines = []
        for key, parts in held.items():
            shape = parts[0][1].shape
            boxes = [part.within(shape) for _, entry in parts for part in entry.slices]
            where = ", ".join(self._origins[source].checkpoint.prefix for source, _ in parts)
            try:
                if partial:
                    check_disjoint(key, boxes)
                else:
                    check_cover(key, shape, boxes)
            except FormatError as error:
                lines.append(f"{where}: {error.what}: expected {error.expected}, got {error.got}")
            except UnsupportedError as error:
                lines.append(f"{where}: {error}")
        if lines:
            raise PlanError(lines)

    def _to_plan(self) -> tuple[Plan, list[list[Step]]]:
        """Return the plan, and the steps of each source."""
        steps: list[list[Step]] = []
        dropped: list[Dropped] = []
        joined, notes = self._joined, list[Issue]()
        bearer = None if joined is None else min(joined.numbers)
        for source, origin in enumerate(self._origins):
            steps.append([])
            for entry in origin.checkpoint.entries():
                targets = self._targets[source].get(entry.name, [])
                if joined is not None and entry.name == OBJECT_GRAPH_KEY and source in joined.numbers:
                    targets = [OBJECT_GRAPH_KEY] if source == bearer else []
                elif not targets:
                    rule = self._rules[source].get(entry.name, "contradicts what is preferred")
                    dropped.append(Dropped(entry.name, rule, entry.nbytes, origin.roles[entry.name], origin.typed))
                steps[-1] += [carrying(entry, target, origin=origin.typed) for target in targets]
            steps[-1] = stored_once(steps[-1], origin.checkpoint.reader)
        if joined is not None:
            names = ", ".join(self._typed(source) for source in sorted(joined.numbers))
            notes = [
                Issue("graphs-joined", names, got=count_of(joined.graph.nodes, "object")),
                *joined.notes,
                *self._notes,
            ]
        for (choice, source), missed in self._missed.items():
            wanted, held = self._typed(choice.source), some([repr(name) for name in missed], 1)
            notes.append(Issue("not-in-preferred", repr(choice.text), wanted, f"{self._typed(source)}: {held}"))
        graph = None if joined is None else joined.graph
        together = tuple(step for part in steps for step in part)
        named = ", ".join(origin.checkpoint.prefix for origin in self._origins)
        return Plan(named, "", together, tuple(dropped), NO_SIZES, issues=tuple(notes), object_graph=graph), steps

    def _typed(self, source: int) -> str:
        return self._origins[source].typed


class _Paths:
    """Spells keys of objects that have none of their own."""

    def __init__(self, graph: ObjectGraph) -> None:
        self._graph = graph
        self._ways: Mapping[int, tuple[int, str]] | None = None
        self._tried: dict[tuple[int, str], int] = {}

    def key(self, number: int, attribute: str) -> str:
        """Return another key each time."""
        n = self._tried[number, attribute] = self._tried.get((number, attribute), 0) + 1
        mark = "" if n == 1 else f"_{n}"
        return f"{self._path(number)}{mark}{ATTRIBUTES}{attribute}"

    def _path(self, number: int) -> str:
        if self._ways is None:
            self._ways = self._graph.ways()
        names: list[str] = []
        at = number
        while at != ROOT and at in self._ways and len(names) < MOST_PARTS:
            at, name = self._ways[at]
            names.append(escape(name) if len(name) < MOST_CHARACTERS else f"node_{at}")
        return "/".join(reversed(names)) if at == ROOT and names else f"node_{number}"


def _slots(graph: ObjectGraph) -> Iterator[tuple[int, int]]:
    """Yield what an optimizer keeps for each variable, and the variable."""
    for number, lists in find_optimizers(graph).items():
        for slot in graph.nodes[number].slot_variables:
            yield slot.slot_variable, slot.original_variable
        variables = elements(graph, lists.variables)
        for held in lists.slots.values():
            yield from zip(elements(graph, held), variables, strict=False)


def _are_one(prefix: str, other: str) -> bool:
    return prefix == other or files.is_same(index_path(prefix), index_path(other))


def _is_another_part(known: Entry, entry: Entry) -> bool:
    """Whether two sources hold different slices of one partitioned tensor, and not both all of it."""
    same_tensor = (known.data_type, known.shape) == (entry.data_type, entry.shape)
    apart = bool(known.slices and entry.slices) and set(known.slices).isdisjoint(entry.slices)
    return same_tensor and apart and not (_is_complete(known) and _is_complete(entry))


def _is_complete(entry: Entry) -> bool:
    return sum(math.prod(shape_of(part.within(entry.shape))) for part in entry.slices) >= entry.size
