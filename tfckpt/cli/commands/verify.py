"""The command verify: every checksum of a checkpoint compared with its bytes."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tfckpt.cli.advice import print_next, salvaging
from tfckpt.cli.options import add_source
from tfckpt.cli.ui.output import GOOD, NOTE, print_json, printable, say, sized, tell
from tfckpt.cli.ui.terminal import progress_bar
from tfckpt.errors import count_of, some

if TYPE_CHECKING:
    from tfckpt.bundle.damage import Finding


def add_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    """Add this file's command to the parser."""
    verify = commands.add_parser("verify", parents=[common], help="compare every checksum with its bytes")
    add_source(verify)
    verify.set_defaults(run=cmd_verify, reports=True)


def cmd_verify(args: argparse.Namespace) -> int:
    """Check every tensor; name each that is damaged, not only the first, and what of the index is.

    What an undamaged object graph names and is not there is no damage, but TensorFlow would stumble over it.
    """
    from tfckpt.bundle.carry import counting
    from tfckpt.bundle.damage import find_all, remedy_for_all, survey
    from tfckpt.checkpoint.find.locate import find_prefix
    from tfckpt.edit.salvage import dangling, find_intact

    found = survey(find_prefix(args.prefix, args.source_format), args.source_format)
    entries = found.reader.entries
    total = sum(entry.nbytes for entry in entries.values())
    with progress_bar("verifying", quiet=args.quiet) as progress:
        damage = [*found.damage, *find_all(found.reader, progress=counting(progress, total))]
    left = find_intact(found.reader, damage) if damage else None
    missing = dangling(found.reader) if left is None else []
    found.reader.close()
    prefix = found.reader.prefix
    for line in lines(damage):
        tell("verify", printable(line))
    if left is not None:
        remedy = remedy_for_all(damage)
        then = salvaging(prefix, [item.path for item in damage], vain=not left.has_values)
        print_next("verify", then if remedy is None else remedy.argument("command"))
    if missing:
        what = f"the object graph names {some([repr(key) for key in missing])}, and no such tensor is here"
        then = "TensorFlow's restore fails as a whole for a program that asks for it"
        tell("verify", f"note: {printable(what)}: {then}", NOTE)
    if args.json:
        counts = {"prefix": prefix, "tensors": len(entries), "nbytes": total}
        more = {"missing": missing} if missing else {}
        print_json(counts | {"damaged": [item.to_json() for item in damage]} | more)
    elif not damage:
        say(f"{printable(prefix)}: {count_of(entries, 'tensor')}, {sized(total)}: every checksum matches", GOOD)
    return 1 if damage else 0


def lines(damage: Sequence[Finding]) -> list[str]:
    """Return a line for each place that is damaged; a file that is missing is one place, however many tensors it had."""
    places: dict[str, int] = {}
    for item in damage:
        places[item.line] = places.get(item.line, 0) + 1
    return [line if count == 1 else f"{line} ({count} tensors)" for line, count in places.items()]
