"""Writes docs/errors.md: ``tests/teaching/run``. Each failure is provoked, and the page shows what was said."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import ModuleType
from unittest import mock

from teaching import stage
from teaching.cases import GROUPS, Case
from tfckpt.cli.main import main

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "errors.md"
INTRODUCTION = """# Error messages: what went wrong, and what to type next

If `tfckpt` fails, it writes a line to stderr for each reason. The line says where the mistake is, what was expected, what was
there, and what you probably meant. The exit code is 1, and nothing is left behind. If there is an obvious next step, the last
line gives it after `next:`: your command with the mistake fixed, or a command that shows what is there.

`tests/teaching/run` wrote this page: it makes each of these mistakes and shows the messages. The tests make the same mistakes
again, and run each command after `next:`.
"""


@dataclass(frozen=True)
class Said:
    """What a command said: its exit code, its lines on stderr, and the command that it said to be next."""

    code: int
    out: str
    lines: tuple[str, ...]

    @property
    def advice(self) -> str:
        match = re.fullmatch(r"tfckpt [\w-]+: next: (.*)", self.lines[-1]) if self.lines else None
        return match[1] if match else ""


def provoke(case: Case, directory: Path) -> Said:
    """Make what a case is about in a directory, which is the current one, and run its command there."""
    argv = shlex.split(case.line)
    if case.apart:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(directory / "site"), str(ROOT)])}
        command = [sys.executable, "-m", "tfckpt", *argv]
        done = subprocess.run(command, check=False, env=environment, cwd=directory, capture_output=True, text=True)
        return Said(done.returncode, done.stdout, tuple(done.stderr.splitlines()))
    with lacking(case.lacks):
        return run_here(argv)


def run_here(argv: Sequence[str]) -> Said:
    """Run a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(argv)
    return Said(code, out.getvalue(), tuple(err.getvalue().splitlines()))


class _Missing(MetaPathFinder):
    """Says of one package what Python says where it is not installed."""

    def __init__(self, package: str) -> None:
        self.package = package

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if name.partition(".")[0] == self.package:
            raise ModuleNotFoundError(f"No module named {self.package!r}", name=self.package)


@contextlib.contextmanager
def lacking(package: str) -> Iterator[None]:
    """Run a block as if a package were not installed."""
    if not package:
        yield
        return
    names = [name for name in sys.modules if name.partition(".")[0] == package]
    hidden = {name: sys.modules.pop(name) for name in names}  # what else is imported meanwhile stays
    try:
        with mock.patch.object(sys, "meta_path", [_Missing(package), *sys.meta_path]):
            yield
    finally:
        sys.modules.update(hidden)


def said_in(case: Case) -> Said:
    """Return what is said of a case, made in a directory of its own."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        try:
            stage.bert(Path(directory))
            case.make(Path(directory))
            return provoke(case, Path(directory))
        finally:
            os.chdir(before)


def section(case: Case, said: Said) -> str:
    """Return what the page has of a case."""
    lines = "\n".join(said.lines)
    return f"### {case.what}\n\n```text\n$ tfckpt {case.line}\n{lines}\n```\n"


def anchor(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def page() -> str:
    """Return the whole page."""
    told = {case: said_in(case) for group in GROUPS for case in group.cases}
    parts = [INTRODUCTION, "| what it was | next |\n|---|---|"]
    for case, said in told.items():
        advice = f"`{said.advice}`".replace("|", "\\|") if said.advice else ""
        parts[-1] += f"\n| [{case.what}](#{anchor(case.what)}) | {advice} |"
    parts[-1] += "\n"
    for group in GROUPS:
        parts += [f"## {group.heading}\n", *(section(case, told[case]) for case in group.cases)]
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
