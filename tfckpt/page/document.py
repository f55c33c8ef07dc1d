"""What a report says, as plain data: what the files are, what becomes of each tensor, what the values look like.

Strategy: all but the tensors is made at once, from the indexes and, if there is a destination, from a proof. Each tensor's
statistics are made when it is asked for, so that one tensor's worth of memory does for any checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import tfckpt
from tfckpt.bundle.entry import Entry
from tfckpt.bundle.paths import V2
from tfckpt.checkpoint.checkpoint import Checkpoint
from tfckpt.checkpoint.roles import find_roles
from tfckpt.checkpoint.statistics import Statistics, measure
from tfckpt.conversion.plan import Plan, Step
from tfckpt.conversion.proof import Checked, Proof
from tfckpt.conversion.prove import compare
from tfckpt.errors import TfckptError
from tfckpt.issues import notes_to_json
from tfckpt.page.modules import Path, layer_of, module_paths
from tfckpt.progress import Progress, finish, stages

BINS = 24
JSON = dict[str, Any]


class Document(NamedTuple):
    """A report. ``head`` has all but the tensors; ``tensors`` yields an object for each, and reads its values then."""

    head: JSON
    tensors: Iterator[JSON]


def make_document(
    source: Checkpoint,
    dest: Checkpoint | None = None,
    plan: Plan | None = None,
    *,
    recovered: bool = False,
    bins: int | None = BINS,
    progress: Progress | None = None,
) -> Document:
    """Return the report on a checkpoint, and on its conversion if there is a plan.

    Args:
        source: the checkpoint.
        dest: what the plan made of it; every value of it is then compared.
        plan: the conversion.
        recovered: whether the plan was found out, and not asked for.
        bins: bars of the histograms; None for no statistics and no checksums: no value is read, but for the proof.
        progress: called with (bytes done, bytes in all), for the proof and while the tensors are yielded.
    Raises: FormatError, UnsupportedError. Damaged values are no error but a part of the report.
    Example:
        >>> from tfckpt.page.document import make_document
        >>> with tfckpt.open("bert_model.ckpt") as checkpoint:
        ...     head, tensors = make_document(checkpoint, plan=tfckpt.plan("bert_model.ckpt"))
        ...     first = next(tensors)
        >>> head["mapping"]["to"], first["layer"], first["statistics"]["nan"]
        ('encoder', ['bert', 'embeddings'], 0)
    """
    if bins is not None:
        source.reader.check_sharing(source.entries())
    comparing, measuring = stages(
        progress, 0 if plan is None or dest is None else plan.nbytes, sum(entry.nbytes for entry in source.entries())
    )
    paths = module_paths(source.object_graph, source.entries())
    head = {
        "tfckpt": tfckpt.__version__,
        "source": _facts(source),
        "destination": None if dest is None else _facts(dest),
        "mapping": None if plan is None else _mapping(plan, source, dest, comparing) | {"recovered": recovered},
    }
    return Document(head, _tensors(source, paths, bins, measuring))


def _facts(checkpoint: Checkpoint) -> JSON:
    entries = checkpoint.entries()
    return {
        "prefix": checkpoint.prefix,
        "format": checkpoint.format,
        "object_based": checkpoint.object_graph is not None,
        "data_files": checkpoint.num_shards,
        "tensors": len(entries),
        "nbytes": sum(entry.nbytes for entry in entries),
    }


def _mapping(plan: Plan, source: Checkpoint, dest: Checkpoint | None, progress: Progress | None) -> JSON:
    proof = None if dest is None else compare(plan, source, dest, progress=progress)
    checked = [Checked(step, step.target) for step in plan.steps] if proof is None else proof.tensors
    return {
        "to": plan.to,
        "proved": None if proof is None else not proof.differences,
        "sizes": {name: {"value": size.value, "origin": size.origin} for name, size in plan.sizes.items()},
        **notes_to_json(plan.issues),
        "steps": [_step(item, source, dest) for item in checked],
        "dropped": [{"source": d.source, "rule": d.rule, "nbytes": d.nbytes} for d in plan.dropped],
        **_found_beside(proof),
    }


def _found_beside(proof: Proof | None) -> JSON:
    extras = () if proof is None else proof.extras
    return {
        "extras": [{"name": extra.name, "rule": extra.rule} for extra in extras],
        "differences": [] if proof is None else list(proof.differences),
    }


def _step(checked: Checked, source: Checkpoint, dest: Checkpoint | None) -> JSON:
    """Return one row of the mapping; without a destination, a checksum is known where the bytes stay."""
    step = checked.step
    before = source.reader.entry(step.source) if step.source else None
    after = (before if step.keeps_bytes else None) if dest is None else dest.reader.entry(checked.key)
    return {
        "source": step.source or None,
        "target": checked.key or step.target,
        "source_shape": None if before is None else list(step.source_shape),
        "shape": list(step.shape),
        "nbytes": step.nbytes,
        "change": change_of(step),
        "how": list(_details(step)),
        "source_crc32c": _checksum(source, before),
        "target_crc32c": _checksum(source if dest is None else dest, after),
        "problem": checked.problem if dest is not None else None,
    }


def change_of(step: Step) -> str:
    """Return in one word what becomes of a tensor.

    >>> change_of(Step("a", "b", 1, (2, 3), (3, 2), 24, "x y -> y x"))
    'transposed'
    """
    if step.fill is not None:
        return "filled"
    if step.resizes:
        return "resized"
    if step.cast is not None:
        return "cast"
    if step.is_transposed:
        return "transposed"
    return "renamed" if step.shape == step.source_shape else "reshaped"


def _details(step: Step) -> Iterator[str]:
    """Yield what is done, one sentence each."""
    from tfckpt.bundle.dtypes import dtype_name

    if step.fill is not None:
        yield f"filled: {step.fill}"
    for r in step.resizes:
        yield f"axis {r.axis}: {r.old} to {r.new}" + (f", added rows: {r.fill}" if r.new > r.old else "")
    if step.axes is not None and "->" in step.axes:
        yield step.axes
    if step.cast is not None:
        yield f"{dtype_name(step.data_type)} to {dtype_name(step.cast)}"
    if step.same_as is not None:
        yield f"same bytes as {step.same_as}"


def _checksum(checkpoint: Checkpoint, entry: Entry | None) -> int | None:
    """Return the stored checksum of a whole tensor; there is none of a partitioned one, nor in V1."""
    return None if entry is None or entry.slices or checkpoint.format != V2 else entry.crc32c


def _tensors(
    source: Checkpoint, paths: Mapping[str, Path], bins: int | None, progress: Progress | None
) -> Iterator[JSON]:
    entries = source.entries()
    roles = find_roles(entries, source.object_graph)
    total, done = sum(entry.nbytes for entry in entries), 0
    for entry in entries:
        statistics, problem = _measured(source, entry, bins)
        stored = source.format == V2 and not entry.slices
        yield {
            "name": entry.name,
            "path": list(paths[entry.name]),
            "layer": list(layer_of(paths[entry.name])),
            "role": roles[entry.name],
            "dtype": entry.dtype_name,
            "shape": list(entry.shape),
            "elements": entry.size,
            "nbytes": entry.nbytes,
            "stored": {"shard": entry.shard, "offset": entry.offset} if stored else None,
            "slices": len(entry.slices),
            "crc32c": _checksum(source, entry),
            "problem": problem,
            "statistics": None if statistics is None else statistics.to_json(),
        }
        done += entry.nbytes
        if progress is not None:
            progress(done, total)
    finish(progress, total)


def _measured(source: Checkpoint, entry: Entry, bins: int | None) -> tuple[Statistics | None, str | None]:
    """Return a tensor's statistics, or what keeps us from them."""
    if bins is None:
        return None, None
    try:
        return measure(source.reader, entry, bins=bins), None
    except TfckptError as error:  # damage, a missing file, or a dtype that has no values
        source.reader.explain(error)
        return None, str(error)
