"""What becomes of each tensor on the way out or in: renamed as a layout or the user says, or left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from tfckpt.base.issues import Issue
from tfckpt.base.options import AUTO, SOURCE, Request, given
from tfckpt.bundle.values.entry import Entry
from tfckpt.checkpoint.find.lookup import Form, Lookup
from tfckpt.checkpoint.graph.object_graph import OBJECT_GRAPH_KEY, ObjectGraph
from tfckpt.checkpoint.graph.roles import find_roles
from tfckpt.edit.choice import Choice, choose, keep_rule
from tfckpt.edit.edits import Edits, check_names, nothing_left, plan_edits
from tfckpt.errors import FormatError, PlanError, UsageError, some
from tfckpt.planning.dialect.dialect import substitutions_of
from tfckpt.planning.exclusion import Exclusion
from tfckpt.planning.plan import Dropped, Plan, noting
from tfckpt.planning.request import make_plan
from tfckpt.planning.source import Source
from tfckpt.planning.steps import Step

KEY, PATH, FULL = "key", "path", "full"  # what tensors are called
GRAPH_RULE = "object graph: TensorFlow alone has a use for it"
LACKED = {PATH: ("path", "what has none keeps its key"), FULL: ("full name", "what has none keeps its path")}


def make(source: Source, request: Request, edits: Edits, names: Form | None = None) -> Plan:
    """Decide what a request and then the user's own edits make of a source.

    The substitutions of the request are of the new names; of the source's, where a target is asked for and does not fit it.

    Args:
        source: what is read.
        request: whose names and shapes.
        edits: globs are of the source's keys, its paths or its full names. What these leave out of a file without an object
            graph is to the target as if it were not there.
        names: what tensors are called where no object graph is written; None where it is.
    Raises: PlanError, ConfigError, FormatError; UsageError for options that the target has no place for; TensorNotFoundError
        for a full name of several variables.
    """
    excluded = Exclusion.of(request["exclude"])
    choice = _choice(source, edits)
    renames, is_asked = substitutions_of(request)
    edits = replace(edits, rename=renames)
    if request["to"] == SOURCE and request["layout"] is None:
        if is_asked:
            raise UsageError("rename='auto': names are found for a target; to='source' keeps them")
        if request != given(Request, {"to": SOURCE, "exclude": request["exclude"], "rename": request["rename"]}):
            raise UsageError(
                f"target {SOURCE!r}: names and shapes stay, so of a conversion's options only exclude has a meaning"
            )
        plan = _as_they_are(source, excluded)
        graph = None if names in (None, KEY) else source.object_graph
    else:
        gone = {} if choice is None else choice.dropped
        excluded = excluded._replace(left_out=gone) if names is None else excluded._replace(unasked=gone)
        plan, edits = _planned(source, request, excluded, edits, is_asked=is_asked)
        graph = plan.object_graph
        if names is None and graph is not None and edits.rename:
            raise UsageError(f"rename: the object graph of {plan.to!r} needs its tensors by their keys")
    if choice is not None:
        plan = _chosen(plan, source, choice, edits.keep, partial=names is not None)
    if names is not None and names != KEY:
        plan = _called(plan, graph, names)
    return _renamed(plan, edits)


def _planned(
    source: Source, request: Request, excluded: Exclusion, edits: Edits, *, is_asked: bool
) -> tuple[Plan, Edits]:
    """Return a target's plan, and the edits that are left: substitutions may be those that the source needs."""
    try:
        return make_plan(source, given(Request, {**request, "rename": (AUTO,) if is_asked else ()}), excluded), edits
    except PlanError as error:
        if not edits.rename:
            raise
        failed = error
    try:
        return make_plan(source, request, excluded, explained=False), replace(edits, rename=())
    except PlanError:
        raise failed from None


def without_graph(plan: Plan) -> Plan:
    """Return the plan without the object graph, whether it goes along or is made."""
    steps = tuple(step for step in plan.steps if step.target != OBJECT_GRAPH_KEY)
    dropped = [Dropped(step.source, GRAPH_RULE, step.nbytes) for step in plan.steps if step.target == OBJECT_GRAPH_KEY]
    return plan._replace(steps=steps, dropped=(*plan.dropped, *dropped), object_graph=None)


class _WithoutGraph:
    """A source of which no object graph follows what becomes of the tensors."""

    object_graph: ObjectGraph | None = None

    def __init__(self, source: Source) -> None:
        self._source = source
        self.prefix = source.prefix

    def entries(self) -> list[Entry]:
        return self._source.entries()

    def __iter__(self) -> Iterator[str]:
        return iter(self._source)


def _as_they_are(source: Source, excluded: Exclusion) -> Plan:
    """Return the plan that keeps names and shapes."""
    plan = plan_edits(_WithoutGraph(source), Edits())
    taken = {step.source: excluded.taking(step.source) for step in plan.steps} if excluded.texts else {}
    rules = {name: item.rule for name, item in taken.items() if item is not None}
    plan = _without(plan, rules, find_roles(source.entries(), None) if rules else {})
    return noting(plan, excluded.unused(list(source)))


def _choice(source: Source, edits: Edits) -> Choice | None:
    """Return what the user's globs leave out; tensors of one object may part. None if there are no globs."""
    if not edits.drop and not edits.keep:
        return None
    graph, notes = _readable_graph(source)
    choice = choose(source.prefix, source.entries(), graph, drop=edits.drop, keep=edits.keep, whole=False)
    return choice._replace(notes=(*notes, *choice.notes))


def _chosen(plan: Plan, source: Source, choice: Choice, keep: Sequence[str], *, partial: bool) -> Plan:
    """Return the plan without what the user's globs leave out.

    Raises: PlanError if ``keep`` leaves nothing.
    """
    # What is filled has no name; a graph that is written asks for it.
    filled = {"": keep_rule(keep)} if keep and partial else {}
    plan = _without(plan, {**filled, **choice.dropped}, choice.roles)
    if keep and not any(step.source != OBJECT_GRAPH_KEY for step in plan.steps):
        raise PlanError([nothing_left(source, len(plan.dropped))])
    return noting(plan, choice.notes)


def _without(plan: Plan, rules: Mapping[str, str], roles: Mapping[str, str]) -> Plan:
    """Return the plan without the tensors that have a rule here, and with the role of each."""
    steps = tuple(step for step in plan.steps if step.source not in rules)
    gone = [Dropped(step.source, rules[step.source], step.nbytes) for step in plan.steps if step.source in rules]
    dropped = [
        item._replace(role=roles.get(item.source, "")) if item.source in rules else item
        for item in (*plan.dropped, *gone)
    ]
    return plan._replace(steps=steps, dropped=tuple(dropped))


def _readable_graph(source: Source) -> tuple[ObjectGraph | None, list[Issue]]:
    """Return the object graph, or what to say if it cannot be read: tensors can still be told by their keys."""
    try:
        return source.object_graph, []
    except FormatError as error:
        return None, [Issue("graph-unread", got=str(error))]


def _called(plan: Plan, graph: ObjectGraph | None, form: Form) -> Plan:
    """Return the plan with targets called by their objects' paths, or by full names; what has none keeps what it has."""
    lookup = Lookup(graph, [step.target for step in plan.steps])
    paths, names = lookup.called("path"), lookup.called(form)
    lacking = [step.target for step in plan.steps if step.target not in names and step.target != OBJECT_GRAPH_KEY]
    what, kept = LACKED[form]
    are = "tensor has" if len(lacking) == 1 else "tensors have"
    if lacking:
        named = some([repr(name) for name in lacking], 3)
        plan = noting(plan, [Issue("no-such-names", named, kept, f"{len(lacking)} {are} no {what}")])
    return _retargeted(plan, {**paths, **names})


def _renamed(plan: Plan, edits: Edits) -> Plan:
    """Return the plan with the user's substitutions in its targets.

    Raises: PlanError if two tensors would get one name, or one gets none.
    """
    names = [step.target for step in plan.steps]
    plan = noting(plan, edits.unused_renames(names))
    plan = _retargeted(plan, {name: edits.new_name(name) for name in names}) if edits.rename else plan
    check_names(plan.source, plan.steps)
    return plan


def _retargeted(plan: Plan, names: Mapping[str, str]) -> Plan:
    """Return the plan with other targets, by those that it has."""

    def changed(step: Step) -> Step:
        same_as = None if step.same_as is None else names.get(step.same_as, step.same_as)
        return step._replace(target=names.get(step.target, step.target), same_as=same_as)

    return plan._replace(steps=tuple(map(changed, plan.steps)))
