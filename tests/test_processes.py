"""One checkpoint, several processes: forked, spawned, and told about it by pickle. And views that outlive it."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import re
import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from support.patience import PATIENCE
from support.processes import contents

import tfckpt
from tfckpt.errors import CheckpointNotFoundError, UsageError

pytestmark = pytest.mark.exhaustive  # processes are slow to start, and the same with all versions

DATA = Path(__file__).parent / "data"


FORKS = """
import hashlib, os, sys, threading
import tfckpt
def digest(checkpoint):
    return hashlib.sha256(b"".join(checkpoint[name].tobytes() for name in checkpoint)).hexdigest()
checkpoint = tfckpt.open(sys.argv[1])
expected = digest(tfckpt.open(sys.argv[1]))
end = threading.Event()
def read():
    while not end.is_set():
        with tfckpt.open(sys.argv[1]) as other:
            digest(other)
        digest(checkpoint)
threads = [threading.Thread(target=read) for _ in range(3)]
for thread in threads:
    thread.start()
children = []
for _ in range(8):
    child = os.fork()
    if not child:
        os._exit(0 if digest(checkpoint) == expected else 1)
    children.append(child)
codes = [os.waitpid(child, 0)[1] for child in children]
end.set()
for thread in threads:
    thread.join()
print(codes)
"""


def test_forked_children_read_what_their_parent_opened_while_its_threads_read(bert: str) -> None:
    program = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKS, bert]
    done = subprocess.run(program, check=True, capture_output=True, text=True, timeout=PATIENCE)
    assert done.stdout == f"{[0] * 8}\n"


HELD = """
import contextlib, os, sys, threading
import tfckpt
from tfckpt.storage.forks import _locks
def read(checkpoint):
    return checkpoint.object_graph, {name: repr(value.tolist()) for name, value in checkpoint.items()}
checkpoint = tfckpt.open(sys.argv[1])
assert len(_locks) > 1
here, end = threading.Event(), threading.Event()
def hold():
    with contextlib.ExitStack() as stack:
        for lock in list(_locks):
            stack.enter_context(lock)
        here.set()
        end.wait()
threading.Thread(target=hold, daemon=True).start()
here.wait()
child = os.fork()
if not child:
    graph, values = read(checkpoint)
    with tfckpt.open(sys.argv[1]) as expected:
        same = (str(graph), values) == (str(expected.object_graph), read(expected)[1])
    os._exit(0 if values and same else 1)
print(os.waitpid(child, 0)[1])
end.set()
"""


@pytest.mark.parametrize("name", ["bundles/tf220/objects-1", "v1/slices"])
def test_a_lock_that_another_thread_had_does_not_stop_a_forked_child(name: str) -> None:
    program = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", HELD, str(DATA / name)]
    done = subprocess.run(program, check=False, capture_output=True, text=True, timeout=PATIENCE)
    assert done.stdout == "0\n", done.stderr


def test_every_lock_of_the_package_is_one_that_a_fork_frees() -> None:
    """`functools.cached_property` has one of its own before Python 3.12."""
    package = Path(tfckpt.__path__[0])
    sources = {path.name: path.read_text(encoding="utf-8") for path in package.rglob("*.py")}
    lock = re.compile(r"\bthreading\.(Lock|RLock|Condition|Semaphore)\b|import .*\bcached_property\b")
    assert [name for name, text in sources.items() if lock.search(text)] == ["forks.py"]


def test_spawned_processes_open_what_they_are_told_about(bert: str) -> None:
    with tfckpt.open(bert) as checkpoint, ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        for found in pool.map(contents, [checkpoint] * 2):
            assert found == contents(checkpoint)


@pytest.mark.parametrize("verify", [True, False])
def test_a_pickled_checkpoint_is_its_path(
    bert_copy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verify: bool
) -> None:
    monkeypatch.chdir(Path(bert_copy).parent)
    with tfckpt.open(os.path.basename(bert_copy), verify=verify) as checkpoint:
        data = pickle.dumps(checkpoint)
        assert len(data) < 500
        assert contents(checkpoint)
        monkeypatch.chdir("/")  # a relative path would mean another place in another process
        with pickle.loads(data) as again:
            assert again.prefix == bert_copy
            assert contents(again) == contents(checkpoint)
        for path in Path(bert_copy).parent.iterdir():
            path.unlink()
        with pytest.raises(CheckpointNotFoundError):
            pickle.loads(data)
    assert tmp_path.exists()


def test_whether_checksums_are_compared_is_pickled_too(bert_copy: str) -> None:
    with open(f"{bert_copy}.data-00000-of-00001", "r+b") as file:
        file.write(b"\xff" * 4)
    with tfckpt.open(bert_copy, verify=False) as checkpoint, pickle.loads(pickle.dumps(checkpoint)) as again:
        assert contents(again) == contents(checkpoint)


def test_a_closed_checkpoint_is_not_pickled(bert: str) -> None:
    checkpoint = tfckpt.open(bert)
    checkpoint.close()
    with pytest.raises(UsageError, match="this checkpoint is closed"):
        pickle.dumps(checkpoint)


VIEWS = """
import gc, os, sys
import numpy as np
import tfckpt
def views():
    with tfckpt.open(sys.argv[1]) as checkpoint:
        part = checkpoint.get_slice("w")[5:7, 1:]
        return checkpoint["w"], checkpoint["w"][3], part
held = views()
gc.collect()
{act}
assert held[0].sum() == sum(range(4096 * 64)), "whole"
assert held[1].tolist() == list(range(192, 256)), "row"
assert held[2].tolist() == [list(range(321, 384)), list(range(385, 448))], "part"
del held
gc.collect()
print("read")
"""


def look_at_views(prefix: Path, act: str) -> subprocess.CompletedProcess[str]:
    tfckpt.save(prefix, {"w": np.arange(4096 * 64).reshape(4096, 64)})
    program = [sys.executable, "-c", VIEWS.format(act=act), str(prefix)]
    return subprocess.run(program, check=False, capture_output=True, text=True)


@pytest.mark.parametrize(
    "act",
    [
        "pass",
        "os.unlink(sys.argv[1] + '.data-00000-of-00001')",
        "tfckpt.save(sys.argv[1], {'w': np.zeros(2)}, overwrite=True)",
        "[tfckpt.open(sys.argv[1])['w'] for _ in range(50)]",
    ],
    ids=["closed", "removed", "overwritten", "opened again and again"],
)
def test_views_outlive_their_checkpoint_and_the_name_of_their_file(tmp_path: Path, act: str) -> None:
    done = look_at_views(tmp_path / "out", act)
    assert (done.returncode, done.stdout) == (0, "read\n"), done.stderr


CUT = """
import os, sys
import tfckpt
with tfckpt.open(sys.argv[1]) as checkpoint:
    {before}
    os.truncate(sys.argv[1] + ".data-00000-of-00001", 64)
    try:
        checkpoint["w"].sum()
    except tfckpt.TfckptError as error:
        print(error)
"""


@pytest.mark.parametrize("before", ["checkpoint.verify()", "checkpoint['v']"], ids=["opened", "mapped"])
def test_of_a_file_that_was_cut_short_nothing_more_is_looked_at(tmp_path: Path, before: str) -> None:
    tfckpt.save(tmp_path / "out", {"v": np.arange(4), "w": np.arange(4096)})
    program = [sys.executable, "-c", CUT.format(before=before), str(tmp_path / "out")]
    done = subprocess.run(program, check=False, capture_output=True, text=True)
    file = f"{tmp_path}/out.data-00000-of-00001"
    assert done.stdout == f"{file}: size: expected 32,800 bytes, as when opened, got 64\n", done.stderr


def test_cutting_a_file_short_under_views_kills_as_documented(tmp_path: Path) -> None:
    done = look_at_views(tmp_path / "out", "os.truncate(sys.argv[1] + '.data-00000-of-00001', 0)")
    assert done.returncode == -signal.SIGBUS
    text = " ".join((tfckpt.Checkpoint.__doc__ or "").split())
    assert "looking at what is not there any more kills the process (SIGBUS)" in text
