"""A dialect while it is made: what a checkpoint's variables are called now, and which of its original ones each is.

A kind of dialect changes a draft and returns how the dialect must end. `Draft.rename` keeps the substitution that undoes it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Collection, Iterable, Sequence

import numpy as np

from advice.sources import (
    DROPPED,
    ELECTRA,
    FILL,
    MADE_UP,
    STATE,
    WITHOUT_CONFIGURATION,
    Array,
    Undamaged,
    asked,
    matches,
    tensors_of,
    variables_of,
)

RIGHT, REFUSED, LOST, DEAD_END = "right", "refused in words", "lost", "dead end"
EITHER = "right or refused"  # where it is for the product to say how much it knows
WORST_LAST = (RIGHT, EITHER, REFUSED)
SYLLABLES = ("bo", "dra", "fen", "gri", "jup", "lok", "mip", "nur", "pel", "skad", "tov", "vim", "wux", "zan")
# What a target does not miss where no variable of it is called so: then what is left over has nothing to pair with.
UNMISSED = (
    ("", "pretrainer", "cls/seq_relationship/output_weights$"),
    ("", "pretrainer", "cls/predictions/extra_output_weights$"),
    ("electra_", "", "electra/embeddings_project/"),
    ("electra_", "", "generator/embeddings_project/"),
    ("albert_", "", "bert/encoder/embedding_hidden_mapping_in/"),
    ("mobilebert_", "", "bert/embeddings/(Fake)?LayerNorm/gamma$"),  # this tells a student from a teacher
    ("mobilebert_", "", "bert/pooler/"),
    ("mobilebert_", "", r"bert/encoder/layer_\d+/bottleneck/attention/"),
)


class NotApplicableError(Exception):
    """A kind of dialect that this checkpoint cannot be, or not together with what it is already."""


class Draft:
    """What a dialect is so far.

    Attributes:
        rng: decides all that is open.
        folder: the checkpoint of tests/data.
        to: the target.
        options: more of the command line.
        tensors: every tensor by its name now.
        variables: of the model's, by the name now, the name in the checkpoint; None for one of the dialect's own.
        back: substitutions that undo the names, in their order.
        ways: what mends it, of ``"names"`` and ``"fill"``; no command does both.
    """

    def __init__(self, rng: random.Random, folder: str, to: str) -> None:
        self.rng, self.folder, self.to = rng, folder, to
        self.options: list[str] = []
        self.tensors: dict[str, Array] = dict(tensors_of(folder))
        self.variables: dict[str, str | None] = {name: name for name in variables_of(folder)}
        self.back: list[tuple[str, str]] = []
        self.ways: set[str] = set()
        if folder.startswith(ELECTRA):
            self.options += FILL if rng.random() < 0.8 else ()
            self.ways = set() if self.options else {"fill"}
        elif rng.random() < 0.15:
            self.options += WITHOUT_CONFIGURATION

    # --- what there is

    @property
    def norm(self) -> str:
        """What norms are called in the body."""
        return "FakeLayerNorm" if "student" in self.folder else "LayerNorm"

    @property
    def root(self) -> str:
        """What the names of the body begin with."""
        return "electra" if "electra" in self.folder else "bert"

    @property
    def network(self) -> str:
        """What the names of the body begin with that the target takes."""
        return self.to if self.to == "generator" else self.root

    @property
    def asked(self) -> Undamaged:
        """What the target takes where nothing is wrong."""
        return asked(self.folder, self.to)

    def names(self, pattern: str = "") -> list[str]:
        """Return the names of the model's variables in which a pattern is found, sorted."""
        return sorted(name for name in self.variables if re.search(pattern, name))

    def choose(self, names: Iterable[str]) -> str:
        """Return one of some names."""
        found = sorted(set(names))
        if not found:
            raise NotApplicableError
        return self.rng.choice(found)

    def word(self, *known: str) -> str:
        """Return a word that is in no name: one of those that people use, or one that nobody does."""
        return self._new(known, lambda word: not any(word in name for name in self.tensors))

    def part(self, *known: str) -> str:
        """Return a word that no part of a name is, nor begins with before a number."""
        parts = {re.sub(r"_\d+$", "", part) for name in self.tensors for part in name.split("/")}
        return self._new(known, lambda word: word not in parts)

    def _new(self, known: tuple[str, ...], is_new: Callable[[str], bool]) -> str:
        words = [word for word in known if is_new(word)] if self.rng.random() < 0.6 else []
        while not words:
            words = [word for word in ("".join(self.rng.sample(SYLLABLES, 2)),) if is_new(word)]
        return self.rng.choice(words)

    def values(self, *shape: int) -> Array:
        """Return values that nothing else has."""
        return np.random.default_rng(self.rng.randrange(1 << 32)).normal(size=shape).astype(np.float32)

    # --- what is done to it

    def rename(self, change: Callable[[str], str], *back: tuple[str, str]) -> str:
        """Give names anew; ``back`` are the substitutions that undo it. Return how the dialect must end."""
        new = {name: change(name) for name in self.tensors}
        if len(set(new.values())) < len(new):
            raise NotApplicableError
        changed = {name for name in self.variables if new[name] != name}
        if not changed:
            raise NotApplicableError
        self.ways.add("names")
        self.tensors = {new[name]: value for name, value in self.tensors.items()}
        self.variables = {new[name]: hub for name, hub in self.variables.items()}
        self.back = [*back, *self.back]
        return self._end_of_renamed({new[name] for name in changed})

    def _end_of_renamed(self, names: Iterable[str]) -> str:
        """Return how a dialect ends that an exact substitution mends: right, if the target misses what has other names."""
        taken = self.asked.keys
        hubs = [(name, hub) for name in names if (hub := self.variables[name]) is not None]
        if any(hub not in taken and not matches(name, DROPPED) for name, hub in hubs):
            return EITHER
        if self.to == "auto" and any(hub in taken and matches(hub, MADE_UP) for _, hub in hubs):
            return EITHER  # by its heads a target is chosen
        return EITHER if self._is_unmissed([hub for _, hub in hubs if hub in taken]) else RIGHT

    def _is_unmissed(self, hubs: Iterable[str]) -> bool:
        """Whether the target misses nothing, since no variable is called as one of these any more."""
        for folder, to, pattern in UNMISSED:
            if self.folder.startswith(folder) and to in ("", self.asked.to):
                left = any(re.match(pattern, name) for name in self.variables)
                if not left and any(re.match(pattern, hub) for hub in hubs):
                    return True
        return False

    def substitute(self, pattern: str, replacement: str, *back: tuple[str, str]) -> str:
        """Give names anew by a regular expression."""
        return self.rename(lambda name: re.sub(pattern, replacement, name), *back)

    def remove(self, names: Collection[str], *, slots: bool = True) -> str:
        """Take variables of the model away, and their slots; return how the dialect must end."""
        if not names:
            raise NotApplicableError
        hubs = [hub for hub in (self.variables.pop(name) for name in names) if hub is not None]
        gone = {*names}
        if slots:
            beginnings = tuple(f"{name}/" for name in names)
            gone.update(name for name in self.tensors if name.startswith(beginnings) and name not in self.variables)
        self.tensors = {name: value for name, value in self.tensors.items() if name not in gone}
        needed = [hub for hub in hubs if hub in self.asked.keys]
        if not needed:
            return RIGHT
        if FILL[0] in self.options:
            return EITHER
        if not all(matches(hub, MADE_UP) for hub in needed):
            return REFUSED
        self.ways.add("fill")
        if not all("/pooler/" in hub or hub.endswith("bias") for hub in needed) or self._is_unmissed(needed):
            return EITHER  # whether a head is worth anything without its weights is not for us to say
        return RIGHT

    def own(self, name: str, value: Array) -> None:
        """Add a variable of the dialect's own: it is the model's, and no target knows it."""
        self.add(name, value)
        self.variables[name] = None

    def add(self, name: str, value: Array) -> None:
        """Add what training keeps beside the model."""
        if name in self.tensors:
            raise NotApplicableError
        self.tensors[name] = value

    def without_state(self) -> None:
        """Take away what training kept beside the model."""
        self.tensors = {name: value for name, value in self.tensors.items() if not STATE.fullmatch(name)}


def worst(ends: Sequence[str]) -> str:
    """Return how a dialect must end that is of several kinds at once.

    >>> worst(["right", "refused in words"])
    'refused in words'
    """
    return max(ends, key=WORST_LAST.index)


def undone(names: Iterable[str], back: Sequence[tuple[str, str]]) -> list[str]:
    """Return names after the substitutions that undo them.

    >>> undone(["a/norm/beta"], [("norm", "LayerNorm")])
    ['a/LayerNorm/beta']
    """
    found = list(names)
    for pattern, replacement in back:
        found = [re.sub(pattern, replacement, name) for name in found]
    return found
