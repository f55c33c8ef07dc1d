"""Types a command and then whatever is said to be next, to the end; nothing here knows what the commands are about."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from tfckpt.cli.main import build_parser, main

ROOT = Path(__file__).parents[2]
OURS = "tfckpt"
NEXT = re.compile(r"tfckpt [\w-]+: next: (.*)")
LOOKING = ("ls", "show", "tree", "verify", "diff", "layouts", "plan")  # commands of ours that change nothing
# Exit codes that are an answer: what was looked at differs, is damaged, or could not all be saved.
ANSWERS = (("verify", 1), ("diff", 1), ("salvage", 1))
SPEAKING_JSON = ("convert", "rewrite")
# What is typed in a shell; all else that is no command of ours is only shown: it would look, fetch or install.
TYPED = re.compile(r"sed |mv |mkdir |unzip |tar |python3 -m zipfile ")

EXPORT = f"{OURS} export "  # what it writes is no answer to a conversion, so it is only shown

DONE, SHOWN, REFUSED, DEAD_END = "done", "shown", "refused", "dead end"


@dataclass(frozen=True)
class Said:
    """What came of one command: its exit code, None if it ended in a traceback, and what it printed."""

    command: str
    code: int | None
    out: str = ""
    err: str = ""

    @property
    def lines(self) -> list[str]:
        """What it said on stderr."""
        return self.err.splitlines()

    @property
    def advice(self) -> str:
        """The command that it said to be next; of several, among which only a user can choose, the first."""
        lines = (NEXT.fullmatch(line) for line in self.lines)
        return next((match[1] for match in lines if match), "")

    @property
    def words(self) -> list[str]:
        """The words of a command of ours, without its name; none if it is none."""
        words = shlex.split(self.command)
        return words[1:] if words[0] == OURS and "|" not in words else []

    @property
    def name(self) -> str:
        """Which command of ours it is, if one."""
        return self.words[0] if self.words else ""

    @property
    def is_answer(self) -> bool:
        """Whether it did what it is there for."""
        return self.code == 0 or (self.name, self.code) in ANSWERS

    @cached_property
    def report(self) -> Any:
        """What it did, where it says so in JSON; None if nothing was done."""
        return json.loads(self.out) if self.code == 0 and "--json" in self.words else None


class Chain(NamedTuple):
    """Commands of which each but the first was said to be next, and how it ended: ``why`` says more of a dead end."""

    said: tuple[Said, ...]
    end: str
    why: str = ""


def type_in(command: str) -> Said:
    """Type a command: in this process if it is one of ours alone, else in a shell."""
    said = Said(command, None)
    if not said.words:
        return _in_a_shell(command)
    wanted = ["--json"] if said.name in SPEAKING_JSON and "--json" not in said.words else []
    argv = said.words + wanted
    out, err = io.StringIO(), io.StringIO()
    code: int | None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(argv)
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        except Exception:
            code = None
            traceback.print_exc()
    return Said(shlex.join([OURS, *argv]), code, out.getvalue(), err.getvalue())


def _in_a_shell(command: str) -> Said:
    ours = f'{OURS}() {{ {shlex.quote(sys.executable)} -m tfckpt "$@"; }}; '
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(
        ["sh", "-c", ours + command],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
        stdin=subprocess.DEVNULL,
    )
    return Said(command, done.returncode, done.stdout, done.stderr)


def follow(argv: Sequence[str], type_in: Callable[[str], Said] = type_in) -> Chain:
    """Type a command and what is said to be next until nothing is, or it leads nowhere.

    After a ``rewrite`` that says nothing, the command that failed is typed again for what was written.
    """
    waiting = [shlex.join([OURS, *argv])]
    said: list[Said] = []
    failed: Said | None = None
    while True:
        command = waiting.pop(0)
        if any(command == before.command for before in said):
            return Chain(tuple(said), DEAD_END, f"in a circle: {command}")
        is_ours = command.startswith(f"{OURS} ") and not command.startswith(EXPORT)
        if said and not is_ours and not TYPED.match(command):
            return Chain(tuple(said), SHOWN, command)
        latest = type_in(command)
        said.append(latest)
        if latest.code is None or "Traceback (most recent call last)" in latest.err:
            return Chain(tuple(said), DEAD_END, "a traceback")
        if not latest.is_answer:
            if failed is not None:
                return Chain(tuple(said), DEAD_END, "a second refusal")
            failed = latest
            if not latest.advice:
                return Chain(tuple(said), REFUSED)
        waiting = _next_commands(latest, failed, waiting)
        if not waiting:
            looked = len(said) > 1 and latest.name in LOOKING
            return Chain(tuple(said), SHOWN if looked else DONE)


def _next_commands(latest: Said, failed: Said | None, waiting: list[str]) -> list[str]:
    """Return what is to be typed then."""
    if latest.advice:
        parts = latest.advice.split(" && ")
        return parts if all(part.startswith(f"{OURS} ") for part in parts) else [latest.advice]
    if not waiting and failed is not None and latest.name == "rewrite":
        return [again(failed, latest)]
    return waiting


def again(failed: Said, rewritten: Said) -> str:
    """Return a command that failed, for what a rewrite made of its source."""
    parser = build_parser()
    source, dest = (parser.parse_args(said.words) for said in (failed, rewritten))
    words = failed.words
    words[words.index(source.source, 1)] = dest.dest
    return shlex.join([OURS, *words])
