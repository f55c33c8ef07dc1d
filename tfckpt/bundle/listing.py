"""What it takes to read an index of a million entries: one thread that does it, and no garbage collector meanwhile."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, TypeVar, overload

T = TypeVar("T")


@contextmanager
def collector_paused() -> Iterator[None]:
    """Keep the garbage collector from walking through all entries again and again while they become more.

    None of them is garbage, and of a million it would make a third of the time. Another thread's garbage waits as long.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class once(cached_property[T]):  # noqa: N801 - a decorator
    """A cached property of an object with a lock ``reading``: one thread computes it while the others wait.

    From Python 3.12 on, each would compute it on its own.
    """

    @overload
    def __get__(self, reader: None, owner: type[Any] | None = None) -> once[T]: ...
    @overload
    def __get__(self, reader: object, owner: type[Any] | None = None) -> T: ...
    def __get__(self, reader: Any, owner: type[Any] | None = None) -> Any:
        if reader is None:
            return self
        with reader.reading:
            return super().__get__(reader, owner)
