"""Plans for object-based targets: TF1 variables to the places of a model's objects."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from tfckpt._proto.types_pb2 import DT_FLOAT
from tfckpt.bundle.entry import Entry
from tfckpt.checkpoint.object_graph import OBJECT_GRAPH_KEY
from tfckpt.conversion.config import NUM_HEADS, NUM_LAYERS, Config
from tfckpt.conversion.plan import Dropped, Fill, Plan, Step
from tfckpt.conversion.planning import (
    Complaints,
    dtype_notes,
    exclude,
    find_scope,
    known_sizes,
    make_step,
    under_scope,
)
from tfckpt.conversion.target import Target, TargetVariable, build_target, lacking, placed_parts
from tfckpt.errors import PlanError
from tfckpt.layouts.axes import Size, Sizes
from tfckpt.layouts.rules import Family, ObjectLayout, SecondNetwork, numbers_in


def plan_objects(
    source: str,
    entries: Sequence[Entry],
    layout: ObjectLayout,
    *,
    config: Config | None = None,
    num_heads: int | None = None,
    excluded: Sequence[str] = (),
    fill: Fill | None = None,
    second: Config | None = None,
) -> Plan:
    """Decide where each TF1 variable goes in an object-based layout.

    Args:
        source: prefix of the checkpoint, for messages and the report.
        entries: what its index says.
        layout: the target.
        config: the model's sizes, if known.
        num_heads: number of attention heads, if not from ``config``.
        excluded: substrings; a variable whose name has one is left out.
        fill: values for variables that the target needs and the source lacks; None makes each a complaint.
        second: the sizes of the family's second network, if a file states them.
    Raises: PlanError, with every complaint.
    """
    complaints = Complaints()
    kept, dropped = exclude(entries, excluded)
    scope, hub = _hub_names(source, kept, layout, complaints)
    sizes = Sizes(layout.family.sizes, known_sizes(config, num_heads, complaints))
    target = build_target(layout, hub)
    _add_known(target, layout.family, hub, sizes, second)
    if any(_lacks_heads(variable.axes, layout, sizes) for variable in target.variables):
        complaints.add(_no_heads(config))
    _check_numbers(layout, hub, sizes, complaints)
    wanted: dict[str, list[TargetVariable]] = {}
    for variable in target.variables:
        wanted.setdefault(variable.name, []).append(variable)

    steps: list[tuple[Entry, Step]] = []
    for name, entry in hub.items():
        rule = next((drop.rule for drop in layout.drops if drop.matches(name)), None)
        for variable in wanted.get(name, ()):
            if _lacks_heads(variable.axes, layout, sizes):
                continue  # complained about once
            step = make_step(entry, variable.key, variable.axes, sizes, complaints)
            if step is not None:
                steps.append((entry, step))
        if name not in wanted and rule is not None:
            dropped.append(Dropped(entry.name, rule, entry.nbytes))
        elif name not in wanted:
            complaints.add(f"{entry.name} {list(entry.shape)}: a variable that {layout.name!r} neither takes nor drops")
    _check_equal(layout, hub, sizes, complaints)
    missing = [variable for name in wanted if name not in hub for variable in wanted[name]]
    filled = _fill_missing(missing, scope, layout, sizes, fill, complaints)
    complaints.raise_any(source)
    ordered = [step for _, step in sorted(steps, key=lambda item: (item[0].shard, item[0].offset))] + filled
    notes = [f"the scope {scope!r} before the variables' names is left out"] if scope else []
    notes += [f"{step.target}: filled ({step.fill}), since the source has nothing for it" for step in filled]
    notes += dtype_notes(ordered)
    return Plan(source, layout.name, tuple(ordered), tuple(dropped), sizes.known, scope, tuple(notes), target.graph)


def _fill_missing(
    missing: Sequence[TargetVariable],
    scope: str,
    layout: ObjectLayout,
    sizes: Sizes,
    fill: Fill | None,
    complaints: Complaints,
) -> list[Step]:
    """Return steps for variables that the source lacks, or complain about each."""
    steps = []
    for number, variable in enumerate(missing):
        wanted = f"{scope}{variable.name}: missing, and {layout.name!r} needs it for {variable.key}"
        shape = sizes.target_shape(variable.axes)
        if fill is None:
            complaints.add(f"{wanted}; --fill gives it values")
        elif shape is None:
            complaints.add(f"{wanted}; it cannot be filled, since nothing tells its size ({variable.axes})")
        else:
            own = fill if fill.seed is None else replace(fill, seed=fill.seed + number)
            nbytes = 4 * math.prod(shape)
            steps.append(Step("", variable.key, DT_FLOAT, (), shape, nbytes, fill=own))
    return steps


def _check_equal(layout: ObjectLayout, hub: Mapping[str, Entry], sizes: Sizes, complaints: Complaints) -> None:
    """Complain about each projection that the source lacks though it leads from one size to another."""
    names = {*hub, *layout.family.borrowed(hub)}
    for placed in placed_parts(layout, names):
        lacks = lacking(placed.part, names)
        for prefix, *fields in placed.part.equal:
            a, b = (sizes.known.get(field) for field in fields)
            if prefix in lacks and a is not None and b is not None and a.value != b.value:
                differ = f"{fields[0]} = {a.value} ({a.origin}) and {fields[1]} = {b.value} ({b.origin}) differ"
                complaints.add(f"{prefix}*: missing, though {differ}")


def _hub_names(
    source: str, entries: Sequence[Entry], layout: ObjectLayout, complaints: Complaints
) -> tuple[str, Mapping[str, Entry]]:
    """Return the scope before the hub's names, and the entries under those names.

    Raises: PlanError at once if this is no checkpoint of the layout's family: nothing else would make sense.
    """
    names = {entry.name for entry in entries}
    scope = find_scope(names, layout.family.anchor, complaints)
    if scope is None:
        found = "it is object-based already" if OBJECT_GRAPH_KEY in names else f"{len(names)} other variables"
        raise PlanError(
            [f"{source}: no variable {layout.family.anchor!r}, which every source of {layout.name!r} has; {found}"]
        )
    return scope, under_scope(entries, scope, complaints)


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
    sizes = {second.prefix + name: Size(value, config.origin) for name, value in config.sizes.items()} if config else {}
    vector = hub.get(second.hidden)
    if vector is not None and vector.shape:
        rule = f"hidden size // {second.head_size}, at least 1, since no {second.config_file} states it"
        sizes.setdefault(second.prefix + NUM_HEADS, Size(max(1, vector.shape[-1] // second.head_size), rule))
    return sizes


def _lacks_heads(axes: str, layout: ObjectLayout, sizes: Sizes) -> bool:
    fields = {layout.family.sizes.get(letter, "") for letter in axes}
    return any(field.endswith(NUM_HEADS) and field not in sizes.known for field in fields)


def _no_heads(config: Config | None) -> str:
    where = f"{config.origin} does not state it" if config else "no configuration file lies beside the checkpoint"
    return f"{NUM_HEADS} is unknown, and shapes do not tell it: {where}; give --config or --num-heads"


def _check_numbers(layout: ObjectLayout, hub: Mapping[str, Entry], sizes: Sizes, complaints: Complaints) -> None:
    """Check that the layers that the source has are those that there should be."""
    names = {*hub, *layout.family.borrowed(hub)}
    for each in {each: None for placed in placed_parts(layout, names) for each in placed.part.each}:
        found = list(numbers_in(names)(each.source, each.path))
        what = each.source.rstrip("/")
        if found != list(range(len(found))):
            complaints.add(f"{what}: expected 0 to {len(found) - 1}, got {', '.join(map(str, found))}")
        if not each.field:
            continue
        stated = sizes.known.setdefault(each.field, Size(len(found), "variable names"))
        if stated.value != len(found):
            complaints.add(
                f"{each.field}: {stated.value} in {stated.origin}, but the checkpoint has {len(found)} layers"
            )
