"""Optimizer state: google-research's adam_m, adam_v and global_step, as the slots and the step of a Keras optimizer.

The values go over as they are, in the form of their variable; but the optimizers are not the same. google-research's Adam
divides m by the root of v as they stand. Keras's Adam first corrects both for their bias: at step n it scales the update by
sqrt(1 - beta_2^n) / (1 - beta_1^n), which is 0.18 at the 4th step, 0.63 at the 500th, and 1 after some thousands.
Source: google-research/bert optimization.py; tf_keras/src/optimizers/legacy/adam.py, adamw.py.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tfckpt._proto.types_pb2 import DT_FLOAT, DT_INT64
from tfckpt.base.issues import give
from tfckpt.bundle.values.entry import Entry
from tfckpt.checkpoint.graph.object_graph import (
    ATTRIBUTES,
    SLOT_MARK,
    VARIABLE_VALUE,
    Attribute,
    Node,
    ObjectGraph,
    SlotVariable,
    variable_key,
)
from tfckpt.checkpoint.graph.roles import OPTIMIZER
from tfckpt.errors import UsageError
from tfckpt.families.language.layouts import ObjectRows
from tfckpt.families.language.optimizer import (
    ADAM_SLOTS,
    ADAM_WEIGHT_DECAY,
    OPTIMIZERS,
    TRAINING_STEP,
    Optimizer,
)
from tfckpt.families.language.target import Target, TargetVariable, placed_variables
from tfckpt.planning.bound import Bound
from tfckpt.planning.builder import PlanBuilder
from tfckpt.planning.steps import Fill, Input, NotNegative, Op, Step, carrying, filling

DROP, CONVERT, KEEP = "drop", "convert", "keep"
RATE, SCHEDULED_RATE = "rate", "scheduled rate"  # what a setting is, whatever an optimizer calls it
PIECE = re.compile(
    rf"(.+)/part_([0-9]{{1,9}})/({'|'.join(ADAM_SLOTS.values())})"
)  # of a slot of a partitioned variable
ROOT_EDGE = "optimizer"  # what Model Garden's trainers call it


class SlotOptions(NamedTuple):
    """What becomes of optimizer state: the kind of optimizer, and its learning rate if that is one number."""

    optimizer: Optimizer = ADAM_WEIGHT_DECAY
    learning_rate: float | None = None


def parse_options(slots: str | None, optimizer: str | None, learning_rate: float | None) -> SlotOptions | None:
    """Return what is to be converted, None if nothing is.

    >>> parse_options("convert", "adamw", None).optimizer.name
    'adamw'

    Raises: UsageError.
    """
    if slots != CONVERT and (optimizer is not None or learning_rate is not None):
        raise UsageError("optimizer, learning_rate: they say what slots are converted to; that is slots='convert'")
    if learning_rate is not None and not (math.isfinite(learning_rate) and learning_rate >= 0):
        raise UsageError(f"learning rate: expected a number, 0 or more, got {learning_rate}")
    return SlotOptions(OPTIMIZERS[optimizer or ADAM_WEIGHT_DECAY.name], learning_rate) if slots == CONVERT else None


def state_names(hub: Mapping[str, Entry], targets: Sequence[str]) -> set[str]:
    """Return the hub names of the optimizer's state for these variables, and the training step."""
    slots = {f"{name}/{slot}" for name in targets for slot in ADAM_SLOTS.values()}
    pieces = {name for name in hub if (of := piece_of(name)) is not None and of[0] in slots}
    return ((slots | {TRAINING_STEP}) & hub.keys()) | pieces


def piece_of(name: str) -> tuple[str, int] | None:
    """Return of which slot a hub name is a piece, and which one: TF1 saves those of a partitioned variable one by one.

    >>> piece_of("kernel/part_2/adam_m")
    ('kernel/adam_m', 2)
    """
    match = PIECE.fullmatch(name)
    return None if match is None else (f"{match[1]}/{match[3]}", int(match[2]))


class Pieces(NamedTuple):
    """A slot in pieces, and the axis along which they are joined."""

    entries: list[Entry]
    axis: int


def find_pieces(hub: Mapping[str, Entry], builder: PlanBuilder) -> dict[str, Pieces]:
    """Return the slots that are there in pieces, by hub name; complain about those that do not make up their variable."""
    found: dict[str, dict[int, Entry]] = {}
    for name, entry in hub.items():
        if (of := piece_of(name)) is not None:
            found.setdefault(of[0], {})[of[1]] = entry
    pieces: dict[str, Pieces] = {}
    for name, numbered in found.items():
        variable = hub.get(name.rpartition("/")[0])
        entries = [numbered[number] for number in sorted(numbered)]
        axes = (
            [axis for axis in range(len(variable.shape)) if _make_up(entries, variable.shape, axis)] if variable else []
        )
        if len(axes) == 1 and sorted(numbered) == list(range(len(numbered))) and name not in hub:
            pieces[name] = Pieces(entries, axes[0])
        elif variable is not None:
            builder.complain("slot-of-a-piece", entries[0].name, "", variable.name, give(slots=DROP))
    return pieces


def _make_up(entries: Sequence[Entry], shape: tuple[int, ...], axis: int) -> bool:
    """Whether pieces have a shape together if they are joined along this axis."""
    others = {(*entry.shape[:axis], *entry.shape[axis + 1 :]) for entry in entries if len(entry.shape) == len(shape)}
    is_like = others == {(*shape[:axis], *shape[axis + 1 :])} and all(len(e.shape) == len(shape) for e in entries)
    return is_like and sum(entry.shape[axis] for entry in entries) == shape[axis]


class State(NamedTuple):
    """Steps that write an optimizer's state: those from the source, each with its entry, and those of constants."""

    steps: list[tuple[Entry, Step]]
    constants: list[Step]


def convert_state(
    options: SlotOptions,
    layout: ObjectRows,
    target: Target,
    bound: Bound,
    hub: Mapping[str, Entry],
    written: Mapping[str, Step],
    gone: Mapping[str, str],
    builder: PlanBuilder,
) -> State:
    """Return the steps for an optimizer's state, and add its nodes to the target's graph.

    Args:
        options: the optimizer.
        layout: the target.
        target: its graph and variables.
        bound: what the source holds; of several slots for one hub name, each goes to its own variable.
        hub: the source's entries by hub name.
        written: the steps of the model's variables, by key.
        gone: by hub name, the rules that leave out entries.
        builder: gets what is missing, has another shape or dtype than its variable, or has no known place.
    """
    state = State([], [])
    names = dict.fromkeys(name for variable in target.variables for name in variable.names)
    assert target.graph is not None
    pieces = find_pieces(hub, builder)
    joined = {
        name: found.entries[0]._replace(shape=hub[name.rpartition("/")[0]].shape) for name, found in pieces.items()
    }
    hub = {**hub, **joined} if joined else hub
    if not any(f"{name}/{slot}" in hub for name in names for slot in ADAM_SLOTS.values()):
        builder.complain("no-slots", expected=" or ".join(ADAM_SLOTS.values()))
        return state
    _add_step(options.optimizer, hub, gone, target.graph, state, builder)
    _add_settings(options, bound.settings, target.graph, state, builder)
    for name in names:
        _check_pair(name, hub, gone, builder)
    if options.optimizer.lists:
        _add_lists(options.optimizer, layout, target, bound, hub, written, state, builder, pieces)
    else:
        _add_slots(target, bound, hub, written, state, pieces)
    return state


def _add_settings(
    options: SlotOptions, settings: Mapping[str, Entry], graph: ObjectGraph, state: State, builder: PlanBuilder
) -> None:
    """Add an optimizer's hyperparameters: the source's where it has them, and else values that no TF1 checkpoint holds.

    A schedule's rate is computed anew at each step.
    """
    optimizer = options.optimizer
    fitting = {what: entry for what, entry in settings.items() if (entry.data_type, entry.shape) == (DT_FLOAT, ())}
    if options.learning_rate is not None:
        fitting.pop(RATE, None)
    wanted: list[tuple[str, str, float]] = [(name, name, value) for name, value in optimizer.constants]
    if options.learning_rate is not None or RATE in fitting:
        wanted.append((RATE, optimizer.rate, options.learning_rate or 0.0))
    elif optimizer.scheduled_rate:
        wanted.append((SCHEDULED_RATE, optimizer.scheduled_rate, 0.0))
    for what, edge, value in wanted:
        path = f"{ROOT_EDGE}/{edge}"
        if what in fitting:
            entry = fitting.pop(what)
            _add_node(graph, path, variable_key(path))
            state.steps.append((entry, carrying(entry, variable_key(path))))
        else:
            _add_constant(graph, path, value, state)
    taken = {entry.name for entry, _ in state.steps}
    for entry in settings.values():
        if entry.name not in taken:
            builder.drop(entry, OPTIMIZER)


def _check_pair(name: str, hub: Mapping[str, Entry], gone: Mapping[str, str], builder: PlanBuilder) -> None:
    """Complain unless a variable has all slots or none, each of its own shape and dtype."""
    found = {slot: hub.get(f"{name}/{slot}") for slot in ADAM_SLOTS.values()}
    variable = hub.get(name)
    for slot, entry in found.items():
        if entry is None:
            if any(found.values()):
                why = gone.get(f"{name}/{slot}", "missing")
                builder.complain("missing-slot", f"{name}/{slot}", "", why)
        elif variable is not None and (entry.shape, entry.data_type) != (variable.shape, variable.data_type):
            expected = f"{variable.dtype_name}{list(variable.shape)}, as {variable.name}"
            builder.complain("wrong-shape", entry.name, expected, f"{entry.dtype_name}{list(entry.shape)}")


def _add_step(
    optimizer: Optimizer,
    hub: Mapping[str, Entry],
    gone: Mapping[str, str],
    graph: ObjectGraph,
    state: State,
    builder: PlanBuilder,
) -> None:
    entry = hub.get(TRAINING_STEP)
    key = variable_key(f"{ROOT_EDGE}/{optimizer.step}")
    if entry is None:
        builder.complain("missing-step", TRAINING_STEP, key, gone.get(TRAINING_STEP, "missing"))
    elif (entry.data_type, entry.shape) != (DT_INT64, ()):
        builder.complain("wrong-shape", entry.name, "int64[]", f"{entry.dtype_name}{list(entry.shape)}")
    else:
        _add_node(graph, f"{ROOT_EDGE}/{optimizer.step}", key)
        state.steps.append((entry, carrying(entry, key)))


def _add_constant(graph: ObjectGraph, path: str, value: float, state: State) -> None:
    key = variable_key(path)
    _add_node(graph, path, key)
    state.constants.append(filling(key, DT_FLOAT, (), Fill(value)))


def _add_node(graph: ObjectGraph, path: str, key: str) -> int:
    """Add a variable's node and return its number; every node on the way says that it holds values."""
    edges = path.split("/")
    for depth in range(1, len(edges) + 1):
        number = graph.node_at(tuple(edges[:depth]))
        graph.nodes[number].has_checkpoint_values = True
    graph.nodes[number].attributes = [Attribute(VARIABLE_VALUE, key)]
    return number


def _slot_step(
    variable: TargetVariable,
    slot: str,
    key: str,
    bound: Bound,
    hub: Mapping[str, Entry],
    step: Step,
    number: int,
    pieces: Mapping[str, Pieces],
) -> tuple[Entry, Step] | None:
    """Return the step for a slot, in the form of its variable's, which is the one of this number with its hub name."""
    copies = bound.copies.get(f"{variable.name}/{slot}", ())
    if 0 < number <= len(copies):
        (item,) = step.inputs
        source = copies[number - 1].source
        first = hub[f"{variable.name}/{slot}"]
        return first._replace(name=source), step._replace(target=key, inputs=(item._replace(source=source),))
    found = [entry for name in variable.names if (entry := hub.get(f"{name}/{slot}")) is not None]
    if len(found) < len(variable.names) or step.fill is not None:
        return None
    if (parts := pieces.get(f"{variable.name}/{slot}")) is not None and len(step.inputs) == 1:
        checks = (_checks(bound, f"{variable.name}/part_{number}/{slot}") for number in range(len(parts.entries)))
        read = (Input(e.name, e.data_type, e.shape, ops=ops) for e, ops in zip(parts.entries, checks, strict=True))
        return found[0], step._replace(target=key, inputs=tuple(read), axis=parts.axis, ops=step.inputs[0].ops)
    inputs = tuple(
        of._replace(source=entry.name, data_type=entry.data_type, ops=(*_checks(bound, f"{name}/{slot}"), *of.ops))
        for name, of, entry in zip(variable.names, step.inputs, found, strict=True)
    )
    return found[0], step._replace(target=key, inputs=inputs)


def _checks(bound: Bound, name: str) -> tuple[Op, ...]:
    """Return what is checked of a slot's values: all else becomes of them what becomes of their variable's."""
    found = bound.inputs.get(name)
    return tuple(op for op in found.ops if isinstance(op, NotNegative)) if found is not None else ()


def _numbers(variables: Sequence[TargetVariable]) -> list[int]:
    """Return for each variable how many before it have its hub name."""
    seen: Counter[str] = Counter()
    numbers = []
    for variable in variables:
        numbers.append(seen[variable.name])
        seen[variable.name] += 1
    return numbers


def _add_slots(
    target: Target,
    bound: Bound,
    hub: Mapping[str, Entry],
    written: Mapping[str, Step],
    state: State,
    pieces: Mapping[str, Pieces],
) -> None:
    """Add slot variables as the graph of a legacy optimizer has them: no edge leads there."""
    graph = target.graph
    assert graph is not None
    optimizer = graph.nodes[graph.node_at((ROOT_EDGE,))]
    numbers = {a.checkpoint_key: number for number, node in enumerate(graph.nodes) for a in node.attributes}
    of_name = _numbers(target.variables)
    for slot, name in ADAM_SLOTS.items():
        for variable, number in zip(target.variables, of_name, strict=True):
            key = variable_key(f"{variable.key.partition(ATTRIBUTES)[0]}{SLOT_MARK}{ROOT_EDGE}/{slot}")
            step = written.get(variable.key)
            found = None if step is None else _slot_step(variable, name, key, bound, hub, step, number, pieces)
            if found is not None:
                optimizer.slot_variables.append(SlotVariable(numbers[variable.key], slot, len(graph.nodes)))
                graph.nodes.append(Node(attributes=[Attribute(VARIABLE_VALUE, key)], has_checkpoint_values=True))
                state.steps.append(found)


def _add_lists(
    optimizer: Optimizer,
    layout: ObjectRows,
    target: Target,
    bound: Bound,
    hub: Mapping[str, Entry],
    written: Mapping[str, Step],
    state: State,
    builder: PlanBuilder,
    pieces: Mapping[str, Pieces],
) -> None:
    """Add slots as a new Keras optimizer keeps them: in the order of its variables, zeros where the source has none."""
    order = variable_order(layout, hub)
    if order is None:
        model = f"{layout.name!r} of {layout.family.name}"
        other = ADAM_WEIGHT_DECAY.name
        builder.complain("unknown-order", repr(optimizer.name), model, repr(other), give(optimizer=other))
        return
    graph, base = target.graph, f"{ROOT_EDGE}/{optimizer.variables}"
    assert graph is not None
    of_name = _numbers(target.variables)
    graph.add_edge((ROOT_EDGE, optimizer.variables, "0"), graph.node_at((ROOT_EDGE, optimizer.step)))
    for index, place in enumerate(order):
        variable = target.variables[place]
        for offset, (slot, name) in enumerate(ADAM_SLOTS.items(), 1):
            path = f"{base}/{len(ADAM_SLOTS) * index + offset}"
            number = _add_node(graph, path, variable_key(path))
            graph.add_edge((ROOT_EDGE, optimizer.lists[slot], str(index)), number)
            step = written.get(variable.key)
            if step is None:
                continue  # complained about already
            found = _slot_step(variable, name, variable_key(path), bound, hub, step, of_name[place], pieces)
            if found is not None:
                state.steps.append(found)
            else:
                state.constants.append(filling(variable_key(path), step.data_type, step.shape, Fill()))
    for node in (graph.node_at((ROOT_EDGE, edge)) for edge in (optimizer.variables, *optimizer.lists.values())):
        graph.nodes[node].has_checkpoint_values = True


def variable_order(layout: ObjectRows, names: Mapping[str, object]) -> list[int] | None:
    """Return the places of a target's variables, in the order of the model's ``trainable_variables``; None if unknown.

    Args:
        layout: the target; its variables are counted as `build_target` lists them.
        names: the hub names that the model has.
    """
    order = layout.family.order
    if order is None:
        return None
    keys = [order.position(layout.name, at.path, variable) for at, variable in placed_variables(layout, names.keys())]
    known = [key for key in keys if key is not None]
    return sorted(range(len(keys)), key=known.__getitem__) if len(known) == len(keys) else None
