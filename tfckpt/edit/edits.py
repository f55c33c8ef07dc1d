"""What a rewrite changes: what goes, what it is called, its dtype; decided from the index and the object graph."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from tfckpt._proto.types_pb2 import DataType
from tfckpt.base.arguments import texts
from tfckpt.base.issues import Issue
from tfckpt.base.options import Substitution
from tfckpt.base.substitutions import check_substitution, substituted, unused_patterns
from tfckpt.bundle.listing import collector_paused
from tfckpt.bundle.values.dtypes import FLOATING, dtype_name
from tfckpt.bundle.values.entry import Entry
from tfckpt.checkpoint.graph.graph_edit import Moved
from tfckpt.checkpoint.graph.object_graph import OBJECT_GRAPH_KEY, ObjectGraph
from tfckpt.checkpoint.graph.object_tensors import ObjectTensors
from tfckpt.edit.choice import choose
from tfckpt.edit.renaming import Renaming, rename_objects
from tfckpt.errors import PlanError, UsageError, located, some
from tfckpt.planning.plan import NO_SIZES, Dropped, Plan
from tfckpt.planning.source import Source
from tfckpt.planning.steps import Step, carrying

FLOATING_NAMES = {dtype_name(data_type): data_type for data_type in FLOATING}


@dataclass(frozen=True, slots=True)
class Edits:
    """What becomes of names and values; as `tfckpt.rewrite` takes them.

    Raises: UsageError if a regular expression or a dtype is none.
    """

    rename: Sequence[Substitution] = ()
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
            check_substitution(pair)

    @property
    def choose_names(self) -> bool:
        """Whether tensors may be dropped or get other names."""
        return bool(self.rename or self.drop or self.keep or self.strip_optimizer)

    def new_name(self, name: str) -> str:
        """Return a tensor's name after every substitution in turn; the object graph keeps its own."""
        return name if name == OBJECT_GRAPH_KEY else substituted(name, self.rename)

    def unused_renames(self, names: Collection[str]) -> list[Issue]:
        """Return what to say of patterns that rename nothing; each is looked for in what those before it made of names."""
        unused = unused_patterns(self.rename, names)
        return [Issue("renames-nothing", repr(pattern), "no tensor") for pattern in unused]

    def new_dtype(self, data_type: DataType) -> DataType | None:
        """Return the dtype that tensors of ``data_type`` are cast to; None if they stay as they are."""
        new = FLOATING_NAMES.get(self.cast or "")
        return new if data_type in FLOATING and data_type != new else None


def plan_edits(checkpoint: Source, edits: Edits) -> Plan:
    """Decide what becomes of each tensor of a checkpoint; reads the index, and the object graph if objects are meant.

    Raises: PlanError if two tensors would get one name, or one gets none, if a node with other ways in would be split, or
        if optimizer state is all that could be stripped; UsageError; FormatError.
    """
    with collector_paused():  # of 100,000 tensors it would make a third of the time
        return _plan_edits(checkpoint, edits)


def _plan_edits(checkpoint: Source, edits: Edits) -> Plan:
    entries, prefix = checkpoint.entries(), checkpoint.prefix
    if not edits.choose_names:
        return Plan(
            prefix, "", tuple(_steps(entries, edits, {})), (), NO_SIZES, issues=tuple(_cast_notes(entries, edits))
        )
    choice = choose(
        prefix,
        entries,
        checkpoint.object_graph,
        drop=edits.drop,
        keep=edits.keep,
        strip_optimizer=edits.strip_optimizer,
    )
    kept = [entry for entry in entries if entry.name not in choice.dropped]
    dropped = [entry for entry in entries if entry.name in choice.dropped]
    graph = _graph_without(checkpoint.object_graph, choice.dropped, choice.tensors)
    if graph is None:
        names = {entry.name: edits.new_name(entry.name) for entry in kept}
        moved, notes = list[Moved](), edits.unused_renames(list(names))
    else:
        renaming = _renamed(graph, kept, edits, prefix)
        names, moved, notes = renaming.names(), renaming.moved, renaming.notes
    steps = _steps(kept, edits, names)
    check_names(prefix, steps)
    if edits.keep and not any(step.source != OBJECT_GRAPH_KEY for step in steps):
        raise PlanError([nothing_left(checkpoint, len(dropped))])
    return Plan(
        prefix,
        "",
        tuple(steps),
        tuple(Dropped(e.name, choice.dropped[e.name], e.nbytes, choice.roles[e.name]) for e in dropped),
        NO_SIZES,
        issues=(*choice.notes, *notes, *_cast_notes(entries, edits)),
        object_graph=None if graph == checkpoint.object_graph else graph,
        moved=tuple(moved),
    )


def _graph_without(graph: ObjectGraph | None, dropped: Collection[str], tensors: ObjectTensors) -> ObjectGraph | None:
    """Return a copy of the graph that asks for no tensor which goes; None if there is none, or it goes itself."""
    if graph is None or OBJECT_GRAPH_KEY in dropped:
        return None
    copy = graph.copy()
    if dropped:
        gone = frozenset(dropped)
        keys = {attribute.checkpoint_key for attribute in graph.attributes()}
        copy.drop_keys({key for key in keys if not gone.isdisjoint(tensors.of_key(key))})
        saved = {tensors.node_of[name] for name in gone if name in tensors.node_of}
        copy.drop_values([number for number in saved if graph.nodes[number].registered_saver is not None])
    return copy


def _renamed(graph: ObjectGraph, kept: Iterable[Entry], edits: Edits, prefix: str) -> Renaming:
    try:
        with located(prefix):
            return rename_objects(graph, [entry.name for entry in kept], edits.rename)
    except PlanError as error:
        *issues, hint = error.issues
        raise PlanError([*(issue._replace(origin=prefix) for issue in issues), hint]) from None


def _steps(entries: Iterable[Entry], edits: Edits, keys: Mapping[str, str]) -> list[Step]:
    return [carrying(e, keys.get(e.name), cast=edits.new_dtype(e.data_type)) for e in entries]


def _cast_notes(entries: Iterable[Entry], edits: Edits) -> list[Issue]:
    if any(edits.new_dtype(entry.data_type) for entry in entries):
        return [Issue("new-dtype")]
    return []


def nothing_left(source: Source, count: int) -> str:
    """Return what to say of globs that keep none of so many tensors."""
    hint = "a glob matches whole names, such as 'bert/*'"
    if OBJECT_GRAPH_KEY in source:
        hint += ", or paths of objects, such as 'model/encoder/*'"
    return f"{source.prefix}: no tensor is left of {count}; {hint}"


def check_names(source: str, steps: Iterable[Step]) -> None:
    """Raise PlanError, with every complaint, if two tensors would get one name, or one gets none."""
    sources: dict[str, list[str]] = {}
    for step in steps:
        sources.setdefault(step.target, []).append(step.source)
    lines = [f"{source}: {_together(n)} would all be called {t!r}" for t, n in sources.items() if len(n) > 1]
    lines += [f"{source}: {name} would have no name" for name in sources.get("", [])]
    reserved = [name for name in sources.get(OBJECT_GRAPH_KEY, []) if name != OBJECT_GRAPH_KEY]
    lines += [f"{source}: {name} would be called {OBJECT_GRAPH_KEY!r}, as object graphs alone are" for name in reserved]
    if lines:
        raise PlanError(lines)


def _together(names: Sequence[str]) -> str:
    return some(names, 2) if len(names) > 2 else " and ".join(names)
