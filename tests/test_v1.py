from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
from support.files import bundle_bytes
from support.v1 import Rows, SnappyBuilder, read_rows, to_rows, write_rows

import tfckpt
from tfckpt._proto import types_pb2
from tfckpt._proto.saved_tensor_slices_pb2 import SavedTensorSlices
from tfckpt.base.issues import leave_out
from tfckpt.bundle.v1.values import FIELDS
from tfckpt.bundle.values.dtypes import numpy_dtype
from tfckpt.bundle.values.slices import TensorSlice
from tfckpt.checkpoint.find.state_file import CheckpointState, write_state
from tfckpt.cli.main import main
from tfckpt.errors import (
    CheckpointNotFoundError,
    ChecksumError,
    FormatError,
    TensorNotFoundError,
    UnsupportedError,
    UsageError,
)

pytestmark = pytest.mark.exhaustive

V1 = Path(__file__).parent / "data" / "v1"
ORACLES = ("saver", "shards", "slices")
W = np.arange(6, dtype=np.float32).reshape(2, 3)

Array = npt.NDArray[Any]


def expected(oracle: str) -> dict[str, Array]:
    """Return what TensorFlow held when it wrote an oracle; its strings come as NumPy's."""
    with np.load(V1 / "vars.npz") as arrays:
        keys = [key for key in arrays.files if key.startswith(f"{oracle}:")]
        values = {key.partition(":")[2]: arrays[key] for key in keys}
    return {name: value.astype(object) if value.dtype.kind == "S" else value for name, value in values.items()}


def bits(array: Array) -> object:
    """Return what makes two arrays equal: dtype, shape, every bit."""
    return array.dtype, array.shape, array.tolist() if array.dtype.hasobject else array.tobytes()


def assert_holds(path: str | Path, values: dict[str, Array]) -> None:
    with tfckpt.open(path) as checkpoint:
        assert list(checkpoint) == sorted(values)
        for name, value in values.items():
            assert bits(checkpoint[name]) == bits(value), name
        checkpoint.verify()


def changed(tmp_path: Path, change: Callable[[SavedTensorSlices], object], rows: Rows | None = None) -> Path:
    """Write a checkpoint of one matrix, "w", after a change of its meta."""
    rows = to_rows({"w": W}) if rows is None else rows
    message = SavedTensorSlices.FromString(rows[b""])
    change(message)
    write_rows(tmp_path / "v1", rows | {b"": message.SerializeToString()})
    return tmp_path / "v1"


def changed_value(tmp_path: Path, change: Callable[[SavedTensorSlices], object]) -> Path:
    """Write a checkpoint of one matrix, "w", after a change of the message that holds its values."""
    rows = to_rows({"w": W})
    key = TensorSlice(((0, -1), (0, -1))).key(b"w")
    message = SavedTensorSlices.FromString(rows[key])
    change(message)
    write_rows(tmp_path / "v1", rows | {key: message.SerializeToString()})
    return tmp_path / "v1"


# What TensorFlow wrote


@pytest.mark.parametrize("oracle", ORACLES)
def test_values_are_those_that_tensorflow_wrote(oracle: str) -> None:
    assert_holds(V1 / oracle, expected(oracle))


def test_entries_say_what_the_meta_says() -> None:
    with tfckpt.open(V1 / "slices") as checkpoint:
        entries = {entry.name: entry for entry in checkpoint.entries()}
        assert {e.dtype_name for e in entries.values()} == {
            *("bool", "float16", "float32", "float64", "complex64", "complex128", "int8", "int16", "int32", "int64"),
            *("uint8", "uint16", "qint8", "qint32", "quint8", "string"),
        }
        assert (entries["boxes/qint8"].shape, entries["boxes/qint8"].nbytes) == ((4, 6), 24)
        assert len(entries["boxes/qint8"].slices) == 3
        assert (entries["string/2x2"].nbytes, entries["string/2x2"].slices) == (0, ())
        assert (checkpoint.format, checkpoint.num_shards) == ("v1", 1)
        assert checkpoint.object_graph is None


def test_shards_are_one_checkpoint() -> None:
    with tfckpt.open(V1 / "shards") as checkpoint:
        assert checkpoint.num_shards == 2
        assert {e.name: e.shard for e in checkpoint.entries()} == {
            "global_step": 0,
            "layer/matrix": 1,
            "parts": 0,
            "words": 0,
        }


def test_arrays_that_are_read_may_be_changed() -> None:
    with tfckpt.open(V1 / "saver") as checkpoint:
        checkpoint["layer/matrix"][:] = 0
        assert bits(checkpoint["layer/matrix"]) == bits(expected("saver")["layer/matrix"])


@pytest.mark.parametrize("oracle", ORACLES)
def test_a_part_of_a_tensor_equals_that_part_of_the_whole(oracle: str) -> None:
    with tfckpt.open(V1 / oracle) as checkpoint:
        for name, value in expected(oracle).items():
            part = checkpoint.get_slice(name)
            assert bits(part[...]) == bits(value)
            for index in ((slice(1, None),), (-1,), (slice(None), slice(1, 3))):
                if len(index) <= value.ndim and value.size:
                    assert bits(part[index]) == bits(value[(*index, ...)]), (name, index)


@pytest.mark.parametrize("source_format", ["v1", "v2"])
def test_one_string_is_an_array_too(tmp_path: Path, source_format: str) -> None:
    tensors = {"scalar": np.array(b"one", object), "list": np.array([b"one", b"two"], object)}
    tfckpt.save(tmp_path / "model", tensors)
    write_rows(tmp_path / "model", to_rows(tensors))
    with tfckpt.open(tmp_path / "model", format=source_format) as checkpoint:
        assert (
            bits(checkpoint.get_slice("scalar")[...])
            == bits(checkpoint.get_slice("list")[0])
            == bits(tensors["scalar"])
        )


def test_a_missing_name_is_told_the_nearest() -> None:
    with tfckpt.open(V1 / "saver") as checkpoint, pytest.raises(TensorNotFoundError, match="did you mean 'parts'"):
        checkpoint["part"]


def test_a_copy_keeps_dtypes(tmp_path: Path) -> None:
    with tfckpt.open(V1 / "slices") as checkpoint:
        tfckpt.save(tmp_path / "v2", checkpoint)
        with tfckpt.open(tmp_path / "v2") as copy:
            assert [(e.name, e.data_type) for e in copy.entries()] == [
                (e.name, e.data_type) for e in checkpoint.entries()
            ]
    assert_holds(tmp_path / "v2", expected("slices"))


# What no TensorFlow at hand writes


def test_files_of_2016_have_no_versions(tmp_path: Path) -> None:
    path = changed(tmp_path, lambda m: m.meta.ClearField("versions"), read_rows(V1 / "slices"))
    assert_holds(path, expected("slices"))


@pytest.mark.parametrize("oracle", ["saver", "slices"])
def test_compressed_blocks_are_read(tmp_path: Path, oracle: str) -> None:
    rows = read_rows(V1 / oracle)
    write_rows(tmp_path / "v1", rows, SnappyBuilder)
    assert (tmp_path / "v1").read_bytes() != (V1 / oracle).read_bytes()
    assert_holds(tmp_path / "v1", expected(oracle))


@pytest.mark.parametrize("data_type", FIELDS, ids=types_pb2.DataType.Name)
def test_every_dtype_that_the_format_can_hold(tmp_path: Path, data_type: types_pb2.DataType) -> None:
    dtype = numpy_dtype(data_type)
    values = {f"t{len(shape)}": np.arange(np.prod(shape)).reshape(shape) for shape in ((), (0, 3), (4, 5))}
    tensors = {name: value.astype(bytes if dtype.hasobject else dtype).astype(dtype) for name, value in values.items()}
    write_rows(tmp_path / "v1", to_rows(tensors, data_types=dict.fromkeys(tensors, data_type)))
    assert_holds(tmp_path / "v1", tensors)
    with tfckpt.open(tmp_path / "v1") as checkpoint:
        assert {entry.data_type for entry in checkpoint.entries()} == {data_type}


def test_bfloat16_is_kept_by_its_bits(tmp_path: Path) -> None:
    values = {"w": np.array([0x7F81, 0xFFC0, 0x8000], np.uint16).view(ml_dtypes.bfloat16)}
    write_rows(tmp_path / "v1", to_rows(values))
    assert_holds(tmp_path / "v1", values)


def test_fields_need_not_be_packed(tmp_path: Path) -> None:
    rows = to_rows({"w": W, "n": np.array([-1, 300])})
    for name, rank, unpacked in (
        (b"w", 2, b"".join(b"\x2d" + value.tobytes() for value in W.ravel())),
        (b"n", 1, b"\x50" + b"\xff" * 9 + b"\x01" + b"\x50\xac\x02"),
    ):
        key = TensorSlice(((0, -1),) * rank).key(name)
        message = SavedTensorSlices.FromString(rows[key])
        message.data.ClearField("data")
        data = message.data.SerializeToString() + b"\x1a" + bytes([len(unpacked)]) + unpacked
        rows[key] = b"\x12" + bytes([len(data)]) + data
    write_rows(tmp_path / "v1", rows)
    assert_holds(tmp_path / "v1", {"w": W, "n": np.array([-1, 300])})


def test_any_bytes_are_a_name(tmp_path: Path) -> None:
    values = dict.fromkeys(("a\0b", "\udcff", "a", "é"), W)
    write_rows(tmp_path / "v1", to_rows(values))
    with tfckpt.open(tmp_path / "v1") as checkpoint:
        assert list(checkpoint) == ["a", "a\0b", "é", "\udcff"]
        assert all(bits(value) == bits(W) for value in checkpoint.values())


def test_a_large_tensor_is_one_block(tmp_path: Path) -> None:
    values: dict[str, Array] = {
        "a": np.arange(3, dtype=np.int32),
        "b": np.arange(2**18, dtype=np.float64),
        "c": np.array([True]),
    }
    write_rows(tmp_path / "v1", to_rows(values), block_size=2**18)
    assert_holds(tmp_path / "v1", values)


# Paths


@pytest.mark.parametrize("name", ["shards", "shards-00000-of-00002", "shards-00001-of-00002", "shards-?????-of-00002"])
def test_every_name_of_shards_means_all_of_them(name: str) -> None:
    with tfckpt.open(V1 / name) as checkpoint:
        assert checkpoint.prefix == str(V1 / "shards-?????-of-00002")
        assert len(checkpoint) == 4


def test_a_prefix_that_was_reported_opens_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(V1)
    for name in ORACLES:
        with tfckpt.open(name) as checkpoint, tfckpt.open(checkpoint.prefix) as again:
            assert again.prefix == checkpoint.prefix


def test_a_state_file_names_shards_by_their_pattern() -> None:
    assert tfckpt.latest_checkpoint(V1) == str(V1 / "shards-?????-of-00002")
    with tfckpt.open(V1) as checkpoint:
        assert checkpoint.prefix == str(V1 / "shards-?????-of-00002")


def test_a_state_file_names_a_single_file(tmp_path: Path) -> None:
    for name in ("model-1", "model-2"):
        shutil.copy(V1 / "saver", tmp_path / name)
    write_state(str(tmp_path), CheckpointState("model-2"))
    assert tfckpt.latest_checkpoint(tmp_path) == tfckpt.open(tmp_path).prefix == str(tmp_path / "model-2")
    (tmp_path / "checkpoint").unlink()
    with pytest.raises(CheckpointNotFoundError, match="2 checkpoints: name one of model-1, model-2"):
        tfckpt.open(tmp_path)


def test_the_only_checkpoint_of_a_directory_needs_no_state_file(tmp_path: Path) -> None:
    shutil.copy(V1 / "saver", tmp_path / "model")
    (tmp_path / "notes.txt").write_text("not a table" * 10, encoding="utf-8")
    (tmp_path / "old.index.tempstate42").write_bytes((V1 / "saver").read_bytes())
    assert tfckpt.open(tmp_path).prefix == str(tmp_path / "model")


def test_a_v2_checkpoint_of_the_same_prefix_wins(tmp_path: Path) -> None:
    shutil.copy(V1 / "saver", tmp_path / "model")
    tfckpt.save(tmp_path / "model", {"new": 1})
    for path in (tmp_path, tmp_path / "model"):
        for source_format, names in ((None, ["new"]), ("v2", ["new"]), ("v1", sorted(expected("saver")))):
            with tfckpt.open(path, format=source_format) as checkpoint:
                assert (checkpoint.prefix, list(checkpoint)) == (str(tmp_path / "model"), names)


def test_asking_for_a_format_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "model", {"w": 1})
    with pytest.raises(CheckpointNotFoundError, match=r"model: no V1 checkpoint: no file .*; it is a V2 checkpoint$"):
        tfckpt.open(tmp_path / "model", format="v1")
    with pytest.raises(
        CheckpointNotFoundError, match=r"no V1 checkpoint in this directory; it has V2: model$"
    ) as caught:
        tfckpt.open(tmp_path, format="v1")
    assert caught.value.remedies == (leave_out("source_format"),)
    with pytest.raises(CheckpointNotFoundError, match=r"saver: no checkpoint: no file .*saver\.index; "):
        tfckpt.open(V1 / "saver", format="v2")
    with pytest.raises(CheckpointNotFoundError, match=r"no V2 checkpoint in this directory; it has V1: saver, "):
        tfckpt.open(V1, format="v2")
    with pytest.raises(UsageError, match="expected one of v1, v2, got 'V1'"):
        tfckpt.open(V1 / "saver", format="V1")


@pytest.mark.parametrize("source_format", ["v1", "v2"])
def test_a_format_of_what_is_not_there_at_all(tmp_path: Path, source_format: str) -> None:
    with pytest.raises(CheckpointNotFoundError, match=r"nothing: no (V1 )?checkpoint: no file "):
        tfckpt.open(tmp_path / "nothing", format=source_format)


def test_a_file_that_is_no_table_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(bytes(100))
    with pytest.raises(
        CheckpointNotFoundError, match="model itself does not end like a V1 checkpoint: it is truncated"
    ):
        tfckpt.open(tmp_path / "model")


def test_missing_shards_are_named(tmp_path: Path) -> None:
    for shard in (0, 2):
        shutil.copy(V1 / "shards-00000-of-00002", tmp_path / f"m-{shard:05d}-of-00009")
    with pytest.raises(CheckpointNotFoundError) as caught:
        tfckpt.open(tmp_path / "m-00000-of-00009")
    missing = ", ".join(f"{tmp_path}/m-{shard:05d}-of-00009" for shard in (1, 3, 4, 5, 6))
    pattern = tmp_path / "m-?????-of-00009"
    assert str(caught.value) == f"{pattern}: a V1 checkpoint of which files are missing: {missing} and 2 more"
    with pytest.raises(CheckpointNotFoundError, match="files are missing"):
        tfckpt.open(tmp_path)


def test_two_sets_of_shards_under_one_prefix(tmp_path: Path) -> None:
    for count in (1, 2):
        shutil.copy(V1 / "saver", tmp_path / f"m-00000-of-{count:05d}")
    with pytest.raises(
        CheckpointNotFoundError, match=r"several sets of shards: name one of m-.*-of-00001, m-.*-of-00002"
    ):
        tfckpt.open(tmp_path / "m")
    assert tfckpt.open(tmp_path / "m-?????-of-00001").num_shards == 1


def test_data_files_of_a_v2_checkpoint_are_no_shards(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "model", {"w": 1})
    (tmp_path / "model.index").unlink()
    for name in ("model.data", "model.data-00000-of-00001"):
        with pytest.raises(CheckpointNotFoundError, match="no checkpoint: no file"):
            tfckpt.open(tmp_path / name)


# Conversion, commands, drop-ins


@pytest.fixture
def bert_v1(bert: str, tmp_path: Path) -> Path:
    """A V1 copy of the BERT, its configuration beside it."""
    with tfckpt.open(bert) as checkpoint:
        write_rows(tmp_path / "bert_v1", to_rows(dict(checkpoint)), block_size=2**18)
    shutil.copy(Path(bert).parent / "bert_config.json", tmp_path)
    return tmp_path / "bert_v1"


@pytest.mark.parametrize("to", ["encoder", "keras"])
def test_a_v1_bert_converts_to_the_same_bytes(bert: str, bert_v1: Path, tmp_path: Path, to: str) -> None:
    plans = [tfckpt.convert(source, tmp_path / "out" / str(i), to=to) for i, source in enumerate((bert, str(bert_v1)))]
    assert plans[0].steps == plans[1].steps == tfckpt.plan(bert_v1, to=to).steps
    assert bundle_bytes(tmp_path / "out" / "0") == bundle_bytes(tmp_path / "out" / "1")


def test_shards_and_slices_convert_to_the_same_values(bert: str, tmp_path: Path) -> None:
    words = "bert/embeddings/word_embeddings"
    with tfckpt.open(bert) as checkpoint:
        tensors = dict(checkpoint)
    halves = [TensorSlice(((0, 20), (0, -1))), TensorSlice(((20, 10), (0, -1)))]
    names = sorted(tensors)
    for shard in (0, 1):
        part = {name: tensors[name] for name in names[shard::2]} | {words: tensors[words]}
        write_rows(tmp_path / f"m-{shard:05d}-of-00002", to_rows(part, slices={words: [halves[shard]]}))
    tfckpt.convert(bert, tmp_path / "whole", to="keras", num_heads=2)
    tfckpt.convert(tmp_path / "m", tmp_path / "parts", to="keras", num_heads=2)
    assert bundle_bytes(tmp_path / "parts") == bundle_bytes(tmp_path / "whole")


def test_a_v1_checkpoint_converts_beside_a_v2_one(bert: str, bert_v1: Path, tmp_path: Path) -> None:
    tfckpt.save(bert_v1, {"old": 1})
    before = bert_v1.read_bytes()
    tfckpt.convert(bert_v1, bert_v1, source_format="v1", overwrite=True)
    tfckpt.convert(bert, tmp_path / "whole")
    assert bundle_bytes(bert_v1) == bundle_bytes(tmp_path / "whole")
    assert bert_v1.read_bytes() == before


def test_a_v1_checkpoint_is_rewritten_and_merged_as_v2(tmp_path: Path) -> None:
    values = expected("slices")
    tfckpt.rewrite(V1 / "slices", tmp_path / "all")
    assert_holds(tmp_path / "all", values)
    tfckpt.rewrite(V1 / "shards", tmp_path / "some", keep=["parts"], rename=[("parts", "whole")], max_shard_size=64)
    assert_holds(tmp_path / "some", {"whole": expected("shards")["parts"]})
    tfckpt.merge([V1 / "slices", V1 / "saver", tmp_path / "some"], tmp_path / "merged")
    assert_holds(tmp_path / "merged", values | expected("saver") | {"whole": expected("shards")["parts"]})


def test_every_command_takes_a_v1_checkpoint(bert_v1: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tfckpt.save(bert_v1, {"new": 1})
    for command, key in (("ls", None), ("verify", "tensors"), ("plan", "steps")):
        assert main([command, str(bert_v1), "--format", "v1", "--json"]) == 0
        answer = json.loads(capsys.readouterr().out)
        assert (answer if key is None else answer[key]) not in ([], 1)
    assert main(["ls", str(bert_v1), "bert/pooler/dense/bias", "--format", "v1"]) == 0
    assert capsys.readouterr().out == ("bert/pooler/dense/bias\tfloat32\t[8]\t32\n")
    assert main(["convert", str(bert_v1), f"{bert_v1}-out", "--format", "v1"]) == 0
    with tfckpt.open(f"{bert_v1}-out") as checkpoint:
        assert len(checkpoint) == 40


def test_verify_names_each_damaged_tensor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = to_rows({"a": W, "b": W, "c": W})
    whole = TensorSlice(((0, -1), (0, -1)))
    rows[whole.key(b"a")], rows[whole.key(b"c")] = b"\x12\x00", rows[whole.key(b"b")]
    write_rows(tmp_path / "v1", rows)
    assert main(["verify", str(tmp_path / "v1")]) == 1
    *lines, advice = capsys.readouterr().err.splitlines()
    assert advice == f"tfckpt verify: next: tfckpt salvage {tmp_path}/v1 {tmp_path}/v1.salvaged"
    assert [line.partition("v1: ")[2].partition(",")[0] for line in lines] == [
        "name of slice [0:2",
        "name of slice [0:2",
    ]
    assert "expected 'c', got 'b'" in lines[1]


def test_the_drop_ins_take_v1() -> None:
    assert tfckpt.list_variables(V1)[0] == ("global_step", [])
    assert tfckpt.load_variable(V1 / "saver", "global_step:0") == 2**40
    reader = tfckpt.load_checkpoint(str(V1 / "shards-?????-of-00002"))
    assert reader.get_variable_to_dtype_map()["words"] == np.dtype(object)
    assert reader.get_tensor("parts").shape == (7, 4)


# Bad input


META = {
    "message": (lambda _: b"\xff\xff", r"message, in the block at byte 0: expected SavedTensorSlices, got ff ff"),
    "header": (lambda _: bytes.fromhex("1200"), r"header.* expected a SavedTensorSliceMeta.* V2 checkpoint"),
    "nothing": (lambda _: b"", r"header, in the block at byte 0: expected a SavedTensorSliceMeta, got nothing"),
}


@pytest.mark.parametrize(("value", "message"), META.values(), ids=META)
def test_an_unreadable_list_of_tensors_is_an_error(
    tmp_path: Path, value: Callable[[bytes], bytes], message: str
) -> None:
    rows = to_rows({"w": W})
    write_rows(tmp_path / "v1", rows | {b"": value(rows[b""])})
    with pytest.raises(FormatError, match=f"v1: {message}"):
        tfckpt.open(tmp_path / "v1")


def test_a_table_without_a_list_of_tensors_is_an_error(tmp_path: Path) -> None:
    rows = to_rows({"w": W})
    del rows[b""]
    write_rows(tmp_path / "v1", rows)
    with pytest.raises(FormatError, match="v1: header: expected a V1 checkpoint's list of tensors under the empty key"):
        tfckpt.open(tmp_path / "v1")


def _row(m: SavedTensorSlices) -> Any:
    return m.meta.tensor[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: setattr(_row(m), "type", 99), "dtype of tensor 'w', in the block at byte 0: expected .*, got 99"),
        (lambda m: setattr(_row(m), "type", types_pb2.DT_VARIANT), "dtype of tensor 'w', .* got 21"),
        (lambda m: setattr(_row(m).shape.dim[1], "size", -3), r"shape of tensor 'w', .*, got \[2, -3\]"),
        (lambda m: setattr(_row(m).shape, "unknown_rank", True), "shape of tensor 'w', .*, got unknown rank"),
        (lambda m: setattr(m.meta.versions, "producer", -1), "producer in V1 checkpoint header, .*, got -1"),
        (
            lambda m: m.meta.tensor.add(name=b"w", type=types_pb2.DT_HALF).shape.SetInParent(),
            r"dtype and shape of tensor 'w', .* expected float32\[2, 3\], as in .*/v1, got float16\[\]",
        ),
    ],
    ids=["dtype", "variant", "negative", "rank", "producer", "twice"],
)
def test_a_list_of_tensors_that_makes_no_sense_is_an_error(
    tmp_path: Path, change: Callable[[SavedTensorSlices], object], message: str
) -> None:
    with pytest.raises(FormatError, match=f"v1: {message}"):
        tfckpt.open(changed(tmp_path, change))


@pytest.mark.parametrize("field", ["min_consumer", "bad_consumers"])
def test_a_file_that_demands_another_version_is_refused(tmp_path: Path, field: str) -> None:
    def refuse(m: SavedTensorSlices) -> None:
        m.meta.versions.min_consumer = 2 if field == "min_consumer" else 0
        m.meta.versions.bad_consumers.extend([1] if field == "bad_consumers" else [])

    with pytest.raises(UnsupportedError, match=r"/v1: V1 checkpoint version: the writer \(producer 1\) demands"):
        tfckpt.open(changed(tmp_path, refuse))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: _row(m).ClearField("slice"), "slices of tensor 'w': expected each of 6 elements once, got 0 el"),
        (lambda m: _row(m).slice.add().CopyFrom(_row(m).slice[0]), r"got \[0:2, 0:3\] and \[0:2, 0:3\]"),
        (
            lambda m: _row(m).slice[0].extent.pop(),
            "slice rank of tensor 'w', in the block at byte 0: expected 2, got 1",
        ),
        (
            lambda m: setattr(_row(m).slice[0].extent[0], "length", 3),
            "slice range of tensor 'w', .*, got start 0, length 3",
        ),
        (lambda m: setattr(_row(m).slice[0].extent[0], "length", 1), r"each of 6 elements once, got 3 elements"),
        (
            lambda m: setattr(_row(m).slice[0].extent[0], "length", 2),
            r"values of slice \[0:2, 0:3\] of tensor 'w': .* got none",
        ),
        (
            lambda m: setattr(_row(m), "name", b"v"),
            r"values of slice \[0:2, 0:3\] of tensor 'v': expected an entry under",
        ),
        (
            lambda m: setattr(_row(m).shape.dim[0], "size", 2**40),
            r"number of values of slice .* in the block at byte \d+",
        ),
        (lambda m: setattr(_row(m), "type", types_pb2.DT_INT32), "number of values .* expected 6 in int_val, got 0"),
    ],
    ids=["no slice", "twice", "rank", "outside", "gap", "missing", "no value", "huge", "other field"],
)
def test_a_tensor_whose_slices_make_no_sense(
    tmp_path: Path, change: Callable[[SavedTensorSlices], object], message: str
) -> None:
    with tfckpt.open(changed(tmp_path, change)) as checkpoint:
        (name,) = checkpoint
        for read in (checkpoint.__getitem__, checkpoint.verify):
            with pytest.raises(FormatError, match=f"v1: .*{message}"):
                read(name)


def test_slices_that_claim_more_than_memory_holds_are_not_believed(tmp_path: Path) -> None:
    def claim(m: SavedTensorSlices) -> None:
        _row(m).shape.dim[0].size = 2**42
        _row(m).slice[0].extent[0].length = 2
        _row(m).slice.add().extent.extend(_row(m).slice[0].extent)
        _row(m).slice[1].extent[0].start, _row(m).slice[1].extent[0].length = 2, 2**42 - 2

    halves = [TensorSlice(((0, 2), (0, -1)))]
    path = changed(tmp_path, claim, to_rows({"w": W}, slices={"w": halves}))
    with tfckpt.open(path) as checkpoint, pytest.raises(FormatError, match="an entry under"):
        checkpoint["w"]


def test_a_shape_that_numpy_refuses_is_an_error(tmp_path: Path) -> None:
    def deepen(m: SavedTensorSlices) -> None:
        for _ in range(70):
            _row(m).shape.dim.add(size=1)
            _row(m).slice[0].extent.add()

    def key(rank: int) -> bytes:
        return TensorSlice(((0, -1),) * rank).key(b"w")

    rows = to_rows({"w": W})
    value = SavedTensorSlices.FromString(rows[key(2)])
    for _ in range(70):
        value.data.slice.extent.add()
    path = changed(tmp_path, deepen, rows | {key(72): value.SerializeToString()})
    with tfckpt.open(path) as checkpoint, pytest.raises(UnsupportedError, match="'w' cannot be a NumPy array"):
        checkpoint["w"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.data.data.float_val.pop(), "number of values{}: expected 6 in float_val, got 5"),
        (lambda m: m.data.data.float_val.append(1), "number of values{}: expected 6 in float_val, got 7"),
        (lambda m: setattr(m.data, "name", b"v"), "name{}: expected 'w', got 'v'"),
        (lambda m: m.data.slice.extent.pop(), r"extents{}: expected \[\(0, -1\), \(0, -1\)\], got \[\(0, -1\)\]"),
        (lambda m: m.ClearField("data"), "message{}: expected a SavedSlice, got nothing"),
    ],
    ids=["fewer", "more", "name", "slice", "no data"],
)
def test_a_value_that_makes_no_sense_is_an_error_that_says_where(
    tmp_path: Path, change: Callable[[SavedTensorSlices], object], message: str
) -> None:
    where = r" of slice \[0:2, 0:3\] of tensor 'w', in the block at byte 0"
    pattern = f"^{tmp_path}/v1: {message.format(where)}$"
    with tfckpt.open(changed_value(tmp_path, change)) as checkpoint, pytest.raises(FormatError, match=pattern):
        checkpoint["w"]


def test_a_value_that_is_no_message_is_an_error(tmp_path: Path) -> None:
    rows = to_rows({"w": W})
    rows[TensorSlice(((0, -1), (0, -1))).key(b"w")] = b"\x12\xff"
    write_rows(tmp_path / "v1", rows)
    with pytest.raises(FormatError, match=r"message of slice .* expected SavedTensorSlices, got 12 ff"):
        tfckpt.load_variable(tmp_path / "v1", "w")


@pytest.mark.parametrize(
    ("data_type", "value", "limits"),
    [
        (types_pb2.DT_INT8, 128, "-128 to 127"),
        (types_pb2.DT_UINT8, -1, "0 to 255"),
        (types_pb2.DT_INT16, -32769, "-32768 to 32767"),
        (types_pb2.DT_UINT16, 65536, "0 to 65535"),
        (types_pb2.DT_INT32, 2**31, "-2147483648 to 2147483647"),
        (types_pb2.DT_QINT8, 2**32, "-128 to 127"),
        (types_pb2.DT_QUINT8, 256, "0 to 255"),
        (types_pb2.DT_HALF, 65536, "0 to 65535"),
        (types_pb2.DT_BOOL, 2, "0 to 1"),
        (types_pb2.DT_UINT32, 2**32, "0 to 4294967295"),
    ],
)
def test_a_number_outside_its_dtype_is_not_wrapped(
    tmp_path: Path, data_type: types_pb2.DataType, value: int, limits: str
) -> None:
    rows = to_rows({"n": np.zeros(3, numpy_dtype(data_type))}, data_types={"n": data_type})
    key = TensorSlice(((0, -1),)).key(b"n")
    message = SavedTensorSlices.FromString(rows[key])
    getattr(message.data.data, FIELDS[data_type])[1] = value
    write_rows(tmp_path / "v1", rows | {key: message.SerializeToString()})
    with pytest.raises(FormatError, match=f"value 1 of slice .* of tensor 'n', .*: expected {limits}, got {value}$"):
        tfckpt.load_variable(tmp_path / "v1", "n")


def test_shards_that_disagree_are_both_named(tmp_path: Path) -> None:
    write_rows(tmp_path / "m-00000-of-00002", to_rows({"w": W}))
    write_rows(tmp_path / "m-00001-of-00002", to_rows({"w": W.T.copy()}))
    with pytest.raises(FormatError) as caught:
        tfckpt.open(tmp_path / "m")
    assert str(caught.value) == (
        f"{tmp_path}/m-00001-of-00002: dtype and shape of tensor 'w', in the block at byte 0: "
        f"expected float32[2, 3], as in {tmp_path}/m-00000-of-00002, got float32[3, 2]"
    )


def test_shards_that_hold_the_same_values_twice_are_an_error(tmp_path: Path) -> None:
    for shard in (0, 1):
        write_rows(tmp_path / f"m-0000{shard}-of-00002", to_rows({"w": W}))
    with tfckpt.open(tmp_path / "m") as checkpoint, pytest.raises(FormatError, match=r"m-.*: slices of tensor 'w'"):
        checkpoint["w"]


def test_a_block_of_an_unknown_compression_is_located(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("support.v1.SNAPPY", 7)
    write_rows(tmp_path / "v1", to_rows({"w": W}), SnappyBuilder)
    with pytest.raises(UnsupportedError, match=r"v1: block at byte \d+: block compression type 7"):
        tfckpt.open(tmp_path / "v1")


def _read_all(path: Path) -> dict[str, Array]:
    with tfckpt.open(path) as checkpoint:
        return dict(checkpoint)


@pytest.mark.parametrize("oracle", ["saver", "slices"])
def test_any_truncation_is_an_error(tmp_path: Path, oracle: str) -> None:
    data = (V1 / oracle).read_bytes()
    path = tmp_path / "cut"
    for size in range(0, len(data), 1 if oracle == "saver" else 7):
        path.write_bytes(data[:size])
        with pytest.raises(tfckpt.TfckptError, match="cut"):
            _read_all(path)


@pytest.mark.parametrize("size", [0, 1, 47, 48, 400, 630])
def test_a_truncated_shard_is_an_error(tmp_path: Path, size: int) -> None:
    for name in ("shards-00000-of-00002", "shards-00001-of-00002"):
        shutil.copy(V1 / name, tmp_path / name)
    path = tmp_path / "shards-00000-of-00002"
    path.write_bytes(path.read_bytes()[:size])
    what = "table" if size else "file: expected a file of a V1 checkpoint, got an empty file"
    with pytest.raises(FormatError, match=f"shards-00000-of-00002: {what}"):
        tfckpt.open(tmp_path / "shards")


@pytest.mark.parametrize("oracle", ["saver", "slices"])
def test_any_changed_byte_gives_the_same_values_or_an_error(tmp_path: Path, oracle: str) -> None:
    data, values = (V1 / oracle).read_bytes(), expected(oracle)
    path, damaged = tmp_path / "flipped", 0
    for at in range(0, len(data), 3):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :])
        try:
            found = _read_all(path)
        except tfckpt.TfckptError:
            damaged += 1
        else:
            assert {name: bits(value) for name, value in found.items()} == {n: bits(v) for n, v in values.items()}
    assert damaged > len(data) / 3 * 0.9


@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_messages_changed_at_any_byte_behind_good_checksums(tmp_path: Path, at: int) -> None:
    """What checksums would catch is let through, so that every check of ours has its turn."""
    rows = read_rows(V1 / "slices")
    for key in list(rows)[at::4]:
        for position in range(0, len(rows[key]), 1 + len(rows[key]) // 8):
            value = bytearray(rows[key])
            value[position] ^= 0x0F << (position % 5)
            write_rows(tmp_path / "v1", rows | {key: bytes(value)}, block_size=2**18)
            try:
                checkpoint = tfckpt.open(tmp_path / "v1")
            except tfckpt.TfckptError:
                continue
            for name in checkpoint:
                with suppress(tfckpt.TfckptError):
                    checkpoint[name]
            checkpoint.close()


def test_a_changed_byte_fails_the_checksum_of_its_block(tmp_path: Path) -> None:
    data = bytearray((V1 / "saver").read_bytes())
    data[data.index(b"\xeb\xac\xbc")] ^= 1
    (tmp_path / "v1").write_bytes(data)
    with pytest.raises(ChecksumError, match=r"v1: block checksum at byte \d+"):
        tfckpt.open(tmp_path / "v1")
