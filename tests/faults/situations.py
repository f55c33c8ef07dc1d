"""What happens around a command: a disk that fills up, a directory that is not to be written to, others who write meanwhile.

As in schedule.py each attempt is a fork, and afterwards the destination must be whole. Where there is a call to wait for, it
happens before each call in turn: of those that change files under the destination, or that look at the source.
"""

from __future__ import annotations

import collections
import itertools
import math
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import tfckpt
from faults.commands import DEST, Command, tensors
from faults.layers import ACT, Fault, SourceLayer
from faults.schedule import BROKEN, DONE, REFUSED, Ending, Schedule, attempt, contents, leftovers, tree
from tfckpt.errors import TfckptError

MOST_CALLS = (
    25  # that a change of the source comes before, spread over all: there are hundreds, most for one tensor each
)
NOBODY = 65534
OTHERS = 9  # the seed of what another writer writes

Found = collections.Counter[str]


class Situation(NamedTuple):
    """A situation, and how it is tried; every N-th call or page."""

    name: str
    try_all: Callable[[Schedule, int], Found]
    concerns: Callable[[Command], bool] = lambda command: True
    mounts: bool = False  # needs a file system of its own, and so the right to mount one


@contextmanager
def small_disk() -> Iterator[Path]:
    """Mount a tmpfs of 16 MB."""
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", directory], check=True)
        try:
            yield Path(directory)
        finally:
            subprocess.run(["umount", directory], check=True)


def _full_disk(schedule: Schedule, every: int) -> Found:
    """Leave no page free, then one, and so on until the command can end."""
    found: Found = collections.Counter()
    page = os.statvfs(schedule.work).f_frsize
    for pages in itertools.count(0, every):
        directory, filler = schedule.copy(), schedule.work / "filler"
        with open(filler, "wb") as file:
            taken = os.statvfs(schedule.work).f_bavail - pages
            os.posix_fallocate(file.fileno(), 0, taken * page)
        ending = attempt(schedule.command.run, directory, schedule.layer)
        filler.unlink()
        place = f"{schedule.command.name}: {pages} pages free"
        schedule.check_clean(place, directory, ending)
        found[schedule.judge(place, directory, ending)] += 1
        if ending.code == DONE:
            return found
        assert "No space left on device" in ending.message, f"{place}: {ending}"
    raise AssertionError


def _read_only(schedule: Schedule, every: int) -> Found:
    """Let somebody run the command who may write nowhere."""
    directory = schedule.copy()
    before = tree(directory)
    for path in (schedule.work, directory.parent, directory, directory / "out"):
        if path.exists():
            path.chmod(0o555)

    def run(directory: Path) -> None:
        if not os.geteuid():
            os.seteuid(NOBODY)
        schedule.command.run(directory)

    ending = attempt(run, directory, schedule.layer)
    for path in (schedule.work, directory.parent, directory, directory / "out"):
        if path.exists():
            path.chmod(0o755)
    assert (ending.code, "Permission denied" in ending.message) == (REFUSED, True), ending
    assert tree(directory) == before
    return collections.Counter([schedule.judge(f"{schedule.command.name}: read-only", directory, ending)])


def _write_inside(path: Path) -> None:
    middle = path.stat().st_size // 2
    with open(path, "r+b") as file:
        file.seek(middle)
        byte = file.read(1)
        file.seek(middle)
        file.write(bytes([byte[0] ^ 0xFF]))


def _replace(path: Path) -> None:
    Path(shutil.copy(path, f"{path}.new")).replace(path)


KINDS = ("index", "data-*", "npz")  # of files of a source, as globs of their suffixes
CHANGES: dict[str, Callable[[Path], object]] = {
    "source truncated": lambda path: os.truncate(path, path.stat().st_size // 2),
    "source removed": lambda path: path.unlink(missing_ok=True),
    "source written in place": _write_inside,
    "source appended to": lambda path: os.truncate(path, path.stat().st_size + 1),
    "source replaced": _replace,
}


def _changing(change: Callable[[Path], object]) -> Callable[[Schedule, int], Found]:
    """Return what changes an index, a data file, or an archive, before each call that looks at a source."""

    def try_all(schedule: Schedule, every: int) -> Found:
        found: Found = collections.Counter()
        calls = attempt(schedule.command.run, schedule.copy(), SourceLayer()).calls
        assert calls.count("pread") > 1, calls
        step = every * math.ceil(len(calls) / MOST_CALLS)
        for at, kind in itertools.product(range(len(calls) - 1, -1, -step), KINDS):
            directory = schedule.copy()
            path = max((directory / "source").glob(f"*.{kind}"), default=None)
            if path is None:
                continue
            fault = Fault(kind, ACT, act=lambda path=path: change(path))  # type: ignore[misc]
            ending = attempt(schedule.command.run, directory, SourceLayer(), at, fault)
            found[_judge_of_changed(schedule, f"{schedule.command.name}: {kind} at call {at}", directory, ending)] += 1
        return found

    return try_all


def _judge_of_changed(schedule: Schedule, place: str, directory: Path, ending: Ending) -> str:
    """Return what became of the destination: a source that is not whole leaves the old one, unless salvage is asked for."""
    assert not ending.killed, f"{place}: {ending}"
    assert ending.code in (DONE, REFUSED), f"{place}: {ending.message}"
    schedule.check_clean(place, directory, ending)
    state = contents(directory / DEST)
    if schedule.command.name == "salvage" and ending.code == DONE:
        assert state is not None
        assert schedule.new is not None
        assert state.items() <= schedule.new.items(), place
        state = schedule.new
    expected = (schedule.new,) if ending.code == DONE else (schedule.old, schedule.new)  # proofs come after the commit
    assert state in expected, f"{place}: {ending}"
    shutil.rmtree(directory.parent)
    return schedule.name_of(state)


class OtherWriter:
    """A process that writes another checkpoint to the same place when it is told to."""

    def __init__(self, directory: Path) -> None:
        self._said = directory.parent / "said"
        start, self._start = os.pipe()
        self._end, end = os.pipe()
        self._child = os.fork()
        if not self._child:
            os.close(self._start)
            if os.read(start, 1):
                self._said.write_text(str(self._write(directory)))
            os._exit(0)
        os.close(start)
        os.close(end)

    @staticmethod
    def _write(directory: Path) -> int:
        try:
            tfckpt.save(directory / DEST, tensors(OTHERS), overwrite=True)
        except TfckptError as error:
            return REFUSED if "another process is writing it" in str(error) else BROKEN
        return DONE

    def go(self) -> None:
        """Have it write, and wait for its end."""
        os.write(self._start, b"!")
        os.read(self._end, 1)

    def finish(self) -> int:
        """Return how it ended."""
        os.close(self._start)
        os.close(self._end)
        os.waitpid(self._child, 0)
        return int(self._said.read_text())


def _second_writer(schedule: Schedule, every: int) -> Found:
    """Have another process write the same prefix before each call: it is refused, or one of the two is there, whole."""
    found: Found = collections.Counter()
    directory = schedule.copy()
    tfckpt.save(directory / DEST, tensors(OTHERS), overwrite=True)
    theirs = contents(directory / DEST)
    for at in range(0, len(schedule.calls), every):
        place = f"{schedule.command.name}: another writer at call {at}"
        directory = schedule.copy()
        other = OtherWriter(directory)
        ending = attempt(
            schedule.command.run, directory, schedule.layer, at, Fault("another writer", ACT, act=other.go)
        )
        code, state = other.finish(), contents(directory / DEST)
        assert (code in (DONE, REFUSED), ending.code in (DONE, REFUSED)) == (True, True), f"{place}: {code}, {ending}"
        assert not leftovers(directory), place
        if code == REFUSED:
            assert (ending.code, state) == (DONE, schedule.new), place
        else:
            assert state in (schedule.new, theirs), place
        found["new" if state == schedule.new else "the other's"] += 1
        shutil.rmtree(directory.parent)
    return found


SITUATIONS = (
    Situation("full disk", _full_disk, mounts=True),
    Situation("read-only directory", _read_only),
    *(Situation(name, _changing(change), lambda command: command.reads) for name, change in CHANGES.items()),
    Situation("two writers", _second_writer, lambda command: command.name != "update a state file"),
)
