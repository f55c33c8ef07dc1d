"""Commands that go to the files of other frameworks, and come from them: export, import."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from contextlib import nullcontext, redirect_stdout
from typing import Any

import tfckpt
from tfckpt.base.flags import add_flags, options_from
from tfckpt.base.options import AUTO, SOURCE, ExportOptions, ImportOptions
from tfckpt.cli.options import CHECKPOINT, add_dest
from tfckpt.cli.stdin import NAME as STDIN
from tfckpt.cli.stdin import STREAM, stdin_as_file
from tfckpt.cli.ui.output import add_all
from tfckpt.cli.ui.planned import report_written
from tfckpt.cli.ui.terminal import progress_bar
from tfckpt.errors import UsageError
from tfckpt.families.targets import Targets
from tfckpt.formats.container import kinds


def add_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    """Add this file's commands to the parser."""
    choices: dict[str, Iterable[str]] = {"to": Targets(SOURCE, AUTO), "kind": kinds()}
    export = commands.add_parser("export", parents=[common], help="write tensors as safetensors, .npz or .npy files")
    export.add_argument("source", metavar="SOURCE", help=CHECKPOINT)
    export.add_argument(
        "dest", metavar="DEST", help="NAME.safetensors, NAME.npz, or a directory: NAME/; - means stdout"
    )
    add_flags(export, ExportOptions, choices=choices)
    add_all(export)
    export.set_defaults(run=cmd_export, reports=True)

    imports = commands.add_parser(
        "import", parents=[common], help="make a checkpoint from safetensors, .npz or .npy files"
    )
    imports.add_argument(
        "source", metavar="SOURCE", help="a .safetensors or .npz file, or an exported directory; - means stdin"
    )
    add_dest(imports)
    add_flags(imports, ImportOptions, choices=choices)
    add_all(imports)
    imports.set_defaults(run=cmd_import, reports=True)


def cmd_export(args: argparse.Namespace) -> int:
    """Write tensors to other files, and report every one; on stderr if stdout gets the file."""
    is_stream = args.dest == STREAM
    dest = _stdout() if is_stream and not args.dry_run else args.dest
    with progress_bar("exporting", quiet=args.quiet) as progress:
        plan = tfckpt.export(args.source, dest, **options_from(args, ExportOptions), progress=progress)
    with redirect_stdout(sys.stderr) if is_stream and not args.quiet else nullcontext():
        where = "stdout" if is_stream else None
        return report_written(plan, args, written=not args.dry_run, where=where, verified=args.verify)


def cmd_import(args: argparse.Namespace) -> int:
    """Make a checkpoint, and report every tensor."""
    is_stream = args.source == STREAM  # which nobody can seek in
    with (
        stdin_as_file() if is_stream else nullcontext(args.source) as source,
        progress_bar("importing", quiet=args.quiet) as progress,
    ):
        plan = tfckpt.import_(source, args.dest, **options_from(args, ImportOptions), progress=progress)
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
