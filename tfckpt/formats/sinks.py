"""What the sinks of other programs' files have in common: one file that appears when it is whole, or a stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from tfckpt.base.issues import Issue
from tfckpt.bundle.values.dtypes import EXTENSIONS, NATIVE, dtype_name
from tfckpt.errors import UnsupportedError
from tfckpt.formats.container import Chunk, Destination, Tensor
from tfckpt.formats.dtypes import WRITTEN_AS
from tfckpt.storage import files
from tfckpt.storage.commit import FileSet

if TYPE_CHECKING:
    from typing_extensions import Self

    from tfckpt._proto.types_pb2 import DataType
    from tfckpt.bundle.values.arrays import Array
    from tfckpt.bundle.values.entry import Entry
    from tfckpt.storage.files import Source


NOTE, VERSION = "tfckpt", 1  # what is noted in files begins so


class Out(Protocol):
    """Where bytes go, one after another."""

    @property
    def offset(self) -> int:
        """How many have gone."""

    def write(self, data: Chunk) -> None:
        """Append."""


class Stream:
    """An `Out` over something with a ``write``, which may take less than it is given, as pipes do."""

    def __init__(self, write: Callable[[Any], Any]) -> None:
        self._write, self.offset = write, 0

    def write(self, data: Chunk) -> None:
        """Append."""
        rest = memoryview(data)
        self.offset += len(rest)
        while rest:
            done = self._write(rest)
            rest = rest[len(rest) if done is None else done :]


class PlainSink:
    """What a sink is unless it says otherwise: it takes numbers one after another, and nothing that only bundles have."""

    kind = ""
    big_endian = takes_stored = False

    def __init__(self, to: Destination) -> None:
        self.to, self.note = to, {NOTE: VERSION, **to.note}
        self.files: FileSet | None = None

    def __exit__(self, *exception: object) -> None:
        if self.files is not None:
            self.files.discard()

    @classmethod
    def form(cls, data_type: DataType) -> DataType | None:
        """Return the dtype that one is written as: quantized integers and those below one byte as plain ones."""
        form = WRITTEN_AS.get(data_type, data_type)
        return form if form in NATIVE or form in EXTENSIONS else None

    @classmethod
    def complain(cls, tensor: Tensor, read: Callable[[], Array]) -> Issue | None:
        """Return why a tensor cannot go, if it cannot; ``read`` returns its values."""
        if cls.form(tensor.data_type) is None:
            return Issue("no-form", got=f"{dtype_name(tensor.data_type)} has no form in {cls.kind}")
        return None

    @classmethod
    def ambiguous(cls, names: Sequence[str]) -> Iterator[Issue]:
        """Yield complaints of names that readers would take for one another: none."""
        yield from ()

    def rank(self, tensor: Tensor) -> Any:
        """Return by what tensors are sorted: they stay in the order in which they come."""
        return 0

    def begin(self, tensors: Sequence[Tensor]) -> None:
        """Learn of all tensors, in the order in which they will come."""

    def counted(self, tensor: Tensor, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        """Yield the bytes of a tensor, which are written one by one, and count them."""
        done = 0
        for chunk in chunks:
            yield chunk
            done += len(chunk)
            if self.to.progress is not None:
                self.to.progress(len(chunk))
        assert done == tensor.nbytes, (tensor, done)

    def put_strings(self, tensor: Tensor, values: Array) -> None:
        """Never called: strings have no `form`."""
        raise AssertionError(tensor)

    def alias(self, tensor: Tensor, *, of: str) -> bool:
        """Return False: the values are written once more."""
        return False

    def share(self, files: Sequence[Source], *, how: str) -> None:
        """Raise UnsupportedError: only a bundle names bytes in files of others."""
        raise UnsupportedError(f"{self.to.path}: {self.kind} shares no bytes with other files")

    def refer(self, tensor: Tensor, stored: Entry) -> None:
        """Never called: nothing is shared."""
        raise AssertionError(tensor)

    def attach(self, name: str, content: bytes, *, shard: int = 0) -> None:
        """Leave it out."""


class FileSink(PlainSink):
    """What the sink of one file begins with: `begin` writes a header to ``out`` if there is one, `put` what a tensor is."""

    out: Out

    def __enter__(self) -> Self:
        if self.to.write is not None:
            self.out = Stream(self.to.write)
            return self
        files.check_free(self.to.path, self.to.inputs, overwrite=self.to.overwrite)
        self.files = FileSet(self.to.path, sync=self.to.sync)
        try:
            self.out = self.files.create(self.to.path)
        except BaseException:
            self.files.discard()
            raise
        return self

    def put(self, tensor: Tensor, chunks: Iterable[Chunk]) -> None:
        """Write a tensor's bytes behind what is there."""
        for chunk in self.counted(tensor, chunks):
            self.out.write(chunk)

    def finish(self) -> None:
        """Write what comes last."""

    def judge(self, file: files.Output) -> None:
        """Raise UnsupportedError if the file, which is whole but for its name, is not what others read."""

    def commit(self, check: Callable[[], None] | None = None) -> None:
        """Give the file its name; see `TensorSink.commit`.

        Raises: as `judge` does; StorageError.
        """
        self.finish()
        if self.files is None:
            return check() if check is not None else None
        assert not isinstance(self.out, Stream)
        file: files.Output = self.out  # type: ignore[assignment]  # what a FileSet creates
        file.close(sync=self.to.sync)  # all of it is there to be read
        self.judge(file)
        if check is not None:
            check()
        self.files.commit_file(file)
        return None
