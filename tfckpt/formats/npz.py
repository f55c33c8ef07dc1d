"""A .npz file: a zip archive of .npy files, written and read in pieces.

Values stand as they are, as in `numpy.savez`; compressed ones, of `numpy.savez_compressed`, are read too. The archive's
comment is a note of where it comes from, and a member's comment names the dtype that NumPy cannot.
Source: numpy/lib/_npyio_impl.py; PKWARE's APPNOTE.TXT.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from typing import TYPE_CHECKING, Any

from tfckpt.base.issues import Issue
from tfckpt.bundle.values.dtypes import dtype_name
from tfckpt.errors import FormatError, TfckptError, UnsupportedError, remedied
from tfckpt.formats.archive import Archive, Member
from tfckpt.formats.container import NO_NOTE, NPZ, Chunk, Container, Tensor, register
from tfckpt.formats.dtypes import NAMES
from tfckpt.formats.npy import START_SIZE, ArraySink, Header, data_type_in, padded, parse_header
from tfckpt.formats.sinks import NOTE, FileSink
from tfckpt.formats.zips import ZipWriter
from tfckpt.storage import files
from tfckpt.storage.kinds.table import ZIP, remedy_for
from tfckpt.storage.local_input import CHUNK_SIZE

if TYPE_CHECKING:
    from typing_extensions import Self

    from tfckpt.bundle.values.arrays import Array

SUFFIX = ".npy"
ENCRYPTED = 0x1
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # NumPy's two
LOCAL_HEADER_SIZE = 30
NOTE_LIMIT = 0xFFFF  # bytes of a zip's comment
MAX_NAME = 0xFFFF - len(SUFFIX)  # bytes
LEADS_AWAY = re.compile(r"[/\\]|[A-Za-z]:|(?:.*[/\\])?\.\.(?:[/\\]|$)", re.DOTALL)


class _Readable(io.RawIOBase):
    """An open file as zipfile wants it: with a position."""

    def __init__(self, file: files.Input) -> None:
        self._file, self._at = file, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._file.size}[whence]
        if base + offset < 0:
            raise OSError("before the first byte")  # as any file says, and zipfile expects
        self._at = base + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        with memoryview(buffer) as view:
            count = max(0, min(len(view), self._file.size - self._at))
            view[:count] = self._file.read_at(self._at, count) if count else b""
        self._at += count
        return count


class NpzSink(ArraySink, FileSink):
    """A .npz file on its way, or a stream of one."""

    kind = NPZ

    @classmethod
    def complain(cls, tensor: Tensor, read: Callable[[], Array]) -> Issue | None:
        """Return why a tensor cannot go, if it cannot."""
        try:
            size = len(tensor.name.encode())
        except UnicodeEncodeError:
            got = f"the name is not UTF-8, which {cls.kind} wants"
            return Issue("no-name", got=got, expected=", and a directory takes it")
        if LEADS_AWAY.match(tensor.name):
            return Issue("no-name", got="who unpacks the .npz would write that elsewhere")
        if "\0" in tensor.name or size > MAX_NAME:
            return Issue("no-name", got="a zip archive cannot hold that name")
        return super().complain(tensor, read)

    @classmethod
    def ambiguous(cls, names: Sequence[str]) -> Iterator[Issue]:
        """Yield complaints of names that `numpy.load` would take for one another."""
        for name in sorted({*names} & {f"{name}{SUFFIX}" for name in names}):
            yield Issue("alike-names", repr(name.removesuffix(SUFFIX)), got=repr(name))

    def __enter__(self) -> Self:
        super().__enter__()
        self._zip = ZipWriter(self.out)
        return self

    def put(self, tensor: Tensor, chunks: Iterable[Chunk]) -> None:
        """Write an array of numbers."""
        noted = dtype_name(tensor.data_type)  # where NumPy's header does not tell
        content = chain((self.header(tensor),), self.counted(tensor, chunks))
        self._zip.add(tensor.name + SUFFIX, content, noted if noted in NAMES else "")

    def put_strings(self, tensor: Tensor, values: Array) -> None:
        """Write an array of strings."""
        self._zip.add(tensor.name + SUFFIX, padded(tensor, values))

    def finish(self) -> None:
        """Write the list of what is there."""
        note = json.dumps(self.note).encode()
        self._zip.finish(note if len(note) <= NOTE_LIMIT else b"")


def open_npz(path: str) -> Archive:
    """Open a .npz file for reading.

    Raises: FormatError for what is no zip archive, or not of arrays; UnsupportedError for objects, records and encryption.
    """
    file = files.open_input(path)
    try:
        with _trouble():
            archive = zipfile.ZipFile(io.BufferedReader(_Readable(file), CHUNK_SIZE))
        infos = archive.infolist()
        _check_members(path, infos, file.size)
        members = [_member(archive, info) for info in infos]
    except BaseException:
        file.close()
        raise
    return Archive(path, members, metadata=_noted(archive.comment), check=file.check_unchanged, close=file.close)


def _noted(comment: bytes) -> Mapping[str, Any]:
    """Return what an archive's comment says, if it is one of ours."""
    with suppress(ValueError, RecursionError):
        note = json.loads(comment)
        if isinstance(note, dict) and NOTE in note:
            return note
    return NO_NOTE


@contextmanager
def _trouble() -> Iterator[None]:
    """Turn what zipfile and zlib raise of a damaged archive into a FormatError."""
    try:
        yield
    except TfckptError:
        raise
    except (NotImplementedError, RuntimeError) as error:  # a version, a password
        raise UnsupportedError(f".npz: {error}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, OverflowError, OSError, IndexError) as error:
        raise FormatError(
            ".npz archive", expected="a whole zip archive", got=str(error) or type(error).__name__
        ) from None


def _check_members(path: str, infos: Sequence[zipfile.ZipInfo], size: int) -> None:
    """Raise if members are not arrays, or lie over one another: a small file could claim to hold a great deal."""
    others = [info.filename for info in infos if not info.filename.endswith(SUFFIX) or info.filename == SUFFIX]
    if others:
        error = FormatError(".npz archive", expected="members NAME.npy only", got=repr(others[0]), hint=ZIP.then)
        raise remedied(error, remedy_for(ZIP, path))
    if len({info.filename for info in infos}) < len(infos):
        raise FormatError(".npz archive", expected="each name once", got="one that comes twice")
    ends = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.flag_bits & ENCRYPTED or info.compress_type not in METHODS:
            raise UnsupportedError(
                f".npz member {info.filename!r}: encrypted, or compressed in a way that NumPy does not know"
            )
        if info.header_offset < ends:
            raise FormatError(
                f".npz member {info.filename!r}", expected=f"one from byte {ends:,} on", got=f"{info.header_offset:,}"
            )
        ends = info.header_offset + LOCAL_HEADER_SIZE + info.compress_size
        if ends > size:
            raise FormatError(f".npz member {info.filename!r}", expected=f"an end before {size:,}", got=f"{ends:,}")


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    name = info.filename.removesuffix(SUFFIX)
    what = f"tensor {name!r}"
    try:
        with _trouble(), archive.open(info) as member:
            header = parse_header(member.read(START_SIZE))
        noted = None
        with suppress(UnicodeDecodeError):  # a comment of someone else's
            noted = NAMES.get(info.comment.decode())
        data_type = data_type_in(header, noted)
    except UnsupportedError as error:
        raise UnsupportedError(f"{what}: {error}") from None
    except FormatError as error:
        error.what, error.offset = f"{error.what} of {what}", None
        raise
    if header.size + header.nbytes != info.file_size:
        got = f"{info.file_size - header.size:,}"
        raise FormatError(f"{what} {list(header.shape)}", expected=f"{header.nbytes:,} bytes", got=got)
    return Member(name, data_type, header, info.compress_size, _chunks_of(archive, info, header))


def _chunks_of(archive: zipfile.ZipFile, info: zipfile.ZipInfo, header: Header) -> Callable[[], Iterator[bytes]]:
    def chunks() -> Iterator[bytes]:
        size = max(1, CHUNK_SIZE // header.dtype.itemsize) * header.dtype.itemsize
        with _trouble(), archive.open(info) as member:
            member.read(header.size)
            left = header.nbytes
            while left:
                chunk = member.read(min(size, left))
                if len(chunk) < min(size, left):
                    got = f"{len(chunk):,}, and its end"
                    raise FormatError(f".npz member {info.filename!r}", expected=f"{left:,} bytes more", got=got)
                left -= len(chunk)
                yield chunk
            if member.read(1):  # the end is where its checksum is compared
                raise FormatError(f".npz member {info.filename!r}", expected="its end", got="more bytes")

    return chunks


register(Container(NPZ, open_npz, NpzSink, suffixes=(".npz",), detect=lambda start: start.startswith(b"PK")))
