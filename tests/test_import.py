"""Files of other frameworks, made by their own libraries or by someone with ill intent, as checkpoints."""

from __future__ import annotations

import io
import json
import os
import struct
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import safetensors
from safetensors.numpy import save, save_file
from support.archives import KINDS, bits, deserialize, export, listed
from support.commands import Captured, fail

import tfckpt
from tfckpt._proto.types_pb2 import DT_STRING
from tfckpt.errors import CheckpointExistsError, CheckpointNotFoundError, FormatError, TfckptError, UnsupportedError
from tfckpt.formats import archive
from tfckpt.formats import safetensors as ours
from tfckpt.formats.npy import Header, parse_header
from tfckpt.storage.files import open_input

WHOLE = {"a": np.arange(6.0).reshape(2, 3), "b/c": np.float32(7), "empty": np.zeros((0, 2), np.int8)}


def imported(path: Path, directory: Path, **options: Any) -> dict[str, np.ndarray[Any, Any]]:
    tfckpt.import_(path, directory / "back", overwrite=True, sync=False, **options)
    with tfckpt.open(directory / "back") as back:
        return dict(back)


# --- what other libraries write


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_what_numpy_writes_is_read(tmp_path: Path, write: Callable[..., None]) -> None:
    tensors: dict[str, Any] = {
        **WHOLE,
        "big_endian": np.array([1, 2, -3], ">i2"),
        "big_complex": np.array([1 + 2j], ">c8"),
        "fortran": np.asfortranarray(np.arange(24, dtype=np.float32).reshape(2, 3, 4)),
        "fortran_big": np.asfortranarray(np.arange(6).reshape(2, 3).astype(">f8")),
        "text": np.array(["é", "abc"]),
        "big_text": np.array(["é", ""]).astype(">U1"),
        "bytes": np.array([[b"a", b"\xff"]]),
        "scalar": np.int64(5),
        "many": np.arange(700_000, dtype=np.int32),
    }
    write(tmp_path / "m.npz", **tensors)
    found = imported(tmp_path / "m.npz", tmp_path)
    assert found.keys() == tensors.keys()
    for name, value in ((name, np.asarray(value)) for name, value in tensors.items()):
        expected = np.char.encode(value, "utf-8") if value.dtype.kind == "U" else value
        assert found[name].shape == value.shape
        assert found[name].tolist() == expected.tolist()
        assert value.dtype.kind in "SU" or found[name].dtype == value.dtype.newbyteorder("=")


def test_what_the_library_writes_is_read(tmp_path: Path) -> None:
    save_file(
        {name: np.asarray(value) for name, value in WHOLE.items()}, tmp_path / "m", {"format": "pt", "tfckpt": "{}"}
    )
    found = imported(tmp_path / "m", tmp_path)
    assert {name: value.tobytes() for name, value in found.items()} == {
        n: np.asarray(v).tobytes() for n, v in WHOLE.items()
    }


def test_a_zip_of_another_tool_with_comments_is_read(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.ones(3))
    with zipfile.ZipFile(tmp_path / "m.npz", "w", zipfile.ZIP_DEFLATED) as file:
        info = zipfile.ZipInfo("w.npy")
        info.comment = b"\xff not ours"
        file.writestr(info, buffer.getvalue(), zipfile.ZIP_DEFLATED)
        file.comment = b"\xff"
    assert imported(tmp_path / "m.npz", tmp_path)["w"].tolist() == [1, 1, 1]


def test_the_kind_is_seen_from_the_bytes_whatever_the_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "m.npz", w=1)
    os.rename(tmp_path / "m.npz", tmp_path / "m.safetensors")
    assert imported(tmp_path / "m.safetensors", tmp_path)["w"] == 1
    with pytest.raises(FormatError):
        imported(tmp_path / "m.safetensors", tmp_path, kind="safetensors")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x93NUMPY\x01\0", "got one NumPy array without a name; in Python, tfckpt.save("),
        (b"\x89HDF\r\n\x1a\n", "got an HDF5 file, as Keras saves weights; in Python, model = keras.models.load_model("),
        (b"\x80\x02}q\0.", "got a pickle; loading a pickle runs code; if you trust it"),
        (b"", "got an empty file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "got a Git LFS pointer"),
        (b'{"hidden_size": 8}', "got a JSON text"),
    ],
)
def test_what_people_have_instead_is_named(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "m").write_bytes(data)
    with pytest.raises(FormatError) as caught:
        imported(tmp_path / "m", tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}/m: ")
    assert message in str(caught.value)


def test_a_pytorch_file_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.bin", "w") as file:
        file.writestr("archive/data.pkl", b"\x80\x02.")
    with pytest.raises(FormatError, match=r"got a PyTorch file; in Python, w = torch\.load"):
        imported(tmp_path / "m.bin", tmp_path)


def test_a_destination_that_is_taken_and_a_source_that_is_not_there(tmp_path: Path, capsys: Captured) -> None:
    np.savez(tmp_path / "m.npz", w=1)
    tfckpt.import_(tmp_path / "m.npz", tmp_path / "back")
    with pytest.raises(CheckpointExistsError):
        tfckpt.import_(tmp_path / "m.npz", tmp_path / "back")
    with pytest.raises(CheckpointNotFoundError, match=r"no index\.json, which says what each array is"):
        tfckpt.import_(tmp_path, tmp_path / "other")
    assert fail(capsys, "import", str(tmp_path / "m.npz"), str(tmp_path / "back"))[0].startswith(
        f"{tmp_path}/back: already"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_an_import_that_is_interrupted_leaves_what_was_there(tmp_path: Path, kind: str) -> None:
    tfckpt.save(tmp_path / "m", {f"w{n}": np.full(100, n) for n in range(9)})
    path, before = export(tmp_path / "m", tmp_path, kind), listed(tmp_path)

    def stop(done: int, total: int) -> None:
        if done > total / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tfckpt.import_(path, tmp_path / "new" / "back", progress=stop)
    assert listed(tmp_path) == before


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_changes_meanwhile_is_an_error(tmp_path: Path, kind: str) -> None:
    tfckpt.save(tmp_path / "m", {"w": np.full(100, 1), "x": 2})
    path = Path(export(tmp_path / "m", tmp_path, kind))
    changed = path / "index.json" if kind == "npy" else path

    def change(done: int, total: int) -> None:
        os.utime(changed, (1, 1))

    with pytest.raises(TfckptError, match="changed while it was read"):
        tfckpt.import_(path, tmp_path / "back", progress=change)
    assert not (tmp_path / "back.index").exists()


# --- files that lie: safetensors


def header(rows: Any, data: bytes = b"") -> bytes:
    text = rows if isinstance(rows, bytes) else json.dumps(rows).encode()
    return struct.pack("<Q", len(text)) + text + data


def row(**fields: Any) -> dict[str, Any]:
    return {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]} | fields


LIES: dict[str, tuple[bytes, type[TfckptError], str]] = {
    "a length beyond the file": (struct.pack("<Q", 1 << 40) + b"{}", FormatError, "length of the header"),
    "a length beyond all bounds": (struct.pack("<Q", (1 << 64) - 1) + b"{}", FormatError, "length of the header"),
    "no JSON": (header(b"nothing"), FormatError, "header: expected JSON"),
    "no UTF-8": (header(b'{"\xff": 1}'), FormatError, "header: expected JSON"),
    "no object": (header([]), FormatError, "expected a JSON object, got list"),
    "no end of lists": (header(b"[" * 100_000), FormatError, "header: expected JSON"),
    "a number without end": (header(b'{"w": ' + b"9" * 10_000 + b"}"), FormatError, "header: expected JSON"),
    "NaN": (header(b'{"w": NaN}'), FormatError, "NaN is not JSON"),
    "a name twice": (header(b'{"w": 1, "w": 2}'), FormatError, "a name that stands there twice"),
    "a field twice": (header(b'{"w": {"shape": [], "shape": []}}'), FormatError, "a name that stands there twice"),
    "metadata that is none": (header({"__metadata__": {"a": 1}}), FormatError, "metadata: expected an object of texts"),
    "a tensor that is none": (header({"w": []}), FormatError, "expected an object of dtype, shape and data_offsets"),
    "a field more": (header({"w": row(more=1)}, b"ab"), FormatError, "expected an object of dtype, shape"),
    "no name": (header({"": row()}, b"ab"), FormatError, "expected a name in UTF-8"),
    "a name that is no text": (header(b'{"\\ud800": {}}'), FormatError, "got lone surrogates"),
    "another dtype": (header({"w": row(dtype="F8_E8M0")}, b"ab"), UnsupportedError, "'F8_E8M0' has no counterpart"),
    "a dtype that is none": (header({"w": row(dtype=[])}, b"ab"), UnsupportedError, "has no counterpart"),
    "a negative size": (header({"w": row(shape=[-1, -2])}, b"ab"), FormatError, "shape of tensor 'w'"),
    "a size that is a truth": (header({"w": row(shape=[True, 2])}, b"ab"), FormatError, "shape of tensor 'w'"),
    "a size that is a fraction": (header({"w": row(shape=[2.0])}, b"ab"), FormatError, "shape of tensor 'w'"),
    "a size beyond all bounds": (header({"w": row(shape=[1 << 70, 0])}), FormatError, "shape of tensor 'w'"),
    "a size of 64 bits": (header({"w": row(shape=[1 << 63, 0])}), FormatError, "shape of tensor 'w'"),
    "a rank beyond all bounds": (header({"w": row(shape=[1] * 255)}, b"a"), FormatError, "a list of at most 254 sizes"),
    "a product beyond all bounds": (
        header({"w": row(shape=[1 << 62] * 200)}, b"ab"),
        FormatError,
        "size of tensor 'w'",
    ),
    "a place backwards": (header({"w": row(data_offsets=[2, 0])}, b"ab"), FormatError, "place of tensor 'w'"),
    "a place in three": (header({"w": row(data_offsets=[0, 1, 2])}, b"ab"), FormatError, "place of tensor 'w'"),
    "a place outside": (header({"w": row(data_offsets=[8, 10])}, b"ab"), FormatError, "leaves a gap before it"),
    "a size of another": (header({"w": row(shape=[1 << 40])}, b"ab"), FormatError, "size of tensor 'w'"),
    "one over another": (header({"a": row(), "b": row(data_offsets=[1, 3])}, b"abc"), FormatError, "overlaps the one"),
    "the same bytes twice": (header({"a": row(), "b": row()}, b"ab"), FormatError, "overlaps the one"),
    "a gap": (header({"a": row(), "b": row(data_offsets=[3, 5])}, b"abcde"), FormatError, "leaves a gap"),
    "bytes of nobody": (header({"w": row()}, b"abc"), FormatError, "expected 2 bytes of values, got 3"),
    "bytes that are not there": (header({"w": row()}, b"a"), FormatError, "expected 2 bytes of values, got 1"),
    "a note that is none": (header({"__metadata__": {"tfckpt": "[]"}}), FormatError, "expected JSON of dtypes"),
    "a note that nests": (header({"__metadata__": {"tfckpt": "[" * 99_999}}), FormatError, "expected JSON of dtypes"),
    "a dtype that is noted wrong": (
        header({"__metadata__": {"tfckpt": '{"dtypes": {"w": "qint32"}}'}, "w": row()}, b"ab"),
        FormatError,
        "expected one that holds qint32, got uint8",
    ),
    "a number that a dtype cannot hold": (
        header({"__metadata__": {"tfckpt": '{"dtypes": {"w": "uint4"}}'}, "w": row()}, b"\x0f\x10"),
        FormatError,
        "expected numbers that uint4 holds, as is noted beside it",
    ),
    "a dtype that is noted and unknown": (
        header({"__metadata__": {"tfckpt": '{"dtypes": {"w": "vibes"}}'}, "w": row()}, b"ab"),
        UnsupportedError,
        "no dtype 'vibes' is known",
    ),
}


@pytest.mark.parametrize("name", LIES)
def test_a_safetensors_file_that_lies_is_refused(tmp_path: Path, name: str) -> None:
    data, kind, message = LIES[name]
    (tmp_path / "m").write_bytes(data)
    with pytest.raises(kind) as caught:
        imported(tmp_path / "m", tmp_path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path}/m: ")
    assert listed(tmp_path) == ["m"]


@pytest.mark.parametrize("shape", [[(1 << 63) - 1, 0], [1] * 253 + [2]], ids=["size", "rank"])
def test_a_shape_within_all_bounds_is_read(tmp_path: Path, shape: list[int]) -> None:
    data = b"ab" if shape[-1] else b""
    (tmp_path / "m").write_bytes(header({"w": row(shape=shape, data_offsets=[0, len(data)])}, data))
    with closing(open_input(str(tmp_path / "m"))) as file:
        (tensor,), _, begin = ours.read_header(file)
    assert (tensor.shape, tensor.begin, tensor.end) == (tuple(shape), 0, len(data))
    assert (tmp_path / "m").read_bytes()[begin:] == data


def test_a_safetensors_header_of_more_than_a_hundred_megabytes_is_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "m", "wb") as file:
        file.write((100_000_001).to_bytes(8, "little") + b"{}")
        file.truncate(200_000_000)
    with pytest.raises(FormatError, match=r"header: expected at most 100,000,000 bytes, got 100,000,001$"):
        imported(tmp_path / "m", tmp_path)


def test_a_safetensors_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    whole = save({name: np.asarray(value) for name, value in WHOLE.items()})
    for length in range(len(whole)):
        (tmp_path / "m").write_bytes(whole[:length])
        with pytest.raises(FormatError):
            tfckpt.import_(tmp_path / "m", tmp_path / "back", dry_run=True)


def test_what_the_library_alone_refuses_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m").write_bytes(header({"w": row()}, b"abc"))
    monkeypatch.setattr(ours, "_check_cover", lambda tensors, nbytes: None)  # as if ours were blind
    with pytest.raises(FormatError, match="expected one that the safetensors library reads"):
        imported(tmp_path / "m", tmp_path)


def test_the_library_refuses_what_we_refuse_of_places(tmp_path: Path) -> None:
    for name in ("one over another", "a gap", "bytes of nobody", "a size of another", "a length beyond the file"):
        with pytest.raises(safetensors.SafetensorError):
            deserialize(LIES[name][0])


# --- files that lie: zip archives and what is in them


def array(value: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, value)
    return buffer.getvalue()


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        for name, data in members:
            file.writestr(zipfile.ZipInfo(name), data, method)  # of 1980: the hour must not choose which byte is where
    return buffer.getvalue()


def described(text: str, data: bytes = b"", version: int = 1) -> bytes:
    """Return a .npy file with any header."""
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text.encode("latin1") + data


def overlapping() -> bytes:
    """Return an archive whose list has one member's bytes twice, under two names."""
    data = bytearray(zipped(("a.npy", array(np.zeros(100))), ("b.npy", array(np.zeros(100)))))
    second = data.rindex(b"PK\x01\x02")
    struct.pack_into("<I", data, second + 42, 0)  # where it begins
    return bytes(data)


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


class Harmful:
    def __reduce__(self) -> Any:
        return os.mkdir, ("harmed",)


GOOD = zipped(("w.npy", array(np.arange(100))))
ZIPS: dict[str, tuple[bytes, type[TfckptError], str]] = {
    "objects": (zipped(("w.npy", array(np.array([Harmful()])))), UnsupportedError, "tensor 'w': Python objects"),
    "records": (zipped(("w.npy", array(np.zeros(1, [("a", "i4")])))), UnsupportedError, "is no tensor's"),
    "dates": (zipped(("w.npy", array(np.zeros(1, "M8[s]")))), UnsupportedError, "has no TensorFlow counterpart"),
    "void": (zipped(("w.npy", array(np.zeros(1, "V3")))), UnsupportedError, "no note of what they are"),
    "bfloat16 without a note": (
        zipped(("w.npy", array(np.ones(1, ml_dtypes.bfloat16)))),
        UnsupportedError,
        "void values of 2 bytes, and no note of what they are",
    ),
    "a version of the future": (zipped(("w.npy", described("{}", version=3))), UnsupportedError, ".npy version 3.0"),
    "no array": (zipped(("w.npy", b"hello, world")), FormatError, "expected one that NumPy reads"),
    "an empty member": (zipped(("w.npy", b"")), FormatError, "expected one that NumPy reads"),
    "no dict": (zipped(("w.npy", described("[1]"))), FormatError, "expected one that NumPy reads"),
    "a call": (
        zipped(
            ("w.npy", described("{'descr': __import__('os').mkdir('harmed'), 'fortran_order': False, 'shape': ()}"))
        ),
        FormatError,
        "expected one that NumPy reads",
    ),
    "no end of brackets": (zipped(("w.npy", described("(" * 9000))), FormatError, "expected one that NumPy reads"),
    "a long header": (zipped(("w.npy", described(" " * 60_000))), FormatError, "expected one that NumPy reads"),
    "a length beyond the file": (
        zipped(("w.npy", b"\x93NUMPY\x02\0" + struct.pack("<I", 1 << 31))),
        FormatError,
        "expected one that NumPy reads",
    ),
    "a negative size": (
        zipped(("w.npy", described("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}"))),
        FormatError,
        "expected dimensions of 0 or more",
    ),
    "a size beyond all bounds": (
        zipped(("w.npy", described("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 1" + "0" * 99 + ")}"))),
        FormatError,
        "expected dimensions of 0 or more",
    ),
    "a shape of another": (
        zipped(("w.npy", described("{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776,)}", b"abcd"))),
        FormatError,
        "expected 4,398,046,511,104 bytes, got 4",
    ),
    "strings of no length": (
        zipped(("w.npy", described("{'descr': '|S0', 'fortran_order': False, 'shape': (1099511627776,)}"))),
        UnsupportedError,
        "is no tensor's",
    ),
    "text of no characters": (
        zipped(("w.npy", described("{'descr': '<U1', 'fortran_order': False, 'shape': ()}", b"\xff\xff\xff\0"))),
        FormatError,
        "text: expected Unicode, got 0xffffff",
    ),
    "a file of another kind": (zipped(("w.npy", array(1)), ("w.txt", b"hi")), FormatError, "got 'w.txt'"),
    "a member without a name": (zipped((".npy", array(1))), FormatError, "got '.npy'"),
    "one over another": (overlapping(), FormatError, "expected one from byte"),
    "another compression": (
        zipped(("w.npy", array(1)), method=zipfile.ZIP_BZIP2),
        UnsupportedError,
        "compressed in a way",
    ),
    "encryption": (flipped(GOOD, GOOD.rindex(b"PK\x01\x02") + 8), UnsupportedError, "encrypted"),
    "a changed value": (flipped(GOOD, GOOD.index(b"\n") + 9), FormatError, "Bad CRC-32"),
    "no list": (GOOD[:-30], FormatError, "got the beginning of a zip archive"),
    "two letters": (b"PK", FormatError, "expected a whole zip archive"),
    "no members at all": (b"PK\x03\x04" + b"\0" * 50, FormatError, "got the beginning of a zip archive"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ZIPS)
def test_an_npz_file_that_lies_is_refused_and_nothing_in_it_runs(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data, kind, message = ZIPS[name]
    (tmp_path / "m").write_bytes(data)
    with pytest.raises(kind) as caught:
        imported(tmp_path / "m", tmp_path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path}/m: ")
    assert listed(tmp_path) == ["m"]


@pytest.mark.parametrize("cut", [1, 8, 799])
def test_a_member_that_ends_too_early_is_refused(tmp_path: Path, cut: int) -> None:
    """Its list says how long it would be; what is compressed is less."""
    whole = array(np.arange(100))
    data = bytearray(zipped(("w.npy", whole[:-cut]), method=zipfile.ZIP_DEFLATED))
    struct.pack_into("<I", data, data.rindex(b"PK\x01\x02") + 24, len(whole))
    (tmp_path / "m").write_bytes(data)
    with pytest.raises(FormatError, match=r"'w\.npy': expected [0-9]+ bytes more, got [0-9]+, and its end"):
        imported(tmp_path / "m", tmp_path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_comes_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(zipped(("w.npy", array(1)), ("w.npy", array(2))))
    with pytest.raises(FormatError, match="one that comes twice"):
        imported(tmp_path / "m", tmp_path)


def test_an_npz_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    whole = zipped(("a.npy", array(1)), ("b.npy", array(np.ones(2))), method=zipfile.ZIP_DEFLATED)
    for length in range(1, len(whole)):
        (tmp_path / "m").write_bytes(whole[:length])
        with pytest.raises(FormatError):
            tfckpt.import_(tmp_path / "m", tmp_path / "back", sync=False)
    assert listed(tmp_path) == ["m"]


def test_what_is_compressed_streams_in_little_memory(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "m.npz", w=np.zeros(1 << 24, np.int8))
    assert (tmp_path / "m.npz").stat().st_size < 20_000
    tracemalloc.start()
    try:
        tfckpt.import_(tmp_path / "m.npz", tmp_path / "back", sync=False)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20


@pytest.mark.parametrize(
    "value", [np.zeros((200, 100), order="F"), np.zeros((200, 100), "S8")], ids=["columns", "strings"]
)
def test_what_must_be_whole_may_not_be_compressed_without_bound(
    tmp_path: Path, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez_compressed(tmp_path / "m.npz", w=value)
    assert imported(tmp_path / "m.npz", tmp_path)["w"].shape == (200, 100)
    monkeypatch.setattr(archive, "FREE_NBYTES", 0)
    with pytest.raises(FormatError, match="since it cannot be read in pieces, got 160,000"):
        imported(tmp_path / "m.npz", tmp_path)


@pytest.mark.parametrize(("stored", "most"), [(1, 64 * 2**20), (2**20, 64 * 2**20), (2**20 + 1, 64 * (2**20 + 1))])
def test_an_array_that_must_be_whole_is_64_times_what_is_stored_of_it_or_64_mib(stored: int, most: int) -> None:
    asked: list[int] = []

    def member(size: int) -> archive.Member:
        def chunks() -> Iterator[bytes]:
            asked.append(size)
            yield b""

        return archive.Member("w", DT_STRING, Header(np.dtype("S1"), (size,), False, size, 128), stored, chunks)

    with pytest.raises(FormatError, match=rf"at most {most:,} bytes, .* got {most + 1:,}$"):
        member(most + 1).read()
    with suppress(TfckptError):  # there is nothing in it
        member(most).read()
    assert asked == [most]


@pytest.mark.parametrize("kind", ["npz", "npy"])
def test_a_header_may_have_ten_thousand_characters(tmp_path: Path, kind: str) -> None:
    text = "{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }"
    for size in (10_000, 10_001):
        data = described(text.ljust(size - 1) + "\n", np.arange(2).tobytes(), version=2)
        (tmp_path / "w.npy").write_bytes(data)
        (tmp_path / "index.json").write_text(index())
        (tmp_path / "m.npz").write_bytes(zipped(("w.npy", data)))
        path = tmp_path / "m.npz" if kind == "npz" else tmp_path
        if size == 10_000:
            assert imported(path, tmp_path / "x")["w"].tolist() == [0, 1]
            continue
        with pytest.raises(FormatError, match=r"npy header.*: expected one that NumPy reads"):
            imported(path, tmp_path / "x")


def test_dimensions_of_an_array_are_below_two_to_the_63() -> None:
    text = "{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, 0), }}\n"
    most = (1 << 63) - 1
    assert parse_header(described(text.format(most)))[1:4] == ((most, 0), False, 0)
    with pytest.raises(FormatError, match="expected dimensions of 0 or more"):
        parse_header(described(text.format(most + 1)))


@pytest.mark.parametrize("kind", ["npz", "npy"])
def test_strings_may_be_longer_than_a_piece_that_is_read(tmp_path: Path, kind: str) -> None:
    tensors = {"w": np.array([b"x" * ((1 << 20) + 1), b"y"], object)}
    tfckpt.save(tmp_path / "m", tensors)
    with tfckpt.open(tmp_path / "m") as checkpoint:
        assert (
            imported(Path(export(checkpoint.prefix, tmp_path, kind)), tmp_path)["w"].tolist() == tensors["w"].tolist()
        )


def test_a_header_is_read_without_a_warning_even_if_python_2_wrote_it() -> None:
    found = parse_header(described("{'descr': '<f4', 'fortran_order': False, 'shape': (2L,), }" + " " * 8 + "\n"))
    assert (found.shape, found.nbytes) == ((2,), 8)


# --- files that lie: directories


def index(**changes: Any) -> str:
    fields = {"name": "w", "file": "w.npy", "dtype": "int64", "shape": [2]} | changes
    return json.dumps({"tfckpt": 1, "tensors": [fields]})


INDEXES: dict[str, tuple[str | bytes, type[TfckptError], str]] = {
    "a way out": (index(file="../w.npy"), FormatError, "expected the name of a file in the directory, got '../w.npy'"),
    "a way from the root": (index(file="/etc/passwd"), FormatError, "expected the name of a file in the directory"),
    "a way below": (index(file="a/w.npy"), FormatError, "expected the name of a file in the directory"),
    "the directory above": (index(file=".."), FormatError, "expected the name of a file in the directory"),
    "a NUL": (index(file="w.npy\0"), FormatError, "expected the name of a file in the directory"),
    "a way out on Windows": (index(file="..\\w"), FormatError, "expected the name of a file in the directory"),
    "a URL": (index(file="http://x"), FormatError, "expected the name of a file in the directory"),
    "no file": (index(file=""), FormatError, "expected the name of a file in the directory"),
    "a file that is not there": (index(file="x.npy"), CheckpointNotFoundError, "x.npy: cannot open"),
    "another shape": (index(shape=[3]), FormatError, "expected the shape [3], got [2]"),
    "another dtype": (index(dtype="float64"), FormatError, "expected float64, got int64"),
    "a dtype that is none": (index(dtype="vibes"), UnsupportedError, "no dtype 'vibes' is known"),
    "a dtype that holds others": (index(dtype="bfloat16"), FormatError, "expected one that holds bfloat16"),
    "strings": (index(dtype="string"), FormatError, "expected one that holds string"),
    "no name": (index(name=""), FormatError, "name of a tensor"),
    "a name that is no text": (index(name="\ud800"), FormatError, "name of a tensor"),
    "a name that is a number": (index(name=1), FormatError, "expected name, file, dtype and shape"),
    "no JSON": ("{", FormatError, "expected JSON"),
    "no end of lists": ("[" * 100_000, FormatError, "expected JSON"),
    "no UTF-8": (b"\xff", FormatError, "expected UTF-8"),
    "another program's": ('{"weight_map": {}}', FormatError, 'expected an object with "tfckpt": 1'),
    "the future's": ('{"tfckpt": 2}', UnsupportedError, "index of version 2: this tfckpt reads 1"),
    "no list": ('{"tfckpt": 1, "tensors": {}}', FormatError, "expected a list of objects, got dict"),
}


@pytest.mark.parametrize("name", INDEXES)
def test_an_index_that_lies_is_refused(tmp_path: Path, name: str) -> None:
    text, kind, message = INDEXES[name]
    (tmp_path / "d").mkdir()
    np.save(tmp_path / "d" / "w.npy", np.arange(2))
    np.save(tmp_path / "w.npy", np.arange(2))
    (tmp_path / "d" / "index.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(kind) as caught:
        imported(tmp_path / "d", tmp_path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "d"))
    assert not (tmp_path / "back.index").exists()


@pytest.mark.parametrize("changes", [{"name": "x"}, {"file": "x.npy"}])
def test_a_file_or_a_name_that_comes_twice_is_refused(tmp_path: Path, changes: dict[str, str]) -> None:
    for name in ("w", "x"):
        np.save(tmp_path / f"{name}.npy", np.arange(2))
    rows = [json.loads(index(**fields))["tensors"][0] for fields in ({}, changes)]
    (tmp_path / "index.json").write_text(json.dumps({"tfckpt": 1, "tensors": rows}))
    with pytest.raises(FormatError, match="one that comes twice"):
        imported(tmp_path, tmp_path / "x")


@pytest.mark.parametrize(
    "data", [array(np.arange(2))[:-1], array(np.arange(2)) + b"x", b"", array(np.array([Harmful()]))]
)
def test_an_array_in_a_directory_that_lies_is_refused(
    tmp_path: Path, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.npy").write_bytes(data)
    (tmp_path / "index.json").write_text(index())
    with pytest.raises((FormatError, UnsupportedError), match=r"w\.npy: "):
        imported(tmp_path, tmp_path / "x")
    assert listed(tmp_path) == ["index.json", "w.npy"]


def test_an_index_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "index.json", "wb") as file:
        file.truncate(1 << 28)
    with pytest.raises(FormatError, match="expected at most 134,217,728 bytes"):
        imported(tmp_path, tmp_path / "x")


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_nobody_waits_for_a_pipe(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "m.npz"
    os.mkfifo(path) if kind == "pipe" else path.symlink_to("/dev/zero")
    with pytest.raises(TfckptError, match="expected a regular file"):
        imported(path, tmp_path)


def test_odd_names_come_in_as_they_are(tmp_path: Path) -> None:
    names = ["../x", "/etc/x", "nul\0", "é", "a.npy"]
    save_file({name: np.full(2, n) for n, name in enumerate(names)}, tmp_path / "m")
    assert imported(tmp_path / "m", tmp_path)["../x"].tolist() == [0, 0]
    assert bits(tmp_path / "back").keys() == set(names)
    assert listed(tmp_path) == ["back.data-00000-of-00001", "back.index", "m"]
