"""The command average: the mean of checkpoints of one model."""

from __future__ import annotations

import argparse

import tfckpt
from tfckpt.cli.options import CHECKPOINT, add_dest
from tfckpt.cli.output import report_written
from tfckpt.cli.terminal import progress_bar


def add_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    """Add this file's command to the parser."""
    average = commands.add_parser("average", parents=[common], help="average checkpoints of one model")
    average.add_argument("sources", metavar="SOURCE", nargs="+", help=f"{CHECKPOINT}; the newest last")
    add_dest(average)
    average.add_argument(
        "--weights", type=_weights, metavar="W,W,...", help="a positive number for each SOURCE (default: all the same)"
    )
    average.add_argument("--dry-run", action="store_true", help="show what would be averaged, write nothing")
    average.set_defaults(run=cmd_average, reports=True)


def cmd_average(args: argparse.Namespace) -> int:
    """Average checkpoints, and report every tensor and what was not averaged."""
    with progress_bar("averaging", quiet=args.quiet) as progress:
        plan = tfckpt.average(
            args.sources,
            args.dest,
            weights=args.weights,
            verify=args.verify,
            sync=args.sync,
            overwrite=args.overwrite,
            dry_run=args.dry_run,
            progress=progress,
        )
    return report_written(plan, args, written=not args.dry_run, verified=args.verify)


def _weights(text: str) -> list[float]:
    """Return numbers that commas divide."""
    try:
        return [float(number) for number in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected numbers such as 1,1,2, got {text!r}") from None
