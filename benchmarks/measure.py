"""Times whole processes in turn, so that a machine that slows down slows all of them, and reads their peak memory."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata


@dataclass(frozen=True, slots=True)
class Run:
    """One finished process."""

    seconds: float
    peak_nbytes: int


@dataclass(frozen=True, slots=True)
class Contender:
    """A command, and what must be cleared away before each run of it."""

    command: Sequence[str]
    prepare: Callable[[], None]


def environment() -> dict[str, str]:
    """Return the environment of children, in which modules stay compiled: pip compiles what it installs."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def run(contender: Contender) -> Run:
    """Run a command to its end; it must succeed."""
    contender.prepare()
    start = time.perf_counter()
    process = subprocess.Popen(contender.command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment())
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    if process.returncode:
        raise SystemExit(f"{' '.join(contender.command)}: exit {process.returncode}\n{errors.decode()}")
    return Run(seconds, usage.ru_maxrss * 1024)  # Linux counts in KiB


def in_turn(contenders: Mapping[str, Contender], rounds: int) -> dict[str, list[Run]]:
    """Run every contender once a round, after one round that does not count."""
    for contender in contenders.values():
        run(contender)
    runs: dict[str, list[Run]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            runs[name].append(run(contender))
    return runs


def table(runs: Mapping[str, Sequence[Run]], baseline: str) -> list[str]:
    """Return Markdown: the median time of each contender with its spread, its ratio to ``baseline``, its peak memory."""
    base = statistics.median(r.seconds for r in runs[baseline])
    lines = [f"| whole process | median s | min to max s | x {baseline} | peak MB |", "|---|---:|---:|---:|---:|"]
    for name, measured in runs.items():
        seconds = [r.seconds for r in measured]
        median, peak = statistics.median(seconds), max(r.peak_nbytes for r in measured)
        spread = f"{min(seconds):.2f} to {max(seconds):.2f}"
        lines.append(f"| {name} | {median:.2f} | {spread} | {median / base:.1f} | {peak / 1e6:,.0f} |")
    return lines


TIMED = """
import resource, sys, time
{imports}
start = time.process_time()
{work}
print(time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def processor_time(imports: str, work: str, *arguments: str) -> tuple[float, float]:
    """Return the processor's seconds that work takes in a fresh process after its imports, and the peak in megabytes."""
    command = [sys.executable, "-c", TIMED.format(imports=imports, work=work), *arguments]
    result = subprocess.run(command, check=True, capture_output=True, text=True, env=environment())
    seconds, kilobytes = map(float, result.stdout.splitlines()[-1].split())
    return seconds, kilobytes / 1000


def beside_floors(
    head: str, floors: Mapping[str, str], found: Mapping[str, Sequence[tuple[float, float]]]
) -> list[str]:
    """Return Markdown: medians of seconds and megabytes of each program, and how many times those of its floor they are."""
    medians = {name: [statistics.median(column) for column in zip(*r, strict=True)] for name, r in found.items()}
    lines = [f"| {head} | s | times the floor | peak MB |", "|---|---|---|---|"]
    for name, (seconds, megabytes) in medians.items():
        lines.append(f"| {name} | {seconds:.2f} | {seconds / medians[floors[name]][0]:.2f} | {megabytes:.0f} |")
    return lines


def machine(*distributions: str) -> str:
    """Return one line on where the figures come from."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in distributions)
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}, {versions}"
