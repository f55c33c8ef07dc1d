"""Opening and saving checkpoints."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import ItemsView, Iterator, Mapping, ValuesView
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING

from tfckpt._proto.types_pb2 import DT_STRING
from tfckpt.base import log
from tfckpt.base.issues import leave_out, take
from tfckpt.base.progress import Progress, finish
from tfckpt.bundle.carry import Damage, counting
from tfckpt.bundle.listing import once
from tfckpt.bundle.tensor_reader import TensorReader, open_reader, place_of
from tfckpt.bundle.values.dtypes import UNNAMED
from tfckpt.bundle.values.entry import Entry
from tfckpt.checkpoint.find.locate import check_prefix, find_prefix
from tfckpt.checkpoint.partial import PartialTensor
from tfckpt.errors import (
    FormatError,
    TensorNotFoundError,
    TfckptError,
    UsageError,
    count_of,
    located,
    redacted,
    remedied,
)
from tfckpt.storage import files
from tfckpt.storage.forks import ThreadLock
from tfckpt.storage.paths import V2, anchored, index_path

if TYPE_CHECKING:
    import numpy.typing as npt

    from tfckpt.bundle.values.arrays import Array
    from tfckpt.checkpoint.find.lookup import Found, Lookup
    from tfckpt.checkpoint.graph.object_graph import ObjectGraph


MOST_COMPARED = 5000  # names of each kind among which a message looks for near ones


class Checkpoint(Mapping[str, "Array"]):
    """A checkpoint opened for reading: a mapping from tensor names to arrays, and a context manager.

    Its names are the tensors' keys. Where one tensor is asked for (``[]``, ``in``, ``get``, `entry`, `get_slice`, `verify`),
    the path of its object, by any way that leads there, and the full name of a variable will do as well: see `lookup`. What
    is a key is never taken for anything else; iterating, and counting, are of keys alone.

        >>> report = tfckpt.convert("bert_model.ckpt", "tf2/encoder")
        >>> with tfckpt.open("tf2/encoder") as ckpt:
        ...     ckpt["model/_pooler_layer/kernel"].shape, "model/_pooler_layer" in ckpt, len(ckpt)
        ((8, 8), False, 40)

    In a notebook it is shown as a tree that folds: of objects, or of a name-based one's names, at their slashes.

    Numeric tensors are read-only views of the mapped file and stay valid after `close`; strings are object arrays of
    ``bytes``. Those of a V1 checkpoint are always new arrays. Quantized tensors and variants are `tfckpt.types.TypedArray`,
    which remember that they are. Made by `tfckpt.open`.

    Threads may share one, and so may forked processes: reading moves no position in a file. Pickled, it is the path, and its
    files are opened again where it is unpickled. Close it when nobody reads from it any more: what another thread is reading
    meanwhile ends in an error.

    While views are in use the file must not be cut short: looking at what is not there any more kills the process (SIGBUS),
    as with any mapped file. To ask for another view then is an error, and replacing the file, as every writer here does, no
    harm. `save` of a checkpoint, `verify`, conversion and rewriting map nothing: there a file cut short is an error.
    """

    def __init__(self, prefix: str, *, verify: bool = True, source_format: str | None = None) -> None:
        self._prefix, self._verify = prefix, verify
        self._place: str = anchored(prefix)
        self._verified: set[str] = set()
        self._reading = ThreadLock()  # of the object graph
        self._reader: TensorReader | None = open_reader(prefix, source_format)

    @property
    def prefix(self) -> str:
        """The path without ``.index``; of V1 the file, or the pattern of its shards: ``export-?????-of-00003``."""
        return self._prefix

    @property
    def format(self) -> str:
        """Which format was read: ``"v2"`` or ``"v1"``."""
        return self.reader.format

    @property
    def num_shards(self) -> int:
        """Number of data files."""
        return self.reader.num_shards

    @property
    def reader(self) -> TensorReader:
        """The files below: stored bytes, slices, byte order.

        Raises: UsageError after `close`.
        """
        if self._reader is None:
            raise UsageError(f"{self._prefix}: this checkpoint is closed")
        return self._reader

    def entries(self, pattern: str | None = None) -> list[Entry]:
        """Return what the index says of each tensor, sorted by name; reads no data.

        Args:
            pattern: a glob that whole names must match, e.g. ``"bert/encoder/layer_0/*"``: ``*`` also matches ``/``. Keys
                and paths of objects are compared, an object standing for what is below it; if none matches, full names.
        Raises:
            FormatError: the index is damaged; or nothing but the object graph could tell, and that is.
            TensorNotFoundError: there is no wildcard in it, and it is the full name of several variables.
        Example:
            >>> ckpt = tfckpt.open("bert_model.ckpt")
            >>> [(e.name, e.dtype_name, e.shape) for e in ckpt.entries("bert/pooler/*/kernel")]
            [('bert/pooler/dense/kernel', 'float32', (8, 8))]
        """
        entries = self.reader.entries
        if pattern is None:
            return list(entries.values())
        found = [entry for name, entry in entries.items() if fnmatch.fnmatchcase(name, pattern)]
        try:
            meant = None if self.object_graph is None else self.lookup.match(pattern)
        except TfckptError:
            if not found:
                raise
            return found  # keys are told without the graph
        return found if meant is None else [entries[name] for name in meant.names]

    def entry(self, name: str) -> Entry:
        """Return what the index says of one tensor.

        Args:
            name: its key, the path of its object, or the full name of a variable.
        Raises:
            TensorNotFoundError: there is none, or not one; names the nearest, or those that there are.
            FormatError: it is no key, and the object graph is damaged.
        """
        entry = self.reader.entry(name)
        if entry is not None:
            return entry
        found = self._find(name)
        if found is None:
            raise self._not_found(name)
        if len(found.names) > 1:
            names = ", ".join(map(repr, found.names))
            raise TensorNotFoundError(f"{self._prefix}: {name!r} is not one tensor; there are {names}")
        return self.reader.entries[found.names[0]]

    def _find(self, text: str) -> Found | None:
        """Return what is meant by a text that is no key; parses the object graph if there is one, and nothing else.

        Raises: TensorNotFoundError, FormatError.
        """
        return None if self.object_graph is None else self.lookup.find(text)

    def _not_found(self, text: str) -> TensorNotFoundError:
        """Return the error that there is no such tensor, with what is near."""
        near = self.lookup.near(text, MOST_COMPARED)
        hint = f"; did you mean {', '.join(map(repr, near))}?" if near else ""
        if self.object_graph is not None and not near:
            from tfckpt.checkpoint.graph.object_paths import where_it_ends

            hint = f"; {where_it_ends(self.object_graph, text)}"
        error = TensorNotFoundError(f"{self._prefix}: no tensor {text!r}{hint}")
        return remedied(error, take(text, near[0]) if near else None)

    def get_slice(self, name: str) -> PartialTensor:
        """Return a tensor to index: only the bytes that an index needs are read, from the slices that hold them.

        An index may have one list of ids, or one mask: only those rows are read.

        Checksums cover whole tensors, so parts are not verified; call ``verify(name)`` first where that matters. Of strings
        all lengths are read, of variants everything; of a V1 checkpoint the whole slices that the index touches.

        Args:
            name: the tensor's name, as for `entry`.
        Raises:
            TensorNotFoundError: there is none, or not one; names the nearest, or those that there are.
            FormatError: it is no key, and the object graph is damaged.
        Example:
            >>> ckpt = tfckpt.open("bert_model.ckpt")
            >>> table = ckpt.get_slice("bert/embeddings/word_embeddings")
            >>> table[10:20, 0].shape, table[[3, 1, 3]].shape, len(table)
            ((10,), (3, 8), 30)
        """
        return PartialTensor(self.reader, self.entry(name))

    @once
    def object_graph(self) -> ObjectGraph | None:
        """The object graph of a TensorFlow 2 checkpoint; None for a name-based one.

        Raises: FormatError if the tensor is there but holds no graph.
        """
        from tfckpt.checkpoint.graph.object_graph import (  # the half of checkpoints has none
            OBJECT_GRAPH_KEY,
            ObjectGraph,
        )

        entry = self.reader.entry(OBJECT_GRAPH_KEY)
        if entry is None:
            return None
        with located(f"{self._prefix}: tensor {OBJECT_GRAPH_KEY!r}"):
            if entry.data_type != DT_STRING or entry.shape != ():
                expected, got = "a string scalar", f"{entry.dtype_name}{list(entry.shape)}"
                raise FormatError("object graph", expected=expected, got=got)
            return ObjectGraph.parse(self[OBJECT_GRAPH_KEY].item())

    @once
    def lookup(self) -> Lookup:
        """The `Lookup` of this checkpoint: finds tensors by key, object path or full name, and tells which of them it was.

        Raises: FormatError if the object graph is damaged.
        """
        from tfckpt.checkpoint.find.lookup import Lookup  # whoever asks by keys needs none

        return Lookup(self.object_graph, self.reader.entries, where=self._prefix)

    def key_at(self, path: str) -> str:
        """Return the key of the tensor of the variable at an object path; any path that leads there will do.

        Args:
            path: edge names from the root in key form: joined by ``/``, in a name ``.`` is ``..`` and ``/`` is ``.S``.
        Raises:
            TensorNotFoundError: no object there, or not one with one tensor; names what is near, or the tensors. Or there is
                no object graph.
            FormatError: the object graph is damaged.
        Example:
            >>> report = tfckpt.convert("bert_model.ckpt", "tf2/bert_encoder")
            >>> with tfckpt.open("tf2/bert_encoder") as ckpt:
            ...     key = ckpt.key_at("model/_pooler_layer/kernel")
            >>> key
            'encoder/layer_with_weights-6/kernel/.ATTRIBUTES/VARIABLE_VALUE'

        Source: tensorflow/python/checkpoint/restore.py, which matches objects by these edges too.
        """
        from tfckpt.checkpoint.graph.object_paths import key_at

        return key_at(self.object_graph, path, self._prefix, self.reader.entries)

    def verify(self, name: str | None = None, *, progress: Progress | None = None) -> None:
        """Compare every checksum with its bytes, in bounded memory; of one tensor if ``name`` is given.

        Args:
            name: the one tensor to verify, as for `entry`.
            progress: called with (bytes done, bytes in all).
        Raises:
            ChecksumError: names the file, the tensor and its first byte.
            FormatError: bytes are missing, or so many tensors use the same ones that it would take forever.
        """
        entries = self.entries() if name is None else [self.entry(name)]
        total = sum(entry.nbytes for entry in entries)
        self.reader.compare(entries, progress=counting(progress, total))
        self._verified.update(entry.name for entry in entries)
        finish(progress, total)

    def find_damage(self, *, progress: Progress | None = None) -> list[Damage]:
        """Compare every checksum with its bytes, in bounded memory and on all cores.

        Args:
            progress: called with (bytes done, bytes in all).
        Returns:
            For each damaged tensor, or slice of a partitioned one: its name, its file, where it lies there, and the error.
        Example:
            >>> tfckpt.open("bert_model.ckpt").find_damage()
            []
        """
        entries = self.entries()
        total = sum(entry.nbytes for entry in entries)
        found = self.reader.find_damage(entries, progress=counting(progress, total))
        finish(progress, total)
        return found

    def close(self) -> None:
        """Close the files. Arrays already read stay valid; to read more raises UsageError. Closing again does nothing."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def __getitem__(self, name: str) -> Array:
        """Return a tensor's values: stored dtype and shape, C order.

        Args:
            name: as for `entry`.
        Raises: TensorNotFoundError, ChecksumError, FormatError, UnsupportedError (a resource, a shape that NumPy refuses).
        """
        return self._read(self.entry(name), mapped=True)

    def items(self) -> ItemsView[str, Array]:
        """Return the names and values: looked at one after the other, each is read and verified when its turn comes."""
        return _Items(self)

    def values(self) -> ValuesView[Array]:
        """Return the values, read as those of `items` are."""
        return _Values(self)

    def _read(self, entry: Entry, *, mapped: bool) -> Array:
        array = self.reader.read(entry, verify=self._verify and entry.name not in self._verified, mapped=mapped)
        if self._verify:
            self._verified.add(entry.name)
        if entry.data_type not in UNNAMED:
            return array
        from tfckpt.bundle.values.typed import typed  # few have any

        return typed(array, entry.data_type)

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        if self.reader.entry(name) is not None:
            return True
        try:
            found = self._find(name)
        except TensorNotFoundError:  # it is not one variable's name
            return False
        return found is not None and len(found.names) == 1

    def __iter__(self) -> Iterator[str]:
        return iter(self.reader.entries)

    def __len__(self) -> int:
        return len(self.reader.entries)

    def __enter__(self) -> Checkpoint:
        """Return the checkpoint itself.

        Raises: UsageError after `close`.
        """
        _ = self.reader  # which is refused after `close`, with or without -O
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle where the checkpoint is, not what it holds.

        Raises: UsageError after `close`.
        """
        return _open_again, (self._place, self._verify, self.reader.format)

    def __eq__(self, other: object) -> bool:
        """Whether it is this very object, as of files; a mapping's comparison would read all values."""
        return self is other

    def __hash__(self) -> int:
        return object.__hash__(self)

    def _ipython_key_completions_(self) -> list[str]:
        names = list(self)
        with suppress(FormatError):  # such a graph leaves the keys
            names += self.lookup.called("path").values()
        return list(dict.fromkeys(names))

    def __repr__(self) -> str:
        return redacted(f"<tfckpt.Checkpoint {self._prefix!r}: {self._state()}>")

    def _state(self) -> str:
        if self._reader is None:
            return "closed"
        try:
            return count_of(len(self), "tensor")
        except TfckptError:  # whoever looks at a value, such as a debugger, expects no error
            return "its index cannot be read"

    def _repr_html_(self) -> str:
        """Return the checkpoint as a tree that folds, for a notebook. Reads no data but the object graph."""
        from tfckpt.base.html import listed, shown
        from tfckpt.checkpoint.foldable import tree_of

        if self._reader is None:
            return shown(repr(self))
        try:
            entries, graph, problem = self.entries(), None, ""
        except TfckptError as error:
            return shown(repr(self), listed(error.reasons))
        try:
            graph = self.object_graph
        except TfckptError as error:  # the names are a tree, too
            problem = listed(error.reasons)
        return shown(repr(self), problem, tree_of(entries, graph))


def _open_again(prefix: str, verify: bool, source_format: str) -> Checkpoint:
    return Checkpoint(prefix, verify=verify, source_format=source_format)


class _Items(ItemsView[str, "Array"]):
    """What a mapping's own would be, but for looking up each name in the index that it comes from."""

    _mapping: Checkpoint

    def __iter__(self) -> Iterator[tuple[str, Array]]:
        for name, entry in self._mapping.reader.entries.items():
            yield name, self._mapping._read(entry, mapped=True)


class _Values(ValuesView["Array"]):
    """As `_Items`, without the names."""

    _mapping: Checkpoint

    def __iter__(self) -> Iterator[Array]:
        for entry in self._mapping.reader.entries.values():
            yield self._mapping._read(entry, mapped=True)


def open(
    path: str | os.PathLike[str],
    *,
    verify: bool = True,
    format: str | None = None,  # noqa: A002 - the word for it
) -> Checkpoint:
    """Open a checkpoint for reading; costs a part of the index, whatever the tensors weigh.

    Args:
        path: a prefix (``"bert_model.ckpt"`` for ``bert_model.ckpt.index``), the ``.index`` or a ``.data-`` file of it, or a
            directory: its ``checkpoint`` file says which, else there must be just one. Of a V1 checkpoint, its file, one of
            its shards, or what stands before ``-00000-of-00003``.
        verify: check each tensor's CRC-32C when it is first read (one more pass over its bytes). V1 has checksums of blocks
            only, which are always checked.
        format: ``"v2"`` or ``"v1"``; unless given, whichever is there, V2 before V1.
    Returns:
        A read-only ``Mapping[str, np.ndarray]``; close it, or use it in a ``with`` block.
    Raises:
        CheckpointNotFoundError: nothing there; says what lies there instead.
        FormatError: the index is damaged; says which file and byte.
    Example:
        >>> tfckpt.open("bert_model.ckpt")["bert/pooler/dense/kernel"].shape
        (8, 8)

    Source: tensorflow/core/util/tensor_bundle/tensor_bundle.h, class BundleReader.
    """
    return Checkpoint(find_prefix(path, format), verify=verify, source_format=format)


def save(
    prefix: str | os.PathLike[str],
    tensors: Mapping[str, npt.ArrayLike],
    *,
    overwrite: bool = False,
    sync: bool = True,
    max_shard_size: int | None = None,
    big_endian: bool = False,
) -> None:
    """Write a name-based checkpoint, byte for byte what TensorFlow's ``SaveV2`` writes for these tensors in this order.

    If an object graph is among them, tensors that no object of it leads to, and keys of it that are not there, are named in a
    warning of the logger ``tfckpt``: TensorFlow restores by the graph alone.

    Args:
        prefix: the exact prefix; ``prefix.index`` and ``prefix.data-00000-of-00001`` appear when all is written.
        tensors: values by name: anything ``np.asarray`` takes; ``str`` and ``bytes`` become string tensors; records such as
            ``tf.qint8.as_numpy_dtype`` become quantized ones, and what comes from a `Checkpoint` keeps its dtype; an open
            `Checkpoint` itself stores once what it stores once.
        overwrite: replace a checkpoint that is there.
        sync: return only when the files have reached the disk.
        max_shard_size: bytes of a data file: tensors that do not fit go to the next, and larger ones are cut into slices
            along their first axis, where TensorFlow can put those together again. One file, unless given.
        big_endian: store values in the byte order of big-endian machines.
    Raises:
        CheckpointExistsError: ``prefix`` is taken.
        UnsupportedError: a value's dtype has no counterpart in TensorFlow.
        StorageError: the operating system refused, or another process is writing ``prefix``. What was there is as it was;
            or, if it was the last step that was refused, replaced as a whole.
    Example:
        >>> tfckpt.save("weights.ckpt", {"w": [[1.0, 2.0]], "labels": ["yes", "no"]})
        >>> {name: value.tolist() for name, value in tfckpt.open("weights.ckpt").items()}
        {'labels': [b'yes', b'no'], 'w': [[1.0, 2.0]]}

    Source: tensorflow/core/kernels/save_restore_v2_ops.cc, SaveV2.
    """
    from tfckpt.bundle.writer import BundleWriter  # whoever only reads needs none
    from tfckpt.checkpoint.graph.object_graph import OBJECT_GRAPH_KEY

    with BundleWriter(
        check_prefix(prefix), overwrite=overwrite, sync=sync, big_endian=big_endian, max_shard_size=max_shard_size
    ) as writer:
        if not isinstance(tensors, Checkpoint):
            graph: npt.ArrayLike | None = None
            for name, value in tensors.items():
                writer.add(name, value)
                graph = value if name == OBJECT_GRAPH_KEY else graph
            writer.finish()
            if graph is not None:
                from tfckpt.checkpoint.graph.object_tensors import against_restoring

                for line in against_restoring(graph, list(tensors)):
                    log.warning("%s: %s", os.fspath(prefix), line)
            return
        first: dict[tuple[int, ...], str] = {}
        for entry in tensors.entries():
            place = place_of(tensors.reader, entry)
            same_as = entry.name if place is None else first.setdefault(place, entry.name)
            if same_as != entry.name and writer.holds_whole(same_as):
                writer.alias(entry.name, entry.shape, of=same_as)
            else:  # not mapped: a file that is cut short meanwhile is an error, no SIGBUS
                writer.add(entry.name, tensors._read(entry, mapped=False), entry.data_type)
        writer.finish(check=tensors.reader.check_unchanged)


def check_apart(source: Checkpoint, dest: str) -> None:
    """Raise UsageError if the prefix ``dest`` is that of the checkpoint itself, even by another name.

    A V1 checkpoint has other files than those that are written, so its prefix is free.
    """
    if source.format == V2 and files.is_same(index_path(source._place), index_path(dest)):
        error = UsageError(f"{dest}: source and destination are the same checkpoint")
        raise remedied(error, take(dest, f"{dest}.new"), leave_out("overwrite"))
