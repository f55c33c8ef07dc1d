"""What a layout can say: rows, repeated rows, parts on paths, names that are dropped, names that are rewritten.

The vocabulary of TF1 variable names is the hub. An object layout hangs parts on paths; a part is a table of rows
``(hub name, path, axes)``: the variable of that name sits at that path below the part's node, in that form. A name layout
is an ordered list of substitutions. All are data; what they do to a checkpoint is decided in `planning/`.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from tfckpt.families.language.axes import ARROW

Row = tuple[str, str, str]  # hub name, path below the part's node in escaped key form, axes pattern
Alias = tuple[str, str]  # a second path, and the path of the node or variable that it leads to as well
# (hub-name prefix, path prefix), both with {n}: the numbers that occur in paths, one more than in names if True follows.
Numbers = Callable[..., Iterable[int]]

SCALE, SHIFT = "gamma", "beta"  # what Keras's norms call the vectors that they multiply by and add
CHOICES: Mapping[str, tuple[str, ...]] = {
    "{p}": (SCALE, SHIFT),
    "{qkv}": ("query", "key", "value"),
    "{kb}": ("kernel", "bias"),
}
NUMBER_MARK = "{n}"
NUMBER = r"(0|[1-9][0-9]{0,5})"  # plain decimals
PADDED_MARK = re.compile(r"\{n(?::0([2-6]))?\}")  # {n}, or {n:03} for 000, 001, ...
FUSED = " + "  # joins the hub names of which one variable is made
SIDE_AXES = re.compile(r"\+?(?:\([^()]*\)|\w+)")  # of one side of a pattern
JOINED = "+"  # marks the axis along which they lie, before its letter or bracket
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
    """One row with everything filled in.

    Attributes:
        name: the hub name that its value comes from; of several, the first.
        path: where it is.
        axes: the pattern that leads there from the hub's form, of each of them.
        more: the other hub names of which it is made.
        axis: along which axis of the result they lie, one after another.
    """

    name: str
    path: str
    axes: str
    more: tuple[str, ...] = ()
    axis: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """The hub names of which it is made."""
        return (self.name, *self.more)

    def slot(self, name: str) -> Variable:
        """Return what an optimizer keeps for it under this name, which has its form.

        >>> Variable("query", "qkv", "h k", ("key",)).slot("adam_m").names
        ('query/adam_m', 'key/adam_m')
        """
        return self._replace(name=f"{self.name}/{name}", more=tuple(f"{other}/{name}" for other in self.more))


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
        rows = (variable for block in _expand(self, numbers) for variable in block.variables)
        return (row for row in rows if not any(begins(row.name, prefix) for prefix in lacks)) if lacks else rows

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
        groups: dict[str, list[str]] = {}  # by the first edge
        for path in paths:
            groups.setdefault(path[: path.find("/")], []).append(path)
        for container in self.order:
            pattern, depth = _container(container), container.count("/") + 1
            group = groups.get(container.partition("/")[0].partition("*")[0], paths)
            begun = dict.fromkeys("/".join(path.split("/", depth)[:depth]) for path in group)
            present.update(dict.fromkeys(path for path in begun if pattern.fullmatch(path)))
        return {container: f"{NUMBERED}{n}" for n, container in enumerate(present)}


class _Block(NamedTuple):
    """What a block has, with everything filled in; the iterables are made when they are asked for."""

    variables: Iterable[Variable]
    aliases: list[Alias]
    not_zeros: Iterable[NotZeros]


def _expand(block: Part | Each, numbers: Numbers, source: str = "", path: str = "") -> Iterator[_Block]:
    """Yield a block, then those that repeat inside it, all prefixes and numbers filled in."""
    rows = (
        Variable(source + name, path + key, axes, tuple(source + other for other in more) if more else more, axis)
        for name, key, axes, more, axis in _filled(block.rows)
    )
    aliases = [(path + alias, path + to) for alias, to in block.aliases]
    yield _Block(rows, aliases, (item.under(source) for item in block.not_zeros))
    for each in block.each:
        inner = source + each.source, path + each.path
        found = list(numbers(*inner) if each.last is None else numbers(*inner, True))
        for number in found:
            under, at = (spell(text, number) for text in inner)
            if each.last is not None and number == found[-1]:
                under = source + each.last
            yield from _expand(each, numbers, under, at)


def _variable(row: Row) -> Variable:
    """Return the variable of a row that leaves nothing open.

    >>> _variable(("query + key + value", "qkv", "h +k"))
    Variable(name='query', path='qkv', axes='h k', more=('key', 'value'), axis=1)
    """
    if FUSED not in row[0]:
        return Variable(*row)
    names, path, axes = row
    first, *more = names.split(FUSED)
    axis = next(iter(joined_axes(axes)), 0)
    return Variable(first, path, axes.replace(JOINED, ""), tuple(more), axis)


def joined_axes(axes: str) -> list[int]:
    """Return the numbers of the axes of a pattern's result that have the mark of names that lie along them.

    >>> joined_axes("h (a d) -> h +(a d)")
    [1]
    """
    result = SIDE_AXES.findall(axes.rpartition(ARROW)[2])
    return [number for number, axis in enumerate(result) if axis.startswith(JOINED)]


def spell(text: str, number: int) -> str:
    """Return a text with a number in place of its mark.

    >>> spell("layer_{n}/", 7), spell("block_{n:03}/", 7)
    ('layer_7/', 'block_007/')
    """
    if NUMBER_MARK in text:
        return text.replace(NUMBER_MARK, str(number))
    return PADDED_MARK.sub(lambda mark: f"{number:0{mark[1] or 1}}", text)


def number_in(mark: re.Match[str]) -> str:
    """Return the regular expression of the numbers that a mark stands for."""
    return NUMBER if mark[1] is None else rf"([0-9]{{{mark[1]}}}|[1-9][0-9]{{{mark[1]},5}})"


def pattern_of(text: str) -> re.Pattern[str]:
    """Return the regular expression of a text in which marks stand for numbers.

    >>> pattern_of("block_{n:03}/").match("block_012/kernel")[1]
    '012'
    """
    found, at = "", 0
    for mark in PADDED_MARK.finditer(text):
        found += re.escape(text[at : mark.start()]) + number_in(mark)
        at = mark.end()
    return re.compile(found + re.escape(text[at:]))


@lru_cache(maxsize=256)
def _filled(rows: tuple[Row, ...]) -> tuple[Variable, ...]:
    """Return the variables of rows, with every choice; those of a layer are asked for once for each layer."""
    return tuple(map(_variable, _fill(rows)))


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
    return pattern_of(prefix)


@lru_cache(maxsize=1024)
def _container(path: str) -> re.Pattern[str]:
    return re.compile(re.escape(path).replace(r"\*", NUMBER))


def scopes_before(end: str, names: Iterable[str]) -> list[str]:
    """Return what stands before ``end`` in each of these names that ends in it, part by part, in order.

    >>> scopes_before("x/y", ["b/x/y", "x/y", "ax/y", "x"])
    ['b/', '']
    """
    ending = [name for name in names if name.endswith(end)]
    return [name.removesuffix(end) for name in sorted(ending) if f"/{name}".endswith(f"/{end}")]


def numbers_in(names: Iterable[str]) -> Numbers:
    """Return the numbers that stand in hub names.

    >>> numbers_in(["bert/encoder/layer_7/output", "bert/encoder/layer_0/output"])("bert/encoder/layer_{n}/", "")
    [0, 7]
    """
    known = sorted(names)

    @lru_cache(maxsize=1024)
    def matched(source: str) -> list[int]:
        mark = PADDED_MARK.search(source)
        if mark is None:
            return []
        head, tail = source[: mark.start()], source[mark.end() :]
        found: set[int] = set()
        plain = re.compile(number_in(mark))
        at = bisect_left(known, head)
        while at < len(known) and known[at].startswith(head):
            number = plain.match(known[at], len(head))
            at += 1
            if number and begins(known[at - 1][number.end() :], tail):
                found.add(int(number[0]))
                at = bisect_left(known, f"{head}{number[0]}{AFTER_SLASH}", at)  # most names of that number lie before
        return sorted(found)

    def numbers(source: str, path: str, one_more: bool = False) -> list[int]:
        found = matched(source)
        return [*found, len(found)] if one_more else found

    return numbers
