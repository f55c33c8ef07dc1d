"""How the commands print: tables and progress bars on a terminal, stable plain text in a pipe, JSON on request."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tfckpt import errors

if TYPE_CHECKING:
    from tfckpt.conversion.plan import Plan, Step, Written

printable = errors.printable

Span = tuple[str, str]  # a piece of a line, and rich's name of its style
ASCII_GUIDES = str.maketrans("└├│─", "`||-")  # for a stdout that cannot say more


def print_json(value: Any) -> None:
    """Print one JSON document."""
    print(json.dumps(value, indent=2))


def print_json_rows(document: Mapping[str, Any], rows: str) -> None:
    """Print one JSON document in which each item of its list ``rows`` is on a line of its own."""
    rest = json.dumps({name: value for name, value in document.items() if name != rows}, indent=2)
    items = ",\n".join(f"    {json.dumps(item)}" for item in document[rows])
    print(f"{rest.removesuffix('}').rstrip()},\n  {json.dumps(rows)}: [\n{items}\n  ]\n}}")


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table: aligned under its column names on a terminal, tab-separated and bare in a pipe."""
    cells = [[printable(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for row in cells:
            print("\t".join(row))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, overflow="fold")  # a name is never cut
    for row in cells:
        table.add_row(*map(Text, row))
    Console().print(table)


def print_spans(lines: Iterable[Sequence[Span]]) -> None:
    """Print lines of styled pieces: in colour on a terminal, bare in a pipe; never wrapped."""
    if not sys.stdout.isatty():
        for line in lines:
            print("".join(text for text, _ in line))
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for line in lines:
        console.print(Text.assemble(*line), soft_wrap=True)


def guides(*, last: bool) -> tuple[str, str]:
    """Return what a tree draws before a branch, and before the lines below it."""
    corner, bar = ("└─ ", "   ") if last else ("├─ ", "│  ")
    if (sys.stdout.encoding or "").lower().replace("-", "") == "utf8":
        return corner, bar
    return corner.translate(ASCII_GUIDES), bar.translate(ASCII_GUIDES)


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int], None] | None]:
    """Yield a callback ``(bytes done, bytes in all)`` that moves a bar on stderr; None where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def print_plan(plan: Plan) -> None:
    """Print what becomes of every variable, then the sums, then what else to know."""
    rows = [(step.source, _change(step), step.target) for step in plan.steps]
    rows += [(item.source, "dropped", item.rule) for item in plan.dropped]
    print_rows(("source", "shape", "target"), rows)
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
        print(f"dropped: {len(items)} ({printable(rule)})")
    for name, size in plan.sizes.items():
        print(f"{name}: {size.value} ({printable(size.origin)})")
    for note in plan.notes:
        print(f"note: {printable(note)}")


def print_written(dest: str, written: Written | None) -> None:
    """Print where a conversion went and, if it shares files, how, with what goes along unnamed."""
    assert written is not None
    for note in written.notes:
        print(f"note: {printable(note)}")
    how = "" if written.mode == "copy" else f" ({written.mode}: the data files are SOURCE's)"
    print(f"written: {printable(dest)}{how}")
    if written.carried_nbytes:
        print(f"carried: {written.carried_nbytes:,} bytes of SOURCE's data files that no tensor of it names")


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
