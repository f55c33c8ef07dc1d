"""The checkpoints that are damaged: one of each kind, small enough to flip every bit."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from support import bundles, v1

import tfckpt
from tfckpt.bundle.values.slices import TensorSlice
from tfckpt.bundle.writer import BundleWriter

DATA = Path(__file__).parents[1] / "data"
WORDS = np.array([b"", b"yes", b"no" * 100], object)  # lengths of one byte and of two
HALVES = [TensorSlice(((0, 2), (0, -1))), TensorSlice(((2, 1), (0, -1)))]


@dataclass(frozen=True)
class Kind:
    """One kind of checkpoint: `make` writes it into a directory and returns its prefix."""

    title: str
    make: Callable[[Path], str]


def _copy(pattern: str, prefix: str) -> Callable[[Path], str]:
    def make(directory: Path) -> str:
        for path in DATA.glob(pattern):
            shutil.copy(path, directory / path.name)
        return str(directory / prefix)

    return make


def _values() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "dense/bias": rng.normal(size=3).astype(np.float32),
        "dense/kernel": rng.normal(size=(2, 3)).astype(np.float32),
        "half": rng.normal(size=5).astype(np.float16),
        "step": np.int64(7),
    }


def _strings(directory: Path) -> str:
    tfckpt.save(directory / "m", {"empty": np.empty((0, 2), object), "one": b"one", "words": WORDS.reshape(1, 3)})
    return str(directory / "m")


def _big_endian(directory: Path) -> str:
    tfckpt.save(directory / "m", {**_values(), "words": WORDS}, big_endian=True)
    return str(directory / "m")


def _names(directory: Path) -> str:
    names = ("\0leading", "a\0b", "größe", "x" * 40, "a/b", "a.b", "a", "~")
    tfckpt.save(directory / "m", {name: np.float32(n) for n, name in enumerate(names)})
    return str(directory / "m")


def _no_elements(directory: Path) -> str:
    tfckpt.save(directory / "m", {"a": np.empty((0, 3), np.float32), "b": np.empty(0, np.int64)})
    return str(directory / "m")


def _no_tensors(directory: Path) -> str:
    tfckpt.save(directory / "m", {})
    return str(directory / "m")


def _blocks(directory: Path, **options: Any) -> str:
    tfckpt.save(directory / "m", {f"scope/{n}": np.float32(n) for n in range(9)})
    bundles.write_rows(directory / "m", sorted(bundles.read_rows(directory / "m").items()), rows_per_block=3, **options)
    return str(directory / "m")


def _partitioned(directory: Path) -> str:
    value = np.arange(6, dtype=np.float32).reshape(3, 2)
    with BundleWriter(str(directory / "m"), sync=False) as writer:
        for part in HALVES:
            writer.add_slice("table", value.shape, part, value[part.within(value.shape)])
            writer.next_shard()
        writer.add("step", np.int64(7))
        writer.finish()
    return str(directory / "m")


def _gaps(directory: Path) -> str:
    """Write a data file with bytes that belong to no tensor: before, between and behind those that do."""
    prefix = directory / "m"
    tfckpt.save(prefix, {"a": np.array([1, 2], np.float32), "b": np.array([3], np.float32)})
    for name, offset in (("a", 5), ("b", 16)):
        with bundles.edited_entry(prefix, name) as proto:
            proto.offset = offset
    data = Path(f"{prefix}.data-00000-of-00001")
    stored = data.read_bytes()
    data.write_bytes(b"-" * 5 + stored[:8] + b"-" * 3 + stored[8:] + b"-" * 4)
    return str(prefix)


def _v1(directory: Path, **options: Any) -> str:
    tensors = {**_values(), "table": np.arange(6, dtype=np.float32).reshape(3, 2), "words": WORDS}
    v1.write_rows(directory / "m", v1.to_rows(tensors, slices={"table": HALVES}), block_size=200, **options)
    return str(directory / "m")


KINDS = {
    "plain": Kind("one data file, from `tf.train.Saver`", _copy("bundles/tf220/saver.*", "saver")),
    "shards": Kind("two data files", _copy("bundles/tf220/sharded.*", "sharded")),
    "merged": Kind("three data files, merged", _copy("bundles/tf220/merged.*", "merged")),
    "policy": Kind("twelve data files, slices in all dimensions", _copy("bundles/tf220/max_shard*", "max_shard_size")),
    "partitioned": Kind("a partitioned tensor, each slice in a data file of its own", _partitioned),
    "objects": Kind("object-based, with an optimizer", _copy("bundles/tf220/objects-1.*", "objects-1")),
    "dtypes": Kind("every dtype, sub-byte ones among them", _copy("bundles/tf220/dtypes.*", "dtypes")),
    "strings": Kind("strings", _strings),
    "variants": Kind("variants", _copy("bundles/tf220/variants.*", "variants")),
    "names": Kind("odd names", _names),
    "blocks": Kind("an index of several blocks", _blocks),
    "compressed": Kind("the same, compressed", lambda directory: _blocks(directory, compressed=True)),
    "big-endian": Kind("big-endian", _big_endian),
    "gaps": Kind("bytes between the tensors that are nobody's", _gaps),
    "no elements": Kind("tensors without elements", _no_elements),
    "no tensors": Kind("no tensors", _no_tensors),
    "v1": Kind("V1, one file", _copy("v1/saver", "saver")),
    "v1 shards": Kind("V1, two files", _copy("v1/shards-*", "shards-?????-of-00002")),
    "v1 blocks": Kind("V1, several blocks", _v1),
    "v1 compressed": Kind("the same, compressed", lambda directory: _v1(directory, builder=v1.SnappyBuilder)),
}
