"""What a family's tables can say of models that are called like its own and are others: what shows it, and in which words.

A sign is about structure, and names the hub names that it is told by, never those that another code gives to what is new.
"""

from __future__ import annotations

from typing import NamedTuple


class OneLayer(NamedTuple):
    """All layers are one: no layer has a number, and one scope holds what each layer should hold.

    ``layer`` is the prefix of a layer's hub names, with ``{n}``.
    """

    layer: str


class Widened(NamedTuple):
    """A matrix leads from the width of a table to the hidden size, which differs."""

    table: str


class SeveralTables(NamedTuple):
    """In place of one table there are several, or it has some beside it that are called alike, with numbers."""

    table: str


class NoTable(NamedTuple):
    """A table is missing and nothing could be it, though all else of the network is there, layers as in `OneLayer` too."""

    table: str
    layer: str


class OwnNorms(NamedTuple):
    """Where all layers share one block, each has norms of its own.

    ``norms`` are the prefixes of the block's norms, and ``within`` the scope in which the others are looked for.
    """

    norms: tuple[str, ...]
    within: str


Sign = OneLayer | Widened | SeveralTables | NoTable | OwnNorms


class Relative(NamedTuple):
    """One sign of another model: what is said of it, with ``{found}`` for the names, and which models have it."""

    sign: Sign
    says: str
    models: str
