"""A checkpoint as a tree that folds, in HTML: what `tfckpt tree` draws, for notebooks.

Strategy: what a reader sees first is drawn first. The tree is walked level by level until `MOST_BRANCHES` are drawn, and each
branch says what it has below it that is not. Of a file with very many tensors only the first ones, by name, come into it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tfckpt.base.html import MOST_ROWS, details, text
from tfckpt.bundle.values.dtypes import tensor_type
from tfckpt.bundle.values.entry import Entry
from tfckpt.checkpoint.graph.object_graph import OBJECT_GRAPH_KEY, ObjectGraph
from tfckpt.checkpoint.graph.outline import Branch, Hidden, Outline, Slot, outline_names, outline_objects
from tfckpt.errors import FormatError, count_of

MOST_BRANCHES = 1000  # a BERT with its optimizer's slots has fewer
MOST_TENSORS = 20_000  # of which a tree is made
OPEN_LEVELS = 1
LIST = '<ul style="list-style: none; margin: 0; padding-left: 1.2em">'


def tree_of(entries: Sequence[Entry], graph: ObjectGraph | None) -> str:
    """Return the tree of a checkpoint: of its objects if it has a graph, else of its names, at their slashes.

    >>> with tfckpt.open("bert_model.ckpt") as checkpoint:
    ...     tree = tree_of(checkpoint.entries("bert/pooler/*/bias"), None)
    >>> "<summary><code>bert</code>" in tree, "<code>bias</code> float32[8]" in tree
    (True, True)
    """
    variables = [entry for entry in entries if entry.name != OBJECT_GRAPH_KEY]
    chosen, left = variables[:MOST_TENSORS], variables[MOST_TENSORS:]
    outline, problem = _outline(chosen, None if left else graph)
    pieces = [_line(_said(_sum(variables))), _line(problem), _Drawing(outline.root).tree(outline.root)]
    if outline.rest:
        leaves = _listed([_leaf(entry.name, entry) for entry in outline.rest])
        pieces.append(details(f"no object leads to: {_said(_sum(outline.rest))}", leaves))
    if left:
        pieces.append(_line(f"not in this tree: {_said(_sum(left))}, from {left[0].name!r} on"))
    return "".join(pieces)


def _outline(entries: Sequence[Entry], graph: ObjectGraph | None) -> tuple[Outline, str]:
    """Return the tree; of a crafted file, whose paths would take far more memory than the file, why there is none."""
    try:
        return (outline_names(entries) if graph is None else outline_objects(graph, entries)), ""
    except FormatError as error:
        return Outline(Branch("", ""), tuple(entries)), str(error)


class _Drawing:
    """What of one tree is drawn, and what each of its branches holds."""

    def __init__(self, root: Branch) -> None:
        branches = _by_level(root)
        self._drawn = {id(branch) for branch in branches[: MOST_BRANCHES + 1]}  # the root itself has no row
        self._sums: dict[int, Hidden] = {}
        for branch in reversed(branches):  # what is below a branch comes before it
            own = _sum(_own(branch))
            self._sums[id(branch)] = _add([own, *(self._sums[id(child)] for child in branch.children)])

    def tree(self, branch: Branch, level: int = 0) -> str:
        """Return what hangs below a branch, as a list."""
        drawn = [child for child in branch.children if id(child) in self._drawn]
        rows = [self._row(child, level) for child in drawn]
        if branch.slots:
            rows.append(f"<li>{_slots(branch.slots)}</li>")
        hidden = [self._sums[id(child)] for child in branch.children if id(child) not in self._drawn]
        if hidden:
            rows.append(f"<li>and {len(hidden):,} more: {_said(_add(hidden))}</li>")
        return f"{LIST}{''.join(rows)}</ul>"

    def _row(self, branch: Branch, level: int) -> str:
        line = f"<code>{text(branch.name)}</code>{_facts(branch)}"
        if not branch.children and not branch.slots:
            return f"<li>{line}</li>"
        summary = f"{line} <small>{_said(self._sums[id(branch)])}</small>"
        return f"<li>{details(summary, self.tree(branch, level + 1), is_open=level < OPEN_LEVELS)}</li>"


def _by_level(root: Branch) -> list[Branch]:
    """Return the branches of a tree, those next to the root first."""
    found = [root]
    for branch in found:  # which grows meanwhile
        found.extend(branch.children)
    return found


def _own(branch: Branch) -> list[Entry]:
    """Return the tensors of a branch itself."""
    return [*([] if branch.entry is None else [branch.entry]), *(slot.entry for slot in branch.slots)]


def _sum(entries: Sequence[Entry]) -> Hidden:
    return Hidden(len(entries), sum(entry.nbytes for entry in entries))


def _add(sums: Iterable[Hidden]) -> Hidden:
    return Hidden(*map(sum, zip(*sums, strict=True)))


def _said(found: Hidden) -> str:
    return f"{count_of(found.variables, 'variable')}, {count_of(found.nbytes, 'byte')}"


def _facts(branch: Branch) -> str:
    """Return what stands behind a branch's name: dtype and shape of its tensor, its other paths, where it is drawn."""
    pieces = [] if branch.entry is None else [tensor_type(branch.entry.data_type, branch.entry.shape)]
    pieces += branch.remarks
    return "".join(f" {text(piece)}" for piece in pieces)


def _slots(slots: Sequence[Slot]) -> str:
    """Return the slot variables of an optimizer, which are many, folded."""
    names = ", ".join(dict.fromkeys(slot.name for slot in slots))
    leaves = [_leaf(f"{slot.name} of {slot.variable}", slot.entry) for slot in slots[:MOST_ROWS]]
    return details(
        f"slots {text(names)} <small>{_said(_sum([s.entry for s in slots]))}</small>", _listed(leaves, slots)
    )


def _leaf(name: str, entry: Entry) -> str:
    return f"<li><code>{text(name)}</code> {text(tensor_type(entry.data_type, entry.shape))}</li>"


def _listed(leaves: Sequence[str], of: Sequence[object] = ()) -> str:
    """Return leaves as a list, and how many more there are of what they stand for."""
    left = max(len(of), len(leaves)) - MOST_ROWS
    return f"{LIST}{''.join(leaves[:MOST_ROWS])}{f'<li>and {left:,} more</li>' * (left > 0)}</ul>"


def _line(said: str) -> str:
    return f"<p>{text(said)}</p>" if said else ""
