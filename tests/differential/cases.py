"""Random checkpoints, each the same for ever from its seed and number; nothing here knows TensorFlow.

A case has tensors, some cut into slices; bundles, which say in which order whole tensors and slices are written; and what
happens to them then: merged if there are several, rewritten, damaged. A case can be kept as JSON and read again.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import math
import random
from dataclasses import dataclass
from typing import Any

import numpy as np
from support.kernels import DTYPES, Array

from tfckpt._proto.types_pb2 import DT_BOOL, DT_STRING, DataType
from tfckpt.bundle.values.dtypes import FLOATING, dtype_name, numpy_dtype
from tfckpt.bundle.values.slices import TensorSlice, whole

Extents = tuple[tuple[int, int], ...]  # start and length of each dimension, length -1 for all of it

NAME_PARTS = (
    *b"a b kernel bert/encoder/layer_0/attention _temp / // . .. .S ~ %s :0".split(),
    *b"/.ATTRIBUTES/VARIABLE_VALUE /.OPTIMIZER_SLOT/".split(),
    *(b" ", b"\n", b"\0", b"\0\0", b"\1", b"\x7f", b"x" * 200, "ö".encode(), "🎈".encode()),
    *(b"\xff", b"\xff\xfe", b"\xc3", b"\xed\xb2\x80"),  # no UTF-8
)
SMALL = {"int4": (-8, 8), "uint4": (0, 16), "int2": (-2, 2), "uint2": (0, 4)}  # values of what is stored one to a byte
STRINGS = (b"", b"a", b"a\0", b"\0", b"\xff" * 130, "물".encode(), b"b" * 20_000)
MOST_CUTS = 4
MOST_FILES = 200  # or so: every data file that is read stays open, in both
MOST_LONG_STRINGS = 100  # in one tensor


@dataclass(frozen=True)
class Tensor:
    """A tensor; ``data`` is its bytes in C order, or its strings; ``parts`` are the slices it is cut into, if it is."""

    name: bytes
    number: DataType
    shape: tuple[int, ...]
    data: bytes | tuple[bytes, ...]
    parts: tuple[Extents, ...] = ()

    @property
    def key(self) -> str:
        """Its name as tfckpt spells it."""
        return self.name.decode("utf-8", "surrogateescape")

    @property
    def value(self) -> Array:
        """Its values, in the NumPy dtype that holds them."""
        if isinstance(self.data, bytes):
            return np.frombuffer(self.data, numpy_dtype(self.number)).reshape(self.shape)
        array: Array = np.empty(len(self.data), object)
        array[:] = list(self.data)
        return array.reshape(self.shape)


@dataclass(frozen=True)
class Write:
    """One call of a writer: a tensor, and which of its parts, or none if it is written whole."""

    tensor: int
    part: int | None = None


@dataclass(frozen=True)
class Damage:
    """What happens to the data files: ``kind`` is flip, cut or lose; ``at`` says where, as a part of all bytes."""

    kind: str
    at: float
    bit: int = 0


@dataclass(frozen=True)
class Rewrite:
    """Options of `tfckpt.rewrite`."""

    cast: str | None = None
    shards: int | None = None
    max_shard_size: int | None = None
    big_endian: bool | None = None
    suffix: str = ""  # appended to every name


@dataclass(frozen=True)
class Case:
    """What is written and what becomes of it. Only tfckpt can write big-endian, in shards of a size, or after ``breaks``."""

    tensors: tuple[Tensor, ...]
    bundles: tuple[tuple[Write, ...], ...]
    big_endian: bool = False
    max_shard_size: int | None = None
    breaks: tuple[int, ...] = ()  # before which writes of a bundle the next data file begins
    rewrite: Rewrite | None = None
    damage: Damage | None = None
    box: float = 0.5  # which tensor is read in part, and where it is cut
    policy: int | None = None  # whole tensors saved by tf.train.Checkpoint in files of so many bytes

    @property
    def plain(self) -> bool:
        """Whether SaveV2 can write it."""
        return not (self.big_endian or self.max_shard_size or self.breaks)


def make_case(seed: int, number: int) -> Case:
    """Return case ``number`` of a seed."""
    rng = random.Random(f"{seed}/{number}")
    if rng.random() < 0.03:
        return _policy_case(rng)
    count = rng.choice((0, 1, 1, 2, 3, 5, 8)) if rng.random() > 0.01 else rng.randrange(300, 2500)
    names = _names(rng, count)
    tensors = tuple(_tensor(rng, name, tiny=count > 100) for name in names)
    writes = [Write(n, part) for n, t in enumerate(tensors) for part in (range(len(t.parts)) if t.parts else [None])]
    if rng.random() < 0.3:
        rng.shuffle(writes)
    if writes and rng.random() < 0.03:  # twice, which both refuse
        writes.insert(rng.randrange(len(writes) + 1), rng.choice(writes))
    if any(t.parts for t in tensors) and rng.random() < 0.04:  # not all of a tensor
        writes.remove(rng.choice([write for write in writes if write.part is not None]))
    files = rng.choice((1, 1, 1, 2, 3, 4))
    bundles = _deal(rng, writes, files)
    nbytes = sum(tensor.value.nbytes for tensor in tensors)
    return Case(tensors, bundles, **_options(rng, len(writes), files, nbytes // MOST_FILES), box=rng.random())


def _options(rng: random.Random, writes: int, files: int, least: int) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if rng.random() < 0.12:
        options["big_endian"] = True
    if rng.random() < 0.12:
        options["max_shard_size"] = max(least, rng.choice((1, 7, 64, 1000, 100_000)))
    elif rng.random() < 0.1 and files == 1:
        options["breaks"] = tuple(sorted(rng.randrange(writes + 1) for _ in range(rng.randrange(1, 4))))
    if rng.random() < 0.25:
        options["rewrite"] = _rewrite(rng, least)
    elif rng.random() < 0.2:
        options["damage"] = Damage(rng.choice(("flip", "flip", "flip", "cut", "lose")), rng.random(), rng.randrange(8))
    return options


def _rewrite(rng: random.Random, least: int) -> Rewrite:
    size = max(least, rng.choice((8, 100, 10_000)))
    sharding: Any = rng.choice(({}, {"shards": rng.randrange(1, 5)}, {"max_shard_size": size}))
    cast = dtype_name(rng.choice(FLOATING)) if rng.random() < 0.3 else None
    return Rewrite(
        cast=cast, big_endian=rng.choice((None, None, True, False)), suffix=rng.choice(("", "_2")), **sharding
    )


def _names(rng: random.Random, count: int) -> list[bytes]:
    if count > 100:
        return [b"%d/%s" % (n % 7, rng.randbytes(90).hex().encode()) for n in range(count)]  # several blocks
    names: dict[bytes, None] = {}
    while len(names) < count:
        parts = (
            rng.choices(NAME_PARTS, k=rng.randrange(1, 5)) if rng.random() < 0.7 else [b"w", b"%d" % rng.randrange(20)]
        )
        name = b"".join(parts)
        if rng.random() < 0.05:
            name += rng.randbytes(rng.randrange(8))
        if rng.random() < 0.6:
            name = name.decode("utf-8", "ignore").encode()
        if name:  # an empty one ends TensorFlow's process: it is the key of the header
            names[name] = None
    return list(names)


def _tensor(rng: random.Random, name: bytes, *, tiny: bool) -> Tensor:
    number = DT_STRING if rng.random() < 0.15 else rng.choice(DTYPES)
    shape = () if tiny else _shape(rng)
    size = math.prod(shape)
    if number == DT_STRING:
        strings = STRINGS if size <= MOST_LONG_STRINGS else STRINGS[:-1]
        return Tensor(name, number, shape, tuple(rng.choices(strings, k=size)), () if tiny else _parts(rng, shape))
    return Tensor(name, number, shape, _values(rng, number, size), () if tiny else _parts(rng, shape))


def _shape(rng: random.Random) -> tuple[int, ...]:
    if rng.random() < 0.01:
        return (rng.randrange(100_000, 400_000),) if rng.random() < 0.5 else (rng.randrange(300, 700), 301)
    rank = rng.choice((0, 1, 1, 2, 2, 2, 3, 3, 4, 5, 8, 12))
    sizes = (1, 2, 3) if rank > 4 else (1, 2, 3, 4, 5, 7, 12)
    shape = [rng.choice(sizes) for _ in range(rank)]
    if rank and rng.random() < 0.1:
        shape[rng.randrange(rank)] = 0
    while math.prod(shape) > 3000:
        shape[rng.randrange(rank)] = 1
    return tuple(shape)


def _values(rng: random.Random, number: DataType, size: int) -> bytes:
    dtype = numpy_dtype(number)
    if number == DT_BOOL or dtype.name in SMALL:
        low, high = SMALL.get(dtype.name, (0, 2))
        return bytes(np.array([rng.randrange(low, high) for _ in range(size)], np.int8).astype(dtype).tobytes())
    return rng.randbytes(size * dtype.itemsize)  # every NaN, every infinity


def _parts(rng: random.Random, shape: tuple[int, ...]) -> tuple[Extents, ...]:
    """Cut a tensor into slices by cutting boxes in two; TensorFlow puts no more than eight dimensions together."""
    if math.prod(shape) < 2 or len(shape) > 8 or rng.random() < 0.7:
        return ()
    boxes = [whole(shape)]
    for _ in range(rng.randrange(1, MOST_CUTS)):
        box = boxes.pop(rng.randrange(len(boxes)))
        axes = [axis for axis, side in enumerate(box) if side.stop - side.start > 1]
        if not axes:
            boxes.append(box)
            continue
        axis = rng.choice(axes)
        cut = rng.randrange(box[axis].start + 1, box[axis].stop)
        boxes.append((*box[:axis], slice(box[axis].start, cut), *box[axis + 1 :]))
        boxes.append((*box[:axis], slice(cut, box[axis].stop), *box[axis + 1 :]))
    rng.shuffle(boxes)
    parts = [TensorSlice.of(box, shape).extents for box in boxes]
    explicit = rng.random() < 0.3  # a full range may say its numbers, which makes another key
    return tuple(
        tuple((0, n) if explicit and e == (0, -1) else e for e, n in zip(p, shape, strict=True)) for p in parts
    )


def _deal(rng: random.Random, writes: list[Write], files: int) -> tuple[tuple[Write, ...], ...]:
    bundles: list[list[Write]] = [[] for _ in range(files)]
    for write in writes:
        rng.choice(bundles).append(write)
    kept = [bundle for bundle in bundles if bundle or rng.random() < 0.2]
    return tuple(map(tuple, kept)) or ((),)


POLICY_DTYPES = ("float32", "float64", "float16", "bfloat16", "int8", "int32", "int64", "uint8", "bool", "complex64")


def _policy_case(rng: random.Random) -> Case:
    numbers = [number for number in DTYPES if dtype_name(number) in POLICY_DTYPES]
    tensors = []
    for n in range(rng.randrange(1, 5)):
        number, shape = rng.choice(numbers), tuple(rng.choice((1, 2, 3, 5, 8)) for _ in range(rng.randrange(4)))
        tensors.append(Tensor(b"v%d" % n, number, shape, _values(rng, number, math.prod(shape))))
    return Case(tuple(tensors), (), policy=rng.choice((16, 64, 100, 1000)))


def to_json(case: Case) -> str:
    """Return a case as text that `from_json` reads."""
    return json.dumps(
        dataclasses.asdict(case), default=lambda data: {"base64": base64.b64encode(data).decode()}, indent=1
    )


def from_json(text: str) -> Case:
    """Return the case that `to_json` wrote."""
    plain = json.loads(text, object_hook=lambda d: base64.b64decode(d["base64"]) if set(d) == {"base64"} else d)
    fields = {name: _frozen(value) for name, value in plain.items() if name not in ("tensors", "bundles")}
    for name, record in (("rewrite", Rewrite), ("damage", Damage)):
        if fields[name] is not None:
            fields[name] = record(**fields[name])
    tensors = tuple(Tensor(**{name: _frozen(value) for name, value in tensor.items()}) for tensor in plain["tensors"])
    bundles = tuple(tuple(Write(**write) for write in bundle) for bundle in plain["bundles"])
    return Case(tensors, bundles, **fields)


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
