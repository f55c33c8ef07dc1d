"""The command tf1-to-keras: Model Garden's tf1_to_keras_checkpoint_converter.py of 2019, by its flags and with its log."""

from __future__ import annotations

import argparse
import shlex
import sys

import tfckpt
from tfckpt.base.flags import home_path
from tfckpt.cli.ui.output import print_json, printable
from tfckpt.cli.ui.terminal import progress_bar

LOGGER = "INFO:tensorflow:"  # what TensorFlow 1 puts before each line
TRUE, FALSE = ("true", "t", "1"), ("false", "f", "0")


def add_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    """Add this file's command to the parser."""
    parser = commands.add_parser(
        "tf1-to-keras",
        parents=[common],
        one_dash=True,
        help="convert as tf1_to_keras_checkpoint_converter.py of 2019 did: its flags, its log, its files "
        "(docs/script_2019.md); convert --to keras is the same without them",
    )
    parser.add_argument(
        "--checkpoint_from_path", type=home_path, metavar="SOURCE", required=True, help="source BERT checkpoint path"
    )
    parser.add_argument(
        "--checkpoint_to_path",
        type=home_path,
        metavar="DEST",
        required=True,
        help="destination BERT checkpoint path; a checkpoint that is there is replaced, as that script does",
    )
    parser.add_argument(
        "--num_heads", type=int, default=-1, metavar="N", help="attention heads to split into; -1 keeps TF1's shapes"
    )
    parser.add_argument(
        "--exclude_patterns", metavar="TEXT,TEXT", help="leave out variables with one of these in the name"
    )
    parser.add_argument(
        "--create_v2_checkpoint",
        nargs="?",
        type=_boolean,
        const=True,
        default=False,
        metavar="true|false",
        help="the names of that year's second modeling code: convert --to keras-v2",
    )
    parser.add_argument(
        "--nocreate_v2_checkpoint", dest="create_v2_checkpoint", action="store_false", help="the names of the first one"
    )
    parser.add_argument(
        "--alsologtostderr", "--logtostderr", action="store_true", help="no effect: the log goes to stderr anyway"
    )
    parser.set_defaults(run=cmd_tf1_to_keras)


def _boolean(text: str) -> bool:
    """Return what absl takes a flag's value for."""
    if text.lower() not in TRUE + FALSE:
        raise argparse.ArgumentTypeError(f"expected true or false, got {text!r}")
    return text.lower() in TRUE


def cmd_tf1_to_keras(args: argparse.Namespace) -> int:
    """Convert, replace what is there, make it the latest of its directory, and log on stderr: all as that script does."""
    from tfckpt.planning.exclusion import part_of_names

    source, dest = args.checkpoint_from_path, args.checkpoint_to_path
    with progress_bar("converting", quiet=args.quiet) as progress:
        plan = tfckpt.convert(
            source,
            dest,
            to="keras-v2" if args.create_v2_checkpoint else "keras",
            num_heads=args.num_heads if args.num_heads > 0 else None,
            exclude=[part_of_names(text) for text in args.exclude_patterns.split(",")] if args.exclude_patterns else (),
            overwrite=True,
            update_state=True,
            progress=progress,
        )
    if args.json:
        done = {"destination": dest, "verified": True, "state_updated": True, "proved": False}
        print_json(plan.to_json() | done)
    elif not args.quiet:
        _log(plan, source, dest)
    return 0


def _log(plan: tfckpt.Plan, source: str, dest: str) -> None:
    """Print the script's lines, and one more: what its users asked next."""
    from tfckpt.cli.log_2019 import log_lines
    from tfckpt.families.catalog import CATALOG
    from tfckpt.families.language.layouts import Substitutions

    layout = CATALOG.find_layout(plan.to)
    assert isinstance(layout, Substitutions)
    for line in log_lines(plan, layout, source=source, dest=dest):
        print(f"{LOGGER}{printable(line)}", file=sys.stderr)
    command = shlex.join(["tfckpt", "convert", source, f"{dest}.tf2"])
    why = "names of 2019, which TensorFlow 2 restores into the models of that year alone; for today's"
    print(f"tfckpt tf1-to-keras: note: {why}: {printable(command)}", file=sys.stderr)
