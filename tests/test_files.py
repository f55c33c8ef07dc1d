from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from support.files import bundle_bytes

import tfckpt
from tfckpt.bundle.values.entry import HEADER_KEY, Header
from tfckpt.bundle.writer import BundleWriter
from tfckpt.cli.main import main
from tfckpt.errors import (
    CheckpointExistsError,
    FormatError,
    StorageError,
    UnsupportedError,
)
from tfckpt.sstable.writer import TableBuilder
from tfckpt.storage.commit import FileSet, write_text
from tfckpt.storage.files import make_directory, read_text
from tfckpt.storage.local_input import InputFile

OLD: dict[str, npt.ArrayLike] = {"old": np.arange(3, dtype=np.float32)}
NEW: dict[str, npt.ArrayLike] = {
    "new/a": np.ones(100_000, np.float32),
    "new/b": np.arange(7, dtype=np.int64),
}  # a does not fit the write buffer


def tree(directory: Path) -> list[str]:
    """Return everything below a directory."""
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


@contextmanager
def refusing(monkeypatch: pytest.MonkeyPatch, call: str, at: int, *, for_good: bool = False) -> Iterator[list[int]]:
    """Let the ``at``-th call of one of the system's functions fail; yield the list of the calls so far."""
    calls: list[int] = []
    original: Callable[..., Any] = getattr(os, call)

    def counted(*args: Any, **kwargs: Any) -> Any:
        calls.append(len(calls))
        if calls[-1] == at or (for_good and calls[-1] > at):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return original(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, counted)
        yield calls


def test_nothing_appears_before_the_commit(tmp_path: Path) -> None:
    prefix = str(tmp_path / "out")
    with BundleWriter(prefix, max_shard_size=8) as writer:
        for name in ("one", "two"):
            writer.add(name, np.ones(1))
        assert not [name for name in os.listdir(tmp_path) if ".tfckpt-" not in name]
        writer.finish()
    assert tree(tmp_path) == ["out.data-00000-of-00002", "out.data-00001-of-00002", "out.index"]


def test_discarding_removes_the_files_and_the_directories_made_for_them(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    files = FileSet(str(tmp_path / "mine" / "a" / "b" / "one"), sync=False)
    files.create(str(tmp_path / "mine" / "a" / "b" / "one")).write(b"1")
    assert len(tree(tmp_path)) == 5  # three directories, the file, the lock
    files.discard()
    assert tree(tmp_path) == ["mine"]


def test_discarding_spares_what_someone_else_put_there(tmp_path: Path) -> None:
    files = FileSet(str(tmp_path / "new" / "one"), sync=False)
    files.create(str(tmp_path / "new" / "one"))
    (tmp_path / "new" / "theirs").touch()
    files.discard()
    assert tree(tmp_path) == ["new", "new/theirs"]


def test_discarding_after_the_commit_removes_nothing(tmp_path: Path) -> None:
    files = FileSet(str(tmp_path / "new" / "one"), sync=False)
    files.commit_file(files.create(str(tmp_path / "new" / "one")))
    files.discard()
    assert tree(tmp_path) == ["new", "new/one"]


def test_a_text_file_replaces_the_one_before(tmp_path: Path) -> None:
    path = str(tmp_path / "text")
    for text in ("a long first text", "ä"):
        write_text(path, text)
        assert read_text(path, 100) == text
    assert tree(tmp_path) == ["text"]


def test_a_text_file_over_the_limit_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("12345")
    with pytest.raises(FormatError, match="text file: expected at most 4 bytes, got 5"):
        read_text(str(tmp_path / "text"), 4)


def test_a_save_that_fails_midway_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError):
        tfckpt.save(tmp_path / "new" / "out", {"good": np.ones(3), "bad": np.datetime64("2019-01-01")})
    assert tree(tmp_path) == []


def test_a_save_that_fails_midway_keeps_the_old_checkpoint(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "out", OLD)
    before, names = bundle_bytes(tmp_path / "out"), tree(tmp_path)
    with pytest.raises(UnsupportedError):
        tfckpt.save(tmp_path / "out", NEW | {"bad": np.datetime64("2019-01-01")}, overwrite=True)
    assert (bundle_bytes(tmp_path / "out"), tree(tmp_path)) == (before, names)


def test_the_data_gets_its_name_first_and_the_index_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    renamed: list[str] = []
    replace = os.replace

    def record(source: str, target: str) -> None:
        renamed.append(target)
        replace(source, target)

    monkeypatch.setattr(os, "replace", record)
    prefix = str(tmp_path / "out")
    tfckpt.save(prefix, OLD)
    assert renamed == [f"{prefix}.data-00000-of-00001", f"{prefix}.index"]


@pytest.mark.parametrize(("sync", "expected"), [(True, 4), (False, 0)])
def test_two_files_and_twice_their_directory_are_synced_on_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sync: bool, expected: int
) -> None:
    with refusing(monkeypatch, "fsync", -1) as calls:
        tfckpt.save(tmp_path / "out", OLD, sync=sync)
    assert len(calls) == expected


@pytest.mark.parametrize("sync", [True, False])
def test_a_directory_made_for_the_files_is_synced_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sync: bool
) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def record(fd: int) -> None:
        synced.append(os.path.realpath(f"/proc/self/fd/{fd}"))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", record)
    tfckpt.save(tmp_path / "a" / "b" / "out", OLD, sync=sync)
    directories = [path for path in synced if os.path.isdir(path)]
    made = [str(tmp_path), str(tmp_path / "a")]
    assert directories == ([*made, *[str(tmp_path / "a" / "b")] * 2] if sync else [])


def test_an_old_file_that_cannot_be_removed_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tfckpt.save(tmp_path / "out", OLD, max_shard_size=4)
    old = f"{tmp_path}/out.data-00002-of-00003"
    unlink = os.unlink

    def refuse(path: str) -> None:
        if path == old:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        unlink(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", refuse)
        tfckpt.save(tmp_path / "out", NEW, overwrite=True)
    assert f"{old}: cannot remove: Permission denied; it is not used any more" in caplog.text
    with tfckpt.open(tmp_path / "out") as checkpoint:
        assert set(checkpoint) == set(NEW)
    tfckpt.save(tmp_path / "out", NEW, overwrite=True)
    assert tree(tmp_path) == ["out.data-00000-of-00001", "out.index"]


def test_overwriting_removes_every_shard_of_the_old_checkpoint(tmp_path: Path) -> None:
    with open(tmp_path / "out.index", "wb") as index:
        table = TableBuilder(index.write)
        table.add(HEADER_KEY, Header(num_shards=2).encode())
        table.finish()
    for shard in (0, 1):
        (tmp_path / f"out.data-0000{shard}-of-00002").touch()
    (tmp_path / "out-2.index").touch()  # another checkpoint's
    tfckpt.save(tmp_path / "out", OLD, overwrite=True)
    assert tree(tmp_path) == ["out-2.index", "out.data-00000-of-00001", "out.index"]


@pytest.mark.parametrize("suffix", [".index", ".data-00000-of-00001", ".data-00002-of-00003"])
def test_a_part_of_a_checkpoint_takes_the_name_too(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"out{suffix}").touch()
    with pytest.raises(CheckpointExistsError, match="already exists"):
        tfckpt.save(tmp_path / "out", OLD)
    assert tree(tmp_path) == [f"out{suffix}"]


def test_a_directory_that_another_writer_makes_at_the_same_time_is_the_other_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def a_moment_too_late(path: str) -> bool:
        os.mkdir(path)
        return make_directory(path)

    monkeypatch.setattr("tfckpt.storage.files.make_directory", a_moment_too_late)
    prefix = tmp_path / "a" / "b" / "p"
    new = FileSet(str(prefix), sync=False)
    new.create(f"{prefix}.index")
    new.discard()
    assert prefix.parent.is_dir()
    assert not [*prefix.parent.iterdir()]


def test_a_file_where_a_directory_is_needed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"file: cannot create: File exists"):
        tfckpt.save(tmp_path / "file" / "out", OLD)
    assert tree(tmp_path) == ["file"]


@pytest.fixture
def ten_bytes(tmp_path: Path) -> Iterator[InputFile]:
    """An open file of the bytes 0 to 9."""
    (tmp_path / "ten").write_bytes(bytes(range(10)))
    file = InputFile(str(tmp_path / "ten"))
    yield file
    file.close()


@pytest.mark.parametrize("read", ["read_at", "view", "chunks"])
@pytest.mark.parametrize(("offset", "nbytes"), [(0, 11), (10, 1), (9, 2), (1 << 70, 0), (5, 1 << 70)])
def test_reading_beyond_the_end_is_an_error(ten_bytes: InputFile, read: str, offset: int, nbytes: int) -> None:
    with pytest.raises(FormatError) as caught:
        list(getattr(ten_bytes, read)(offset, nbytes))
    assert (caught.value.path, caught.value.offset) == (ten_bytes.path, offset)
    assert "got a file of 10; the file is truncated" in str(caught.value)


@pytest.mark.parametrize("read", ["read_at", "view"])
@pytest.mark.parametrize(("offset", "nbytes"), [(0, 10), (3, 4), (9, 1), (10, 0)])
def test_as_many_bytes_are_read_as_the_file_has(ten_bytes: InputFile, read: str, offset: int, nbytes: int) -> None:
    assert list(getattr(ten_bytes, read)(offset, nbytes)) == list(range(10))[offset : offset + nbytes]


def test_an_empty_file_has_an_empty_view(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    file = InputFile(str(tmp_path / "empty"))
    assert bytes(file.view(0, 0)) == b""
    file.close()


def test_short_reads_are_completed(bert: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pread = os.pread
    with tfckpt.open(bert) as checkpoint:
        expected = {name: checkpoint[name].tobytes() for name in checkpoint}
    monkeypatch.setattr(os, "pread", lambda fd, nbytes, offset: pread(fd, max(1, nbytes - 1), offset))
    with tfckpt.open(bert) as checkpoint:
        checkpoint.verify()
        assert {name: checkpoint[name].tobytes() for name in checkpoint} == expected


def test_a_file_that_shrinks_while_it_is_open_is_noticed(ten_bytes: InputFile) -> None:
    os.truncate(ten_bytes.path, 4)
    with pytest.raises(FormatError, match="at byte 2: expected 5 bytes, got 2"):
        ten_bytes.read_at(2, 5)


def test_a_refused_read_is_a_storage_error(ten_bytes: InputFile, monkeypatch: pytest.MonkeyPatch) -> None:
    with refusing(monkeypatch, "pread", 0), pytest.raises(StorageError, match="ten: cannot read: ") as caught:
        ten_bytes.read_at(0, 1)
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.errno == caught.value.__cause__.errno == errno.ENOSPC


def test_converting_and_verifying_do_not_map_the_data(
    bert: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A map would count all of a large checkpoint as this process's memory."""

    def view(self: InputFile, offset: int, nbytes: int) -> memoryview:
        raise AssertionError(f"{self.path} is mapped")

    monkeypatch.setattr(InputFile, "view", view)
    tfckpt.convert(bert, tmp_path / "out", to="encoder")
    for prefix in (bert, str(tmp_path / "out")):
        tfckpt.open(prefix).verify()
        assert main(["verify", prefix]) == 0
    assert "every checksum matches" in capsys.readouterr().out
    with tfckpt.open(bert) as checkpoint, pytest.raises(AssertionError, match="is mapped"):
        checkpoint["bert/pooler/dense/bias"]


@pytest.mark.parametrize("name", ["new/" + "x" * 250, "a/" + "b" * 300 + "/c"])
def test_a_name_too_long_leaves_no_directory(tmp_path: Path, name: str) -> None:
    with pytest.raises(StorageError, match="File name too long"):
        tfckpt.save(tmp_path / name, OLD)
    assert tree(tmp_path) == []


def test_a_path_with_a_nul_is_refused(tmp_path: Path) -> None:
    for call in (lambda path: tfckpt.save(path, OLD), tfckpt.open, tfckpt.list_variables):
        with pytest.raises(tfckpt.TfckptError):
            call(f"{tmp_path}/a\0b")
