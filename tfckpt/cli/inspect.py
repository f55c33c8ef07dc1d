"""The command verify: every checksum of a checkpoint compared with its bytes."""

from __future__ import annotations

import argparse
import sys

import tfckpt
from tfckpt.cli.options import add_source
from tfckpt.cli.output import print_json, printable
from tfckpt.cli.terminal import progress_bar


def add_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    """Add this file's command to the parser."""
    verify = commands.add_parser("verify", parents=[common], help="compare every checksum with its bytes")
    add_source(verify)
    verify.set_defaults(run=cmd_verify, reports=True)


def cmd_verify(args: argparse.Namespace) -> int:
    """Check every tensor; name each that is damaged, not only the first."""
    damaged: dict[str, None] = {}
    with (
        tfckpt.open(args.prefix, format=args.format) as checkpoint,
        progress_bar("verifying", quiet=args.quiet) as progress,
    ):
        entries = checkpoint.entries()
        done, total = 0, sum(entry.nbytes for entry in entries)
        for entry in entries:
            try:
                checkpoint.verify(entry.name)
            except tfckpt.TfckptError as error:
                damaged.setdefault(str(error))  # a file that is missing is one line, not one for each tensor
            done += entry.nbytes
            if progress is not None:
                progress(done, total)
        prefix = checkpoint.prefix
    for line in damaged:
        print(f"tfckpt verify: {printable(line)}", file=sys.stderr)
    if args.json:
        print_json({"prefix": prefix, "tensors": len(entries), "nbytes": total, "damaged": list(damaged)})
    elif not damaged:
        print(f"{printable(prefix)}: {len(entries)} tensors, {total:,} bytes: every checksum matches")
    return 1 if damaged else 0
