"""How long a test waits before it says that something hangs. No test asks how fast the machine is."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

PATIENCE = 600  # seconds: for what takes a few, on a machine that does much else
USUAL = 0.011  # seconds of the processor that the loop below took where the limits of the tests were chosen


@contextmanager
def ends(processor_seconds: float) -> Iterator[None]:
    """Fail if the block takes more of the processor's time than this, or waits longer than `PATIENCE`.

    Other processes make a block wait, but take none of its processor's time. On a machine that is slower than the one on
    which the limits were chosen, the limit is longer.
    """
    processor_seconds *= _slowness()

    limits = {signal.SIGPROF: (signal.ITIMER_PROF, processor_seconds), signal.SIGALRM: (signal.ITIMER_REAL, PATIENCE)}

    def stop(number: int, _: object) -> None:
        of_what = " of the processor" if number == signal.SIGPROF else ""
        raise AssertionError(f"still running after {limits[signal.Signals(number)][1]:g} seconds{of_what}")

    before = {number: signal.signal(number, stop) for number in limits}
    for timer, seconds in limits.values():
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for number, (timer, _) in limits.items():
            signal.setitimer(timer, 0)
            signal.signal(number, before[number])


@cache
def _slowness() -> float:
    """Return how many times as long a loop takes here as it took where the limits were chosen; 1 if it is shorter."""
    start = time.process_time()
    for _ in range(1_000_000):
        pass
    return max(1.0, (time.process_time() - start) / USUAL)
