"""What can be done with files on a disk can be done with those of a store: memory, ``file://``, and S3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from remote.conftest import DATA, Store
from support.files import bundle_bytes
from teaching.stage import POINTER

import tfckpt
from tfckpt.bundle.writer import BundleWriter
from tfckpt.checkpoint.find.state_file import CheckpointState, write_state
from tfckpt.cli.main import main
from tfckpt.errors import (
    CheckpointExistsError,
    CheckpointNotFoundError,
    ChecksumError,
    FormatError,
    UnsupportedError,
    UsageError,
)

pytestmark = pytest.mark.remote

WEIGHTS: dict[str, npt.ArrayLike] = {
    "a": np.arange(300_000, dtype=np.float32),
    "labels": np.array([b"yes", b"no"], object),
    "step": np.int64(7),
}
BERT = "bert/model.ckpt-3"


def equal(a: tfckpt.Checkpoint, values: dict[str, npt.ArrayLike]) -> bool:
    """Whether a checkpoint holds these values."""
    return list(a) == sorted(values) and all(np.array_equal(a[name], value) for name, value in values.items())


def test_what_is_saved_in_a_store_are_the_bytes_of_a_local_file(store: Store, tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "model", WEIGHTS)
    tfckpt.save(f"{store.url}/model", WEIGHTS)
    local = {f"model{suffix}": data for suffix, data in bundle_bytes(tmp_path / "model").items()}
    assert store.content() == local


@pytest.mark.parametrize("path", ["model", "model.index", "model.data-00000-of-00001", "", "/"])
def test_a_prefix_one_of_its_files_and_their_directory_open(simple_store: Store, path: str) -> None:
    tfckpt.save(f"{simple_store.url}/model", WEIGHTS)
    with tfckpt.open(f"{simple_store.url}/{path}" if path.strip("/") else simple_store.url + path) as checkpoint:
        assert checkpoint.prefix == f"{simple_store.url}/model"
        assert equal(checkpoint, WEIGHTS)
        checkpoint.verify()


def test_statistics_are_those_of_a_local_file(simple_store: Store, tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "model", WEIGHTS)
    tfckpt.save(f"{simple_store.url}/model", WEIGHTS)
    found = tfckpt.statistics(f"{simple_store.url}/model")
    assert found["a"].maximum == 299_999
    assert dict(found) == dict(tfckpt.statistics(tmp_path / "model"))


def test_a_tensor_can_be_read_in_part(simple_store: Store) -> None:
    tfckpt.save(f"{simple_store.url}/model", WEIGHTS)
    with tfckpt.open(f"{simple_store.url}/model") as checkpoint:
        part = checkpoint.get_slice("a")[1000:2000]
        assert np.array_equal(part, np.arange(1000, 2000))
        assert not checkpoint["a"].flags.writeable


def test_a_pointer_in_a_store_is_called_that(simple_store: Store) -> None:
    prefix = f"{simple_store.url}/model"
    tfckpt.save(prefix, WEIGHTS)
    pointed = "got a Git LFS pointer, not the file itself; let Git download the file"
    data, index = f"{prefix}.data-00000-of-00001", f"{prefix}.index"
    simple_store.fs.pipe_file(f"{simple_store.path}/model.data-00000-of-00001", POINTER)
    with tfckpt.open(prefix) as checkpoint:
        line = f"{data}: file: expected a checkpoint's data file, {pointed}"
        assert [str(damage.error) for damage in checkpoint.find_damage()] == [line] * 3
    simple_store.fs.pipe_file(f"{simple_store.path}/model.index", POINTER)
    with pytest.raises(FormatError) as caught:
        tfckpt.open(prefix)
    assert str(caught.value) == f"{index}: file: expected a checkpoint's index, {pointed}"
    assert not caught.value.remedies  # no command of Git's is known there


def test_data_files_whose_number_is_known_last_get_their_names(store: Store, tmp_path: Path) -> None:
    for prefix in (str(tmp_path / "model"), f"{store.url}/model"):
        tfckpt.save(prefix, WEIGHTS, max_shard_size=500_000)
    local = {f"model{suffix}": data for suffix, data in bundle_bytes(tmp_path / "model").items()}
    assert len(local) == 4
    assert store.content() == local


def test_a_checkpoint_is_replaced_only_on_request(store: Store) -> None:
    tfckpt.save(f"{store.url}/model", {"old": [1]}, max_shard_size=1)
    before = store.content()
    with pytest.raises(CheckpointExistsError, match=r"run/model: already exists \(.*://"):
        tfckpt.save(f"{store.url}/model", WEIGHTS)
    assert store.content() == before
    tfckpt.save(f"{store.url}/model", WEIGHTS, overwrite=True, max_shard_size=700_000)
    with tfckpt.open(store.url) as checkpoint:
        assert equal(checkpoint, WEIGHTS)
        assert len(store.content()) == 1 + checkpoint.num_shards == 3


def test_a_write_that_fails_leaves_what_was_there(store: Store) -> None:
    tfckpt.save(f"{store.url}/model", {"old": [1]})
    before = store.content()
    with BundleWriter(f"{store.url}/model", overwrite=True) as writer:
        writer.add("a", WEIGHTS["a"])
        writer.next_shard()
        writer.add("b", np.ones(20 << 20, np.uint8))  # more than one part of an upload, and never finished
    assert store.content() == before


def test_a_commit_that_fails_at_the_index_leaves_no_data_behind(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from tfckpt.storage.remote_files import RemoteOutput

    publish = RemoteOutput.publish

    def refuse(self: RemoteOutput) -> None:
        if self.path.endswith(".index"):
            assert any(".data" in name and "tmp" not in name for name in store.content()), "data first, index last"
            raise ZeroDivisionError
        publish(self)

    monkeypatch.setattr(RemoteOutput, "publish", refuse)
    with pytest.raises(ZeroDivisionError):
        tfckpt.save(f"{store.url}/model", WEIGHTS)
    assert store.content() == {}


def test_state_files_lead_to_the_newest_checkpoint(store: Store) -> None:
    assert tfckpt.latest_checkpoint(store.url) is None
    for step in (1, 2):
        tfckpt.save(f"{store.url}/model-{step}", {"step": step})
    write_state(store.url, CheckpointState("model-1", ("model-1",)))
    assert tfckpt.latest_checkpoint(store.url) == f"{store.url}/model-1"
    with tfckpt.open(store.url) as checkpoint:
        assert checkpoint.prefix == f"{store.url}/model-1"
    assert tfckpt.load_variable(store.url, "step") == 1


def test_a_state_file_with_whole_urls_works_inside_its_directory(simple_store: Store) -> None:
    for step in (1, 2):
        tfckpt.save(f"{simple_store.url}/model-{step}", {"step": step})
    write_state(simple_store.url, CheckpointState(f"{simple_store.url}/model-2"))
    with tfckpt.open(simple_store.url) as checkpoint:
        assert checkpoint["step"] == 2


def test_a_report_reads_a_store_and_writes_its_page_there(
    simple_store: Store, tmp_path: Path, bert: str, capsys: pytest.CaptureFixture[str]
) -> None:
    simple_store.put_directory(DATA / "bert_tf115", "bert")
    page = f"{simple_store.url}/page.html"
    assert main(["report", f"{simple_store.url}/{BERT}", bert, "-o", page]) == 0
    text = simple_store.content()["page.html"]
    assert text.startswith(b"<!DOCTYPE html>")
    assert f"written: {page} ({len(text):,} bytes)" in capsys.readouterr().out


@pytest.mark.parametrize("ends", ["source", "dest", "both"])
def test_a_conversion_writes_the_same_from_and_to_a_store(store: Store, tmp_path: Path, bert: str, ends: str) -> None:
    store.put_directory(DATA / "bert_tf115", "bert")
    expected = tfckpt.convert(bert, tmp_path / "expected" / "encoder")
    source = bert if ends == "dest" else f"{store.url}/{BERT}"
    dest = str(tmp_path / "written" / "encoder") if ends == "source" else f"{store.url}/written/encoder"
    report = tfckpt.convert(source, dest, update_state=True, prove=True)
    assert report.num_heads == expected.num_heads
    local = bundle_bytes(tmp_path / "expected" / "encoder")
    if ends == "source":
        assert bundle_bytes(dest) == local
    else:
        written = {name: data for name, data in store.content().items() if name.startswith("written/encoder")}
        assert written == {f"written/encoder{suffix}": data for suffix, data in local.items()}
        assert tfckpt.latest_checkpoint(f"{store.url}/written") == dest


@pytest.mark.parametrize("mode", ["link", "reflink"])
@pytest.mark.parametrize("ends", ["source", "dest"])
def test_files_behind_urls_are_not_linked(memory: Store, bert: str, tmp_path: Path, mode: Any, ends: str) -> None:
    memory.put_directory(DATA / "bert_tf115", "bert")
    where = (f"{memory.url}/{BERT}", tmp_path / "encoder") if ends == "source" else (bert, f"{memory.url}/encoder")
    with pytest.raises(UnsupportedError, match=r"files behind URLs share no bytes; mode 'copy' or 'auto' copies it"):
        tfckpt.convert(*where, mode=mode)
    report = tfckpt.convert(*where, mode="auto", prove=True)
    assert report.written is not None
    assert report.written.mode == "copy"


@pytest.mark.parametrize("name", ["out.safetensors", "out.npz", "out/"])
def test_exports_go_to_a_store_and_come_from_it(store: Store, tmp_path: Path, name: str) -> None:
    tfckpt.save(tmp_path / "model", {key: value for key, value in WEIGHTS.items() if key != "labels"})
    for overwrite in (False, True):
        tfckpt.export(tmp_path / "model", f"{store.url}/{name}", overwrite=overwrite)
    with pytest.raises(CheckpointExistsError):
        tfckpt.export(tmp_path / "model", f"{store.url}/{name}")
    assert len(store.content()) == (3 if name == "out/" else 1)
    tfckpt.import_(f"{store.url}/{name}", tmp_path / "back", sync=False)
    assert bundle_bytes(tmp_path / "back") == bundle_bytes(tmp_path / "model")


def test_updating_a_state_file_twice_lists_a_checkpoint_once(simple_store: Store, bert: str) -> None:
    for _ in range(2):
        tfckpt.convert(bert, f"{simple_store.url}/encoder", update_state=True, overwrite=True)
    state = simple_store.content()["checkpoint"].decode()
    assert state == 'model_checkpoint_path: "encoder"\nall_model_checkpoint_paths: "encoder"\n'


def test_every_command_takes_urls(store: Store, capsys: pytest.CaptureFixture[str], bert: str) -> None:
    store.put_directory(DATA / "bert_tf115", "bert")
    source, dest = f"{store.url}/{BERT}", f"{store.url}/out/encoder"

    def output(*args: str) -> str:
        assert main([*args]) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    assert dest in output("convert", source, dest)
    assert output("plan", source).replace(source, bert) == output("plan", bert)
    assert output("ls", source) == output("ls", bert)
    assert "every checksum matches" in output("verify", source)
    assert output("prove", source, dest)
    assert "_pooler_layer" in output("tree", dest)
    output("rewrite", source, f"{store.url}/out/half", "--cast", "float16", "--shards", "2")
    output("merge", f"{store.url}/out/half", dest, f"{store.url}/out/both", "--json")
    with tfckpt.open(f"{store.url}/out/both") as both, tfckpt.open(source) as before:
        name = "bert/pooler/dense/kernel"
        assert np.array_equal(both[name], before[name].astype(np.float16))


def test_a_checkpoint_is_not_converted_onto_itself(simple_store: Store) -> None:
    simple_store.put_directory(DATA / "bert_tf115", "bert")
    before = simple_store.content()
    with pytest.raises(UsageError):
        tfckpt.convert(f"{simple_store.url}/{BERT}", f"{simple_store.url}/{BERT}", overwrite=True)
    assert simple_store.content() == before


@pytest.mark.parametrize("name", ["saver", "shards", "shards-00001-of-00002", "shards-?????-of-00002"])
def test_v1_checkpoints_are_found_and_read(simple_store: Store, name: str) -> None:
    simple_store.put_directory(DATA / "v1", "v1")
    with tfckpt.open(f"{simple_store.url}/v1/{name}") as remote, tfckpt.open(DATA / "v1" / name) as local:
        assert remote.format == "v1"
        assert list(remote) == list(local)
        assert all(np.array_equal(remote[tensor], local[tensor]) for tensor in local)


def test_damage_is_found_and_the_message_has_the_url(simple_store: Store) -> None:
    tfckpt.save(f"{simple_store.url}/model", WEIGHTS)
    simple_store.damage("model.data-00000-of-00001", 100_000)
    with (
        tfckpt.open(simple_store.url) as checkpoint,
        pytest.raises(ChecksumError, match=r"://.*run/model\.data-00000-of-"),
    ):
        checkpoint["a"]
    assert main(["verify", simple_store.url]) == 1


def test_a_file_that_is_cut_short_is_an_error_before_anything_is_read(simple_store: Store) -> None:
    tfckpt.save(f"{simple_store.url}/model", WEIGHTS)
    data = simple_store.content()["model.data-00000-of-00001"]
    simple_store.fs.pipe_file(f"{simple_store.path}/model.data-00000-of-00001", data[:-1])
    with tfckpt.open(simple_store.url) as checkpoint, pytest.raises(FormatError, match="the file is truncated"):
        checkpoint["step"]


def test_a_data_file_that_is_missing_is_named(simple_store: Store) -> None:
    tfckpt.save(f"{simple_store.url}/model", WEIGHTS)
    simple_store.fs.rm_file(f"{simple_store.path}/model.data-00000-of-00001")
    with (
        tfckpt.open(simple_store.url) as checkpoint,
        pytest.raises(CheckpointNotFoundError, match=r"model\.data-00000-of-"),
    ):
        checkpoint["step"]


def test_what_is_not_there_is_said_with_what_is(simple_store: Store) -> None:
    tfckpt.save(f"{simple_store.url}/model", WEIGHTS)
    with pytest.raises(CheckpointNotFoundError, match=r"no file .*run/modle\.index; .*run holds model$"):
        tfckpt.open(f"{simple_store.url}/modle")


def test_a_directory_is_no_prefix_to_write_to(simple_store: Store) -> None:
    tfckpt.save(f"{simple_store.url}/model", WEIGHTS)
    with pytest.raises(UsageError, match=r"run: a directory; .* such as .*://.*/run/model\.ckpt"):
        tfckpt.save(simple_store.url, WEIGHTS)


def test_threads_share_a_checkpoint(simple_store: Store) -> None:
    from concurrent.futures import ThreadPoolExecutor

    tensors: dict[str, Any] = {f"t{n}": np.full(1000, n) for n in range(40)}
    tfckpt.save(f"{simple_store.url}/model", tensors)
    with tfckpt.open(simple_store.url) as checkpoint, ThreadPoolExecutor(4) as pool:
        for name, array in zip(tensors, pool.map(checkpoint.__getitem__, tensors), strict=True):
            assert np.array_equal(array, tensors[name])
