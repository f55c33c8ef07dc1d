"""Commands that go to the files of other frameworks, and come from them: export, import."""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext, redirect_stdout
from typing import Any

import tfckpt
from tfckpt.cli.convert import add_request, request_of
from tfckpt.cli.options import Targets, add_edits, add_source
from tfckpt.cli.output import report_written
from tfckpt.cli.stdin import NAME as STDIN
from tfckpt.cli.stdin import STREAM, stdin_as_file
from tfckpt.cli.terminal import progress_bar
from tfckpt.errors import UsageError
from tfckpt.exchange.defaults import FORMS, KEY, KINDS, SOURCE
from tfckpt.layouts.defaults import AUTO


def add_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    """Add this file's commands to the parser."""
    export = commands.add_parser("export", parents=[common], help="write tensors as safetensors, .npz or .npy files")
    add_source(export, "source")
    export.add_argument("dest", metavar="DEST", help="NAME.safetensors, NAME.npz, or a directory: NAME/; - is stdout")
    _add_choices(export)
    export.add_argument(
        "--names",
        choices=FORMS,
        default=KEY,
        help="what tensors of objects are called: by key, by the path that tree draws, or by full name (default: key)",
    )
    export.add_argument("--no-verify", dest="verify", action="store_false", help="believe the source's checksums")
    export.set_defaults(run=cmd_export, reports=True)

    imports = commands.add_parser(
        "import", parents=[common], help="make a checkpoint of safetensors, .npz or .npy files"
    )
    imports.add_argument(
        "source", metavar="SOURCE", help="a .safetensors or .npz file, or an exported directory; - is stdin"
    )
    imports.add_argument("dest", metavar="DEST", help="exact prefix of the files to write")
    _add_choices(imports)
    imports.set_defaults(run=cmd_import, reports=True)


def _add_choices(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--as", dest="kind", choices=KINDS, help="kind of file; npy is a directory (default: by its name)"
    )
    parser.add_argument(
        "--to",
        metavar="TARGET",
        choices=Targets(SOURCE, AUTO),
        default=SOURCE,
        help=f"whose names and shapes: %(choices)s (default: %(default)s, as they are); {AUTO} takes the fullest that fits",
    )
    add_edits(parser)
    add_request(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace what is there")
    parser.add_argument("--no-sync", dest="sync", action="store_false", help="do not wait for the disk")
    parser.add_argument("--dry-run", action="store_true", help="show what would become of each tensor, write nothing")


def _options_of(args: argparse.Namespace) -> dict[str, Any]:
    edits = ("kind", "rename", "drop", "keep", "sync", "overwrite", "dry_run")
    return request_of(args) | {name: getattr(args, name) for name in edits}


def cmd_export(args: argparse.Namespace) -> int:
    """Write tensors to other files, and report every one; on stderr if stdout gets the file."""
    is_stream = args.dest == STREAM
    dest = _stdout() if is_stream and not args.dry_run else args.dest
    with progress_bar("exporting", quiet=args.quiet) as progress:
        plan = tfckpt.export(
            args.source, dest, **_options_of(args), names=args.names, verify=args.verify, progress=progress
        )
    with redirect_stdout(sys.stderr) if is_stream and not args.quiet else nullcontext():
        where = "stdout" if is_stream else None
        return report_written(plan, args, written=not args.dry_run, where=where, verified=args.verify)


def cmd_import(args: argparse.Namespace) -> int:
    """Make a checkpoint, and report every tensor."""
    options = _options_of(args)
    del options["source_format"]
    is_stream = args.source == STREAM  # which nobody can seek in
    with (
        stdin_as_file() if is_stream else nullcontext(args.source) as source,
        progress_bar("importing", quiet=args.quiet) as progress,
    ):
        plan = tfckpt.import_(source, args.dest, **options, progress=progress)
    if is_stream:
        plan = plan._replace(source=STDIN)
    return report_written(plan, args, written=not args.dry_run)


def _stdout() -> Any:
    """Return the stdout that the process began with, for bytes."""
    if sys.__stdout__ is None:
        raise UsageError(f"{STREAM}: stdout is closed")
    if sys.__stdout__.isatty():
        raise UsageError(f"{STREAM}: stdout is a terminal, and the file is not text")
    return sys.__stdout__.buffer
