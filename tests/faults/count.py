"""Tries every fault and situation on every writing command, and writes what came out: RESULTS.json, and tables in the docs.

    tests/faults/run [--only TEXT] [--fault NAME...] [--every N] [--jobs N]

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
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from faults.commands import COMMANDS, Command
from faults.crashes import NAMES
from faults.layers import FAULTS, build_shim
from faults.situations import SITUATIONS

RESULTS = Path(__file__).with_name("RESULTS.json")
DOCS = Path(__file__).parents[2] / "docs" / "RELIABILITY.md"
TABLES = {
    name: re.compile(rf"(?<=<!-- tests/faults/run writes this table: {name} -->\n).*?(?=\n\n)", re.DOTALL)
    for name in ("crashes", "faults")
}
STATES = ("old", "new", "absent")
KILL = FAULTS[0].name


def run(module: str, *arguments: str, prefix: Iterable[str] = (), **environment: str) -> Any:
    """Return the document that a program prints, run in a process without threads."""
    settings = os.environ | {"OPENBLAS_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"} | environment
    command = [*prefix, sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, env=settings, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def count(command: Command, names: Iterable[str], every: int, shim: str) -> dict[str, Any]:
    """Return the results of one command: how many calls it makes, and for each fault how often the destination was how."""
    names, mounted = set(names), {situation.name for situation in SITUATIONS if situation.mounts}
    options = ["--every", str(every), "--fault"]
    with tempfile.TemporaryDirectory() as kept:
        plain = run("faults.crashes", command.name, "--keep", f"{kept}/states", *options, *sorted(names - mounted))
        found = plain["found"]
        if faults := {fault.name for fault in FAULTS} & names:
            below = run("faults.crashes", command.name, "--layer", "c", *options, *sorted(faults), LD_PRELOAD=shim)
            found = {name: added([states, below["found"].get(name, {})]) for name, states in found.items()}
        if mounted & names:
            unshare = ["unshare", "--mount", *(["--map-root-user"] if os.geteuid() else [])]
            found |= run("faults.crashes", command.name, *options, *sorted(mounted), prefix=unshare)["found"]
        theirs = run("faults.theirs", f"{kept}/states") if KILL in names else {"version": "", "found": {}}
    return {"calls": plain["calls"], "found": found, "tensorflow": theirs["found"], "version": theirs["version"]}


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
    parser.add_argument("--only", default="", metavar="TEXT", help="only commands with this in the name")
    parser.add_argument("--fault", nargs="*", choices=NAMES, default=NAMES, metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--every", type=int, default=1, metavar="N", help="every N-th call")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="commands at a time")
    args = parser.parse_args()
    commands = [command for command in COMMANDS if args.only in command.name]
    with tempfile.TemporaryDirectory() as directory, ThreadPoolExecutor(args.jobs) as pool:
        shim = build_shim(directory)
        jobs = [pool.submit(count, command, args.fault, args.every, shim) for command in commands]
        for command, job in zip(commands, jobs, strict=True):
            result = job.result()
            print(f"{command.name}: {json.dumps(result)}", flush=True)
            if args.fault == NAMES and args.every == 1:
                record(command, result)


def record(command: Command, result: dict[str, Any]) -> None:
    """Put one command's results in the place of those that it had."""
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {"commands": {}}
    results["tensorflow"] = result.pop("version")
    results["commands"][command.name] = result
    results["commands"] = {c.name: results["commands"][c.name] for c in COMMANDS if c.name in results["commands"]}
    write(results)


if __name__ == "__main__":
    main()
