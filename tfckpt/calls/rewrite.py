"""Checkpoints rewritten: tensors dropped, renamed, cast; files split."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfckpt.base import log
from tfckpt.base.arguments import whole_number
from tfckpt.base.options import PathLike, RewriteOptions
from tfckpt.base.progress import finish
from tfckpt.base.signatures import takes
from tfckpt.bundle.carry import counting
from tfckpt.bundle.listing import collector_paused
from tfckpt.checkpoint.checkpoint import check_apart
from tfckpt.checkpoint.checkpoint import open as open_checkpoint
from tfckpt.checkpoint.find.locate import check_prefix
from tfckpt.edit.edits import Edits, plan_edits
from tfckpt.edit.paths import in_the_way, saved_model
from tfckpt.errors import UsageError
from tfckpt.execution.pieces import stored_once, write_stored
from tfckpt.formats.bundle import BundleSink, BundleSource
from tfckpt.formats.container import Destination
from tfckpt.planning.plan import Plan, noting

if TYPE_CHECKING:
    from typing_extensions import Unpack


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
        with collector_paused():
            plan = plan_edits(checkpoint, edits)
        plan = plan._replace(steps=tuple(stored_once(plan.steps, checkpoint.reader, max_shard_size)))
        check_apart(checkpoint, prefix)
        if plan.dropped or plan.moved:
            plan = noting(plan, saved_model(checkpoint.prefix))
        if options["dry_run"]:
            return noting(plan, in_the_way(prefix, overwrite=options["overwrite"]))
        progress = counting(options["progress"], plan.nbytes)
        to = Destination(prefix, overwrite=options["overwrite"], sync=options["sync"], progress=progress)
        tensors = BundleSource(checkpoint.reader)
        order = checkpoint.reader.big_endian if options["big_endian"] is None else options["big_endian"]
        with BundleSink(to, big_endian=order, max_shard_size=max_shard_size) as sink:
            write_stored(
                plan.steps,
                tensors,
                sink,
                verify=options["verify"],
                graph=plan.object_graph,
                shards=shards,
                max_shard_size=max_shard_size,
            )
            sink.commit(tensors.check_unchanged)
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
