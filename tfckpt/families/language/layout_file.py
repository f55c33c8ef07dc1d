"""Layouts and families that stand in TOML files of the user's own."""

from __future__ import annotations

import sys
from typing import Any

from tfckpt.errors import LayoutError
from tfckpt.families.language.custom import build_family, build_layout, build_layout_of
from tfckpt.families.language.family import Family
from tfckpt.families.language.layouts import NameRows, ObjectRows
from tfckpt.families.language.target import build_target
from tfckpt.storage import files
from tfckpt.storage.paths import join

FILE_LIMIT = 1 << 20  # bytes; one of a few hundred rows has some 30,000
MAX_DOTS = 64  # in a line
MOST_FILES = 1000  # of a folder
FAMILY = "family.toml"
SUFFIX = ".toml"


def read_layout(path: str) -> ObjectRows:
    """Return the layout in a TOML file; `tfckpt.families.language.custom` says what stands there.

    Raises:
        LayoutError: it is not TOML, or no layout; lists everything that is wrong.
        CheckpointNotFoundError, StorageError, FormatError: it cannot be read, is too large, or is not UTF-8.
    """
    return _checked(build_layout(_read(path), path), path)


def read_family(folder: str) -> tuple[Family, tuple[ObjectRows | NameRows, ...]]:
    """Return the family in a folder, and its layouts: ``family.toml``, and each layout in a file of its own.

    Layouts come in the order of their files' names, as `match_models` and the choice of a target go by it.

    Raises: as `read_layout`.
    """
    path = join(folder, FAMILY)
    family = build_family(_read(path), path)
    names = sorted(name for name in files.list_directory(folder) if name.endswith(SUFFIX) and name != FAMILY)
    if len(names) > MOST_FILES:
        raise LayoutError([f"{folder}: expected at most {MOST_FILES:,} layouts, got {len(names):,}"])
    layouts = [(build_layout_of(family, _read(path), path), path) for path in (join(folder, name) for name in names)]
    own = [layout.name for layout, _ in layouts]
    if twice := sorted({name for name in own if own.count(name) > 1}):
        raise LayoutError([f"{folder}: two layouts have the name {name!r}" for name in twice])
    return family, tuple(
        _checked(layout, path) if isinstance(layout, ObjectRows) else layout for layout, path in layouts
    )


def _read(path: str) -> dict[str, Any]:
    """Return a TOML document."""
    if sys.version_info >= (3, 11):  # rare: few conversions have a layout of the user's
        import tomllib
    else:
        import tomli as tomllib

    text = files.read_text(path, FILE_LIMIT)
    for number, line in enumerate(text.split("\n"), 1):
        # As one key, these would be as many tables, and parsers take their square in memory.
        if line.count(".") > MAX_DOTS:
            raise LayoutError([f"{path}: line {number}: more than {MAX_DOTS} dots: break it into several lines"])
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise LayoutError([f"{path}: not TOML: {error}"]) from None


def _checked(layout: ObjectRows, path: str) -> ObjectRows:
    """Return a layout whose graph can be built."""
    try:
        build_target(layout, _some_names(layout))
    except LayoutError as error:
        raise LayoutError([issue._replace(origin=path) for issue in error.issues]) from None
    return layout


def _some_names(layout: ObjectRows) -> set[str]:
    """Return the hub names of a model that has one of everything."""
    rows = (v for placed in layout.parts for v in placed.part.variables(lambda *prefixes: (0,)))
    return {name for row in rows for name in row.names}
