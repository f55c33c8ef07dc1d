"""What starting costs: imports, a first open, and the quick commands, each a whole process beside the interpreter's own.

    python -m benchmarks.startup [ROUNDS]

prints the table that RESULTS.md holds. Needs the extra ``test``; the checkpoint is a small BERT of 139 tensors.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from pathlib import Path

import tfckpt
from benchmarks.measure import Contender, Run, in_turn, machine
from tfckpt.cli.commands.demo import make_bert

OPTIONS = ("--num-heads", "4", "--no-sync", "--overwrite")
BARE, NUMPY = "python -c pass", "import numpy"


def contenders(prefix: str, directory: Path) -> dict[str, Contender]:
    """Return the commands; what they write is overwritten."""

    def program(text: str) -> list[str]:
        return [sys.executable, "-c", text, prefix]

    tfckpt = [sys.executable, "-m", "tfckpt"]
    commands = {
        BARE: program("pass"),
        NUMPY: program("import numpy"),
        "import numpy, tfckpt": program("import numpy, tfckpt"),
        "import numpy, tfckpt; tfckpt.open(...)": program("import sys, numpy, tfckpt; tfckpt.open(sys.argv[1])"),
        "import tensorflow": program("import tensorflow"),
        "tfckpt --version": [*tfckpt, "--version"],
        "tfckpt --help": [*tfckpt, "--help"],
        "tfckpt ls": [*tfckpt, "ls", prefix],
        "tfckpt convert --no-sync": [*tfckpt, "convert", prefix, str(directory / "out"), *OPTIONS],
    }
    return {name: Contender(command, lambda: None) for name, command in commands.items()}


def table(runs: dict[str, list[Run]]) -> list[str]:
    """Return Markdown: milliseconds of each process, and the medians of what it takes more in the same round."""

    def above(name: str, floor: str) -> str:
        more = [own.seconds - other.seconds for own, other in zip(runs[name], runs[floor], strict=True)]
        return f"{statistics.median(more) * 1e3:,.0f}"

    lines = [
        f"| whole process | median ms | min to max ms | above `{BARE}` | above `{NUMPY}` |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, measured in runs.items():
        times = [run.seconds * 1e3 for run in measured]
        spread = f"{min(times):,.0f} to {max(times):,.0f}"
        cells = f"{statistics.median(times):,.0f} | {spread} | {above(name, BARE)} | {above(name, NUMPY)}"
        lines.append(f"| `{name}` | {cells} |")
    return lines


def main(rounds: int) -> list[str]:
    """Measure; return the table and where it comes from."""
    os.environ.pop(
        "PYTHONDONTWRITEBYTECODE", None
    )  # an installed package is compiled; the round that does not count does it
    with tempfile.TemporaryDirectory() as temporary:
        prefix = str(Path(temporary) / "bert_model.ckpt")
        tensors = make_bert()
        tfckpt.save(prefix, tensors, sync=False)
        runs = in_turn(contenders(prefix, Path(temporary)), rounds)
    about = f"A checkpoint of {len(tensors)} tensors; {rounds} rounds, in turn"
    return [about, machine("tfckpt", "numpy", "protobuf", "tensorflow"), "", *table(runs)]


if __name__ == "__main__":
    print(*main(int(sys.argv[1]) if len(sys.argv) > 1 else 20), sep="\n")
