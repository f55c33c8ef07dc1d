"""One tensor to write: what it is made of, and what becomes of that on the way."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from tfckpt._proto.types_pb2 import DataType
from tfckpt.base.html import in_notebooks
from tfckpt.base.options import Fixed
from tfckpt.bundle.values.dtypes import dtype_name, item_size, tensor_type
from tfckpt.bundle.values.entry import Entry
from tfckpt.errors import UsageError
from tfckpt.families.language.axes import inverse, keeps_bytes, target_shape

NO_LETTERS: Mapping[str, int] = Fixed({})


@in_notebooks
class Fill(NamedTuple):
    """Values that no source has: one number everywhere, or, with a seed, normally distributed ones around it.

    Attributes:
        value: the number, or the mean.
        deviation: the standard deviation; 0 without a seed.
        seed: of the random numbers; None if there are none.
    """

    value: float = 0.0
    deviation: float = 0.0
    seed: int | None = None

    def __str__(self) -> str:
        if self.seed is None:
            return {0.0: "zeros", 1.0: "ones"}.get(self.value, f"{self.value:g}")
        return f"normal, deviation {self.deviation:g}, seed {self.seed}"

    def to_json(self) -> dict[str, Any]:
        """Return it as what ``json.dumps`` takes."""
        return self._asdict()


def parse_fill(text: str) -> Fill:
    """Return what ``"zeros"`` or ``"normal:SEED"`` means; the deviation is that of BERT's own initializer.

    >>> parse_fill("normal:7")
    Fill(value=0.0, deviation=0.02, seed=7)

    Raises: UsageError.
    """
    kind, _, seed = text.partition(":")
    if text == "zeros":
        return Fill()
    if kind == "normal" and seed.isascii() and seed.isdecimal():
        return Fill(deviation=0.02, seed=int(seed))
    raise UsageError(f"fill: expected 'zeros' or 'normal:SEED' with a whole number, got {text!r}")


@in_notebooks
class Identity(NamedTuple):
    """Ones on the diagonal of a matrix, zeros beside it."""

    def __str__(self) -> str:
        return "identity"

    def to_json(self) -> dict[str, Any]:
        """Return it as what ``json.dumps`` takes."""
        return {"constant": str(self)}


Shape = tuple[int, ...]


@in_notebooks
class Resize(NamedTuple):
    """One axis, cut at its end or extended there. What was cut is lost; what was extended can be cut again.

    Attributes:
        axis: its number.
        old: how long it was.
        new: how long it becomes.
        fill: what is added: ``"zeros"``, or the ``"mean"`` of its rows.
    """

    axis: int
    old: int
    new: int
    fill: str = "zeros"

    def shape_after(self, shape: Shape) -> Shape:
        """Return the shape that it makes of another."""
        return (*shape[: self.axis], self.new, *shape[self.axis + 1 :])

    def inverse(self) -> Resize | None:
        """Return what undoes it; None if nothing does."""
        return self._replace(old=self.new, new=self.old) if self.new >= self.old else None

    def __str__(self) -> str:
        return f"axis {self.axis}: {self.old} to {self.new}"

    def to_json(self) -> dict[str, Any]:
        """Return it as what ``json.dumps`` takes."""
        return self._asdict()


@in_notebooks
class Rearrange(NamedTuple):
    """Axes split, joined or in another order.

    Attributes:
        pattern: in einops' notation, such as ``"h (a d) -> h a d"``; without an arrow, nothing moves.
        letters: what its letters stand for.
    """

    pattern: str
    letters: Mapping[str, int] = NO_LETTERS

    def shape_after(self, shape: Shape) -> Shape:
        """Return the shape that it makes of another, which fits the pattern."""
        return target_shape(self.pattern, self.letters) if "->" in self.pattern else shape

    def inverse(self) -> Rearrange:
        """Return what undoes it."""
        return self._replace(pattern=inverse(self.pattern))

    def __str__(self) -> str:
        return self.pattern

    def to_json(self) -> dict[str, Any]:
        """Return it as what ``json.dumps`` takes."""
        return {"pattern": self.pattern, "letters": dict(self.letters)}


@in_notebooks
class Cast(NamedTuple):
    """Values in another dtype. Nothing undoes it: what the new dtype could not hold is lost.

    Attributes:
        data_type: TensorFlow's number of the new dtype.
    """

    data_type: DataType

    def shape_after(self, shape: Shape) -> Shape:
        """Return the shape, which stays."""
        return shape

    def inverse(self) -> None:
        """Return None: nothing undoes it."""

    def __str__(self) -> str:
        return f"to {dtype_name(self.data_type)}"

    def to_json(self) -> dict[str, Any]:
        """Return it as what ``json.dumps`` takes."""
        return {"dtype": dtype_name(self.data_type)}


@in_notebooks
class Scale(NamedTuple):
    """Every value times a number. Only a power of two can be undone without a loss, and so can its opposite.

    Attributes:
        factor: the number.
    """

    factor: float

    def shape_after(self, shape: Shape) -> Shape:
        """Return the shape, which stays."""
        return shape

    def inverse(self) -> Scale | None:
        """Return what undoes it; None if nothing does exactly."""
        return Scale(1 / self.factor) if abs(math.frexp(self.factor)[0]) == 0.5 else None

    def __str__(self) -> str:
        return f"times {self.factor:g}"

    def to_json(self) -> dict[str, Any]:
        """Return it as what ``json.dumps`` takes."""
        return self._asdict()


@in_notebooks
class Pad(NamedTuple):
    """Equal values added at the ends of an axis. What undoes it takes the part between them, so that it has no inverse here.

    Attributes:
        axis: its number.
        before: how many are added at its beginning.
        after: how many are added at its end.
        value: what is added.
    """

    axis: int
    before: int
    after: int
    value: float = 0.0

    def shape_after(self, shape: Shape) -> Shape:
        """Return the shape that it makes of another."""
        return (*shape[: self.axis], self.before + shape[self.axis] + self.after, *shape[self.axis + 1 :])

    def inverse(self) -> None:
        """Return None: a part undoes it, which is no operation."""

    def __str__(self) -> str:
        return f"axis {self.axis}: {self.before} before and {self.after} after, {self.value:g}"

    def to_json(self) -> dict[str, Any]:
        """Return it as what ``json.dumps`` takes."""
        return self._asdict()


@in_notebooks
class NotNegative(NamedTuple):
    """Values that are 0 or more, as second moments are; with others, reading fails.

    Attributes:
        name: what the values are called.
    """

    name: str

    def shape_after(self, shape: Shape) -> Shape:
        """Return the shape, which stays."""
        return shape

    def inverse(self) -> NotNegative:
        """Return itself: values stay."""
        return self

    def __str__(self) -> str:
        return "0 or more"

    def to_json(self) -> dict[str, Any]:
        """Return it as what ``json.dumps`` takes."""
        return {}


Op = Rearrange | Resize | Cast | Scale | Pad | NotNegative


def _ops_to_json(ops: Iterable[Op]) -> list[dict[str, Any]]:
    return [{"op": type(op).__name__.lower(), **op.to_json()} for op in ops]


@in_notebooks
class Part(NamedTuple):
    """A piece of a tensor, cut along one axis.

    Attributes:
        axis: its number.
        start: the first row of the piece.
        stop: the row behind its last.
    """

    axis: int
    start: int
    stop: int

    def shape_after(self, shape: Shape) -> Shape:
        """Return the shape of the piece of a tensor."""
        return (*shape[: self.axis], self.stop - self.start, *shape[self.axis + 1 :])

    def to_json(self) -> dict[str, Any]:
        """Return it as what ``json.dumps`` takes."""
        return self._asdict()


@in_notebooks
class Input(NamedTuple):
    """What a step reads, and what becomes of it before it is joined with the other inputs.

    Attributes:
        source: name of a tensor of the source; empty for a constant.
        data_type: TensorFlow's number of its dtype.
        shape: the shape of the whole tensor, or of the constant.
        part: the piece of the tensor that is taken; None for all of it.
        constant: the values, if no source has them.
        ops: what becomes of them, in order.
    """

    source: str
    data_type: DataType
    shape: Shape
    part: Part | None = None
    constant: Fill | Identity | None = None
    ops: tuple[Op, ...] = ()

    @property
    def shape_after(self) -> Shape:
        """The shape after all operations."""
        return shape_after(self.shape if self.part is None else self.part.shape_after(self.shape), self.ops)

    def to_json(self) -> dict[str, Any]:
        """Return it as what ``json.dumps`` takes."""
        return {
            "source": self.source,
            "dtype": dtype_name(self.data_type),
            "shape": list(self.shape),
            "part": None if self.part is None else self.part.to_json(),
            "constant": None if self.constant is None else str(self.constant),
            "ops": _ops_to_json(self.ops),
        }


def shape_after(shape: Shape, ops: Iterable[Op]) -> Shape:
    """Return the shape that operations make of another.

    >>> shape_after((2, 3), [Rearrange("x y -> y x", {"x": 2, "y": 3}), Pad(0, 0, 1)])
    (4, 2)
    """
    for op in ops:
        shape = op.shape_after(shape)
    return shape


@in_notebooks
class Step(NamedTuple):
    """One tensor to write: its inputs joined along an axis, and what becomes of them then.

    Most have one input: a tensor of the source, or values that no source has. What older code asks for is told from the
    first input: ``source``, ``data_type``, ``source_shape``, ``axes``, ``letters``, ``cast``, ``fill`` and ``resizes``.

    Attributes:
        target: its key in the destination.
        inputs: what it is made of.
        shape: its shape in the destination.
        nbytes: bytes that it takes there.
        axis: the axis along which inputs are joined.
        ops: what becomes of all of them together.
        same_as: the key of a step before it, whose bytes are this tensor's, too.
        origin: of a merge, the source that it comes from, as it was given.
    """

    target: str
    inputs: tuple[Input, ...]
    shape: Shape
    nbytes: int
    axis: int = 0
    ops: tuple[Op, ...] = ()
    same_as: str | None = None
    origin: str = ""

    @property
    def source(self) -> str:
        """The name of the first input's tensor; empty if it is filled."""
        return self.inputs[0].source

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of all tensors of the source that it is made of, each once."""
        if len(self.inputs) == 1:
            name = self.inputs[0].source
            return (name,) if name else ()
        return tuple(dict.fromkeys(item.source for item in self.inputs if item.source))

    @property
    def data_type(self) -> DataType:
        """TensorFlow's number of the source's dtype; ``dtype_name`` is the name of the destination's."""
        return self.inputs[0].data_type

    @property
    def source_shape(self) -> Shape:
        """The shape of the first input's tensor; empty if it is filled."""
        first = self.inputs[0]
        return first.shape if first.constant is None else ()

    @property
    def axes(self) -> str | None:
        """The pattern that leads from the source's shape to this one, such as ``"h (a d) -> h a d"``; None if it stays."""
        op = self._rearrangement
        return None if op is None else op.pattern

    @property
    def letters(self) -> Mapping[str, int]:
        """What the pattern's letters stand for."""
        op = self._rearrangement
        return NO_LETTERS if op is None else op.letters

    @property
    def _rearrangement(self) -> Rearrange | None:
        return next((op for op in self.inputs[0].ops if isinstance(op, Rearrange)), None)

    @property
    def cast(self) -> DataType | None:
        """Number of the dtype that it gets, if another."""
        ops = self.inputs[0].ops + self.ops
        return next((op.data_type for op in reversed(ops) if isinstance(op, Cast)), None) if ops else None

    @property
    def stored_type(self) -> DataType:
        """TensorFlow's number of the dtype in the destination."""
        first = self.inputs[0]
        cast = self.cast if first.ops or self.ops else None
        return first.data_type if cast is None else cast

    @property
    def fill(self) -> Fill | None:
        """Its values, if the source has none of them."""
        first, *others = self.inputs
        return first.constant if isinstance(first.constant, Fill) and not others else None

    @property
    def resizes(self) -> tuple[Resize, ...]:
        """What becomes of the source's axes before the pattern is applied."""
        return tuple(op for op in self.inputs[0].ops if isinstance(op, Resize))

    @property
    def dtype_name(self) -> str:
        """TensorFlow's name of the dtype in the destination."""
        return dtype_name(self.stored_type)

    @property
    def is_transposed(self) -> bool:
        """Whether the values change places."""
        first = self.inputs[0]
        return first.constant is None and any(isinstance(op, Rearrange) and not _keeps_bytes(op) for op in first.ops)

    @property
    def keeps_bytes(self) -> bool:
        """Whether the stored bytes can be carried as they are."""
        first = self.inputs[0]
        is_whole = first.constant is None and first.part is None and len(self.inputs) == 1 and not self.ops
        return is_whole and (not first.ops or all(_keeps_bytes(op) for op in first.ops))

    def to_json(self) -> dict[str, Any]:
        """Return it as what ``json.dumps`` takes."""
        return {
            "source": self.source,
            "target": self.target,
            "dtype": dtype_name(self.data_type),
            "source_shape": list(self.source_shape),
            "shape": list(self.shape),
            "nbytes": self.nbytes,
            "axes": self.axes,
            "cast": None if self.cast is None else dtype_name(self.cast),
            "fill": None if self.fill is None else str(self.fill),
            "resizes": [resize.to_json() for resize in self.resizes],
            "keeps_bytes": self.keeps_bytes,
            "same_as": self.same_as,
            "origin": self.origin,
            "inputs": [item.to_json() for item in self.inputs],
            "axis": self.axis,
            "ops": _ops_to_json(self.ops),
        }

    def __repr__(self) -> str:
        return f"<Step {self.made_of} -> {self.target!r}: {self.change}>"

    @property
    def made_of(self) -> str:
        """What it is made of, in words: names in quotes, and constants."""
        return " + ".join(repr(i.source) if i.constant is None else str(i.constant) for i in self.inputs)

    @property
    def change(self) -> str:
        """Dtype and shape in the source and in the destination, and by which axes, in words; once if they stay."""
        after = tensor_type(self.stored_type, self.shape)
        first = self.inputs[0]
        before = after if first.constant is not None else tensor_type(first.data_type, first.shape)
        forms = " -> ".join(dict.fromkeys((before, after)))
        axes = self.axes
        return f"{forms}, {axes}" if first.constant is None and axes is not None and "->" in axes else forms


def _keeps_bytes(op: Op) -> bool:
    return isinstance(op, Rearrange) and keeps_bytes(op.pattern)


def carrying(entry: Entry, target: str | None = None, *, cast: DataType | None = None, origin: str = "") -> Step:
    """Return the step of a tensor that keeps its shape, and its name unless it gets a target.

    >>> carrying(Entry("w", 1, (2, 3), 0, 0, 24, 0), "model/w").shape
    (2, 3)
    """
    ops = () if cast is None else (Cast(cast),)
    inputs = (Input(entry.name, entry.data_type, entry.shape, None, None, ops),)
    name = entry.name if target is None else target
    return Step(name, inputs, entry.shape, entry.nbytes, 0, (), None, origin)


def filling(target: str, data_type: DataType, shape: Shape, fill: Fill, ops: tuple[Op, ...] = ()) -> Step:
    """Return the step of a tensor whose values no source has; ``ops`` only name its axes.

    >>> filling("decay", 1, (), Fill(0.5))
    <Step 0.5 -> 'decay': float32[]>
    """
    nbytes = item_size(data_type) * math.prod(shape)
    return Step(
        target=target, inputs=(Input("", data_type, shape, constant=fill, ops=ops),), shape=shape, nbytes=nbytes
    )


def formed(entry: Entry, target: str, ops: tuple[Op, ...], shape: Shape) -> Step:
    """Return the step of a tensor that operations bring to a shape.

    >>> formed(Entry("w", 1, (2, 3), 0, 0, 24, 0), "w", (Rearrange("x y -> y x", {"x": 2, "y": 3}),), (3, 2)).is_transposed
    True
    """
    return Step(target, (Input(entry.name, entry.data_type, entry.shape, None, None, ops),), shape, entry.nbytes)
