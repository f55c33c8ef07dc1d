"""Plans for object-based targets: TF1 variables to the places of a model's objects."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence

from tfckpt._proto.types_pb2 import DT_FLOAT
from tfckpt.base.issues import Issue
from tfckpt.base.options import Fixed
from tfckpt.bundle.values.entry import Entry
from tfckpt.checkpoint.graph.object_graph import ATTRIBUTES, OBJECT_GRAPH_KEY
from tfckpt.checkpoint.graph.roles import BESIDE, find_roles
from tfckpt.errors import PlanError, count_of, some
from tfckpt.families.language.axes import Size, Sizes, parse, target_shape
from tfckpt.families.language.rules import Drop, Family, ObjectLayout, SecondNetwork, numbers_in
from tfckpt.families.language.target import Target, TargetVariable, build_target, lacking, placed_parts
from tfckpt.planning.asked.exclusion import NOTHING, Exclusion, exclude
from tfckpt.planning.asked.fills import FILLED, ZEROS, own_fill, refuse_zeros
from tfckpt.planning.asked.resize import Resizing, resize_steps
from tfckpt.planning.config import NUM_HEADS, NUM_LAYERS, POSITIONS, RELATIVE, Config
from tfckpt.planning.mending.hints import FULLEST, no_heads, what_else
from tfckpt.planning.mending.strays import complain_of_strays
from tfckpt.planning.mending.withheld import complain_of_taken, find_withheld, network_of
from tfckpt.planning.optimizer.slots import SlotOptions, State, convert_state, state_names
from tfckpt.planning.plan import Dropped, Plan
from tfckpt.planning.planning import (
    Complaints,
    average_notes,
    dtype_notes,
    find_scope,
    guess_notes,
    known_sizes,
    make_step,
    under_scope,
)
from tfckpt.planning.steps import Fill, Rearrange, Step, filling

OBJECTS = Drop("object key", (f"*{ATTRIBUTES}*", OBJECT_GRAPH_KEY))  # of a file that has TF1 names beside them

MAX_FILL_RATIO = (
    16  # bytes of a variable that is filled, for each byte of the source: a configuration may claim any size
)
FREE_FILL = 64 << 20

ABSOLUTE: Mapping[str, object] = {RELATIVE: False, POSITIONS: "absolute"}  # facts of models that Model Garden can hold


def plan_objects(
    source: str,
    entries: Sequence[Entry],
    layout: ObjectLayout,
    *,
    config: Config | None = None,
    num_heads: int | None = None,
    excluded: Exclusion = NOTHING,
    fill: Fill | None = None,
    second: Config | None = None,
    resizing: Resizing | None = None,
    slots: SlotOptions | None = None,
) -> Plan:
    """Decide where each TF1 variable goes in an object-based layout.

    Args:
        source: prefix of the checkpoint, for messages and the report.
        entries: what its index says.
        layout: the target.
        config: the model's sizes, if known.
        num_heads: number of attention heads, if not from ``config``.
        excluded: what is left out; what is needed all the same is a complaint.
        fill: values for variables that the target needs and the source lacks; None makes each a complaint.
        second: the sizes of the family's second network, if a file states them.
        resizing: sizes that the target gets instead of the source's.
        slots: the optimizer that the source's state is for; None drops it.
    Raises: PlanError, with every complaint.
    """
    complaints = Complaints()
    kept, dropped = exclude(entries, excluded)
    roles = find_roles([entry for entry in entries if not OBJECTS.matches(entry.name)], None)
    rules = {item.source: item.rule for item in dropped}
    taken = [entry for entry in entries if entry.name in rules]
    scope, hub = _hub_names(source, kept, taken, layout, roles, complaints)
    sizes = Sizes(layout.family.sizes, known_sizes(config, num_heads, complaints))
    withheld = find_withheld(layout, hub, _under(scope, taken, layout), sizes.known)
    whole = {**hub, **withheld.needed}
    target = build_target(layout, whole)
    _add_known(target, layout.family, whole, sizes, second)
    patterns = {variable.axes for variable in target.variables}
    if not any(_needs_heads(axes, layout) for axes in patterns):
        sizes.known.pop(NUM_HEADS, None)
    elif any(_lacks_heads(axes, layout, sizes) for axes in patterns):
        complaints.add_issue(no_heads(config, layout, whole, source))
    _check_positions(config, complaints)
    _check_numbers(layout, whole, sizes, complaints)
    refused = _refuse(layout, hub, roles, sizes, complaints)
    wanted: dict[str, list[TargetVariable]] = {}
    for variable in target.variables:
        wanted.setdefault(variable.name, []).append(variable)

    state = state_names(hub, [name for name in wanted if name in hub]) if slots else set()
    steps = _steps(hub, wanted, layout, sizes, complaints)
    others, left_over = _drop(hub, {*wanted, *state, *refused}, layout, roles, excluded)
    _check_optional(layout, whole, sizes, complaints)
    missing = [variable for name in wanted if name not in hub for variable in wanted[name]]
    complain_of_strays(left_over, hub, wanted, scope, layout, complaints, is_whole=not missing)
    hubs = {entry.name: entry.name.removeprefix(scope) for entry in taken}
    strays = [e.name for e in taken if hubs[e.name] not in wanted and not _rule(hubs[e.name], e, layout, roles)]
    missing = complain_of_taken(missing, withheld, excluded, layout, strays, complaints, fill=fill is not None)
    if missing and fill is None:
        missing = _check_heads(missing, hub, wanted.keys(), layout, complaints)
    filled = _fill_missing(missing, hub, scope, layout, sizes, fill, steps, excluded, complaints)
    gone = {name: rules[entry.name] for name, entry in withheld.entries.items()}
    written = {step.target: step for step in [*(step for _, step in steps), *filled]}
    optimizer = convert_state(slots, layout, target, whole, written, gone, complaints) if slots else State([], [])
    ordered = _in_order(steps + optimizer.steps, entries)
    ordered += [*filled, *optimizer.constants]
    resized: list[Issue] = []
    if resizing is not None:
        ordered, resized = resize_steps(ordered, layout.family.sizes, resizing, complaints)
    complaints.raise_any(source)
    notes = [Issue("scope-left-out", repr(scope))] if scope else []
    notes += withheld.notes
    names = {variable.key: variable.name for variable in missing}
    notes += [_filled_note(step, names[step.target], gone) for step in filled]
    notes += [Issue("optimizer-constant", step.target, got=str(step.fill)) for step in optimizer.constants]
    notes += resized + average_notes([*dropped, *others], roles) + guess_notes(entries, [*dropped, *others], roles)
    notes += dtype_notes(written.values())
    return Plan(
        source,
        layout.name,
        tuple(ordered),
        (*dropped, *others),
        Fixed(sizes.known),
        scope,
        tuple(notes),
        target.graph,
        layout.model,
        next((letter for letter, name in layout.family.sizes.items() if name == NUM_HEADS), ""),
    )


def _filled_note(step: Step, name: str, gone: Mapping[str, str]) -> Issue:
    """Return what to say of a variable that is filled: whether the source has it, and why it is not taken then."""
    code, there = ("filled-though-there", f"{name}: {gone[name]}") if name in gone else ("filled", "")
    return Issue(code, step.target, there, str(step.fill))


def _steps(
    hub: Mapping[str, Entry],
    wanted: Mapping[str, Sequence[TargetVariable]],
    layout: ObjectLayout,
    sizes: Sizes,
    complaints: Complaints,
) -> list[tuple[Entry, Step]]:
    """Return a step for each variable that the target wants and the source has, with the source's entry."""
    steps: list[tuple[Entry, Step]] = []
    patterns = {variable.axes for variables in wanted.values() for variable in variables}
    headless = {axes for axes in patterns if _lacks_heads(axes, layout, sizes)}
    # What has no split axis comes first: it tells sizes that tell where others are split.
    splitting = {name for name, variables in wanted.items() if any(variable.splits for variable in variables)}
    for name, entry in sorted(hub.items(), key=lambda item: item[0] in splitting):
        for variable in wanted.get(name, ()):
            if variable.axes in headless:
                continue  # complained about once
            step = make_step(entry, variable.key, variable.axes, sizes, complaints)
            if step is not None:
                steps.append((entry, step))
    return steps


def _in_order(steps: Sequence[tuple[Entry, Step]], entries: Sequence[Entry]) -> list[Step]:
    """Return the steps in the order of the source's data; what has no bytes, in the order of its index."""
    rank = {entry.name: number for number, entry in enumerate(entries)}
    return [step for entry, step in sorted(steps, key=lambda s: (s[0].shard, s[0].offset, rank[s[0].name]))]


def _drop(
    hub: Mapping[str, Entry],
    settled: Collection[str],
    layout: ObjectLayout,
    roles: Mapping[str, str],
    excluded: Exclusion,
) -> tuple[list[Dropped], list[Entry]]:
    """Return what else is dropped, each by its rule, and the variables that the target neither takes nor drops."""
    dropped: list[Dropped] = []
    strays: list[Entry] = []
    for name, entry in ((name, entry) for name, entry in hub.items() if name not in settled):
        rule = _rule(name, entry, layout, roles) or excluded.unasked.get(entry.name)
        if rule is not None:
            dropped.append(Dropped(entry.name, rule, entry.nbytes))
        else:
            strays.append(entry)
    return dropped, strays


def _rule(name: str, entry: Entry, layout: ObjectLayout, roles: Mapping[str, str]) -> str | None:
    """Return the rule that drops a variable; None if there is none."""
    if _is_beside(entry, roles):
        return roles[entry.name]
    return next((drop.rule for drop in (*layout.drops, OBJECTS) if drop.matches(name)), None)


def _check_heads(
    missing: Sequence[TargetVariable],
    hub: Mapping[str, Entry],
    wanted: Collection[str],
    layout: ObjectLayout,
    complaints: Complaints,
) -> list[TargetVariable]:
    """Complain once about each head that the source lacks altogether; return the other missing variables.

    Another target is advised only where this one takes no head that the source has, and new values where it drops none.
    """
    held = layout.family.heads_among(hub)
    kept = layout.family.heads_among({*wanted} & hub.keys())
    remedies = [*([] if kept else [FULLEST]), *([FILLED] if held == kept else [])]
    others = list(missing)
    for head in (head for head in layout.family.heads if head.rule not in held):
        absent = [variable for variable in others if head.matches(variable.name)]
        if absent:
            what, has = f"{head.rule}, {' '.join(head.patterns)}", ", ".join(held) or "no head at all"
            needed = f"{layout.name!r} needs for {count_of(absent, 'variable')}"
            complaints.add("missing-head", what, needed, has, *remedies)
        others = [variable for variable in others if variable not in absent]
    return others


def _fill_missing(
    missing: Sequence[TargetVariable],
    hub: Mapping[str, Entry],
    scope: str,
    layout: ObjectLayout,
    sizes: Sizes,
    fill: Fill | None,
    steps: Sequence[tuple[Entry, Step]],
    excluded: Exclusion,
    complaints: Complaints,
) -> list[Step]:
    """Return steps for variables that the source lacks, or complain about each."""
    if not missing:
        return []
    filled = []
    if fill == ZEROS:
        refuse_zeros(missing, hub, scope, layout, complaints)
    most = MAX_FILL_RATIO * sum(entry.nbytes for entry in hub.values()) + FREE_FILL
    network = network_of(layout, [*hub, *(variable.name for variable in missing)])
    beside = _letters_by_object(step for _, step in steps)
    for number, variable in enumerate(missing):
        subject, needed = scope + variable.name, f"{layout.name!r} needs it for {variable.key}"
        letters = _letters(variable, sizes, beside)
        if variable.name in network and not excluded.is_named(subject):
            complaints.add("missing-network", subject, needed)
        elif fill is None:
            complaints.add("missing-variable", subject, needed, "", FILLED)
        elif letters is None:
            complaints.add("size-untold", subject, needed, variable.axes)
        elif 4 * math.prod(shape := target_shape(variable.axes, letters)) > most:
            complaints.add("too-large-to-fill", subject, needed, str(list(shape)))
        else:
            named = Rearrange(variable.axes, Fixed(letters))
            filled.append(filling(variable.key, DT_FLOAT, shape, own_fill(variable, fill, number), (named,)))
    return filled


def _letters_by_object(steps: Iterable[Step]) -> dict[str, Mapping[str, int]]:
    """Return what letters stand for in each object: a bias has the size that its kernel shows."""
    found: dict[str, dict[str, int]] = {}
    for step in steps:
        found.setdefault(_object_of(step.target), {}).update(step.letters)
    return dict(found)


def _object_of(key: str) -> str:
    return key.partition(ATTRIBUTES)[0].rpartition("/")[0]


def _letters(variable: TargetVariable, sizes: Sizes, beside: Mapping[str, Mapping[str, int]]) -> dict[str, int] | None:
    """Return what the letters of a variable's pattern stand for; None if nothing tells one of them."""
    known = {letter: sizes.known[field].value for letter, field in sizes.fields.items() if field in sizes.known}
    known = {**beside.get(_object_of(variable.key), {}), **known}
    used = set(sum(parse(variable.axes)[1], ()))
    return {letter: known[letter] for letter in sorted(used)} if used <= known.keys() else None


def _hub_names(
    source: str,
    entries: Sequence[Entry],
    taken: Sequence[Entry],
    layout: ObjectLayout,
    roles: Mapping[str, str],
    complaints: Complaints,
) -> tuple[str, Mapping[str, Entry]]:
    """Return the scope before the hub's names, which what is ``taken`` may tell too, and the entries under those names.

    Raises: PlanError at once if this is no checkpoint of the layout's family: nothing else would make sense.
    """
    models = [{entry.name for entry in group if not _is_beside(entry, roles)} for group in (entries, taken)]
    scopes = (find_scope(names, layout.family.anchor, complaints) for names in models)
    scope = next((scope for scope in scopes if scope is not None), None)
    if scope is None:
        names = {entry.name for entry in entries}
        raise PlanError([what_else(names, source, layout)])
    return scope, under_scope(entries, scope, complaints)


def _under(scope: str, taken: Sequence[Entry], layout: ObjectLayout) -> Mapping[str, Entry]:
    """Return by hub name the entries of the model with this scope; its heads may stand without."""
    own = [e for e in taken if e.name.startswith(scope) or any(head.matches(e.name) for head in layout.family.heads)]
    return {entry.name.removeprefix(scope): entry for entry in own}


def _add_known(target: Target, family: Family, hub: Mapping[str, Entry], sizes: Sizes, second: Config | None) -> None:
    """Add the sizes that this target uses and that neither the model's configuration nor a shape tells."""
    used = {family.sizes.get(letter) for variable in target.variables for letter in variable.axes}
    known = {field: Size(value, origin) for field, value, origin in family.defaults}
    if family.second is not None and family.second.prefix + NUM_HEADS in used:
        used.add(family.second.prefix + NUM_LAYERS)
        known |= _second_sizes(family, family.second, hub, sizes.known, second)
    for field, size in known.items():
        if field in used:
            sizes.known.setdefault(field, size)


def _second_sizes(
    family: Family, second: SecondNetwork, hub: Mapping[str, Entry], known: Mapping[str, Size], config: Config | None
) -> dict[str, Size]:
    """Return what is known of a family's second network before its shapes are looked at: its head count at least."""
    if second.hidden in family.borrowed(hub):  # both are one, whatever a file says
        return {second.prefix + NUM_HEADS: known[NUM_HEADS]} if NUM_HEADS in known else {}
    sizes = (
        {second.prefix + name: Size(value, config.origin, config.path) for name, value in config.sizes.items()}
        if config
        else {}
    )
    vector = hub.get(second.hidden)
    if vector is not None and vector.shape:
        rule = f"hidden size // {second.head_size}, at least 1, since no {second.config_file} states it"
        sizes.setdefault(second.prefix + NUM_HEADS, Size(max(1, vector.shape[-1] // second.head_size), rule))
    return sizes


def _needs_heads(axes: str, layout: ObjectLayout) -> bool:
    return any(layout.family.sizes.get(letter) == NUM_HEADS for letter in axes)


def _lacks_heads(axes: str, layout: ObjectLayout, sizes: Sizes) -> bool:
    fields = {layout.family.sizes.get(letter, "") for letter in axes}
    return any(field.endswith(NUM_HEADS) and field not in sizes.known for field in fields)


def _check_numbers(layout: ObjectLayout, hub: Mapping[str, Entry], sizes: Sizes, complaints: Complaints) -> None:
    """Check that the layers that the source has are those that there should be."""
    names = {*hub, *layout.family.borrowed(hub)}
    numbers = numbers_in(names)
    for each in {each: None for placed in placed_parts(layout, names) for each in placed.part.each}:
        found = list(numbers(each.source, each.path))
        what = each.source.rstrip("/")
        if found != list(range(len(found))):
            complaints.add("layer-numbers", what, f"0 to {len(found) - 1}", ", ".join(map(str, found)))
        if not each.field:
            continue
        stated = sizes.known.setdefault(each.field, Size(len(found), "variable names"))
        if stated.value != len(found):
            expected = f"{stated.value} in {stated.origin}"
            complaints.add("contradicting-layers", each.field, expected, count_of(found, "layer"))


def _check_positions(config: Config | None, complaints: Complaints) -> None:
    """Complain about positions that are relative to each other: the variables would find places, and mean nothing there."""
    for field, value in ABSOLUTE.items():
        fact = config.facts.get(field) if config else None
        if fact is not None and fact.value != value:
            complaints.add("relative-positions", field, "", f"{fact.value!r} in {fact.origin}")


def _is_beside(entry: Entry, roles: Mapping[str, str]) -> bool:
    """Whether a tensor is what training keeps beside the model."""
    return roles.get(entry.name) in BESIDE


def _refuse(
    layout: ObjectLayout, hub: Mapping[str, Entry], roles: Mapping[str, str], sizes: Sizes, complaints: Complaints
) -> set[str]:
    """Complain about what no target of the family can hold, once a rule; return the hub names that this is about."""
    for field, value in layout.family.only.items():
        stated = sizes.known.get(field)
        if stated is not None and stated.value != value:
            expected = f"{layout.name!r} can only have {value}"
            complaints.add("only-value", field, expected, f"{stated.value} in {stated.origin}")
    refused: set[str] = set()
    for rule in layout.family.refuses:
        names = [n for n in sorted(hub) if rule.matches(n) and not any(drop.matches(n) for drop in layout.drops)]
        names = [name for name in names if not _is_beside(hub[name], roles)]
        if names:
            complaints.add("refused-variables", some([hub[name].name for name in names], 1), rule.rule)
        refused.update(names)
    return refused


def _check_optional(layout: ObjectLayout, hub: Mapping[str, Entry], sizes: Sizes, complaints: Complaints) -> None:
    """Check that a model lacks what it may lack only where two of its sizes are equal."""
    names = {*hub, *layout.family.borrowed(hub)}
    for placed in placed_parts(layout, names):
        for prefix, *fields in placed.part.equal:
            stated = [f"{field} = {sizes.known[field].value}" for field in fields if field in sizes.known]
            equal = len({sizes.known[field].value for field in fields if field in sizes.known}) == 1
            is_missing = prefix in lacking(placed.part, names)
            if len(stated) == len(fields) and is_missing != equal:
                what = "missing" if is_missing else "there"
                sizes_of_it = f"{' and '.join(stated)} are {'' if equal else 'not '}equal"
                complaints.add("optional-part", f"{prefix}*", sizes_of_it, what)
