"""The command verify: every checksum of a checkpoint compared with its bytes."""

from __future__ import annotations

import argparse

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
    from tfckpt.bundle.carry import counting

    with (
        tfckpt.open(args.prefix, format=args.format) as checkpoint,
        progress_bar("verifying", quiet=args.quiet) as progress,
    ):
        entries = checkpoint.entries()
        total = sum(entry.nbytes for entry in entries)
        damage = checkpoint.find_damage(progress=counting(progress, total))
        # A file that is missing is one line, not one for each tensor.
        damaged = dict.fromkeys(str(found.error) for found in damage)
        prefix = checkpoint.prefix
    for line in damaged:
        print(f"tfckpt verify: {printable(line)}", file=sys.stderr)
    if args.json:
        print_json({"prefix": prefix, "tensors": len(entries), "nbytes": total, "damaged": list(damaged)})
    elif not damaged:
        print(f"{printable(prefix)}: {len(entries)} tensors, {total:,} bytes: every checksum matches")
    return 1 if damaged else 0
