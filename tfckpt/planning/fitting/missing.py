"""Variables that the target needs and the source lacks: filled if that was asked for, or complaints."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence

from tfckpt._proto.types_pb2 import DT_FLOAT
from tfckpt.base.options import Fixed
from tfckpt.bundle.values.entry import Entry
from tfckpt.checkpoint.graph.object_graph import ATTRIBUTES
from tfckpt.errors import count_of
from tfckpt.families.language.axes import Sizes, parse, target_shape
from tfckpt.families.language.layouts import ObjectRows
from tfckpt.families.language.target import TargetVariable
from tfckpt.planning.asked.fills import FILLED, ZEROS, own_fill, refuse_zeros
from tfckpt.planning.bound import Bound
from tfckpt.planning.builder import PlanBuilder
from tfckpt.planning.fitting.hints import FULLEST
from tfckpt.planning.fitting.withheld import network_of
from tfckpt.planning.steps import Fill, Rearrange, Step, filling

# Bytes of a variable that is filled, for each byte of the source, and in any case: a configuration may claim any size.
MAX_FILL_RATIO = 16
FREE_FILL = 64 << 20
BIAS, NO_BIAS = "bias", Fill(0.0)


def check_heads(
    builder: PlanBuilder,
    missing: Sequence[TargetVariable],
    hub: Mapping[str, Entry],
    wanted: Collection[str],
    layout: ObjectRows,
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
            builder.complain("missing-head", what, needed, has, *remedies)
        others = [variable for variable in others if variable not in absent]
    return others


def fill_biases(
    missing: Sequence[TargetVariable], taken: Collection[str], layout: ObjectRows, steps: Sequence[Step]
) -> tuple[list[Step], list[TargetVariable]]:
    """Return zeros for the biases of heads whose weights are there, and the other missing variables.

    A head without a bias computes what one with zeros does. What an exclusion has taken is another matter.
    """
    if not missing:
        return [], []
    beside = _letters_by_object(steps)
    filled, others = [], []
    for variable in missing:
        letters = beside.get(_object_of(variable.key), {})
        used = {letter for axis in parse(variable.axes or "")[1] for letter in axis}
        is_of_head = any(head.matches(variable.name) for head in layout.family.heads) and variable.name not in taken
        if is_of_head and len(used) == 1 and used <= letters.keys() and variable.attribute == BIAS:
            named = Rearrange(variable.axes or "", Fixed({letter: letters[letter] for letter in used}))
            shape = target_shape(named.pattern, named.letters)
            filled.append(filling(variable.key, DT_FLOAT, shape, NO_BIAS, (named,)))
        else:
            others.append(variable)
    return filled, others


def fill_missing(
    builder: PlanBuilder,
    missing: Sequence[TargetVariable],
    bound: Bound,
    layout: ObjectRows,
    fill: Fill | None,
    steps: Sequence[Step],
) -> list[Step]:
    """Return steps for variables that the source lacks, or complain about each."""
    if not missing:
        return []
    filled = []
    hub, scope, excluded = bound.hub, bound.scope, builder.excluded
    if fill == ZEROS:
        refuse_zeros(missing, hub, scope, layout, builder)
    most = MAX_FILL_RATIO * sum(entry.nbytes for entry in hub.values()) + FREE_FILL
    network = network_of(layout, [*hub, *(variable.name for variable in missing)])
    beside = _letters_by_object(steps)
    for number, variable in enumerate(missing):
        subject, needed = scope + variable.name, f"{layout.name!r} needs it for {variable.key}"
        axes = variable.axes or ""
        letters = _letters(variable, builder.sizes, beside)
        if variable.name in network and not excluded.is_named(subject):
            builder.complain("missing-network", subject, needed)
        elif fill is None:
            builder.complain("missing-variable", subject, needed, "", FILLED)
        elif letters is None:
            builder.complain("size-untold", subject, needed, axes)
        elif 4 * math.prod(shape := target_shape(axes, letters)) > most:
            builder.complain("too-large-to-fill", subject, needed, str(list(shape)))
        else:
            named = Rearrange(axes, Fixed(letters))
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
    used = set(sum(parse(variable.axes or "")[1], ()))
    return {letter: known[letter] for letter in sorted(used)} if used <= known.keys() else None
