"""Commands that look at a checkpoint: ls, verify."""

from __future__ import annotations

import argparse
import sys

import tfckpt
from tfckpt.cli.options import add_source
from tfckpt.cli.output import print_json, print_rows, printable, progress_bar


def add_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    """Add this file's commands to the parser."""
    ls = commands.add_parser("ls", parents=[common], help="list tensors: name, dtype, shape, bytes")
    add_source(ls)
    ls.add_argument("pattern", metavar="PATTERN", nargs="?", help="shell glob that names must match")
    ls.set_defaults(run=cmd_ls)

    verify = commands.add_parser("verify", parents=[common], help="compare every checksum with its bytes")
    add_source(verify)
    verify.set_defaults(run=cmd_verify)


def cmd_ls(args: argparse.Namespace) -> int:
    """List tensors. Reads the index only, never a shard."""
    with tfckpt.open(args.prefix, format=args.format) as checkpoint:
        entries = checkpoint.entries(args.pattern)
    if args.json:
        print_json(
            [{"name": e.name, "dtype": e.dtype_name, "shape": list(e.shape), "nbytes": e.nbytes} for e in entries]
        )
    else:
        rows = [(e.name, e.dtype_name, str(list(e.shape)), str(e.nbytes)) for e in entries]
        print_rows(("name", "dtype", "shape", "bytes"), rows)
    return 0


def cmd_verify(args: argparse.Namespace) -> int:
    """Check every tensor; name each that is damaged, not only the first."""
    from tfckpt.bundle.carry import counting

    with tfckpt.open(args.prefix, format=args.format) as checkpoint, progress_bar("verifying") as progress:
        entries = checkpoint.entries()
        total = sum(entry.nbytes for entry in entries)
        damage = checkpoint.find_damage(progress=counting(progress, total))
        damaged = dict.fromkeys(
            str(found.error) for found in damage
        )  # a missing file is one line, not one for each tensor
        prefix = checkpoint.prefix
    for line in damaged:
        print(f"tfckpt verify: {printable(line)}", file=sys.stderr)
    if args.json:
        print_json({"prefix": prefix, "tensors": len(entries), "nbytes": total, "damaged": list(damaged)})
    elif not damaged:
        print(f"{printable(prefix)}: {len(entries)} tensors, {total:,} bytes: every checksum matches")
    return 1 if damaged else 0
