"""Plans for the way back: from the objects of a TF2 model to TF1 variables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tfckpt.base.issues import Issue, draw, leave_out
from tfckpt.base.options import Fixed
from tfckpt.bundle.values.entry import Entry, encode_name, stored_at
from tfckpt.checkpoint.graph.object_graph import ATTRIBUTES, OBJECT_GRAPH_KEY, ObjectGraph
from tfckpt.checkpoint.graph.object_tensors import ObjectTensors
from tfckpt.checkpoint.graph.roles import BESIDE, COPY, OPTIMIZER, find_roles
from tfckpt.errors import PlanError, located
from tfckpt.families.language.axes import Sizes, inverse
from tfckpt.families.language.match import Found, Match, match_models
from tfckpt.families.language.rules import HubLayout, ObjectLayout
from tfckpt.families.optimizer import TRAINING_STEP
from tfckpt.planning.asked.exclusion import NOTHING, Exclusion, exclude, leaving_out
from tfckpt.planning.asked.resize import Resizing, resize_steps
from tfckpt.planning.config import Config
from tfckpt.planning.mending.withheld import needing
from tfckpt.planning.optimizer.slots_back import FoundState, find_state
from tfckpt.planning.plan import Dropped, Plan
from tfckpt.planning.planning import Complaints, average_notes, known_sizes, make_step
from tfckpt.planning.steps import Step


def plan_back(
    source: str,
    entries: Sequence[Entry],
    graph: ObjectGraph | None,
    layout: HubLayout,
    layouts: Sequence[ObjectLayout],
    *,
    config: Config | None = None,
    num_heads: int | None = None,
    excluded: Exclusion = NOTHING,
    scope: str = "",
    resizing: Resizing | None = None,
    slots: bool = False,
) -> Plan:
    """Decide which TF1 variable each tensor of an object-based checkpoint becomes.

    Args:
        source: prefix of the checkpoint, for messages and the report.
        entries: what its index says.
        graph: its object graph.
        layout: the target, TF1.
        layouts: the models that it may hold, the fuller ones first.
        config: sizes to check against, if known; the head count is in the shapes.
        num_heads: head count to check against, if not from ``config``.
        excluded: what is left out, by keys.
        scope: what to put before every name but the training step's, such as ``"module/"``.
        resizing: sizes that the TF1 variables get instead of the source's.
        slots: whether the optimizer's state goes along, as adam_m, adam_v and global_step.
    Raises: PlanError, with every complaint.
    """
    if graph is None:
        raise PlanError([Issue("no-graph", origin=source, remedies=(leave_out("to"),))])
    match = _the_model(source, graph, layouts)
    complaints = Complaints()
    kept, dropped = exclude(entries, excluded)
    stored = {entry.name: entry for entry in kept}
    sizes = Sizes(match.layout.family.sizes, known_sizes(config, num_heads, complaints))
    notes = [Issue("found-model", repr(match.layout.name), match.layout.family.name, match.path or "the root")]
    state = find_state(graph, match, complaints) if slots else FoundState()
    steps: list[Step] = []
    taken = {item.source: item.rule for item in dropped}
    lost: dict[str, str] = {}
    given_up = _given_up(match, stored)
    for name, places in _by_name([*match.found, *state.slots], given_up).items():
        rule = _unknown_rule(match, name)
        if rule:
            dropped += [Dropped(place.key, rule, stored[place.key].nbytes) for place in places if place.key in stored]
            continue
        first, *copies = [place for place in places if place.key in stored] or places
        entry = stored.get(first.key)
        if entry is None:
            lost[first.key] = name
            continue
        if places[0].key in taken:
            why = f"{places[0].key} is {taken[places[0].key]}"
            notes.append(Issue("taken-for-excluded", first.key, name, why))
        step = make_step(entry, scope + name, inverse(first.variable.axes), sizes, complaints)
        steps += [step] if step is not None else []
        for copy in copies:
            other = stored[copy.key]
            dropped.append(Dropped(copy.key, f"another copy of {name}", other.nbytes))
            if (other.crc32c, other.nbytes) != (entry.crc32c, entry.nbytes):
                notes.append(Issue("copy-differs", copy.key, name, first.key))
    _complain_of_lost(lost, taken, layout, complaints)
    if state.step in stored:
        steps += filter(None, [make_step(stored[state.step], TRAINING_STEP, None, sizes, complaints)])
    tensors = ObjectTensors(graph, stored)
    others = sorted(name for key in state.other for name in tensors.of_key(key))
    dropped += [Dropped(name, OPTIMIZER, stored[name].nbytes) for name in others]
    roles = find_roles(entries, graph)
    dropped += _rest(stored, steps, dropped, match, roles, excluded, complaints)
    notes += average_notes(dropped, roles)
    if resizing is not None:
        steps, resized = resize_steps(steps, match.layout.family.sizes, resizing, complaints)
        notes += resized
    complaints.raise_any(source)
    steps.sort(key=lambda step: encode_name(step.target))  # as tf.compat.v1.train.Saver writes its variables
    return Plan(source, layout.name, tuple(steps), tuple(dropped), Fixed(sizes.known), scope, tuple(notes))


def _the_model(source: str, graph: ObjectGraph, layouts: Sequence[ObjectLayout]) -> Match:
    with located(source):
        matches = match_models(graph, layouts)
    if not matches:
        known = ", ".join(dict.fromkeys(layout.family.name for layout in layouts))
        raise PlanError([Issue("no-model-in-graph", "", known, origin=source, remedies=(draw(source),))])
    if len(matches) > 1:
        places = ", ".join(match.path or "the root" for match in matches)
        raise PlanError([Issue("several-models", got=places, origin=source)])
    return matches[0]


def _complain_of_lost(
    lost: Mapping[str, str], taken: Mapping[str, str], layout: HubLayout, complaints: Complaints
) -> None:
    """Complain about tensors that the source lacks, and once for each rule about those that it leaves out.

    Args:
        lost: by key, the names that they would get.
        taken: by key, the rule of what is left out.
        layout: the target.
        complaints: where to complain.
    """
    needed: dict[str, dict[str, str]] = {}
    for key, name in lost.items():
        if key in taken:
            needed.setdefault(taken[key], {})[key] = name
        else:
            complaints.add("missing-tensor", key, name)
    for rule, targets in needed.items():
        complaints.add_issue(needing(targets, rule, layout.name))


def _by_name(found: Iterable[Found], given_up: Mapping[str, str]) -> Mapping[str, list[Found]]:
    """Return the variables by hub name, the lender's own before those that borrow its name."""
    names: dict[str, list[Found]] = {}
    for item in sorted(found, key=lambda item: item.variable.name in given_up):
        name = item.variable.name
        names.setdefault(given_up.get(name, name), []).append(item)
    return names


def _given_up(match: Match, stored: Mapping[str, Entry]) -> Mapping[str, str]:
    """Return the hub names of variables that TF1 keeps as another network's, and the names there."""
    keys = {item.variable.name: item.key for item in match.found}
    for borrow in match.layout.family.borrows:
        own = {name: borrow.lender + name.removeprefix(borrow.own) for name in keys if name.startswith(borrow.own)}
        own = {name: lender for name, lender in own.items() if not _unknown_rule(match, name)}
        lent = [name for name in own if own[name] in keys]
        if lent:
            same = len(lent) == len(own) and all(_same(stored, keys[name], keys[own[name]]) for name in lent)
        else:
            same = bool(borrow.sign) and any(name.startswith(borrow.sign) for name in keys)
        if own and same:
            return own
    return {}


def _unknown_rule(match: Match, name: str) -> str:
    """Return the rule that drops a variable which TF1's models have not; empty if they have it."""
    unknown = match.layout.family.unknown
    return unknown.rule if unknown is not None and unknown.matches(name) else ""


def _same(stored: Mapping[str, Entry], key: str, other: str) -> bool:
    a, b = stored.get(key), stored.get(other)
    return a is not None and b is not None and (a.shape, a.crc32c, a.nbytes) == (b.shape, b.crc32c, b.nbytes)


def _rest(
    stored: Mapping[str, Entry],
    steps: Sequence[Step],
    dropped: Sequence[Dropped],
    match: Match,
    roles: Mapping[str, str],
    excluded: Exclusion,
    complaints: Complaints,
) -> list[Dropped]:
    """Return what else is dropped, each by its rule; a tensor without one is a complaint."""
    accounted = {step.source for step in steps} | {item.source for item in dropped}
    accounted |= {item.key for item in match.found}
    objects = {stored_at(entry) for name, entry in stored.items() if ATTRIBUTES in name and entry.nbytes}
    targets = {step.target for step in steps}
    rest = []
    for name, entry in stored.items():
        if name == OBJECT_GRAPH_KEY:
            rest.append(Dropped(name, "object graph", entry.nbytes))
        elif ATTRIBUTES not in name and (stored_at(entry) in objects or name in targets):
            rest.append(Dropped(name, "kept name", entry.nbytes))
        elif name not in accounted and (roles[name] in BESIDE or roles[name] == COPY):
            rest.append(Dropped(name, roles[name], entry.nbytes))
        elif name not in accounted and name in excluded.unasked:
            rest.append(Dropped(name, excluded.unasked[name], entry.nbytes))
        elif name not in accounted:
            complaints.add("stray-tensor", name, repr(match.layout.name), str(list(entry.shape)), leaving_out(entry))
    return rest
