"""A directory of .npy files, and an index.json that says which tensor each one is.

    {"tfckpt": 1, "source": ..., "layout": ..., "tensors": [{"name": ..., "file": ..., "dtype": ..., "shape": [...]}, ...]}

Files are called by a number and what can be kept of the name, so that no name leads anywhere, or to the file of another. The
index comes last, and only what it names counts: an export over an older one takes other numbers.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from tfckpt._proto.types_pb2 import DT_STRING, DataType
from tfckpt.base.issues import list_tensors, take
from tfckpt.bundle.carry import StoredBytes
from tfckpt.bundle.values.dtypes import NUMERIC, dtype_name
from tfckpt.errors import (
    CheckpointExistsError,
    CheckpointNotFoundError,
    FormatError,
    UnsupportedError,
    UsageError,
    located,
    remedied,
)
from tfckpt.formats.archive import Archive, Member
from tfckpt.formats.container import NPY, Chunk, Container, Destination, Tensor, register
from tfckpt.formats.dtypes import NAMELESS, WRITTEN_AS
from tfckpt.formats.npy import START_SIZE, ArraySink, Header, data_type_in, padded, parse_header
from tfckpt.formats.sinks import VERSION
from tfckpt.storage import files
from tfckpt.storage.commit import FileSet
from tfckpt.storage.paths import INDEX_SUFFIX, join
from tfckpt.storage.sniff import explain, stub_at

if TYPE_CHECKING:
    from typing_extensions import Self

    from tfckpt.bundle.values.arrays import Array

INDEX = "index.json"
INDEX_LIMIT = 1 << 27  # bytes
SLUG_SIZE = 100  # characters of a name that its file has
ARRAY = re.compile(r"(\d{5,})\.[A-Za-z0-9_.-]*\.npy")
TEMPORARY = re.compile(ARRAY.pattern + r"\.tfckpt-[0-9a-f]{8}\.tmp")
DATA_TYPES = {dtype_name(data_type): data_type for data_type in (*NUMERIC, DT_STRING)}


def file_name(number: int, name: str) -> str:
    """Return what the file of a tensor is called.

    >>> file_name(3, "../bert/pooler/dense/kernel")
    '00003.bert.pooler.dense.kernel.npy'
    """
    slug = re.sub(r"[^A-Za-z0-9_-]+", ".", name).strip(".")[-SLUG_SIZE:]
    return f"{number:05d}.{slug}.npy"


class DirectorySink(ArraySink):
    """A directory of arrays on its way."""

    kind = NPY

    def __init__(self, to: Destination) -> None:
        super().__init__(to)
        self._path = to.path.rstrip("/") or "/"
        self._rows: list[dict[str, Any]] = []
        self._arrays: list[files.Output] = []
        self._old: list[str] = []
        self._first = 0

    def __enter__(self) -> Self:
        self._check_free()
        self.files = FileSet(join(self._path, INDEX), sync=self.to.sync)
        return self

    def _check_free(self) -> None:
        """Raise CheckpointExistsError if something lies in the directory, or is no directory."""
        path = self._path
        if files.exists(path) and not files.is_directory(path):
            error = CheckpointExistsError(f"{path}: there is a file of that name, and no directory")
            raise remedied(error, take(f"{path}/", f"{path}.arrays/"))
        found = files.list_directory(path) if files.exists(path) and files.can_list(path) else []
        if found and not self.to.overwrite:
            raise CheckpointExistsError(f"{path}: not empty ({found[0]}); choose another directory, or overwrite it")
        if any(files.is_same(join(path, INDEX), source) for source in self.to.inputs):
            raise UsageError(f"{path}: its {INDEX} is a file of the source")

    def begin(self, tensors: Sequence[Tensor]) -> None:
        """Find numbers that no array there has, as many as there are tensors."""
        names = files.list_directory(self._path) if files.is_directory(self._path) else []
        self._old = [name for name in names if ARRAY.fullmatch(name)]
        for name in filter(TEMPORARY.fullmatch, names):  # of a writer that has died
            files.remove(join(self._path, name))
        used = [int(name.partition(".")[0]) for name in self._old]
        self._first = 0 if min(used, default=len(tensors)) >= len(tensors) else max(used) + 1

    def put(self, tensor: Tensor, chunks: Iterable[Chunk]) -> None:
        """Write an array of numbers."""
        self._add(tensor, self.header(tensor), self.counted(tensor, chunks))

    def put_strings(self, tensor: Tensor, values: Array) -> None:
        """Write an array of strings."""
        header, content = padded(tensor, values)
        self._add(tensor, header, [content])

    def _add(self, tensor: Tensor, header: bytes, chunks: Iterable[Chunk]) -> None:
        assert self.files is not None
        called = file_name(self._first + len(self._rows), tensor.name)
        file = self.files.create(join(self._path, called))
        self._arrays.append(file)
        file.write(header)
        for chunk in chunks:
            file.write(chunk)
        self.files.seal(file)
        row = {"name": tensor.name, "file": called, "dtype": dtype_name(tensor.data_type), "shape": list(tensor.shape)}
        self._rows.append(row)

    def commit(self, check: Callable[[], None] | None = None) -> None:
        """Give all files their names, the index last, and remove the arrays of an older one."""
        assert self.files is not None
        if check is not None:
            check()
        index = self.files.create(join(self._path, INDEX))
        rows = ",\n".join(f"  {json.dumps(row)}" for row in self._rows)
        head = json.dumps(self.note).removesuffix("}")
        index.write(f'{head}, "tensors": [\n{rows}\n]}}\n'.encode())
        self.files.commit_file(index, self._arrays)
        for name in self._old:  # whose numbers no new one has
            files.remove(join(self._path, name))


def open_directory(path: str) -> Archive:
    """Open a directory of arrays for reading.

    Raises: FormatError for an index that is none, or names files elsewhere; CheckpointNotFoundError if there is none.
    """
    place = join(path, INDEX)
    if not files.is_file(place):
        error = CheckpointNotFoundError(
            f"{path}: no {INDEX}, which says what each array is: expected what tfckpt exports"
        )
        is_checkpoint = files.can_list(path) and any(n.endswith(INDEX_SUFFIX) for n in files.list_directory(path))
        raise remedied(error, list_tensors(path) if is_checkpoint else None)
    index = files.open_input(place)
    try:
        with located(place, None):
            document = _document(_text(index))
            rows = _rows(document)
            members = [_member(path, row) for row in rows]
            if len({m.name for m in members}) < len(members) or len({row["file"] for row in rows}) < len(members):
                raise FormatError("tensors", expected="each name and each file once", got="one that comes twice")
    except BaseException as error:
        if isinstance(error, FormatError) and error.path == place:
            explain(error, stub_at(place), f"the {INDEX} of an export", place)
        index.close()
        raise
    return Archive(path, members, metadata=document, check=index.check_unchanged, close=index.close)


def _text(index: files.Input) -> str:
    if index.size > INDEX_LIMIT:
        raise FormatError("index", expected=f"at most {INDEX_LIMIT:,} bytes", got=f"{index.size:,}")
    try:
        return index.read_at(0, index.size).decode()
    except UnicodeDecodeError as error:
        raise FormatError("index", expected="UTF-8", got=str(error)) from None


def _document(text: str) -> dict[str, Any]:
    """Return the index, if it is one of a version that is read."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError("index", expected="JSON", got=str(error)[:200]) from None
    if not isinstance(document, dict) or type(version := document.get("tfckpt")) is not int:
        raise FormatError("index", expected='an object with "tfckpt": 1', got=text[:80])
    if version != VERSION:
        raise UnsupportedError(f"index of version {version}: this tfckpt reads {VERSION}")
    return document


def _rows(document: dict[str, Any]) -> Sequence[dict[str, Any]]:
    rows = document.get("tensors")
    kinds = {"name": str, "file": str, "dtype": str, "shape": list}
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise FormatError("tensors", expected="a list of objects", got=type(rows).__name__)
    for row in rows:
        if any(not isinstance(row.get(key), kind) for key, kind in kinds.items()):
            raise FormatError("tensor", expected="name, file, dtype and shape", got=str(row)[:200])
    return rows


def _member(path: str, row: dict[str, Any]) -> Member:
    name, called, shape = row["name"], row["file"], tuple(row["shape"])
    what = f"tensor {name!r}"
    if not name or not _is_key(name):
        raise FormatError("name of a tensor", expected="text, or bytes as surrogates", got=repr(name))
    if not called or called in (os.curdir, os.pardir) or not called.isprintable() or set(called) & set("/\\:"):
        raise FormatError(f"file of {what}", expected="the name of a file in the directory", got=repr(called))
    if row["dtype"] not in DATA_TYPES:
        raise UnsupportedError(f"{what}: no dtype {row['dtype']!r} is known")
    place, noted = join(path, called), DATA_TYPES[row["dtype"]]
    header, file = _read_header(place, what, noted)
    if header.shape != shape:
        raise FormatError(f"{what} in {called}", expected=f"the shape {list(shape)}", got=list(header.shape))
    stored = StoredBytes(name, file, header.size, header.nbytes)
    return Member(name, noted, header, header.nbytes, lambda: stored)


def _read_header(place: str, what: str, noted: DataType) -> tuple[Header, files.ReopenedInput]:
    file = files.open_input(place)
    try:
        with located(place):
            header = parse_header(file.read_at(0, min(file.size, START_SIZE)))
            if header.size + header.nbytes != file.size:
                got = f"{file.size - header.size:,}"
                raise FormatError(f"values of {what}", offset=header.size, expected=f"{header.nbytes:,} bytes", got=got)
            exact = noted if noted in WRITTEN_AS or noted in NAMELESS or noted == DT_STRING else None
            if data_type_in(header, exact) != noted:
                raise FormatError(f"dtype of {what}", offset=0, expected=dtype_name(noted), got=header.dtype)
            return header, files.ReopenedInput(file)
    except FormatError as error:
        explain(error, stub_at(place), "a .npy file", place)
        raise
    except UnsupportedError as error:
        raise UnsupportedError(f"{place}: {error}") from None
    finally:
        file.close()


def _is_key(name: str) -> bool:
    try:
        name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


register(Container(NPY, open_directory, DirectorySink, is_directory=True))
