"""Which conversion leads from one checkpoint to another, where nobody says it: the one that accounts for the most.

Strategy: every target is planned, with and without the optimizer's state, and its variables are looked for in the
destination, as a proof does. A plan gains by each tensor there that it accounts for, and loses by each that it misses; of
equals the first in the catalog is taken. Tensors of the same name are a plan, too: that is what a rewrite leaves.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import NamedTuple

from tfckpt.checkpoint.checkpoint import Checkpoint
from tfckpt.checkpoint.object_graph import OBJECT_GRAPH_KEY
from tfckpt.conversion.plan import Dropped, Plan, Step
from tfckpt.conversion.proof import Proof
from tfckpt.conversion.prove import planned_places, rule_beside
from tfckpt.conversion.request import Request, make_plan
from tfckpt.conversion.slots import CONVERT, DROP, KEEP
from tfckpt.errors import Advice, PlanError, ProofError, UsageError, advised
from tfckpt.layouts.catalog import NAMES, TF1
from tfckpt.layouts.defaults import DEFAULT

ABSENT = "no tensor of that name in the destination"


class Way(NamedTuple):
    """A conversion that may have been made: what was asked for, and the plan of it."""

    request: Request
    plan: Plan


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
    best = _likeliest(source, dest, request, complaints).plan
    if _gain(best, dest) > 0:
        return best
    lines = [f"{dest.prefix}: no target accounts for it; --to names one, and tfckpt layouts lists them"]
    if (reason := complaints.get(DEFAULT)) is not None:
        lines += [f"target {DEFAULT!r}: {line}" for line in getattr(reason, "complaints", [str(reason)])]
    raise PlanError(lines)


def explained(proof: Proof, source: Checkpoint, dest: Checkpoint, request: Request) -> ProofError:
    """Return the error of a proof that failed: one line and what to ask for, if ``dest`` is what another request makes.

    Its report has every difference all the same.
    """
    error = ProofError(proof.differences, proof.to_json())
    if all(checked.key and dest.reader.entry(checked.key) for checked in proof.tensors) and not proof.others:
        return error  # what was asked for is there, with other values
    way = _likeliest(source, dest, request, {})
    if not _is_whole(way.plan, dest):
        return advised(error, Advice(unknown=dest.prefix) if proof.finds_nothing else None)
    if not way.plan.to:
        text = f"it holds tensors of the source under their own names, as a copy does, and no {proof.to!r}"
        advice = Advice(command=shlex.join(["tfckpt", "diff", source.prefix, dest.prefix]))
    elif not (options := _changes(request, way)):
        return error
    else:
        text = f"it is what {shlex.join(options)} makes of the source, and not what was asked for, {proof.to!r}"
        advice = Advice(add=options)
    return advised(ProofError([f"{dest.prefix}: {text}"], proof.to_json()), advice)


def same_names(source: Checkpoint, dest: Checkpoint) -> Plan:
    """Return the plan that carries every tensor under its own name, and drops what ``dest`` lacks."""
    entries = [entry for entry in source.entries() if entry.name != OBJECT_GRAPH_KEY]
    steps = tuple(
        Step(e.name, e.name, e.data_type, e.shape, e.shape, e.nbytes) for e in entries if dest.reader.entry(e.name)
    )
    dropped = tuple(Dropped(e.name, ABSENT, e.nbytes) for e in entries if not dest.reader.entry(e.name))
    return Plan(source.prefix, "", steps, dropped, {})


def _likeliest(
    source: Checkpoint, dest: Checkpoint, request: Request, complaints: dict[str, PlanError | UsageError]
) -> Way:
    ways = [*_targets(source, dest, request, complaints), Way(request, same_names(source, dest))]
    return max(ways, key=lambda way: _gain(way.plan, dest))  # the first of equals


def _targets(
    source: Checkpoint, dest: Checkpoint, request: Request, complaints: dict[str, PlanError | UsageError]
) -> Iterator[Way]:
    """Yield the plan of every target that there is one for; note what keeps us from the others."""
    both = source.object_graph is None and dest.object_graph is not None and not set(dest).isdisjoint(source)
    for to in NAMES:
        for slots in (None, DROP, CONVERT, KEEP) if request.slots is None else (request.slots,):
            asked = request._replace(to=to, slots=slots, keep_names=request.keep_names or both)
            try:
                plan = make_plan(source, asked)
                if to == TF1.name and not asked.scope:
                    asked = asked._replace(scope=_scope(plan, dest))
                    plan = make_plan(source, asked)
                yield Way(asked, plan)
            except (PlanError, UsageError) as error:
                if slots == request.slots:
                    complaints[to] = error


def _scope(plan: Plan, dest: Checkpoint) -> str:
    """Return what stands before the names of TF1 in the destination."""
    end = f"/{plan.steps[0].target}" if plan.steps else "/"
    return next((name.removesuffix(end[1:]) for name in dest if name.endswith(end)), "")


def _keys(plan: Plan, dest: Checkpoint) -> list[list[str]]:
    """Return for each step the keys under which the destination has its tensor."""
    places = planned_places(plan, dest, []).keys
    return [[key for key in places.get(step.target, ()) if dest.reader.entry(key)] for step in plan.steps]


def _gain(plan: Plan, dest: Checkpoint) -> int:
    """Return how many tensors of ``dest`` a plan accounts for, less those that it misses there."""
    keys = _keys(plan, dest)
    return len({key for found in keys for key in found}) - keys.count([])


def _is_whole(plan: Plan, dest: Checkpoint) -> bool:
    """Whether the destination has all that a plan says, and what else it has is what training adds."""
    keys = _keys(plan, dest)
    rest = set(dest).difference({OBJECT_GRAPH_KEY}, *keys)
    return bool(keys) and [] not in keys and all(map(rule_beside, rest))


def _changes(request: Request, way: Way) -> tuple[str, ...]:
    """Return the options with which a request becomes the one that was made."""
    made = way.request
    options: list[str] = []
    if request.to not in (made.to, way.plan.to):
        options += ["--to", made.to]
    if made.slots is not None and made.slots != request.slots:
        options += ["--slots", made.slots]
    if made.keep_names and not request.keep_names:
        options += ["--keep-names"]
    if made.scope != request.scope:
        options += ["--scope", made.scope]
    return tuple(options)
