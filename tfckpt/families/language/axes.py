"""Axes patterns: einops notation that checks a shape, then reshapes or transposes.

A layout's letters stand for sizes of the model: some come from its configuration, the others are bound by the first
tensor that has them, and every further tensor must agree. ``"h (a d) -> h a d"`` splits the second axis into ``a`` heads
of ``d``; a pattern without an arrow only checks. Row-major order makes most splits free: the bytes stay as they are.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from tfckpt.base.html import in_notebooks
from tfckpt.base.options import Fixed

if TYPE_CHECKING:
    import numpy.typing as npt


Axis = tuple[str, ...]  # letters multiplied into one axis
AXIS = re.compile(r"\(([^()]*)\)|(\w+)")
ARROW = "->"
ONE = "1"  # an axis of length one, which may be on one side only
LETTERS = r"[A-Za-z][A-Za-z0-9]*"
SIDE = re.compile(rf"\s*(?:(?:{LETTERS}|{ONE}|\(\s*{LETTERS}(?:\s+{LETTERS})*\s*\))(?:\s+|$|(?=\()))*")


@lru_cache(maxsize=4096)
def parse(pattern: str) -> tuple[tuple[Axis, ...], tuple[Axis, ...]]:
    """Return the axes on the left and on the right of the arrow; one of length one has no letters.

    >>> parse("h (a d) -> h a d")
    ((('h',), ('a', 'd')), (('h',), ('a',), ('d',)))
    """
    left, arrow, right = pattern.partition(ARROW)
    source = _parse_side(left)
    return source, _parse_side(right) if arrow else source


def _parse_side(text: str) -> tuple[Axis, ...]:
    return tuple(tuple(group.split()) if group else _single(letter) for group, letter in AXIS.findall(text))


def _single(letter: str) -> Axis:
    return () if letter == ONE else (letter,)


def problems(pattern: str, fields: Mapping[str, str]) -> list[str]:
    """Return what is wrong with a pattern that someone wrote; ``fields`` has the letters whose sizes a configuration tells.

    >>> problems("1 h (a d) -> h a d", {"a": "num_attention_heads"})
    []
    >>> problems("h (a d) -> h a", {})
    ["axes 'h (a d) -> h a': 'd' on one side only", \
"axes 'h (a d) -> h a': 'a', 'd' in one axis: all but one need a size in [family.sizes]"]
    """
    sides = pattern.split(ARROW)
    if len(sides) > 2 or not all(SIDE.fullmatch(side) for side in sides):
        return [f"axes {pattern!r}: expected letters, {ONE}, and letters in brackets, on both sides of one {ARROW}"]
    parsed = parse(pattern)
    letters = [sum(side, ()) for side in parsed]
    found = [f"{letter!r} twice on one side" for side in letters for letter in set(side) if side.count(letter) > 1]
    found += [f"{letter!r} on one side only" for letter in sorted(set(letters[0]) ^ set(letters[1]))]
    for axis in dict.fromkeys(axis for side in parsed for axis in side):
        free = [repr(letter) for letter in axis if letter not in fields]
        if len(free) > 1:
            found.append(f"{', '.join(free)} in one axis: all but one need a size in [family.sizes]")
    return [f"axes {pattern!r}: {line}" for line in dict.fromkeys(found)]


def keeps_bytes(pattern: str) -> bool:
    """Whether the stored bytes are the same before and after.

    >>> keeps_bytes("h (a d) -> h a d"), keeps_bytes("c h -> h c")
    (True, False)
    """
    source, target = parse(pattern)
    return sum(source, ()) == sum(target, ())


def moves_alike(pattern: str, other: str) -> bool:
    """Whether two patterns do the same to values, whatever their letters are.

    >>> moves_alike("h (a d) -> h a d", "g (b d) -> g b d"), moves_alike("v h", "v h -> h v")
    (True, False)
    """
    return _numbered(pattern) == _numbered(other)


def _numbered(pattern: str) -> tuple[tuple[int, ...], ...]:
    """Return the axes on both sides with the number of each letter, counted as they first appear; none if nothing moves."""
    source, target = parse(pattern)
    letters = {letter: number for number, letter in enumerate(dict.fromkeys(sum(source, ())))}
    both = () if source == target else (*source, (), *target)
    return tuple(tuple(letters[letter] for letter in axis) for axis in both)


@in_notebooks
class Size(NamedTuple):
    """A size of the model.

    Attributes:
        value: the size.
        origin: who says so: a configuration file, an option, or the first tensor that had it.
        config: path of the configuration file that states it, if one does.
    """

    value: int
    origin: str
    config: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as what ``json.dumps`` takes."""
        return self._asdict()


class Mismatch(NamedTuple):
    """A shape that a pattern does not fit; equal ones are reported together.

    Attributes:
        expected: what was expected, in words.
        got: what was got, in words.
        field: the size that it contradicts, if it is one.
        size: what that is.
    """

    expected: str
    got: str
    field: str = ""
    size: Size | None = None


Fit = tuple[Mapping[str, int], tuple[int, ...]]  # letters, the shape that they lead to


class Sizes:
    """The sizes known so far, by field of the configuration.

    Args:
        fields: the field that each letter means; a letter without one is free in every tensor.
        known: the sizes that are given.
    """

    def __init__(self, fields: Mapping[str, str], known: dict[str, Size] | None = None) -> None:
        self.fields = fields
        self.known = {} if known is None else known
        # What was bound: with every letter known from then on, it is the same for every tensor of that shape.
        self._bound: dict[tuple[tuple[int, ...], str], Fit] = {}

    def fit(self, name: str, shape: tuple[int, ...], pattern: str) -> Fit | Mismatch:
        """Return what `bind` does, and the shape that the pattern leads to; or why the tensor does not fit."""
        bound = self._bound.get((shape, pattern))
        if bound is None:
            letters = self.bind(name, shape, pattern)
            if isinstance(letters, Mismatch):
                return letters
            bound = self._bound[shape, pattern] = Fixed(letters), target_shape(pattern, letters)
        return bound

    def fit_apart(self, name: str, shape: tuple[int, ...], pattern: str, field: str) -> Fit | Mismatch:
        """Return what `fit` does for a tensor that has a size of its own in place of one, by its field.

        >>> sizes = Sizes({"v": "vocab_size", "h": "hidden_size"}, {"vocab_size": Size(30, "config.json")})
        >>> sizes.fit("table", (32, 8), "v h")
        Mismatch(expected='vocab_size = 30 (config.json)', got='32', field='vocab_size', \
size=Size(value=30, origin='config.json', config=''))
        >>> sizes.fit_apart("table", (32, 8), "v h", "vocab_size"), sizes.known["vocab_size"].value
        ((Fixed({'v': 32, 'h': 8}), (32, 8)), 30)
        """
        others = {name: size for name, size in self.known.items() if name != field}
        bound = Sizes(self.fields, others).fit(name, shape, pattern)
        for other, size in others.items():
            self.known.setdefault(other, size)
        return bound

    def bind(self, name: str, shape: tuple[int, ...], pattern: str) -> dict[str, int] | Mismatch:
        """Return what each letter of ``pattern`` stands for in the tensor ``name``, or why it does not fit.

        >>> sizes = Sizes({"a": "num_attention_heads"}, {"num_attention_heads": Size(2, "as given")})
        >>> sizes.bind("query", (8, 8), "h (a d) -> h a d")
        {'a': 2, 'h': 8, 'd': 4}
        >>> sizes.bind("query", (8, 7), "h (a d) -> h a d")
        Mismatch(expected='a multiple of num_attention_heads = 2 (as given)', got='7', field='', size=None)
        """
        source, _ = parse(pattern)
        if len(shape) != len(source):
            return Mismatch(f"{len(source)} axes ({pattern.partition(ARROW)[0].strip()})", f"{len(shape)}")
        letters = {c: self.known[f].value for c, f in self.fields.items() if f in self.known and c in sum(source, ())}
        for axis, dim in zip(source, shape, strict=True):
            problem = self._bind_axis(axis, dim, letters)
            if problem is not None:
                return problem
        for letter, value in letters.items():
            if letter in self.fields:
                self.known.setdefault(self.fields[letter], Size(value, name))
        return letters

    def target_shape(self, pattern: str) -> tuple[int, ...] | None:
        """Return the shape that ``pattern`` leads to by the sizes known so far; None if they do not tell it.

        >>> Sizes({"h": "hidden_size"}, {"hidden_size": Size(8, "config.json")}).target_shape("h")
        (8,)
        """
        letters = {c: self.known[f].value for c, f in self.fields.items() if f in self.known}
        _, target = parse(pattern)
        return target_shape(pattern, letters) if letters.keys() >= set(sum(target, ())) else None

    def _bind_axis(self, axis: Axis, dim: int, letters: dict[str, int]) -> Mismatch | None:
        """Add the axis's one unknown letter to ``letters``, or say why ``dim`` cannot be its size."""
        unknown = [letter for letter in axis if letter not in letters]
        if len(unknown) > 1:
            names = " and ".join(self.fields.get(letter, letter) for letter in unknown)
            return Mismatch(f"{names} to be given, all but one of them, since shapes do not tell them", str(dim))
        product = math.prod(letters[letter] for letter in axis if letter in letters)
        if not unknown:
            field = self.fields.get(axis[0], "") if len(axis) == 1 else ""
            return (
                None
                if dim == product
                else Mismatch(self._describe(axis, product), str(dim), field, self.known.get(field))
            )
        if product == 0 or dim % product:
            known = tuple(letter for letter in axis if letter in letters)
            return Mismatch(f"a multiple of {self._describe(known, product)}", str(dim))
        letters[unknown[0]] = dim // product
        return None

    def _describe(self, axis: Axis, product: int) -> str:
        if not axis:
            return "an axis of 1"
        names = [self.fields.get(letter, letter) for letter in axis]
        origins = [self.known[name].origin for name in names if name in self.known]
        return f"{' * '.join(names)} = {product}" + (f" ({', '.join(dict.fromkeys(origins))})" if origins else "")


def source_shape(pattern: str, letters: Mapping[str, int]) -> tuple[int, ...]:
    """Return the shape that the pattern is applied to."""
    return _shape(parse(pattern)[0], letters)


def target_shape(pattern: str, letters: Mapping[str, int]) -> tuple[int, ...]:
    """Return the shape after the pattern is applied.

    >>> target_shape("h (a d) -> h a d", {"h": 8, "a": 2, "d": 4})
    (8, 2, 4)
    """
    return _shape(parse(pattern)[1], letters)


def _shape(axes: tuple[Axis, ...], letters: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(math.prod(letters[letter] for letter in axis) for axis in axes)


def apply(pattern: str, array: npt.NDArray[Any], letters: Mapping[str, int]) -> npt.NDArray[Any]:
    """Return the array in the pattern's target form, C-contiguous."""
    import einops  # only where bytes really move
    import numpy as np

    if ARROW not in pattern:
        return array
    used = sum(parse(pattern)[0], ())
    return np.ascontiguousarray(einops.rearrange(array, pattern, **{c: n for c, n in letters.items() if c in used}))


def inverse(pattern: str) -> str:
    """Return the pattern of the way back.

    >>> inverse("h (a d) -> h a d"), inverse("v h")
    ('h a d -> h (a d)', 'v h')
    """
    left, arrow, right = (text.strip() for text in pattern.partition(ARROW))
    return f"{right} {arrow} {left}" if arrow else left
