"""A tree made smaller: only what leads to some tensors, or only its first levels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from tfckpt.bundle.values.entry import Entry
from tfckpt.checkpoint.graph.outline import Branch, Hidden, Outline


def only(outline: Outline, matches: Callable[[str], bool]) -> Outline:
    """Return the tree of those tensors of which the name or the path matches, and of what leads to them.

    Example:
        >>> from tfckpt.checkpoint.graph.outline import outline_names
        >>> with tfckpt.open("bert_model.ckpt") as checkpoint:
        ...     tree = only(outline_names(checkpoint.entries()), lambda path: path.endswith("pooler/dense/bias"))
        >>> [entry.name for entry in tensors(tree.root)]
        ['bert/pooler/dense/bias']
    """
    root = _only(outline.root, matches) or Branch("", "")
    return Outline(root, tuple(entry for entry in outline.rest if matches(entry.name)))


def folded(outline: Outline, depth: int) -> Outline:
    """Return the first ``depth`` levels of a tree; what they hide is counted where it would begin."""
    return Outline(_folded(outline.root, depth), outline.rest)


def tensors(branch: Branch) -> Iterator[Entry]:
    """Yield the tensors of a branch, slot variables included: its own, then those below it."""
    if branch.entry is not None:
        yield branch.entry
    for child in branch.children:
        yield from tensors(child)
    for slot in branch.slots:
        yield slot.entry


def _only(branch: Branch, matches: Callable[[str], bool]) -> Branch | None:
    entry = branch.entry if branch.entry and (matches(branch.entry.name) or matches(branch.path)) else None
    children = [kept for child in branch.children if (kept := _only(child, matches)) is not None]
    slots = [slot for slot in branch.slots if matches(slot.entry.name)]
    if entry is None and not children and not slots:
        return None
    return replace(branch, entry=entry, children=children, slots=slots)


def _folded(branch: Branch, depth: int) -> Branch:
    if depth:
        return replace(branch, children=[_folded(child, depth - 1) for child in branch.children])
    own = branch.entry.name if branch.entry is not None else None
    below = {entry.name: entry.nbytes for entry in tensors(branch) if entry.name != own}
    hidden = Hidden(len(below), sum(below.values())) if below else None
    return replace(branch, children=[], slots=[], hidden=hidden)
