"""Commands that say what a checkpoint is: info, on one screen, and report, on a page that shows its conversion, too."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing, nullcontext

import tfckpt
from tfckpt.base.flags import add_flags, home_path, options_from
from tfckpt.base.issues import Remedy, retype
from tfckpt.base.options import AUTO, InfoOptions, ReportOptions
from tfckpt.base.shell import line
from tfckpt.cli.advice import typed_here
from tfckpt.cli.command import OURS
from tfckpt.cli.options import CHECKPOINT, WrongUsageError
from tfckpt.cli.stdin import NAME as STDIN
from tfckpt.cli.stdin import STREAM, stdin_as_file
from tfckpt.cli.ui.described import print_info
from tfckpt.cli.ui.output import GOOD, NEXT, folded, print_json, print_json_rows, printable, say, tell
from tfckpt.cli.ui.terminal import progress_bar
from tfckpt.errors import redacted, remedied
from tfckpt.families.targets import Targets

OUTPUT = ("-o", "--output")
UNNAMED = "model.ckpt"  # what is made of a file that comes from a pipe
PAGE_SUFFIXES = (".html", ".htm")


def add_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    """Add this file's commands to the parser."""
    info = commands.add_parser("info", parents=[common], help="say what a file is, and what to type next")
    kinds = "a .safetensors or .npz file; or an exported directory; - means stdin"
    info.add_argument("file", metavar="FILE", help=f"{CHECKPOINT}; {kinds}")
    add_flags(info, InfoOptions)
    info.set_defaults(run=cmd_info)

    report = commands.add_parser("report", parents=[common], help="write an HTML page: bytes, mapping, histograms")
    report.add_argument("source", metavar="SOURCE", help=CHECKPOINT)
    report.add_argument(
        "dest",
        metavar="DEST",
        nargs="?",
        help="another checkpoint with the same names: where the two differ; or what SOURCE was converted to: the mapping "
        "between them, with every value compared",
    )
    report.add_argument(
        *OUTPUT, type=home_path, metavar="FILE", help="the page to write, such as report.html; - is stdout"
    )
    add_flags(report, ReportOptions, choices={"to": Targets(AUTO)})
    report.set_defaults(run=cmd_report)


def cmd_info(args: argparse.Namespace) -> int:
    """Say what a file is; exit code 1 if a part of it cannot be read."""
    with stdin_as_file() if args.file == STREAM else nullcontext(args.file) as path:
        info = tfckpt.info(path, **options_from(args, InfoOptions))
    if args.file == STREAM:
        info = info._replace(path=STDIN, next=(line([OURS, "import", STREAM, UNNAMED]),))
    if args.json:
        print_json(info.to_json())
    else:
        print_info(info)
        for command in filter(str.isprintable, info.next):  # what is not cannot be typed
            say(f"next: {redacted(typed_here(command))}", NEXT, whole=True)
    for problem in info.problems:
        tell("info", printable(problem))
    return 1 if info.problems else 0


def cmd_report(args: argparse.Namespace) -> int:
    """Write the page, or print what it says; exit code 1 if a tensor cannot be read, or a conversion made something else."""
    if (args.output is None) != args.json:
        raise remedied(
            WrongUsageError("expected -o FILE for the page, or --json for what it says, and not both"),
            _with_output(args),
        )
    output = None if args.output == STREAM else args.output
    with progress_bar("reading", quiet=args.quiet) as progress:
        report = tfckpt.report(
            args.source, args.dest, output=output, **options_from(args, ReportOptions), progress=progress
        )
    if args.json:
        print_json_rows(
            {**report.head_to_json(), "tensors": (tensor.to_json() for tensor in report.tensors)}, "tensors"
        )
    elif args.output == STREAM:
        from tfckpt.page.page import page

        sys.stdout.writelines(page(report))
    elif not args.quiet:
        say(f"written: {printable(args.output)} ({_size(args.output):,} bytes)", GOOD)
        for finding in report.findings:
            say(printable(finding))
    for problem in folded(report.problems):
        tell("report", printable(problem))
    return 1 if report.problems else 0


def _size(path: str) -> int:
    """Return how many bytes a file has, which may be in a store."""
    from tfckpt.storage.files import open_input

    with closing(open_input(path)) as file:
        return file.size


def _with_output(args: argparse.Namespace) -> Remedy:
    """Return the command that says where the page goes: a DEST that is called like a page was meant as one."""
    if args.json:
        return retype(without=OUTPUT)
    if args.dest is not None and args.dest.endswith(PAGE_SUFFIXES):
        return retype(without=(args.dest,), words=(OUTPUT[0], args.dest))
    return retype(words=(OUTPUT[0], "report.html"))
