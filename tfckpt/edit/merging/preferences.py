"""Which of several sources counts: what ``prefer`` of a merge says."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from tfckpt.base.arguments import texts
from tfckpt.bundle.listing import once
from tfckpt.checkpoint.checkpoint import Checkpoint
from tfckpt.checkpoint.graph.graph_roles import originals_of_copies
from tfckpt.checkpoint.graph.object_graph import ATTRIBUTES, VARIABLE_VALUE, ObjectGraph
from tfckpt.checkpoint.graph.object_tensors import ObjectTensors
from tfckpt.checkpoint.graph.optimizers import ARCHIVE
from tfckpt.checkpoint.graph.path_globs import PathGlob
from tfckpt.checkpoint.graph.roles import ROLES, find_roles
from tfckpt.checkpoint.graph.ways import Edge, edges_of_training
from tfckpt.errors import PlanError, UsageError
from tfckpt.storage.forks import ThreadLock


class Origin:
    """One source of a merge: its tensors and objects; everything is looked up once.

    Attributes:
        checkpoint: open.
        typed: what it was called by.
    """

    def __init__(self, checkpoint: Checkpoint, typed: str) -> None:
        self.checkpoint, self.typed = checkpoint, typed
        self._reading = ThreadLock()  # of the graph and what is made of it

    @once
    def graph(self) -> ObjectGraph | None:
        """The object graph, if there is one."""
        return self.checkpoint.object_graph

    @once
    def tensors(self) -> ObjectTensors:
        """Which tensor belongs to which object."""
        return ObjectTensors(self.graph or ObjectGraph(), list(self.checkpoint))

    def matching(self, glob: PathGlob) -> set[int]:
        """Return the objects that a glob means by a path."""
        return set() if self.graph is None else glob.matching(self.graph, self._no_ways, self._labels)

    @once
    def _labels(self) -> Mapping[int, Sequence[str]]:
        """Return what objects call their tensors, variables aside: each is taken whole, whatever path names one of these."""
        found: dict[int, list[str]] = {}
        for name, number in self.tensors.node_of.items():
            if not name.endswith(VARIABLE_VALUE) and ATTRIBUTES in name:  # nearly all are variables
                found.setdefault(number, []).append(name.rpartition(ATTRIBUTES)[2])
        return found

    def called(self, matches: Callable[[str], object]) -> set[int]:
        """Return the objects whose full name, or key without its end, is one that matches."""
        return {
            number
            for number, node in enumerate(self.graph.nodes if self.graph is not None else ())
            for attribute in node.attributes
            if (attribute.full_name and matches(attribute.full_name))
            or matches(attribute.checkpoint_key.partition(ATTRIBUTES)[0])
        }

    @once
    def _no_ways(self) -> set[Edge]:
        return edges_of_training(self.graph or ObjectGraph())

    @once
    def copies(self) -> Mapping[int, Sequence[int]]:
        """Return the objects whose values are copies of others', as Keras 3 exports weights twice, each with these."""
        graph = self.graph
        if graph is None or not any(ARCHIVE in node.children for node in graph.nodes):
            return {}
        node_of = self.tensors.node_of
        found = originals_of_copies(graph, self.tensors, self.checkpoint.reader.entries, self.roles)
        return {node_of[copy]: [node_of[name] for name in names] for copy, names in found.items()}

    @once
    def roles(self) -> Mapping[str, str]:
        """What each tensor is for, by name."""
        return find_roles(self.checkpoint.entries(), self.graph, self.tensors)


@dataclass(frozen=True, eq=False)
class Choice:
    """One preference: what it means in each source, and the source that counts there."""

    text: str
    source: int
    nodes: Sequence[Collection[int]]
    names: Sequence[Collection[str]]

    def means(self, nodes: Mapping[int, int], names: Mapping[int, str]) -> bool:
        """Whether something is meant, by its number in each source with objects and its name in each source."""
        for source, node in nodes.items():
            if node in self.nodes[source]:
                return True
        return any(name in self.names[source] for source, name in names.items())


class Preferences:
    """What is taken from which source where several have it: the first preference that means it counts.

    One of a source alone is for whatever no other means, wherever it stands.

    Raises: UsageError if a text is no preference; PlanError if one means nothing.
    """

    def __init__(self, prefer: Sequence[str], origins: Sequence[Origin]) -> None:
        self._origins = origins
        self.default: int | None = None
        self.choices: list[Choice] = []
        for text in texts("prefer", prefer):
            pattern, source = self._parse(text)
            if pattern is not None:
                self.choices.append(self._choice(text, pattern, source))
            elif self.default not in (None, source):
                raise UsageError(f"prefer: two sources alone, {self._typed(self.default)!r} and {text!r}; expected one")
            else:
                self.default = source

    def __bool__(self) -> bool:
        return bool(self.choices) or self.default is not None

    def choose(self, candidates: Collection[int], nodes: Mapping[int, int], names: Mapping[int, str]) -> int | None:
        """Return the source that counts for something, or None.

        Args:
            candidates: the sources that have it.
            nodes: the object's number in each source that has one.
            names: the tensor's name in each source that has one.
        """
        for choice in self.choices:
            if choice.source in candidates and choice.means(nodes, names):
                return choice.source
        return self.default if self.default in candidates else None

    def first(self, nodes: Mapping[int, int], names: Mapping[int, str]) -> Choice | None:
        """Return the first preference that means something, whether its source has it or not. Arguments as for `choose`."""
        return next((choice for choice in self.choices if choice.means(nodes, names)), None)

    def _typed(self, source: int | None) -> str:
        assert source is not None
        return self._origins[source].typed

    def _parse(self, text: str) -> tuple[str | None, int]:
        """Return the pattern, or None, and the source. Both may have an ``=`` in them."""
        called = {
            name: n
            for n, o in reversed([*enumerate(self._origins)])
            for name in (o.checkpoint.prefix, o.typed.rstrip("/"), o.typed)
        }
        text = text if text in called or text.endswith("=/") else text.rstrip("/") or text
        if text in called:
            return None, called[text]
        for name in sorted(called, key=len, reverse=True):
            if text.endswith(f"={name}") and len(text) > len(name) + 1:
                return text[: -len(name) - 1], called[name]
        typed = ", ".join(repr(origin.typed) for origin in self._origins)
        raise UsageError(f"prefer: expected SOURCE or PATTERN=SOURCE, SOURCE being one of {typed}; got {text!r}")

    def _choice(self, text: str, pattern: str, source: int) -> Choice:
        if pattern in ROLES:
            names = [{name for name, role in o.roles.items() if role == pattern} for o in self._origins]
            nodes: list[set[int]] = [
                {o.tensors.node_of[name] for name in found if name in o.tensors.node_of}
                for o, found in zip(self._origins, names, strict=True)
            ]
        else:
            nodes, names = self._matching(pattern)
        if not names[source] and not any(o.tensors.of_node(n) for o, f in self._pairs(nodes, source) for n in f):
            there = any(map(bool, names)) or any(map(bool, nodes))
            where = f"in {self._typed(source)}, only in others" if there else "in any source"
            hint = "a glob matches whole paths or names, such as 'model/encoder/*'"
            raise PlanError([f"prefer {text!r}: {pattern!r} means nothing {where}; {hint}"])
        return Choice(text, source, nodes, names)

    def _pairs(self, nodes: Sequence[set[int]], source: int) -> list[tuple[Origin, set[int]]]:
        return [(self._origins[source], nodes[source])]

    def _matching(self, pattern: str) -> tuple[list[set[int]], list[set[str]]]:
        """Return the objects and the names that a pattern means in each source: names if no path does, then full names."""
        glob = PathGlob(pattern)
        nodes = [origin.matching(glob) for origin in self._origins]
        by_path = any(o.tensors.of_node(n) for o, found in zip(self._origins, nodes, strict=True) for n in found)
        matches = re.compile(fnmatch.translate(pattern)).match
        names = []
        for origin in self._origins:
            tried: Iterable[str] = origin.tensors.unclaimed if by_path else list(origin.checkpoint)
            names.append({name for name in tried if matches(name)})
        if not by_path and not any(names):
            return [origin.called(matches) for origin in self._origins], names
        return nodes if by_path else [set() for _ in nodes], names
