"""Carries out a plan: bytes go over as they are wherever the layout lets them; the index is written last."""

from __future__ import annotations

from collections.abc import Callable

from tfckpt.bundle.entry import Entry
from tfckpt.bundle.reader import BundleReader
from tfckpt.bundle.writer import BundleWriter
from tfckpt.checkpoint.object_graph import OBJECT_GRAPH_KEY
from tfckpt.conversion.plan import Plan, Step
from tfckpt.errors import FormatError
from tfckpt.layouts import axes

Progress = Callable[[int, int], None]  # (bytes done, bytes in all)


def execute(
    plan: Plan,
    reader: BundleReader,
    dest: str,
    *,
    verify: bool = True,
    sync: bool = True,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> None:
    """Write the checkpoint that ``plan`` describes under the prefix ``dest``, whole or not at all.

    Raises: CheckpointExistsError, ChecksumError, FormatError, StorageError.
    """
    if verify:
        reader.check_files()  # a file cut short is damaged, even where only tensors that are dropped are lost
    done, total = 0, plan.nbytes
    with BundleWriter(dest, overwrite=overwrite, sync=sync) as writer:
        for step in plan.steps:
            _write_tensor(step, reader, writer, verify=verify)
            done += step.nbytes
            if progress is not None:
                progress(done, total)
        if plan.object_graph is not None:
            writer.add(OBJECT_GRAPH_KEY, plan.object_graph.serialize())
        writer.finish()


def planned_entry(step: Step, reader: BundleReader) -> Entry:
    """Return the source's entry for a step.

    Raises: FormatError if the source has changed since the plan was made.
    """
    entry = reader.entry(step.source)
    if entry is None or (entry.data_type, entry.shape) != (step.data_type, step.source_shape):
        got = "none" if entry is None else f"{entry.dtype_name}{list(entry.shape)}"
        expected = f"the tensor that was planned for, {list(step.source_shape)}"
        raise FormatError(f"tensor {step.source!r}", path=reader.prefix, expected=expected, got=got)
    return entry


def _write_tensor(step: Step, reader: BundleReader, writer: BundleWriter, *, verify: bool) -> None:
    entry = planned_entry(step, reader)
    if step.keeps_bytes and reader.stores_as_written(entry):
        chunks = reader.chunks(entry, verify=verify)
        writer.carry(step.target, entry.data_type, step.shape, chunks, entry.nbytes, entry.crc32c)
        return
    array = reader.read(entry, verify=verify, mapped=False)
    if step.axes is not None:
        array = axes.apply(step.axes, array, step.letters)
    writer.add(step.target, array, entry.data_type)
