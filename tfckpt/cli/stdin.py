"""What comes from stdin as a file: it can be read from any place, and every message calls it ``stdin``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tfckpt.errors import TfckptError

STREAM = "-"  # what stdin and stdout are called on a command line
NAME = "stdin"


@contextmanager
def stdin_as_file() -> Iterator[str]:
    """Yield the path of a temporary file with the bytes of stdin."""
    import os
    import shutil
    import tempfile

    with tempfile.TemporaryDirectory(prefix="tfckpt-") as directory:
        path = os.path.join(directory, NAME)
        with open(path, "xb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file, 1 << 20)
        try:
            yield path
        except TfckptError as error:
            _call(error, path)
            raise


def _call(error: TfckptError, path: str) -> None:
    """Let an error speak of stdin, and advise no command on a file that is gone when it is typed."""

    def called(value: object) -> object:
        if isinstance(value, tuple):
            return tuple(map(called, value))
        return value.replace(path, NAME) if isinstance(value, str) else value

    error.args = tuple(map(called, error.args))
    for field, value in vars(error).items():
        setattr(error, field, called(value))
    if path in "\n".join(map(str, error.advice or ())):
        error.advice = None
