"""What a family of models has in all its layouts: the anchor of its names, its sizes, its heads, its optimizers' order."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from tfckpt.families.language.relatives import Relative
from tfckpt.families.language.rules import NUMBER, NUMBER_MARK


@lru_cache(maxsize=1024)
def _globs(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(fnmatch.translate, patterns)))


class Drop(NamedTuple):
    """Source variables that a target has no place for; ``patterns`` are shell globs."""

    rule: str
    patterns: tuple[str, ...]

    def matches(self, name: str) -> bool:
        """Whether this rule drops the variable."""
        return _globs(self.patterns).match(name) is not None


POOLER = Drop("pooler", ("*/pooler/*",))  # what a head reads, and goes with heads; every family calls it so


class Borrow(NamedTuple):
    """Variables of one network that are stored as another's: without any under ``own``, those under ``lender`` are meant.

    Of a family's borrows only the first that applies does, and only where a name begins with ``only_with``. On the way back
    the names under ``own`` are given up if the lender's variables are there and the same, or if they are not there at all and
    ``sign`` begins the name of one that is.
    """

    own: str
    lender: str
    sign: str = ""
    only_with: str = ""


class SecondNetwork(NamedTuple):
    """A second network in the same checkpoint, whose sizes are called as the first's, after ``prefix``.

    ``config_file`` states them, if it lies beside the source. Its head count is not in the shapes; without that file it is
    ``hidden // head_size``, at least 1, by the rule of the code that wrote the source. ``hidden`` names a vector of the
    hidden size; where it is borrowed, both networks are one, and so are their head counts.
    """

    prefix: str
    config_file: str
    hidden: str
    head_size: int


class Order(NamedTuple):
    """The order of ``trainable_variables`` in the models of a family.

    Attributes:
        parts: by target, the paths at which its parts are placed.
        paths: of what is in a part, ``{n}`` being a block's number.
        block: of what is in a block.
    """

    parts: Mapping[str, tuple[str, ...]]
    paths: tuple[str, ...]
    block: tuple[str, ...]

    def position(self, target: str, placed: str, path: str) -> tuple[int, ...] | None:
        """Return what sorts a variable among a model's trainable ones; None if the model's order is not known.

        Args:
            target: the layout's name.
            placed: path of the variable's part below the model's node.
            path: its own path below the part.
        """
        parts = self.parts.get(target, ())
        block = re.fullmatch(rf"(.+/){NUMBER}/(.+)", path)
        place, inner = (f"{block[1]}{NUMBER_MARK}", block[3]) if block else (path, self.block[0])
        if placed not in parts or place not in self.paths or inner not in self.block:
            return None
        return parts.index(placed), self.paths.index(place), int(block[2]) if block else 0, self.block.index(inner)


class Family(NamedTuple):
    """Models whose TF1 variables go by the same names.

    ``anchor`` is a hub name that every checkpoint of the family has; what stands before it there is a scope. ``sizes`` tells
    which field of the configuration an axis letter means; a letter without a field is free in every tensor. ``heads`` gives
    the names that a model's heads go by, each with the patterns of its variables. ``only`` holds values of fields other
    than which no target of the family can have, and ``refuses`` the variables that would come with them: each rule is one
    complaint.
    ``borrows`` and ``second`` are for families of two networks, the others for those whose models in TF2 have more variables
    than TF1's: ``unknown`` are the hub names made up for these, filled there and dropped on the way back, and ``defaults``
    sizes of theirs, as (field, value, who says so). ``activations`` tells the code of each name that ``hidden_act`` may have,
    and ``activation`` is the one that is meant where nothing states it; empty if the family's models differ.
    ``config_files`` are the names that a configuration goes by beside a checkpoint, and ``config`` the field that each key
    of it means, where these are not the usual ones. ``head_size`` is that of all heads of the released models, if they agree.
    ``look_alikes`` are targets that take the same variables for models that compute different things: neither names nor
    shapes tell which. ``order`` is what optimizers that list their slots go by.
    """

    name: str
    anchor: str
    sizes: Mapping[str, str]
    heads: tuple[Drop, ...] = ()
    only: Mapping[str, int] = MappingProxyType({})
    refuses: tuple[Drop, ...] = ()
    borrows: tuple[Borrow, ...] = ()
    second: SecondNetwork | None = None
    defaults: tuple[tuple[str, int, str], ...] = ()
    unknown: Drop | None = None
    activations: Mapping[str, str] = MappingProxyType({})
    activation: str = ""
    config_files: tuple[str, ...] = ()
    config: Mapping[str, str] | None = None
    head_size: int | None = None
    look_alikes: tuple[tuple[str, ...], ...] = ()
    order: Order | None = None
    relatives: tuple[Relative, ...] = ()

    def __hash__(self) -> int:
        return hash(self.name)  # mappings have no hash

    def heads_among(self, names: Collection[str]) -> list[str]:
        """Return what the heads are called of which there is a variable among these hub names."""
        return [head.rule for head in self.heads if any(head.matches(name) for name in names)]

    def is_in_heads(self, name: str) -> bool:
        """Whether a hub name stands in the scope of a head that has one."""
        scopes = {pattern.partition("/")[0] for head in self.heads for pattern in head.patterns if "/" in pattern}
        return name.partition("/")[0] in scopes and "/" in name

    def borrowed(self, names: Collection[str]) -> dict[str, str]:
        """Return the hub names that a source of these names has by borrowing, and the names that they stand for.

        >>> Family("F", "a/x", {}, borrows=(Borrow("b/", "a/"),)).borrowed(["a/x", "a/y"])
        {'b/x': 'a/x', 'b/y': 'a/y'}
        """
        for borrow in self.borrows:
            wanted = any(name.startswith(borrow.only_with) for name in names)
            if wanted and not any(name.startswith(borrow.own) for name in names):
                lent = [name for name in names if name.startswith(borrow.lender)]
                return {borrow.own + name.removeprefix(borrow.lender): name for name in lent}
        return {}
