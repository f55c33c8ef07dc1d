"""Changes that leave an input what it is: a table whose rows change, a message whose fields do."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from fuzz.mend import mend_table
from tfckpt._proto.saved_tensor_slices_pb2 import SavedTensorSlices
from tfckpt._proto.tensor_bundle_pb2 import BundleEntryProto, BundleHeaderProto
from tfckpt.errors import TfckptError
from tfckpt.sstable.reader import Table
from tfckpt.sstable.writer import TableBuilder

Mutate = Callable[[bytes], bytes]

INTEGERS = (
    0,
    1,
    2,
    -1,
    7,
    63,
    64,
    127,
    128,
    254,
    255,
    *((1 << bits) - 1 for bits in (16, 31, 32, 63)),
    1 << 31,
    1 << 62,
)
WIDE = (FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_UINT64, FieldDescriptor.TYPE_FIXED64)
SIGNED = (FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_ENUM)
MESSAGES: tuple[type[Message], ...] = (BundleEntryProto, BundleEntryProto, BundleHeaderProto, SavedTensorSlices)


def mutate_bytes(rng: random.Random, data: bytes) -> bytes:
    """Return bytes with a few changed, added or taken away; what atheris has its own mutator for."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(changed) + 1)
        kind = rng.randrange(5)
        if kind == 0 and at < len(changed):
            changed[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and at < len(changed):
            changed[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        elif kind == 2:
            changed[at:at] = rng.choice((b"\0", b"\xff" * 9 + b"\x01", b"\x80", bytes([rng.randrange(256)])))
        elif kind == 3:
            del changed[at : at + rng.choice((1, 2, 8, len(changed)))]
        else:
            start = rng.randrange(len(changed) + 1)
            changed[at:at] = changed[start : start + rng.choice((1, 4, 16, 64))]
    return bytes(changed)


def _rng(data: bytes) -> random.Random:
    return random.Random(zlib.crc32(data))


def table_of(data: bytes) -> Table:
    """Return the table in a file of these bytes."""
    return Table(lambda at, nbytes: data[at : at + nbytes], len(data), "seed")


def mutate_table(data: bytes, mutate: Mutate) -> bytes:
    """Return a table with one row changed, added or taken away; if it is none, its bytes changed."""
    data = mend_table(data)
    try:
        rows = dict(table_of(data))
    except (TfckptError, RecursionError):
        return mutate(data)
    rng = _rng(mutate(data[:64] or b"x"))
    if not rows or rng.random() < 0.1:
        return mutate(data)
    key = rng.choice(list(rows))
    kind = rng.randrange(6)
    if kind == 0:
        rows[mutate(key)] = rows.pop(key)
    elif kind == 1:
        rows[mutate(key)] = rows[key]
    elif kind == 2:
        del rows[key]
    elif kind == 3:
        rows[key] = mutate(rows[key])
    else:
        rows[key] = mutate_message(MESSAGES[rng.randrange(len(MESSAGES))], rows[key], mutate)
    return build_table(rows, rng.choice((64, 512, 1 << 18)))


def build_table(rows: dict[bytes, bytes], block_size: int, kind: type[TableBuilder] = TableBuilder) -> bytes:
    """Return a table of these rows."""
    parts: list[bytes] = []
    builder = kind(lambda part: parts.append(bytes(part)), block_size)
    for key in sorted(rows):
        builder.add(key, rows[key])
    builder.finish()
    return b"".join(parts)


def mutate_message(kind: type[Message], data: bytes, mutate: Mutate) -> bytes:
    """Return a serialized message with one field, somewhere in it, changed, added or taken away; if it is none, its bytes."""
    message = kind()
    try:
        message.ParseFromString(data)
    except DecodeError:
        return mutate(data)
    rng = _rng(mutate(data[:64] or b"x"))
    if rng.random() < 0.2:
        return mutate(data)
    _change(message, rng, mutate)
    return bytes(message.SerializeToString())


def _is_repeated(field: Any) -> bool:
    """Whether a field of a message is a list; old protobufs know a label only, new ones warn of it."""
    return bool(field.is_repeated if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED)


def _change(message: Any, rng: random.Random, mutate: Mutate) -> None:
    field = rng.choice(message.DESCRIPTOR.fields)
    inner = field.message_type is not None
    if not _is_repeated(field):
        if inner and rng.random() < 0.9:
            _change(getattr(message, field.name), rng, mutate)
            getattr(message, field.name).SetInParent()
        elif inner or rng.random() < 0.1:
            message.ClearField(field.name)
        else:
            setattr(message, field.name, _value(field, getattr(message, field.name), rng, mutate))
        return
    values = getattr(message, field.name)
    at = rng.randrange(len(values)) if len(values) else 0
    kind = rng.randrange(8)
    if not len(values) or kind == 0:
        values.add() if inner else values.append(_value(field, field.default_value or 0, rng, mutate))
    elif kind == 1:
        del values[at]
    elif kind == 2 and len(values) < 1000:
        values.extend(values[at : at + 8])
    elif inner:
        _change(values[at], rng, mutate)
    else:
        values[at] = _value(field, values[at], rng, mutate)


def _value(field: Any, value: Any, rng: random.Random, mutate: Mutate) -> Any:
    if field.type == FieldDescriptor.TYPE_BYTES:
        return mutate(value or b"")
    if field.type == FieldDescriptor.TYPE_STRING:
        return mutate((value or "").encode()).decode("utf-8", "replace")
    if field.type == FieldDescriptor.TYPE_BOOL:
        return not value
    bits = 64 if field.type in WIDE else 32
    number = rng.choice((*INTEGERS, value + 1, value - 1, rng.getrandbits(8)))
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if field.type in SIGNED else (0, (1 << bits) - 1)
    return min(max(int(number), low), high)
