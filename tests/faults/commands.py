"""Every way in which tfckpt writes files, each with what lies there before.

A directory has ``source/``, which is never written to, and ``out/``, where the destination is.
"""

from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

import tfckpt
from tfckpt.checkpoint.find.state_file import update_state
from tfckpt.cli.main import main
from tfckpt.errors import TfckptError

BERT = Path(__file__).parent.parent / "data" / "bert_tf115"
DEST = "out/model"
Tensors = dict[str, "np.typing.ArrayLike"]


class Command(NamedTuple):
    """One way of writing ``out/model``."""

    name: str
    prepare: Callable[[Path], None]
    run: Callable[[Path], None]
    overwrites: bool = True
    reads: bool = False  # a source that may be changed: its files have no second name


def tensors(seed: int) -> Tensors:
    """Return a few tensors of every kind; no two seeds have an equal value."""
    rng = np.random.default_rng(seed)
    return {
        "empty": np.zeros((0, seed)),
        "strings": [f"string {seed}", "é" * seed],
        "w": rng.normal(size=(40, 100)).astype(np.float32),
        "z": np.array(seed, np.int64),
    }


def cli(*arguments: str | Path) -> None:
    """Run a command line; raise what it reports."""
    errors = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
        code = main([str(argument) for argument in arguments])
    if code:
        raise TfckptError(errors.getvalue())


def _nothing(directory: Path) -> None:
    (directory / "out").mkdir()


def _no_directory(directory: Path) -> None:
    pass


def _saved(max_shard_size: int | None = None) -> Callable[[Path], None]:
    """Return what saves an old checkpoint, in several files if there is a largest size, and a state file that names it."""

    def prepare(directory: Path) -> None:
        tfckpt.save(directory / DEST, tensors(1), max_shard_size=max_shard_size)
        update_state(str(directory / "out" / "older"))
        update_state(str(directory / DEST))

    return prepare


def _parts(directory: Path) -> None:
    for seed in (2, 3):
        values = {f"{name}-{seed}": value for name, value in tensors(seed).items()}
        tfckpt.save(directory / "source" / f"part-{seed}", values)
    _saved(16_000)(directory)


def _bert(directory: Path) -> None:
    shutil.copytree(BERT, directory / "source")
    _saved()(directory)


def _linked(directory: Path) -> None:
    """The old checkpoint shares a file with the source, and so will the new one."""
    shutil.copytree(BERT, directory / "source")
    tfckpt.convert(directory / "source", directory / DEST, to="pretrainer", mode="link")
    tfckpt.convert(directory / "source", directory / "out" / "other", mode="link")


def _trained(directory: Path) -> None:
    """What TensorFlow 1.15 wrote is the source, and lies at the destination, too; the latest is another one."""
    shutil.copytree(BERT, directory / "source")
    (directory / "out").mkdir()
    for suffix in ("index", "data-00000-of-00001"):
        shutil.copy2(BERT / f"model.ckpt-3.{suffix}", directory / f"{DEST}.{suffix}")
    update_state(str(directory / DEST))
    update_state(str(directory / "out" / "older"))


def _same_model(directory: Path) -> None:
    """Old and new have the same names, shapes, and places in the file, but no value in common."""
    with tfckpt.open(BERT) as checkpoint:
        tfckpt.save(directory / "source" / "model.ckpt-3", {name: -value for name, value in checkpoint.items()})
    shutil.copy2(BERT / "bert_config.json", directory / "source")
    (directory / "out").mkdir()
    update_state(str(directory / "out" / "older"))
    tfckpt.convert(BERT, directory / DEST, update_state=True)


def _save(*, overwrite: bool, sync: bool = True, max_shard_size: int | None = None) -> Callable[[Path], None]:
    def run(directory: Path) -> None:
        tfckpt.save(directory / DEST, tensors(2), overwrite=overwrite, sync=sync, max_shard_size=max_shard_size)

    return run


def _convert(*options: str) -> Callable[[Path], None]:
    return lambda directory: cli("convert", directory / "source", directory / DEST, *options)


def _rewrite(directory: Path) -> None:
    source = directory / "source"
    cli("rewrite", source, directory / DEST, "--strip-optimizer", "--shards", "3", "--overwrite")


def _edit(directory: Path) -> None:
    edits = ("--rename", "^bert/=net/", "--drop", "*/adam_m", "--cast", "float16", "--max-shard-size", "4000")
    cli("rewrite", directory / "source", directory / DEST, *edits, "--overwrite")


def _merge(directory: Path) -> None:
    parts = (directory / "source" / f"part-{seed}" for seed in (2, 3))
    cli("merge", *parts, directory / DEST, "--overwrite")


def _update_state(directory: Path) -> None:
    update_state(str(directory / DEST), sync=True)


def _exported(directory: Path) -> None:
    (directory / "source").mkdir()
    tfckpt.export(BERT, directory / "source" / "bert.npz")
    _saved()(directory)


def _import(directory: Path) -> None:
    cli("import", directory / "source" / "bert.npz", directory / DEST, "--overwrite")


def _damaged(directory: Path) -> None:
    _bert(directory)
    with open(directory / "source" / "model.ckpt-3.data-00000-of-00001", "r+b") as data:
        data.write(b"!")


def _salvage(directory: Path) -> None:
    tfckpt.salvage(directory / "source", directory / DEST, overwrite=True)


def _older_is_latest(directory: Path) -> None:
    _saved()(directory)
    update_state(str(directory / "out" / "older"))


COMMANDS = (
    Command("save", _nothing, _save(overwrite=False), overwrites=False),
    Command("save into a new directory", _no_directory, _save(overwrite=False, max_shard_size=9000), overwrites=False),
    Command("save over equal names", _saved(), _save(overwrite=True)),
    Command("save over equal names, not synced", _saved(), _save(overwrite=True, sync=False)),
    Command("save over more files", _saved(8000), _save(overwrite=True)),
    Command("save over as many files", _saved(8000), _save(overwrite=True, max_shard_size=8000)),
    Command("update a state file", _older_is_latest, _update_state),
    Command("merge over equal names", _parts, _merge, reads=True),
    Command("convert", _bert, _convert("--overwrite", "--update-state"), reads=True),
    Command("convert to keras, proved", _bert, _convert("--to", "keras", "--overwrite", "--prove"), reads=True),
    Command("convert by hard links", _bert, _convert("--mode", "link", "--overwrite"), reads=True),
    Command("convert by hard links over hard links", _linked, _convert("--mode", "link", "--overwrite")),
    Command("convert over TensorFlow's own", _trained, _convert("--overwrite", "--update-state"), reads=True),
    Command(
        "convert by hard links over the same model", _same_model, _convert("--mode", "link", "--overwrite"), reads=True
    ),
    Command("rewrite", _bert, _rewrite, reads=True),
    Command("rewrite, edited, over TensorFlow's own", _trained, _edit, reads=True),
    Command("salvage", _damaged, _salvage, reads=True),
    Command("import", _exported, _import, reads=True),
)
