"""Where a tensor stands in its model, as a path of modules, and to which layer it belongs."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from tfckpt.bundle.values.entry import Entry
from tfckpt.checkpoint.graph.object_graph import ATTRIBUTES, VARIABLE_VALUE, ObjectGraph, split_path
from tfckpt.checkpoint.graph.outline import MAX_DEPTH, Branch, outline_objects

Path = tuple[str, ...]

NUMBERED = re.compile(r"(.*[_-])?[0-9]+")
SLOTS = "slots "  # begins the part of a path that names a slot of the optimizer before it
TOP_PARTS = 2  # of a path without a numbered part, those that name the layer


def module_paths(graph: ObjectGraph | None, entries: Collection[Entry]) -> dict[str, Path]:
    """Return the path of every tensor, by its name: through the objects that lead to it, else the parts of the name.

    Args:
        graph: the checkpoint's object graph; None for a name-based one.
        entries: its tensors.
    Raises: FormatError if the paths through the graph would be far longer than all names of edges together.
    """
    paths = {entry.name: _parts(entry.name) for entry in entries}
    if graph is not None:
        paths |= dict(_placed(outline_objects(graph, list(entries)).root))
    return paths


def layer_of(path: Path) -> Path:
    """Return the layer that a path belongs to: up to its first numbered part, else its first two; never its last.

    >>> layer_of(("bert", "encoder", "layer_0", "output", "dense", "kernel"))
    ('bert', 'encoder', 'layer_0')
    >>> layer_of(("cls", "predictions", "transform", "dense", "bias")), layer_of(("global_step",))
    (('cls', 'predictions'), ())
    """
    modules = path[:-1]
    for n, part in enumerate(modules):
        if NUMBERED.fullmatch(part):
            return modules[: n + 1]
    return modules[:TOP_PARTS]


def _parts(name: str) -> Path:
    """Return the parts of a name, without what ends the key of every variable."""
    return tuple(name.removesuffix(ATTRIBUTES + VARIABLE_VALUE).split("/", MAX_DEPTH - 1))


def _placed(root: Branch) -> Iterator[tuple[str, Path]]:
    """Yield each tensor that objects lead to, and how; a slot variable stands below its optimizer."""
    pending = [root]
    while pending:
        branch = pending.pop()
        pending += branch.children
        place = split_path(branch.path.partition(ATTRIBUTES)[0])
        if branch.entry is not None:
            yield branch.entry.name, (*place, branch.name) if ATTRIBUTES in branch.path else place or (branch.name,)
        for slot in branch.slots:
            yield slot.entry.name, (*place, f"{SLOTS}{slot.name}", *split_path(slot.variable))
