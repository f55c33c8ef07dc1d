"""Checkpoints joined into one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from tfckpt.base.options import MergeOptions, PathLike
from tfckpt.base.progress import finish
from tfckpt.base.signatures import takes
from tfckpt.bundle.carry import counting
from tfckpt.bundle.listing import collector_paused
from tfckpt.bundle.tensor_reader import TensorReader
from tfckpt.bundle.values.entry import stored_at
from tfckpt.checkpoint.checkpoint import check_apart
from tfckpt.checkpoint.checkpoint import open as open_checkpoint
from tfckpt.checkpoint.find.locate import check_prefix
from tfckpt.edit.merging.merge import Merging
from tfckpt.edit.merging.preferences import Origin
from tfckpt.edit.paths import check_unchanged, in_the_way, source_paths
from tfckpt.errors import UsageError
from tfckpt.execution.pieces import arrange, numbering, pieces_of, spread, stored, write_pieces
from tfckpt.execution.run import Piece
from tfckpt.formats.bundle import BundleSink, BundleSource
from tfckpt.formats.container import Destination
from tfckpt.planning.plan import Plan, noting
from tfckpt.planning.steps import Step

if TYPE_CHECKING:
    from typing_extensions import Unpack


@takes(MergeOptions)
def merge(sources: Sequence[PathLike], dest: PathLike, **options: Unpack[MergeOptions]) -> Plan:
    """Join checkpoints into one.

    Without ``prefer``, as TensorFlow joins the parts of a sharded save: every data file goes along as it is, a partitioned
    tensor may have slices in several sources, and any other name may come once. With it, what several sources have is taken
    whole from one of them.

    Object graphs are joined: the same path means the same object. The first source, or the one that is preferred for
    everything, says how objects hang together, and how keys are spelled. The moments that Keras 3 keeps in lists go to the
    place that their variable has in its optimizer; those of tf_keras, too, if their full names prove which variable that is.
    Where an order is not known, or numbers of layers contradict attributes and full names, values of several sources are not
    mixed: that is refused, and all of one is not. Copies of weights, which Keras 3 exports, follow their originals.

    Args:
        sources: checkpoints, each as for `open`. They are only read.
        dest: the exact prefix of the files to write.
        **options: those of `MergeOptions`.
    Returns:
        The `Plan`: every tensor; the ``origin`` of a step, and of what was not taken, is its source.
    Raises:
        PlanError: several sources have something, and nothing says which counts; object graphs contradict, or the order of an
            optimizer's lists, or of layers, is not known; slices are of different tensors, or do not cover theirs; a
            preference is for nothing.
        UsageError: no source, sources of different byte order, or a preference that is none.
        CheckpointExistsError, CheckpointNotFoundError, ChecksumError, FormatError, StorageError.
    Example:
        >>> tfckpt.save("part-0", {"a": 1}), tfckpt.save("part-1", {"b": 2})
        (None, None)
        >>> len(tfckpt.merge(["part-0", "part-1"], "whole").steps), sorted(tfckpt.open("whole"))
        (2, ['a', 'b'])
        >>> tfckpt.save("part-2", {"b": 3, "c": 4})
        >>> plan = tfckpt.merge(["part-1", "part-2"], "new", prefer=["part-2"])
        >>> [(item.source, item.origin, item.rule) for item in plan.dropped]
        [('b', 'part-1', 'also in part-1, taken from part-2')]

    Source: tensorflow/core/util/tensor_bundle/tensor_bundle.cc, MergeBundles.
    """
    prefix = check_prefix(dest)
    with ExitStack() as stack:
        origins = [Origin(stack.enter_context(open_checkpoint(s)), os.fspath(s)) for s in source_paths(sources)]
        orders = {origin.checkpoint.reader.big_endian for origin in origins}
        if len(orders) != 1:
            raise UsageError("merge: expected sources of one byte order, got " + ("both" if orders else "no source"))
        with collector_paused():  # of 100,000 objects it would make a quarter of the time
            plan, steps = Merging(origins, options["prefer"]).plan(partial=options["partial"])
        for origin in origins:
            check_apart(origin.checkpoint, prefix)
        if options["dry_run"]:
            return noting(plan, in_the_way(prefix, overwrite=options["overwrite"]))
        progress = counting(options["progress"], plan.nbytes)
        to = Destination(prefix, overwrite=options["overwrite"], sync=options["sync"], progress=progress)
        with collector_paused():
            listed, pieces = _pieces(origins, steps)
        with BundleSink(to, big_endian=orders.pop()) as sink:
            write_pieces(spread(pieces), sink, verify=options["verify"], graph=plan.object_graph)
            arrange(listed, numbering(pieces), sink.writer)
            sink.commit(lambda: check_unchanged(origin.checkpoint for origin in origins))
        finish(options["progress"], plan.nbytes)
    return plan


def _pieces(origins: Sequence[Origin], steps: Sequence[Sequence[Step]]) -> tuple[list[Piece], list[Piece]]:
    """Return what is stored of each source's steps: as it is listed there, and in the order in which TensorFlow writes it."""
    listed: list[Piece] = []
    pieces: list[Piece] = []
    for origin, part in zip(origins, steps, strict=True):
        ranks = _order_of_use(origin.checkpoint.reader)
        own = list(pieces_of(BundleSource(origin.checkpoint.reader), part))
        listed += own
        pieces += sorted(own, key=lambda p: (ranks[stored(p).shard], *stored_at(stored(p))))
    return listed, pieces


def _order_of_use(reader: TensorReader) -> dict[int, int]:
    """Return each shard's rank in the order in which the index names them, which is how TensorFlow numbers them anew."""
    return {shard: rank for rank, shard in enumerate(dict.fromkeys(entry.shard for entry in reader.stored.values()))}
