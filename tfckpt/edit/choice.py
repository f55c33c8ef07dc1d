"""Which tensors an edit leaves out: those that patterns name, or those that are for training only; objects go whole."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from tfckpt.base.issues import Issue
from tfckpt.bundle.values.entry import Entry
from tfckpt.checkpoint.find.lookup import Lookup, Meant
from tfckpt.checkpoint.graph.object_graph import ATTRIBUTES, OBJECT_GRAPH_KEY, ObjectGraph
from tfckpt.checkpoint.graph.object_tensors import ObjectTensors
from tfckpt.checkpoint.graph.optimizer_lists import find_optimizers
from tfckpt.checkpoint.graph.optimizers import TRAINED_LIST
from tfckpt.checkpoint.graph.roles import (
    COPY,
    MODEL,
    MOVING_AVERAGE,
    OPTIMIZER,
    TRAINING_STATE,
    UNKNOWN,
    find_roles,
    guessed_suffixes,
)
from tfckpt.checkpoint.graph.slot_owners import slots_of_variables
from tfckpt.checkpoint.graph.ways import edges_of_training
from tfckpt.errors import PlanError, count_of, some

STRIPPED = (OPTIMIZER, TRAINING_STATE)
OF_MODEL = (MODEL, COPY, UNKNOWN, MOVING_AVERAGE)  # what a model may be evaluated with


class Choice(NamedTuple):
    """What goes: the rule of each tensor that does, the role of every one, what to say of it, and whose object each is."""

    dropped: Mapping[str, str]
    roles: Mapping[str, str]
    notes: Sequence[Issue]
    tensors: ObjectTensors


def drop_rule(pattern: str) -> str:
    """Return what the rule of a pattern that drops is called."""
    return f"pattern {pattern!r}"


def keep_rule(patterns: Iterable[str]) -> str:
    """Return what the rule is called that drops what no pattern keeps."""
    return f"not among {', '.join(map(repr, patterns))}"


def choose(
    prefix: str,
    entries: Sequence[Entry],
    graph: ObjectGraph | None,
    *,
    drop: Iterable[str] = (),
    keep: Sequence[str] = (),
    strip_optimizer: bool = False,
    whole: bool = True,
) -> Choice:
    """Decide which tensors go.

    Args:
        prefix: of the checkpoint, for messages.
        entries: what its index says.
        graph: its object graph, if it has one.
        drop: globs of what goes: of names, else of objects' paths, else of full names.
        keep: globs; if there are any, what none of them matches goes, the object graph apart. One that matches names is
            tried on paths too, since a key may spell another way to what is meant.
        strip_optimizer: whether optimizer state goes.
        whole: whether tensors of one object go or stay together, for the sake of an object graph that goes along.
    Raises:
        PlanError: optimizer state alone is there to strip.
    """
    chooser = _Chooser(prefix, entries, graph, whole=whole)
    for pattern in drop:
        chooser.drop(pattern)
    if strip_optimizer:
        chooser.strip()
    if keep:
        chooser.keep(keep)
    return chooser.choice()


class _Chooser:
    """A checkpoint, and what goes so far."""

    def __init__(self, prefix: str, entries: Sequence[Entry], graph: ObjectGraph | None, *, whole: bool) -> None:
        self._prefix, self._entries = prefix, entries
        self._names = [entry.name for entry in entries]
        self._lookup = Lookup(graph, self._names, where=prefix)
        self._graph, self._whole_objects = graph, whole
        self._tensors = ObjectTensors(graph or ObjectGraph(), self._names)
        self._roles = find_roles(entries, graph, self._tensors)
        self._dropped: dict[str, str] = {}
        self._notes: list[Issue] = []

    def drop(self, pattern: str) -> None:
        """Let go what a pattern means, with the slots of variables among it."""
        rule = drop_rule(pattern)
        meant = self._lookup.meant(pattern)
        spared = self._trained(meant.keys, meant.paths) if TRAINED_LIST not in pattern else {}
        names = {name: None for name in meant.names() if name not in spared}
        if spared:
            self._note("kept-trained", rule, some(list(spared), 1), count_of(spared, "model variable"))
        if not names:
            self._note("no-tensor", rule)
            return
        self._say_how(pattern, meant)
        self._drop(self._whole(names), rule)
        if ATTRIBUTES not in pattern:
            self._drop_slots(names, rule)

    def _trained(self, keys: Iterable[str], paths: Iterable[str]) -> dict[str, None]:
        """Return the tensors whose keys are spelled along an optimizer's list of what it trains, if no path means them."""
        by_path = frozenset(paths)
        listed = [name for name in keys if f"/{TRAINED_LIST}/" in name and name not in by_path]
        if self._graph is None or not listed:
            return {}
        trained = {self._graph.nodes[number].children[name] for number, name in edges_of_training(self._graph)}
        return {name: None for name in listed if self._tensors.node_of.get(name) in trained}

    def _drop_slots(self, names: Iterable[str], rule: str) -> None:
        """Let the slots of variables go along: a new variable in their place would be given the old one's."""
        if self._graph is None or not self._whole_objects:
            return
        tensors = self._tensors
        slots = slots_of_variables(self._graph)
        nodes = [tensors.node_of[name] for name in names if name in tensors.node_of]
        going = [name for node in nodes for slot in slots.get(node, ()) for name in tensors.of_node(slot)]
        going = [name for name in dict.fromkeys(going) if name not in self._dropped]
        if going:
            self._note("slots-go-along", rule, some(going, 1), count_of(going, "slot"))
        elif not any(node in slots for node in nodes) and self._has_nameless_slots(names, self._graph):
            self._note("slots-stay", rule)
        self._drop(going, rule)

    def _has_nameless_slots(self, names: Iterable[str], graph: ObjectGraph) -> bool:
        """Whether weights are among these tensors, and an optimizer lists slots without saying of what."""
        listed = (lists.slots and lists.variables is None for lists in find_optimizers(graph).values())
        return any(self._roles[name] == MODEL for name in names) and any(listed)

    def _say_how(self, pattern: str, meant: Meant) -> None:
        """Note what a pattern was taken for where it was not, or not only, for keys."""
        keys = frozenset(meant.keys)
        by_path = [name for name in meant.paths if name not in keys]
        if meant.full_names:
            self._note("taken-as", drop_rule(pattern), "full names", count_of(meant.full_names, "tensor"))
        elif by_path:
            what = "keys and paths of objects" if meant.keys else "paths of objects"
            count = count_of(dict.fromkeys((*meant.keys, *meant.paths)), "tensor")
            self._note("taken-as", drop_rule(pattern), what, count)

    def strip(self) -> None:
        """Let the optimizer's state go, and what training scales and accumulates for it; name what may be meant with it."""
        state = [entry.name for entry in self._entries if self._is_stripped(entry)]
        if state and not self._left(state):
            raise PlanError(
                [f"{self._prefix}: optimizer state is all that is there; without it no model variable would be left"]
            )
        for role in STRIPPED:
            self._drop([name for name in state if self._roles[name] == role], role)
        if not state:
            self._note("no-tensor", OPTIMIZER)
        for suffix in guessed_suffixes(self._entries, self._roles):
            self._note("guessed-slots", repr(suffix), OPTIMIZER)
        for role in (MOVING_AVERAGE, TRAINING_STATE, UNKNOWN):
            kept = [name for name in self._names if self._roles[name] == role and name not in self._dropped]
            if kept:
                self._note("kept-beside", role, some(kept, 3), count_of(kept, "tensor"))

    def _is_stripped(self, entry: Entry) -> bool:
        """Whether a tensor is the optimizer's; where an iterator of data stands, which is no number, is not."""
        return self._roles[entry.name] in STRIPPED and entry.is_numeric

    def _left(self, gone: Collection[str]) -> bool:
        """Whether anything of a model stays."""
        without = frozenset(gone)
        return any(role in OF_MODEL and name not in without for name, role in self._roles.items())

    def keep(self, patterns: Sequence[str]) -> None:
        """Let go what no pattern matches."""
        kept: set[str] = {OBJECT_GRAPH_KEY}
        for pattern in patterns:
            meant = self._lookup.meant(pattern)
            names = meant.names()
            if not names:
                self._note("no-tensor", f"{drop_rule(pattern)}, which is to be kept")
                continue
            self._say_how(pattern, meant)
            kept.update(self._whole(names))
        self._drop([name for name in self._names if name not in kept], keep_rule(patterns))

    def choice(self) -> Choice:
        """Return what goes. What a pattern takes of a model is said where a reader may not expect it."""
        lost = [name for name in self._dropped if self._roles[name] in (MODEL, COPY)]
        if lost and not self._left(self._dropped):
            self._note("no-model-left", got=count_of(lost, "model variable"))
        if self._graph is not None and self._whole_objects and OBJECT_GRAPH_KEY in self._dropped:
            self._note("graph-dropped")
        if not self._lookup.is_complete:
            self._note("too-many-paths")
        return Choice(self._dropped, self._roles, self._notes, self._tensors)

    def _note(self, code: str, subject: str = "", expected: str = "", got: str = "") -> None:
        self._notes.append(Issue(code, subject, expected, got))

    def _drop(self, names: Collection[str], rule: str) -> None:
        for name in names:
            self._dropped.setdefault(name, rule)

    def _whole(self, names: Collection[str]) -> list[str]:
        """Return tensors, and with each that an object has, all that it has: TensorFlow restores an object as a whole."""
        named, whole = frozenset(names), dict.fromkeys(names)
        if self._whole_objects:
            tensors = self._tensors
            for number in dict.fromkeys(tensors.node_of[name] for name in names if name in tensors.node_of):
                whole |= dict.fromkeys(tensors.of_node(number))
        others = [name for name in whole if name not in named]
        if others:
            self._note("objects-together", some(others, 3))
        return list(whole)
