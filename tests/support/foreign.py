"""What other programs write and people take for checkpoints: small files of their real structure, made of bytes alone."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from support.graphs import field

Make = Callable[[Path], None]  # makes a directory

HDF5 = b"\x89HDF\r\n\x1a\n" + bytes(88)
GGUF = b"GGUF" + struct.pack("<IQQ", 3, 123, 1) + bytes(64)
TFLITE = b"\x1c\0\0\0TFL3" + bytes(64)
EVENTS = struct.pack("<QI", 24, 0xE740D2D9) + b"\t" + struct.pack("<d", 1.5e9) + b"\x1a\rbrain.Event:2" + bytes(4)
# torch.save of {"w": torch.ones(1)}, before its zips: a magic number, a version, facts on the machine, the object.
OLD_TORCH = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}q\x00.\x80\x02}q\x00." + bytes(8)


def zipped(members: Mapping[str, bytes], comment: bytes = b"") -> bytes:
    """Return a zip archive of files with these names and contents."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, content in members.items():
            packed.writestr(zipfile.ZipInfo(name), content)
        packed.comment = comment
    return buffer.getvalue()


TORCH = zipped({"m/data.pkl": b"\x80\x02}q\x00.", "m/byteorder": b"little", "m/data/0": bytes(8), "m/version": b"3\n"})
SCRIPT = zipped(
    {"m/data/0": bytes(8), "m/data.pkl": b"\x80\x02.", "m/code/a.py": b"", "m/constants.pkl": b"\x80\x02)."}
)
KERAS = zipped({"metadata.json": b"{}", "config.json": b'{"module": "keras"}', "model.weights.h5": HDF5})


def tarred(members: Mapping[str, bytes]) -> bytes:
    """Return a tar archive of files with these names and contents."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as packed:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


PACKERS: dict[str, Callable[[bytes], bytes]] = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


def pickled(protocol: int) -> bytes:
    """Return a dict of arrays as Python pickles it."""
    return pickle.dumps({"w": np.ones(3, np.float32)}, protocol=protocol)


def onnx() -> bytes:
    """Return a model of ONNX: one node and one weight."""
    node = field(1, b"x") + field(2, b"y") + field(4, b"MatMul")
    weight = b"\x08\x02\x10\x01" + field(8, b"w") + field(9, bytes(8))
    graph = field(1, node) + field(2, b"main_graph") + field(5, weight)
    return b"\x08\x08" + field(2, b"pytorch") + field(3, b"2.1.0") + field(7, graph) + field(8, b"\x10\x11")


def msgpack(value: object) -> bytes:
    """Return dicts, texts, integers below 128, and arrays as Flax writes them in msgpack."""
    if isinstance(value, dict):
        return bytes([0x80 + len(value)]) + b"".join(msgpack(part) for pair in value.items() for part in pair)
    if isinstance(value, str):
        text = value.encode()
        return (bytes([0xA0 + len(text)]) if len(text) < 32 else bytes([0xD9, len(text)])) + text
    if isinstance(value, int):
        return bytes([value])
    assert isinstance(value, np.ndarray)
    data = value.tobytes()
    inside = (
        b"\x93" + bytes([0x90 + value.ndim, *value.shape]) + msgpack(value.dtype.name) + bytes([0xC4, len(data)]) + data
    )
    return bytes([0xC7, len(inside), 1]) + inside


FLAX = msgpack({"params": {"dense": {"kernel": np.ones((2, 3), np.float32)}}})
T5X_NAME = "target.decoder.decoder_norm.scale"
ZARR = {"chunks": [4], "compressor": {"id": "gzip"}, "dtype": "<f4", "order": "C", "shape": [4], "zarr_format": 2}


def t5x(folder: Path) -> None:
    """Make a checkpoint of T5X."""
    target = {"decoder": {"decoder_norm": {"scale": f"PLACEHOLDER://{T5X_NAME}"}}}
    (folder / T5X_NAME).mkdir(parents=True)
    (folder / "checkpoint").write_bytes(msgpack({"version": 3, "optimizer": {"state": {"step": 7}, "target": target}}))
    (folder / T5X_NAME / ".zarray").write_text(json.dumps(ZARR))
    (folder / T5X_NAME / "0").write_bytes(gzip.compress(bytes(16)))


def orbax(folder: Path) -> None:
    """Make a checkpoint of Orbax: its arrays are in ``default``."""
    for name in ("default/d", "default/ocdbt.process_0"):
        (folder / name).mkdir(parents=True)
    (folder / "_CHECKPOINT_METADATA").write_text('{"item_handlers": {"default": "PyTreeCheckpointHandler"}}')
    (folder / "default" / "_METADATA").write_text('{"tree_metadata": {}}')
    for name in ("manifest.ocdbt", "ocdbt.process_0/manifest.ocdbt"):
        (folder / "default" / name).write_bytes(b"\x0c\xdb\x3a\x2a" + bytes(60))
    (folder / "default" / "d" / "06ec40e3").write_bytes(bytes(99))
