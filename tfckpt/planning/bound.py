"""What a source holds, by hub names: the one vocabulary in which all layouts meet."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from tfckpt.bundle.values.entry import Entry
from tfckpt.families.language.match import Match
from tfckpt.planning.steps import Input

NO_INPUTS: Mapping[str, Input] = {}
NO_NAMES: Mapping[str, str] = {}
NO_COPIES: Mapping[str, Sequence[Input]] = {}
NO_SETTINGS: Mapping[str, Entry] = {}


class Bound(NamedTuple):
    """What a source holds, by hub names.

    Attributes:
        scope: what stands before them in the source.
        hub: what stays, each in the hub's form.
        taken: what an exclusion takes.
        inputs: what becomes of those that are stored in another form, or as a piece of another tensor.
        lost: of variables that the source names and does not hold, the names there.
        match: the model that was found, if rows told it.
        rest: the tensors that are of no hub name, if rows told which are.
        unfit: the hub names of tensors whose shapes are none that a row allows.
        copies: of hub names that the source holds several times, what becomes of the others, if all of them go along.
        settings: an optimizer's hyperparameters, by what they are, if it goes along to another one.
    """

    scope: str
    hub: Mapping[str, Entry]
    taken: Mapping[str, Entry]
    inputs: Mapping[str, Input] = NO_INPUTS
    lost: Mapping[str, str] = NO_NAMES
    match: Match | None = None
    rest: Sequence[Entry] = ()
    unfit: Collection[str] = ()
    copies: Mapping[str, Sequence[Input]] = NO_COPIES
    settings: Mapping[str, Entry] = NO_SETTINGS

    def input_of(self, name: str) -> Input:
        """Return what a step reads for a hub name."""
        found = self.inputs.get(name)
        if found is None:
            entry = self.hub[name]
            return Input(entry.name, entry.data_type, entry.shape)
        return found
