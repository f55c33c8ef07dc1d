"""The command diff: what differs between two checkpoints, also across layouts."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import tfckpt
from tfckpt.cli.options import CHECKPOINT
from tfckpt.cli.output import print_json_rows, print_notes, print_rows, printable
from tfckpt.cli.terminal import progress_bar
from tfckpt.flags import Targets, add_flags, options_from
from tfckpt.options import AUTO, DiffOptions, ModelOptions

if TYPE_CHECKING:
    from tfckpt.edit.diff import Comparison, Pair

DIFFERENT, TROUBLE = 1, 2  # exit codes, as diff(1) has them
COLUMNS = ("verdict", "tensor", "dtype", "shape", "differing", "first at", "max abs", "max rel")
STYLES = {"verdict": "red", "dtype": "green", "shape": "cyan", "max abs": "yellow", "max rel": "yellow"}


def add_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    """Add this file's command to the parser."""
    diff = commands.add_parser(
        "diff", parents=[common], help="compare two checkpoints: exit code 0 if same, 1 if different, 2 for trouble"
    )
    diff.add_argument("a", metavar="A", help=CHECKPOINT)
    diff.add_argument("b", metavar="B", help=CHECKPOINT)
    add_flags(diff, DiffOptions)
    diff.add_argument("--all", action="store_true", help="list also what is the same")
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
    if args.map is not None or args.layout is not None:
        plan = tfckpt.plan(args.a, to=args.map or AUTO, **options_from(args, ModelOptions))
    with progress_bar("comparing", quiet=args.quiet) as progress:
        comparison = tfckpt.diff(args.a, args.b, plan=plan, **options_from(args, DiffOptions), progress=progress)
    if args.json:
        print_json_rows(comparison.to_json(), "tensors")
    else:
        print_rows(
            COLUMNS, [_row(pair) for pair in (comparison.pairs if args.all else comparison.differing)], styles=STYLES
        )
        print(*_sums(comparison), sep="\n")
        print_notes(comparison.issues)
    return 0 if comparison.same else DIFFERENT


def _row(pair: Pair) -> tuple[str, ...]:
    from tfckpt.edit.diff import index_of

    name = pair.a if pair.b in ("", pair.a) else pair.b if not pair.a else f"{pair.a} -> {pair.b}"
    dtype = " -> ".join(dict.fromkeys(pair.dtypes))
    shape = " -> ".join(dict.fromkeys(str(list(shape)) for shape in pair.shapes))
    found = pair.distance
    if found is None or found.first is None:
        return pair.verdict, name, dtype, shape, "", "", "", ""
    first = str(index_of(found.first, pair.shapes[-1]))
    distances = ("" if number is None else f"{number:.6g}" for number in (found.max_absolute, found.max_relative))
    return pair.verdict, name, dtype, shape, f"{found.differing} of {found.count}", first, *distances


def _sums(comparison: Comparison) -> list[str]:
    """Return the lines after the table: how many pairs there are of each kind, and what was not compared."""
    from tfckpt.edit.diff import ONLY_A, ONLY_B

    counts: dict[str, int] = {}
    for pair in comparison.pairs:
        counts[pair.verdict] = counts.get(pair.verdict, 0) + 1
    kinds = ", ".join(
        f"{count} {verdict}" for verdict, count in sorted(counts.items(), key=lambda item: item[0] != "same")
    )
    across = f" as {comparison.to}" if comparison.to else ""
    lines = [f"{printable(comparison.a)}{across}, {printable(comparison.b)}: {kinds or 'no tensors'}"]
    if counts and not counts.keys() - {ONLY_A, ONLY_B} and not comparison.to:
        lines.append("no tensor is in both; of a model that was converted: --map TARGET, such as encoder, or tf1")
    rules: dict[str, int] = {}
    for rule in comparison.ignored.values():
        rules[rule] = rules.get(rule, 0) + 1
    return lines + [f"not compared: {count} ({printable(rule)})" for rule, count in rules.items()]
