"""How the commands print: tables on a terminal, stable plain text in a pipe, JSON on request."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from tfckpt import errors
from tfckpt.base.issues import Issue, like
from tfckpt.base.options import for_shell
from tfckpt.cli.ui.tables import GAP, layout, wrap_words
from tfckpt.cli.ui.terminal import human, make_console

if TYPE_CHECKING:
    import argparse

    from tfckpt.checkpoint.find.lookup import Found, Lookup

printable = errors.printable
some = errors.some

Span = tuple[str, str]  # a piece of a line, and rich's name of its style
GOOD, NOTE, NEXT = "bold green", "yellow", "bold cyan"  # styles of what lines begin with
LABEL = "cyan"  # and of what stands before a fact
NARROWEST_FACT = 20  # characters for what stands behind its label
ALL = "--all"  # what asks for a row for each tensor
UNIT = 1024
MOST_DIFFERENCES = 20
MOST_OF_A_KIND = 3
MEANT = {"path": ("the path of an object", "paths of objects"), "full name": ("a full name", "full names")}
ASCII_GUIDES = str.maketrans("└├│─", "`||-")  # for a stdout that cannot say more


def add_all(parser: argparse.ArgumentParser) -> None:
    """Add the flag for a row for each tensor."""
    parser.add_argument(ALL, action="store_true", help="list every tensor, as in a pipe; do not fold equal layers")


def print_json(value: Any) -> None:
    """Print one JSON document."""
    import json

    print(json.dumps(value, indent=2))


def print_json_rows(document: Mapping[str, Any], rows: str) -> None:
    """Print one JSON document in which each item of its list ``rows`` is on a line of its own."""
    import json

    rest = json.dumps({name: value for name, value in document.items() if name != rows}, indent=2)
    items = ",\n".join(f"    {json.dumps(item)}" for item in document[rows])
    print(f"{rest.removesuffix('}').rstrip()},\n  {json.dumps(rows)}: [\n{items}\n  ]\n}}")


def print_failure(error: Exception, commands: Sequence[str]) -> None:
    """Print a failure as one JSON document: every difference of a comparison, or every issue and what may be typed next."""
    import json

    if isinstance(error, errors.ProofError) and error.report is not None:
        print_json_rows(error.report, "tensors")
        return
    told = [{"text": issue.text(for_shell), **issue.to_json()} for issue in _issues_of(error)]
    print(errors.redacted(json.dumps({"error": type(error).__name__, "issues": told, "next": commands}, indent=2)))


def shortened(name: str) -> str:
    """Return a name without what ends nearly every key of an object-based checkpoint.

    >>> shortened("model/dense/kernel/.ATTRIBUTES/VARIABLE_VALUE")
    'model/dense/kernel'
    """
    from tfckpt.checkpoint.graph.object_graph import ATTRIBUTES, VARIABLE_VALUE  # which costs start-up time

    return name.removesuffix(ATTRIBUTES + VARIABLE_VALUE)


def terminal_width() -> int:
    """Return how many characters fit in a line."""
    return make_console().width


def say(text: str, style: str = "", *, whole: bool = False) -> None:
    """Print a line on stdout, what stands before its first colon in a colour; on a terminal as `tell` does."""
    label, colon, rest = text.partition(": ")
    _print_line(label + colon, rest, style, sys.stdout, whole=whole)


def tell(command: str, text: str, style: str = "bold red", *, whole: bool = False) -> None:
    """Print a line of a command on stderr, in colour on a terminal, and there broken between words unless ``whole``."""
    _print_line(f"tfckpt {command}: ", text, style, sys.stderr, whole=whole)


def _print_line(label: str, text: str, style: str, stream: TextIO, *, whole: bool = False) -> None:
    if not stream.isatty():
        print(label + text, file=stream)
        return
    from rich.text import Text

    console = make_console(stderr=stream is sys.stderr)
    line = label + text if whole else "\n".join(wrap_words(label + text, console.width))
    shown = Text(line)
    shown.stylize(style, 0, len(label.rstrip()))
    console.print(shown, soft_wrap=True)


def is_terminal() -> bool:
    """Whether what is printed is looked at as it is, and not read by a program."""
    return sys.stdout.isatty()


def sized(nbytes: int) -> str:
    """Return a size as programs and people read it: on a terminal in both ways.

    >>> sized(21_704)
    '21,704 bytes'
    """
    exact = f"{nbytes:,} bytes" if nbytes != 1 else "1 byte"
    return f"{human(nbytes)} ({exact})" if is_terminal() and nbytes >= UNIT else exact


def folded(lines: Sequence[str]) -> Sequence[str]:
    """Return the lines that a person reads of many of one kind, and how many more there are."""
    if len(lines) <= MOST_DIFFERENCES:
        return lines
    more = errors.count_of(len(lines) - MOST_DIFFERENCES, "more difference")
    return [*lines[:MOST_DIFFERENCES], f"and {more}; --json has them all"]


def print_rows(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    styles: Mapping[str, str] = {},
    numbers: Collection[str] = (),
) -> None:
    """Print a table: aligned under its column names on a terminal, tab-separated and bare in a pipe.

    Args:
        columns: their names.
        rows: their cells.
        styles: on a terminal, rich's style of each column that has one.
        numbers: columns to align at the right.
    """
    cells = [[printable(cell) for cell in row] for row in rows]
    if not is_terminal():
        for row in cells:
            print("\t".join(row))
        return
    print_spans(layout(columns, cells, terminal_width(), styles=styles, numbers=numbers))


def print_spans(lines: Iterable[Sequence[Span]]) -> None:
    """Print lines of styled pieces: in colour on a terminal, bare in a pipe; never wrapped."""
    if not is_terminal():
        for line in lines:
            print("".join(text for text, _ in line))
        return
    from rich.text import Text

    drawn = ([(_drawable(text), style) for text, style in line] for line in lines)
    make_console().print(Text("\n").join(Text.assemble(*line) for line in drawn), soft_wrap=True)


def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Print facts, each behind its label: on a terminal aligned and broken between words, in a pipe behind a tab.

    A label that the line before has is not said again.
    """
    facts = [(label, printable(text)) for label, text in facts]
    if not is_terminal():
        for label, text in facts:
            print(f"{label}\t{text}")
        return
    width = max(len(label) for label, _ in facts)
    room = max(terminal_width() - width - len(GAP), NARROWEST_FACT)
    drawn: list[list[Span]] = []
    for n, (label, text) in enumerate(facts):
        shown = "" if n and label == facts[n - 1][0] else label
        rows = wrap_words(text, room)
        drawn += [[(f"{shown if first == 0 else '':{width}}{GAP}", LABEL), (row, "")] for first, row in enumerate(rows)]
    print_spans(drawn)


def bar_block() -> str:
    """Return what bars are drawn with."""
    return "█" if _speaks_unicode() else "#"


def _speaks_unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def guides(*, last: bool) -> tuple[str, str]:
    """Return what a tree draws before a branch, and before the lines below it."""
    corner, bar = ("└─ ", "   ") if last else ("├─ ", "│  ")
    return _drawable(corner), _drawable(bar)


def _drawable(text: str) -> str:
    """Return a text with lines that the terminal's encoding can say."""
    return text if _speaks_unicode() else text.translate(ASCII_GUIDES)


def print_no_match(args: argparse.Namespace, count: int) -> None:
    """Say on stderr that what chooses among tensors chose none, and why a name without wildcards does not."""
    literal = args.pattern is not None and not set("*?[") & set(args.pattern)
    hint = f"; a glob matches whole names, as {printable(f'*{args.pattern}*')!r} does" if literal else ""
    tell(args.command, f"none of {count} tensors matches{hint}", NOTE)


def print_meant(
    args: argparse.Namespace, found: Found, lookup: Lookup, text: str | None = None, *, by_key: Collection[str] = ()
) -> None:
    """Say on stderr what was taken where it was no key: the tensors of ``text``, or what chooses among all."""
    if args.quiet or found.how == "key":
        return
    one, many = MEANT[found.how]
    tensors = some([printable(repr(name)) for name in found.names if name not in by_key], 3)
    if text is not None:
        said = f"{printable(repr(text))} is {one}: {tensors}"
    else:
        said = f"{many} match as well: {tensors}" if by_key else f"no key matches; {many} do: {tensors}"
    more = "" if lookup.is_complete else "; there are more paths than are compared"
    tell(args.command, f"{said}{more}", NOTE)


def print_notes(issues: Iterable[Issue]) -> None:
    """Print what a user should know of a result."""
    for issue in issues:
        say(f"note: {printable(issue.text(for_shell))}", NOTE)


def by_role(roles: Iterable[str]) -> str:
    """Return how many tensors there are of each role, the most first.

    >>> by_role(["model", "optimizer state", "model"])
    '2 model, 1 optimizer state'
    """
    from collections import Counter

    return ", ".join(f"{count} {role}" for role, count in Counter(roles).most_common())


def said(error: Exception) -> list[str]:
    """Return what an error says, in the words of the command line: a line for each issue, or for many of one kind."""
    kinds: dict[object, list[Issue]] = {}
    for number, issue in enumerate(_as_one(error)):
        kinds.setdefault((issue.origin, number if issue.code == "said" else issue.code), []).append(issue)
    return [errors.redacted(line) for issues in kinds.values() for line in _lines(issues)]


def _as_one(error: Exception) -> Sequence[Issue]:
    """Return what is wrong; where a proof found that no tensor has its source's values, that as one issue."""
    issues = _issues_of(error)
    if not isinstance(error, errors.ProofError) or error.report is None:
        return issues
    other = [issue for issue in issues if issue.code == "other-values"]
    kept = [tensor for tensor in error.report["tensors"] if tensor["fill"] is None]
    if len(other) < max(len(kept), MOST_OF_A_KIND):
        return issues
    one = Issue("another-model", got=str(len(kept)), origin=other[0].origin)
    return [one, *(issue for issue in issues if issue.code != "other-values")]


def _issues_of(error: Exception) -> Sequence[Issue]:
    """Return what is wrong; of an error that is none of ours, its message."""
    return error.issues if isinstance(error, errors.TfckptError) else (Issue("said", got=str(error)),)


def _lines(issues: Sequence[Issue]) -> list[str]:
    """Return the lines of issues of one kind: of many the first, how many more there are, and what all of them match."""
    lines = [issue.text(for_shell) for issue in issues]
    if len(issues) <= MOST_OF_A_KIND:
        return lines
    return [f"{lines[0]}; and {len(issues) - 1:,} more like {like([issue.subject for issue in issues])}"]
