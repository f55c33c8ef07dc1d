"""What a long call tells whoever waits for it: how many bytes of its work are done, of how many.

Every call that takes ``progress`` keeps to one contract: it is called in the thread of the call; what is done never falls and
what is to do never changes; when the call returns, all is done. An exception that it raises ends the call as Ctrl-C would.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate

Progress = Callable[[int, int], None]  # (bytes done, bytes in all)


def stages(progress: Progress | None, *sizes: int) -> list[Progress | None]:
    """Return a callback for each stage of a call's work, which together count up to the sum of their sizes.

    A stage may count in units of its own: what is done of it is the same part of its size here.

    >>> reading, writing = stages(lambda done, total: print(done, "of", total), 10, 20)
    >>> reading(5, 10), reading(10, 10), writing(1, 4), writing(4, 4)
    5 of 30
    10 of 30
    15 of 30
    30 of 30
    (None, None, None, None)
    """
    if progress is None:
        return [None for _ in sizes]
    starts = accumulate(sizes, initial=0)
    return [_stage(progress, start, size, sum(sizes)) for start, size in zip(starts, sizes, strict=False)]


def _stage(progress: Progress, start: int, size: int, total: int) -> Progress:
    return lambda done, inner: progress(start + (size * done // inner if inner else size), total)


def finish(progress: Progress | None, total: int) -> None:
    """Say that all is done: nobody counts what is skipped on the way, such as the bytes of a tensor that is missing."""
    if progress is not None:
        progress(total, total)
