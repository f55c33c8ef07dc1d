"""An extension of griffe, which reads docstrings for the site, and wants them a little different from how people do."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

CHANGES = (
    (r"(?<=[^\n])\n(?=(?:Args|Returns|Yields|Raises|Example|Source):)", "\n\n"),  # a blank line before each section
    (r"^Example:$", "Examples:"),
    (r"^(    \w+Error(?:, \w+Error)*)\.$", r"\1: as named."),  # an error in a list has a description
    (r"^Source: (.*)$", r"Source: `\1`"),
)


class Docstrings(Extension):
    """Makes those changes."""

    def on_instance(self, *, obj: Object, **_: Any) -> None:
        """Make them in the docstring of a module, a class, a function or an attribute."""
        if obj.docstring:
            for pattern, replacement in CHANGES:
                obj.docstring.value = re.sub(pattern, replacement, obj.docstring.value, flags=re.MULTILINE)
