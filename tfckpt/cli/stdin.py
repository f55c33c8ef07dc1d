"""What comes from stdin as a file: it can be read from any place, and every message calls it ``stdin``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tfckpt.errors import TfckptError, UsageError

STREAM = "-"  # what stdin and stdout are called on a command line
NAME = "stdin"
CHUNK_SIZE = 1 << 20  # bytes


@contextmanager
def stdin_as_file() -> Iterator[str]:
    """Yield the path of a temporary file with the bytes of stdin.

    Raises: UsageError if stdin is closed.
    """
    if sys.stdin is None:
        raise UsageError(f"{STREAM}: stdin is closed")
    import os
    import tempfile

    from tfckpt.storage.files import create_output

    with tempfile.TemporaryDirectory(prefix="tfckpt-") as directory:
        path = os.path.join(directory, NAME)
        file = create_output(path)
        while data := sys.stdin.buffer.read(CHUNK_SIZE):
            file.write(data)
        file.close(sync=False)
        file.publish()
        try:
            yield path
        except TfckptError as error:
            _call_it_stdin(error, path)
            raise


def _call_it_stdin(error: TfckptError, path: str) -> None:
    """Let an error speak of stdin, and advise no command on a file that is gone when it is typed."""
    if any(path in str(argument) for remedy in error.remedies for argument in remedy.arguments):
        error._issues = tuple(issue._replace(remedies=()) for issue in error._issues)
        error._remedies = ()

    def called(value: object) -> object:
        if isinstance(value, tuple):
            parts: list[Any] = [called(part) for part in value]
            return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
        return value.replace(path, NAME) if isinstance(value, str) else value

    error.args = tuple(map(called, error.args))
    for field, value in vars(error).items():
        setattr(error, field, called(value))
