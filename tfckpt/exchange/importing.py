"""Files of other frameworks written as checkpoints, in memory that does not grow with them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import closing

import numpy as np

from tfckpt import log
from tfckpt.bundle.carry import counting
from tfckpt.bundle.dtypes import numpy_dtype
from tfckpt.bundle.local_input import check_path
from tfckpt.bundle.writer import BundleWriter
from tfckpt.checkpoint.locate import check_prefix
from tfckpt.checkpoint.object_graph import ATTRIBUTES, OBJECT_GRAPH_KEY
from tfckpt.conversion.compute import filled, transformed
from tfckpt.conversion.execute import COPY
from tfckpt.conversion.plan import Plan, Step, Written
from tfckpt.conversion.request import PathLike, Request
from tfckpt.edit.edits import Edits
from tfckpt.errors import located
from tfckpt.exchange.archive import Archive, Member
from tfckpt.exchange.defaults import SOURCE
from tfckpt.exchange.opening import open_archive
from tfckpt.exchange.planning import make
from tfckpt.progress import Progress, finish

WITHOUT_GRAPH = (
    "keys of objects, and no object graph, without which TensorFlow restores none of them: export with target 'tf1', import "
    "that, and convert it"
)


def import_(
    source: PathLike,
    dest: PathLike,
    *,
    kind: str | None = None,
    to: str = SOURCE,
    rename: Sequence[tuple[str, str]] = (),
    drop: Sequence[str] = (),
    keep: Sequence[str] = (),
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
    sync: bool = True,
    overwrite: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Plan:
    """Write the tensors of a safetensors file, a .npz file, or a directory that `export` wrote, as a checkpoint.

    The file may be a stranger's: its headers are checked before they are believed, and nothing in it is ever unpickled.
    Values stream, but for what is transposed, arrays in column-major order, and strings. Where names are TF1's, ``to`` makes
    a checkpoint for TensorFlow 2 of them at once, as `convert` would.

    Args:
        source: the file or directory. It is only read.
        dest: the exact prefix of the files to write; missing directories are made.
        kind: ``"safetensors"`` (needs the library), ``"npz"`` or ``"npy"``, a directory; unless given, what is there.
        to: ``"source"`` for a name-based checkpoint with the names in the file, or the name of a target of `convert`.
        rename: (regular expression, replacement) pairs, applied to every name in turn, as ``re.sub`` does; the names that a
            target of `convert` looks for must be there without, and the keys of objects stay as they are.
        drop: shell globs of names in the file to leave out; a target of `convert` does not see what ``drop`` and ``keep``
            leave out, and what it needs of that is a complaint.
        keep: shell globs; if any are given, every other name is left out.
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
        sync: return only when the files have reached the disk.
        overwrite: replace a checkpoint that is under ``dest``.
        dry_run: return the plan, and write nothing.
        progress: called with (bytes done, bytes in all).
    Returns:
        The `Plan`: what becomes of each tensor.
    Raises:
        FormatError: the file is damaged, or not what it says.
        UnsupportedError: objects, records, a dtype that TensorFlow lacks; or the safetensors library is missing.
        PlanError: names and target do not fit; lists all.
        CheckpointExistsError, CheckpointNotFoundError, ConfigError, LayoutError, StorageError, UsageError.
    Example:
        >>> import numpy as np
        >>> np.savez("weights.npz", w=np.float32([1, 2]), step=np.int64(3))
        >>> _ = tfckpt.import_("weights.npz", "weights.ckpt")
        >>> {name: value.tolist() for name, value in tfckpt.open("weights.ckpt").items()}
        {'step': 3, 'w': [1.0, 2.0]}
    """
    prefix = check_prefix(dest)
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
    path = os.fspath(source)
    check_path(path)
    with located(path, None), closing(open_archive(path, kind)) as archive:
        plan = make(archive, request, Edits(rename, drop, keep))
        if plan.object_graph is None and any(ATTRIBUTES in step.target for step in plan.steps):
            plan = plan._replace(notes=(*plan.notes, WITHOUT_GRAPH))
        if dry_run:
            return plan
        count = counting(progress, plan.nbytes)
        with BundleWriter(prefix, overwrite=overwrite, sync=sync, progress=count) as writer:
            for step in plan.steps:
                _write(step, archive, writer)
            if plan.object_graph is not None:
                writer.add(OBJECT_GRAPH_KEY, plan.object_graph.serialize())
            writer.finish(check=archive.check_unchanged)
        finish(progress, plan.nbytes)
    log.info("%s: %d tensors imported to %s", path, len(plan.steps), prefix)
    return plan._replace(written=Written(COPY))


def _write(step: Step, archive: Archive, writer: BundleWriter) -> None:
    if step.same_as is not None:
        writer.alias(step.target, step.shape, of=step.same_as)
        return
    if step.fill is not None:
        writer.add(step.target, filled(step.fill, step.shape, numpy_dtype(step.data_type)), step.data_type)
        return
    member = archive.members[step.source]
    if step.keeps_bytes and member.is_streamed:
        writer.carry(step.target, step.data_type, step.shape, _chunks(member), step.nbytes, None)
    else:
        writer.add(step.target, transformed(step, member.read()), step.data_type)


def _chunks(member: Member) -> Iterator[memoryview]:
    for array in member.stream():
        yield np.ascontiguousarray(array).view(np.uint8).data
