"""An extension of griffe, which reads docstrings for the site, and wants them a little different from how people do."""

from __future__ import annotations

import importlib
import inspect
import re
from typing import Any

from griffe import Attribute, Class, Extension, Function, Object

CHANGES = (
    (r"(?<=[^\n])\n(?=(?:Args|Attributes|Returns|Yields|Raises|Example|Source):)", "\n\n"),  # a blank line before each
    (r"^Example:$", "Examples:"),
    (r"^(    \w+Error(?:, \w+Error)*)\.$", r"\1: as named."),  # an error in a list has a description
    (r"^Source: (.*)$", r"Source: `\1`"),
    (r"^Raises: (?=\S)", "**Raises:** "),  # a sentence, and no list
)
PROPERTIES = ("once", "tfckpt.bundle.listing.once")  # decorators of ours that make one


class Docstrings(Extension):
    """Makes those changes, and shows what a caller sees: the values of defaults, and properties as such."""

    def on_instance(self, *, obj: Object, **_: Any) -> None:
        """Change the docstring of a module, a class, a function or an attribute."""
        if obj.docstring:
            for pattern, replacement in CHANGES:
                obj.docstring.value = re.sub(pattern, replacement, obj.docstring.value, flags=re.MULTILINE)

    def on_function_instance(self, *, func: Function, **_: Any) -> None:
        """Write the values of a function's defaults, and not the names of our constants."""
        if func.parent is None or not func.parent.is_module or not func.path.startswith("tfckpt."):
            return
        found = getattr(importlib.import_module(func.parent.path), func.name, None)
        for parameter in inspect.signature(found).parameters.values() if inspect.isfunction(found) else ():
            if parameter.default is not inspect.Parameter.empty and parameter.name in func.parameters:
                func.parameters[parameter.name].default = repr(parameter.default)

    def on_class_members(self, *, cls: Class, **_: Any) -> None:
        """Make attributes of what is decorated as a property."""
        for name, member in list(cls.members.items()):
            if isinstance(member, Function) and any(str(d.value) in PROPERTIES for d in member.decorators):
                attribute = Attribute(name, lineno=member.lineno, annotation=member.returns, docstring=member.docstring)
                attribute.labels.add("property")
                cls.set_member(name, attribute)
