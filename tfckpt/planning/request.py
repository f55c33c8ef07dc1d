"""What a conversion was asked for, and the plan that answers it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from tfckpt.base.arguments import whole_number
from tfckpt.base.issues import Issue, leave_out
from tfckpt.base.options import AUTO, DEFAULT, TF1_NAME, ModelOptions, NamedOptions, Request, given, options_of
from tfckpt.bundle.listing import collector_paused
from tfckpt.bundle.values.entry import Entry
from tfckpt.checkpoint.graph.object_graph import OBJECT_GRAPH_KEY, ObjectGraph
from tfckpt.checkpoint.graph.roles import BESIDE, find_roles
from tfckpt.errors import ConfigError, PlanError, UsageError, remedied
from tfckpt.families.catalog import CATALOG, TF1, Catalog
from tfckpt.families.language.facts import FIELDS
from tfckpt.families.language.family import Family
from tfckpt.families.language.layouts import Layout, ObjectRows, Substitutions
from tfckpt.families.language.match import Match
from tfckpt.planning.asked.heads import target_of_head
from tfckpt.planning.asked.resize import parse_resizing
from tfckpt.planning.bind import bind_hub, bind_names, bind_rows, find_match
from tfckpt.planning.bound import Bound
from tfckpt.planning.builder import PlanBuilder
from tfckpt.planning.building import add_constructors
from tfckpt.planning.config import Config, find_beside, find_config, read_config
from tfckpt.planning.dialect.dialect import Dialect, asks_for_names, named_roles, read_dialect, substitutions_of
from tfckpt.planning.dialect.scopes import find_roots, several_models
from tfckpt.planning.exclusion import Exclusion
from tfckpt.planning.fitting.checks import RELATIVE_POSITIONS
from tfckpt.planning.fitting.hints import what_else
from tfckpt.planning.fitting.strays import all_kept
from tfckpt.planning.keep_names import keep_names
from tfckpt.planning.mending.other_models import find_layout, with_other_models
from tfckpt.planning.optimizer.slots import CONVERT, DROP, KEEP, parse_options
from tfckpt.planning.plan import Plan, noting
from tfckpt.planning.planner import plan_target
from tfckpt.planning.sides import Ask
from tfckpt.planning.source import Source
from tfckpt.planning.steps import parse_fill

# What to say of an option that a target does not take; of the others it makes no use, which is noted.
BY_ITSELF = "only for the way back, 'tf1'; the {} of a TF1 checkpoint is found by itself"
RENAMES = "{0!r} only renames; resize on the way to an object-based target, or back to TF1"
TOLD = "not on the way back to {0!r}, where the source tells"
REFUSED = {
    "scope": BY_ITSELF.format("scope"),
    "model": "only for an object-based source; the family of a TF1 checkpoint is found by itself",
    "vocab_size": RENAMES,
    "max_positions": RENAMES,
    "optimizer": TOLD,
    "learning_rate": TOLD,
    "keep_names": "for object-based targets; {0!r} is name-based itself",
}


def check_request(request: Request, layout: Layout, match: Match | None = None) -> list[Issue]:
    """Return what to say of options that a target makes no use of; ``match`` is the model that rows have found.

    Raises: UsageError for what it has no place for, and for a head count that no model has.
    """
    heads = request["num_heads"]
    if heads is not None and not (heads == 0 and layout.renames):  # as in 2019
        whole_number("number of attention heads", heads)
    if request["layout"] is not None and request["families"] is not None:
        raise UsageError("layout and families: expected one of both")
    notes = []
    for name, option in options_of(ModelOptions).items():
        value: Any = request[name]  # type: ignore[literal-required]  # they are its keys
        if value == option.default or name in ("layout", "families", *options_of(NamedOptions)):
            continue
        taken = () if name == "model" and match is not None else layout.options.get(name)
        if taken is None and name in REFUSED:
            raise UsageError(f"{name}: {REFUSED[name].format(layout.name)}")
        if taken is None:
            notes.append(Issue("no-use", repr(layout.name), remedies=(leave_out(name),)))
        elif taken and value not in taken:
            raise UsageError(f"{name}: {layout.name!r} takes {' or '.join(map(repr, taken))}, not {value!r}")
    if request["keep_names"] and match is not None:
        raise UsageError("keep_names: only a checkpoint of TF1 has TF1's names to keep")
    if request["keep_names"] and not (request["vocab_size"] is None and request["max_positions"] is None):
        raise UsageError("keep_names: the TF1 names keep the TF1 shapes, so no size can change with them")
    return notes


def make_plan(
    checkpoint: Source, request: Request, excluded: Exclusion | None = None, *, explained: bool = True
) -> Plan:
    """Return the plan that a request asks for.

    Args:
        checkpoint: what is read.
        request: what is asked for.
        excluded: what is left out, if that is more than the request names.
        explained: whether an error says which other names would mend it, or which other model it is: that takes longer.
    Raises: PlanError, ConfigError, FormatError, UsageError.
    """
    excluded = Exclusion.of(request["exclude"]) if excluded is None else excluded
    catalog = find_catalog(request)
    try:
        with collector_paused():
            return _make(checkpoint, request, catalog, excluded)
    except (PlanError, ConfigError) as error:
        if not explained:
            raise
        failed = error
    return _mended(failed, checkpoint, request, catalog, excluded)


def find_catalog(request: Request) -> Catalog:
    """Return the families and layouts that a request may mean: a file's alone, or all there are.

    Raises: LayoutError.
    """
    if request["families"] is not None:
        from tfckpt.families.folder import read_families  # few conversions have families of the user's

        return read_families(os.fspath(request["families"]))
    if request["layout"] is None:
        return CATALOG
    from tfckpt.families.language.layout_file import read_layout  # nor have many a layout

    layout = read_layout(os.fspath(request["layout"]))
    return Catalog((layout.family,), (layout, TF1))


def _make(checkpoint: Source, request: Request, catalog: Catalog, excluded: Exclusion) -> Plan:
    entries = checkpoint.entries()
    if checkpoint.object_graph is not None and asks_for_names(request):
        raise UsageError(f"{', '.join(options_of(NamedOptions))}: only for a source whose names are a TF1 model's own")
    moments = request["slots"] == CONVERT and checkpoint.object_graph is None
    dialect = read_dialect(checkpoint.prefix, entries, request, catalog, moments=moments)
    names = dialect.names(entries)
    to = target_of_head(request["to"], request["head"]) if request["head"] else request["to"]
    request = _with(request, {"to": to}) if to != request["to"] else request
    if to == AUTO and request["layout"] is None:
        from tfckpt.planning.choose import choose_target

        # An object-based source goes back to TF1, whatever model it holds.
        called = {entry.name: dialect.name_of(entry) for entry in entries if entry.name not in dialect.rules}
        match = None if OBJECT_GRAPH_KEY in called else find_model(checkpoint, request, catalog, names, DEFAULT)[0]
        choice = choose_target(checkpoint.prefix, called, catalog, match=match, excluded=excluded)
        try:
            plan = _make(checkpoint, request | {"to": choice.to}, catalog, excluded)
        except PlanError as error:
            raise PlanError(all_kept(error.issues)) from None
        return plan._replace(issues=(choice.why, *plan.issues))
    to = _target_name(request, catalog)
    match, graph = find_model(checkpoint, request, catalog, names, to)
    layout = find_layout(catalog, to, match) if match else catalog.find_layout(to, catalog.find_family(names))
    notes = check_request(request, layout, match)
    family = match.family if match else layout.family
    config = None if family is None else _config(checkpoint.prefix, request, layout, catalog, family)
    ask = _ask(checkpoint.prefix, request, layout)
    found = _roles(entries, layout, match, graph, ask, dialect)
    builder = PlanBuilder(checkpoint.prefix, entries, excluded, found, config, dialect)
    fields = family.sizes if family else layout.sizes if isinstance(layout, Substitutions) else {}
    builder.know(fields, ask.num_heads, ask.resizing.sizes if ask.resizing else {})
    bound = _bind(builder, request, layout, match, graph)
    plan = _told(plan_target(builder, bound, layout, ask), layout, bound, ask, config)
    plan = keep_names(plan) if request["keep_names"] else plan
    return noting(plan, [*notes, *excluded.unused([entry.name for entry in entries])])


def _target_name(request: Request, catalog: Catalog) -> str:
    """Return the name of the target.

    Raises: UsageError if there is none of that name.
    """
    to = request["to"]
    if request["layout"] is None:
        catalog.find_layout(to)
        return to
    own = catalog.layouts[0].name
    if to not in (AUTO, DEFAULT, own, TF1_NAME):
        raise UsageError(f"target {to!r}: the layout file has {own!r}; besides it there is {TF1_NAME!r}")
    return to if to == TF1_NAME else own


def find_model(
    checkpoint: Source, request: Request, catalog: Catalog, names: Sequence[str], to: str
) -> tuple[Match | None, ObjectGraph | None]:
    """Return the model that rows find in the source, and the graph that it was found in; none if the names are the hub's.

    A file that has TF1 names beside an object graph is read by the names, but on the way to these.
    """
    graph = checkpoint.object_graph
    if catalog.find_family(names) is not None and (graph is None or to != TF1_NAME):
        return None, None
    if graph is None and to == TF1_NAME and request["layout"] is not None:
        return None, None
    models = catalog.find_models(request["model"]) if request["layout"] is None else catalog.models
    return find_match(checkpoint.prefix, checkpoint.entries(), graph, catalog, models), graph


def _with_other_models(
    error: PlanError, checkpoint: Source, request: Request, catalog: Catalog, excluded: Exclusion
) -> PlanError:
    """Return the error of a plan that failed, with the model for which it would not, if the source may be that."""
    if request["layout"] is not None:
        return error
    to = TF1_NAME if request["to"] == AUTO else request["to"]
    try:
        match, _ = find_model(checkpoint, request, catalog, list(checkpoint), to)
    except PlanError:
        return error

    def works(model: str) -> bool:
        try:
            _make(checkpoint, _with(request, {"model": model}), catalog, excluded)
        except (PlanError, UsageError):
            return False
        return True

    return with_other_models(error, match, to, works)


def _mended(
    error: PlanError | ConfigError, checkpoint: Source, request: Request, catalog: Catalog, excluded: Exclusion
) -> Plan:
    """Return the plan under the names that mend one that failed, if such names may be looked for.

    Raises: PlanError with what else may be done, or which other model the source is; ConfigError.
    """
    if stated := [issue for issue in error.issues if issue.code == RELATIVE_POSITIONS]:
        raise PlanError(stated[:1])
    if checkpoint.object_graph is not None:
        raise (
            _with_other_models(error, checkpoint, request, catalog, excluded) if isinstance(error, PlanError) else error
        )
    from tfckpt.planning.mending.mend import (  # most plans succeed
        Failed,
        mending_averages,
        mending_head,
        mending_renames,
        other_model,
    )

    prefix, entries = checkpoint.prefix, checkpoint.entries()
    dialect = read_dialect(prefix, entries, request, catalog)
    kept = dialect.named([entry for entry in entries if excluded.taking(entry.name) is None])
    roles = dialect.roles or named_roles(entries)
    called = {dialect.name_of(entry): roles.get(entry.name, "") for entry in entries}
    roots = find_roots([entry.name for entry in kept], catalog.families)
    if len(roots) > 1:
        raise several_models(prefix, roots, [entry for entry in kept if called[entry.name] not in BESIDE])
    layouts = _candidates(request, catalog)
    is_readable = layouts and isinstance(error, PlanError)
    config = _config(prefix, request, None, catalog, layouts[0].family) if is_readable else None
    own, is_asked = substitutions_of(request)
    known = config.sizes if config else {}
    failed = Failed(error, prefix, dialect.named(entries), layouts, known, catalog, request["layout"] is not None, own)

    def make(options: Mapping[str, Any]) -> Plan:
        return _make(checkpoint, _with(request, options), catalog, excluded)

    averages = None if request["averages"] else mending_averages(failed, called, make)
    if averages is not None:
        raise remedied(PlanError([averages]), *averages.remedies)
    mended = mending_renames(failed, make) if isinstance(error, PlanError) else None
    if mended is not None and mended.renames is not None:
        if is_asked:
            found = [Issue("renames-found", shlex.quote(f"{old}={new}")) for old, new in mended.renames.substitutions]
            return noting(make({"rename": (*own, *mended.renames.substitutions)}), found)
        raise mended.error(error)
    if (relative := other_model(failed)) is not None:
        raise PlanError([relative])
    if (
        isinstance(error, PlanError)
        and not request["head"]
        and (head := mending_head(failed, called, make)) is not None
    ):
        raise remedied(PlanError([*error.issues, head]), *head.remedies)
    raise error if mended is None else mended.error(error)


def _with(request: Request, options: Mapping[str, Any]) -> Request:
    return given(Request, {**request, **options})


def _candidates(request: Request, catalog: Catalog) -> list[ObjectRows]:
    """Return the targets that may be meant, of every family: names that are to be mended do not tell which it is."""
    if request["layout"] is not None:
        return list(catalog.models)
    to = DEFAULT if request["to"] == AUTO else request["to"]
    return [layout for layout in catalog.models if layout.name == to]


def _ask(prefix: str, request: Request, layout: Layout) -> Ask:
    """Return what is asked for beside the target.

    Raises: UsageError, ConfigError.
    """
    network = layout.family.second if layout.family else None
    return Ask(
        request["num_heads"],
        None if request["fill"] is None else parse_fill(request["fill"]),
        None if network is None else find_beside(prefix, network.config_file),
        parse_resizing(request["vocab_size"], request["max_positions"], request["resize_fill"]),
        parse_options(request["slots"], request["optimizer"], request["learning_rate"]),
        request["scope"],
        bool(request["head"] or request["source_scope"]),
        layout.renames and request["slots"] == DROP,
    )


def _roles(
    entries: Sequence[Entry],
    layout: Layout,
    match: Match | None,
    graph: ObjectGraph | None,
    ask: Ask,
    dialect: Dialect,
) -> Mapping[str, str]:
    """Return what each tensor is for; of a source that is read by its names, what these tell.

    A target that only renames asks for it only if it drops by it.
    """
    if match is not None:
        return find_roles(entries, graph)
    if layout.renames and not ask.drop_state:
        return {}
    return dialect.roles or named_roles(entries)


def _told(plan: Plan, layout: Layout, bound: Bound, ask: Ask, config: Config | None) -> Plan:
    """Return the plan with what the configuration states, and how the target's model is built."""
    if not isinstance(layout, ObjectRows) or not layout.calls:
        return plan._replace(facts=config.facts) if config else plan
    sources = {item.source for step in plan.steps for item in step.inputs}
    shapes = {name: entry.shape for name, entry in bound.hub.items() if entry.name in sources}
    resized = ask.resizing.sizes if ask.resizing else {}
    return add_constructors(plan, layout, shapes, config, second=ask.second, num_heads=ask.num_heads, resized=resized)


def _bind(
    builder: PlanBuilder, request: Request, layout: Layout, match: Match | None, graph: ObjectGraph | None
) -> Bound:
    """Return what the source holds by hub names.

    Raises: PlanError at once if this is no checkpoint of the layout's family: nothing else would make sense.
    """
    if match is not None:
        return bind_rows(builder, match, graph, layout, slots=request["slots"] in (CONVERT, KEEP))
    if layout.renames:
        return bind_names(builder)
    if not isinstance(layout, ObjectRows):
        raise PlanError([Issue("no-graph", origin=builder.source, remedies=(leave_out("to"),))])
    bound = bind_hub(builder, layout, request["head"])
    if bound is None:
        raise PlanError([what_else(builder.kept.keys(), builder.source, layout)])
    return bound


def _config(prefix: str, request: Request, layout: Layout | None, catalog: Catalog, family: Family) -> Config | None:
    """Return the configuration that was given, or that lies beside the checkpoint; None if its family has none.

    Nor does a target read one that only renames.
    """
    fields = FIELDS if family.config is None else family.config
    if not fields or (layout is not None and layout.renames):
        return None
    if request["config"] is not None:
        return read_config(os.fspath(request["config"]), fields)
    return find_config(prefix, fields, tuple(dict.fromkeys((*family.config_files, *catalog.config_files))))
