"""Which tensors an object's attributes stand for.

The key of a variable's attribute is the name of its one tensor. A table has one attribute for all that it saves: its key
``t/.ATTRIBUTES/table`` is no tensor's name, but begins those of two, ``t/.ATTRIBUTES/table-keys`` and
``t/.ATTRIBUTES/table-values``. An iterator has ``it/.ATTRIBUTES/ITERATOR`` and the tensor ``it/.ATTRIBUTES/ITERATOR_STATE``.
Source: tensorflow/python/checkpoint/{save_util,restore}.py; tensorflow/python/ops/lookup_ops.py.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator

from tfckpt.checkpoint.object_graph import ATTRIBUTES, OBJECT_GRAPH_KEY, ObjectGraph
from tfckpt.errors import FormatError, some


class ObjectTensors:
    """The tensors of each attribute of a graph, both ways.

    Example:
        >>> from tfckpt.checkpoint.object_graph import Attribute, Node
        >>> graph = ObjectGraph([Node({"t": 1}), Node(attributes=[Attribute("table", "t/.ATTRIBUTES/table")])])
        >>> tensors = ObjectTensors(graph, ["t/.ATTRIBUTES/table-keys", "t/.ATTRIBUTES/table-values", "other"])
        >>> tensors.of_node(1)
        ('t/.ATTRIBUTES/table-keys', 't/.ATTRIBUTES/table-values')
        >>> tensors.unclaimed
        ('other',)
    """

    def __init__(self, graph: ObjectGraph, names: Collection[str]) -> None:
        self._graph = graph
        self._of_key: dict[str, tuple[str, ...]] = {}
        self.node_of: dict[str, int] = {}  # of each tensor that an attribute stands for, the first node that has it
        held = frozenset(names)
        keys = {attribute.checkpoint_key for node in graph.nodes for attribute in node.attributes}
        ordered = sorted(held)
        others = [name for name in ordered if name not in keys]  # each of which may be one of several of an attribute
        for number, node in enumerate(graph.nodes):
            for attribute in node.attributes:
                key = attribute.checkpoint_key
                if key not in self._of_key:  # many attributes may have one key of many tensors
                    self._of_key[key] = (key,) if key in held else _below(key, others)
                    for name in self._of_key[key]:
                        self.node_of.setdefault(name, number)
        # What no object leads to:
        self.unclaimed = tuple(name for name in ordered if name not in self.node_of and name != OBJECT_GRAPH_KEY)

    def of_key(self, key: str) -> tuple[str, ...]:
        """Return the tensors of the attribute of this checkpoint key; none if they are missing, or no attribute has it."""
        return self._of_key.get(key, ())

    def of_node(self, number: int) -> tuple[str, ...]:
        """Return the tensors of all attributes of a node."""
        return tuple(
            name for attribute in self._graph.nodes[number].attributes for name in self.of_key(attribute.checkpoint_key)
        )


def against_restoring(value: object, names: Collection[str]) -> Iterator[str]:
    """Yield what to say of tensors that are saved with an object graph and do not fit it.

    Args:
        value: the graph's tensor: bytes, or an array of them without dimensions.
        names: the names of all tensors.
    Example:
        >>> from tfckpt.checkpoint.object_graph import Attribute, Node
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
    asked = dict.fromkeys(attribute.checkpoint_key for node in graph.nodes for attribute in node.attributes)
    if missing := [repr(key) for key in asked if not tensors.of_key(key)]:
        them, how = _them(missing), "or take the key out of the graph (tfckpt.types.ObjectGraph.drop_keys)"
        yield f"the graph asks for {some(missing)}: TensorFlow will not restore without {them}; save {them}, {how}"


def _them(names: Collection[str]) -> str:
    return "it" if len(names) == 1 else "them"


def _below(key: str, ordered: list[str]) -> tuple[str, ...]:
    """Return the tensors whose names begin with the key of an attribute that is no tensor itself."""
    if ATTRIBUTES not in key:
        return ()
    found = []
    for at in range(bisect_left(ordered, key), len(ordered)):
        if not ordered[at].startswith(key):
            break
        found.append(ordered[at])
    return tuple(found)
