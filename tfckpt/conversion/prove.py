"""A conversion verified against its source: every value compared, every checksum checked."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest

import numpy as np

from tfckpt.bundle.entry import Entry
from tfckpt.bundle.tensor_reader import TensorReader
from tfckpt.checkpoint.checkpoint import Checkpoint
from tfckpt.checkpoint.object_graph import OBJECT_GRAPH_KEY
from tfckpt.conversion.compute import compute, planned_entry
from tfckpt.conversion.plan import Plan, Step
from tfckpt.errors import ProofError


def prove(plan: Plan, source: Checkpoint, dest: Checkpoint) -> None:
    """Show that ``dest`` holds what ``plan`` says, value for value, and nothing else.

    Raises:
        ProofError: with every difference.
        ChecksumError, FormatError: a file is damaged.
    """
    differences = [line for step in plan.steps for line in _compare(step, source.reader, dest.reader)]
    expected = {step.target for step in plan.steps}
    if plan.object_graph is not None:
        expected.add(OBJECT_GRAPH_KEY)
        if dest.object_graph != plan.object_graph:
            differences.append(f"{OBJECT_GRAPH_KEY}: not the object graph of {plan.to!r}")
    differences += [f"{name}: nothing in the source accounts for it" for name in sorted(set(dest) - expected)]
    if differences:
        raise ProofError([f"{dest.prefix}: {line}" for line in differences])


def _compare(step: Step, source: TensorReader, dest: TensorReader) -> Iterator[str]:
    """Yield what is wrong with one tensor, if anything."""
    ours = dest.entry(step.target)
    if ours is None:
        yield f"{step.target}: missing"
    elif (ours.data_type, ours.shape) != (step.data_type, step.shape):
        yield f"{step.target}: expected shape {list(step.shape)}, got {ours.dtype_name}{list(ours.shape)}"
    elif not _same_values(step, source, dest, ours):
        yield f"{step.target}: values differ from {step.source or step.fill}"


def _same_values(step: Step, source: TensorReader, dest: TensorReader, ours: Entry) -> bool:
    if step.keeps_bytes:
        theirs = planned_entry(step, source)
        if source.stores_as_written(theirs) and dest.stores_as_written(ours):
            pairs = zip_longest(source.chunks(theirs, verify=True), dest.chunks(ours, verify=True))
            return all(a == b for a, b in pairs)
    array = compute(step, source, verify=True)
    other = dest.read(ours, verify=True, mapped=False)
    if array.dtype.hasobject:
        return bool(np.array_equal(array, other))
    return np.ascontiguousarray(array).tobytes() == np.ascontiguousarray(other).tobytes()  # NaNs compare by their bits
