"""Dialects, each the same for ever from its seed and number: a checkpoint, what is asked of it, and how that must end."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from dataclasses import dataclass

import tfckpt
from advice.draft import EITHER, RIGHT, Draft, NotApplicableError, undone, worst
from advice.kinds import KINDS
from advice.sources import NAME, TARGETS, WITHOUT_CONFIGURATION, Array, copy_configurations

SOURCE, DEST = f"source/{NAME}", "out/model"


@dataclass(frozen=True)
class Dialect:
    """A checkpoint that somebody may have, and its conversion.

    Attributes:
        number: tells it from others of its seed.
        kinds: what is done to the real checkpoint.
        folder: that checkpoint, of tests/data.
        to: the target.
        options: more of the command line.
        tensors: what it holds.
        variables: which of the real checkpoint's variables each of the model's is; None for one of the dialect's own.
        back: substitutions that undo the names, in their order.
        end: how it must end.
    """

    number: int
    kinds: tuple[str, ...]
    folder: str
    to: str
    options: tuple[str, ...]
    tensors: Mapping[str, Array]
    variables: Mapping[str, str | None]
    back: tuple[tuple[str, str], ...]
    end: str

    @property
    def argv(self) -> list[str]:
        """The command with which it is to be converted."""
        return ["convert", SOURCE, DEST, "--to", self.to, *self.options]

    def write(self) -> None:
        """Write it below the current directory, with the configuration unless the command has what it needs of that."""
        os.mkdir(os.path.dirname(SOURCE))
        tfckpt.save(SOURCE, self.tensors, sync=False)
        if WITHOUT_CONFIGURATION[0] not in self.options:
            copy_configurations(self.folder, os.path.dirname(SOURCE))


def make_dialect(seed: int, number: int) -> Dialect:
    """Return dialect ``number`` of a seed: every kind comes in turn, alone or with others."""
    rng = random.Random(f"{seed}/{number}")
    first = list(KINDS)[number % len(KINDS)]
    more = 0 if first == next(iter(KINDS)) else rng.choice((0, 0, 0, 0, 1, 1, 1, 2))
    made = None
    while made is None:
        made = _try_to_make(rng, number, first, more)
    return made


def _try_to_make(rng: random.Random, number: int, first: str, more: int) -> Dialect | None:
    """Return a dialect, or None if what was drawn does not go together."""
    folder = rng.choice(list(TARGETS))
    draft = Draft(rng, folder, rng.choice(TARGETS[folder]))
    if rng.random() < 0.6:
        draft.without_state()
    kinds = _together(rng, first, more)
    try:
        end = worst([KINDS[kind].make(draft) for kind in kinds])
    except NotApplicableError:
        return None
    if end == RIGHT:
        for name, hub in draft.variables.items():
            assert hub is None or undone([name], draft.back) == [hub], (number, name, hub)
        if len(draft.ways) > 1:
            end = EITHER
    return Dialect(
        number,
        kinds,
        folder,
        draft.to,
        tuple(draft.options),
        draft.tensors,
        draft.variables,
        tuple(draft.back),
        end,
    )


def _together(rng: random.Random, first: str, more: int) -> tuple[str, ...]:
    """Return a kind and some that can be with it, in the order of the table."""
    chosen, taken = {first}, set(KINDS[first].groups)
    others = list(KINDS)[1:]
    rng.shuffle(others)
    for kind in others:
        if len(chosen) > more:
            break
        if taken.isdisjoint(KINDS[kind].groups):
            chosen.add(kind)
            taken.update(KINDS[kind].groups)
    return tuple(kind for kind in KINDS if kind in chosen)
