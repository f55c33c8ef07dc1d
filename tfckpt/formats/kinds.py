"""The kinds of files that tensors go to and come from, and how a path or a first byte tells which."""

from __future__ import annotations

import os

from tfckpt.base.issues import Issue, take
from tfckpt.errors import CheckpointNotFoundError, FormatError, UsageError, remedied
from tfckpt.formats.defaults import KINDS, NPY, NPZ, SAFETENSORS
from tfckpt.storage import files
from tfckpt.storage.paths import split_query
from tfckpt.storage.sniff import kind_of, remedy_for

SUFFIXES = {".safetensors": SAFETENSORS, ".npz": NPZ}
EXPECTED = "a safetensors or .npz file"
MAGIC_SIZE = 9  # with the first letter of a safetensors file's header, behind its length
# What people have lying beside what can be read: first bytes, what that is, and what to do.
OTHERS = (
    (b"\x93NUMPY", "one array without a name", "numpy.savez gives names to arrays"),
    (b"\x89HDF", "an HDF5 file, as Keras writes them", "Keras reads it, and writes TensorFlow's checkpoints"),
    (b"\x80", "a pickle, as PyTorch writes them", "safetensors.torch.save_file writes what can be read safely"),
)


def check_kind(kind: str | None) -> None:
    """Raise UsageError for a kind of file that is none."""
    if kind is not None and kind not in KINDS:
        raise UsageError(f"kind of file: expected {', '.join(KINDS)}, got {kind!r}")


def kind_of_dest(path: str, kind: str | None) -> str:
    """Return which kind of file to write: the one asked for, or the one that the path says.

    >>> kind_of_dest("model.safetensors", None), kind_of_dest("model.NPZ", None), kind_of_dest("arrays/", None)
    ('safetensors', 'npz', 'npy')

    Raises: UsageError if neither tells.
    """
    check_kind(kind)
    bare, _ = split_query(path)
    suffix = os.path.splitext(bare)[1].lower()
    found = kind or SUFFIXES.get(suffix) or (NPY if bare.endswith("/") or files.is_directory(path) else None)
    if found is None:
        expected = "a name that ends in .safetensors or .npz, or a directory, which ends in /"
        remedies = () if suffix else (take(path, f"{path}/"),)  # what has a suffix was meant to be a file
        raise UsageError(Issue("unknown-file-kind", path, expected, remedies=remedies))
    return found


def kind_of_source(path: str) -> str:
    """Return which kind of file lies there.

    Raises: CheckpointNotFoundError, StorageError; FormatError for a file of another kind that is known, and an empty one.
    """
    if files.is_directory(path):
        return NPY
    if not files.exists(path):
        raise CheckpointNotFoundError(f"{path}: no file to import, and no directory")
    start = files.read_head(path, MAGIC_SIZE)
    for magic, what, hint in OTHERS:
        if start.startswith(magic):
            raise FormatError("file", path=path, expected=EXPECTED, got=what, hint=hint)
    if start.startswith(b"PK"):
        return NPZ
    kind = kind_of(path) if start[8:] != b"{" else None
    if kind is not None:
        error = FormatError("file", path=path, expected=EXPECTED, got=kind.what, hint=kind.then)
        raise remedied(error, remedy_for(kind, path))
    return SAFETENSORS
