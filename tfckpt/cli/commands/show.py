"""The command show: one tensor, or a few: what the index says, what the values look like, some of them."""

from __future__ import annotations

import argparse
import itertools
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import tfckpt
from tfckpt.base.flags import add_flags
from tfckpt.base.options import StatisticsOptions
from tfckpt.cli.options import add_source
from tfckpt.cli.ui.output import (
    LABEL,
    Span,
    bar_block,
    is_terminal,
    print_json,
    print_meant,
    print_spans,
    printable,
    sized,
    terminal_width,
)
from tfckpt.cli.ui.tables import GAP
from tfckpt.errors import UsageError, count_of

if TYPE_CHECKING:
    from tfckpt.bundle.values.arrays import Array
    from tfckpt.bundle.values.entry import Entry
    from tfckpt.checkpoint.checkpoint import Checkpoint

LABELS = {"nan": "NaN", "positive_inf": "Inf", "negative_inf": "-Inf"}
BAR_WIDTH, NARROWEST_BAR = 40, 4
BEFORE_BAR = 45  # characters of a histogram's line but its label and its bar: the edges, the count, what is between
NARROWEST_ROW = 20  # characters for a row of values
HEAD = 8  # values that are shown unless told which
MOST_VALUES = 10_000  # that are printed
LONGEST = 200  # bytes of a string that are printed


def add_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    """Add this file's command to the parser."""
    show = commands.add_parser("show", parents=[common], help="show a tensor: statistics, a histogram, some values")
    add_source(show)
    show.add_argument(
        "tensor", metavar="TENSOR", nargs="+", help="name, path of an object, or full name; - reads names from stdin"
    )
    show.add_argument(
        "--slice", metavar="INDEX", help=f"values to show, as in NumPy: '0, :5' (default: the first {HEAD})"
    )
    add_flags(show, StatisticsOptions, only=("bins",))
    show.add_argument(
        "--no-stats", dest="stats", action="store_false", help="show only values, and do not read the rest"
    )
    show.set_defaults(run=cmd_show, paged=True)


def cmd_show(args: argparse.Namespace) -> int:
    """Show tensors. Reads each twice, in bounded memory."""
    from tfckpt.checkpoint.partial import parse_index

    index = None if args.slice is None else parse_index(args.slice)
    documents = []
    with tfckpt.open(args.prefix, format=args.source_format) as checkpoint:
        for n, entry in enumerate(_entries(checkpoint, args)):
            chosen = _head(entry.shape) if index is None else index
            values = checkpoint.get_slice(entry.name)[chosen]
            if values.size > MOST_VALUES:
                got = f"{values.size:,} values, and at most {MOST_VALUES:,} are shown"
                raise UsageError(f"tensor {entry.name!r} {list(entry.shape)}: {got}; take a smaller --slice")
            found = _facts(checkpoint, entry, args) | {"index": _brackets(chosen)}
            if args.json:
                documents.append(found | {"values": _plain(values.tolist())})
            else:
                _print(found, values, first=n == 0)
    if args.json:
        print_json(documents)
    return 0


def _names(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        if name == "-":
            yield from filter(None, (line.rstrip("\n") for line in sys.stdin))
        else:
            yield name


def _entries(checkpoint: Checkpoint, args: argparse.Namespace) -> Iterator[Entry]:
    """Yield the tensors that are asked for; of an object with several, all."""
    for text in _names(args.tensor):
        entry = checkpoint.reader.entry(text)
        found = checkpoint.lookup.find(text) if entry is None and checkpoint.object_graph is not None else None
        if found is None:
            yield checkpoint.entry(text)
            continue
        if found.how != "path" or len(found.names) > 1:  # what is shown names the one tensor of a path
            print_meant(args, found, checkpoint.lookup, text)
        yield from map(checkpoint.entry, found.names)


def _head(shape: tuple[int, ...]) -> tuple[int | slice, ...]:
    """Return the index of the first values of a tensor."""
    return () if not shape or 0 in shape else (*(0,) * (len(shape) - 1), slice(None, HEAD))


def _facts(checkpoint: Checkpoint, entry: Entry, args: argparse.Namespace) -> dict[str, Any]:
    """Return what is known of a tensor as a whole, as what ``json.dumps`` takes."""
    from tfckpt.checkpoint.statistics import measure

    stored = {"shard": entry.shard, "offset": entry.offset, "slices": len(entry.slices), "crc32c": entry.crc32c}
    return {
        "name": entry.name,
        "dtype": entry.dtype_name,
        "shape": list(entry.shape),
        "elements": entry.size,
        "nbytes": entry.nbytes,
        "stored": stored if checkpoint.format == "v2" else None,
        "statistics": measure(checkpoint.reader, entry, bins=args.bins).to_json() if args.stats else None,
    }


def _brackets(index: tuple[Any, ...]) -> str:
    """Return an index as NumPy users write it."""
    return f"[{', '.join(map(_item, index))}]" if index else "[...]"


def _item(item: Any) -> str:
    if not isinstance(item, slice):
        return "..." if item is Ellipsis else str(item)
    bounds = ["" if bound is None else str(bound) for bound in (item.start, item.stop, item.step)]
    return ":".join(bounds if item.step is not None else bounds[:2])


def _plain(value: Any) -> Any:
    """Return values as what JSON has: a NaN or an infinity as text, a complex number as a pair, bytes as UTF-8."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, complex):
        return [_plain(value.real), _plain(value.imag)]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _print(found: dict[str, Any], values: Array, *, first: bool) -> None:
    """Print a tensor: a line for each fact, a bar of the histogram, a row of values; between two, a blank line."""
    lines, label = list(_fact_lines(found)), f"values {found['index']}"
    if found["statistics"] is not None:
        room = terminal_width() - len(label) - BEFORE_BAR if is_terminal() else 0
        lines += _statistic_lines(found["statistics"], min(BAR_WIDTH, max(room, NARROWEST_BAR)))
    lines += [(label, text) for text in _rows(values)]
    if not first:
        print()
    if not is_terminal():
        for name, text in lines:
            print(f"{name}\t{text}")
        return
    shown = ["" if n and label == lines[n - 1][0] else label for n, (label, _) in enumerate(lines)]
    width = max(map(len, shown))
    room = max(terminal_width() - width - len(GAP), NARROWEST_ROW)
    drawn: list[list[Span]] = []
    for name, (_, text) in zip(shown, lines, strict=True):
        rows = _broken(text.split("\t"), room)
        drawn += [[(f"{'' if n else name:{width}}{GAP}", LABEL), (row, "")] for n, row in enumerate(rows)]
    print_spans(drawn)


def _broken(values: Sequence[str], room: int) -> list[str]:
    """Return values in lines of this width."""
    lines = [values[0]]
    for value in values[1:]:
        if len(lines[-1] + GAP + value) > room:
            lines.append(value)
        else:
            lines[-1] += GAP + value
    return lines


def _fact_lines(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "name", printable(found["name"])
    yield "dtype", found["dtype"]
    yield "shape", str(found["shape"])
    yield "elements", _count(found["elements"])
    yield "bytes", sized(found["nbytes"]) if is_terminal() else str(found["nbytes"])
    stored = found["stored"]
    if stored is not None:
        whole = f"file {stored['shard']}, byte {_count(stored['offset'])}, crc32c {stored['crc32c']:#010x}"
        yield "stored", count_of(stored["slices"], "slice") if stored["slices"] else whole


def _statistic_lines(statistics: dict[str, Any], room: int) -> Iterator[tuple[str, str]]:
    if statistics["of"] != "values":
        yield "statistics", f"of the {statistics['of']}"
    elif any(statistics[label] for label in ("nan", "positive_inf", "negative_inf")):
        yield "statistics", "of the finite values"
    for label in ("min", "max", "mean", "std"):
        yield label, "none" if statistics[label] is None else _short(statistics[label])
    for label in ("zeros", "nan", "positive_inf", "negative_inf"):
        yield LABELS.get(label, label), _count(statistics[label])
    edges, counts = statistics["histogram"].values()
    most = max(counts, default=0)
    for (low, high), count in zip(itertools.pairwise(edges), counts, strict=True):
        if is_terminal():
            bar = bar_block() * math.ceil(room * count / most)
            yield "histogram", f"{_short(low):>12}{_short(high):>13}{count:>14,}  {bar}"
        else:
            yield "histogram", f"{_short(low)}\t{_short(high)}\t{count}"


def _count(number: int) -> str:
    return f"{number:,}" if is_terminal() else str(number)


def _short(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:.6g}"


def _rows(values: Array) -> Iterator[str]:
    """Yield the rows of the last axis, tab-separated."""
    if values.size:
        for row in values.reshape(-1, values.shape[-1] if values.ndim else 1):
            yield "\t".join(map(_cell, row))


def _cell(value: Any) -> str:
    if not isinstance(value, bytes):
        return str(value)
    text = printable(value[:LONGEST].decode("utf-8", "backslashreplace"))
    return f"{text}... ({len(value):,} bytes)" if len(value) > LONGEST else text
