"""The layouts there are, by the name that ``--to`` takes."""

from __future__ import annotations

from tfckpt.errors import UsageError
from tfckpt.layouts.bert import ENCODER, KERAS
from tfckpt.layouts.rules import Layout

LAYOUTS: dict[str, Layout] = {layout.name: layout for layout in (ENCODER, KERAS)}
DEFAULT = ENCODER.name


def find_layout(name: str) -> Layout:
    """Return the layout of that name.

    Raises: UsageError, which lists the names.
    """
    layout = LAYOUTS.get(name)
    if layout is None:
        raise UsageError(f"no target {name!r}; there are {', '.join(LAYOUTS)}")
    return layout
