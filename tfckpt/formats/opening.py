"""Which kind of file lies at a path, or is to lie there: told by its name, its first bytes, or the user."""

from __future__ import annotations

import os
from collections.abc import Sequence

from tfckpt.base.issues import Issue, list_tensors, take
from tfckpt.errors import (
    CheckpointNotFoundError,
    FormatError,
    UnsupportedError,
    UsageError,
    located,
    remedied,
    some,
)
from tfckpt.formats import bundle, directory, npz, safetensors  # noqa: F401  # each registers its container
from tfckpt.formats.container import BUNDLE, SAFETENSORS, Container, Destination, TensorSource, kinds, registered
from tfckpt.storage import files
from tfckpt.storage.kinds.table import ARRAYS, EMPTY, IN_PLACE, TENSORS, ZIP, remedy_for
from tfckpt.storage.paths import index_path, is_remote, join, split, split_query
from tfckpt.storage.sniff import explain, kind_of, kind_of_directory, kind_with_folder

EXPECTED = "a safetensors or .npz file"
MOST_FILES = 100  # that are looked into
MAGIC_SIZE = 9  # with the first letter of a safetensors file's header, behind its length


def open_source(path: str, kind: str | None) -> TensorSource:
    """Open a file of tensors for reading, or a directory of them: its headers are read and checked, no values.

    Raises: CheckpointNotFoundError, FormatError, StorageError, UnsupportedError; UsageError for a kind that is none.
    """
    container = _asked_for(kind) or _container_at(path)
    with located(path, None):
        try:
            container.check()
            return container.open(path)
        except FormatError as error:
            found = kind_of(path)
            if found not in (ARRAYS, TENSORS, ZIP):  # of an archive, the container says which member is too much
                explain(error, found, EXPECTED, path)
            raise
        except CheckpointNotFoundError as error:
            if files.is_directory(path):
                raise _instead_in(path, error) from None
            raise
        except UnsupportedError as error:
            if str(error).startswith(path):
                raise
            raise remedied(UnsupportedError(f"{path}: {error}"), *error.remedies) from None


def find_container(path: str) -> Container | None:
    """Return the container that lies at a path, as its first bytes or its name tell; None if none does.

    Raises: StorageError.
    """
    if files.is_directory(path):
        return next((c for c in _exchanged() if c.is_directory and files.is_file(join(path, directory.INDEX))), None)
    start = files.read_head(path, MAGIC_SIZE)
    detected = (c for c in _exchanged() if c.detect is not None and c.detect(start))
    return next(detected, None) or container_named(path)


def container_of(to: Destination, kind: str | None) -> Container:
    """Return the container to write: the one asked for, or the one that the path says.

    >>> [container_of(Destination(path), None).name for path in ("model.safetensors", "model.NPZ", "arrays/")]
    ['safetensors', 'npz', 'npy']

    Raises: UsageError if neither tells; UnsupportedError if a package is missing that it needs.
    """
    found = _found(to, kind)
    found.check()
    return found


def _found(to: Destination, kind: str | None) -> Container:
    asked = _asked_for(kind)
    if to.write is not None:
        if asked is None or asked.is_directory:
            *others, last = [repr(c.name) for c in _exchanged() if not c.is_directory]
            raise UsageError(Issue("unnamed-file-kind", "", f"{', '.join(others)} or {last}", repr(kind)))
        return asked
    bare, _ = split_query(to.path)
    is_directory = bare.endswith("/") or files.is_directory(to.path)
    found = asked or container_named(to.path)
    found = found or next((c for c in _exchanged() if c.is_directory and is_directory), None)
    if found is None:
        expected = "a name that ends in .safetensors or .npz, or a directory, which ends in /"
        is_file = os.path.splitext(bare)[1] != ""  # what has a suffix was meant to be one
        remedies = () if is_file else (take(to.path, f"{to.path}/"),)
        raise UsageError(Issue("unknown-file-kind", to.path, expected, remedies=remedies))
    return found


def container_named(path: str) -> Container | None:
    """Return the container whose files are called so."""
    suffix = os.path.splitext(split_query(path)[0])[1].lower()
    return next((c for c in _exchanged() if suffix in c.suffixes), None)


def _exchanged() -> list[Container]:
    """Return the containers that are no bundles."""
    return [container for container in registered.values() if container.name != BUNDLE]


def _asked_for(kind: str | None) -> Container | None:
    if kind is not None and kind not in kinds():
        raise UsageError(f"kind of file: expected {', '.join(kinds())}, got {kind!r}")
    return None if kind is None else registered[kind]


def _container_at(path: str) -> Container:
    """Return the container that lies there; safetensors for what nothing tells from it.

    Raises: CheckpointNotFoundError, StorageError; FormatError for a file of another kind that is known, and an empty one.
    """
    if files.is_directory(path):
        return next(container for container in _exchanged() if container.is_directory)
    if not files.exists(path):
        raise _not_there(path)
    start = files.read_head(path, MAGIC_SIZE)
    for container in _exchanged():
        if container.detect is not None and container.detect(start):
            return container
    if (found := kind_with_folder(path)) is not None:
        kind, where = found
        error = FormatError("file", path=path, expected=EXPECTED, got=kind.what, hint=kind.advice(where))
        raise remedied(error, remedy_for(kind, where))
    return registered[SAFETENSORS]


def _not_there(path: str) -> CheckpointNotFoundError:
    """Return the error for a path with nothing to import: a checkpoint, or a name without its suffix."""
    text = f"{path}: no file to import, and no directory"
    if files.exists(index_path(path)):
        return remedied(CheckpointNotFoundError(f"{text}; it is a checkpoint"), list_tensors(path))
    folder, base = split(path)
    names = (
        files.list_directory(folder or os.curdir)
        if base and not is_remote(path) and files.is_directory(folder or os.curdir)
        else []
    )
    return _with_file(path, text, [join(folder, name) for name in names if name.startswith(f"{base}.")])


def _instead_in(folder: str, error: CheckpointNotFoundError) -> CheckpointNotFoundError:
    """Return the error for a directory that is no export, which says what is in it."""
    if error.remedies or not files.can_list(folder):
        return error
    other = kind_of_directory(folder)
    if other is not None:
        kind, path = other
        it = "it" if path == folder else path
        return CheckpointNotFoundError(f"{error}; {it} is {kind.what}; {kind.advice(path)}")
    return _with_file(folder, str(error), [join(folder, name) for name in files.list_directory(folder)])


def _with_file(typed: str, text: str, paths: Sequence[str]) -> CheckpointNotFoundError:
    """Return the error with the only one of some files that can be imported; or with what one of them is."""
    kinds = [(path, kind) for path in paths[:MOST_FILES] if (kind := kind_of(path)) is not None]
    fit = [path for path, kind in kinds if kind in (ARRAYS, TENSORS)]
    if len(fit) == 1:
        return remedied(CheckpointNotFoundError(f"{text}; {fit[0]} is there"), take(typed, fit[0]))
    if fit:
        return CheckpointNotFoundError(f"{text}; name one of {some(fit)}")
    for path, kind in kinds:
        if kind not in (EMPTY, *IN_PLACE):
            error = CheckpointNotFoundError(f"{text}; {path} is {kind.what}; {kind.advice(path)}")
            return remedied(error, remedy_for(kind, path))
    return CheckpointNotFoundError(text)
