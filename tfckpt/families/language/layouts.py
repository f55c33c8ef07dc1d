"""The kinds of layouts: rows of objects, rows of names, substitutions in names; and the options that each of them takes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from tfckpt.families.language.calls import Call
from tfckpt.families.language.family import Drop, Family
from tfckpt.families.language.rules import Alias, Part

# The options of a conversion that each kind of layout takes, with those values that it takes; with all, where none is named.
OF_OBJECTS: Mapping[str, tuple[str, ...]] = {
    "config": (),
    "num_heads": (),
    "exclude": (),
    "fill": (),
    "slots": ("drop", "convert"),
    "optimizer": (),
    "learning_rate": (),
    "keep_names": (),
    "vocab_size": (),
    "max_positions": (),
    "resize_fill": (),
}
OF_THE_WAY_BACK: Mapping[str, tuple[str, ...]] = {
    "config": (),
    "num_heads": (),
    "exclude": (),
    "slots": ("drop", "convert", "keep"),
    "scope": (),
    "model": (),
    "vocab_size": (),
    "max_positions": (),
    "resize_fill": (),
}
OF_NAMES: Mapping[str, tuple[str, ...]] = {"num_heads": (), "exclude": (), "slots": ("drop", "keep")}


class Placed(NamedTuple):
    """A part at a path below the model's node; with ``only_with``, only where the source has that hub name.

    Several at one path are forms of one piece, of which a model has one.
    """

    part: Part
    path: str = ""
    only_with: str = ""


class Shared(NamedTuple):
    """An object of one part that is another part's as well, both by their paths below the model's node.

    Attributes:
        path: where the later part has it; its rows stay, and lead to the variables of the other.
        owner: where the earlier part has it.
        apart: the target of the same family in which each part has an object of its own.
    """

    path: str
    owner: str
    apart: str


class ObjectRows(NamedTuple):
    """An object-based target: parts below a model's node, and the ways that lead to it from the root.

    ``edges`` are second paths from the root, in the order in which a model of this kind is saved: a variable's key is spelled
    by the shortest of its paths, and the first of those. ``roots`` are paths that lead to the same model but spell no key;
    the empty one lets the root itself stand for the model. ``placeholders`` are nodes without a value, for objects that
    a reader creates by itself. A hub name in no row and in no drop rule stops the plan. ``calls`` build the model, the last
    one all of it. ``shared`` are containers that two parts have together: their variables are stored once.
    """

    name: str
    family: Family
    about: str
    model: str  # path of the model's node
    parts: tuple[Placed, ...]
    drops: tuple[Drop, ...]
    edges: tuple[Alias, ...] = ()
    roots: tuple[str, ...] = ()
    placeholders: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()
    shared: tuple[Shared, ...] = ()

    @property
    def options(self) -> Mapping[str, tuple[str, ...]]:
        """The options that it takes."""
        return OF_OBJECTS

    def owner_of(self, path: str) -> Shared | None:
        """Return which object of another part is at a path below the model's node, or above it; None if it is its own."""
        return next((item for item in self.shared if f"{path}/".startswith(f"{item.path}/")), None)

    @property
    def renames(self) -> bool:
        """Whether it takes names of every kind, and changes what it knows of them."""
        return False


class NameRows(NamedTuple):
    """A name-based layout: rows of hub names, the names that variables have here, and their forms.

    Without a ``part`` names and forms are the hub's own, whatever family they are of: TF1.
    """

    name: str
    about: str
    family: Family | None = None
    part: Part | None = None
    parts: tuple[
        Placed, ...
    ] = ()  # that a model must be whole for: none, since what the source holds is all there is to name
    drops: tuple[Drop, ...] = ()

    @property
    def options(self) -> Mapping[str, tuple[str, ...]]:
        """The options that it takes."""
        return OF_THE_WAY_BACK

    @property
    def renames(self) -> bool:
        """Whether it takes names of every kind, and changes what it knows of them."""
        return False


class Substitutions(NamedTuple):
    """A name-based target: ordered substitutions, each applied to every name; a name without a match passes through.

    ``reshapes`` are tried on the *source* name: the first whose substrings it contains gives the axes. Those with a letter
    of ``sizes`` count only if a head count was asked for.
    """

    name: str
    about: str
    substitutions: tuple[tuple[str, str], ...]
    reshapes: tuple[tuple[tuple[str, ...], str], ...] = ()
    sizes: Mapping[str, str] = MappingProxyType({})
    family: None = None  # every name passes, of whatever family
    of: Family | None = None  # the family whose names it is known to have come from, and can be undone for
    drops: tuple[Drop, ...] = ()

    @property
    def options(self) -> Mapping[str, tuple[str, ...]]:
        """The options that it takes."""
        return OF_NAMES

    @property
    def renames(self) -> bool:
        """Whether it takes names of every kind, and changes what it knows of them."""
        return True

    def rename(self, name: str) -> str:
        """Return the name in this layout."""
        for old, new in self.substitutions:
            name = name.replace(old, new)
        return name

    def axes(self, name: str, num_heads: int | None = 1) -> str | None:
        """Return the axes pattern for a hub name; one that splits heads counts only with a head count."""
        axes = next((axes for parts, axes in self.reshapes if all(part in name for part in parts)), None)
        return axes if axes is None or num_heads or self.sizes.keys().isdisjoint(axes) else None


Layout = ObjectRows | NameRows | Substitutions
