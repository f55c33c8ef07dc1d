"""Carries out a plan: bytes go over as they are wherever the layout lets them; the index is written last."""

from __future__ import annotations

from collections.abc import Callable

from tfckpt.bundle.tensor_reader import TensorReader
from tfckpt.bundle.writer import BundleWriter
from tfckpt.checkpoint.object_graph import OBJECT_GRAPH_KEY
from tfckpt.conversion.compute import compute, planned_entry
from tfckpt.conversion.plan import Plan, Step

Progress = Callable[[int, int], None]  # (bytes done, bytes in all)


def execute(
    plan: Plan,
    reader: TensorReader,
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
            if step.same_as is not None:
                writer.alias(step.target, step.shape, of=step.same_as)
                continue
            _write_tensor(step, reader, writer, verify=verify)
            done += step.nbytes
            if progress is not None:
                progress(done, total)
        if plan.object_graph is not None:
            writer.add(OBJECT_GRAPH_KEY, plan.object_graph.serialize())
        writer.finish()


def _write_tensor(step: Step, reader: TensorReader, writer: BundleWriter, *, verify: bool) -> None:
    if step.keeps_bytes:
        entry = planned_entry(step, reader)
        if reader.stores_as_written(entry):
            chunks = reader.chunks(entry, verify=verify)
            writer.carry(step.target, entry.data_type, step.shape, chunks, entry.nbytes, entry.crc32c)
            return
    writer.add(step.target, compute(step, reader, verify=verify), step.data_type)
