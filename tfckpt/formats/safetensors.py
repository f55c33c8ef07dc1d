"""The header of a safetensors file, and the library's verdict on a whole one.

    length u64 | JSON: {"__metadata__": {key: text}, name: {"dtype", "shape", "data_offsets": [begin, end]}, ...} | values

Strategy: the library writes from memory and reads through a map, so values stream past it: the header is ours, in the
library's own order and spelling, which makes the file the one that ``save_file`` would write. The library reads the header of
every file that is written here, before that gets its name, and of every one that is read.
Source: safetensors README.md, "Format"; safetensors/src/tensor.rs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tfckpt._proto.types_pb2 import DataType
from tfckpt.base.issues import install
from tfckpt.bundle.values.dtypes import item_size
from tfckpt.bundle.values.entry import MAX_RANK
from tfckpt.errors import FormatError, UnsupportedError, remedied
from tfckpt.formats.dtypes import CODES, DATA_TYPES, RANKS

if TYPE_CHECKING:
    from tfckpt.storage.files import Input

METADATA = "__metadata__"
LENGTH_SIZE = 8
ALIGNMENT = 8  # of the values, by spaces after the JSON
MAX_HEADER_SIZE = 100_000_000  # bytes; the library's own bound
MAX_DIM = 1 << 63
HINT = "pip install 'tfckpt[safetensors]'"


class Tensor(NamedTuple):
    """One tensor of a file; ``begin`` and ``end`` count from the first byte of values."""

    name: str
    data_type: DataType
    shape: tuple[int, ...]
    begin: int = 0
    end: int = 0


def check_library() -> None:
    """Raise UnsupportedError if the library is not there."""
    try:
        import safetensors  # noqa: F401
    except ImportError:
        error = UnsupportedError(f"safetensors files need a package that is not installed: {HINT}")
        raise remedied(error, install("safetensors")) from None


def in_order(tensors: Iterable[Tensor]) -> list[Tensor]:
    """Return tensors as the library lays them out: by dtype, then by the bytes of their names, one after another."""
    placed, at = [], 0
    for tensor in sorted(tensors, key=lambda t: (RANKS[CODES[t.data_type]], t.name.encode())):
        end = at + math.prod(tensor.shape) * item_size(tensor.data_type)
        placed.append(tensor._replace(begin=at, end=end))
        at = end
    return placed


def write_header(tensors: Sequence[Tensor], metadata: dict[str, str]) -> bytes:
    """Return what stands before the values.

    >>> write_header([Tensor("w", DATA_TYPES["U8"], (2,), 0, 2)], {})[8:]
    b'{"__metadata__":{},"w":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}} '
    """
    rows: dict[str, Any] = {METADATA: metadata}
    for t in tensors:
        rows[t.name] = {"dtype": CODES[t.data_type], "shape": t.shape, "data_offsets": (t.begin, t.end)}
    text = json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    return len(text).to_bytes(LENGTH_SIZE, "little") + text


def read_header(file: Input) -> tuple[list[Tensor], dict[str, str], int]:
    """Return the tensors in the order of their bytes, the metadata, and where the values begin.

    Raises: FormatError, also where the library is more patient; UnsupportedError for a dtype that TensorFlow lacks.
    """
    if file.size < LENGTH_SIZE:
        raise _wrong("file", f"{LENGTH_SIZE} bytes or more", f"{file.size}")
    length = int.from_bytes(file.read_at(0, LENGTH_SIZE), "little")
    most = min(MAX_HEADER_SIZE, file.size - LENGTH_SIZE)
    if length > most:
        raise _wrong("length of the header", f"at most {most:,} bytes", f"{length:,}")
    try:
        rows = json.loads(file.read_at(LENGTH_SIZE, length).decode(), object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise _wrong("header", "JSON", str(error)[:200]) from None
    if not isinstance(rows, dict):
        raise _wrong("header", "a JSON object", type(rows).__name__)
    metadata = rows.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise _wrong("metadata", "an object of texts", str(metadata)[:200])
    tensors = sorted((_parse_row(name, row) for name, row in rows.items()), key=lambda t: (t.begin, t.end))
    _check_cover(tensors, file.size - LENGTH_SIZE - length)
    return tensors, metadata, LENGTH_SIZE + length


def judge(path: str, tensors: Iterable[Tensor]) -> str | None:
    """Return what the library has against a file, or against these being its tensors; None if nothing.

    It maps the file, and looks at the header only.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as opened:
            found = set(opened.keys())
    except SafetensorError as error:
        return str(error)
    names = {tensor.name for tensor in tensors}
    return None if found == names else f"{len(found ^ names)} names that one of us does not see"


def _parse_row(name: str, row: Any) -> Tensor:
    what = f"tensor {name!r}"
    if not name or not _is_text(name):
        raise _wrong(what, "a name in UTF-8", "none" if not name else "lone surrogates")
    if not isinstance(row, dict) or set(row) != {"dtype", "shape", "data_offsets"}:
        raise _wrong(what, "an object of dtype, shape and data_offsets", str(row)[:200])
    code, shape, offsets = row["dtype"], row["shape"], row["data_offsets"]
    if not isinstance(code, str) or code not in DATA_TYPES:
        raise UnsupportedError(f"{what}: safetensors dtype {code!r} has no counterpart in TensorFlow")
    if not _are_sizes(shape) or len(shape) > MAX_RANK:
        raise _wrong(f"shape of {what}", f"a list of at most {MAX_RANK} sizes", str(shape)[:200])
    if not _are_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise _wrong(f"place of {what}", "where it begins and ends", str(offsets)[:200])
    nbytes = math.prod(shape) * item_size(DATA_TYPES[code])
    if offsets[1] - offsets[0] != nbytes:
        raise _wrong(f"size of {what}, {code}{shape}", "that of dtype and shape", f"{offsets[1] - offsets[0]:,} bytes")
    return Tensor(name, DATA_TYPES[code], tuple(shape), *offsets)


def _check_cover(tensors: Iterable[Tensor], nbytes: int) -> None:
    """Raise FormatError unless the tensors lie one after another and end where the file does."""
    at = 0
    for tensor in tensors:
        if tensor.begin != at:
            how = "overlaps the one before it" if tensor.begin < at else "leaves a gap before it"
            raise _wrong(
                f"place of tensor {tensor.name!r}", f"byte {at:,} of the values", f"{tensor.begin:,}: it {how}"
            )
        at = tensor.end
    if at != nbytes:
        raise _wrong("file", f"{at:,} bytes of values", f"{nbytes:,}", hint="it is truncated, or not one of these")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    rows = dict(pairs)
    if len(rows) < len(pairs):
        raise ValueError("a name that stands there twice")
    return rows


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and 0 <= item < MAX_DIM for item in value)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _wrong(what: str, expected: str, got: str, *, hint: str = "") -> FormatError:
    return FormatError(what, expected=expected, got=got, hint=hint)
