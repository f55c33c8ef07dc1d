"""Checkpoints as files of other frameworks: the libraries of those are the judges, and what comes back is what went."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import safetensors
from packaging.version import Version
from safetensors.numpy import load_file, save, save_file
from support.archives import KINDS, bits, deserialize, export, listed
from support.commands import Captured, fail, run, succeed, succeed_json
from support.files import bundle_bytes
from support.patience import PATIENCE

import tfckpt
from tfckpt._proto.types_pb2 import DT_FLOAT, DT_QINT8
from tfckpt.bundle.values.dtypes import item_size
from tfckpt.bundle.values.slices import TensorSlice
from tfckpt.bundle.writer import BundleWriter
from tfckpt.errors import (
    CheckpointExistsError,
    ChecksumError,
    PlanError,
    StorageError,
    UnsupportedError,
    UsageError,
)
from tfckpt.formats import safetensors as ours
from tfckpt.formats.container import Destination
from tfckpt.formats.directory import file_name
from tfckpt.formats.dtypes import CODES
from tfckpt.formats.npz import NpzSink

DATA = Path(__file__).parent / "data"
MANY: dict[str, Any] = {  # of what NumPy has a name for
    "b": np.array([True, False]),
    "c": np.array([1 + 2j], np.complex64),
    "d": np.linspace(0, 1, 7),
    "e": np.zeros((0, 3), np.float32),
    "f": np.arange(12, dtype=np.float32).reshape(3, 4),
    "h": np.array([1, -np.inf, np.nan], np.float16),
    **{f"i{n}": np.array([[-3], [n]], f"i{n}") for n in (1, 2, 4, 8)},
    **{f"u{n}": np.array([3, n], f"u{n}") for n in (1, 2, 4, 8)},
    'odd "name"\n\u2028é/\x00': np.float32(1.5),
}
ODD_NAMES = ["../x", "/etc/x", "..", "a/../../b", "\\\\host\\x", "C:x", "a\\..\\..\\b"]


NEWEST = {"float8_e5m2fnuz", "float8_e4m3fnuz"}  # in safetensors since 0.8


def source_of(directory: Path, tensors: dict[str, Any]) -> str:
    tfckpt.save(directory / "source" / "m", tensors)
    return str(directory / "source" / "m")


# --- the judges


def test_a_safetensors_file_is_byte_for_byte_what_the_library_writes(tmp_path: Path) -> None:
    path = export(source_of(tmp_path, MANY), tmp_path, "safetensors")
    with safetensors.safe_open(path, framework="numpy") as opened:
        metadata = opened.metadata()
    save_file({name: np.asarray(value) for name, value in MANY.items()}, tmp_path / "theirs", metadata)
    assert Path(path).read_bytes() == (tmp_path / "theirs").read_bytes()
    assert json.loads(metadata["tfckpt"]) == {"tfckpt": 1, "source": "m", "layout": "source", "dtypes": {}}


def test_the_library_loads_a_whole_bert(bert: str, tmp_path: Path) -> None:
    found = load_file(export(bert, tmp_path, "safetensors"))
    with tfckpt.open(bert) as checkpoint:
        assert found.keys() == set(checkpoint)
        for name, value in checkpoint.items():
            assert (found[name].dtype, found[name].shape) == (value.dtype, value.shape)
            assert found[name].tobytes() == value.tobytes()


@pytest.mark.parametrize("kind", ["npz", "npy"])
def test_arrays_are_byte_for_byte_what_numpy_writes(tmp_path: Path, kind: str) -> None:
    tensors = {**MANY, "z": np.array([1j])}
    tensors = {name.replace("\0", "0"): value for name, value in tensors.items()}
    path = export(source_of(tmp_path, tensors), tmp_path, kind)
    if kind == "npz":
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            files = {info.filename.removesuffix(".npy"): archive.read(info) for info in archive.infolist()}
    else:
        rows = json.loads(Path(path, "index.json").read_text())["tensors"]
        files = {row["name"]: Path(path, row["file"]).read_bytes() for row in rows}
    assert files.keys() == tensors.keys()
    for name, value in tensors.items():
        buffer = io.BytesIO()
        np.save(buffer, np.asarray(value))
        assert files[name] == buffer.getvalue()


def test_numpy_loads_a_whole_bert(bert: str, tmp_path: Path) -> None:
    with np.load(export(bert, tmp_path, "npz")) as found, tfckpt.open(bert) as checkpoint:
        assert sorted(found.files) == sorted(checkpoint)
        for name, value in checkpoint.items():
            assert (found[name].dtype, found[name].tobytes()) == (value.dtype, value.tobytes())


def test_a_type_that_numpy_cannot_name_is_there_by_its_bytes_and_noted(tmp_path: Path) -> None:
    values = np.array([1.5, -2], ml_dtypes.bfloat16)
    source = source_of(tmp_path, {"w": values})
    with np.load(export(source, tmp_path, "npz")) as found:
        assert found["w"].view(ml_dtypes.bfloat16).tolist() == [1.5, -2]
    (row,) = json.loads(Path(export(source, tmp_path, "npy"), "index.json").read_text())["tensors"]
    assert row == {"name": "w", "file": "00000.w.npy", "dtype": "bfloat16", "shape": [2]}


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_the_library_knows_the_dtype_of_what_numpy_cannot_name(tmp_path: Path, name: str) -> None:
    values = np.array([[1.5, -2]], getattr(ml_dtypes, name))
    path = export(source_of(tmp_path, {"w": values}), tmp_path, "safetensors")
    ((found, tensor),) = deserialize(Path(path).read_bytes())
    assert (found, tensor["shape"], bytes(tensor["data"])) == ("w", [1, 2], values.tobytes())
    assert tensor["dtype"] == {"bfloat16": "BF16", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2"}[name]


def test_every_code_is_one_of_the_librarys(tmp_path: Path) -> None:
    """The newest dtypes may be unknown to an old library; then it refuses the file, and so does the export."""
    refused: list[str] = []
    for data_type, code in CODES.items():
        n = 2 * item_size(data_type)
        with BundleWriter(str(tmp_path / "m"), overwrite=True, sync=False) as writer:
            writer.carry("w", data_type, (2,), [bytes(n)], n, None)
            writer.finish()
        try:
            path = export(tmp_path / "m", tmp_path, "safetensors", overwrite=True)
        except UnsupportedError:
            refused.append(code)
            continue
        ((_, tensor),) = deserialize(Path(path).read_bytes())
        assert tensor["dtype"] == code
    assert set(refused) <= {dtype.upper().replace("FLOAT8", "F8") for dtype in NEWEST}


# --- out and in again


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_that_goes_out_and_comes_in_is_the_same_files(bert: str, tmp_path: Path, kind: str) -> None:
    plan = tfckpt.import_(export(bert, tmp_path, kind), tmp_path / "back", sync=False)
    assert bundle_bytes(tmp_path / "back") == bundle_bytes(bert)
    assert len(plan.steps) == 139


GOLDEN = sorted(path.with_suffix("") for path in (DATA / "bundles").glob("*/*.index"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("source", GOLDEN, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_whatever_can_go_comes_back_to_the_bit(tmp_path: Path, source: Path, kind: str) -> None:
    expected = bits(source)
    complaints: tuple[str, ...] = ()
    try:
        export(source, tmp_path, kind, dry_run=True)
    except PlanError as error:
        complaints = error.reasons
    dropped = [name for name in expected if any(f"tensor {name!r}:" in line for line in complaints)]
    assert len(dropped) == len(complaints)  # what cannot go is named, each once, and then left out by name
    if kind == "safetensors" and Version(safetensors.__version__) < Version("0.8"):
        dropped += [name for name, (dtype, _, _) in expected.items() if dtype in NEWEST]
    path = export(source, tmp_path, kind, drop=[glob_of(name) for name in dropped])
    tfckpt.import_(path, tmp_path / "back", sync=False)
    assert bits(tmp_path / "back") == {name: value for name, value in expected.items() if name not in dropped}
    reasons = {expected[name][0] for name in dropped} - NEWEST
    assert (
        reasons <= {"string", "variant", "complex128", "float8_e4m3b11fnuz", "float4_e2m1fn"} or source.name == "names"
    )
    assert len(dropped) < len(expected) or reasons <= {"string", "variant"}


def glob_of(name: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("big_endian", [False, True])
def test_partitioned_tensors_are_joined_and_bytes_swapped(tmp_path: Path, kind: str, big_endian: bool) -> None:
    whole = np.arange(12, dtype=np.float32).reshape(4, 3)
    with BundleWriter(str(tmp_path / "m"), big_endian=big_endian) as writer:
        for start in (2, 0):
            part = TensorSlice(((start, 2), (0, -1)))
            writer.add_slice("w", whole.shape, part, whole[part.within(whole.shape)])
        writer.add("c", np.array([1 + 2j], np.complex64))
        writer.finish()
    tfckpt.import_(export(tmp_path / "m", tmp_path, kind), tmp_path / "back", sync=False)
    with tfckpt.open(tmp_path / "back") as back:
        assert not back.entry("w").slices
        assert back["w"].tolist() == whole.tolist()
        assert back["c"].tolist() == [1 + 2j]


@pytest.mark.parametrize("kind", ["npz", "npy"])
def test_a_v1_checkpoint_goes_out_strings_included(tmp_path: Path, kind: str) -> None:
    source = DATA / "v1" / "saver"
    tfckpt.import_(export(source, tmp_path, kind), tmp_path / "back", sync=False)
    assert bits(tmp_path / "back") == bits(source)


def test_what_is_written_as_another_dtype_is_usable_and_remembered(tmp_path: Path) -> None:
    with BundleWriter(str(tmp_path / "m")) as writer:
        writer.add("four", np.array([-8, 7], ml_dtypes.int4))
        writer.add("q", np.array([-3], np.int8), DT_QINT8)
        writer.finish()
    found = load_file(export(tmp_path / "m", tmp_path, "safetensors"))
    assert (found["four"].dtype.name, found["four"].tolist()) == ("int8", [-8, 7])
    tfckpt.import_(tmp_path / "out.safetensors", tmp_path / "back")
    assert {name: value[0] for name, value in bits(tmp_path / "back").items()} == {"four": "int4", "q": "qint8"}


# --- nothing is lost without a word


def test_everything_that_has_no_form_is_named_at_once_and_nothing_is_written(tmp_path: Path) -> None:
    tensors = {"a": ["x"], "b": np.array([1j]), "ok": 1, "__metadata__": 2.0, "bad\udcff": 3}
    source = source_of(tmp_path, tensors)
    with pytest.raises(PlanError) as caught:
        export(source, tmp_path, "safetensors")
    reasons = [line.partition(": tensor ")[2] for line in caught.value.reasons]
    assert reasons == [
        "'__metadata__': safetensors has that name for itself; rename gives it another",
        "'a': string has no form in safetensors; .npz and directories take it, drop leaves it out",
        "'b': complex128 has no form in safetensors; .npz and directories take it, drop leaves it out",
        "'bad\\udcff': the name is not UTF-8, which safetensors wants; rename gives it another, and a directory takes it",
    ]
    assert listed(tmp_path) == ["source", "source/m.data-00000-of-00001", "source/m.index"]
    plan = tfckpt.export(
        source, tmp_path / "o.safetensors", drop=["[ab]"], rename=[("^__", "x"), ("[^ -~]", "")], exclude=["nothing"]
    )
    assert load_file(tmp_path / "o.safetensors").keys() == {"xmetadata__", "bad", "ok"}
    assert [item.source for item in plan.dropped] == ["a", "b"]


def test_strings_that_numpy_would_change_are_refused(tmp_path: Path) -> None:
    tensors: dict[str, Any] = {
        "nul": np.array([b"a\0"], object),
        "long": [b"", b"x" * 10_000, *[b"y"] * 1000],
        "fine": [b"", b"\xff\0b"],
    }
    source = source_of(tmp_path, tensors)
    with pytest.raises(PlanError) as caught:
        export(source, tmp_path, "npz")
    assert [line.partition(": tensor ")[2][:6] for line in caught.value.reasons] == ["'long'", "'nul':"]
    with np.load(export(source, tmp_path, "npz", keep=["fine"])) as found:
        assert found["fine"].tolist() == [b"", b"\xff\0b"]


@pytest.mark.parametrize(("width", "is_padded"), [(32, True), (33, False)])
def test_strings_may_be_padded_to_sixteen_times_their_bytes(tmp_path: Path, width: int, is_padded: bool) -> None:
    """Each counts as a byte more than it has: all come to 16 times 64 bytes if the longest has 32."""
    source = source_of(tmp_path, {"w": [b"x" * width, *[b""] * 31]})
    if not is_padded:
        with pytest.raises(PlanError, match="tensor 'w': "):
            export(source, tmp_path, "npz")
        return
    with np.load(export(source, tmp_path, "npz")) as found:
        assert (found["w"].dtype, found["w"].tolist()) == (np.dtype("S32"), [b"x" * 32, *[b""] * 31])


def test_the_object_graph_stays_and_the_report_says_so(bert: str, tmp_path: Path) -> None:
    tfckpt.convert(bert, tmp_path / "encoder", sync=False)
    plan = tfckpt.export(tmp_path / "encoder", tmp_path / "o.npz")
    assert [item.source for item in plan.dropped] == ["_CHECKPOINTABLE_OBJECT_GRAPH"]
    assert len(plan.steps) == 39


def test_a_shape_that_numpy_cannot_have_is_refused(tmp_path: Path) -> None:
    with BundleWriter(str(tmp_path / "m")) as writer:
        writer.carry("w", DT_FLOAT, (1,) * 33, [b"abcd"], 4, None)
        writer.finish()
    with pytest.raises(PlanError, match=r"'w': rank 33: NumPy reads at most 32; drop leaves it out"):
        export(tmp_path / "m", tmp_path, "npz")
    assert [len(t["shape"]) for _, t in deserialize(_read(export(tmp_path / "m", tmp_path, "safetensors")))] == [33]


def _read(path: str) -> bytes:
    return Path(path).read_bytes()


def test_a_header_that_the_library_would_not_read_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = source_of(tmp_path, {"w": 1})
    data = Path(export(source, tmp_path, "safetensors")).read_bytes()
    size = 8 + int.from_bytes(data[:8], "little")
    before = listed(tmp_path)
    monkeypatch.setattr(ours, "MAX_HEADER_SIZE", size - 1)
    with pytest.raises(UnsupportedError, match=f"safetensors: a header of {size} bytes; {size - 1} is the limit"):
        export(source, tmp_path, "safetensors", overwrite=True)
    assert (listed(tmp_path), Path(tmp_path, "out.safetensors").read_bytes()) == (before, data)
    monkeypatch.setattr(ours, "MAX_HEADER_SIZE", size)
    assert Path(export(source, tmp_path, "safetensors", overwrite=True)).read_bytes() == data


def test_a_note_that_a_zip_cannot_hold_is_left_out(tmp_path: Path) -> None:
    for size, kept in ((0xFFFF, 0xFFFF), (0x10000, 0)):
        path = tmp_path / f"{size}.npz"
        with NpzSink(Destination(str(path), note={"text": "x" * (size - len('{"tfckpt": 1, "text": ""}'))})) as sink:
            sink.commit()
        assert len(zipfile.ZipFile(path).comment) == kept


# --- names that lead elsewhere


@pytest.mark.parametrize("name", [*ODD_NAMES, "nul\0", "x" * 65532])
def test_a_name_that_a_zip_cannot_hold_safely_is_refused(tmp_path: Path, name: str) -> None:
    source = source_of(tmp_path, {name: 1})
    with pytest.raises(PlanError, match="rename gives it another"):
        export(source, tmp_path, "npz")
    assert "x" in np.load(export(source, tmp_path, "npz", rename=[("(?s)^.*$", "x")])).files


def test_a_name_as_long_as_a_zip_holds_is_held(tmp_path: Path) -> None:
    name = "x" * (0xFFFF - len(".npy"))
    with np.load(export(source_of(tmp_path, {name: 1}), tmp_path, "npz")) as found:
        assert {name: int(value) for name, value in found.items()} == {name: 1}


def test_a_file_is_called_by_the_last_hundred_characters_of_a_name() -> None:
    assert file_name(7, "y" + "x" * 99) == f"00007.y{'x' * 99}.npy"
    assert file_name(7, "y" + "x" * 100) == f"00007.{'x' * 100}.npy"


def test_names_that_numpy_takes_for_one_another_are_refused(tmp_path: Path) -> None:
    source = source_of(tmp_path, {"a": 1, "a.npy": 2, "b.npy": 3})
    with pytest.raises(PlanError, match=r"tensors 'a' and 'a.npy': numpy.load takes one for the other"):
        export(source, tmp_path, "npz")
    with np.load(export(source, tmp_path, "npz", drop=["a"])) as found:
        assert {name: int(found[name]) for name in found.files} == {"a.npy": 2, "b.npy": 3}


def test_a_directory_holds_every_name_and_nothing_is_written_outside(tmp_path: Path) -> None:
    names = [*ODD_NAMES, "nul\0", "x" * 5000, "Case", "case", "index.json", "bad\udcff", "CON", "-rf", "a\nb", ".", "~"]
    source = source_of(tmp_path, {name: n for n, name in enumerate(names)})
    before = listed(tmp_path)
    export(source, tmp_path, "npy")
    written = [path for path in listed(tmp_path) if path not in before]
    assert written[0] == "out"
    assert all(path.startswith("out/") and path.count("/") == 1 for path in written[1:])
    assert len({path.lower() for path in written[1:]}) == len(names) + 1
    assert max(map(len, written)) < 120
    tfckpt.import_(tmp_path / "out", tmp_path / "back")
    assert bits(tmp_path / "back") == bits(source)


# --- written whole, or not at all


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_there_is_replaced_only_on_request(tmp_path: Path, kind: str) -> None:
    old, new = source_of(tmp_path / "1", {"a": 1, "b": 2}), source_of(tmp_path / "2", {"c": 3})
    path = export(old, tmp_path, kind)
    (tmp_path / "out").mkdir(exist_ok=True)
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(CheckpointExistsError, match="overwrite"):
        export(new, tmp_path, kind)
    assert _imported(path, tmp_path) == {"a": 1, "b": 2}
    for _ in range(3):
        export(new, tmp_path, kind, overwrite=True)
        assert _imported(path, tmp_path) == {"c": 3}
    files = [name for name in listed(tmp_path) if name.startswith("out") and "/" in name]
    assert len(files) == (3 if kind == "npy" else 1)  # the index, an array, and what is the user's
    assert not [name for name in listed(tmp_path) if ".tfckpt-" in name]


def _imported(path: str, directory: Path) -> dict[str, Any]:
    tfckpt.import_(path, directory / "back", overwrite=True, sync=False)
    with tfckpt.open(directory / "back") as back:
        return {name: value.tolist() for name, value in back.items()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("over", [False, True], ids=["new", "over"])
def test_an_export_that_is_interrupted_leaves_what_was_there(tmp_path: Path, kind: str, over: bool) -> None:
    source = source_of(tmp_path, {f"w{n}": np.full(100, n) for n in range(9)})
    if over:
        export(source, tmp_path, kind)
    before = {path: _content(tmp_path / path) for path in listed(tmp_path)}

    def stop(done: int, total: int) -> None:
        if done > total / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(source, tmp_path, kind, overwrite=over, progress=stop)
    assert {path: _content(tmp_path / path) for path in listed(tmp_path)} == before


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


@pytest.mark.exhaustive
def test_an_export_that_is_killed_at_any_call_leaves_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "support.killed", str(tmp_path)]
    result = subprocess.run(
        command, cwd=Path(__file__).parent, check=True, capture_output=True, text=True, timeout=PATIENCE
    )
    counts = re.findall(r"^(\w+) (\w+) old (\d+) new (\d+) none (\d+)$", result.stdout, re.MULTILINE)
    assert [kind for kind, _, _, _, _ in counts] == [kind for kind in KINDS for _ in range(2)]
    for _, how, old, new, none in counts:
        assert int(new) > 0
        assert (int(old) > 2, int(none)) == (True, 0) if how == "over" else (int(old), int(none) > 2) == (0, True)


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_source_is_an_error_and_leaves_nothing(bert_copy: str, tmp_path: Path, kind: str) -> None:
    with open(f"{bert_copy}.data-00000-of-00001", "r+b") as file:
        file.seek(5000)
        file.write(b"!!!!!")
    before = listed(tmp_path)
    with pytest.raises(ChecksumError):
        export(bert_copy, tmp_path, kind)
    assert listed(tmp_path) == before
    export(bert_copy, tmp_path, kind, verify=False)


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source = source_of(tmp_path, {f"w{n}": np.full(100_000, n) for n in range(3)})
    before, real, taken = listed(tmp_path), os.pwrite, []

    def full(fd: int, data: Any, offset: int) -> int:
        taken.append(len(data))
        if sum(taken) > 1_500_000:
            raise OSError(28, "No space left on device")
        return real(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(StorageError, match="No space left on device"):
        export(source, tmp_path, kind)
    assert listed(tmp_path) == before


@pytest.mark.parametrize("name", ["m.index", "m.data-00000-of-00001"])
def test_the_source_is_not_a_destination(tmp_path: Path, name: str) -> None:
    source = source_of(tmp_path, {"w": 1})
    with pytest.raises(UsageError, match="a file of the checkpoint itself"):
        tfckpt.export(source, tmp_path / "source" / name, kind="npz", overwrite=True)
    assert bits(source)["w"][2] == np.int64(1).tobytes()


def test_an_index_of_the_users_own_is_not_a_destination(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    source = source_of(tmp_path, {"w": 1})
    with pytest.raises(CheckpointExistsError, match="there is a file of that name, and no directory"):
        export(source, tmp_path, "npy", overwrite=True)
    (tmp_path / "out.npz").mkdir()
    with pytest.raises(UsageError, match="a directory; expected"):
        export(source, tmp_path, "npz", overwrite=True)


def test_a_pipe_is_not_replaced(tmp_path: Path) -> None:
    """Nor a device: as root, a file that takes the name of /dev/null is felt by everybody."""
    pipe = tmp_path / "out.npz"
    os.mkfifo(pipe)
    with pytest.raises(UsageError, match="not a regular file"):
        export(source_of(tmp_path, {"w": 1}), tmp_path, "npz", overwrite=True)
    assert pipe.is_fifo()


def test_what_a_dead_writer_left_in_a_directory_goes(tmp_path: Path) -> None:
    source = source_of(tmp_path, {"w": 1})
    path = export(source, tmp_path, "npy")
    left = Path(path, "00007.w.npy.tfckpt-0123abcd.tmp")
    left.touch()
    export(source, tmp_path, "npy", overwrite=True)
    assert not left.exists()


def test_an_export_over_an_older_one_takes_numbers_that_are_free(tmp_path: Path) -> None:
    numbers = []
    for turn, count in enumerate((1, 1, 1, 2, 2, 3, 1, 4)):
        source = source_of(tmp_path / str(turn), {f"w{n}": 10 * turn + n for n in range(count)})
        path = export(source, tmp_path, "npy", overwrite=True)
        numbers.append([int(file.name.partition(".")[0]) for file in sorted(Path(path).glob("*.npy"))])
        assert _imported(path, tmp_path) == {f"w{n}": 10 * turn + n for n in range(count)}
    assert numbers == [[0], [1], [0], [1, 2], [3, 4], [0, 1, 2], [3], [4, 5, 6, 7]]


def test_a_number_of_more_than_five_digits_is_one_too(tmp_path: Path) -> None:
    source = source_of(tmp_path, {"w": 1})
    path = Path(export(source, tmp_path, "npy"))
    Path(path, "123456.w.npy").touch()
    export(source, tmp_path, "npy", overwrite=True)
    assert listed(path) == ["123457.w.npy", "index.json"]


def test_until_the_new_index_is_there_the_old_one_names_what_it_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(export(source_of(tmp_path / "old", {"a": 1, "b": 2}), tmp_path, "npy"))
    source, real, found = source_of(tmp_path / "new", {"a": 3, "b": 4}), os.replace, []

    def values() -> dict[str, Any]:
        rows = json.loads((path / "index.json").read_text())["tensors"]
        return {row["name"]: np.load(path / row["file"]).tolist() for row in rows}

    def replace(old: str, new: str) -> None:
        found.append((os.path.basename(new), values()))
        real(old, new)

    monkeypatch.setattr(os, "replace", replace)
    export(source, tmp_path, "npy", overwrite=True)
    assert found == [(name, {"a": 1, "b": 2}) for name in ("00002.a.npy", "00003.b.npy", "index.json")]
    assert values() == {"a": 3, "b": 4}


def test_a_library_that_is_missing_is_named_with_what_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "safetensors", None)
    source = source_of(tmp_path, {"w": 1})
    with pytest.raises(UnsupportedError, match=r"not installed: pip install 'tfckpt\[safetensors\]'"):
        export(source, tmp_path, "safetensors")
    export(source, tmp_path, "npz")


def test_a_file_that_the_library_refuses_gets_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = source_of(tmp_path, {"w": 1})
    real = ours.write_header
    monkeypatch.setattr("tfckpt.formats.safetensors.write_header", lambda *args: real(*args).replace(b"I64", b"X64"))
    with pytest.raises(UnsupportedError, match=r"library that is installed does not read it.*X64"):
        export(source, tmp_path, "safetensors")
    assert "out.safetensors" not in listed(tmp_path)


# --- streams


@pytest.mark.parametrize("kind", ["safetensors", "npz"])
def test_a_stream_gets_what_a_file_would(bert: str, tmp_path: Path, kind: str) -> None:
    stream = io.BytesIO()
    tfckpt.export(bert, stream, kind=kind)
    if kind == "safetensors":
        assert stream.getvalue() == Path(export(bert, tmp_path, kind)).read_bytes()
    else:  # sizes come after the values, where nobody can go back to write them before
        stream.seek(0)
        with np.load(stream) as found, np.load(export(bert, tmp_path, kind)) as expected:
            assert {name: found[name].tobytes() for name in found} == {
                name: expected[name].tobytes() for name in expected
            }


def test_a_stream_may_take_less_than_it_is_given(bert: str) -> None:
    class Pipe:
        taken = b""

        def write(self, data: bytes) -> int:
            self.taken += bytes(data[:100])
            return min(len(data), 100)

    pipe, whole = Pipe(), io.BytesIO()
    tfckpt.export(bert, pipe, kind="safetensors", keep=["*kernel"])
    tfckpt.export(bert, whole, kind="safetensors", keep=["*kernel"])
    assert pipe.taken == whole.getvalue()


@pytest.mark.parametrize("kind", [None, "npy", "hdf5"])
def test_a_stream_must_be_told_what_it_gets(bert: str, kind: str | None) -> None:
    with pytest.raises(UsageError, match="kind of file: expected"):
        tfckpt.export(bert, io.BytesIO(), kind=kind)


def test_from_stdout_to_stdin(bert: str, tmp_path: Path) -> None:
    sent = run("export", bert, "-", "--as", "safetensors", capture_output=True)
    assert sent.returncode == 0
    assert b"139 variables" in sent.stderr
    assert sent.stderr.endswith(b"written: stdout\n")
    taken = run("import", "-", str(tmp_path / "back"), "--no-sync", input=sent.stdout, capture_output=True)
    assert (taken.returncode, taken.stderr) == (0, b"")
    assert taken.stdout.splitlines()[-2].startswith(b"stdin: 139 variables")
    assert bundle_bytes(tmp_path / "back") == bundle_bytes(bert)
    assert run("export", bert, "-", "--as", "safetensors", "-q", capture_output=True).stderr == b""


@pytest.mark.parametrize(
    ("argv", "sent", "complaint"),
    [
        (["import", "-", "{}/out"], b"", "stdin: file: expected a safetensors or .npz file, got an empty file"),
        (["import", "-", "{}/out", "--as", "npz"], b"x", "stdin: .npz archive: expected a whole zip archive"),
        (["plan", "{source}", "--config", "-"], b"{", "stdin: not JSON: "),
        (["plan", "{source}", "--layout", "-"], b"x", "stdin: not TOML: "),
    ],
    ids=["safetensors", "npz", "config", "layout"],
)
def test_what_is_wrong_with_stdin_is_said_of_stdin(
    bert: str, tmp_path: Path, argv: list[str], sent: bytes, complaint: str
) -> None:
    words = [word.format(tmp_path, source=bert) for word in argv]
    failed = run(*words, input=sent, capture_output=True)
    (line,) = failed.stderr.decode().splitlines()
    assert failed.returncode == 1
    assert line.startswith(f"tfckpt {argv[0]}: {complaint}")


# --- names of layouts


def test_names_are_chosen_by_a_layout(bert: str, tmp_path: Path) -> None:
    tfckpt.convert(bert, tmp_path / "encoder", sync=False)
    shutil.copy(Path(bert).parent / "bert_config.json", tmp_path)
    with tfckpt.open(bert) as checkpoint:
        found = load_file(export(tmp_path / "encoder", tmp_path, "safetensors", to="tf1"))
        assert len(found) == 39
        assert all(value.tobytes() == checkpoint[name].tobytes() for name, value in found.items())
        found = dict(np.load(export(bert, tmp_path, "npz", to="keras", num_heads=2)))
        assert found["bert_model/word_embeddings/embeddings"].shape == (30, 8)


def test_a_layout_that_transposes_does_and_what_it_fills_is_there(bert: str, tmp_path: Path) -> None:
    found = dict(np.load(export(bert, tmp_path, "npz", to="pretrainer", vocab_size=32)))
    tfckpt.convert(bert, tmp_path / "made", to="pretrainer", vocab_size=32, sync=False)
    with tfckpt.open(tmp_path / "made") as expected:
        assert found.keys() == set(expected) - {"_CHECKPOINTABLE_OBJECT_GRAPH"}
        assert all(found[name].tobytes() == expected[name].tobytes() for name in found)


@pytest.mark.parametrize("kind", KINDS)
def test_tf1_names_come_in_as_a_checkpoint_for_tensorflow_2(bert: str, tmp_path: Path, kind: str) -> None:
    path = export(bert, tmp_path, kind)
    shutil.copy(Path(bert).parent / "bert_config.json", tmp_path)
    options: dict[str, Any] = {"to": "pretrainer", "slots": "convert", "keep_names": True, "vocab_size": None}
    plan = tfckpt.import_(path, tmp_path / "a", config=tmp_path / "bert_config.json", sync=False, **options)
    expected = tfckpt.convert(bert, tmp_path / "b", sync=False, **options)
    assert plan.steps == expected.steps
    assert bundle_bytes(tmp_path / "a") == bundle_bytes(tmp_path / "b")


def test_sizes_change_on_the_way_in(bert: str, tmp_path: Path) -> None:
    path = export(bert, tmp_path, "npz")
    config = Path(bert).parent / "bert_config.json"
    tfckpt.import_(path, tmp_path / "a", to="encoder", vocab_size=40, config=config, sync=False)
    tfckpt.convert(bert, tmp_path / "b", vocab_size=40, sync=False)
    assert bundle_bytes(tmp_path / "a") == bundle_bytes(tmp_path / "b")


def test_options_that_would_mean_nothing_are_refused(bert: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="only exclude has a meaning"):
        export(bert, tmp_path, "npz", num_heads=2)
    export(bert, tmp_path, "npz")
    with pytest.raises(UsageError, match="needs its tensors by their keys"):
        tfckpt.import_(tmp_path / "out.npz", tmp_path / "x", to="encoder", num_heads=2, rename=[("a", "b")])


def test_edits_come_after_a_layout(bert: str, tmp_path: Path) -> None:
    tfckpt.convert(bert, tmp_path / "encoder", sync=False)
    shutil.copy(Path(bert).parent / "bert_config.json", tmp_path)
    options: dict[str, Any] = {
        "to": "tf1",
        "drop": ["*_pooler_layer*", "*/layer_with_weights-6/*"],
        "rename": [("^bert/", "b.")],
    }
    found = load_file(export(tmp_path / "encoder", tmp_path, "safetensors", **options))
    assert len(found) == 37
    assert all(name.startswith("b.") for name in found)
    with pytest.raises(PlanError, match="would all be called 'x'"):
        export(tmp_path / "encoder", tmp_path, "npz", to="tf1", rename=[("^.*$", "x")])


# --- the command


def test_the_command_reports_every_tensor(tmp_path: Path, capsys: Captured) -> None:
    source, dest = source_of(tmp_path, {"a": 1, "b/c": [1.0, 2.0]}), str(tmp_path / "o.npz")
    assert succeed(capsys, "export", source, dest, "--drop", "a", "--dry-run") == [
        "b/c\t[2]\tb/c",
        "a\tdropped\tpattern 'a'",
        f"{source}: 1 variable, 16 bytes",
        "dropped: 1 (pattern 'a'): 1 model",
        "dry run: nothing was written",
    ]
    assert not os.path.exists(dest)
    assert succeed(capsys, "export", source, dest)[-1] == f"written: {dest}"
    report = succeed_json(capsys, "import", dest, str(tmp_path / "back"))
    assert (report["destination"], report["written"]["mode"], len(report["steps"])) == (
        str(tmp_path / "back"),
        "copy",
        2,
    )
    assert fail(capsys, "export", source, dest) == [
        f"{dest}: already exists; choose another name, or give --overwrite to replace it"
    ]
    assert fail(capsys, "export", source, str(tmp_path / "x.bin"))[0].startswith(
        f"{tmp_path}/x.bin: cannot tell what to write"
    )


def test_a_terminal_gets_no_file_and_a_missing_source_is_named(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = source_of(tmp_path, {"a": 1})
    monkeypatch.setattr(sys.__stdout__, "isatty", lambda: True, raising=False)
    assert fail(capsys, "export", source, "-", "--as", "npz") == ["-: stdout is a terminal, and the file is not text"]
    assert fail(capsys, "import", str(tmp_path / "none"), str(tmp_path / "x")) == [
        f"{tmp_path}/none: no file to import, and no directory"
    ]


# --- memory

# ru_maxrss would begin with the peak of the process that starts this one.
MEASURE = """
import re, tfckpt
{}
print(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
"""


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", KINDS)
def test_memory_does_not_grow_with_a_checkpoint(tmp_path: Path, kind: str) -> None:
    source, most = str(tmp_path / "m"), 120 << 10  # KiB
    with BundleWriter(source, sync=False) as writer:
        for n in range(3):
            writer.carry(f"w{n}", DT_FLOAT, (1 << 24,), (bytes(1 << 20) for _ in range(64)), 1 << 26, None)
        writer.finish()
    path = os.path.join(tmp_path, KINDS[kind])
    for call in (
        f"tfckpt.export({source!r}, {path!r}, sync=False)",
        f"tfckpt.import_({path!r}, {source!r}, sync=False, overwrite=True)",
    ):
        command = [sys.executable, "-c", MEASURE.format(call)]
        peak = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        assert peak <= most, call


def test_the_library_agrees_with_itself() -> None:
    """What the comparisons above rest on: it writes equal tensors to equal bytes."""
    assert save({"w": np.ones(3)}) == save({"w": np.ones(3)})
