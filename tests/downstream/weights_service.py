"""A project that embeds tfckpt, as its type checker sees it: every public call, and what each returns.

`tests/test_typing.py` checks it strictly against the installed wheel; nothing runs it.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import assert_type

import tfckpt
from tfckpt import errors
from tfckpt.types import (
    CheckpointReader,
    CheckpointStatistics,
    Comparison,
    Damage,
    Distance,
    Entry,
    Finding,
    Job,
    ObjectGraph,
    Outcome,
    PartialTensor,
    Progress,
    Proof,
    Statistics,
    Step,
    Written,
)


class Bar:
    """Follows any of the long calls."""

    def __init__(self) -> None:
        self.percent = 0

    def __call__(self, done: int, total: int) -> None:
        self.percent = 100 * done // total if total else 100


def read(prefix: str | os.PathLike[str], progress: Progress | None = None) -> dict[str, npt.NDArray[Any]]:
    """Read all of a checkpoint, verified before."""
    with tfckpt.open(prefix, verify=False, format="v2") as checkpoint:
        assert_type(checkpoint, tfckpt.Checkpoint)
        checkpoint.verify(progress=progress)
        assert_type(checkpoint.prefix, str)
        assert_type(checkpoint.num_shards, int)
        assert_type(checkpoint.object_graph, ObjectGraph | None)
        assert_type(checkpoint.find_damage(progress=progress), list[Damage])
        return dict(checkpoint)


def look(checkpoint: tfckpt.Checkpoint, name: str) -> tuple[int, ...]:
    """Look at one tensor without reading all of it."""
    entry = checkpoint.entry(name)
    assert_type(entry, Entry)
    assert_type(entry.shape, tuple[int, ...])
    assert_type(entry.dtype, np.dtype[Any])
    assert_type([entry.nbytes for entry in checkpoint.entries("bert/*")], list[int])
    part = checkpoint.get_slice(name)
    assert_type(part, PartialTensor)
    row: npt.NDArray[Any] = part[0]
    values: Mapping[str, npt.NDArray[Any]] = checkpoint
    return row.shape + values[name].shape


def as_in_tensorflow(directory: pathlib.Path) -> list[tuple[str, list[int]]]:
    """Use the drop-ins for ``tf.train``."""
    latest = tfckpt.latest_checkpoint(directory)
    assert_type(latest, str | None)
    if latest is None:
        return []
    reader = tfckpt.load_checkpoint(latest)
    assert_type(reader, CheckpointReader)
    assert_type(reader.get_variable_to_shape_map(), dict[str, list[int]])
    return tfckpt.list_variables(latest)


def write(prefix: pathlib.Path, weights: Mapping[str, npt.NDArray[np.float32]]) -> None:
    """Save arrays, lists and numbers."""
    tfckpt.save(prefix, weights, overwrite=True, max_shard_size=1 << 30)
    tfckpt.save(prefix, {"w": [[1.0, 2.0]], "step": 3})


def convert(source: str, dest: str) -> tfckpt.Plan:
    """Plan, convert, prove and compare."""
    plan = tfckpt.plan(source, to="auto", exclude=["adam"])
    assert_type(plan, tfckpt.Plan)
    assert_type(plan.steps, tuple[Step, ...])
    assert_type(plan.num_heads, int | None)
    done = tfckpt.convert(source, pathlib.Path(dest), to=plan.to, mode="auto", prove=True, progress=Bar())
    assert_type(done.written, Written | None)
    proof = tfckpt.prove(source, dest, to=plan.to, progress=lambda done, total: None)
    assert_type(proof, Proof)
    assert_type(proof.differences, tuple[str, ...])
    comparison = tfckpt.diff(source, dest, plan=plan, rtol=1e-6)
    assert_type(comparison, Comparison)
    assert_type([pair.distance for pair in comparison.differing], list[Distance | None])
    return done


def convert_all(jobs: Sequence[Job], manifest: str) -> list[str]:
    """Convert many; say what failed."""
    outcomes = tfckpt.convert_many([*jobs, *tfckpt.read_manifest(manifest)], ThreadPoolExecutor(), on_outcome=ended)
    assert_type(outcomes, list[Outcome])
    return [line for outcome in outcomes for line in outcome.complaints]


def ended(number: int, outcome: Outcome) -> None:
    """Take note of one."""
    assert_type(outcome.error, Exception | None)


def measure(source: str) -> Sequence[float | None]:
    """Tell the means of the kernels, and what there is beside them."""
    found = tfckpt.statistics(source, "*/kernel", bins=20, progress=Bar())
    assert_type(found, CheckpointStatistics)
    assert_type(found["bert/pooler/dense/kernel"], Statistics)
    assert_type(found.tensors["bert/pooler/dense/kernel"].entry, Entry)
    return [statistics.mean for statistics in found.values()]


def mend(source: str, dest: str) -> tuple[str, ...]:
    """Rewrite, merge, salvage."""
    assert_type(tfckpt.rewrite(source, dest, rename=[("^a", "b")], cast="float16", progress=Bar()), tfckpt.Plan)
    assert_type(tfckpt.merge([source, dest], "whole", progress=Bar()), tfckpt.Plan)
    found = tfckpt.salvage(source, dest, progress=Bar())
    assert_type(found, tfckpt.Salvage)
    assert_type(found.damage, tuple[Finding, ...])
    return found.lost


def explain(source: str) -> Sequence[str]:
    """Catch by kind, by what is common, by builtin."""
    try:
        tfckpt.plan(source)
    except tfckpt.PlanError as error:
        assert_type(error.reasons, tuple[str, ...])
        return error.reasons
    except errors.FormatError as error:
        assert_type(error.path, str | None)
        assert_type(error.offset, int | None)
        return [error.hint]
    except (tfckpt.TfckptError, OSError) as error:
        return [str(error)]
    return []
