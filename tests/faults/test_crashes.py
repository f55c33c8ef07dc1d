"""A part of the schedule of crashes.py; `tests/faults/run` is all of it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from faults.layers import TARGETS, build_shim

pytestmark = pytest.mark.exhaustive

TESTS = Path(__file__).parents[1]


def crashes(*arguments: str, **environment: str) -> str:
    """Run crashes.py in a process without threads, which forks."""
    path = os.pathsep.join([str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")])
    settings = os.environ | {"PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"} | environment
    if os.path.isdir("/dev/shm"):
        settings["TMPDIR"] = "/dev/shm"  # syncing is what costs
    command = [sys.executable, "-m", "faults.crashes", *arguments]
    done = subprocess.run(command, env=settings, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def calls_of(output: str) -> int:
    match = re.search(r": (\d+) calls", output)
    assert match is not None, output
    return int(match[1])


def test_a_writer_that_is_disturbed_leaves_the_old_checkpoint_or_the_new_one() -> None:
    output = crashes("--short", "--every", "11")
    for fault in ("kill -9", "EIO", "ENOSPC, for good", "EINTR", "short write", "Ctrl-C"):
        assert re.search(rf"\| {fault} \| [1-9]", output), output


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no C compiler")
def test_a_layer_below_python_counts_the_same_calls(tmp_path: Path) -> None:
    """So the layer that stands in for functions of os misses none."""
    only = "--only", "not synced", "--every", "1000"
    counts = [calls_of(crashes(*only)), calls_of(crashes(*only, "--layer", "c", LD_PRELOAD=build_shim(str(tmp_path))))]
    assert counts[0] == counts[1] > 15


@pytest.mark.skipif(shutil.which("strace") is None, reason="no strace")
def test_the_system_sees_no_other_calls_that_change_files(tmp_path: Path) -> None:
    program = (
        "import sys, tfckpt\n"
        "tfckpt.save(sys.argv[1], {'w': [1.0]})\n"
        "tfckpt.save(sys.argv[1], {'v': [2.0]}, overwrite=True)\n"
    )
    log = tmp_path / "log"
    trace = ["strace", "-f", "-y", "-o", str(log), "-e", "trace=!mmap,brk"]
    done = subprocess.run(
        [*trace, sys.executable, "-B", "-c", program, f"{tmp_path}/d/out"],
        check=False,
        capture_output=True,
        text=True,
    )
    if "ptrace" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    ours = [line for line in log.read_text().splitlines() if str(tmp_path / "d") in line]
    found = Counter(match[1] for line in ours if (match := re.match(r"\d+ +(\w+)\(", line)) and "O_RDONLY" not in line)
    harmless = {"stat", "lstat", "newfstatat", "fstat", "statx", "access", "getdents64", "execve", "close", "flock",
                "lseek", "readlink", "pread64", "fcntl", "ioctl", "read"}  # fmt: skip
    known = {{"openat": "open", "pwrite64": "pwrite"}.get(name, name) for name in set(found) - harmless}
    assert known <= {"rename" if name == "replace" else name for name in TARGETS}
    assert {"open", "pwrite", "rename", "link", "unlink", "mkdir", "fsync", "ftruncate"} <= known
