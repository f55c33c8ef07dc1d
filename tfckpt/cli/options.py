"""Arguments that several commands take, and how a command's arguments are read."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from tfckpt.base.flags import add_flags
from tfckpt.base.options import SourceOptions
from tfckpt.errors import ManifestError, UsageError
from tfckpt.families.targets import TargetParser

if TYPE_CHECKING:
    from tfckpt.checkpoint.find.lookup import Found, Lookup

CHECKPOINT = "checkpoint: a prefix, one of its files, or its directory"

# What other tools call a command, and what it is called here.
SYNONYMS = {
    "help": "--help",
    "version": "--version",
    "list": "ls",
    "inspect": "info",
    "describe": "info",
    "print": "show",
    "compare": "diff",
    "check": "verify",
    "validate": "verify",
    "repair": "salvage",
    "copy": "rewrite",
    "rename": "rewrite",
    "targets": "layouts",
}

# The same of options; of those of other tools, and of other commands here.
OPTION_SYNONYMS = {
    "--force": "--overwrite",
    "-f": "--overwrite",
    "--map": "--to",
    "--to": "--map",
    "--target": "--to",
    "--config-file": "--config",
    "--bert_config_file": "--config",
    "--albert_config_file": "--config",
    "--exclude_patterns": "--exclude",
}
DRY_RUN = "--dry-run"
UNKNOWN = "unrecognized arguments: "  # how argparse begins


class FailedJobsError(ManifestError):
    """Conversions that failed, each of which the command's own document tells."""


class WrongUsageError(UsageError):
    """Options that do not go together, of which argparse knows nothing; exits with the same code as its own errors."""


class SuggestingParser(TargetParser):
    """A parser that says of a choice that is nearly one, which."""

    def error(self, message: str) -> NoReturn:
        """Exit with 2, the usage, and the message."""
        if match := re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)$", message):
            import difflib

            near = difflib.get_close_matches(match[1], [name.strip(" '") for name in match[2].split(",")], n=1)
            if message.startswith("argument COMMAND:") and match[1] in SYNONYMS:
                near = [SYNONYMS[match[1]]]
            message += f"; did you mean {near[0]!r}?" if near else ""
        elif message.startswith(UNKNOWN) and self.prog == "tfckpt":
            message += "; options stand behind the command"
        elif message.startswith(UNKNOWN):
            message += self._nearest(message.removeprefix(UNKNOWN).split()[0])
        elif message.endswith("required: COMMAND"):
            message += f"; {self.prog} --help lists them"
        super().error(message)

    def _nearest(self, option: str) -> str:
        """Return what to say of an option that is none."""
        import difflib

        name = option.partition("=")[0]
        if name == DRY_RUN:
            return "; tfckpt plan shows what convert would do"
        known = [text for text in self._option_string_actions if text.startswith("--")]
        meant = [text for text in (OPTION_SYNONYMS.get(name), name.replace("_", "-")) if text in known]
        near = meant or ([] if name in OPTION_SYNONYMS else difflib.get_close_matches(name, known, n=1))
        return f"; did you mean {near[0]}?" if near else ""


class CommandParser(SuggestingParser):
    """The parser of one command: options may stand between its arguments, as every Python from 3.12 on has it.

    With ``one_dash``, its long options may have one dash or two, as absl's flags do.
    """

    _is_reading = False

    def __init__(self, *args: Any, one_dash: bool = False, **options: Any) -> None:
        super().__init__(*args, **options | {"allow_abbrev": False})
        self._one_dash = one_dash

    def parse_known_args(  # type: ignore[override]  # argparse calls it, and no one else
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[Any, list[str]]:
        """Parse what is known; before 3.12, the method called here calls this one for the options and for the rest.

        While it does so, arguments are hidden, and a help text would lack them.
        """
        if self._one_dash and args is not None:
            args = [f"-{arg}" if f"-{arg.partition('=')[0]}" in self._option_string_actions else arg for arg in args]
        if self._is_reading or not {"-h", "--help"}.isdisjoint(args or ()):
            found, unknown = super().parse_known_args(args, namespace)
            return found, unknown
        self._is_reading = True
        try:
            found, unknown = self.parse_known_intermixed_args(args, namespace)
        finally:
            self._is_reading = False
        if unknown:  # else it would be said with the usage of the whole
            self.error(UNKNOWN + " ".join(unknown))
        return found, unknown


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add what every command takes."""
    parser.add_argument("--json", action="store_true", help="print one JSON document (docs/json.md)")
    parser.add_argument("--no-pager", action="store_true", help="do not page long output with $PAGER")
    volume = parser.add_mutually_exclusive_group()
    volume.add_argument(
        "-q",
        "--quiet",
        action="store_true",
        help="print no progress, and no report of what was done; the exit code says whether it worked",
    )
    volume.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        help="write the log to stderr, and show where in the code an error came from",
    )


def add_source(parser: argparse.ArgumentParser, name: str = "prefix") -> None:
    """Add the checkpoint to read, and the option that says in which format."""
    parser.add_argument(name, metavar=name.upper(), help=CHECKPOINT)
    add_flags(parser, SourceOptions)


def add_filter(parser: argparse.ArgumentParser, what: str = "names") -> None:
    """Add what chooses among tensors: a glob, a regular expression, or both."""
    parser.add_argument(
        "pattern",
        metavar="PATTERN",
        nargs="?",
        help=f"shell glob that {what} must match; if none does, paths of objects, or full names of variables",
    )
    parser.add_argument(
        "--regex", type=_regex, metavar="REGEX", help=f"only {what} in which this regular expression matches"
    )


def matcher(args: argparse.Namespace) -> Callable[[str], bool]:
    """Return whether a text is one that `add_filter`'s arguments ask for."""
    import fnmatch

    def matches(text: str) -> bool:
        if args.pattern is not None and not fnmatch.fnmatchcase(text, args.pattern):
            return False
        return args.regex is None or args.regex.search(text) is not None

    return matches


def matched_otherwise(args: argparse.Namespace, lookup: Lookup) -> Found | None:
    """Return the tensors that `add_filter`'s arguments ask for where no key is one: by paths or full names.

    Raises: TensorNotFoundError, if a name without wildcards is that of several variables.
    """
    return lookup.match(args.pattern) if args.regex is None else lookup.select(matcher(args))


def _regex(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"not a regular expression: {error}") from None


def add_dest(parser: argparse.ArgumentParser) -> None:
    """Add the prefix to write to."""
    parser.add_argument("dest", metavar="DEST", help="exact prefix of the files to write")
