"""The command report: a page to look at, of a checkpoint and its conversion."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import tfckpt
from tfckpt.cli.options import WrongUsageError, add_source, counting
from tfckpt.cli.output import folded, print_json_rows, printable, tell
from tfckpt.cli.stdin import STREAM
from tfckpt.cli.terminal import progress_bar
from tfckpt.errors import remedied
from tfckpt.flags import Targets, add_flags, home_path, options_from
from tfckpt.issues import Remedy, retype
from tfckpt.options import AUTO, ModelOptions, Request, given

if TYPE_CHECKING:
    from tfckpt.checkpoint.checkpoint import Checkpoint
    from tfckpt.conversion.plan import Plan
    from tfckpt.page.document import Document

BINS = 24
OUTPUT = ("-o", "--output")
PAGE_SUFFIXES = (".html", ".htm")


def add_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    """Add this file's command to the parser."""
    report = commands.add_parser("report", parents=[common], help="write a page to look at: bytes, mapping, histograms")
    add_source(report, "source")
    report.add_argument(
        "dest",
        metavar="DEST",
        nargs="?",
        help="what SOURCE was converted to: the mapping between them, with every value compared",
    )
    report.add_argument(
        *OUTPUT, type=home_path, metavar="FILE", help="the page to write, such as report.html; - is stdout"
    )
    report.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    report.add_argument(
        "--to",
        metavar="TARGET",
        choices=Targets(AUTO),
        help="show the mapping to this target, e.g. encoder, or auto; without it, the one that DEST shows. The options below "
        "are those of convert",
    )
    add_flags(report, ModelOptions)
    report.add_argument(
        "--bins", type=counting(1, 1000), default=BINS, metavar="N", help=f"bars of the histograms (default: {BINS})"
    )
    report.add_argument(
        "--no-stats",
        dest="stats",
        action="store_false",
        help="do not read SOURCE's values: no statistics, no checksums",
    )
    report.set_defaults(run=cmd_report)


def cmd_report(args: argparse.Namespace) -> int:
    """Write the page, or print what it says; exit code 1 if a tensor cannot be read, or DEST is not SOURCE's."""
    from tfckpt.page.document import make_document

    if (args.output is None) != args.json:
        raise remedied(
            WrongUsageError("expected -o FILE for the page, or --json for what it says, and not both"),
            _with_output(args),
        )
    with ExitStack() as stack:
        source = stack.enter_context(tfckpt.open(args.source, format=args.source_format))
        dest = stack.enter_context(tfckpt.open(args.dest)) if args.dest is not None else None
        _check_output(args, source, dest)
        plan = _plan(args, source, dest)
        progress = stack.enter_context(progress_bar("reading", quiet=args.quiet))
        document = make_document(
            source,
            dest,
            plan,
            recovered=args.to is None and args.layout is None,
            bins=args.bins if args.stats else None,
            progress=progress,
        )
        problems = [] if document.head["mapping"] is None else list(document.head["mapping"]["differences"])
        document = document._replace(tensors=_noting(document.tensors, problems))
        _write(args, document)
    for line in folded(problems):
        tell("report", printable(line))
    return 1 if problems else 0


def _check_output(args: argparse.Namespace, *checkpoints: Checkpoint | None) -> None:
    from tfckpt.bundle import files
    from tfckpt.bundle.commit import existing_files
    from tfckpt.bundle.paths import v1_paths

    if args.output not in (None, STREAM):
        prefixes = [checkpoint.prefix for checkpoint in checkpoints if checkpoint is not None]
        inputs = [path for prefix in prefixes for path in (*existing_files(prefix), *v1_paths(prefix))]
        files.check_free(args.output, inputs, overwrite=args.overwrite)


def _with_output(args: argparse.Namespace) -> Remedy:
    """Return the command that says where the page goes: a DEST that is called like a page was meant as one."""
    if args.json:
        return retype(without=OUTPUT)
    if args.dest is not None and args.dest.endswith(PAGE_SUFFIXES):
        return retype(without=(args.dest,), words=(OUTPUT[0], args.dest))
    return retype(words=(OUTPUT[0], "report.html"))


def _plan(args: argparse.Namespace, source: Checkpoint, dest: Checkpoint | None) -> Plan | None:
    from tfckpt.conversion.request import make_plan

    request = given(Request, options_from(args, Request) | {"to": args.to or AUTO})
    if args.to is not None or args.layout is not None:
        return make_plan(source, request)
    if dest is None:
        return None
    from tfckpt.conversion.recover import recover_plan

    return recover_plan(source, dest, request)


def _noting(tensors: Iterator[dict[str, Any]], problems: list[str]) -> Iterator[dict[str, Any]]:
    """Yield tensors as they come; note what is wrong with one, once for each place."""
    for tensor in tensors:
        if tensor["problem"] is not None and tensor["problem"] not in problems:
            problems.append(tensor["problem"])
        yield tensor


def _write(args: argparse.Namespace, document: Document) -> None:
    if args.json:
        print_json_rows({**document.head, "tensors": document.tensors}, "tensors")
        return
    from tfckpt.page.page import page, write_page

    if args.output == STREAM:
        for piece in page(document):
            sys.stdout.write(piece)
        return
    nbytes = write_page(args.output, page(document))
    if not args.quiet:
        print(f"written: {printable(args.output)} ({nbytes:,} bytes)")
