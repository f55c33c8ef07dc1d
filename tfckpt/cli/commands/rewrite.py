"""Commands that make checkpoints from checkpoints: rewrite, merge, average."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import tfckpt
from tfckpt.base.flags import add_flags, options_from
from tfckpt.base.options import AverageOptions, MergeOptions, RewriteOptions
from tfckpt.cli.options import CHECKPOINT, add_dest
from tfckpt.cli.ui.output import add_all
from tfckpt.cli.ui.planned import report_written
from tfckpt.cli.ui.terminal import progress_bar

if TYPE_CHECKING:
    from tfckpt.planning.plan import Plan

SIZES = ("shards", "max_shard_size")  # of data files: one or the other


def add_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    """Add this file's commands to the parser."""
    rewrite = commands.add_parser("rewrite", parents=[common], help="copy a checkpoint with changes")
    rewrite.add_argument("source", metavar="SOURCE", help=CHECKPOINT)
    add_dest(rewrite)
    add_flags(rewrite, RewriteOptions, but=SIZES)
    add_flags(rewrite.add_mutually_exclusive_group(), RewriteOptions, only=SIZES)
    add_all(rewrite)
    rewrite.set_defaults(run=cmd_rewrite, reports=True)

    merge = commands.add_parser("merge", parents=[common], help="join checkpoints into one")
    merge.add_argument("sources", metavar="SOURCE", nargs="+", help=CHECKPOINT)
    add_dest(merge)
    add_flags(merge, MergeOptions)
    add_all(merge)
    merge.set_defaults(run=cmd_merge, reports=True)

    average = commands.add_parser("average", parents=[common], help="average checkpoints of one model")
    average.add_argument("sources", metavar="SOURCE", nargs="+", help=f"{CHECKPOINT}; the newest last")
    add_dest(average)
    add_flags(average, AverageOptions)
    add_all(average)
    average.set_defaults(run=cmd_average, reports=True)


def cmd_rewrite(args: argparse.Namespace) -> int:
    """Copy a checkpoint with changes, and report what became of every tensor."""
    with progress_bar("rewriting", quiet=args.quiet) as progress:
        plan = tfckpt.rewrite(args.source, args.dest, **options_from(args, RewriteOptions), progress=progress)
    return _report(plan, args)


def cmd_merge(args: argparse.Namespace) -> int:
    """Join checkpoints, and report every tensor."""
    with progress_bar("merging", quiet=args.quiet) as progress:
        plan = tfckpt.merge(args.sources, args.dest, **options_from(args, MergeOptions), progress=progress)
    return _report(plan, args)


def cmd_average(args: argparse.Namespace) -> int:
    """Average checkpoints, and report every tensor and what was not averaged."""
    with progress_bar("averaging", quiet=args.quiet) as progress:
        plan = tfckpt.average(args.sources, args.dest, **options_from(args, AverageOptions), progress=progress)
    return _report(plan, args)


def _report(plan: Plan, args: argparse.Namespace) -> int:
    return report_written(plan, args, written=not args.dry_run, verified=args.verify)
