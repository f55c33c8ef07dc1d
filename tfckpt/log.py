"""What the library has to say beside its results, to the logger ``tfckpt``: quiet unless the application listens.

Whoever listens has imported logging, so this does not: it costs as much as opening a small checkpoint.
"""

from __future__ import annotations

import sys

from tfckpt.errors import redacted

CALLER = 3  # stack levels up to whoever calls `info` or `warning`


def info(message: str, *args: object) -> None:
    """Say what was done."""
    _log("INFO", message, args)


def warning(message: str, *args: object) -> None:
    """Say what is not as a user would expect."""
    _log("WARNING", message, args)


def _log(level: str, message: str, args: tuple[object, ...]) -> None:
    logging = sys.modules.get("logging")
    if logging is None:
        return
    logger = logging.getLogger("tfckpt")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())  # else a warning that nobody handles goes to stderr
    shown = (redacted(arg) if isinstance(arg, str) else arg for arg in args)
    logger.log(getattr(logging, level), message, *shown, stacklevel=CALLER)
