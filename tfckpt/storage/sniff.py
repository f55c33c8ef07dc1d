"""What a file is that is no checkpoint: told from its first bytes, for messages alone.

Sources: git-lfs docs/spec.md; the HDF5 file format, III.A; APPNOTE.TXT of zip; RFC 1952 (gzip); POSIX pax (tar);
safetensors README; Python's pickle. Graphs are told by `tfckpt.storage.graphs`.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from tfckpt.base.issues import Remedy, run
from tfckpt.errors import FormatError, TfckptError, remedied
from tfckpt.storage import files
from tfckpt.storage.graphs import holds_values
from tfckpt.storage.paths import is_remote, split

HEAD_SIZE = 512  # bytes that tell
INDEX, DATA, OLD = "a checkpoint's index", "a checkpoint's data file", "a file of a V1 checkpoint"  # what is expected
BROKEN_INDEX = "the index is damaged, cut short, or something else: download or copy it again"


class Kind(NamedTuple):
    """A kind of file: what it is, and what to do with it; ``command`` is what to type, where something helps."""

    what: str
    then: str
    command: str = ""  # {path}, {folder} and {stem} stand for the file, its directory, and its name up to the first dot


POINTER = Kind(
    "a Git LFS pointer, not the file itself",
    "let Git download the file",
    "git -C {folder} lfs pull",
)
PAGE = Kind("a web page instead of the file", "download the file itself")
ANSWER = Kind("a server's answer in XML, not the file", "the download was refused: try it again")
EMPTY = Kind("an empty file", "the download or copy is incomplete: repeat it")
STUBS = (POINTER, PAGE, ANSWER, EMPTY)  # what comes in place of a file, whatever that is
HDF5 = Kind(
    "an HDF5 file, as Keras saves weights",
    "tfckpt reads TensorFlow checkpoints; in Keras, model.load_weights and model.save_weights('model.ckpt', "
    "save_format='tf') make one",
)
TORCH = Kind("a PyTorch file", "tfckpt reads TensorFlow checkpoints; PyTorch's own tools read this one")
ZIP = Kind("a zip archive", "unpack it first", "python3 -m zipfile -e {path} {stem}")
TAR = Kind("a tar archive", "unpack it first", "mkdir -p {stem} && tar -xf {path} -C {stem}")
IMPORTED = "tfckpt import makes a checkpoint from it", "tfckpt import {path} {stem}.ckpt"
ARRAYS = Kind("an archive of NumPy arrays", *IMPORTED)
TENSORS = Kind("a safetensors file", *IMPORTED)
TEXT = Kind("a JSON text", "those are in a checkpoint's .index and .data files")
GRAPH = Kind("a graph, without the values of variables", "those are in a checkpoint's .index and .data files")
FROZEN = Kind(
    "a frozen graph: it holds values as constants, which tfckpt does not read",
    "look for the checkpoint that it was frozen from; without it, TensorFlow's "
    "tf.make_ndarray(node.attr['value'].tensor) is the value of a node whose op is Const, and tfckpt.save writes such "
    "values, by name, as a checkpoint",
)

# Patterns of the first bytes, the more special first.
SIGNATURES: tuple[tuple[re.Pattern[bytes], Kind], ...] = (
    (re.compile(rb"version https://git-lfs\.github\.com/"), POINTER),
    (re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE), PAGE),
    (re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:\?xml|Error)\b"), ANSWER),
    (re.compile(rb"\x89HDF\r\n\x1a\n"), HDF5),
    (re.compile(rb"PK\x03\x04.{26}[^\0]*?(?:data\.pkl|/version|byteorder)", re.DOTALL), TORCH),
    (re.compile(rb"PK\x03\x04.{26}[^\0]*?\.npy", re.DOTALL), ARRAYS),
    (re.compile(rb"PK(?:\x03\x04|\x05\x06)"), ZIP),
    (re.compile(rb"\x80[\x02-\x05].*(?:torch|\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19)", re.DOTALL), TORCH),
    (re.compile(rb"\x1f\x8b\x08|BZh[1-9]|\xfd7zXZ\0|.{257}ustar", re.DOTALL), TAR),
    (re.compile(rb".{5}\0\0\0\{\s*[\"}]", re.DOTALL), TENSORS),
    (re.compile(rb"\s*[\[{]\s*[\"\[{\]}][^\0-\x08\x0e-\x1f]*\Z"), TEXT),
)


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


def kind_in(file: files.Input) -> Kind | None:
    """Return what an open file is; None if that cannot be told.

    Raises: StorageError, FormatError if it cannot be read.
    """
    head = file.read_at(0, min(HEAD_SIZE, file.size))
    found = EMPTY if not head else next((kind for pattern, kind in SIGNATURES if pattern.match(head)), None)
    if found is None and (values := holds_values(file)) is not None:
        return FROZEN if values else GRAPH
    return found


def stub_at(path: str) -> Kind | None:
    """Return what has come in place of a file, whatever that was to be; None if nothing has."""
    kind = kind_of(path)
    return kind if kind in STUBS else None


def remedy_for(kind: Kind, path: str) -> Remedy | None:
    """Return what helps where a file of this kind is found."""
    if not kind.command or is_remote(path):
        return None
    import shlex

    folder, name = split(path)
    stem = os.path.join(folder, name.partition(".")[0])
    places = {"path": path, "folder": folder or os.curdir, "stem": stem if stem != path else f"{stem}-unpacked"}
    quoted = {key: shlex.quote(text) for key, text in places.items()}
    return run(kind.command.format(**quoted))


def explain(error: FormatError, kind: Kind | None, expected: str, path: str) -> bool:
    """Make an error about a part of a file one about all of it, if the file is something else; return whether it is."""
    if kind is None:
        return False
    error.what, error.expected, error.got, error.offset = "file", expected, kind.what, None
    error.path, error.hint = path, kind.then
    remedied(error, remedy_for(kind, path))
    return True
