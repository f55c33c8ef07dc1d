"""Every tensor of a checkpoint, described: where it belongs, what it does, what its values look like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tfckpt.about.modules import Path
from tfckpt.about.places import Place
from tfckpt.base.progress import Progress, finish
from tfckpt.bundle.values.entry import Entry
from tfckpt.checkpoint.checkpoint import Checkpoint
from tfckpt.checkpoint.statistics import Statistics, measure
from tfckpt.errors import TfckptError
from tfckpt.storage.paths import V2


class Reported(NamedTuple):
    """One tensor of a report.

    Attributes:
        entry: what the index says of it.
        path: the modules that lead to it, and its own name.
        layer: the first of these, up to the layer.
        role: what it is for: one of the roles that ``tfckpt ls`` knows.
        kind: what it does in its model: ``"attention"``, ``"feed-forward"``, ``"embeddings"``, ``"heads"``, ``"optimizer"``
            or ``"other"``.
        checksum: the stored, masked CRC-32C of a tensor that lies in one piece; None of a partitioned one, and in V1.
        problem: what keeps its values from being read; None if nothing does, or if nobody tried.
        statistics: what its values look like; None if they were not read, or cannot be.
    """

    entry: Entry
    path: Path
    layer: Path
    role: str
    kind: str
    checksum: int | None = None
    problem: str | None = None
    statistics: Statistics | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as what ``json.dumps`` takes."""
        entry = self.entry
        stored = None if self.checksum is None else {"shard": entry.shard, "offset": entry.offset}
        return {
            "name": entry.name,
            "path": list(self.path),
            "layer": list(self.layer),
            "role": self.role,
            "kind": self.kind,
            "dtype": entry.dtype_name,
            "shape": list(entry.shape),
            "elements": entry.size,
            "nbytes": entry.nbytes,
            "stored": stored,
            "slices": len(entry.slices),
            "crc32c": self.checksum,
            "problem": self.problem,
            "statistics": None if self.statistics is None else self.statistics.to_json(),
        }


def describe(
    source: Checkpoint, places: Mapping[str, Place], bins: int | None, progress: Progress | None = None
) -> Iterator[Reported]:
    """Yield every tensor, described; its values are read when it is asked for.

    Args:
        source: the checkpoint.
        places: what `find_places` says of it.
        bins: bars of the histograms; None for no statistics: then no value is read.
        progress: called with (bytes done, bytes in all).
    """
    entries = source.entries()
    total, done = sum(entry.nbytes for entry in entries), 0
    for entry in entries:
        statistics, problem = _measured(source, entry, bins)
        yield Reported(entry, *places[entry.name], checksum_of(source, entry), problem, statistics)
        done += entry.nbytes
        if progress is not None:
            progress(done, total)
    finish(progress, total)


def checksum_of(checkpoint: Checkpoint, entry: Entry | None) -> int | None:
    """Return the stored checksum of a whole tensor; there is none of a partitioned one, nor in V1."""
    return None if entry is None or entry.slices or checkpoint.format != V2 else entry.crc32c


def _measured(source: Checkpoint, entry: Entry, bins: int | None) -> tuple[Statistics | None, str | None]:
    """Return a tensor's statistics, or what keeps us from them."""
    if bins is None:
        return None, None
    try:
        return measure(source.reader, entry, bins=bins), None
    except TfckptError as error:  # damage, a missing file, or a dtype that has no values
        source.reader.explain(error)
        return None, str(error)
