"""Whether a source can be a model of the target at all: its layers, its heads, its positions, and what no target can hold."""

from __future__ import annotations

from collections.abc import Mapping

from tfckpt.base.issues import export, give
from tfckpt.bundle.values.entry import Entry
from tfckpt.checkpoint.graph.roles import BESIDE
from tfckpt.errors import count_of, some
from tfckpt.families.language.axes import Size
from tfckpt.families.language.facts import NUM_HEADS, NUM_LAYERS, POSITIONS, RELATIVE
from tfckpt.families.language.family import Family, SecondNetwork
from tfckpt.families.language.layouts import ObjectRows
from tfckpt.families.language.rules import numbers_in
from tfckpt.families.language.target import Target, lacking, placed_parts
from tfckpt.planning.builder import PlanBuilder, another_copy, is_copy
from tfckpt.planning.config import Config
from tfckpt.planning.fitting.hints import no_heads

RELATIVE_POSITIONS = "relative-positions"  # the issue that tells all of a source
ABSOLUTE: Mapping[str, object] = {RELATIVE: False, POSITIONS: "absolute"}  # facts of models that Model Garden can hold


def check_model(
    builder: PlanBuilder,
    layout: ObjectRows,
    hub: Mapping[str, Entry],
    whole: Mapping[str, Entry],
    target: Target,
    second: Config | None,
) -> set[str]:
    """Complain about what keeps a source from being the target's model; return the hub names of which all is said.

    Args:
        builder: gets the sizes that neither the model's configuration nor a shape tells.
        layout: the target.
        hub: what stays, by hub name.
        whole: that, and what is needed although an exclusion takes it.
        target: the variables of the target.
        second: the configuration of the family's second network, if a file states one.
    """
    _add_known(builder, target, layout.family, whole, second)
    patterns = target.patterns
    if not any(_needs_heads(axes, layout) for axes in patterns):
        builder.sizes.known.pop(NUM_HEADS, None)
    elif any(lacks_heads(builder, axes) for axes in patterns):
        builder.complain_of(no_heads(builder.config, layout, whole, builder.source))
    _check_positions(builder)
    _check_numbers(builder, layout, whole)
    return _refuse(builder, layout, hub) | _settle_second_names(builder, layout, target, hub)


def _add_known(
    builder: PlanBuilder, target: Target, family: Family, hub: Mapping[str, Entry], second: Config | None
) -> None:
    """Add the sizes that this target uses and that neither the model's configuration nor a shape tells."""
    known_sizes = builder.sizes.known
    used = {family.sizes.get(letter) for pattern in target.patterns for letter in pattern}
    known = {field: Size(value, origin) for field, value, origin in family.defaults}
    if family.second is not None and family.second.prefix + NUM_HEADS in used:
        used.add(family.second.prefix + NUM_LAYERS)
        known |= _second_sizes(family, family.second, hub, known_sizes, second)
    for field, size in known.items():
        if field in used:
            known_sizes.setdefault(field, size)


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


def _needs_heads(axes: str, layout: ObjectRows) -> bool:
    return any(layout.family.sizes.get(letter) == NUM_HEADS for letter in axes)


def lacks_heads(builder: PlanBuilder, axes: str) -> bool:
    """Whether a pattern splits heads, and nothing tells how many."""
    sizes = builder.sizes
    fields = {sizes.fields.get(letter, "") for letter in axes}
    return any(field.endswith(NUM_HEADS) and field not in sizes.known for field in fields)


def _check_numbers(builder: PlanBuilder, layout: ObjectRows, hub: Mapping[str, Entry]) -> None:
    """Check that the layers that the source has are those that there should be."""
    names = {*hub, *layout.family.borrowed(hub)}
    numbers = numbers_in(names)
    for each in {each: None for placed in placed_parts(layout, names) for each in placed.part.each}:
        found = list(numbers(each.source, each.path))
        what = each.source.rstrip("/")
        if found != list(range(len(found))):
            builder.complain("layer-numbers", what, f"0 to {len(found) - 1}", ", ".join(map(str, found)))
        if not each.field:
            continue
        stated = builder.sizes.known.setdefault(each.field, Size(len(found), "variable names"))
        if stated.value != len(found):
            expected = f"{stated.value} in {stated.origin}"
            builder.complain("contradicting-layers", each.field, expected, count_of(found, "layer"))


def _check_positions(builder: PlanBuilder) -> None:
    """Complain about positions that are relative to each other: the variables would find places, and mean nothing there."""
    for field, value in ABSOLUTE.items():
        fact = builder.config.facts.get(field) if builder.config else None
        if fact is not None and fact.value != value:
            remedies = export(builder.source)
            builder.complain(RELATIVE_POSITIONS, field, "", f"{fact.value!r} in {fact.origin}", *remedies)


def _refuse(builder: PlanBuilder, layout: ObjectRows, hub: Mapping[str, Entry]) -> set[str]:
    """Complain about what no target of the family can hold, once a rule; return the hub names that this is about."""
    for field, value in layout.family.only.items():
        stated = builder.sizes.known.get(field)
        if stated is not None and stated.value != value:
            expected = f"{layout.name!r} can only have {value}"
            builder.complain("only-value", field, expected, f"{stated.value} in {stated.origin}")
    refused: set[str] = set()
    for rule in layout.family.refuses:
        names = [n for n in sorted(hub) if rule.matches(n) and not any(drop.matches(n) for drop in layout.drops)]
        names = [name for name in names if builder.roles.get(hub[name].name) not in BESIDE]
        if names:
            builder.complain("refused-variables", some([hub[name].name for name in names], 1), rule.rule)
        refused.update(names)
    return refused


def _settle_second_names(
    builder: PlanBuilder, layout: ObjectRows, target: Target, hub: Mapping[str, Entry]
) -> set[str]:
    """Drop what a target stores under another name, and complain if it has other values; return its hub names."""
    settled: set[str] = set()
    for name, owner, axes, apart in target.second_names:
        own, second = hub.get(owner), hub.get(name) if name != owner else None
        if second is not None:
            settled.add(name)
        if second is not None and (own is None or not is_copy(second, own)):
            got = own.name if own is not None else owner
            builder.complain("not-shared", second.name, repr(layout.name), got, give(to=apart))
        elif own is not None:
            builder.fit(own, axes)
            if second is not None and second.name != own.name:  # both parts may lead to one tensor of an object graph
                builder.drop(second, another_copy(owner))
    return settled


def check_optional(builder: PlanBuilder, layout: ObjectRows, hub: Mapping[str, Entry]) -> None:
    """Check that a model lacks what it may lack only where two of its sizes are equal."""
    names = {*hub, *layout.family.borrowed(hub)}
    sizes = builder.sizes
    for placed in placed_parts(layout, names):
        for prefix, *fields in placed.part.equal:
            stated = [f"{field} = {sizes.known[field].value}" for field in fields if field in sizes.known]
            equal = len({sizes.known[field].value for field in fields if field in sizes.known}) == 1
            is_missing = prefix in lacking(placed.part, names)
            if len(stated) == len(fields) and is_missing != equal:
                what = "missing" if is_missing else "there"
                sizes_of_it = f"{' and '.join(stated)} are {'' if equal else 'not '}equal"
                builder.complain("optional-part", f"{prefix}*", sizes_of_it, what)
