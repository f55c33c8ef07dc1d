"""The promises of SECURITY.md, one test each: files made to do harm end in an error of ours, soon and in little memory."""

from __future__ import annotations

import os
import re
import struct
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import snappy
from support import v1
from support.bundles import edited_entry, edited_rows, write_rows
from support.patience import ends

import tfckpt
from tfckpt._proto.tensor_bundle_pb2 import BundleEntryProto
from tfckpt._proto.types_pb2 import DT_FLOAT, DT_STRING
from tfckpt.bundle.values.entry import HEADER_KEY, MAX_RANK, Entry, Header
from tfckpt.bundle.values.slices import TensorSlice, check_cover, check_disjoint
from tfckpt.bundle.values.strings import encode_strings, read_head
from tfckpt.checkpoint.find.lookup import Lookup
from tfckpt.checkpoint.graph.object_graph import Attribute, Node, ObjectGraph, SlotVariable
from tfckpt.checkpoint.graph.object_paths import key_at
from tfckpt.checkpoint.graph.object_tensors import against_restoring
from tfckpt.checkpoint.graph.outline import outline_names, outline_objects
from tfckpt.checkpoint.graph.ways import paths_of_variables
from tfckpt.cli.main import main
from tfckpt.errors import (
    ConfigError,
    FormatError,
    LayoutError,
    PlanError,
    StorageError,
    TensorNotFoundError,
    TfckptError,
    UnsupportedError,
)
from tfckpt.families.bert import garden as bert
from tfckpt.families.catalog import CATALOG
from tfckpt.families.language.family import Drop
from tfckpt.families.language.layout_file import read_layout
from tfckpt.families.language.layouts import Placed
from tfckpt.families.language.match import match_models
from tfckpt.families.language.rules import Part, numbers_in
from tfckpt.planning.config import read_config
from tfckpt.sstable.block import iter_entries
from tfckpt.sstable.checksum import mask, masked_crc32c
from tfckpt.sstable.format import MAX_SNAPPY_RATIO, SNAPPY, BlockHandle, encode_footer, unwrap_block, wrap_block
from tfckpt.sstable.reader import Table
from tfckpt.sstable.varint import encode_varint

pytestmark = pytest.mark.exhaustive

Captured = pytest.CaptureFixture[str]
SECONDS = 20  # of the processor, for what takes one or two; without the bound it would be minutes, or never end
ESCAPE = "w\x1b[2J\x1b]0;owned\x07\u202e"
EMPTY_BLOCK = b"\0" * 4 + b"\1\0\0\0"


@pytest.fixture(autouse=True)
def _soon() -> Iterator[None]:
    """Fail a test that hangs."""

    with ends(SECONDS):
        yield


@contextmanager
def at_most(nbytes: int) -> Iterator[None]:
    """Check that the block takes no more memory than this."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= nbytes, f"{peak:,} bytes"


def row(data_type: int = DT_FLOAT, shape: tuple[int, ...] = (), **fields: int) -> BundleEntryProto:
    """Return an index's entry as its message."""
    proto = BundleEntryProto(dtype=data_type, **fields)  # type: ignore[arg-type]
    proto.shape.SetInParent()
    for size in shape:
        proto.shape.dim.add(size=size)
    return proto


def write_bundle(prefix: Path, rows: dict[bytes, BundleEntryProto], data: bytes = b"", **options: bool) -> str:
    """Write a bundle with these entries over one file of data."""
    Path(f"{prefix}.data-00000-of-00001").write_bytes(data)
    values = {key: proto.SerializeToString() for key, proto in rows.items()}
    write_rows(prefix, sorted(({HEADER_KEY: Header().encode()} | values).items()), **options)  # type: ignore[arg-type]
    return str(prefix)


def key_bomb(prefix_size: int, count: int) -> bytes:
    """Return a block whose entries repeat one long prefix, each in a few bytes."""
    entries = b"\0" + encode_varint(prefix_size) + b"\0" + b"k" * prefix_size
    tails = (encode_varint(prefix_size) + b"\3\0" + number.to_bytes(3, "big") for number in range(count))
    return entries + b"".join(tails) + EMPTY_BLOCK


# --- files that are none, and paths that lead elsewhere


@pytest.mark.parametrize("name", ["m.index", "m.data-00000-of-00001", "checkpoint", "bert_config.json", "m"])
@pytest.mark.parametrize("kind", ["pipe", "directory", "device"])
def test_what_is_no_regular_file_is_refused_and_nobody_waits_for_it(tmp_path: Path, name: str, kind: str) -> None:
    tfckpt.save(tmp_path / "m", {"bert/embeddings/word_embeddings": np.zeros((2, 2), np.float32)})
    path = tmp_path / name
    path.unlink(missing_ok=True)
    make: dict[str, Callable[[Path], object]] = {
        "pipe": os.mkfifo,
        "directory": os.mkdir,
        "device": lambda path: path.symlink_to("/dev/zero"),
    }
    make[kind](path)
    for use in (
        lambda: tfckpt.open(tmp_path),
        lambda: tfckpt.open(tmp_path / "m").verify(),
        lambda: tfckpt.open(tmp_path / "m", format="v1"),
        lambda: tfckpt.plan(tmp_path / "m"),
        lambda: tfckpt.latest_checkpoint(tmp_path),
    ):
        with suppress(TfckptError):
            use()


@pytest.mark.parametrize("kind", ["a directory", "a pipe, a socket or a device"])
def test_the_error_says_what_is_there_instead_of_a_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "m.index"
    path.mkdir() if kind == "a directory" else os.mkfifo(path)
    with pytest.raises(StorageError, match=rf"m\.index: cannot open: expected a regular file, got {kind}$"):
        tfckpt.open(tmp_path / "m")


@pytest.mark.parametrize("named", ["../out/m", "{}/out/m", "link/m", "link/../../out/m", "in/../../out/m"])
def test_a_state_file_does_not_lead_out_of_its_directory(tmp_path: Path, named: str) -> None:
    for name in ("in", "out"):
        tfckpt.save(tmp_path / name / "m", {"where": name})
    (tmp_path / "in" / "link").symlink_to(tmp_path / "out")
    (tmp_path / "in" / "checkpoint").write_text(f'model_checkpoint_path: "{named.format(tmp_path)}"', encoding="utf-8")
    assert tfckpt.open(tmp_path / "in")["where"].item() == b"in"


def test_an_index_cannot_name_a_file_but_by_number(tmp_path: Path) -> None:
    prefix = write_bundle(tmp_path / "m", {b"../../etc/passwd": row(size=4, shard_id=(1 << 31) - 2)})
    with edited_rows(prefix) as rows:
        rows[HEADER_KEY] = Header((1 << 31) - 1).encode()
    with tfckpt.open(prefix) as checkpoint, pytest.raises(TfckptError, match=r"/m\.data-2147483646-of-2147483647: "):
        checkpoint["../../etc/passwd"]


def test_a_link_at_the_destination_is_replaced_and_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious", encoding="utf-8")
    for suffix in ("index", "data-00000-of-00001"):
        (tmp_path / f"m.{suffix}").symlink_to(victim)
    tfckpt.save(tmp_path / "m", {"w": 1}, overwrite=True)
    assert victim.read_text(encoding="utf-8") == "precious"
    assert not (tmp_path / "m.index").is_symlink()


@pytest.mark.parametrize("path", ["a\0b", "a\ud800b"])
def test_a_path_that_the_system_cannot_have_is_an_error_of_ours(path: str) -> None:
    with pytest.raises(TfckptError):
        tfckpt.open(path)
    with pytest.raises(TfckptError):
        tfckpt.save(path, {"w": 1})


# --- tables


def test_a_block_cannot_claim_more_than_snappy_can_hold() -> None:
    for claimed in (MAX_SNAPPY_RATIO * 11 + 1, 1 << 32, (1 << 64) - 1):
        payload = encode_varint(claimed).ljust(11, b"\0") + bytes([SNAPPY])
        with at_most(1 << 20), pytest.raises(FormatError, match="snappy length"):
            unwrap_block(payload + struct.pack("<I", masked_crc32c(payload)))


def test_keys_take_no_more_than_sixteen_times_their_block() -> None:
    block = key_bomb(1 << 16, 1 << 16)  # four gigabytes of keys
    with at_most(2 << 20), pytest.raises(FormatError, match=r"keys in block .* at most 16 times the block's"):
        for _ in iter_entries(block):
            pass


def test_keys_as_every_writer_shares_them_are_within_the_bound() -> None:
    whole = (b"\0" + encode_varint(1 << 10) + b"\0" + b"%02d" % n + b"k" * 1022 for n in range(10))
    tails = b"".join(encode_varint(1 << 10) + b"\1\0" + bytes([n]) for n in range(15))  # of sixteen, fifteen share
    assert sum(1 for _ in iter_entries(b"".join(key + tails for key in whole) + EMPTY_BLOCK)) == 160


def test_one_block_is_not_read_for_many_handles() -> None:
    stored = wrap_block(struct.pack("<I", 0) * 999 + struct.pack("<I", 999))
    handle = BlockHandle(0, len(stored) - 5).encode()
    index = b"".join(b"\0\2" + bytes([len(handle)]) + struct.pack(">H", n) + handle for n in range(50)) + EMPTY_BLOCK
    wrapped = wrap_block(index)
    footer = encode_footer(BlockHandle(0, 0), BlockHandle(len(stored), len(index)))
    data = stored + wrapped + footer
    with pytest.raises(FormatError, match=r"data blocks: expected at most [\d,]+ bytes in all, got"):
        Table(lambda at, nbytes: data[at : at + nbytes], len(data), "t")


@pytest.mark.parametrize("handle", [(0, 1 << 40), (1 << 40, 8), ((1 << 64) - 1, (1 << 64) - 1)])
def test_a_block_outside_the_file_is_not_read(handle: tuple[int, int]) -> None:
    data = encode_footer(BlockHandle(0, 0), BlockHandle(*handle))
    with at_most(1 << 20), pytest.raises(FormatError, match="block handle"):
        Table(lambda at, nbytes: data[at : at + nbytes], len(data), "t")


@pytest.mark.parametrize("compressed", [False, True])
def test_an_index_takes_so_many_times_its_own_size(tmp_path: Path, compressed: bool) -> None:
    rows = {b"%05d" % n: row(DT_STRING) for n in range(5_000)}  # as small as entries can be
    prefix = write_bundle(tmp_path / "m", rows, compressed=compressed)
    nbytes = os.path.getsize(f"{prefix}.index")
    with at_most((22 if compressed else 1) * 128 * nbytes), tfckpt.open(prefix) as checkpoint:
        assert len(checkpoint) == len(rows)


# --- tensors


@pytest.mark.parametrize(
    "shape",
    [(1 << 60,), (1 << 62, 1 << 62), (0, 1 << 62), (1 << 62, 0), ((1 << 63) - 1,) * MAX_RANK, (0,) * 255, (1,) * 200],
)
@pytest.mark.parametrize("data_type", [DT_FLOAT, DT_STRING])
def test_a_shape_takes_no_memory(tmp_path: Path, shape: tuple[int, ...], data_type: int) -> None:
    prefix = write_bundle(tmp_path / "m", {b"w": row(data_type, shape, size=4)}, bytes(4))
    with at_most(2 << 20), tfckpt.open(prefix, verify=False) as checkpoint:
        for use in (
            lambda: checkpoint["w"],
            lambda: checkpoint.verify("w"),
            lambda: checkpoint.get_slice("w")[...],
            lambda: checkpoint.get_slice("w")[:0],
        ):
            with pytest.raises((FormatError, UnsupportedError)):
                use()


def test_a_rank_above_tensorflows_is_refused() -> None:
    Entry.parse(b"w", row(DT_STRING, (0,) * MAX_RANK).SerializeToString())
    with pytest.raises(FormatError, match=r"rank of tensor 'w': expected at most 254, got 255"):
        Entry.parse(b"w", row(DT_STRING, (0,) * (MAX_RANK + 1)).SerializeToString())


def test_lengths_of_strings_are_found_in_few_reads() -> None:
    count = 200_000
    stored = b"\0" * (count - 1) + b"\x80" * (9 * count)  # the last one never ends
    reads = []

    def read(at: int, nbytes: int) -> bytes:
        reads.append(nbytes)
        return stored[at : at + nbytes]

    read_head(read, count, len(stored))
    assert len(reads) < 20


def test_strings_take_so_many_times_their_own_size(tmp_path: Path) -> None:
    stored, crc = encode_strings([b"%02d" % (n % 100) for n in range(20_000)])  # no two are one object
    prefix = write_bundle(tmp_path / "m", {b"w": row(DT_STRING, (20_000,), size=len(stored), crc32c=crc)}, stored)
    with at_most(64 * len(stored)), tfckpt.open(prefix) as checkpoint:
        assert checkpoint["w"][99] == b"99"


def test_a_v1_tensor_takes_so_many_times_its_own_size(tmp_path: Path) -> None:
    v1.write_rows(tmp_path / "m", v1.to_rows({"w": np.ones(50_000, np.bool_)}))  # a byte for each value
    nbytes = os.path.getsize(tmp_path / "m")
    with at_most(64 * nbytes), tfckpt.open(tmp_path / "m") as checkpoint:
        assert checkpoint["w"].sum() == 50_000


def sliced(shape: tuple[int, ...], parts: list[TensorSlice]) -> BundleEntryProto:
    proto = row(shape=shape)
    proto.slices.extend(part.to_proto() for part in parts)
    return proto


def test_slices_that_may_be_incomplete_are_compared_in_half_a_million_pairs() -> None:
    for count in (1024, 1025):
        check_disjoint("w", [(slice(0, 4), slice(n, n + 1)) for n in range(count)])  # along the second axis, in none
        stairs = [(slice(n, count), slice(n, n + 1)) for n in range(count)]  # each lies beside all that begin before it
        if count == 1024:
            check_disjoint("w", stairs)
            continue
        with pytest.raises(UnsupportedError, match="tensor 'w': 1,025 slices, of which too many lie beside each other"):
            check_disjoint("w", stairs)


def test_slices_have_two_million_corners_at_most() -> None:
    """Those of 2,048 boxes, cut in ten dimensions, are just as many."""
    for last in (4, 5):
        cuts = [*[(slice(0, 1), slice(1, 2))] * 9, [slice(n, n + 1) for n in range(last)]]
        boxes = list(product(*cuts))
        if last == 4:
            check_cover("w", (*[2] * 9, last), boxes)
            continue
        with pytest.raises(UnsupportedError, match="tensor 'w': 2,560 slices, cut in 10 dimensions"):
            check_cover("w", (*[2] * 9, last), boxes)


def test_a_list_of_slices_takes_no_more_than_the_keys_that_are_there(tmp_path: Path) -> None:
    name = b"w" * 50_000
    parts = [TensorSlice(((start, 1),)) for start in range(4_000)]  # 200 megabytes of keys
    prefix = write_bundle(tmp_path / "m", {name: sliced((4_000,), parts)})
    for use in (len, lambda checkpoint: checkpoint[name.decode()]):
        with at_most(30 << 20), tfckpt.open(prefix) as checkpoint, pytest.raises(FormatError, match="slices of part"):
            use(checkpoint)


def test_slices_may_be_listed_whose_keys_are_a_megabyte_longer_than_all_that_are_there(tmp_path: Path) -> None:
    name = b"w" * 1024  # the one key that is there
    for count in (1025, 1026):
        parts = [TensorSlice(((start, 1),)) for start in range(count)]
        with tfckpt.open(write_bundle(tmp_path / str(count), {name: sliced((count,), parts)})) as checkpoint:
            if count == 1025:
                assert checkpoint.entries()[0].slices == tuple(parts)
                continue
            with pytest.raises(FormatError, match=r"keys of at most 1,049,600 bytes, got 1,050,624$"):
                checkpoint.entries()


def test_many_slices_are_compared_in_time() -> None:
    size = 5_000
    columns = [(slice(0, 4), slice(n, n + 1)) for n in range(size)]
    check_cover("w", (4, size), columns)
    with pytest.raises(FormatError, match=r"slices of tensor 'w'"):
        check_cover("w", (4, size), [*columns[:-1], columns[0]])


def test_slices_cut_in_very_many_dimensions_are_refused() -> None:
    first, both = slice(0, 1), slice(0, 2)
    halves = [
        (*[first] * axis, slice(1, 2), *[both] * (59 - axis)) for axis in range(60)
    ]  # of what the one before leaves
    with pytest.raises(UnsupportedError, match=r"61 slices, cut in 60 dimensions"):
        check_cover("w", (2,) * 60, [*halves, (first,) * 60])


def test_slices_over_the_same_bytes_are_not_put_together(tmp_path: Path) -> None:
    count, width = 64, 1 << 16
    parts = [TensorSlice(((n, 1), (0, -1))) for n in range(count)]
    own = {part.key(b"w"): row(shape=(1, width), size=4 * width) for part in parts}
    prefix = write_bundle(tmp_path / "m", {b"w": sliced((count, width), parts)} | own, bytes(4 * width))
    refused = pytest.raises(FormatError, match="expected at most 16 times the size of their data files")
    with at_most(4 << 20), tfckpt.open(prefix, verify=False) as checkpoint, refused:
        checkpoint["w"]


def test_ten_thousand_tensors_over_the_same_bytes_are_not_copied(tmp_path: Path, capsys: Captured) -> None:
    data = bytes(1 << 20)
    shared = row(shape=(1 << 18,), size=1 << 20, crc32c=masked_crc32c(data))
    prefix = write_bundle(tmp_path / "m", {b"%05d" % n: shared for n in range(10_000)}, data)
    for use in (
        lambda: tfckpt.open(prefix).verify(),
        lambda: tfckpt.rewrite(prefix, tmp_path / "new" / "m"),
        lambda: tfckpt.merge([prefix], tmp_path / "new" / "m"),
        lambda: tfckpt.average([prefix], tmp_path / "new" / "m"),
        lambda: tfckpt.convert(prefix, tmp_path / "new" / "m", to="keras"),
        lambda: tfckpt.prove(prefix, prefix, to="keras"),
        lambda: tfckpt.diff(prefix, prefix),
    ):
        with pytest.raises(FormatError, match="tensors over the same bytes"):
            use()
    assert not any(path.suffix != "" for path in (tmp_path / "new").glob("*"))
    for command in (["verify", prefix], ["report", prefix, "-o", str(tmp_path / "r.html")]):
        assert main(command) == 1
        assert "tensors over the same bytes" in capsys.readouterr().err
    assert tfckpt.open(prefix)["09999"].nbytes == 1 << 20


def test_one_tensor_is_copied_under_sixteen_names_and_not_under_seventeen(tmp_path: Path) -> None:
    data = np.float32(1.5).tobytes()
    shared = row(size=4, crc32c=masked_crc32c(data))
    prefix = write_bundle(tmp_path / "m", {b"%05d" % n: shared for n in range(16)}, data)
    assert len(tfckpt.rewrite(prefix, tmp_path / "new").steps) == 16
    with tfckpt.open(tmp_path / "new") as new:
        assert {name: value.item() for name, value in new.items()} == {f"{n:05}": 1.5 for n in range(16)}
    write_bundle(tmp_path / "m", {b"%05d" % n: shared for n in range(17)}, data)
    with pytest.raises(FormatError, match=r"at most 16 times the size of their data files, 64 bytes, got 68$"):
        tfckpt.rewrite(prefix, tmp_path / "more")


def test_the_nearest_names_are_looked_for_among_the_first_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfckpt.checkpoint.checkpoint.MOST_COMPARED", 100)
    rows = {b"%03d" % n + b"x" * n: row(DT_STRING) for n in range(200)}
    with tfckpt.open(write_bundle(tmp_path / "m", rows)) as checkpoint:
        for number, is_near in ((90, True), (190, False)):
            with pytest.raises(TensorNotFoundError) as caught:
                checkpoint[f"{number:03}" + "x" * (number + 1)]
            assert (f"'{number:03}x" in str(caught.value).partition("did you mean")[2]) is is_near


def test_near_names_are_looked_for_among_five_thousand(tmp_path: Path) -> None:
    """Of which each is a letter many times, so that no other is near."""
    names = [chr(0x4E00 + n) * 8 for n in range(5001)]
    graph = ObjectGraph([Node({name: n for n, name in enumerate(names, 1)})])
    graph.nodes += [Node(attributes=[Attribute("VARIABLE_VALUE", f"key {n}")]) for n in range(5001)]
    with tfckpt.open(write_bundle(tmp_path / "m", {name.encode(): row(DT_STRING) for name in names})) as checkpoint:
        for n, is_near in ((4999, True), (5000, False)):
            with pytest.raises(TensorNotFoundError) as caught:
                checkpoint[names[n] + "x"]
            assert str(caught.value).endswith(f"; did you mean {names[n]!r}?") is is_near
            with pytest.raises(TensorNotFoundError) as caught:
                key_at(graph, names[n] + "x", "m", ())
            assert str(caught.value).endswith(f"; did you mean {names[n]!r}?") is is_near


def test_a_changed_index_makes_no_error_of_numpys(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "m", {"w": np.zeros((2, 3), np.float32)})
    with edited_entry(tmp_path / "m", "w") as proto:
        proto.dtype, proto.crc32c = DT_STRING, mask(0)
    with tfckpt.open(tmp_path / "m") as checkpoint, pytest.raises(FormatError):
        checkpoint["w"]


# --- object graphs

GRAPHS: dict[str, Callable[[], ObjectGraph]] = {
    "chain": lambda: ObjectGraph([Node({"next": min(n + 1, 19_999)}) for n in range(20_000)]),
    "star": lambda: ObjectGraph([Node({str(n): n for n in range(1, 5000)}), *(Node() for _ in range(5000))]),
    "layers": lambda: ObjectGraph([Node({f"layer_with_weights-{n}": 1 for n in range(20_000)}), Node()]),
    "circle": lambda: ObjectGraph([Node({"": 0, "a": 1}), Node({"": 0, "b": 1})]),
    "models": lambda: ObjectGraph(
        [
            Node({f"m{n}": n + 3 for n in range(400)}),
            Node({str(n): 2 for n in range(400)}),
            Node({"kernel": 2, "bias": 2, "beta": 2, "_attention_layer": 2}, [Attribute("VARIABLE_VALUE", "k")]),
            *(
                Node({"_transformer_layers": 1, "_embedding_layer": 2, "encoder": 1, "embeddings": 2})
                for _ in range(400)
            ),
        ]
    ),
    "slots": lambda: ObjectGraph(
        [
            Node(slot_variables=[SlotVariable(0, "m", 1) for _ in range(20_000)]),
            Node(attributes=[Attribute(str(n), "k") for n in range(2000)]),
        ]
    ),
    "prefixes": lambda: ObjectGraph([Node(attributes=[Attribute("v", "/.ATTRIBUTES/") for _ in range(5000)])]),
    "long names": lambda: ObjectGraph(
        [Node({"x" * 100_000: 1}), Node({str(n): n + 1 for n in range(1, 5000)}), *(Node() for _ in range(5000))]
    ),
}


@pytest.mark.parametrize("make", GRAPHS.values(), ids=GRAPHS)
def test_an_object_graph_of_any_form_is_drawn_and_searched_in_time(make: Callable[[], ObjectGraph]) -> None:
    graph = make()
    entries = [Entry(f"/.ATTRIBUTES/{n:04}", DT_FLOAT, (), 0, 0, 4, 0) for n in range(2000)]
    entries.append(Entry("k", DT_FLOAT, (), 0, 0, 4, 0))
    with at_most(64 << 20), suppress(FormatError):
        outline_objects(graph, entries, everything=True)
    with suppress(FormatError):
        match_models(graph, CATALOG.find_models(""))
    assert len(graph.ways()) <= len(graph.nodes)
    assert ObjectGraph.parse(graph.serialize()) == graph


def leading(graph: ObjectGraph) -> ObjectGraph:
    """Return a graph of which every object may hold a value, so that each is at the end of ways."""
    for node in graph.nodes[-100:]:
        node.attributes = node.attributes or [Attribute("VARIABLE_VALUE", "k", "full")]
    return graph


WAYS: dict[str, Callable[[], ObjectGraph]] = {
    **{name: partial(lambda make: leading(make()), make) for name, make in GRAPHS.items()},
    "diamonds": lambda: leading(ObjectGraph([Node({"a": n + 1, "b": n + 1}) for n in range(5000)] + [Node()])),
    "all to all": lambda: leading(ObjectGraph([Node({str(n): n for n in range(120)}) for _ in range(120)])),
    "there and back": lambda: leading(
        ObjectGraph([Node({"a": min(n + 1, 2000), "b": max(n - 1, 0), "c": n // 2}) for n in range(2001)])
    ),
    "optimizers": lambda: ObjectGraph(
        [
            Node({f"{n}": 1 + n % 2 for n in range(4000)}),
            Node(attributes=[Attribute("VARIABLE_VALUE", "k")]),
            Node(slot_variables=[SlotVariable(1, "m", 1) for _ in range(4000)]),
        ]
    ),
}


@pytest.mark.parametrize("make", WAYS.values(), ids=WAYS)
def test_the_ways_of_an_object_graph_of_any_form_are_found_in_time(make: Callable[[], ObjectGraph]) -> None:
    graph = make()
    lookup = Lookup(graph, ["k", *(f"/.ATTRIBUTES/{n:04}" for n in range(2000))])
    with at_most(192 << 20):
        for pattern in ("a*b", "*[0-9]/zzz"):
            lookup.match(pattern)
        with suppress(FormatError):
            lookup.called("path")
        lookup.near("zzz", 5000)
        list(against_restoring(graph.serialize(), ["k"]))


SHORT_NAMES = ["".join(pair) for pair in product("0123456789abcdefghijklmnopqrstuvwxyz", repeat=2)]


def fan(edges: list[str], count: int) -> ObjectGraph:
    """Return a graph with these edges from the root to one node, and from there an edge to each of so many variables."""
    onwards = {name: number for number, name in enumerate(SHORT_NAMES[:count], 2)}
    variables = [Node(attributes=[Attribute("VARIABLE_VALUE", "key")]) for _ in onwards]
    return ObjectGraph([Node(dict.fromkeys(edges, 1)), Node(onwards), *variables])


@pytest.mark.parametrize(("count", "is_complete"), [(454, True), (455, False)])
def test_ways_take_eight_steps_for_each_edge_and_two_hundred_thousand(count: int, is_complete: bool) -> None:
    """By each of 455 edges 455 others are reached, and 455 * 456 is two hundred steps too many."""
    paths = paths_of_variables(fan(SHORT_NAMES[:count], count))
    assert paths.is_complete is is_complete
    assert ({len(found) for found in paths.values()} == {count}) is is_complete


@pytest.mark.parametrize(("count", "is_complete"), [(73, True), (74, False)])
def test_ways_take_64_times_the_characters_of_names_and_a_megabyte(count: int, is_complete: bool) -> None:
    """The 74 paths that go on from one of 100,000 would have 7,500,223, and there is room for 7,458,048."""
    assert paths_of_variables(fan(["x" * 100_000], count)).is_complete is is_complete


def test_models_are_looked_for_by_twenty_variables_for_each_node_and_edge_and_a_hundred_thousand() -> None:
    """Forty layouts of two hundred variables, of which all but the last are there, below each of some nodes."""
    rows = tuple((f"w{n}", f"w{n}", "h") for n in range(200))
    layouts = [bert.ENCODER._replace(parts=(Placed(Part(rows)),)) for _ in range(40)]
    value = Node(attributes=[Attribute("VARIABLE_VALUE", "key")])
    for count in (25, 26):
        below = {f"w{n}": count + 1 for n in range(199)}
        graph = ObjectGraph([Node({f"m{n}": n + 1 for n in range(count)}), *(Node(below) for _ in range(count)), value])
        if count == 25:
            assert match_models(graph, layouts) == []
            continue
        with pytest.raises(FormatError, match="got a maze of edges"):
            match_models(graph, layouts)


@pytest.mark.parametrize("number", [3, (1 << 31) - 1, -1])
def test_an_edge_to_nowhere_is_refused(number: int) -> None:
    with pytest.raises(FormatError, match="a node below 1"):
        ObjectGraph.parse(ObjectGraph([Node({"a": number})]).serialize())


def test_an_object_graph_takes_so_many_times_its_own_size() -> None:
    serialized = bytes.fromhex("0a00") * 10_000
    with at_most(256 * len(serialized)):
        assert len(ObjectGraph.parse(serialized).nodes) == 10_000


def test_a_tree_of_names_takes_no_more_than_its_names_allow() -> None:
    entries = [Entry(f"{'x' * 6000}/{n:03}{'/a' * 98}", DT_FLOAT, (), 0, 0, 4, 0) for n in range(200)]
    most = 16 * 200 * 6200 + 2**20
    with at_most(60 << 20), pytest.raises(FormatError, match=f"paths of at most {most:,} characters in all, got more$"):
        outline_names(entries)


def test_a_tree_of_names_takes_sixteen_times_their_characters_and_a_megabyte() -> None:
    """The 17 paths of a name of so many characters and sixteen parts more take just as many."""
    size = 2**20 + 16 * 32 - 16 * 17
    for more in (0, 1):
        entry = Entry("x" * (size + more) + "/a" * 16, DT_FLOAT, (), 0, 0, 4, 0)
        if more:
            with pytest.raises(FormatError, match=f"paths of at most {16 * (size + 33) + 2**20:,} characters"):
                outline_names([entry])
        else:
            assert [branch.path for branch in outline_names([entry]).root.children] == ["x" * size]


def test_a_tree_of_objects_takes_64_times_the_characters_of_edges_and_a_megabyte() -> None:
    """The 65 paths over an edge of so many characters and 64 edges more take just as many."""
    size = 2**20 + 64 * 64 - 64 * 65
    for more in (0, 1):
        graph = ObjectGraph([Node({"x" * (size + more): 1}), *(Node({"y": n + 2}) for n in range(64)), Node()])
        if more:
            with pytest.raises(FormatError, match=f"paths of at most {64 * (size + 65) + 2**20:,} characters"):
                outline_objects(graph, [], everything=True)
        else:
            assert [b.path for b in outline_objects(graph, [], everything=True).root.children] == ["x" * size]


def test_numbers_are_found_without_looking_at_every_name_for_each() -> None:
    names = [f"bert/encoder/layer_{n}/x/{n}/y" for n in range(30_000)]
    numbers = numbers_in(names)
    assert list(numbers("bert/encoder/layer_{n}/", "")) == list(range(30_000))
    for n in range(30_000):
        assert numbers(f"bert/encoder/layer_{n}/x/{{n}}/", "") == [n]


# --- text files


@pytest.mark.parametrize(
    "text", ["a{" * 100_000, "a:[" * 100_000, "x" * (1 + (1 << 19)), 'model_checkpoint_path: "\\000/m"', "\0"]
)
def test_a_state_file_ends_in_an_error_or_is_ignored(tmp_path: Path, text: str) -> None:
    tfckpt.save(tmp_path / "m", {"w": 1})
    (tmp_path / "checkpoint").write_text(text, encoding="utf-8")
    with suppress(TfckptError):
        tfckpt.open(tmp_path)
    with suppress(TfckptError):
        tfckpt.latest_checkpoint(tmp_path)


@pytest.mark.parametrize(
    "value",
    ["[" * 5000 + "]" * 5000, "9" * 4000, "9" * 100_000, str(1 << 31), "1e999", "-1", "NaN", '"' + "x" * 9999 + '"'],
)
def test_a_size_in_a_configuration_is_a_small_number(tmp_path: Path, value: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(f'{{"vocab_size": {value}}}', encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_config(str(path))
    assert len(str(caught.value)) < 300 + len(str(path))


def test_a_configuration_does_not_make_a_variable_of_any_size(bert_copy: str, tmp_path: Path) -> None:
    with tfckpt.open(bert_copy) as checkpoint:
        tensors = {name: checkpoint[name] for name in checkpoint if "type_embeddings" not in name}
    tfckpt.save(tmp_path / "m", tensors)
    (tmp_path / "bert_config.json").write_text(
        '{"num_attention_heads": 2, "type_vocab_size": 999999999}', encoding="utf-8"
    )
    types = "=bert/embeddings/token_type_embeddings"
    with (
        at_most(8 << 20),
        pytest.raises(PlanError, match=r"\[999999999, 8\] is far larger than all that the source holds"),
    ):
        tfckpt.convert(tmp_path / "m", tmp_path / "new", fill="zeros", exclude=[types])


@pytest.mark.parametrize("read", [read_config, read_layout])
def test_a_large_text_file_is_not_read(tmp_path: Path, read: Callable[[str], object]) -> None:
    (tmp_path / "f").write_bytes(bytes((1 << 20) + 1))
    with at_most(1 << 20), pytest.raises(FormatError, match="at most 1,048,576 bytes"):
        read(str(tmp_path / "f"))


@pytest.mark.parametrize(
    "text",
    [
        "a" + ".a" * 400_000 + " = 1",
        'a."\u2028"' * 1 + '."\u2028"' * 1000 + " = 1",
        "a = " + "[" * 100_000,
        "a = " + "{a = " * 100_000,
        "[parts]\nP = " + "[" * 90 + "{" + "a." * 60 + "a = 1}" + "]" * 90,
        "x = " + "9" * 10_000,
    ],
    ids=["dots", "quoted dots", "arrays", "tables", "mixed", "digits"],
)
def test_a_layout_file_ends_in_an_error_of_ours(tmp_path: Path, text: str) -> None:
    (tmp_path / "l.toml").write_text(text, encoding="utf-8")
    with at_most(64 << 20), pytest.raises(LayoutError):
        read_layout(str(tmp_path / "l.toml"))


@pytest.mark.parametrize(("pattern", "name"), [("*a" * 200 + "b", "a" * 5000), ("[!" * 500, "a"), ("[c-a]", "b")])
def test_a_pattern_is_matched_in_time(pattern: str, name: str) -> None:
    assert not Drop("rule", (pattern,)).matches(name)


# --- what is printed


def test_names_cannot_speak_to_the_terminal(tmp_path: Path, capsys: Captured) -> None:
    graph = ObjectGraph(
        [Node({ESCAPE: 1}), Node(attributes=[Attribute("VARIABLE_VALUE", f"{ESCAPE}/.ATTRIBUTES/VARIABLE_VALUE")])]
    )
    tfckpt.save(tmp_path / "plain", {ESCAPE: 1})
    key = f"{ESCAPE}/.ATTRIBUTES/VARIABLE_VALUE"
    tfckpt.save(tmp_path / "objects", {key: 1, "_CHECKPOINTABLE_OBJECT_GRAPH": graph.serialize()})
    (tmp_path / "checkpoint").write_text(f'model_checkpoint_path: "../{ESCAPE}"', encoding="utf-8")
    for prefix in (tmp_path / "plain", tmp_path / "objects", tmp_path):
        for command in (
            ["ls"],
            ["tree"],
            ["tree", "--all"],
            ["verify"],
            ["plan"],
            ["plan", "--to", "keras"],
            ["ls", "--json"],
        ):
            main([command[0], str(prefix), *command[1:]])
    main(["rewrite", str(tmp_path / "plain"), str(tmp_path / "new")])
    main(["show", str(tmp_path / "plain"), ESCAPE])
    main(["show", str(tmp_path / "plain"), "no such tensor"])
    main(["diff", str(tmp_path / "plain"), str(tmp_path / "objects")])
    out, err = capsys.readouterr()
    assert "w\\x1b[2J" in out + err
    assert not set(out + err) & set("\x1b\x07\u202e")


def test_a_warning_cannot_speak_to_the_terminal(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tfckpt.save(tmp_path / "m", {"w": 1})
    (tmp_path / "checkpoint").write_text(f'model_checkpoint_path: "../{ESCAPE}"', encoding="utf-8")
    tfckpt.open(tmp_path).close()
    tfckpt.latest_checkpoint(tmp_path)
    assert len(caplog.messages) == 2
    assert all("w\\x1b[2J" in message and message.isprintable() for message in caplog.messages)


def test_snappy_is_what_the_bound_says() -> None:
    zeros = bytes(1 << 20)
    assert len(zeros) / len(snappy.compress(zeros)) < MAX_SNAPPY_RATIO


def test_every_promise_names_a_test_that_is_there() -> None:
    text = (Path(__file__).parent.parent / "SECURITY.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_\w+)`", text))
    source = "".join(
        (Path(__file__).parent / name).read_text(encoding="utf-8")
        for name in (
            "test_security.py",
            "test_fuzz.py",
            "test_import.py",
            "test_kinds.py",
            "test_export.py",
            "test_report.py",
            "test_report_browser.py",
            "test_notebooks.py",
        )
    )
    assert len(named) > 30
    assert not {name for name in named if f"def {name}(" not in source}
