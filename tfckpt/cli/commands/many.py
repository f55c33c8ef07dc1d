"""The command that runs a manifest of conversions: convert-many."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import tfckpt
from tfckpt.base.flags import counting
from tfckpt.cli.options import FailedJobsError
from tfckpt.cli.stdin import NAME, STREAM
from tfckpt.cli.ui.output import print_json_rows, printable, said
from tfckpt.cli.ui.terminal import count_bar
from tfckpt.errors import count_of, redacted

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from tfckpt.many.manifest import Row
    from tfckpt.many.many import Outcome

MOST_JOBS = 1000


def add_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    """Add this file's command to the parser."""
    many = commands.add_parser(
        "convert-many", parents=[common], help="run the conversions that a CSV file lists, side by side"
    )
    many.add_argument(
        "manifest",
        metavar="MANIFEST",
        help="CSV file with the columns source,destination,options; the options are those of convert, and paths are "
        "relative to the directory of the file; - means stdin",
    )
    where = many.add_mutually_exclusive_group()
    where.add_argument(
        "--processes",
        type=counting(1, MOST_JOBS),
        metavar="N",
        help="number of processes (default: the number of cores)",
    )
    where.add_argument(
        "--jobs", dest="processes", type=counting(1, MOST_JOBS), metavar="N", help="the same as --processes"
    )
    where.add_argument(
        "--scheduler", metavar="ADDRESS", help="run them on a cluster of Dask, e.g. tcp://HOST:8786 (extra: dask)"
    )
    many.add_argument(
        "--overwrite", action="store_true", help="in all rows, replace destinations that cannot be proven right"
    )
    many.set_defaults(run=cmd_convert_many, reports=True)


def cmd_convert_many(args: argparse.Namespace) -> int:
    """Run all that is not proven done; report each when it has ended, and all that failed."""
    from tfckpt.many.manifest import parse_rows, read_rows

    if args.manifest == STREAM:
        args.manifest = NAME
        rows = parse_rows(sys.stdin.read(), args.manifest, os.getcwd())
    else:
        rows = read_rows(args.manifest)
    jobs = [row.job | ({"overwrite": True} if args.overwrite else {}) for row in rows]
    with _executor(args.scheduler) as executor, count_bar("converting", len(jobs), quiet=args.quiet) as move:

        def on_outcome(number: int, outcome: Outcome) -> None:
            if not args.json:
                _print_outcome(outcome)
            move()

        outcomes = tfckpt.convert_many(jobs, executor, processes=args.processes, on_outcome=on_outcome)
    _print_sum(args, rows, outcomes)
    complaints = [
        f"{args.manifest}: line {row.line}: {complaint}"
        for row, outcome in zip(rows, outcomes, strict=True)
        for complaint in ([] if outcome.error is None else said(outcome.error))
    ]
    if complaints:
        raise FailedJobsError(complaints)
    return 0


def _executor(scheduler: str | None) -> AbstractContextManager[Executor | None]:
    """Return what runs the conversions, if it is not this machine."""
    if scheduler is None:
        return nullcontext()
    from tfckpt.many.cluster import dask_executor

    return dask_executor(scheduler)


def _print_outcome(outcome: Outcome) -> None:
    """Print a line for one conversion at once, since the last one may take long."""
    cells = [outcome.status, outcome.source, outcome.dest]
    if outcome.error is None:
        filled = f", {outcome.filled} of them filled" if outcome.filled else ""
        heads = "" if outcome.num_heads is None else f", {count_of(outcome.num_heads, 'head')}"
        cells.append(f"{outcome.to}: {count_of(outcome.tensors, 'variable')}{filled}, {outcome.nbytes:,} bytes{heads}")
    print("\t".join(printable(redacted(cell)) for cell in cells), flush=True)


def _print_sum(args: argparse.Namespace, rows: Sequence[Row], outcomes: Sequence[Outcome]) -> None:
    statuses = [outcome.status for outcome in outcomes]
    counts = {status: statuses.count(status) for status in ("done", "skipped", "failed")}
    if args.json:
        jobs = [{"line": row.line} | outcome.to_json() for row, outcome in zip(rows, outcomes, strict=True)]
        print_json_rows({"manifest": args.manifest, **counts, "jobs": jobs}, "jobs")
    else:
        print(
            f"{printable(args.manifest)}: {counts['done']} done, {counts['skipped']} proven before and skipped, "
            f"{counts['failed']} failed"
        )
