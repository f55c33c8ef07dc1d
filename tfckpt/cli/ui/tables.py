"""Tables on a terminal: as wide as it is, and no name is broken but behind a slash."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from itertools import zip_longest

GAP = "  "  # between two columns
INDENT = "  "  # before what goes on in the next line
NARROWEST = 12  # width of a column that is cut whatever it holds, where a terminal is too narrow for all
BREAKS = re.compile(r"(?<=/)(?=.)|(?= -> )|(?<!->)(?= (?!->)(?![^\[\]]*\]))")
HEAD, RULE = "bold", "dim"  # styles

Span = tuple[str, str]  # a piece of a line, and rich's name of its style


def layout(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int,
    *,
    styles: Mapping[str, str] = {},
    numbers: Collection[str] = (),
) -> list[list[Span]]:
    """Return the lines of a table: its head, a rule, its rows.

    Args:
        columns: their names.
        rows: their cells.
        width: of the terminal, in characters.
        styles: rich's style of each column that has one.
        numbers: columns to align at the right.
    """
    widths = _widths(columns, rows, width, numbers)
    lines = [_line(columns, widths, [HEAD] * len(columns), numbers, columns)]
    lines.append([("─" * min(width, sum(widths) + len(GAP) * (len(widths) - 1)), RULE)])
    own = [styles.get(column, "") for column in columns]
    for row in rows:
        cells = [wrap(cell, size) for cell, size in zip(row, widths, strict=True)]
        lines += [_line(pieces, widths, own, numbers, columns) for pieces in zip_longest(*cells, fillvalue="")]
    return lines


def fits(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> bool:
    """Whether a table has each row on one line."""
    return sum(_natural(columns, rows)) + len(GAP) * (len(columns) - 1) <= width


def cells_of(text: str) -> int:
    """Return how many places a terminal needs for a text: two for a Korean syllable, say."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _natural(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(cells_of, cells)) for cells in zip(columns, *rows, strict=True)]


def _widths(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int, numbers: Collection[str]) -> list[int]:
    """Return the width of each column: the widest give way, as far as what they hold can be broken."""
    widths = _natural(columns, rows)
    pieces = [max(max(map(cells_of, _pieces(cell))) for cell in cells) for cells in zip(columns, *rows, strict=True)]
    whole = [column in numbers for column in columns]  # a number is not broken
    least = [
        natural if is_whole else min(natural, piece + len(INDENT))
        for natural, piece, is_whole in zip(widths, pieces, whole, strict=True)
    ]
    narrow = [natural if is_whole else min(NARROWEST, natural) for natural, is_whole in zip(widths, whole, strict=True)]
    for floor in (least, narrow):
        while sum(widths) + len(GAP) * (len(widths) - 1) > width:
            column = max(range(len(widths)), key=lambda n: (widths[n] > floor[n], widths[n]))
            if widths[column] <= floor[column]:
                break
            widths[column] -= 1
    return widths


def _pieces(text: str) -> list[str]:
    """Return what a text may be broken into: behind slashes, before arrows, and between words, but not in brackets.

    >>> _pieces("a/b/c"), _pieces("[1, 2] -> [3, 4]"), _pieces("training step")
    (['a/', 'b/', 'c'], ['[1, 2]', ' -> [3, 4]'], ['training', ' step'])
    """
    return BREAKS.split(text)


def wrap(text: str, width: int) -> list[str]:
    """Return a text in lines of this width, those after the first indented.

    >>> wrap("layer_{0..23}/attention/self/{query,key,value}/kernel", 40)
    ['layer_{0..23}/attention/self/', '  {query,key,value}/kernel']
    """
    lines = [""]
    for piece in _pieces(text):
        if lines[-1].strip() and cells_of(lines[-1] + piece) > width:
            lines.append(INDENT + piece.lstrip(" "))
        else:
            lines[-1] += piece
        while len(lines[-1]) > width > len(INDENT):  # nowhere to break: a name may be longer than the terminal
            lines[-1:] = [lines[-1][:width], INDENT + lines[-1][width:]]
    return lines


def wrap_words(text: str, width: int) -> list[str]:
    """Return a text in lines of this width, broken between words, and in words that are too long at slashes.

    >>> wrap_words("expected 'encoder/layer_3/kernel', got nothing", 20)
    ['expected', "  'encoder/layer_3/", "  kernel', got", '  nothing']
    """
    lines = [""]
    for word in text.split(" "):
        gap = " " if lines[-1].strip() else ""
        if gap and cells_of(lines[-1] + gap + word) > width:
            lines.append(INDENT)
            gap = ""
        first, *rest = wrap(word, width - len(INDENT)) if cells_of(lines[-1] + gap + word) > width else [word]
        lines[-1] += gap + first
        lines += [INDENT + piece.removeprefix(INDENT) for piece in rest]
    return lines


def _line(
    cells: Sequence[str], widths: Sequence[int], styles: Sequence[str], numbers: Collection[str], columns: Sequence[str]
) -> list[Span]:
    """Return one line; nothing stands behind its last cell."""
    spans: list[Span] = []
    last = max((n for n, cell in enumerate(cells) if cell), default=0)
    for n, (cell, width, style, column) in enumerate(zip(cells, widths, styles, columns, strict=True)):
        if n > last:
            break
        space = " " * (width - cells_of(cell))
        text = space + cell if column in numbers else cell if n == last else cell + space
        spans.append((text + ("" if n == last else GAP), style))
    return spans
