"""The command tree: a checkpoint drawn the way a person thinks of a model."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import tfckpt
from tfckpt.base.flags import counting
from tfckpt.cli.options import add_filter, add_source, matched_otherwise, matcher
from tfckpt.cli.ui import folding
from tfckpt.cli.ui.output import (
    ALL,
    Span,
    guides,
    is_terminal,
    print_json,
    print_meant,
    print_no_match,
    print_spans,
    printable,
    sized,
    terminal_width,
)
from tfckpt.cli.ui.tables import NARROWEST, cells_of, wrap
from tfckpt.errors import count_of, located

if TYPE_CHECKING:
    from tfckpt.bundle.values.entry import Entry
    from tfckpt.checkpoint.graph.outline import Branch, Outline, Slot

FOLD = 4  # elements from which on a list of pointers is one line
WIDEST = 72  # columns for names before their shapes; the few that are longer push theirs aside
GUIDE, NAME, SHAPE, OTHER = "dim", "", "cyan", "dim"  # styles on a terminal

Row = tuple[str, str, str, str]  # guides, name, dtype and shape, aliases and notes


def add_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    """Add this file's command to the parser."""
    tree = commands.add_parser("tree", parents=[common], help="draw a checkpoint's objects, or names, as a tree")
    add_source(tree)
    add_filter(tree, "names, or paths of objects,")
    tree.add_argument(
        "--depth",
        type=counting(1, 1000),
        metavar="N",
        help="number of levels to draw; deeper ones are counted (default: all)",
    )
    tree.add_argument(
        "--all", action="store_true", help="draw every layer, objects without values, and every slot variable"
    )
    tree.set_defaults(run=cmd_tree, paged=True)


def cmd_tree(args: argparse.Namespace) -> int:
    """Draw the object graph, or the names of a name-based checkpoint. Reads no data but the graph."""
    from tfckpt.checkpoint.graph.object_graph import OBJECT_GRAPH_KEY
    from tfckpt.checkpoint.graph.outline import outline_names, outline_objects
    from tfckpt.checkpoint.prune import folded, only, tensors

    with tfckpt.open(args.prefix, format=args.source_format) as checkpoint:
        graph, entries, lookup = checkpoint.object_graph, checkpoint.entries(), checkpoint.lookup
        prefix = checkpoint.prefix
    with located(prefix):
        outline = outline_names(entries) if graph is None else outline_objects(graph, entries, everything=args.all)
    variables = {entry.name: entry for entry in entries if entry.name != OBJECT_GRAPH_KEY}
    total = len(variables)
    if args.pattern is not None or args.regex is not None:
        whole, outline = outline, only(outline, matcher(args))
        if not any((*tensors(outline.root), *outline.rest)) and (meant := matched_otherwise(args, lookup)) is not None:
            outline = only(whole, frozenset(meant.names).__contains__)
            print_meant(args, meant, lookup)
        variables = {entry.name: entry for entry in (*tensors(outline.root), *outline.rest)}
        if not variables:
            print_no_match(args, total)
    if args.depth is not None:
        outline = folded(outline, args.depth)
    nbytes = sum(entry.nbytes for entry in variables.values())
    if args.json:
        found = {"prefix": prefix, "object_based": graph is not None, "variables": len(variables), "nbytes": nbytes}
        print_json(found | {"tree": to_json(outline.root), "rest": [_tensor(entry) for entry in outline.rest]})
    else:
        rows = [("", printable(prefix), *_facts(outline.root)), *draw(outline, everything=args.all)]
        some_of = f"{len(variables):,} of " if args.pattern is not None or args.regex is not None else ""
        count = f"{some_of}{count_of(total, 'variable')}"
        is_folded = is_terminal() and args.depth is None and sum(bool(row[2]) for row in rows) < len(variables)
        more = f"; {ALL} draws every one" if is_folded and not args.all else ""
        print_spans([*_align(rows), [(f"{count}, {sized(nbytes)}{more}", NAME)]])
    return 0


def draw(outline: Outline, *, everything: bool = False) -> Iterator[Row]:
    """Yield the lines below the root's; without ``everything``, one line for all slots, and one for a list of pointers."""
    yield from _draw_below(outline.root, everything=everything)
    if outline.rest:
        yield "", "no object leads to:", "", ""
        for entry in outline.rest:
            yield "  ", printable(entry.name), _shape(entry), ""


def _draw_below(branch: Branch, *, everything: bool) -> Iterator[Row]:
    children = branch.children if everything else _folded(branch.children)
    slots = list(_slot_cells(branch.slots, everything=everything))
    blocks = [_block(child, everything=everything) for child in children]
    if not everything and is_terminal():
        blocks = _alike(blocks)
    for n, block in enumerate(blocks):
        corner, bar = guides(last=n == len(blocks) - 1 and not slots)
        for line, (indent, name, shape, other) in enumerate(block):
            yield (bar if line else corner) + indent, name, shape, other
    for n, cells in enumerate(slots):
        yield (guides(last=n == len(slots) - 1)[0], *cells)


def _block(branch: Branch, *, everything: bool) -> list[Row]:
    """Return the lines of a branch: its own, and those below."""
    shape, other = _facts(branch)
    if not everything and is_terminal() and _has_slots_below(branch):
        slots = f"with {', '.join(printable(child.name) for child in branch.children)}"
        return [("", printable(branch.name), shape, "  ".join(filter(None, (slots, other))))]
    return [("", printable(branch.name), shape, other), *_draw_below(branch, everything=everything)]


def _has_slots_below(branch: Branch) -> bool:
    """Whether what stands below a variable is variables of its own form, as its slots are where names alone tell."""
    own = branch.entry
    if own is None or branch.slots or not branch.children:
        return False
    forms = [(child.entry and child.entry[1:3], child.children, child.slots) for child in branch.children]
    return all(form == own[1:3] and not below and not slots for form, below, slots in forms)


def _alike(blocks: Sequence[list[Row]]) -> list[list[Row]]:
    """Return the lines of branches with those of equal layers, which differ in numbers alone, only once."""
    rows = [
        folding.Row(
            names=tuple(text for _, name, _, other in block for text in (name, other)),
            cells=tuple(text for indent, _, shape, _ in block for text in (indent, shape)),
        )
        for block in blocks
    ]
    return [_unfolded(row) for row in folding.fold_numbers(rows)]


def _unfolded(row: folding.Row) -> list[Row]:
    names, cells = iter(row.names), iter(row.cells)
    (indent, name, shape, other), *rest = zip(cells, names, cells, names, strict=True)
    times = f"x {row.times}" if row.counts else ""
    return [(indent, name, shape, "  ".join(filter(None, (times, other)))), *rest]


def _slot_cells(slots: list[Slot], *, everything: bool) -> Iterator[tuple[str, str, str]]:
    if everything:
        from tfckpt.checkpoint.graph.outline import THE_ROOT

        yield from (
            (printable(slot.name), _shape(slot.entry), f"of {printable(slot.variable) or THE_ROOT}") for slot in slots
        )
    elif slots:
        names = ", ".join(printable(name) for name in dict.fromkeys(slot.name for slot in slots))
        yield f"slots {names}", _sum(len(slots), sum(slot.entry.nbytes for slot in slots)), ""


def _sum(variables: int, nbytes: int) -> str:
    return f"{count_of(variables, 'variable')}, {sized(nbytes)}"


def _folded(children: list[Branch]) -> list[Branch]:
    """Return a long list of nothing but pointers as one branch: optimizers list their variables twice."""
    if len(children) < FOLD or not all(child.name.isdecimal() and child.points_to is not None for child in children):
        return children
    from dataclasses import replace

    first, last = children[0], children[-1]
    return [replace(first, name=f"{first.name}..{last.name}", points_to=f"{first.points_to} .. {last.points_to}")]


def _facts(branch: Branch) -> tuple[str, str]:
    """Return what stands after a branch's name: dtype and shape of its tensor; its other paths, or where it is drawn."""
    shape = "" if branch.entry is None else _shape(branch.entry)
    if branch.hidden is not None:
        shape = f"{shape}, and {_sum(*branch.hidden)} below" if shape else _sum(*branch.hidden)
    return shape, "  ".join(map(printable, branch.remarks))


def _shape(entry: Entry) -> str:
    return f"{entry.dtype_name} {list(entry.shape)}"


def _align(rows: Iterable[Row]) -> Iterator[list[Span]]:
    """Yield each row with its dtype and shape in one column, if it has any."""
    rows = list(rows)
    widths = [len(indent + name) for indent, name, shape, _ in rows if shape]
    column = max((width for width in widths if width <= WIDEST), default=0)
    width = terminal_width() if is_terminal() else None
    for indent, name, shape, other in rows:
        gap = " " * (max(column - len(indent + name), 0) + 2) if shape else ""
        line = [(indent, GUIDE), (name, NAME), (gap + shape, SHAPE)]
        fits = width is None or cells_of("".join((*(text for text, _ in line), "  ", other))) <= width
        yield [*line, (f"  {other}", OTHER)] if other and fits else line
        if width is not None and other and not fits:
            below = f"{_going_on(indent)}     "
            yield from ([(below, GUIDE), (text, OTHER)] for text in wrap(other, max(width - len(below), NARROWEST)))


def _going_on(indent: str) -> str:
    """Return what a tree draws before the next line of the same branch."""
    for last in (False, True):
        corner, bar = guides(last=last)
        indent = indent.replace(corner, bar)
    return indent


def to_json(branch: Branch) -> dict[str, Any]:
    """Return a branch as nested dicts; what it does not have is left out."""
    found: dict[str, Any] = {"name": branch.name, "path": branch.path}
    if branch.entry is not None:
        found["tensor"] = _tensor(branch.entry)
    if branch.aliases:
        found["aliases"] = branch.aliases
    if branch.points_to is not None:
        found["points_to"] = branch.points_to
    if branch.note:
        found["note"] = branch.note
    if branch.hidden is not None:
        found["hidden"] = branch.hidden._asdict()
    if branch.slots:
        found["slots"] = [{"slot": s.name, "variable": s.variable, "tensor": _tensor(s.entry)} for s in branch.slots]
    if branch.children:
        found["children"] = [to_json(child) for child in branch.children]
    return found


def _tensor(entry: Entry) -> dict[str, Any]:
    return {"name": entry.name, "dtype": entry.dtype_name, "shape": list(entry.shape), "nbytes": entry.nbytes}
