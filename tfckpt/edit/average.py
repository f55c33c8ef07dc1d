"""The average of checkpoints of one training, which often evaluates better than any of them.

Strategy: what is no number with a fraction, or is by its role neither a weight nor an optimizer's, goes over from the last
source as it is stored, the object graph too. The rest is read from all sources side by side, a piece at a time, averaged in
float64 and rounded once. What could be another model's is refused: names, dtypes and shapes must be equal, and the object
graphs must mean the same by their keys. Where a place in an optimizer's lists is all that tells for which variable a moment
is, that is no proof: the state of such an optimizer is the last source's whole.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tfckpt._proto.types_pb2 import DataType
from tfckpt.base import log
from tfckpt.base.issues import Issue, compare
from tfckpt.bundle.carry import StoredBytes
from tfckpt.bundle.stream import runs
from tfckpt.bundle.values.dtypes import NUMERIC, component_size, dtype_name, is_numeric, numpy_dtype
from tfckpt.bundle.values.entry import Entry
from tfckpt.bundle.values.slices import Ranges, TensorSlice, whole
from tfckpt.checkpoint.checkpoint import Checkpoint
from tfckpt.checkpoint.graph.agreement import Doubt, disagreement, doubts, without_optimizers
from tfckpt.checkpoint.graph.graph_roles import contents, graph_of_keys, originals_of_copies
from tfckpt.checkpoint.graph.object_graph import ATTRIBUTES, OBJECT_GRAPH_KEY, ObjectGraph, path_to, quoted
from tfckpt.checkpoint.graph.object_tensors import ObjectTensors
from tfckpt.checkpoint.graph.roles import COPY, MODEL, MOVING_AVERAGE, OPTIMIZER, UNKNOWN, find_roles
from tfckpt.errors import PlanError, are, count_of, printable, remedied, some
from tfckpt.formats.bundle import BundleSource
from tfckpt.planning.plan import NO_SIZES, Plan
from tfckpt.planning.steps import Step, carrying
from tfckpt.storage.paths import V1

if TYPE_CHECKING:
    from tfckpt.bundle.values.arrays import Array

AVERAGED = frozenset(
    number for number in NUMERIC if dtype_name(number).startswith(("float", "bfloat", "complex"))
)  # of the rest a mean is none: a step, a flag, a quantized number
AVERAGED_ROLES = frozenset({MODEL, COPY, MOVING_AVERAGE, UNKNOWN, OPTIMIZER})  # training may change all others by jumps
UNKNOWN_ORDER = "optimizer state in lists of no known order"
SEVERAL = "object of several tensors"  # such as a table, which may list its keys in any order
MOST_NAMED = 20  # tensors of other dtypes or shapes, in a message
PIECE = 1 << 18  # elements of each source that are in memory at a time


def _entry(checkpoint: Checkpoint, name: str) -> Entry:
    return checkpoint.reader.entries[name]


class Chosen(NamedTuple):
    """What is averaged.

    Attributes:
        averaged: the tensors, each with the one whose average it gets: its own, but for a copy.
        kept: the others, with the reason.
        doubted: the paths of optimizers whose state is kept, since the order of their lists may be another.
    """

    averaged: Mapping[str, str]
    kept: Mapping[str, str]
    doubted: Sequence[str] = ()


def choose(checkpoints: Sequence[Checkpoint]) -> Chosen:
    """Return what is averaged.

    Raises: PlanError, with every difference of any source from the last.
    """
    *others, last = checkpoints
    graph, entries = last.object_graph, last.reader.entries
    spelled = graph_of_keys(name for name in entries if ATTRIBUTES in name) if graph is None else graph
    tensors = ObjectTensors(spelled, entries)
    roles = find_roles(last.entries(), graph, tensors)
    kept = dict(_kept_by_kind(last.entries(), tensors, roles))
    copies = originals_of_copies(spelled, tensors, entries, roles)
    free = {*copies, *(name for name, why in kept.items() if why == SEVERAL or roles[name] not in AVERAGED_ROLES)}
    complaints = {other.prefix: list(_differences(other, last, free, copies)) for other in others}
    if lines := [line for found in complaints.values() for line in found]:
        first = next(prefix for prefix, found in complaints.items() if found)
        raise remedied(PlanError(lines), compare(first, last.prefix))
    originals = {name: _original(name, found, others) for name, found in copies.items()}
    found = [] if graph is None else list(_doubts(others, last, graph))
    for doubt in found:
        kept |= {name: UNKNOWN_ORDER for name in doubt.keys if name in entries and name not in kept}
    averaged = {name: originals.get(name, name) for name in entries if name not in kept}
    return Chosen(averaged, kept, _paths(graph, {doubt.optimizer for doubt in found}))


def _paths(graph: ObjectGraph | None, numbers: Collection[int]) -> list[str]:
    """Return the paths of nodes, for a message, which spells few of them."""
    ways = {} if graph is None or not numbers else graph.ways()
    spelled = [quoted(path_to(n, ways)) for n in sorted(numbers)[:MOST_NAMED]]
    return spelled + [""] * (len(numbers) - len(spelled))


def _kept_by_kind(
    entries: Iterable[Entry], tensors: ObjectTensors, roles: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Yield what no average is of, with the reason: its object, its dtype, or its role."""
    tensors_of = Counter(tensors.node_of.values())
    several = {name for name, number in tensors.node_of.items() if tensors_of[number] > 1}
    for entry in entries:
        if entry.name == OBJECT_GRAPH_KEY:
            yield entry.name, "object graph"
        elif entry.name in several:
            yield entry.name, SEVERAL
        elif entry.data_type not in AVERAGED:
            yield entry.name, entry.dtype_name
        elif roles[entry.name] not in AVERAGED_ROLES:
            yield entry.name, roles[entry.name]


def _original(name: str, found: Sequence[str], others: Sequence[Checkpoint]) -> str:
    """Return the tensor that a copy follows. Which of several does not matter if they are equal everywhere.

    Raises: PlanError.
    """
    if not others:
        return name
    if len(found) != 1 and any(len({contents(_entry(other, n)) for n in found}) != 1 for other in others):
        raise PlanError([Issue("unknown-copy", repr(name), repr(f"{name.partition('/')[0]}/*"))])
    return found[0]


def _doubts(others: Sequence[Checkpoint], last: Checkpoint, graph: ObjectGraph) -> Iterator[Doubt]:
    """Yield the optimizers that are not known to be in one order in all sources."""
    same = last[OBJECT_GRAPH_KEY].tolist()
    done = False
    for other in others:
        is_same = other[OBJECT_GRAPH_KEY].tolist() == same
        if other.prefix == last.prefix or (is_same and done):
            continue
        theirs = graph if is_same else other.object_graph
        assert theirs is not None, other
        done |= is_same
        yield from doubts(theirs, graph)


def plan_average(checkpoints: Sequence[Checkpoint], chosen: Chosen) -> Plan:
    """Return what becomes of each tensor."""
    last = checkpoints[-1]
    steps = tuple(map(carrying, last.entries()))
    source = ", ".join(checkpoint.prefix for checkpoint in checkpoints)
    return Plan(source, "", steps, (), NO_SIZES, issues=tuple(_notes(checkpoints, steps, chosen)))


def _differences(
    other: Checkpoint, last: Checkpoint, free: Collection[str], copies: Collection[str]
) -> Iterator[Issue]:
    """Yield why a checkpoint and the last one are not of one model.

    What is free may have any dtype and shape: what is kept, whatever its dtype, and copies, which stand in any order.
    """
    if other.prefix == last.prefix:
        return
    ours, theirs = ({e.name: (e.data_type, e.shape) for e in checkpoint.entries()} for checkpoint in (other, last))
    for here, there, a, b in ((theirs, ours, other, last), (ours, theirs, last, other)):
        if missing := [repr(name) for name in here if name not in there]:
            lacks = f"lacks {len(missing)} of the tensors of {b.prefix}: {some(missing)}"
            yield Issue("said", got=lacks, origin=a.prefix)
    unlike = [name for name in ours if ours[name] != theirs.get(name, ours[name]) and name not in free]
    for name in unlike[:MOST_NAMED]:
        unlike_kinds = f"tensor {name!r} is {_kind(ours[name])}, and {_kind(theirs[name])} in {last.prefix}"
        yield Issue("said", got=unlike_kinds, origin=other.prefix)
    if len(unlike) > MOST_NAMED:
        more = f"{count_of(len(unlike) - MOST_NAMED, 'more tensor')} of another dtype or shape than in {last.prefix}"
        yield Issue("said", got=more, origin=other.prefix)
    if ours.keys() == theirs.keys() and not unlike and (issue := _graphs_differ(other, last, copies)):
        yield issue


def _kind(kind: tuple[DataType, tuple[int, ...]]) -> str:
    return f"{dtype_name(kind[0])}{list(kind[1])}"


def _graphs_differ(other: Checkpoint, last: Checkpoint, copies: Collection[str]) -> Issue | None:
    if OBJECT_GRAPH_KEY not in last or other[OBJECT_GRAPH_KEY].tolist() == last[OBJECT_GRAPH_KEY].tolist():
        return None
    graph, reference = other.object_graph, last.object_graph
    assert graph is not None, other
    assert reference is not None, last
    if copies:
        roles = find_roles(other.entries(), graph)
        if weights := [repr(name) for name in copies if roles[name] != COPY]:
            text = f"{some(weights)}: no copies of weights here, and copies there"
            return Issue("graphs-differ", last.prefix, "", text, other.prefix)
        graph, reference = graph.copy(), reference.copy()
        graph.drop_keys(copies)
        reference.drop_keys(copies)
    line = disagreement(graph, reference)
    if line is None:
        return None
    agree = disagreement(without_optimizers(graph), without_optimizers(reference)) is None
    return Issue("optimizers-differ" if agree else "graphs-differ", last.prefix, "", line, other.prefix)


def _notes(checkpoints: Sequence[Checkpoint], steps: Sequence[Step], chosen: Chosen) -> Iterator[Issue]:
    """Yield what to know of an average."""
    last = checkpoints[-1].prefix
    averaged = [step for step in steps if step.target in chosen.averaged]
    if len(checkpoints) > 1 and not averaged:
        yield Issue("nothing-averaged", last)
    several = f"the average of {len(checkpoints)} checkpoints" if len(checkpoints) > 1 else "as in the one source"
    yield Issue("averaged", "", several, are(averaged, "tensor"))
    kept: dict[str, list[str]] = {}
    for step in steps:
        if step.source in chosen.kept:
            kept.setdefault(chosen.kept[step.source], []).append(step.source)
    for rule, names in kept.items():
        yield Issue("not-averaged", some(names, 3), rule, last)
    if chosen.doubted:
        yield Issue("order-in-doubt", some(chosen.doubted))
    copies = [name for name, original in chosen.averaged.items() if name != original]
    if copies:
        yield Issue("averaged-copies", some(copies, 3))
    older = [step.source for step in steps if _is_behind(step, checkpoints)]
    if older:
        yield Issue("not-the-newest", some(older), got=last)
    scalars = [step.source for step in averaged if step.shape == () and _varies(step.source, checkpoints)]
    if scalars:
        yield Issue("averaged-scalars", some(scalars))


def _is_behind(step: Step, checkpoints: Sequence[Checkpoint]) -> bool:
    """Whether an integer that may count steps is smaller in the last source than in another: shells sort 10 before 9."""
    if step.shape != () or not is_numeric(step.data_type) or numpy_dtype(step.data_type).kind not in "iu":
        return False
    alike = [c for c in checkpoints if _entry(c, step.source)[1:3] == (step.data_type, step.shape)]
    *others, last = (int(_value(checkpoint, step.source)) for checkpoint in alike)
    return any(other > last for other in others)


def _value(checkpoint: Checkpoint, name: str) -> Array:
    return checkpoint.reader.read(_entry(checkpoint, name), verify=False, mapped=False)


def _varies(name: str, checkpoints: Sequence[Checkpoint]) -> bool:
    return len({_value(checkpoint, name).tobytes() for checkpoint in checkpoints}) > 1


class MeanSource(BundleSource):
    """The tensors of several checkpoints that are averaged, piece by piece, and the rest of the last one.

    Args:
        checkpoints: the last one says how tensors are partitioned.
        shares: the weight of each.
        averaged: the tensors, each with the one whose average it gets.
    """

    def __init__(self, checkpoints: Sequence[Checkpoint], shares: Sequence[float], averaged: Mapping[str, str]) -> None:
        super().__init__(checkpoints[-1].reader)
        self._checkpoints, self._shares, self._averaged = checkpoints, shares, averaged
        self._odd: dict[str, int] = {}

    def pieces(self, entry: Entry) -> list[tuple[TensorSlice | None, Entry]]:
        """Return what is stored of a tensor in the last source; of slices, entries that say which they are."""
        found = super().pieces(entry)
        if entry.name not in self._averaged or found[0][0] is None:
            return found
        return [(part, own._replace(name=entry.name, slices=(part,) if part else ())) for part, own in found]

    def stored_bytes(self, entry: Entry, *, verify: bool, big_endian: bool) -> StoredBytes | None:
        """Return None if it is averaged, or else what the last source stores."""
        if entry.name in self._averaged:
            return None
        return super().stored_bytes(entry, verify=verify, big_endian=big_endian)

    def stream(self, entry: Entry, *, verify: bool) -> Iterator[Array]:
        """Yield the values of an averaged tensor, or of a slice of it; of any other those that the last source has."""
        if entry.name not in self._averaged:
            return super().stream(entry, verify=verify)
        if not entry.slices:
            return self._means(entry.name, whole(entry.shape), verify=verify)
        shape = _entry(self._checkpoints[-1], entry.name).shape
        box = whole(shape) if entry.shape == shape else entry.slices[0].within(shape)
        return self._means(entry.name, box, verify=verify)

    def issues(self) -> list[Issue]:
        """Return, and log, what to say of values that are not finite."""
        for name, count in self._odd.items():
            log.warning("%s: %d values are not finite in the average", printable(name), count)
        if not self._odd:
            return []
        return [Issue("not-finite", some([f"{name} ({count:,})" for name, count in self._odd.items()]))]

    def _means(self, name: str, box: Ranges, *, verify: bool) -> Iterator[Array]:
        """Yield the values of a box of an averaged tensor."""
        original = self._averaged[name]
        sources = [(checkpoint.reader, _entry(checkpoint, original)) for checkpoint in self._checkpoints]
        shape = tuple(r.stop - r.start for r in box)
        if is_read_at_once(sources[-1][1]):  # and compared with its checksum on the way
            index: tuple[Any, ...] = (*box, ...)
            arrays = (reader.read(entry, verify=verify, mapped=False)[index] for reader, entry in sources)
            if math.prod(shape):
                yield self._mean(original, arrays)
            return
        # Of a V1 checkpoint every read decodes all of a slice.
        most = math.prod(shape) if any(reader.format == V1 for reader, _ in sources) else PIECE
        for run in runs(shape, max(1, most)):
            at = tuple(slice(o.start + r.start, o.start + r.stop) for o, r in zip(box, run, strict=True))
            yield self._mean(original, (reader.read_box(entry, at, mapped=False) for reader, entry in sources))

    def _mean(self, name: str, arrays: Iterable[Array]) -> Array:
        values, odd = mean(arrays, self._shares)
        if odd:
            self._odd[name] = self._odd.get(name, 0) + odd
        return values


def is_read_at_once(entry: Entry) -> bool:
    """Whether a tensor, as the last source has it, is read in one piece."""
    return not entry.slices and entry.size <= PIECE


def mean(arrays: Iterable[Array], weights: Sequence[float]) -> tuple[Array, int]:
    """Return the weighted mean of arrays of one floating-point or complex dtype, flat, and how many are not finite.

    What is equal in all is as it was; infinities that are equal in all are not counted.

    >>> mean([np.float32([1, 2]), np.float32([1, 5])], [1.0, 0.5])
    (array([1., 3.], dtype=float32), 0)
    """
    parts = [np.ascontiguousarray(array).reshape(-1) for array in arrays]
    first, whole_weight = parts[0], math.fsum(weights)
    same = np.logical_and.reduce([_bits(part) == _bits(first) for part in parts]).all(axis=1)
    with np.errstate(all="ignore"):
        total = _sum(parts, weights) / whole_weight
        beyond = ~np.isfinite(total)
        if beyond.any():  # perhaps the sum alone is too large
            total[beyond] = _sum([part[beyond] for part in parts], [weight / whole_weight for weight in weights])
        result = rounded(total, first.dtype)
        odd = (~np.isfinite(total) & ~same) | np.isnan(total)
    result[same] = first[same]
    return result, int(np.count_nonzero(odd))


def _sum(parts: Sequence[Array], weights: Sequence[float]) -> Array:
    wide = np.complex128 if parts[0].dtype.kind == "c" else np.float64
    total: Array = np.zeros(len(parts[0]), wide)
    for part, weight in zip(parts, weights, strict=True):
        total += part.astype(wide) if weight == 1 else part.astype(wide) * weight
    return total


def _bits(values: Array) -> npt.NDArray[Any]:
    """Return the bits of flat values as integers, in a row for each."""
    width = component_size(values.dtype)
    return values.view(f"u{width}").reshape(len(values), -1)


def rounded(values: Array, dtype: np.dtype[Any]) -> Array:
    """Return float64 or complex128 values in a smaller dtype, rounded once, to the nearest.

    ml_dtypes rounds to float32 on the way. What is lost there must leave a trace, or what lies just beyond the middle between
    two numbers would be taken for the middle: the last bit is set of all that is not exact (rounding to odd).

    >>> import ml_dtypes
    >>> values = np.array([1 + 2**-8 + 2**-40])
    >>> values.astype(ml_dtypes.bfloat16).item(), rounded(values, np.dtype(ml_dtypes.bfloat16)).item()
    (1.0, 1.0078125)
    """
    if dtype.kind != "V":
        return values.astype(dtype)
    single = values.astype(np.float32)
    inexact = (single != values) & np.isfinite(values)
    away = inexact & (np.abs(single.astype(np.float64)) > np.abs(values))
    single[away] = np.nextafter(single[away], np.float32(0))
    single.view(np.uint32)[inexact] |= np.uint32(1)
    return single.astype(dtype)
