"""Optimizer state on the way back: the slots of whatever optimizer the graph holds, as adam_m, adam_v and global_step."""

from __future__ import annotations

from collections.abc import Iterator

from tfckpt.base.issues import give
from tfckpt.checkpoint.graph.object_graph import Node, ObjectGraph, value_of
from tfckpt.errors import count_of
from tfckpt.families.language.layouts import ObjectRows
from tfckpt.families.language.match import Found, Match
from tfckpt.families.language.optimizer import ADAM_SLOTS, OPTIMIZERS, Optimizer
from tfckpt.planning.builder import PlanBuilder
from tfckpt.planning.optimizer.slots import DROP, RATE, SCHEDULED_RATE, variable_order


class FoundState:
    """An optimizer's tensors in a graph.

    Attributes:
        slots: the slots of the model's variables, under the names that they have in TF1.
        step: key of the step; empty if there is none.
        settings: keys of its hyperparameters, by what they are: ``"rate"``, ``"scheduled rate"``, or their own name.
        other: keys of what TF1 has no place for: hyperparameters, and slots of variables outside the model.
    """

    def __init__(self, step: str = "") -> None:
        self.slots: list[Found] = []
        self.step = step
        self.settings: dict[str, str] = {}
        self.other: set[str] = set()


def find_state(graph: ObjectGraph, match: Match, builder: PlanBuilder) -> FoundState:
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
        builder.complain("no-optimizer", expected=", ".join(ADAM_SLOTS), got=str(len(found)))
        return FoundState()
    ((number, kind),) = found
    node = graph.nodes[number]
    state = FoundState(step=_key(graph, node.children[kind.step]))
    if kind.lists:
        _read_lists(graph, node, kind, match, state, builder)
    else:
        held = {(s.original_variable, s.slot_name): s.slot_variable for s in node.slot_variables}
        for item in match.found:  # a hub name may be held several times, each with slots of its own
            slots = [(slot, held[item.node, slot]) for slot in ADAM_SLOTS if (item.node, slot) in held]
            state.slots += [_slot(graph, item, *slot) for slot in slots]
    edges = {kind.rate: RATE, kind.scheduled_rate: SCHEDULED_RATE, **{name: name for name, _ in kind.constants}}
    state.settings = {edges[name]: _key(graph, child) for name, child in node.children.items() if name in edges}
    state.other = set(_keys_below(graph, number)) - {slot.key for slot in state.slots} - {state.step}
    return state


def _is_kind(graph: ObjectGraph, node: Node, kind: Optimizer) -> bool:
    """Whether a node is an optimizer of this kind: others keep slots of the same names, and more beside them."""
    known = {kind.step, kind.rate, kind.scheduled_rate, kind.variables, kind.places, *kind.lists.values()}
    known |= {name for name, _ in kind.constants}
    if kind.step not in node.children or not node.children.keys() <= known:
        return False
    if kind.lists:
        return node.children.keys() >= set(kind.lists.values())
    return {slot.slot_name for slot in node.slot_variables} == ADAM_SLOTS.keys()


def _read_lists(
    graph: ObjectGraph, node: Node, kind: Optimizer, match: Match, state: FoundState, builder: PlanBuilder
) -> None:
    assert isinstance(match.layout, ObjectRows)  # the only kind that graphs hold
    order = variable_order(match.layout, {item.variable.name: item for item in match.found})
    nodes = list(dict.fromkeys(item.node for item in match.found))  # two parts may share one
    for slot, edge in kind.lists.items():
        children = graph.nodes[node.children[edge]].children
        if order is None or len(order) != len(nodes) or children.keys() != set(map(str, range(len(order)))):
            what = "in an order that is not known" if order is None else "to train"
            has = f"the {match.layout.name!r} has {count_of(nodes, 'variable')} {what}"
            builder.complain("other-slots", edge, has, f"{len(children)} slots", give(slots=DROP))
            return
        indices = {nodes[place]: index for index, place in enumerate(order)}
        for item in match.found:  # a hub name may be held several times, each with slots of its own
            state.slots.append(_slot(graph, item, slot, children[str(indices[item.node])]))


def _slot(graph: ObjectGraph, owner: Found, slot: str, number: int) -> Found:
    """Return a slot in the place of its variable."""
    return Found(owner.variable.slot(ADAM_SLOTS[slot]), number, _key(graph, number))


def _key(graph: ObjectGraph, number: int) -> str:
    value = value_of(graph.nodes[number])
    return "" if value is None else value.checkpoint_key


def _keys_below(graph: ObjectGraph, number: int) -> Iterator[str]:
    """Yield every key of a node, of what its edges reach, and of its slot variables."""
    seen, queue = {number}, [number]
    while queue:
        node = graph.nodes[queue.pop()]
        yield from (attribute.checkpoint_key for attribute in node.attributes)
        below = {*node.children.values(), *(slot.slot_variable for slot in node.slot_variables)} - seen
        seen |= below
        queue += below
