"""Two checkpoints with the same names, compared tensor by tensor: where they differ, by layer and kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from tfckpt.about.places import Place
from tfckpt.base.progress import Progress, finish
from tfckpt.bundle.carry import counting
from tfckpt.bundle.values.entry import Entry
from tfckpt.checkpoint.checkpoint import Checkpoint
from tfckpt.checkpoint.graph.object_graph import OBJECT_GRAPH_KEY
from tfckpt.checkpoint.graph.roles import MODEL
from tfckpt.edit.comparison.diff import DTYPE, ONLY_A, ONLY_B, SAME, SHAPE, Comparer, How, Pair, only
from tfckpt.errors import TfckptError

NOT_COMPARED, UNREADABLE = "not compared", "cannot be read"  # verdicts besides those of `tfckpt.diff`
JSON = dict[str, Any]


class Shared(NamedTuple):
    """How many of B's model tensors have names of A's."""

    shared: int
    of: int

    @property
    def are_most(self) -> bool:
        """Whether B has A's own names: half of its model's, at the least."""
        return 0 < self.of <= 2 * self.shared


class Compared(NamedTuple):
    """One tensor of A, of B or of both; where it belongs; what keeps it from being compared, if anything does."""

    pair: Pair
    place: Place
    problem: str | None = None

    @property
    def differs(self) -> bool:
        """Whether it is known that the two are not the same."""
        return self.pair.verdict not in (SAME, NOT_COMPARED, UNREADABLE)


def shared_names(a: Checkpoint, b: Checkpoint, places: Mapping[str, Place]) -> Shared:
    """Return how many names two checkpoints share.

    Args:
        a: a checkpoint.
        b: the other one.
        places: where each tensor of ``b`` belongs.
    """
    named = [name for name in b if name != OBJECT_GRAPH_KEY]
    names = [name for name in named if places[name].role == MODEL] or named
    return Shared(sum(a.reader.entry(name) is not None for name in names), len(names))


def compare_by_layer(
    a: Checkpoint,
    b: Checkpoint,
    places: Mapping[str, Place],
    *,
    values: bool = True,
    progress: Progress | None = None,
) -> JSON:
    """Return what differs between two checkpoints as what ``json.dumps`` takes.

    Args:
        a: a checkpoint.
        b: the other one.
        places: where each tensor of either belongs.
        values: whether values are compared; else names, dtypes and shapes are, and no tensor is read.
        progress: called with (bytes done, bytes in all).
    Returns:
        ``tensors`` has one object for each name, ``layers`` one for each layer and kind. ``same`` is None if no difference
        was found and values were not compared, or could not be.
    """
    found = list(_compare(a, b, places, values=values, progress=progress))
    differing = sum(item.differs for item in found)
    unknown = any(item.pair.verdict in (NOT_COMPARED, UNREADABLE) for item in found)
    return {
        "values_compared": values,
        "same": False if differing else None if unknown else True,
        "differing": differing,
        "layers": list(_sums(found)),
        "tensors": [
            {
                **item.pair.to_json(),
                "layer": list(item.place.layer),
                "kind": item.place.kind,
                "problem": item.problem,
            }
            for item in found
        ],
    }


def _compare(
    a: Checkpoint, b: Checkpoint, places: Mapping[str, Place], *, values: bool, progress: Progress | None
) -> Iterator[Compared]:
    """Yield every tensor of either, in A's order, then what B alone has."""
    total = sum(entry.nbytes for checkpoint in (a, b) for entry in checkpoint.entries())
    comparer = Comparer(a, b, How(count=counting(progress, total)))
    for ours in a.entries():
        theirs = b.reader.entry(ours.name)
        if theirs is None:
            yield Compared(only(ours, ONLY_A), places[ours.name])
        elif values:
            yield _read(comparer, (a, b), ours, theirs, places[ours.name])
        else:
            yield Compared(_by_form(ours, theirs, NOT_COMPARED), places[ours.name])
    for theirs in b.entries():
        if a.reader.entry(theirs.name) is None:
            yield Compared(only(theirs, ONLY_B), places[theirs.name])
    finish(progress, total)


def _read(comparer: Comparer, checkpoints: Iterable[Checkpoint], ours: Entry, theirs: Entry, place: Place) -> Compared:
    """Compare the values of one tensor; damage, a missing file and what has no values are problems, and no errors."""
    try:
        return Compared(comparer.pair(ours, theirs), place)
    except TfckptError as error:
        any(checkpoint.reader.explain(error) for checkpoint in checkpoints)
        return Compared(_by_form(ours, theirs, UNREADABLE), place, str(error))


def _by_form(ours: Entry, theirs: Entry, otherwise: str) -> Pair:
    """Return what the indexes tell of two tensors."""
    dtypes, shapes = (ours.dtype_name, theirs.dtype_name), (ours.shape, theirs.shape)
    verdict = SHAPE if shapes[0] != shapes[1] else DTYPE if dtypes[0] != dtypes[1] else otherwise
    return Pair(ours.name, theirs.name, verdict, dtypes, shapes)


def _sums(found: Iterable[Compared]) -> Iterator[JSON]:
    """Yield for each layer and kind how many tensors differ, and how far."""
    groups: dict[tuple[tuple[str, ...], str], list[Compared]] = {}
    for item in found:
        groups.setdefault((item.place.layer, item.place.kind), []).append(item)
    for (layer, kind), items in groups.items():
        distances = [d for item in items if (d := item.pair.to_json()["values"]) is not None]
        largest = [d["max_absolute"] for d in distances if d["max_absolute"] is not None]
        yield {
            "layer": list(layer),
            "kind": kind,
            "tensors": len(items),
            "differing": sum(item.differs for item in items),
            "unreadable": sum(item.problem is not None for item in items),
            "only_in_one": sum(item.pair.verdict in (ONLY_A, ONLY_B) for item in items),
            "one_sided": sum(d["one_sided"] for d in distances),
            "max_absolute": max(largest, default=None),
        }
