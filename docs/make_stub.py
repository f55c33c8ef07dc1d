"""What editors and type checkers see of the package: every public call with each of its options, and what they mean.

    python docs/make_stub.py > tfckpt/__init__.pyi

They do not run the code that makes signatures and docstrings of the options (options.py and signatures.py in tfckpt/base). So
what it makes is written down; a test compares.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from typing import Any

import tfckpt
from tfckpt.base.options import Option

# What annotations of those calls are made of, and where it lives.
USED = (
    ("collections.abc", "Sequence"),
    ("typing", "Literal"),
    ("tfckpt.checkpoint.statistics", "CheckpointStatistics"),
    ("tfckpt.about.info", "Info"),
    ("tfckpt.proof.proof", "Proof"),
    ("tfckpt.edit.comparison.diff", "Comparison"),
    ("tfckpt.formats.container", "Writable"),
    ("tfckpt.base.options", "PathLike"),
    ("tfckpt.page.document", "Report"),
    ("tfckpt.base.progress", "Progress"),
)
INDENT = "    "


def stub() -> str:
    """Return the text of the stub."""
    values = {name: getattr(tfckpt, name) for name in tfckpt.__all__}
    calls = [name for name, value in values.items() if hasattr(value, "options")]
    modules = {name: importlib.import_module(values[name].__module__).__name__ for name in values if name not in calls}
    lines = ["# Made by docs/make_stub.py from what the code says of itself: do not edit.", ""]
    lines += [f"from {module} import {name}" for module, name in USED[:2]]
    lines += ["", *(f"from tfckpt import {name} as {name}" for name in ("errors", "types"))]
    found = [(module, f"{name} as {name}") for name, module in modules.items()]
    lines += [f"from {module} import {what}" for module, what in sorted([*found, *USED[2:]])]
    lines += ["", "__version__: str", "__all__: list[str]", ""]
    for name in calls:
        lines += _call(name, values[name])
    return "\n".join(lines)


def _call(name: str, call: Any) -> Iterator[str]:
    """Yield the lines of one call."""
    signature = inspect.signature(call)
    yield f"def {name}("
    was_keyword = False
    for parameter in signature.parameters.values():
        is_keyword = parameter.kind is parameter.KEYWORD_ONLY
        if is_keyword and not was_keyword:
            yield f"{INDENT}*,"
        was_keyword = is_keyword
        option = call.options.get(parameter.name)
        kind = parameter.annotation if option is None else _type(option, parameter.annotation)
        default = "" if parameter.default is parameter.empty else f" = {_quoted(parameter.default)}"
        yield f"{INDENT}{parameter.name}: {kind}{default},"
    yield f") -> {signature.return_annotation}:"
    first, *others = inspect.getdoc(call).splitlines()  # type: ignore[union-attr]  # each has one
    yield f'{INDENT}"""{first}'
    yield from (f"{INDENT}{line}" if line else "" for line in others)
    yield f'{INDENT}"""'
    yield ""


def _type(option: Option, spelled: str) -> str:
    """Return what a type checker holds an option to: a closed set is one, though signatures say ``str``."""
    if not option.choices:
        return spelled
    values = ", ".join(map(_quoted, option.choices))
    return f"Literal[{values}]" + (" | None" if option.default is None else "")


def _quoted(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


if __name__ == "__main__":
    print(stub(), end="")  # noqa: T201
