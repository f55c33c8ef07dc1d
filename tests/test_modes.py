"""Copying, linking, cloning: what is shared, what is refused, and that the fast way writes what the simple way writes."""

from __future__ import annotations

import errno
import fcntl
import os
import pickle
import shutil
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.files import bundle_bytes

import tfckpt
from tfckpt.bundle import carry
from tfckpt.bundle.carry import Run, join
from tfckpt.bundle.tensor_reader import open_reader
from tfckpt.bundle.values.entry import Entry
from tfckpt.bundle.writer import BundleWriter
from tfckpt.cli.main import main
from tfckpt.errors import ChecksumError, FormatError, StorageError, UnsupportedError, UsageError
from tfckpt.execution.run import execute
from tfckpt.storage.local_input import InputFile
from tfckpt.storage.local_output import FICLONE
from tfckpt.storage.paths import shard_path


@pytest.fixture
def small_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make runs and buffers so small that a few kilobytes take many, on several threads whatever the machine has."""
    monkeypatch.setattr(carry, "RUN_SIZE", 512)
    monkeypatch.setattr(carry, "COPY_SIZE", 300)
    monkeypatch.setattr(carry, "BUFFER_SIZE", 100)
    monkeypatch.setattr(carry, "cores", lambda: 3)


@pytest.fixture
def slots(bert: str) -> int:
    """Bytes of the source that an encoder does not take."""
    plan = tfckpt.plan(bert)
    return sum(item.nbytes for item in plan.dropped)


def data(prefix: Path | str, shard: int = 0, count: int = 1) -> str:
    return shard_path(str(prefix), shard, count)


def flip(path: str, offset: int) -> None:
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 1]))


@pytest.mark.usefixtures("small_runs")
@pytest.mark.parametrize("to", ["encoder", "pretrainer", "keras"])
@pytest.mark.parametrize("verify", [True, False])
def test_the_fast_way_writes_what_the_simple_way_writes(bert: str, tmp_path: Path, to: str, verify: bool) -> None:
    plan, reader = tfckpt.plan(bert, to=to), open_reader(bert)
    execute(plan, reader, str(tmp_path / "fast" / "out"), verify=verify)
    execute(plan, reader, str(tmp_path / "simple" / "out"), verify=verify, stream=True)
    assert bundle_bytes(tmp_path / "fast" / "out") == bundle_bytes(tmp_path / "simple" / "out")
    assert len(bundle_bytes(tmp_path / "fast" / "out")) == 2


@pytest.mark.usefixtures("small_runs")
@pytest.mark.parametrize("refusal", [errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP])
def test_where_the_kernel_does_not_copy_we_do(
    bert: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: int
) -> None:
    tfckpt.convert(bert, tmp_path / "kernel" / "out", verify=False)
    asked: list[int] = []

    def refuse(*_: Any) -> int:
        asked.append(refusal)
        raise OSError(refusal, os.strerror(refusal))

    monkeypatch.setattr(os, "copy_file_range", refuse)
    tfckpt.convert(bert, tmp_path / "ours" / "out", verify=False)
    assert asked
    assert bundle_bytes(tmp_path / "ours" / "out") == bundle_bytes(tmp_path / "kernel" / "out")


def test_bytes_that_are_believed_go_through_the_kernel_alone(
    bert: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[int] = []
    copy = os.copy_file_range

    def record(*args: Any) -> int:
        copied.append(copy(*args))
        return copied[-1]

    monkeypatch.setattr(os, "copy_file_range", record)
    plan = tfckpt.convert(bert, tmp_path / "out", verify=False)
    assert sum(copied) == plan.nbytes


@pytest.mark.usefixtures("small_runs")
def test_short_reads_writes_and_copies_are_gone_on_with(
    bert: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tfckpt.convert(bert, tmp_path / "whole" / "out")
    pwrite, preadv, copy = os.pwrite, os.preadv, os.copy_file_range
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: pwrite(fd, data[:7], offset))
    monkeypatch.setattr(os, "preadv", lambda fd, buffers, offset: preadv(fd, [buffers[0][:11]], offset))
    monkeypatch.setattr(os, "copy_file_range", lambda a, b, n, *offsets: copy(a, b, min(n, 13), *offsets))
    for verify in (True, False):
        tfckpt.convert(bert, tmp_path / str(verify) / "out", verify=verify)
        assert bundle_bytes(tmp_path / str(verify) / "out") == bundle_bytes(tmp_path / "whole" / "out")


def test_runs_are_plain_data_that_other_processes_carry(bert: str, tmp_path: Path) -> None:
    with closing(InputFile(data(bert))) as source, open(tmp_path / "copy", "wb"):
        run = Run(source.path, source.identity, 0, source.size, (), str(tmp_path / "copy"), "copy", 0)
    parts = [
        run._replace(offset=at, dest_offset=at, nbytes=min(5000, run.nbytes - at)) for at in range(0, run.nbytes, 5000)
    ]
    assert pickle.loads(pickle.dumps(parts)) == parts
    with ProcessPoolExecutor(2, get_context("spawn")) as executor:
        assert [list(damage) for damage in executor.map(carry.do, parts)] == [[]] * len(parts)
    assert (tmp_path / "copy").read_bytes() == Path(source.path).read_bytes()


def test_a_source_that_is_another_file_by_now_is_not_carried(bert_copy: str, tmp_path: Path) -> None:
    with closing(InputFile(data(bert_copy))) as source, open(tmp_path / "copy", "wb"):
        run = Run(source.path, source.identity, 0, 8, (), str(tmp_path / "copy"), "copy", 0)
    os.utime(data(bert_copy), ns=(1, 1))
    with pytest.raises(FormatError, match="expected the one that was opened, got a changed or another one"):
        carry.carry([run])


def test_tensors_without_bytes_between_others_are_compared_too() -> None:
    pieces = [carry.Piece("a", 4, 1), carry.Piece("none", 0, 2), carry.Piece("b", 4, 3)]
    runs = [Run("f", (0, 0, 0, 0), at, piece.nbytes, (piece,)) for at, piece in zip((0, 4, 4), pieces, strict=True)]
    assert [run.pieces for run in join(runs)] == [tuple(pieces)]


@pytest.mark.usefixtures("small_runs")
def test_every_damaged_tensor_is_found_whatever_run_it_is_in(bert_copy: str) -> None:
    with tfckpt.open(bert_copy) as ckpt:
        entries = [entry for entry in ckpt.entries() if entry.nbytes][::7]
    for entry in entries:
        flip(data(bert_copy), entry.offset + entry.nbytes - 1)
    with tfckpt.open(bert_copy) as ckpt:
        found = ckpt.find_damage()
    assert sorted((damage.name, damage.offset, damage.nbytes) for damage in found) == sorted(
        (entry.name, entry.offset, entry.nbytes) for entry in entries
    )
    assert all(isinstance(damage.error, ChecksumError) for damage in found)


@pytest.mark.usefixtures("small_runs")
def test_a_disk_that_does_not_give_some_bytes_back_loses_only_their_tensor(
    bert: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tfckpt.open(bert) as ckpt:
        bad = ckpt.entry("bert/pooler/dense/bias")
        preadv = os.preadv

        def read(fd: int, buffers: list[memoryview], offset: int) -> int:
            if offset <= bad.offset < offset + len(buffers[0]):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return preadv(fd, buffers, offset)

        monkeypatch.setattr(os, "preadv", read)
        (damage,) = ckpt.find_damage()
    assert damage.name == bad.name
    assert isinstance(damage.error, StorageError)


def test_a_linked_conversion_shares_the_data_file_and_holds_the_same(bert: str, tmp_path: Path, slots: int) -> None:
    source = shutil.copytree(Path(bert).parent, tmp_path / "source") / Path(bert).name
    before = bundle_bytes(source)
    plan = tfckpt.convert(source, tmp_path / "out", mode="link", prove=True)
    assert plan.written is not None
    assert (plan.written.mode, plan.written.carried_nbytes, plan.written.notes) == ("link", slots, ())
    assert os.path.samefile(data(source), data(tmp_path / "out", 0, 2))
    assert os.path.getsize(data(tmp_path / "out", 1, 2)) < 10_000  # the object graph
    tfckpt.convert(source, tmp_path / "copy")
    with tfckpt.open(tmp_path / "out") as linked, tfckpt.open(tmp_path / "copy") as copied:
        assert list(linked) == list(copied)
        assert all(np.array_equal(linked[name], copied[name]) for name in copied)
    assert bundle_bytes(source) == before


def test_every_data_file_is_linked_and_what_changes_goes_into_one_more(bert: str, tmp_path: Path) -> None:
    tfckpt.rewrite(bert, tmp_path / "source", shards=3)
    shutil.copy(Path(bert).parent / "bert_config.json", tmp_path)
    plan = tfckpt.convert(tmp_path / "source", tmp_path / "out", mode="link", vocab_size=40, prove=True)
    assert any(not step.keeps_bytes for step in plan.steps)
    for shard in range(3):
        assert os.path.samefile(data(tmp_path / "source", shard, 3), data(tmp_path / "out", shard, 4))
    with tfckpt.open(tmp_path / "out") as ckpt:
        assert {entry.shard for entry in ckpt.entries()} == {0, 1, 2, 3}
        ckpt.verify()


def test_where_nothing_changes_no_further_data_file_is_made(bert_copy: str, tmp_path: Path) -> None:
    tfckpt.convert(bert_copy, tmp_path / "out", to="keras", mode="link", prove=True)
    assert sorted(path.name for path in tmp_path.glob("out*")) == ["out.data-00000-of-00001", "out.index"]


def test_linking_again_over_a_linked_conversion_leaves_no_temporaries(bert_copy: str, tmp_path: Path) -> None:
    tfckpt.convert(bert_copy, tmp_path / "new" / "out", to="keras", mode="link")
    tfckpt.convert(bert_copy, tmp_path / "new" / "out", to="keras", mode="link", overwrite=True, prove=True)
    assert sorted(os.listdir(tmp_path / "new")) == ["out.data-00000-of-00001", "out.index"]


def test_a_damaged_tensor_is_noticed_before_anything_is_linked(bert_copy: str, tmp_path: Path) -> None:
    with tfckpt.open(bert_copy) as ckpt:
        flip(data(bert_copy), ckpt.entry("bert/pooler/dense/bias").offset)
    with pytest.raises(ChecksumError, match="bert/pooler/dense/bias"):
        tfckpt.convert(bert_copy, tmp_path / "new" / "out", mode="link")
    assert not (tmp_path / "new").exists()
    tfckpt.convert(bert_copy, tmp_path / "new" / "out", mode="link", verify=False)


def test_the_target_of_a_symbolic_link_is_linked(bert: str, tmp_path: Path) -> None:
    source = shutil.copytree(Path(bert).parent, tmp_path / "blobs") / Path(bert).name
    (tmp_path / "names").mkdir()
    for path in (tmp_path / "blobs").iterdir():
        (tmp_path / "names" / path.name).symlink_to(path)
    tfckpt.convert(tmp_path / "names" / Path(bert).name, tmp_path / "out", mode="link", prove=True)
    linked = data(tmp_path / "out", 0, 2)
    assert os.path.samefile(data(source), linked)
    assert not os.path.islink(linked)


def refuse_links(monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: Any, **__: Any) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "link", link)


def refuse_clones(monkeypatch: pytest.MonkeyPatch) -> None:
    def ioctl(*_: Any) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(fcntl, "ioctl", ioctl)


def test_links_that_are_refused_are_an_error_that_names_the_alternative(
    bert: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_links(monkeypatch)
    with pytest.raises(
        UnsupportedError, match=r"cannot be linked: .*cross-device link; mode 'copy' or 'auto' copies it"
    ):
        tfckpt.convert(bert, tmp_path / "new" / "out", mode="link")
    assert not (tmp_path / "new").exists()


def test_clones_that_are_refused_are_an_error_too(bert: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_clones(monkeypatch)
    with pytest.raises(UnsupportedError, match=r"cannot be cloned: .*not supported; mode 'copy' or 'auto' copies it"):
        tfckpt.convert(bert, tmp_path / "new" / "out", mode="reflink")
    assert not (tmp_path / "new").exists()


def test_auto_takes_the_first_that_works_and_says_why_not_the_others(
    bert_copy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_clones(monkeypatch)
    linked = tfckpt.convert(bert_copy, tmp_path / "linked", mode="auto").written
    assert linked is not None
    assert (linked.mode, len(linked.notes)) == ("link", 1)
    refuse_links(monkeypatch)
    copied = tfckpt.convert(bert_copy, tmp_path / "copied", mode="auto", prove=True).written
    assert copied is not None
    assert (copied.mode, copied.carried_nbytes) == ("copy", 0)
    assert ["cloned" in copied.notes[0], "linked" in copied.notes[1]] == [True, True]


def test_auto_prefers_a_clone(bert: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slots: int) -> None:
    def clone(dest: int, request: int, source: int) -> None:
        assert request == FICLONE
        os.copy_file_range(source, dest, os.fstat(source).st_size, 0, 0)

    monkeypatch.setattr(fcntl, "ioctl", clone)
    written = tfckpt.convert(bert, tmp_path / "out", mode="auto", prove=True).written
    assert written is not None
    assert (written.mode, written.carried_nbytes, written.notes) == ("reflink", slots, ())


def sliced(bert: str, prefix: Path) -> None:
    with tfckpt.open(bert) as ckpt, BundleWriter(str(prefix), max_shard_size=600) as writer:
        for name, value in ckpt.items():
            writer.add(name, value)
        writer.finish()


def test_a_source_whose_files_cannot_be_data_files_is_refused_by_name(bert: str, tmp_path: Path) -> None:
    shutil.copy(Path(bert).parent / "bert_config.json", tmp_path)
    tfckpt.rewrite(bert, tmp_path / "big", big_endian=True)
    sliced(bert, tmp_path / "sliced")
    for name, why in {
        "big": "its values are big-endian",
        "sliced": "stored in slices, which have to be put together",
    }.items():
        with pytest.raises(UnsupportedError, match=f"cannot be shared by mode 'link': .*{why}"):
            tfckpt.convert(tmp_path / name, tmp_path / "out", mode="link")
        written = tfckpt.convert(tmp_path / name, tmp_path / f"{name}-out", mode="auto", prove=True).written
        assert written is not None
        assert written.mode == "copy"
        assert why in written.notes[0]


def test_a_v1_source_cannot_be_linked(tmp_path: Path) -> None:
    source = Path(__file__).parent / "data" / "v1" / "saver"
    with pytest.raises(UnsupportedError, match="a V1 checkpoint's values lie in messages"):
        tfckpt.convert(source, tmp_path / "out", mode="link", to="keras")


def test_a_mode_that_is_none_is_wrong_usage(bert: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="mode: expected 'copy', 'link', 'reflink', 'auto', got 'move'"):
        tfckpt.convert(bert, tmp_path / "out", mode="move")  # type: ignore[arg-type]


def test_the_command_says_which_mode_it_took(
    bert_copy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], slots: int
) -> None:
    assert main(["convert", bert_copy, str(tmp_path / "out"), "--mode", "link"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"written: {tmp_path / 'out'} (link: the data files are SOURCE's)" in lines
    assert f"carried: {slots:,} bytes of SOURCE's data files that no tensor of it names" in lines


def test_shared_bytes_are_counted_once(bert_copy: str, tmp_path: Path, slots: int) -> None:
    written = tfckpt.convert(bert_copy, tmp_path / "out", mode="link", keep_names=True).written
    assert written is not None
    assert written.carried_nbytes == slots


def test_entries_of_a_linked_file_are_the_sources(bert_copy: str, tmp_path: Path) -> None:
    plan = tfckpt.convert(bert_copy, tmp_path / "out", mode="link")
    with tfckpt.open(bert_copy) as source, tfckpt.open(tmp_path / "out") as dest:

        def place(entry: Entry) -> tuple[int, int, int, int]:
            return entry.shard, entry.offset, entry.nbytes, entry.crc32c

        for step in plan.steps:
            assert place(dest.entry(step.target)) == place(source.entry(step.source))
