"""What a path means as a V1 checkpoint: a table without a suffix of its own, so a file must be looked at.

Source: tensorflow/core/util/tensor_slice_reader.cc, which takes a glob pattern for the names of shards.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress

from tfckpt.errors import CheckpointNotFoundError, TfckptError, some
from tfckpt.sstable.format import FOOTER_SIZE, has_bundle_header, has_magic
from tfckpt.storage import files
from tfckpt.storage.paths import (
    INDEX_SUFFIX,
    V1_SHARD_SUFFIX,
    join,
    split,
    split_query,
    strip_suffix,
    v1_paths,
    v1_pattern,
)


def find_v1(path: str) -> str | None:
    """Return the V1 prefix that ``path`` means: a table, one shard of several, their pattern, or what stands before it.

    Returns: the path of the one file, or a pattern like ``export-?????-of-00003``; None if nothing V1 is there.
    Raises: CheckpointNotFoundError if several sets of shards are; StorageError if a file cannot be read.
    """
    if strip_suffix(path) != path:  # an index is a table, too
        return None
    if V1_SHARD_SUFFIX.search(split_query(path)[0]):
        pattern = v1_pattern(path)
        return pattern if has_any_file(pattern) else None
    if files.is_file(path):
        return path if is_table(path) else None
    found = _shards_of(path)
    if len(found) > 1:
        raise CheckpointNotFoundError(f"{path}: several sets of shards: name one of {', '.join(found)}")
    return join(split(path)[0], found[0]) if found else None


def has_any_file(prefix: str) -> bool:
    """Whether at least one file of a V1 checkpoint is there."""
    return any(map(files.exists, v1_paths(prefix)))


def check_complete(prefix: str) -> None:
    """Raise CheckpointNotFoundError, naming those that are missing, unless all files of a V1 checkpoint are there."""
    missing = [path for path in v1_paths(prefix) if not files.exists(path)]
    if missing:
        raise CheckpointNotFoundError(f"{prefix}: a V1 checkpoint of which files are missing: {some(missing)}")


def v1_names(directory: str, names: Iterable[str]) -> list[str]:
    """Return the V1 prefixes among a directory's ``names``; reads the end of each file that may be one."""
    found: dict[str, None] = {}
    for name in names:
        # An index, or what an interrupted save left of one: model.index.tempstate123; or a data file.
        if INDEX_SUFFIX in name or strip_suffix(name) != name:
            continue
        with suppress(TfckptError):  # unreadable, or gone meanwhile
            if is_table(join(directory, name)):
                found.setdefault(v1_pattern(name))
    return list(found)


def is_table(path: str) -> bool:
    """Whether ``path`` is a regular file that ends as tables do, and not the index of a V2 checkpoint under another name."""
    if not files.is_file(path):
        return False
    file = files.open_input(path)
    try:
        if file.size < FOOTER_SIZE or not has_magic(file.read_at(file.size - FOOTER_SIZE, FOOTER_SIZE)):
            return False
        return not has_bundle_header(file.read_at(0, FOOTER_SIZE))
    finally:
        file.close()


def _shards_of(prefix: str) -> list[str]:
    """Return the patterns, without directory, of the shards whose names begin with ``prefix``."""
    directory, base = split(prefix)
    if not files.is_directory(directory or os.curdir):  # or over HTTP, where their number cannot be found out
        return []
    shards = (name for name in files.list_directory(directory or os.curdir) if V1_SHARD_SUFFIX.search(name))
    return sorted({v1_pattern(name) for name in shards if V1_SHARD_SUFFIX.sub("", name) == base})
