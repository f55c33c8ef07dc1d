"""The command salvage: what is intact of a damaged checkpoint."""

from __future__ import annotations

import argparse

import tfckpt
from tfckpt.base.flags import add_flags, options_from
from tfckpt.base.options import SalvageOptions, for_shell
from tfckpt.cli.advice import print_next
from tfckpt.cli.commands.verify import lines
from tfckpt.cli.options import CHECKPOINT, add_dest
from tfckpt.cli.ui.output import GOOD, NOTE, by_role, print_json, printable, say, sized, tell
from tfckpt.cli.ui.terminal import progress_bar
from tfckpt.errors import count_of


def add_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    """Add this file's command to the parser."""
    salvage = commands.add_parser("salvage", parents=[common], help="write what is intact of a damaged checkpoint")
    salvage.add_argument("source", metavar="SOURCE", help=CHECKPOINT)
    add_dest(salvage)
    add_flags(salvage, SalvageOptions)
    salvage.set_defaults(run=cmd_salvage, reports=True)


def cmd_salvage(args: argparse.Namespace) -> int:
    """Write what is intact; list what is not, and why. Exit code 1 if anything is lost."""
    from tfckpt.bundle.damage import remedy_for_all

    with progress_bar("salvaging", quiet=args.quiet) as progress:
        report = tfckpt.salvage(args.source, args.dest, **options_from(args, SalvageOptions), progress=progress)
    for line in (*lines(report.damage), *(f"note: {issue.text(for_shell)}" for issue in report.issues)):
        tell("salvage", printable(line))
    remedy = remedy_for_all(report.damage)
    print_next("salvage", None if remedy is None else remedy.argument("command"))
    if args.json:
        print_json(report.to_json() | ({"destination": None} if args.dry_run else {}))
    else:
        done = "would be saved" if args.dry_run else "saved"
        lost = f"{len(report.lost)} known to be lost" if report.damage else "nothing lost"
        say(f"{printable(report.source)}: {count_of(report.saved, 'tensor')}, {sized(report.nbytes)} {done}; {lost}")
        if report.roles:
            say(f"not saved: {count_of(report.roles, 'tensor')} ({by_role(report.roles.values())})")
        if args.dry_run:
            say("dry run: nothing was written", NOTE)
        else:
            say(f"written: {printable(report.destination)}", GOOD)
    return 1 if report.damage else 0
