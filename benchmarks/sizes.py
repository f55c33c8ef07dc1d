"""What a conversion costs against the size of the model: in-process, beside a copy of the data file.

    python -m benchmarks.sizes [ROUNDS [SIZE...]]

prints the tables that RESULTS.md holds, for the sizes of `benchmarks.inputs.SIZES`; ``10 GB`` only when asked for. The first
table has times in one process that has imported all it needs, the second the peak memory of whole processes. Needs the extra
``test``.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Contender, environment, in_turn, machine

USUAL = ("mini", "medium", "base", "large")
CP, COPY, FAST_COPY = "cp", "copy", "copy, no checksums"
LINK, FAST_LINK, VERIFY = "link", "link, no checksums", "verify"
COLUMNS = (CP, COPY, FAST_COPY, LINK, FAST_LINK, VERIFY)

# A child times every contender once a round, after one round that does not count; each writes where nothing is.
CHILD = """
import json, os, shutil, subprocess, sys, time
import tfckpt
source, out, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
def convert(**options): return lambda: tfckpt.convert(source, out + "/dest", sync=False, **options)
def verify():
    with tfckpt.open(source) as checkpoint: checkpoint.verify()
work = {
    "cp": lambda: subprocess.run(["cp", source + ".data-00000-of-00001", out + "/dest"], check=True),
    "copy": convert(), "copy, no checksums": convert(verify=False),
    "link": convert(mode="link"), "link, no checksums": convert(mode="link", verify=False),
    "verify": verify,
}
times = {name: [] for name in work}
for number in range(rounds + 1):
    for name, run in work.items():
        shutil.rmtree(out, ignore_errors=True)
        os.mkdir(out)
        start = time.perf_counter()
        run()
        if number: times[name].append(time.perf_counter() - start)
json.dump(times, sys.stdout)
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """One size: its bytes, its tensors, seconds of each contender, and the peak memory of whole commands in bytes."""

    nbytes: int
    tensors: int
    seconds: Mapping[str, Sequence[float]]
    peaks: Mapping[str, int]


def measure(size: str, rounds: int) -> Measured:
    """Build a checkpoint of that size and measure everything on it, in turn."""
    with tempfile.TemporaryDirectory(dir=".") as temporary:
        subprocess.run([sys.executable, "-m", "benchmarks.inputs", temporary, size], check=True)
        source, out = f"{temporary}/bert_model.ckpt", f"{temporary}/out"
        listing = subprocess.run([sys.executable, "-m", "tfckpt", "ls", source], check=True, capture_output=True)
        child = [sys.executable, "-c", CHILD, source, out, str(rounds)]
        seconds = json.loads(subprocess.run(child, check=True, capture_output=True, env=environment()).stdout)
        nbytes = Path(f"{source}.data-00000-of-00001").stat().st_size
        return Measured(nbytes, listing.stdout.count(b"\n"), seconds, _peaks(source, temporary))


def _peaks(source: str, directory: str) -> dict[str, int]:
    """Return the peak memory of each command on the checkpoint, as a process of its own."""
    dest, again = f"{directory}/dest", f"{directory}/again"
    commands = {
        "convert": ["convert", source, dest, "--no-sync", "--overwrite"],
        "prove": ["prove", source, dest],
        "verify": ["verify", source],
        "diff": ["diff", source, dest, "--map", "encoder"],
        "rewrite": ["rewrite", source, again, "--shards", "3", "--no-sync", "--overwrite"],
    }
    return {
        name: in_turn({name: Contender([sys.executable, "-m", "tfckpt", *command], lambda: None)}, 1)[name][
            0
        ].peak_nbytes
        for name, command in commands.items()
    }


def ratio(measured: Measured, name: str, base: str) -> float:
    """Return the median over rounds of one contender's time by another's."""
    pairs = zip(measured.seconds[name], measured.seconds[base], strict=True)
    return statistics.median(own / other for own, other in pairs)


def tables(results: Mapping[str, Measured]) -> list[str]:
    """Return Markdown: times with their ratios to cp, and peak memory."""
    lines = [
        "| BERT | bytes | tensors | " + " | ".join(f"{name}, ms" for name in COLUMNS) + " |",
        "|---|" + "---:|" * 8,
    ]
    for size, found in results.items():
        cells = [
            f"{statistics.median(found.seconds[name]) * 1e3:,.1f} ({ratio(found, name, CP):.2f})" for name in COLUMNS
        ]
        lines.append(f"| {size} | {found.nbytes:,} | {found.tensors} | {' | '.join(cells)} |")
    names = list(next(iter(results.values())).peaks)
    lines += ["", "| peak memory, MB | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
    lines += [
        f"| {size} | {' | '.join(f'{found.peaks[name] / 1e6:,.0f}' for name in names)} |"
        for size, found in results.items()
    ]
    if {"base", "large"} <= results.keys():
        large, base = (statistics.median(results[size].seconds[FAST_LINK]) for size in ("large", "base"))
        lines += [
            "",
            f"`{FAST_LINK}`: BERT-large takes {large / base:.2f} times what BERT-base takes, and has twice the tensors. "
            f"`{LINK}` takes {ratio(results['base'], LINK, VERIFY):.2f} times what `verify` takes on BERT-base, "
            f"{ratio(results['large'], LINK, VERIFY):.2f} times on BERT-large.",
        ]
    return lines


def run(rounds: int, sizes: Sequence[str]) -> dict[str, Measured]:
    """Measure each size."""
    return {size: measure(size, rounds) for size in sizes}


def report(results: Mapping[str, Measured], rounds: int) -> list[str]:
    """Return the tables, and where they come from."""
    about = (
        f"Medians of {rounds} rounds, in turn, in one process; in brackets, times cp of the data file in the same round"
    )
    return [about, machine("tfckpt", "numpy", "protobuf", "crc32c"), "", *tables(results)]


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print(*report(run(count, sys.argv[2:] or USUAL), count), sep="\n")
