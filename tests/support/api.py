"""The public API as text, a line for each thing that callers can rely on. Run it to print what the package has now."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from types import FunctionType
from typing import Any, get_origin

MODULES = ("tfckpt", "tfckpt.errors", "tfckpt.types")
OURS = "tfckpt."


def public_names(module: Any) -> list[str]:
    """Return the public names of a module: its ``__all__``, or the exceptions that it defines."""
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return sorted(listed)
    return sorted(name for name, value in vars(module).items() if is_error(value))


def is_error(value: object) -> bool:
    """Whether it is an exception's class."""
    return inspect.isclass(value) and issubclass(value, Exception)


def describe() -> Iterator[str]:
    """Yield the lines: names, signatures, fields, properties, bases of classes, exit codes."""
    for path in MODULES:
        module = importlib.import_module(path)
        for name in public_names(module):
            yield from describe_value(f"{path}.{name}", getattr(module, name))
    from tfckpt.cli.main import EXIT_CODES

    yield from (f"exit code {code}" for code, _ in EXIT_CODES)


def describe_value(name: str, value: Any) -> Iterator[str]:
    """Yield the lines of one public name."""
    if get_origin(value) is not None:
        yield f"type {name} = {str(value).replace('typing.', '').replace('collections.abc.', '')}"
    elif inspect.isclass(value):
        bases = [base.__qualname__ for base in value.__mro__[1:] if base is not object]
        yield f"class {name}({', '.join(bases)})"
        yield from (f"  {line}" for line in fields(value))
        yield from sorted(f"  {line}" for line in members(value))
    else:
        yield f"def {name}{inspect.signature(value)}"


def fields(cls: type) -> Iterator[str]:
    """Yield the fields of a tuple or a dataclass, in their order, and the annotated attributes of other classes."""
    for base in reversed(cls.__mro__):
        if base.__module__.startswith(OURS):
            for name, annotation in inspect.get_annotations(base).items():
                text = getattr(annotation, "__forward_arg__", annotation)
                if not name.startswith("_"):
                    yield f"{name}: {text}"


def members(cls: type) -> Iterator[str]:
    """Yield methods and properties of a class, and of those of its bases that are ours."""
    plain = {line.partition(":")[0] for line in fields(cls)}
    for base in cls.__mro__:
        if base.__module__.startswith(OURS):
            for name, value in vars(base).items():
                if not name.startswith("_") and name not in plain:
                    yield member(name, value)


def member(name: str, value: Any) -> str:
    """Return the line of one attribute of a class."""
    if isinstance(value, (staticmethod, classmethod)):
        return f"{type(value).__name__} {name}{inspect.signature(value.__func__)}"
    if isinstance(value, FunctionType):
        return f"def {name}{inspect.signature(value)}"
    getter = value.fget if isinstance(value, property) else value.func
    return f"{name}: {getter.__annotations__['return']}"


if __name__ == "__main__":
    print(*describe(), sep="\n")  # noqa: T201
