"""What the library has to say beside its results, to the logger ``tfckpt``: quiet unless the application listens.

Whoever listens has imported logging, so this does not: it costs as much as opening a small checkpoint.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tfckpt.errors import redacted

CALLER = 3  # stack levels up to whoever calls `info` or `warning`

_listeners: list[Callable[[str], None]] = []  # beside the logger, which costs an import


def info(message: str, *args: object) -> None:
    """Say what was done."""
    _log("INFO", message, args)


def warning(message: str, *args: object) -> None:
    """Say what is not as a user would expect."""
    for listen in _listeners:
        listen(message % tuple(map(_shown, args)))
    _log("WARNING", message, args)


@contextmanager
def warnings_to(listen: Callable[[str], None]) -> Iterator[None]:
    """Have every warning told to ``listen`` as well: the command line's way to hear them without logging."""
    _listeners.append(listen)
    try:
        yield
    finally:
        _listeners.remove(listen)


def _shown(arg: object) -> object:
    return redacted(arg) if isinstance(arg, str) else arg


def _log(level: str, message: str, args: tuple[object, ...]) -> None:
    logging = sys.modules.get("logging")
    if logging is None:
        return
    logger = logging.getLogger("tfckpt")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())  # else a warning that nobody handles goes to stderr
    logger.log(getattr(logging, level), message, *map(_shown, args), stacklevel=CALLER)
