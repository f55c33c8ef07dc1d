r"""Whether a file is one of TensorFlow's graphs, and whether that holds values: a frozen one has them as constants. And ONNX.

    SavedModel           2 meta_graphs
    MetaGraphDef         2 graph_def                    model.ckpt.meta
    GraphDef             1 node, 2 library              frozen.pb
    FunctionDefLibrary   1 function
    FunctionDef          3 node_def
    NodeDef              2 op, 5 attr                   of a constant: op "Const", attr["value"].tensor

Strategy: a file is a graph if one of these leads to a node. Messages are walked field by field and their values stepped over,
so that a frozen graph of any size takes one small window of memory. A file that is cut short is told by what is left of it.
Source: tensorflow/core/framework/{graph,function,node_def,attr_value,tensor}.proto,
tensorflow/core/protobuf/{meta_graph,saved_model}.proto; protobuf's encoding.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from tfckpt.errors import FormatError
from tfckpt.sstable.varint import read_varint
from tfckpt.storage.files import Input

NODE = "NodeDef"
# Of each message, what leads on to nodes.
FIELDS: dict[str, dict[int, str]] = {
    "GraphDef": {1: NODE, 2: "FunctionDefLibrary"},
    "MetaGraphDef": {2: "GraphDef"},
    "SavedModel": {2: "MetaGraphDef"},
    "FunctionDefLibrary": {1: "FunctionDef"},
    "FunctionDef": {3: NODE},
}
FILES = ("GraphDef", "MetaGraphDef", "SavedModel")
OP, ATTR, KEY, VALUE, TENSOR = 2, 5, 1, 2, 8
NUMBERS = (4, 5, 6, 7, 9, 10, 11, 12, 13, 16, 17, 18)  # fields of a TensorProto that hold them, packed
OP_NAME = re.compile(rb"[A-Za-z_][A-Za-z0-9_.>]*")
VARIABLES = (b"Variable", b"VariableV2", b"VarHandleOp", b"AutoReloadVariable", b"TemporaryVariable")
CONSTANT = b"Const"
WEIGHT = 256  # bytes of numbers in one constant from which on it is one: shapes, axes and paddings have fewer

ONNX_GRAPH, ONNX_PARTS = 7, (1, 2, 5)

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
FIXED = {FIXED64: 8, FIXED32: 4}
MOST_FIELDS = 1 << 18  # that are looked at, so that no file makes it endless; of a frozen BERT-base 8,160 are
WINDOW = 1 << 14  # bytes read at a time
HEAD = 20  # bytes of a tag and a length, at most
MOST_NAME = 256  # bytes of an operation's name, or an attribute's
ENDLESS = 1 << 64

TEXT = re.compile(rb"\s*(?:(?:node|meta_info_def|meta_graphs)\s*\{|saved_model_schema_version:)")
TEXT_LIMIT = 1 << 24  # bytes of one that are looked at
TEXT_VARIABLE = re.compile(rb"\bop: \"(?:%s)\"" % b"|".join(VARIABLES))
TEXT_WEIGHT = re.compile(rb"\btensor_content: \"(?:[^\"\\\n]|\\.){%d}" % WEIGHT)


def holds_values(file: Input) -> bool | None:
    """Return whether a graph is frozen: it has a constant as large as a weight, and no variable; None of what is no graph.

    Raises: StorageError; FormatError if the file becomes shorter meanwhile.
    """
    if TEXT.match(file.read_at(0, min(WINDOW, file.size))):
        text = file.read_at(0, min(TEXT_LIMIT, file.size))
        return not TEXT_VARIABLE.search(text) and TEXT_WEIGHT.search(text) is not None
    for kind in FILES:
        walk = _Walk(file)
        walk.look(kind)
        if walk.nodes:
            return not walk.has_variables and walk.largest >= WEIGHT
    return None


def is_onnx(file: Input) -> bool:
    """Whether a file is a model of ONNX: its version first, and later on a graph that begins with a node or a weight.

        ModelProto   1 ir_version, 7 graph
        GraphProto   1 node, 2 name, 5 initializer

    Raises: StorageError; FormatError if the file becomes shorter meanwhile.
    Source: onnx/onnx.proto.
    """
    walk = _Walk(file)
    with suppress(_EndError):
        for field in walk.fields(0, ENDLESS):
            if field.start < 3 and (field.number, field.wire_type) != (1, VARINT):
                return False
            if field.number == ONNX_GRAPH and field.wire_type == BYTES:
                first = next(walk.fields(field.start, field.end), None)
                return first is not None and first.number in ONNX_PARTS and first.wire_type == BYTES
    return False


class _Field(NamedTuple):
    """A field of a message; its value is the bytes [start, end) of the file."""

    number: int
    wire_type: int
    start: int
    end: int


class _EndError(Exception):
    """More need not be looked at, or cannot."""


class _Walk:
    """Goes through the nodes of a graph.

    Attributes:
        nodes: how many there are.
        has_variables: whether one of them is a variable; the walk ends there.
        largest: bytes of numbers in the largest constant.
    """

    def __init__(self, file: Input) -> None:
        self.nodes = self.largest = 0
        self.has_variables = False
        self._file, self._left = file, MOST_FIELDS
        self._window, self._window_at = b"", 0

    def look(self, kind: str) -> None:
        """Go through the file as through a message of this kind, as far as it is one."""
        with suppress(_EndError):
            self._message(kind, 0, ENDLESS)

    def _message(self, kind: str, start: int, end: int) -> None:
        if kind == NODE:
            self._node(start, end)
            return
        for field in self.fields(start, end):
            inner = FIELDS[kind].get(field.number)
            if inner is not None and field.wire_type == BYTES:
                self._message(inner, field.start, field.end)

    def _node(self, start: int, end: int) -> None:
        op, attributes = b"", []
        for field in self.fields(start, end):
            if field.number == OP and field.wire_type == BYTES:
                op = self._bytes(field)
                if op != CONSTANT:  # what else it has does not matter
                    break
            elif field.number == ATTR:
                attributes.append(field)
        if not OP_NAME.fullmatch(op):
            raise _EndError
        self.nodes += 1
        if op in VARIABLES:
            self.has_variables = True
            raise _EndError
        for attribute in attributes if op == CONSTANT else ():
            self._attribute(attribute)

    def _attribute(self, entry: _Field) -> None:
        """Note how large the tensor in a constant's attribute is, if it is its value."""
        key, values = b"", []
        for field in self.fields(entry.start, entry.end):
            if field.number == KEY:
                key = self._bytes(field)
            elif field.number == VALUE:
                values.append(field)
        for value in values if key == b"value" else ():
            for tensor in self.fields(value.start, value.end):
                if tensor.number == TENSOR:
                    parts = self.fields(tensor.start, tensor.end)
                    sizes = [part.end - part.start for part in parts if part.number in NUMBERS]
                    self.largest = max(self.largest, *sizes, 0)

    def fields(self, start: int, end: int) -> Iterator[_Field]:
        """Yield the fields of a message that are there; one whose bytes are no message, or not in its own, is the end."""
        at = start
        while at < min(end, self._file.size):
            self._left -= 1
            field = self._field(at)
            if self._left < 0 or field is None or field.end > end:
                raise _EndError
            yield field
            at = field.end

    def _field(self, at: int) -> _Field | None:
        head = self._peek(at, HEAD)
        try:
            tag, pos = read_varint(head, 0)
            number, wire_type = tag >> 3, tag & 7
            size = FIXED.get(wire_type, 0)
            if wire_type == VARINT:
                _, pos = read_varint(head, pos)
            elif wire_type == BYTES:
                size, pos = read_varint(head, pos)
            elif not size:
                return None
        except FormatError:
            return None
        return _Field(number, wire_type, at + pos, at + pos + size) if number else None

    def _bytes(self, field: _Field) -> bytes:
        """Return a field's value; none of one that is too long for a name."""
        size = field.end - field.start
        return self._peek(field.start, size) if 0 < size <= MOST_NAME and field.start < self._file.size else b""

    def _peek(self, at: int, nbytes: int) -> bytes:
        """Return some bytes of the file, fewer at its end."""
        left = self._file.size - at
        begin = at - self._window_at
        if not 0 <= begin <= len(self._window) - min(nbytes, left):
            self._window, self._window_at, begin = self._file.read_at(at, min(WINDOW, left)), at, 0
        return self._window[begin : begin + nbytes]
