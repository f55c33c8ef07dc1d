"""Commands run in this process, in one of their own, and on a terminal."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from support.patience import PATIENCE
from tfckpt.cli.main import main

Captured = pytest.CaptureFixture[str]


def succeed(capsys: Captured, *argv: str) -> list[str]:
    """Run a command that succeeds without a word on stderr; return the lines it prints."""
    assert main(argv) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out.splitlines()


def succeed_json(capsys: Captured, *argv: str) -> Any:
    """Run a command with ``--json``; return the document that is all it prints."""
    return json.loads("\n".join(succeed(capsys, *argv, "--json")))


NEXT = "next: "


def fail(capsys: Captured, *argv: str) -> list[str]:
    """Run a command that fails as foreseen; return what it says, without its name and what to type next."""
    return fail_and_advise(capsys, *argv)[0]


def fail_and_advise(capsys: Captured, *argv: str, code: int = 1) -> tuple[list[str], str | None]:
    """Run a command that fails as foreseen; return what it says without its name, and what it says to type next."""
    assert main(argv) == code
    lines = capsys.readouterr().err.splitlines()
    start = f"tfckpt {argv[0]}: "
    assert lines
    assert all(line.startswith(start) for line in lines)
    lines = [line.removeprefix(start) for line in lines]
    advice = lines.pop().removeprefix(NEXT) if lines[-1].startswith(NEXT) else None
    assert not any(line.startswith(NEXT) for line in lines)
    return lines, advice


def run(*argv: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Run the command in a process of its own."""
    return subprocess.run([sys.executable, "-m", "tfckpt", *argv], check=False, timeout=PATIENCE, **options)


class Terminal(io.StringIO):
    """A stdout that says it is a terminal, in this process: quicker than `on_terminal`."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def shown_here(monkeypatch: pytest.MonkeyPatch, *argv: str, code: int = 0, env: Mapping[str, str] = {}) -> str:
    """Run a command in this process as if on a terminal; return what that shows, unless a pager does."""
    terminal = Terminal()
    known = {"TERM": "xterm", "COLUMNS": "120", "LINES": "1000", "NO_COLOR": "", **env}
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", terminal)
        for name, value in known.items():
            patch.setenv(name, value)
        assert main(argv) == code
    return terminal.getvalue()


def on_terminal(stream: str, *argv: str, columns: int = 120, code: int = 0, **environment: str) -> str:
    """Run a command with one of its streams on a terminal of its own; return what that shows."""
    return left_on_terminal((stream,), *argv, columns=columns, code=code, **environment)


def left_on_terminal(streams: Sequence[str], *argv: str, columns: int, code: int, **environment: str) -> str:
    """Run a command with some of its streams on one terminal; return all that is written there."""
    ours, theirs = pty.openpty()
    known = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns), "LINES": "1000", **environment}
    outputs: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    outputs |= dict.fromkeys(streams, theirs)
    process = subprocess.Popen([sys.executable, "-m", "tfckpt", *argv], env=known, **outputs)
    os.close(theirs)
    shown = bytearray()
    try:
        while chunk := os.read(ours, 1 << 16):
            shown += chunk
    except OSError:  # how Linux says that the other side is closed
        pass
    os.close(ours)
    assert process.wait(timeout=PATIENCE) == code
    return shown.decode()


def plain(shown: str) -> str:
    """Return what a terminal shows, without colours."""
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)
