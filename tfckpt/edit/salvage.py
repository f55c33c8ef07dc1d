"""What is intact of a damaged checkpoint, written as a new one.

Strategy: every tensor is read once to learn whether it is intact, then those that are go over as they are, compared again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tfckpt import log
from tfckpt._proto.types_pb2 import DT_STRING
from tfckpt.bundle import files
from tfckpt.bundle.carry import counting
from tfckpt.bundle.damage import Finding, find_all, survey
from tfckpt.bundle.entry import Entry
from tfckpt.bundle.paths import V2, index_path, v1_pattern
from tfckpt.bundle.slices import TensorSlice
from tfckpt.bundle.tensor_reader import TensorReader
from tfckpt.bundle.v1_files import has_any_file
from tfckpt.bundle.writer import BundleWriter
from tfckpt.checkpoint.locate import check_prefix, find_prefix
from tfckpt.checkpoint.object_graph import OBJECT_GRAPH_KEY, ObjectGraph
from tfckpt.errors import Advice, CheckpointNotFoundError, FormatError, UsageError, advised, some
from tfckpt.progress import Progress, finish, stages

PathLike = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Salvage:
    """What came of a salvage: what `salvage` returns.

    Attributes:
        source, destination: the prefixes.
        saved: the tensors that were written.
        damage: what was wrong with the source, place by place; a tensor that any of it is in was not written.
        notes: what else to know.
    """

    source: str
    destination: str
    saved: tuple[Entry, ...]
    damage: tuple[Finding, ...]
    notes: tuple[str, ...] = ()

    @property
    def lost(self) -> tuple[str, ...]:
        """The tensors that are known to be lost, by name; more may be, where an index is damaged."""
        return tuple(dict.fromkeys(item.tensor for item in self.damage if item.tensor is not None))

    @property
    def nbytes(self) -> int:
        """The bytes of what was saved."""
        return sum(entry.nbytes for entry in self.saved)

    def to_json(self) -> dict[str, Any]:
        """Return all of it as what JSON knows."""
        saved = [
            {"name": e.name, "dtype": e.dtype_name, "shape": list(e.shape), "nbytes": e.nbytes} for e in self.saved
        ]
        damage = [item.to_json() for item in self.damage]
        where = {"source": self.source, "destination": self.destination}
        return {**where, "saved": saved, "lost": list(self.lost), "damage": damage, "notes": list(self.notes)}


def salvage(
    source: PathLike,
    dest: PathLike,
    *,
    source_format: str | None = None,
    sync: bool = True,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Salvage:
    """Write what is intact of a damaged checkpoint: each tensor whose checksums match its bytes, and nothing else.

    Data files may be missing or cut short, and the index damaged: blocks of it that are whole are found even without its
    footer. A partitioned tensor goes as a whole or not at all. The object graph goes along if it is intact, without what is
    known to be lost, so that TensorFlow restores the rest. The result is V2, also of a V1 source.

    Args:
        source: the checkpoint: a prefix, one of its files, or its directory. It is only read.
        dest: the exact prefix of the files to write.
        source_format: ``"v2"`` or ``"v1"``; unless given, whichever is there, V2 before V1.
        sync: return only when the files have reached the disk.
        overwrite: replace a checkpoint that is under ``dest``.
        progress: called with (bytes done, bytes in all): what is read, and what is written.
    Returns:
        The `Salvage`: what was saved, and what was not and why. All was intact if its ``damage`` is empty.
    Raises:
        FormatError: nothing is intact; then nothing is written.
        CheckpointNotFoundError: no checkpoint, or no index: without it nothing is known of a data file's tensors.
        CheckpointExistsError, StorageError, UsageError.
    Example:
        >>> tfckpt.save("damaged", {"a": [1.0, 2.0], "b": 3})
        >>> with open("damaged.data-00000-of-00001", "r+b") as file:
        ...     _ = file.write(b"!")
        >>> report = tfckpt.salvage("damaged", "saved")
        >>> report.lost, report.damage[0].end, sorted(tfckpt.open("saved"))
        (('a',), 16, ['b'])
    """
    prefix = check_prefix(dest)
    found = survey(_find_prefix(source, source_format), source_format)
    reader = found.reader
    try:
        if reader.format == V2 and files.is_same(index_path(reader.prefix), index_path(prefix)):
            error = UsageError(f"{prefix}: source and destination are the same checkpoint")
            raise advised(error, Advice(given=os.fspath(dest), meant=f"{prefix}.new"))
        total = sum(entry.nbytes for entry in reader.entries.values())
        reading, writing = stages(progress, total, total)
        damage = [*found.damage, *find_all(reader, progress=counting(reading, total))]
        finish(reading, total)
        lost = {item.tensor for item in damage}
        saved = [entry for name, entry in reader.entries.items() if name not in lost]
        if damage and not saved:
            hint = f"{len(damage)} places are damaged, the first: {damage[0].reason}"
            raise FormatError("salvage", path=reader.prefix, expected="an intact tensor", got="none", hint=hint)
        graph, notes = _fitting_graph(reader, saved, lost) if damage else (None, [])
        count = counting(writing, sum(entry.nbytes for entry in saved))
        with BundleWriter(
            prefix, overwrite=overwrite, sync=sync, big_endian=reader.big_endian, progress=count
        ) as writer:
            _write(reader, saved, graph, writer)
            writer.finish(check=reader.check_unchanged)
        finish(writing, total)
    finally:
        reader.close()
    log.info("%s: %d tensors written to %s, %d places damaged", reader.prefix, len(saved), prefix, len(damage))
    return Salvage(reader.prefix, prefix, tuple(saved), tuple(damage), (*found.notes, *notes))


def _find_prefix(source: PathLike, source_format: str | None) -> str:
    """Return the prefix of a checkpoint; a V1 file that has lost its end is one, too."""
    try:
        return find_prefix(source, source_format)
    except CheckpointNotFoundError:
        path = os.fspath(source)
        if source_format != V2 and files.is_file(path) and has_any_file(v1_pattern(path)):
            return v1_pattern(path)
        raise


def _fitting_graph(
    reader: TensorReader, saved: Iterable[Entry], lost: Iterable[str | None]
) -> tuple[ObjectGraph | None, list[str]]:
    """Return the object graph without the keys of what is lost, if that changes it; and what to say of it."""
    names = {entry.name: entry for entry in saved}
    if OBJECT_GRAPH_KEY not in names:
        gone = "the object graph is lost: TensorFlow restores what was saved by names only"
        return None, [gone] if OBJECT_GRAPH_KEY in lost else []
    entry = names[OBJECT_GRAPH_KEY]
    if entry.data_type != DT_STRING or entry.shape != ():
        return None, []
    try:
        graph = ObjectGraph.parse(reader.read(entry, verify=True).item())
    except FormatError as error:
        return None, [f"the object graph goes along as it is, and cannot be read: {error}"]
    asked = {attribute.checkpoint_key for node in graph.nodes for attribute in node.attributes}
    missing = asked - names.keys()
    if not missing:
        return None, []
    graph.drop_keys(missing)
    return graph, [
        f"the object graph goes without {len(missing)} values that are lost: {some([repr(name) for name in sorted(missing)])}"
    ]


def _write(reader: TensorReader, saved: Iterable[Entry], graph: ObjectGraph | None, writer: BundleWriter) -> None:
    """Write tensors in the order in which they lie in the source, each in the data file of its number."""
    pieces = [(stored, entry, part) for entry in saved for part, stored in reader.pieces(entry)]
    pieces.sort(key=lambda piece: (piece[0].shard, piece[0].offset, piece[0].nbytes))
    numbers = {shard: n for n, shard in enumerate(dict.fromkeys(stored.shard for stored, _, _ in pieces))}
    for stored, entry, part in pieces:
        writer.extend_to(numbers[stored.shard] + 1)
        if entry.name == OBJECT_GRAPH_KEY and graph is not None:
            writer.add(OBJECT_GRAPH_KEY, graph.serialize())
        else:
            _write_piece(reader, stored, entry, part, writer)


def _write_piece(
    reader: TensorReader, stored: Entry, entry: Entry, part: TensorSlice | None, writer: BundleWriter
) -> None:
    if not reader.stores_as_written(stored, big_endian=writer.big_endian):
        writer.add(entry.name, reader.read(stored, verify=True, mapped=False), stored.data_type)
        return
    content = reader.chunks(stored, verify=True), stored.nbytes, stored.crc32c
    if part is None:
        writer.carry(entry.name, entry.data_type, entry.shape, *content)
    else:
        writer.carry_slice(entry.name, entry.data_type, entry.shape, part, *content)
