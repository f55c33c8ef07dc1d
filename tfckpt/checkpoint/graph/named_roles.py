"""Roles of tensors, told by names, dtypes and shapes alone.

Strategy: a slot is called as its variable is, with one or two parts behind it, and has its shape, or Adafactor's reduced one;
a scope may stand before all of it. Such a name is a slot if the parts behind it are known ones (`optimizers`), or if what is
called so stands below nearly every variable that training moves, biases and norms included. Otherwise it may as well be a
weight, as ``kernel/v`` and ``w/mask`` are: it is unknown, and stays.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from tfckpt._proto.types_pb2 import DT_BFLOAT16, DT_DOUBLE, DT_FLOAT, DT_HALF, DT_VARIANT
from tfckpt.bundle.values.entry import Entry
from tfckpt.checkpoint.graph.optimizers import (
    AVERAGE_NAMES,
    AVERAGE_WORDS,
    HYPERPARAMETERS,
    LEARNING_RATE,
    LETTERED,
    METRIC,
    METRIC_VARIABLES,
    MODEL,
    MOVING_AVERAGE,
    NUMBERED,
    OPTIMIZER,
    OPTIMIZER_NAMES,
    PIECE,
    POWER,
    RANDOM_NAMES,
    RANDOM_STATE,
    SLOT_NAMES,
    SLOT_TAIL,
    SLOT_WORDS,
    STATE_BESIDE,
    STATE_SCALARS,
    STATISTICS,
    TRAINING_STATE,
    TRAINING_STEP,
    UNKNOWN,
)

STEP = "global_step"
MEAN = re.compile("count(_[0-9]{1,9})?")  # beside a total: of a metric under no scope, as Keras has them
TRAINS = "training"  # Keras for TF1: training/Adam/...
FLOATS = (DT_FLOAT, DT_HALF, DT_BFLOAT16, DT_DOUBLE)
NEARLY_EVERY = 0.9
DEEPEST_SCOPE, LONGEST_SUFFIX = 3, 2  # parts before and behind a variable's name
SCALARS = frozenset({*HYPERPARAMETERS, "iter", "iteration", "iterations", "lr"})
COUNTER = re.compile(r"(?:.+_)?(?:steps?|iter|iterations?)")  # of an optimizer, where it stands beside beta1_power
FIRST_MOMENT = re.compile("(?:.*[^A-Za-z])?m")
VARIABLE = re.compile(r"Variable(_[0-9]{1,9})?")  # what TF1 calls what has no name
NAMES = "|".join(sorted(OPTIMIZER_NAMES, key=len, reverse=True))
KERAS = re.compile(rf"((?:.+/)?{TRAINS})/(?:{NAMES})(?:[A-Z][A-Za-z]*)?/")
LONGER = re.compile(rf"(?:{NAMES})[A-Z][A-Za-z]*")  # AdamWarmup
LOWER_NAMES = frozenset(name.lower() for name in OPTIMIZER_NAMES)
MOST_PARTS = 64
MOST_ABOVE = (
    4  # parts from a slot of a known kind up to its variable; TF1 spells some with a piece of the name repeated
)


def roles_of_names(entries: Iterable[Entry]) -> dict[str, str]:
    """Return the role of each tensor of a name-based checkpoint."""
    return _Names(entries).roles()


def guessed_in_names(entries: Iterable[Entry], roles: Mapping[str, str]) -> list[str]:
    """Return the suffixes of tensors that were taken for slots though no table knows them, each once."""
    found: dict[str, None] = {}
    names = _Names(entries)
    for name, entry in names.entries.items():
        if roles.get(entry.name) == OPTIMIZER and names.told_alone(name, entry) is None:
            place = names.place(name, entry)
            if place is not None and told_at(place) is None:
                found[place.suffix] = None
    return list(found)


def owners_of_names(entries: Iterable[Entry], roles: Mapping[str, str]) -> dict[str, Place]:
    """Return of what training keeps for variables, slots and moving averages, where each stands; by its name.

    Args:
        entries: all of a checkpoint's that have names.
        roles: what each is for.
    """
    names = _Names(entries)
    found: dict[str, Place] = {}
    for name, entry in names.entries.items():
        place = names.place(name, entry) if roles.get(entry.name) in (OPTIMIZER, MOVING_AVERAGE) else None
        if place is not None:
            found[entry.name] = place._replace(variable=names.entries[place.variable].name)
    return found


class Place(NamedTuple):
    """Where a name stands: a variable's, with a scope before it and parts behind it; of a piece of one, which piece."""

    scope: str
    variable: str
    suffix: str
    piece: str = ""


class _Names:
    """The tensors of one checkpoint by their names, without the ``:0`` that some have at the end."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        by_name = {entry.name: entry for entry in entries}
        self._has_outputs = any(name.endswith(":0") for name in by_name)
        self.entries = {_own_name(name, by_name): e for name, e in by_name.items()} if self._has_outputs else by_name
        self._firsts = {name.partition("/")[0] for name in self.entries}
        # Scopes in which an optimizer keeps what is called like anything else: Keras's for TF1, and those of beta1_power.
        trained = (KERAS.match(name) for name in self.entries if f"{TRAINS}/" in name)
        self._training = {match[1] for match in trained if match is not None}
        self._powers = {name.rpartition("/")[0] for name in self.entries if "_power" in name and POWER.search(name)}
        self._touching: dict[str, bool] = {}  # whether a name below a scope touches another one by that scope

    def roles(self) -> dict[str, str]:
        """Return the role of each."""
        roles: dict[str, str] = {}
        open_places: dict[str, Place] = {}
        for name, entry in self.entries.items():
            role = self.told_alone(name, entry)
            may_be_placed = role is None and name.count("/") <= MOST_PARTS and self._touches_another(name)
            place = self.place(name, entry) if may_be_placed else None
            if place is not None:
                role = told_at(place)
                if role is None:
                    open_places[name] = place
            elif role is None:
                role = told_by_last(name)
            roles[name] = MODEL if role is None else role
        weights = {name for name in roles if roles[name] == MODEL and name not in open_places} if open_places else ()
        slots = self._slots_by_number(open_places, weights)
        for name, place in open_places.items():
            if (place.scope, place.suffix) in slots:
                roles[name] = OPTIMIZER
            elif not place.scope:
                roles[name] = UNKNOWN
        roles.update(dict.fromkeys(self._in_twin_scopes(), OPTIMIZER))
        roles.update(dict.fromkeys(self._metrics(), METRIC))
        return {self.entries[name].name: role for name, role in roles.items()} if self._has_outputs else roles

    def told_alone(self, name: str, entry: Entry) -> str | None:
        """Return the role that a name has whatever else is there, if it tells."""
        above, _, last = name.rpartition("/")
        if entry.size <= 1:
            if last == STEP or last in STATE_SCALARS or _unnumbered(last) in STATE_SCALARS:
                return TRAINING_STEP if last == STEP else TRAINING_STATE
            if (
                POWER.fullmatch(last)
                or last == LEARNING_RATE
                or (last in SCALARS and _is_optimizer(above.rpartition("/")[2]))
                or (COUNTER.fullmatch(last) and above in self._powers)
            ):
                return OPTIMIZER
        if entry.data_type == DT_VARIANT and "iterator" in name.lower():
            return TRAINING_STATE
        if last in RANDOM_NAMES and entry.data_type not in FLOATS:
            return RANDOM_STATE
        if _is_slot_tail(last) or (above in self._training and VARIABLE.fullmatch(last)):
            return OPTIMIZER
        parts = above.split("/") if f"{TRAINS}/" in above else ()
        return OPTIMIZER if any(a == TRAINS and _is_optimizer(b) for a, b in pairwise(parts)) else None

    def place(self, name: str, entry: Entry) -> Place | None:
        """Return where a name stands: behind its variable's if it can, else with a scope before it, too."""
        found = None
        for place in self._places(name, entry):
            if told_at(place) is not None:
                return place
            if found is None and place.suffix:
                found = place
        return found

    def _places(self, name: str, entry: Entry) -> Iterator[Place]:
        """Yield each place that a name can have, those without a scope first."""
        cuts = [match.start() for match in re.finditer("/", name)]
        if not cuts or len(cuts) > MOST_PARTS:
            return
        last = name[cuts[-1] + 1 :]
        farthest = MOST_ABOVE if told_by_suffix(last) is not None else LONGEST_SUFFIX
        for cut in cuts[: -farthest - 1 : -1]:
            owner = self.entries.get(name[:cut])
            if owner is not None and fits(entry, owner):
                yield Place("", name[:cut], name[cut + 1 :])
            whole, _, piece = name[:cut].rpartition("/")
            if whole in self.entries and PIECE.fullmatch(piece):
                yield Place("", whole, name[cut + 1 :], piece)
        for begin in cuts[:DEEPEST_SCOPE]:
            for end in (len(name), *cuts[: -LONGEST_SUFFIX - 1 : -1]):
                owner = self.entries.get(name[begin + 1 : end]) if end > begin else None
                has_suffix = end < len(name)
                if owner is not None and (fits(entry, owner) if has_suffix else entry.shape == owner.shape):
                    yield Place(name[:begin], name[begin + 1 : end], name[end + 1 :])

    def _touches_another(self, name: str) -> bool:
        """Whether a name begins with another one, or may end with one: most do neither."""
        above, _, last = name.rpartition("/")
        if above not in self._touching:
            scope, part = above.rpartition("/")[::2]
            inner = scope and (part in self._firsts or self._touches_another(above))
            self._touching[above] = bool(inner) or above in self.entries
        return self._touching[above] or (above != "" and last in self._firsts)

    def _slots_by_number(self, places: Mapping[str, Place], weights: Collection[str]) -> set[tuple[str, str]]:
        """Return the scopes and suffixes that stand around nearly every variable that training moves."""
        trained = {name for name in weights if self._is_trained(name)}
        found: dict[tuple[str, str], set[str]] = {}
        for name, place in places.items():
            if place.variable in trained and self.entries[name].data_type in FLOATS:
                found.setdefault((place.scope, place.suffix), set()).add(place.variable)
        return {
            around
            for around, variables in found.items()
            if len(variables) >= NEARLY_EVERY * len(trained)
            and any(len(self.entries[name].shape) < 2 for name in variables)
            and any(len(self.entries[name].shape) > 1 for name in variables)
        }

    def _in_twin_scopes(self) -> Iterator[str]:
        """Yield the names below two scopes that are called m and v, and hold the same as the model: its moments."""
        for first in self._firsts:
            second = f"{first[:-1]}v"
            if not FIRST_MOMENT.fullmatch(first) or second not in self._firsts:
                continue
            below = [[n for n in self.entries if n.startswith(f"{scope}/")] for scope in (first, second)]
            others = [n.partition("/")[2] for n in below[0]]
            like = [
                n for n in others if n in self.entries and self.entries[n].shape == self.entries[f"{first}/{n}"].shape
            ]
            if len(like) >= NEARLY_EVERY * len(others) and {f"{second}/{n}" for n in others} == {*below[1]}:
                yield from (*below[0], *below[1])

    def _is_trained(self, name: str) -> bool:
        entry = self.entries[name]
        return entry.data_type in FLOATS and entry.size > 1 and name.rpartition("/")[2] not in STATISTICS

    def _metrics(self) -> Iterator[str]:
        """Yield the names below a scope that holds just what a metric does."""
        words = {word for words in METRIC_VARIABLES if len(words) > 1 for word in words}
        parts = [name.rpartition("/") for name in self.entries]
        scopes: dict[str, set[str]] = {scope: set() for scope, _, last in parts if scope and last in words}
        for name in [name for name in self.entries if MEAN.fullmatch(name)]:
            pair = name, name.replace("count", "total")
            yield from pair if all(n in self.entries and self.entries[n].size <= 1 for n in pair) else ()
        for scope, _, last in parts:
            if scope in scopes:
                scopes[scope].add(last)
        for scope, names in scopes.items():
            if len(names) > 1 and names in METRIC_VARIABLES:
                yield from (f"{scope}/{last}" for last in names)


def _own_name(name: str, names: Collection[str]) -> str:
    short = name.removesuffix(":0")
    return name if short in names else short


def fits(slot: Entry, variable: Entry) -> bool:
    """Whether a slot has its variable's shape, or one axis less, as Adafactor's rows and columns have.

    >>> fits(Entry("w/vr", 1, (2,), 0, 0, 8, 0), Entry("w", 1, (2, 3), 0, 0, 24, 0))
    True
    """
    a, b = slot.shape, variable.shape
    if len(a) + 1 != len(b):
        return a == b
    return len(b) > 1 and any(a == b[:axis] + b[axis + 1 :] for axis in range(len(b)))


def told_at(place: Place) -> str | None:
    """Return the role that the words around a variable's name tell, if they do."""
    scopes = place.scope.split("/")
    if not place.suffix:
        if not AVERAGE_WORDS.isdisjoint(scopes):
            return MOVING_AVERAGE
        if not STATE_BESIDE.isdisjoint(scopes):
            return TRAINING_STATE
        # One part cannot be both an optimizer's name and a slot's: momentum/ may hold a second network.
        return OPTIMIZER if any(map(_is_optimizer, scopes[:-1])) and _is_slot(scopes[-1]) else None
    if any(map(_is_optimizer, scopes)) and _is_slot(place.suffix.rpartition("/")[2]):
        return OPTIMIZER
    return told_by_suffix(place.suffix)


def told_by_suffix(suffix: str) -> str | None:
    """Return the role that the parts behind a variable's name tell, if they do.

    >>> told_by_suffix("Adam_1"), told_by_suffix("ExponentialMovingAverage"), told_by_suffix("mask")
    ('optimizer state', 'moving average', None)
    """
    first, _, rest = suffix.partition("/")
    last = suffix.rpartition("/")[2]
    word = _unnumbered(last)
    if last in STATE_BESIDE:
        return TRAINING_STATE
    if word in AVERAGE_WORDS:
        return MOVING_AVERAGE
    if _is_optimizer(last) or word in SLOT_NAMES or LETTERED.fullmatch(word):
        return OPTIMIZER
    return OPTIMIZER if rest and _is_optimizer(first) and _is_slot(last) else None


def told_by_last(name: str) -> str | None:
    """Return the role that a name tells though no variable is there that it fits: its last part is one that nothing else has.

    >>> told_by_last("kernel/adam_m"), told_by_last("kernel/momentum")
    ('optimizer state', None)
    """
    above, _, last = name.rpartition("/")
    return _told_by_part(last) if above else None


@lru_cache(maxsize=4096)
def _told_by_part(last: str) -> str | None:
    word = _unnumbered(last)
    if word in AVERAGE_NAMES:
        return MOVING_AVERAGE
    return OPTIMIZER if _is_optimizer(last, exactly=True) or LETTERED.fullmatch(word) else None


@lru_cache(maxsize=4096)
def _is_slot_tail(last: str) -> bool:
    return SLOT_TAIL.fullmatch(last) is not None


def _is_slot(part: str) -> bool:
    word = _unnumbered(part)
    return word in SLOT_NAMES or word in SLOT_WORDS


def _unnumbered(part: str) -> str:
    """Return a part of a name without the number that TF1 puts behind the second of one name."""
    numbered = NUMBERED.fullmatch(part) if part[-1:].isdecimal() else None
    return numbered[1] if numbered else part


@lru_cache(maxsize=4096)
def _is_optimizer(part: str, *, exactly: bool = False) -> bool:
    """Whether a part of a name is an optimizer's: its own, numbered, or with more behind it, as ``Adam_discriminator``."""
    word = _unnumbered(part)
    known = word in OPTIMIZER_NAMES or part.partition("_")[0] in OPTIMIZER_NAMES or word.endswith("Optimizer")
    if known or LONGER.fullmatch(word):
        return True
    return not exactly and word.lower() in LOWER_NAMES
