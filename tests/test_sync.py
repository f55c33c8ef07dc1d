"""What an index means has reached the disk before the index has its name: a power cut leaves no index without its data."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faults.commands import COMMANDS, Command

from tfckpt.storage import files

pytestmark = pytest.mark.exhaustive

SYNCED = [command for command in COMMANDS if "not synced" not in command.name and command.name != "update a state file"]


class Disk:
    """Knows which files under a directory have been synced since they were written, and whether their names have."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        self.old = set(self._files())
        self.synced: set[int] = set()
        self.names_are_synced = True
        self.commits = 0
        for name, watch in (
            ("pwrite", self._write),
            ("write", self._write),
            ("copy_file_range", self._copy),
            ("fsync", self._sync),
            ("replace", self._rename),
        ):
            monkeypatch.setattr(os, name, self._watched(watch, getattr(os, name)))

    def check(self) -> None:
        """Check that every new file, and every name, is on the disk."""
        found = self._files()
        assert {found[number] for number in set(found) - self.old - self.synced} == set()
        assert self.names_are_synced

    def _files(self) -> dict[int, str]:
        paths = self.directory.rglob("*") if self.directory.exists() else ()
        return {path.stat().st_ino: path.name for path in paths if path.is_file() and ".tfckpt-lock" not in path.name}

    @staticmethod
    def _watched(watch: Callable[..., None], original: Callable[..., Any]) -> Callable[..., Any]:
        def function(*args: Any, **kwargs: Any) -> Any:
            watch(*args)
            return original(*args, **kwargs)

        return function

    def _write(self, fd: int, *_: object) -> None:
        self.synced.discard(os.fstat(fd).st_ino)

    def _copy(self, _: int, fd: int, *__: object) -> None:
        self._write(fd)

    def _sync(self, fd: int) -> None:
        self.synced.add(os.fstat(fd).st_ino)
        if os.path.samefile(f"/proc/self/fd/{fd}", self.directory):
            self.names_are_synced = True

    def _rename(self, source: str, target: str) -> None:
        if target.endswith(".index"):
            self.check()
            self.commits += 1
        self.names_are_synced = False


@pytest.mark.parametrize("command", SYNCED, ids=[command.name for command in SYNCED])
def test_all_bytes_and_names_are_on_the_disk_before_an_index_means_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    command.prepare(tmp_path)
    disk = Disk(tmp_path / "out", monkeypatch)
    command.run(tmp_path)
    assert disk.commits in (1, 2)
    assert set(disk.synced) & set(disk._files()), "nothing was seen"
    disk.check()


@pytest.mark.parametrize("omitted", ["sync_directory", "sync_data"])
def test_a_writer_that_does_not_sync_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, omitted: str) -> None:
    command = next(command for command in COMMANDS if command.name == "save over as many files")
    command.prepare(tmp_path)
    disk = Disk(tmp_path / "out", monkeypatch)
    if omitted == "sync_directory":
        monkeypatch.setattr(files, omitted, lambda path: None)
    else:
        monkeypatch.setattr(os, "fsync", lambda fd: None)
    with pytest.raises(AssertionError):
        command.run(tmp_path)
    assert disk.commits == 0
