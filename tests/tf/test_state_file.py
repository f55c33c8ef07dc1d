"""State files: written by TensorFlow, kept to the byte; written by us, followed by TensorFlow; and the same answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfckpt
from tfckpt.checkpoint.find.state_file import read_state, update_state, write_state

pytestmark = pytest.mark.tf


def with_manager(tf: Any, directory: Path) -> None:
    checkpoint = tf.train.Checkpoint(v=tf.Variable(1.0))
    manager = tf.train.CheckpointManager(checkpoint, str(directory), 2, keep_checkpoint_every_n_hours=1e-9)
    for _ in range(4):
        manager.save()


def with_checkpoint(tf: Any, directory: Path) -> None:
    tf.train.Checkpoint(v=tf.Variable(1.0)).save(str(directory / 'odd "name" é'))


def with_saver(tf: Any, directory: Path) -> None:
    directory.mkdir()
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        v1.get_variable("x", [])
        session.run(v1.global_variables_initializer())
        saver = v1.train.Saver()
        for step in (1, 2):
            saver.save(session, str(directory / "model"), global_step=step)


@pytest.mark.parametrize(
    ("writer", "lines"),
    [(with_manager, 6), (with_checkpoint, 2), (with_saver, 3)],
    ids=["manager", "checkpoint", "saver"],
)
def test_a_state_file_of_tensorflow_is_kept_to_the_byte(tf: Any, tmp_path: Path, writer: Any, lines: int) -> None:
    writer(tf, tmp_path / "theirs")
    state = read_state(str(tmp_path / "theirs"))
    assert state is not None
    write_state(str(tmp_path / "ours"), state)
    theirs = (tmp_path / "theirs" / "checkpoint").read_bytes()
    assert theirs.count(b"\n") == lines
    assert (tmp_path / "ours" / "checkpoint").read_bytes() == theirs


def test_tensorflow_finds_what_was_converted(tf: Any, bert: str, tmp_path: Path) -> None:
    tfckpt.convert(bert, tmp_path / "tf2" / "bert_encoder", update_state=True)
    assert tf.train.latest_checkpoint(str(tmp_path / "tf2")) == str(tmp_path / "tf2" / "bert_encoder")
    moved = (tmp_path / "tf2").rename(tmp_path / "moved")
    assert tf.train.latest_checkpoint(str(moved)) == str(moved / "bert_encoder")


def test_we_write_what_tensorflow_writes(tf: Any, tmp_path: Path) -> None:
    from tensorflow.python.checkpoint.checkpoint_management import update_checkpoint_state_internal

    paths = [str(tmp_path / name) for name in ("a", "b", "c")]
    update_checkpoint_state_internal(
        str(tmp_path), paths[-1], all_model_checkpoint_paths=paths, save_relative_paths=True
    )
    theirs = (tmp_path / "checkpoint").read_bytes()
    (tmp_path / "checkpoint").unlink()
    for path in (paths[0], paths[2], paths[1], paths[2]):
        update_state(path)
    assert (tmp_path / "checkpoint").read_bytes() == theirs


def test_a_manager_goes_on_from_an_updated_state_file(tf: Any, bert: str, tmp_path: Path) -> None:
    with_manager(tf, tmp_path)
    tfckpt.convert(bert, tmp_path / "bert_encoder", update_state=True)
    manager = tf.train.CheckpointManager(tf.train.Checkpoint(v=tf.Variable(1.0)), str(tmp_path), max_to_keep=3)
    assert manager.latest_checkpoint == str(tmp_path / "bert_encoder")
    assert [Path(path).name for path in manager.checkpoints] == ["ckpt-3", "ckpt-4", "bert_encoder"]
    manager.save()
    state = read_state(str(tmp_path))
    assert state is not None
    assert state.all_model_checkpoint_paths == ("ckpt-4", "bert_encoder", "ckpt-1")
    assert not (tmp_path / "ckpt-3.index").exists()


@pytest.fixture(scope="module")
def directory(tf: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of checkpoints by TensorFlow: two in it, one beside it."""
    top = tmp_path_factory.mktemp("states")
    for value, name in enumerate(["in/a", "in/b", "in/sub/d", "c"]):
        tf.train.Checkpoint(v=tf.Variable(float(value)), s=tf.Variable(["x", name])).write(str(top / name))
    (top / "in" / "file").write_bytes(b"not a checkpoint")
    return top / "in"


def answer(latest: Any, directory: str | Path, *args: str) -> Any:
    """Return what a latest_checkpoint returns, or that it raised a ValueError."""
    try:
        return latest(directory, *args)
    except ValueError:
        return ValueError


@pytest.mark.parametrize(
    "text",
    [
        'model_checkpoint_path: "b"',
        'model_checkpoint_path: "./b"',
        'model_checkpoint_path: "sub/d"',
        'model_checkpoint_path: "../c"',
        'model_checkpoint_path: "{0}/b"',
        'model_checkpoint_path: "{0}/../c"',
        'model_checkpoint_path: "/nowhere/b"',
        'model_checkpoint_path: "gone"',
        'model_checkpoint_path: "file"',
        'model_checkpoint_path: "b.index"',
        'model_checkpoint_path: "a" model_checkpoint_path: "b"',
        'model_checkpoint_path: "b"\nall_model_checkpoint_paths: "a"\nlast_preserved_timestamp: 1.5',
        'model_checkpoint_path: "b"\nunknown_field: 3',
        'all_model_checkpoint_paths: "b"',
        'model_checkpoint_path: ""',
        'model_checkpoint_path: "\\142"',
        'model_checkpoint_path: "\\377"',
        'model_checkpoint_path: "b"\n# a comment',
        "model_checkpoint_path: 3",
        "garbage",
        "{{",
        "",
    ],
)
def test_latest_checkpoint_answers_as_tensorflow_does(tf: Any, directory: Path, text: str) -> None:
    state = directory / "checkpoint"
    state.write_text(text.format(directory), encoding="utf-8")
    for path in (str(directory), f"{directory}/", directory):
        assert answer(tfckpt.latest_checkpoint, path) == answer(tf.train.latest_checkpoint, path)
    state.rename(directory / "best")
    assert answer(tfckpt.latest_checkpoint, directory) is answer(tf.train.latest_checkpoint, directory) is None
    theirs = answer(tf.train.latest_checkpoint, directory, "best")
    assert answer(tfckpt.latest_checkpoint, directory, "best") == theirs


def test_latest_checkpoint_follows_a_relative_directory(
    tf: Any, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (directory / "checkpoint").write_text('model_checkpoint_path: "b"', encoding="utf-8")
    monkeypatch.chdir(directory)
    for path in ("", ".", "../in", "sub/.."):
        assert tfckpt.latest_checkpoint(path) == tf.train.latest_checkpoint(path)
        assert tfckpt.latest_checkpoint(path) is not None


@pytest.mark.parametrize(
    "content", [b"\xff", b'model_checkpoint_path: "\xff"', None], ids=["bytes", "quoted", "directory"]
)
def test_latest_checkpoint_of_what_is_no_text(tf: Any, tmp_path: Path, content: bytes | None) -> None:
    if content is None:
        (tmp_path / "checkpoint").mkdir()
    else:
        (tmp_path / "checkpoint").write_bytes(content)
    ours, theirs = answer(tfckpt.latest_checkpoint, tmp_path), answer(tf.train.latest_checkpoint, tmp_path)
    assert ours == theirs
    assert ours is (None if content is None else ValueError)


@pytest.mark.parametrize("named", ["b", "sub/d", "../c", "{0}/../c"])
def test_a_directory_is_read_as_tensorflow_reads_it(tf: Any, directory: Path, named: str) -> None:
    (directory / "checkpoint").write_text(f'model_checkpoint_path: "{named.format(directory)}"', encoding="utf-8")
    listed = tf.train.list_variables(str(directory))
    assert tfckpt.list_variables(directory) == listed
    ours, theirs = tfckpt.load_checkpoint(directory), tf.train.load_checkpoint(str(directory))
    for name, _ in listed:
        expected = theirs.get_tensor(name)
        np.testing.assert_array_equal(ours.get_tensor(name), expected)
        np.testing.assert_array_equal(tfckpt.load_variable(directory, name), expected)
        np.testing.assert_array_equal(tf.train.load_variable(str(directory), name), expected)
