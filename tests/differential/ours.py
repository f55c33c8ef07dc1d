"""What tfckpt does of a case, and what is to be found in the result."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from support.files import bundle_bytes

import tfckpt
from differential.cases import Case, Damage, Rewrite, Write
from differential.outcomes import Expected, Outcome, Verdict
from differential.theirs import part_of
from tfckpt.bundle.values.dtypes import FLOATING, dtype_name, is_sliceable, numpy_dtype
from tfckpt.bundle.writer import BundleWriter
from tfckpt.errors import FormatError


def write(case: Case, writes: Sequence[Write], prefix: Path) -> None:
    """Write one bundle of a case."""
    options: Any = {"big_endian": case.big_endian, "max_shard_size": case.max_shard_size, "sync": False}
    with BundleWriter(str(prefix), **options) as writer:
        for n, write in enumerate(writes):
            for _ in range(case.breaks.count(n)):
                writer.next_shard()
            tensor = case.tensors[write.tensor]
            part, value = part_of(tensor, write)
            if part is None:
                writer.add(tensor.key, value, tensor.number)
            else:
                writer.add_slice(tensor.key, tensor.shape, part, value, tensor.number)
        writer.finish()


def expected_of(case: Case, prefix: Path, verdict: Verdict) -> dict[str, Expected]:
    """Return what is to be found under a prefix where a case was written."""
    expected = {}
    written = {write for writes in case.bundles for write in writes}
    for n, tensor in enumerate(case.tensors):
        parts: Sequence[int | None] = range(len(tensor.parts)) if tensor.parts else [None]
        there = [Write(n, part) in written for part in parts]
        if any(there):
            expected[tensor.key] = Expected(tensor.number, tensor.value, complete=all(there))
    uncut = {tensor.key for tensor in case.tensors if not tensor.parts}
    return _with_parts(expected, prefix, uncut, verdict)


def _with_parts(expected: dict[str, Expected], prefix: Path, uncut: set[str], verdict: Verdict) -> dict[str, Expected]:
    """Add the slices that tensors are stored in; TensorFlow must be able to read those that tfckpt has cut."""
    with tfckpt.open(prefix) as checkpoint:
        slices = {entry.name: entry.slices for entry in checkpoint.entries()}
    for name, tensor in expected.items():
        cut = name in uncut and slices.get(name)
        readable = is_sliceable(tensor.number, tensor.value.ndim)
        verdict.check(not cut or readable, f"{name!r}: cut, and TensorFlow cannot put it together")
    return {name: replace(tensor, parts=slices.get(name, ())) for name, tensor in expected.items()}


def rewritten(
    change: Rewrite, expected: dict[str, Expected], prefix: Path, dest: Path, verdict: Verdict
) -> dict[str, Expected] | None:
    """Rewrite a checkpoint; return what is to be found in the new one."""
    options: Any = {name: getattr(change, name) for name in ("cast", "shards", "max_shard_size", "big_endian")}
    rename = [(r"(?s)\Z", change.suffix)] if change.suffix else []
    outcome = Outcome(lambda: tfckpt.rewrite(prefix, dest, rename=rename, sync=False, **options))
    incomplete = any(not tensor.complete for tensor in expected.values())
    refused = incomplete and isinstance(outcome.error, FormatError)
    verdict.check(outcome.error is None or refused, f"rewriting: {outcome}")
    if outcome.error is not None or incomplete:
        return None
    verdict.done["rewritten"] += 1
    if change == Rewrite() and _files_all_used(prefix):
        verdict.check(bundle_bytes(prefix) == bundle_bytes(dest), "rewritten without a change, the files are others")
    cast = {name: _cast(tensor, change.cast) for name, tensor in expected.items()}
    kept = {name for name in cast if expected[name].parts and expected[name].number == cast[name].number}
    uncut = {name + change.suffix for name in cast.keys() - (set() if change.max_shard_size else kept)}
    return _with_parts({name + change.suffix: tensor for name, tensor in cast.items()}, dest, uncut, verdict)


def _files_all_used(prefix: Path) -> bool:
    """Whether something lies in each data file: those of which this is not true are not carried over."""
    with tfckpt.open(prefix) as checkpoint:
        stored = [piece for entry in checkpoint.entries() for _, piece in checkpoint.reader.pieces(entry)]
    return len({piece.shard for piece in stored}) == len(list(prefix.parent.glob(f"{prefix.name}.data-*")))


def _cast(tensor: Expected, cast: str | None) -> Expected:
    if cast is None or tensor.number not in FLOATING:
        return tensor
    (number,) = (number for number in FLOATING if dtype_name(number) == cast)
    with np.errstate(over="ignore", invalid="ignore"):
        return replace(tensor, number=number, value=tensor.value.astype(numpy_dtype(number)))


def damage(damage: Damage, prefix: Path) -> None:
    """Do to the data files what a case says."""
    files = sorted(prefix.parent.glob(f"{prefix.name}.data-*"))
    sizes = [path.stat().st_size for path in files]
    at = min(int(damage.at * sum(sizes)), sum(sizes) - 1)
    for path, size in zip(files, sizes, strict=True):
        if 0 <= at < size:
            _damage_at(path, at, damage)
        at -= size


def _damage_at(path: Path, at: int, damage: Damage) -> None:
    if damage.kind == "lose":
        path.unlink()
    elif damage.kind == "cut":
        os.truncate(path, at)
    else:
        data = bytearray(path.read_bytes())
        data[at] ^= 1 << damage.bit
        path.write_bytes(data)
