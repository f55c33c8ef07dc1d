"""What a plan is made from: names, dtypes and shapes; a checkpoint's, or another file's that holds tensors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from tfckpt.bundle.values.entry import Entry

if TYPE_CHECKING:
    from tfckpt.checkpoint.graph.object_graph import ObjectGraph


class Source(Protocol):
    """A `Checkpoint`, or what looks like one to a planner."""

    @property
    def prefix(self) -> str:
        """What messages call it; a configuration may lie beside it."""

    @property
    def object_graph(self) -> ObjectGraph | None:
        """The object graph, if there is one."""

    def entries(self) -> list[Entry]:
        """Return every tensor's entry, sorted by name."""

    def __iter__(self) -> Iterator[str]:
        """Yield every tensor's name."""
