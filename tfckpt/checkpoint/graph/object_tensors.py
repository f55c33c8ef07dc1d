"""Which tensors an object's attributes stand for.

The key of a variable's attribute is the name of its one tensor. A table has one attribute for all that it saves: its key
``t/.ATTRIBUTES/table`` is no tensor's name, but begins those of two, ``t/.ATTRIBUTES/table-keys`` and
``t/.ATTRIBUTES/table-values``. An iterator has ``it/.ATTRIBUTES/ITERATOR`` and the tensor ``it/.ATTRIBUTES/ITERATOR_STATE``.
An object with a registered saver has no attribute: the saver names tensors as it likes, by custom after the object: ``r``,
``r/value``.
Source: tensorflow/python/checkpoint/{save_util,restore}.py; tensorflow/python/ops/lookup_ops.py;
tensorflow/python/saved_model/registration/registration.py.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from tfckpt.checkpoint.graph.object_graph import ATTRIBUTES, OBJECT_GRAPH_KEY, ObjectGraph
from tfckpt.errors import FormatError, some

KEYS, VALUES = "-keys", "-values"  # of a table, which is nothing without both
WHOLE = (frozenset({KEYS, VALUES}), frozenset({"_STATE"}))  # what is added to a key, of tables and of iterators


class ObjectTensors:
    """The tensors of each attribute of a graph, both ways; those of registered savers as well, as far as names tell.

    Each name belongs to one key, so that no graph makes more of the names than there are.

    Example:
        >>> from tfckpt.checkpoint.graph.object_graph import Attribute, Node
        >>> graph = ObjectGraph([Node({"t": 1}), Node(attributes=[Attribute("table", "t/.ATTRIBUTES/table")])])
        >>> tensors = ObjectTensors(graph, ["t/.ATTRIBUTES/table-keys", "t/.ATTRIBUTES/table-values", "other"])
        >>> tensors.of_node(1)
        ('t/.ATTRIBUTES/table-keys', 't/.ATTRIBUTES/table-values')
        >>> tensors.unclaimed
        ('other',)
    """

    def __init__(self, graph: ObjectGraph, names: Collection[str]) -> None:
        self._graph = graph
        self.node_of: dict[str, int] = {}  # of each tensor that belongs to an object, the first node that has it
        held = frozenset(names) - {OBJECT_GRAPH_KEY}  # which is no object's, whatever a graph says
        first: dict[str, int] = {}  # of each attribute's key, the first node that has it
        for number, node in enumerate(graph.nodes):
            for attribute in node.attributes:
                first.setdefault(attribute.checkpoint_key, number)
        ordered = sorted(held)
        others = [name for name in ordered if name not in first]  # each of which may be one of several of an attribute
        begun = (key for key in first if key not in held and ATTRIBUTES in key)
        self._of_key = {key: (key,) for key in first if key in held} | _by_longest(begun, others)
        for key, own in self._of_key.items():
            self.node_of |= dict.fromkeys(own, first[key])
        self._of_saver: dict[int, tuple[str, ...]] = {}
        if any(node.registered_saver is not None for node in graph.nodes):
            self._add_savers([name for name in others if name not in self.node_of])
        # What no object leads to:
        self.unclaimed = tuple(name for name in others if name not in self.node_of)

    def _add_savers(self, names: Sequence[str]) -> None:
        """Give each registered saver the tensors that are called after its object, or as what stands below it."""
        nodes: dict[str, int] = {}
        for number, node in enumerate(self._graph.nodes):
            if node.registered_saver is not None:
                nodes.setdefault(node.registered_saver[1], number)
        held = frozenset(names)
        below = _by_longest((f"{name}/" for name in nodes), names)
        for name, number in nodes.items():
            own = [name] if name in held else []
            own += [other for other in below.get(f"{name}/", ()) if _is_called_after(name, other)]
            self._of_saver[number] = tuple(own)
            self.node_of |= dict.fromkeys(own, number)

    def of_key(self, key: str) -> tuple[str, ...]:
        """Return the tensors of the attribute of this checkpoint key; none if they are missing, or no attribute has it."""
        return self._of_key.get(key, ())

    def of_saver(self, number: int) -> tuple[str, ...]:
        """Return the tensors called after a node that has a registered saver; it may have others, or none at all."""
        return self._of_saver.get(number, ())

    def of_node(self, number: int) -> tuple[str, ...]:
        """Return the tensors of all attributes of a node, and of its registered saver."""
        keys = dict.fromkeys(attribute.checkpoint_key for attribute in self._graph.nodes[number].attributes)
        return (*(name for key in keys for name in self.of_key(key)), *self.of_saver(number))

    def is_broken(self, key: str) -> bool:
        """Whether a tensor that belongs to an attribute is missing: TensorFlow's whole restore would fail."""
        names = self.of_key(key)
        return not names or (f"{key}{KEYS}" in names) != (f"{key}{VALUES}" in names)

    def is_whole(self, key: str) -> bool:
        """Whether an attribute is known to have all its tensors; of kinds that are not TensorFlow's own, nobody knows."""
        names = self.of_key(key)
        return names == (key,) or frozenset(name.removeprefix(key) for name in names) in WHOLE


def _is_called_after(name: str, other: str) -> bool:
    """Whether a tensor below the name of an object is that object's, and no attribute's of an object below it."""
    return ATTRIBUTES not in other or other.startswith(name + ATTRIBUTES)


def _by_longest(beginnings: Iterable[str], names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return, for each beginning, those of the sorted names that begin so, and with no longer one of the beginnings."""
    found: dict[str, list[str]] = {}
    waiting = sorted(beginnings, reverse=True)
    around: list[str] = []  # the beginnings of the name that is looked at, the longest last
    for name in names:
        while waiting and waiting[-1] <= name:
            _leave(around, waiting[-1])
            around.append(waiting.pop())
        _leave(around, name)
        if around:
            found.setdefault(around[-1], []).append(name)
    return {beginning: tuple(own) for beginning, own in found.items()}


def _leave(around: list[str], name: str) -> None:
    while around and not name.startswith(around[-1]):
        around.pop()


def against_restoring(value: object, names: Collection[str]) -> Iterator[str]:
    """Yield what to say of tensors that are saved with an object graph and do not fit it.

    Args:
        value: the graph's tensor: bytes, or an array of them without dimensions.
        names: the names of all tensors.
    Example:
        >>> from tfckpt.checkpoint.graph.object_graph import Attribute, Node
        >>> value = Attribute("VARIABLE_VALUE", "w/.ATTRIBUTES/VARIABLE_VALUE")
        >>> graph = ObjectGraph([Node({"w": 1}), Node(attributes=[value])])
        >>> [line.partition(":")[0] for line in against_restoring(graph.serialize(), ["v"])]
        ["no object of the graph leads to 'v'", "the graph asks for 'w/.ATTRIBUTES/VARIABLE_VALUE'"]

    Source: tensorflow/python/checkpoint/restore.py.
    """
    import numpy as np  # which has made the arrays

    try:
        serialized = value if isinstance(value, bytes) else np.asarray(value, object).item()
        if not isinstance(serialized, bytes):
            raise ValueError
        graph = ObjectGraph.parse(serialized)
    except (FormatError, ValueError):
        yield f"tensor {OBJECT_GRAPH_KEY!r} holds no object graph: TensorFlow will restore nothing by objects"
        return
    tensors = ObjectTensors(graph, names)
    if unclaimed := [repr(name) for name in tensors.unclaimed]:
        how = "give the graph an object with that key (tfckpt.types.ObjectGraph) before it is saved"
        yield f"no object of the graph leads to {some(unclaimed)}: TensorFlow will not restore {_them(unclaimed)}; {how}"
    asked = dict.fromkeys(attribute.checkpoint_key for attribute in graph.attributes())
    if missing := [repr(key) for key in asked if not tensors.of_key(key)]:
        them, how = _them(missing), "or take the key out of the graph (tfckpt.types.ObjectGraph.drop_keys)"
        yield f"the graph asks for {some(missing)}: TensorFlow will not restore without {them}; save {them}, {how}"


def _them(names: Collection[str]) -> str:
    return "it" if len(names) == 1 else "them"
