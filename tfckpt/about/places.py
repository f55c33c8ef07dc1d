"""Where each tensor of a file belongs, and what it does there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tfckpt.about.kinds import kind_of
from tfckpt.about.modules import Path, layer_of, module_paths
from tfckpt.checkpoint.graph.roles import find_roles
from tfckpt.planning.source import Source


class Place(NamedTuple):
    """Where a tensor belongs.

    Attributes:
        path: the modules that lead to it, and its own name.
        layer: the first of these, up to the layer.
        role: what it is for: one of the roles that ``tfckpt ls`` knows.
        kind: what it does in its model: ``"attention"``, ``"feed-forward"``, ``"embeddings"``, ``"heads"``, ``"optimizer"``
            or ``"other"``.
    """

    path: Path
    layer: Path
    role: str
    kind: str


def find_places(source: Source) -> Mapping[str, Place]:
    """Return where each tensor of a file belongs, by its name. Raises: FormatError."""
    entries, graph = source.entries(), source.object_graph
    paths, roles = module_paths(graph, entries), find_roles(entries, graph)
    return {name: Place(path, layer_of(path), roles[name], kind_of(path, roles[name])) for name, path in paths.items()}
