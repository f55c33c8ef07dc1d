"""What training keeps beside a model, summed up: which slots an optimizer has, how many averages there are, their bytes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from tfckpt.about.modules import SLOTS, Path
from tfckpt.about.places import Place
from tfckpt.base.html import in_notebooks
from tfckpt.bundle.values.entry import Entry
from tfckpt.checkpoint.graph.roles import MODEL


@in_notebooks
class State(NamedTuple):
    """Tensors of one role that training keeps beside a model.

    Attributes:
        slots: what they are called beside their variables' names, such as ``"adam_m"``, each once and in order.
        tensors: how many there are, scalars such as the optimizer's step included.
        variables: how many variables of the model have one, as far as names and the object graph tell.
        nbytes: their bytes.
    """

    slots: tuple[str, ...]
    tensors: int
    variables: int
    nbytes: int

    def to_json(self) -> dict[str, Any]:
        """Return it as what ``json.dumps`` takes."""
        return self._asdict() | {"slots": list(self.slots)}


def sum_up(entries: Iterable[Entry], places: Mapping[str, Place], role: str) -> State | None:
    """Return what training keeps of one role; None if it keeps none.

    >>> from tfckpt.about.places import find_places
    >>> with tfckpt.open("bert_model.ckpt") as checkpoint:
    ...     sum_up(checkpoint.entries(), find_places(checkpoint), "optimizer state")
    State(slots=('adam_m', 'adam_v'), tensors=92, variables=46, nbytes=14456)
    """
    found = [entry for entry in entries if places[entry.name].role == role]
    if not found:
        return None
    models = {place.path for place in places.values() if place.role == MODEL}
    lasts = {path[-1] for path in models}
    owned = [pair for e in found if e.shape and (pair := _owned(places[e.name].path, models, lasts))]
    variables = {variable for _, variable in owned}
    return State(
        tuple(sorted({slot for slot, _ in owned})), len(found), len(variables), sum(entry.nbytes for entry in found)
    )


def _owned(path: Path, models: Collection[Path], lasts: Collection[str]) -> tuple[str, Path] | None:
    """Return the name of a slot, and the variable that it is of: parts before or behind its name, a place in a list.

    >>> _owned(("kernel", "Adam_1"), {("kernel",)}, {"kernel"}), _owned(("optimizer", "_variables", "3"), (), ())
    (('Adam_1', ('kernel',)), ('_variables', ('3',)))
    """
    for number, part in enumerate(path[:-1]):
        if part.startswith(SLOTS):
            return part.removeprefix(SLOTS), path[number + 1 :]
    if path[-1].isdecimal() and len(path) > 1:
        return path[-2], path[-1:]
    if path[-1] not in lasts:
        return path[-1], path[:-1]
    scopes = (n for n in range(1, len(path)) if path[n:] in models)
    return next(((path[n - 1], path[n:]) for n in scopes), None)
