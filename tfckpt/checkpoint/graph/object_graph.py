"""The object graph: which Python object owns which tensor, as edges from a root.

TensorFlow 2 restores by walking this graph beside the live objects, edge name by edge name; a tensor's key is found in
the node where both walks meet, so its spelling does not matter. Several paths may lead to one node.
Source: tensorflow/core/protobuf/trackable_object_graph.proto; tensorflow/python/checkpoint/{trackable_view,restore}.py.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from typing import ClassVar, NamedTuple

from google.protobuf.message import DecodeError

from tfckpt._proto.trackable_object_graph_pb2 import TrackableObjectGraph
from tfckpt.errors import FormatError, UsageError, count_of

OBJECT_GRAPH_KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"
VARIABLE_VALUE = "VARIABLE_VALUE"  # the only attribute that variables have
ATTRIBUTES = "/.ATTRIBUTES/"  # stands in a key between the path and the attribute's name
SLOT_MARK = "/.OPTIMIZER_SLOT/"  # in a key: the variable's path, this, the optimizer's path, the slot's name
ROOT = 0

Path = tuple[str, ...]  # edge names from the root
Ways = Mapping[int, tuple[int, str]]  # of each node but the root: the node and the edge by which it is reached first


def escape(local_name: str) -> str:
    """Return an edge name as it stands in a checkpoint key.

    >>> escape("next_sentence.pooler_dense"), escape("output_bias/bias")
    ('next_sentence..pooler_dense', 'output_bias.Sbias')
    """
    if "." not in local_name and "/" not in local_name:  # most have nothing to hide
        return local_name
    return local_name.replace(".", "..").replace("/", ".S")


def unescape(key_part: str) -> str:
    """Return the edge name of one part of a checkpoint key; the inverse of `escape`."""
    if "." not in key_part:  # most have nothing to undo
        return key_part
    return re.sub(r"\.([.S])", lambda match: "/" if match[1] == "S" else ".", key_part)


def split_path(escaped: str) -> Path:
    """Return the edge names of a path in key form; the empty string is the root.

    >>> split_path("masked_lm/output_bias.Sbias")
    ('masked_lm', 'output_bias/bias')
    """
    if "." not in escaped:  # most have nothing to undo
        return tuple(escaped.split("/")) if escaped else ()
    return tuple(unescape(part) for part in escaped.split("/"))


def join_path(path: Path) -> str:
    """Return a path in key form; the inverse of `split_path`.

    >>> join_path(("masked_lm", "output_bias/bias"))
    'masked_lm/output_bias.Sbias'
    """
    return "/".join(map(escape, path))


def path_to(number: int, ways: Ways) -> Path:
    """Return the path of a node from the root."""
    names = []
    while number != ROOT:
        number, name = ways[number]
        names.append(name)
    return tuple(reversed(names))


def quoted(path: Path) -> str:
    """Return a path as a message names it.

    >>> quoted(("model", "w")), quoted(())
    ("'model/w'", 'the root')
    """
    return repr(join_path(path)) if path else "the root"


def variable_key(escaped_path: str) -> str:
    """Return the key of the tensor that a variable's value is stored under."""
    return f"{escaped_path}{ATTRIBUTES}{VARIABLE_VALUE}"


class Attribute(NamedTuple):
    """A tensor of a node: for a variable, its value."""

    name: str
    checkpoint_key: str
    full_name: str = ""


class SlotVariable(NamedTuple):
    """An optimizer's slot: no edge leads to it, only this reference from the optimizer's node."""

    original_variable: int
    slot_name: str
    slot_variable: int


class Node:
    """One object; ``children`` are edges by local name, to node numbers.

    ``has_checkpoint_values`` lets TensorFlow keep the node for an object that is created later; old writers leave it unset.
    """

    __slots__ = ("attributes", "children", "has_checkpoint_values", "registered_saver", "slot_variables")
    children: dict[str, int]
    attributes: list[Attribute]
    slot_variables: list[SlotVariable]
    registered_saver: tuple[str, str] | None
    has_checkpoint_values: bool | None

    def __init__(
        self,
        children: dict[str, int] | None = None,
        attributes: list[Attribute] | None = None,
        slot_variables: list[SlotVariable] | None = None,
        registered_saver: tuple[str, str] | None = None,
        has_checkpoint_values: bool | None = None,
    ) -> None:
        self.children = {} if children is None else children
        self.attributes = [] if attributes is None else attributes
        self.slot_variables = [] if slot_variables is None else slot_variables
        self.registered_saver = registered_saver
        self.has_checkpoint_values = has_checkpoint_values

    def copy(self) -> Node:
        """Return a node to change."""
        lists = dict(self.children), list(self.attributes), list(self.slot_variables)
        return Node(*lists, self.registered_saver, self.has_checkpoint_values)

    __hash__: ClassVar[None]  # type: ignore[assignment]  # it can change

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Node) and self._fields() == other._fields()

    def __repr__(self) -> str:
        return f"Node{self._fields()}"

    def mark(self) -> int:
        """Return a number that tells this node from what it was before a change."""
        lists = tuple(self.attributes), tuple(self.slot_variables)
        return hash((frozenset(self.children.items()), *lists, self.registered_saver, self.has_checkpoint_values))

    def _fields(self) -> tuple[object, ...]:
        return (
            self.children,
            self.attributes,
            self.slot_variables,
            self.registered_saver,
            self.has_checkpoint_values,
        )


def value_of(node: Node) -> Attribute | None:
    """Return where a variable's value is stored; None if the object is no variable, or was saved without one.

    >>> value_of(Node(attributes=[Attribute(VARIABLE_VALUE, "w")])).checkpoint_key
    'w'
    """
    return next((attribute for attribute in node.attributes if attribute.name == VARIABLE_VALUE), None)


class ObjectGraph:
    """Nodes by number; number 0 is the root. Cycles and shared nodes are legal.

    A graph that was read remembers its bytes: a node that nobody changed is written as it was, with whatever in it is not
    known here, and an unchanged graph byte for byte.
    """

    __slots__ = ("_marks", "_source", "nodes")
    nodes: list[Node]

    def __init__(self, nodes: list[Node] | None = None) -> None:
        self.nodes = [Node()] if nodes is None else nodes
        self._source = b""
        self._marks: list[int] = []  # of each node as the bytes have it

    __hash__: ClassVar[None]  # type: ignore[assignment]  # it can change

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectGraph) and self.nodes == other.nodes

    def __repr__(self) -> str:
        return f"<ObjectGraph: {count_of(self.nodes, 'object')}>"

    @staticmethod
    def parse(serialized: bytes) -> ObjectGraph:
        """Read a serialized ``TrackableObjectGraph``.

        Raises: FormatError if it is none, has no root, or an edge leads nowhere.
        """
        proto = TrackableObjectGraph()
        try:
            proto.ParseFromString(serialized)
        except DecodeError:
            raise FormatError(
                OBJECT_GRAPH_KEY, expected="a TrackableObjectGraph", got=serialized[:16].hex(" ")
            ) from None
        graph = ObjectGraph([_parse_node(node) for node in proto.nodes])
        graph._check_references()
        graph._source, graph._marks = serialized, [node.mark() for node in graph.nodes]
        return graph

    def copy(self) -> ObjectGraph:
        """Return a graph to change, with the memory of the same bytes.

        >>> graph = ObjectGraph([Node({"a": 1}), Node()])
        >>> graph.copy() == graph, graph.copy().nodes[0] is graph.nodes[0]
        (True, False)
        """
        copy = ObjectGraph([node.copy() for node in self.nodes])
        copy._source, copy._marks = self._source, self._marks
        return copy

    def serialize(self) -> bytes:
        """Return the ``TrackableObjectGraph`` message: the very bytes that were read if nothing has changed since.

        >>> ObjectGraph.parse(ObjectGraph().serialize())
        <ObjectGraph: 1 object>
        """
        proto = TrackableObjectGraph.FromString(self._source)
        if not self._source:
            for node in self.nodes:
                _write_node(node, proto.nodes.add())
            return proto.SerializeToString(deterministic=True)
        changed = [
            number for number, node in enumerate(self.nodes) if [node.mark()] != self._marks[number : number + 1]
        ]
        if not changed and len(self.nodes) == len(self._marks):
            return self._source
        del proto.nodes[len(self.nodes) :]
        for number in changed:
            written = proto.nodes[number] if number < len(proto.nodes) else proto.nodes.add()
            written.Clear()
            _write_node(self.nodes[number], written)
        return proto.SerializeToString(deterministic=True)

    def walk(self) -> Iterator[tuple[Path, Node]]:
        """Yield every node that edges reach, once, under its shortest path; breadth first, as TensorFlow numbers them."""
        ways = self.ways()
        for number in ways:
            yield path_to(number, ways), self.nodes[number]

    def ways(self) -> Ways:
        """Return how edges first reach each node, in the order of `walk`. No path is spelled out: those of all may be long.

        >>> ways = ObjectGraph([Node({"a": 1}), Node({"b": 2, "up": 0}), Node()]).ways()
        >>> list(ways), path_to(2, ways)
        ([0, 1, 2], ('a', 'b'))
        """
        ways: dict[int, tuple[int, str]] = {ROOT: (ROOT, "")}
        queue = deque([ROOT])
        while queue:
            number = queue.popleft()
            for name, child in self.nodes[number].children.items():
                if child not in ways:
                    ways[child] = number, name
                    queue.append(child)
        return ways

    def find(self, path: Path) -> Node | None:
        """Return the node at the end of ``path``, or None."""
        number = self.number_at(path)
        return None if number is None else self.nodes[number]

    def number_at(self, path: Path) -> int | None:
        """Return the number of the node at the end of ``path``, or None; `node_at` adds what is missing."""
        number: int | None = ROOT
        for name in path:
            if number is None:
                return None
            number = self.nodes[number].children.get(name)
        return number

    def node_at(self, path: Path) -> int:
        """Return the number of the node at ``path``, adding what is missing on the way."""
        number = ROOT
        for name in path:
            number = self.child_of(number, name)
        return number

    def child_of(self, number: int, name: str) -> int:
        """Return the number of the node that an edge of a node leads to, adding it if it is missing."""
        children = self.nodes[number].children
        if name not in children:
            children[name] = len(self.nodes)
            self.nodes.append(Node())
        return children[name]

    def add_edge(self, alias: Path, number: int) -> None:
        """Let ``alias`` lead to an existing node as well."""
        parent = self.nodes[self.node_at(alias[:-1])]
        assert parent.children.get(alias[-1], number) == number, alias
        parent.children[alias[-1]] = number

    def attributes(self) -> Iterator[Attribute]:
        """Yield the attributes of all nodes, by node number."""
        for node in self.nodes:
            yield from node.attributes

    def rename_keys(self, mapping: Mapping[str, str]) -> None:
        """Let attributes refer to tensors by new keys; old keys that no attribute has are ignored.

        >>> graph = ObjectGraph([Node({"w": 1}), Node(attributes=[Attribute(VARIABLE_VALUE, variable_key("w"))])])
        >>> graph.rename_keys({variable_key("w"): variable_key("model/w")})
        >>> graph.nodes[1].attributes[0].checkpoint_key
        'model/w/.ATTRIBUTES/VARIABLE_VALUE'

        Raises: UsageError, and nothing is renamed, if two keys would become one (TensorFlow would restore one variable and
            pass over the other without a word), or if a key would lose its end, by which TensorFlow finds the tensor.
        """
        owners: dict[str, str] = {}
        for attribute in self.attributes():
            old = attribute.checkpoint_key
            new = mapping.get(old, old)
            if owners.setdefault(new, old) != old:
                raise UsageError(f"key {new!r}: {owners[new]!r} and {old!r} would both be called so")
            if new != old:
                _check_key(attribute, new)
        for node in self.nodes:
            node.attributes = [
                a._replace(checkpoint_key=mapping.get(a.checkpoint_key, a.checkpoint_key)) for a in node.attributes
            ]

    def drop_keys(self, keys: Collection[str]) -> None:
        """Take attributes away, by checkpoint key, so that TensorFlow asks for none of them; nodes keep their numbers.

        Slot variables that held nothing else go too, and a node from which no value can be reached any more says so. The
        slots of a variable have keys of their own: an optimizer that stays needs them dropped with it.

        Args:
            keys: keys that no attribute has are ignored.
        """
        dropped = frozenset(keys)
        before = self._waited_for()
        for node in self.nodes:
            node.attributes = [a for a in node.attributes if a.checkpoint_key not in dropped]
        self._forget_emptied(before)

    def drop_values(self, numbers: Collection[int]) -> None:
        """Take from nodes all that is stored of them: every attribute, and a registered saver; edges and slots stay.

        The rest of the graph follows as in `drop_keys`. An object of several tensors is restored whole or not at all, and
        TensorFlow's restore of everything fails if one of them is missing.

        Args:
            numbers: of the nodes.
        Example:
            >>> graph = ObjectGraph([Node({"t": 1}), Node(attributes=[Attribute("table", "t/.ATTRIBUTES/table")])])
            >>> graph.drop_values([1])
            >>> graph.nodes[1].attributes, graph.nodes_with_values()
            ([], set())
        """
        before = self._waited_for()
        for number in numbers:
            self.nodes[number].attributes = []
            self.nodes[number].registered_saver = None
        self._forget_emptied(before)

    def _forget_emptied(self, before: Set[int]) -> None:
        """Let the graph say of those nodes ``before`` that nothing is stored for any more that they are not waited for."""
        emptied = before - self.nodes_with_values()
        for node in self.nodes:
            node.slot_variables = [slot for slot in node.slot_variables if slot.slot_variable not in emptied]
        self.forget_values(before)

    def forget_values(self, before: Collection[int]) -> None:
        """Have the nodes that led to values before, and now lead to none, say so; ``before`` is of `nodes_with_values`."""
        for number in set(before) - self._waited_for():
            if self.nodes[number].has_checkpoint_values:
                self.nodes[number].has_checkpoint_values = False

    def _waited_for(self) -> set[int]:
        """Return the nodes with values; and variables that have slots alone, which get them if they are created later."""
        owners = [slot.original_variable for node in self.nodes for slot in node.slot_variables]
        return self._leading_to([*self._with_values(), *owners])

    def nodes_with_values(self) -> set[int]:
        """Return the numbers of nodes that hold something stored, or from which edges lead to one that does.

        Source: tensorflow/python/checkpoint/util.py, add_checkpoint_values_check.
        """
        return self._leading_to(self._with_values())

    def _with_values(self) -> Iterator[int]:
        for number, node in enumerate(self.nodes):
            if node.attributes or node.slot_variables or node.registered_saver is not None:
                yield number

    def _leading_to(self, numbers: Iterable[int]) -> set[int]:
        """Return these nodes, and all from which edges lead to one of them."""
        parents: list[list[int]] = [[] for _ in self.nodes]
        for number, node in enumerate(self.nodes):
            for child in node.children.values():
                parents[child].append(number)
        found = set(numbers)
        queue = list(found)
        while queue:
            for parent in parents[queue.pop()]:
                if parent not in found:
                    found.add(parent)
                    queue.append(parent)
        return found

    def _check_references(self) -> None:
        if not self.nodes:
            raise FormatError(f"nodes of {OBJECT_GRAPH_KEY}", expected="a root", got="none")
        for number, node in enumerate(self.nodes):
            targets = list(node.children.values())
            for slot in node.slot_variables:
                targets += [slot.original_variable, slot.slot_variable]
            stray = [target for target in targets if not 0 <= target < len(self.nodes)]
            if stray:
                what = f"reference in node {number} of {OBJECT_GRAPH_KEY}"
                raise FormatError(what, expected=f"a node below {len(self.nodes)}", got=stray[0])


def _check_key(attribute: Attribute, key: str) -> None:
    """Raise UsageError unless TensorFlow would find an attribute's tensor under ``key``."""
    end = ATTRIBUTES + attribute.name
    if not key.endswith(end):
        raise UsageError(
            f"key of {attribute.checkpoint_key!r}: expected one that ends in {end!r}, got {key!r}; "
            f"names are free in a checkpoint without {OBJECT_GRAPH_KEY}"
        )
    if key.encode("utf-8", "surrogateescape").decode("utf-8", "replace") != key:
        raise UsageError(f"key of {attribute.checkpoint_key!r}: expected UTF-8 text, got {key!r}")


def _parse_node(proto: TrackableObjectGraph.TrackableObject) -> Node:
    return Node(
        children={child.local_name: child.node_id for child in proto.children},
        attributes=[Attribute(a.name, a.checkpoint_key, a.full_name) for a in proto.attributes],
        slot_variables=[
            SlotVariable(s.original_variable_node_id, s.slot_name, s.slot_variable_node_id)
            for s in proto.slot_variables
        ],
        registered_saver=(
            (proto.registered_saver.name, proto.registered_saver.object_name)
            if proto.HasField("registered_saver")
            else None
        ),
        has_checkpoint_values=proto.has_checkpoint_values.value if proto.HasField("has_checkpoint_values") else None,
    )


def _write_node(node: Node, proto: TrackableObjectGraph.TrackableObject) -> None:
    for local_name, number in node.children.items():
        proto.children.add(node_id=number, local_name=local_name)
    for a in node.attributes:
        proto.attributes.add(name=a.name, full_name=a.full_name, checkpoint_key=a.checkpoint_key)
    for slot in node.slot_variables:
        proto.slot_variables.add(
            original_variable_node_id=slot.original_variable,
            slot_name=slot.slot_name,
            slot_variable_node_id=slot.slot_variable,
        )
    if node.registered_saver is not None:
        proto.registered_saver.name, proto.registered_saver.object_name = node.registered_saver
    if node.has_checkpoint_values is not None:
        proto.has_checkpoint_values.SetInParent()  # a false value alone would not be written
        proto.has_checkpoint_values.value = node.has_checkpoint_values
