"""What may be typed next, in its parts: what is tried before it is advised is what is printed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tfckpt.base.shell import line

OURS = "tfckpt"


class Restated(NamedTuple):
    """A configuration that is piped into a command: its path, what it states, and what it states then."""

    path: str
    stated: str
    own: str


class Command(NamedTuple):
    """One command of ours, and what a shell does with it; or a line of a shell with none of ours in it.

    Attributes:
        words: what is typed behind our name.
        config: what is piped into it.
        foreign: the line, if it is none of ours.
    """

    words: Sequence[str] = ()
    config: Restated | None = None
    foreign: str = ""

    @property
    def text(self) -> str:
        """The line to type.

        >>> Command(["ls", "a b"]).text
        "tfckpt ls 'a b'"
        """
        if self.foreign:
            return self.foreign
        piped = f"{_sed(self.config)} | " if self.config else ""
        return piped + line([OURS, *self.words])


def _sed(config: Restated) -> str:
    return line(["sed", f"s/{config.stated}/{config.own}/", config.path])
