"""Plans for name-based targets: ordered substitutions, applied to every name."""

from __future__ import annotations

from collections.abc import Sequence

from tfckpt.bundle.entry import Entry, encode_name
from tfckpt.conversion.config import NUM_HEADS
from tfckpt.conversion.plan import Dropped, Plan
from tfckpt.conversion.planning import AS_GIVEN, Complaints, exclude, make_step
from tfckpt.layouts.axes import Size, Sizes
from tfckpt.layouts.rules import Drop, NameLayout


def plan_names(
    source: str,
    entries: Sequence[Entry],
    layout: NameLayout,
    *,
    num_heads: int | None = None,
    excluded: Sequence[str] = (),
    drops: Sequence[Drop] = (),
) -> Plan:
    """Decide what each tensor is called in a name-based layout.

    Args:
        source: prefix of the checkpoint, for messages and the report.
        entries: what its index says.
        layout: the target.
        num_heads: number of attention heads; without it attention weights keep their shapes.
        excluded: substrings; a variable whose name has one is left out.
        drops: rules that leave out more.
    Raises: PlanError, with every complaint.
    """
    kept, dropped = exclude(entries, excluded)
    complaints = Complaints()
    sizes = Sizes(layout.sizes, {NUM_HEADS: Size(num_heads, AS_GIVEN)} if num_heads else {})
    names: dict[str, str] = {}
    steps = []
    for entry in kept:
        rule = next((drop.rule for drop in drops if drop.matches(entry.name)), None)
        if rule is not None:
            dropped.append(Dropped(entry.name, rule, entry.nbytes))
            continue
        target = layout.rename(entry.name)
        first = names.setdefault(target, entry.name)
        if first != entry.name:
            complaints.add(f"{first} and {entry.name} would both be called {target}")
        step = make_step(entry, target, _axes(layout, entry.name, num_heads), sizes, complaints)
        if step is not None:
            steps.append(step)
    complaints.raise_any(source)
    unchanged = [step.source for step in steps if step.source == step.target]
    notes = [f"{len(unchanged)} names pass through as they are: {', '.join(unchanged)}"] if unchanged else []
    if not num_heads:
        notes.append("no head count given: attention weights keep their TF1 shapes")
    steps.sort(key=lambda step: encode_name(step.target))  # as tf.compat.v1.train.Saver writes its variables
    return Plan(source, layout.name, tuple(steps), tuple(dropped), sizes.known, notes=tuple(notes))


def _axes(layout: NameLayout, name: str, num_heads: int | None) -> str | None:
    """Return the axes pattern for a source name; one that splits heads counts only with a head count."""
    axes = layout.axes(name)
    return axes if axes is None or num_heads or layout.sizes.keys().isdisjoint(axes) else None
