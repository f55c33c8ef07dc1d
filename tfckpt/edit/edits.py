"""What a rewrite changes, decided from names and dtypes alone; the object graph follows the keys."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from tfckpt._proto.types_pb2 import DataType
from tfckpt.arguments import texts
from tfckpt.bundle.dtypes import FLOATING, dtype_name
from tfckpt.checkpoint.object_graph import OBJECT_GRAPH_KEY, ObjectGraph
from tfckpt.conversion.plan import Dropped, Plan, Step
from tfckpt.conversion.source import Source
from tfckpt.errors import PlanError, UsageError, some
from tfckpt.layouts.optimizer import STATE
from tfckpt.layouts.rules import Drop

FLOATING_NAMES = {dtype_name(data_type): data_type for data_type in FLOATING}


@dataclass(frozen=True, slots=True)
class Edits:
    """What becomes of names and values; as `tfckpt.rewrite` takes them.

    Raises: UsageError if a regular expression or a dtype is none.
    """

    rename: Sequence[tuple[str, str]] = ()
    drop: Sequence[str] = ()
    keep: Sequence[str] = ()
    cast: str | None = None
    strip_optimizer: bool = False

    def __post_init__(self) -> None:
        if self.cast is not None and self.cast not in FLOATING_NAMES:
            known = ", ".join(FLOATING_NAMES)
            raise UsageError(f"cast: no floating-point dtype {self.cast!r}; there are {known}")
        texts("drop", self.drop)
        texts("keep", self.keep)
        for pair in self.rename:
            _check_substitution(pair)

    def rules(self) -> Iterator[Drop]:
        """Yield what drops tensors, `keep` aside."""
        yield from (Drop(f"pattern {pattern!r}", (pattern,)) for pattern in self.drop)
        if self.strip_optimizer:
            yield STATE

    def rule(self, name: str) -> str | None:
        """Return the rule that drops a tensor, or None. The object graph goes only by a pattern that matches it."""
        for drop in self.rules():
            if drop.matches(name):
                return drop.rule
        if self.keep and name != OBJECT_GRAPH_KEY and not Drop("", tuple(self.keep)).matches(name):
            return f"not among {', '.join(map(repr, self.keep))}"
        return None

    def new_name(self, name: str) -> str:
        """Return a tensor's name after every substitution in turn; the object graph keeps its own."""
        if name == OBJECT_GRAPH_KEY:
            return name
        for pattern, replacement in self.rename:
            name = re.sub(pattern, replacement, name)
        return name

    def unused(self, names: Collection[str]) -> list[str]:
        """Return what to say of patterns that choose or rename nothing."""
        kept = [pattern for pattern in self.keep if not any(Drop("", (pattern,)).matches(name) for name in names)]
        changes = [pattern for pattern, _ in self.rename if not any(re.search(pattern, name) for name in names)]
        lines = [f"pattern {pattern!r}, which is to be kept: no tensor" for pattern in kept]
        return lines + [f"{pattern!r}, which is to be renamed: no tensor" for pattern in changes]

    def new_dtype(self, data_type: DataType) -> DataType | None:
        """Return the dtype that tensors of ``data_type`` are cast to; None if they stay as they are."""
        new = FLOATING_NAMES.get(self.cast or "")
        return new if data_type in FLOATING and data_type != new else None


def _check_substitution(pair: tuple[str, str]) -> None:
    try:
        pattern, replacement = () if isinstance(pair, str) else pair
    except (TypeError, ValueError):
        raise UsageError(f"rename: expected pairs of a pattern and its replacement, got {pair!r}") from None
    try:
        re.sub(f"{pattern}|", replacement, "")  # a replacement is parsed only where something matches
        re.compile(pattern)
    except (re.error, IndexError) as error:
        raise UsageError(f"rename {pattern!r} to {replacement!r}: {error}") from None


def plan_edits(checkpoint: Source, edits: Edits) -> Plan:
    """Decide what becomes of each tensor of a checkpoint; reads the index, and the object graph if there is one.

    Raises: PlanError if two tensors would get one name, or one gets none; FormatError.
    """
    steps, dropped = [], []
    for entry in checkpoint.entries():
        rule = edits.rule(entry.name)
        if rule is not None:
            dropped.append(Dropped(entry.name, rule, entry.nbytes))
            continue
        target, cast = edits.new_name(entry.name), edits.new_dtype(entry.data_type)
        steps.append(Step(entry.name, target, entry.data_type, entry.shape, entry.shape, entry.nbytes, cast=cast))
    check_names(checkpoint.prefix, steps)
    graph = _edited_graph(checkpoint, steps, dropped)
    used = {item.rule for item in dropped}
    notes = [f"{drop.rule}: no tensor" for drop in edits.rules() if drop.rule not in used]
    notes += edits.unused(list(checkpoint))
    if edits.keep and not any(step.source != OBJECT_GRAPH_KEY for step in steps):
        hint = "a glob matches whole names, such as 'bert/*'"
        raise PlanError([f"{checkpoint.prefix}: no tensor is left of {len(dropped)}; {hint}"])
    if any(step.cast for step in steps):
        notes.append("TensorFlow does not cast when it restores: the model must have the new dtype too")
    return Plan(checkpoint.prefix, "", tuple(steps), tuple(dropped), {}, notes=tuple(notes), object_graph=graph)


def check_names(source: str, steps: Iterable[Step]) -> None:
    """Raise PlanError, with every complaint, if two tensors would get one name, or one gets none."""
    sources: dict[str, list[str]] = {}
    for step in steps:
        sources.setdefault(step.target, []).append(step.source)
    lines = [f"{source}: {_together(n)} would all be called {t!r}" for t, n in sources.items() if len(n) > 1]
    lines += [f"{source}: {name} would have no name" for name in sources.get("", [])]
    if lines:
        raise PlanError(lines)


def _together(names: Sequence[str]) -> str:
    return some(names, 2) if len(names) > 2 else " and ".join(names)


def _edited_graph(checkpoint: Source, steps: Sequence[Step], dropped: Sequence[Dropped]) -> ObjectGraph | None:
    """Return the object graph that fits the new keys; None if the old one does, or does not go along."""
    renamed = {step.source: step.target for step in steps if step.source != step.target}
    gone = {item.source for item in dropped}
    if OBJECT_GRAPH_KEY in gone or not (renamed or gone) or checkpoint.object_graph is None:
        return None
    graph = ObjectGraph.parse(checkpoint.object_graph.serialize())
    graph.drop_keys(gone)
    graph.rename_keys(renamed)
    return graph
