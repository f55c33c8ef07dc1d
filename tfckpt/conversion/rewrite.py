"""Checkpoints rewritten: tensors dropped, renamed, cast; files split, or several checkpoints joined.

Strategy: the bytes as they are stored, whole tensors and slices alike, are pieces; they go over in the order in which they
lie in the source, so that a rewrite that changes nothing writes the same files. The object graph follows the keys.
Source: tensorflow/core/util/tensor_bundle/tensor_bundle.cc, MergeBundles.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np

from tfckpt._proto.types_pb2 import DataType
from tfckpt.bundle import files
from tfckpt.bundle.dtypes import FLOATING, NUMERIC, dtype_name
from tfckpt.bundle.entry import Entry
from tfckpt.bundle.paths import V2, index_path
from tfckpt.bundle.slices import TensorSlice
from tfckpt.bundle.tensor_reader import TensorReader
from tfckpt.bundle.values import Array
from tfckpt.bundle.writer import BundleWriter
from tfckpt.checkpoint.checkpoint import Checkpoint, check_prefix
from tfckpt.checkpoint.object_graph import OBJECT_GRAPH_KEY, ObjectGraph
from tfckpt.checkpoint.state_file import find_prefix
from tfckpt.conversion.execute import Progress, planned_entry
from tfckpt.conversion.plan import Dropped, Plan, Step
from tfckpt.errors import PlanError, UsageError
from tfckpt.layouts.optimizer import STATE
from tfckpt.layouts.rules import Drop

logger = logging.getLogger("tfckpt")

PathLike = str | os.PathLike[str]


def rewrite(
    source: PathLike,
    dest: PathLike,
    *,
    rename: Sequence[tuple[str, str]] = (),
    drop: Sequence[str] = (),
    keep: Sequence[str] = (),
    cast: str | None = None,
    strip_optimizer: bool = False,
    shards: int | None = None,
    max_shard_size: int | None = None,
    big_endian: bool | None = None,
    source_format: str | None = None,
    verify: bool = True,
    sync: bool = True,
    overwrite: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Plan:
    """Copy a checkpoint with changes; one that changes nothing writes the same bytes.

    Of an object-based checkpoint, the object graph goes along with what it names, whatever ``keep`` says.

    Args:
        source: the checkpoint: a prefix, one of its files, or its directory. It is only read.
        dest: the exact prefix of the files to write.
        rename: (regular expression, replacement) pairs, applied to every kept name in turn, as ``re.sub`` does.
        drop: shell globs of names to leave out.
        keep: shell globs; if any are given, every other name is left out.
        cast: name of the floating-point dtype that all floating-point tensors become; TensorFlow casts none when it restores.
        strip_optimizer: leave out optimizer state, of TF1 and TF2.
        shards: number of data files to spread the tensors over, evenly by bytes. As many as in the source unless given.
        max_shard_size: bytes; as for `save`.
        big_endian: byte order of the values; the source's unless given.
        source_format: ``"v2"`` or ``"v1"``; unless given, whichever is there, V2 before V1.
        verify: compare each tensor's checksum with its bytes on the way.
        sync: return only when the files have reached the disk.
        overwrite: replace a checkpoint that is under ``dest``.
        dry_run: return the plan, and write nothing.
        progress: called with (bytes done, bytes in all) after each piece.
    Returns:
        The `Plan`: what becomes of each tensor.
    Raises:
        PlanError: two tensors would get one name, or none; lists all.
        UsageError: an unknown dtype, a regular expression that is none, counts below 1.
        CheckpointExistsError, CheckpointNotFoundError, ChecksumError, FormatError, StorageError.
    Example:
        >>> report = tfckpt.rewrite("bert_model.ckpt", "half", keep=["bert/*"], strip_optimizer=True, cast="float16")
        >>> len(report.steps), tfckpt.open("half")["bert/pooler/dense/bias"].dtype
        (39, dtype('float16'))
    """
    prefix = check_prefix(dest)
    _check_counts(shards, max_shard_size)
    edits = _Edits(_renamer(rename), _drops(drop, keep, strip_optimizer), _floating(cast))
    with Checkpoint(find_prefix(source, source_format), source_format=source_format) as checkpoint:
        plan = _plan(checkpoint, edits)
        if not dry_run:
            _check_apart(checkpoint, prefix)
            order = checkpoint.reader.big_endian if big_endian is None else big_endian
            pieces = sorted(_pieces(checkpoint.reader, plan.steps), key=lambda p: (p.stored.shard, p.stored.offset))
            numbers = _spread(pieces, shards) if max_shard_size is None else [0] * len(pieces)
            with BundleWriter(
                prefix, overwrite=overwrite, sync=sync, big_endian=order, max_shard_size=max_shard_size
            ) as writer:
                _write(plan, pieces, numbers, writer, verify=verify, progress=progress)
                writer.extend_to(shards or 1)
                writer.finish()
    logger.info("%s: %d tensors written to %s", plan.source, len(plan.steps), prefix)
    return plan


def merge(
    sources: Sequence[PathLike],
    dest: PathLike,
    *,
    verify: bool = True,
    sync: bool = True,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Plan:
    """Join checkpoints into one, as TensorFlow joins the parts of a sharded save: every data file goes along as it is.

    A partitioned tensor may have slices in several sources; any other name may come once.

    Args:
        sources: checkpoints, each as for `open`. They are only read.
        dest: the exact prefix of the files to write.
        verify: compare each tensor's checksum with its bytes on the way.
        sync: return only when the files have reached the disk.
        overwrite: replace a checkpoint that is under ``dest``.
        progress: called with (bytes done, bytes in all) after each piece.
    Returns:
        The `Plan`: every tensor.
    Raises:
        PlanError: a name comes twice, or slices are of different tensors; lists all.
        UsageError: no source, or sources of different byte order.
        CheckpointExistsError, CheckpointNotFoundError, ChecksumError, FormatError, StorageError.
    Example:
        >>> tfckpt.save("part-0", {"a": 1}), tfckpt.save("part-1", {"b": 2})
        (None, None)
        >>> len(tfckpt.merge(["part-0", "part-1"], "whole").steps), sorted(tfckpt.open("whole"))
        (2, ['a', 'b'])

    Source: tensorflow/core/util/tensor_bundle/tensor_bundle.cc, MergeBundles.
    """
    prefix = check_prefix(dest)
    with ExitStack() as stack:
        checkpoints = [stack.enter_context(Checkpoint(find_prefix(source))) for source in sources]
        orders = {checkpoint.reader.big_endian for checkpoint in checkpoints}
        if len(orders) != 1:
            raise UsageError("merge: expected sources of one byte order, got " + ("both" if orders else "no source"))
        plans = [_plan(checkpoint, _Edits()) for checkpoint in checkpoints]
        plan = _joined(plans, checkpoints)
        pieces: list[Piece] = []
        for checkpoint, part in zip(checkpoints, plans, strict=True):
            _check_apart(checkpoint, prefix)
            ranks = _order_of_use(checkpoint.reader)
            own = _pieces(checkpoint.reader, part.steps)
            pieces += sorted(own, key=lambda p: (ranks[p.stored.shard], p.stored.offset))
        with BundleWriter(prefix, overwrite=overwrite, sync=sync, big_endian=orders.pop()) as writer:
            _write(plan, pieces, _spread(pieces, None), writer, verify=verify, progress=progress)
            writer.finish()
    return plan


@dataclass(frozen=True, slots=True)
class _Edits:
    """What a rewrite does to names and values."""

    rename: Callable[[str], str] = str
    drops: tuple[tuple[str, Callable[[str], bool]], ...] = ()  # (rule, whether it drops a name)
    cast: DataType | None = None

    def rule(self, name: str) -> str | None:
        """Return the rule that drops a tensor, or None."""
        return next((rule for rule, matches in self.drops if matches(name)), None)


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes that are stored in one place: a tensor, or one slice of a partitioned one."""

    reader: TensorReader
    stored: Entry
    step: Step
    part: TensorSlice | None


def _drops(
    drop: Sequence[str], keep: Sequence[str], strip_optimizer: bool
) -> tuple[tuple[str, Callable[[str], bool]], ...]:
    rules = [Drop(f"pattern {pattern!r}", (pattern,)) for pattern in drop]
    rules += [STATE] if strip_optimizer else []
    drops: list[tuple[str, Callable[[str], bool]]] = [(rule.rule, rule.matches) for rule in rules]
    if keep:
        kept = Drop("", (*keep, OBJECT_GRAPH_KEY))
        drops.append((f"not among {', '.join(map(repr, keep))}", lambda name: not kept.matches(name)))
    return tuple(drops)


def _renamer(pairs: Sequence[tuple[str, str]]) -> Callable[[str], str]:
    """Return the function that applies every substitution in turn.

    Raises: UsageError if one is no regular expression, or its replacement names a group that it does not have.
    """
    compiled = [_compile(*pair) for pair in pairs]

    def rename(name: str) -> str:
        for expression, replacement in compiled:
            name = expression.sub(replacement, name)
        return name

    return rename


def _compile(pattern: str, replacement: str) -> tuple[re.Pattern[str], str]:
    try:
        re.sub(f"{pattern}|", replacement, "")  # a replacement is parsed only where something matches
        return re.compile(pattern), replacement
    except (re.error, IndexError) as error:
        raise UsageError(f"rename {pattern!r} to {replacement!r}: {error}") from None


def _floating(name: str | None) -> DataType | None:
    names = {dtype_name(data_type): data_type for data_type in FLOATING}
    if name is None or name in names:
        return names.get(name or "")
    raise UsageError(f"cast: no floating-point dtype {name!r}; there are {', '.join(names)}")


def _check_counts(shards: int | None, max_shard_size: int | None) -> None:
    if shards is not None and shards < 1:
        raise UsageError(f"shards: expected 1 or more, got {shards}")
    if shards is not None and max_shard_size is not None:
        raise UsageError("shards and max_shard_size: expected one of both")


def _check_apart(checkpoint: Checkpoint, prefix: str) -> None:
    if checkpoint.format == V2 and files.is_same(index_path(checkpoint.prefix), index_path(prefix)):
        raise UsageError(f"{prefix}: source and destination are the same checkpoint")


def _plan(checkpoint: Checkpoint, edits: _Edits) -> Plan:
    steps, dropped = [], []
    for entry in checkpoint.entries():
        rule = edits.rule(entry.name)
        if rule is not None:
            dropped.append(Dropped(entry.name, rule, entry.nbytes))
            continue
        target = entry.name if entry.name == OBJECT_GRAPH_KEY else edits.rename(entry.name)
        cast = edits.cast if entry.data_type in FLOATING and entry.data_type != edits.cast else None
        steps.append(Step(entry.name, target, entry.data_type, entry.shape, entry.shape, entry.nbytes, cast=cast))
    _check_names(checkpoint.prefix, steps)
    graph = _edited_graph(checkpoint, steps, dropped)
    notes = [f"{rule}: no tensor" for rule, _ in edits.drops if rule not in {item.rule for item in dropped}]
    if any(step.cast for step in steps):
        notes.append("TensorFlow does not cast when it restores: the model must have the new dtype too")
    return Plan(checkpoint.prefix, "", tuple(steps), tuple(dropped), {}, notes=tuple(notes), object_graph=graph)


def _check_names(source: str, steps: Iterable[Step]) -> None:
    """Raise PlanError if two tensors would get one name, or one gets none."""
    sources: dict[str, list[str]] = {}
    for step in steps:
        sources.setdefault(step.target, []).append(step.source)
    lines = [f"{source}: {' and '.join(n)} would all be called {t!r}" for t, n in sources.items() if len(n) > 1]
    lines += [f"{source}: {name} would have no name" for name in sources.get("", [])]
    if lines:
        raise PlanError(lines)


def _edited_graph(checkpoint: Checkpoint, steps: Sequence[Step], dropped: Sequence[Dropped]) -> ObjectGraph | None:
    """Return the object graph that fits the new keys; None if the old one does, or does not go along."""
    renamed = {step.source: step.target for step in steps if step.source != step.target}
    gone = {item.source for item in dropped}
    if OBJECT_GRAPH_KEY in gone or not (renamed or gone) or checkpoint.object_graph is None:
        return None
    graph = ObjectGraph.parse(checkpoint.object_graph.serialize())
    graph.drop_keys(gone)
    graph.rename_keys(renamed)
    return graph


def _joined(plans: Sequence[Plan], checkpoints: Sequence[Checkpoint]) -> Plan:
    """Return the plan of a merge.

    Raises: PlanError, with every name that comes twice and may not.
    """
    first: dict[str, Entry] = {}
    lines = []
    for checkpoint in checkpoints:
        for entry in checkpoint.entries():
            known = first.setdefault(entry.name, entry)
            if known is entry:
                continue
            if _is_another_part(known, entry):
                first[entry.name] = replace(known, slices=known.slices + entry.slices)
            else:
                lines.append(f"{checkpoint.prefix}: tensor {entry.name!r} is in another source already")
    if lines:
        raise PlanError(lines)
    steps = tuple(step for plan in plans for step in plan.steps)
    return Plan(", ".join(plan.source for plan in plans), "", steps, (), {})


def _is_another_part(known: Entry, entry: Entry) -> bool:
    """Whether two sources hold different slices of one partitioned tensor."""
    same_tensor = (known.data_type, known.shape) == (entry.data_type, entry.shape)
    return same_tensor and bool(known.slices and entry.slices) and set(known.slices).isdisjoint(entry.slices)


def _order_of_use(reader: TensorReader) -> dict[int, int]:
    """Return each shard's rank in the order in which the index names them, which is how TensorFlow numbers them anew."""
    return {shard: rank for rank, shard in enumerate(dict.fromkeys(entry.shard for entry in reader.stored.values()))}


def _pieces(reader: TensorReader, steps: Iterable[Step]) -> Iterator[Piece]:
    for step in steps:
        entry = planned_entry(step, reader)
        for part, stored in reader.pieces(entry):
            yield Piece(reader, stored, step, part)


def _spread(pieces: Sequence[Piece], count: int | None) -> list[int]:
    """Return the data file that each piece goes to: as in the source, or ``count`` files of about the same size."""
    if count is None:
        numbers: dict[tuple[int, int], int] = {}
        return [numbers.setdefault((id(piece.reader), piece.stored.shard), len(numbers)) for piece in pieces]
    ends = list(accumulate(piece.stored.nbytes for piece in pieces))
    return [(end - piece.stored.nbytes) * count // max(1, ends[-1]) for piece, end in zip(pieces, ends, strict=True)]


def _write(
    plan: Plan,
    pieces: Sequence[Piece],
    shards: Sequence[int],
    writer: BundleWriter,
    *,
    verify: bool,
    progress: Progress | None,
) -> None:
    done, total = 0, sum(piece.stored.nbytes for piece in pieces)
    for piece, shard in zip(pieces, shards, strict=True):
        writer.extend_to(shard + 1)
        if piece.step.target == OBJECT_GRAPH_KEY and plan.object_graph is not None:
            writer.add(OBJECT_GRAPH_KEY, plan.object_graph.serialize())
        else:
            _write_piece(piece, writer, verify=verify)
        done += piece.stored.nbytes
        if progress is not None:
            progress(done, total)


def _write_piece(piece: Piece, writer: BundleWriter, *, verify: bool) -> None:
    reader, stored, step = piece.reader, piece.stored, piece.step
    if step.cast is None and reader.stores_as_written(stored, big_endian=writer.big_endian):
        chunks = reader.chunks(stored, verify=verify)
        content = chunks, stored.nbytes, stored.crc32c
        if piece.part is None:
            writer.carry(step.target, stored.data_type, stored.shape, *content)
        else:
            writer.carry_slice(step.target, stored.data_type, step.shape, piece.part, *content)
        return
    array = reader.read(stored, verify=verify, mapped=False)
    data_type = stored.data_type if step.cast is None else step.cast
    if step.cast is not None:
        array = _cast(step, array)
    if piece.part is None:
        writer.add(step.target, array, data_type)
    else:
        writer.add_slice(step.target, step.shape, piece.part, array, data_type)


def _cast(step: Step, array: Array) -> Array:
    """Return the values in the new dtype; those beyond its range become infinite, which is logged."""
    assert step.cast is not None
    with np.errstate(over="ignore"):
        result = array.astype(NUMERIC[step.cast])
    lost = int(np.isinf(result).sum() - np.isinf(array).sum())
    if lost:
        logger.warning("%s: %d values are too large for %s", step.source, lost, dtype_name(step.cast))
    return result
