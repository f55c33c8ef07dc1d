"""What a terminal gets and a pipe does not; how loud a command is; what is left when it is interrupted."""

from __future__ import annotations

import logging
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commands import Captured, on_terminal, plain, run, shown_here, succeed, succeed_json
from support.patience import PATIENCE

import tfckpt
from tfckpt.cli.main import EXIT_CODES, build_parser, main

ESCAPE = "\x1b["
LOOKING = [["ls", "{0}"], ["tree", "{0}"], ["show", "{0}", "global_step"], ["plan", "{0}"], ["layouts"]]


@pytest.fixture
def pager(tmp_path: Path) -> str:
    """Command of a pager that says that it was there."""
    path = tmp_path / "pager"
    path.write_text("#!/bin/sh\necho paged with $LESS $1\ncat\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_a_terminal_gets_colours_and_a_pipe_none(bert: str) -> None:
    shown = on_terminal("stdout", "ls", bert)
    assert ESCAPE in shown
    silent = on_terminal("stdout", "ls", bert, NO_COLOR="1")
    assert ESCAPE not in silent
    assert silent == plain(shown)
    piped = run("ls", bert, capture_output=True).stdout.decode()
    assert len(piped.splitlines()) == 139
    assert ESCAPE not in piped


@pytest.mark.parametrize("argv", LOOKING, ids=lambda argv: argv[0])
def test_every_command_has_colours_unless_told(
    bert: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch, argv: list[str]
) -> None:
    argv = [argument.format(bert) for argument in argv]
    shown = shown_here(monkeypatch, *argv)
    assert ESCAPE in shown  # no-color.org: an empty NO_COLOR is none
    assert shown_here(monkeypatch, *argv, env={"NO_COLOR": "1"}) == plain(shown)
    assert ESCAPE not in "".join(succeed(capsys, *argv))


def test_a_difference_is_coloured_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tfckpt.save(tmp_path / "a", {"w": 1})
    tfckpt.save(tmp_path / "b", {"w": 2})
    assert f"{ESCAPE}31mvalues" in shown_here(monkeypatch, "diff", str(tmp_path / "a"), str(tmp_path / "b"), code=1)


def test_verdicts_notes_errors_and_next_steps_have_colours_on_a_terminal(bert: str, tmp_path: Path) -> None:
    green, red, yellow, cyan = (f"{ESCAPE}{code}m" for code in ("1;32", "1;31", "33", "1;36"))
    dest = str(tmp_path / "out")
    argv = ("convert", bert, dest, "--prove", "--fill", "zeros", "--exclude", "=bert/pooler/dense/bias")
    shown = on_terminal("stdout", *argv)
    assert f"{green}written:" in shown
    assert f"{green}proved:" in shown
    assert f"{yellow}note:" in shown
    refused = ("convert", bert, str(tmp_path / "other"), "--to", "classifier")
    failed = on_terminal("stderr", *refused, code=1)
    assert f"{red}tfckpt convert:" in failed
    assert f"{cyan}tfckpt convert:" in failed
    assert "\x1b[1;31m" not in on_terminal("stderr", *refused, code=1, NO_COLOR="1")
    assert f"{green}OK:" in on_terminal("stdout", "diff", bert, bert)


def test_what_may_be_typed_next_is_one_line_however_narrow_the_terminal_is(bert: str, tmp_path: Path) -> None:
    argv = ("convert", bert, str(tmp_path / ("out" * 20)), "--to", "classifier")
    *reasons, advice = plain(on_terminal("stderr", *argv, columns=40, code=1)).splitlines()
    assert advice == f"tfckpt convert: next: tfckpt convert {bert} {argv[2]} --to auto"
    assert all(len(line) <= 40 for line in reasons if " " in line.strip())


def test_a_pipe_is_not_cut_at_any_width(tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    name = "layer/" * 60 + "w"
    tfckpt.save(tmp_path / "c", {name: 1})
    for argv in (["ls"], ["plan", "--to", "keras"], ["show", name]):
        assert name in succeed(capsys, argv[0], str(tmp_path / "c"), *argv[1:])[0].split("\t")


def test_what_is_longer_than_the_terminal_is_paged(bert: str, pager: str) -> None:
    shown = on_terminal("stdout", "ls", bert, "--all", PAGER=f"{pager} 'an argument'", LINES="20")
    first, *lines = shown.splitlines()
    assert first == "paged with FRX an argument"
    assert len(lines) > 139
    assert ESCAPE in shown


@pytest.mark.parametrize(
    ("options", "environment"),
    [
        (["--no-pager"], {}),
        (["global_step"], {}),
        ([], {"LINES": "1000"}),
        ([], {"PAGER": ""}),
        ([], {"PAGER": "cat"}),
        ([], {"TERM": "dumb"}),
        ([], {"PAGER": "/no/such/pager"}),
        ([], {"PAGER": "'unbalanced"}),
    ],
)
def test_what_is_not_paged_is_shown(
    bert: str,
    pager: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    environment: dict[str, str],
) -> None:
    known = {"PAGER": pager, "LINES": "20"}
    assert shown_here(monkeypatch, "ls", bert, env=known) == ""
    assert capfd.readouterr().out.startswith("paged with FRX")
    assert "global_step" in shown_here(monkeypatch, "ls", bert, *options, env=known | environment)
    assert capfd.readouterr() == ("", "")


def test_a_pager_keeps_its_own_options_and_may_be_left_early(
    bert: str, pager: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown_here(monkeypatch, "tree", bert, env={"PAGER": pager, "LINES": "20", "LESS": "-S"})
    assert capfd.readouterr().out.startswith("paged with -S")
    assert shown_here(monkeypatch, "ls", bert, env={"PAGER": "true", "LINES": "5"}) == ""


def test_a_pipe_is_never_paged(bert: str, pager: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAGER", pager)
    monkeypatch.setenv("LINES", "5")
    assert len(succeed(capsys, "ls", bert)) == 139


def test_a_failure_is_said_after_what_was_shown(bert: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = shown_here(monkeypatch, "show", bert, "global_step", "none", code=1, env={"LINES": "5", "PAGER": ""})
    assert "global_step" in shown
    assert capsys.readouterr().err.startswith(f"tfckpt show: {bert}: no tensor 'none'")


def test_the_bar_tells_how_much_how_fast_and_how_long(bert: str, tmp_path: Path) -> None:
    argv = ("verify", bert)
    shown = plain(on_terminal("stderr", *argv))
    assert "verifying" in shown
    assert "of 21.2 KiB" in shown
    assert ":" in shown  # what is left, as minutes and seconds
    assert on_terminal("stderr", *argv, "--quiet") == ""


@pytest.mark.parametrize(
    "argv",
    [
        ["convert", "{bert}", "{tmp}/out"],
        ["rewrite", "{bert}", "{tmp}/out"],
        ["merge", "{bert}", "{tmp}/out"],
        ["average", "{bert}", "{bert}", "{tmp}/out"],
        ["verify", "{bert}"],
        ["demo", "{tmp}/demo"],
        ["prove", "{bert}", "{tmp}/done"],
        ["diff", "{bert}", "{bert}"],
    ],
    ids=lambda argv: argv[0],
)
def test_quiet_is_silence_where_the_exit_code_says_all(
    bert: str, tmp_path: Path, capsys: Captured, argv: list[str]
) -> None:
    tfckpt.convert(bert, tmp_path / "done")
    argv = [argument.format(bert=bert, tmp=tmp_path) for argument in argv]
    assert succeed(capsys, *argv, "-q") == []
    again = ["--overwrite"] if argv[0] in ("convert", "rewrite", "merge", "average") else []
    assert succeed_json(capsys, *argv, "-q", *again)  # what is asked for is printed


def test_quiet_does_not_silence_what_was_asked_for(bert: str, capsys: Captured) -> None:
    for command in ("ls", "tree", "plan"):
        assert succeed(capsys, command, bert, "--quiet") == succeed(capsys, command, bert)


def test_quiet_and_verbose_exclude_each_other(bert: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["ls", bert, "-q", "-v"])
    assert caught.value.code == 2


def test_verbose_shows_the_log_and_where_a_failure_came_from(bert: str, tmp_path: Path, capsys: Captured) -> None:
    level, handlers = logging.getLogger("tfckpt").level, list(logging.getLogger("tfckpt").handlers)
    dest = str(tmp_path / "new\x1b[2J")
    assert main(["convert", bert, dest, "--verbose"]) == 0
    shown = dest.replace("\x1b", "\\x1b")
    assert f"tfckpt: INFO: {bert}: 39 tensors written to {shown}" in capsys.readouterr().err.splitlines()
    assert main(["ls", dest + "x", "-v"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1].startswith("tfckpt ls: ")
    assert "\x1b" not in "".join(lines)
    assert (logging.getLogger("tfckpt").level, logging.getLogger("tfckpt").handlers) == (level, handlers)


SLOW = """
import os, signal, sys
from contextlib import contextmanager
from tfckpt.cli.commands import convert, exchange, rewrite, salvage, tf1_to_keras
from tfckpt.cli.main import main

signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell runs in the background starts out ignoring it

@contextmanager
def progress_bar(label, quiet=False):
    yield lambda done, total: os.kill(os.getpid(), signal.{signal})

for module in (convert, exchange, rewrite, salvage, tf1_to_keras):
    module.progress_bar = progress_bar
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
@pytest.mark.parametrize(
    "line",
    [
        "convert {bert} {out}",
        "rewrite {bert} {out}",
        "merge {bert} {out}",
        "average {bert} {bert} {out}",
        "salvage {bert} {out}",
        "export {bert} {out}.npz",
        "tf1-to-keras --checkpoint_from_path={bert} --checkpoint_to_path={out}",
    ],
    ids=lambda line: line.split()[0],
)
def test_a_signal_in_the_middle_leaves_nothing_behind(
    bert: str, tmp_path: Path, name: str, code: int, line: str
) -> None:
    words = [word.format(bert=bert, out=tmp_path / "new" / "deeper" / "out") for word in line.split()]
    argv = [sys.executable, "-c", SLOW.format(signal=name), *words]
    result = subprocess.run(argv, check=False, capture_output=True, timeout=PATIENCE)
    assert (result.returncode, result.stdout, result.stderr) == (code, b"", b"")
    assert list(tmp_path.iterdir()) == []


def test_a_signal_spares_what_was_there(bert: str, tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "out", {"mine": np.ones(3)})
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    argv = [sys.executable, "-c", SLOW.format(signal="SIGINT"), "convert", bert, str(tmp_path / "out"), "--overwrite"]
    assert subprocess.run(argv, check=False, timeout=PATIENCE).returncode == 130
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_signals_are_handled_as_before_when_a_command_is_done(bert: str, capsys: Captured) -> None:
    before = signal.getsignal(signal.SIGTERM)
    succeed(capsys, "ls", bert)
    assert signal.getsignal(signal.SIGTERM) == before


def test_the_exit_codes_are_in_the_help_and_in_the_docs() -> None:
    text = build_parser().format_help()
    docs = (Path(__file__).parents[1] / "docs" / "cli.md").read_text(encoding="utf-8")
    for code, meaning in EXIT_CODES:
        assert f"  {code:<4} {meaning}\n" in text
        assert f"| {code} | {meaning} |" in docs


def test_options_may_stand_anywhere(bert: str, tmp_path: Path, capsys: Captured) -> None:
    dest = str(tmp_path / "out")
    argv: list[list[Any]] = [
        ["convert", "--to", "keras", bert, "--no-sync", dest, "--quiet"],
        ["merge", bert, "--overwrite", dest, "-q"],
        ["diff", dest, "--atol", "0", dest, "-q"],
        ["show", bert, "--bins", "3", "global_step", "--no-stats"],
    ]
    for each in argv:
        assert main(each) == 0, each
    with pytest.raises(SystemExit) as caught:
        main(["demo", "--json", "a", "b"])
    assert caught.value.code == 2
    assert "unrecognized arguments: b" in capsys.readouterr().err
