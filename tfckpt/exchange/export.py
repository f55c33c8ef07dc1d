"""Checkpoints written as files of other frameworks, in memory that does not grow with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from tfckpt import log
from tfckpt.bundle.carry import counting
from tfckpt.bundle.paths import V2, index_path
from tfckpt.checkpoint.checkpoint import Checkpoint
from tfckpt.checkpoint.checkpoint import open as open_checkpoint
from tfckpt.conversion.compute import planned_entry
from tfckpt.conversion.execute import COPY
from tfckpt.conversion.plan import Plan, Written
from tfckpt.conversion.request import PathLike, Request
from tfckpt.edit.edits import Edits
from tfckpt.exchange import safetensors
from tfckpt.exchange.defaults import SAFETENSORS, SOURCE
from tfckpt.exchange.outgoing import Item, choose_forms
from tfckpt.exchange.planning import make, without_graph
from tfckpt.exchange.targets import Job, Target, Writable, find_target
from tfckpt.progress import Progress, finish


def export(
    source: PathLike,
    dest: PathLike | Writable,
    *,
    kind: str | None = None,
    to: str = SOURCE,
    rename: Sequence[tuple[str, str]] = (),
    drop: Sequence[str] = (),
    keep: Sequence[str] = (),
    names: Literal["key", "path", "full"] = "key",
    config: PathLike | None = None,
    num_heads: int | None = None,
    exclude: Sequence[str] = (),
    fill: str | None = None,
    slots: str | None = None,
    optimizer: str | None = None,
    learning_rate: float | None = None,
    keep_names: bool = False,
    scope: str = "",
    model: str = "",
    vocab_size: int | None = None,
    max_positions: int | None = None,
    resize_fill: str = "zeros",
    layout: PathLike | None = None,
    source_format: str | None = None,
    verify: bool = True,
    sync: bool = True,
    overwrite: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Plan:
    """Write a checkpoint's tensors as a safetensors file, as a .npz file, or as a directory of .npy files.

    Values stream: memory grows with the largest tensor that is transposed, and not with the checkpoint. The object graph has
    no use there and stays behind. Quantized integers and those below one byte become plain ones, which is noted in the file.

    Args:
        source: the checkpoint: a prefix, one of its files, or its directory. It is only read.
        dest: where to; or what has a ``write``, which gets the bytes of a safetensors or .npz file in order.
        kind: ``"safetensors"`` (needs the library), ``"npz"`` or ``"npy"``, a directory; unless given, what ``dest`` ends in
            tells: ``.safetensors``, ``.npz``, or ``/``, which a `pathlib.Path` does not keep.
        to: whose names and shapes: ``"source"``, as they are; or the name of a target of `convert`, such as ``"tf1"``.
        rename: (regular expression, replacement) pairs, applied to every name in turn, as ``re.sub`` does. There is no object
            graph that would need them, so they may take the end off keys: ``("/.ATTRIBUTES/VARIABLE_VALUE$", "")``.
        drop: shell globs of the source's names to leave out; of keys, or if none matches, of objects' paths or full names.
        keep: shell globs as for ``drop``; if any are given, every other tensor is left out.
        names: what tensors of objects are called: ``"key"``, by their keys; ``"path"``, by the paths that ``tfckpt tree``
            draws; ``"full"``, as TensorFlow 1 would, such as ``lstm/lstm_cell/kernel``. What lacks a full name has its path,
            and what has no path its key, which is noted. ``rename`` comes after that.
        config: as for `plan`; this and what follows are for targets other than ``"source"``, but for ``exclude``.
        num_heads: as for `plan`.
        exclude: as for `plan`.
        fill: as for `plan`.
        slots: as for `plan`.
        optimizer: as for `plan`.
        learning_rate: as for `plan`.
        keep_names: as for `plan`.
        scope: as for `plan`.
        model: as for `plan`.
        vocab_size: as for `plan`.
        max_positions: as for `plan`.
        resize_fill: as for `plan`.
        layout: as for `plan`.
        source_format: ``"v2"`` or ``"v1"``; unless given, whichever is there, V2 before V1.
        verify: compare each tensor's checksum with its bytes on the way.
        sync: return only when the files have reached the disk.
        overwrite: replace what is there: a file, or an older export in the directory; other files in it stay.
        dry_run: return the plan, and write nothing.
        progress: called with (bytes done, bytes in all).
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
    target = find_target(dest, kind)
    if target.kind == SAFETENSORS:
        safetensors.check_library()
    request = Request(
        to=to,
        config=config,
        num_heads=num_heads,
        exclude=exclude,
        fill=fill,
        slots=slots,
        optimizer=optimizer,
        learning_rate=learning_rate,
        keep_names=keep_names,
        scope=scope,
        model=model,
        vocab_size=vocab_size,
        max_positions=max_positions,
        resize_fill=resize_fill,
        layout=layout,
    )
    with open_checkpoint(source, format=source_format) as checkpoint:
        plan = without_graph(make(checkpoint, request, Edits(rename, drop, keep), names))
        items = choose_forms(plan, target.kind, checkpoint.reader)
        if dry_run:
            return plan
        _check(checkpoint, items, target, verify=verify, overwrite=overwrite)
        total = sum(item.step.nbytes for item in items)
        job = Job(checkpoint.reader, plan, items, verify=verify, count=counting(progress, total))
        target.write(job, sync=sync)
        finish(progress, total)
    log.info("%s: %d tensors exported to %s", plan.source, len(items), target.path)
    return plan._replace(written=Written(COPY))


def _check(checkpoint: Checkpoint, items: Sequence[Item], target: Target, *, verify: bool, overwrite: bool) -> None:
    """Raise before anything is written if the source lacks bytes or the destination is taken."""
    reader = checkpoint.reader
    if verify:
        reader.check_files()
    reader.check_sharing(planned_entry(item.step, reader) for item in items if item.step.fill is None)
    target.check_free([*(file.path for file in reader.data_files()), *_index(checkpoint)], overwrite=overwrite)


def _index(checkpoint: Checkpoint) -> list[str]:
    return [index_path(checkpoint.prefix)] if checkpoint.format == V2 else []
