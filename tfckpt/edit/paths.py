"""The checkpoints that an edit reads, and what lies where it writes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from tfckpt.base.issues import Issue
from tfckpt.base.options import PathLike
from tfckpt.checkpoint.checkpoint import Checkpoint
from tfckpt.errors import UsageError
from tfckpt.storage import files
from tfckpt.storage.paths import index_path, join, split

SAVED_MODEL = "saved_model.pb"


def source_paths(sources: Sequence[PathLike]) -> list[PathLike]:
    """Return the sources of an edit of several checkpoints.

    Raises: UsageError if it is one path, which would be a list of letters.
    """
    if isinstance(sources, str | os.PathLike):
        raise UsageError(f"sources: expected a list of checkpoints, got {os.fspath(sources)!r}")
    return list(sources)


def check_unchanged(checkpoints: Iterable[Checkpoint]) -> None:
    """Raise StorageError if a file of one of them has changed since it was opened."""
    for checkpoint in checkpoints:
        checkpoint.reader.check_unchanged()


def in_the_way(prefix: str, *, overwrite: bool) -> list[Issue]:
    """Return what to say, where nothing is written, of what would be refused or replaced then."""
    if not files.exists(index_path(prefix)):
        return []
    return [Issue("there-and-replaced" if overwrite else "there-and-refused", prefix)]


def saved_model(prefix: str) -> list[Issue]:
    """Return what to say of the variables of a SavedModel, whose own graph asks for them by name."""
    directory, name = split(prefix)
    above, folder = split(directory)
    graph = join(above, SAVED_MODEL)
    if (folder, name) != ("variables", "variables") or not files.exists(graph):
        return []
    return [Issue("saved-model", graph)]
