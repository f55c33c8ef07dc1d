"""Bundles that no writer of today leaves behind, but that are legal, or were met, or could be made on purpose."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from support.bundles import edited_entry, edited_rows, read_rows, write_rows
from support.files import bundle_bytes
from support.v1 import to_rows
from support.v1 import write_rows as write_v1

import tfckpt
from tfckpt._proto import types_pb2
from tfckpt._proto.saved_tensor_slices_pb2 import SavedTensorSlices
from tfckpt._proto.tensor_bundle_pb2 import BundleEntryProto, BundleHeaderProto, TensorShapeProto, VersionDef
from tfckpt.bundle.v1.values import FIELDS
from tfckpt.bundle.values.dtypes import numpy_dtype
from tfckpt.bundle.values.entry import HEADER_KEY
from tfckpt.bundle.values.ordered_code import encode_slice_key
from tfckpt.bundle.values.slices import TensorSlice
from tfckpt.bundle.writer import BundleWriter
from tfckpt.errors import CheckpointNotFoundError, ChecksumError, FormatError, UnsupportedError
from tfckpt.sstable.checksum import crc32c, mask

W = np.arange(6, dtype=np.float32).reshape(2, 3)
V = np.int64(-5)
FULL = (0, -1)


@pytest.fixture
def prefix(tmp_path: Path) -> str:
    """Prefix of a bundle of two numeric tensors and one of strings."""
    tfckpt.save(tmp_path / "m", {"w": W, "v": V, "s": ["a", "bc"]})
    return str(tmp_path / "m")


def assert_whole(prefix: str) -> None:
    """Check that everything is there, looked up one by one and all at once."""
    for name, value in (("w", W.tolist()), ("v", -5), ("s", [b"a", b"bc"])):
        with tfckpt.open(prefix) as checkpoint:
            assert checkpoint[name].tolist() == value
    with tfckpt.open(prefix) as checkpoint:
        assert list(checkpoint) == ["s", "v", "w"]
        checkpoint.verify()


@pytest.mark.parametrize(
    "options",
    [
        {"compressed": True},
        {"compressed": True, "rows_per_block": 1},
        {"rows_per_block": 1},
        {"before": b"\xdb\x47junk" * 9},
        {"between": b"?" * 70_000, "rows_per_block": 2},
    ],
    ids=["snappy", "snappy-blocks", "blocks", "junk-before", "junk-between"],
)
def test_an_index_may_be_laid_out_in_any_way(prefix: str, options: dict[str, Any]) -> None:
    rows = read_rows(prefix)
    write_rows(prefix, sorted(rows.items()), **options)
    assert_whole(prefix)


def test_a_rewrite_of_a_compressed_index_is_what_tensorflow_would_write(prefix: str, tmp_path: Path) -> None:
    before = bundle_bytes(prefix)
    write_rows(prefix, sorted(read_rows(prefix).items()), compressed=True, rows_per_block=1)
    tfckpt.rewrite(prefix, tmp_path / "out")
    assert bundle_bytes(tmp_path / "out") == before


@pytest.mark.parametrize("per_block", [1, 1000], ids=["blocks", "block"])
@pytest.mark.parametrize("order", [(0, 2, 1, 3), (0, 1, 2, 2, 3)], ids=["unsorted", "duplicate"])
def test_keys_that_do_not_ascend_are_reported(prefix: str, order: tuple[int, ...], per_block: int) -> None:
    """TensorFlow looks keys up by halving, and tells nobody of those that it loses."""
    rows = sorted(read_rows(prefix).items())
    write_rows(prefix, [rows[n] for n in order], rows_per_block=per_block)
    for use in (list, len, tfckpt.Checkpoint.verify, tfckpt.Checkpoint.entries):
        with pytest.raises(FormatError, match=r"m\.index: key order in block"), tfckpt.open(prefix) as checkpoint:
            use(checkpoint)


def test_a_missing_header_is_an_error(prefix: str) -> None:
    with edited_rows(prefix) as rows:
        del rows[HEADER_KEY]
    with pytest.raises(FormatError, match=r"m\.index: header: expected an entry under the empty key, got none"):
        tfckpt.open(prefix)


def test_an_empty_header_is_an_error(prefix: str) -> None:
    with edited_rows(prefix) as rows:
        rows[HEADER_KEY] = b""
    with pytest.raises(
        FormatError, match=r"m\.index: shard count in bundle header, in the block at byte 0: expected 1 or more, got 0"
    ):
        tfckpt.open(prefix)


@pytest.mark.parametrize(
    "header", [b"\x08\x01", b"\x08\x01\x1a\x00", b"\x08\x01\x1a\x02\x08\x07"], ids=["old", "0", "new"]
)
def test_a_header_without_version_or_with_a_newer_writer_is_read(prefix: str, header: bytes) -> None:
    with edited_rows(prefix) as rows:
        rows[HEADER_KEY] = header
    assert_whole(prefix)


@pytest.mark.parametrize(
    "version", [{"producer": 2, "min_consumer": 2}, {"producer": 2, "bad_consumers": [1]}], ids=str
)
def test_a_writer_that_refuses_us_is_told_with_the_file(prefix: str, version: dict[str, Any]) -> None:
    with edited_rows(prefix) as rows:
        rows[HEADER_KEY] = BundleHeaderProto(num_shards=1, version=VersionDef(**version)).SerializeToString()
    with pytest.raises(UnsupportedError, match=rf"^{prefix}\.index: bundle version: the writer \(producer 2\) demands"):
        tfckpt.open(prefix)


def test_the_header_says_how_many_files_there_are_not_the_directory(prefix: str, tmp_path: Path) -> None:
    for name in ("m.data-00000-of-00002", "m.data-00001-of-00002"):
        (tmp_path / name).write_bytes(b"\xff" * 100)
    assert_whole(prefix)
    with edited_rows(prefix) as rows:
        rows[HEADER_KEY] = BundleHeaderProto(num_shards=3).SerializeToString()
    with tfckpt.open(prefix) as checkpoint, pytest.raises(CheckpointNotFoundError, match=r"m\.data-00000-of-00003"):
        checkpoint["w"]


def test_a_bundle_without_tensors_is_empty(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "m", {})
    with tfckpt.open(tmp_path / "m") as checkpoint:
        assert (len(checkpoint), list(checkpoint), checkpoint.entries()) == (0, [], [])
        checkpoint.verify()
    tfckpt.rewrite(tmp_path / "m", tmp_path / "out")
    assert bundle_bytes(tmp_path / "out") == bundle_bytes(tmp_path / "m")
    assert (tmp_path / "out.data-00000-of-00001").read_bytes() == b""


BAD_ENTRIES: dict[str, tuple[Callable[[BundleEntryProto], object], str]] = {
    "negative dimension": (
        lambda p: setattr(p.shape.dim[0], "size", -2),
        "shape of tensor 'w', in the block at byte 0: .* got .-2, 3.",
    ),
    "overflowing dimensions": (
        lambda p: p.shape.MergeFrom(TensorShapeProto(dim=[TensorShapeProto.Dim(size=2**62)] * 2)),
        rf"size of tensor 'w', .*, in the block at byte 0: expected {6 * 2**126:,} bytes, got 24",
    ),
    "unknown rank": (
        lambda p: setattr(p.shape, "unknown_rank", True),
        "shape of tensor 'w', in the block at byte 0: .* got unknown rank",
    ),
    "dtype 0": (lambda p: p.ClearField("dtype"), "dtype of tensor 'w', in the block at byte 0: .* got 0"),
    "dtype 77": (lambda p: p.MergeFromString(b"\x08\x4d"), "dtype of tensor 'w', in the block at byte 0: .* got 77"),
    "reference dtype": (
        lambda p: p.MergeFromString(b"\x08\x65"),
        "dtype of tensor 'w', in the block at byte 0: .* got 101",
    ),
    "negative dtype": (
        lambda p: p.MergeFromString(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        "dtype of tensor 'w', in the block at byte 0: .* got -1",
    ),
    "negative offset": (
        lambda p: setattr(p, "offset", -1),
        "place of tensor 'w', in the block at byte 0: .* offset -1",
    ),
    "negative size": (lambda p: setattr(p, "size", -1), "place of tensor 'w', in the block at byte 0: .* size -1"),
    "size of another shape": (
        lambda p: setattr(p, "size", 20),
        "size of tensor 'w', .*, in the block at byte 0: expected 24 bytes, got 20",
    ),
    "a file that there is not": (
        lambda p: setattr(p, "shard_id", 1),
        "shard of tensor 'w', in the block at byte 0: expected below 1, got 1",
    ),
}


@pytest.mark.parametrize(("change", "message"), BAD_ENTRIES.values(), ids=BAD_ENTRIES)
def test_an_entry_that_makes_no_sense_names_file_and_tensor(
    prefix: str, change: Callable[[BundleEntryProto], object], message: str
) -> None:
    """Some of these end TensorFlow's process."""
    with edited_entry(prefix, "w") as proto:
        change(proto)
    with tfckpt.open(prefix) as checkpoint:
        assert checkpoint["v"] == -5  # one tensor is looked up, and the others do not matter
        for use in (checkpoint.__getitem__, checkpoint.get_slice, checkpoint.verify, lambda _: list(checkpoint)):
            with pytest.raises(FormatError, match=rf"^{prefix}\.index: {message}"):
                use("w")


@pytest.mark.parametrize("offset", [1, 2**31, 2**62, 2**63 - 1])
def test_an_offset_beyond_the_file_is_an_error_at_that_byte(prefix: str, offset: int) -> None:
    with edited_entry(prefix, "w") as proto:
        proto.offset = 24 + offset if offset == 1 else offset
        expected = proto.offset
    with tfckpt.open(prefix) as checkpoint:
        for use in (checkpoint.__getitem__, checkpoint.verify, lambda name: checkpoint.get_slice(name)[0]):
            with pytest.raises(FormatError, match=f"tensor 'w' at byte {expected:,}: expected 24 bytes in a file of"):
                use("w")


def test_a_missing_checksum_is_a_wrong_one(prefix: str) -> None:
    with edited_entry(prefix, "w") as proto:
        proto.ClearField("crc32c")
    with tfckpt.open(prefix) as checkpoint, pytest.raises(ChecksumError, match=r"checksum of tensor 'w'.*expected 0x0"):
        checkpoint["w"]


def test_fields_of_the_future_are_ignored(prefix: str) -> None:
    with edited_rows(prefix) as rows:
        rows[b"w"] += b"\x78\x01\x82\x01\x02ab"
        rows[HEADER_KEY] += b"\x78\x01"
    assert_whole(prefix)


def test_bytes_between_and_behind_tensors_do_not_matter(prefix: str) -> None:
    data = Path(f"{prefix}.data-00000-of-00001")
    stored = data.read_bytes()
    data.write_bytes(b"gap" + stored[:24] + b"another" + stored[24:] + b"tail")
    for name, moved in (("w", 3), ("v", 10), ("s", 10)):
        with edited_entry(prefix, name) as proto:
            proto.offset += moved
    assert_whole(prefix)


def test_tensors_may_share_their_bytes(prefix: str, tmp_path: Path) -> None:
    """Two entries of one range, and a third of its middle with a checksum of its own."""
    with edited_rows(prefix) as rows:
        rows[b"alias"] = rows[b"w"]
        inner = BundleEntryProto.FromString(rows[b"w"])
        del inner.shape.dim[0]
        inner.offset, inner.size, inner.crc32c = 12, 12, mask(crc32c(W[1].tobytes()))
        rows[b"row"] = inner.SerializeToString()
    with tfckpt.open(prefix) as checkpoint:
        assert checkpoint["alias"].tolist() == W.tolist()
        assert checkpoint["row"].tolist() == W[1].tolist()
        checkpoint.verify()
        values = {name: value.tolist() for name, value in checkpoint.items()}
    tfckpt.rewrite(prefix, tmp_path / "out")
    with tfckpt.open(tmp_path / "out") as out:
        assert {name: value.tolist() for name, value in out.items()} == values
        out.verify()


def test_a_tensor_beyond_four_gibibytes_is_read(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "m", {"w": W})
    data = tmp_path / "m.data-00000-of-00001"
    far = (1 << 32) + 12
    with open(data, "r+b") as file:
        file.seek(far)
        file.write(W.tobytes())
    with edited_entry(tmp_path / "m", "w") as proto:
        proto.offset = far
    with tfckpt.open(tmp_path / "m") as checkpoint:
        assert checkpoint["w"].tolist() == W.tolist()
        assert checkpoint.get_slice("w")[1, 2] == 5
        checkpoint.verify()


def test_a_huge_shape_without_elements_is_listed_and_not_read(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "m", {"w": np.empty((0,), np.float32)})
    with edited_entry(tmp_path / "m", "w") as proto:
        proto.shape.dim.add(size=2**62)
        proto.shape.dim.add(size=2**62)
    with tfckpt.open(tmp_path / "m") as checkpoint:
        assert checkpoint.entry("w").shape == (0, 2**62, 2**62)
        checkpoint.verify()
        with pytest.raises(UnsupportedError, match="tensor 'w' cannot be a NumPy array"):
            checkpoint["w"]
    tfckpt.rewrite(tmp_path / "m", tmp_path / "out")
    assert read_rows(tmp_path / "out") == read_rows(tmp_path / "m")


@pytest.mark.parametrize("data_type", [types_pb2.DT_RESOURCE], ids=["resource"])
def test_a_resource_is_listed_and_its_values_are_refused(prefix: str, data_type: types_pb2.DataType) -> None:
    with edited_entry(prefix, "w") as proto:
        proto.dtype = data_type
    with tfckpt.open(prefix) as checkpoint:
        assert [entry.dtype_name for entry in checkpoint.entries("w")] == ["resource"]
        for use in (checkpoint.__getitem__, checkpoint.verify, lambda name: checkpoint.get_slice(name)[...]):
            with pytest.raises(UnsupportedError, match="tensor 'w': resource values have no NumPy form"):
                use("w")


def test_a_string_tensor_without_elements_may_store_nothing(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "m", {"s": np.empty((0, 2), object)})
    assert (tmp_path / "m.data-00000-of-00001").stat().st_size == 4  # TensorFlow writes a checksum
    with edited_entry(tmp_path / "m", "s") as proto:
        proto.size, proto.crc32c = 0, mask(0)
    with tfckpt.open(tmp_path / "m") as checkpoint:
        assert checkpoint["s"].shape == (0, 2)
        assert checkpoint.get_slice("s")[:, 0].shape == (0,)
        checkpoint.verify()


@pytest.mark.exhaustive
def test_a_string_of_four_gibibytes_is_read(tmp_path: Path) -> None:
    """Sizes and checksums are what TensorFlow 2.20 stored of "ab", 2**32 zeros and "cd"; the zeros are a hole here."""
    tfckpt.save(tmp_path / "m", {"s": ["ab", "", "cd"]})
    size = 1 + 5 + 1 + 4 + 2 + (1 << 32) + 2
    with open(tmp_path / "m.data-00000-of-00001", "wb") as file:
        file.write(bytes.fromhex("02 8080808010 02 979605f5") + b"ab")
        file.truncate(size)
        file.seek(size - 2)
        file.write(b"cd")
    with edited_entry(tmp_path / "m", "s") as proto:
        proto.size, proto.crc32c = size, 0xBAA8ADA6
    with tfckpt.open(tmp_path / "m") as checkpoint:
        strings = checkpoint.get_slice("s")
        assert [strings[0].item(), strings[2].item()] == [b"ab", b"cd"]
        checkpoint.verify()


def test_names_are_bytes(tmp_path: Path) -> None:
    names = ["\0leading", "a\0b", "\udcff\udcfe", "größe", "a"]
    tfckpt.save(tmp_path / "m", {name: n for n, name in enumerate(names)})
    with tfckpt.open(tmp_path / "m") as checkpoint:
        assert list(checkpoint) == ["\0leading", "a", "a\0b", "größe", "\udcff\udcfe"]
        assert [checkpoint[name].item() for name in names] == [0, 1, 2, 3, 4]
    tfckpt.rewrite(tmp_path / "m", tmp_path / "out", keep=["*a*", "\udcff*"])
    assert list(tfckpt.open(tmp_path / "out")) == ["\0leading", "a", "a\0b", "\udcff\udcfe"]


def partitioned(prefix: Path | str, parts: list[TensorSlice], value: npt.NDArray[Any] = W) -> None:
    with BundleWriter(str(prefix)) as writer:
        for part in parts:
            writer.add_slice("w", value.shape, part, value[part.within(value.shape)])
        writer.finish()


ROWS = [TensorSlice(((0, 1), FULL)), TensorSlice(((1, 1), (0, 2))), TensorSlice(((1, 1), (2, 1)))]


def test_a_slice_that_belongs_to_nobody_is_a_tensor(tmp_path: Path) -> None:
    partitioned(tmp_path / "m", ROWS)
    with edited_rows(tmp_path / "m") as rows:
        del rows[b"w"]
    orphans = [part.key(b"w").decode("utf-8", "surrogateescape") for part in ROWS]
    with tfckpt.open(tmp_path / "m") as checkpoint:
        assert list(checkpoint) == sorted(orphans, key=lambda name: name.encode("utf-8", "surrogateescape"))
        assert checkpoint[orphans[0]].tolist() == W[:1].tolist()
        checkpoint.verify()


def test_only_slices_of_a_tensor_that_is_there_are_hidden(tmp_path: Path) -> None:
    """A key of that form is a name like any other."""
    partitioned(tmp_path / "m", ROWS)
    other = encode_slice_key(b"w", [(0, 2), FULL])
    with edited_rows(tmp_path / "m") as rows:
        rows[other] = rows[ROWS[0].key(b"w")]
    with tfckpt.open(tmp_path / "m") as checkpoint:
        assert set(checkpoint) == {"w", other.decode("utf-8", "surrogateescape")}
        assert checkpoint["w"].tolist() == W.tolist()


def test_slices_may_be_listed_in_any_order(tmp_path: Path) -> None:
    partitioned(tmp_path / "m", ROWS)
    with edited_entry(tmp_path / "m", "w") as proto:
        found = list(proto.slices)
        del proto.slices[:]
        proto.slices.extend(found[::-1])
    with tfckpt.open(tmp_path / "m") as checkpoint:
        assert checkpoint["w"].tolist() == W.tolist()
        assert [part.extents[0][0] for part in checkpoint.entry("w").slices] == [1, 1, 0]
    tfckpt.rewrite(tmp_path / "m", tmp_path / "out")
    assert read_rows(tmp_path / "out") == read_rows(tmp_path / "m")


def test_a_stale_place_of_a_partitioned_tensor_does_not_matter(tmp_path: Path) -> None:
    partitioned(tmp_path / "m", ROWS)
    with edited_entry(tmp_path / "m", "w") as proto:
        proto.shard_id, proto.offset, proto.size, proto.crc32c = 9, 1 << 40, 77, 1
    with tfckpt.open(tmp_path / "m") as checkpoint:
        assert checkpoint["w"].tolist() == W.tolist()
        checkpoint.verify()


def test_explicit_full_ranges_keep_their_numbers(tmp_path: Path) -> None:
    parts = [TensorSlice(((0, 1), (0, 3))), TensorSlice(((1, 1), FULL))]
    partitioned(tmp_path / "m", parts)
    with tfckpt.open(tmp_path / "m") as checkpoint:
        assert checkpoint.entry("w").slices == tuple(parts)
        assert checkpoint["w"].tolist() == W.tolist()
    tfckpt.rewrite(tmp_path / "m", tmp_path / "out")
    assert bundle_bytes(tmp_path / "out") == bundle_bytes(tmp_path / "m")


BAD_SLICES: dict[str, tuple[Callable[[Any], object], str]] = {
    "uncovered": (
        lambda s: s.pop(),
        "slices of tensor 'w', in the block at byte 0: expected each of 6 elements once, got 5 elements",
    ),
    "twice": (
        lambda s: s.append(s[0]),
        r"slices of tensor 'w', in the block at byte 0: .* got \[0:1, 0:3\] and \[0:1, 0:3\]",
    ),
    "overlapping": (
        lambda s: s[1].extent[1].MergeFromString(b"\x10\x03"),
        r"slice \[1:2, 0:3\] of tensor 'w', in the block at byte 0: expected an entry of float32\[1, 3\], got none",
    ),
    "outside": (
        lambda s: s[1].extent[1].MergeFromString(b"\x10\x09"),
        r"slice range of tensor 'w', in the block at byte 0: expected inside \[0, 3\)",
    ),
    "of another rank": (
        lambda s: s[0].extent.add(),
        "slice rank of tensor 'w', in the block at byte 0: expected 2, got 3",
    ),
}


@pytest.mark.parametrize(("change", "message"), BAD_SLICES.values(), ids=BAD_SLICES)
def test_slices_that_make_no_sense_are_reported(tmp_path: Path, change: Callable[[Any], object], message: str) -> None:
    partitioned(tmp_path / "m", ROWS)
    with edited_entry(tmp_path / "m", "w") as proto:
        change(proto.slices)
    with tfckpt.open(tmp_path / "m") as checkpoint:
        assert checkpoint.entry("w").shape == (2, 3)
        for use in (checkpoint.__getitem__, checkpoint.verify, lambda name: checkpoint.get_slice(name)[0]):
            with pytest.raises(FormatError, match=rf"m\.index: {message}"):
                use("w")


def test_slices_that_overlap_are_reported(tmp_path: Path) -> None:
    """Entries there are, of the right shapes; but one element comes twice, and one never."""
    partitioned(tmp_path / "m", [TensorSlice((FULL, (0, 2))), TensorSlice((FULL, (2, 1)))])
    with edited_rows(tmp_path / "m") as rows:
        wrong = TensorSlice((FULL, (1, 1)))
        rows[wrong.key(b"w")] = rows.pop(TensorSlice((FULL, (2, 1))).key(b"w"))
        proto = BundleEntryProto.FromString(rows[b"w"])
        proto.slices[1].CopyFrom(wrong.to_proto())
        rows[b"w"] = proto.SerializeToString()
    with tfckpt.open(tmp_path / "m") as checkpoint, pytest.raises(FormatError, match=r"\[0:2, 0:2\] and \[0:2, 1:2\]"):
        checkpoint["w"]


@pytest.mark.parametrize("field", ["dtype", "shape"])
def test_a_slice_of_another_kind_is_reported(tmp_path: Path, field: str) -> None:
    partitioned(tmp_path / "m", ROWS)
    with edited_rows(tmp_path / "m") as rows:
        key = ROWS[0].key(b"w")
        proto = BundleEntryProto.FromString(rows[key])
        if field == "dtype":
            proto.dtype = types_pb2.DT_INT32
        else:
            proto.shape.dim[0].size, proto.shape.dim[1].size = 3, 1
        rows[key] = proto.SerializeToString()
    with (
        tfckpt.open(tmp_path / "m") as checkpoint,
        pytest.raises(FormatError, match=r"slice \[0:1, 0:3\] of tensor 'w'"),
    ):
        checkpoint["w"]


@pytest.mark.parametrize("kind", ["index", "data"])
def test_half_of_an_interrupted_save_is_told_so(prefix: str, kind: str) -> None:
    if kind == "index":
        os.unlink(f"{prefix}.data-00000-of-00001")
        with tfckpt.open(prefix) as checkpoint, pytest.raises(CheckpointNotFoundError, match="data-00000-of-00001"):
            checkpoint["w"]
    else:
        os.unlink(f"{prefix}.index")
        with pytest.raises(CheckpointNotFoundError, match=r"no file .*m\.index"):
            tfckpt.open(prefix)


def test_what_tensorflow_leaves_half_written_is_no_checkpoint(prefix: str, tmp_path: Path) -> None:
    shutil.copy(f"{prefix}.index", tmp_path / "n.index.tempstate12345")
    shutil.copy(f"{prefix}.data-00000-of-00001", tmp_path / "n.data-00000-of-00001.tempstate12345")
    assert tfckpt.open(tmp_path).prefix == prefix
    with pytest.raises(CheckpointNotFoundError):
        tfckpt.open(tmp_path / "n")


def test_a_part_of_a_sharded_save_is_a_checkpoint(prefix: str, tmp_path: Path) -> None:
    """Before it is merged, TensorFlow calls each part like a shard of a V1 checkpoint."""
    part = tmp_path / "model.ckpt_temp" / "part-00001-of-00002"
    part.parent.mkdir()
    for suffix in (".index", ".data-00000-of-00001"):
        shutil.copy(f"{prefix}{suffix}", f"{part}{suffix}")
    for typed in (str(part), f"{part}.index", f"{part}.data-00000-of-00001"):
        with tfckpt.open(typed) as checkpoint:
            assert (checkpoint.format, checkpoint.prefix) == ("v2", str(part))
    assert_whole(str(part))


def test_what_is_written_twice_is_the_same(bert: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        tfckpt.save(tmp_path / name, {"w": W, "s": ["a", "bc"], "v": V}, max_shard_size=16)
        tfckpt.convert(bert, tmp_path / f"encoder_{name}")
    assert bundle_bytes(tmp_path / "a") == bundle_bytes(tmp_path / "b")
    assert len(bundle_bytes(tmp_path / "a")) > 3
    assert bundle_bytes(tmp_path / "encoder_a") == bundle_bytes(tmp_path / "encoder_b")
    with tfckpt.open(tmp_path / "encoder_a") as checkpoint:  # as in TensorFlow, first in the index and last in the data
        in_data = sorted(checkpoint.entries(), key=lambda entry: entry.offset)
        assert checkpoint.entries()[0] == in_data[-1] == checkpoint.entry("_CHECKPOINTABLE_OBJECT_GRAPH")


def test_bundles_of_2016_and_of_today_are_merged(prefix: str, tmp_path: Path) -> None:
    """TensorFlow asks for one version; what is written is of today's, whatever was read."""
    with edited_rows(prefix) as rows:
        rows[HEADER_KEY] = b"\x08\x01"
    tfckpt.save(tmp_path / "new", {"new": 1})
    tfckpt.merge([prefix, tmp_path / "new"], tmp_path / "merged")
    assert read_rows(tmp_path / "merged")[HEADER_KEY].hex() == "08021a020801"
    with tfckpt.open(tmp_path / "merged") as merged:
        assert [merged[name].tolist() for name in ("new", "v", "w")] == [1, -5, W.tolist()]


def test_a_graph_beside_a_checkpoint_is_not_part_of_it(prefix: str, tmp_path: Path) -> None:
    (tmp_path / "m.meta").write_bytes(b"graph")
    assert_whole(prefix)
    tfckpt.save(prefix, {"new": 1}, overwrite=True)
    tfckpt.rewrite(prefix, tmp_path / "out")
    assert (tmp_path / "m.meta").read_bytes() == b"graph"
    assert not (tmp_path / "out.meta").exists()


@pytest.mark.parametrize("data_type", FIELDS, ids=types_pb2.DataType.Name)
def test_v1_slices_of_every_dtype_are_read(tmp_path: Path, data_type: types_pb2.DataType) -> None:
    """TensorFlow's Python reader returns none of these: sliced checkpoints are not supported."""
    if data_type == types_pb2.DT_STRING:
        value = np.array([[b"", b"a\0", b"b"], [b"c" * 300, b"\xff", b"d"]], object)
    else:
        natural = numpy_dtype(data_type)
        value = (np.arange(6) % (2 if natural.kind == "b" else 100)).astype(natural).reshape(2, 3)
    rows = to_rows({"w": value}, slices={"w": ROWS}, data_types={"w": data_type})
    write_v1(tmp_path / "v1", rows)
    with tfckpt.open(tmp_path / "v1") as checkpoint:
        entry = checkpoint.entry("w")
        assert (entry.data_type, entry.shape, len(entry.slices)) == (data_type, (2, 3), 3)
        assert checkpoint["w"].tolist() == value.tolist()
        assert checkpoint.get_slice("w")[1, 1:].tolist() == value[1, 1:].tolist()
    tfckpt.rewrite(tmp_path / "v1", tmp_path / "v2")
    with tfckpt.open(tmp_path / "v2") as copy:
        assert (copy.entry("w").data_type, copy["w"].tolist()) == (data_type, value.tolist())


@pytest.mark.parametrize(
    ("field", "value"), [("shape", -1), ("shape", -(2**63)), ("dtype", 0), ("dtype", 77), ("dtype", 101)]
)
def test_v1_tensors_that_make_no_sense_are_an_error(tmp_path: Path, field: str, value: int) -> None:
    rows = to_rows({"w": W})
    meta = SavedTensorSlices.FromString(rows[b""])
    if field == "shape":
        meta.meta.tensor[0].shape.dim[0].size = value
    else:
        meta.meta.tensor[0].MergeFromString(b"\x18" + bytes([value]))
    rows[b""] = meta.SerializeToString()
    write_v1(tmp_path / "v1", rows)
    with pytest.raises(FormatError, match=rf"v1: {field} of tensor 'w', in the block at byte 0: .*{value}"):
        tfckpt.open(tmp_path / "v1")
