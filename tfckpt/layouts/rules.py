"""What a layout can say: rows, repeated parts, names that are dropped, names that are rewritten.

The vocabulary of TF1 variable names is the hub. An object layout is a table of rows ``(hub name, path, axes)``: the
variable of that name sits at that path below the model's node, in that form. A name layout is an ordered list of
substitutions. Both are data; what they do to a checkpoint is decided in the conversion room.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

Row = tuple[str, str, str]  # hub name, path below the part's node in escaped key form, axes pattern
Alias = tuple[str, str]  # a second path, and the path of the node or variable that it leads to as well

CHOICES: Mapping[str, tuple[str, ...]] = {"{p}": ("gamma", "beta"), "{qkv}": ("query", "key", "value")}
LAYER = "{layer}"
LAYER_NUMBER = r"(0|[1-9][0-9]{0,5})"  # plain decimals, as both sides spell them


@dataclass(frozen=True, slots=True)
class Each:
    """Rows that every layer has: ``source`` and ``path`` go before theirs, with ``{layer}`` for the layer's number."""

    source: str
    path: str
    rows: tuple[Row, ...]
    aliases: tuple[Alias, ...] = ()

    def layer_of(self, name: str) -> int | None:
        """Return the number of the layer that a hub name belongs to.

        >>> Each("bert/encoder/layer_{layer}/", "_transformer_layers/{layer}/", ()).layer_of("bert/encoder/layer_7/output")
        7
        """
        match = re.match(re.escape(self.source).replace(re.escape(LAYER), LAYER_NUMBER), name)
        return int(match[1]) if match else None


@dataclass(frozen=True, slots=True)
class Variable:
    """One row with everything filled in."""

    name: str
    path: str
    axes: str


@dataclass(frozen=True, slots=True)
class Part:
    """A model, or a part of one, below one node of the object graph.

    ``order`` lists the containers that Keras numbers as ``layer_with_weights-N``, each under its attribute's name, ``*`` for
    every layer: an order, not a formula, since those that are absent take no number.
    """

    rows: tuple[Row, ...]
    per_layer: Each
    order: tuple[str, ...]
    aliases: tuple[Alias, ...] = ()

    def variables(self, layers: Iterable[int]) -> Iterator[Variable]:
        """Yield every variable of a model with these layers."""
        each = self.per_layer
        rows = list(self.rows)
        for layer in layers:
            source, path = (text.replace(LAYER, str(layer)) for text in (each.source, each.path))
            rows += [(source + name, path + key, axes) for name, key, axes in each.rows]
        for row in rows:
            yield from _fill(row)

    def all_aliases(self, layers: Iterable[int]) -> list[Alias]:
        """Return every second path of a model with these layers."""
        paths = [self.per_layer.path.replace(LAYER, str(layer)) for layer in layers]
        return [*self.aliases, *((path + alias, path + to) for path in paths for alias, to in self.per_layer.aliases)]

    def numbered(self, paths: Sequence[str]) -> dict[str, str]:
        """Return the numbered name of each container that holds one of ``paths``, which come in layer order.

        >>> part = Part((), Each("", "", ()), order=("_norm", "_projection", "_layers/*"))
        >>> part.numbered(["_layers/0/kernel", "_layers/1/kernel", "_norm/beta"])
        {'_norm': 'layer_with_weights-0', '_layers/0': 'layer_with_weights-1', '_layers/1': 'layer_with_weights-2'}
        """
        patterns = [re.escape(container).replace(r"\*", LAYER_NUMBER) for container in self.order]
        matches = (re.match(f"({pattern})/", path) for pattern in patterns for path in paths)
        present = dict.fromkeys(match[1] for match in matches if match)
        return {container: f"layer_with_weights-{n}" for n, container in enumerate(present)}


def _fill(row: Row) -> Iterator[Variable]:
    """Yield the row once for every choice that it leaves open."""
    mark = next((mark for mark in CHOICES if mark in row[0]), None)
    if mark is None:
        yield Variable(*row)
        return
    name, path, axes = row
    for choice in CHOICES[mark]:
        yield from _fill((name.replace(mark, choice), path.replace(mark, choice), axes))


@dataclass(frozen=True, slots=True)
class Drop:
    """Source variables that a target has no place for; ``patterns`` are shell globs."""

    rule: str
    patterns: tuple[str, ...]

    def matches(self, name: str) -> bool:
        """Whether this rule drops the variable."""
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.patterns)


@dataclass(frozen=True, slots=True)
class ObjectLayout:
    """An object-based target: the variables of ``part``, and the ways that lead to them from the root.

    ``roots`` are the paths that a reader may start from, all leading to one node; the first spells the checkpoint keys, and
    the empty one lets the root itself stand for the model. ``placeholders`` are nodes without a value, for objects that
    a reader creates by itself. A hub name in no row and in no drop rule stops the plan.
    """

    name: str
    about: str
    anchor: str  # the hub name that every checkpoint of the family has; what stands before it is a scope
    sizes: Mapping[str, str]  # axis letter -> field of the configuration
    part: Part
    roots: tuple[str, ...]
    drops: tuple[Drop, ...]
    placeholders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NameLayout:
    """A name-based target: ordered substitutions, each applied to every name; a name without a match passes through.

    ``reshapes`` are tried on the *source* name: the first whose substrings it contains gives the axes, and only if a head
    count was asked for.
    """

    name: str
    about: str
    substitutions: tuple[tuple[str, str], ...]
    reshapes: tuple[tuple[tuple[str, ...], str], ...] = ()
    sizes: Mapping[str, str] = field(default_factory=dict)

    def rename(self, name: str) -> str:
        """Return the name in this layout."""
        for old, new in self.substitutions:
            name = name.replace(old, new)
        return name

    def axes(self, name: str) -> str | None:
        """Return the axes pattern for a source name, if it is one that a head count splits."""
        return next((axes for parts, axes in self.reshapes if all(part in name for part in parts)), None)


Layout = ObjectLayout | NameLayout
