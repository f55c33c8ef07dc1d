"""A conversion verified against its source: every value compared, every checksum of both files checked."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
import numpy.typing as npt

from tfckpt.base.progress import Progress, finish
from tfckpt.bundle.carry import Count, counting
from tfckpt.bundle.tensor_reader import TensorReader
from tfckpt.bundle.values.dtypes import dtype_name
from tfckpt.bundle.values.entry import Entry
from tfckpt.checkpoint.checkpoint import Checkpoint
from tfckpt.checkpoint.graph.object_graph import ATTRIBUTES, OBJECT_GRAPH_KEY
from tfckpt.checkpoint.graph.roles import BESIDE, find_roles
from tfckpt.errors import ChecksumError, FormatError, ProofError, StorageError, TfckptError, count_of
from tfckpt.execution.compute import compute, planned_entry
from tfckpt.families.language import axes
from tfckpt.families.language.axes import Mismatch, Sizes
from tfckpt.families.language.facts import NUM_HEADS
from tfckpt.planning.plan import Plan
from tfckpt.planning.steps import Rearrange, Step
from tfckpt.proof.places import Places, find_places
from tfckpt.proof.proof import Checked, Extra, Proof

DAMAGED = (FormatError, StorageError)


def prove(plan: Plan, source: Checkpoint, dest: Checkpoint, *, progress: Progress | None = None) -> Proof:
    """Show that ``dest`` holds what ``plan`` says, key for key and value for value, and nothing else: a file of our own.

    Raises: ProofError, with every difference, damaged tensors among them.
    """
    others = []
    if plan.object_graph is not None and dest.object_graph != plan.object_graph:
        others.append(f"{OBJECT_GRAPH_KEY}: not the object graph of {plan.to!r}")
    total = _nbytes(source) + _nbytes(dest)
    count = counting(progress, total)
    tensors = [_check(step, source.reader, dest.reader, step.target, count) for step in plan.steps]
    expected = {step.target for step in plan.steps} | {OBJECT_GRAPH_KEY}
    unaccounted = tuple(sorted(set(dest) - expected))
    others += map(str, _damage(source, {name for step in plan.steps for name in step.sources}, count))
    others += map(str, _damage(dest, expected - {OBJECT_GRAPH_KEY}, count))
    finish(progress, total)
    compared = plan.source, dest.prefix, plan.to, plan.model, tuple(tensors)
    proof = Proof(*compared, others=tuple(others), extras=(), issues=plan.issues, unaccounted=unaccounted)
    if proof.differences:
        raise ProofError(proof.problems, proof.to_json())
    return proof


def compare(
    plan: Plan, source: Checkpoint, dest: Checkpoint, *, values: bool = True, progress: Progress | None = None
) -> Proof:
    """Compare a checkpoint that any tool wrote with what ``plan`` makes of the source.

    An object-based one is compared by its object graph: the model may hang on any root and its keys be spelled in any way.
    Tensors beside the model are named if a rule accounts for them, and are differences otherwise. Without ``values``, names,
    dtypes and shapes are compared and no tensor is read: what has no differences then is not proved.
    """
    others: list[str] = []
    for checkpoint in (source, dest) if values else ():
        checkpoint.reader.check_sharing(checkpoint.entries())
    places = planned_places(plan, dest, others)
    total = _nbytes(source) + _nbytes(dest)
    count = counting(progress, total)
    tensors = tuple(
        _check(step, source.reader, dest.reader, key, count, values=values)
        for step in plan.steps
        for key in places.keys.get(step.target) or ("",)
    )
    others += _head_count(plan, tensors, source, dest, values=values)
    compared = {checked.key for checked in tensors}
    beside = roles_beside(dest)
    others_there = sorted(set(dest) - compared - {OBJECT_GRAPH_KEY})
    extras = [Extra(name, beside[name]) for name in others_there if name in beside]
    unaccounted = tuple(name for name in others_there if name not in beside)
    damaged = {checked.damaged: None for checked in tensors if checked.damaged}
    for checkpoint, done in (
        ((source, {name for step in plan.steps for name in step.sources}), (dest, compared)) if values else ()
    ):
        found = _damage(checkpoint, done, count)
        others += map(str, found)
        damaged |= {prefix: None for error in found if (prefix := _damaged((checkpoint.reader,), error))}
    finish(progress, total)
    at = places.paths[0] if places.paths else ""
    return Proof(
        plan.source,
        dest.prefix,
        plan.to,
        at,
        tensors,
        tuple(extras),
        tuple(others),
        plan.issues,
        unaccounted,
        tuple(damaged),
        values_compared=values,
    )


def planned_places(plan: Plan, dest: Checkpoint, others: list[str]) -> Places:
    """Return the key under which the destination has each planned one; say what keeps us from knowing."""
    if plan.object_graph is None:
        return Places((), {step.target: (step.target,) for step in plan.steps if step.target in dest})
    graph = dest.object_graph
    if graph is None:
        others.append(f"no object graph, which target {plan.to!r} has: it is name-based")
        return Places((), {})
    places = find_places(plan.object_graph, plan.model, graph)
    if not places.paths:
        others.append(f"no {plan.to!r} in its object graph; tfckpt tree shows what it holds")
    if len(places.paths) > 1:
        others.append(f"several models, and one is expected: {', '.join(path or 'the root' for path in places.paths)}")
    names = {step.target: (step.target,) for step in plan.steps if ATTRIBUTES not in step.target}  # of keep_names
    return Places(places.paths, {**names, **places.keys})


def roles_beside(checkpoint: Checkpoint) -> Mapping[str, str]:
    """Return the roles of the tensors that a checkpoint may have beside the model, by name."""
    roles = find_roles(checkpoint.entries(), checkpoint.object_graph)
    return {name: role for name, role in roles.items() if role in BESIDE}


def _nbytes(checkpoint: Checkpoint) -> int:
    return sum(entry.nbytes for entry in checkpoint.entries())


def _damage(checkpoint: Checkpoint, done: Collection[str], count: Count | None) -> list[TfckptError]:
    """Return what is wrong with the tensors that no comparison has read, each thing once."""
    problems: dict[str, TfckptError] = {}
    for name in checkpoint:
        if name not in done:
            try:
                checkpoint.verify(name)
            except DAMAGED as error:
                if checkpoint.reader.explain(error):
                    raise
                problems.setdefault(str(error), error)  # a file that is missing is one line, not one for each tensor
            if count is not None:
                count(checkpoint.entry(name).nbytes)
    return list(problems.values())


def _check(
    step: Step, source: TensorReader, dest: TensorReader, key: str, count: Count | None, *, values: bool = True
) -> Checked:
    """Compare one tensor; ``key`` is empty if the destination has no place for it."""
    entry = dest.entry(key) if key else None
    damaged, same = "", True
    if entry is None:
        problem = f"missing; {step.source or 'a filled variable'} belongs there"
    elif entry.shape != step.shape:
        expected = dtype_name(step.data_type)
        problem = f"expected shape {expected}{list(step.shape)}, got {entry.dtype_name}{list(entry.shape)}"
    elif entry.data_type != step.data_type:
        problem = f"expected dtype {dtype_name(step.data_type)}, got {entry.dtype_name}"
    elif not values:
        problem = ""
    else:
        try:
            same = _same_values(step, source, dest, entry)
            problem = "" if same else f"values differ from {step.source or step.fill}{_how(step, source, dest, entry)}"
        except DAMAGED as error:
            if source.explain(error) or dest.explain(error):
                raise  # nothing can be compared with what is no data file
            problem, damaged = str(error), _damaged((dest, source), error)
    if count is not None:
        count(sum(e.nbytes for e in (entry, *map(source.entry, step.sources)) if e is not None))
    return Checked(step, key, problem, damaged, has_other_values=not same)


def _damaged(readers: Iterable[TensorReader], error: Exception) -> str:
    """Return the prefix of the checkpoint to which a file with a wrong checksum belongs; empty for any other error."""
    path = error.path or "" if isinstance(error, ChecksumError) else ""
    return next((reader.prefix for reader in readers if path.startswith(f"{reader.prefix}.")), "")


def _same_values(step: Step, source: TensorReader, dest: TensorReader, ours: Entry) -> bool:
    if step.keeps_bytes:
        theirs = planned_entry(step.inputs[0], source)
        if source.stores_as_written(theirs) and dest.stores_as_written(ours):
            pairs = zip_longest(source.chunks(theirs, verify=True), dest.chunks(ours, verify=True))
            return all(a == b for a, b in pairs)
    array = compute(step, source, verify=True)
    return not _differ(array, dest.read(ours, verify=True, mapped=False)).any()


def _differ(array: npt.NDArray[Any], other: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return for every value whether it is another one; by its bits, so that a NaN is itself and -0.0 is not 0.0."""
    if array.dtype.hasobject:
        return np.array([a != b for a, b in zip(array.flat, other.flat, strict=True)], np.bool_)
    pairs = (np.ascontiguousarray(a).reshape(-1, 1).view(np.uint8) for a in (array, other))
    return np.asarray(np.not_equal(*pairs).any(axis=1))


def _how(step: Step, source: TensorReader, dest: TensorReader, ours: Entry) -> str:
    """Return how many values differ and where the first one is."""
    array, other = compute(step, source, verify=True), dest.read(ours, verify=True, mapped=False)
    differ = _differ(array, other)
    index = [int(i) for i in np.unravel_index(int(differ.argmax()), array.shape)]
    first = f"expected {array[tuple(index)]}, got {other[tuple(index)]}"
    return f": {int(differ.sum())} of {differ.size}, the first at {index}: {first}"


def _head_count(
    plan: Plan, tensors: Iterable[Checked], source: Checkpoint, dest: Checkpoint, *, values: bool
) -> Iterator[str]:
    """Yield the head count that the shapes of the destination show, if it is another one."""
    if plan.num_heads is None:
        return
    found: dict[int, list[bool]] = {}
    for checked in tensors:
        entry = dest.reader.entry(checked.key) if checked.key else None
        letters = None if entry is None else _letters(plan, checked.step, entry.shape)
        if entry is not None and letters is not None and entry.shape != checked.step.shape:
            other = _with_letters(checked.step, entry.shape, letters)
            equal = values and _same_values(other, source.reader, dest.reader, entry)
            found.setdefault(letters[plan.heads_letter], []).append(equal)
    for heads, same in found.items():
        if heads != plan.num_heads:
            stated = f"{plan.num_heads} ({plan.sizes[NUM_HEADS].origin})"
            them = "; the values are the source's" if all(same) else "; some values differ as well"
            them = them if values else ""
            yield f"{NUM_HEADS}: expected {stated}, got {heads} in the shapes of {count_of(same, 'tensor')}{them}"


def _with_letters(step: Step, shape: tuple[int, ...], letters: Mapping[str, int]) -> Step:
    """Return a step whose pattern leads to another shape."""
    (first,) = step.inputs
    ops = tuple(op._replace(letters=letters) if isinstance(op, Rearrange) else op for op in first.ops)
    return step._replace(shape=shape, inputs=(first._replace(ops=ops),))


def _letters(plan: Plan, step: Step, shape: Sequence[int]) -> Mapping[str, int] | None:
    """Return what the letters of a step's pattern stand for in a shape of its target, if it has heads and they fit."""
    if step.axes is None or plan.heads_letter not in step.letters:
        return None
    letters = Sizes({}).bind(step.source, tuple(shape), axes.inverse(step.axes))
    if isinstance(letters, Mismatch) or axes.source_shape(step.axes, letters) != step.source_shape:
        return None
    return letters
