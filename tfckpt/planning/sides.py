"""The two sides that a target can be: a model of objects, which must be whole, and names for whatever there is."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from tfckpt.base.issues import Issue
from tfckpt.bundle.values.entry import Entry
from tfckpt.checkpoint.graph.object_graph import ATTRIBUTES, OBJECT_GRAPH_KEY
from tfckpt.checkpoint.graph.roles import BESIDE, OPTIMIZER, TRAINING_STATE, TRAINING_STEP
from tfckpt.errors import are, some
from tfckpt.families.language.family import Drop
from tfckpt.families.language.layouts import Layout, NameRows, ObjectRows, Substitutions
from tfckpt.families.language.target import TargetVariable, build_target, name_target
from tfckpt.planning.asked.resize import Resizing
from tfckpt.planning.bind import TOKENIZER, unknown_rule
from tfckpt.planning.bound import Bound
from tfckpt.planning.builder import PlanBuilder, dtype_notes
from tfckpt.planning.config import Config
from tfckpt.planning.exclusion import leaving_out
from tfckpt.planning.fitting.checks import check_model, check_optional
from tfckpt.planning.fitting.missing import check_heads, fill_biases, fill_missing
from tfckpt.planning.fitting.strays import complain_of_strays, drop_beside
from tfckpt.planning.fitting.withheld import complain_of_lost, complain_of_taken, find_withheld
from tfckpt.planning.optimizer.slots import SlotOptions, State, convert_state, state_names
from tfckpt.planning.steps import Fill, Step

OBJECTS = Drop("object key", (f"*{ATTRIBUTES}*", OBJECT_GRAPH_KEY))  # of a file that has TF1 names beside them
MOST_NAMED = 10  # in one note
STATE = frozenset({OPTIMIZER, TRAINING_STATE, TRAINING_STEP})  # what a target that only renames may be asked to drop

Wanted = Mapping[str, Sequence[TargetVariable]]  # by hub name


class Ask(NamedTuple):
    """What is asked of a plan beside its target.

    Attributes:
        num_heads: number of attention heads, if given.
        fill: values for variables that the target needs and the source lacks; None makes each a complaint.
        second: the configuration of the family's second network, if a file states one.
        resizing: sizes that the target gets instead of the source's.
        slots: the optimizer that the source's state is for; None drops it.
        scope: what stands before every name of a name-based target.
        is_named: whether the user names the model, by its scope or its head: what is beside it is not meant.
        drop_state: whether a target that only renames leaves out what training keeps.
    """

    num_heads: int | None = None
    fill: Fill | None = None
    second: Config | None = None
    resizing: Resizing | None = None
    slots: SlotOptions | None = None
    scope: str = ""
    is_named: bool = False
    drop_state: bool = False


class ModelSide:
    """A target of objects. What it wants and does not get is filled, or stops the plan; so does what it has no place for.

    Args:
        builder: gets what is wrong.
        bound: what the source holds.
        layout: the target.
        ask: what is asked for.
    """

    def __init__(self, builder: PlanBuilder, bound: Bound, layout: ObjectRows, ask: Ask) -> None:
        self._builder, self._bound, self._layout, self._ask = builder, bound, layout, ask
        hub = bound.hub
        self._withheld = find_withheld(layout, hub, bound.taken, builder.sizes.known)
        self._whole = {**hub, **self._withheld.needed} if self._withheld.needed else hub
        self.target = build_target(layout, self._whole)
        self.refused = check_model(builder, layout, hub, self._whole, self.target, ask.second)
        self.model, self.scope = layout.model, bound.scope
        self._filled: dict[str, str] = {}  # hub names of what is filled, by key
        self._gone = {name: builder.rules[entry.name] for name, entry in self._withheld.entries.items()}

    def state(self, wanted: Wanted) -> set[str]:
        """Return the hub names of the optimizer's state that goes along."""
        hub = self._bound.hub
        return state_names(hub, [name for name in wanted if name in hub]) if self._ask.slots else set()

    def complete(self, wanted: Wanted, steps: Sequence[Step], left_over: Sequence[Entry]) -> list[Step]:
        """Return steps for what is missing and is to be filled; complain about what else is missing or left over."""
        builder, layout, fill = self._builder, self._layout, self._ask.fill
        for name, key in self._bound.lost.items():
            if key not in builder.rules:
                builder.complain("missing-tensor", key, name)
        check_optional(builder, layout, self._whole)
        hub = self._bound.hub
        missing = _missing(wanted, hub)
        is_whole = not missing
        if self._ask.is_named:
            left_over = drop_beside(left_over, wanted.keys(), self._bound, layout, builder)
        complain_of_strays(left_over, hub, wanted.keys(), self._bound.scope, layout, builder, is_whole=is_whole)
        implied, missing = fill_biases(missing, self._bound.taken, layout, steps)
        strays = self._taken_strays(wanted)
        missing = complain_of_taken(missing, self._withheld, builder, layout, strays, fill=fill is not None)
        if missing and fill is None:
            missing = check_heads(builder, missing, hub, wanted.keys(), layout)
        keys = {step.target for step in implied}
        filled = [*missing, *(variable for variable in self.target.variables if variable.key in keys)]
        self._filled = {variable.key: variable.name for variable in filled}
        return [*implied, *fill_missing(builder, missing, self._bound, layout, fill, steps)]

    def _taken_strays(self, wanted: Wanted) -> list[str]:
        """Return the names of what an exclusion takes and the target has no place for: a narrower one takes these alone."""
        names = {entry.name: name for name, entry in self._bound.taken.items()}
        taken = [entry for entry in self._builder.entries if entry.name in self._builder.rules]
        hub = {entry.name: names.get(entry.name, entry.name.removeprefix(self._bound.scope)) for entry in taken}
        others = (entry for entry in taken if hub[entry.name] not in wanted)
        return [e.name for e in others if not drop_rule(self._builder, hub[e.name], e, self._layout)]

    def optimizer(self, made: Sequence[Step]) -> State:
        """Return the steps for an optimizer's state; ``made`` are those of the model."""
        if self._ask.slots is None:
            return State([], [])
        written = {step.target: step for step in made}
        return convert_state(
            self._ask.slots, self._layout, self.target, self._bound, self._whole, written, self._gone, self._builder
        )

    def notes(self, filled: Sequence[Step], constants: Sequence[Step]) -> Iterator[Issue]:
        """Yield what to say of the values that are not the source's."""
        yield from self._withheld.notes
        for step in filled:
            name = self._filled[step.target]
            code, there = (
                ("filled-though-there", f"{name}: {self._gone[name]}") if name in self._gone else ("filled", "")
            )
            yield Issue(code, step.target, there, str(step.fill))
        for step in constants:
            yield Issue("optimizer-constant", step.target, got=str(step.fill))

    def last_notes(self, made: Sequence[Step], steps: Sequence[Step]) -> list[Issue]:
        """Return what to say of dtypes."""
        return dtype_notes(made)


class NamesSide:
    """A target of names, which takes what there is; arguments as `ModelSide` has them."""

    model = ""

    def __init__(self, builder: PlanBuilder, bound: Bound, layout: NameRows | Substitutions, ask: Ask) -> None:
        self._builder, self._bound, self._layout, self._ask = builder, bound, layout, ask
        roles = builder.roles if ask.drop_state else {}
        kept = [name for name, entry in bound.hub.items() if roles.get(entry.name) not in STATE]
        self.target = name_target(layout, [*kept, *bound.lost], ask.scope, ask.num_heads)
        self.refused: set[str] = set()
        self.scope = ask.scope

    def state(self, wanted: Wanted) -> set[str]:
        """Return nothing: an optimizer's state has names like all else."""
        return set()

    def complete(self, wanted: Wanted, steps: Sequence[Step], left_over: Sequence[Entry]) -> list[Step]:
        """Return nothing, since nothing is filled; complain about what is lost or has no name, and about missing parts."""
        builder, bound, to = self._builder, self._bound, self._layout.name
        complain_of_lost(builder, bound.lost, to)
        heads = bound.match.family.heads if bound.match else ()
        for item in bound.match.absent if bound.match else ():
            if not any(head.matches(name) for head in heads for name in item.variable.names):
                builder.complain("missing-network", item.key, f"{to!r} needs it for {item.variable.name}")
        for entry in left_over:
            builder.complain("stray-variable", entry.name, repr(to), str(list(entry.shape)), leaving_out(entry))
        for variable in _missing(wanted, bound.hub):
            absent = [name for name in variable.names if name not in bound.hub and name not in bound.lost]
            for name in absent if len(absent) < len(variable.names) else ():
                builder.complain("missing-network", name, f"{to!r} needs it for {variable.key}")
        return []

    def optimizer(self, made: Sequence[Step]) -> State:
        """Return nothing: an optimizer's state has names like all else."""
        return State([], [])

    def notes(self, filled: Sequence[Step], constants: Sequence[Step]) -> Iterator[Issue]:
        """Yield nothing: all values are the source's."""
        yield from ()

    def last_notes(self, made: Sequence[Step], steps: Sequence[Step]) -> list[Issue]:
        """Return what to say of names that stay, and of attention that is not split."""
        if not self._layout.renames:
            return []
        unchanged = [step.source for step in steps if step.source == step.target]
        passing = are(unchanged, "name", "passes", "pass")
        notes = [Issue("names-unchanged", some(unchanged, MOST_NAMED), got=passing)] if unchanged else []
        return notes if self._ask.num_heads else [*notes, Issue("heads-not-given")]


def _missing(wanted: Wanted, hub: Collection[str]) -> list[TargetVariable]:
    return list(dict.fromkeys(variable for name in wanted if name not in hub for variable in wanted[name]))


def drop_rule(builder: PlanBuilder, name: str, entry: Entry, layout: Layout) -> str | None:
    """Return the rule that drops a variable; None if there is none."""
    role = builder.roles.get(entry.name)
    if role in BESIDE:
        return role
    rule = next((drop.rule for drop in (*layout.drops, OBJECTS, TOKENIZER) if drop.matches(name)), None)
    return rule or (unknown_rule(layout.family, name) if layout.family else "") or None
