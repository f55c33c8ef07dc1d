"""Commands that convert: convert, plan, prove, layouts."""

from __future__ import annotations

import argparse
from typing import Any

import tfckpt
from tfckpt.cli.options import CHECKPOINT, Targets, add_dest, add_source, home_path
from tfckpt.cli.output import (
    print_json,
    print_json_rows,
    print_plan,
    print_rows,
    print_written,
    printable,
)
from tfckpt.cli.terminal import progress_bar
from tfckpt.errors import ProofError
from tfckpt.layouts.defaults import AUTO, DEFAULT

FILLS = ("zeros", "mean")


def add_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    """Add this file's commands to the parser."""
    options = argparse.ArgumentParser(add_help=False, parents=[common])
    add_source(options, "source")
    options.add_argument(
        "--to",
        metavar="TARGET",
        choices=Targets(AUTO),
        default=DEFAULT,
        help=f"%(choices)s (default: %(default)s); {AUTO} takes the fullest target for what SOURCE holds",
    )
    add_request(options)

    convert = commands.add_parser("convert", parents=[options], help="convert a checkpoint")
    add_dest(convert)
    convert.add_argument(
        "--mode",
        choices=("copy", "link", "reflink", "auto"),
        default="copy",
        help="write every byte (default), share SOURCE's data files by hard links or reflinks, or take the first of reflink, "
        "link, copy that works",
    )
    convert.add_argument("--update-state", action="store_true", help="make DEST the latest of its directory")
    convert.add_argument("--prove", action="store_true", help="compare every value with SOURCE's when all is written")
    convert.set_defaults(run=cmd_convert, reports=True)

    plan = commands.add_parser("plan", parents=[options], help="show what convert would do, and write nothing")
    plan.set_defaults(run=cmd_plan, paged=True)

    prove = commands.add_parser(
        "prove", parents=[options], help="show that DEST, whatever wrote it, holds SOURCE's values"
    )
    prove.add_argument("dest", metavar="DEST", help=CHECKPOINT)
    prove.set_defaults(run=cmd_prove, reports=True)

    layouts = commands.add_parser("layouts", parents=[common], help="list the targets")
    layouts.set_defaults(run=cmd_layouts)


def add_request(options: argparse.ArgumentParser) -> None:
    """Add what a conversion may be asked for, the target excepted."""
    options.add_argument(
        "--config",
        type=home_path,
        metavar="FILE",
        help="the model's JSON configuration, if it is not beside SOURCE; - is stdin",
    )
    options.add_argument("--num-heads", type=int, metavar="N", help="number of attention heads")
    options.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="TEXT",
        help="leave out variables with this in the name; '=NAME' is one whole name, a text with *, ? or [ a glob of whole "
        "names; repeated for each text",
    )
    options.add_argument(
        "--fill", metavar="zeros|normal:SEED", help="values for variables that the target needs and SOURCE lacks"
    )
    options.add_argument(
        "--slots",
        choices=("drop", "convert", "keep"),
        help="optimizer state: leave it out (default; keras keeps it), make it a Keras optimizer's (on the way back, TF1's), "
        "or keep its names (keras, tf1). Keras's Adam corrects for bias and google-research's does not: the first steps "
        "after a restore are smaller than TF1's would be",
    )
    options.add_argument(
        "--optimizer",
        choices=("adam-weight-decay", "adamw"),
        help="for --slots convert: Model Garden's AdamWeightDecay (default), or Keras's new AdamW",
    )
    options.add_argument(
        "--learning-rate",
        type=float,
        metavar="RATE",
        help="for --slots convert: an optimizer with this constant rate; without it, one with a schedule",
    )
    options.add_argument(
        "--keep-names", action="store_true", help="also list each tensor under its TF1 name, over the same bytes"
    )
    options.add_argument(
        "--scope", default="", metavar="TEXT", help="put this before every name on the way back to TF1"
    )
    options.add_argument(
        "--layout",
        type=home_path,
        metavar="FILE",
        help="TOML file with a layout of your own, the target instead of --to; - is stdin",
    )
    options.add_argument("--vocab-size", type=int, metavar="N", help="cut or extend the vocabulary to N words")
    options.add_argument("--max-positions", type=int, metavar="N", help="cut or extend the position table to N rows")
    options.add_argument(
        "--resize-fill", choices=FILLS, default=FILLS[0], help="what added rows hold (default: %(default)s)"
    )

    options.add_argument(
        "--model",
        default="",
        metavar="FAMILY[/TARGET]",
        help="what SOURCE holds, if its objects could be several models'",
    )


def request_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return what was asked for, as the options of `tfckpt.plan`."""
    return {
        "to": args.to,
        "config": args.config,
        "num_heads": args.num_heads,
        "exclude": args.exclude,
        "fill": args.fill,
        "slots": args.slots,
        "optimizer": args.optimizer,
        "learning_rate": args.learning_rate,
        "keep_names": args.keep_names,
        "scope": args.scope,
        "model": args.model,
        "vocab_size": args.vocab_size,
        "max_positions": args.max_positions,
        "resize_fill": args.resize_fill,
        "layout": args.layout,
        "source_format": getattr(args, "format", None),
    }


def conversion_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return what the command line asks for, as the options of `tfckpt.convert`."""
    return request_of(args) | {
        "mode": args.mode,
        "verify": args.verify,
        "sync": args.sync,
        "overwrite": args.overwrite,
        "update_state": args.update_state,
        "prove": args.prove,
    }


def cmd_convert(args: argparse.Namespace) -> int:
    """Convert, and report what became of every variable."""
    with progress_bar("converting", quiet=args.quiet) as progress:
        plan = tfckpt.convert(args.source, args.dest, **conversion_options(args), progress=progress)
    if args.json:
        done = {"destination": args.dest, "verified": args.verify, "state_updated": args.update_state}
        print_json(plan.to_json() | done | {"proved": args.prove})
    else:
        print_plan(plan)
        print_written(args.dest, plan.written)
        if args.prove:
            print(f"proved: all {len(plan.steps)} hold the source's values, and every checksum matches")
        if args.update_state:
            print(f"latest: {printable(args.dest)}")
    return 0


def cmd_plan(args: argparse.Namespace) -> int:
    """Report what convert would do."""
    plan = tfckpt.plan(
        args.source,
        **request_of(args),
    )
    if args.json:
        print_json(plan.to_json())
    else:
        print_plan(plan)
    return 0


def cmd_prove(args: argparse.Namespace) -> int:
    """Compare a converted checkpoint with its source; name every difference."""
    try:
        with progress_bar("proving", quiet=args.quiet) as progress:
            proof = tfckpt.prove(args.source, args.dest, **request_of(args), progress=progress)
    except ProofError as error:
        if args.json and error.report is not None:
            print_json_rows(error.report, "tensors")
        raise
    if args.json:
        print_json_rows(proof.to_json(), "tensors")
        return 0
    at = f" at {printable(proof.at)}" if proof.at else ""
    print(f"{printable(proof.dest)}: right: the {proof.to}{at} holds the values of {printable(proof.source)}")
    print(f"proved: all {len(proof.tensors)} tensors, and every checksum of both")
    for rule, names in proof.extras_by_rule().items():
        print(f"beside it: {len(names)} ({rule})")
    for note in proof.notes:
        print(f"note: {printable(note)}")
    return 0


def cmd_layouts(args: argparse.Namespace) -> int:
    """List the targets."""
    from tfckpt.layouts.catalog import LAYOUTS
    from tfckpt.layouts.rules import ObjectLayout

    rows = [(o.name, o.family.name if isinstance(o, ObjectLayout) else "any", o.about) for o in LAYOUTS]
    if args.json:
        print_json([{"name": name, "family": family, "about": about} for name, family, about in rows])
    else:
        print_rows(("target", "family", "what it is"), rows)
    return 0
