"""Exports killed at each call that changes files: ``python -m support.killed DIR [KIND...]``.

A program, since it forks and has no threads.

For each kind of file, over an older export and where there is none: what is there afterwards is the old one, whole, or the
new one, whole, or none; and the next export leaves nothing of the dead one behind.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import support.lines  # noqa: F401  # registers a kind of file
import tfckpt
from tfckpt.errors import CheckpointNotFoundError

CALLS = ("pwrite", "replace", "unlink", "mkdir", "fsync", "ftruncate")
KINDS = {"safetensors": "out.safetensors", "npz": "out.npz", "npy": "out/", "lines": "out.lines"}
BUILT_IN = [kind for kind in KINDS if kind != "lines"]
OLD: dict[str, Any] = {"a": np.full(50, 1.0), "b": np.full(3, 2)}
NEW: dict[str, Any] = {"a": np.full(70, 3.0), "c": np.full(2, 4), "d": np.float32(5)}  # the first has a name of the old


def fatal(function: Callable[..., Any], left: list[int]) -> Callable[..., Any]:
    """Return a function of `os` that kills the process instead when its turn has come."""

    def call(*args: Any, **kwargs: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)

    return call


def export_until(turn: int, source: str, dest: str) -> bool:
    """Export in a child that dies at one of its calls; return whether it did."""
    child = os.fork()
    if child == 0:
        left = [turn]
        for name in CALLS:
            setattr(os, name, fatal(getattr(os, name), left))
        tfckpt.export(source, dest, overwrite=True)
        os._exit(0)
    return os.waitpid(child, 0)[1] != 0


def what_is_there(dest: str, scratch: str) -> str:
    """Return which export is there."""
    try:
        tfckpt.import_(dest, scratch, overwrite=True, sync=False)
    except CheckpointNotFoundError:
        return "none"
    with tfckpt.open(scratch) as found:
        for name, tensors in (("old", OLD), ("new", NEW)):
            if found.keys() == tensors.keys() and all(np.array_equal(found[key], tensors[key]) for key in tensors):
                return name
    raise AssertionError(f"{dest}: a mix")


def count(kind: str, *, over: bool, directory: Path) -> dict[str, int]:
    """Kill at every turn; return how often each export was there."""
    found = {"old": 0, "new": 0, "none": 0}
    old, new, scratch = (str(directory / name) for name in ("old", "new", "scratch"))
    tfckpt.save(old, OLD, overwrite=True)
    tfckpt.save(new, NEW, overwrite=True)
    for turn in range(1000):
        place = directory / "place"
        place.mkdir()
        dest = f"{place}/{KINDS[kind]}"
        if over:
            tfckpt.export(old, dest, sync=False)
        died = export_until(turn, new, dest)
        found[what_is_there(dest, scratch)] += died
        tfckpt.export(new, dest, overwrite=True, sync=False)
        left = sorted(path.name for path in place.rglob("*"))
        assert len(left) == (len(NEW) + 2 if kind == "npy" else 1), left
        assert what_is_there(dest, scratch) == "new"
        shutil.rmtree(place)
        if not died:
            return found
    raise AssertionError("no end")


def main() -> None:
    """Print a line for each kind, of how often what was there."""
    with tempfile.TemporaryDirectory(dir=sys.argv[1]) as directory:
        for kind in sys.argv[2:] or BUILT_IN:
            for over in (False, True):
                found = count(kind, over=over, directory=Path(directory))
                counts = (f"{name} {times}" for name, times in found.items())
                sys.stdout.write(" ".join((kind, "over" if over else "anew", *counts)) + "\n")


if __name__ == "__main__":
    main()
