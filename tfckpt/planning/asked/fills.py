"""The values of a variable that the source lacks: by what it is, since a norm that scales by zero lets nothing through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tfckpt.base.issues import give
from tfckpt.bundle.values.entry import Entry
from tfckpt.families.language.layouts import ObjectRows
from tfckpt.families.language.rules import SCALE, numbers_in
from tfckpt.families.language.target import TargetVariable, placed_parts
from tfckpt.planning.builder import PlanBuilder
from tfckpt.planning.steps import Fill

FILLED = give(fill="normal:1")
ZEROS, ONES = Fill(0.0), Fill(1.0)


def own_fill(variable: TargetVariable, fill: Fill, number: int) -> Fill:
    """Return a variable's values: a norm's scale gets ones, every other vector zeros, kernels and tables what was asked for.

    Args:
        variable: the one to fill.
        fill: what was asked for.
        number: which of the variables to fill it is; each has a seed of its own.
    """
    if variable.attribute == SCALE:
        return ONES
    if variable.is_vector:
        return ZEROS
    return fill if fill.seed is None else fill._replace(seed=fill.seed + number)


def refuse_zeros(
    missing: Sequence[TargetVariable],
    hub: Mapping[str, Entry],
    scope: str,
    layout: ObjectRows,
    builder: PlanBuilder,
) -> None:
    """Complain about variables that could not be trained if all of them were filled with zeros."""
    absent = {variable.name for variable in missing}
    names = {*hub, *layout.family.borrowed(hub)}
    numbers = numbers_in(names)
    found = [item for placed in placed_parts(layout, names) for item in placed.part.all_not_zeros(numbers)]
    for item in dict.fromkeys(item for item in found if absent.issuperset(item.names)):
        builder.complain("zeros-stay", ", ".join(scope + name for name in item.names), item.why, "", FILLED)
