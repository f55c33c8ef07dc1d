"""Layouts that stand in a TOML file of the user's own."""

from __future__ import annotations

import sys

from tfckpt.errors import LayoutError
from tfckpt.families.language.custom import build_layout
from tfckpt.families.language.layouts import ObjectRows
from tfckpt.families.language.target import build_target
from tfckpt.storage import files

FILE_LIMIT = 1 << 20  # bytes; one of a few hundred rows has some 30,000
MAX_DOTS = 64  # in a line


def read_layout(path: str) -> ObjectRows:
    """Return the layout in a TOML file; `tfckpt.families.language.custom` says what stands there.

    Raises:
        LayoutError: it is not TOML, or no layout; lists everything that is wrong.
        CheckpointNotFoundError, StorageError, FormatError: it cannot be read, is too large, or is not UTF-8.
    """
    if sys.version_info >= (3, 11):  # rare: few conversions have a layout of the user's
        import tomllib
    else:
        import tomli as tomllib

    text = files.read_text(path, FILE_LIMIT)
    for number, line in enumerate(text.split("\n"), 1):
        if (
            line.count(".") > MAX_DOTS
        ):  # as one key, these would be as many tables, and parsers take their square in memory
            raise LayoutError([f"{path}: line {number}: more than {MAX_DOTS} dots: break it into several lines"])
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise LayoutError([f"{path}: not TOML: {error}"]) from None
    layout = build_layout(document, path)
    try:
        build_target(layout, _some_names(layout))
    except LayoutError as error:
        raise LayoutError([issue._replace(origin=path) for issue in error.issues]) from None
    return layout


def _some_names(layout: ObjectRows) -> set[str]:
    """Return the hub names of a model that has one of everything."""
    return {v.name for placed in layout.parts for v in placed.part.variables(lambda *prefixes: (0,))}
