"""How far the values of one tensor are from those of another, in bounded memory.

Values are equal as numbers are: a NaN is a NaN, and -0.0 is 0.0; `tfckpt.prove` compares bits. Distances are taken between
finite values, as float64; those of integers of one dtype are exact. The relative one is measured against the larger of the
two, as `math.isclose` does, so that it does not matter which tensor comes first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tfckpt.base.html import in_notebooks

if TYPE_CHECKING:
    from tfckpt.bundle.values.arrays import Array


Numbers = npt.NDArray[Any]

NOTHING: Array = np.empty(0)


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far two values may be apart: ``|a - b| <= absolute + relative * max(|a|, |b|)``."""

    absolute: float = 0.0
    relative: float = 0.0


@in_notebooks
@dataclass(slots=True)
class Distance:
    """What a comparison of two tensors' values has found so far.

    Attributes:
        count: how many pairs were compared.
        differing: how many are further apart than the tolerance.
        first: number of the first of these, in row-major order.
        one_sided: how many of these have a NaN or an infinity on one side only, or two infinities of opposite signs.
        max_absolute: the largest distance between finite values; None of strings, which have none. Overflow is infinite.
        max_relative: the largest distance as a part of the larger value.
    """

    count: int = 0
    differing: int = 0
    first: int | None = None
    one_sided: int = 0
    max_absolute: float | int | None = None
    max_relative: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as what ``json.dumps`` takes; an infinite distance is None."""
        return {
            "count": self.count,
            "differing": self.differing,
            "first": self.first,
            "one_sided": self.one_sided,
            "max_absolute": _finite(self.max_absolute),
            "max_relative": _finite(self.max_relative),
        }

    def add(self, a: Array, b: Array, tolerance: Tolerance) -> None:
        """Compare as many values of one tensor as of the other."""
        if a.dtype.hasobject or b.dtype.hasobject:
            apart = np.array([x != y for x, y in zip(a, b, strict=True)], np.bool_)
        else:
            self.max_absolute, self.max_relative = self.max_absolute or 0, self.max_relative or 0.0
            if a.dtype == b.dtype and a.tobytes() == b.tobytes():  # of most, and quickly told; a NaN is one
                self.count += len(a)
                return
            apart = self._add_numbers(a, b, tolerance)
        if apart.any():
            self.differing += int(apart.sum())
            if self.first is None:
                self.first = self.count + int(apart.argmax())
        self.count += len(apart)

    def _add_numbers(self, a: Array, b: Array, tolerance: Tolerance) -> npt.NDArray[np.bool_]:
        equal = _equal(a, b)
        if equal.all():
            return ~equal
        places = np.flatnonzero(~equal)
        a, b = a[places], b[places]
        distance, size = _distances(a, b)
        finite = np.isfinite(size)  # a NaN is the larger one
        with np.errstate(over="ignore", invalid="ignore"):
            apart = ~finite | (distance > tolerance.absolute + tolerance.relative * size)
        if not finite.all():
            self.one_sided += int(np.count_nonzero(~finite))
            distance, size = distance[finite], size[finite]
        if size.size:
            self.max_absolute = max(self.max_absolute, distance.max().item())
            with np.errstate(over="ignore"):
                self.max_relative = max(self.max_relative, (distance / size).max().item())
        found = np.zeros(equal.shape, np.bool_)
        found[places] = apart
        return found


def aligned(a: Iterable[Array], b: Iterable[Array]) -> Iterator[tuple[Array, Array]]:
    """Yield the values of two streams of one length, as many of one as of the other at a time.

    >>> [(x.tolist(), y.tolist()) for x, y in aligned([np.arange(3)], [np.arange(2), np.arange(1)])]
    [([0, 1], [0, 1]), ([2], [0])]
    """
    others = iter(b)
    rest = NOTHING
    for piece in a:
        values = piece
        while len(values):
            while not len(rest):
                rest = next(others)
            if len(values) == len(rest):  # nearly always
                yield values, rest
                values = rest = NOTHING
            else:
                n = min(len(values), len(rest))
                yield values[:n], rest[:n]
                values, rest = values[n:], rest[n:]
    for _ in others:  # to its end, where the checksum is compared
        pass


def _finite(number: float | None) -> float | None:
    """Return a number that JSON can hold, else None."""
    return number if number is not None and abs(number) < float("inf") else None


def _number(values: Array) -> Numbers:
    """Return values of a dtype that NumPy computes with: the small ones of ml_dtypes as float64."""
    with np.errstate(invalid="ignore"):  # signalling NaNs
        return values.astype(np.complex128 if values.dtype.kind == "c" else np.float64)


def _equal(a: Array, b: Array) -> npt.NDArray[np.bool_]:
    if a.dtype != b.dtype:
        a, b = _number(a), _number(b)
    with np.errstate(invalid="ignore"):  # signalling NaNs
        equal = np.asarray(a == b)
    if equal.all() or a.dtype.kind in "biu":
        return equal
    places = np.flatnonzero(~equal)
    a, b = a[places], b[places]
    if a.dtype.kind == "V":  # ml_dtypes
        a, b = _number(a), _number(b)
    equal[places] = np.isnan(a) & np.isnan(b)
    return equal


def _distances(a: Array, b: Array) -> tuple[Numbers, npt.NDArray[np.float64]]:
    """Return how far each pair is apart, and the size of the larger of the two."""
    wide_a, wide_b = _number(a), _number(b)
    with np.errstate(over="ignore", invalid="ignore"):
        size = np.maximum(np.abs(wide_a), np.abs(wide_b))
        if a.dtype == b.dtype and a.dtype.kind in "iu":
            wide: type[np.integer[Any]] = np.int64 if a.dtype.kind == "i" else np.uint64
            low, high = (f(a, b).astype(wide).view(np.uint64) for f in (np.minimum, np.maximum))
            return high - low, size  # modulo 2**64, where the true one always fits
        return np.abs(wide_a - wide_b), size
