"""The files that failures are about, made in a directory of their own; ``bert/bert_model.ckpt`` is there from the start."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import tfckpt

DATA = Path(__file__).parents[1] / "data"
NAME = "bert_model.ckpt"
SHARD = ".data-00000-of-00001"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d7a" * 16 + b"\nsize 440425712\n"
PAGE = b"<!DOCTYPE html>\n<html lang=en>\n<title>Sign in</title>\n" + b"<p>Please sign in to continue.</p>\n" * 100
PACKAGES = {"protobuf": "google/protobuf", "numpy": "numpy"}

Make = Callable[[Path], None]


def bert(directory: Path) -> None:
    """Make what every failure begins with: a BERT as it is downloaded."""
    copy("bert_tf115", directory / "bert")


def copy(source: str, folder: Path) -> None:
    """Copy a checkpoint of tests/data, and its configuration, into a folder."""
    folder.mkdir()
    for path in (DATA / source).glob("model.ckpt-3.*"):
        shutil.copyfile(path, folder / path.name.replace("model.ckpt-3", NAME))
    for path in (DATA / source).glob("*_config.json"):
        shutil.copyfile(path, folder / path.name)


def copied(source: str, name: str) -> Make:
    """Copy a checkpoint of tests/data into a folder of this name."""
    return lambda directory: copy(source, directory / name)


def nothing(directory: Path) -> None:
    """Make nothing more."""


def file(name: str, content: bytes) -> Make:
    """Write a file, or over one."""

    def make(directory: Path) -> None:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    return make


def exported(name: str, to: str) -> Make:
    """Export the BERT under the names of a target."""

    def make(directory: Path) -> None:
        tfckpt.export(directory / "bert" / NAME, directory / name, to=to)

    return make


def without(name: str) -> Make:
    return lambda directory: os.unlink(directory / name)


def cut(name: str, nbytes: int) -> Make:
    return lambda directory: os.truncate(directory / name, nbytes)


def flipped(name: str, at: int) -> Make:
    def make(directory: Path) -> None:
        content = bytearray((directory / name).read_bytes())
        content[at] ^= 1
        (directory / name).write_bytes(content)

    return make


def lost_state(directory: Path) -> None:
    """Write a state file of another name, whose checkpoint is not beside it."""
    (directory / "bert" / "best_dev_checkpoint").write_text('model_checkpoint_path: "/mnt/run/best_dev-7"\n')


def broken_state(directory: Path) -> None:
    """Put a web page in the place of a state file."""
    several(directory)
    (directory / "run" / "checkpoint").write_bytes(PAGE)


def converted(name: str, **options: Any) -> Make:
    """Convert the BERT."""

    def make(directory: Path) -> None:
        tfckpt.convert(directory / "bert" / NAME, directory / name, **options, sync=False)

    return make


def drafted(name: str) -> Make:
    """Save objects that are of no known model."""

    def make(directory: Path) -> None:
        draft = tfckpt.Draft()
        draft.add("net/dense/kernel", np.zeros((2, 3), np.float32))
        draft.save(directory / name, sync=False)

    return make


def saved_model(directory: Path) -> None:
    """Make a SavedModel, as far as files go."""
    file("model/saved_model.pb", b"\x08\x01\x12\x04\x0a\x02\x08\x01")(directory)
    converted("model/variables/variables")(directory)


def several(directory: Path) -> None:
    """Make a folder of two checkpoints without a state file."""
    for step in (900, 1000):
        for ending in (".index", SHARD):
            path = directory / "run" / f"model.ckpt-{step}{ending}"
            path.parent.mkdir(exist_ok=True)
            shutil.copyfile(directory / "bert" / f"{NAME}{ending}", path)
    shutil.copyfile(directory / "bert" / "bert_config.json", directory / "run" / "bert_config.json")


def archive(name: str) -> Make:
    """Pack the folder of the BERT."""

    def make(directory: Path) -> None:
        if name.endswith(".zip"):
            with zipfile.ZipFile(directory / name, "w") as packed:
                for path in sorted((directory / "bert").iterdir()):
                    packed.write(path, f"bert/{path.name}")
        else:
            with tarfile.open(directory / name, "w:gz") as tar:
                tar.add(directory / "bert", "bert")

    return make


def cut_archive(name: str) -> Make:
    """Pack the folder of the BERT, and keep the beginning."""

    def make(directory: Path) -> None:
        archive(name)(directory)
        os.truncate(directory / name, 5000)

    return make


def packed(name: str) -> Make:
    """Pack a file by gzip."""

    def make(directory: Path) -> None:
        (directory / f"{name}.gz").write_bytes(gzip.compress((directory / name).read_bytes(), mtime=0))
        os.unlink(directory / name)

    return make


def folder(make: Make, name: str) -> Make:
    """Make a directory below."""
    return lambda directory: make(directory / name)


def moved(old: str, new: str) -> Make:
    """Move a file or a directory into another directory."""

    def make(directory: Path) -> None:
        (directory / new).parent.mkdir(parents=True)
        os.rename(directory / old, directory / new)

    return make


def tensors_file() -> bytes:
    """Return what safetensors writes of one tensor."""
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(8)


def arrays_file() -> bytes:
    """Return what numpy.savez writes."""
    buffer = io.BytesIO()
    np.savez(buffer, w=np.zeros(2))
    return buffer.getvalue()


def configured(**fields: Any) -> Make:
    """Change what the configuration of the BERT states."""

    def make(directory: Path) -> None:
        path = directory / "bert" / "bert_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | fields, indent=2), encoding="utf-8")

    return make


def renamed(old: str, new: str) -> Make:
    return lambda directory: os.rename(directory / old, directory / new)


def saved(name: str, tensors: dict[str, Any]) -> Make:
    return lambda directory: tfckpt.save(directory / name, tensors, sync=False)


def wide(directory: Path) -> None:
    """Make a BERT of the width of a real one's head, and no configuration."""
    with tfckpt.open(directory / "bert" / NAME) as source:
        tensors = {
            entry.name: np.zeros([128 if dim == 8 else dim for dim in entry.shape], np.float32)
            for entry in source.entries("bert/*")
            if "/adam_" not in entry.name
        }
    saved("wide/bert_model.ckpt", tensors)(directory)


def changed(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Make:
    """Change the variables of the BERT, which has no optimizer state then."""

    def make(directory: Path) -> None:
        prefix = directory / "bert" / NAME
        with tfckpt.open(prefix) as source:
            tensors = {name: np.array(value) for name, value in source.items() if "/adam_" not in name}
        tfckpt.save(prefix, change(tensors), overwrite=True, sync=False)

    return make


def padded(tensors: dict[str, Any]) -> dict[str, Any]:
    """Return the variables with two words more, which are padding."""
    names = ("bert/embeddings/word_embeddings", "cls/predictions/output_bias")
    return tensors | {name: np.concatenate([tensors[name], np.zeros_like(tensors[name][:2])]) for name in names}


def of_one_layer(tensors: dict[str, Any]) -> dict[str, Any]:
    """Return the variables of a model that has one layer for all, and words of a width of their own."""
    shared = {n.replace("layer_0", "layer_shared"): value for n, value in tensors.items() if "/layer_1/" not in n}
    words = {"bert/embeddings/word_embeddings": 4, "bert/embeddings/word_embeddings_2": 8}
    return shared | {name: np.ones((30 if width == 4 else 4, width), np.float32) for name, width in words.items()}


def of_several_segments(tensors: dict[str, Any]) -> dict[str, Any]:
    """Return the variables of a model in which a token is in a row and a column too."""
    table = tensors.pop("bert/embeddings/token_type_embeddings")
    return tensors | {f"bert/embeddings/token_type_embeddings_{n}": table for n in range(7)}


def without_positions(tensors: dict[str, Any]) -> dict[str, Any]:
    """Return the variables of a model without a table of positions."""
    return {name: value for name, value in tensors.items() if not name.endswith("position_embeddings")}


def of_the_first_ernie(tensors: dict[str, Any]) -> dict[str, Any]:
    """Return the variables as an ERNIE's were called first, whose biases had the name of norms' shifts."""
    return {re.sub("(?<=/dense/)bias$", "beta", name): value for name, value in tensors.items()}


def with_an_adapter(directory: Path) -> None:
    """Add a variable that no BERT has."""
    prefix = directory / "bert" / NAME
    with tfckpt.open(prefix) as source:
        tensors = {name: np.array(value) for name, value in source.items()}
    tfckpt.save(prefix, tensors | {"bert/adapter/kernel": np.zeros((8, 4), np.float32)}, overwrite=True, sync=False)


def installed(package: str, version: str) -> Make:
    """Install a package of a version that is too old, and that does not import; and tfckpt, which says what it needs."""

    def make(directory: Path) -> None:
        site = directory / "site"
        module = site / PACKAGES[package]
        module.mkdir(parents=True)
        (module / "__init__.py").write_text("raise ImportError('too old')\n")
        distribution(site, package, version)
        distribution(site, "tfckpt", tfckpt.__version__, "numpy>=1.24", "protobuf>=4.25", "dask>=2024; extra == 'dask'")

    return make


def distribution(site: Path, name: str, version: str, *requires: str) -> None:
    """Write the metadata of an installed package."""
    folder = site / f"{name}-{version}.dist-info"
    folder.mkdir()
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {requirement}" for requirement in requires]
    (folder / "METADATA").write_text("\n".join(lines) + "\n")
