"""The log of the 2019 script, and of the command that takes its flags, taken apart."""

from __future__ import annotations

import ast
import re

from support.commands import Captured
from tfckpt.cli.main import main

PREFIX = "INFO:tensorflow:"


def chains(lines: list[str]) -> dict[str, list[str]]:
    """Return, by variable, what a log says of it, in order: each substitution begins where the one before it ended."""
    found: dict[str, list[str]] = {}
    source = name = ""
    for line in lines:
        if match := re.fullmatch(r"Converted: (.*) --> (.*)", line):
            if match[1] != name:
                source = match[1]
            name = match[2]
        elif match := re.match(r"(?:Veriable|Permuted:) (\S*) ", line):
            source, name = match[1], name if match[1] == source else match[1]
        found.setdefault(source, []).append(line)
    return found


def parts(log: str) -> tuple[list[str], dict[str, list[str]], dict[str, str]]:
    """Return a log's lines about the whole, the ones about each variable, and the dict in its last line."""
    lines = [line.removeprefix(PREFIX) for line in log.splitlines()]
    assert log.count(PREFIX) == len(lines)
    return [lines[0], *lines[-4:-1]], chains(lines[1:-4]), ast.literal_eval(lines[-1].removeprefix("  Converted: "))


def logged(capsys: Captured, *argv: str) -> list[str]:
    """Run the command; return what it logs, and check that there is nothing but that and the note at the end."""
    assert main(argv) == 0
    out, err = capsys.readouterr()
    *lines, note = err.splitlines()
    assert out == ""
    assert note.startswith("tfckpt tf1-to-keras: note: ")
    return lines
