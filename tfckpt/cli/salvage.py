"""Commands about damage: verify, salvage."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import tfckpt
from tfckpt.cli.options import add_source
from tfckpt.cli.output import print_json, printable, progress_bar

if TYPE_CHECKING:
    from tfckpt.bundle.damage import Finding


def add_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    """Add this file's commands to the parser."""
    verify = commands.add_parser("verify", parents=[common], help="compare every checksum with its bytes")
    add_source(verify)
    verify.set_defaults(run=cmd_verify)

    salvage = commands.add_parser("salvage", parents=[common], help="write what is intact of a damaged checkpoint")
    add_source(salvage, "source")
    salvage.add_argument("dest", metavar="DEST", help="exact prefix of the files to write")
    salvage.add_argument("--overwrite", action="store_true", help="replace a checkpoint that is there")
    salvage.add_argument("--no-sync", dest="sync", action="store_false", help="do not wait for the disk")
    salvage.set_defaults(run=cmd_salvage)


def cmd_verify(args: argparse.Namespace) -> int:
    """Check every tensor; name each that is damaged, not only the first, and what of the index is."""
    from tfckpt.bundle.carry import counting
    from tfckpt.bundle.damage import find_all, survey
    from tfckpt.checkpoint.locate import find_prefix

    found = survey(find_prefix(args.prefix, args.format), args.format)
    entries = found.reader.entries
    total = sum(entry.nbytes for entry in entries.values())
    with progress_bar("verifying") as progress:
        damage = [*found.damage, *find_all(found.reader, progress=counting(progress, total))]
    found.reader.close()
    prefix = found.reader.prefix
    for line in lines(damage):
        print(f"tfckpt verify: {printable(line)}", file=sys.stderr)
    if args.json:
        counts = {"prefix": prefix, "tensors": len(entries), "nbytes": total}
        print_json(counts | {"damaged": [item.to_json() for item in damage]})
    elif not damage:
        print(f"{printable(prefix)}: {len(entries)} tensors, {total:,} bytes: every checksum matches")
    return 1 if damage else 0


def cmd_salvage(args: argparse.Namespace) -> int:
    """Write what is intact; list what is not, and why. Exit code 1 if anything is lost."""
    with progress_bar("reading") as progress:
        report = tfckpt.salvage(
            args.source,
            args.dest,
            source_format=args.format,
            sync=args.sync,
            overwrite=args.overwrite,
            progress=progress,
        )
    for line in (*lines(report.damage), *(f"note: {note}" for note in report.notes)):
        print(f"tfckpt salvage: {printable(line)}", file=sys.stderr)
    if args.json:
        print_json(report.to_json())
    else:
        lost = f"{len(report.lost)} known to be lost" if report.damage else "nothing lost"
        print(f"{printable(report.source)}: {len(report.saved)} tensors, {report.nbytes:,} bytes saved; {lost}")
        print(f"written: {printable(report.destination)}")
    return 1 if report.damage else 0


def lines(damage: Sequence[Finding]) -> list[str]:
    """Return a line for each place that is damaged; a file that is missing is one place, however many tensors it had."""
    places: dict[str, list[Finding]] = {}
    for item in damage:
        places.setdefault(item.line, []).append(item)
    return [line if len(same) == 1 else f"{line} ({len(same)} tensors)" for line, same in places.items()]
