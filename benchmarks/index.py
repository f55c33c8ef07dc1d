"""Opening and listing an index of many tensors, beside TensorFlow.

    python -m benchmarks.index [ROUNDS]

prints the table that RESULTS.md holds: names, dtypes and shapes of 100,000 and of 1,000,000 tensors, and one tensor looked
up; each time in a fresh process, which imports its library before the clock starts. Needs the extra ``test``.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import tfckpt
from benchmarks.measure import environment, machine

COUNTS = (100_000, 1_000_000)

TIMED = """
import sys, time
{imports}
start = time.perf_counter()
{work}
print(time.perf_counter() - start)
"""
# What is imported on first use counts as import, as TensorFlow's own does.
OURS = "import crc32c, numpy, tfckpt.checkpoint.checkpoint"  # the first two come with the first value
THEIRS = "import tensorflow as tf"
CONTENDERS = {
    "TensorFlow: load_checkpoint, shape and dtype maps": (
        THEIRS,
        "reader = tf.train.load_checkpoint(sys.argv[1])\n"
        "shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()",
    ),
    "tfckpt: open, names, dtypes and shapes": (
        OURS,
        "with tfckpt.open(sys.argv[1]) as checkpoint:\n"
        "    listing = [(entry.name, entry.dtype, entry.shape) for entry in checkpoint.entries()]",
    ),
    "TensorFlow: load_checkpoint, get_tensor": (
        THEIRS,
        "value = tf.train.load_checkpoint(sys.argv[1]).get_tensor(sys.argv[2])",
    ),
    "tfckpt: open, one tensor": (
        OURS,
        "with tfckpt.open(sys.argv[1]) as checkpoint:\n    value = checkpoint[sys.argv[2]]",
    ),
}


def names(count: int) -> Iterator[str]:
    """Yield names as long as those of real models."""
    return (f"model/encoder/layer_{i // 16}/attention/self/part_{i % 16}/kernel" for i in range(count))


def write(prefix: Path, count: int) -> None:
    """Write ``count`` tensors of a few shapes."""
    values = [np.zeros(shape, np.float32) for shape in ((4,), (2, 4), (4, 2))]
    tfckpt.save(prefix, {name: values[i % 3] for i, name in enumerate(names(count))}, sync=False)


def seconds(imports: str, work: str, *arguments: str) -> float:
    """Return what one fresh process measured."""
    program = TIMED.format(imports=imports, work=work)
    command = [sys.executable, "-c", program, *arguments]
    return float(subprocess.run(command, check=True, capture_output=True, text=True, env=environment()).stdout)


def main(rounds: int) -> list[str]:
    """Measure in turn; return the table and where it comes from."""
    columns = {name: [] for name in CONTENDERS}  # type: dict[str, list[list[float]]]
    with tempfile.TemporaryDirectory() as directory:
        for count in COUNTS:
            prefix = Path(directory) / f"tensors-{count}"
            write(prefix, count)
            name = next(names(1))
            runs = [{c: seconds(*code, str(prefix), name) for c, code in CONTENDERS.items()} for _ in range(rounds)]
            for contender, column in columns.items():
                column.append([run[contender] for run in runs])
    about = f"Medians of {rounds} rounds, in turn, in seconds; in brackets the fastest and the slowest"
    lines = [about, machine("tfckpt", "numpy", "protobuf", "tensorflow"), ""]
    lines += [
        "| in a fresh process, imports not counted | " + " | ".join(f"{count:,} tensors" for count in COUNTS) + " |",
        "|---|" + "---:|" * len(COUNTS),
    ]
    for contender, column in columns.items():
        cells = [f"{statistics.median(c):.4f} ({min(c):.4f} to {max(c):.4f})" for c in column]
        lines.append(f"| {contender} | {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    print(*main(int(sys.argv[1]) if len(sys.argv) > 1 else 5), sep="\n")
