"""Which variables a user leaves out, and what takes each of them: a part of its name, its whole name, or a glob."""

from __future__ import annotations

import fnmatch
import glob
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from tfckpt.base.arguments import texts
from tfckpt.base.issues import Issue, Remedy, give
from tfckpt.bundle.values.entry import Entry

EXACT = "="  # begins a text that is a whole name
WILD = frozenset("*?[")
NO_NAMES: Mapping[str, str] = MappingProxyType({})


class Taken(NamedTuple):
    """What takes a variable: the rule, and the user's text if it was one."""

    rule: str
    text: str | None = None

    @property
    def is_exact(self) -> bool:
        """Whether the user gave the whole name, and so knows of which variable it is."""
        return self.text is not None and self.text.startswith(EXACT)


class Exclusion(NamedTuple):
    """What is left out of a source.

    Attributes:
        texts: each takes the names that it is a part of; ``=NAME`` takes that name alone, and a text with ``*``, ``?`` or
            ``[`` the names that this glob matches.
        left_out: names that go as well, each with its rule.
        unasked: names that go, each with its rule, if the target has no use for them.
    """

    texts: tuple[str, ...] = ()
    left_out: Mapping[str, str] = NO_NAMES
    unasked: Mapping[str, str] = NO_NAMES

    @classmethod
    def of(cls, given: Sequence[str]) -> Exclusion:
        """Return what these texts leave out.

        >>> Exclusion.of(["adam", "=bert/mask", "*/beta"]).taking("bert/mask")
        Taken(rule="excluded by '=bert/mask'", text='=bert/mask')

        Raises: UsageError if they are no list of texts.
        """
        return cls(texts("exclude", given))

    def taking(self, name: str) -> Taken | None:
        """Return what takes the variable of that name, its whole name before all else; None if it stays."""
        if not self.texts:
            return Taken(self.left_out[name]) if name in self.left_out else None
        exact = whole_name(name)
        text = exact if exact in self.texts else next((text for text in self.texts if _takes(text, name)), None)
        if text is not None:
            return Taken(f"excluded by {text!r}", text)
        return Taken(self.left_out[name]) if name in self.left_out else None

    def is_named(self, name: str) -> bool:
        """Whether the user gave this whole name, of a variable that may not be there."""
        return whole_name(name) in self.texts

    def narrowed(self, wide: Collection[str], names: Sequence[str]) -> list[str]:
        """Return the texts, but for those that are too wide: of what these take, each of the names by its whole name."""
        texts: list[str] = []
        for text in self.texts:
            own = [name for name in names if (taken := self.taking(name)) and taken.text == text]
            texts += [whole_name(name) for name in own] if text in wide else [text]
        return texts

    def unused(self, names: Collection[str]) -> list[Issue]:
        """Return what to say of texts that take none of these names."""
        return [Issue("excludes-nothing", repr(t)) for t in self.texts if not any(_takes(t, name) for name in names)]


NOTHING = Exclusion()


def _takes(text: str, name: str) -> bool:
    if text.startswith(EXACT):
        return text[len(EXACT) :] == name
    return fnmatch.fnmatchcase(name, text) if WILD.intersection(text) else text in name


def whole_name(name: str) -> str:
    """Return the text that takes the variable of this name alone.

    >>> whole_name("bert/mask")
    '=bert/mask'
    """
    return EXACT + name


def part_of_names(text: str) -> str:
    """Return the text that takes the names which this one is a part of, whatever characters it has.

    >>> part_of_names("adam"), part_of_names("=a[0]")
    ('adam', '*=a[[]0]*')
    """
    is_plain = not text.startswith(EXACT) and WILD.isdisjoint(text)
    return text if is_plain else f"*{glob.escape(text)}*"


def leaving_out(entry: Entry) -> Remedy:
    """Return the remedy that leaves out this variable and no other."""
    return give(exclude=whole_name(entry.name))
