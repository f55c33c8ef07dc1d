"""Systems other than Linux: macOS lacks some calls of ours, which is simulated here; Windows is told that it must wait."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.patience import PATIENCE

import tfckpt
from tfckpt.base.windows import LINE
from tfckpt.bundle import carry, writer
from tfckpt.errors import UnsupportedError
from tfckpt.storage import local_output

ROOT = Path(__file__).parents[1]
LINUX_ALONE = ("copy_file_range", "fdatasync", "posix_fadvise", "posix_fallocate", "sched_getaffinity", "O_TMPFILE")


def refuse_clone(fd: int, request: int, *_: object) -> int:
    """Do what macOS does with the number of a request that it does not know."""
    assert request == local_output.FICLONE
    raise OSError(25, "Inappropriate ioctl for device")


@pytest.fixture
def macos(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that has nothing of what Linux alone has."""
    for name in LINUX_ALONE:
        monkeypatch.delattr(os, name, raising=False)
    monkeypatch.setattr(fcntl, "ioctl", refuse_clone)


def files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


# What writes, and by which ways bytes get into its files.
WRITERS: dict[str, Callable[[str, Path], Any]] = {
    "save": lambda source, dest: tfckpt.save(dest, {"w": np.arange(3.0)}),
    "convert": lambda source, dest: tfckpt.convert(source, dest, prove=True, update_state=True),
    "copy": tfckpt.rewrite,
    "copy unseen": lambda source, dest: tfckpt.rewrite(source, dest, verify=False),
    "link": lambda source, dest: tfckpt.convert(source, dest, mode="link"),
    "auto": lambda source, dest: tfckpt.convert(source, dest, mode="auto"),
    "shards": lambda source, dest: tfckpt.rewrite(source, dest, shards=3),
    "export": lambda source, dest: tfckpt.export(source, f"{dest}.npz"),
}


@pytest.mark.parametrize("how", WRITERS)
@pytest.mark.usefixtures("macos")
def test_macos_writes_the_files_that_linux_writes(
    bert: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    WRITERS[how](bert, tmp_path / "macos" / "m")
    monkeypatch.undo()
    WRITERS[how](bert, tmp_path / "linux" / "m")
    assert files(tmp_path / "macos") == files(tmp_path / "linux")


@pytest.mark.usefixtures("macos")
def test_macos_has_no_clones_and_says_so(bert: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="cannot be cloned: Inappropriate ioctl for device"):
        tfckpt.convert(bert, tmp_path / "m", mode="reflink")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("macos")
def test_macos_counts_its_cores() -> None:
    assert carry.cores() == os.cpu_count()


@pytest.mark.usefixtures("macos")
def test_macos_begins_with_the_disk_while_the_rest_is_written(
    bert: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread does it; what it raised would be printed, and be an error of this test."""
    begun = threading.Event()
    callers = []

    def fsync(fd: int, fsync: Callable[[int], None] = os.fsync) -> None:
        callers.append(threading.current_thread().name)
        begun.set()
        fsync(fd)

    def carry_slowly(*args: Any, **options: Any) -> None:
        carry.carry(*args, **options)
        assert begun.wait(PATIENCE), "the thread has not synced"

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(writer, "LONG", 1)
    monkeypatch.setattr(writer, "carry", carry_slowly)
    tfckpt.rewrite(bert, tmp_path / "m")
    assert {"tfckpt-sync", "MainThread"} <= set(callers)
    assert tfckpt.diff(bert, tmp_path / "m").same


@pytest.mark.exhaustive
def test_a_type_checker_finds_no_call_that_macos_lacks(tmp_path: Path) -> None:
    """It knows what each system has; what it finds here would be an AttributeError there."""
    command = [sys.executable, "-m", "mypy", "--platform", "darwin", "--cache-dir", str(tmp_path), "tfckpt"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.stdout.startswith("Success: ")


WINDOWS = "import sys; sys.platform = 'win32'; sys.modules['fcntl'] = None; "


def on_windows(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", WINDOWS + program], check=False, capture_output=True, text=True)


@pytest.mark.parametrize(
    "program",
    [
        "import tfckpt",
        "import tfckpt.errors",
        "from tfckpt.__main__ import main; sys.exit(main())",
        "import runpy; runpy.run_module('tfckpt', run_name='__main__')",
    ],
    ids=["import", "a module", "the command", "python -m"],
)
def test_windows_is_told_in_one_line(program: str) -> None:
    done = on_windows(program)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{LINE}\n")


def test_windows_raises_an_import_error_that_can_be_caught_and_leaves_others_their_traceback() -> None:
    done = on_windows("import contextlib\nwith contextlib.suppress(ImportError): import tfckpt\nprint('on'); 1 / 0")
    assert (done.returncode, done.stdout) == (1, "on\n")
    assert done.stderr.startswith("Traceback")
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")
