"""Worker processes of which one may be killed: its job is done by another, and the other jobs do not notice.

A ``ProcessPoolExecutor`` breaks as a whole when one of its processes dies, as one does that runs out of memory. So each
process here is a pool of its own, fed by a thread, which replaces it when it breaks.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from typing import ParamSpec, TypeVar

from tfckpt.errors import StorageError, UsageError

ATTEMPTS = 3  # a job that kills its process, say because memory does not suffice, would kill every one

P = ParamSpec("P")
T = TypeVar("T")


class Processes(Executor):
    """An executor of processes that start afresh (``spawn``), so that threads and locks of this one do not matter.

    Args:
        workers: how many; None for as many as there are cores that this process may use.
        most: no more than that, since there are no more jobs.
    Raises: UsageError.
    """

    def __init__(self, workers: int | None = None, *, most: int) -> None:
        if workers is not None and workers < 1:
            raise UsageError(f"number of worker processes: expected 1 or more, got {workers}")
        self._pools: list[ProcessPoolExecutor] = []
        self._mine = threading.local()
        self._threads = ThreadPoolExecutor(max(1, min(workers or _cores(), most)))

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a process call ``function``; all of it must pickle."""
        return self._threads.submit(self._run, function, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes when they are done."""
        self._threads.shutdown(wait, cancel_futures=cancel_futures)
        for pool in self._pools:
            pool.shutdown(wait)

    def _run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        for _ in range(ATTEMPTS):
            with suppress(BrokenProcessPool):
                return self._pool().submit(_interruptible, function, *args, **kwargs).result()
            self._mine.pool = None
        raise StorageError(f"its process was killed, {ATTEMPTS} times in a row; is there memory enough?")

    def _pool(self) -> ProcessPoolExecutor:
        """Return this thread's process."""
        pool: ProcessPoolExecutor | None = getattr(self._mine, "pool", None)
        if pool is None:
            pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _start)
            self._mine.pool = pool
            self._pools.append(pool)
        return pool


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _start() -> None:
    """Prepare a worker process: an interrupt ends its job, not its waiting; and it does not outlive its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)  # it was killed: nobody waits for what we do, and the pool's own queue would be waited for without end


def _interruptible(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return function(*args, **kwargs)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
