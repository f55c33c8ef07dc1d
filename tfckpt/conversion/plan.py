"""What a conversion will do, decided from names and shapes alone: nothing is read but the index, nothing is written.

Strategy: every source variable becomes a step, is dropped by a rule that has a name, or is a complaint; every variable
that the target wants and does not get is one too. All complaints are raised together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tfckpt._proto.types_pb2 import DT_FLOAT, DataType
from tfckpt.bundle.dtypes import dtype_name
from tfckpt.bundle.entry import Entry, encode_name
from tfckpt.checkpoint.object_graph import (
    OBJECT_GRAPH_KEY,
    ROOT,
    VARIABLE_VALUE,
    Attribute,
    ObjectGraph,
    split_path,
    variable_key,
)
from tfckpt.conversion.config import NUM_HEADS, NUM_LAYERS, Config
from tfckpt.errors import PlanError, UsageError
from tfckpt.layouts.axes import Mismatch, Size, Sizes, keeps_bytes, target_shape
from tfckpt.layouts.rules import Alias, Layout, NameLayout, ObjectLayout, Variable

AS_GIVEN = "as given"


@dataclass(frozen=True, slots=True)
class Step:
    """One tensor that goes from source to destination."""

    source: str  # its name there
    target: str  # its key in the destination
    data_type: DataType
    source_shape: tuple[int, ...]
    shape: tuple[int, ...]
    nbytes: int
    axes: str | None = None  # the pattern that leads from one shape to the other; None: as it is
    letters: Mapping[str, int] = field(default_factory=dict)  # what the pattern's letters stand for
    cast: DataType | None = None  # the dtype it gets, if another

    @property
    def is_transposed(self) -> bool:
        """Whether the values change places."""
        return self.axes is not None and not keeps_bytes(self.axes)

    @property
    def keeps_bytes(self) -> bool:
        """Whether the stored bytes can be carried as they are."""
        return self.cast is None and not self.is_transposed


@dataclass(frozen=True, slots=True)
class Dropped:
    """One source tensor that does not go along, and the rule that says so."""

    source: str
    rule: str
    nbytes: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole conversion: plain data, which pickles.

    Attributes:
        source: prefix of the checkpoint to convert.
        to: name of the target's layout; empty if the layout stays.
        steps: tensors to write, in the order of the data file.
        dropped: tensors left out.
        sizes: sizes of the model by configuration field, each with its origin; the head count is among them if one is used.
        scope: what stood before the hub's names in the source, e.g. ``"module/"``.
        notes: what a user should know.
        object_graph: the graph to write; None for a name-based target.
    """

    source: str
    to: str
    steps: tuple[Step, ...]
    dropped: tuple[Dropped, ...]
    sizes: Mapping[str, Size]
    scope: str = ""
    notes: tuple[str, ...] = ()
    object_graph: ObjectGraph | None = None

    @property
    def num_heads(self) -> int | None:
        """The head count used, which shapes cannot prove; None if nothing was split into heads."""
        return self.sizes[NUM_HEADS].value if NUM_HEADS in self.sizes else None

    @property
    def nbytes(self) -> int:
        """Bytes of tensors to write."""
        return sum(step.nbytes for step in self.steps)

    def dropped_by_rule(self) -> dict[str, list[Dropped]]:
        """Return the dropped tensors, grouped."""
        groups: dict[str, list[Dropped]] = {}
        for item in self.dropped:
            groups.setdefault(item.rule, []).append(item)
        return groups

    def to_json(self) -> dict[str, Any]:
        """Return the report as what ``json.dumps`` takes: strings, numbers, lists, dicts."""
        return {
            "source": self.source,
            "to": self.to,
            "scope": self.scope,
            "num_heads": self.num_heads,
            "sizes": {name: {"value": size.value, "origin": size.origin} for name, size in self.sizes.items()},
            "nbytes": self.nbytes,
            "steps": [_step_to_json(step) for step in self.steps],
            "dropped": [{"source": d.source, "rule": d.rule, "nbytes": d.nbytes} for d in self.dropped],
            "notes": list(self.notes),
        }


def _step_to_json(step: Step) -> dict[str, Any]:
    return {
        "source": step.source,
        "target": step.target,
        "dtype": dtype_name(step.data_type),
        "source_shape": list(step.source_shape),
        "shape": list(step.shape),
        "nbytes": step.nbytes,
        "axes": step.axes,
        "cast": None if step.cast is None else dtype_name(step.cast),
        "keeps_bytes": step.keeps_bytes,
    }


class _Complaints:
    """Everything that is wrong, gathered; shapes that are wrong for one reason become one line."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._mismatches: dict[Mismatch, list[str]] = {}

    def add(self, line: str) -> None:
        self._lines.append(line)

    def add_mismatch(self, mismatch: Mismatch, entry: Entry) -> None:
        self._mismatches.setdefault(mismatch, []).append(f"{entry.name} {list(entry.shape)}")

    def raise_any(self, source: str) -> None:
        lines = list(self._lines)
        for mismatch, names in self._mismatches.items():
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            lines.append(f"{names[0]}{more}: expected {mismatch.expected}, got {mismatch.got}")
        if lines:
            raise PlanError([f"{source}: {line}" for line in lines])


def make_plan(
    source: str,
    entries: Sequence[Entry],
    layout: Layout,
    *,
    config: Config | None = None,
    num_heads: int | None = None,
    exclude: Sequence[str] = (),
) -> Plan:
    """Decide what happens to each of a checkpoint's tensors.

    Args:
        source: prefix of the checkpoint, for messages and the report.
        entries: what its index says.
        layout: the target.
        config: the model's sizes, if known; a name-based layout does not look at them.
        num_heads: number of attention heads, if not from ``config``.
        exclude: substrings; a variable whose name has one is left out.
    Raises:
        PlanError: with every complaint.
        UsageError: the head count is negative.
    """
    if num_heads is not None and num_heads < 0:
        raise UsageError(f"number of attention heads: expected 1 or more, got {num_heads}")
    kept, dropped = _exclude(entries, exclude)
    if isinstance(layout, NameLayout):
        return _plan_names(source, kept, dropped, layout, num_heads)
    return _plan_objects(source, kept, dropped, layout, config, num_heads)


def _exclude(entries: Iterable[Entry], patterns: Sequence[str]) -> tuple[list[Entry], list[Dropped]]:
    kept, dropped = [], []
    for entry in entries:
        pattern = next((pattern for pattern in patterns if pattern in entry.name), None)
        if pattern is None:
            kept.append(entry)
        else:
            dropped.append(Dropped(entry.name, f"excluded by {pattern!r}", entry.nbytes))
    return kept, dropped


def _make_step(entry: Entry, target: str, axes: str | None, sizes: Sizes, complaints: _Complaints) -> Step | None:
    """Return the step for one tensor, or complain about its shape."""
    if axes is None:
        return Step(entry.name, target, entry.data_type, entry.shape, entry.shape, entry.nbytes)
    letters = sizes.bind(entry.name, entry.shape, axes)
    if isinstance(letters, Mismatch):
        complaints.add_mismatch(letters, entry)
        return None
    shape = target_shape(axes, letters)
    return Step(entry.name, target, entry.data_type, entry.shape, shape, entry.nbytes, axes, letters)


def _plan_names(
    source: str, entries: list[Entry], dropped: list[Dropped], layout: NameLayout, num_heads: int | None
) -> Plan:
    complaints = _Complaints()
    sizes = Sizes(layout.sizes, {NUM_HEADS: Size(num_heads, AS_GIVEN)} if num_heads else {})
    names: dict[str, str] = {}
    steps = []
    for entry in entries:
        target = layout.rename(entry.name)
        first = names.setdefault(target, entry.name)
        if first != entry.name:
            complaints.add(f"{first} and {entry.name} would both be called {target}")
        step = _make_step(entry, target, layout.axes(entry.name) if num_heads else None, sizes, complaints)
        if step is not None:
            steps.append(step)
    complaints.raise_any(source)
    unchanged = [step.source for step in steps if step.source == step.target]
    notes = [f"{len(unchanged)} names pass through as they are: {', '.join(unchanged)}"] if unchanged else []
    if not num_heads:
        notes.append("no head count given: attention weights keep their TF1 shapes")
    steps.sort(key=lambda step: encode_name(step.target))  # as tf.compat.v1.train.Saver writes its variables
    return Plan(source, layout.name, tuple(steps), tuple(dropped), sizes.known, notes=tuple(notes))


def _plan_objects(
    source: str,
    entries: list[Entry],
    dropped: list[Dropped],
    layout: ObjectLayout,
    config: Config | None,
    num_heads: int | None,
) -> Plan:
    complaints = _Complaints()
    scope, hub = _hub_names(source, entries, layout, complaints)
    sizes = Sizes(layout.sizes, _known_sizes(config, num_heads, complaints))
    layers = _layers(hub, layout, sizes, complaints)
    variables = {variable.name: variable for variable in layout.part.variables(layers)}
    graph, keys = _object_graph(layout, list(variables.values()), layout.part.all_aliases(layers))

    steps = []
    for name, entry in hub.items():
        rule = next((drop.rule for drop in layout.drops if drop.matches(name)), None)
        if name in variables:
            axes = variables[name].axes
            if NUM_HEADS not in sizes.known and _needs_heads(axes, layout):
                continue  # complained about once
            step = _make_step(entry, keys[name], axes, sizes, complaints)
            if step is not None:
                steps.append((entry.shard, entry.offset, step))
        elif rule is not None:
            dropped.append(Dropped(entry.name, rule, entry.nbytes))
        else:
            complaints.add(f"{entry.name} {list(entry.shape)}: a variable that {layout.name!r} neither takes nor drops")
    for name in (name for name in variables if name not in hub):
        complaints.add(f"{scope}{name}: missing, and {layout.name!r} needs it for {keys[name]}")
    complaints.raise_any(source)
    ordered = tuple(step for *_, step in sorted(steps, key=lambda item: item[:2]))
    notes = _notes(scope, ordered)
    return Plan(source, layout.name, ordered, tuple(dropped), sizes.known, scope, notes, graph)


def _hub_names(
    source: str, entries: list[Entry], layout: ObjectLayout, complaints: _Complaints
) -> tuple[str, dict[str, Entry]]:
    """Return the scope before the hub's names, and the entries under those names.

    Raises: PlanError at once if this is no checkpoint of the layout's family: nothing else would make sense.
    """
    names = {entry.name for entry in entries}
    anchors = [name for name in sorted(names) if ("/" + name).endswith("/" + layout.anchor)]
    if not anchors:
        found = "it is object-based already" if OBJECT_GRAPH_KEY in names else f"{len(names)} other variables"
        raise PlanError(
            [f"{source}: no variable {layout.anchor!r}, which every source of {layout.name!r} has; {found}"]
        )
    if len(anchors) > 1:
        complaints.add(f"several models, and one is expected: {', '.join(anchors)}")
    scope = anchors[0].removesuffix(layout.anchor)
    hub: dict[str, Entry] = {}
    for entry in entries:
        first = hub.setdefault(entry.name.removeprefix(scope), entry)
        if first is not entry:
            complaints.add(f"{first.name} and {entry.name} differ only by the scope {scope!r}")
    return scope, hub


def _known_sizes(config: Config | None, num_heads: int | None, complaints: _Complaints) -> dict[str, Size]:
    """Return the sizes that are given, the head count among them: it has no default and is never guessed."""
    known = {name: Size(value, config.origin) for name, value in config.sizes.items()} if config else {}
    stated = known.get(NUM_HEADS)
    if num_heads:
        known[NUM_HEADS] = Size(num_heads, AS_GIVEN)
        if stated is not None and stated.value != num_heads:
            complaints.add(f"{NUM_HEADS}: {num_heads} {AS_GIVEN}, but {stated.value} in {stated.origin}")
    elif stated is None:
        where = f"{config.origin} does not state it" if config else "no configuration file lies beside the checkpoint"
        complaints.add(f"{NUM_HEADS} is unknown, and shapes do not tell it: {where}; give --config or --num-heads")
    return known


def _layers(hub: Mapping[str, Entry], layout: ObjectLayout, sizes: Sizes, complaints: _Complaints) -> list[int]:
    """Return the numbers of the layers that the source has."""
    found = sorted({n for n in map(layout.part.per_layer.layer_of, hub) if n is not None})
    if found != list(range(len(found))):
        complaints.add(f"layers: expected 0 to {len(found) - 1}, got {', '.join(map(str, found))}")
    stated = sizes.known.get(NUM_LAYERS)
    if stated is not None and stated.value != len(found):
        complaints.add(f"{NUM_LAYERS}: {stated.value} in {stated.origin}, but the checkpoint has {len(found)} layers")
    sizes.known.setdefault(NUM_LAYERS, Size(len(found), "variable names"))
    return found


def _needs_heads(axes: str, layout: ObjectLayout) -> bool:
    return any(layout.sizes.get(letter) == NUM_HEADS for letter in axes)


def _object_graph(
    layout: ObjectLayout, variables: Sequence[Variable], aliases: Sequence[Alias]
) -> tuple[ObjectGraph, dict[str, str]]:
    """Return the graph of the target, and each variable's checkpoint key by hub name.

    Every container is reachable by its attribute's name and by its Keras number, from every root; all nodes say that
    they hold values, so that TensorFlow waits for objects that are created later.
    """
    graph, keys = ObjectGraph(), {}
    model = split_path(layout.roots[0])
    numbered = layout.part.numbered([variable.path for variable in variables])
    for container, alias in numbered.items():
        graph.add_edge((*model, alias), graph.node_at(model + split_path(container)))
    for variable in variables:
        container = next(c for c in numbered if variable.path.startswith(c + "/"))
        key = variable_key(f"{layout.roots[0]}/{numbered[container]}{variable.path.removeprefix(container)}")
        node = graph.nodes[graph.node_at(model + split_path(variable.path))]
        node.attributes.append(Attribute(VARIABLE_VALUE, key))
        keys[variable.name] = key
    for alias, path in aliases:
        graph.add_edge(model + split_path(alias), graph.node_at(model + split_path(path)))
    for root in layout.roots[1:]:
        if root:
            graph.add_edge(split_path(root), graph.node_at(model))
        else:
            graph.nodes[ROOT].children |= graph.nodes[graph.node_at(model)].children
    for placeholder in layout.placeholders:
        graph.node_at(split_path(placeholder))
    for node in graph.nodes:
        node.has_checkpoint_values = True
    return graph, keys


def _notes(scope: str, steps: Sequence[Step]) -> tuple[str, ...]:
    notes = [f"the scope {scope!r} before the variables' names is left out"] if scope else []
    others = Counter(step.data_type for step in steps if step.data_type != DT_FLOAT)
    notes += [
        f"{count} variables are {dtype_name(data_type)}: TensorFlow does not cast when it restores, "
        "so the model must have that dtype too"
        for data_type, count in others.items()
    ]
    return tuple(notes)
