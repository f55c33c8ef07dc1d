"""Rows that say the same of many tensors, as one: layers by their numbers, and what differs in one part of the name.

Strategy: rows whose names are alike but for numbers become one row with ranges, if their numbers are all combinations of
them; numbers of a second name must follow those of the first. Then rows that differ in one part of the name become one row
with the alternatives. Nothing is folded that is not told exactly but for very long lists, of which the first few are named.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from tfckpt.base.issues import start_of

NUMBER = re.compile("(?<![0-9])[0-9]{1,9}(?![0-9])")  # what counts layers; longer ones are no counts
MOST_FREE = 3  # numbers in the names of a tensor that count different things
MOST_PLACES = 16  # parts of a name, from its end, that may differ
MOST_ROWS = 5_000  # in which words are looked for; more are not read by people anyway
LONG_RUN = 3  # numbers in a row from which on only the first and the last are named
MARKS = frozenset("{},")  # what patterns are made of: names that have any stay as they are
MOST_WORDS = 6  # alternatives that are all named
SHOWN_WORDS = 3  # of more than those
EDGE = "_.-"  # what words within a part of a name are joined with

Names = tuple[str, ...]  # the names of one tensor: of its source and its target, say


class Row(NamedTuple):
    """What a table says of some tensors: their names, in which they may differ, and the rest, in which they do not.

    Attributes:
        names: one for each column of names; of several tensors, the pattern of theirs.
        cells: what else there is to say.
        counts: how many tensors fell together, by each step that made them one; empty for one tensor.
        items: what the caller keeps of each tensor.
    """

    names: Names
    cells: tuple[str, ...]
    counts: tuple[int, ...] = ()
    items: tuple[Any, ...] = ()

    @property
    def tensors(self) -> int:
        """Number of tensors."""
        return math.prod(self.counts)

    @property
    def times(self) -> str:
        """The number as people say it: of 24 layers with three tensors, ``24 x 3``; nothing for one tensor."""
        return " x ".join(map(str, self.counts))


def fold(rows: Iterable[Row]) -> list[Row]:
    """Return rows in which equal ones of many tensors are one, in the order of their first tensors; odd names come last.

    >>> rows = [Row((f"layer_{n}/{x}/bias",), ("[8]",)) for n in range(12) for x in ("key", "query")]
    >>> [(row.names, row.times) for row in fold(rows)]
    [(('layer_{0..11}/{key,query}/bias',), '12 x 2')]
    """
    plain, odd = list[Row](), list[Row]()
    for row in rows:
        (odd if any(MARKS.intersection(name) for name in row.names) else plain).append(row)
    folded = fold_numbers(plain)
    return [*(_fold_words(folded) if len(folded) <= MOST_ROWS else folded), *odd]


def fold_numbers(rows: Iterable[Row]) -> list[Row]:
    """Return rows in which those that differ in numbers alone are one, in the order of their first tensors."""
    groups: dict[object, list[tuple[int, Row]]] = {}
    for order, row in enumerate(rows):
        texts = tuple(NUMBER.sub(_shape_of, name) for name in row.names)
        is_plain = not any("{" in name or "}" in name for name in row.names)
        groups.setdefault((texts, row.cells) if is_plain else order, []).append((order, row))
    found = [item for group in groups.values() for item in _ranges(group)]
    return [row for _, row in sorted(found, key=lambda item: item[0])]


def _shape_of(number: re.Match[str]) -> str:
    """Return what stands for a number: those with zeros before them are of one kind for each length."""
    return "0" * len(number[0]) if number[0].startswith("0") and number[0] != "0" else "1"


def _ranges(group: Sequence[tuple[int, Row]]) -> Iterator[tuple[int, Row]]:
    """Yield the rows of tensors whose names are alike but for numbers, with the place of the first of each."""
    order, first = group[0]
    slots = list(zip(*(NUMBER.findall("\n".join(row.names)) for _, row in group), strict=True))
    columns = [column for column, name in enumerate(first.names) for _ in NUMBER.findall(name)]
    leads = _leads(slots, columns) if len(group) > 1 else None
    if leads is None:
        yield from group
        return
    free = sorted((slot for slot in range(len(slots)) if leads[slot] == slot), key=lambda slot: -len(set(slots[slot])))
    ranges = [len(set(slots[slot])) for slot in free]
    if not free:  # one name more than once
        yield order, first._replace(counts=(len(group),), items=_items(row for _, row in group))
    elif math.prod(ranges) == len(group) == len(set(zip(*(slots[slot] for slot in free), strict=True))):
        texts = iter([slot[0] if lead is None else _range(slot) for slot, lead in zip(slots, leads, strict=True)])
        names = tuple(NUMBER.sub(lambda _: next(texts), name) for name in first.names)
        yield order, first._replace(names=names, counts=tuple(ranges), items=_items(row for _, row in group))
    else:
        parts: dict[str, list[tuple[int, Row]]] = {}
        for number, item in zip(slots[free[-1]], group, strict=True):
            parts.setdefault(number, []).append(item)
        for part in parts.values():
            yield from _ranges(part)


def _leads(slots: Sequence[Sequence[str]], columns: Sequence[int]) -> list[int | None] | None:
    """Return for each number in the names which one it goes with: itself, one of a name before, or None if it never changes.

    Of two that go together in one name, a pattern of that name would say that they do not.
    If too many go with none before them, it is no matter of layers: then there is nothing to return.
    """
    leads: list[int | None] = []
    free: list[int] = []
    for slot, numbers in enumerate(slots):
        if len(set(numbers)) == 1:
            leads.append(None)
            continue
        others = (other for other in free if columns[other] != columns[slot] and _goes_with(numbers, slots[other]))
        lead = next(others, slot)
        leads.append(lead)
        if lead == slot:
            free.append(slot)
        if len(free) > MOST_FREE:
            return None
    return leads


def _goes_with(numbers: Sequence[str], others: Sequence[str]) -> bool:
    return len({int(a) - int(b) for a, b in zip(numbers, others, strict=True)}) == 1


def _range(numbers: Iterable[str]) -> str:
    """Return numbers as a shell writes them.

    >>> _range(["0", "1", "2", "5"])
    '{0..2,5}'
    """
    runs: list[list[str]] = []
    for number in sorted(set(numbers), key=int):
        if runs and int(number) == int(runs[-1][-1]) + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    texts = [text for run in runs for text in (run if len(run) < LONG_RUN else [f"{run[0]}..{run[-1]}"])]
    return f"{{{','.join(texts)}}}"


def _fold_words(rows: Sequence[Row]) -> list[Row]:
    deepest = max((row.names[0].count("/") for row in rows), default=0)
    for place in range(-1, -min(deepest + 1, MOST_PLACES) - 1, -1):
        groups: dict[object, list[Row]] = {}
        for row in rows:
            groups.setdefault(_but_one_part(row, place), []).append(row)
        rows = [row for group in groups.values() for row in _alternatives(group)]
    return list(rows)


def _but_one_part(row: Row, place: int) -> object:
    """Return what rows have in common that may be told as one, with one part of the name left out."""
    first, *others = (name.split("/") for name in row.names)
    if len(first) < -place or "{" in first[place]:
        return row[:3]
    shapes = tuple(len(parts) for parts in others)
    return row.cells, row.counts, len(first), (*first[: len(first) + place], *first[len(first) + place + 1 :]), shapes


def _alternatives(group: Sequence[Row]) -> list[Row]:
    """Return rows as one if each of their names differs in one part at most; a row for each tensor if not."""
    if len(group) == 1 or (len(group) > MOST_WORDS and len(group[0].names) > 1):
        return [*group]  # which of the second names goes with which of the first has to be told
    patterns = [_pattern(names) for names in zip(*(row.names for row in group), strict=True)]
    if any(pattern is None for pattern in patterns) or len({row.names[0] for row in group}) != len(group):
        return [*group]
    names = tuple(pattern for pattern in patterns if pattern is not None)
    return [group[0]._replace(names=names, counts=(*group[0].counts, len(group)), items=_items(group))]


def _items(rows: Iterable[Row]) -> tuple[Any, ...]:
    return tuple(item for row in rows for item in row.items)


def _pattern(names: Sequence[str]) -> str | None:
    """Return names that differ in one part as one name with alternatives; None if they differ in more."""
    columns = list(zip(*(name.split("/") for name in names), strict=True))
    differing = [number for number, parts in enumerate(columns) if len(set(parts)) > 1]
    if len(differing) > 1 or any(len(set(columns[n])) < len(names) or "{" in "".join(columns[n]) for n in differing):
        return None
    return "/".join(_words(parts) if number in differing else parts[0] for number, parts in enumerate(columns))


def _words(parts: Sequence[str]) -> str:
    """Return parts of names with what they begin and end with written once, if that is whole words.

    >>> _words(["_query_dense", "_key_dense"]), _words(["beta", "gamma"])
    ('_{query,key}_dense', '{beta,gamma}')
    """
    before = re.sub(f"[^{EDGE}]*$", "", start_of(parts))
    rests = [part[len(before) :] for part in parts]
    after = re.sub(f"^[^{EDGE}]*", "", start_of([rest[::-1] for rest in rests])[::-1])
    words = dict.fromkeys(rest[: len(rest) - len(after)] for rest in rests)
    return f"{before}{{{_listed(list(words))}}}{after}"


def _listed(words: Sequence[str]) -> str:
    shown = words if len(words) <= MOST_WORDS else [*words[:SHOWN_WORDS], f"... {len(words) - SHOWN_WORDS} more"]
    return ",".join(shown)
