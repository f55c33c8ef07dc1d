"""Which slots are the first and the second moments of Adam and its kin, whatever an optimizer calls them.

Their names must tell which is which: ``m`` and ``v``, or ``X`` and ``X_1``, since TensorFlow 1 numbers the slots of one name
in the order in which an optimizer makes them, and all of these make the first moment first. Their shapes are the same.
Source: tensorflow/python/training/slot_creator.py; optimizer.py ``_zeros_slot``; adam.py ``_create_slots``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import permutations
from typing import NamedTuple

from tfckpt.bundle.values.entry import Entry
from tfckpt.checkpoint.graph.named_roles import Place

SECONDS = {"m": "v", "momentum": "velocity"}  # what second moments are called, by the word for first ones
# What Adam and its kin are called; of others the numbered slots are something else: of RMSProp, Ftrl, AdaMax, Adafactor.
ADAMS = re.compile("(?i:adam(?!ax)|lamb)")
OTHERS = re.compile("(?i:adamax|adafactor)")  # which call other things m and v
WORDS = re.compile("[^A-Za-z]+")
NUMBERED = re.compile(r"(.+?)(?:_([1-9][0-9]{0,5}))?")

Around = tuple[str, str]  # what stands before and behind a variable's name


class Moments(NamedTuple):
    """The slots of a variable that are its moments.

    Attributes:
        first: name of the first moment's.
        second: name of the second moment's.
        is_numbered: whether a number alone tells which is which.
    """

    first: str
    second: str
    is_numbered: bool


def find_moments(owners: Mapping[str, Place], entries: Mapping[str, Entry]) -> dict[tuple[str, str], list[Moments]]:
    """Return for each variable that has slots, and each piece of one, the pairs of them that may be its moments.

    Args:
        owners: where each slot stands, by its name.
        entries: by name.
    Returns:
        By the name of the variable, and of the piece: one pair, if it is clear which it is.
    """
    slots: dict[tuple[str, str], dict[Around, str]] = {}
    for name, place in owners.items():
        if place.suffix and (place.piece or entries[name].shape == entries[place.variable].shape):
            slots.setdefault((place.variable, place.piece), {})[place.scope, place.suffix] = name
    return {of: _pairs(around) for of, around in slots.items()}


def _pairs(slots: Mapping[Around, str]) -> list[Moments]:
    named = [around for around in slots if not OTHERS.search(" ".join(around))]
    lettered = [Moments(slots[a], slots[b], False) for a, b in permutations(named, 2) if _is_second(a, b)]
    numbers: dict[Around, dict[int, str]] = {}
    for (scope, suffix), name in slots.items():
        match = NUMBERED.fullmatch(suffix)
        if match is not None and ADAMS.search(suffix):
            numbers.setdefault((scope, match[1]), {})[int(match[2] or 0)] = name
    numbered = [Moments(names[0], names[1], True) for names in numbers.values() if names.keys() == {0, 1}]
    return lettered + numbered


def _is_second(first: Around, second: Around) -> bool:
    """Whether two slots are called alike, but for the word that tells a second moment from a first one.

    >>> _is_second(("", "adam_m"), ("", "adam_v")), _is_second(("", "m"), ("", "m_1"))
    (True, False)
    """
    a, b = (WORDS.split(" ".join(around)) for around in (first, second))
    differing = [(x.lower(), y.lower()) for x, y in zip(a, b, strict=False) if x != y]
    return len(a) == len(b) and len(differing) == 1 and SECONDS.get(differing[0][0]) == differing[0][1]
