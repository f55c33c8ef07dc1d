"""TensorFlow's own checkpoints as sources and sinks: they alone have slices, strings as stored, and names for equal bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from tfckpt._proto.types_pb2 import DT_STRING, DataType
from tfckpt.bundle.carry import Count, StoredBytes
from tfckpt.bundle.tensor_reader import TensorReader, open_reader
from tfckpt.bundle.values.dtypes import NUMERIC, OBJECTS
from tfckpt.bundle.values.entry import Entry
from tfckpt.bundle.values.slices import TensorSlice
from tfckpt.bundle.writer import BundleWriter
from tfckpt.checkpoint.graph.object_graph import OBJECT_GRAPH_KEY, ObjectGraph
from tfckpt.errors import some
from tfckpt.formats.container import BUNDLE, Chunk, Container, Destination, Tensor, register
from tfckpt.formats.sinks import PlainSink
from tfckpt.storage.files import Source
from tfckpt.storage.paths import V1

if TYPE_CHECKING:
    from typing_extensions import Self

    from tfckpt.base.issues import Issue
    from tfckpt.bundle.values.arrays import Array

READ_WHOLE = 1 << 24  # bytes of a partitioned tensor that are put together at once: reading them twice takes longer


class BundleSource:
    """A checkpoint of either format: a `TensorSource` over a reader, which stays its owner's to close."""

    def __init__(self, reader: TensorReader) -> None:
        self.reader, self.prefix = reader, reader.prefix
        self.entry, self.read = reader.entry, reader.read
        self.check_unchanged, self.close = reader.check_unchanged, reader.close

    @property
    def object_graph(self) -> ObjectGraph | None:
        """The object graph; None if there is none, or what has its name is none.

        Raises: FormatError.
        """
        entry = self.entry(OBJECT_GRAPH_KEY)
        if entry is None or entry.data_type != DT_STRING or entry.shape != ():
            return None
        return ObjectGraph.parse(self.read(entry, verify=True).item())

    def entries(self) -> list[Entry]:
        """Return every tensor's entry, sorted by name."""
        return list(self.reader.entries.values())

    def __iter__(self) -> Iterator[str]:
        return iter(self.reader.entries)

    def stream(self, entry: Entry, *, verify: bool) -> Iterator[Array]:
        """Yield a tensor's values; see `tfckpt.bundle.stream.stream`."""
        from tfckpt.bundle.stream import stream  # most tensors are bytes that stay as they are, and need no NumPy

        if entry.slices and entry.is_numeric and entry.nbytes <= READ_WHOLE:
            return iter([self.read(entry, verify=verify, mapped=False).reshape(-1)])
        return stream(self.reader, entry, verify=verify)

    def stored_bytes(self, entry: Entry, *, verify: bool, big_endian: bool) -> StoredBytes | None:
        """Return a tensor's bytes in its data file; None if a bundle of that byte order would store others."""
        if not self.reader.stores_as_written(entry, big_endian=big_endian):
            return None
        return self.reader.chunks(entry, verify=verify)

    def pieces(self, entry: Entry) -> list[tuple[TensorSlice | None, Entry]]:
        """Return what is stored of a tensor: itself, or its slices, each with its own entry."""
        return self.reader.pieces(entry)

    def why_unshared(self, entries: Iterable[Entry]) -> str:
        """Return why the source's files cannot be data files of a bundle that we write; empty if they can."""
        if self.reader.format == V1:
            return "a V1 checkpoint's values lie in messages"
        if self.reader.big_endian:
            return "its values are big-endian"
        sliced = [entry.name for entry in entries if entry.slices]
        return f"{some(sliced, 1)}: stored in slices, which have to be put together" if sliced else ""

    def data_files(self, entries: Iterable[Entry]) -> Sequence[Source]:
        """Return all data files, whatever lies in them: their numbers stay as the entries have them."""
        return self.reader.data_files()

    def checksums(self, entries: Sequence[Entry], *, verify: bool, count: Count | None) -> list[int]:
        """Return the checksums that the index has, compared if ``verify``."""
        if verify:
            self.reader.compare(entries, progress=count)
        else:
            self.reader.check_files()  # nobody else looks whether the bytes are there
        return [entry.crc32c for entry in entries]

    def check(self, entries: Sequence[Entry], *, verify: bool) -> None:
        """Check that no file is cut short, and that tensors do not use the same bytes again and again."""
        if verify:
            self.reader.check_files()  # a file cut short is damaged, even where only tensors that are dropped are lost
        self.reader.check_sharing(entries)


class BundleSink(PlainSink):
    """A bundle on its way: a `TensorSink` over a writer, which has the same options."""

    kind, takes_stored = BUNDLE, True

    def __init__(
        self, to: Destination, *, big_endian: bool = False, max_shard_size: int | None = None, stream: bool = False
    ) -> None:
        super().__init__(to)
        self.big_endian = big_endian
        self._max_shard_size, self._stream = max_shard_size, stream
        self.writer: BundleWriter

    def __enter__(self) -> Self:
        self.writer = BundleWriter(
            self.to.path,
            overwrite=self.to.overwrite,
            sync=self.to.sync,
            big_endian=self.big_endian,
            max_shard_size=self._max_shard_size,
            progress=self.to.progress,
            stream=self._stream,
        )
        return self

    def __exit__(self, *exception: object) -> None:
        self.writer.__exit__(None, None, None)

    @classmethod
    def form(cls, data_type: DataType) -> DataType | None:
        """Return the dtype itself, if it has values."""
        return data_type if data_type in NUMERIC or data_type in OBJECTS else None

    @classmethod
    def complain(cls, tensor: Tensor, read: Callable[[], Array]) -> Issue | None:
        """Return None: whatever a source holds can go."""

    def put(self, tensor: Tensor, chunks: Iterable[Chunk]) -> None:
        """Write a tensor or a slice from its bytes; those that lie in a file are carried by all cores, or by the kernel."""
        self.writer.extend_to(tensor.shard + 1)
        content = chunks, tensor.nbytes, chunks.crc if isinstance(chunks, StoredBytes) else None
        if tensor.part is None:
            self.writer.carry(tensor.name, tensor.data_type, tensor.shape, *content)
        else:
            self.writer.carry_slice(tensor.name, tensor.data_type, tensor.shape, tensor.part, *content)

    def put_strings(self, tensor: Tensor, values: Array) -> None:
        """Write strings or variants."""
        self.writer.extend_to(tensor.shard + 1)
        if tensor.part is None:
            self.writer.add(tensor.name, values, tensor.data_type)
        else:
            self.writer.add_slice(tensor.name, tensor.shape, tensor.part, values, tensor.data_type)

    def alias(self, tensor: Tensor, *, of: str) -> bool:
        """Let a tensor's entry name the bytes of another one."""
        self.writer.alias(tensor.name, tensor.shape, of=of)
        return True

    def share(self, files: Sequence[Source], *, how: str) -> None:
        """Begin with data files that share the bytes of these."""
        self.writer.share(files, how=how)

    def refer(self, tensor: Tensor, stored: Entry) -> None:
        """Name bytes of a shared data file."""
        self.writer.refer(tensor.name, tensor.shape, stored)

    def attach(self, name: str, content: bytes, *, shard: int = 0) -> None:
        """Write a scalar string, as the object graph is one."""
        self.writer.extend_to(shard + 1)
        self.writer.add(name, content)

    def commit(self, check: Callable[[], None] | None = None) -> None:
        """Carry what waits, and give the files their names, the index last."""
        self.writer.finish(check=check)


def _open(prefix: str) -> BundleSource:
    return BundleSource(open_reader(prefix))


register(Container(BUNDLE, _open, BundleSink))
