"""A command tried before it is advised: whether it would work, as far as names and shapes tell, and nothing is written."""

from __future__ import annotations

import argparse
import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout

import tfckpt
from tfckpt.base.flags import options_from
from tfckpt.base.options import (
    AverageOptions,
    ExportOptions,
    ImportOptions,
    MergeOptions,
    PlanOptions,
    RewriteOptions,
)
from tfckpt.cli.command import Command, Restated
from tfckpt.cli.stdin import STREAM
from tfckpt.errors import CheckpointExistsError, TfckptError
from tfckpt.storage import files
from tfckpt.storage.paths import index_path, is_remote

FILE_LIMIT = 1 << 20  # bytes of a configuration
Parse = Callable[[Sequence[str]], argparse.Namespace]


def works(command: Command, parse: Parse) -> bool:
    """Whether a command would work. One that is not ours, or reads what is far away, is believed to.

    Args:
        command: what would be typed.
        parse: the command line's parser.
    """
    if not command.text.isprintable():
        return False  # it cannot be typed
    if command.foreign:
        return True
    try:
        with redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()):
            args = parse(command.words)
    except SystemExit:
        return False
    values = [value for value in vars(args).values() if isinstance(value, str)]
    if any(map(is_remote, values)) or (STREAM in values and command.config is None):
        return True
    try:
        with _configuration(command.config, args):
            _try(args)
    except (TfckptError, OSError):
        return False
    return True


@contextmanager
def _configuration(config: Restated | None, args: argparse.Namespace) -> Iterator[None]:
    """Give a command the configuration that would be piped into it, as a file for the while."""
    if config is None:
        yield
        return
    import tempfile

    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        file.write(files.read_text(config.path, FILE_LIMIT).replace(config.stated, config.own))
        file.flush()
        args.config = file.name
        yield


def _try(args: argparse.Namespace) -> None:
    """Do what a command does before it reads values.

    Raises: whatever it would raise.
    """
    if args.command in TRIALS:
        TRIALS[args.command](args)
    for name in ("prefix", "a", "b"):
        if hasattr(args, name) and args.command != "verify":
            tfckpt.open(getattr(args, name), format=getattr(args, "source_format", None)).close()


def _plan(args: argparse.Namespace) -> None:
    tfckpt.plan(args.source, **options_from(args, PlanOptions))


def _convert(args: argparse.Namespace) -> None:
    _plan(args)
    _check_free(args)


def _edit(args: argparse.Namespace, kind: type) -> None:
    call = getattr(tfckpt, args.command)
    sources = args.sources if hasattr(args, "sources") else args.source
    call(sources, args.dest, **options_from(args, kind) | {"dry_run": True})
    _check_free(args)


def _import(args: argparse.Namespace) -> None:
    options = options_from(args, ImportOptions) | {"dry_run": True}
    tfckpt.import_(args.source, args.dest, **options)
    _check_free(args)


def _check_free(args: argparse.Namespace) -> None:
    if not args.overwrite and (files.exists(index_path(args.dest)) or files.is_file(args.dest)):
        raise CheckpointExistsError(args.dest)
    parent = os.path.dirname(os.path.abspath(args.dest))
    while not os.path.lexists(parent):
        parent = os.path.dirname(parent)
    if not os.path.isdir(parent) or not os.access(parent, os.W_OK):
        raise NotADirectoryError(parent)


# How each command is tried that does more than to look.
TRIALS: Mapping[str, Callable[[argparse.Namespace], None]] = {
    "convert": _convert,
    "plan": _plan,
    "rewrite": lambda args: _edit(args, RewriteOptions),
    "merge": lambda args: _edit(args, MergeOptions),
    "average": lambda args: _edit(args, AverageOptions),
    "export": lambda args: _edit(args, ExportOptions),
    "import": _import,
}
