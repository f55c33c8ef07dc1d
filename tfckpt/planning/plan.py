"""What a conversion will do, as plain data: steps, what is dropped, the sizes used, the graph to write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from tfckpt.base.html import in_notebooks
from tfckpt.base.issues import Issue, lines_of, notes_to_json
from tfckpt.base.options import Fixed
from tfckpt.checkpoint.graph.object_graph import ObjectGraph
from tfckpt.errors import count_of, redacted
from tfckpt.families.language.axes import Size
from tfckpt.families.language.facts import NO_FACTS, NUM_HEADS, Fact
from tfckpt.planning.steps import Step

NO_SIZES: Mapping[str, Size] = Fixed({})


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
            lambda s: (s.source if s.fill is None else s.fill, s.target, s.change, s.nbytes),
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
