"""What a tensor's values look like, as a few numbers, in bounded memory.

Strategy: two passes. The first counts and finds the extremes, and compares the checksum; the second, which knows them, adds
up mean and deviation and fills the histogram. Each piece's mean and sum of squares are joined to those before it, so that
neither order nor size of the pieces matters; huge and tiny values are scaled by a power of two, so that nothing overflows.
Source of the joining: Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances",
1979.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tfckpt.bundle.entry import Entry
from tfckpt.bundle.stream import stream
from tfckpt.bundle.tensor_reader import TensorReader

if TYPE_CHECKING:
    from tfckpt.bundle.values import Array

Number = int | float
VALUES, MAGNITUDES, LENGTHS = "values", "magnitudes", "lengths"
NBINS = 10
HUGE, SHRINK = 2.0**400, 2.0**-600  # where squares and sums come near the end of float64, and what keeps them from it
TINY, STRETCH = 2.0**-400, 2.0**600  # the same at the other end, where a histogram's bins by its width overflow


@dataclass(frozen=True, slots=True)
class Statistics:
    """What `measure` finds. Minimum, maximum, mean, deviation and histogram are of the finite values alone.

    Attributes:
        of: what was measured: ``"values"``; of complex numbers their ``"magnitudes"``; of strings and variants their
            ``"lengths"`` in bytes.
        count: number of elements.
        nan: how many are NaN.
        positive_inf: how many are infinite, above.
        negative_inf: how many are infinite, below.
        zeros: how many are zero; empty, if they are strings.
        minimum: the smallest; an int of integers and bools. None, like what follows, if no element is finite.
        maximum: the largest.
        mean: their average.
        std: their standard deviation, that of a whole population.
        edges: the histogram's borders, one more than it has bins, which are of equal width; two if all values are equal.
        counts: how many values lie in each bin; the last one includes its upper border.
    """

    of: str
    count: int
    nan: int = 0
    positive_inf: int = 0
    negative_inf: int = 0
    zeros: int = 0
    minimum: Number | None = None
    maximum: Number | None = None
    mean: float | None = None
    std: float | None = None
    edges: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as what ``json.dumps`` takes; all numbers are finite."""
        return {
            "of": self.of,
            "nan": self.nan,
            "positive_inf": self.positive_inf,
            "negative_inf": self.negative_inf,
            "zeros": self.zeros,
            "min": self.minimum,
            "max": self.maximum,
            "mean": self.mean,
            "std": self.std,
            "histogram": {"edges": list(self.edges), "counts": list(self.counts)},
        }


def measure(reader: TensorReader, entry: Entry, *, bins: int = NBINS, verify: bool = True) -> Statistics:
    """Return the statistics of one tensor; reads it twice, without the map.

    Args:
        reader: the files that hold it: `Checkpoint.reader`.
        entry: what their index says of it: `Checkpoint.entry`.
        bins: number of bars of the histogram.
        verify: compare the checksum.
    Raises: ChecksumError, FormatError, UnsupportedError (a resource).
    Example:
        >>> with tfckpt.open("bert_model.ckpt") as ckpt:
        ...     found = measure(ckpt.reader, ckpt.entry("global_step"))
        >>> found.minimum, found.counts
        (3, (1,))
    """
    extremes = _Extremes()
    for values in stream(reader, entry, verify=verify):
        extremes.add(_measured(values))
    low, high = extremes.minimum, extremes.maximum
    counts = {name: getattr(extremes, name) for name in ("count", "nan", "positive_inf", "negative_inf", "zeros")}
    of = {"c": MAGNITUDES, "O": LENGTHS}.get(entry.dtype.kind, VALUES)
    if low is None or high is None:
        return Statistics(of, **counts)
    moments = _Moments(float(low), float(high), bins)
    for values in stream(reader, entry, verify=False):
        moments.add(_measured(values))
    return Statistics(
        of,
        **counts,
        minimum=low,
        maximum=high,
        mean=min(max(moments.mean / moments.scale, float(low)), float(high)),  # rounding may lead beyond
        std=math.sqrt(moments.squares / moments.count) / moments.scale,
        edges=tuple((moments.edges / moments.scale).tolist()),
        counts=tuple(moments.counts.tolist()),
    )


def _measured(values: Array) -> npt.NDArray[Any]:
    """Return as numbers what is measured of values: float64, or integers as they are."""
    if values.dtype.hasobject:
        return np.fromiter(map(len, values), np.int64, values.size)
    if values.dtype.kind == "c":  # two halves that are finite may be infinitely far from zero
        with np.errstate(over="ignore"):
            return np.hypot(values.real.astype(np.float64), values.imag.astype(np.float64))
    if values.dtype.kind in "iu" or values.dtype in (np.float32, np.float64):
        return values
    if values.dtype.kind == "b" or values.dtype.name in ("int2", "int4", "uint2", "uint4"):
        return values.astype(np.int8)
    with np.errstate(invalid="ignore"):  # a signalling NaN is counted, not signalled
        return values.astype(np.float64)


def _all_finite(values: npt.NDArray[Any]) -> bool:
    """Whether there are some values and no NaN, which extremes would be, and no infinity."""
    return bool(values.size and np.isfinite(values.min()) and np.isfinite(values.max()))


@dataclass(slots=True)
class _Extremes:
    """The first pass."""

    count: int = 0
    nan: int = 0
    positive_inf: int = 0
    negative_inf: int = 0
    zeros: int = 0
    minimum: Number | None = None
    maximum: Number | None = None

    def add(self, values: npt.NDArray[Any]) -> None:
        self.count += values.size
        self.zeros += int(values.size - np.count_nonzero(values))
        if values.size and values.dtype.kind == "f" and not _all_finite(values):
            self.nan += int(np.isnan(values).sum())
            self.positive_inf += int(np.isposinf(values).sum())
            self.negative_inf += int(np.isneginf(values).sum())
            values = values[np.isfinite(values)]
        if values.size:
            low, high = values.min().item(), values.max().item()
            self.minimum = low if self.minimum is None else min(self.minimum, low)
            self.maximum = high if self.maximum is None else max(self.maximum, high)


@dataclass(slots=True)
class _Moments:
    """The second pass; all but ``counts`` is scaled."""

    low: float
    high: float
    bins: int
    count: int = 0
    mean: float = 0.0
    squares: float = 0.0  # sum of squared distances from the mean
    scale: float = field(init=False)
    edges: npt.NDArray[np.float64] = field(init=False)
    counts: npt.NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        largest = max(abs(self.low), abs(self.high))
        self.scale = SHRINK if largest > HUGE else STRETCH if largest < TINY else 1.0
        low, high = self.low * self.scale, self.high * self.scale
        edges = np.linspace(low, high, self.bins + 1)
        distinct = bool((np.diff(edges / self.scale) > 0).all())  # of neighbours among the floats there are not so many
        self.edges = edges if distinct else np.array([low, high])
        self.counts = np.zeros(len(self.edges) - 1, np.int64)

    def add(self, values: npt.NDArray[Any]) -> None:
        if values.dtype.kind == "f" and not _all_finite(values):
            values = values[np.isfinite(values)]
        if not values.size:
            return
        scaled = values.astype(np.float64)
        if self.scale != 1:
            scaled *= self.scale
        own = float(scaled.mean())
        count = self.count + scaled.size
        shift = own - self.mean
        if len(self.counts) == 1:
            self.counts += scaled.size
        else:
            ends = (self.edges[0], self.edges[-1])  # of bins of equal width: quick
            self.counts += np.histogram(scaled, len(self.counts), ends)[0]
        scaled -= own
        self.squares += float(np.square(scaled, out=scaled).sum()) + shift * shift * self.count * scaled.size / count
        self.mean += shift * scaled.size / count
        self.count = count
