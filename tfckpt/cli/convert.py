"""Commands that convert: convert, plan, layouts."""

from __future__ import annotations

import argparse

import tfckpt
from tfckpt.cli.options import add_dest, add_source
from tfckpt.cli.output import print_json, print_plan, print_rows, printable, progress_bar
from tfckpt.layouts.catalog import DEFAULT, LAYOUTS, NAMES
from tfckpt.layouts.rules import ObjectLayout


def add_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    """Add this file's commands to the parser."""
    options = argparse.ArgumentParser(add_help=False, parents=[common])
    add_source(options, "source")
    options.add_argument("--to", choices=NAMES, default=DEFAULT, help="target (default: %(default)s)")
    options.add_argument("--config", metavar="FILE", help="the model's JSON configuration, if it is not beside SOURCE")
    options.add_argument("--num-heads", type=int, metavar="N", help="number of attention heads")
    options.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="TEXT",
        help="leave out variables with this in the name; repeated for each text",
    )
    options.add_argument(
        "--fill", metavar="zeros|normal:SEED", help="values for variables that the target needs and SOURCE lacks"
    )
    options.add_argument(
        "--scope", default="", metavar="TEXT", help="put this before every name on the way back to TF1"
    )

    options.add_argument(
        "--model",
        default="",
        metavar="FAMILY[/TARGET]",
        help="what SOURCE holds, if its objects could be several models'",
    )

    convert = commands.add_parser("convert", parents=[options], help="convert a checkpoint")
    add_dest(convert)
    convert.add_argument("--update-state", action="store_true", help="make DEST the latest of its directory")
    convert.set_defaults(run=cmd_convert)

    plan = commands.add_parser("plan", parents=[options], help="show what convert would do, and write nothing")
    plan.set_defaults(run=cmd_plan)

    layouts = commands.add_parser("layouts", parents=[common], help="list the targets")
    layouts.set_defaults(run=cmd_layouts)


def cmd_convert(args: argparse.Namespace) -> int:
    """Convert, and report what became of every variable."""
    with progress_bar("converting") as progress:
        plan = tfckpt.convert(
            args.source,
            args.dest,
            to=args.to,
            config=args.config,
            num_heads=args.num_heads,
            exclude=args.exclude,
            fill=args.fill,
            scope=args.scope,
            model=args.model,
            source_format=args.format,
            verify=args.verify,
            sync=args.sync,
            overwrite=args.overwrite,
            update_state=args.update_state,
            progress=progress,
        )
    if args.json:
        done = {"destination": args.dest, "verified": args.verify, "state_updated": args.update_state}
        print_json(plan.to_json() | done)
    else:
        print_plan(plan)
        print(f"written: {printable(args.dest)}")
        if args.update_state:
            print(f"latest: {printable(args.dest)}")
    return 0


def cmd_plan(args: argparse.Namespace) -> int:
    """Report what convert would do."""
    plan = tfckpt.plan(
        args.source,
        to=args.to,
        config=args.config,
        num_heads=args.num_heads,
        exclude=args.exclude,
        fill=args.fill,
        scope=args.scope,
        model=args.model,
        source_format=args.format,
    )
    if args.json:
        print_json(plan.to_json())
    else:
        print_plan(plan)
    return 0


def cmd_layouts(args: argparse.Namespace) -> int:
    """List the targets."""
    rows = [(o.name, o.family.name if isinstance(o, ObjectLayout) else "any", o.about) for o in LAYOUTS]
    if args.json:
        print_json([{"name": name, "family": family, "about": about} for name, family, about in rows])
    else:
        print_rows(("target", "family", "what it is"), rows)
    return 0
