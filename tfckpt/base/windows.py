"""What Windows is told, where tfckpt does not run yet: one line, in Python and on the command line."""

from __future__ import annotations

import sys
from types import TracebackType

LINE = "tfckpt runs on Linux, and on macOS as far as that can be simulated; Windows is not supported yet: use WSL"


class UnsupportedSystemError(ImportError):
    """What importing tfckpt raises on such a system."""


def refuse() -> None:
    """Raise the error. Where nobody catches it, its line is printed without a traceback, and the process exits with 1."""
    before = sys.excepthook

    def print_line(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        if isinstance(error, UnsupportedSystemError):
            sys.stderr.write(f"{error}\n")
        else:
            before(kind, error, traceback)

    sys.excepthook = print_line
    raise UnsupportedSystemError(LINE)
