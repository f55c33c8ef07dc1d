"""What a conversion makes of each tensor, as plain data; and whether what it made is there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tfckpt.base.issues import notes_to_json
from tfckpt.base.progress import Progress
from tfckpt.bundle.values.dtypes import dtype_name
from tfckpt.checkpoint.checkpoint import Checkpoint
from tfckpt.page.tensors import checksum_of
from tfckpt.planning.plan import Plan
from tfckpt.planning.steps import Step
from tfckpt.proof.proof import Checked, Proof
from tfckpt.proof.prove import compare

JSON = dict[str, Any]


def map_plan(
    plan: Plan, source: Checkpoint, dest: Checkpoint | None, *, values: bool = True, progress: Progress | None = None
) -> JSON:
    """Return a conversion as what ``json.dumps`` takes.

    Args:
        plan: the conversion.
        source: what it is of.
        dest: what it made; names, dtypes and shapes are compared with the plan.
        values: whether the values of ``dest`` are compared, too. Only then anything is proved.
        progress: called with (bytes done, bytes in all).
    Raises: FormatError.
    """
    proof = None if dest is None else compare(plan, source, dest, values=values, progress=progress)
    checked = [Checked(step, step.target) for step in plan.steps] if proof is None else proof.tensors
    return {
        "to": plan.to,
        "proved": None if proof is None or not (values or proof.differences) else not proof.differences,
        "values_compared": dest is not None and values,
        "sizes": {name: {"value": size.value, "origin": size.origin} for name, size in plan.sizes.items()},
        **notes_to_json(plan.issues),
        "steps": [_step(item, source, dest, values=values) for item in checked],
        "dropped": [{"source": d.source, "rule": d.rule, "nbytes": d.nbytes} for d in plan.dropped],
        **_found_beside(proof),
    }


def _found_beside(proof: Proof | None) -> JSON:
    extras = () if proof is None else proof.extras
    return {
        "extras": [{"name": extra.name, "rule": extra.rule} for extra in extras],
        "differences": [] if proof is None else list(proof.differences),
    }


def _step(checked: Checked, source: Checkpoint, dest: Checkpoint | None, *, values: bool) -> JSON:
    """Return one row of the mapping; without a destination, a checksum is known where the bytes stay."""
    step = checked.step
    before = source.reader.entry(step.source) if step.source else None
    after = (before if step.keeps_bytes else None) if dest is None else dest.reader.entry(checked.key)
    known = dest is not None and (values or checked.problem)
    return {
        "source": step.source or None,
        "target": checked.key or step.target,
        "source_shape": None if before is None else list(step.source_shape),
        "shape": list(step.shape),
        "nbytes": step.nbytes,
        "change": change_of(step),
        "how": list(_details(step)),
        "source_crc32c": checksum_of(source, before),
        "target_crc32c": checksum_of(source if dest is None else dest, after),
        "problem": checked.problem if known else None,
    }


def change_of(step: Step) -> str:
    """Return in one word what becomes of a tensor.

    >>> from tfckpt.planning.steps import Fill, filling
    >>> change_of(filling("decay", 1, (), Fill(0.5)))
    'filled'
    """
    if step.fill is not None:
        return "filled"
    if len(step.inputs) > 1:
        return "joined"
    if step.resizes:
        return "resized"
    if step.cast is not None:
        return "cast"
    if step.is_transposed:
        return "transposed"
    return "renamed" if step.shape == step.source_shape else "reshaped"


def _details(step: Step) -> Iterator[str]:
    """Yield what is done, one sentence each."""
    if step.fill is not None:
        yield f"filled: {step.fill}"
    if len(step.inputs) > 1:
        yield f"joined along axis {step.axis}: {step.made_of}"
    for r in step.resizes:
        yield f"axis {r.axis}: {r.old} to {r.new}" + (f", added rows: {r.fill}" if r.new > r.old else "")
    if step.axes is not None and "->" in step.axes:
        yield step.axes
    if step.cast is not None:
        yield f"{dtype_name(step.data_type)} to {dtype_name(step.cast)}"
    if step.same_as is not None:
        yield f"same bytes as {step.same_as}"
