"""The average of checkpoints of one training, which often evaluates better than any of them.

Strategy: what is no number with a fraction, or is by its role neither a weight nor an optimizer's, goes over from the last
source as it is stored, the object graph too. The rest is read from all sources side by side, a piece at a time, averaged in
float64 and rounded once. What could be another model's is refused: names, dtypes and shapes must be equal, and the object
graphs must mean the same by their keys. Where a place in an optimizer's lists is all that tells for which variable a moment
is, that is no proof: the state of such an optimizer is the last source's whole.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tfckpt._proto.types_pb2 import DataType
from tfckpt.base import log
from tfckpt.base.issues import Issue, compare
from tfckpt.base.options import AverageOptions, PathLike
from tfckpt.base.progress import finish, stages
from tfckpt.base.signatures import takes
from tfckpt.bundle.carry import counting
from tfckpt.bundle.listing import collector_paused
from tfckpt.bundle.stream import runs
from tfckpt.bundle.values.arrays import swap
from tfckpt.bundle.values.dtypes import NUMERIC, component_size, dtype_name, is_numeric, numpy_dtype
from tfckpt.bundle.values.entry import Entry, stored_at
from tfckpt.bundle.values.slices import Ranges, whole
from tfckpt.bundle.writer import BundleWriter
from tfckpt.checkpoint.checkpoint import Checkpoint, check_apart
from tfckpt.checkpoint.checkpoint import open as open_checkpoint
from tfckpt.checkpoint.find.locate import check_prefix
from tfckpt.checkpoint.graph.agreement import Doubt, disagreement, doubts, without_optimizers
from tfckpt.checkpoint.graph.graph_roles import contents, graph_of_keys, originals_of_copies
from tfckpt.checkpoint.graph.object_graph import ATTRIBUTES, OBJECT_GRAPH_KEY, ObjectGraph, path_to, quoted
from tfckpt.checkpoint.graph.object_tensors import ObjectTensors
from tfckpt.checkpoint.graph.roles import COPY, MODEL, MOVING_AVERAGE, OPTIMIZER, UNKNOWN, find_roles
from tfckpt.edit.rewrite import (
    Piece,
    arrange,
    check_unchanged,
    in_the_way,
    numbering,
    pieces_of,
    source_paths,
    spread,
    write_piece,
)
from tfckpt.errors import PlanError, UsageError, are, count_of, printable, remedied, some
from tfckpt.planning.plan import NO_SIZES, Plan, noting
from tfckpt.planning.steps import Step, carrying
from tfckpt.storage.paths import V1

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from tfckpt.bundle.values.arrays import Array

AVERAGED = frozenset(
    number for number in NUMERIC if dtype_name(number).startswith(("float", "bfloat", "complex"))
)  # of the rest a mean is none: a step, a flag, a quantized number
AVERAGED_ROLES = frozenset({MODEL, COPY, MOVING_AVERAGE, UNKNOWN, OPTIMIZER})  # training may change all others by jumps
UNKNOWN_ORDER = "optimizer state in lists of no known order"
SEVERAL = "object of several tensors"  # such as a table, which may list its keys in any order
MOST_NAMED = 20  # tensors of other dtypes or shapes, in a message
PIECE = 1 << 18  # elements of each source that are in memory at a time


@takes(AverageOptions)
def average(sources: Sequence[PathLike], dest: PathLike, **options: Unpack[AverageOptions]) -> Plan:
    """Write the average of checkpoints of one model: of its floating-point and complex tensors, each in its own dtype.

    It is computed in float64 and rounded once; values that are equal in all sources stay as they are, bit for bit. Integers,
    flags, strings, quantized tensors and the object graph are the last source's, byte for byte, and so are tables, iterators,
    loss scales, metrics and random state, whatever their dtypes and sizes; the number of data files; and how tensors are
    partitioned. A piece of a tensor at a time is in memory.

    Optimizer state is averaged like the rest, if it is known for which variable each moment is: by its own name in a
    checkpoint of names, by slot variables, by what ``_trainable_variables`` leads to (Keras 3), by full names that variables
    of the model have (tf_keras). Of any other optimizer it is the last source's whole, with what only its lists lead to, and
    a note says so. A scalar that is floating-point and differs, such as a learning rate that decays, is averaged too; the
    plan's notes name it. The second list of weights that Keras 3 exports follows the first.

    Args:
        sources: checkpoints, each as for `open`, the newest last. They are only read.
        dest: the exact prefix of the files to write.
        **options: those of `AverageOptions`.
    Returns:
        The `Plan`: every tensor; its notes say what was not averaged, and where values are not finite.
    Raises:
        PlanError: the sources differ in names, in dtypes or shapes of what is averaged, or in what their object graphs mean
            by a key; lists all.
        UsageError: no source; weights that are not positive numbers, one for each; ``dest`` is one of the sources.
        CheckpointExistsError, CheckpointNotFoundError, ChecksumError, FormatError, StorageError.
    Example:
        >>> for step in (1, 2, 3):
        ...     tfckpt.save(f"run-{step}", {"w": [1.0, 2.0 * step], "step": step})
        >>> plan = tfckpt.average(["run-1", "run-2", "run-3"], "averaged", weights=[1, 1, 2])
        >>> {name: value.tolist() for name, value in tfckpt.open("averaged").items()}
        {'step': 3, 'w': [1.0, 4.5]}
    """
    prefix = check_prefix(dest)
    paths = source_paths(sources)
    if not paths:
        raise UsageError("average: expected one source or more, got none")
    shares = _shares(options["weights"], len(paths))
    with ExitStack() as stack:
        checkpoints = [stack.enter_context(open_checkpoint(path)) for path in paths]
        with collector_paused():  # of 100,000 objects it would make a quarter of the time
            chosen = _choose(checkpoints)
            plan = _plan(checkpoints, chosen)
        for checkpoint in checkpoints:
            check_apart(checkpoint, prefix)
        if options["dry_run"]:
            return noting(plan, in_the_way(prefix, overwrite=options["overwrite"]))
        for checkpoint in checkpoints:
            checkpoint.reader.check_sharing(checkpoint.entries())
        last = checkpoints[-1]
        compared = [n for n in dict.fromkeys(chosen.averaged.values()) if not _is_read_at_once(_entry(last, n))]
        total = sum(_entry(c, name).nbytes for c in checkpoints for name in compared) if options["verify"] else 0
        comparing, writing = stages(options["progress"], total, plan.nbytes)
        if options["verify"]:
            count = counting(comparing, total)
            for checkpoint in checkpoints:
                checkpoint.reader.compare([_entry(checkpoint, name) for name in compared], progress=count)
        with BundleWriter(
            prefix,
            overwrite=options["overwrite"],
            sync=options["sync"],
            big_endian=checkpoints[-1].reader.big_endian,
            progress=counting(writing, plan.nbytes),
        ) as writer:
            odd = _Mean(checkpoints, shares, chosen.averaged, verify=options["verify"]).write(plan.steps, writer)
            writer.finish(check=lambda: check_unchanged(checkpoints))
        finish(options["progress"], total + plan.nbytes)
    log.info("%s: the average of %d checkpoints, written to %s", plan.source, len(paths), prefix)
    return noting(plan, odd)


def _entry(checkpoint: Checkpoint, name: str) -> Entry:
    return checkpoint.reader.entries[name]


def _shares(weights: Sequence[float] | None, count: int) -> list[float]:
    """Return the weights as parts of the largest; equal ones are all 1, so that nothing is lost by multiplying.

    Raises: UsageError.
    """
    if weights is None:
        return [1.0] * count
    try:
        found = [float(weight) for weight in weights if not isinstance(weight, bool | str)]
        given = len(weights)
    except (TypeError, ValueError):
        raise UsageError(f"weights: expected a list of numbers, got {weights!r}") from None
    if given != count:
        raise UsageError(f"weights: expected {count}, one for each source, got {given}")
    if len(found) != count or not all(weight > 0 and math.isfinite(weight) for weight in found):
        raise UsageError(f"weights: expected positive numbers, got {list(weights)!r}")
    return [weight / max(found) for weight in found]


class _Chosen(NamedTuple):
    """What is averaged.

    Attributes:
        averaged: the tensors, each with the one whose average it gets: its own, but for a copy.
        kept: the others, with the reason.
        doubted: the paths of optimizers whose state is kept, since the order of their lists may be another.
    """

    averaged: Mapping[str, str]
    kept: Mapping[str, str]
    doubted: Sequence[str] = ()


def _choose(checkpoints: Sequence[Checkpoint]) -> _Chosen:
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
    return _Chosen(averaged, kept, _paths(graph, {doubt.optimizer for doubt in found}))


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


def _plan(checkpoints: Sequence[Checkpoint], chosen: _Chosen) -> Plan:
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


def _notes(checkpoints: Sequence[Checkpoint], steps: Sequence[Step], chosen: _Chosen) -> Iterator[Issue]:
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


class _Mean:
    """The tensors of several checkpoints that are averaged, piece by piece, and the rest of the last one."""

    def __init__(
        self, checkpoints: Sequence[Checkpoint], shares: Sequence[float], averaged: Mapping[str, str], *, verify: bool
    ) -> None:
        self._checkpoints, self._shares, self._averaged = checkpoints, shares, averaged
        self._verify = verify
        self._odd: dict[str, int] = {}

    def write(self, steps: Sequence[Step], writer: BundleWriter) -> list[Issue]:
        """Write everything as the last source has it; return what to say of values that are not finite."""
        listed = list(pieces_of(self._checkpoints[-1].reader, steps))
        pieces = sorted(listed, key=lambda piece: stored_at(piece.stored))
        for piece, shard in zip(pieces, spread(pieces, None), strict=True):
            writer.extend_to(shard + 1)
            if piece.step.target not in self._averaged:
                write_piece(piece, writer, verify=self._verify)
            else:
                self._write(piece, writer)
        arrange(listed, numbering(pieces), writer)
        for name, count in self._odd.items():
            log.warning("%s: %d values are not finite in the average", printable(name), count)
        if not self._odd:
            return []
        names = [f"{name} ({count:,})" for name, count in self._odd.items()]
        return [Issue("not-finite", some(names))]

    def _write(self, piece: Piece, writer: BundleWriter) -> None:
        name, stored, part = piece.step.target, piece.stored, piece.part
        box = whole(piece.step.shape) if part is None else part.within(piece.step.shape)
        content = self._chunks(self._averaged[name], box, big_endian=writer.big_endian), stored.nbytes, None
        if part is None:
            writer.carry(name, stored.data_type, stored.shape, *content)
        else:
            writer.carry_slice(name, stored.data_type, piece.step.shape, part, *content)

    def _chunks(self, name: str, box: Ranges, *, big_endian: bool) -> Iterator[memoryview]:
        """Yield the bytes of a box of an averaged tensor."""
        sources = [(checkpoint.reader, _entry(checkpoint, name)) for checkpoint in self._checkpoints]
        shape = tuple(r.stop - r.start for r in box)
        if _is_read_at_once(sources[-1][1]):  # and compared with its checksum on the way
            index: tuple[Any, ...] = (*box, ...)
            arrays = (reader.read(entry, verify=self._verify, mapped=False)[index] for reader, entry in sources)
            if math.prod(shape):
                yield self._mean(name, arrays, big_endian=big_endian)
            return
        # Of a V1 checkpoint every read decodes all of a slice.
        most = math.prod(shape) if any(reader.format == V1 for reader, _ in sources) else PIECE
        for run in runs(shape, max(1, most)):
            at = tuple(slice(o.start + r.start, o.start + r.stop) for o, r in zip(box, run, strict=True))
            arrays = (reader.read_box(entry, at, mapped=False) for reader, entry in sources)
            yield self._mean(name, arrays, big_endian=big_endian)

    def _mean(self, name: str, arrays: Iterable[Array], *, big_endian: bool) -> memoryview:
        values, odd = mean(arrays, self._shares)
        if odd:
            self._odd[name] = self._odd.get(name, 0) + odd
        return (swap(values) if big_endian != (sys.byteorder == "big") else values).view(np.uint8).data


def _is_read_at_once(entry: Entry) -> bool:
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
