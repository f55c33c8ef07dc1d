"""Roles of tensors, told by the object graph that leads to them.

Strategy: optimizers are known by what their nodes hold, whatever edge leads there. What an optimizer has made is its slot
variables, its scalars and its lists of variables. Everything that the root reaches without passing through an optimizer is
not the optimizer's, nor is what it trains: `_trainable_variables` and the originals of its slots. So a weight that both lead
to stays the model's. No walk recurses, and each node is walked once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from tfckpt.bundle.values.entry import Entry
from tfckpt.checkpoint.graph.object_graph import ATTRIBUTES, ROOT, SLOT_MARK, Attribute, Node, ObjectGraph, SlotVariable
from tfckpt.checkpoint.graph.object_tensors import ObjectTensors
from tfckpt.checkpoint.graph.optimizer_lists import is_surely_optimizer
from tfckpt.checkpoint.graph.optimizers import (
    ARCHIVE,
    ARCHIVED,
    AVERAGE_NAMES,
    AVERAGE_WORDS,
    AVERAGED,
    CALLED,
    COPY,
    HYPERPARAMETERS,
    ITERATOR,
    LEGACY_STEP,
    LOSS_SCALE,
    METRIC,
    METRIC_VARIABLES,
    METRICS_EDGES,
    MODEL,
    MOVING_AVERAGE,
    OPTIMIZER,
    POWERS,
    RANDOM_EDGES,
    RANDOM_NAMES,
    RANDOM_STATE,
    SAVE_COUNTER,
    SAVE_COUNTER_EDGE,
    STEPS,
    TRAINED,
    TRAINING_STATE,
    TRAINING_STEP,
)

MOST_PARTS = 20  # of a key, on average: what is beyond is in no tree of keys


def roles_in_graph(graph: ObjectGraph, tensors: ObjectTensors, entries: Mapping[str, Entry]) -> dict[str, str]:
    """Return the role of each tensor that an object of the graph stands for.

    Args:
        graph: any graph whose references are in bounds.
        tensors: of its attributes.
        entries: of these tensors, by name.
    """
    of_node = _Nodes(graph, tensors, entries).roles()
    roles = {}
    for name, number in tensors.node_of.items():
        iterates = name.partition(ATTRIBUTES)[2].startswith(ITERATOR)
        roles[name] = TRAINING_STATE if iterates else of_node.get(number, MODEL)
    for name in _copies(graph, tensors, entries):
        if roles[name] == MODEL:
            roles[name] = COPY
    return roles


def graph_of_keys(names: Iterable[str]) -> ObjectGraph:
    """Return the tree that the keys of an object-based checkpoint spell, where its own graph is not there.

    >>> graph = graph_of_keys(["w/.ATTRIBUTES/VARIABLE_VALUE", "w/.OPTIMIZER_SLOT/opt/m/.ATTRIBUTES/VARIABLE_VALUE"])
    >>> graph.nodes[0].children, graph.nodes[2].slot_variables
    ({'w': 1, 'opt': 2}, [SlotVariable(original_variable=1, slot_name='m', slot_variable=3)])
    """
    graph, names = ObjectGraph(), list(names)
    room = MOST_PARTS * len(names) + 1000
    for name in names:
        path, _, attribute = name.partition(ATTRIBUTES)
        owner, slot, state = path.partition(SLOT_MARK)
        if path.count("/") + len(graph.nodes) > room:
            continue
        number = graph.node_at(tuple(owner.split("/")))
        if slot:
            optimizer, _, slot_name = state.rpartition("/")
            holder = graph.nodes[graph.node_at(tuple(optimizer.split("/")) if optimizer else ())]
            holder.slot_variables.append(SlotVariable(number, slot_name, len(graph.nodes)))
            number = len(graph.nodes)
            graph.nodes.append(Node())
        graph.nodes[number].attributes.append(Attribute(attribute, name))
    return graph


def is_optimizer(node: Node) -> bool:
    """Whether a node is that of an optimizer, told by what it holds; that of a legacy one may only look so.

    >>> is_optimizer(Node({"iter": 1, "decay": 2, "rho": 3})), is_optimizer(Node({"iter": 1, "learning_rate": 2}))
    (True, False)
    """
    edges = node.children.keys()
    looks_so = LEGACY_STEP in edges and len(HYPERPARAMETERS & edges) > 1  # each has two; a layer may have one
    return is_surely_optimizer(node) or looks_so or edges >= POWERS


class _Nodes:
    """The roles of a graph's nodes."""

    def __init__(self, graph: ObjectGraph, tensors: ObjectTensors, entries: Mapping[str, Entry]) -> None:
        self._nodes, self._tensors, self._entries = graph.nodes, tensors, entries
        self._scalars: dict[int, bool] = {}
        self._lists: dict[int, bool] = {}
        self._optimizers = {number for number, node in enumerate(self._nodes) if is_optimizer(node)}
        self._called = set(self._called_optimizers())
        unlike = self._called - self._optimizers
        self._plain = {
            child for child in unlike if self._holds_state_alone(child)
        }  # Sonnet's are modules as others are
        self._optimizers |= {child for child in unlike if LEGACY_STEP in self._nodes[child].children} | self._plain
        self._state: dict[int, str] = {}
        self._elsewhere: list[int] = []  # what an optimizer's node leads to and is not its own
        self._taken: set[tuple[int, str]] = set()  # containers of a role: many edges may lead to one that is long

    def roles(self) -> dict[int, str]:
        """Return the role of each node that something leads to."""
        for number in self._optimizers:
            self._take_state(number)
        model, metrics = self._reached([*self._elsewhere, ROOT])
        behind_metrics, _ = self._reached(metrics, through_metrics=True)
        roles = {**dict.fromkeys(behind_metrics, METRIC), **self._state, **dict.fromkeys(model, MODEL)}
        roles.update((number, role) for number, role in self._told_by_name() if roles.get(number) == MODEL)
        return {**roles, **dict.fromkeys(self._metric_variables(), METRIC)}

    def _called_optimizers(self) -> Iterator[int]:
        for node in self._nodes:
            for edge, child in node.children.items():
                if edge == CALLED or edge.endswith(f"_{CALLED}"):
                    yield child

    def _holds_state_alone(self, number: int) -> bool:
        """Whether all that a node leads to are lists of variables, and scalars."""
        children = self._nodes[number].children.values()
        lists = [child for child in children if not self._is_variable(child)]
        scalars = all(self._is_scalar(child) for child in children if self._is_variable(child))
        return scalars and any(self._nodes[child].children for child in lists) and all(map(self._is_list, lists))

    def _is_list(self, number: int) -> bool:
        if number not in self._lists:
            children = self._nodes[number].children
            self._lists[number] = all(name.isdecimal() and self._is_variable(n) for name, n in children.items())
        return self._lists[number]

    def _take_state(self, number: int) -> None:
        """Note what an optimizer has made; what else its node leads to is walked as if the root led there."""
        node = self._nodes[number]
        for slot in node.slot_variables:
            role = MOVING_AVERAGE if slot.slot_name in AVERAGE_WORDS else OPTIMIZER
            self._state.setdefault(slot.slot_variable, role)
            self._elsewhere.append(slot.original_variable)
        if AVERAGED in node.children:
            self._take_list(node.children[AVERAGED], MOVING_AVERAGE)
        sure, named = is_surely_optimizer(node) or number in self._plain, number in self._called
        for edge, child in node.children.items():
            own = sure or named or edge == LEGACY_STEP or edge in HYPERPARAMETERS
            if own and self._is_variable(child) and self._is_scalar(child):
                self._state.setdefault(child, OPTIMIZER)
            elif edge == LOSS_SCALE:
                self._take_list(child, TRAINING_STATE)
            elif sure and edge not in TRAINED:
                self._take_list(child, OPTIMIZER)
            else:
                self._elsewhere.append(child)

    def _take_list(self, number: int, role: str) -> None:
        """Note the variables of a list as an optimizer's, or of an object that has a role; what is neither is elsewhere."""
        if (number, role) in self._taken:
            return
        self._taken.add((number, role))
        children = self._nodes[number].children
        if role == OPTIMIZER and not all(name.isdecimal() for name in children):
            self._elsewhere.append(number)
            return
        for child in children.values():
            if self._is_variable(child):
                self._state.setdefault(child, role)
            else:
                self._elsewhere.append(child)

    def _is_variable(self, number: int) -> bool:
        return bool(self._nodes[number].attributes)

    def _is_scalar(self, number: int) -> bool:
        if number not in self._scalars:
            self._scalars[number] = all(self._entries[name].shape == () for name in self._tensors.of_node(number))
        return self._scalars[number]

    def _variables_of(self, number: int) -> list[int]:
        return [child for child in self._nodes[number].children.values() if self._is_variable(child)]

    def _reached(self, starts: Iterable[int], *, through_metrics: bool = False) -> tuple[set[int], list[int]]:
        """Return the nodes that can be reached without passing through an optimizer, and what edges to metrics lead to."""
        reached: set[int] = set()
        metrics: list[int] = []
        queue = list(starts)
        while queue:
            number = queue.pop()
            if number in reached or number in self._optimizers:
                continue
            reached.add(number)
            for edge, child in self._nodes[number].children.items():
                is_metric = edge in METRICS_EDGES and not through_metrics
                (metrics if is_metric else queue).append(child)
        return reached, metrics

    def _told_by_name(self) -> Iterator[tuple[int, str]]:
        """Yield variables of which an edge, or their own name, tells that they are no weights."""
        for number, node in enumerate(self._nodes):
            for attribute in node.attributes:
                last = attribute.full_name.removesuffix(":0").rpartition("/")[2]
                if last in RANDOM_NAMES or last in AVERAGE_NAMES:
                    yield number, RANDOM_STATE if last in RANDOM_NAMES else MOVING_AVERAGE
            trains = number == ROOT or not self._optimizers.isdisjoint(node.children.values())
            for edge, child in node.children.items():
                if edge in RANDOM_EDGES:
                    yield child, RANDOM_STATE
                elif trains and self._is_variable(child) and self._is_scalar(child):
                    if edge == SAVE_COUNTER_EDGE:
                        yield child, SAVE_COUNTER
                    elif edge in STEPS:
                        yield child, TRAINING_STEP

    def _metric_variables(self) -> Iterator[int]:
        """Yield the variables of nodes that hold just what a metric does."""
        for number, node in enumerate(self._nodes):
            if number not in self._optimizers:
                edges = {edge for edge, child in node.children.items() if self._is_variable(child)}
                if edges in METRIC_VARIABLES:
                    yield from self._variables_of(number)


def _copies(graph: ObjectGraph, tensors: ObjectTensors, entries: Mapping[str, Entry]) -> Iterator[str]:
    """Yield the tensors of the second list of weights that Keras 3 exports, if each of them stands in the first as well.

    Equal tensors alone are no copies: fresh biases are all zeros. Both lists are the archive's own, and hold the same names.
    """
    seen: set[int] = set()
    for node in graph.nodes:
        lists = {node.children.get(edge, ROOT) for edge in (ARCHIVED, ARCHIVE)} - {ROOT}
        if len(lists) < 2 or not seen.isdisjoint(lists):
            continue
        seen |= lists
        first, second = (graph.nodes[node.children[edge]].children.values() for edge in (ARCHIVED, ARCHIVE))
        originals = set(first)
        copied = [number for number in second if number not in originals]
        known = Counter(_identity(number, graph, tensors, entries) for number in first)
        wanted = Counter(_identity(number, graph, tensors, entries) for number in copied)
        if None not in wanted and wanted <= known:
            yield from (name for number in copied for name in tensors.of_node(number))


def originals_of_copies(
    graph: ObjectGraph, tensors: ObjectTensors, entries: Mapping[str, Entry], roles: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    """Return, for each copy that the graph leads to, the tensors of which it may be one: equal ones of its full name.

    Args:
        graph: that of a checkpoint.
        tensors: of its attributes.
        entries: the checkpoint's, by name.
        roles: of all of them; a copy has that role.
    """
    held = {name: _identity(number, graph, tensors, entries) for name, number in tensors.node_of.items()}
    originals: dict[object, list[str]] = {}
    for name, identity in held.items():
        if roles[name] != COPY and identity is not None:
            originals.setdefault(identity, []).append(name)
    return {name: tuple(originals.get(identity, ())) for name, identity in held.items() if roles[name] == COPY}


def contents(entry: Entry) -> tuple[object, ...]:
    """Return what tensors of equal bytes have in common, as far as an index tells."""
    return entry.data_type, entry.shape, entry.nbytes, entry.crc32c


def _identity(
    number: int, graph: ObjectGraph, tensors: ObjectTensors, entries: Mapping[str, Entry]
) -> tuple[object, ...] | None:
    """Return what two copies of a variable have in common; None where nothing tells."""
    names, attributes = tensors.of_node(number), graph.nodes[number].attributes
    if len(names) != 1 or not attributes or not attributes[0].full_name or entries[names[0]].slices:
        return None
    return attributes[0].full_name, *contents(entries[names[0]])
