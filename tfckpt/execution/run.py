"""Carries out a plan: bytes go over as they are wherever the layout lets them; the index is written last."""

from __future__ import annotations

from tfckpt.base.issues import Issue, give
from tfckpt.base.progress import Progress
from tfckpt.bundle.carry import counting
from tfckpt.bundle.tensor_reader import TensorReader
from tfckpt.bundle.values.entry import Entry, stored_at
from tfckpt.bundle.writer import BundleWriter
from tfckpt.checkpoint.graph.object_graph import OBJECT_GRAPH_KEY
from tfckpt.errors import UnsupportedError, remedied, some
from tfckpt.execution.compute import compute, planned_entries, planned_entry
from tfckpt.planning.plan import Plan, Written
from tfckpt.planning.steps import Step
from tfckpt.storage.local_output import CLONE, LINK
from tfckpt.storage.paths import V1

COPY, REFLINK, AUTO = "copy", "reflink", "auto"
MODES = (COPY, LINK, REFLINK, AUTO)
SHARING = {LINK: LINK, REFLINK: CLONE}  # a mode, and how it shares
ATTEMPTS = {COPY: (COPY,), LINK: (LINK,), REFLINK: (REFLINK,), AUTO: (REFLINK, LINK, COPY)}


def execute(
    plan: Plan,
    reader: TensorReader,
    dest: str,
    *,
    mode: str = COPY,
    verify: bool = True,
    sync: bool = True,
    overwrite: bool = False,
    progress: Progress | None = None,
    stream: bool = False,
) -> Written:
    """Write the checkpoint that ``plan`` describes under the prefix ``dest``, whole or not at all.

    Args:
        plan: what to write.
        reader: the source that it was made for.
        dest: the exact prefix.
        mode: one of `MODES`; ``"auto"`` takes the first of reflink, link, copy that works.
        verify: compare the checksum of each tensor that is written.
        sync: return only when the files have reached the disk.
        overwrite: replace a checkpoint that is there.
        progress: called with (bytes done, bytes in all).
        stream: copy the simple way, one byte after another in this thread.
    Raises: CheckpointExistsError, ChecksumError, FormatError, StorageError; UnsupportedError if ``mode`` is impossible here;
        UsageError if it is none.
    """
    if verify:
        reader.check_files()  # a file cut short is damaged, even where only tensors that are dropped are lost
    steps = [step for step in plan.steps if step.same_as is None]
    reader.check_sharing(planned_entries(steps, reader))
    carried = {step.target: planned_entry(step.inputs[0], reader) for step in steps if step.keeps_bytes}
    count = counting(progress, plan.nbytes)
    with BundleWriter(dest, overwrite=overwrite, sync=sync, progress=count, stream=stream) as writer:
        written, shared = _share(writer, reader, list(carried.values()), mode)
        if shared and verify:
            reader.compare(carried.values(), progress=count)
        elif shared:
            reader.check_files()  # nobody else looks whether the bytes are there
        for step in plan.steps:
            _write_tensor(step, carried.get(step.target), reader, writer, verify=verify, shared=shared)
        if plan.object_graph is not None:
            writer.add(OBJECT_GRAPH_KEY, plan.object_graph.serialize())
        writer.finish(check=reader.check_unchanged)
    return written


def _write_tensor(
    step: Step, entry: Entry | None, reader: TensorReader, writer: BundleWriter, *, verify: bool, shared: bool
) -> None:
    """Write one tensor; ``entry`` is its source if the bytes stay as they are."""
    if step.same_as is not None:
        writer.alias(step.target, step.shape, of=step.same_as)
    elif entry is not None and shared:
        writer.refer(step.target, step.shape, entry)
    elif entry is not None and reader.stores_as_written(entry):
        chunks = reader.chunks(entry, verify=verify)
        writer.carry(step.target, entry.data_type, step.shape, chunks, entry.nbytes, entry.crc32c)
    else:
        writer.add(step.target, compute(step, reader, verify=verify), step.stored_type)


def _share(writer: BundleWriter, reader: TensorReader, carried: list[Entry], mode: str) -> tuple[Written, bool]:
    """Let the destination begin with the source's files if the mode says so; return what was taken, and whether it shares.

    Raises: UnsupportedError if nothing that the mode allows is possible.
    """
    notes: list[Issue] = []
    for attempt in ATTEMPTS[mode]:
        if attempt == COPY:
            return Written(COPY, 0, tuple(notes)), False
        try:
            _check_sharable(reader, carried, attempt)
            sources = reader.data_files()
            writer.share(sources, how=SHARING[attempt])
        except UnsupportedError as error:
            if mode != AUTO:
                text = f"{error}; mode 'copy' or 'auto' copies it"
                raise remedied(UnsupportedError(text), give(mode=AUTO)) from error
            notes += error.issues
            continue
        named = sum(nbytes for _, _, nbytes in {stored_at(entry) for entry in carried})
        return Written(attempt, sum(file.size for file in sources) - named, tuple(notes)), True
    raise AssertionError(mode)


def _check_sharable(reader: TensorReader, carried: list[Entry], mode: str) -> None:
    """Raise UnsupportedError if the source's files cannot be data files of a bundle that we write."""
    if reader.format == V1:
        why = "a V1 checkpoint's values lie in messages"
    elif reader.big_endian:
        why = "its values are big-endian"
    elif sliced := [entry.name for entry in carried if entry.slices]:
        why = f"{some(sliced, 1)}: stored in slices, which have to be put together"
    else:
        return
    raise UnsupportedError(f"{reader.prefix}: cannot be shared by mode {mode!r}: {why}")
