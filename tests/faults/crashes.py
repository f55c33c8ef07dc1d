"""Spoils every call that changes files, of every command, in every way, and looks at what is left.

    python -m faults.crashes [--layer python|c] [--short] [--every N] [--keep DIR]

Each attempt is a fork of this process. Afterwards the destination must be the old checkpoint, whole, or the new one, whole;
no source may be touched; and the command, run again, must succeed and leave the files that a quiet run leaves, no others.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import json
import logging
import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import tfckpt
from faults.commands import COMMANDS, DEST, Command
from faults.layers import FAIL, FAULTS, INTERRUPT, KILL, NOTHING, SHORT, CLayer, Fault, Layer, PythonLayer
from tfckpt.checkpoint.state_file import read_state
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
    layer.arm(str(directory / "out"), at, fault)
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
        keep: gets a copy of every state that is found, for another judge.
    """

    def __init__(self, command: Command, layer: Layer, work: Path, keep: Path | None = None) -> None:
        self.command, self.layer, self.work, self.keep = command, layer, work, keep
        self.template = work / "template"
        self.template.mkdir()
        self._quietly(command.prepare, self.template)
        self.old, self.old_tree, self.source = self._look(self.template)
        quiet = self._copy()
        ending = attempt(command.run, quiet, layer)
        assert ending.code == DONE, ending
        self.calls = ending.calls
        self.new, self.new_tree, _ = self._look(quiet)
        assert self.new != self.old or "state" in command.name
        assert not leftovers(quiet), leftovers(quiet)

    def try_all(self, faults: tuple[Fault, ...] = FAULTS, every: int = 1) -> collections.Counter[tuple[str, str]]:
        """Try each call and each fault; return how often each ended how."""
        found: collections.Counter[tuple[str, str]] = collections.Counter()
        for fault in faults:
            for at in range(0, len(self.calls) + (fault.action == KILL), every):
                if fault.action == SHORT and not self._is_transfer(at):
                    continue
                found[fault.name, self.try_one(at, fault)] += 1
        return found

    def try_one(self, at: int, fault: Fault) -> str:
        """Spoil one call; return what became of the destination."""
        place = f"{self.command.name}: {fault.name} at call {at}"
        directory = self._copy()
        ending = attempt(self.command.run, directory, self.layer, at, fault)
        assert ending.code != BROKEN, f"{place}: {ending.message}"
        state, files, source = self._look(directory)
        assert source == self.source, f"{place}: a source was touched"
        assert state in (self.old, self.new), f"{place}: neither old nor new: {sorted(files)}"
        assert ending.code != DONE or state == self.new, f"{place}: success is said of {sorted(files)}"
        if not ending.killed and fault.action in (FAIL, INTERRUPT):
            self._check_clean(place, directory, ending, may_stay=(fault.action, self.calls[at]) == (FAIL, "unlink"))
        self._keep(directory, files)
        self._run_again(place, directory, is_new=state == self.new)
        shutil.rmtree(directory)
        return "new" if state == self.new else "old" if state is not None else "absent"

    def _check_clean(self, place: str, directory: Path, ending: Ending, *, may_stay: bool) -> None:
        """After an error nothing temporary is left, but of what the system refused to remove; and the old is as it was."""
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
            assert latest.all_model_checkpoint_paths == ("older", "model"), latest
        return state, tree(directory / "out"), touched(directory)

    def _is_transfer(self, at: int) -> bool:
        return at < len(self.calls) and ("write" in self.calls[at] or self.calls[at] == "copy_file_range")

    def _copy(self) -> Path:
        directory = Path(tempfile.mkdtemp(dir=self.work)) / "d"
        shutil.copytree(self.template, directory, copy_function=_copy_or_link)
        return directory

    def _quietly(self, run: Callable[[Path], None], directory: Path) -> None:
        ending = attempt(run, directory, self.layer)
        assert ending.code == DONE, ending

    def _keep(self, directory: Path, files: Tree) -> None:
        if self.keep is None or not (directory / f"{DEST}.index").exists():
            return
        target = self.keep / _digest(repr(sorted(files.items())).encode())
        if not target.exists():
            shutil.copytree(directory / "out", target)


def _copy_or_link(source: str, target: str) -> None:
    """Files with several names get one more: what shares bytes goes on to do so."""
    if os.stat(source).st_nlink > 1:
        os.link(source, target)
    else:
        shutil.copy2(source, target)


def leftovers(directory: Path) -> set[str]:
    """Return the temporary files and locks that are there."""
    return {str(path.relative_to(directory / "out")) for path in directory.rglob("*") if ".tfckpt-" in path.name}


def main() -> int:
    """Try what is asked for; print the figures as a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--layer", choices=("python", "c"), default="python")
    parser.add_argument("--short", action="store_true", help="only the small commands")
    parser.add_argument("--only", default="", metavar="TEXT", help="only commands with this in the name")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="spoil every N-th call")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="copy every state that is found there")
    args = parser.parse_args()
    layer: Layer = PythonLayer() if args.layer == "python" else CLayer(os.environ["LD_PRELOAD"])
    total: collections.Counter[tuple[str, str]] = collections.Counter()
    for command in COMMANDS:
        if (args.short and command.large) or args.only not in command.name:
            continue
        with tempfile.TemporaryDirectory() as work:
            schedule = Schedule(command, layer, Path(work), args.keep)
            found = schedule.try_all(every=args.every)
        total += found
        print(f"{command.name}: {len(schedule.calls)} calls, {found.total()} attempts", flush=True)
    for fault in FAULTS:
        ends = {state: number for (name, state), number in sorted(total.items()) if name == fault.name}
        print(f"| {layer.name} | {fault.name} | {sum(ends.values()):,} | {ends} |")
    print(f"attempts: {total.total()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
