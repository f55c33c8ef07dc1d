"""What a layout can say: rows, repeated rows, parts on paths, names that are dropped, names that are rewritten.

The vocabulary of TF1 variable names is the hub. An object layout hangs parts on paths; a part is a table of rows
``(hub name, path, axes)``: the variable of that name sits at that path below the part's node, in that form. A name layout
is an ordered list of substitutions. All are data; what they do to a checkpoint is decided in `planning/`.
"""

from __future__ import annotations

import fnmatch
import re
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from tfckpt.families.language.calls import Call

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

Row = tuple[str, str, str]  # hub name, path below the part's node in escaped key form, axes pattern
Alias = tuple[str, str]  # a second path, and the path of the node or variable that it leads to as well
# (hub-name prefix, path prefix), both with {n}: the numbers that occur in paths, one more than in names if True follows.
Numbers = Callable[..., Iterable[int]]

SCALE = "gamma"  # what Keras's norms call the vector that they multiply by
CHOICES: Mapping[str, tuple[str, ...]] = {
    "{p}": (SCALE, "beta"),
    "{qkv}": ("query", "key", "value"),
    "{kb}": ("kernel", "bias"),
}
NUMBER_MARK = "{n}"
NUMBER = r"(0|[1-9][0-9]{0,5})"  # plain decimals, as both sides spell them
DECIMAL = re.compile(NUMBER)
AFTER_SLASH = "0"  # sorts right behind a slash
NUMBERED = "layer_with_weights-"  # what Keras calls a model's containers, counting those that hold variables
NAMELESS = "<"  # begins a container that has a number only, and no edge by an attribute's name


class NotZeros(NamedTuple):
    """Variables that cannot be trained while all of them are zeros, by hub name, and why."""

    why: str
    names: tuple[str, ...]

    def under(self, prefix: str) -> NotZeros:
        """Return it with a prefix before each name.

        >>> NotZeros("", ("kernel", "bias")).under("pooler/").names
        ('pooler/kernel', 'pooler/bias')
        """
        return self._replace(names=tuple(prefix + name for name in self.names))


class Each(NamedTuple):
    """Rows that repeat, once for each number: ``source`` and ``path`` go before theirs, with ``{n}`` for the number.

    ``field`` is the configuration's field that says how many there are. With ``last``, the one with the highest number has
    that prefix in place of ``source``, and no number in its hub names: they are one fewer there than in paths.
    """

    source: str
    path: str
    rows: tuple[Row, ...] = ()
    each: tuple[Each, ...] = ()
    aliases: tuple[Alias, ...] = ()
    field: str = ""
    last: str | None = None
    not_zeros: tuple[NotZeros, ...] = ()


class Variable(NamedTuple):
    """One row with everything filled in."""

    name: str
    path: str
    axes: str


class Part(NamedTuple):
    """A model, or a piece of one, below one node of the object graph.

    ``order`` lists the containers that Keras numbers as ``layer_with_weights-N``, each under its attribute's name, ``*`` for
    every number: an order, not a formula, since those that are absent take no number. One in angle brackets has no other
    name than its number. ``optional`` lists prefixes of hub names that a model may lack, all under a prefix together; ``{n}``
    in one is any number. ``equal`` says of such a prefix which two fields of the configuration are equal in a model that
    lacks it, and only there. ``sign`` is a path, perhaps an alias, that tells the models of this part from those of another
    with the same rows. ``not_zeros`` may name variables of another part as well.
    """

    rows: tuple[Row, ...] = ()
    each: tuple[Each, ...] = ()
    order: tuple[str, ...] = ()
    aliases: tuple[Alias, ...] = ()
    optional: tuple[str, ...] = ()
    equal: tuple[tuple[str, str, str], ...] = ()
    sign: str = ""
    not_zeros: tuple[NotZeros, ...] = ()

    def variables(self, numbers: Numbers, lacks: Collection[str] = ()) -> list[Variable]:
        """Return every variable of a model with these numbers, but for those under the optional prefixes that it lacks."""
        return list(self.each_variable(numbers, lacks))

    def each_variable(self, numbers: Numbers, lacks: Collection[str] = ()) -> Iterator[Variable]:
        """Yield what `variables` returns; no number is asked for before it is needed."""
        rows = (Variable(*row) for block in _expand(self, numbers) for row in _fill(block.rows))
        return (row for row in rows if not any(begins(row.name, prefix) for prefix in lacks))

    def all_aliases(self, numbers: Numbers) -> list[Alias]:
        """Return every second path of a model with these numbers."""
        return [alias for block in _expand(self, numbers) for alias in block.aliases]

    def all_not_zeros(self, numbers: Numbers) -> list[NotZeros]:
        """Return what must not all be zeros in a model with these numbers."""
        return [item for block in _expand(self, numbers) for item in block.not_zeros]

    def numbered(self, paths: Sequence[str]) -> dict[str, str]:
        """Return the numbered name of each container that holds one of ``paths``, which come in the order of numbers.

        >>> part = Part(order=("_norm", "_projection", "_layers/*"))
        >>> part.numbered(["_layers/0/kernel", "_layers/1/kernel", "_norm/beta"])
        {'_norm': 'layer_with_weights-0', '_layers/0': 'layer_with_weights-1', '_layers/1': 'layer_with_weights-2'}
        """
        present: dict[str, None] = {}
        for container in self.order:
            pattern, start = _container(container), container.partition("*")[0]
            matches = (pattern.match(path) for path in paths if path.startswith(start))
            present.update(dict.fromkeys(match[1] for match in matches if match))
        return {container: f"{NUMBERED}{n}" for n, container in enumerate(present)}


class _Block(NamedTuple):
    """What a block has, with numbers filled in, but choices open; the iterables are made when they are asked for."""

    rows: Iterable[Row]
    aliases: list[Alias]
    not_zeros: Iterable[NotZeros]


def _expand(block: Part | Each, numbers: Numbers, source: str = "", path: str = "") -> Iterator[_Block]:
    """Yield a block, then those that repeat inside it, all prefixes and numbers filled in."""
    rows = ((source + name, path + key, axes) for name, key, axes in block.rows)
    aliases = [(path + alias, path + to) for alias, to in block.aliases]
    yield _Block(rows, aliases, (item.under(source) for item in block.not_zeros))
    for each in block.each:
        inner = source + each.source, path + each.path
        found = list(numbers(*inner) if each.last is None else numbers(*inner, True))
        for number in found:
            under, at = (text.replace(NUMBER_MARK, str(number)) for text in inner)
            if each.last is not None and number == found[-1]:
                under = source + each.last
            yield from _expand(each, numbers, under, at)


def _fill(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield each row once for every choice that it leaves open."""
    for row in rows:
        mark = next((mark for mark in CHOICES if mark in row[0]), None)
        if mark is None:
            yield row
        else:
            name, path, axes = row
            yield from _fill((name.replace(mark, c), path.replace(mark, c), axes) for c in CHOICES[mark])


def begins(name: str, prefix: str) -> bool:
    """Whether a hub name begins with a prefix, in which ``{n}`` is any number.

    >>> begins("layer_11/norm/beta", "layer_{n}/norm/")
    True
    """
    return _prefix(prefix).match(name) is not None


@lru_cache(maxsize=1024)
def _prefix(prefix: str) -> re.Pattern[str]:
    return re.compile(re.escape(prefix).replace(re.escape(NUMBER_MARK), NUMBER))


@lru_cache(maxsize=1024)
def _container(path: str) -> re.Pattern[str]:
    return re.compile(f"({re.escape(path)})/".replace(r"\*", NUMBER))


def numbers_in(names: Iterable[str]) -> Numbers:
    """Return the numbers that stand in hub names.

    >>> numbers_in(["bert/encoder/layer_7/output", "bert/encoder/layer_0/output"])("bert/encoder/layer_{n}/", "")
    [0, 7]
    """
    known = sorted(names)

    @lru_cache(maxsize=1024)
    def matched(source: str) -> list[int]:
        head, mark, tail = source.partition(NUMBER_MARK)
        found = set()
        at = bisect_left(known, head) if mark else len(known)
        while at < len(known) and known[at].startswith(head):
            number = DECIMAL.match(known[at], len(head))
            at += 1
            if number and begins(known[at - 1][number.end() :], tail):
                found.add(int(number[0]))
                at = bisect_left(known, f"{head}{number[0]}{AFTER_SLASH}", at)  # most names of that number lie before
        return sorted(found)

    def numbers(source: str, path: str, one_more: bool = False) -> list[int]:
        found = matched(source)
        return [*found, len(found)] if one_more else found

    return numbers


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

    def __hash__(self) -> int:
        return hash(self.name)  # mappings have no hash

    def heads_among(self, names: Collection[str]) -> list[str]:
        """Return what the heads are called of which there is a variable among these hub names."""
        return [head.rule for head in self.heads if any(head.matches(name) for name in names)]

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


class Placed(NamedTuple):
    """A part at a path below the model's node; with ``only_with``, only where the source has that hub name.

    Several at one path are forms of one piece, of which a model has one.
    """

    part: Part
    path: str = ""
    only_with: str = ""


class ObjectLayout(NamedTuple):
    """An object-based target: parts below a model's node, and the ways that lead to it from the root.

    ``edges`` are second paths from the root, in the order in which a model of this kind is saved: a variable's key is spelled
    by the shortest of its paths, and the first of those. ``roots`` are paths that lead to the same model but spell no key;
    the empty one lets the root itself stand for the model. ``placeholders`` are nodes without a value, for objects that
    a reader creates by itself. A hub name in no row and in no drop rule stops the plan. ``calls`` build the model, the last
    one all of it.
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

    @property
    def options(self) -> Mapping[str, tuple[str, ...]]:
        """The options that it takes."""
        return OF_OBJECTS


class HubLayout(NamedTuple):
    """TF1 itself, reached from any object-based checkpoint: the way back."""

    name: str
    about: str

    @property
    def options(self) -> Mapping[str, tuple[str, ...]]:
        """The options that it takes."""
        return OF_THE_WAY_BACK


class NameLayout(NamedTuple):
    """A name-based target: ordered substitutions, each applied to every name; a name without a match passes through.

    ``reshapes`` are tried on the *source* name: the first whose substrings it contains gives the axes. Those with a letter
    of ``sizes`` count only if a head count was asked for.
    """

    name: str
    about: str
    substitutions: tuple[tuple[str, str], ...]
    reshapes: tuple[tuple[tuple[str, ...], str], ...] = ()
    sizes: Mapping[str, str] = MappingProxyType({})

    @property
    def options(self) -> Mapping[str, tuple[str, ...]]:
        """The options that it takes."""
        return OF_NAMES

    def rename(self, name: str) -> str:
        """Return the name in this layout."""
        for old, new in self.substitutions:
            name = name.replace(old, new)
        return name

    def axes(self, name: str) -> str | None:
        """Return the axes pattern for a source name, if it is one that a head count splits."""
        return next((axes for parts, axes in self.reshapes if all(part in name for part in parts)), None)


Layout = ObjectLayout | HubLayout | NameLayout
