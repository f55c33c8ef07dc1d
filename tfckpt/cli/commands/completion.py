"""The command completion: a script that makes a shell complete commands, options, choices, paths and the names of tensors."""

from __future__ import annotations

import argparse
import re
from contextlib import suppress

import tfckpt
from tfckpt.base.flags import home_path
from tfckpt.errors import TfckptError

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
NAMES = ("TENSOR", "PATTERN")  # arguments that are names of tensors

# A shell puts what it completes on the command line as it is, and would break at, or run, what this does not match; a
# checkpoint may be a stranger's.
HARMLESS = re.compile(r"[A-Za-z0-9_./@%+,][A-Za-z0-9_./@%+,-]*")

# Each asks for the names in the first argument that is a checkpoint.
BASH = """
_tfckpt_names() {
  local word
  for word in "${COMP_WORDS[@]:2:COMP_CWORD-2}"; do
    [[ $word != -* ]] && tfckpt completion bash --names-of="$word" --beginning="$1" 2>/dev/null && return
  done
}
"""
ZSH = """
_tfckpt_names() {
  local word found
  for word in "${(@)words[2,CURRENT-1]}"; do
    if [[ $word != -* ]] && found=$(tfckpt completion zsh --names-of="$word" --beginning="$PREFIX" 2>/dev/null); then
      [[ -n $found ]] && compadd -- "${(@f)found}"
      return
    fi
  done
}
"""
FISH = """
function _tfckpt_names
  set -l words (commandline -opc)
  test (count $words) -gt 2; or return
  for word in $words[3..-1]
    string match -q -- '-*' $word; and continue
    tfckpt completion fish --names-of="$word" --beginning=(commandline -ct) 2>/dev/null; and return
  end
end
"""
TENSOR_NAMES = {
    "bash": "_tfckpt_names",
    "zsh": "_tfckpt_names",
    "fish": "(_tfckpt_names)",
    "preamble": {"bash": BASH, "zsh": ZSH, "fish": FISH},
}


def add_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    """Add this file's command to the parser; it has nothing to report, and so none of the common options."""
    completion = commands.add_parser("completion", help="print a script that completes tfckpt's arguments in a shell")
    completion.add_argument("shell", metavar="SHELL", choices=SHELLS, help=", ".join(SHELLS))
    completion.add_argument(
        "--names-of",
        metavar="PREFIX",
        type=home_path,
        help="print what a checkpoint's tensors are called instead: keys, paths and full names; the script asks for it",
    )
    completion.add_argument("--beginning", metavar="TEXT", default="", help="only names with this beginning")
    completion.set_defaults(run=cmd_completion, json=False, quiet=False, verbose=False, no_pager=True)


def cmd_completion(args: argparse.Namespace) -> int:
    """Print the script, or the names that it asks for."""
    if args.names_of is not None:
        _print_names(args.names_of, args.beginning)
        return 0
    import shtab

    parser = args.build_parser()
    _mark(parser)
    print(shtab.complete(parser, args.shell))
    return 0


def _print_names(prefix: str, beginning: str) -> None:
    with tfckpt.open(prefix) as checkpoint:
        names = list(checkpoint)
        with suppress(TfckptError):  # of a damaged object graph; the keys are left
            names = checkpoint.lookup.spellings()
        for name in names:
            if name.startswith(beginning) and HARMLESS.fullmatch(name):
                print(name)


def _mark(parser: argparse.ArgumentParser) -> None:
    """Tell shtab which arguments are paths, and which are names of tensors."""
    import shtab

    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                _mark(command)
        elif action.metavar in FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif action.metavar in DIRECTORIES:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
        elif action.metavar in NAMES:
            action.complete = TENSOR_NAMES  # type: ignore[attr-defined]
