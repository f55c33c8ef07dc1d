"""Random checkpoints, written and read by TensorFlow and by tfckpt, and compared.

    tests/differential/run --record                  10,000 cases of seed 0, and their figures in RESULTS.json and the docs
    tests/differential/run --seed 7 --cases 2000     others; ends with 1 if a difference was found that known.py does not name
    tests/differential/run --seed 3 --case 17        one case again, with all that is found
    tests/differential/run --known                   keeps, small, the first case of each known difference

A case depends on its seed and number alone. One that shows a difference is made small and kept in tests/data/differential,
where tests/test_differential.py and tests/tf/test_differential.py try it again for ever.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from differential.cases import Case, make_case, to_json
from differential.judge import try_case
from differential.known import KNOWN
from differential.outcomes import Verdict
from differential.smaller import smaller
from differential.theirs import load_tensorflow

KEPT = Path(__file__).resolve().parents[1] / "data" / "differential"
RESULTS = Path(__file__).with_name("RESULTS.json")
DOCS = Path(__file__).resolve().parents[2] / "docs" / "RELIABILITY.md"
TABLE = re.compile(r"(?<=<!-- tests/differential/run writes this table -->\n).*?(?=\n\n|\Z)", re.DOTALL)


class Comparison:
    """What a run has counted so far."""

    def __init__(self, tf: Any, directory: Path, kept: Path) -> None:
        self.tf, self.directory, self.kept = tf, directory, kept
        self.known: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.found = 0

    def judge(self, case: Case) -> Verdict:
        """Return what comes of one case."""
        return try_case(case, self.directory / "case", self.tf)

    def keep(self, case: Case, name: str, same: Callable[[Verdict], bool]) -> Path:
        """Make a case small, as long as ``same`` is true of it, and keep it."""
        self.kept.mkdir(parents=True, exist_ok=True)
        path = self.kept / f"{name}.json"
        path.write_text(to_json(smaller(case, lambda other: same(self.judge(other)))) + "\n", encoding="utf-8")
        return path

    def run(self, seed: int, number: int, *, keep_known: bool) -> Verdict:
        """Try one case, and keep what it found."""
        case = make_case(seed, number)
        verdict = self.judge(case)
        if keep_known:
            for name in verdict.known - set(self.known):
                self.keep(case, name, lambda other, name=name: name in other.known and not other.found)  # type: ignore[misc]
        self.known.update(verdict.known)
        self.done.update(verdict.done)
        if verdict.found:
            self.found += 1
            path = self.keep(case, f"seed{seed}-case{number}", lambda other: bool(other.found))
            print(f"case {number}: {verdict.found[0]}\n  kept as {path}", flush=True)
        return verdict

    def results(self, cases: int, seed: int) -> dict[str, Any]:
        """Return the figures of a run."""
        return {
            "tensorflow": self.tf.__version__,
            "cases": cases,
            "seed": seed,
            "done": {name: self.done[name] for name in sorted(self.done)},
            "known": {name: self.known[name] for name in KNOWN},
            "found": self.found,
        }


def table(results: Mapping[str, Any]) -> str:
    """Return the figures as the docs show them."""
    rows = [("", "number"), ("---", "---:"), ("cases", f"{results['cases']:,}")]
    rows += [(name, f"{number:,}") for name, number in results["done"].items()]
    rows += [(f"cases with `{name}`: {KNOWN[name]}", f"{number:,}") for name, number in results["known"].items()]
    rows.append(("**cases with a difference that has no name**", f"**{results['found']:,}**"))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def record(results: Mapping[str, Any]) -> None:
    """Write the figures for the docs."""
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    text = DOCS.read_text(encoding="utf-8")
    DOCS.write_text(TABLE.sub(lambda _: table(results), text, count=1), encoding="utf-8")


def main() -> int:
    """Run the cases asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", type=int, metavar="N", help="this case alone")
    parser.add_argument("--known", action="store_true", help="keep a small case of each known difference")
    parser.add_argument("--kept", type=Path, default=KEPT, metavar="DIRECTORY", help="where cases are kept")
    parser.add_argument("--record", action="store_true", help="write the figures to RESULTS.json and the docs")
    args = parser.parse_args()
    numbers = range(args.cases) if args.case is None else [args.case]
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        comparison = Comparison(load_tensorflow(), Path(directory), args.kept)
        for number in numbers:
            verdict = comparison.run(args.seed, number, keep_known=args.known)
            if args.case is not None:
                print(*sorted(verdict.known), *verdict.found, sep="\n")
            if sys.stderr.isatty() and number % 100 == 0:
                print(f"\r{number}", end="", file=sys.stderr)
    results = comparison.results(len(numbers), args.seed)
    print(table(results))
    print(f"{time.monotonic() - start:,.0f} s")
    if args.record:
        record(results)
    return int(bool(comparison.found))


if __name__ == "__main__":
    raise SystemExit(main())
