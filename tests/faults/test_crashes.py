"""A part of what `tests/faults/run` does, also to writers that are not careful; and its results held against the docs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support.missing import missing

from faults import count
from faults.commands import COMMANDS
from faults.crashes import NAMES
from faults.layers import FAULTS, TARGETS, build_shim
from faults.situations import CHANGES, SITUATIONS

pytestmark = pytest.mark.exhaustive

MOUNTED = [situation.name for situation in SITUATIONS if situation.mounts]


def crashes(command: str, *faults: str, every: int = 1, layer: str = "python", **environment: str) -> dict[str, Any]:
    """Return how many calls there are, and what each fault left."""
    arguments = command, "--every", str(every), "--layer", layer, "--fault", *faults
    document: dict[str, Any] = count.run("faults.crashes", *arguments, **environment)
    return document


@pytest.mark.parametrize(
    "command", ["save into a new directory", "save over as many files", "update a state file", "convert", "salvage"]
)
def test_a_writer_that_is_disturbed_leaves_the_old_checkpoint_or_the_new_one(command: str) -> None:
    document = crashes(command, *(fault.name for fault in FAULTS), "read-only directory", "two writers", every=17)
    found = document["found"]
    assert set(found) >= {fault.name for fault in FAULTS} | {"read-only directory"}
    assert sum(found["kill -9"].values()) == len(range(0, document["calls"] + 1, 17))
    assert set().union(*found.values()) <= {"old", "new", "absent", "the other's"}


@pytest.mark.parametrize("command", ["convert by hard links", "merge over equal names"])
def test_a_source_that_changes_at_any_call_is_an_error_or_makes_no_difference(command: str) -> None:
    found = crashes(command, *CHANGES, every=5)["found"]
    assert set(found) == set(CHANGES)
    assert all(states["old"] > 1 for states in found.values())


def test_a_disk_that_is_full_after_any_page_leaves_the_old_checkpoint() -> None:
    if shutil.which("unshare") is None or subprocess.run([*count.UNSHARE, "true"], check=False).returncode:
        missing("nothing may be mounted")
    command = ["save over equal names", "--fault", *MOUNTED]
    states = count.run("faults.crashes", *command, prefix=count.UNSHARE)["found"]["full disk"]
    assert states == {"old": states["old"], "new": 1}
    assert states["old"] > 5


CARELESS = """
from faults.crashes import main
from tfckpt.storage.commit import FileSet
from tfckpt.storage.local_input import InputFile
from tfckpt.storage.lock import Lock
{change}
main()
"""


@pytest.mark.parametrize(
    ("change", "command", "fault", "complaint"),
    [
        (
            "FileSet.commit = lambda self, files, index: self._publish(files, [f.path for f in files], index(len(files)))",
            "save over equal names",
            "kill -9",
            "FormatError",
        ),
        (
            "InputFile.check_unchanged = lambda self: None",
            "convert by hard links",
            "source written in place",
            "ChecksumError",
        ),
        ("FileSet._remove_leftovers = lambda self: None", "save over more files", "kill -9", "again: "),
        ("Lock._acquire = lambda self: True", "save over equal names", "two writers", "Error"),
    ],
    ids=["names in use", "changed sources", "leftovers", "no lock"],
)
def test_a_writer_that_is_not_careful_is_noticed(change: str, command: str, fault: str, complaint: str) -> None:
    with pytest.raises(RuntimeError, match=complaint):
        count.run_program("-c", CARELESS.format(change=change), command, "--fault", fault)


def test_the_results_are_of_all_commands_and_faults_as_they_are_now() -> None:
    results = json.loads(count.RESULTS.read_text(encoding="utf-8"))
    assert list(results["commands"]) == [command.name for command in COMMANDS]
    for command in COMMANDS:
        found = results["commands"][command.name]["found"]
        concerning = {situation.name for situation in SITUATIONS if situation.concerns(command)}
        assert set(found) == {fault.name for fault in FAULTS} | concerning
    only = crashes("save over equal names", "kill -9", every=1000)
    assert results["commands"]["save over equal names"]["calls"] == only["calls"]


def test_the_tables_of_the_docs_are_the_results() -> None:
    results = json.loads(count.RESULTS.read_text(encoding="utf-8"))
    text = count.DOCS.read_text(encoding="utf-8")
    assert count.TABLES["crashes"].findall(text) == [count.crashes_table(results["commands"])]
    assert count.TABLES["faults"].findall(text) == [count.faults_table(results["commands"])]
    assert f"TensorFlow {results['tensorflow'].removesuffix('.0')}" in text
    assert all(f"--fault {name!r}" in text for name in NAMES)


def test_a_layer_below_python_counts_the_same_calls(tmp_path: Path) -> None:
    """So the layer that stands in for functions of os misses none."""
    if shutil.which("gcc") is None:
        missing("no C compiler")
    name = "save over equal names, not synced"
    shim = build_shim(str(tmp_path))
    above = crashes(name, "EIO", every=1000)["calls"]
    below = crashes(name, "EIO", every=1000, layer="c", LD_PRELOAD=shim)["calls"]
    assert above == below > 15


def test_the_system_sees_no_other_calls_that_change_files(tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        missing("no strace")
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
        missing(done.stderr)
    assert done.returncode == 0, done.stderr
    ours = [line for line in log.read_text().splitlines() if str(tmp_path / "d") in line]
    found = Counter(match[1] for line in ours if (match := re.match(r"\d+ +(\w+)\(", line)) and "O_RDONLY" not in line)
    harmless = {"stat", "lstat", "newfstatat", "fstat", "statx", "access", "getdents64", "execve", "close", "flock",
                "lseek", "readlink", "pread64", "fcntl", "ioctl", "read"}  # fmt: skip
    known = {{"openat": "open", "pwrite64": "pwrite"}.get(name, name) for name in set(found) - harmless}
    assert known <= {"rename" if name == "replace" else name for name in TARGETS}
    assert {"open", "pwrite", "rename", "link", "unlink", "mkdir", "fsync", "ftruncate"} <= known
