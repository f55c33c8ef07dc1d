"""Which conversion leads from one checkpoint to another, where nobody says it: the one that accounts for the most.

Strategy: every target is planned, with and without the optimizer's state, and its variables are looked for in the
destination, as a proof does. A plan gains by each tensor there that it accounts for, and loses by each that it misses; of
equals the first in the catalog is taken. Tensors of the same name are a plan, too: that is what a rewrite leaves.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

from tfckpt.base.issues import Issue, compare, find_damage, give, list_tensors
from tfckpt.base.options import DEFAULT, Request, given
from tfckpt.checkpoint.checkpoint import Checkpoint
from tfckpt.checkpoint.graph.object_graph import OBJECT_GRAPH_KEY
from tfckpt.checkpoint.graph.roles import OPTIMIZER
from tfckpt.errors import PlanError, ProofError, UsageError, remedied, some
from tfckpt.families.catalog import CATALOG, TF1
from tfckpt.planning.optimizer.slots import CONVERT, DROP, KEEP
from tfckpt.planning.plan import NO_SIZES, Dropped, Plan
from tfckpt.planning.request import make_plan
from tfckpt.planning.steps import Step, carrying
from tfckpt.proof.proof import Proof
from tfckpt.proof.prove import planned_places, roles_beside

SPLIT_BY_HEADS = "*/self_attention/query/kernel"  # in the name-based targets: (hidden, heads, size of a head)
STATES = (None, DROP, CONVERT, KEEP)
ABSENT = "no tensor of that name in the destination"


class Candidate(NamedTuple):
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
    has_state = OPTIMIZER in roles_beside(dest).values()
    found = _candidates(source, dest, request, complaints, STATES if has_state else (DROP,))
    best = max([*(candidate.plan for candidate in found), same_names(source, dest)], key=lambda plan: _gain(plan, dest))
    if _gain(best, dest) > 0:  # the first of equals
        return best
    issues = [Issue("no-target", origin=dest.prefix)]
    if (reason := complaints.get(DEFAULT)) is not None:
        target = f"target {DEFAULT!r}"
        issues += [i._replace(origin=f"{target}: {i.origin}" if i.origin else target) for i in reason.issues]
    raise PlanError(issues)


def explained(proof: Proof, source: Checkpoint, dest: Checkpoint, request: Request) -> ProofError:
    """Return the error of a proof that failed: one line and what to ask for, if ``dest`` is what another request makes.

    One line, too, stands for all variables if there is none. The error's report has every difference all the same.
    """
    report = proof.to_json()
    if not proof.unaccounted and all(_has_form(dest, checked.key, checked.step) for checked in proof.tensors):
        damaged = next((c for c in (dest, source) if c.prefix in proof.damaged), None)
        remedy = None if damaged is None else find_damage(damaged.prefix)
        return remedied(ProofError(proof.problems, report), remedy)  # what was asked for is there, with other values
    found = _other_request(source, dest, request)
    if found is not None:
        return ProofError([found._replace(expected=repr(proof.to), origin=dest.prefix)], report)
    if any(checked.key for checked in proof.tensors):
        return ProofError(proof.problems, report)
    lines = [f"it has none of the {len(proof.tensors)} variables of target {proof.to!r}", *proof.others]
    if proof.unaccounted:
        them = "it" if len(proof.unaccounted) == 1 else "them"
        lines.append(f"{some(proof.unaccounted, 1)}: nothing in the source corresponds to {them}")
    error = ProofError([Issue("said", got=line, origin=dest.prefix) for line in lines], report)
    return remedied(error, list_tensors(dest.prefix))


def _other_request(source: Checkpoint, dest: Checkpoint, request: Request) -> Issue | None:
    """Return what a destination is instead, and what to ask for: the first target whose names and shapes it has."""
    split = dest.entries(SPLIT_BY_HEADS) if dest.object_graph is None and request["num_heads"] is None else []
    heads = next((entry.shape[1] for entry in split if len(entry.shape) > 2), None)
    beside = roles_beside(dest).keys()
    for made, plan in _candidates(
        source, dest, request | {"num_heads": heads or request["num_heads"]}, {}, (None, DROP)
    ):
        options = _changes(request, made, plan)
        if options and _is_whole(plan, dest, beside):
            return Issue("other-options", remedies=(give(**options),))
    if _is_whole(same_names(source, dest), dest, beside):
        return Issue("a-copy", remedies=(compare(source.prefix, dest.prefix),))
    return None


def same_names(source: Checkpoint, dest: Checkpoint) -> Plan:
    """Return the plan that carries every tensor under its own name, and drops what ``dest`` lacks."""
    entries = [entry for entry in source.entries() if entry.name != OBJECT_GRAPH_KEY]
    steps = tuple(carrying(e) for e in entries if dest.reader.entry(e.name))
    dropped = tuple(Dropped(e.name, ABSENT, e.nbytes) for e in entries if not dest.reader.entry(e.name))
    return Plan(source.prefix, "", steps, dropped, NO_SIZES)


def _candidates(
    source: Checkpoint,
    dest: Checkpoint,
    request: Request,
    complaints: dict[str, PlanError | UsageError],
    slots: Sequence[str | None],
) -> Iterator[Candidate]:
    """Yield the plan of every target, each with one of these ``slots`` unless asked for one; note what is in the way."""
    both = source.object_graph is None and dest.object_graph is not None and not set(dest).isdisjoint(source)
    states = slots if request["slots"] is None else (request["slots"],)
    for to in CATALOG.names:
        for state in states:
            asked = given(Request, {**request, "to": to, "slots": state, "keep_names": request["keep_names"] or both})
            try:
                plan = make_plan(source, asked, explained=to == DEFAULT and state == states[0])
                if to == TF1.name and not asked["scope"] and (scope := _scope(plan, dest)):
                    asked = given(Request, {**asked, "scope": scope})
                    plan = make_plan(source, asked, explained=False)
                yield Candidate(asked, plan)
            except (PlanError, UsageError) as error:
                if state == states[0]:
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


def _is_whole(plan: Plan, dest: Checkpoint, beside: Collection[str]) -> bool:
    """Whether the destination has all that a plan says, in the same shapes, and what else it has is what training adds."""
    names = [name for name in dest if name != OBJECT_GRAPH_KEY]
    if not plan.steps or not len(names) - len(beside) <= len(plan.steps) <= len(names):  # to look for places takes long
        return False
    if (plan.object_graph is None) != (dest.object_graph is None):
        return False
    keys = _keys(plan, dest)
    return set(names).difference(*keys).issubset(beside) and all(
        found and all(_has_form(dest, key, step) for key in found) for step, found in zip(plan.steps, keys, strict=True)
    )


def _has_form(dest: Checkpoint, key: str, step: Step) -> bool:
    entry = dest.reader.entry(key) if key else None
    return entry is not None and (entry.data_type, entry.shape) == (step.data_type, step.shape)


def _changes(request: Request, made: Request, plan: Plan) -> dict[str, Any]:
    """Return the options with which a request becomes the one that was made."""
    options: dict[str, Any] = {}
    if request["to"] not in (made["to"], plan.to):
        options["to"] = made["to"]
    for name in ("num_heads", "slots", "scope"):
        if made[name] is not None and made[name] != request[name]:
            options[name] = made[name]
    if made["keep_names"] and not request["keep_names"]:
        options["keep_names"] = True
    return options
