"""The command line: the parser, and the one place where errors become lines on stderr and an exit code."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence

import tfckpt
from tfckpt.cli import convert, demo, inspect, rewrite, tree
from tfckpt.cli.output import printable
from tfckpt.errors import TfckptError

INTERRUPTED = 130  # what shells report for a command that Ctrl-C ended


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command ``tfckpt``."""
    parser = argparse.ArgumentParser(prog="tfckpt", description="TensorFlow checkpoints without TensorFlow.")
    parser.add_argument("--version", action="version", version=f"tfckpt {tfckpt.__version__}")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print one JSON document")
    for group in (convert, inspect, tree, rewrite, demo):
        group.add_commands(commands, common)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code: 0 done, 1 an expected failure, 2 wrong usage."""
    args = build_parser().parse_args(argv)
    _prepare_output()
    try:
        code: int = args.run(args)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (TfckptError, OSError) as error:
        for line in getattr(error, "complaints", [str(error)]):
            print(f"tfckpt {args.command}: {printable(line)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def _prepare_output() -> None:
    """Make every name printable in any encoding, and a closed stdout a place to print to."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for the rest of the process
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
