"""Average checkpoints of one training run, which often evaluates better than any of them. NumPy only, no TensorFlow.

    pip install tfckpt
    python examples/average.py averaged.ckpt model.ckpt-1000 model.ckpt-2000 model.ckpt-3000

One tensor at a time is in memory, whatever the checkpoints weigh. Floating-point tensors are averaged in float64 and stored
in their own dtype; everything else (the step, strings, the object graph of TensorFlow 2) is the last checkpoint's. So the
average restores as the last one does, be it name-based or object-based.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import numpy.typing as npt

import tfckpt


class Average(Mapping[str, npt.NDArray[Any]]):
    """A mapping whose values are computed when they are asked for: `tfckpt.save` asks for one after the other."""

    def __init__(self, checkpoints: Sequence[tfckpt.Checkpoint]) -> None:
        self.checkpoints, self.last = checkpoints, checkpoints[-1]
        shapes = [{entry.name: (entry.dtype_name, entry.shape) for entry in each.entries()} for each in checkpoints]
        for each, found in zip(checkpoints, shapes, strict=True):
            differing = sorted(dict(found.items() ^ shapes[-1].items()))
            if differing:
                raise ValueError(f"{each.prefix} and {self.last.prefix} differ in {', '.join(differing[:5])}")

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        entry = self.last.entry(name)
        if not np.issubdtype(entry.dtype, np.floating) and entry.dtype_name != "bfloat16":
            return self.last[name]
        total = np.zeros(entry.shape, np.float64)
        for checkpoint in self.checkpoints:
            total += checkpoint[name]  # a view of the file: no copy
        return np.asarray(total / len(self.checkpoints)).astype(entry.dtype)

    def __iter__(self) -> Iterator[str]:
        return iter(self.last)

    def __len__(self) -> int:
        return len(self.last)


def main(argv: Sequence[str] | None = None) -> int:
    """Average the checkpoints of the command line."""
    parser = argparse.ArgumentParser(description="Average checkpoints, one tensor at a time.")
    parser.add_argument("dest", help="prefix of the checkpoint to write")
    parser.add_argument("sources", nargs="+", help="checkpoints: prefixes, or directories")
    parser.add_argument("--overwrite", action="store_true", help="replace what is under DEST")
    args = parser.parse_args(argv)
    try:
        with ExitStack() as stack:
            checkpoints = [stack.enter_context(tfckpt.open(source)) for source in args.sources]
            average = Average(checkpoints)
            tfckpt.save(args.dest, average, overwrite=args.overwrite)
            print(f"{args.dest}: {len(average)} tensors, the average of {len(checkpoints)} checkpoints")
    except (tfckpt.TfckptError, ValueError) as error:
        print(f"average: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
