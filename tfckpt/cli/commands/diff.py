"""The command diff: what differs between two checkpoints, also across layouts."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import tfckpt
from tfckpt.base.flags import add_flags, options_from
from tfckpt.base.options import AUTO, DiffOptions, ModelOptions
from tfckpt.cli.options import CHECKPOINT
from tfckpt.cli.ui.folding import Row, fold
from tfckpt.cli.ui.output import (
    ALL,
    GOOD,
    is_terminal,
    print_json_rows,
    print_notes,
    print_rows,
    printable,
    say,
    shortened,
    terminal_width,
)
from tfckpt.cli.ui.terminal import progress_bar
from tfckpt.errors import count_of
from tfckpt.families.targets import Targets

if TYPE_CHECKING:
    from tfckpt.edit.comparison.diff import Comparison, Pair

VERBS = {  # what is said of one pair of a verdict, and of several
    "same": ("matches", "match"),
    "values": ("differs in values", "differ in values"),
    "dtype": ("differs in dtype", "differ in dtype"),
    "shape": ("differs in shape", "differ in shape"),
    "only in A": ("is only in A", "are only in A"),
    "only in B": ("is only in B", "are only in B"),
}
DIFFERENT, TROUBLE = 1, 2  # exit codes, as diff(1) has them
COLUMNS = ("verdict", "tensor", "dtype", "shape", "differing", "first at", "max abs", "max rel")
FOLDED = ("verdict", "tensor", "count", "shape", "differing", "max abs", "max rel")
ROOMY = 100  # characters of a line in which all columns have their place
STYLES = {"verdict": "red", "dtype": "green", "shape": "cyan", "max abs": "yellow", "max rel": "yellow"}


def add_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    """Add this file's command to the parser."""
    diff = commands.add_parser(
        "diff",
        parents=[common],
        help="compare two checkpoints: exit code 0 if they are equal, 1 if they differ, 2 after an error",
    )
    diff.add_argument("a", metavar="A", help=CHECKPOINT)
    diff.add_argument("b", metavar="B", help=CHECKPOINT)
    add_flags(diff, DiffOptions)
    diff.add_argument("--all", action="store_true", help="list every tensor, also those that are equal")
    diff.add_argument(
        "--map",
        metavar="LAYOUT",
        choices=Targets(AUTO),
        help="compare B with what A becomes when it is converted to this target, e.g. encoder; the options below are those "
        "of convert",
    )
    add_flags(diff, ModelOptions)
    diff.set_defaults(run=cmd_diff, paged=True, reports=True, trouble=TROUBLE)


def cmd_diff(args: argparse.Namespace) -> int:
    """Compare two checkpoints, and list what differs. Reads both, in bounded memory."""
    plan = None
    if any(given is not None for given in (args.map, args.layout, args.families)):
        plan = tfckpt.plan(args.a, to=args.map or AUTO, **options_from(args, ModelOptions))
    with progress_bar("comparing", quiet=args.quiet) as progress:
        comparison = tfckpt.diff(args.a, args.b, plan=plan, **options_from(args, DiffOptions), progress=progress)
    if args.json:
        print_json_rows(comparison.to_json(), "tensors")
    else:
        _print_pairs(comparison, everything=args.all)
        for line in _sums(comparison):
            say(line, GOOD if comparison.same else "red")
        print_notes(comparison.issues)
    return 0 if comparison.same else DIFFERENT


def _print_pairs(comparison: Comparison, *, everything: bool) -> None:
    """Print a row for each pair; on a terminal one for equal layers, unless everything is asked for."""
    if everything or not is_terminal():
        pairs = comparison.pairs if everything else comparison.differing
        print_rows(COLUMNS, [_row(pair) for pair in pairs], styles=STYLES)
        return
    rows = fold(Row(_names(pair), (pair.verdict, _type(pair)), items=(pair,)) for pair in comparison.differing)
    cells = [
        (row.cells[0], " -> ".join(dict.fromkeys(row.names)), row.times, *row.cells[1:], *_far(row)) for row in rows
    ]
    if cells:
        most = len(FOLDED) - (terminal_width() < ROOMY)  # names come before the last column
        shown = [n for n in range(most) if any(row[n] for row in cells)]
        columns = [FOLDED[n] for n in shown]
        print_rows(columns, [[row[n] for n in shown] for row in cells], styles=STYLES, numbers=("count",))
        print(f"{ALL} lists every tensor.\n")


def _names(pair: Pair) -> tuple[str, ...]:
    """Return what a pair is called: one name, or that in A and that in B."""
    return tuple(dict.fromkeys(shortened(name) for name in (pair.a, pair.b) if name))


def _type(pair: Pair) -> str:
    """Return the shape of both, with their dtypes if these differ."""
    dtypes = pair.dtypes if len(set(pair.dtypes)) > 1 else [""] * len(pair.shapes)
    return " -> ".join(dict.fromkeys(f"{d}{list(s)}" for d, s in zip(dtypes, pair.shapes, strict=True)))


def _far(row: Row) -> tuple[str, str, str]:
    """Return how many elements of some tensors differ, and by how much at most."""
    found = [pair.distance for pair in row.items if pair.distance is not None]
    differing, count = sum(d.differing for d in found), sum(d.count for d in found)
    if not differing:
        return "", "", ""
    share = "all" if differing == count else f"{differing:,} of {count:,}"
    return share, _largest(d.max_absolute for d in found), _largest(d.max_relative for d in found)


def _largest(numbers: Iterable[float | None]) -> str:
    known = [number for number in numbers if number is not None]
    return f"{max(known):.3g}" if known else ""


def _row(pair: Pair) -> tuple[str, ...]:
    from tfckpt.edit.comparison.diff import index_of

    name = pair.a if pair.b in ("", pair.a) else pair.b if not pair.a else f"{pair.a} -> {pair.b}"
    dtype = " -> ".join(dict.fromkeys(pair.dtypes))
    shape = " -> ".join(dict.fromkeys(str(list(shape)) for shape in pair.shapes))
    found = pair.distance
    if found is None or found.first is None:
        return pair.verdict, name, dtype, shape, "", "", "", ""
    first = str(index_of(found.first, pair.shapes[-1]))
    distances = ("" if number is None else f"{number:.6g}" for number in (found.max_absolute, found.max_relative))
    return pair.verdict, name, dtype, shape, f"{found.differing} of {found.count}", first, *distances


def _kinds(counts: Mapping[str, int]) -> str:
    """Return how many pairs there are of each kind, those that are the same first."""
    if not counts:
        return "no tensors"
    every = "all " if len(counts) == 1 and sum(counts.values()) > 1 else ""
    kinds = sorted(counts.items(), key=lambda item: item[0] != "same")
    nouns = [count_of(kinds[0][1], "tensor"), *(f"{count:,}" for _, count in kinds[1:])]
    texts = [f"{noun} {VERBS[kind][count > 1]}" for noun, (kind, count) in zip(nouns, kinds, strict=True)]
    return every + ", ".join(texts)


def _sums(comparison: Comparison) -> list[str]:
    """Return the lines after the table: how many pairs there are of each kind, and what was not compared."""
    from tfckpt.edit.comparison.diff import ONLY_A, ONLY_B

    counts = Counter(pair.verdict for pair in comparison.pairs)
    across = f" as {comparison.to}" if comparison.to else ""
    both = f"{printable(comparison.a)}{across}, {printable(comparison.b)}"
    lines = [f"OK: {_kinds(counts)}: {both}" if comparison.same else f"{both}: {_kinds(counts)}"]
    if counts and not counts.keys() - {ONLY_A, ONLY_B} and not comparison.to:
        lines.append("no tensor is in both; of a model that was converted: --map TARGET, such as encoder, or tf1")
    rules = Counter(comparison.ignored.values())
    return lines + [f"not compared: {count} ({printable(rule)})" for rule, count in rules.items()]
