"""Pages of the documentation, taken at their word: their blocks run in order, and print what the page shows.

What a page may hold:

    ```python      runs; a ```text block right after it is what it prints
    ```console     each line behind ``$ `` is a command, the lines below it what it shows on a terminal 100 columns wide
    four spaces    each line is a command, as in the README
    ```csv title="manifest.csv"     and any other language with a title: the file of that name, there from the beginning;
                   Python with a title runs only by a command

``...`` stands for any text in a line, and alone for any lines. A command succeeds unless a comment behind it says ``exit code
1``. One that does not run here says ``not run by the tests`` there. A heading begins a section; a section that
imports TensorFlow or Model Garden, or uses what such a section made, needs them for all its blocks. A section that imports
PyTorch or JAX does not run here.
"""

from __future__ import annotations

import ast
import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from support.patience import PATIENCE
from tfckpt.cli.main import main

ROOT = Path(__file__).parents[2]
COLUMNS = 100
NOT_RUN = "not run by the tests"
# Parts of commands that a page's test leaves out: they make the environment that tests run in, or are programs of the
# project that take minutes, each with tests of its own.
ELSEWHERE = ("pip ", "python3 -m venv ", ". venv/", "pytest", "tests/", "python -m benchmarks", "mkdocs ")
EXIT_CODE = re.compile(r"#.*\bexit code (\d+)")
FENCE = re.compile(r"```(\w*) *(?:title=\"(.*)\")?(.*)")
TENSORFLOW = {"tensorflow", "official", "tf_keras"}
OTHERS = {"torch", "jax"}  # frameworks that get processes of their own, in tests/test_frameworks.py


@dataclass(frozen=True)
class Block:
    """A block of code: its language, or ``indented``; its title; its text; its first line and the number of its section."""

    kind: str
    title: str
    text: str
    line: int
    section: int


@dataclass(frozen=True)
class Command:
    """A command of a page, what the page shows of its output (nothing: not shown), and its exit code."""

    text: str
    shown: tuple[str, ...] = ()

    @property
    def code(self) -> int:
        found = EXIT_CODE.search(self.text)
        return int(found[1]) if found else 0

    @property
    def runs(self) -> bool:
        return NOT_RUN not in self.text and bool(self.parts)

    @property
    def parts(self) -> list[str]:
        """What is left to run, without what makes the environment."""
        return [part for part in self.text.split(" && ") if not part.startswith(ELSEWHERE)]


@dataclass(frozen=True)
class Page:
    """A page by its path below the project."""

    name: str

    @property
    def text(self) -> str:
        return (ROOT / self.name).read_text(encoding="utf-8")

    @property
    def blocks(self) -> list[Block]:
        return list(_blocks(self.text.splitlines()))

    @property
    def tensorflow_sections(self) -> set[int]:
        """Numbers of the sections that import TensorFlow, or use what such a section made."""
        return self.sections_with(TENSORFLOW)

    def sections_with(self, packages: set[str]) -> set[int]:
        """Return the numbers of the sections that import one of the packages, or use what such a section made."""
        chosen: set[int] = set()
        made: set[str] = set()
        blocks = [block for block in self.blocks if block.kind == "python"]
        for section, group in groupby(blocks, lambda block: block.section):
            names = [_names(block.text) for block in group]
            bound = set[str]().union(*(names for names, _ in names))
            used = set[str]().union(*(names for _, names in names)) - bound
            if packages & bound or made & used:
                chosen.add(section)
                made |= bound
        return chosen

    @property
    def commands(self) -> list[Command]:
        return [command for block in self.blocks for command in commands(block)]


def _blocks(lines: list[str]) -> Iterator[Block]:
    section, number, before = 0, 0, ""
    while number < len(lines):
        line, start = lines[number], number
        if line.startswith("#"):
            section += 1
        if found := FENCE.fullmatch(line):
            assert not found[3], f"a fence that no test understands: {line}"
            number = lines.index("```", number + 1)
            yield Block(found[1], found[2] or "", "\n".join(lines[start + 1 : number]), start + 1, section)
        elif line.startswith("    ") and not before:
            while number + 1 < len(lines) and lines[number + 1].startswith("    "):
                number += 1
            yield Block("indented", "", "\n".join(text[4:] for text in lines[start : number + 1]), start + 1, section)
        before = lines[number]
        number += 1


def _names(source: str) -> tuple[set[str], set[str]]:
    """Return the names that a block of Python binds, and those that it uses; of an import also the package."""
    bound: set[str] = set()
    used: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            bound.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            bound |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            bound |= {module.partition(".")[0] for module in modules}
    return bound, used


def commands(block: Block) -> list[Command]:
    """Return the commands of a block; a line that ends in a backslash goes on."""
    text = block.text.replace("\\\n", "")
    if block.kind == "indented":
        return [Command(line.strip()) for line in text.splitlines() if not line.startswith("#")]
    if block.kind != "console":
        return []
    nothing, *parts = re.split(r"^\$ ", text, flags=re.MULTILINE)
    assert not nothing, f"output before the first command: {nothing}"
    return [Command(first, tuple(shown)) for first, *shown in (part.splitlines() for part in parts)]


def run(page: Page, directory: Path, tensorflow: bool) -> dict[str, Any]:
    """Run a page's blocks in a directory, which is the current one; return the names that its Python defines.

    Args:
        page: what to run.
        directory: where the files are that the page speaks of.
        tensorflow: run everything down to the last section that needs TensorFlow; if false, every section that does not.
    """
    chosen, scope = page.tensorflow_sections, {"__name__": "page"}
    left = page.sections_with(OTHERS) | (set() if tensorflow else chosen)
    blocks = [b for b in page.blocks if b.section not in left and (not tensorflow or b.section <= max(chosen))]
    for block in page.blocks:
        if block.title:
            path = directory / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{block.text}\n", encoding="utf-8")
    for block, after in zip(blocks, [*blocks[1:], None], strict=False):
        where = f"{page.name}:{block.line}"
        if block.kind == "python" and not block.title:
            shown = after.text.splitlines() if after and after.kind == "text" else []
            check(where, shown, _run_python(block, where, scope))
        elif block.kind in ("console", "indented"):
            for command in commands(block):
                if command.runs:
                    code, printed = run_command(command, directory)
                    assert code == command.code, f"{where}: {command.text}\nexit code {code}\n{printed}"
                    check(f"{where}: {command.text}", list(command.shown), printed)
    return scope


def _run_python(block: Block, where: str, scope: dict[str, Any]) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(block.text, where, "exec"), scope)
    return printed.getvalue()


class _Stream(io.StringIO):
    """A stdout or a stderr over the same text; stdout says that it is a terminal."""

    encoding = "utf-8"

    def __init__(self, written: list[str], terminal: bool) -> None:
        super().__init__()
        self.written, self.terminal = written, terminal

    def write(self, text: str) -> int:
        self.written.append(text)
        return len(text)

    def isatty(self) -> bool:
        return self.terminal


TERMINAL = {"TERM": "xterm", "COLUMNS": str(COLUMNS), "LINES": "1000", "NO_COLOR": "1"}


def run_command(command: Command, directory: Path) -> tuple[int, str]:
    """Run a command; return its exit code, and what it writes to stdout and stderr. ``tfckpt`` alone runs in this process."""
    text = " && ".join(command.parts).removeprefix("python -m ")
    words = list(shlex.shlex(text, posix=True, punctuation_chars=True))
    if words[0] != "tfckpt" or any(set(word) <= set("();<>|&") for word in words) or "~" in text:
        return _run_in_shell(text, directory)
    written: list[str] = []
    with (
        _environment(TERMINAL),
        contextlib.redirect_stdout(_Stream(written, terminal=True)),
        contextlib.redirect_stderr(_Stream(written, terminal=False)),
    ):
        try:
            code = main(shlex.split(text, comments=True)[1:])
        except SystemExit as end:
            code = int(end.code or 0)
    return code, "".join(written)


def _run_in_shell(text: str, directory: Path) -> tuple[int, str]:
    programs = directory / ".programs"
    programs.mkdir(exist_ok=True)
    for name, call in (("tfckpt", f"{sys.executable} -m tfckpt"), ("python", sys.executable)):
        (programs / name).write_text(f'#!/bin/sh\nexec {call} "$@"\n')
        (programs / name).chmod(0o755)
    path = {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(directory), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", text],
        cwd=directory,
        env={**os.environ, **TERMINAL, **path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    return done.returncode, done.stdout


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def check(where: str, shown: list[str], printed: str) -> None:
    """Compare what a page shows with what was printed; a page that shows nothing is not compared."""
    got = "".join(f"{line.rstrip()}\n" for line in printed.splitlines())
    pattern = "".join(_pattern(line.rstrip()) for line in shown)
    assert not shown or re.fullmatch(pattern, got), f"{where}: the page shows\n{chr(10).join(shown)}\nand it is\n{got}"


def _pattern(line: str) -> str:
    return r"(?:.*\n)*?" if line == "..." else ".*".join(re.escape(part) for part in line.split("...")) + r"\n"
