"""Commands that convert: convert, plan, prove, layouts."""

from __future__ import annotations

import argparse

import tfckpt
from tfckpt.base.flags import add_flags, options_from
from tfckpt.base.options import AUTO, ConvertOptions, ModelOptions, PlanOptions, ProveOptions, for_shell
from tfckpt.cli.options import CHECKPOINT, add_dest
from tfckpt.cli.ui.output import GOOD, add_all, print_json, print_json_rows, print_notes, print_rows, printable, say
from tfckpt.cli.ui.planned import load_lines, print_loading, print_plan, print_written, what_holds
from tfckpt.cli.ui.terminal import progress_bar
from tfckpt.families.targets import Targets


def add_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    """Add this file's commands to the parser."""
    targets = {"to": Targets(AUTO)}

    convert = commands.add_parser("convert", parents=[common], help="convert a checkpoint")
    convert.add_argument("source", metavar="SOURCE", help=CHECKPOINT)
    add_dest(convert)
    add_flags(convert, ConvertOptions, choices=targets)
    add_all(convert)
    convert.set_defaults(run=cmd_convert, reports=True)

    plan = commands.add_parser("plan", parents=[common], help="show what convert would do, and write nothing")
    plan.add_argument("source", metavar="SOURCE", help=CHECKPOINT)
    add_flags(plan, PlanOptions, choices=targets)
    add_all(plan)
    plan.set_defaults(run=cmd_plan, paged=True)

    prove = commands.add_parser(
        "prove", parents=[common], help="show that DEST, whatever wrote it, holds SOURCE's values"
    )
    prove.add_argument("source", metavar="SOURCE", help=CHECKPOINT)
    prove.add_argument("dest", metavar="DEST", help=CHECKPOINT)
    add_flags(prove, ProveOptions, choices=targets)
    prove.set_defaults(run=cmd_prove, reports=True)

    layouts = commands.add_parser("layouts", parents=[common], help="list the targets")
    add_flags(layouts, ModelOptions, only=("families",))
    layouts.set_defaults(run=cmd_layouts)


def cmd_convert(args: argparse.Namespace) -> int:
    """Convert, and report what became of every variable."""
    with progress_bar("converting", quiet=args.quiet) as progress:
        plan = tfckpt.convert(args.source, args.dest, **options_from(args, ConvertOptions), progress=progress)
    if args.json:
        done = {"destination": args.dest, "verified": args.verify, "state_updated": args.update_state}
        print_json(plan.to_json() | done | {"proved": args.prove})
    else:
        print_plan(plan, everything=args.all, loaded=True)
        print_written(args.dest, plan.written)
        if args.prove:
            say(f"proved: {what_holds(plan.steps, args.source)}, and every checksum matches", GOOD)
        if args.update_state:
            say(f"latest: {printable(args.dest)}", GOOD)
        print_loading(load_lines(plan, args.dest))
    return 0


def cmd_plan(args: argparse.Namespace) -> int:
    """Report what convert would do."""
    plan = tfckpt.plan(args.source, **options_from(args, PlanOptions))
    if args.json:
        print_json(plan.to_json())
    else:
        print_plan(plan, everything=args.all)
    return 0


def cmd_prove(args: argparse.Namespace) -> int:
    """Compare a converted checkpoint with its source; name every difference."""
    with progress_bar("proving", quiet=args.quiet) as progress:
        proof = tfckpt.prove(args.source, args.dest, **options_from(args, ProveOptions), progress=progress)
    if args.json:
        print_json_rows(proof.to_json(), "tensors")
        return 0
    at = f", at {printable(proof.at)}" if proof.at else ""
    say(f"OK: {what_holds([checked.step for checked in proof.tensors], proof.source)}", GOOD)
    say(f"proved: {printable(proof.dest)} (target {proof.to!r}{at}); every checksum of both files matches", GOOD)
    for rule, names in proof.extras_by_rule().items():
        say(f"beside it: {len(names)} ({rule})")
    print_notes(proof.issues)
    return 0


def cmd_layouts(args: argparse.Namespace) -> int:
    """List the targets."""
    from tfckpt.families.catalog import CATALOG
    from tfckpt.families.folder import read_families

    catalog = CATALOG if args.families is None else read_families(args.families)
    rows = [(o.name, o.family.name if o.family else "any", for_shell(o.about)) for o in catalog.layouts]
    if args.json:
        print_json([{"name": name, "family": family, "about": about} for name, family, about in rows])
    else:
        print_rows(("target", "family", "what it is"), rows)
    return 0
