"""Draws cost against size: RESULTS.svg."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path

from benchmarks.sizes import COPY, CP, FAST_LINK, LINK, VERIFY, Measured


def draw(results: Mapping[str, Measured], path: Path) -> None:
    """Write the curves as SVG: seconds against bytes, both logarithmic; a band from the fastest to the slowest round."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot(xscale="log", yscale="log", xlabel="bytes of the data file", ylabel="seconds, in-process")
    sizes = [found.nbytes for found in results.values()]
    for name in (CP, COPY, LINK, FAST_LINK, VERIFY):
        times = [found.seconds[name] for found in results.values()]
        (line,) = axes.plot(sizes, [statistics.median(t) for t in times], marker="o", label=name)
        axes.fill_between(sizes, [min(t) for t in times], [max(t) for t in times], color=line.get_color(), alpha=0.2)
    axes.grid(which="both", alpha=0.2)
    axes.legend()
    figure.savefig(path, format="svg", metadata={"Date": None})
