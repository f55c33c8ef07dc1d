"""What the values of tensors look like, as a few numbers for each, in bounded memory.

Strategy: two passes. The first counts and finds the extremes, and compares the checksum; the second, which knows them, adds
up mean and deviation and fills the histogram. Each piece's mean and sum of squares are joined to those before it, so that
neither order nor size of the pieces matters; huge and tiny values are scaled by a power of two, so that nothing overflows.
Source of the joining: Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances",
1979.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tfckpt.base.arguments import whole_number
from tfckpt.base.html import in_notebooks
from tfckpt.base.options import Fixed, PathLike, StatisticsOptions, options_of
from tfckpt.base.progress import finish
from tfckpt.base.signatures import takes
from tfckpt.bundle.carry import Count, counting
from tfckpt.bundle.stream import stream
from tfckpt.bundle.tensor_reader import TensorReader
from tfckpt.bundle.values.dtypes import tensor_type
from tfckpt.bundle.values.entry import Entry
from tfckpt.checkpoint.checkpoint import open as open_checkpoint
from tfckpt.errors import count_of, redacted

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from tfckpt.bundle.values.arrays import Array

Number = int | float
VALUES, MAGNITUDES, LENGTHS = "values", "magnitudes", "lengths"
NBINS = options_of(StatisticsOptions)["bins"].default
PASSES = 2
NUMBERS = ("minimum", "maximum", "mean", "std", "zeros", "nan")  # of each tensor, in a table of many
HUGE, SHRINK = 2.0**400, 2.0**-600  # where squares and sums come near the end of float64, and what keeps them from it
TINY, STRETCH = 2.0**-400, 2.0**600  # the same at the other end, where a histogram's bins by its width overflow


@dataclass(frozen=True, slots=True)
class Statistics:
    """What one tensor's values look like. Minimum, maximum, mean, deviation and histogram are of the finite ones alone.

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

    @property
    def line(self) -> str:
        """The chief numbers, in words: ``"from -1 to 3, mean 0.5, deviation 1.5, 2 zeros, 1 NaN"``."""
        infinite = self.positive_inf + self.negative_inf
        counts = ((self.zeros, count_of(self.zeros, "zero")), (self.nan, f"{self.nan:,} NaN"))
        others = [said for count, said in (*counts, (infinite, f"{infinite:,} infinite")) if count]
        if self.minimum is None:
            return ", ".join(["none is finite" if self.count else "no elements", *others])
        spread = f"from {self.minimum:.6g} to {self.maximum:.6g}, mean {self.mean:.6g}, deviation {self.std:.6g}"
        return ", ".join([spread, *others])

    def __repr__(self) -> str:
        return f"<Statistics of {self.count:,} {self.of}: {self.line}>"

    def _repr_html_(self) -> str:
        from tfckpt.base.html import facts, shown, table

        numbers = {name: value for name, value in self.to_json().items() if name != "histogram"}
        bars = list(zip(itertools.pairwise(self.edges), self.counts, strict=True))
        histogram = table(("from", "to", "values"), bars, lambda bar: (*bar[0], bar[1])) if bars else ""
        return shown(repr(self), facts({"count": self.count, **numbers}), histogram)

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


@in_notebooks
@dataclass(frozen=True, slots=True)
class Measured:
    """One tensor, and what its values look like.

    Attributes:
        entry: what the index says of it: its name, dtype, shape and bytes.
        statistics: what was found in its values.
    """

    entry: Entry
    statistics: Statistics

    def to_json(self) -> dict[str, Any]:
        """Return it as what ``json.dumps`` takes."""
        return {
            "name": self.entry.name,
            "dtype": self.entry.dtype_name,
            "shape": list(self.entry.shape),
            "elements": self.entry.size,
            "nbytes": self.entry.nbytes,
            "statistics": self.statistics.to_json(),
        }

    def __repr__(self) -> str:
        form = tensor_type(self.entry.data_type, self.entry.shape)
        return f"<Measured {self.entry.name!r}: {form}, {self.statistics.line}>"


@dataclass(frozen=True, slots=True)
class CheckpointStatistics(Mapping[str, Statistics]):
    """What the values of a checkpoint look like: a mapping from names to `Statistics`, in the order of names.

    Attributes:
        source: prefix of the checkpoint.
        tensors: every tensor that was measured, by name, with what the index says of it.
        skipped: names of those that hold no numbers: strings, variants, resources.
    """

    source: str
    tensors: Mapping[str, Measured]
    skipped: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Statistics:
        return self.tensors[name].statistics

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)

    def __repr__(self) -> str:
        skipped = f", {len(self.skipped)} skipped" if self.skipped else ""
        return redacted(f"<CheckpointStatistics of {self.source!r}: {count_of(len(self), 'tensor')}{skipped}>")

    def _repr_html_(self) -> str:
        from tfckpt.base.html import folded, listed, shown, table

        tensors = table(
            ("tensor", "dtype and shape", *NUMBERS, "infinite"),
            list(self.tensors.values()),
            lambda m: (
                m.entry.name,
                tensor_type(m.entry.data_type, m.entry.shape),
                *(getattr(m.statistics, name) for name in NUMBERS),
                m.statistics.positive_inf + m.statistics.negative_inf,
            ),
        )
        return shown(
            repr(self),
            folded(count_of(self.tensors, "tensor"), tensors if self.tensors else "", is_open=True),
            folded(f"{len(self.skipped):,} skipped, which hold no numbers", listed(self.skipped)),
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as what ``json.dumps`` takes; ``tensors`` has one object a tensor."""
        return {
            "source": self.source,
            "tensors": [found.to_json() for found in self.tensors.values()],
            "skipped": list(self.skipped),
        }


@takes(StatisticsOptions)
def statistics(
    source: PathLike, pattern: str | None = None, **options: Unpack[StatisticsOptions]
) -> CheckpointStatistics:
    """Tell what the values of each numeric tensor look like: count, mean, deviation, extremes, zeros, NaNs, a histogram.

    Each tensor is read twice, piece by piece, so memory stays small whatever it weighs, and its checksum is compared.

    Args:
        source: a checkpoint of either format: a prefix, one of its files, its directory, or a URL.
        pattern: which tensors: a glob, as `Checkpoint.entries` takes it, or one tensor's name, path or full name. Unless
            given, all.
        **options: those of `StatisticsOptions`.
    Returns:
        The `CheckpointStatistics`: a mapping from names to `Statistics`. Tensors of strings and the like are ``skipped``.
    Raises:
        TensorNotFoundError: no tensor matches ``pattern``, or it is the full name of several variables.
        UsageError: ``bins`` is no number of 1 or more.
        CheckpointNotFoundError, FormatError, ChecksumError, StorageError: the checkpoint cannot be read, or is damaged.
    Example:
        >>> tfckpt.save("weights.ckpt", {"w": [[-1.0, 0.0], [3.0, float("nan")]], "labels": ["yes", "no"]})
        >>> found = tfckpt.statistics("weights.ckpt", bins=2)
        >>> found["w"].minimum, found["w"].maximum, found["w"].zeros, found["w"].nan
        (-1.0, 3.0, 1, 1)
        >>> found["w"].edges, found["w"].counts, found.skipped
        ((-1.0, 1.0, 3.0), (2, 1), ('labels',))
    """
    bins = whole_number("bins", options["bins"])
    with open_checkpoint(source, format=options["source_format"]) as checkpoint:
        entries = checkpoint.entries(pattern)
        if pattern is not None and not entries:
            entries = [checkpoint.entry(pattern)]
        checkpoint.reader.check_sharing(entries)
        numeric = [entry for entry in entries if entry.is_numeric]
        total = PASSES * sum(entry.nbytes for entry in numeric)
        count = counting(options["progress"], total)
        found = {
            entry.name: Measured(entry, measure(checkpoint.reader, entry, bins=bins, count=count)) for entry in numeric
        }
        finish(options["progress"], total)
        skipped = tuple(entry.name for entry in entries if not entry.is_numeric)
        return CheckpointStatistics(checkpoint.prefix, Fixed(found), skipped)


def measure(
    reader: TensorReader, entry: Entry, *, bins: int = NBINS, verify: bool = True, count: Count | None = None
) -> Statistics:
    """Return the statistics of one tensor; reads it twice, without the map.

    Args:
        reader: the files that hold it: `Checkpoint.reader`.
        entry: what their index says of it: `Checkpoint.entry`.
        bins: number of bars of the histogram.
        verify: compare the checksum.
        count: called with the number of bytes of each piece, in both passes.
    Raises: ChecksumError, FormatError, UnsupportedError (a resource).
    Example:
        >>> with tfckpt.open("bert_model.ckpt") as ckpt:
        ...     found = measure(ckpt.reader, ckpt.entry("global_step"))
        >>> found.minimum, found.counts
        (3, (1,))
    """
    extremes = _Extremes()
    for values in _counted(stream(reader, entry, verify=verify), count):
        extremes.add(_measured(values))
    low, high = extremes.minimum, extremes.maximum
    counts = {name: getattr(extremes, name) for name in ("count", "nan", "positive_inf", "negative_inf", "zeros")}
    of = {"c": MAGNITUDES, "O": LENGTHS}.get(entry.dtype.kind, VALUES)
    if low is None or high is None:
        return Statistics(of, **counts)
    moments = _Moments(float(low), float(high), bins)
    for values in _counted(stream(reader, entry, verify=False), count):
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


def _counted(pieces: Iterator[Array], count: Count | None) -> Iterator[Array]:
    for values in pieces:
        yield values
        if count is not None:
            count(values.nbytes)


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
