"""Checkpoints written as files of other frameworks, in memory that does not grow with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tfckpt.base import log
from tfckpt.base.options import ExportOptions, PathLike, Request, given
from tfckpt.base.progress import finish
from tfckpt.base.signatures import takes
from tfckpt.bundle.carry import counting
from tfckpt.checkpoint.checkpoint import Checkpoint
from tfckpt.checkpoint.checkpoint import open as open_checkpoint
from tfckpt.edit.edits import Edits
from tfckpt.execution.compute import planned_entries
from tfckpt.execution.execute import COPY
from tfckpt.formats import safetensors
from tfckpt.formats.defaults import SAFETENSORS
from tfckpt.formats.outgoing import Item, choose_forms
from tfckpt.formats.planning import make, without_graph
from tfckpt.formats.targets import Job, Target, Writable, find_target
from tfckpt.planning.plan import Plan, Written
from tfckpt.storage.paths import V2, index_path

if TYPE_CHECKING:
    from typing_extensions import Unpack


@takes(ExportOptions)
def export(source: PathLike, dest: PathLike | Writable, **options: Unpack[ExportOptions]) -> Plan:
    """Write a checkpoint's tensors as a safetensors file, as a .npz file, or as a directory of .npy files.

    Values stream: memory grows with the largest tensor that is transposed, and not with the checkpoint. The object graph has
    no use there and stays behind. Quantized integers and those below one byte become plain ones, which is noted in the file.

    Args:
        source: the checkpoint: a prefix, one of its files, or its directory. It is only read.
        dest: where to; or what has a ``write``, which gets the bytes of a safetensors or .npz file in order.
        **options: those of `ExportOptions`.
    Returns:
        The `Plan`: what becomes of each tensor.
    Raises:
        PlanError: a tensor has no form or no name there (strings in safetensors), two would have one name, or source and
            target do not fit; lists all.
        TensorNotFoundError: a name in ``drop`` or ``keep`` without wildcards is the full name of several variables.
        CheckpointExistsError: ``dest`` is taken, and ``overwrite`` is false.
        UnsupportedError: the safetensors library is missing, or refuses what was written.
        CheckpointNotFoundError, ChecksumError, ConfigError, FormatError, LayoutError, StorageError, UsageError.
    Example:
        >>> import numpy as np
        >>> report = tfckpt.export("bert_model.ckpt", "bert.npz", keep=["bert/*"], exclude=["adam"])
        >>> len(report.steps), np.load("bert.npz")["bert/pooler/dense/kernel"].shape
        (39, (8, 8))
    """
    target = find_target(dest, options["kind"])
    if target.kind == SAFETENSORS:
        safetensors.check_library()
    with open_checkpoint(source, format=options["source_format"]) as checkpoint:
        plan = without_graph(
            make(
                checkpoint,
                given(Request, options),
                Edits(options["rename"], options["drop"], options["keep"]),
                options["names"],
            )
        )
        items = choose_forms(plan, target.kind, checkpoint.reader)
        if options["dry_run"]:
            return plan
        _check(checkpoint, items, target, verify=options["verify"], overwrite=options["overwrite"])
        total = sum(item.step.nbytes for item in items)
        job = Job(checkpoint.reader, plan, items, verify=options["verify"], count=counting(options["progress"], total))
        target.write(job, sync=options["sync"])
        finish(options["progress"], total)
    log.info("%s: %d tensors exported to %s", plan.source, len(items), target.path)
    return plan._replace(written=Written(COPY))


def _check(checkpoint: Checkpoint, items: Sequence[Item], target: Target, *, verify: bool, overwrite: bool) -> None:
    """Raise before anything is written if the source lacks bytes or the destination is taken."""
    reader = checkpoint.reader
    if verify:
        reader.check_files()
    reader.check_sharing(planned_entries((item.step for item in items), reader))
    target.check_free([*(file.path for file in reader.data_files()), *_index(checkpoint)], overwrite=overwrite)


def _index(checkpoint: Checkpoint) -> list[str]:
    return [index_path(checkpoint.prefix)] if checkpoint.format == V2 else []
