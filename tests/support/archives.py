"""Files of other frameworks made by their own libraries, and the tensors of a checkpoint to the bit."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import safetensors

import tfckpt

KINDS = {"safetensors": "out.safetensors", "npz": "out.npz", "npy": "out/"}
Bits = dict[str, tuple[str, tuple[int, ...], Any]]


def bits(prefix: str | Path) -> Bits:
    """Return dtype, shape and bytes of every tensor, the object graph left out."""
    with tfckpt.open(prefix) as checkpoint:
        return {
            entry.name: (entry.dtype_name, entry.shape, _content(checkpoint[entry.name]))
            for entry in checkpoint.entries()
            if entry.name != "_CHECKPOINTABLE_OBJECT_GRAPH"
        }


def _content(array: np.ndarray[Any, Any]) -> Any:
    return array.tolist() if array.dtype == object else array.tobytes()


def deserialize(data: bytes) -> list[tuple[str, dict[str, Any]]]:
    """Return what safetensors makes of a file: dtype, shape and bytes by name."""
    found: list[tuple[str, dict[str, Any]]] = safetensors.deserialize(data)  # type: ignore[no-untyped-call]
    return found


def export(source: str | Path, directory: Path, kind: str, **options: Any) -> str:
    """Export into a directory; return where it went."""
    dest = os.path.join(directory, KINDS[kind])
    tfckpt.export(source, dest, sync=False, **options)
    return dest


def listed(directory: Path) -> list[str]:
    """Return every path below a directory."""
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))
