"""Checkpoints written as files of other frameworks, in memory that does not grow with them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tfckpt.base import log
from tfckpt.base.options import SOURCE, ExportOptions, PathLike, Request, given
from tfckpt.base.progress import finish
from tfckpt.base.signatures import takes
from tfckpt.bundle.carry import counting
from tfckpt.checkpoint.checkpoint import open as open_checkpoint
from tfckpt.edit.edits import Edits
from tfckpt.edit.exchange import make, without_graph
from tfckpt.execution.forms import check_forms
from tfckpt.execution.run import run
from tfckpt.formats.bundle import BundleSource
from tfckpt.formats.container import Destination, Writable
from tfckpt.formats.opening import container_of
from tfckpt.planning.plan import Plan
from tfckpt.storage.local_input import check_path
from tfckpt.storage.paths import V2, index_path, split

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
    to = _destination(dest)
    container = container_of(to, options["kind"])
    with open_checkpoint(source, format=options["source_format"]) as checkpoint:
        edits = Edits(drop=options["drop"], keep=options["keep"])
        plan = without_graph(make(checkpoint, given(Request, options), edits, options["names"]))
        tensors = BundleSource(checkpoint.reader)
        check_forms(plan, container.sink, tensors)
        if options["dry_run"]:
            return plan
        index = [index_path(checkpoint.prefix)] if checkpoint.format == V2 else []
        total = sum(step.nbytes for step in plan.steps)
        to = to._replace(
            inputs=(*(file.path for file in checkpoint.reader.data_files()), *index),
            overwrite=options["overwrite"],
            sync=options["sync"],
            progress=counting(options["progress"], total),
            note=_note(plan),
        )
        written = run(plan, tensors, container.sink(to), verify=options["verify"])
        finish(options["progress"], total)
    log.info("%s: %d tensors exported to %s", plan.source, len(plan.steps), to.path)
    return plan._replace(written=written)


def _destination(dest: PathLike | Writable) -> Destination:
    if not isinstance(dest, (str, os.PathLike)):
        return Destination("<stream>", dest.write)
    path = os.fspath(dest)
    check_path(path)
    return Destination(path)


def _note(plan: Plan) -> dict[str, str]:
    """Return what is said in the file of where it comes from."""
    name = split(plan.source)[1] or plan.source
    return {"source": name.encode("utf-8", "replace").decode(), "layout": plan.to or SOURCE}
