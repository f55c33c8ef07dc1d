"""Arguments that Python would take in a sense that nobody means: one text for a list of letters, a fraction for a number."""

from __future__ import annotations

import operator
from collections.abc import Iterable

from tfckpt.errors import UsageError


def texts(name: str, values: Iterable[str]) -> tuple[str, ...]:
    """Return several texts.

    >>> texts("drop", ["*/adam_m"])
    ('*/adam_m',)

    Raises: UsageError if it is one text, or holds something else.
    """
    found = (values,) if isinstance(values, str | bytes) else tuple(values)
    wrong = next((value for value in found if not isinstance(value, str)), None)
    if found == (values,) or wrong is not None:
        raise UsageError(f"{name}: expected a list of texts, got {values if wrong is None else wrong!r}")
    return found


def whole_number(name: str, value: int, unit: str = "") -> int:
    """Return a number of things, of which there is one at least.

    >>> whole_number("shards", 2)
    2

    Raises: UsageError.
    """
    try:
        number = operator.index(value)
    except TypeError:
        raise UsageError(f"{name}: expected a whole number{unit}, got {value!r}") from None
    if number < 1:
        raise UsageError(f"{name}: expected 1{unit} or more, got {number}")
    return number
