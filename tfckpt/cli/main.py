"""The command line: the parser, and the one place where errors become lines on stderr and an exit code."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout

import tfckpt
from tfckpt.base import log
from tfckpt.cli.options import CommandParser, FailedJobsError, SuggestingParser, WrongUsageError, add_common
from tfckpt.cli.stdin import STREAM, stdin_as_file
from tfckpt.cli.ui.output import NOTE, folded, print_failure, printable, said, tell
from tfckpt.cli.ui.terminal import paged
from tfckpt.errors import ProofError, TfckptError

# Each file of commands/ with its commands, in the order in which --help lists them. Only that of a typed command is loaded.
GROUPS: Mapping[str, Sequence[str]] = {
    "convert": ("convert", "plan", "prove", "layouts"),
    "tf1_to_keras": ("tf1-to-keras",),
    "many": ("convert-many",),
    "verify": ("verify",),
    "salvage": ("salvage",),
    "ls": ("ls",),
    "show": ("show",),
    "diff": ("diff",),
    "tree": ("tree",),
    "report": ("info", "report"),
    "rewrite": ("rewrite", "merge", "average"),
    "exchange": ("export", "import"),
    "demo": ("demo",),
    "completion": ("completion",),
}
VERSION = "--version"
FAILED, WRONG_USAGE = 1, 2
INTERRUPTED = 130  # what shells report for a command that Ctrl-C ended
TERMINATED = 143  # and for one that was told to end
EXIT_CODES = (
    (0, "done; for diff: nothing differs"),
    (
        1,
        "failed, and stderr explains each reason in a line; for diff: something differs; for salvage: something is "
        "lost",
    ),
    (WRONG_USAGE, "wrong usage: an argument is unknown or missing, or has a wrong value; for diff: also any failure"),
    (INTERRUPTED, "interrupted (Ctrl-C); nothing is left behind"),
    (TERMINATED, "terminated (SIGTERM); nothing is left behind"),
)


def build_parser(typed: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of the command ``tfckpt``; where it is known which command was typed, it knows that one alone."""
    codes = "\n".join(f"  {code:<4} {meaning}" for code, meaning in EXIT_CODES)
    parser = SuggestingParser(
        prog="tfckpt",
        description="TensorFlow checkpoints without TensorFlow.",
        epilog=f"exit codes:\n{codes}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(VERSION, action="version", version=f"tfckpt {tfckpt.__version__}")
    commands = parser.add_subparsers(
        title="commands", dest="command", metavar="COMMAND", required=True, parser_class=CommandParser
    )
    common = argparse.ArgumentParser(add_help=False)
    add_common(common)
    alone = [group for group, names in GROUPS.items() if typed in names]
    groups = alone if alone or typed == VERSION else GROUPS
    for group in groups:
        importlib.import_module(f"tfckpt.cli.commands.{group}").add_commands(commands, common)
    if "completion" in commands.choices:
        commands.choices["completion"].set_defaults(build_parser=build_parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code, one of `EXIT_CODES`.

    A parser's defaults say what its command is like: ``paged`` if what it prints is to be looked at, ``reports`` if it is
    about what was done, ``trouble`` for its own code for a failure.
    """
    argv = sys.argv[1:] if argv is None else argv
    args = build_parser(next(iter(argv), None)).parse_args(argv)
    _prepare_output()
    try:
        code = _run(args)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (TfckptError, OSError) as error:
        from tfckpt.cli.advice import next_commands

        _tell(error, args, next_commands(error, args, argv, _parse_any))
        return WRONG_USAGE if isinstance(error, WrongUsageError) else getattr(args, "trouble", FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception:
        from tfckpt.cli.advice import print_next, unmet_requirements

        if args.verbose or not (lacking := unmet_requirements()):
            raise
        for line, _ in lacking:
            tell(args.command, line)
        wanted = [requirement for _, requirement in lacking]
        print_next(args.command, shlex.join(["python3", "-m", "pip", "install", "--upgrade", *wanted]))
        return getattr(args, "trouble", FAILED)
    return code


def _parse_any(words: Sequence[str]) -> argparse.Namespace:
    """Return what the words of any command mean."""
    return build_parser().parse_args(words)


def _tell(error: Exception, args: argparse.Namespace, commands: Sequence[str]) -> None:
    """Print a failure, and what may be typed next: a line for each reason, and a document if one was asked for."""
    if args.verbose:
        _print_traceback()
    lines = said(error)
    for line in folded(lines) if isinstance(error, ProofError) else lines:
        tell(args.command, printable(line))
    if commands:
        from tfckpt.cli.advice import print_next

        for command in commands:
            print_next(args.command, command)
    if getattr(args, "json", False) and not isinstance(error, FailedJobsError):
        print_failure(error, commands)


def _run(args: argparse.Namespace) -> int:
    with ExitStack() as stack:
        stack.enter_context(_termination_as_exit())
        stack.enter_context(_log_shown() if args.verbose else log.warnings_to(_printer_of_notes(args.command)))
        if args.quiet and getattr(args, "reports", False) and not args.json:
            stack.enter_context(redirect_stdout(io.StringIO()))
        for name in ("config", "layout"):
            if getattr(args, name, None) == STREAM:
                setattr(args, name, stack.enter_context(stdin_as_file()))
        stack.enter_context(paged(wanted=getattr(args, "paged", False) and not args.no_pager))
        code: int = args.run(args)
        return code


@contextmanager
def _termination_as_exit() -> Iterator[None]:
    """Let a SIGTERM end the command as Ctrl-C does: what was begun is taken back."""
    import signal

    def end(number: int, frame: object) -> None:
        sys.exit(TERMINATED)

    try:
        before = signal.signal(signal.SIGTERM, end)
    except ValueError:  # not in the main thread, which alone may say so
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _printer_of_notes(command: str) -> Callable[[str], None]:
    """Return what prints a warning of the library: each once, however often a file is opened."""
    printed: set[str] = set()

    def note(text: str) -> None:
        if text not in printed:
            printed.add(text)
            tell(command, f"note: {printable(text)}", NOTE)

    return note


@contextmanager
def _log_shown() -> Iterator[None]:
    """Show on stderr what the library logs."""
    import logging

    class Printable(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return printable(super().format(record))

    logger, handler = logging.getLogger("tfckpt"), logging.StreamHandler()
    handler.setFormatter(Printable("%(name)s: %(levelname)s: %(message)s"))
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


def _print_traceback() -> None:
    import traceback

    for line in traceback.format_exc().splitlines():
        print(printable(line), file=sys.stderr)


def _prepare_output() -> None:
    """Make every name printable in any encoding, and a closed stdout a place to print to."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for the rest of the process
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
