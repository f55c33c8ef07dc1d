"""Carries out plans: the only loop in which a step becomes bytes, from whatever source to whatever sink.

Strategy: bytes that stay as they are go over as they are, in the hands of a sink that may have them carried later, by all
cores or by the kernel; values that keep their dtype's form stream; the rest is computed, a tensor at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from tfckpt.base import log
from tfckpt.base.issues import Issue, give
from tfckpt.base.options import Fixed
from tfckpt.base.progress import Progress
from tfckpt.bundle.carry import counting
from tfckpt.bundle.listing import collector_paused
from tfckpt.bundle.tensor_reader import TensorReader
from tfckpt.bundle.values.dtypes import dtype_name, is_numeric, item_size, numpy_dtype
from tfckpt.bundle.values.entry import Entry, stored_at
from tfckpt.bundle.values.slices import TensorSlice
from tfckpt.checkpoint.graph.object_graph import OBJECT_GRAPH_KEY, ObjectGraph
from tfckpt.errors import UnsupportedError, located, printable, remedied
from tfckpt.execution.compute import planned_entry
from tfckpt.formats.bundle import BundleSink, BundleSource
from tfckpt.formats.container import Chunk, Destination, Tensor, TensorSink, TensorSource
from tfckpt.planning.plan import Plan, Written
from tfckpt.planning.steps import Input, Step
from tfckpt.storage.files import Source
from tfckpt.storage.local_output import CLONE, LINK

if TYPE_CHECKING:
    from tfckpt._proto.types_pb2 import DataType
    from tfckpt.bundle.values.arrays import Array

COPY, REFLINK, AUTO = "copy", "reflink", "auto"
SHARING = {LINK: LINK, REFLINK: CLONE}  # a mode, and how it shares
NOTHING: Mapping[str, Entry] = Fixed({})
ATTEMPTS = {COPY: (COPY,), LINK: (LINK,), REFLINK: (REFLINK,), AUTO: (REFLINK, LINK, COPY)}


class Piece(NamedTuple):
    """What a step makes of one tensor of a source, or of one slice of a partitioned one.

    Attributes:
        source: where the inputs are read from.
        step: what becomes of them.
        stored: the entry of what is read; None if it is whatever the inputs name.
        part: the slice, if the tensor stays partitioned.
        shard: number of the data file that it goes to.
        whole_shard: the number that the source's entry of the whole tensor names.
    """

    source: TensorSource
    step: Step
    stored: Entry | None = None
    part: TensorSlice | None = None
    shard: int = 0
    whole_shard: int = 0


def run(plan: Plan, source: TensorSource, sink: TensorSink, *, mode: str = COPY, verify: bool = True) -> Written:
    """Write what a plan says of a source, whole or not at all; partitioned tensors are put together.

    Args:
        plan: what to write.
        source: what it was made for; it stays open.
        sink: where to; its block must not have begun.
        mode: one of `ATTEMPTS`; ``"auto"`` takes the first of reflink, link, copy that works.
        verify: compare the checksum of each tensor that is written.
    Raises: CheckpointExistsError, ChecksumError, FormatError, StorageError; UnsupportedError if ``mode`` is impossible here.
    """
    with collector_paused():
        pieces = [_piece(step, source) for step in plan.steps]
        own = (piece for piece in pieces if piece.step.same_as is None)
        source.check([entry for piece in own for entry in _entries(piece)], verify=verify)
    with sink:
        written, shared = _share(pieces, source, sink, mode, verify=verify)
        write(pieces, sink, verify=verify, graph=plan.object_graph, shared=shared)
        sink.commit(source.check_unchanged)
    return written


def execute(
    plan: Plan,
    reader: TensorReader,
    dest: str,
    *,
    mode: str = COPY,
    verify: bool = True,
    sync: bool = True,
    overwrite: bool = False,
    progress: Progress | None = None,
    stream: bool = False,
) -> Written:
    """Write the checkpoint that ``plan`` makes of another one under the prefix ``dest``.

    Args:
        sync: return only when the files have reached the disk.
        overwrite: replace a checkpoint that is there.
        progress: called with (bytes done, bytes in all).
        stream: copy the simple way, one byte after another in this thread.
    Raises: as `run`.
    """
    to = Destination(dest, overwrite=overwrite, sync=sync, progress=counting(progress, plan.nbytes))
    return run(plan, BundleSource(reader), BundleSink(to, stream=stream), mode=mode, verify=verify)


def write(
    pieces: Iterable[Piece],
    sink: TensorSink,
    *,
    verify: bool,
    graph: ObjectGraph | None = None,
    shared: Mapping[str, Entry] = NOTHING,
) -> None:
    """Write pieces to a sink whose block has begun.

    Args:
        pieces: in the order in which they go over, unless the sink sorts them.
        sink: where to.
        verify: compare checksums on the way.
        graph: what is written in the place of the source's object graph; last if it has none.
        shared: by target, what the sink has already, in files that it shares.
    """
    with collector_paused():
        work = [(_tensor(piece, sink), piece) for piece in pieces]
        work.sort(key=lambda pair: sink.rank(pair[0]))
        sink.begin([tensor for tensor, _ in work])
        _write_all(work, sink, verify=verify, graph=graph, shared=shared)


def _write_all(
    work: Iterable[tuple[Tensor, Piece]],
    sink: TensorSink,
    *,
    verify: bool,
    graph: ObjectGraph | None,
    shared: Mapping[str, Entry],
) -> None:
    for tensor, piece in work:
        if graph is not None and tensor.name == OBJECT_GRAPH_KEY:
            sink.attach(tensor.name, graph.serialize(), shard=tensor.shard)
            graph = None
        elif tensor.name in shared:
            sink.refer(tensor, shared[tensor.name])
        elif piece.step.same_as is None or not sink.alias(tensor, of=piece.step.same_as):
            _put(tensor, piece, sink, verify=verify)
    if graph is not None:
        sink.attach(OBJECT_GRAPH_KEY, graph.serialize())


def _put(tensor: Tensor, piece: Piece, sink: TensorSink, *, verify: bool) -> None:
    """Write one tensor or slice: its stored bytes if they stay as they are, or else its values."""
    source, step, stored = piece.source, piece.step, piece.stored
    form = sink.form(tensor.data_type)
    assert form is not None, tensor
    if stored is None or not step.keeps_bytes:
        arrays: Iterable[Array] = [_values(piece, verify=verify)]
    else:
        is_same = form == stored.data_type and (sink.takes_stored or stored.is_numeric)
        content = source.stored_bytes(stored, verify=verify, big_endian=sink.big_endian) if is_same else None
        if content is not None:
            sink.put(tensor, content)
            return
        arrays = source.stream(stored, verify=verify)
    if is_numeric(form):
        sink.put(tensor, _encoded(arrays, form, big_endian=sink.big_endian))
    else:
        (values,) = arrays
        sink.put_strings(tensor, values.reshape(tensor.shape if piece.part is None or stored is None else stored.shape))


def _values(piece: Piece, *, verify: bool) -> Array:
    """Return what a step makes of its inputs; what a cast could not hold and made infinite is logged."""
    from tfckpt.execution.values import joined  # many steps are bytes that stay as they are, and need no NumPy

    def read(item: Input) -> Array:
        entry = planned_entry(item, piece.source) if piece.stored is None else piece.stored
        return piece.source.read(entry, verify=verify, mapped=False)

    def tell(lost: int, data_type: DataType) -> None:
        name = printable(piece.step.source)
        log.warning("%s: %d values are too large for %s", name, lost, dtype_name(data_type))

    with located(piece.source.prefix):
        return joined(piece.step, read, tell)


def _encoded(arrays: Iterable[Array], form: DataType, *, big_endian: bool) -> Iterator[Chunk]:
    """Yield the bytes of numbers in a sink's form and byte order."""
    encode = _encoder()
    dtype = numpy_dtype(form)
    for array in arrays:
        yield encode(array if array.dtype == dtype else array.astype(dtype), big_endian=big_endian)


@cache
def _encoder() -> Callable[..., Chunk]:
    from tfckpt.bundle.values.arrays import encode_numbers  # most tensors are bytes that stay as they are: no NumPy

    return encode_numbers


def _piece(step: Step, source: TensorSource) -> Piece:
    return Piece(source, step, planned_entry(step.inputs[0], source) if step.keeps_bytes else None)


def _entries(piece: Piece) -> list[Entry]:
    """Return the source's entries for all that a piece reads."""
    if piece.stored is not None:
        return [piece.stored]
    return [planned_entry(item, piece.source) for item in piece.step.inputs if item.source]


def _tensor(piece: Piece, sink: TensorSink) -> Tensor:
    """Return what a sink is told of a piece."""
    step, stored = piece.step, piece.stored
    if stored is not None and sink.takes_stored and step.keeps_bytes:  # of most, quickly: it is as it was
        return Tensor(step.target, stored.data_type, step.shape, stored.nbytes, piece.part, piece.shard)
    data_type, nbytes = step.stored_type, step.nbytes if stored is None else stored.nbytes
    form = sink.form(data_type)
    if form is not None and is_numeric(form) and (stored is None or form != stored.data_type):
        nbytes = math.prod(step.shape if piece.part is None or stored is None else stored.shape) * item_size(form)
    return Tensor(step.target, data_type, step.shape, nbytes, piece.part, piece.shard)


def _share(
    pieces: Iterable[Piece], source: TensorSource, sink: TensorSink, mode: str, *, verify: bool
) -> tuple[Written, dict[str, Entry]]:
    """Let the sink begin with the source's files if the mode says so.

    Returns:
        What was taken; and where stored bytes lie in shared files, and their checksums, by target.
    Raises: UnsupportedError if nothing that the mode allows is possible.
    """
    notes: list[Issue] = []
    for attempt in ATTEMPTS[mode]:
        if attempt == COPY:
            break
        carried = {p.step.target: p.stored for p in pieces if p.stored is not None and p.step.same_as is None}
        try:
            if why := source.why_unshared(carried.values()):
                raise UnsupportedError(f"{source.prefix}: cannot be shared by mode {attempt!r}: {why}")
            files = source.data_files(carried.values())
            sink.share(files, how=SHARING[attempt])
        except UnsupportedError as error:
            if mode != AUTO:
                text = f"{error}; mode 'copy' or 'auto' copies it"
                raise remedied(UnsupportedError(text), give(mode=AUTO)) from error
            notes += error.issues
            continue
        shared = _places(carried, source, sink, files, verify=verify)
        named = sum(nbytes for _, _, nbytes in {stored_at(entry) for entry in shared.values()})
        return Written(attempt, sum(file.size for file in files) - named, tuple(notes)), shared
    return Written(COPY, 0, tuple(notes)), {}


def _places(
    carried: Mapping[str, Entry], source: TensorSource, sink: TensorSink, files: Iterable[Source], *, verify: bool
) -> dict[str, Entry]:
    """Return the entries of tensors whose bytes can stay in the source's files, as a bundle that shares these has them."""
    found = {
        target: (entry, content)
        for target, entry in carried.items()
        if (content := source.stored_bytes(entry, verify=False, big_endian=sink.big_endian)) is not None
    }
    checksums = source.checksums([entry for entry, _ in found.values()], verify=verify, count=sink.to.progress)
    numbers = {file.path: number for number, file in enumerate(files)}
    return {
        target: entry._replace(shard=numbers[content.file.path], offset=content.offset, crc32c=crc)
        for (target, (entry, content)), crc in zip(found.items(), checksums, strict=True)
    }
