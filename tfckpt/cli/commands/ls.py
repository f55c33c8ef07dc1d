"""The command ls: a checkpoint's tensors as a table, or the sums of groups of them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import tfckpt
from tfckpt.base.flags import counting
from tfckpt.cli.options import add_filter, add_source, matched_otherwise, matcher
from tfckpt.cli.ui.folding import Row, fold
from tfckpt.cli.ui.output import (
    ALL,
    NOTE,
    add_all,
    is_terminal,
    print_json,
    print_meant,
    print_no_match,
    print_rows,
    printable,
    say,
    shortened,
    sized,
    tell,
)
from tfckpt.cli.ui.terminal import human
from tfckpt.errors import TfckptError, are, count_of

if TYPE_CHECKING:
    from tfckpt.bundle.values.entry import Entry
    from tfckpt.checkpoint.checkpoint import Checkpoint

Roles = Mapping[str, str]  # what each tensor is for, by name; empty where nobody asks


class Column(NamedTuple):
    """One fact of a tensor: its name in JSON, its value there, and how it is printed."""

    key: str
    value: Callable[[Entry, Roles], Any]
    cell: Callable[[Entry, Roles], str]
    is_number: bool = False


COLUMNS = {
    "name": Column("name", lambda e, _: e.name, lambda e, _: e.name),
    "dtype": Column("dtype", lambda e, _: e.dtype_name, lambda e, _: e.dtype_name),
    "shape": Column("shape", lambda e, _: list(e.shape), lambda e, _: str(list(e.shape))),
    "bytes": Column("nbytes", lambda e, _: e.nbytes, lambda e, _: str(e.nbytes), True),
    "size": Column("size", lambda e, _: human(e.nbytes), lambda e, _: human(e.nbytes), True),
    "elements": Column("elements", lambda e, _: e.size, lambda e, _: str(e.size), True),
    "shard": Column("shard", lambda e, _: e.shard, lambda e, _: str(e.shard), True),
    "offset": Column("offset", lambda e, _: e.offset, lambda e, _: str(e.offset), True),
    "crc32c": Column("crc32c", lambda e, _: e.crc32c, lambda e, _: f"{e.crc32c:#010x}"),
    "slices": Column("slices", lambda e, _: len(e.slices), lambda e, _: str(len(e.slices)), True),
    "role": Column("role", lambda e, roles: roles[e.name], lambda e, roles: roles[e.name]),
}
DEFAULT = ("name", "dtype", "shape", "bytes")
STYLES = {"dtype": "green", "shape": "cyan", "bytes": "yellow", "size": "yellow", "role": "magenta", "share": "yellow"}
SIZES = ("bytes", "size")
GROUPINGS = ("prefix", "dtype", "role", "shard")
FORMS = {"key": "name", "path": "path", "full": "full_name"}  # what JSON calls them
KEY = "key"

Names = Mapping[str, str]  # what tensors are called that are not called by their keys


def add_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    """Add this file's command to the parser."""
    ls = commands.add_parser("ls", parents=[common], help="list tensors: name, dtype, shape, bytes")
    add_source(ls)
    add_filter(ls)
    ls.add_argument(
        "--names",
        choices=tuple(FORMS),
        default=KEY,
        help="which names to show: keys, the paths that tree draws, or full names (default: key)",
    )
    ls.add_argument(
        "--columns",
        type=_columns,
        default=DEFAULT,
        metavar="NAME,...",
        help=f"what to show: {', '.join(COLUMNS)} (default: {','.join(DEFAULT)})",
    )
    ls.add_argument("-H", "--human", action="store_true", help="sizes as 21.2 KiB instead of bytes")
    ls.add_argument(
        "--sort",
        choices=tuple(COLUMNS),
        metavar="COLUMN",
        help="sort by a column: the largest numbers first; names in natural order, layer_2 before layer_10",
    )
    ls.add_argument("--reverse", action="store_true", help="reverse the order")
    ls.add_argument(
        "--total",
        choices=GROUPINGS,
        help="show sums instead of tensors, the largest first; role separates the optimizer from the model",
    )
    ls.add_argument(
        "--depth", type=counting(1, 1000), default=1, metavar="N", help="number of name parts in a prefix (default: 1)"
    )
    add_all(ls)
    ls.set_defaults(run=cmd_ls, paged=True)


def _columns(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    for name in names:
        if name not in COLUMNS:
            raise argparse.ArgumentTypeError(f"no column {name!r}; there are {', '.join(COLUMNS)}")
    return names


def cmd_ls(args: argparse.Namespace) -> int:
    """List tensors, or sums of them. Reads the index only, and the object graph where roles are shown."""
    with tfckpt.open(args.prefix, format=args.source_format) as checkpoint:
        entries, count = _chosen(checkpoint, args), len(checkpoint)
        names = {} if args.names == KEY else checkpoint.lookup.called(args.names)
        asked = args.total == "role" or (not args.total and "role" in (*args.columns, args.sort))
        roles = _roles(checkpoint, asked=asked) if asked or _is_summed_up(args) else {}
    if count and not entries:
        print_no_match(args, count)
    if args.total:
        _print_totals(entries, names, roles, args)
    else:
        _print_tensors(_sorted(entries, names, args.sort, roles, reverse=args.reverse), names, roles, args)
    return 0


def _chosen(checkpoint: Checkpoint, args: argparse.Namespace) -> list[Entry]:
    """Return the tensors that are asked for, and say so if not by their keys."""
    entries = checkpoint.entries()
    if args.pattern is None and args.regex is None:
        return entries
    matches = matcher(args)
    by_key = {entry.name: entry for entry in entries if matches(entry.name)}
    try:
        found = None if checkpoint.object_graph is None else matched_otherwise(args, checkpoint.lookup)
    except TfckptError:
        if not by_key:
            raise
        found = None  # keys are told without the graph
    if found is None or found.how == "key":
        return list(by_key.values())
    print_meant(args, found, checkpoint.lookup, by_key=by_key)
    return list(map(checkpoint.entry, found.names))


def _is_summed_up(args: argparse.Namespace) -> bool:
    return not args.json and is_terminal()


def _roles(checkpoint: Checkpoint, *, asked: bool) -> Roles:
    """Return what each tensor is for; where the object graph cannot be read, keys tell, if somebody asked for roles."""
    from tfckpt.checkpoint.graph.roles import find_roles

    try:
        graph = checkpoint.object_graph
    except TfckptError as error:
        if not asked:
            return {}
        tell("ls", f"roles are told by names alone: {printable(str(error))}", NOTE)
        graph = None
    return find_roles(checkpoint.entries(), graph)


def _sorted(entries: list[Entry], names: Names, column: str | None, roles: Roles, *, reverse: bool) -> list[Entry]:
    if column == "name":
        from tfckpt.checkpoint.graph.outline import natural_order

        entries = sorted(entries, key=lambda entry: natural_order(names.get(entry.name, entry.name)))
    elif column in ("bytes", "size"):  # a size as people say it does not sort
        entries = sorted(entries, key=lambda entry: -entry.nbytes)
    elif column is not None and COLUMNS[column].is_number:
        entries = sorted(entries, key=lambda entry: -COLUMNS[column].value(entry, roles))
    elif column is not None:
        entries = sorted(entries, key=lambda entry: COLUMNS[column].value(entry, roles))
    return entries[::-1] if reverse else entries


def _print_tensors(entries: Sequence[Entry], names: Names, roles: Roles, args: argparse.Namespace) -> None:
    shown = ["size" if name == "bytes" and args.human else name for name in args.columns]
    columns = [COLUMNS[name] for name in shown]
    if args.json:
        if args.names != KEY:
            columns.append(Column(FORMS[args.names], lambda e, _: names.get(e.name), lambda e, _: e.name))
        print_json([{column.key: column.value(entry, roles) for column in columns} for entry in entries])
        return
    called = COLUMNS["name"]._replace(cell=lambda entry, _: names.get(entry.name, entry.name))
    columns = [called if column.key == "name" else column for column in columns]
    is_folded = is_terminal() and "name" in shown and not args.all and not args.sort
    listed = _without_state(entries, roles, args) if is_folded else entries
    rows = [[column.cell(entry, roles) for column in columns] for entry in listed]
    numbers = [name for name in shown if COLUMNS[name].is_number]
    if is_folded and _print_folded(shown, rows, numbers) < len(entries):
        hidden = len(entries) - len(rows)
        state = f"{are(hidden, 'tensor')} optimizer state and not shown; " if hidden else ""
        print(f"{state}{ALL} lists every tensor.\n")
    elif not is_folded:
        print_rows(shown, rows, styles=STYLES, numbers=numbers)
    if is_terminal():
        say(_summary(entries, roles))


def _without_state(entries: Sequence[Entry], roles: Roles, args: argparse.Namespace) -> Sequence[Entry]:
    """Return the tensors without the optimizer's, which are counted in the sum; all if these are what is asked for."""
    from tfckpt.checkpoint.graph.optimizers import OPTIMIZER

    if args.pattern is not None or args.regex is not None:
        return entries
    return [entry for entry in entries if roles.get(entry.name) != OPTIMIZER] or entries


def _print_folded(columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[str]) -> int:
    """Print one row for equal layers; what differs in any other column stays apart. Return how many rows that are."""
    place = columns.index("name")
    folded = fold(Row((shortened(row[place]),), (*row[:place], *row[place + 1 :])) for row in rows)
    cells = [(*row.cells[:place], row.names[0], row.times, *row.cells[place:]) for row in folded]
    shown = (*columns[: place + 1], "count", *("each" if name in SIZES else name for name in columns[place + 1 :]))
    styles = {**STYLES, "each": STYLES["bytes"], "count": ""}
    print_rows(shown, cells, styles=styles, numbers=("count", "each", *numbers))
    return len(folded)


def _summary(entries: Iterable[Entry], roles: Roles) -> str:
    from tfckpt.checkpoint.graph.optimizers import OPTIMIZER

    total = _Sum.of(entries)
    text = f"{count_of(total.tensors, 'tensor')}, {count_of(total.elements, 'element')}, {sized(total.nbytes)}"
    state = _Sum.of(entry for entry in entries if roles.get(entry.name) == OPTIMIZER)
    return f"{text}; {OPTIMIZER}: {_percent(state, total)} of the bytes" if state.tensors else text


class _Sum(NamedTuple):
    tensors: int
    elements: int
    nbytes: int

    @staticmethod
    def of(entries: Iterable[Entry]) -> _Sum:
        entries = list(entries)
        return _Sum(len(entries), sum(entry.size for entry in entries), sum(entry.nbytes for entry in entries))


def _percent(part: _Sum, total: _Sum) -> str:
    return f"{100 * part.nbytes / total.nbytes if total.nbytes else 0:.1f} %"


def _print_totals(entries: list[Entry], names: Names, roles: Roles, args: argparse.Namespace) -> None:
    """Print what each group holds and which share of the bytes that is."""
    group_of: dict[str, Callable[[Entry], str]] = {
        "prefix": lambda entry: prefix_of(names.get(entry.name, entry.name), args.depth),
        "dtype": lambda entry: entry.dtype_name,
        "role": lambda entry: roles[entry.name],
        "shard": lambda entry: str(entry.shard),
    }
    members: dict[str, list[Entry]] = {}
    for entry in entries:
        members.setdefault(group_of[args.total](entry), []).append(entry)
    sums = {group: _Sum.of(found) for group, found in members.items()}
    groups = sorted(sums, key=lambda group: (-sums[group].nbytes, group), reverse=args.reverse)
    total = _Sum.of(entries)
    if args.json:
        found = [{"group": group, **sums[group]._asdict()} for group in groups]
        print_json({"by": args.total, **total._asdict(), "groups": found})
        return
    size: Callable[[int], str] = human if args.human else str
    rows = [
        (group, str(s.tensors), str(s.elements), size(s.nbytes), _percent(s, total))
        for group, s in ((group, sums[group]) for group in groups)
    ]
    shown = (args.total, "tensors", "elements", "size" if args.human else "bytes", "share")
    print_rows(shown, rows, styles=STYLES, numbers=shown[1:])
    if is_terminal():
        say(_summary(entries, roles))


def prefix_of(name: str, depth: int) -> str:
    """Return the first parts of a name; those that end every key of an object do not count.

    >>> prefix_of("bert/encoder/layer_0/output/dense/kernel", 2), prefix_of("step/.ATTRIBUTES/VARIABLE_VALUE", 2)
    ('bert/encoder', 'step')
    """
    return "/".join(name.partition("/.ATTRIBUTES/")[0].split("/")[:depth])
