"""Two checkpoints compared: names, dtypes, shapes, values; also across layouts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tfckpt.base.html import in_notebooks
from tfckpt.base.issues import Issue, lines_of, list_tensors, notes_to_json
from tfckpt.bundle.carry import Count
from tfckpt.bundle.stream import stream
from tfckpt.bundle.tensor_reader import TensorReader
from tfckpt.bundle.values.entry import Entry
from tfckpt.checkpoint.checkpoint import Checkpoint
from tfckpt.checkpoint.graph.object_graph import OBJECT_GRAPH_KEY
from tfckpt.edit.comparison.differences import Distance, Tolerance, aligned
from tfckpt.edit.comparison.selection import Selection
from tfckpt.errors import PlanError, count_of, redacted, remedied
from tfckpt.execution.compute import compute, planned_entry
from tfckpt.planning.plan import Plan
from tfckpt.planning.steps import Step
from tfckpt.proof.prove import planned_places, roles_beside

if TYPE_CHECKING:
    from tfckpt.bundle.values.arrays import Array

FOUND = ("verdict", "dtype and shape", "differing", "distance")  # of what is found of a pair
EVERYTHING, EXACTLY = Selection((), ()), Tolerance()
SAME, VALUES, SHAPE, DTYPE, ONLY_A, ONLY_B = "same", "values", "shape", "dtype", "only in A", "only in B"


@in_notebooks
@dataclass(frozen=True, slots=True)
class Pair:
    """One tensor of A and the one of B that stands for it.

    Attributes:
        a: its name in A; empty if B alone has it, or if no tensor of A but a filled value belongs there.
        b: its name in B; empty if A alone has it.
        verdict: ``"same"``, or what is not: ``"values"``, ``"dtype"``, ``"shape"``, ``"only in A"``, ``"only in B"``.
        dtypes: of both, as far as they exist; across layouts, A's is what it becomes.
        shapes: likewise.
        distance: how far the values are apart, if they were compared: dtypes may differ, shapes may not.
    """

    a: str
    b: str
    verdict: str
    dtypes: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    distance: Distance | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the pair as what ``json.dumps`` takes."""
        found: dict[str, Any] = {"a": self.a or None, "b": self.b or None, "verdict": self.verdict}
        found |= {"dtypes": list(self.dtypes), "shapes": [list(shape) for shape in self.shapes], "values": None}
        if self.distance is not None:
            first = self.distance.first
            index = None if first is None else index_of(first, self.shapes[-1])
            found["values"] = self.distance.to_json() | {"first": index}
        return found

    def __repr__(self) -> str:
        return f"<Pair {' and '.join(map(repr, self._names()))}: {', '.join(self._facts())}>"

    def _names(self) -> list[str]:
        return list(dict.fromkeys(name for name in (self.a, self.b) if name))

    def _facts(self) -> Iterator[str]:
        """Yield what is found, in words: the verdict, dtypes and shapes, how many values differ, and how far."""
        forms = (f"{dtype}{list(shape)}" for dtype, shape in zip(self.dtypes, self.shapes, strict=True))
        yield {VALUES: "values differ", SHAPE: "shapes differ", DTYPE: "dtypes differ"}.get(self.verdict, self.verdict)
        yield " and ".join(dict.fromkeys(forms))
        found = self.distance
        if found is not None and found.differing:
            yield f"{found.differing:,} of {found.count:,} values"
            if found.max_absolute is not None:
                yield f"at most {found.max_absolute:.6g} apart"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two checkpoints, tensor by tensor.

    Attributes:
        a: prefix of one.
        b: prefix of the other.
        to: the layout across which they were compared; empty if name by name.
        pairs: every tensor of either, in A's order, then what B alone has.
        ignored: what was not compared, and the rule that says so: what a plan drops of A, what B has beside the model, what
            ``only`` and ``ignore`` leave out.
        issues: what a user should know, as data.
    """

    a: str
    b: str
    to: str
    pairs: tuple[Pair, ...]
    ignored: Mapping[str, str]
    issues: tuple[Issue, ...] = ()

    def _repr_html_(self) -> str:
        from tfckpt.base.html import facts, folded, listed, shown, table

        verdicts = Counter(pair.verdict for pair in self.pairs)

        def tensors(pairs: Sequence[Pair]) -> str:
            return table(("tensor", *FOUND), pairs, lambda p: (" -> ".join(p._names()), *p._facts())) if pairs else ""

        ignored = table(("not compared", "rule"), list(self.ignored.items()), lambda item: item) if self.ignored else ""
        return shown(
            repr(self),
            facts({"target": self.to, **verdicts}),
            folded(count_of(self.issues, "note"), listed(self.notes), is_open=True),
            folded(f"{len(self.differing):,} differ", tensors(self.differing), is_open=True),
            folded(count_of(self.pairs, "pair"), tensors(self.pairs)),
            folded(f"{len(self.ignored):,} not compared", ignored),
        )

    def __repr__(self) -> str:
        counts = f"{count_of(self.pairs, 'pair')}, {len(self.differing):,} differ"
        return redacted(f"<Comparison of {self.a!r} and {self.b!r}: {counts}>")

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know, one line each."""
        return lines_of(self.issues)

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not self.differing

    @property
    def differing(self) -> tuple[Pair, ...]:
        """The pairs that are not the same."""
        return tuple(pair for pair in self.pairs if pair.verdict != SAME)

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as what ``json.dumps`` takes; ``tensors`` has one object a pair."""
        return {
            "a": self.a,
            "b": self.b,
            "to": self.to or None,
            "same": self.same,
            "ignored": [{"name": name, "rule": rule} for name, rule in self.ignored.items()],
            **notes_to_json(self.issues),
            "tensors": [pair.to_json() for pair in self.pairs],
        }


def index_of(number: int, shape: tuple[int, ...]) -> list[int]:
    """Return the index of an element, from its number in row-major order.

    >>> index_of(5, (2, 3))
    [1, 2]
    """
    index = []
    for size in reversed(shape):
        number, at = divmod(number, size)
        index.append(at)
    return index[::-1]


@dataclass(frozen=True, slots=True)
class How:
    """What counts as a difference, and who counts the bytes."""

    tolerance: Tolerance = EXACTLY
    ignore_dtypes: bool = False
    count: Count | None = None


class Comparer:
    """Two open checkpoints, compared tensor by tensor."""

    def __init__(self, a: Checkpoint, b: Checkpoint, how: How, selection: Selection = EVERYTHING) -> None:
        self._a, self._b, self._how = a, b, how
        self._selection = selection
        self._meant_a, self._meant_b = selection.meanings(a), selection.meanings(b)

    def by_name(self) -> Comparison:
        """Compare the tensors of equal names."""
        pairs = []
        ignored: dict[str, str] = {}
        all_ours, all_theirs = self._a.reader.entries, self._b.reader.entries
        for ours in all_ours.values():
            theirs = all_theirs.get(ours.name)
            rule = self._rule(ours.name, "" if theirs is None else ours.name)
            if rule is not None:
                ignored[ours.name] = rule
            else:
                pairs.append(only(ours, ONLY_A) if theirs is None else self.pair(ours, theirs))
        for entry in all_theirs.values():
            if entry.name not in all_ours:
                rule = self._rule("", entry.name)
                if rule is not None:
                    ignored[entry.name] = rule
                else:
                    pairs.append(only(entry, ONLY_B))
        return Comparison(self._a.prefix, self._b.prefix, "", tuple(pairs), ignored)

    def _rule(self, a: str, b: str) -> str | None:
        """Return the rule that leaves out a tensor, called so in A and so in B, if there is one; empty where it is not."""
        if self._selection.has_all:
            return None
        return self._selection.rule(*((meant, n) for meant, n in ((self._meant_a, a), (self._meant_b, b)) if n))

    def by_plan(self, plan: Plan) -> Comparison:
        """Compare what each step of a plan makes of A with the tensors of B that stand for it."""
        others: list[str] = []
        places = planned_places(plan, self._b, others)
        if others:
            raise remedied(PlanError([f"{self._b.prefix}: {line}" for line in others]), list_tensors(self._b.prefix))
        pairs, keys = [], set()
        ignored = {item.source: item.rule for item in plan.dropped}
        for step in plan.steps:
            for key in places.keys.get(step.target) or ("",):
                keys.add(key)
                rule = self._rule(step.source, key)
                if rule is None:
                    pairs.append(self._step(step, key))
                else:
                    ignored[step.source or key] = rule
        beside = roles_beside(self._b)
        for name in sorted(set(self._b) - keys - {OBJECT_GRAPH_KEY}):
            rule = beside.get(name) or self._rule("", name)
            if rule is None:
                pairs.append(only(self._b.entry(name), ONLY_B))
            else:
                ignored[name] = rule
        return Comparison(self._a.prefix, self._b.prefix, plan.to, tuple(pairs), ignored)

    def _step(self, step: Step, key: str) -> Pair:
        kind = step.dtype_name
        theirs = self._b.reader.entry(key) if key else None
        if theirs is None:
            return Pair(step.source, "", ONLY_A, (kind,), (step.shape,))
        return self._compare(step.source, kind, step.shape, theirs, _values(step, self._a.reader))

    def pair(self, ours: Entry, theirs: Entry) -> Pair:
        """Return how a tensor of A and one of B differ; reads both."""
        values = stream(self._a.reader, ours, verify=True)
        return self._compare(ours.name, ours.dtype_name, ours.shape, theirs, values)

    def _compare(self, a: str, kind: str, shape: tuple[int, ...], theirs: Entry, values: Iterator[Array]) -> Pair:
        other = theirs.dtype_name
        dtypes, shapes = (kind, other), (shape, theirs.shape)
        if shape != theirs.shape:
            return Pair(a, theirs.name, SHAPE, dtypes, shapes)
        if kind != other and ("string" in dtypes or "variant" in dtypes):
            return Pair(a, theirs.name, DTYPE, dtypes, shapes)
        distance, how = Distance(), self._how
        for x, y in aligned(values, stream(self._b.reader, theirs, verify=True)):
            distance.add(x, y, how.tolerance)
            if how.count is not None:
                how.count(x.nbytes + y.nbytes)
        verdict = VALUES if distance.differing else SAME
        if kind != other and not how.ignore_dtypes:
            verdict = DTYPE
        return Pair(a, theirs.name, verdict, dtypes, shapes, distance)


def _values(step: Step, reader: TensorReader) -> Iterator[Array]:
    """Yield the values that a step makes; those whose order stays are never held all at once."""
    if step.keeps_bytes:
        yield from stream(reader, planned_entry(step.inputs[0], reader), verify=True)
    else:
        yield np.ascontiguousarray(compute(step, reader, verify=True)).reshape(-1)


def only(entry: Entry, verdict: str) -> Pair:
    """Return the pair of a tensor that one of the two has alone."""
    a, b = (entry.name, "") if verdict == ONLY_A else ("", entry.name)
    return Pair(a, b, verdict, (entry.dtype_name,), (entry.shape,))
