"""TensorFlow's graphs, as the bytes that it writes; tests/tf holds them against real ones."""

from __future__ import annotations

from tfckpt.sstable.varint import encode_varint

VARIABLE = ("w", "VariableV2")
READ = ("w/read", "Identity")


def field(number: int, value: bytes | int) -> bytes:
    """Return one field of a message."""
    if isinstance(value, int):
        return encode_varint(number << 3) + encode_varint(value)
    return encode_varint(number << 3 | 2) + encode_varint(len(value)) + value


def node(name: str, op: str, *attributes: bytes) -> bytes:
    """Return a NodeDef."""
    return field(1, name.encode()) + field(2, op.encode()) + b"".join(field(5, item) for item in attributes)


def attribute(key: str, value: bytes) -> bytes:
    """Return an entry of a node's attributes."""
    return field(1, key.encode()) + field(2, value)


def constant(name: str, nbytes: int, number: int = 4) -> bytes:
    """Return the node of a constant whose float32 values take so many bytes, in this field of its tensor."""
    tensor = field(1, 1) + field(2, field(2, field(1, nbytes // 4))) + field(number, b"\x00\x00\x80?" * (nbytes // 4))
    return node(name, "Const", attribute("dtype", field(6, 1)), attribute("value", field(8, tensor)))


def graph_def(*nodes: bytes, functions: tuple[bytes, ...] = ()) -> bytes:
    """Return a GraphDef of these nodes, and of functions of one node each."""
    library = b"".join(field(1, field(1, field(1, b"f")) + field(3, inner)) for inner in functions)
    head = b"".join(field(1, one) for one in nodes)
    return head + (field(2, library) if functions else b"") + field(4, field(1, 2000))


def meta_graph(graph: bytes) -> bytes:
    """Return a MetaGraphDef, as in a ``.meta`` file, with its list of operations and their versions."""
    operations = field(1, field(1, b"Const") + field(2, field(1, b"output") + field(4, b"dtype")))
    return field(1, field(2, operations) + field(4, b"serve") + field(5, b"1.15.5")) + field(2, graph)


def saved_model(graph: bytes) -> bytes:
    """Return a SavedModel of one graph."""
    return field(1, 1) + field(2, meta_graph(graph))


FROZEN = graph_def(node("x", "Placeholder"), constant("w", 1024), node(*READ))
TRAINED = graph_def(node("x", "Placeholder"), constant("zeros", 1024), node(*VARIABLE), node(*READ))
