"""Damages every kind of checkpoint in every way, and writes what became of it: RESULTS.json, and the table in the docs.

    tests/damage/run [--only-ours] [KIND...]

TensorFlow's part needs TensorFlow. Kinds that are not named keep the results that they have.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from . import ours
from .damages import every, read_files
from .kinds import KINDS

RESULTS = Path(__file__).with_name("RESULTS.json")
DOCS = Path(__file__).parents[2] / "docs" / "RELIABILITY.md"
TABLE = re.compile(r"(?<=<!-- tests/damage/run writes this table -->\n).*?(?=\n\n)", re.DOTALL)
THEIRS = ("noticed", "harmless", "wrong values", "tensors missing", "aborted", "hung")

Counts = Mapping[str, int]


def count_ours(kind: str) -> dict[str, dict[str, int]]:
    """Return, for each sort of damage, how many cases had which outcome."""
    with tempfile.TemporaryDirectory(prefix="tfckpt-damage-") as directory:
        prefix = KINDS[kind].make(Path(directory))
        files = read_files(Path(directory))
        counted = ours.count(prefix, every(files), files)
    return _nested([(what, outcome, number) for (what, outcome), number in sorted(counted.items())])


def count_theirs(kind: str) -> tuple[str, dict[str, dict[str, int]]]:
    """Return TensorFlow's version, and the same of it."""
    command = [sys.executable, "-m", "damage.theirs", kind]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    document = json.loads(done.stdout.splitlines()[-1])
    return document["version"], _nested(document["counted"])


def _nested(rows: Any) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for what, outcome, number in rows:
        counts.setdefault(what, {})[outcome] = number
    return counts


def summed(counts: Mapping[str, Counts]) -> dict[str, int]:
    """Return how many cases had each outcome, whatever the damage was."""
    total: dict[str, int] = {}
    for outcomes in counts.values():
        for outcome, number in outcomes.items():
            total[outcome] = total.get(outcome, 0) + number
    return total


def table(results: Mapping[str, Any]) -> str:
    """Return the results as the docs show them."""
    rows = [("", "cases", "noticed", "harmless", *(f"TensorFlow: {outcome}" for outcome in THEIRS))]
    rows.append(("---", *["---:"] * (len(rows[0]) - 1)))
    sums = [0] * (len(rows[0]) - 1)
    for kind, counts in results["kinds"].items():
        mine, theirs = summed(counts["tfckpt"]), summed(counts["tensorflow"])
        numbers = [sum(mine.values()), mine["noticed"], mine["harmless"], *(theirs.get(o, 0) for o in THEIRS)]
        sums = [a + b for a, b in zip(sums, numbers, strict=True)]
        rows.append((KINDS[kind].title, *(f"{n:,}" for n in numbers)))
    rows.append(("**all**", *(f"{n:,}" for n in sums)))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests/damage/run")
    parser.add_argument("kinds", metavar="KIND", nargs="*", choices=[[], *KINDS], help="(default: all)")
    parser.add_argument("--only-ours", action="store_true", help="leave TensorFlow's results as they are")
    args = parser.parse_args()
    kinds = args.kinds or list(KINDS)
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {"kinds": {}}
    with ProcessPoolExecutor() as pool:
        mine = {kind: pool.submit(count_ours, kind) for kind in kinds}
        theirs = {} if args.only_ours else {kind: pool.submit(count_theirs, kind) for kind in kinds}
        for kind in kinds:
            counts = results["kinds"].setdefault(kind, {"tensorflow": {}})
            counts["tfckpt"] = mine[kind].result()
            if kind in theirs:
                results["tensorflow"], counts["tensorflow"] = theirs[kind].result()
            print(f"{kind}: {summed(counts['tfckpt'])}; TensorFlow: {summed(counts['tensorflow'])}", flush=True)
    results["kinds"] = {kind: results["kinds"][kind] for kind in KINDS if kind in results["kinds"]}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    DOCS.write_text(TABLE.sub(table(results), DOCS.read_text(encoding="utf-8"), count=1), encoding="utf-8")


if __name__ == "__main__":
    main()
