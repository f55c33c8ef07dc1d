"""Checkpoints rewritten: tensors dropped, renamed, cast; files split.

Strategy: the bytes as they are stored, whole tensors and slices alike, are pieces; they go over in the order in which they
lie in the source, so that a rewrite that changes nothing writes the same files.
Source: tensorflow/core/util/tensor_bundle/tensor_bundle.cc, MergeBundles.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tfckpt.base import log
from tfckpt.base.arguments import whole_number
from tfckpt.base.issues import Issue
from tfckpt.base.options import PathLike, RewriteOptions
from tfckpt.base.progress import finish
from tfckpt.base.signatures import takes
from tfckpt.bundle.carry import counting
from tfckpt.bundle.tensor_reader import TensorReader, place_of
from tfckpt.bundle.values.dtypes import dtype_name, is_sliceable, numpy_dtype
from tfckpt.bundle.values.entry import Entry, stored_at
from tfckpt.bundle.values.slices import TensorSlice
from tfckpt.bundle.writer import BundleWriter
from tfckpt.checkpoint.checkpoint import Checkpoint, check_apart
from tfckpt.checkpoint.checkpoint import open as open_checkpoint
from tfckpt.checkpoint.find.locate import check_prefix
from tfckpt.checkpoint.graph.object_graph import OBJECT_GRAPH_KEY
from tfckpt.edit.edits import Edits, plan_edits
from tfckpt.errors import UsageError, printable
from tfckpt.execution.compute import planned_entry
from tfckpt.planning.plan import Plan, noting
from tfckpt.planning.steps import Step
from tfckpt.storage import files
from tfckpt.storage.paths import index_path, join, split

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from tfckpt.bundle.values.arrays import Array

SAVED_MODEL = "saved_model.pb"


@takes(RewriteOptions)
def rewrite(source: PathLike, dest: PathLike, **options: Unpack[RewriteOptions]) -> Plan:
    """Copy a checkpoint with changes; one that changes nothing writes the same bytes, but no data file in which nothing lies.

    Of an object-based checkpoint, the object graph goes along with what it names, whatever ``keep`` says. Tensors over the
    same bytes, as ``convert(keep_names=True)`` writes them, are stored once.

    Args:
        source: the checkpoint: a prefix, one of its files, or its directory. It is only read.
        dest: the exact prefix of the files to write.
        **options: those of `RewriteOptions`.
    Returns:
        The `Plan`: what becomes of each tensor.
    Raises:
        PlanError: two tensors would get one name, or none, or an object would vanish from another path; lists all. Or no
            model variable would be left by ``strip_optimizer``, or nothing at all by ``keep``.
        UsageError: an unknown dtype, a regular expression that is none, counts below 1.
        CheckpointExistsError, CheckpointNotFoundError, ChecksumError, FormatError, StorageError.
    Example:
        >>> report = tfckpt.rewrite("bert_model.ckpt", "half", keep=["bert/*"], strip_optimizer=True, cast="float16")
        >>> len(report.steps), tfckpt.open("half")["bert/pooler/dense/bias"].dtype
        (39, dtype('float16'))
    """
    prefix = check_prefix(dest)
    shards, max_shard_size = _shard_sizes(options["shards"], options["max_shard_size"])
    edits = Edits(options["rename"], options["drop"], options["keep"], options["cast"], options["strip_optimizer"])
    with open_checkpoint(source, format=options["source_format"]) as checkpoint:
        plan = plan_edits(checkpoint, edits)
        plan = plan._replace(steps=tuple(stored_once(plan.steps, checkpoint.reader, max_shard_size)))
        check_apart(checkpoint, prefix)
        if plan.dropped or plan.moved:
            plan = noting(plan, _saved_model(checkpoint.prefix))
        if options["dry_run"]:
            plan = noting(plan, in_the_way(prefix, overwrite=options["overwrite"]))
        else:
            order = checkpoint.reader.big_endian if options["big_endian"] is None else options["big_endian"]
            with BundleWriter(
                prefix,
                overwrite=options["overwrite"],
                sync=options["sync"],
                big_endian=order,
                max_shard_size=max_shard_size,
                progress=counting(options["progress"], plan.nbytes),
            ) as writer:
                write_plan(
                    plan,
                    checkpoint.reader,
                    writer,
                    verify=options["verify"],
                    shards=shards,
                    max_shard_size=max_shard_size,
                )
                writer.finish(check=checkpoint.reader.check_unchanged)
            finish(options["progress"], plan.nbytes)
            log.info("%s: %d tensors written to %s", plan.source, len(plan.steps), prefix)
    return plan


def _shard_sizes(shards: int | None, max_shard_size: int | None) -> tuple[int | None, int | None]:
    """Return how many data files there are to be, or how large the largest.

    Raises: UsageError for both, and for what is no such number.
    """
    if shards is not None and max_shard_size is not None:
        raise UsageError("shards and max_shard_size: expected one of both")
    return (
        None if shards is None else whole_number("shards", shards),
        None if max_shard_size is None else whole_number("maximum shard size", max_shard_size, " byte"),
    )


def source_paths(sources: Sequence[PathLike]) -> list[PathLike]:
    """Return the sources of an edit of several checkpoints.

    Raises: UsageError if it is one path, which would be a list of letters.
    """
    if isinstance(sources, str | os.PathLike):
        raise UsageError(f"sources: expected a list of checkpoints, got {os.fspath(sources)!r}")
    return list(sources)


def check_unchanged(checkpoints: Iterable[Checkpoint]) -> None:
    """Raise StorageError if a file of one of them has changed since it was opened."""
    for checkpoint in checkpoints:
        checkpoint.reader.check_unchanged()


def in_the_way(prefix: str, *, overwrite: bool) -> list[Issue]:
    """Return what to say, where nothing is written, of what would be refused or replaced then."""
    if not files.exists(index_path(prefix)):
        return []
    return [Issue("there-and-replaced" if overwrite else "there-and-refused", prefix)]


def _saved_model(prefix: str) -> list[Issue]:
    """Return what to say of the variables of a SavedModel, whose own graph asks for them by name."""
    directory, name = split(prefix)
    above, folder = split(directory)
    graph = join(above, SAVED_MODEL)
    if (folder, name) != ("variables", "variables") or not files.exists(graph):
        return []
    return [Issue("saved-model", graph)]


def write_plan(
    plan: Plan,
    reader: TensorReader,
    writer: BundleWriter,
    *,
    verify: bool,
    shards: int | None = None,
    max_shard_size: int | None = None,
) -> None:
    """Write what a plan makes of one source, in the order in which it lies there; the arguments are those of `rewrite`."""
    listed = list(pieces_of(reader, plan.steps, max_shard_size))
    pieces = sorted(listed, key=lambda p: stored_at(p.stored))
    numbers = spread(pieces, shards) if max_shard_size is None else [0] * len(pieces)
    write_pieces(plan, pieces, numbers, writer, verify=verify)
    writer.extend_to(shards or 1)
    arrange(listed, {} if shards or max_shard_size else numbering(pieces), writer)


class Piece(NamedTuple):
    """Bytes that are stored in one place: a tensor, or one slice of a partitioned one."""

    reader: TensorReader
    stored: Entry
    step: Step
    part: TensorSlice | None
    whole_shard: int  # that the entry of the whole names


def stored_once(steps: Iterable[Step], reader: TensorReader, max_shard_size: int | None = None) -> list[Step]:
    """Return steps by which tensors that share their bytes in the source share them still, as ``keep_names`` has it."""
    first: dict[object, str] = {}
    sharing = []
    for step in steps:
        place = None if step.source == OBJECT_GRAPH_KEY else place_of(reader, planned_entry(step.inputs[0], reader))
        kept = None if place is None else (step.cast, place)
        same_as = first.get(kept)
        if kept is not None and same_as is None and not _is_cut(step, max_shard_size):
            first[kept] = step.target
        sharing.append(step if same_as is None else step._replace(same_as=same_as))
    return sharing


def _is_cut(step: Step, max_shard_size: int | None) -> bool:
    """Whether a writer makes slices of a tensor, which no other can share."""
    if max_shard_size is None or not is_sliceable(step.data_type if step.cast is None else step.cast, len(step.shape)):
        return False
    nbytes = step.nbytes if step.cast is None else math.prod(step.shape) * numpy_dtype(step.cast).itemsize
    return nbytes > max_shard_size


def pieces_of(reader: TensorReader, steps: Iterable[Step], max_shard_size: int | None = None) -> Iterator[Piece]:
    """Yield what is stored of the tensors of steps, which all have a source."""
    for step in steps:
        entry = planned_entry(step.inputs[0], reader)
        pieces = reader.pieces(entry)
        if pieces[0][0] is not None and _must_join(pieces, step, max_shard_size):
            first = min((stored for _, stored in pieces), key=stored_at)
            pieces = [(None, entry._replace(shard=first.shard, offset=first.offset))]
        for part, stored in pieces:
            yield Piece(reader, stored, step, part, entry.shard)


def _must_join(pieces: Sequence[tuple[TensorSlice | None, Entry]], step: Step, max_shard_size: int | None) -> bool:
    """Whether slices cannot stay: TensorFlow could not read them, or not in the new dtype, or they are too large."""
    if step.cast is not None:
        return not is_sliceable(step.cast, len(step.shape))
    if max_shard_size is None:  # whoever wrote them chose to
        return False
    return (
        not is_sliceable(step.data_type, len(step.shape)) or max(stored.nbytes for _, stored in pieces) > max_shard_size
    )


def spread(pieces: Sequence[Piece], count: int | None) -> list[int]:
    """Return the data file that each piece goes to: as in the source, or ``count`` files of about the same size."""
    if count is None:
        numbers = numbering(pieces)
        return [numbers[id(piece.reader), piece.stored.shard] for piece in pieces]
    sizes = [0 if piece.step.same_as is not None else piece.stored.nbytes for piece in pieces]
    starts = list(accumulate(sizes, initial=0))
    total = max(1, starts.pop())
    return [min(start * count // total, count - 1) for start in starts]  # what has no bytes may stand at the very end


def numbering(pieces: Iterable[Piece]) -> dict[tuple[int, int], int]:
    """Return the new number of each source's data file, in the order in which they are written."""
    return {file: n for n, file in enumerate(dict.fromkeys((id(p.reader), p.stored.shard) for p in pieces))}


def arrange(listed: Iterable[Piece], numbers: Mapping[tuple[int, int], int], writer: BundleWriter) -> None:
    """Have partitioned tensors list their slices as the sources do, and name the file that the first source's names."""
    slices: dict[str, list[Piece]] = {}
    for piece in listed:
        if piece.part is not None:
            slices.setdefault(piece.step.target, []).append(piece)
    for name, parts in slices.items():
        shard = numbers.get((id(parts[0].reader), parts[0].whole_shard))
        writer.arrange(name, [piece.part for piece in parts if piece.part is not None], shard)


def write_pieces(
    plan: Plan,
    pieces: Sequence[Piece],
    shards: Sequence[int],
    writer: BundleWriter,
    *,
    verify: bool,
) -> None:
    """Write each piece to the data file of its number, and the object graph of the plan if it has one."""
    for reader in {id(piece.reader): piece.reader for piece in pieces}.values():
        reader.check_sharing(piece.stored for piece in pieces if piece.reader is reader)
    for piece, shard in zip(pieces, shards, strict=True):
        if piece.step.same_as is not None:
            writer.alias(piece.step.target, piece.step.shape, of=piece.step.same_as)
            continue
        writer.extend_to(shard + 1)
        if piece.step.target == OBJECT_GRAPH_KEY and plan.object_graph is not None:
            writer.add(OBJECT_GRAPH_KEY, plan.object_graph.serialize())
        else:
            write_piece(piece, writer, verify=verify)


def write_piece(piece: Piece, writer: BundleWriter, *, verify: bool) -> None:
    """Write a piece to the writer's last data file: as it is stored, if a writer would store it so."""
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
        result = array.astype(numpy_dtype(step.cast))
    lost = int(np.isinf(result).sum() - np.isinf(array).sum())
    if lost:
        log.warning("%s: %d values are too large for %s", printable(step.source), lost, dtype_name(step.cast))
    return result
