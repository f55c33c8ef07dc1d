"""Derives dialects, types what is said to be next, and counts how that ends, by kind.

    tests/advice/run [COUNT] [--seed N] [--kind KIND] [--show NUMBER]

Ends with 1 if something is lost, ends at a dead end, or ends otherwise than its generator says that it must.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from advice.dialects import Dialect, make_dialect
from advice.draft import DEAD_END, LOST, REFUSED, RIGHT
from advice.follow import Chain
from advice.judge import Outcome, is_expected, try_dialect
from advice.kinds import KINDS

ENDS = (RIGHT, REFUSED, LOST, DEAD_END)
MEMORY = "/dev/shm"  # where files are quick, if it is there
AT_ONCE = 50
MISSED = "not as it must"
MOST_LINES, MOST_COLUMNS = 4, 300  # of what is said, where not all is shown


class Result(NamedTuple):
    """What came of one dialect: ``text`` tells it, where something is wrong."""

    number: int
    kinds: tuple[str, ...]
    must: str
    end: str
    expected: bool
    text: str

    @property
    def is_bad(self) -> bool:
        """Whether this may not happen."""
        return not self.expected or self.end in (LOST, DEAD_END)


def results_of(seed: int, numbers: Iterable[int]) -> list[Result]:
    """Return what comes of dialects, each tried in a directory of its own."""
    results = []
    with _empty_directory() as directory:
        for number in numbers:
            dialect = make_dialect(seed, number)
            chain, outcome = try_dialect(dialect)
            expected = is_expected(dialect, outcome)
            result = Result(number, dialect.kinds, dialect.end, outcome.end, expected, "")
            if result.is_bad:
                result = result._replace(text=told(dialect, chain, outcome))
            results.append(result)
            for path in directory.iterdir():
                shutil.rmtree(path)
    return results


@contextmanager
def _empty_directory() -> Iterator[Path]:
    """Make an empty directory the current one while the block runs."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory(dir=MEMORY if os.path.isdir(MEMORY) else None) as directory:
        os.chdir(directory)
        try:
            yield Path(directory)
        finally:
            os.chdir(before)


def told(dialect: Dialect, chain: Chain, outcome: Outcome, *, whole: bool = False) -> str:
    """Return what was typed and said, and how it ended: all of it, or what is needed to know it."""
    kinds = " + ".join(dialect.kinds)
    lines = [f"number {dialect.number}: {kinds}; {dialect.folder}; it must end {dialect.end}"]
    for said in chain.said:
        lines.append(f"  $ {said.command}")
        few = whole or len(said.lines) <= MOST_LINES
        kept = said.lines if few else [*said.lines[: MOST_LINES - 2], "...", said.lines[-1]]
        lines += [f"    {line}" for line in kept]
        lines.append(f"    exit code {said.code}")
    if dialect.back:
        lines.append(f"  undone by {' '.join(f'{pattern}={replacement}' for pattern, replacement in dialect.back)}")
    lines.append(f"  {outcome.end}: {outcome.why}" if outcome.why else f"  {outcome.end}")
    return "\n".join(line if whole or len(line) < MOST_COLUMNS else f"{line[:MOST_COLUMNS]}..." for line in lines)


def table(results: Sequence[Result]) -> str:
    """Return how many dialects of each kind ended how; one of several kinds counts for each of them."""
    rows: list[tuple[str, ...]] = [("", "dialects", *ENDS, MISSED)]
    rows += [_row(kind, [r for r in results if kind in r.kinds]) for kind in KINDS]
    for count, name in ((1, "of one kind"), (2, "of two kinds"), (3, "of three kinds")):
        rows.append(_row(name, [r for r in results if len(r.kinds) == count]))
    rows.append(_row("all", results))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    formats = [f"{{:{'>' if column else '<'}{width}}}" for column, width in enumerate(widths)]
    return "\n".join("  ".join(formats).format(*row) for row in rows)


def _row(name: str, results: Sequence[Result]) -> tuple[str, ...]:
    ends = Counter(result.end for result in results)
    missed = sum(not result.expected for result in results)
    return (name, *(f"{n:,}" if n else "-" for n in (len(results), *(ends[end] for end in ENDS), missed)))


def examples(results: Sequence[Result]) -> Iterator[str]:
    """Yield the first bad dialect of each kind and end, rather one of that kind alone."""
    told: set[int] = set()
    for kind in KINDS:
        for end in ENDS:
            bad = [r for r in results if r.is_bad and r.end == end and kind in r.kinds]
            first = min(bad, key=lambda r: (len(r.kinds), r.number), default=None)
            if first is not None and first.number not in told:
                told.add(first.number)
                yield f"\n{kind}: {first.text}"


def show(seed: int, number: int) -> None:
    """Print all that is typed and said of one dialect."""
    dialect = make_dialect(seed, number)
    with _empty_directory():
        chain, outcome = try_dialect(dialect)
    print(told(dialect, chain, outcome, whole=True))


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/advice/run")
    parser.add_argument("count", metavar="COUNT", nargs="?", type=int, default=10_000, help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--kind", choices=list(KINDS), metavar="KIND", help="only dialects that begin with this kind")
    parser.add_argument("--show", type=int, metavar="NUMBER", help="show one dialect, and all that is said of it")
    args = parser.parse_args()
    if args.show is not None:
        show(args.seed, args.show)
        return 0
    numbers: Sequence[int] = range(args.count)
    if args.kind:
        first = list(KINDS).index(args.kind)
        numbers = range(first, first + args.count * len(KINDS), len(KINDS))
    results: list[Result] = []
    with ProcessPoolExecutor() as pool:
        parts = [numbers[at : at + AT_ONCE] for at in range(0, len(numbers), AT_ONCE)]
        for part in pool.map(results_of, [args.seed] * len(parts), parts):
            results += part
            if sys.stderr.isatty():
                print(
                    f"\r{len(results):,} of {len(numbers):,}", end="\n"[len(results) < len(numbers) :], file=sys.stderr
                )
    print(table(results))
    for text in examples(results):
        print(text)
    return int(any(result.is_bad for result in results))


if __name__ == "__main__":
    sys.exit(main())
