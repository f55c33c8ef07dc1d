"""What files are that are no checkpoints, told from their first bytes."""

from __future__ import annotations

import bz2
import gzip
import importlib
import io
import lzma
import os
import pickle
import random
import re
import shutil
import subprocess
import tarfile
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import foreign, graphs
from support.missing import missing
from support.patience import ends
from teaching import stage

import tfckpt
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
        (foreign.TORCH, kinds.TORCH),
        (foreign.OLD_TORCH, kinds.TORCH),
        (foreign.SCRIPT, kinds.SCRIPT),
        (foreign.KERAS, kinds.KERAS),
        *((foreign.pickled(protocol), kinds.PICKLE) for protocol in range(2, 6)),
        *((pickle.dumps([1.5, "text"], protocol), kinds.PICKLE) for protocol in range(2, 6)),
        (foreign.FLAX, kinds.FLAX),
        (foreign.msgpack({"step": 5, "params": {"w": np.ones(2, np.float32)}}), kinds.FLAX),
        (foreign.onnx(), kinds.ONNX),
        (foreign.TFLITE, kinds.TFLITE),
        (foreign.GGUF, kinds.GGUF),
        (foreign.EVENTS, kinds.EVENTS),
        (b"\x93NUMPY\x01\0", kinds.ARRAY),
        (foreign.TORCH[:-30], kinds.CUT_ZIP),
        (foreign.zipped({"bert/m.index": bytes(99)}, comment=b"." * 60_000), kinds.ZIP),
        (gzip.compress(bytes(600)), kinds.GZIP),
        (bz2.compress(bytes(600)), kinds.BZIP2),
        (lzma.compress(bytes(600)), kinds.XZ),
        *((pack(foreign.tarred({"bert/m.index": bytes(99)})), kinds.TAR) for pack in foreign.PACKERS.values()),
        (b"7z\xbc\xaf\x27\x1c\0\4", kinds.OTHER_ARCHIVE),
        (b"Rar!\x1a\x07\x01\0", kinds.OTHER_ARCHIVE),
        (b"\x28\xb5\x2f\xfd\x24", kinds.OTHER_ARCHIVE),
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


def test_an_index_of_another_name_is_known_by_its_first_and_last_bytes(tmp_path: Path) -> None:
    content = (DATA / "bert_tf115" / "model.ckpt-3.index").read_bytes()
    (tmp_path / "model.index").write_bytes(content)
    (tmp_path / "model.index.txt").write_bytes(content)
    (tmp_path / "cut").write_bytes(content[:-1])
    found = [kind_of(str(tmp_path / name)) for name in ("model.index", "model.index.txt", "cut")]
    assert found == [None, kinds.RENAMED_INDEX, None]
    old = next(path for path in sorted((DATA / "v1").iterdir()) if path.suffix == "")
    assert kind_of(str(old)) is None


@pytest.mark.parametrize("seed", range(4))
def test_damaged_files_of_other_programs_are_of_some_kind_or_none(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    wholes = (foreign.TORCH, foreign.FLAX, foreign.onnx(), *(pack(bytes(999)) for pack in foreign.PACKERS.values()))
    for whole in wholes:
        for _ in range(60):
            content = bytearray(whole[: rng.randrange(1, len(whole) + 1)])
            for at in (rng.randrange(len(content)) for _ in range(rng.randrange(4))):
                content[at] = rng.randrange(256)
            (tmp_path / "file").write_bytes(content)
            kind_of(str(tmp_path / "file"))


def test_of_a_packed_file_of_any_size_little_is_unpacked(tmp_path: Path) -> None:
    """What unpacks to a gigabyte takes a few megabytes of memory."""
    (tmp_path / "zeros.gz").write_bytes(gzip.compress(bytes(1 << 26), 9) * 16)
    (tmp_path / "zeros.bz2").write_bytes(bz2.compress(bytes(1 << 26)) * 16)
    tracemalloc.start()
    try:
        assert kind_of(str(tmp_path / "zeros.gz")) is kinds.GZIP
        assert kind_of(str(tmp_path / "zeros.bz2")) is kinds.BZIP2
        assert tracemalloc.get_traced_memory()[1] < 1 << 23
    finally:
        tracemalloc.stop()


def test_of_a_zip_archive_with_very_many_names_a_part_is_read(tmp_path: Path) -> None:
    members = {f"{n:05}.npy": b"" for n in range(20_000)}
    (tmp_path / "many.zip").write_bytes(foreign.zipped(members))
    tracemalloc.start()
    try:
        assert kind_of(str(tmp_path / "many.zip")) is kinds.ARRAYS
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["m.gz", "m.bz2", "m.xz"])
def test_the_command_for_a_packed_file_leaves_it_beside_what_was_in_it(tmp_path: Path, name: str) -> None:
    if shutil.which({"gz": "gzip", "bz2": "bzip2", "xz": "xz"}[name[2:]]) is None:
        missing("the packer is not installed")
    path = tmp_path / f"a b {name}"
    path.write_bytes(foreign.PACKERS[name[2:]](b"what was in it"))
    kind = kind_of(str(path))
    assert kind is not None
    remedy = remedy_for(kind, str(path))
    assert remedy is not None
    subprocess.run(["sh", "-c", remedy.argument("command")], check=True)
    assert path.with_suffix("").read_bytes() == b"what was in it"
    assert path.exists()


def code_in(advice: str) -> str:
    """Return the lines of Python in what is advised."""
    found = re.search(r"in Python,? (.*?) makes a ", advice)
    assert found is not None, advice
    return found[1].replace("; ", "\n")


def test_the_lines_for_a_pickle_make_a_file_to_import(tmp_path: Path) -> None:
    path = tmp_path / "it's.pkl"
    path.write_bytes(foreign.pickled(4))
    exec(code_in(kinds.PICKLE.advice(str(path))), {"numpy": np})
    tfckpt.import_(tmp_path / "it's.npz", tmp_path / "m.ckpt")
    assert tfckpt.open(tmp_path / "m.ckpt")["w"].tolist() == [1, 1, 1]


def test_the_lines_for_one_array_make_a_checkpoint(tmp_path: Path) -> None:
    np.save(tmp_path / "m.npy", np.arange(3))
    exec(code_in(kinds.ARRAY.advice(str(tmp_path / "m.npy"))), {"tfckpt": tfckpt, "numpy": np})
    assert tfckpt.open(tmp_path / "m.ckpt")["NAME"].tolist() == [0, 1, 2]


def needed(module: str) -> Any:
    """Return a module; where it is not installed, end the test."""
    try:
        return importlib.import_module(module)
    except ImportError:
        missing(f"{module} is not installed")


@pytest.mark.exhaustive  # with PyTorch, which is only in the larger environment
@pytest.mark.parametrize("new", [True, False], ids=["zip", "older"])
def test_the_lines_for_a_file_of_pytorch_make_a_file_to_import(tmp_path: Path, new: bool) -> None:
    torch, safetensors = needed("torch"), needed("safetensors.torch")
    table = torch.arange(6.0).reshape(2, 3)
    weights = {"words": table, "head": table, "turned": table.T}  # shared by two, as heads share the words
    torch.save(weights, tmp_path / "m.bin", _use_new_zipfile_serialization=new)
    assert kind_of(str(tmp_path / "m.bin")) is kinds.TORCH
    exec(code_in(kinds.TORCH.advice(str(tmp_path / "m.bin"))), {"torch": torch, "safetensors": safetensors_root()})
    assert safetensors is not None
    tfckpt.import_(tmp_path / "m.safetensors", tmp_path / "m.ckpt")
    with tfckpt.open(tmp_path / "m.ckpt") as checkpoint:
        assert checkpoint["head"].tolist() == table.tolist()
        assert checkpoint["turned"].tolist() == table.T.tolist()


def safetensors_root() -> object:
    return importlib.import_module("safetensors")


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_lines_for_a_file_of_torchscript_make_a_file_to_import(tmp_path: Path) -> None:
    torch = needed("torch")
    needed("safetensors.torch")
    layer = torch.nn.Linear(2, 3)
    torch.jit.save(torch.jit.trace(layer, torch.ones(1, 2)), tmp_path / "m.pt")
    assert kind_of(str(tmp_path / "m.pt")) is kinds.SCRIPT
    exec(code_in(kinds.SCRIPT.advice(str(tmp_path / "m.pt"))), {"torch": torch, "safetensors": safetensors_root()})
    tfckpt.import_(tmp_path / "m.safetensors", tmp_path / "m.ckpt")
    assert tfckpt.open(tmp_path / "m.ckpt")["weight"].tolist() == layer.weight.tolist()


@pytest.mark.parametrize(
    ("path", "command"),
    [
        ("a b/bert.zip", "python3 -m zipfile -e 'a b/bert.zip' 'a b/bert'"),
        ("bert", "python3 -m zipfile -e bert bert-unpacked"),
        ("https://host/bert.zip", ""),
        ("-x.zip", "python3 -m zipfile -e ./-x.zip ./-x"),
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
