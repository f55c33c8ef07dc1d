"""A safetensors file: its header, written and read, its values, and the library's verdict on a whole one.

    length u64 | JSON: {"__metadata__": {key: text}, name: {"dtype", "shape", "data_offsets": [begin, end]}, ...} | values

Strategy: the library writes from memory and reads through a map, so values stream past it: the header is ours, in the
library's own order and spelling, which makes the file the one that ``save_file`` would write. The library reads the header of
every file that is written here, before that gets its name, and of every one that is read.
Source: safetensors README.md, "Format"; safetensors/src/tensor.rs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tfckpt._proto.types_pb2 import DT_STRING, DataType
from tfckpt.base.issues import Issue, install
from tfckpt.bundle.values.dtypes import dtype_name, item_size
from tfckpt.bundle.values.entry import MAX_RANK
from tfckpt.errors import FormatError, UnsupportedError, remedied
from tfckpt.formats import container
from tfckpt.formats.archive import Archive, Member, noted_type, plain_member
from tfckpt.formats.container import SAFETENSORS, Container, Destination
from tfckpt.formats.dtypes import CODES, DATA_TYPES, NAMES, RANKS, WRITTEN_AS
from tfckpt.formats.sinks import NOTE, FileSink, PlainSink
from tfckpt.storage import files
from tfckpt.storage.files import Input
from tfckpt.storage.paths import is_remote

if TYPE_CHECKING:
    from tfckpt.bundle.values.arrays import Array

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
    for tensor in sorted(tensors, key=_rank):
        end = at + math.prod(tensor.shape) * item_size(tensor.data_type)
        placed.append(tensor._replace(begin=at, end=end))
        at = end
    return placed


def _rank(tensor: Tensor) -> tuple[int, bytes]:
    return RANKS[CODES[tensor.data_type]], tensor.name.encode()


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


class SafetensorsSink(FileSink):
    """A safetensors file on its way, or a stream of one."""

    kind = SAFETENSORS

    def __init__(self, to: Destination) -> None:
        super().__init__(to)
        self._tensors: list[Tensor] = []

    @classmethod
    def form(cls, data_type: DataType) -> DataType | None:
        """Return the dtype that one is written as; None if it has no form there."""
        form = WRITTEN_AS.get(data_type, data_type)
        return form if form in CODES else None

    @classmethod
    def complain(cls, tensor: container.Tensor, read: Callable[[], Array]) -> Issue | None:
        """Return why a tensor cannot go, if it cannot."""
        if not _is_text(tensor.name):
            got = f"the name is not UTF-8, which {cls.kind} wants"
            return Issue("no-name", got=got, expected=", and a directory takes it")
        if tensor.name == METADATA:
            return Issue("no-name", got=f"{cls.kind} has that name for itself")
        why = super().complain(tensor, read)
        others_take_it = PlainSink.form(tensor.data_type) is not None or tensor.data_type == DT_STRING
        also = ".npz and directories take it, " if others_take_it else ""
        return None if why is None else why._replace(expected=also)

    def rank(self, tensor: container.Tensor) -> tuple[int, bytes]:
        """Return by what the library sorts tensors."""
        return _rank(self._row(tensor))

    def begin(self, tensors: Sequence[container.Tensor]) -> None:
        """Write the header."""
        self._tensors = in_order(map(self._row, tensors))
        dtypes = {t.name: dtype_name(t.data_type) for t in tensors if self.form(t.data_type) != t.data_type}
        note = json.dumps({**self.note, "dtypes": dtypes}, ensure_ascii=False)
        header = write_header(self._tensors, {NOTE: note})
        if len(header) > MAX_HEADER_SIZE:
            raise UnsupportedError(f"safetensors: a header of {len(header):,} bytes; {MAX_HEADER_SIZE:,} is the limit")
        self.out.write(header)

    def _row(self, tensor: container.Tensor) -> Tensor:
        form = self.form(tensor.data_type)
        assert form is not None, tensor
        return Tensor(tensor.name, form, tensor.shape)

    def judge(self, file: files.Output) -> None:
        """Raise UnsupportedError if the library does not read what was written, such as dtypes that are newer than it."""
        verdict = None if is_remote(file.path) else judge(file.temporary, self._tensors)
        if verdict is not None:
            raise UnsupportedError(
                f"{file.path}: the safetensors library that is installed does not read it: {verdict}"
            )


def open_safetensors(path: str) -> Archive:
    """Open a safetensors file; ours and the library's reading of its header must agree.

    Raises: FormatError, UnsupportedError.
    """
    file = files.open_input(path)
    try:
        tensors, metadata, start = read_header(file)
        verdict = None if is_remote(path) else judge(path, tensors)
        if verdict is not None:
            raise FormatError("file", expected="one that the safetensors library reads", got=verdict)
        noted = _noted(metadata)
        members = [_member(file, tensor, start, noted) for tensor in tensors]
    except BaseException:
        file.close()
        raise
    return Archive(path, members, metadata=metadata, check=file.check_unchanged, close=file.close)


def _member(file: Input, tensor: Tensor, start: int, noted: Mapping[str, Any]) -> Member:
    data_type = noted_type(tensor.name, tensor.data_type, noted.get(tensor.name), NAMES)
    member = plain_member(tensor.name, tensor.data_type, tensor.shape, file, start + tensor.begin)
    return member._replace(data_type=data_type)


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


def _is_safetensors(start: bytes) -> bool:
    return start[5:9] == b"\0\0\0{"  # the length of a header below 2**40 bytes, and its first letter


container.register(
    Container(
        SAFETENSORS,
        open_safetensors,
        SafetensorsSink,
        suffixes=(".safetensors",),
        detect=_is_safetensors,
        check=check_library,
    )
)
