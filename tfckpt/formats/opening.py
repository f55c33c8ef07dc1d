"""Opens whichever file of tensors lies at a path."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tfckpt.errors import FormatError, UnsupportedError, located, remedied
from tfckpt.formats import safetensors
from tfckpt.formats.archive import Archive, Member, noted_type, plain_header
from tfckpt.formats.defaults import NPY, NPZ, SAFETENSORS
from tfckpt.formats.directory import open_directory
from tfckpt.formats.dtypes import NAMES
from tfckpt.formats.kinds import EXPECTED, check_kind, kind_of_source
from tfckpt.formats.npz import open_npz
from tfckpt.storage import files
from tfckpt.storage.paths import is_remote
from tfckpt.storage.sniff import explain, stub_at

NOTE = "tfckpt"  # the key of what we note in the metadata


def open_archive(path: str, kind: str | None) -> Archive:
    """Open a file of tensors for reading, or a directory of them: its headers are read and checked, no values.

    Raises: CheckpointNotFoundError, FormatError, StorageError, UnsupportedError; UsageError for a kind that is none.
    """
    check_kind(kind)
    kind = kind or kind_of_source(path)
    opened = {NPY: open_directory, NPZ: open_npz, SAFETENSORS: open_safetensors}[kind]
    with located(path, None):
        try:
            return opened(path)
        except FormatError as error:
            explain(error, stub_at(path), EXPECTED, path)
            raise
        except UnsupportedError as error:
            if str(error).startswith(path):
                raise
            raise remedied(UnsupportedError(f"{path}: {error}"), *error.remedies) from None


def open_safetensors(path: str) -> Archive:
    """Open a safetensors file; ours and the library's reading of its header must agree."""
    safetensors.check_library()
    file = files.open_input(path)
    try:
        tensors, metadata, start = safetensors.read_header(file)
        verdict = None if is_remote(path) else safetensors.judge(path, tensors)
        if verdict is not None:
            raise FormatError("file", expected="one that the safetensors library reads", got=verdict)
        noted = _noted(metadata)
        members = [_member(file, tensor, start, noted) for tensor in tensors]
    except BaseException:
        file.close()
        raise
    return Archive(path, members, check=file.check_unchanged, close=file.close)


def _member(file: files.Input, tensor: safetensors.Tensor, start: int, noted: Mapping[str, Any]) -> Member:
    nbytes = tensor.end - tensor.begin
    data_type = noted_type(tensor.name, tensor.data_type, noted.get(tensor.name), NAMES)
    header = plain_header(tensor.data_type, tensor.shape, nbytes)

    def chunks() -> Iterator[bytes]:
        return file.chunks(start + tensor.begin, nbytes)

    return Member(tensor.name, data_type, header, nbytes, chunks)


def _noted(metadata: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the dtypes that are noted in the metadata by tensor: what a file of another writer never has."""
    try:
        note = json.loads(metadata.get(NOTE, "{}"))
        dtypes = note.get("dtypes", {})
        if not all(isinstance(name, str) for name in dtypes.values()):
            raise ValueError("a dtype that is no text")
    except (ValueError, AttributeError, RecursionError) as error:
        expected = "JSON of dtypes by tensor"
        raise FormatError(f"metadata {NOTE!r}", expected=expected, got=str(error)[:200]) from None
    found: Mapping[str, Any] = dtypes
    return found
