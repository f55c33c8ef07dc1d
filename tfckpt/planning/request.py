"""What a conversion was asked for, and the planner that answers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tfckpt.base.arguments import whole_number
from tfckpt.base.issues import Issue, leave_out, rename
from tfckpt.base.options import AUTO, DEFAULT, ModelOptions, PathLike, Request, options_of
from tfckpt.bundle.values.entry import Entry
from tfckpt.checkpoint.graph.roles import OPTIMIZER, TRAINING_STATE, TRAINING_STEP
from tfckpt.errors import PlanError, UsageError, count_of, remedied
from tfckpt.families.catalog import OBJECT_LAYOUTS, TF1, find_family, find_layout, find_models
from tfckpt.families.language.rules import HubLayout, Layout, NameLayout, ObjectLayout
from tfckpt.planning.asked.exclusion import Exclusion
from tfckpt.planning.asked.resize import parse_resizing
from tfckpt.planning.building import add_constructors
from tfckpt.planning.config import FIELDS, Config, find_beside, find_config, read_config
from tfckpt.planning.keep_names import keep_names
from tfckpt.planning.mending.strays import all_kept
from tfckpt.planning.names import plan_names
from tfckpt.planning.objects import plan_objects
from tfckpt.planning.optimizer.slots import CONVERT, DROP, KEEP, parse_options
from tfckpt.planning.plan import Plan, noting
from tfckpt.planning.planning import scopes_before
from tfckpt.planning.source import Renamed, Source
from tfckpt.planning.steps import parse_fill

if TYPE_CHECKING:
    from tfckpt.families.language.custom import CustomLayout

# What to say of an option that a target does not take; of the others it makes no use, which is noted.
BY_ITSELF = "only for the way back, 'tf1'; the {} of a TF1 checkpoint is found by itself"
RENAMES = "{0!r} only renames; resize on the way to an object-based target, or back to TF1"
TOLD = "not on the way back to {0!r}, where the source tells"
REFUSED = {
    "scope": BY_ITSELF.format("scope"),
    "model": BY_ITSELF.format("family"),
    "vocab_size": RENAMES,
    "max_positions": RENAMES,
    "optimizer": TOLD,
    "learning_rate": TOLD,
    "keep_names": "for object-based targets; {0!r} is name-based itself",
}


def check_request(request: Request, layout: Layout) -> list[Issue]:
    """Return what to say of options that a target makes no use of.

    Raises: UsageError for what it has no place for, and for a head count that no model has.
    """
    heads = request["num_heads"]
    if heads is not None and not (heads == 0 and isinstance(layout, NameLayout)):  # as in 2019
        whole_number("number of attention heads", heads)
    notes = []
    for name, option in options_of(ModelOptions).items():
        value: Any = request[name]  # type: ignore[literal-required]  # they are its keys
        if value == option.default or name == "layout":
            continue
        taken = layout.options.get(name)
        if taken is None and name in REFUSED:
            raise UsageError(f"{name}: {REFUSED[name].format(layout.name)}")
        if taken is None:
            notes.append(Issue("no-use", repr(layout.name), remedies=(leave_out(name),)))
        elif taken and value not in taken:
            raise UsageError(f"{name}: {layout.name!r} takes {' or '.join(map(repr, taken))}, not {value!r}")
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
        explained: whether an error says which other names would mend it, which takes longer than to plan.
    Raises: PlanError, ConfigError, FormatError, UsageError.
    """
    excluded = Exclusion.of(request["exclude"]) if excluded is None else excluded
    custom = None if request["layout"] is None else _read_layout(request["layout"])
    try:
        return _make(checkpoint, request, custom, excluded)
    except PlanError as error:
        if not explained:
            raise
        raise _with_renames(error, checkpoint, request, custom, excluded) from None


def _make(checkpoint: Source, request: Request, custom: CustomLayout | None, excluded: Exclusion) -> Plan:
    if request["to"] == AUTO and custom is None:
        from tfckpt.planning.choose import choose_target

        choice = choose_target(checkpoint.prefix, list(checkpoint), excluded=excluded)
        try:
            plan = _make(checkpoint, request | {"to": choice.to}, custom, excluded)
        except PlanError as error:
            raise PlanError(all_kept(error.issues)) from None
        return plan._replace(issues=(choice.why, *plan.issues))
    layout = find_layout(request["to"], list(checkpoint)) if custom is None else _custom_target(request["to"], custom)
    notes = check_request(request, layout)
    plan = _plan(checkpoint, request, layout, custom, excluded)
    notes += excluded.unused(list(checkpoint))
    return noting(plan, notes)


def _with_renames(
    error: PlanError, checkpoint: Source, request: Request, custom: CustomLayout | None, excluded: Exclusion
) -> PlanError:
    """Return the error of a plan that failed, with the substitutions that mend the names if that is what is wrong."""
    from tfckpt.planning.mending.find_renames import find_renames  # most sources are called as the target has it

    def works(entries: Sequence[Entry], layout: ObjectLayout) -> bool:
        if custom is None and find_layout(layout.name, [entry.name for entry in entries]) != layout:
            return False  # it would become a model of another family
        try:
            _make(Renamed(checkpoint, entries), request, custom, excluded)
        except (PlanError, UsageError):
            return False
        return True

    layouts = _candidates(checkpoint, request["to"]) if custom is None else [custom.layout]
    config = _known_config(checkpoint.prefix, request["config"], FIELDS if custom is None else custom.config)
    known = config.sizes if config else {}
    entries = checkpoint.entries()
    found = {layout.family: ways for layout in layouts if (ways := find_renames(entries, layout, known, works))}
    family = find_family(list(checkpoint))
    mending = [*{r.pairs: r for r in found.values() if r.mend}.values()]
    if family is not None:  # a source whose names tell its family is of no other one
        mending = [r for r in mending if not scopes_before(family.anchor, [old for old, _ in r.pairs])]
    fewest = [renames for renames in mending if renames.cost == min(other.cost for other in mending)]
    if len(fewest) == 1:
        ((substitutions, pairs, _),) = fewest
        remedy = rename(checkpoint.prefix, f"{checkpoint.prefix}.renamed", substitutions)
        issue = Issue("renamed", *pairs[0], count_of(pairs, "variable"), checkpoint.prefix, (remedy,))
        return remedied(PlanError([*error.issues, issue]), remedy)
    if mending or family not in found:
        return error
    pairs = found[family].pairs
    issue = Issue("paired", *pairs[0], count_of(pairs, "variable"), checkpoint.prefix)
    return remedied(PlanError([*error.issues, issue]), *error.remedies)


def _candidates(checkpoint: Source, to: str) -> list[ObjectLayout]:
    """Return the targets that may be meant, of every family: names that are to be mended do not tell which it is."""
    if checkpoint.object_graph is not None:
        return []
    return [layout for layout in OBJECT_LAYOUTS if layout.name == (DEFAULT if to == AUTO else to)]


def _plan(
    checkpoint: Source, request: Request, layout: Layout, custom: CustomLayout | None, excluded: Exclusion
) -> Plan:
    state = parse_options(request["slots"], request["optimizer"], request["learning_rate"])
    resizing = parse_resizing(request["vocab_size"], request["max_positions"], request["resize_fill"])
    fill = None if request["fill"] is None else parse_fill(request["fill"])
    source, entries = checkpoint.prefix, checkpoint.entries()
    if isinstance(layout, NameLayout):
        gone = (OPTIMIZER, TRAINING_STATE, TRAINING_STEP) if request["slots"] == DROP else ()
        heads = request["num_heads"]
        return plan_names(source, entries, layout, num_heads=heads, excluded=excluded, dropped_roles=gone)
    config = _known_config(source, request["config"], FIELDS if custom is None else custom.config)
    if isinstance(layout, HubLayout):
        from tfckpt.planning.back import plan_back  # the other way, with rooms of its own

        plan = plan_back(
            source,
            entries,
            checkpoint.object_graph,
            layout,
            find_models(request["model"]) if custom is None else (custom.layout,),
            config=config,
            num_heads=request["num_heads"],
            excluded=excluded,
            scope=request["scope"],
            slots=request["slots"] in (CONVERT, KEEP),
            resizing=resizing,
        )
        return plan._replace(facts=config.facts) if config else plan
    network = layout.family.second
    second = None if network is None else find_beside(source, network.config_file)
    plan = plan_objects(
        source,
        entries,
        layout,
        config=config,
        num_heads=request["num_heads"],
        excluded=excluded,
        fill=fill,
        second=second,
        slots=state,
        resizing=resizing,
    )
    if custom is None:
        heads, resized = request["num_heads"], resizing.sizes
        plan = add_constructors(plan, layout, config, second=second, num_heads=heads, resized=resized)
    return keep_names(plan) if request["keep_names"] else plan


def _read_layout(path: PathLike) -> CustomLayout:
    from tfckpt.families.language.layout_file import read_layout  # few conversions have a layout of the user's

    return read_layout(os.fspath(path))


def _custom_target(to: str, custom: CustomLayout) -> Layout:
    """Return the target where a layout file is given: its own layout, or TF1."""
    if to == TF1.name:
        return TF1
    if to not in (AUTO, DEFAULT, custom.layout.name):
        raise UsageError(f"target {to!r}: the layout file has {custom.layout.name!r}; besides it there is {TF1.name!r}")
    return custom.layout


def _known_config(prefix: str, config: PathLike | None, fields: Mapping[str, str]) -> Config | None:
    if not fields:
        return None
    return find_config(prefix, fields) if config is None else read_config(os.fspath(config), fields)
