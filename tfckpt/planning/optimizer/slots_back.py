"""Optimizer state on the way back: the slots of whatever optimizer the graph holds, as adam_m, adam_v and global_step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tfckpt.base.issues import give
from tfckpt.checkpoint.graph.object_graph import VARIABLE_VALUE, Node, ObjectGraph
from tfckpt.errors import count_of
from tfckpt.families.language.match import Found, Match
from tfckpt.families.optimizer import ADAM_SLOTS, OPTIMIZERS, Optimizer
from tfckpt.planning.optimizer.slots import DROP, variable_order
from tfckpt.planning.planning import Complaints


@dataclass(slots=True)
class FoundState:
    """An optimizer's tensors in a graph.

    Attributes:
        slots: the slots of the model's variables, under the names that they have in TF1.
        step: key of the step; empty if there is none.
        other: keys of what TF1 has no place for: hyperparameters, and slots of variables outside the model.
    """

    slots: list[Found] = field(default_factory=list)
    step: str = ""
    other: set[str] = field(default_factory=set)


def find_state(graph: ObjectGraph, match: Match, complaints: Complaints) -> FoundState:
    """Return the state of the optimizer that the graph holds, of either kind.

    Complains if there is none, or several, or one that lists its slots for other variables than the model's.
    """
    found = [
        (number, kind)
        for number, node in enumerate(graph.nodes)
        for kind in OPTIMIZERS.values()
        if _is_kind(graph, node, kind)
    ]
    if len(found) != 1:
        complaints.add("no-optimizer", expected=", ".join(ADAM_SLOTS), got=str(len(found)))
        return FoundState()
    ((number, kind),) = found
    node = graph.nodes[number]
    state = FoundState(step=_key(graph, node.children[kind.step]))
    if kind.lists:
        _read_lists(graph, node, kind, match, state, complaints)
    else:
        owners = {item.node: item for item in match.found}
        for reference in node.slot_variables:
            if reference.original_variable in owners and reference.slot_name in ADAM_SLOTS:
                owner = owners[reference.original_variable]
                state.slots.append(_slot(graph, owner, reference.slot_name, reference.slot_variable))
    state.other = set(_keys_below(graph, number)) - {slot.key for slot in state.slots} - {state.step}
    return state


def _is_kind(graph: ObjectGraph, node: Node, kind: Optimizer) -> bool:
    if kind.lists:
        return node.children.keys() >= {kind.step, *kind.lists.values()}
    return kind.step in node.children and {slot.slot_name for slot in node.slot_variables} >= ADAM_SLOTS.keys()


def _read_lists(
    graph: ObjectGraph, node: Node, kind: Optimizer, match: Match, state: FoundState, complaints: Complaints
) -> None:
    order = variable_order(match.layout, {item.variable.name: item for item in match.found})
    for slot, edge in kind.lists.items():
        children = graph.nodes[node.children[edge]].children
        if order is None or children.keys() != {str(index) for index in range(len(order))}:
            what = "in an order that is not known" if order is None else "to train"
            has = f"the {match.layout.name!r} has {count_of(match.found, 'variable')} {what}"
            complaints.add("other-slots", edge, has, f"{len(children)} slots", give(slots=DROP))
            return
        for index, place in enumerate(order):
            state.slots.append(_slot(graph, match.found[place], slot, children[str(index)]))


def _slot(graph: ObjectGraph, owner: Found, slot: str, number: int) -> Found:
    """Return a slot in the place of its variable."""
    variable = owner.variable._replace(name=f"{owner.variable.name}/{ADAM_SLOTS[slot]}")
    return Found(variable, number, _key(graph, number))


def _key(graph: ObjectGraph, number: int) -> str:
    return next((a.checkpoint_key for a in graph.nodes[number].attributes if a.name == VARIABLE_VALUE), "")


def _keys_below(graph: ObjectGraph, number: int) -> Iterator[str]:
    """Yield every key of a node, of what its edges reach, and of its slot variables."""
    seen, queue = {number}, [number]
    while queue:
        node = graph.nodes[queue.pop()]
        yield from (attribute.checkpoint_key for attribute in node.attributes)
        below = {*node.children.values(), *(slot.slot_variable for slot in node.slot_variables)} - seen
        seen |= below
        queue += below
