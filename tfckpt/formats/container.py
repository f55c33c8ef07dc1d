"""What every kind of file that holds tensors offers to those who read and write it, and the list of the kinds.

Whoever reads or writes does not ask which kind a file is: a source yields tensors as they are stored or as arrays, a sink
takes bytes. Neither knows of plans.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from tfckpt.base.options import Fixed
from tfckpt.errors import UsageError

if TYPE_CHECKING:
    from typing_extensions import Self

    from tfckpt._proto.types_pb2 import DataType
    from tfckpt.base.issues import Issue
    from tfckpt.bundle.carry import Count, StoredBytes
    from tfckpt.bundle.values.arrays import Array
    from tfckpt.bundle.values.entry import Entry
    from tfckpt.bundle.values.slices import TensorSlice
    from tfckpt.checkpoint.graph.object_graph import ObjectGraph
    from tfckpt.storage.files import Source

SAFETENSORS, NPZ, NPY = BUILT_IN = ("safetensors", "npz", "npy")
BUNDLE = "bundle"
Chunk = bytes | memoryview  # of single bytes
NO_NOTE: Mapping[str, Any] = Fixed({})


class Writable(Protocol):
    """What bytes can be written to: a file that is open, a pipe."""

    def write(self, data: Any, /) -> Any:
        """Take bytes."""


class Readable(Protocol):
    """What is enough to compute a tensor: its entry, and its values."""

    prefix: str

    def entry(self, name: str) -> Entry | None:
        """Return one tensor's entry, or None."""

    def read(self, entry: Entry, *, verify: bool, mapped: bool = ...) -> Array:
        """Return a tensor's values; read-only views of a map only if ``mapped``."""


class TensorSource(Readable, Protocol):
    """A file of tensors, or several, opened for reading.

    ``prefix`` is what messages call it; a configuration may lie beside it. A plan is made from the first three members.
    """

    @property
    def object_graph(self) -> ObjectGraph | None:
        """The object graph, if there is one."""

    def entries(self) -> list[Entry]:
        """Return every tensor's entry, sorted by name."""

    def __iter__(self) -> Iterator[str]:
        """Yield every tensor's name."""

    def stream(self, entry: Entry, *, verify: bool) -> Iterator[Array]:
        """Yield a tensor's values in row-major order, as one-dimensional arrays of bounded size where that can be."""

    def stored_bytes(self, entry: Entry, *, verify: bool, big_endian: bool) -> StoredBytes | None:
        """Return a tensor's bytes in the file, if a bundle of that byte order would store the same; None if not."""

    def pieces(self, entry: Entry) -> list[tuple[TensorSlice | None, Entry]]:
        """Return what is stored of a tensor: itself, or its slices, each with its own entry."""

    def why_unshared(self, entries: Iterable[Entry]) -> str:
        """Return why the files cannot be data files of a bundle that names these tensors in them; empty if they can."""

    def data_files(self, entries: Iterable[Entry]) -> Sequence[Source]:
        """Return the files to share so that these tensors are in them: their `StoredBytes` say where."""

    def checksums(self, entries: Sequence[Entry], *, verify: bool, count: Count | None) -> list[int]:
        """Return the masked checksums of tensors that are stored whole: compared if noted and ``verify``, or computed."""

    def check(self, entries: Sequence[Entry], *, verify: bool) -> None:
        """Raise FormatError, before anything is written, if bytes of these tensors are missing or claimed too often."""

    def check_unchanged(self) -> None:
        """Raise StorageError if a file has changed since it was opened."""

    def close(self) -> None:
        """Close the files."""


class Tensor(NamedTuple):
    """One tensor, or one slice of a partitioned one, that a sink gets.

    Attributes:
        name: what it is called.
        data_type: TensorFlow's number of its dtype. `TensorSink.form` says as which it is written.
        shape: of all of it.
        nbytes: how many bytes come; of strings that is not known before.
        part: the slice, if it is one.
        shard: number of the data file that it goes to, in a bundle.
    """

    name: str
    data_type: DataType
    shape: tuple[int, ...]
    nbytes: int
    part: TensorSlice | None = None
    shard: int = 0


class TensorSink(Protocol):
    """What tensors are written to: used as a context manager, in which all of it appears by `commit`, or nothing.

    Nothing is made or checked before the block begins. What its class can hold is known before.
    """

    to: Destination
    big_endian: bool  # the byte order that numbers must have
    takes_stored: bool  # whether slices, and strings as bundles store them, have a place here

    def __init__(self, to: Destination) -> None: ...

    @classmethod
    def form(cls, data_type: DataType) -> DataType | None:
        """Return the dtype that one is written as; None if it has no form here."""

    @classmethod
    def complain(cls, tensor: Tensor, read: Callable[[], Array]) -> Issue | None:
        """Return why a tensor cannot go, if it cannot; ``read`` returns its values."""

    @classmethod
    def ambiguous(cls, names: Sequence[str]) -> Iterator[Issue]:
        """Yield complaints of names that readers would take for one another."""

    def __enter__(self) -> Self:
        """Make the files, under temporary names.

        Raises: CheckpointExistsError, StorageError, UsageError.
        """

    def __exit__(self, *exception: object) -> None:
        """Remove what has no name yet."""

    def rank(self, tensor: Tensor) -> Any:
        """Return by what tensors are sorted; those of equal rank stay in the order in which they come."""

    def begin(self, tensors: Sequence[Tensor]) -> None:
        """Learn of all tensors, in the order in which they will come."""

    def put(self, tensor: Tensor, chunks: Iterable[Chunk]) -> None:
        """Write a tensor from its bytes, row-major, in its form and this byte order; `StoredBytes` if they lie in a file."""

    def put_strings(self, tensor: Tensor, values: Array) -> None:
        """Write strings or variants."""

    def alias(self, tensor: Tensor, *, of: str) -> bool:
        """Give a tensor the bytes that are written under another name; return whether that can be said here."""

    def share(self, files: Sequence[Source], *, how: str) -> None:
        """Begin with data files that share the bytes of these.

        Raises: UnsupportedError if that cannot be, here or at all.
        """

    def refer(self, tensor: Tensor, stored: Entry) -> None:
        """Name bytes of a shared file; ``stored`` says where they lie, and their checksum."""

    def attach(self, name: str, content: bytes, *, shard: int = 0) -> None:
        """Write what goes along with the tensors, such as an object graph; a kind that has no place for it leaves it out."""

    def commit(self, check: Callable[[], None] | None = None) -> None:
        """Give the files their names, when ``check`` has not raised that a source has changed."""


class Destination(NamedTuple):
    """Where a sink writes, and how.

    Attributes:
        path: the file, the directory, or the prefix of a bundle.
        write: what takes bytes in order instead, such as a pipe's method.
        inputs: files that are read meanwhile, which must not be replaced.
        overwrite: replace what is there.
        sync: return from `TensorSink.commit` when all has reached the disk.
        progress: called with the number of bytes that were written since the last call.
        note: what to say in the file of where it comes from, if it can hold that.
    """

    path: str
    write: Callable[[Any], Any] | None = None
    inputs: tuple[str, ...] = ()
    overwrite: bool = False
    sync: bool = True
    progress: Count | None = None
    note: Mapping[str, Any] = NO_NOTE


class Container(NamedTuple):
    """A kind of file that holds tensors, or a directory of files.

    Attributes:
        name: what the option ``kind`` calls it.
        open: opens one for reading.
        sink: the class of its sinks.
        suffixes: what names of such files end in, in lower case.
        detect: whether a file with these first bytes is one.
        is_directory: whether it is a directory; then it takes no stream.
        check: raises UnsupportedError if a package is missing that it needs.
    """

    name: str
    open: Callable[[str], TensorSource]
    sink: type[TensorSink]
    suffixes: tuple[str, ...] = ()
    detect: Callable[[bytes], bool] | None = None
    is_directory: bool = False
    check: Callable[[], None] = lambda: None


registered: dict[
    str, Container
] = {}  # by name; those that come with tfckpt are here when `tfckpt.formats.opening` is loaded


def register(container: Container) -> None:
    """Make a container known to `tfckpt.export` and `tfckpt.import_`: by its name, its suffixes and its first bytes.

    The recipe is in docs/architecture.md, "Add a container".

    Raises: UsageError if there is one of that name.
    """
    is_ours = getattr(container.open, "__module__", "").startswith("tfckpt.formats.")
    if container.name in registered or (container.name in (*BUILT_IN, BUNDLE) and not is_ours):
        raise UsageError(f"container {container.name!r}: there is one of that name")
    registered[container.name] = container


def kinds() -> tuple[str, ...]:
    """Return the names of the containers that are no bundles: what the option ``kind`` may be."""
    return (*BUILT_IN, *(name for name in registered if name not in (*BUILT_IN, BUNDLE)))
