"""What a file or a directory is that is no checkpoint: told from its first bytes and its structure, for messages alone.

Nothing is unpickled or unpacked: of a packed file the first bytes are, in memory. Of a remote file only a few bytes are read.

Sources: git-lfs docs/spec.md; the HDF5 file format, III.A; APPNOTE.TXT of zip; RFC 1952 (gzip); POSIX pax (tar);
safetensors README; Python's pickle; onnx.proto; the msgpack specification; flax/serialization.py; ggml docs/gguf.md;
tensorflow/lite/schema/schema.fbs; tensorflow/core/util/event.proto; Orbax's checkpoint format guide; t5x/checkpoints.py.
Graphs are told by `tfckpt.storage.kinds.graphs`.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from itertools import islice

from tfckpt.errors import FormatError, TfckptError, remedied
from tfckpt.sstable.format import FOOTER_SIZE, has_bundle_header, has_magic
from tfckpt.storage import files
from tfckpt.storage.kinds.archives import packed_kind, zip_kind
from tfckpt.storage.kinds.graphs import holds_values, is_onnx
from tfckpt.storage.kinds.msgpack import is_tree
from tfckpt.storage.kinds.table import (
    ANSWER,
    ARRAY,
    BZIP2,
    EMPTY,
    EVENTS,
    FLAX,
    FROZEN,
    GGUF,
    GRAPH,
    GZIP,
    HDF5,
    ONNX,
    ORBAX,
    OTHER_ARCHIVE,
    PAGE,
    PICKLE,
    POINTER,
    RENAMED_INDEX,
    STUBS,
    T5X,
    TAR,
    TENSORS,
    TEXT,
    TFLITE,
    TORCH,
    XZ,
    ZARR,
    ZIP,
    Kind,
    remedy_for,
)
from tfckpt.storage.paths import INDEX_SUFFIX, is_remote, join, split, split_query

HEAD_SIZE = 512  # bytes that tell
INDEX, DATA, OLD = "a checkpoint's index", "a checkpoint's data file", "a file of a V1 checkpoint"  # what is expected
BROKEN_INDEX = "the index is damaged, cut short, or something else: download or copy it again"

# Patterns of the first bytes, the more special first.
SIGNATURES: tuple[tuple[re.Pattern[bytes], Kind], ...] = (
    (re.compile(rb"version https://git-lfs\.github\.com/"), POINTER),
    (re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE), PAGE),
    (re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:\?xml|Error)\b"), ANSWER),
    (re.compile(rb".{5}\0\0\0\{\s*[\"}]", re.DOTALL), TENSORS),
    (re.compile(rb"\x89HDF\r\n\x1a\n"), HDF5),
    (re.compile(rb"\x93NUMPY"), ARRAY),
    (re.compile(rb"PK(?:\x03\x04|\x05\x06)"), ZIP),
    (re.compile(rb".{4}TFL3", re.DOTALL), TFLITE),
    (re.compile(rb"GGUF[\x01-\xff]\0\0\0"), GGUF),
    (re.compile(rb"\x80[\x02-\x05].*(?:torch|\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19)", re.DOTALL), TORCH),
    (re.compile(rb"\x80(?:[\x02\x03][\]}()cXKMJGN\x8a]|[\x04\x05]\x95.{6}\0\0)", re.DOTALL), PICKLE),
    (re.compile(rb".{12}\t.{8}\x1a.brain\.Event:", re.DOTALL), EVENTS),
    (re.compile(rb"\x1f\x8b\x08"), GZIP),
    (re.compile(rb"BZh[1-9]"), BZIP2),
    (re.compile(rb"\xfd7zXZ\0"), XZ),
    (re.compile(rb".{257}ustar", re.DOTALL), TAR),
    (re.compile(rb"7z\xbc\xaf\x27\x1c|Rar!\x1a\x07|\x28\xb5\x2f\xfd"), OTHER_ARCHIVE),
    (re.compile(rb"\x0c\xdb\x3a\x2a"), ORBAX),  # a manifest of OCDBT
    (re.compile(rb"\s*[\[{]\s*[\"\[{\]}][^\0-\x08\x0e-\x1f]*\Z"), TEXT),
)

# Of the names in a directory, those that only Orbax gives.
ORBAX_NAMES = frozenset(
    ["orbax.checkpoint", "_CHECKPOINT_METADATA"]
)  # of a checkpoint, whose arrays are in a directory
ORBAX_ARRAYS = frozenset(["_METADATA", "manifest.ocdbt"])  # of that directory
ZARR_NAMES = frozenset([".zarray", ".zgroup", "zarr.json"])
MOST_FOLDERS = 20  # that are looked into
STATE_FILE = "checkpoint"  # which T5X calls its own file, too


def kind_of(path: str) -> Kind | None:
    """Return what a file is, if it is one of what people take for checkpoints; None if it cannot be read, or told."""
    try:
        if not files.is_file(path):
            return None
        file = files.open_input(path)
        try:
            return kind_in(file)
        finally:
            file.close()
    except TfckptError:
        return None


def kind_with_folder(path: str) -> tuple[Kind, str] | None:
    """Return what a file is, and where that is: the file, or its directory if that is a checkpoint of another program."""
    if not is_remote(path) and (other := kind_of_directory(split(path)[0] or os.curdir, below=False)) is not None:
        return other[0]._replace(what=f"a file of {other[0].what}"), other[1]
    kind = kind_of(path)
    return None if kind is None else (kind, path)


def kind_in(file: files.Input) -> Kind | None:
    """Return what an open file is; None if that cannot be told.

    Raises: StorageError, FormatError if it cannot be read.
    """
    head = file.read_at(0, min(HEAD_SIZE, file.size))
    found = EMPTY if not head else next((kind for pattern, kind in SIGNATURES if pattern.match(head)), None)
    if found is ZIP:
        return zip_kind(file)
    if found in (GZIP, BZIP2, XZ):
        return packed_kind(file, found)
    if found is None and is_tree(head):
        return FLAX
    if found is None and is_index(file, head) and not split_query(file.path)[0].endswith(INDEX_SUFFIX):
        return RENAMED_INDEX
    if found is None and not is_remote(file.path):  # a graph may take many reads
        values = holds_values(file)
        found = ONNX if is_onnx(file) else None if values is None else FROZEN if values else GRAPH
    return found


def stub_at(path: str) -> Kind | None:
    """Return what has come in place of a file, whatever that was to be; None if nothing has."""
    kind = kind_of(path)
    return kind if kind in STUBS else None


def explain(error: FormatError, kind: Kind | None, expected: str, path: str) -> bool:
    """Make an error about a part of a file one about all of it, if the file is something else; return whether it is."""
    if kind is None:
        return False
    error.what, error.expected, error.got, error.offset = "file", expected, kind.what, None
    error.path, error.hint = path, kind.advice(path)
    remedied(error, remedy_for(kind, path))
    return True


def is_index(file: files.Input, head: bytes) -> bool:
    """Whether a file is the index of a TensorBundle, whatever its name."""
    if not has_bundle_header(head) or file.size < FOOTER_SIZE:
        return False
    return has_magic(file.read_at(file.size - FOOTER_SIZE, FOOTER_SIZE))


def is_index_at(path: str) -> bool:
    """Whether a file is the index of a TensorBundle, whatever its name; not if it cannot be read."""
    with suppress(TfckptError):
        file = files.open_input(path)
        try:
            return is_index(file, file.read_at(0, min(HEAD_SIZE, file.size)))
        finally:
            file.close()
    return False


def kind_of_directory(path: str, *, below: bool = True) -> tuple[Kind, str] | None:
    """Return what a directory is that has a checkpoint of another program, and where that is, which may be ``below``."""
    with suppress(TfckptError):
        names = files.list_directory(path)
        if (found := _kind_among(path, names)) is not None or not below:
            return found
        for folder in _folders(path, names):
            found = _kind_among(folder, files.list_directory(folder))
            if found is not None and found[0] is not ZARR:
                return found
    return None


def _kind_among(path: str, names: list[str]) -> tuple[Kind, str] | None:
    own = set(names)
    if own & ZARR_NAMES:
        return ZARR, path
    if own & ORBAX_ARRAYS:
        return ORBAX, path
    if own & ORBAX_NAMES:
        below = (f for f in _folders(path, names) if ORBAX_ARRAYS & set(files.list_directory(f)))
        return ORBAX, next(below, path)
    if STATE_FILE in own and kind_of(join(path, STATE_FILE)) is FLAX:
        return T5X, path
    return None


def _folders(path: str, names: list[str]) -> list[str]:
    """Return the directories in one, of those that end in numbers the latest first."""
    paths = (join(path, name) for name in sorted(names, key=lambda name: (len(name), name), reverse=True))
    return list(islice(filter(files.is_directory, paths), MOST_FOLDERS))
