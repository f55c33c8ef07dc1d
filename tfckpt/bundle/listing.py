"""What it takes to read an index of a million entries: one thread that does it, and no garbage collector meanwhile."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar, overload

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


class once(Generic[T]):  # noqa: N801 - a decorator
    """A cached property of an object with a `ThreadLock` ``_reading``: one thread computes it while the others wait.

    `functools.cached_property` has a lock before Python 3.12, which a forked child may find taken, and none from then on.
    """

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self.func = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self._name = name

    @overload
    def __get__(self, reader: None, owner: type[Any] | None = None) -> once[T]: ...
    @overload
    def __get__(self, reader: object, owner: type[Any] | None = None) -> T: ...
    def __get__(self, reader: Any, owner: type[Any] | None = None) -> Any:
        if reader is None:
            return self
        with reader._reading:
            values = vars(reader)  # where it is found from now on, without asking here
            if self._name not in values:
                values[self._name] = self.func(reader)
            return values[self._name]
