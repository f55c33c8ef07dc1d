"""What becomes of each tensor on the way out or in: renamed as a layout or the user says, or left out."""

from __future__ import annotations

import glob

from tfckpt.checkpoint.object_graph import OBJECT_GRAPH_KEY
from tfckpt.conversion.plan import Dropped, Plan, Step
from tfckpt.conversion.request import Request, make_plan
from tfckpt.conversion.source import Source
from tfckpt.edit.edits import Edits, check_names, plan_edits
from tfckpt.errors import UsageError
from tfckpt.exchange.defaults import SOURCE

GRAPH_RULE = "object graph: TensorFlow alone has a use for it"


def make(source: Source, request: Request, edits: Edits) -> Plan:
    """Decide what a request and then the user's own edits make of a source.

    Raises: PlanError, ConfigError, FormatError; UsageError for options that the target has no place for.
    """
    if request.to == SOURCE and request.layout is None:
        if request != Request(to=SOURCE, exclude=request.exclude):
            raise UsageError(
                f"target {SOURCE!r}: names and shapes stay, so of a conversion's options only exclude has a meaning"
            )
        excluded = tuple(f"*{glob.escape(text)}*" for text in request.exclude)
        return plan_edits(source, Edits(edits.rename, (*edits.drop, *excluded), edits.keep))
    return _edited(make_plan(source, request), edits)


def without_graph(plan: Plan) -> Plan:
    """Return the plan without the object graph, whether it goes along or is made."""
    steps = tuple(step for step in plan.steps if step.target != OBJECT_GRAPH_KEY)
    dropped = [Dropped(step.source, GRAPH_RULE, step.nbytes) for step in plan.steps if step.target == OBJECT_GRAPH_KEY]
    return plan._replace(steps=steps, dropped=(*plan.dropped, *dropped), object_graph=None)


def _edited(plan: Plan, edits: Edits) -> Plan:
    """Return a conversion's plan with edits: sources are dropped, targets renamed.

    Raises: PlanError if two tensors would get one name, or one gets none; UsageError for keys that an object graph needs.
    """
    if plan.object_graph is not None and (edits.rename or edits.drop or edits.keep):
        raise UsageError(f"rename, drop, keep: the object graph of {plan.to!r} needs its tensors by their keys")
    steps: list[Step] = []
    dropped = list(plan.dropped)
    for step in plan.steps:
        rule = edits.rule(step.source)
        if rule is None:
            steps.append(step._replace(target=edits.new_name(step.target)))
        else:
            dropped.append(Dropped(step.source, rule, step.nbytes))
    check_names(plan.source, steps)
    return plan._replace(steps=tuple(steps), dropped=tuple(dropped))
