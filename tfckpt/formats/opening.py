"""Which kind of file lies at a path, or is to lie there: told by its name, its first bytes, or the user."""

from __future__ import annotations

import os

from tfckpt.base.issues import Issue, take
from tfckpt.errors import CheckpointNotFoundError, FormatError, UnsupportedError, UsageError, located, remedied
from tfckpt.formats import bundle, directory, npz, safetensors  # noqa: F401  # each registers its container
from tfckpt.formats.container import BUNDLE, SAFETENSORS, Container, Destination, TensorSource, kinds, registered
from tfckpt.storage import files
from tfckpt.storage.paths import join, split_query
from tfckpt.storage.sniff import explain, kind_of, remedy_for, stub_at

EXPECTED = "a safetensors or .npz file"
MAGIC_SIZE = 9  # with the first letter of a safetensors file's header, behind its length
# What people have lying beside what can be read: first bytes, what that is, and what to do.
OTHERS = (
    (b"\x93NUMPY", "one array without a name", "numpy.savez gives names to arrays"),
    (b"\x89HDF", "an HDF5 file, as Keras writes them", "Keras reads it, and writes TensorFlow's checkpoints"),
    (b"\x80", "a pickle, as PyTorch writes them", "safetensors.torch.save_file writes what can be read safely"),
)


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
            explain(error, stub_at(path), EXPECTED, path)
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
        raise CheckpointNotFoundError(f"{path}: no file to import, and no directory")
    start = files.read_head(path, MAGIC_SIZE)
    for container in _exchanged():
        if container.detect is not None and container.detect(start):
            return container
    for magic, what, hint in OTHERS:
        if start.startswith(magic):
            raise FormatError("file", path=path, expected=EXPECTED, got=what, hint=hint)
    found = kind_of(path) if start[8:] != b"{" else None
    if found is not None:
        error = FormatError("file", path=path, expected=EXPECTED, got=found.what, hint=found.then)
        raise remedied(error, remedy_for(found, path))
    return registered[SAFETENSORS]
