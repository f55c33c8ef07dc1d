"""Commands that make checkpoints from checkpoints: rewrite, merge."""

from __future__ import annotations

import argparse

import tfckpt
from tfckpt.cli.options import CHECKPOINT, add_dest, add_edits, add_source, nbytes
from tfckpt.cli.output import report_written
from tfckpt.cli.terminal import progress_bar


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
    rewrite.add_argument("--dry-run", action="store_true", help="show what would become of each tensor, write nothing")
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
    merge.add_argument("--dry-run", action="store_true", help="show what would come from which source, write nothing")
    merge.set_defaults(run=cmd_merge, reports=True)


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
            verify=args.verify,
            sync=args.sync,
            overwrite=args.overwrite,
            dry_run=args.dry_run,
            progress=progress,
        )
    return report_written(plan, args, written=not args.dry_run, verified=args.verify)


def cmd_merge(args: argparse.Namespace) -> int:
    """Join checkpoints, and report every tensor."""
    with progress_bar("merging", quiet=args.quiet) as progress:
        plan = tfckpt.merge(
            args.sources,
            args.dest,
            prefer=args.prefer,
            partial=args.partial,
            verify=args.verify,
            sync=args.sync,
            overwrite=args.overwrite,
            dry_run=args.dry_run,
            progress=progress,
        )
    return report_written(plan, args, written=not args.dry_run, verified=args.verify)
