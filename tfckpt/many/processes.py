"""Worker processes of which one may be killed: its job is done by another, and the other jobs do not notice.

A ``ProcessPoolExecutor`` breaks as a whole when one of its processes dies, as one does that runs out of memory. So each
process here is a pool of its own, fed by a thread, which replaces it when it breaks.

Ctrl-C reaches every process of a terminal at once. A worker takes it while it does a job; one that is starting, or between
two jobs, is told by its parent, through a pipe: so nothing begins after an interrupt.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from types import TracebackType
from typing import ParamSpec, TypeVar

from tfckpt.bundle.carry import cores
from tfckpt.errors import StorageError, UsageError
from tfckpt.storage.forks import ThreadLock

STOP = b"stop"
ATTEMPTS = 3  # a job that kills its process, say because memory does not suffice, would kill every one

_stopped = threading.Event()  # of a worker

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
        self._pools: list[tuple[ProcessPoolExecutor, Connection]] = []
        self._stopped = False
        self._lock = ThreadLock()  # what is submitted is told of a stop, or is not submitted
        self._mine = threading.local()
        self._threads = ThreadPoolExecutor(max(1, min(workers or cores(), most)), initializer=_block_interrupts)

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a process call ``function``; all of it must pickle."""
        return self._threads.submit(self._run, function, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes when they are done."""
        self._threads.shutdown(wait, cancel_futures=cancel_futures)
        for pool, orders in self._pools:
            pool.shutdown(wait)
            orders.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the processes: when they are done, or at once if an interrupt ends the block."""
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            with self._lock:
                self._stopped = True
                for _, orders in self._pools:
                    with suppress(OSError):  # the process is gone
                        orders.send_bytes(STOP)
        self.shutdown(cancel_futures=self._stopped)

    def _run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        for _ in range(ATTEMPTS):
            with suppress(BrokenProcessPool):
                with self._lock:
                    if self._stopped:
                        raise CancelledError
                    future = self._pool().submit(_interruptible, function, *args, **kwargs)
                return future.result()
            self._mine.pool = None
        raise StorageError(
            f"its process was killed, {ATTEMPTS} times in a row; is there memory enough, and can a process import the "
            "program that calls? One from stdin it cannot"
        )

    def _pool(self) -> ProcessPoolExecutor:
        """Return this thread's process."""
        pool: ProcessPoolExecutor | None = getattr(self._mine, "pool", None)
        if pool is None:
            context = multiprocessing.get_context("spawn")
            theirs, ours = context.Pipe(duplex=False)
            pool = ProcessPoolExecutor(1, context, _start, (theirs,))
            self._mine.pool = pool
            self._pools.append((pool, ours))
        return pool


def _block_interrupts() -> None:
    """Have the processes that this thread starts begin without interrupts: one that is starting would print where it was."""
    resource_tracker.ensure_running()  # whose start would let them through again
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def _start(orders: Connection) -> None:
    """Prepare a worker process: an interrupt ends its job, not its waiting; and it does not outlive its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    if orders.poll():  # it was stopped before it had started
        _stopped.set()
    threading.Thread(target=_obey, args=(orders,), daemon=True).start()


def _obey(orders: Connection) -> None:
    with suppress(EOFError, OSError):
        while orders.recv_bytes() == STOP:
            _stopped.set()
            os.kill(os.getpid(), signal.SIGINT)  # for the job; it is ignored while there is none
    os._exit(
        1
    )  # the parent was killed: nobody waits for what we do, and the pool's own queue would be waited for forever


def _interruptible(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        if _stopped.is_set():
            raise KeyboardInterrupt
        return function(*args, **kwargs)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
