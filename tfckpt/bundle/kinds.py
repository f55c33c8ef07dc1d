"""What a file is that is no checkpoint: told from its first bytes, for messages alone.

Sources: git-lfs docs/spec.md; the HDF5 file format, III.A; APPNOTE.TXT of zip; RFC 1952 (gzip); POSIX pax (tar);
safetensors README; Python's pickle.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from tfckpt.bundle import files
from tfckpt.bundle.paths import INDEX_SUFFIX, is_remote, split, strip_suffix
from tfckpt.errors import FormatError, TfckptError, remedied
from tfckpt.issues import Remedy, find_damage, run

HEAD_SIZE = 512  # bytes that tell
BROKEN_INDEX = "the index is damaged, cut short, or something else: fetch it again"


class Kind(NamedTuple):
    """A kind of file: what it is, and what to do with it; ``command`` is what to type, where something helps."""

    what: str
    then: str
    command: str = ""  # {path}, {folder} and {stem} stand for the file, its directory, and its name up to the first dot


POINTER = Kind(
    "a Git LFS pointer of a few lines, not the file that it stands for",
    "let Git fetch the file itself",
    "git -C {folder} lfs pull",
)
PAGE = Kind("a web page, not the file", "the download got a page about it: fetch the file itself")
ANSWER = Kind("a server's answer in XML, not the file", "the download was refused: fetch it again")
HDF5 = Kind(
    "an HDF5 file, as Keras saves weights",
    "tfckpt reads TensorFlow checkpoints; in Keras, model.load_weights and model.save_weights('model.ckpt', "
    "save_format='tf') make one",
)
TORCH = Kind("a PyTorch file", "tfckpt reads TensorFlow checkpoints; PyTorch's own tools read this one")
ZIP = Kind("a zip archive", "unpack it first", "python3 -m zipfile -e {path} {stem}")
TAR = Kind("a tar archive", "unpack it first", "mkdir -p {stem} && tar -xf {path} -C {stem}")
IMPORTED = "tfckpt import makes a checkpoint of it", "tfckpt import {path} {stem}.ckpt"
ARRAYS = Kind("an archive of NumPy arrays", *IMPORTED)
TENSORS = Kind("a safetensors file", *IMPORTED)
TEXT = Kind("a JSON text", "a checkpoint's values are in its .index and .data files")
GRAPH = Kind("a graph without the values of variables", "a checkpoint's values are in its .index and .data files")

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
    (re.compile(rb"\x1f\x8b|BZh[1-9]|\xfd7zXZ\0|.{257}ustar", re.DOTALL), TAR),
    (re.compile(rb".{5}\0\0\0\{", re.DOTALL), TENSORS),
    (re.compile(rb"\s*[\[{]\s*[\"\[{\]}]"), TEXT),
)
NAMES: tuple[tuple[re.Pattern[str], Kind], ...] = ((re.compile(r"(?:^|/)graph\.pbtxt$|\.pb$|\.meta$"), GRAPH),)


def kind_of(path: str) -> Kind | None:
    """Return what a file is, if it is one of what people take for checkpoints; None if it cannot be read, or told."""
    try:
        if not files.is_file(path):
            return None
        head = files.read_head(path, HEAD_SIZE)
    except TfckptError:
        return None
    found = next((kind for pattern, kind in SIGNATURES if pattern.match(head)), None)
    return found or next((kind for pattern, kind in NAMES if pattern.search(path)), None)


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


def explain(error: FormatError) -> None:
    """Say in an error about a checkpoint's file what the file is instead, if that can be told, and what helps."""
    path = error.path
    if path is None or is_remote(path):
        return
    kind = kind_of(path)
    if not error.hint and path.endswith(INDEX_SUFFIX):
        error.hint = BROKEN_INDEX
    if kind is not None:
        error.hint = f"it is {kind.what}; {kind.then}"
        remedied(error, remedy_for(kind, path))
    if not error.remedies and strip_suffix(path) != path:
        remedied(error, find_damage(strip_suffix(path)))
