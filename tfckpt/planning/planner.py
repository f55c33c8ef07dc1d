"""The plan of a conversion: from whatever layout the source has, through the hub's names, to the target's.

Strategy: what the source holds is bound to hub names; the target says which hub names it wants, where and in which form. Each
variable becomes a step, is dropped by a rule, or is a complaint. No part of this asks which way a conversion goes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from tfckpt.base.issues import Issue
from tfckpt.base.options import Fixed
from tfckpt.bundle.values.entry import Entry, encode_name
from tfckpt.checkpoint.graph.object_graph import ATTRIBUTES, OBJECT_GRAPH_KEY
from tfckpt.checkpoint.graph.roles import BESIDE, OPTIMIZER, TRAINING_STATE, TRAINING_STEP
from tfckpt.errors import are, some
from tfckpt.families.language.axes import ARROW, parse
from tfckpt.families.language.facts import NUM_HEADS
from tfckpt.families.language.family import Drop
from tfckpt.families.language.layouts import Layout, ObjectRows, Substitutions
from tfckpt.families.language.target import Target, TargetVariable, build_target, name_target
from tfckpt.planning.asked.resize import Resizing, resize_steps
from tfckpt.planning.bind import Bound, drop_rest, unknown_rule
from tfckpt.planning.builder import PlanBuilder, average_notes, dtype_notes, guess_notes
from tfckpt.planning.checks import check_model, check_optional, lacks_heads
from tfckpt.planning.config import Config
from tfckpt.planning.exclusion import leaving_out
from tfckpt.planning.mending.strays import complain_of_strays
from tfckpt.planning.mending.withheld import NOT_WITHHELD, Withheld, complain_of_lost, complain_of_taken, find_withheld
from tfckpt.planning.missing import check_heads, fill_missing
from tfckpt.planning.optimizer.slots import SlotOptions, State, convert_state, state_names
from tfckpt.planning.plan import Plan
from tfckpt.planning.steps import Fill, Input, Op, Rearrange, Step, formed

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
        drop_state: whether a target that only renames leaves out what training keeps.
    """

    num_heads: int | None = None
    fill: Fill | None = None
    second: Config | None = None
    resizing: Resizing | None = None
    slots: SlotOptions | None = None
    scope: str = ""
    drop_state: bool = False


def plan_target(builder: PlanBuilder, bound: Bound, layout: Layout, ask: Ask) -> Plan:
    """Decide what becomes of each tensor of a source.

    Args:
        builder: what was read.
        bound: what the source holds, by hub names.
        layout: the target.
        ask: what else is asked for.
    Raises: PlanError, with every complaint.
    """
    hub = bound.hub
    withheld, whole, refused = NOT_WITHHELD, hub, set[str]()
    if isinstance(layout, ObjectRows):
        withheld = find_withheld(layout, hub, bound.taken, builder.sizes.known)
        whole = {**hub, **withheld.needed} if withheld.needed else hub
        target = build_target(layout, whole)
        refused = check_model(builder, layout, hub, whole, target, ask.second)
    else:
        target = name_target(layout, _names(builder, bound, ask), ask.scope, ask.num_heads)
    wanted = _wanted(builder, bound, target)
    steps = _steps(builder, bound, wanted, target)
    settled = {*wanted, *refused, *(state_names(hub, [name for name in wanted if name in hub]) if ask.slots else ())}
    left_over = _drop(builder, bound, settled, layout)
    if isinstance(layout, ObjectRows):
        check_optional(builder, layout, whole)
    missing = _missing(builder, bound, layout, wanted, withheld, left_over, ask)
    filled: list[Step] = []
    if isinstance(layout, ObjectRows):
        filled = fill_missing(builder, missing, bound, layout, ask.fill, [step for _, step in steps])
    gone = {name: builder.rules[entry.name] for name, entry in withheld.entries.items()}
    made = [*(step for _, step in steps), *filled]
    optimizer = State([], [])
    if ask.slots and isinstance(layout, ObjectRows):
        written = {step.target: step for step in made}
        optimizer = convert_state(ask.slots, layout, target, whole, written, gone, builder)
    ordered = [*_in_order(builder, target, [*steps, *optimizer.steps]), *filled, *optimizer.constants]
    drop_rest(builder, bound, (step.target for step in ordered))
    resized: list[Issue] = []
    if ask.resizing is not None:
        ordered, resized = resize_steps(ordered, builder.sizes.fields, ask.resizing, builder)
    builder.raise_any()
    names = {variable.key: variable.name for variable in missing}
    notes = [
        *_source_notes(bound, target),
        *builder.notes,
        *withheld.notes,
        *(_filled_note(step, names[step.target], gone) for step in filled),
        *(Issue("optimizer-constant", step.target, got=str(step.fill)) for step in optimizer.constants),
        *resized,
        *average_notes(builder),
        *_target_notes(builder, bound, layout, ordered, made, ask),
    ]
    return _plan(builder, bound, layout, target, ordered, notes, ask)


def _plan(
    builder: PlanBuilder,
    bound: Bound,
    layout: Layout,
    target: Target,
    steps: Sequence[Step],
    notes: Sequence[Issue],
    ask: Ask,
) -> Plan:
    is_model = target.graph is not None
    heads = next((letter for letter, name in builder.sizes.fields.items() if name == NUM_HEADS), "")
    return Plan(
        builder.source,
        layout.name,
        tuple(steps),
        tuple(builder.dropped),
        Fixed(builder.sizes.known),
        bound.scope if is_model else ask.scope,
        tuple(notes),
        target.graph,
        layout.model if isinstance(layout, ObjectRows) else "",
        heads if is_model else "",
    )


def _names(builder: PlanBuilder, bound: Bound, ask: Ask) -> list[str]:
    """Return the hub names that a name-based target gives names: all there are, and those that are lost."""
    roles = builder.roles if ask.drop_state else {}
    kept = [name for name, entry in bound.hub.items() if roles.get(entry.name) not in STATE]
    return [*kept, *bound.lost]


def _wanted(builder: PlanBuilder, bound: Bound, target: Target) -> Wanted:
    """Return the target's variables by hub name; no two may have one key."""
    wanted: dict[str, list[TargetVariable]] = {}
    keys: dict[str, str] = {}
    for variable in target.variables:
        for name in variable.names if variable.more else (variable.name,):
            wanted.setdefault(name, []).append(variable)
        first = keys.setdefault(variable.key, variable.name)
        if first != variable.name:
            sources = (bound.hub[name].name if name in bound.hub else name for name in (first, variable.name))
            builder.complain("same-target", next(sources), variable.key, next(sources))
    return wanted


def _steps(builder: PlanBuilder, bound: Bound, wanted: Wanted, target: Target) -> list[tuple[Entry, Step]]:
    """Return a step for each variable that the target wants and the source has, with the first entry that it is made of."""
    hub = bound.hub
    steps: list[tuple[Entry, Step]] = []
    patterns = {variable.axes for variable in target.variables if variable.axes is not None}
    is_model = target.graph is not None  # the only kind that cannot leave attention as it is
    headless = {axes for axes in patterns if is_model and lacks_heads(builder, axes)}
    # What has no split axis comes first: it tells sizes that tell where others are split.
    splits = {axes for axes in patterns if any(len(axis) > 1 for axis in parse(axes)[0])}
    splitting = {name for name, variables in wanted.items() if not splits.isdisjoint(v.axes for v in variables)}
    for name, entry in sorted(hub.items(), key=lambda item: item[0] in splitting) if splitting else hub.items():
        if name in bound.unfit:
            continue
        made: list[Step] = []
        for variable in wanted.get(name, ()):
            if variable.axes in headless or variable.name != name or not _is_there(variable, hub):
                continue  # complained about once, or made with the first of its names, or missing
            step = _step(builder, bound, variable)
            if step is not None:
                made.append(step)
        if len(made) > 1:
            made = _apart(made, [entry.name, *bound.copies.get(name, ())]) if bound.copies else made
            made = made if is_model else _stored_once(made)
        steps += [(entry, step) for step in made]
    return steps


def _is_there(variable: TargetVariable, hub: Mapping[str, Entry]) -> bool:
    """Whether the source has all that a variable is made of, if it has the first."""
    return not variable.more or all(name in hub for name in variable.more)


def _apart(steps: Sequence[Step], sources: Sequence[str]) -> list[Step]:
    """Return the steps of one hub name with a source of their own each, in the order of the layout that both sides have."""
    names = [*sources, *(sources[0] for _ in steps[len(sources) :])]
    return [
        step._replace(inputs=(step.inputs[0]._replace(source=name),)) for step, name in zip(steps, names, strict=False)
    ]


def _stored_once(steps: Sequence[Step]) -> list[Step]:
    """Return the steps of one hub name of which those that would store the same bytes share them with the first."""
    first, *others = steps
    is_same = [(first.inputs, first.axis) == (step.inputs, step.axis) for step in others]
    return [
        first,
        *(s._replace(same_as=first.target) if same else s for s, same in zip(others, is_same, strict=True)),
    ]


def _step(builder: PlanBuilder, bound: Bound, variable: TargetVariable) -> Step | None:
    """Return the step of one variable; None if a shape does not fit."""
    if not variable.more and not bound.inputs and variable.axes is not None:  # of most, quickly
        entry = bound.hub[variable.name]
        form = builder.form(entry, variable.axes)
        return None if form is None else formed(entry, variable.key, *form)
    inputs: list[Input] = []
    shapes: list[tuple[int, ...]] = []
    for name in variable.names:
        entry, item = bound.hub[name], bound.input_of(name)
        shape = entry.shape
        if variable.axes is not None:
            form = builder.form(entry, variable.axes)
            if form is None:
                return None
            (last,), shape = form
            item = item._replace(ops=composed(item.ops, last))
        inputs.append(item)
        shapes.append(shape)
    nbytes = sum(bound.hub[name].nbytes for name in variable.names)
    if len(shapes) > 1:
        shape = (*shape[: variable.axis], sum(s[variable.axis] for s in shapes), *shape[variable.axis + 1 :])
    return Step(variable.key, tuple(inputs), shape, nbytes, variable.axis)


def composed(ops: tuple[Op, ...], last: Rearrange) -> tuple[Op, ...]:
    """Return operations with one more; of two that lead from one form to another through the hub's, one is made.

    >>> there = Rearrange("h a d -> h (a d)", {"a": 2})
    >>> [op.pattern for op in composed((there,), Rearrange("h (a d) -> a d h", {"a": 2}))]
    ['h a d -> a d h']
    >>> [op.pattern for op in composed((there,), Rearrange("h (a d) -> h a d", {"a": 2}))]
    ['h a d']
    """
    if not ops or not isinstance(before := ops[-1], Rearrange):
        return (*ops, last)
    (source, middle), (hub, target) = parse(before.pattern), parse(last.pattern)
    if middle != hub:
        return (*ops, last)
    left = before.pattern.partition(ARROW)[0].strip()
    right = last.pattern.rpartition(ARROW)[2].strip()
    pattern = left if source == target else f"{left} {ARROW} {right}"
    return (*ops[:-1], Rearrange(pattern, Fixed({**before.letters, **last.letters})))


def _in_order(builder: PlanBuilder, target: Target, steps: Sequence[tuple[Entry, Step]]) -> list[Step]:
    """Return the steps as they are to be written: names as ``tf.compat.v1.train.Saver`` writes them, sorted.

    Objects come in the order of the source's data; what has no bytes, in the order of its index.
    """
    if target.graph is None:
        ordered = sorted((step for _, step in steps), key=lambda step: encode_name(step.target))
        return sorted(ordered, key=lambda step: step.same_as is not None)  # an alias follows what it is one of
    places = {entry.name: (entry.shard, entry.offset, number) for number, entry in enumerate(builder.entries)}
    return [step for _, step in sorted(steps, key=lambda pair: places[pair[0].name])]


def _drop(builder: PlanBuilder, bound: Bound, settled: Collection[str], layout: Layout) -> list[Entry]:
    """Drop what has a rule; return the variables that the target neither takes nor drops."""
    strays: list[Entry] = []
    for name, entry in bound.hub.items():
        if name in settled:
            continue
        rule = _rule(builder, name, entry, layout) or builder.excluded.unasked.get(entry.name)
        if rule is not None:
            builder.drop(entry, rule)
        else:
            strays.append(entry)
    return strays


def _rule(builder: PlanBuilder, name: str, entry: Entry, layout: Layout) -> str | None:
    """Return the rule that drops a variable; None if there is none."""
    role = builder.roles.get(entry.name)
    if role in BESIDE:
        return role
    rule = next((drop.rule for drop in (*layout.drops, OBJECTS) if drop.matches(name)), None)
    return rule or (unknown_rule(layout.family, name) if layout.family else "") or None


def _missing(
    builder: PlanBuilder,
    bound: Bound,
    layout: Layout,
    wanted: Wanted,
    withheld: Withheld,
    left_over: Sequence[Entry],
    ask: Ask,
) -> list[TargetVariable]:
    """Return the variables that are to be filled, or complained about one by one; complain of all others that are missing."""
    hub = bound.hub
    missing = list(dict.fromkeys(v for name in wanted if name not in hub for v in wanted[name]))
    if not isinstance(layout, ObjectRows):
        complain_of_lost(builder, bound.lost, layout.name)
        _complain_of_names(builder, bound, layout, missing, left_over)
        return []
    complain_of_strays(left_over, hub, wanted.keys(), bound.scope, layout, builder, is_whole=not missing)
    hubs = {entry.name: name for name, entry in bound.taken.items()}
    names = [entry.name for entry in builder.entries if entry.name in builder.rules]
    strays = [
        name
        for name in names
        if (own := hubs.get(name, name.removeprefix(bound.scope))) not in wanted
        and not _rule(builder, own, bound.taken.get(own) or _entry(builder, name), layout)
    ]
    missing = complain_of_taken(missing, withheld, builder, layout, strays, fill=ask.fill is not None)
    if missing and ask.fill is None:
        missing = check_heads(builder, missing, hub, wanted.keys(), layout)
    return missing


def _complain_of_names(
    builder: PlanBuilder,
    bound: Bound,
    layout: Layout,
    missing: Sequence[TargetVariable],
    left_over: Sequence[Entry],
) -> None:
    """Complain about what a table of names has no name for, and about what it joins of which a part is missing."""
    for entry in left_over:
        builder.complain("stray-variable", entry.name, repr(layout.name), str(list(entry.shape)), leaving_out(entry))
    for variable in missing:
        absent = [name for name in variable.names if name not in bound.hub and name not in bound.lost]
        if len(absent) < len(variable.names):
            needed = f"{layout.name!r} needs it for {variable.key}"
            for name in absent:
                builder.complain("missing-variable", name, needed)


def _entry(builder: PlanBuilder, name: str) -> Entry:
    return next(entry for entry in builder.entries if entry.name == name)


def _filled_note(step: Step, name: str, gone: Mapping[str, str]) -> Issue:
    """Return what to say of a variable that is filled: whether the source has it, and why it is not taken then."""
    code, there = ("filled-though-there", f"{name}: {gone[name]}") if name in gone else ("filled", "")
    return Issue(code, step.target, there, str(step.fill))


def _source_notes(bound: Bound, target: Target) -> list[Issue]:
    """Return what to say of the model that was found in the source, and of the scope before its names."""
    if bound.match is not None:
        layout, family, path, _ = bound.match
        if not isinstance(layout, ObjectRows):
            return [Issue("found-names", repr(layout.name), family.name)]
        return [Issue("found-model", repr(layout.name), family.name, path or "the root")]
    return [Issue("scope-left-out", repr(bound.scope))] if bound.scope and target.graph is not None else []


def _target_notes(
    builder: PlanBuilder, bound: Bound, layout: Layout, steps: Sequence[Step], model: Sequence[Step], ask: Ask
) -> list[Issue]:
    """Return what to say of the values and the names that the target gets."""
    guessed = [] if bound.match is not None else guess_notes(builder)
    if isinstance(layout, ObjectRows):
        return [*guessed, *dtype_notes(model)]
    if not isinstance(layout, Substitutions):
        return guessed
    unchanged = [step.source for step in steps if step.source == step.target]
    passing = are(unchanged, "name", "passes", "pass")
    notes = [Issue("names-unchanged", some(unchanged, MOST_NAMED), got=passing)] if unchanged else []
    return [*notes, *guessed, *([] if ask.num_heads else [Issue("heads-not-given")])]
