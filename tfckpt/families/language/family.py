"""What a family of models has in all its layouts: the anchor of its names, its sizes, its heads, its optimizers' order."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from tfckpt.families.language.relatives import Relative
from tfckpt.families.language.rules import NUMBER_MARK, PADDED_MARK, SCALE, SHIFT, Variable, pattern_of

SWAPPED = {SCALE: SHIFT, SHIFT: SCALE}


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
        paths: of what is in a part; what stands before a ``{n}`` is there for every number, one number after another.
        block: of what is in a block, which is what a path that ends in ``{n}`` leads to.
        shift_first: what is in the hub names of norms that make their shift before their scale, as MobileBERT's own do.
    """

    parts: Mapping[str, tuple[str, ...]]
    paths: tuple[str, ...]
    block: tuple[str, ...] = ()
    shift_first: str = ""

    def position(self, target: str, placed: str, variable: Variable) -> tuple[int, ...] | None:
        """Return what sorts a variable among a model's trainable ones; None if the model's order is not known.

        >>> order = Order({"encoder": ("",)}, ("words", "layers/{n}"), ("kernel", "bias"))
        >>> order.position("encoder", "", Variable("layer_7/bias", "layers/7/bias", ""))
        (0, 1, 7, 2)

        Args:
            target: the layout's name.
            placed: path of the variable's part below the model's node.
            variable: it, with its own path below the part.
        """
        parts, path = self.parts.get(target, ()), variable.path
        if self.shift_first and self.shift_first in variable.name:
            owner, _, vector = path.rpartition("/")
            path = f"{owner}/{SWAPPED.get(vector, vector)}"
        place = next(filter(None, (place.find(path) for place in _places(self.paths, self.block))), None)
        return None if placed not in parts or place is None else (parts.index(placed), *place)


class _Place(NamedTuple):
    """A path of an order: its pattern, its number among all, and that of the first path which begins as each list of it."""

    pattern: re.Pattern[str]
    number: int
    lists: tuple[int, ...]

    def find(self, path: str) -> tuple[int, ...] | None:
        """Return what sorts a path; None if it is another."""
        match = self.pattern.fullmatch(path)
        if match is None:
            return None
        return *(n for pair in zip(self.lists, map(int, match.groups()), strict=True) for n in pair), self.number


@lru_cache(maxsize=64)
def _places(paths: tuple[str, ...], block: tuple[str, ...]) -> tuple[_Place, ...]:
    whole = [
        (f"{path}/{inner}" if inner else path) for path in paths for inner in (block if _is_block(path) else ("",))
    ]
    begun: dict[str, int] = {}
    places = []
    for number, path in enumerate(whole):
        lists = [path[: mark.end()] for mark in PADDED_MARK.finditer(path)]
        places.append(_Place(pattern_of(path), number, tuple(begun.setdefault(text, number) for text in lists)))
    return tuple(places)


def _is_block(path: str) -> bool:
    return path.endswith(NUMBER_MARK)


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
