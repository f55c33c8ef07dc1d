"""How the commands print: tables on a terminal, stable plain text in a pipe, JSON on request."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from tfckpt import errors
from tfckpt.cli.terminal import make_console
from tfckpt.issues import Issue, like
from tfckpt.options import for_shell

if TYPE_CHECKING:
    import argparse

    from tfckpt.checkpoint.lookup import Found, Lookup
    from tfckpt.conversion.config import Fact
    from tfckpt.conversion.plan import Argument, Constructor, Fill, Plan, Step, Written
    from tfckpt.layouts.axes import Size

printable = errors.printable
some = errors.some

Span = tuple[str, str]  # a piece of a line, and rich's name of its style
UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
MOST_DIFFERENCES = 20
MOST_OF_A_KIND = 3
MEANT = {"path": ("the path of an object", "paths of objects"), "full name": ("a full name", "full names")}
ASCII_GUIDES = str.maketrans("└├│─", "`||-")  # for a stdout that cannot say more


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


def is_terminal() -> bool:
    """Whether what is printed is looked at as it is, and not read by a program."""
    return sys.stdout.isatty()


def human(nbytes: int) -> str:
    """Return a size as people say it.

    >>> human(21_704), human(7), human(1 << 40)
    ('21.2 KiB', '7 B', '1.0 TiB')
    """
    size, unit = float(nbytes), 0
    while size >= 1023.95 and unit < len(UNITS) - 1:  # what rounds to 1024.0 is one of the next unit
        size, unit = size / 1024, unit + 1
    return f"{size:.1f} {UNITS[unit]}" if unit else f"{nbytes} B"


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
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    for column in columns:
        justify: Literal["left", "right"] = "right" if column in numbers else "left"
        table.add_column(column, overflow="fold", style=styles.get(column), justify=justify)  # a name is never cut
    for row in cells:
        table.add_row(*map(Text, row))
    make_console().print(table)


def print_spans(lines: Iterable[Sequence[Span]]) -> None:
    """Print lines of styled pieces: in colour on a terminal, bare in a pipe; never wrapped."""
    if not is_terminal():
        for line in lines:
            print("".join(text for text, _ in line))
        return
    from rich.text import Text

    console = make_console()
    for line in lines:
        console.print(Text.assemble(*line), soft_wrap=True)


def bar_block() -> str:
    """Return what bars are drawn with."""
    return "█" if _speaks_unicode() else "#"


def _speaks_unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def guides(*, last: bool) -> tuple[str, str]:
    """Return what a tree draws before a branch, and before the lines below it."""
    corner, bar = ("└─ ", "   ") if last else ("├─ ", "│  ")
    if _speaks_unicode():
        return corner, bar
    return corner.translate(ASCII_GUIDES), bar.translate(ASCII_GUIDES)


def print_no_match(args: argparse.Namespace, count: int) -> None:
    """Say on stderr that what chooses among tensors chose none, and why a name without wildcards does not."""
    literal = args.pattern is not None and not set("*?[") & set(args.pattern)
    hint = f"; a glob matches whole names, as {printable(f'*{args.pattern}*')!r} does" if literal else ""
    print(f"tfckpt {args.command}: none of {count} tensors matches{hint}", file=sys.stderr)


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
    print(f"tfckpt {args.command}: {said}{more}", file=sys.stderr)


def print_plan(plan: Plan) -> None:
    """Print what becomes of every variable, then the sums, then what else to know."""
    rows = [(step.source, _change(step), step.target) for step in plan.steps]
    rows += [(item.source, "dropped", item.rule) for item in plan.dropped]
    print_rows(("source", "shape", "target"), rows, styles={"shape": "cyan"})
    counts = [
        f"{len(plan.steps)} variables",
        f"{plan.nbytes:,} bytes",
        f"{sum(step.is_transposed for step in plan.steps)} transposed",
    ]
    if cast := sum(step.cast is not None for step in plan.steps):
        counts.append(f"{cast} cast")
    target = f" to {plan.to}" if plan.to else ""
    print(f"{printable(plan.source)}{target}: {', '.join(counts)}")
    for rule, items in plan.dropped_by_rule().items():
        roles = by_role(item.role for item in items if item.role not in ("", rule))
        print(f"dropped: {len(items)} ({printable(rule)})" + (f": {roles}" if roles else ""))
    known: Mapping[str, Size | Fact] = {**plan.sizes, **plan.facts}
    for name, stated in known.items():
        print(f"{name}: {printable(str(stated.value))} ({printable(stated.origin)})")
    if plan.constructors:
        print("build the model with:", *build_lines(plan.constructors), sep="\n")
    print_notes(plan.issues)


def print_notes(issues: Iterable[Issue]) -> None:
    """Print what a user should know of a result."""
    for issue in issues:
        print(f"note: {printable(issue.text(for_shell))}")


def build_lines(constructors: Sequence[Constructor]) -> list[str]:
    """Return the Python that builds a model, a comment behind each argument that says where it comes from."""
    names: dict[str, set[str]] = {}
    lines = []
    for constructor in constructors:
        names.setdefault(constructor.module, set()).add(constructor.function.partition(".")[0])
        lines += [f"{constructor.name} = {constructor.function}(", *map(_argument_line, constructor.arguments), ")"]
    if any("tf_utils." in line for line in lines):
        names["official.modeling"] = {"tf_utils"}
    imports = [f"from {module} import {', '.join(sorted(names[module]))}" for module in sorted(names)]
    return ["import tensorflow as tf", *imports, "", *lines]


def _argument_line(argument: Argument) -> str:
    comment = f"{argument.field} ({argument.origin})" if argument.field else argument.origin
    return f"    {argument.name}={argument.code}," + (f"  # {printable(comment)}" if comment else "")


def by_role(roles: Iterable[str]) -> str:
    """Return how many tensors there are of each role, the most first.

    >>> by_role(["model", "optimizer state", "model"])
    '2 model, 1 optimizer state'
    """
    from collections import Counter

    return ", ".join(f"{count} {role}" for role, count in Counter(roles).most_common())


def report_written(
    plan: Plan, args: argparse.Namespace, *, written: bool = True, where: str | None = None, **more: Any
) -> int:
    """Print what became of every tensor, and where, unless nothing was written; ``more`` is for the JSON. Return 0.

    ``where`` is what a text calls the destination, if not as the command line does.
    """
    if args.json:
        print_json(plan.to_json() | {"destination": args.dest if written else None} | more)
    else:
        print_plan(plan)
        if written:
            print(f"written: {printable(where or args.dest)}")
    return 0


def print_written(dest: str, written: Written | None) -> None:
    """Print where a conversion went and, if it shares files, how, with what goes along unnamed."""
    assert written is not None
    print_notes(written.issues)
    how = "" if written.mode == "copy" else f" ({written.mode}: the data files are SOURCE's)"
    print(f"written: {printable(dest)}{how}")
    if written.carried_nbytes:
        print(f"carried: {written.carried_nbytes:,} bytes of SOURCE's data files that no tensor of it names")


def what_holds(steps: Sequence[Step]) -> str:
    """Return what a proof of these steps says where some were filled; nothing, where all hold the source's values."""
    fills = [step.fill for step in steps if step.fill is not None]
    if not fills:
        return ""
    kept = len(steps) - len(fills)
    holds = f"{kept} tensor holds" if kept == 1 else f"{kept} tensors hold"
    filled = "1 was filled" if len(fills) == 1 else f"{len(fills)} were filled"
    return f"{holds} the source's values, {filled} ({kinds_of(fills)}), and every checksum matches"


def kinds_of(fills: Iterable[Fill]) -> str:
    """Return each kind of values once, with the first and the last seed that it has.

    >>> from tfckpt.types import Fill
    >>> kinds_of([Fill(0.0, 0.02, 7), Fill(0.0), Fill(0.0, 0.02, 9), Fill(1.0)])
    'normal, deviation 0.02, seeds 7 to 9; zeros; ones'
    """
    kinds: dict[Fill, list[Fill]] = {}
    for fill in fills:
        kinds.setdefault(fill._replace(seed=None), []).append(fill)
    return "; ".join(_kind(sorted(kind)) for kind in kinds.values())


def _kind(fills: Sequence[Fill]) -> str:
    """Return what fills that differ only in their seeds are, from the first seed to the last."""
    first, last = fills[0], fills[-1]
    return str(first) if first == last else f"{str(first).replace('seed', 'seeds')} to {last.seed}"


def _change(step: Step) -> str:
    """Return the shape, and what becomes of it or of the dtype."""
    from tfckpt.bundle.dtypes import dtype_name

    text = str(list(step.source_shape))
    if step.shape != step.source_shape:
        text += f" -> {list(step.shape)}"
    if step.same_as is not None:
        text += " same bytes"
    if step.cast is not None:
        text += f" {dtype_name(step.data_type)} -> {dtype_name(step.cast)}"
    return text


def said(error: Exception) -> list[str]:
    """Return what an error says, in the words of the command line: a line for each issue, or for many of one kind."""
    kinds: dict[object, list[Issue]] = {}
    for number, issue in enumerate(_issues_of(error)):
        kinds.setdefault((issue.origin, number if issue.code == "said" else issue.code), []).append(issue)
    return [errors.redacted(line) for issues in kinds.values() for line in _lines(issues)]


def _issues_of(error: Exception) -> Sequence[Issue]:
    """Return what is wrong; of an error that is none of ours, its message."""
    return error.issues if isinstance(error, errors.TfckptError) else (Issue("said", got=str(error)),)


def _lines(issues: Sequence[Issue]) -> list[str]:
    """Return the lines of issues of one kind: of many the first, how many more there are, and what all of them match."""
    lines = [issue.text(for_shell) for issue in issues]
    if len(issues) <= MOST_OF_A_KIND:
        return lines
    return [f"{lines[0]}; and {len(issues) - 1:,} more like {like([issue.subject for issue in issues])}"]
