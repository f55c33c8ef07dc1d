"""The command completion: a script that makes a shell complete commands, options, choices and paths."""

from __future__ import annotations

import argparse

SHELLS = ("bash", "zsh", "fish")
FILES = (
    "PREFIX",
    "SOURCE",
    "DEST",
    "A",
    "B",
    "FILE",
    "MANIFEST",
)  # arguments that are paths, by how the help names them
DIRECTORIES = ("DIR",)


def add_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    """Add this file's command to the parser; it has nothing to report, and so none of the common options."""
    completion = commands.add_parser("completion", help="print a script that completes tfckpt's arguments in a shell")
    completion.add_argument("shell", metavar="SHELL", choices=SHELLS, help=", ".join(SHELLS))
    completion.set_defaults(run=cmd_completion, json=False, quiet=False, verbose=False, no_pager=True)


def cmd_completion(args: argparse.Namespace) -> int:
    """Print the script."""
    import shtab

    parser = args.build_parser()
    _mark_paths(parser)
    print(shtab.complete(parser, args.shell))
    return 0


def _mark_paths(parser: argparse.ArgumentParser) -> None:
    """Tell shtab which arguments are paths."""
    import shtab

    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                _mark_paths(command)
        elif action.metavar in FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif action.metavar in DIRECTORIES:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
