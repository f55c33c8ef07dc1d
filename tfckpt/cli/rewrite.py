"""Commands that make checkpoints from checkpoints: rewrite, merge, average."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import tfckpt
from tfckpt.cli.options import CHECKPOINT, add_dest, add_edits, add_source, nbytes
from tfckpt.cli.output import report_written
from tfckpt.cli.terminal import progress_bar

if TYPE_CHECKING:
    from tfckpt.conversion.plan import Plan


def add_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    """Add this file's commands to the parser."""
    rewrite = commands.add_parser("rewrite", parents=[common], help="copy a checkpoint with changes")
    add_source(rewrite, "source")
    add_dest(rewrite)
    add_edits(rewrite)
    rewrite.add_argument("--cast", metavar="DTYPE", help="dtype of all floating-point tensors, e.g. float16")
    rewrite.add_argument("--strip-optimizer", action="store_true", help="leave out optimizer state")
    size = rewrite.add_mutually_exclusive_group()
    size.add_argument("--shards", type=int, metavar="N", help="number of data files (default: as in SOURCE)")
    size.add_argument(
        "--max-shard-size", type=nbytes, metavar="BYTES", help="largest data file, e.g. 500MB; larger tensors are cut"
    )
    rewrite.add_argument("--byte-order", choices=["little", "big"], help="of the values (default: as in SOURCE)")
    _add_dry_run(rewrite, "would become of each tensor")
    rewrite.set_defaults(run=cmd_rewrite, reports=True)

    merge = commands.add_parser("merge", parents=[common], help="join checkpoints into one")
    merge.add_argument("sources", metavar="SOURCE", nargs="+", help=CHECKPOINT)
    add_dest(merge)
    merge.add_argument(
        "--prefer",
        action="append",
        default=[],
        metavar="[PATTERN=]SOURCE",
        help="of what several sources have, take this one's; PATTERN is a glob of object paths or names, or a role, such as "
        "'optimizer state'; repeated, the first that matches counts",
    )
    merge.add_argument(
        "--partial",
        action="store_true",
        help="join slices of tensors though some are missing: the rest is merged later",
    )
    _add_dry_run(merge, "would come from which source")
    merge.set_defaults(run=cmd_merge, reports=True)

    average = commands.add_parser("average", parents=[common], help="average checkpoints of one model")
    average.add_argument("sources", metavar="SOURCE", nargs="+", help=f"{CHECKPOINT}; the newest last")
    add_dest(average)
    average.add_argument(
        "--weights", type=_weights, metavar="W,W,...", help="a positive number for each SOURCE (default: all the same)"
    )
    _add_dry_run(average, "would be averaged")
    average.set_defaults(run=cmd_average, reports=True)


def _add_dry_run(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--dry-run", action="store_true", help=f"show what {what}, write nothing")


def _weights(text: str) -> list[float]:
    """Return numbers that commas divide."""
    try:
        return [float(number) for number in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected numbers such as 1,1,2, got {text!r}") from None


def cmd_rewrite(args: argparse.Namespace) -> int:
    """Copy a checkpoint with changes, and report what became of every tensor."""
    with progress_bar("rewriting", quiet=args.quiet) as progress:
        plan = tfckpt.rewrite(
            args.source,
            args.dest,
            rename=args.rename,
            drop=args.drop,
            keep=args.keep,
            cast=args.cast,
            strip_optimizer=args.strip_optimizer,
            shards=args.shards,
            max_shard_size=args.max_shard_size,
            big_endian=None if args.byte_order is None else args.byte_order == "big",
            source_format=args.format,
            **_how(args),
            progress=progress,
        )
    return _report(plan, args)


def cmd_merge(args: argparse.Namespace) -> int:
    """Join checkpoints, and report every tensor."""
    with progress_bar("merging", quiet=args.quiet) as progress:
        plan = tfckpt.merge(
            args.sources,
            args.dest,
            prefer=args.prefer,
            partial=args.partial,
            **_how(args),
            progress=progress,
        )
    return _report(plan, args)


def cmd_average(args: argparse.Namespace) -> int:
    """Average checkpoints, and report every tensor and what was not averaged."""
    with progress_bar("averaging", quiet=args.quiet) as progress:
        plan = tfckpt.average(args.sources, args.dest, weights=args.weights, **_how(args), progress=progress)
    return _report(plan, args)


def _how(args: argparse.Namespace) -> dict[str, bool]:
    """Return how a checkpoint is written, as the library takes it."""
    return {name: getattr(args, name) for name in ("verify", "sync", "overwrite", "dry_run")}


def _report(plan: Plan, args: argparse.Namespace) -> int:
    return report_written(plan, args, written=not args.dry_run, verified=args.verify)
