"""Reading all of BERT-base: beside its ceiling, CRC-32C over the same bytes in memory, and beside other readers.

    python -m benchmarks.read [ROUNDS]

prints the table that RESULTS.md holds: each time in a fresh process, imports not counted, the files in the page cache. Needs
the extra ``bench`` and about 1 GB of disk.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.index import seconds
from benchmarks.measure import machine

MEMORY = (
    "import sys, crc32c; data = memoryview(open(sys.argv[1] + '.data-00000-of-00001', 'rb').read()); chunk = 1 << 20"
)
OURS = "import sys, crc32c, numpy, tfckpt, tfckpt.checkpoint.checkpoint"  # NumPy comes with the first value
THREADS = "\nfrom concurrent.futures import ThreadPoolExecutor\npool = ThreadPoolExecutor(2); pool.submit(int).result()"
ONE, TWO = "crc32c over the bytes in memory, 1 MiB at a time", "the same, two threads"
# name -> what is imported and prepared, what is timed, which of the two the ratio is to
CONTENDERS = {
    ONE: (MEMORY, "for at in range(0, len(data), chunk): crc32c.crc32c(data[at : at + chunk])", ONE),
    "tfckpt: open, items(), verified": (OURS, "for name, array in tfckpt.open(sys.argv[1]).items(): pass", ONE),
    "tfckpt: the same, each copied into memory": (
        OURS,
        "for name, array in tfckpt.open(sys.argv[1]).items(): array.copy()",
        ONE,
    ),
    "TensorFlow: load_checkpoint, get_tensor": (
        "import sys, tensorflow as tf",
        "reader = tf.train.load_checkpoint(sys.argv[1])\n"
        "for name in reader.get_variable_to_shape_map(): reader.get_tensor(name)",
        ONE,
    ),
    "safetensors: load_file, no checksums": (
        "import sys, safetensors.numpy",
        "tensors = safetensors.numpy.load_file(sys.argv[1] + '.safetensors')",
        ONE,
    ),
    TWO: (
        MEMORY + THREADS,
        "def check(part):\n"
        "    for at in part: crc32c.crc32c(data[at : at + chunk])\n"
        "starts = range(0, len(data), chunk)\n"
        "list(pool.map(check, (starts[::2], starts[1::2])))",
        TWO,
    ),
    "tfckpt: open, every tensor, verified, two threads": (
        OURS + THREADS,
        "checkpoint = tfckpt.open(sys.argv[1])\nlist(pool.map(checkpoint.__getitem__, checkpoint))",
        TWO,
    ),
}
WRITE_SAFETENSORS = """
import sys, tfckpt, safetensors.numpy
safetensors.numpy.save_file(dict(tfckpt.open(sys.argv[1])), sys.argv[1] + ".safetensors")
"""


def table(times: dict[str, list[float]], nbytes: int) -> list[str]:
    """Return Markdown: the median of each with its spread, and its throughput beside that of crc32c alone."""
    lines = [
        "| in a fresh process | median ms | min to max ms | GB/s | throughput / crc32c |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, (_, _, ceiling) in CONTENDERS.items():
        own, median = times[name], statistics.median(times[name])
        ratio = statistics.median(theirs / ours for theirs, ours in zip(times[ceiling], own, strict=True))
        spread = f"{min(own) * 1e3:,.0f} to {max(own) * 1e3:,.0f}"
        lines.append(f"| {name} | {median * 1e3:,.0f} | {spread} | {nbytes / median / 1e9:.1f} | {ratio:.2f} |")
    return lines


def main(rounds: int) -> list[str]:
    """Measure in turn; return the table and where it comes from."""
    with tempfile.TemporaryDirectory() as temporary:
        subprocess.run([sys.executable, "-m", "benchmarks.inputs", temporary], check=True)
        source = str(Path(temporary) / "bert_model.ckpt")
        subprocess.run([sys.executable, "-c", WRITE_SAFETENSORS, source], check=True)
        nbytes = Path(f"{source}.data-00000-of-00001").stat().st_size
        times: dict[str, list[float]] = {name: [] for name in CONTENDERS}
        for _ in range(rounds):
            for name, (imports, work, _) in CONTENDERS.items():
                times[name].append(seconds(imports, work, source))
    about = f"BERT-base, 206 variables, {nbytes:,} bytes; {rounds} rounds, in turn"
    return [about, machine("tfckpt", "numpy", "crc32c", "tensorflow", "safetensors"), "", *table(times, nbytes)]


if __name__ == "__main__":
    print(*main(int(sys.argv[1]) if len(sys.argv) > 1 else 5), sep="\n")
