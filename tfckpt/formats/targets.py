"""Where an export goes: a file, a directory, a stream; and how each is written, whole or not at all where that can be."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

from tfckpt._proto.types_pb2 import DT_STRING
from tfckpt.base.issues import Issue
from tfckpt.base.options import SOURCE, PathLike
from tfckpt.bundle.carry import Count
from tfckpt.bundle.tensor_reader import TensorReader
from tfckpt.bundle.values.dtypes import dtype_name
from tfckpt.errors import UnsupportedError, UsageError
from tfckpt.formats import directory, safetensors
from tfckpt.formats.defaults import NPY, NPZ, SAFETENSORS
from tfckpt.formats.dtypes import NAMES
from tfckpt.formats.kinds import check_kind, kind_of_dest
from tfckpt.formats.npy import write_header
from tfckpt.formats.npz import Sink, ZipSink
from tfckpt.formats.opening import NOTE
from tfckpt.formats.outgoing import Item, chunks, npy_dtype, padded
from tfckpt.planning.plan import Plan
from tfckpt.storage import files
from tfckpt.storage.commit import FileSet, new_file
from tfckpt.storage.local_input import check_path
from tfckpt.storage.paths import is_remote, join, split

VERSION = 1  # of what is noted in the files


class Writable(Protocol):
    """What bytes can be written to: a file that is open, a pipe."""

    def write(self, data: Any, /) -> Any:
        """Take bytes."""


class Job:
    """What is to be written, and the bytes of each tensor."""

    def __init__(
        self, reader: TensorReader, plan: Plan, items: Sequence[Item], *, verify: bool, count: Count | None
    ) -> None:
        self.items, self.reader = items, reader
        self._verify, self._count = verify, count
        name = split(plan.source)[1] or plan.source
        self.note: dict[str, Any] = {
            NOTE: VERSION,
            "source": name.encode("utf-8", "replace").decode(),
            "layout": plan.to or SOURCE,
        }

    def write_safetensors(self, sink: Sink) -> list[safetensors.Tensor]:
        """Write a safetensors file; return what is in it."""
        by_name = {item.name: item for item in self.items}
        tensors = safetensors.in_order(safetensors.Tensor(i.name, i.form, i.shape) for i in self.items)
        dtypes = {i.name: dtype_name(i.step.data_type) for i in self.items if i.form != i.step.data_type}
        note = self.note | {"dtypes": dtypes}
        header = safetensors.write_header(tensors, {NOTE: json.dumps(note, ensure_ascii=False)})
        if len(header) > safetensors.MAX_HEADER_SIZE:
            raise UnsupportedError(
                f"safetensors: a header of {len(header):,} bytes; {safetensors.MAX_HEADER_SIZE:,} is the limit"
            )
        sink.write(header)
        for tensor in tensors:
            for chunk in self._chunks(by_name[tensor.name]):
                sink.write(chunk)
        return tensors

    def write_npz(self, sink: Sink) -> None:
        """Write a .npz file."""
        with ZipSink(sink) as archive:
            for item in self.items:
                name = dtype_name(item.step.data_type)
                archive.add(item.name, name if name in NAMES else "", *self._npy(item))
            archive.finish(self.note)

    def write_directory(self, sink: directory.DirectorySink) -> None:
        """Write a directory of .npy files."""
        for item in self.items:
            sink.add(item.name, item.step.data_type, item.shape, *self._npy(item))
        self.reader.check_unchanged()
        sink.finish(self.note)

    def _npy(self, item: Item) -> tuple[bytes, Iterable[bytes | memoryview]]:
        """Return what a .npy file is made of."""
        if item.form == DT_STRING:
            array = padded(item, self.reader, verify=self._verify)
            return write_header(array.dtype, item.shape), [array.tobytes()]
        return write_header(npy_dtype(item), item.shape), self._chunks(item)

    def _chunks(self, item: Item) -> Iterator[bytes | memoryview]:
        for chunk in chunks(item, self.reader, verify=self._verify):
            yield chunk
            if self._count is not None:
                self._count(len(chunk))


class Target(Protocol):
    """Where an export goes."""

    path: str
    kind: str

    def check_free(self, sources: Sequence[str], *, overwrite: bool) -> None:
        """Raise CheckpointExistsError if it is taken, UsageError if it is a file of the source."""

    def write(self, job: Job, *, sync: bool) -> None:
        """Write, whole or not at all where that can be."""


def find_target(dest: PathLike | Writable, kind: str | None) -> Target:
    """Return what is asked for.

    Raises: UsageError if neither name nor ``kind`` tells which kind of file it is.
    """
    if isinstance(dest, (str, os.PathLike)):
        path = os.fspath(dest)
        check_path(path)
        kind = kind_of_dest(path, kind)
        return _Directory(path.rstrip("/") or "/") if kind == NPY else _File(path, kind)
    check_kind(kind)
    if kind not in (SAFETENSORS, NPZ):
        raise UsageError(Issue("unnamed-file-kind", "", f"{SAFETENSORS!r} or {NPZ!r}", repr(kind)))
    return _Stream(dest.write, kind)


class _File:
    """A file, which gets its name when it is whole."""

    def __init__(self, path: str, kind: str) -> None:
        self.path, self.kind = path, kind

    def check_free(self, sources: Sequence[str], *, overwrite: bool) -> None:
        files.check_free(self.path, sources, overwrite=overwrite)

    def write(self, job: Job, *, sync: bool) -> None:
        with new_file(self.path, sync=sync) as file:
            if self.kind == NPZ:
                job.write_npz(file)
            else:
                tensors = job.write_safetensors(file)
                file.close(sync=sync)  # all of it is there to be read
                _have_judged(file, tensors)
            job.reader.check_unchanged()


def _have_judged(file: files.Output, tensors: Iterable[safetensors.Tensor]) -> None:
    """Raise UnsupportedError if the library does not read what was written, such as dtypes that are newer than it."""
    if is_remote(file.path):
        return
    verdict = safetensors.judge(file.temporary, tensors)
    if verdict is not None:
        raise UnsupportedError(f"{file.path}: the safetensors library that is installed does not read it: {verdict}")


class _Directory:
    """A directory of files, which count when its index has its name."""

    kind = NPY

    def __init__(self, path: str) -> None:
        self.path = path

    def check_free(self, sources: Sequence[str], *, overwrite: bool) -> None:
        directory.check_free(self.path, overwrite=overwrite)
        if any(files.is_same(join(self.path, directory.INDEX), source) for source in sources):
            raise UsageError(f"{self.path}: its {directory.INDEX} is a file of the source")

    def write(self, job: Job, *, sync: bool) -> None:
        out = FileSet(join(self.path, directory.INDEX), sync=sync)
        try:
            job.write_directory(directory.DirectorySink(self.path, out, len(job.items)))
        finally:
            out.discard()


class _Stream:
    """What takes bytes in order, and says nothing of where they go."""

    path = "<stream>"

    def __init__(self, write: Callable[[Any], Any], kind: str) -> None:
        self.kind = kind
        self._sink = _StreamSink(write)

    def check_free(self, sources: Sequence[str], *, overwrite: bool) -> None:
        """Nothing is replaced."""

    def write(self, job: Job, *, sync: bool) -> None:
        if self.kind == NPZ:
            job.write_npz(self._sink)
        else:
            job.write_safetensors(self._sink)
        job.reader.check_unchanged()


class _StreamSink:
    """A `Sink` over something with a ``write``, which may take less than it is given, as pipes do."""

    def __init__(self, write: Callable[[Any], Any]) -> None:
        self._write, self.offset = write, 0

    def write(self, data: bytes | memoryview) -> None:
        rest = memoryview(data)
        self.offset += len(rest)
        while rest:
            done = self._write(rest)
            rest = rest[len(rest) if done is None else done :]
