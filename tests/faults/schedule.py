"""All calls of one command that change files: each is spoiled in an attempt of its own, and what is left is looked at.

Each attempt is a fork of this process. Afterwards the destination must be the old checkpoint, whole, or the new one, whole;
no source may be touched; and where there are other files than before or than after a quiet run, and after every kill, the
command, run again, must succeed and leave what a quiet run leaves.
"""

from __future__ import annotations

import collections
import hashlib
import json
import logging
import os
import shutil
import tempfile
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import tfckpt
from faults.commands import DEST, Command
from faults.layers import FAIL, INTERRUPT, KILL, NOTHING, SHORT, Fault, Layer
from tfckpt.checkpoint.find.state_file import read_state
from tfckpt.errors import CheckpointExistsError, CheckpointNotFoundError, TfckptError

DONE, REFUSED, BROKEN, INTERRUPTED = 0, 3, 4, 5  # exit codes of an attempt

Contents = dict[str, Any]
Tree = dict[str, str]


class Ending(NamedTuple):
    """How an attempt ended."""

    killed: bool
    code: int
    message: str
    calls: list[str]


def contents(prefix: Path) -> Contents | None:
    """Return all that a checkpoint says, every byte compared with its checksum; None if there is none."""
    try:
        checkpoint = tfckpt.open(prefix, format="v2")
    except CheckpointNotFoundError:
        assert not os.path.lexists(f"{prefix}.index")
        return None
    with checkpoint:
        checkpoint.verify()
        checkpoint.reader.check_files()
        return {name: (str(a.dtype), a.shape, _digest(a.tobytes() if a.dtype != object else repr(a.tolist()).encode()))
                for name, a in checkpoint.items()}  # fmt: skip


def tree(directory: Path) -> Tree:
    """Return every file's content, by name."""
    files = (path for path in sorted(directory.rglob("*")) if path.is_file())
    return {str(path.relative_to(directory)): _digest(path.read_bytes()) for path in files}


def touched(directory: Path) -> Tree:
    """Return what a look at the sources must show unchanged; their count of links is not of that kind."""
    status = {path: path.stat() for path in sorted((directory / "source").rglob("*")) if path.is_file()}
    return {path.name: f"{_digest(path.read_bytes())} {s.st_mtime_ns} {s.st_mode}" for path, s in status.items()}


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def attempt(run: Callable[[Path], None], directory: Path, layer: Layer, at: int = -1, fault: Fault = NOTHING) -> Ending:
    """Run in a fork, its ``at``-th call spoiled."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        _in_child(run, directory, layer, at, fault, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    status = os.waitpid(child, 0)[1]
    killed = os.WIFSIGNALED(status)
    message, calls = json.loads(said) if said else ("", [])
    return Ending(killed, -1 if killed else os.WEXITSTATUS(status), message, calls)


def _in_child(run: Callable[[Path], None], directory: Path, layer: Layer, at: int, fault: Fault, writing: int) -> None:
    code, message = DONE, ""
    logging.disable()
    layer.arm(str(directory / layer.under), at, fault)
    try:
        run(directory)
    except TfckptError as error:
        code, message = REFUSED, f"{type(error).__name__}: {error}"
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BaseException:
        code, message = BROKEN, traceback.format_exc()
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(json.dumps((message, layer.calls())).encode())
    os._exit(code)


class Schedule:
    """All attempts of one command.

    Args:
        work: an empty directory.
        keep: gets a copy of what killed attempts left, of the old destination and of the new one, for another judge.
    """

    def __init__(self, command: Command, layer: Layer, work: Path, keep: Path | None = None) -> None:
        self.command, self.layer, self.work, self.keep = command, layer, work, keep
        self.template = work / "template"
        self.template.mkdir()
        command.prepare(self.template)
        command.run(self.copy())  # here, so that forks find everything imported
        assert threading.active_count() == 1, "a thread would not be in the forks"
        self.old, self.old_tree, self.source = self._look(self.template)
        quiet = self.copy()
        ending = attempt(command.run, quiet, layer)
        assert ending.code == DONE, ending
        self.calls = ending.calls
        self.new, self.new_tree, _ = self._look(quiet)
        self._keep("old", self.template)
        self._keep("new", quiet)
        assert self.new != self.old or "state" in command.name
        assert not leftovers(quiet), leftovers(quiet)

    def try_all(self, fault: Fault, every: int = 1) -> collections.Counter[str]:
        """Try each call; return how often the destination was how."""
        found: collections.Counter[str] = collections.Counter()
        for at in range(0, len(self.calls) + (fault.action == KILL), every):
            if fault.action != SHORT or self._is_transfer(at):
                found[self.try_one(at, fault)] += 1
        return found

    def try_one(self, at: int, fault: Fault) -> str:
        """Spoil one call; return what became of the destination."""
        place = f"{self.command.name}: {fault.name} at call {at}"
        directory = self.copy()
        ending = attempt(self.command.run, directory, self.layer, at, fault)
        if fault.action == KILL:
            self._keep(str(at), directory)
        if not ending.killed and fault.action in (FAIL, INTERRUPT):
            self.check_clean(place, directory, ending, may_stay=(fault.action, self.calls[at]) == (FAIL, "unlink"))
        return self.judge(place, directory, ending)

    def judge(self, place: str, directory: Path, ending: Ending) -> str:
        """Return what became of the destination, once it is known to be whole and the command to work again."""
        assert ending.code != BROKEN, f"{place}: {ending.message}"
        state, files, source = self._look(directory)
        assert source == self.source, f"{place}: a source was touched"
        assert state in (self.old, self.new), f"{place}: neither old nor new: {sorted(files)}"
        assert ending.code != DONE or state == self.new, f"{place}: success is said of {sorted(files)}"
        if ending.killed or files not in (self.old_tree, self.new_tree):
            self._run_again(place, directory, is_new=state == self.new)
        shutil.rmtree(directory.parent)
        return self.name_of(state)

    def name_of(self, state: Contents | None) -> str:
        """Return what a table calls a state."""
        return "new" if state == self.new else "old" if state is not None else "absent"

    def check_clean(self, place: str, directory: Path, ending: Ending, *, may_stay: bool = False) -> None:
        """Check that an error left nothing temporary, but for what the system refused to remove, and the old as it was."""
        left = leftovers(directory)
        assert len(left) <= may_stay, f"{place}: {left}"
        if ending.code != DONE and contents(directory / DEST) == self.old:
            found = {name: content for name, content in tree(directory / "out").items() if name not in left}
            assert found == self.old_tree, f"{place}: {sorted(found)}, not {sorted(self.old_tree)}"

    def _run_again(self, place: str, directory: Path, *, is_new: bool) -> None:
        ending = attempt(self.command.run, directory, self.layer)
        if is_new and not self.command.overwrites:
            assert ending.message.startswith(CheckpointExistsError.__name__), f"{place}: {ending}"
        else:
            assert ending.code == DONE, f"{place}: again: {ending}"
        state, files, source = self._look(directory)
        assert state == self.new, f"{place}: again: not the new one"
        assert source == self.source, f"{place}: again: a source was touched"
        assert files == self.new_tree, f"{place}: again: {sorted(files)}, not {sorted(self.new_tree)}"

    def _look(self, directory: Path) -> tuple[Contents | None, Tree, Tree]:
        state = contents(directory / DEST)
        latest = read_state(str(directory / "out")) if (directory / "out").exists() else None
        if self.command.name == "update a state file":
            state = {"latest": latest}
        elif latest is not None:
            assert sorted(latest.all_model_checkpoint_paths) == ["model", "older"], latest
        return state, tree(directory / "out"), touched(directory)

    def _is_transfer(self, at: int) -> bool:
        return at < len(self.calls) and ("write" in self.calls[at] or self.calls[at] == "copy_file_range")

    def copy(self) -> Path:
        """Return a new directory, in which nothing has happened yet."""
        directory = Path(tempfile.mkdtemp(dir=self.work)) / "d"
        shutil.copytree(self.template, directory, copy_function=_copy_or_link)
        return directory

    def _keep(self, name: str, directory: Path) -> None:
        if self.keep is not None:
            (self.keep / name).mkdir(parents=True)
            if (directory / "out").exists():
                shutil.copytree(directory / "out", self.keep / name, dirs_exist_ok=True)


def _copy_or_link(source: str, target: str) -> None:
    """Files with several names get one more: what shares bytes goes on to do so."""
    if os.stat(source).st_nlink > 1:
        os.link(source, target)
    else:
        shutil.copy2(source, target)


def leftovers(directory: Path) -> set[str]:
    """Return the temporary files and locks that are there."""
    return {str(path.relative_to(directory / "out")) for path in directory.rglob("*") if ".tfckpt-" in path.name}
