"""The report as one HTML page that needs nothing else: its style, its script and its data are inside.

Strategy: the template, the style and the parts of the script are files of their own beside this one. The page's policy lets
run that very script, by its hash, and lets nothing be loaded. Names come as JSON in which no ``<`` is left, and the script
only ever sets text, so that a name cannot become markup.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterable, Iterator
from importlib import resources
from typing import Any

from tfckpt.errors import printable
from tfckpt.page.document import Report
from tfckpt.storage.commit import new_file

SCRIPTS = (
    "common.js",
    "treemap.js",
    "table.js",
    "heatmap.js",
    "names.js",
    "histogram.js",
    "page.js",
)  # one script; each uses those before it
PLACE = re.compile(r"\{\{ (\w+) \}\}")
MARKUP = str.maketrans({"<": r"\u003c", ">": r"\u003e", "&": r"\u0026"})


def page(report: Report) -> Iterator[str]:
    """Yield the page of a report in pieces.

    >>> text = "".join(page(tfckpt.report("bert_model.ckpt")))
    >>> text.count("<script"), "bert/pooler/dense/kernel" in text
    (2, True)
    """
    style, script = _resource("page.css"), "\n".join(map(_resource, SCRIPTS))
    parts = {
        "title": html.escape(printable(report.source)),
        "policy": html.escape(_policy(style, script)),
        "style": style,
        "script": script,
    }
    template = _resource("page.html")
    end = 0
    for place in PLACE.finditer(template):
        yield template[end : place.start()]
        if place[1] == "data":
            yield from _data(report)
        else:
            yield parts[place[1]]
        end = place.end()
    yield template[end:]


def write_page(path: str, pieces: Iterable[str]) -> int:
    """Write a page, whole or not at all; return its size in bytes.

    Raises: StorageError, UsageError, and whatever making a piece does.
    """
    with new_file(path, sync=False) as file:
        for piece in pieces:
            file.write(piece.encode("utf-8"))
    return file.offset


def _resource(name: str) -> str:
    return resources.files("tfckpt.page").joinpath(name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """Return the Content-Security-Policy: this style and this script, and nothing from anywhere."""
    return (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode()}'"


def _data(report: Report) -> Iterator[str]:
    """Yield the report as JSON, a line for each tensor."""
    yield _dumps(report.head_to_json()).removesuffix("}") + ', "tensors": [\n'
    separator = ""
    for tensor in report.tensors:
        yield separator + _dumps(tensor.to_json())
        separator = ",\n"
    yield "\n]}"


def _dumps(value: Any) -> str:
    return json.dumps(_shown(value)).translate(MARKUP)


def _shown(value: Any) -> Any:
    """Return a value with all texts in it as they are printed: no control characters, nothing that turns text round."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {key: _shown(item) for key, item in value.items()}
    return [_shown(item) for item in value] if isinstance(value, list) else value
