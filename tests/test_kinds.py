"""What files are that are no checkpoints, told from their first bytes."""

from __future__ import annotations

import io
import os
import pickle
import random
import tarfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from support import graphs
from support.patience import ends
from teaching import stage

from tfckpt.base.issues import find_damage
from tfckpt.bundle.damage import explain
from tfckpt.errors import FormatError
from tfckpt.sstable.varint import encode_varint
from tfckpt.storage.kinds import table as kinds
from tfckpt.storage.kinds.table import remedy_for
from tfckpt.storage.sniff import kind_of

DATA = Path(__file__).parent / "data"
TEXT_OF_FROZEN = b'node {\n  name: "w"\n  op: "Const"\n  tensor_content: "%s"\n}\n' % (rb"\000\"a?" * 64)


def tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as packed:
        packed.addfile(tarfile.TarInfo("bert/bert_model.ckpt.index"))
    return buffer.getvalue()


def told(value: object) -> str:
    """Return what a case is called: the bytes of an archive differ from run to run."""
    return value.what if isinstance(value, kinds.Kind) else "of"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (stage.POINTER, kinds.POINTER),
        (stage.PAGE, kinds.PAGE),
        (b"\xef\xbb\xbf\n <HTML><HEAD>", kinds.PAGE),
        (b"<?xml version='1.0' encoding='UTF-8'?><Error><Code>AccessDenied</Code></Error>", kinds.ANSWER),
        (b"\x89HDF\r\n\x1a\n\0", kinds.HDF5),
        (stage.torch_file(), kinds.TORCH),
        (pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2), kinds.TORCH),  # how torch.save began before its zips
        (stage.arrays_file(), kinds.ARRAYS),
        (b"PK\x05\x06" + bytes(18), kinds.ZIP),
        (tar(), kinds.TAR),
        (b"\x1f\x8b\x08\0", kinds.TAR),
        (b"BZh91AY&SY", kinds.TAR),
        (b"\xfd7zXZ\0\0\x04", kinds.TAR),
        (stage.tensors_file(), kinds.TENSORS),
        (b'{\n  "vocab_size": 30522\n}', kinds.TEXT),
        (b"", kinds.EMPTY),
        (graphs.FROZEN, kinds.FROZEN),
        (graphs.meta_graph(graphs.FROZEN), kinds.FROZEN),
        (graphs.saved_model(graphs.FROZEN), kinds.FROZEN),
        (graphs.graph_def(graphs.node("x", "Placeholder"), functions=(graphs.constant("w", 256),)), kinds.FROZEN),
        (graphs.graph_def(graphs.constant("w", 256, number=5)), kinds.FROZEN),  # float_val
        (graphs.FROZEN[:600], kinds.FROZEN),  # cut short, in the constant
        (TEXT_OF_FROZEN, kinds.FROZEN),
        (graphs.TRAINED, kinds.GRAPH),
        (graphs.meta_graph(graphs.TRAINED), kinds.GRAPH),
        (graphs.saved_model(graphs.TRAINED), kinds.GRAPH),
        (graphs.graph_def(graphs.constant("axes", 252)), kinds.GRAPH),
        (graphs.graph_def(graphs.constant("names", 1024, number=8)), kinds.GRAPH),  # strings, such as a Saver's
        (b'node {\n  name: "w"\n  op: "VariableV2"\n}\n' + TEXT_OF_FROZEN, kinds.GRAPH),
    ],
    ids=told,
)
def test_a_file_is_told_by_how_it_begins(tmp_path: Path, content: bytes, kind: kinds.Kind) -> None:
    (tmp_path / "file").write_bytes(content)
    assert kind_of(str(tmp_path / "file")) == kind


@pytest.mark.parametrize(
    "path",
    sorted([*DATA.glob("*_tf115/model.ckpt-3.*"), *DATA.glob("v1/*"), *DATA.glob("bundles/tf220/*[!z]")]),
    ids=lambda path: str(path.relative_to(DATA)),
)
def test_no_file_of_a_checkpoint_is_taken_for_something_else(path: Path) -> None:
    nothing = None if path.stat().st_size else kinds.EMPTY  # as data of tensors without elements are
    assert path.suffix == ".npz" or kind_of(str(path)) is nothing


@pytest.mark.parametrize(
    "content",
    [
        np.array([5, 123], np.int64).tobytes(),
        b"[[a[" * 99 + b"\0\0\x80?",  # large float32
        b"\x1f\x8b\x00\x3c" * 8,
        b"node_count\t3\n",
        graphs.field(1, graphs.field(1, b"piece") + b"\x15abcd"),  # op would be a text
        graphs.field(1, graphs.field(1, b"w") + graphs.field(2, b"no op")),
        b"\x0a\x1a\x0a\x05",
        b"\x0a",
    ],
    ids=["int64", "float32", "gzip", "text", "float", "name", "cut", "tag"],
)
def test_a_file_that_merely_looks_alike_is_of_no_kind_whatever_its_name(tmp_path: Path, content: bytes) -> None:
    for name in ("model.ckpt.data-00000-of-00001", "frozen.pb", "model.ckpt.meta", "graph.pbtxt"):
        (tmp_path / name).write_bytes(content)
        assert kind_of(str(tmp_path / name)) is None


def test_a_file_that_is_not_there_is_of_no_kind(tmp_path: Path) -> None:
    assert kind_of(str(tmp_path / "none")) is kind_of(str(tmp_path)) is None


@pytest.mark.parametrize("seed", range(8))
def test_a_damaged_graph_is_a_graph_or_none(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    for whole in (graphs.FROZEN, graphs.saved_model(graphs.TRAINED)):
        for _ in range(100):
            content = bytearray(whole)
            for at in rng.sample(range(120), 3):
                content[at] = rng.randrange(256)
            (tmp_path / "graph").write_bytes(content)
            assert kind_of(str(tmp_path / "graph")) in (kinds.FROZEN, kinds.GRAPH, None)


def test_a_frozen_graph_of_any_size_takes_one_window(tmp_path: Path) -> None:
    """A constant of a gigabyte is stepped over; the file has a hole for it."""
    size = 1 << 30
    content = encode_varint(4 << 3 | 2) + encode_varint(size)
    for number, before in ((8, b""), (2, graphs.field(1, b"value")), (5, graphs.node("w", "Const")), (1, b"")):
        head = encode_varint(number << 3 | 2) + encode_varint(len(content) + size)
        content = before + head + content
    path = tmp_path / "frozen"
    path.write_bytes(content)
    os.truncate(path, len(content) + size)
    with open(path, "ab") as file:
        file.write(graphs.graph_def(graphs.node("y", "Identity")))
    tracemalloc.start()
    try:
        assert kind_of(str(path)) is kinds.FROZEN
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    with open(path, "ab") as file:
        file.write(graphs.graph_def(graphs.node("v", "VarHandleOp")))
    assert kind_of(str(path)) is kinds.GRAPH


def test_a_graph_of_very_many_fields_ends_in_time(tmp_path: Path) -> None:
    path = tmp_path / "graph"
    path.write_bytes(graphs.graph_def(graphs.node("x", "NoOp")) + b"\x18\x00" * (1 << 22))
    with ends(10):
        assert kind_of(str(path)) is kinds.GRAPH


@pytest.mark.parametrize(
    ("path", "command"),
    [
        ("a b/bert.zip", "python3 -m zipfile -e 'a b/bert.zip' 'a b/bert'"),
        ("bert", "python3 -m zipfile -e bert bert-unpacked"),
        ("https://host/bert.zip", ""),
    ],
)
def test_what_unpacks_an_archive_can_be_typed(path: str, command: str) -> None:
    remedy = remedy_for(kinds.ZIP, path)
    assert (remedy.argument("command") if remedy else "") == command


def test_an_error_keeps_its_own_hint_where_a_file_is_of_no_kind(tmp_path: Path) -> None:
    path = str(tmp_path / "m.data-00000-of-00001")
    error = FormatError("tensor 'w'", expected="1 byte", got="none", path=path, hint="the file is truncated")
    explain(error)
    assert error.hint == "the file is truncated"
    assert error.remedies == (find_damage(f"{tmp_path}/m"),)
