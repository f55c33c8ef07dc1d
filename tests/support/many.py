"""What worker processes of the tests do: functions that another process finds by their names.

They import late: a process that is only to die needs no NumPy.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.patience import PATIENCE

if TYPE_CHECKING:
    from tfckpt.many.many import Outcome


SLEEP = 2 * PATIENCE  # seconds: longer than anyone waits


def touch_and_sleep(path: str) -> None:
    """Show that it has begun, and go on for long."""
    Path(path).touch()
    time.sleep(SLEEP)


def die() -> None:
    """Kill this process, as the operating system does when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_once(marker: str) -> int:
    """Kill this process, but not the next one that comes here; return that one's id."""
    if not Path(marker).exists():
        Path(marker).touch()
        die()
    return os.getpid()


def run_job_dying_at(path: str, marker: str, job: dict[str, Any]) -> Outcome:
    """Do a job; but the first process that is about to give a file the name ``path`` is killed."""
    from tfckpt.many.many import run_job

    replace = os.replace

    def die_or_replace(temporary: str, name: str) -> None:
        if name == path:
            die_once(marker)
        replace(temporary, name)

    os.replace = die_or_replace  # type: ignore[assignment]
    return run_job(job)


def execute_pickled(pickled: bytes, dest: str) -> None:
    """Carry out a plan that was made elsewhere."""
    from tfckpt.bundle.tensor_reader import open_reader
    from tfckpt.execution.run import execute

    plan = pickle.loads(pickled)
    reader = open_reader(plan.source, None)
    execute(plan, reader, dest)
    reader.close()


def hold_at(path: str, fifo: str) -> None:
    """Have the first process that is about to give a file the name ``path`` tell its id through a FIFO, and do no more."""
    replace = os.replace

    def hold(temporary: str, name: str) -> None:
        if name == path and _is_first(f"{fifo}.held"):
            Path(fifo).write_text(str(os.getpid()))
            threading.Event().wait()
        replace(temporary, name)

    os.replace = hold  # type: ignore[assignment]


def _is_first(marker: str) -> bool:
    try:
        Path(marker).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
