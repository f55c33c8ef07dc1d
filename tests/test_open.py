from __future__ import annotations

import copy
import gc
import logging
import mmap
import os
import pickle
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.v1 import to_rows, write_rows

import tfckpt
from tfckpt.bundle.values.entry import HEADER_KEY, Header, encode_name
from tfckpt.bundle.writer import BundleWriter
from tfckpt.checkpoint.find.state_file import CheckpointState, read_state, write_state
from tfckpt.errors import (
    CheckpointNotFoundError,
    ChecksumError,
    FormatError,
    TensorNotFoundError,
    UsageError,
)
from tfckpt.sstable.writer import TableBuilder
from tfckpt.storage.paths import shard_path

WORDS = "bert/embeddings/word_embeddings"
INCOMPLETE = "the index names this file: the download or copy is incomplete"


def write_state_text(directory: Path, text: str) -> None:
    """Write a directory's state file by hand."""
    (directory / "checkpoint").write_text(text, encoding="utf-8")


def flip(path: str, offset: int) -> None:
    """Change one byte of a file."""
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


@pytest.fixture
def two_shards(tmp_path: Path) -> str:
    """Prefix of a bundle whose tensor "a" is in the first data file and "b" in the second; SaveV2 never makes one."""
    prefix = str(tmp_path / "sharded")
    rows: dict[bytes, bytes] = {HEADER_KEY: Header(num_shards=2).encode()}
    for shard, name in enumerate("ab"):
        part = str(tmp_path / name)
        tfckpt.save(part, {"padding": np.zeros(shard + 1, np.int8), name: np.full(3, shard, np.float32)})
        with tfckpt.open(part) as checkpoint:
            rows[encode_name(name)] = checkpoint.entry(name)._replace(shard=shard).encode()
        os.rename(shard_path(part, 0, 1), shard_path(prefix, shard, 2))
        os.unlink(f"{part}.index")
    with open(f"{prefix}.index", "wb") as index:
        table = TableBuilder(index.write)
        for key, value in rows.items():
            table.add(key, value)
        table.finish()
    return prefix


@pytest.mark.parametrize("suffix", ["", ".index", ".data-00000-of-00001"])
@pytest.mark.parametrize("kind", [str, Path])
def test_a_prefix_or_one_of_its_files_opens_the_checkpoint(
    bert: str, suffix: str, kind: Callable[[str], str | Path]
) -> None:
    with tfckpt.open(kind(bert + suffix)) as checkpoint:
        assert (checkpoint.prefix, len(checkpoint)) == (bert, 139)


def test_a_prefix_may_itself_end_like_a_file(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "model", {"w": 1})
    for suffix in (".index", ".data-00000-of-00001"):
        shutil.copy(tmp_path / f"model{suffix}", tmp_path / f"model.index{suffix}")
    assert tfckpt.open(tmp_path / "model.index").prefix == str(tmp_path / "model.index")
    assert tfckpt.open(tmp_path / "model.data-00000-of-00001").prefix == str(tmp_path / "model")


@pytest.fixture
def several(tmp_path: Path) -> Path:
    """A directory with the checkpoints model-1, model-2 and model-3, and no state file."""
    for step in (1, 2, 3):
        tfckpt.save(tmp_path / f"model-{step}", {"global_step": step})
    return tmp_path


def test_a_state_file_chooses(several: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_state_text(several, 'model_checkpoint_path: "model-2"\nall_model_checkpoint_paths: "model-1"\n')
    with tfckpt.open(several) as checkpoint:
        assert checkpoint.prefix == str(several / "model-2")
        assert checkpoint["global_step"] == 2
    assert tfckpt.open(f"{several}{os.sep}")["global_step"] == 2
    assert not caplog.records


def test_another_machines_absolute_path_means_this_directory(several: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_state_text(several, 'model_checkpoint_path: "/cluster/run-7/model-3"')
    with caplog.at_level(logging.WARNING, logger="tfckpt"):
        assert tfckpt.open(several)["global_step"] == 3
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("tfckpt", "WARNING")
    assert record.getMessage() == (
        f"{several / 'checkpoint'} names /cluster/run-7/model-3, which is not in here: reading {several / 'model-3'}"
    )


@pytest.mark.parametrize("state", [None, 'model_checkpoint_path: "model-4"', "", "unknown_field: 1"])
def test_without_a_usable_choice_several_checkpoints_are_listed(several: Path, state: str | None) -> None:
    if state is not None:
        write_state_text(several, state)
    with pytest.raises(CheckpointNotFoundError) as caught:
        tfckpt.open(several)
    hint = ", and its state file names model-4, which is not in here" if state and "model-4" in state else ""
    assert (
        str(caught.value) == f"{several}: a directory with 3 checkpoints{hint}: name one of model-1, model-2, model-3"
    )


def test_a_long_list_of_checkpoints_is_cut(several: Path) -> None:
    for step in (4, 5, 6, 7):
        tfckpt.save(several / f"model-{step}", {})
    with pytest.raises(CheckpointNotFoundError, match=r"name one of model-1, .*, model-5 and 2 more$"):
        tfckpt.open(several)


def test_the_only_checkpoint_of_a_directory_needs_no_state_file(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "model", {"w": 5})
    assert tfckpt.open(tmp_path)["w"] == 5


def test_a_directory_without_a_checkpoint_is_an_error(tmp_path: Path) -> None:
    write_state_text(tmp_path, 'model_checkpoint_path: "model-4"')
    with pytest.raises(CheckpointNotFoundError, match=r"the directory has no checkpoint: no file in it ends in .index"):
        tfckpt.open(tmp_path)


@pytest.mark.parametrize(
    ("path", "there"),
    [
        ("model-9", "{0} holds model-1, model-2, model-3"),
        ("model-9.index", "{0} holds model-1, model-2, model-3"),
        ("model", "{0} holds model-1, model-2, model-3"),  # TensorFlow takes no part of a name either
        ("gone/model-1", "the directory {0}/gone does not exist"),
        ("empty/model-1", "{0}/empty holds no checkpoint"),
        ("model-1.index/model-1", "{0}/model-1.index is a file"),
    ],
)
def test_a_path_that_leads_nowhere_is_told_what_lies_there(several: Path, path: str, there: str) -> None:
    (several / "empty").mkdir()
    with pytest.raises(CheckpointNotFoundError) as caught:
        tfckpt.open(several / path)
    index = several / (path.removesuffix(".index") + ".index")
    assert str(caught.value) == f"{several / path}: no checkpoint: no file {index}; {there.format(several)}"


def test_the_empty_path_is_no_checkpoint(several: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(several)
    with pytest.raises(CheckpointNotFoundError, match=r"holds model-1, model-2, model-3"):
        tfckpt.open("")


def test_a_relative_prefix_is_looked_for_here(several: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(several)
    assert tfckpt.open("model-2")["global_step"] == 2
    with pytest.raises(
        CheckpointNotFoundError, match=r"^model-9: no checkpoint: no file model-9\.index; \. holds model-1"
    ):
        tfckpt.open("model-9")


@pytest.mark.parametrize("source_format", ["v2", "v1"])
def test_a_checkpoint_stays_what_it_is_when_the_process_goes_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source_format: str
) -> None:
    for name, value in (("here", 1.0), ("there", 2.0)):
        directory = tmp_path / name
        directory.mkdir()
        if source_format == "v2":
            tfckpt.save(directory / "m", {"w": np.full(4, value, np.float32)})
        else:
            write_rows(directory / "m", to_rows({"w": np.full(4, value, np.float32)}))
    monkeypatch.chdir(tmp_path / "here")
    opened = tfckpt.open("m", format=source_format)
    monkeypatch.chdir(tmp_path / "there")
    assert opened.prefix == "m"
    assert opened.find_damage() == []
    again: tfckpt.Checkpoint = pickle.loads(pickle.dumps(opened))
    for checkpoint in (opened, again, copy.copy(opened)):
        assert checkpoint["w"].tolist() == checkpoint.get_slice("w")[:].tolist() == [1.0] * 4
        checkpoint.verify()
        checkpoint.reader.check_unchanged()
    tfckpt.save("m", opened, overwrite=True)  # another one, though its path is spelled the same
    assert tfckpt.open("m", format="v2")["w"].tolist() == [1.0] * 4


def test_a_checkpoint_is_itself_as_a_file_is(bert: str) -> None:
    one, other = tfckpt.open(bert), tfckpt.open(bert)
    assert one == one
    assert one != other
    assert len({one, other}) == 2
    assert one._ipython_key_completions_() == list(one)
    one.close()
    one.close()
    with pytest.raises(UsageError, match="closed"), one:
        pass


def test_an_index_without_data_opens_and_says_what_is_missing(bert_copy: str) -> None:
    data = f"{bert_copy}.data-00000-of-00001"
    os.unlink(data)
    with tfckpt.open(bert_copy) as checkpoint:
        assert checkpoint.entry(WORDS).shape == (30, 8)
        with pytest.raises(CheckpointNotFoundError) as caught:
            checkpoint[WORDS]
    assert str(caught.value) == f"{data}: cannot open: No such file or directory; {INCOMPLETE}"


def test_a_part_of_a_name_is_told_where_it_is(bert: str) -> None:
    near = "'bert/pooler/dense/bias', 'bert/pooler/dense/bias/adam_m', 'bert/pooler/dense/bias/adam_v'"
    with tfckpt.open(bert) as checkpoint, pytest.raises(TensorNotFoundError, match=f"did you mean {near}"):
        checkpoint["pooler"]


def test_a_missing_tensor_is_told_the_nearest_names(bert: str) -> None:
    with tfckpt.open(bert) as checkpoint, pytest.raises(TensorNotFoundError) as caught:
        checkpoint["bert/pooler/dense/kernal"]
    assert str(caught.value).startswith(
        f"{bert}: no tensor 'bert/pooler/dense/kernal'; did you mean 'bert/pooler/dense/kernel', "
    )


def test_an_error_suggests_no_name_if_none_is_near(bert: str) -> None:
    with tfckpt.open(bert) as checkpoint, pytest.raises(KeyError) as caught:
        checkpoint["resnet"]
    assert str(caught.value) == f"{bert}: no tensor 'resnet'"
    assert isinstance(caught.value, TensorNotFoundError)


def test_a_checkpoint_is_a_mapping_sorted_by_the_bytes_of_its_keys(tmp_path: Path) -> None:
    names = ["z", "é", "B", "a/b", "a", "a.b", "😀", "\uffff"]  # the last two sort the other way round in UTF-16
    tfckpt.save(tmp_path / "m", {name: number for number, name in enumerate(names)})
    with tfckpt.open(tmp_path / "m") as checkpoint:
        assert len(checkpoint) == len(names)
        assert list(checkpoint) == ["B", "a", "a.b", "a/b", "z", "é", "\uffff", "😀"]
        assert {name: value.item() for name, value in checkpoint.items()} == {n: i for i, n in enumerate(names)}
        assert "a.b" in checkpoint
        assert checkpoint.get("a").item() == 4  # type: ignore[union-attr]
        assert checkpoint.get("c") is None
        assert all(other not in checkpoint for other in ("c", "", 3, None))


def test_entries_are_chosen_by_a_glob(bert: str) -> None:
    with tfckpt.open(bert) as checkpoint:
        assert len(checkpoint.entries()) == 139
        assert [(e.name, e.dtype_name, e.shape) for e in checkpoint.entries("bert/pooler/dense/*s")] == [
            ("bert/pooler/dense/bias", "float32", (8,))
        ]
        assert len(checkpoint.entries("*/layer_[01]/*/query/kernel")) == 2
        assert checkpoint.entries("POOLER") == []


def owner(array: np.ndarray[Any, Any]) -> object:
    """Return the object that an array's memory belongs to."""
    holder: Any = array
    while isinstance(holder, (np.ndarray, memoryview)):
        holder = holder.base if isinstance(holder, np.ndarray) else holder.obj
    return holder


def test_arrays_are_read_only_views_of_one_mapped_file(bert: str) -> None:
    with tfckpt.open(bert) as checkpoint:
        words, bias = checkpoint[WORDS], checkpoint["bert/pooler/dense/bias"]
    assert words.dtype == np.float32
    assert words.shape == (30, 8)
    assert words.flags.c_contiguous
    assert isinstance(owner(words), mmap.mmap)
    assert owner(words) is owner(bias)
    assert not words.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        words[0, 0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        words.flags.writeable = True


def test_arrays_outlive_the_checkpoint_and_its_files(bert_copy: str) -> None:
    with tfckpt.open(bert_copy) as checkpoint:
        words = checkpoint[WORDS]
    expected = words.tobytes()
    shutil.rmtree(Path(bert_copy).parent)
    assert words.tobytes() == expected
    assert any(expected)


def test_leaving_the_block_closes_even_after_an_error(bert: str) -> None:
    with pytest.raises(ZeroDivisionError), tfckpt.open(bert) as checkpoint:
        raise ZeroDivisionError
    assert repr(checkpoint) == f"<tfckpt.Checkpoint {bert!r}: closed>"


@pytest.mark.parametrize(
    "use",
    [
        len,
        list,
        lambda c: c[WORDS],
        lambda c: WORDS in c,
        lambda c: c.entry(WORDS),
        lambda c: c.entries(),
        lambda c: c.verify(),
        lambda c: c.num_shards,
        lambda c: c.object_graph,
    ],
    ids=["len", "iter", "getitem", "contains", "entry", "entries", "verify", "num_shards", "object_graph"],
)
def test_reading_after_close_is_an_error(bert: str, use: Callable[[tfckpt.Checkpoint], object]) -> None:
    with tfckpt.open(bert) as other:
        use(other)
    checkpoint = tfckpt.open(bert)
    checkpoint.close()
    checkpoint.close()
    with pytest.raises(UsageError, match="this checkpoint is closed"):
        use(checkpoint)


def test_a_damaged_tensor_is_noticed_when_it_is_read(bert_copy: str) -> None:
    data = f"{bert_copy}.data-00000-of-00001"
    with tfckpt.open(bert_copy) as checkpoint:
        offset = checkpoint.entry(WORDS).offset
    flip(data, offset + 100)
    with tfckpt.open(bert_copy) as checkpoint:
        checkpoint["bert/pooler/dense/bias"]
        for _ in range(2):
            with pytest.raises(ChecksumError) as caught:
                checkpoint[WORDS]
    assert str(caught.value).startswith(
        f"{data}: checksum of tensor {WORDS!r} (960 bytes) at byte {offset:,}: expected 0x"
    )
    assert (caught.value.path, caught.value.offset) == (data, offset)
    with tfckpt.open(bert_copy, verify=False) as checkpoint:
        assert checkpoint[WORDS].shape == (30, 8)


@pytest.fixture
def kinds(tmp_path: Path) -> str:
    """Prefix of a bundle with a tensor of each kind that has one checksum; variants have one a message, always looked at."""
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    with BundleWriter(str(tmp_path / "kinds"), max_shard_size=16) as writer:
        writer.add("number", values[0])
        writer.add("sliced", values)
        writer.add("string", [b"yes", b"no"])
        writer.finish()
    return str(tmp_path / "kinds")


def damage(prefix: str, name: str) -> None:
    """Change the last byte of a tensor."""
    with tfckpt.open(prefix) as checkpoint:
        _, stored = checkpoint.reader.pieces(checkpoint.entry(name))[-1]
        path = shard_path(prefix, stored.shard, checkpoint.num_shards)
    flip(path, stored.offset + stored.nbytes - 1)


KINDS = ["number", "sliced", "string"]


@pytest.mark.parametrize("name", KINDS)
def test_a_tensor_is_verified_at_the_first_look(kinds: str, name: str) -> None:
    damage(kinds, name)
    looks: list[Callable[[tfckpt.Checkpoint], object]] = [
        lambda checkpoint: checkpoint[name],
        lambda checkpoint: checkpoint.verify(name),
        lambda checkpoint: dict(checkpoint.items()),
        lambda checkpoint: list(checkpoint.values()),
    ]
    with tfckpt.open(kinds) as checkpoint:
        for other in sorted({*checkpoint} - {name}):  # which are as they were
            checkpoint.verify(other)
        checkpoint.get_slice(name)[0]  # no checksum covers a part, so this is no look at it
        for look in looks:  # nor is one that fails
            with pytest.raises(ChecksumError, match=name):
                look(checkpoint)
    with tfckpt.open(kinds, verify=False) as checkpoint:
        assert len(dict(checkpoint.items())) == 3


@pytest.mark.parametrize("name", KINDS)
def test_a_tensor_is_not_verified_again(kinds: str, name: str) -> None:
    """Or reading a table row by row, under its name, would read all of it each time."""
    with tfckpt.open(kinds) as read, tfckpt.open(kinds) as verified, tfckpt.open(kinds) as listed:
        before = read[name].tolist()
        verified.verify(name)
        listed.verify()
        damage(kinds, name)
        for checkpoint in (read, verified, listed):
            after = checkpoint[name].tolist()
            assert after != before
            assert after == tfckpt.open(kinds, verify=False)[name].tolist()
        assert [value.tolist() for key, value in read.items() if key == name] == [after]
        with pytest.raises(ChecksumError, match=name):  # unless it is asked for
            read.verify(name)
    with tfckpt.open(kinds) as again, pytest.raises(ChecksumError, match=name):
        again[name]


def test_a_damaged_string_tensor_is_noticed_when_it_is_read(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "m", {"labels": ["yes", "no"]})
    flip(f"{tmp_path / 'm'}.data-00000-of-00001", 6)
    with pytest.raises(ChecksumError, match=r"checksum of tensor 'labels' \(11 bytes\) at byte 0"):
        tfckpt.open(tmp_path / "m")["labels"]
    assert tfckpt.open(tmp_path / "m", verify=False)["labels"].tolist() == [b"xes", b"no"]


def test_one_tensor_may_be_verified_alone(bert_copy: str) -> None:
    with tfckpt.open(bert_copy) as checkpoint:
        flip(f"{bert_copy}.data-00000-of-00001", checkpoint.entry(WORDS).offset)
        checkpoint.verify("bert/pooler/dense/bias")
        for name in (WORDS, None):
            with pytest.raises(ChecksumError, match=WORDS):
                checkpoint.verify(name)
        with pytest.raises(TensorNotFoundError):
            checkpoint.verify("nothing")


def test_threads_share_one_checkpoint(two_shards: str, bert: str) -> None:
    with tfckpt.open(bert) as checkpoint:
        expected = {name: value.tobytes() for name, value in checkpoint.items()}
    barrier = threading.Barrier(16)
    results: list[dict[str, bytes]] = []
    checkpoint, sharded = tfckpt.open(bert), tfckpt.open(two_shards)

    def read_all() -> None:
        barrier.wait()
        values = {name: checkpoint[name].tobytes() for name in checkpoint}
        checkpoint.verify()
        assert sharded["b"].tolist() == [1, 1, 1]
        results.append(values)

    threads = [threading.Thread(target=read_all) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 16


def test_threads_open_each_data_file_once(bert: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes second would otherwise drop a file that a reader is using."""
    opened: list[str] = []
    original = os.open

    def slow_open(path: str, *args: Any) -> int:
        opened.append(path)
        time.sleep(0.02)
        return original(path, *args)

    barrier = threading.Barrier(8)

    def read() -> None:
        barrier.wait()
        checkpoint[WORDS]

    with tfckpt.open(bert) as checkpoint:
        monkeypatch.setattr(os, "open", slow_open)
        threads = [threading.Thread(target=read) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert opened == [f"{bert}.data-00000-of-00001"]


def test_several_shards_are_one_checkpoint(two_shards: str) -> None:
    for suffix in ("", ".index", ".data-00001-of-00002"):
        with tfckpt.open(two_shards + suffix) as checkpoint:
            assert (checkpoint.prefix, checkpoint.num_shards) == (two_shards, 2)
            assert {name: value.tolist() for name, value in checkpoint.items()} == {"a": [0, 0, 0], "b": [1, 1, 1]}
            checkpoint.verify()


def test_a_missing_shard_is_named_when_it_is_needed(two_shards: str) -> None:
    missing = shard_path(two_shards, 1, 2)
    os.unlink(missing)
    with tfckpt.open(two_shards) as checkpoint:
        assert checkpoint["a"].tolist() == [0, 0, 0]
        with pytest.raises(CheckpointNotFoundError) as caught:
            checkpoint["b"]
    assert str(caught.value) == f"{missing}: cannot open: No such file or directory; {INCOMPLETE}"


def test_a_damaged_shard_is_named(two_shards: str) -> None:
    with tfckpt.open(two_shards) as checkpoint:
        flip(shard_path(two_shards, 1, 2), checkpoint.entry("b").offset)
        with pytest.raises(ChecksumError, match=r"sharded\.data-00001-of-00002: checksum of tensor 'b' .* at byte 2:"):
            checkpoint.verify()


@pytest.mark.parametrize(
    "state",
    [
        CheckpointState("model-2"),
        CheckpointState("model-2", ("model-1", "model-2")),
        CheckpointState('odd "name"\\\n\x07é', ("/absolute/model-1",)),
    ],
)
def test_a_state_file_is_read_as_it_was_written(tmp_path: Path, state: CheckpointState) -> None:
    for _ in range(2):
        write_state(str(tmp_path), state)
    assert read_state(str(tmp_path)) == state
    assert os.listdir(tmp_path) == ["checkpoint"]


def test_a_state_file_is_written_as_tensorflow_does(tmp_path: Path, bert: str) -> None:
    write_state(str(tmp_path), CheckpointState("model.ckpt-3", ("model.ckpt-3",)))
    assert (tmp_path / "checkpoint").read_bytes() == (Path(bert).parent / "checkpoint").read_bytes()


@pytest.mark.parametrize(
    "text", [b"model_checkpoint_path: 3", b"{", b"model_checkpoint_path", b"\xff\xfe\0", b"\0" * 40]
)
def test_a_broken_state_file_is_named(several: Path, text: bytes) -> None:
    (several / "checkpoint").write_bytes(text)
    with pytest.raises(FormatError) as caught:
        tfckpt.open(several)
    assert caught.value.path == str(several / "checkpoint")


def test_a_directory_called_like_the_state_file_is_none(several: Path) -> None:
    (several / "checkpoint").mkdir()
    assert read_state(str(several)) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('model_checkpoint_path: "model-2"', "{0}/model-2"),
        ('model_checkpoint_path: "{0}/model-3"', "{0}/model-3"),
        ('model_checkpoint_path: "sub/model-8"', "{0}/sub/model-8"),
        ('model_checkpoint_path: "model-4"', None),
        ('model_checkpoint_path: "/cluster/model-3"', None),
    ],
)
def test_latest_checkpoint_follows_the_state_file(several: Path, text: str, expected: str | None) -> None:
    tfckpt.save(several / "sub" / "model-8", {})
    write_state_text(several, text.format(several))
    assert tfckpt.latest_checkpoint(several) == (expected and expected.format(several))


def test_latest_checkpoint_without_a_state_file_is_none(several: Path) -> None:
    assert tfckpt.latest_checkpoint(several) is None
    assert tfckpt.latest_checkpoint(several / "gone") is None


def test_latest_checkpoint_reads_a_state_file_of_another_name(several: Path) -> None:
    write_state_text(several, 'model_checkpoint_path: "model-3"')
    (several / "best").write_text('model_checkpoint_path: "model-1"')
    assert tfckpt.latest_checkpoint(several, "best") == str(several / "model-1")


@pytest.fixture
def mixed(tmp_path: Path) -> str:
    """Prefix of a checkpoint with a scalar, a matrix, a string scalar and strings."""
    prefix = str(tmp_path / "mixed")
    tfckpt.save(prefix, {"step": np.int64(3), "w": np.eye(2, dtype=np.float32), "label": "yes", "labels": ["a", "b"]})
    return prefix


def test_a_reader_tells_shapes_and_dtypes(mixed: str) -> None:
    reader = tfckpt.load_checkpoint(mixed)
    assert reader.get_variable_to_shape_map() == {"label": [], "labels": [2], "step": [], "w": [2, 2]}
    assert reader.get_variable_to_dtype_map() == {
        "label": np.dtype(object),
        "labels": np.dtype(object),
        "step": np.dtype(np.int64),
        "w": np.dtype(np.float32),
    }
    assert reader.has_tensor("w")
    assert not reader.has_tensor("v")
    assert reader.debug_string().splitlines() == [
        b"label (DT_STRING) []",
        b"labels (DT_STRING) [2]",
        b"step (DT_INT64) []",
        b"w (DT_FLOAT) [2,2]",
    ]


def test_a_readers_tensors_are_scalars_or_arrays_of_ones_own(mixed: str) -> None:
    reader = tfckpt.load_checkpoint(mixed)
    assert reader.get_tensor("label") == b"yes"
    assert type(reader.get_tensor("step")) is np.int64
    assert reader.get_tensor("labels").tolist() == [b"a", b"b"]
    reader.get_tensor("w")[0, 0] = 9
    assert reader.get_tensor("w").tolist() == [[1, 0], [0, 1]]
    with pytest.raises(TensorNotFoundError):
        reader.get_tensor("v")


@pytest.mark.parametrize("name", ["w", "w:0"])
def test_one_variable_is_loaded_by_its_name(mixed: str, name: str) -> None:
    assert tfckpt.load_variable(mixed, name).tolist() == [[1, 0], [0, 1]]


def test_variables_are_listed_with_their_shapes(mixed: str) -> None:
    expected: list[tuple[str, list[int]]] = [("label", []), ("labels", [2]), ("step", []), ("w", [2, 2])]
    assert tfckpt.list_variables(mixed) == expected
    assert tfckpt.list_variables(Path(mixed).parent) == expected


def test_the_garbage_collector_runs_again_after_a_listing(tmp_path: Path, bert: str) -> None:
    for enabled in (True, False):
        (gc.enable if enabled else gc.disable)()
        try:
            with tfckpt.open(bert) as checkpoint:
                assert len(checkpoint.entries()) == 139
            assert gc.isenabled() is enabled
        finally:
            gc.enable()
    tfckpt.save(tmp_path / "c", {"a": 1.0})
    index = tmp_path / "c.index"
    index.write_bytes(index.read_bytes()[:20] + b"x" + index.read_bytes()[21:])
    with pytest.raises(FormatError), tfckpt.open(tmp_path / "c") as checkpoint:
        checkpoint.entries()
    assert gc.isenabled()
