"""What a conversion was asked for, and the planner that answers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from tfckpt.arguments import whole_number
from tfckpt.checkpoint.roles import OPTIMIZER, TRAINING_STATE, TRAINING_STEP
from tfckpt.conversion.config import FIELDS, Config, find_beside, find_config, read_config
from tfckpt.conversion.exclusion import Exclusion
from tfckpt.conversion.keep_names import keep_names
from tfckpt.conversion.names import plan_names
from tfckpt.conversion.objects import plan_objects
from tfckpt.conversion.plan import Plan, parse_fill
from tfckpt.conversion.resize import parse_resizing
from tfckpt.conversion.slots import CONVERT, DROP, KEEP, parse_options
from tfckpt.conversion.source import Source
from tfckpt.errors import UsageError
from tfckpt.layouts.catalog import TF1, find_layout, find_models
from tfckpt.layouts.defaults import AUTO, DEFAULT
from tfckpt.layouts.rules import HubLayout, Layout, NameLayout, ObjectLayout

if TYPE_CHECKING:
    from tfckpt.layouts.custom import CustomLayout

PathLike = str | os.PathLike[str]


class Request(NamedTuple):
    """The options of `tfckpt.plan`, which say what they mean; what no target takes is refused at once.

    Raises: UsageError.
    """

    to: str = DEFAULT
    config: PathLike | None = None
    num_heads: int | None = None
    exclude: Sequence[str] = ()
    fill: str | None = None
    slots: str | None = None
    optimizer: str | None = None
    learning_rate: float | None = None
    keep_names: bool = False
    scope: str = ""
    model: str = ""
    vocab_size: int | None = None
    max_positions: int | None = None
    resize_fill: str = "zeros"
    layout: PathLike | None = None

    def check(self, layout: Layout) -> None:
        """Raise UsageError for what a layout has no place for, and for a head count that no model has."""
        if self.num_heads is not None and not (self.num_heads == 0 and isinstance(layout, NameLayout)):  # as in 2019
            whole_number("number of attention heads", self.num_heads)
        resizes = self.vocab_size is not None or self.max_positions is not None
        if self.scope and not isinstance(layout, HubLayout):
            found = "the scope of a TF1 checkpoint is found by itself"
            raise UsageError(f"scope: only for the way back, {TF1.name!r}; {found}")
        if self.model and not isinstance(layout, HubLayout):
            found = "the family of a TF1 checkpoint is found by itself"
            raise UsageError(f"model: only for the way back, {TF1.name!r}; {found}")
        if resizes and isinstance(layout, NameLayout):
            better = "resize on the way to an object-based target, or back to TF1"
            raise UsageError(f"sizes: {layout.name!r} only renames; {better}")
        if resizes and self.keep_names:
            raise UsageError("keep_names: the TF1 names keep the TF1 shapes, so no size can change with them")
        if self.slots == KEEP and isinstance(layout, ObjectLayout):
            raise UsageError(f"slots: 'keep' is for name-based targets; {layout.name!r} takes 'convert' or 'drop'")
        if self.slots == CONVERT and isinstance(layout, NameLayout):
            raise UsageError(f"slots: 'convert' is for objects; {layout.name!r} takes 'keep' or 'drop'")
        if isinstance(layout, HubLayout) and not (self.optimizer is None and self.learning_rate is None):
            raise UsageError(
                f"optimizer, learning_rate: not on the way back to {layout.name!r}, where the source tells"
            )
        if self.keep_names and not isinstance(layout, ObjectLayout):
            raise UsageError(f"keep_names: for object-based targets; {layout.name!r} is name-based itself")


def make_plan(checkpoint: Source, request: Request, excluded: Exclusion | None = None) -> Plan:
    """Return the plan that a request asks for.

    Args:
        checkpoint: what is read.
        request: what is asked for.
        excluded: what is left out, if that is more than the request names.
    Raises: PlanError, ConfigError, FormatError, UsageError.
    """
    excluded = Exclusion.of(request.exclude) if excluded is None else excluded
    plan = _plan(checkpoint, request, excluded)
    notes = excluded.unused(list(checkpoint))
    return plan._replace(notes=(*plan.notes, *notes)) if notes else plan


def _plan(checkpoint: Source, request: Request, excluded: Exclusion) -> Plan:
    custom = None if request.layout is None else _read_layout(request.layout)
    if request.to == AUTO and custom is None:
        from tfckpt.conversion.choose import choose_target

        choice = choose_target(checkpoint.prefix, list(checkpoint), excluded=excluded)
        plan = _plan(checkpoint, request._replace(to=choice.to), excluded)
        return plan._replace(notes=(choice.why, *plan.notes))
    layout = find_layout(request.to, list(checkpoint)) if custom is None else _custom_target(request.to, custom)
    state = parse_options(request.slots, request.optimizer, request.learning_rate)
    resizing = parse_resizing(request.vocab_size, request.max_positions, request.resize_fill)
    fill = None if request.fill is None else parse_fill(request.fill)
    request.check(layout)
    source, entries = checkpoint.prefix, checkpoint.entries()
    if isinstance(layout, NameLayout):
        gone = (OPTIMIZER, TRAINING_STATE, TRAINING_STEP) if request.slots == DROP else ()
        heads = request.num_heads
        return plan_names(source, entries, layout, num_heads=heads, excluded=excluded, dropped_roles=gone)
    config = _known_config(source, request.config, FIELDS if custom is None else custom.config)
    if isinstance(layout, HubLayout):
        from tfckpt.conversion.back import plan_back  # the other way, with rooms of its own

        return plan_back(
            source,
            entries,
            checkpoint.object_graph,
            layout,
            find_models(request.model) if custom is None else (custom.layout,),
            config=config,
            num_heads=request.num_heads,
            excluded=excluded,
            scope=request.scope,
            slots=request.slots in (CONVERT, KEEP),
            resizing=resizing,
        )
    second = layout.family.second
    plan = plan_objects(
        source,
        entries,
        layout,
        config=config,
        num_heads=request.num_heads,
        excluded=excluded,
        fill=fill,
        second=None if second is None else find_beside(source, second.config_file),
        slots=state,
        resizing=resizing,
    )
    return keep_names(plan) if request.keep_names else plan


def _read_layout(path: PathLike) -> CustomLayout:
    from tfckpt.conversion.layout_file import read_layout  # few conversions have a layout of the user's

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
