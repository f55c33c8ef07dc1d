"""Plans for name-based targets: ordered substitutions, applied to every name."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tfckpt.base.issues import Issue
from tfckpt.base.options import Fixed
from tfckpt.bundle.values.entry import Entry, encode_name
from tfckpt.checkpoint.graph.roles import find_roles
from tfckpt.errors import are, some
from tfckpt.families.language.axes import Size, Sizes
from tfckpt.families.language.rules import NameLayout
from tfckpt.planning.asked.exclusion import NOTHING, Exclusion, exclude
from tfckpt.planning.config import NUM_HEADS
from tfckpt.planning.plan import Dropped, Plan
from tfckpt.planning.planning import AS_GIVEN, Complaints, guess_notes, make_step

MOST_NAMED = 10  # in one note


def plan_names(
    source: str,
    entries: Sequence[Entry],
    layout: NameLayout,
    *,
    num_heads: int | None = None,
    excluded: Exclusion = NOTHING,
    dropped_roles: Collection[str] = (),
) -> Plan:
    """Decide what each tensor is called in a name-based layout.

    Args:
        source: prefix of the checkpoint, for messages and the report.
        entries: what its index says.
        layout: the target.
        num_heads: number of attention heads; without it attention weights keep their shapes.
        excluded: what is left out.
        dropped_roles: what is left out of what training keeps beside the model.
    Raises: PlanError, with every complaint.
    """
    kept, dropped = exclude(entries, excluded)
    roles = find_roles(entries, None) if dropped_roles else {}
    complaints = Complaints()
    sizes = Sizes(layout.sizes, {NUM_HEADS: Size(num_heads, AS_GIVEN)} if num_heads else {})
    names: dict[str, str] = {}
    steps = []
    for entry in kept:
        role = roles.get(entry.name, "")
        if role in dropped_roles:
            dropped.append(Dropped(entry.name, role, entry.nbytes))
            continue
        target = layout.rename(entry.name)
        first = names.setdefault(target, entry.name)
        if first != entry.name:
            complaints.add("same-target", first, target, entry.name)
        step = make_step(entry, target, _axes(layout, entry.name, num_heads), sizes, complaints)
        if step is not None:
            steps.append(step)
    complaints.raise_any(source)
    unchanged = [step.source for step in steps if step.source == step.target]
    notes = (
        [Issue("names-unchanged", some(unchanged, MOST_NAMED), got=are(unchanged, "name", "passes", "pass"))]
        if unchanged
        else []
    )
    notes += guess_notes(entries, dropped, roles)
    if not num_heads:
        notes.append(Issue("heads-not-given"))
    steps.sort(key=lambda step: encode_name(step.target))  # as tf.compat.v1.train.Saver writes its variables
    return Plan(source, layout.name, tuple(steps), tuple(dropped), Fixed(sizes.known), issues=tuple(notes))


def _axes(layout: NameLayout, name: str, num_heads: int | None) -> str | None:
    """Return the axes pattern for a source name; one that splits heads counts only with a head count."""
    axes = layout.axes(name)
    return axes if axes is None or num_heads or layout.sizes.keys().isdisjoint(axes) else None
