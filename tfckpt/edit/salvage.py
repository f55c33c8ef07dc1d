"""What is intact of a damaged checkpoint, written as a new one.

Strategy: every tensor is read once to learn whether it is intact, then those that are go over as they are, compared again.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from tfckpt.base.issues import Issue, lines_of, notes_to_json
from tfckpt.base.options import PathLike
from tfckpt.bundle.damage import Finding
from tfckpt.bundle.tensor_reader import TensorReader
from tfckpt.bundle.v1.files import has_any_file
from tfckpt.bundle.values.dtypes import tensor_type
from tfckpt.bundle.values.entry import Entry
from tfckpt.checkpoint.find.locate import find_prefix
from tfckpt.checkpoint.graph.object_graph import OBJECT_GRAPH_KEY, ObjectGraph
from tfckpt.checkpoint.graph.object_tensors import ObjectTensors
from tfckpt.checkpoint.graph.roles import find_roles
from tfckpt.errors import (
    CheckpointNotFoundError,
    FormatError,
    TfckptError,
    count_of,
    redacted,
    some,
)
from tfckpt.formats.bundle import BundleSource
from tfckpt.storage import files
from tfckpt.storage.paths import V2, v1_pattern

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, slots=True)
class Salvage:
    """What came of a salvage: what `salvage` returns.

    Attributes:
        source, destination: the prefixes.
        saved: the tensors that were written.
        damage: what was wrong with the source, place by place; a tensor that any of it is in was not written.
        issues: what else to know, as data.
        set_aside: tensors that are intact and were not written, since another of the same object is lost: the values of a
            table without its keys.
        roles: what each tensor that was not written is for, such as ``"model"``, as far as the index knows it.
    """

    source: str
    destination: str
    saved: tuple[Entry, ...]
    damage: tuple[Finding, ...]
    issues: tuple[Issue, ...] = ()
    set_aside: tuple[str, ...] = ()
    roles: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        counts = f"{count_of(self.saved, 'tensor')} saved, {len(self.lost)} known to be lost"
        return redacted(f"<Salvage of {self.source!r} to {self.destination!r}: {counts}>")

    def _repr_html_(self) -> str:
        from tfckpt.base.html import facts, folded, listed, shown, table

        saved = table(
            ("name", "dtype and shape", "bytes"),
            self.saved,
            lambda e: (e.name, tensor_type(e.data_type, e.shape), e.nbytes),
        )
        unsaved = (*self.lost, *self.set_aside)
        roles = table(("name", "role"), unsaved, lambda name: (name, self.roles.get(name)))
        return shown(
            repr(self),
            facts({"bytes saved": self.nbytes}),
            folded(count_of(self.issues, "note"), listed(self.notes), is_open=True),
            folded(f"{len(self.damage):,} damaged", listed([finding.line for finding in self.damage]), is_open=True),
            folded(f"{len(unsaved):,} not saved", roles if unsaved else "", is_open=True),
            folded(f"{len(self.saved):,} saved", saved if self.saved else ""),
        )

    @property
    def lost(self) -> tuple[str, ...]:
        """The tensors that are known to be lost, by name; more may be, where an index is damaged."""
        return tuple(dict.fromkeys(item.tensor for item in self.damage if item.tensor is not None))

    @property
    def nbytes(self) -> int:
        """The bytes of what was saved."""
        return sum(entry.nbytes for entry in self.saved)

    @property
    def notes(self) -> tuple[str, ...]:
        """What else to know, one line each."""
        return lines_of(self.issues)

    def to_json(self) -> dict[str, Any]:
        """Return all of it as what JSON knows."""
        saved = [
            {"name": e.name, "dtype": e.dtype_name, "shape": list(e.shape), "nbytes": e.nbytes} for e in self.saved
        ]
        damage = [item.to_json() for item in self.damage]
        where = {"source": self.source, "destination": self.destination}
        unsaved = {
            "lost": list(self.lost),
            "set_aside": list(self.set_aside),
            "roles": dict(self.roles),
            "damage": damage,
        }
        return {**where, "saved": saved, **unsaved, **notes_to_json(self.issues)}


def unsaved_roles(reader: TensorReader, saved: Sequence[Entry]) -> dict[str, str]:
    """Return what each tensor that the index knows and that is not saved is for."""
    unsaved = reader.entries.keys() - {entry.name for entry in saved}
    if not unsaved:
        return {}
    graph = None
    with suppress(TfckptError):  # the graph may be what is damaged
        graph = BundleSource(reader).object_graph
    roles = find_roles(reader.entries.values(), graph)
    return {name: roles[name] for name in sorted(unsaved)}


def find_damaged(source: PathLike, source_format: str | None) -> str:
    """Return the prefix of a checkpoint; a V1 file that has lost its end is one, too."""
    try:
        return find_prefix(source, source_format)
    except CheckpointNotFoundError:
        path = os.fspath(source)
        if source_format != V2 and files.is_file(path) and has_any_file(v1_pattern(path)):
            return v1_pattern(path)
        raise


class Intact(NamedTuple):
    """What can be saved of a checkpoint: its tensors, and the object graph if it is to be changed for them."""

    entries: tuple[Entry, ...]
    graph: ObjectGraph | None = None
    issues: tuple[Issue, ...] = ()
    set_aside: tuple[str, ...] = ()

    @property
    def has_values(self) -> bool:
        """Whether there is more to save than an object graph."""
        return any(entry.name != OBJECT_GRAPH_KEY for entry in self.entries)


def find_intact(reader: TensorReader, damage: Sequence[Finding]) -> Intact:
    """Return what can be saved, as far as the damage is known."""
    lost = {item.tensor for item in damage}
    intact = Intact(tuple(entry for name, entry in reader.entries.items() if name not in lost))
    if not damage:
        return intact
    if OBJECT_GRAPH_KEY in lost:
        return intact._replace(issues=(Issue("graph-lost"),))
    try:
        graph = BundleSource(reader).object_graph
    except FormatError as error:
        return intact._replace(issues=(Issue("graph-as-it-is", got=str(error)),))
    if graph is None:
        return intact
    return _fitted(intact, graph, frozenset(name for name in lost if name is not None), unnamed=None in lost)


def dangling(reader: TensorReader) -> list[str]:
    """Return the keys in an undamaged checkpoint's object graph for which TensorFlow would look in vain."""
    try:
        graph = BundleSource(reader).object_graph
    except FormatError:
        return []
    if graph is None:
        return []
    tensors = ObjectTensors(graph, reader.entries)
    keys = dict.fromkeys(attribute.checkpoint_key for attribute in graph.attributes())
    return [key for key in keys if tensors.is_broken(key)]


def _fitted(intact: Intact, graph: ObjectGraph, lost: frozenset[str], *, unnamed: bool) -> Intact:
    """Return what is intact with a graph that leads to nothing lost, and without what is left of objects in it.

    Args:
        intact: the tensors.
        graph: the object graph, which is changed.
        lost: the names of tensors that are known to be lost.
        unnamed: whether others are lost.
    """
    tensors = ObjectTensors(graph, [*(entry.name for entry in intact.entries), *lost])
    keys = [frozenset(attribute.checkpoint_key for attribute in node.attributes) for node in graph.nodes]
    broken = {
        key
        for key in frozenset().union(*keys)
        if tensors.is_broken(key) or (unnamed and not tensors.is_whole(key)) or not lost.isdisjoint(tensors.of_key(key))
    }
    gone = {number for number, own in enumerate(keys) if not own.isdisjoint(broken)}
    unsaved = {n for n in range(len(keys)) if not lost.isdisjoint(tensors.of_saver(n))}
    stay = {name for n, own in enumerate(keys) if n not in gone for key in own for name in tensors.of_key(key)}
    belong = {name for n in gone | unsaved for name in tensors.of_node(n)} - stay
    notes = list(_of_savers(graph, lost.intersection(tensors.unclaimed)))
    if gone or unsaved:
        names = sorted(broken | {saver[1] for n in unsaved if (saver := graph.nodes[n].registered_saver) is not None})
        count = count_of(names, "lost value")
        notes.insert(0, Issue("graph-without", some([repr(name) for name in names]), got=count))
    aside = tuple(entry.name for entry in intact.entries if entry.name in belong)
    if aside:
        notes.append(Issue("set-aside", some([repr(name) for name in aside])))
    graph.drop_values(gone | unsaved)
    entries = tuple(entry for entry in intact.entries if entry.name not in belong)
    return Intact(entries, graph if gone or unsaved else None, tuple(notes), aside)


def _of_savers(graph: ObjectGraph, lost: Collection[str]) -> Iterator[Issue]:
    """Yield what to say of lost tensors that no object leads to, if there is an object whose saver may ask for them."""
    savers = dict.fromkeys(node.registered_saver[0] for node in graph.nodes if node.registered_saver is not None)
    if savers and lost:
        who = some([repr(name) for name in savers])
        yield Issue("asked-for", some([repr(name) for name in sorted(lost)]), got=who)
