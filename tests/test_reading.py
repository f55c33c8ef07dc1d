"""What reading costs: one index, a tensor's own bytes, each name once; and threads that share one checkpoint."""

from __future__ import annotations

import mmap
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tfckpt
from tfckpt.bundle.reader import BundleReader
from tfckpt.bundle.values.entry import Entry
from tfckpt.sstable.reader import Table
from tfckpt.storage.local_input import InputFile

WORDS = "bert/embeddings/word_embeddings"
KERNEL = "bert/pooler/dense/kernel"
THREADS = 16


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    """File, offset and length of everything that is read or looked at, as it happens."""
    seen: list[tuple[str, int, int]] = []
    for method in ("read_at", "view"):
        monkeypatch.setattr(InputFile, method, recording(getattr(InputFile, method), seen))
    return seen


def recording(original: Callable[..., Any], seen: list[tuple[str, int, int]]) -> Callable[..., Any]:
    def read(self: InputFile, offset: int, nbytes: int) -> Any:
        seen.append((self.path, offset, nbytes))
        return original(self, offset, nbytes)

    return read


def test_opening_reads_the_index_and_no_more_of_it_than_it_must(bert: str, reads: list[tuple[str, int, int]]) -> None:
    with tfckpt.open(bert) as checkpoint:
        assert {path for path, _, _ in reads} == {f"{bert}.index"}
        assert len(reads) == 3  # the footer, the block of blocks, the block with the header
        reads.clear()
        checkpoint.entries()
        assert {path for path, _, _ in reads} == {f"{bert}.index"}
        reads.clear()
        checkpoint.entries()
        assert WORDS in checkpoint
        assert not reads


@pytest.mark.parametrize("verify", [True, False])
def test_a_tensor_costs_its_own_bytes(bert: str, reads: list[tuple[str, int, int]], verify: bool) -> None:
    with tfckpt.open(bert, verify=verify) as checkpoint:
        entry = checkpoint.entry(KERNEL)
        data = [read for read in reads if read[0] != f"{bert}.index"]
        assert not data
        checkpoint[KERNEL]
        data = [read for read in reads if read[0] != f"{bert}.index"]
        assert data == [(f"{bert}.data-00000-of-00001", entry.offset, entry.nbytes)]


def test_reading_all_reads_every_byte_once(bert: str, reads: list[tuple[str, int, int]]) -> None:
    with tfckpt.open(bert) as checkpoint:
        entries = checkpoint.entries()
        reads.clear()
        assert len(list(checkpoint.items())) == len(entries)
    assert [read[1:] for read in reads] == [(entry.offset, entry.nbytes) for entry in entries]


@pytest.mark.parametrize("view", ["items", "values"])
def test_reading_all_looks_no_name_up(bert: str, monkeypatch: pytest.MonkeyPatch, view: str) -> None:
    with tfckpt.open(bert) as checkpoint:
        expected = [checkpoint[name].tobytes() for name in checkpoint]
        monkeypatch.setattr(BundleReader, "entry", None)
        found = [item[1] if view == "items" else item for item in getattr(checkpoint, view)()]
        assert [array.tobytes() for array in found] == expected


def test_items_are_a_mappings(bert: str) -> None:
    with tfckpt.open(bert) as checkpoint:
        assert len(checkpoint.items()) == len(checkpoint.values()) == len(checkpoint)
        assert [name for name, _ in checkpoint.items()] == list(checkpoint)
        assert ("global_step", checkpoint["global_step"]) in checkpoint.items()
        assert ("global_step", np.array(-1)) not in checkpoint.items()
        assert dict(checkpoint).keys() == checkpoint.keys()


def in_threads(work: Callable[[], object]) -> None:
    """Do the same in all threads at once; every error is an error."""
    barrier, errors = threading.Barrier(THREADS), []

    def run() -> None:
        barrier.wait()
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


@pytest.fixture
def eager_switches() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def counting(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> list[str]:
    """Have a function take its time; return the list of the calls to come."""
    calls: list[str] = []
    original = getattr(owner, name)

    def slow(*args: Any, **options: Any) -> Any:
        calls.append(name)
        time.sleep(0.02)
        return original(*args, **options)

    monkeypatch.setattr(owner, name, slow)
    return calls


def test_sixteen_threads_read_the_index_once_open_the_data_once_and_map_it_once(
    bert: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tfckpt.open(bert) as checkpoint:
        once = [counting(monkeypatch, *call) for call in ((Table, "__iter__"), (InputFile, "__init__"), (mmap, "mmap"))]
        in_threads(lambda: (checkpoint.entries(), checkpoint[WORDS]))
    assert [len(calls) for calls in once] == [1, 1, 1]


@pytest.mark.usefixtures("eager_switches")
def test_sixteen_threads_read_the_same_values(bert: str) -> None:
    with tfckpt.open(bert) as checkpoint:
        expected = {name: value.tobytes() for name, value in checkpoint.items()}
    found: list[dict[str, bytes]] = []
    with tfckpt.open(bert) as shared:
        in_threads(lambda: found.append({name: value.tobytes() for name, value in shared.items()}))
    assert found == [expected] * THREADS


@pytest.mark.usefixtures("eager_switches")
def test_threads_that_look_tensors_up_while_others_list_them(bert: str) -> None:
    with tfckpt.open(bert) as checkpoint:
        names = list(checkpoint)
        expected = [checkpoint.entry(name) for name in names]
    found: list[list[Entry]] = []
    with tfckpt.open(bert) as shared:
        in_threads(lambda: found.append([*map(shared.entry, names[:20]), *shared.entries()]))
    assert found == [expected[:20] + expected] * THREADS


@pytest.mark.usefixtures("eager_switches")
def test_closing_under_threads_that_read_ends_them_with_an_error_of_ours(bert: str) -> None:
    with tfckpt.open(bert) as checkpoint:
        expected = {name: value.tobytes() for name, value in checkpoint.items()}
    shared, ended = tfckpt.open(bert), []

    def read_until_it_is_closed() -> None:
        try:
            while True:
                for name, value in expected.items():
                    assert shared[name].tobytes() == value
        except tfckpt.TfckptError as error:
            ended.append(str(error))

    def close_when_all_read() -> None:
        time.sleep(0.05)
        shared.close()

    closing = threading.Thread(target=close_when_all_read)
    closing.start()
    in_threads(read_until_it_is_closed)
    closing.join()
    assert len(ended) == THREADS
    assert all("this checkpoint is closed" in text or "Bad file descriptor" in text for text in ended)
