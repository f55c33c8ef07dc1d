"""Which conversion leads from one checkpoint to another, where nobody says it: the one that accounts for the most.

Strategy: every target is planned, with and without the optimizer's state, and its variables are looked for in the
destination, as a proof does. A plan gains by each tensor there that it accounts for, and loses by each that it misses; of
equals the first in the catalog is taken. Tensors of the same name are a plan, too: that is what a rewrite leaves.
"""

from __future__ import annotations

from collections.abc import Iterator

from tfckpt.checkpoint.checkpoint import Checkpoint
from tfckpt.checkpoint.object_graph import OBJECT_GRAPH_KEY
from tfckpt.conversion.plan import Dropped, Plan, Step
from tfckpt.conversion.prove import planned_places
from tfckpt.conversion.request import Request, make_plan
from tfckpt.conversion.slots import CONVERT, DROP, KEEP
from tfckpt.errors import PlanError, UsageError
from tfckpt.layouts.catalog import NAMES
from tfckpt.layouts.defaults import DEFAULT

ABSENT = "no tensor of that name in the destination"


def recover_plan(source: Checkpoint, dest: Checkpoint, request: Request) -> Plan:
    """Return the plan of the conversion that made ``dest`` of ``source``, as far as names and shapes tell.

    Args:
        source: the checkpoint that was converted.
        dest: what came of it.
        request: what else is known of the conversion; its target is not looked at.
    Raises:
        PlanError: no plan accounts for any tensor of ``dest``; says what stands in the way of the default target.
        ConfigError, FormatError.
    """
    complaints: dict[str, PlanError | UsageError] = {}
    plans = [*_targets(source, dest, request, complaints), same_names(source, dest)]
    best = max(plans, key=lambda plan: _gain(plan, dest))  # the first of equals
    if _gain(best, dest) > 0:
        return best
    lines = [f"{dest.prefix}: no target accounts for it; --to names one, and tfckpt layouts lists them"]
    if (reason := complaints.get(DEFAULT)) is not None:
        lines += [f"target {DEFAULT!r}: {line}" for line in getattr(reason, "complaints", [str(reason)])]
    raise PlanError(lines)


def same_names(source: Checkpoint, dest: Checkpoint) -> Plan:
    """Return the plan that carries every tensor under its own name, and drops what ``dest`` lacks."""
    entries = [entry for entry in source.entries() if entry.name != OBJECT_GRAPH_KEY]
    steps = tuple(
        Step(e.name, e.name, e.data_type, e.shape, e.shape, e.nbytes) for e in entries if dest.reader.entry(e.name)
    )
    dropped = tuple(Dropped(e.name, ABSENT, e.nbytes) for e in entries if not dest.reader.entry(e.name))
    return Plan(source.prefix, "", steps, dropped, {})


def _targets(
    source: Checkpoint, dest: Checkpoint, request: Request, complaints: dict[str, PlanError | UsageError]
) -> Iterator[Plan]:
    """Yield the plan of every target that there is one for; note what keeps us from the others."""
    both = source.object_graph is None and dest.object_graph is not None and not set(dest).isdisjoint(source)
    for to in NAMES:
        for slots in (None, DROP, CONVERT, KEEP) if request.slots is None else (request.slots,):
            asked = request._replace(to=to, slots=slots, keep_names=request.keep_names or both)
            try:
                yield make_plan(source, asked)
            except (PlanError, UsageError) as error:
                if slots == request.slots:
                    complaints[to] = error


def _gain(plan: Plan, dest: Checkpoint) -> int:
    """Return how many tensors of ``dest`` a plan accounts for, less those that it misses there."""
    places = planned_places(plan, dest, []).keys
    keys = [[key for key in places.get(step.target, ()) if dest.reader.entry(key)] for step in plan.steps]
    return len({key for found in keys for key in found}) - keys.count([])
