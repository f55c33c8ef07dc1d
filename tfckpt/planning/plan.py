"""What a conversion will do, as plain data: steps, what is dropped, the sizes used, the graph to write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from tfckpt._proto.types_pb2 import DataType
from tfckpt.base.html import in_notebooks
from tfckpt.base.issues import Issue, lines_of, notes_to_json
from tfckpt.base.options import Fixed
from tfckpt.bundle.values.dtypes import dtype_name, tensor_type
from tfckpt.bundle.values.entry import Entry
from tfckpt.checkpoint.graph.object_graph import ObjectGraph
from tfckpt.errors import UsageError, count_of, redacted
from tfckpt.families.language.axes import Size, keeps_bytes
from tfckpt.planning.config import NO_FACTS, NUM_HEADS, Fact

NO_LETTERS: Mapping[str, int] = Fixed({})
NO_SIZES: Mapping[str, Size] = Fixed({})


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
class Resize(NamedTuple):
    """One axis of a source tensor, cut at its end or extended there.

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

    def to_json(self) -> dict[str, Any]:
        """Return it as what ``json.dumps`` takes."""
        return self._asdict()


@in_notebooks
class Step(NamedTuple):
    """One tensor to write: one of the source in the target's form, or one that is filled.

    Attributes:
        source: its name in the source; empty if it is filled.
        target: its key in the destination.
        data_type: TensorFlow's number of the source's dtype; ``dtype_name`` is the name.
        source_shape: its shape in the source.
        shape: its shape in the destination.
        nbytes: bytes that it takes there.
        axes: the pattern that leads from one shape to the other, such as ``"h (a d) -> h a d"``; None if it stays.
        letters: what the pattern's letters stand for.
        cast: number of the dtype that it gets, if another.
        fill: its values, if the source has none.
        resizes: what becomes of the source's axes before the pattern is applied.
        same_as: the key of a step before it, whose bytes are this tensor's, too.
        origin: of a merge, the source that it comes from, as it was given.
    """

    source: str
    target: str
    data_type: DataType
    source_shape: tuple[int, ...]
    shape: tuple[int, ...]
    nbytes: int
    axes: str | None = None
    letters: Mapping[str, int] = NO_LETTERS
    cast: DataType | None = None
    fill: Fill | None = None
    resizes: tuple[Resize, ...] = ()
    same_as: str | None = None
    origin: str = ""

    @property
    def dtype_name(self) -> str:
        """TensorFlow's name of the dtype in the destination."""
        return dtype_name(self.data_type if self.cast is None else self.cast)

    @property
    def is_transposed(self) -> bool:
        """Whether the values change places."""
        return self.fill is None and self.axes is not None and not keeps_bytes(self.axes)

    @property
    def keeps_bytes(self) -> bool:
        """Whether the stored bytes can be carried as they are."""
        return self.cast is None and self.fill is None and not self.resizes and not self.is_transposed

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
        }

    def __repr__(self) -> str:
        return f"<Step {repr(self.source) if self.fill is None else self.fill} -> {self.target!r}: {self._change}>"

    @property
    def _change(self) -> str:
        """Dtype and shape in the source and in the destination, and by which axes, in words; once if they stay."""
        after = tensor_type(self.data_type if self.cast is None else self.cast, self.shape)
        before = after if self.fill is not None else tensor_type(self.data_type, self.source_shape)
        forms = " -> ".join(dict.fromkeys((before, after)))
        return f"{forms}, {self.axes}" if self.fill is None and self.axes is not None and "->" in self.axes else forms


def carrying(entry: Entry, target: str | None = None, *, cast: DataType | None = None, origin: str = "") -> Step:
    """Return the step of a tensor that keeps its shape, and its name unless it gets a target.

    >>> carrying(Entry("w", 1, (2, 3), 0, 0, 24, 0), "model/w").shape
    (2, 3)
    """
    name = entry.name if target is None else target
    return Step(entry.name, name, entry.data_type, entry.shape, entry.shape, entry.nbytes, cast=cast, origin=origin)


@in_notebooks
class Dropped(NamedTuple):
    """One source tensor that does not go along.

    Attributes:
        source: its name.
        rule: name of the rule that says so.
        nbytes: bytes that it takes in the source.
        role: what it was for, such as ``"model"`` or ``"optimizer state"``; empty where nobody asked.
        origin: of a merge, the source that has it, as it was given.
    """

    source: str
    rule: str
    nbytes: int
    role: str = ""
    origin: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as what ``json.dumps`` takes."""
        return self._asdict()


@in_notebooks
class Written(NamedTuple):
    """How a plan was carried out.

    Attributes:
        mode: ``"copy"``, ``"link"`` or ``"reflink"``.
        carried_nbytes: bytes of the destination that its index does not name, such as a source's slots: only where files are
            shared.
        issues: why another mode was not taken, as data.
    """

    mode: str
    carried_nbytes: int = 0
    issues: tuple[Issue, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """Why another mode was not taken, one line each."""
        return lines_of(self.issues)

    def to_json(self) -> dict[str, Any]:
        """Return it as what ``json.dumps`` takes."""
        return {"mode": self.mode, "carried_nbytes": self.carried_nbytes, **notes_to_json(self.issues)}


@in_notebooks
class Argument(NamedTuple):
    """One argument of a constructor.

    Attributes:
        name: its name there.
        code: what to write for it, in Python; ``...`` if nothing tells it.
        value: the same as a text, a number or a truth value, where it is one; an activation's name; else None.
        field: what of a configuration it is, such as ``"hidden_act"``; empty if of none.
        origin: who says so: a configuration file, a tensor, an option, or the class, whose default it is; empty of what every
            model of the target has.
    """

    name: str
    code: str
    value: str | float | bool | None
    field: str
    origin: str

    def to_json(self) -> dict[str, Any]:
        """Return it as what ``json.dumps`` takes."""
        return self._asdict()


@in_notebooks
class Constructor(NamedTuple):
    """A call that builds the model of a target, or a part of it, as it must be built to compute what the source's did.

    Attributes:
        name: what the arguments of later calls call the result.
        module: where the function's first name is imported from, such as ``"official.nlp.modeling"``.
        function: a class, or a function, such as ``"networks.BertEncoder"``.
        arguments: in order.
        first_call: the code that makes its variables, if its class does not make them at once.
    """

    name: str
    module: str
    function: str
    arguments: tuple[Argument, ...]
    first_call: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as what ``json.dumps`` takes."""
        return self._asdict() | {"arguments": [argument.to_json() for argument in self.arguments]}

    def __repr__(self) -> str:
        arguments = ", ".join(f"{argument.name}={argument.code}" for argument in self.arguments)
        return f"<Constructor {self.name} = {self.function}({arguments})>"


class Plan(NamedTuple):
    """A whole conversion: plain data, which pickles, and which nothing changes but its ``object_graph``.

    Attributes:
        source: prefix of the checkpoint to convert.
        to: name of the target's layout; empty if the layout stays.
        steps: tensors to write, in the order of the data file.
        dropped: tensors left out.
        sizes: sizes of the source by configuration field, each with its origin; the head count is among them if one is used.
        scope: what stood before the hub's names in the source, e.g. ``"module/"``.
        issues: what a user should know, as data.
        object_graph: the graph to write; None for a name-based target.
        model: path of the model's node in that graph.
        heads_letter: the letter that means the head count in axes patterns.
        written: how it was carried out; None if it was not.
        moved: objects that are at another path, as (old, new) in key form: of an edit that renames.
        facts: what shapes the model and no tensor shows, by field, each with the file that states it.
        constructors: how to build the target's model, the last of them all of it; none for a name-based target.
    """

    source: str
    to: str
    steps: tuple[Step, ...]
    dropped: tuple[Dropped, ...]
    sizes: Mapping[str, Size]
    scope: str = ""
    issues: tuple[Issue, ...] = ()
    object_graph: ObjectGraph | None = None
    model: str = ""
    heads_letter: str = ""
    written: Written | None = None
    moved: tuple[tuple[str, str], ...] = ()
    facts: Mapping[str, Fact] = NO_FACTS
    constructors: tuple[Constructor, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know, one line each."""
        return lines_of(self.issues)

    @property
    def num_heads(self) -> int | None:
        """The head count used, which shapes cannot prove; None if nothing was split into heads."""
        return self.sizes[NUM_HEADS].value if NUM_HEADS in self.sizes else None

    @property
    def from_source(self) -> int:
        """Number of the tensors to write whose values come from the source."""
        return len(self.steps) - self.filled

    @property
    def filled(self) -> int:
        """Number of the tensors to write whose values no source has: their steps have a ``fill``."""
        return sum(step.fill is not None for step in self.steps)

    @property
    def nbytes(self) -> int:
        """Bytes of tensors to write; what two of them share counts once."""
        return sum(step.nbytes for step in self.steps if step.same_as is None)

    def __repr__(self) -> str:
        counts = f"{count_of(self.steps, 'step')}, {len(self.dropped):,} dropped"
        target = f" to {self.to!r}" if self.to else ""
        return redacted(f"<tfckpt.Plan of {self.source!r}{target}: {counts}>")

    def _repr_html_(self) -> str:
        from tfckpt.base.html import facts, folded, listed, shown, table

        counts = {"tensors": len(self.steps), "from the source": self.from_source, "filled": self.filled}
        sizes = {name: f"{size.value} ({size.origin})" for name, size in self.sizes.items()}
        steps = table(
            ("source", "destination", "what becomes of it", "bytes"),
            self.steps,
            lambda s: (s.source if s.fill is None else s.fill, s.target, s._change, s.nbytes),
        )
        dropped = table(("source", "rule", "bytes"), self.dropped, lambda d: (d.source, d.rule, d.nbytes))
        return shown(
            repr(self),
            facts({**counts, "bytes": self.nbytes, "written": self.written and self.written.mode}),
            folded(count_of(self.issues, "note"), listed(self.notes), is_open=True),
            folded(count_of(self.sizes, "size"), facts(sizes) if sizes else ""),
            folded(count_of(self.steps, "step"), steps),
            folded(f"{len(self.dropped):,} dropped", dropped if self.dropped else ""),
            folded("model", listed([repr(constructor) for constructor in self.constructors])),
        )

    def dropped_by_rule(self) -> dict[str, list[Dropped]]:
        """Return the dropped tensors, grouped."""
        groups: dict[str, list[Dropped]] = {}
        for item in self.dropped:
            groups.setdefault(item.rule, []).append(item)
        return groups

    def to_json(self) -> dict[str, Any]:
        """Return the report as what ``json.dumps`` takes: strings, numbers, lists, dicts."""
        return {
            "source": self.source,
            "to": self.to,
            "scope": self.scope,
            "num_heads": self.num_heads,
            "sizes": {name: {"value": size.value, "origin": size.origin} for name, size in self.sizes.items()},
            "nbytes": self.nbytes,
            "from_source": self.from_source,
            "filled": self.filled,
            "steps": [step.to_json() for step in self.steps],
            "dropped": [item.to_json() for item in self.dropped],
            "moved": [{"old": old, "new": new} for old, new in self.moved],
            **notes_to_json(self.issues),
            "written": None if self.written is None else self.written.to_json(),
            "facts": {name: fact.to_json() for name, fact in self.facts.items()},
            "constructors": [constructor.to_json() for constructor in self.constructors],
        }


def noting(plan: Plan, issues: Iterable[Issue]) -> Plan:
    """Return a plan with more that a user should know."""
    return plan._replace(issues=(*plan.issues, *issues))
