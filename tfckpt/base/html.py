"""Results as HTML, for notebooks: facts, and tables that fold.

There are no scripts in it, and all texts are escaped: they come out of files. Notebooks are passed on, so paths and messages
are without the credentials of URLs.

A notebook asks a value for ``_repr_html_``. A small record gets one by `in_notebooks`, made of its ``to_json``; a large
result has one of its own, made of the parts here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

from tfckpt.errors import count_of, printable, redacted

Item = TypeVar("Item")
Record = TypeVar("Record")

MOST_ROWS = 200  # of a table or a list; what is left out is counted
MOST_CHARACTERS = 2000  # of one text; a crafted name may have millions
LEFT = "text-align: left; vertical-align: top"  # notebooks set cells to the right
NOTHING: tuple[object, ...] = (None, "", (), [], {})


def in_notebooks(record: type[Record]) -> type[Record]:
    """Give a class that has a ``to_json`` the ``_repr_html_`` of a record: its repr, and a table of what it holds."""

    def _repr_html_(self: Any) -> str:
        return shown(repr(self), facts(self.to_json()))

    record._repr_html_ = _repr_html_  # type: ignore[attr-defined]  # notebooks look for it, and nobody else
    return record


def shown(title: str, *sections: str) -> str:
    """Return a whole result: what it is, in a line, and the parts of it."""
    return f"<div><p><strong>{_public(title)}</strong></p>{''.join(sections)}</div>"


def facts(values: Mapping[str, object]) -> str:
    """Return a table with a row for each value; what is None or empty is left out.

    >>> facts({"shape": [2, 3], "note": ""}).count("<tr>")
    1
    """
    rows = (
        f'<tr><th scope="row" style="{LEFT}">{text(name)}</th><td style="{LEFT}">{_value(value)}</td></tr>'
        for name, value in values.items()
        if value not in NOTHING
    )
    return f"<table><tbody>{''.join(rows)}</tbody></table>"


def table(columns: Sequence[str], items: Sequence[Item], row: Callable[[Item], Iterable[object]]) -> str:
    """Return a table of the first `MOST_ROWS` items, and how many more there are; only the rows that it shows are made.

    >>> table(("name", "bytes"), [("<w>", 1024)], lambda item: item).count("&lt;w&gt;")
    1
    """
    head = "".join(f'<th scope="col" style="{LEFT}">{text(column)}</th>' for column in columns)
    body = "".join(f"<tr>{''.join(map(_cell, row(item)))}</tr>" for item in islice(items, MOST_ROWS))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{_more(len(items))}"


def listed(lines: Sequence[str]) -> str:
    """Return lines as a list, the first `MOST_ROWS` of them; nothing if there are none."""
    items = "".join(f"<li>{_public(line)}</li>" for line in lines[:MOST_ROWS])
    return f"<ul>{items}</ul>{_more(len(lines))}" if lines else ""


def folded(summary: str, *body: str, is_open: bool = False) -> str:
    """Return what opens by a click on its summary; nothing if there is nothing in it."""
    inside = "".join(body)
    return details(text(summary), inside, is_open=is_open) if inside else ""


def details(summary: str, body: str, *, is_open: bool = False) -> str:
    """Return what opens by a click on its summary; both are HTML already."""
    return f"<details{' open' * is_open}><summary>{summary}</summary>{body}</details>"


def text(value: object) -> str:
    """Return a value in words, escaped: numbers as people write them, several values in one line, nothing for None.

    >>> text(1234567), text(0.1234567), text([30522, 768]), text(["a", "<b>"]), text(None)
    ('1,234,567', '0.123457', '[30522, 768]', 'a, &lt;b&gt;', '')
    """
    from html import escape

    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (tuple, list)) and not all(isinstance(item, int) for item in value):  # no shape
        return ", ".join(map(text, value[:MOST_ROWS])) + ", ..." * (len(value) > MOST_ROWS)
    said = "" if value is None else str(value)
    return escape(printable(said[:MOST_CHARACTERS])) + "..." * (len(said) > MOST_CHARACTERS)


def _cell(value: object) -> str:
    return f'<td style="{LEFT}">{text(value)}</td>'


def _value(value: object) -> str:
    """Return what stands beside a name: a text, or a table of what a value holds itself."""
    if isinstance(value, Mapping):
        return facts(value)
    if isinstance(value, (tuple, list)) and value and isinstance(value[0], Mapping):
        columns = list(value[0])
        return folded(count_of(value, "row"), table(columns, value, lambda item: [item.get(name) for name in columns]))
    return _public(value) if isinstance(value, str) else text(value)


def _public(said: str) -> str:
    """Return a text, escaped, without the credentials of URLs. It is cut first: a crafted one would take long to search."""
    return text(redacted(said[: MOST_CHARACTERS + 1]))


def _more(count: int) -> str:
    return f"<p>and {count - MOST_ROWS:,} more</p>" if count > MOST_ROWS else ""
