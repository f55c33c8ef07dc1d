"""Which tensor of a source has which hub name.

A TF1 checkpoint has those names already, under a scope. Of any other source a layout's rows tell which variable is which; of
several that hold one hub name, the first counts. What has another form than the hub's is brought into it on the way.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from tfckpt.base.issues import Issue, draw
from tfckpt.bundle.values.entry import Entry, stored_at
from tfckpt.checkpoint.graph.object_graph import ATTRIBUTES, OBJECT_GRAPH_KEY, ObjectGraph
from tfckpt.checkpoint.graph.object_tensors import ObjectTensors
from tfckpt.checkpoint.graph.roles import BESIDE, COPY, OPTIMIZER
from tfckpt.errors import PlanError, located
from tfckpt.families.catalog import Catalog
from tfckpt.families.language.axes import inverse, moves_alike
from tfckpt.families.language.family import Drop, Family
from tfckpt.families.language.layouts import Layout, NameRows, ObjectRows, Substitutions
from tfckpt.families.language.match import NOWHERE, Found, Match, match_models, match_names, match_substituted
from tfckpt.families.language.optimizer import ADAM_SLOTS, TRAINING_STEP
from tfckpt.families.language.rules import Variable, scopes_before
from tfckpt.planning.asked.heads import take_heads
from tfckpt.planning.bound import Bound
from tfckpt.planning.builder import PlanBuilder, another_copy, is_copy
from tfckpt.planning.exclusion import leaving_out
from tfckpt.planning.optimizer.slots_back import FoundState, find_state
from tfckpt.planning.steps import Input, NotNegative, Part, Rearrange

# What Model Garden keeps beside a model that its exports hold.
TOKENIZER = Drop(
    "a setting of the tokenizer", ("do_lower_case", "*/do_lower_case", "do_lower_case/*", "*/do_lower_case/*")
)


def find_match(
    source: str, entries: Sequence[Entry], graph: ObjectGraph | None, catalog: Catalog, models: Sequence[ObjectRows]
) -> Match | None:
    """Return the model that a source holds by its object graph, or by names that are none of the hub's; None without one.

    Args:
        source: its prefix, for messages.
        entries: what its index says.
        graph: its object graph.
        catalog: the layouts that it may have.
        models: those that its graph may hold, the fuller ones first.
    Raises: PlanError if the graph holds none of the models, or several.
    """
    if graph is not None:
        with located(source):
            return _only(source, match_models(graph, models), models)
    shapes = {entry.name: entry.shape for entry in entries}
    for layout in catalog.layouts:
        matches: list[Match] = []
        if isinstance(layout, Substitutions):
            matches = match_substituted(shapes, layout, models)
        elif isinstance(layout, NameRows) and layout.part is not None:
            matches = match_names(shapes.keys(), layout)
        if matches:
            return _only(source, matches, models)
    return None


def _only(source: str, matches: Sequence[Match], models: Sequence[ObjectRows]) -> Match:
    if not matches:
        known = ", ".join(dict.fromkeys(layout.family.name for layout in models))
        raise PlanError([Issue("no-model-in-graph", "", known, origin=source, remedies=(draw(source),))])
    if len(matches) > 1:
        places = ", ".join(match.path or "the root" for match in matches)
        raise PlanError([Issue("several-models", got=places, origin=source)])
    return matches[0]


def bind_names(builder: PlanBuilder) -> Bound:
    """Return every tensor under its own name: what a target takes that only renames."""
    called = builder.dialect.called
    return Bound(
        "", {called.get(name, name): entry for name, entry in builder.kept.items()} if called else builder.kept, {}
    )


def bind_hub(builder: PlanBuilder, layout: ObjectRows, heads: Collection[str] = ()) -> Bound | None:
    """Return a source whose names are the hub's, under a scope, which what is taken may tell too.

    None if this is no checkpoint of the layout's family.

    Args:
        builder: gets what is dropped, and what is wrong.
        layout: the target.
        heads: the variables that the user names as its heads.
    Raises: UsageError, PlanError: as `take_heads`.
    """
    family = layout.family
    taken = [entry for entry in builder.entries if entry.name in builder.rules]
    called = builder.dialect.called
    beside = {name for name, role in builder.roles.items() if role in BESIDE}
    scope = None
    for group in (builder.kept, builder.rules):
        scopes = scopes_before(family.anchor, (called.get(name, name) for name in group if name not in beside))
        if len(scopes) > 1:
            builder.complain("several-models", got=", ".join(scope + family.anchor for scope in scopes))
        scope = scopes[0] if scopes and scope is None else scope
    if scope is None:
        return None
    hub: dict[str, Entry] = {}
    for entry in builder.kept.values():
        name = called.get(entry.name, entry.name) if called else entry.name
        first = hub.setdefault(name.removeprefix(scope), entry)
        if first is not entry:
            builder.complain("same-but-for-scope", first.name, repr(scope), entry.name)
    left_out = {called.get(entry.name, entry.name): entry for entry in taken}
    own = [n for n in left_out if n.startswith(scope) or any(head.matches(n) for head in family.heads)]
    inputs = {**_checked(builder, hub), **take_heads(builder, hub, layout, heads)}
    return Bound(scope, hub, {name.removeprefix(scope): left_out[name] for name in own}, inputs)


def _checked(builder: PlanBuilder, hub: Mapping[str, Entry]) -> Mapping[str, Input]:
    """Return what reads second moments that a number alone tells from first ones."""
    checked = builder.dialect.checked
    return (
        {
            name: Input(entry.name, entry.data_type, entry.shape, ops=(NotNegative(entry.name),))
            for name, entry in hub.items()
            if entry.name in checked
        }
        if checked
        else {}
    )


def bind_rows(builder: PlanBuilder, match: Match, graph: ObjectGraph | None, layout: Layout, *, slots: bool) -> Bound:
    """Return a source in which a layout's rows tell which variable is which.

    Args:
        builder: gets what is dropped, and what is wrong with shapes.
        match: the model.
        graph: the source's object graph.
        layout: the target. One of objects may have use for variables that TF1's models do not have, and for several of one
            hub name if it is the source's own.
        slots: whether the optimizer's state goes along, as adam_m, adam_v and global_step.
    """
    stored = builder.kept
    state = find_state(graph, match, builder) if slots and graph is not None else FoundState()
    found = [item for item in (*match.found, *state.slots) if slots or not _is_state(item)]
    if state.step in stored:
        found.append(Found(Variable(TRAINING_STEP, "", ""), NOWHERE, state.step))
    brought = _Brought()
    given_up = _given_up(match, stored)
    given_up |= {f"{own}/{slot}": f"{of}/{slot}" for own, of in given_up.items() for slot in ADAM_SLOTS.values()}
    for name, places in _by_name(found, given_up).items():
        rule = "" if isinstance(layout, ObjectRows) else unknown_rule(match.family, name)
        if rule:
            _drop_all(builder, places, rule)
        else:
            _take(builder, brought, name, places, keeps_copies=match.layout is layout)
    goes_along = isinstance(layout, ObjectRows)
    settings = {what: stored[key] for what, key in state.settings.items() if goes_along and key in stored}
    if graph is not None:
        tensors = ObjectTensors(graph, stored)
        others = {name for key in state.other for name in tensors.of_key(key)} - {e.name for e in settings.values()}
        for name in sorted(others):
            builder.drop(stored[name], OPTIMIZER)
    accounted = {item.source for item in builder.dropped} | {item.key for item in found}
    accounted |= {entry.name for entry in settings.values()}
    rest = [entry for name, entry in stored.items() if name not in accounted]
    scope = match.path if graph is None else ""
    return Bound(scope=scope, match=match, rest=rest, settings=settings, **vars(brought))


class _Brought:
    """What has been brought into the hub's form so far; the fields are those of `Bound`."""

    def __init__(self) -> None:
        self.hub: dict[str, Entry] = {}
        self.taken: dict[str, Entry] = {}
        self.inputs: dict[str, Input] = {}
        self.lost: dict[str, str] = {}
        self.unfit: set[str] = set()
        self.copies: dict[str, list[Input]] = {}


def _drop_all(builder: PlanBuilder, places: Iterable[Found], rule: str) -> None:
    for place in places:
        if place.key in builder.kept:
            builder.drop(builder.kept[place.key], rule)


def _take(builder: PlanBuilder, brought: _Brought, name: str, places: Sequence[Found], *, keeps_copies: bool) -> None:
    """Take what the source has for a hub name: the first that is there."""
    stored, rules = builder.kept, builder.rules
    first, *copies = [place for place in places if place.key in stored] or places
    entry = stored.get(first.key)
    if entry is None:
        brought.lost[name] = first.key
        if first.key in rules:
            brought.taken[name] = next(entry for entry in builder.entries if entry.name == first.key)
        return
    if places[0].key in rules:
        why = f"{places[0].key} is {rules[places[0].key]}"
        builder.notes.append(Issue("taken-for-excluded", first.key, name, why))
    elif first is not places[0]:
        builder.complain("missing-tensor", places[0].key, name)
    if not _bring(builder, brought, first, name, entry):
        brought.unfit.add(name)
    if keeps_copies:
        found = (_input_of(builder, copy, stored[copy.key]) for copy in copies)
        brought.copies[name] = [item for item in found if item is not None]
        return
    _drop_copies(builder, first, copies, name)


def _drop_copies(builder: PlanBuilder, first: Found, copies: Sequence[Found], name: str) -> None:
    """Drop what else the source has for a hub name; a note says where that may hold other values."""
    stored = builder.kept
    entry = stored[first.key]
    for copy in copies:
        if copy.key == first.key:
            continue  # two parts of the model share it
        other = stored[copy.key]
        builder.drop(other, another_copy(name))
        if not moves_alike(copy.variable.axes, first.variable.axes):
            builder.notes.append(Issue("copy-in-another-form", copy.key, name, first.key))
        elif (other.crc32c, other.nbytes) != (entry.crc32c, entry.nbytes):
            builder.notes.append(Issue("copy-differs", copy.key, name, first.key))


def _is_state(item: Found) -> bool:
    """Whether a variable is an optimizer's, or the training step."""
    name = item.variable.name
    return name == TRAINING_STEP or name.rpartition("/")[2] in ADAM_SLOTS.values()


def _bring(builder: PlanBuilder, brought: _Brought, found: Found, name: str, entry: Entry) -> bool:
    """Bring a stored variable into the hub's form, and say whether it fits; one that is made of several is taken apart."""
    variable = found.variable
    pattern = inverse(variable.axes)
    for number, own in enumerate((name, *variable.more)):
        part = _part(variable, number, entry)
        piece = entry if part is None else entry._replace(shape=part.shape_after(entry.shape))
        bound = builder.fit(piece, pattern) if pattern else None
        if pattern and bound is None:
            brought.hub[own] = entry
            return False
        if bound is not None:
            letters, shape = bound
            ops = (Rearrange(pattern, letters),)
            brought.inputs[own] = Input(entry.name, entry.data_type, entry.shape, part, ops=ops)
            piece = piece._replace(shape=shape, nbytes=entry.nbytes // len(variable.names))
        brought.hub[own] = piece
    return True


def _input_of(builder: PlanBuilder, found: Found, entry: Entry) -> Input | None:
    """Return what brings a variable of one hub name into the hub's form; None if its shape does not fit."""
    pattern = inverse(found.variable.axes)
    bound = builder.fit(entry, pattern) if pattern else None
    if pattern and bound is None:
        return None
    ops = () if bound is None else (Rearrange(pattern, bound[0]),)
    return Input(entry.name, entry.data_type, entry.shape, ops=ops)


def _part(variable: Variable, number: int, entry: Entry) -> Part | None:
    """Return the piece of a tensor that one of its hub names is; None if it is all of it."""
    if not variable.more or variable.axis >= len(entry.shape):
        return None
    size = entry.shape[variable.axis] // len(variable.names)
    return Part(variable.axis, number * size, (number + 1) * size)


def drop_rest(builder: PlanBuilder, bound: Bound, targets: Iterable[str]) -> None:
    """Drop the tensors that are of no hub name, each by its rule; one without a rule is a complaint."""
    match = bound.match
    if match is None:
        return
    stored = builder.kept
    objects = {stored_at(entry) for name, entry in stored.items() if ATTRIBUTES in name and entry.nbytes}
    written, roles = {*targets}, builder.roles
    for entry in bound.rest:
        name = entry.name
        if name == OBJECT_GRAPH_KEY:
            builder.drop(entry, "object graph")
        elif ATTRIBUTES not in name and (stored_at(entry) in objects or name in written):
            builder.drop(entry, "kept name")
        elif roles[name] in BESIDE or roles[name] == COPY:
            builder.drop(entry, roles[name])
        elif TOKENIZER.matches(name):
            builder.drop(entry, TOKENIZER.rule)
        elif name in builder.excluded.unasked:
            builder.drop(entry, builder.excluded.unasked[name])
        else:
            shape = str(list(entry.shape))
            builder.complain("stray-tensor", name, repr(match.layout.name), shape, leaving_out(entry))


def _by_name(found: Iterable[Found], given_up: Mapping[str, str]) -> Mapping[str, list[Found]]:
    """Return the variables by hub name, the lender's own before those that borrow its name."""
    names: dict[str, list[Found]] = {}
    for item in sorted(found, key=lambda item: item.variable.name in given_up):
        name = item.variable.name
        names.setdefault(given_up.get(name, name), []).append(item)
    return names


def _given_up(match: Match, stored: Mapping[str, Entry]) -> dict[str, str]:
    """Return the hub names of variables that TF1 keeps as another network's, and the names there."""
    keys = {item.variable.name: item.key for item in match.found}
    for borrow in match.family.borrows:
        own = {name: borrow.lender + name.removeprefix(borrow.own) for name in keys if name.startswith(borrow.own)}
        own = {name: lender for name, lender in own.items() if not unknown_rule(match.family, name)}
        lent = [name for name in own if own[name] in keys]
        if lent:
            same = len(lent) == len(own) and all(_same(stored, keys[name], keys[own[name]]) for name in lent)
        else:
            same = bool(borrow.sign) and any(name.startswith(borrow.sign) for name in keys)
        if own and same:
            return own
    return {}


def unknown_rule(family: Family, name: str) -> str:
    """Return the rule that drops a variable which TF1's models have not; empty if they have it."""
    unknown = family.unknown
    return unknown.rule if unknown is not None and unknown.matches(name) else ""


def _same(stored: Mapping[str, Entry], key: str, other: str) -> bool:
    a, b = stored.get(key), stored.get(other)
    return a is not None and b is not None and is_copy(a, b)
