"""Tries every fault and situation on every writing command, and writes what came out: RESULTS.json, and tables in the docs.

    tests/faults/run [--only TEXT...] [--fault NAME...] [--every N] [--jobs N]

TensorFlow looks at what each kill left. What --fault or --every restricts is printed only; commands without TEXT in the name
keep the results that they have. A full disk needs the right to mount one, or to be root in a namespace of one's own.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from faults.commands import COMMANDS, Command
from faults.crashes import NAMES
from faults.layers import FAULTS, build_shim
from faults.situations import SITUATIONS

RESULTS = Path(__file__).with_name("RESULTS.json")
ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "RELIABILITY.md"
TABLES = {
    name: re.compile(rf"(?<=<!-- tests/faults/run writes this table: {name} -->\n).*?(?=\n\n)", re.DOTALL)
    for name in ("crashes", "faults")
}
STATES = ("old", "new", "absent")
KILL = FAULTS[0].name
UNSHARE = ["unshare", "--mount", *(["--map-root-user"] if os.geteuid() else [])]  # what is mounted is nobody else's


def environment() -> dict[str, str]:
    """Return the environment of processes that find everything here, and have no threads of OpenBLAS's."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    settings = {"PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    if os.path.isdir("/dev/shm"):
        settings["TMPDIR"] = "/dev/shm"  # syncing is what costs, and no disk is tested here
    return os.environ | settings


def run(module: str, *arguments: str, prefix: Iterable[str] = (), **settings: str) -> Any:
    """Return the document that a module prints."""
    return run_program("-m", module, *arguments, prefix=prefix, **settings)


def run_program(*arguments: str, prefix: Iterable[str] = (), **settings: str) -> Any:
    """Return the document that a program prints, run in a process without threads.

    Raises: RuntimeError, with what it said, if it does not end well.
    """
    command = [*prefix, sys.executable, *arguments]
    done = subprocess.run(command, env=environment() | settings, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


class Judge:
    """TensorFlow, in a process of its own: it has threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "faults.theirs"],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.version = self._read()

    def ask(self, directory: str) -> Any:
        """Return how many attempts left the destination how."""
        with self._lock:
            assert self._process.stdin is not None
            self._process.stdin.write(f"{directory}\n")
            self._process.stdin.flush()
            return json.loads(self._read())

    def _read(self) -> str:
        assert self._process.stdout is not None
        if line := self._process.stdout.readline():
            return line.strip()
        raise RuntimeError("TensorFlow's process ended")

    def __enter__(self) -> Judge:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


def count(command: Command, names: Iterable[str], every: int, shim: str, judge: Judge) -> dict[str, Any]:
    """Return the results of one command: how many calls it makes, and for each fault how often the destination was how."""
    names, mounted = set(names), {situation.name for situation in SITUATIONS if situation.mounts}
    faults = {fault.name for fault in FAULTS} & names
    options = [command.name, "--every", str(every), "--fault"]
    with tempfile.TemporaryDirectory() as kept:
        keep = ["--layer", "c", "--keep", f"{kept}/states"]
        below = run("faults.crashes", *options, *sorted(faults), *keep, LD_PRELOAD=shim)
        found = below["found"] | run("faults.crashes", *options, *sorted(names - mounted - faults))["found"]
        if mounted & names:
            found |= run("faults.crashes", *options, *sorted(mounted), prefix=UNSHARE)["found"]
        theirs = judge.ask(f"{kept}/states") if KILL in names else {}
    return {"calls": below["calls"], "found": found, "tensorflow": theirs}


def added(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Return the sum of counts."""
    total: dict[str, int] = {}
    for each in counts:
        for state, number in each.items():
            total[state] = total.get(state, 0) + number
    return total


def crashes_table(commands: Mapping[str, Any]) -> str:
    """Return, for each command, what a kill at each call left."""
    head = ("command", "calls", "kills", *STATES, *(f"TensorFlow: {state}" for state in STATES))
    rows = []
    for name, results in commands.items():
        ours, theirs = results["found"][KILL], results["tensorflow"]
        numbers = [*(ours.get(state, 0) for state in STATES), *(theirs.get(state, 0) for state in STATES)]
        rows.append((name, results["calls"], sum(ours.values()), *numbers))
    return _table(head, [*rows, ("**all**", *map(sum, list(zip(*rows, strict=True))[1:]))])


def faults_table(commands: Mapping[str, Any]) -> str:
    """Return, for each fault, what it left of the destinations of all commands."""
    states = (*STATES, "the other's")
    rows = []
    for name in NAMES:
        sums = added(results["found"].get(name, {}) for results in commands.values())
        reproduce = f"`tests/faults/run --fault {name!r}`"
        rows.append((name, sum(sums.values()), *(sums.get(state, 0) for state in states), reproduce))
    total = [sum(column) for column in list(zip(*rows, strict=True))[1:-1]]
    return _table(("fault", "tried", *states, "again, by"), [*rows, ("**all**", *total, "`tests/faults/run`")])


def _table(head: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> str:
    rows = [tuple(f"{cell:,}" if isinstance(cell, int) else cell for cell in row) for row in rows]
    rule = tuple("---:" if cell.replace(",", "").isdigit() else "---" for cell in rows[0])
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))


def write(results: Mapping[str, Any]) -> None:
    """Write the results, and the tables of the docs."""
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    text = DOCS.read_text(encoding="utf-8")
    for name, table in (("crashes", crashes_table), ("faults", faults_table)):
        text = TABLES[name].sub(lambda _, table=table: table(results["commands"]), text, count=1)  # type: ignore[misc]
    DOCS.write_text(text, encoding="utf-8")


def main() -> None:
    """Try what is asked for."""
    parser = argparse.ArgumentParser(prog="tests/faults/run", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", nargs="+", default=[""], metavar="TEXT", help="only commands with this in the name")
    parser.add_argument("--fault", nargs="*", choices=NAMES, default=NAMES, metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--every", type=int, default=1, metavar="N", help="every N-th call")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="commands at a time")
    args = parser.parse_args()
    commands = [command for command in COMMANDS if any(text in command.name for text in args.only)]
    with tempfile.TemporaryDirectory() as directory, Judge() as judge, ThreadPoolExecutor(args.jobs) as pool:
        shim = build_shim(directory)
        jobs = {pool.submit(count, command, args.fault, args.every, shim, judge): command for command in commands}
        for job in as_completed(jobs):
            command, result = jobs[job], job.result()
            print(f"{command.name}: {json.dumps(result)}", flush=True)
            if args.fault == NAMES and args.every == 1:
                record(command, result, judge.version)


def record(command: Command, result: dict[str, Any], version: str) -> None:
    """Put one command's results in the place of those that it had."""
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {"commands": {}}
    results["tensorflow"] = version
    results["commands"][command.name] = result
    results["commands"] = {c.name: results["commands"][c.name] for c in COMMANDS if c.name in results["commands"]}
    write(results)


if __name__ == "__main__":
    main()
