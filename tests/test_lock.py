from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from support.patience import PATIENCE

import tfckpt
from tfckpt.bundle.writer import BundleWriter
from tfckpt.checkpoint.find.state_file import read_state
from tfckpt.errors import CheckpointExistsError, StorageError, UsageError
from tfckpt.storage import files
from tfckpt.storage.lock import Lock

VALUE = np.arange(3.0)

# Writes until it is killed; what follows the arguments is what it does before.
WRITER = """
import os, signal, sys
import numpy as np
from tfckpt.storage import files
from tfckpt.bundle.writer import BundleWriter
writer = BundleWriter(sys.argv[1], overwrite=True, max_shard_size=24)
for name in "ab":
    writer.add(name, np.arange(3.0))
def stop(*args):
    print("here", flush=True)
    signal.pause()
{before}
stop()
"""


@pytest.fixture
def writing(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Return a function that starts another process which writes ``out`` and stops in the middle until the test ends."""
    started = []

    def start(before: str = "") -> subprocess.Popen[str]:
        program = WRITER.format(before=before)
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "out")], stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        return process

    yield start
    for process in started:
        if process.poll() is None:
            end(process)


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_a_second_writer_is_refused_and_disturbs_nothing(
    tmp_path: Path, writing: Callable[..., subprocess.Popen[str]]
) -> None:
    writing()
    before = sorted(os.listdir(tmp_path))
    assert len(before) == 3  # two data files, the lock
    with pytest.raises(StorageError, match=r"out: another process is writing it, and holds .*out\.tfckpt-lock"):
        tfckpt.save(tmp_path / "out", {"w": VALUE}, overwrite=True)
    assert sorted(os.listdir(tmp_path)) == before
    tfckpt.save(tmp_path / "out-2", {"w": VALUE})  # another prefix is free


def test_what_a_dead_writer_left_goes_with_the_next_one(
    tmp_path: Path, writing: Callable[..., subprocess.Popen[str]]
) -> None:
    end(writing())
    assert len(os.listdir(tmp_path)) == 3
    theirs = {"out-2.index.tfckpt-01234567.tmp", "out.tfckpt-.tmp", "out.data-00000-of-00002.tmp", "out.tmp"}
    for name in theirs:  # another prefix's, and what is not ours
        (tmp_path / name).touch()
    tfckpt.save(tmp_path / "out", {"w": VALUE})
    assert set(os.listdir(tmp_path)) == theirs | {"out.index", "out.data-00000-of-00001"}


def test_data_files_that_a_dead_writer_named_are_not_in_the_way(
    tmp_path: Path, writing: Callable[..., subprocess.Popen[str]]
) -> None:
    end(writing("files.sync_directory = stop; writer.finish()"))
    assert {name for name in os.listdir(tmp_path) if ".tfckpt-" not in name} == {
        "out.data-00000-of-00002",
        "out.data-00001-of-00002",
    }
    tfckpt.save(tmp_path / "out", {"w": VALUE})  # does not overwrite
    assert sorted(os.listdir(tmp_path)) == ["out.data-00000-of-00001", "out.index"]


def test_data_files_that_are_not_the_dead_writers_stay(
    tmp_path: Path, writing: Callable[..., subprocess.Popen[str]]
) -> None:
    end(writing("files.sync_directory = stop; writer.finish()"))
    mine = tmp_path / "out.data-00001-of-00002"
    mine.unlink()
    mine.write_bytes(b"mine")
    with pytest.raises(CheckpointExistsError, match="data-00001-of-00002"):
        tfckpt.save(tmp_path / "out", {"w": VALUE})
    assert mine.read_bytes() == b"mine"


def test_what_an_index_means_stays_whatever_a_journal_says(
    tmp_path: Path, writing: Callable[..., subprocess.Popen[str]]
) -> None:
    end(writing('import os; from tfckpt.storage.lock import Lock\n'
                'Lock.write_journal, write = lambda self, ids: write(self, ids) if ids else stop(), Lock.write_journal\n'
                'writer.finish()'))  # fmt: skip
    assert (tmp_path / "out.tfckpt-lock").stat().st_size == 2 * 32
    with pytest.raises(CheckpointExistsError):
        tfckpt.save(tmp_path / "out", {"w": VALUE})
    with tfckpt.open(tmp_path / "out") as checkpoint:
        checkpoint.verify()
        assert sorted(checkpoint) == ["a", "b"]
    assert not [name for name in os.listdir(tmp_path) if ".tfckpt-" in name]


@pytest.mark.parametrize("content", [b"", b"x", bytes(32), b"\xff" * 32 * 3, b"x" * 100])
def test_a_lock_file_of_any_content_is_taken_over(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "out.tfckpt-lock").write_bytes(content)
    tfckpt.save(tmp_path / "out", {"w": VALUE})
    assert sorted(os.listdir(tmp_path)) == ["out.data-00000-of-00001", "out.index"]


def test_two_threads_are_kept_apart(tmp_path: Path) -> None:
    refused = []

    def write() -> None:
        try:
            BundleWriter(str(tmp_path / "out"))
        except StorageError as error:
            refused.append(error)

    with BundleWriter(str(tmp_path / "out")) as writer:
        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
        writer.finish()
    assert len(refused) == 1


def test_a_writer_that_is_let_go_of_is_not_in_the_way(tmp_path: Path) -> None:
    writer = BundleWriter(str(tmp_path / "out"))
    del writer
    tfckpt.save(tmp_path / "out", {"w": VALUE})
    assert sorted(os.listdir(tmp_path)) == ["out.data-00000-of-00001", "out.index"]


def test_of_many_writers_at_a_time_each_has_the_lock_alone(tmp_path: Path) -> None:
    """The lock file comes and goes with each; a counter that two changed at a time would lose some."""
    counter = tmp_path / "counter"
    counter.write_text("0")

    def count() -> None:
        for _ in range(25):
            lock = Lock(str(tmp_path / "out"), wait=PATIENCE)
            counter.write_text(str(int(counter.read_text()) + 1))
            lock.release()

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter.read_text() == "100"
    assert os.listdir(tmp_path) == ["counter"]


def test_no_line_of_a_state_file_is_lost_to_another_process(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom tfckpt.checkpoint.find.state_file import update_state\n"
        "for n in range(10): update_state(f'{sys.argv[1]}-{n}')"
    )
    both = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path / name)]) for name in ("a", "b")]
    assert [process.wait(PATIENCE) for process in both] == [0, 0]
    state = read_state(str(tmp_path))
    assert state is not None
    assert sorted(state.all_model_checkpoint_paths) == [f"{name}-{n}" for name in "ab" for n in range(10)]
    assert os.listdir(tmp_path) == ["checkpoint"]


FORK = """
import os, sys
import numpy as np
import tfckpt
from tfckpt.bundle.writer import BundleWriter
from tfckpt.errors import UsageError
prefix = sys.argv[1]
with BundleWriter(prefix) as writer:
    writer.add("w", np.arange(3.0))
    child = os.fork()
    if not child:
        try:
            with writer:
                writer.finish()
        except UsageError as error:
            print(error, flush=True)
        os.kill(os.getppid(), {signal})
        sys.stdin.read()
        os._exit(0)
    os.waitpid(child, 0)
    writer.finish()
"""


def test_a_forked_child_neither_writes_nor_removes_what_its_parent_writes(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FORK.format(signal=0), str(tmp_path / "out")]
    done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert done.returncode == 0
    assert b"a writer stays in the process that made it" in done.stdout
    with tfckpt.open(tmp_path / "out") as checkpoint:
        assert checkpoint["w"].tolist() == VALUE.tolist()
    assert sorted(os.listdir(tmp_path)) == ["out.data-00000-of-00001", "out.index"]


def test_a_forked_child_does_not_hold_the_lock_of_a_parent_that_died(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FORK.format(signal=int(signal.SIGKILL)), str(tmp_path / "out")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as parent:
        assert parent.wait(PATIENCE) == -signal.SIGKILL
        tfckpt.save(tmp_path / "out", {"w": VALUE})  # while the child waits for its input to end
    assert sorted(os.listdir(tmp_path)) == ["out.data-00000-of-00001", "out.index"]


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_without_locks_in_the_file_system_nothing_is_cleared_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def flock(fd: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    someones = tmp_path / "out.index.tfckpt-01234567.tmp"
    someones.touch()
    for seed in (1.0, 2.0):
        tfckpt.save(tmp_path / "out", {"w": VALUE * seed}, overwrite=True)
    assert sorted(os.listdir(tmp_path)) == ["out.data-00000-of-00001", "out.index", someones.name]


def test_a_lock_that_is_refused_otherwise_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(fd: int, operation: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(StorageError, match=r"out\.tfckpt-lock: cannot lock: Input/output error"):
        tfckpt.save(tmp_path / "out", {"w": VALUE})


def test_where_hard_links_are_refused_the_files_keep_the_names_of_another_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def link(source: str, target: str) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    tfckpt.save(tmp_path / "out", {"w": VALUE})
    monkeypatch.setattr(os, "link", link)
    tfckpt.save(tmp_path / "out", {"w": VALUE * 2}, overwrite=True)
    expected = ["out.data-00000-of-00002", "out.data-00001-of-00002", "out.index"]
    assert sorted(os.listdir(tmp_path)) == expected
    assert "out: whole, as 2 data files and not 1: " in caplog.text
    with tfckpt.open(tmp_path / "out") as checkpoint:
        checkpoint.reader.check_files()
        assert checkpoint["w"].tolist() == (VALUE * 2).tolist()
    tfckpt.save(tmp_path / "out", {"w": VALUE * 3}, overwrite=True)
    assert sorted(os.listdir(tmp_path)) == ["out.data-00000-of-00001", "out.index"]


def test_overwriting_writes_the_bytes_that_a_fresh_write_gives(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "fresh", {"w": VALUE})
    for name in ("old", "w"):
        tfckpt.save(tmp_path / "out", {name: VALUE}, overwrite=True)
    for suffix in (".index", ".data-00000-of-00001"):
        assert (tmp_path / f"out{suffix}").read_bytes() == (tmp_path / f"fresh{suffix}").read_bytes()
    assert len(os.listdir(tmp_path)) == 4


def test_a_file_that_is_renamed_to_itself_leaves_no_second_name(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    for _ in range(2):
        files.rename_link(str(tmp_path / "a"), str(tmp_path / "b"))
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_the_first_use_of_a_writer_in_a_fork_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with BundleWriter(str(tmp_path / "out")) as writer:
        with monkeypatch.context() as patch:
            process = os.getpid() + 1
            patch.setattr(os, "getpid", lambda: process)
            with pytest.raises(UsageError, match="this is a fork of that one"):
                writer.next_shard()
        writer.finish()


@pytest.mark.parametrize("kind", ["link", "hard link", "pipe", "directory"])
def test_what_lies_where_the_lock_should_be_is_not_written_to(tmp_path: Path, kind: str) -> None:
    precious, lock = tmp_path / "precious", tmp_path / "out.tfckpt-lock"
    precious.write_bytes(b"precious")
    make: dict[str, Callable[[], object]] = {
        "link": lambda: lock.symlink_to(precious),
        "hard link": lambda: lock.hardlink_to(precious),
        "pipe": lambda: os.mkfifo(lock),
        "directory": lock.mkdir,
    }
    make[kind]()
    with pytest.raises(StorageError, match=r"out\.tfckpt-lock: cannot lock: "):
        tfckpt.save(tmp_path / "out", {"w": VALUE})
    assert precious.read_bytes() == b"precious"
    assert sorted(os.listdir(tmp_path)) == ["out.tfckpt-lock", "precious"]
