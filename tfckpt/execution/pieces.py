"""Partitioned tensors and data files kept as a checkpoint has them: what is stored goes over in the order in which it lies.

Strategy: the bytes as they are stored, whole tensors and slices alike, are pieces, so that a rewrite that changes nothing
writes the same files.
Source: tensorflow/core/util/tensor_bundle/tensor_bundle.cc, MergeBundles.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from tfckpt.bundle.listing import collector_paused
from tfckpt.bundle.tensor_reader import TensorReader, place_of
from tfckpt.bundle.values.dtypes import is_sliceable, item_size
from tfckpt.bundle.values.entry import Entry, stored_at
from tfckpt.bundle.values.slices import TensorSlice
from tfckpt.bundle.writer import BundleWriter
from tfckpt.checkpoint.graph.object_graph import OBJECT_GRAPH_KEY, ObjectGraph
from tfckpt.execution.compute import planned_entry
from tfckpt.execution.run import Piece, write
from tfckpt.formats.bundle import BundleSink
from tfckpt.formats.container import TensorSource
from tfckpt.planning.steps import Step


def write_stored(
    steps: Iterable[Step],
    source: TensorSource,
    sink: BundleSink,
    *,
    verify: bool,
    graph: ObjectGraph | None = None,
    shards: int | None = None,
    max_shard_size: int | None = None,
) -> None:
    """Write what steps make of one source, in the order in which it lies there, to a sink whose block has begun.

    Args:
        steps: all of them have a source.
        source: what they were made for.
        sink: where to.
        verify: compare checksums on the way.
        graph: what is written in the place of the source's object graph.
        shards: spread the tensors over so many data files.
        max_shard_size: that of the sink's writer.
    """
    with collector_paused():
        listed = list(pieces_of(source, steps, max_shard_size))
        pieces = sorted(listed, key=lambda p: stored_at(stored(p)))
        placed = pieces if max_shard_size is not None else spread(pieces, shards)
    write_pieces(placed, sink, verify=verify, graph=graph)
    sink.writer.extend_to(shards or 1)
    arrange(listed, {} if shards or max_shard_size else numbering(pieces), sink.writer)


def write_pieces(pieces: Sequence[Piece], sink: BundleSink, *, verify: bool, graph: ObjectGraph | None = None) -> None:
    """Write pieces of one source or several, each to the data file of its number; arguments as for `write_stored`."""
    own: dict[int, list[Piece]] = {}  # by identity of the source
    for piece in pieces:
        own.setdefault(id(piece.source), []).append(piece)
    for group in own.values():
        group[0].source.check([stored(piece) for piece in group], verify=False)
    write(pieces, sink, verify=verify, graph=graph)


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
    if max_shard_size is None or not is_sliceable(step.stored_type, len(step.shape)):
        return False
    nbytes = step.nbytes if step.cast is None else math.prod(step.shape) * item_size(step.stored_type)
    return nbytes > max_shard_size


def pieces_of(source: TensorSource, steps: Iterable[Step], max_shard_size: int | None = None) -> Iterator[Piece]:
    """Yield what is stored of the tensors of steps, which all have a source; slices are joined where they cannot stay."""
    for step in steps:
        entry = planned_entry(step.inputs[0], source)
        pieces = source.pieces(entry)
        if pieces[0][0] is not None and _must_join(pieces, step, max_shard_size):
            first = min((own for _, own in pieces), key=stored_at)
            pieces = [(None, entry._replace(shard=first.shard, offset=first.offset))]
        for part, own in pieces:
            yield Piece(source, step, own, part, whole_shard=entry.shard)


def _must_join(pieces: Sequence[tuple[TensorSlice | None, Entry]], step: Step, max_shard_size: int | None) -> bool:
    """Whether slices cannot stay: TensorFlow could not read them, or not in the new dtype, or they are too large."""
    if step.cast is not None:
        return not is_sliceable(step.cast, len(step.shape))
    if max_shard_size is None:  # whoever wrote them chose to
        return False
    return not is_sliceable(step.data_type, len(step.shape)) or max(own.nbytes for _, own in pieces) > max_shard_size


def spread(pieces: Sequence[Piece], count: int | None = None) -> list[Piece]:
    """Return pieces with the data file that each goes to: as in its source, or ``count`` files of about the same size."""
    if count is None:
        numbers = numbering(pieces)
        placed = ((piece, numbers[id(piece.source), stored(piece).shard]) for piece in pieces)
        return [piece if number == piece.shard else piece._replace(shard=number) for piece, number in placed]
    sizes = [0 if piece.step.same_as is not None else stored(piece).nbytes for piece in pieces]
    starts = list(accumulate(sizes, initial=0))
    total = max(1, starts.pop())
    last = count - 1  # what has no bytes may stand at the very end
    return [p._replace(shard=min(start * count // total, last)) for p, start in zip(pieces, starts, strict=True)]


def numbering(pieces: Iterable[Piece]) -> dict[tuple[int, int], int]:
    """Return the new number of each source's data file, in the order in which they are written."""
    files = dict.fromkeys((id(piece.source), stored(piece).shard) for piece in pieces)
    return {file: number for number, file in enumerate(files)}


def arrange(listed: Iterable[Piece], numbers: Mapping[tuple[int, int], int], writer: BundleWriter) -> None:
    """Have partitioned tensors list their slices as the sources do, and name the file that the first source's names."""
    slices: dict[str, list[Piece]] = {}
    for piece in listed:
        if piece.part is not None:
            slices.setdefault(piece.step.target, []).append(piece)
    for name, parts in slices.items():
        shard = numbers.get((id(parts[0].source), parts[0].whole_shard))
        writer.arrange(name, [piece.part for piece in parts if piece.part is not None], shard)


def stored(piece: Piece) -> Entry:
    """Return the entry of what a piece reads."""
    assert piece.stored is not None, piece
    return piece.stored
