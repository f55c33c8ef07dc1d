"""Public calls, made of functions that take their options as a ``TypedDict``: what they say of themselves, what they refuse.

Apart from the options, of which the command line's own help needs no call. `inspect` is slow to import, so none of this does.
"""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Callable, Iterable, Mapping
from types import FunctionType
from typing import Any, TypeVar

from tfckpt.base.options import Option, options_of
from tfckpt.errors import UsageError

Call = TypeVar("Call", bound=Callable[..., Any])

MARK = "        **options: "  # begins the line of a docstring in whose place every option stands
WIDTH = 126  # characters of a line of a docstring


def takes(kind: type) -> Callable[[Call], Call]:
    """Return a decorator that makes a public call of a function whose last parameter is ``**options: Unpack[kind]``.

    The call has each option as a keyword with its default, in ``inspect.signature``, in ``typing.get_type_hints`` and in its
    docstring; the function gets all of them. An option that there is not is a TypeError with the call's public name, and a
    value that is not one of a closed set is a UsageError.
    """

    def make(function: Call) -> Call:
        options = options_of(kind)
        code = function.__code__
        own = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        defaults = {name: option.default for name, option in options.items()}

        @functools.wraps(function)
        def call(*args: Any, **given: Any) -> Any:
            for name, value in given.items():
                if name not in options and name not in own:
                    raise TypeError(unknown_option(function.__name__, name, [*own, *options]))
                check_choice(name, value, options)
            return function(*args, **{**defaults, **given})

        call.__doc__ = _documented(function.__doc__ or "", options)
        call.__annotations__ = _annotated(function, {name: option.type for name, option in options.items()})
        call.__wrapped__ = _signed(function, own, options)  # where inspect looks
        call.options = options  # type: ignore[attr-defined]  # for what is made from them
        return call  # type: ignore[return-value]  # it takes what the function takes

    return make


def _annotated(function: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the annotations of a function, with those of every option before the one of what is returned."""
    own = {name: kind for name, kind in function.__annotations__.items() if name != "options"}
    returned = own.pop("return")
    return {**own, **options, "return": returned}


def _signed(function: Callable[..., Any], own: tuple[str, ...], options: Mapping[str, Option]) -> Callable[..., Any]:
    """Return a function that has nothing but the signature of a call, and says where the one stands that does the work."""
    code = function.__code__
    names = (*own, *options)
    form = (lambda: None).__code__.replace(
        co_argcount=code.co_argcount,
        co_kwonlyargcount=len(names) - code.co_argcount,
        co_varnames=names,
        co_nlocals=len(names),
        co_filename=code.co_filename,
        co_firstlineno=code.co_firstlineno,
    )
    signed = FunctionType(form, function.__globals__, function.__name__)
    signed.__defaults__ = function.__defaults__
    signed.__kwdefaults__ = (function.__kwdefaults__ or {}) | {name: option.default for name, option in options.items()}
    spelled = {name: option.spelled or option.type.__name__ for name, option in options.items()}
    signed.__annotations__ = _annotated(function, spelled)
    return signed


def check_choice(name: str, value: object, options: Mapping[str, Option]) -> None:
    """Raise UsageError for a value that is not one of a closed set."""
    option = options.get(name)
    if option is not None and option.choices and value not in (option.default, *option.choices):
        raise UsageError(f"{name}: expected {', '.join(map(repr, option.choices))}, got {value!r}")


def unknown_option(call: str, name: str, known: Iterable[str]) -> str:
    """Return what to say of an option that a public call has not.

    >>> unknown_option("plan", "fil", ["fill", "to"])
    "tfckpt.plan() got an unexpected keyword argument 'fil'; did you mean 'fill'?"
    """
    import difflib

    near = difflib.get_close_matches(name, sorted(known), n=1)
    meant = f"; did you mean {near[0]!r}?" if near else ""
    return f"tfckpt.{call}() got an unexpected keyword argument {name!r}{meant}"


def _documented(text: str, options: Mapping[str, Option]) -> str:
    """Return a docstring with every option in the place of its mark."""
    first = len(MARK) - len(MARK.lstrip())
    entries = [
        textwrap.fill(
            f"{name}: {option.help}",
            WIDTH,
            initial_indent=" " * first,
            subsequent_indent=" " * (first + 4),
            break_long_words=False,
            break_on_hyphens=False,
        )
        for name, option in options.items()
    ]
    lines = [entries if line.startswith(MARK) else [line] for line in text.split("\n")]
    return "\n".join(line for group in lines for line in group)
