"""The plan of a conversion: from whatever layout the source has, through the hub's names, to the target's.

Strategy: what the source holds is bound to hub names; the target says which hub names it wants, where and in which form. Each
variable becomes a step, is dropped by a rule, or is a complaint. No part of this asks which way a conversion goes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from tfckpt.base.issues import Issue
from tfckpt.base.options import Fixed
from tfckpt.bundle.values.entry import Entry, encode_name
from tfckpt.families.language.axes import ARROW, parse
from tfckpt.families.language.facts import NUM_HEADS
from tfckpt.families.language.layouts import Layout, ObjectRows
from tfckpt.families.language.target import Target, TargetVariable
from tfckpt.planning.asked.resize import resize_steps
from tfckpt.planning.bind import drop_rest
from tfckpt.planning.bound import Bound
from tfckpt.planning.builder import PlanBuilder, another_copy, average_notes, guess_notes
from tfckpt.planning.fitting.checks import lacks_heads
from tfckpt.planning.mending.other_models import may_be
from tfckpt.planning.plan import Plan
from tfckpt.planning.sides import Ask, ModelSide, NamesSide, Wanted, drop_rule
from tfckpt.planning.steps import Input, Op, Rearrange, Step, formed


def plan_target(builder: PlanBuilder, bound: Bound, layout: Layout, ask: Ask) -> Plan:
    """Decide what becomes of each tensor of a source.

    Args:
        builder: what was read.
        bound: what the source holds, by hub names.
        layout: the target.
        ask: what else is asked for.
    Raises: PlanError, with every complaint.
    """
    side: ModelSide | NamesSide
    if isinstance(layout, ObjectRows):
        side = ModelSide(builder, bound, layout, ask)
    else:
        side = NamesSide(builder, bound, layout, ask)
    target = side.target
    wanted = _wanted(builder, bound, target)
    pairs = _steps(builder, bound, wanted, target)
    left_over = _drop(builder, bound, {*wanted, *side.refused, *side.state(wanted)}, layout)
    made = [step for _, step in pairs]
    filled = side.complete(wanted, made, left_over)
    made += filled
    optimizer = side.optimizer(made)
    steps = [*_in_order(builder, target, [*pairs, *optimizer.steps]), *filled, *optimizer.constants]
    drop_rest(builder, bound, (step.target for step in steps))
    resized: list[Issue] = []
    if ask.resizing is not None:
        steps, resized = resize_steps(steps, builder.sizes.fields, ask.resizing, builder)
    builder.raise_any()
    notes = [
        *_source_notes(bound, target),
        *builder.notes,
        *side.notes(filled, optimizer.constants),
        *resized,
        *average_notes(builder),
        *([] if bound.match is not None else guess_notes(builder)),
        *side.last_notes(made, steps),
    ]
    heads = next((letter for letter, name in builder.sizes.fields.items() if name == NUM_HEADS), "")
    return Plan(
        builder.source,
        layout.name,
        tuple(steps),
        tuple(builder.dropped),
        Fixed(builder.sizes.known),
        side.scope,
        tuple(notes),
        target.graph,
        side.model,
        heads if target.graph is not None else "",
    )


def _wanted(builder: PlanBuilder, bound: Bound, target: Target) -> Wanted:
    """Return the target's variables by hub name; no two may have one key."""
    wanted: dict[str, list[TargetVariable]] = {}
    keys: dict[str, str] = {}
    for variable in target.variables:
        for name in variable.names:
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
    patterns = target.patterns
    is_model = target.graph is not None  # the only kind that cannot leave attention as it is
    headless = {axes for axes in patterns if is_model and lacks_heads(builder, axes)}
    # What has no split axis comes first: it tells sizes that tell where others are split.
    splits = {axes for axes in patterns if any(len(axis) > 1 for axis in parse(axes)[0])}
    splitting = {name for name, variables in wanted.items() if not splits.isdisjoint(v.axes for v in variables)}
    for name, entry in sorted(hub.items(), key=lambda item: item[0] in splitting) if splitting else hub.items():
        if name in bound.unfit:
            continue
        made: list[Step] = []
        own = iter((None, *bound.copies.get(name, ())))  # of the source's own layout, in its order
        for variable in wanted.get(name, ()):
            if variable.axes in headless or variable.name != name or not _is_there(variable, hub):
                continue  # complained about once, or made with the first of its names, or missing
            step = _step(builder, bound, variable, next(own, None))
            if step is not None:
                made.append(step)
        if len(made) > 1 and not is_model:
            made = _stored_once(made)
        steps += [(entry, step) for step in made]
    return steps


def _is_there(variable: TargetVariable, hub: Mapping[str, Entry]) -> bool:
    """Whether the source has all that a variable is made of, if it has the first."""
    return not variable.more or all(name in hub for name in variable.more)


def _stored_once(steps: Sequence[Step]) -> list[Step]:
    """Return the steps of one hub name of which those that would store the same bytes share them with the first."""
    first, *others = steps
    is_same = [(first.inputs, first.axis) == (step.inputs, step.axis) for step in others]
    return [
        first,
        *(s._replace(same_as=first.target) if same else s for s, same in zip(others, is_same, strict=True)),
    ]


def _step(builder: PlanBuilder, bound: Bound, variable: TargetVariable, own: Input | None = None) -> Step | None:
    """Return the step of one variable, from a tensor of its ``own`` if it has one; None if a shape does not fit."""
    if not variable.more and not bound.inputs and own is None and variable.axes is not None:  # of most, quickly
        entry = bound.hub[variable.name]
        form = builder.form(entry, variable.axes)
        return None if form is None else formed(entry, variable.key, *form)
    inputs: list[Input] = []
    shapes: list[tuple[int, ...]] = []
    for name in variable.names:
        entry, item = bound.hub[name], own or bound.input_of(name)
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
    stored: dict[tuple[object, ...], str] | None = None  # most have no head that could be stored twice
    for name, entry in bound.hub.items():
        if name in settled:
            continue
        rule = drop_rule(builder, name, entry, layout) or builder.excluded.unasked.get(entry.name)
        if rule is None and layout.family is not None and layout.family.is_in_heads(name):
            stored = stored or {_stored(e): n for n, e in bound.hub.items() if n in settled and e.crc32c}
            rule = another_copy(stored[_stored(entry)]) if _stored(entry) in stored else None
        if rule is not None:
            builder.drop(entry, rule)
        else:
            strays.append(entry)
    return strays


def _stored(entry: Entry) -> tuple[object, ...]:
    """Return what is the same of two tensors that store the same values."""
    return entry.data_type, entry.shape, entry.nbytes, entry.crc32c


def _source_notes(bound: Bound, target: Target) -> list[Issue]:
    """Return what to say of the model that was found in the source, and of the scope before its names."""
    if bound.match is not None:
        layout, family, path, *_ = bound.match
        if not isinstance(layout, ObjectRows):
            return [Issue("found-names", repr(layout.name), family.name)]
        found = Issue("found-model", repr(layout.name), family.name, path or "the root")
        return [found, *may_be(bound.match.alike)]
    return [Issue("scope-left-out", repr(bound.scope))] if bound.scope and target.graph is not None else []
