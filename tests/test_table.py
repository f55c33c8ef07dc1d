from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import snappy
from hypothesis import given
from hypothesis import strategies as st

from tfckpt.errors import ChecksumError, FormatError, TfckptError, UnsupportedError
from tfckpt.sstable.block import BlockBuilder, iter_entries
from tfckpt.sstable.checksum import masked_crc32c
from tfckpt.sstable.format import BlockHandle, encode_footer, parse_footer, unwrap_block, wrap_block
from tfckpt.sstable.reader import Table
from tfckpt.sstable.varint import encode_varint
from tfckpt.sstable.writer import TableBuilder, short_successor, shortest_separator

TF_TABLE = bytes.fromhex(  # written by TensorFlow 2.20: the index of SaveV2("w", float32[2])
    "000006 08011a020801 00010f 77 0801120412020802280835593ce535 00000000 01000000 00 0921adc3"
    "00000000 01000000 00 c0f2a1b0"  # metaindex at byte 41, empty
    "000102 78 0024 00000000 01000000 00 ab30707f"  # index at byte 54: "x", a short successor of "w" -> [0, 36)
    "2908 360e" + "00" * 36 + "57fb808b247547db"
)

Rows = Sequence[tuple[bytes, bytes]]
Parsed = list[tuple[bytes, bytes]]

KEYS = st.lists(st.sampled_from([b"", b"a", b"b", b"/", b"\x00", b"\xff"]), max_size=5).map(b"".join)
CONTENTS = st.dictionaries(KEYS, st.binary(max_size=40), max_size=25)

TWO_BLOCKS: list[Rows] = [[(b"a", b"1"), (b"c", b"2")], [(b"g", b"3"), (b"i", b"4")]]
FLAT = [row for rows in TWO_BLOCKS for row in rows]


def table(file: bytes) -> Table:
    def read_at(offset: int, nbytes: int) -> bytes:
        assert 0 <= offset <= offset + nbytes <= len(file), "a read outside the file"
        return file[offset : offset + nbytes]

    return Table(read_at, len(file), "t.index")


def written(rows: Rows, block_size: int) -> bytes:
    out: list[bytes] = []
    builder = TableBuilder(out.append, block_size)
    for key, value in rows:
        builder.add(key, value)
    builder.finish()
    return b"".join(out)


def index_of(file: bytes) -> list[tuple[bytes, BlockHandle]]:
    """Return the (separator, handle) of every data block."""
    index = parse_footer(file[-48:])
    payload = unwrap_block(file[index.offset : index.offset + index.nbytes + 5])
    return [(separator, BlockHandle.parse(value)[0]) for separator, value in iter_entries(payload)]


def block(rows: Rows) -> bytes:
    builder = BlockBuilder()
    for key, value in rows:
        builder.add(key, value)
    return builder.finish()


def raw_block(rows: Rows) -> bytes:
    """Return a block whose keys may be in any order."""
    parts = [bytes([0, len(key), len(value)]) + key + value for key, value in rows]
    return b"".join(parts) + struct.pack("<II", 0, 1)


def typed(payload: bytes, compression: int) -> bytes:
    """Return a block as stored, under any compression type."""
    stored = payload + bytes([compression])
    return stored + struct.pack("<I", masked_crc32c(stored))


def snapped(payload: bytes) -> bytes:
    return typed(snappy.compress(payload), 1)


def assembled(
    blocks: Sequence[tuple[bytes, bytes]],
    *,
    wrap_index: Callable[[bytes], bytes] = wrap_block,
    junk: bytes = b"",
    handle_tail: bytes = b"",
    metaindex: BlockHandle | None = None,
) -> bytes:
    """Return a table of (separator, block as stored)."""
    file, index = bytearray(junk), []
    for separator, stored in blocks:
        index.append((separator, BlockHandle(len(file), len(stored) - 5).encode() + handle_tail))
        file += stored
    stored = wrap_index(block(index))
    handle = BlockHandle(len(file), len(stored) - 5)
    return bytes(file) + stored + encode_footer(metaindex or BlockHandle(0, 0), handle)


def test_reads_the_table_that_tensorflow_wrote() -> None:
    assert [(key, value.hex()) for key, value in table(TF_TABLE)] == [
        (b"", "08011a020801"),
        (b"w", "0801120412020802280835593ce535"),
    ]


def test_writes_the_table_that_tensorflow_wrote() -> None:
    assert written(list(table(TF_TABLE)), 262_144) == TF_TABLE


def test_writes_the_index_that_tensorflow_wrote_of_a_bert(bert: str) -> None:
    file = Path(f"{bert}.index").read_bytes()
    rows = list(table(file))
    assert len(rows) == 140
    assert written(rows, 262_144) == file


@given(CONTENTS, st.lists(KEYS, max_size=10), st.sampled_from([1, 20, 60, 10_000]))
def test_a_table_answers_like_a_dict(contents: dict[bytes, bytes], probes: list[bytes], block_size: int) -> None:
    rows = sorted(contents.items())
    file = written(rows, block_size)
    read = table(file)
    assert list(read) == rows
    around = [near for key in contents for near in (key, key[:-1], key + b"\x00", key + b"\xff")]
    for key in [*probes, *around, b"", b"\xff" * 9]:
        assert read.get(key) == contents.get(key)


def test_get_finds_keys_in_every_block_and_nothing_between_them() -> None:
    contents = {f"layer_{i:03d}".encode(): bytes([i]) * 30 for i in range(100)}
    file = written(sorted(contents.items()), 200)
    read = table(file)
    assert len(index_of(file)) > 10
    for key, value in contents.items():
        assert read.get(key) == value
        assert read.get(key + b"\x00") is None
    for separator, _ in index_of(file):
        assert read.get(separator) == contents.get(separator)
    assert read.get(b"") is read.get(b"layer_") is read.get(b"layer_1") is read.get(b"layer_100") is None
    assert read.get(b"\xff") is None


def test_opening_reads_the_footer_and_the_index_and_get_one_block() -> None:
    file = written([(bytes([65 + i]), bytes(50)) for i in range(20)], 100)
    reads: list[tuple[int, int]] = []

    def read_at(offset: int, nbytes: int) -> bytes:
        reads.append((offset, nbytes))
        return file[offset : offset + nbytes]

    read = Table(read_at, len(file), "t.index")
    index = parse_footer(file[-48:])
    assert reads == [(len(file) - 48, 48), (index.offset, index.nbytes + 5)]
    reads.clear()
    read.get(b"E")
    (handle,) = [handle for separator, handle in index_of(file) if separator >= b"E"][:1]
    assert reads == [(handle.offset, handle.nbytes + 5)]


@pytest.mark.parametrize(
    ("sizes", "blocks"),
    [
        ([], []),
        ([10, 10, 10], [3]),
        ([88, 10], [1, 1]),  # the first reaches the block size and is written out at once
        ([10, 198, 10], [2, 1]),  # with its key one byte short of two block sizes: joins what is there
        ([10, 199, 10], [1, 1, 1]),  # two block sizes: a block of its own
        ([199, 199], [1, 1]),
    ],
)
def test_a_block_is_written_out_when_it_is_full(sizes: list[int], blocks: list[int]) -> None:
    file = written([(bytes([97 + i]), bytes(size)) for i, size in enumerate(sizes)], 100)
    counts = [
        len(list(iter_entries(unwrap_block(file[handle.offset : handle.offset + handle.nbytes + 5]))))
        for _, handle in index_of(file)
    ]
    assert counts == blocks


def test_a_block_ends_when_its_estimate_reaches_the_block_size_exactly() -> None:
    rows = [(b"a", bytes(20)), (b"b", b"")]
    first = len(block(rows[:1]))
    assert len(index_of(written(rows, first))) == 2
    assert len(index_of(written(rows, first + 1))) == 1


def test_every_key_of_the_index_is_whole() -> None:
    file = written([(f"layer_{i}".encode(), bytes(50)) for i in range(9)], 10)
    index = parse_footer(file[-48:])
    payload = unwrap_block(file[index.offset : index.offset + index.nbytes + 5])
    assert struct.unpack_from("<I", payload, len(payload) - 4) == (9,)  # restarts


def test_an_empty_table_has_no_keys() -> None:
    read = table(written([], 100))
    assert list(read) == []
    assert read.get(b"") is None


@given(KEYS | st.binary(max_size=6), KEYS | st.binary(max_size=6))
def test_a_separator_lies_between_its_blocks(a: bytes, b: bytes) -> None:
    start, limit = sorted((a, b))
    if start == limit:
        return
    separator = shortest_separator(start, limit)
    assert start <= separator < limit
    assert len(separator) <= len(start)


@pytest.mark.parametrize(
    ("start", "limit", "separator"),
    [
        (b"abc1", b"abe", b"abd"),
        (b"abc1", b"abd", b"abc1"),  # abd is not below the limit
        (b"abc", b"abcd", b"abc"),
        (b"", b"a", b""),
        (b"a\xfd1", b"a\xff", b"a\xfe"),
        (b"a\xfe1", b"a\xff", b"a\xfe1"),
        (b"layer_1/kernel", b"layer_9/bias", b"layer_2"),
    ],
)
def test_separators_are_those_that_leveldb_gives(start: bytes, limit: bytes, separator: bytes) -> None:
    assert shortest_separator(start, limit) == separator


@given(st.lists(st.sampled_from([b"a", b"\x00", b"\xfe", b"\xff"]), max_size=5).map(b"".join))
def test_a_successor_is_no_smaller_and_no_longer(key: bytes) -> None:
    successor = short_successor(key)
    assert key <= successor
    assert len(successor) <= len(key)
    assert successor == key or successor[:-1] == b"\xff" * (len(successor) - 1)


@pytest.mark.parametrize(
    ("key", "successor"),
    [(b"word", b"x"), (b"\xff\xffab", b"\xff\xffb"), (b"\xff\xff", b"\xff\xff"), (b"", b""), (b"\xfe\xff", b"\xff")],
)
def test_successors_are_those_that_leveldb_gives(key: bytes, successor: bytes) -> None:
    assert short_successor(key) == successor


@pytest.mark.parametrize("wrap_index", [wrap_block, snapped])
@pytest.mark.parametrize("wrap", [wrap_block, snapped])
def test_compressed_blocks_are_read(wrap: Callable[[bytes], bytes], wrap_index: Callable[[bytes], bytes]) -> None:
    read = table(assembled([(rows[-1][0], wrap(block(rows))) for rows in TWO_BLOCKS], wrap_index=wrap_index))
    assert list(read) == FLAT
    assert [read.get(key) for key in (b"c", b"d", b"g", b"j")] == [b"2", None, b"3", None]


def test_the_densest_snappy_block_is_read() -> None:
    payload = bytes(1_000_000)
    assert len(snapped(payload)) * 21 < len(payload)
    assert unwrap_block(snapped(payload)) == payload


@pytest.mark.parametrize("stated", [23 * 9, 2**32 - 1, 2**64 - 1])
def test_a_snappy_bomb_is_refused_before_it_is_unpacked(stated: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def uncompress(compressed: bytes) -> bytes:
        raise AssertionError("the stated length was trusted")

    monkeypatch.setattr(snappy, "uncompress", uncompress)
    bomb = encode_varint(stated).ljust(9, b"\x00")[: max(9, len(encode_varint(stated)))]
    with pytest.raises(FormatError, match="snappy length at byte 0: expected at most"):
        list(table(assembled([(b"z", typed(bomb, 1))])))


@pytest.mark.parametrize(
    "stream",
    [b"", b"\x80", b"\x05", b"\x05\x10abc", b"\x06\x10abcde", b"\x04\x10abcde", b"\x09\x00a\xff\xff\xff\xff"],
)
def test_a_broken_snappy_stream_is_a_format_error(stream: bytes) -> None:
    file = assembled([(b"z", typed(stream, 1))], junk=b"junk")
    with pytest.raises(FormatError, match=r"^t\.index: snappy (block|length) at byte 4"):
        list(table(file))


@pytest.mark.parametrize("compression", [2, 4, 255])
def test_another_compression_is_unsupported(compression: int) -> None:
    read = table(assembled([(b"z", typed(block(FLAT), compression))]))
    with pytest.raises(UnsupportedError, match=f"block compression type {compression}"):
        list(read)


@pytest.mark.parametrize(
    "options",
    [
        {"junk": b"\xffjunk" * 50},
        {"handle_tail": b"\x80\x80more"},
        {"metaindex": BlockHandle(0, 0)},
        {"metaindex": BlockHandle(2**40, 2**40)},
    ],
    ids=["junk-before", "bytes-after-handles", "no-metaindex", "metaindex-outside"],
)
def test_what_nobody_reads_does_not_matter(options: dict[str, Any]) -> None:
    blocks = [(rows[-1][0], wrap_block(block(rows))) for rows in TWO_BLOCKS]
    assert list(table(assembled(blocks, **options))) == FLAT


@pytest.mark.parametrize("size", [0, 1, 47])
def test_a_file_shorter_than_a_footer_is_no_table(size: int) -> None:
    with pytest.raises(FormatError, match=rf"^t\.index: table file: expected at least 48 bytes, got {size}$"):
        table(TF_TABLE[len(TF_TABLE) - size :])


@pytest.mark.parametrize("tail", [b"\x00", b"\n", b"\xdb"])
def test_a_byte_behind_the_footer_hides_the_magic(tail: bytes) -> None:
    with pytest.raises(FormatError, match=f"table magic at byte {len(TF_TABLE) + 1 - 8}: expected 0xdb4775248b80fb57"):
        table(TF_TABLE + tail)


def test_a_footer_whose_handles_are_no_integers_is_located_in_the_file() -> None:
    footer = b"\xff" * 40 + TF_TABLE[-8:]
    with pytest.raises(FormatError, match=r"^t\.index: block offset at byte 100: expected a varint"):
        table(bytes(100) + footer)


@pytest.mark.parametrize("nbytes", [44, 45, 2**63, 2**64 - 1])
@pytest.mark.parametrize("offset", [0, 2**64 - 1])
def test_an_index_outside_the_file_is_an_error(offset: int, nbytes: int) -> None:
    file = encode_footer(BlockHandle(0, 0), BlockHandle(offset, nbytes))
    with pytest.raises(FormatError, match=r"block handle at byte .*: expected an end <= 48, got "):
        table(file)


def test_a_data_block_outside_the_file_is_an_error_when_it_is_read() -> None:
    stored = wrap_block(block([(b"z", BlockHandle(7, 10_000).encode())]))
    file = stored + encode_footer(BlockHandle(0, 0), BlockHandle(0, len(stored) - 5))
    read = table(file)
    assert read.get(b"zz") is None
    for access in (lambda: read.get(b"a"), lambda: list(read)):
        with pytest.raises(FormatError, match=f"block handle at byte 7: expected an end <= {len(file)}, got 10,012"):
            access()


@pytest.mark.parametrize("value", [b"", b"\x00", b"\x80", b"\x00\xff"])
def test_an_index_value_that_is_no_handle_is_an_error(value: bytes) -> None:
    stored = wrap_block(block([(b"z", value)]))
    with pytest.raises(FormatError, match=r"^t\.index: block (offset|size): expected a varint"):
        table(stored + encode_footer(BlockHandle(0, 0), BlockHandle(0, len(stored) - 5)))


def test_a_damaged_block_is_located_in_the_file() -> None:
    file = bytearray(assembled([(rows[-1][0], wrap_block(block(rows))) for rows in TWO_BLOCKS]))
    _, second = index_of(bytes(file))[1]
    file[second.offset + 3] ^= 1
    read = table(bytes(file))
    assert read.get(b"a") == b"1"
    with pytest.raises(ChecksumError, match="block checksum") as caught:
        read.get(b"g")
    assert (caught.value.path, caught.value.offset) == ("t.index", second.offset + second.nbytes + 1)


def test_a_damaged_index_is_noticed_on_opening() -> None:
    file = bytearray(TF_TABLE)
    file[54] ^= 1
    with pytest.raises(ChecksumError, match="block checksum at byte 69"):
        table(bytes(file))


@pytest.mark.parametrize(("compress", "offset"), [(False, 100 + 5), (True, None)])
def test_damage_inside_a_block_is_located_if_the_block_is_not_compressed(compress: bool, offset: int | None) -> None:
    payload = raw_block([(b"b", b"1"), (b"a", b"2"), (b"c", b"3" * 40)])
    file = assembled([(b"z", (snapped if compress else wrap_block)(payload))], junk=bytes(100))
    with pytest.raises(FormatError, match="key order in block") as caught:
        list(table(file))
    assert (caught.value.path, caught.value.offset) == ("t.index", offset)


@pytest.mark.parametrize("first_of_second", [b"a", b"b", b"c"])
def test_keys_out_of_order_across_blocks_are_an_error(first_of_second: bytes) -> None:
    first = wrap_block(block([(b"a", b""), (b"c", b"")]))
    second = wrap_block(block([(first_of_second, b""), (b"x", b"")]))
    read = iter(table(assembled([(b"c", first), (b"z", second)])))
    assert [next(read), next(read)] == [(b"a", b""), (b"c", b"")]
    with pytest.raises(FormatError, match=r"key in the block .*: expected above b'c', up to b'z'") as caught:
        next(read)
    assert caught.value.offset == len(first)


def test_a_key_that_a_look_up_would_miss_is_an_error() -> None:
    """TensorFlow, and our own `get`, find nothing beyond a block's separator."""
    read = table(assembled([(b"a", wrap_block(block([(b"a", b""), (b"c", b"")])))]))
    assert read.get(b"c") is None
    with pytest.raises(FormatError, match=r"key in the block at byte 0: expected up to b'a', got b'c'"):
        list(read)


def test_two_blocks_under_one_separator_are_an_error() -> None:
    stored = wrap_block(block([(b"a", b"")]))
    index = wrap_block(raw_block([(b"z", BlockHandle(0, len(stored) - 5).encode())] * 2))
    file = stored + index + encode_footer(BlockHandle(0, 0), BlockHandle(len(stored), len(index) - 5))
    with pytest.raises(FormatError, match="key order in block"):
        table(file)


def test_every_truncation_of_a_real_index_is_an_error(bert: str) -> None:
    file = Path(f"{bert}.index").read_bytes()
    for cut in range(len(file)):
        with pytest.raises(TfckptError):
            table(file[:cut])


def test_every_tail_of_a_table_is_an_error() -> None:
    for start in range(1, len(TF_TABLE)):
        with pytest.raises(TfckptError):
            table(TF_TABLE[start:])


@pytest.mark.parametrize("bits", [0x01, 0x80, 0xFF])
def test_every_changed_byte_changes_nothing_or_is_an_error(bits: int) -> None:
    file = written(FLAT, 20)
    assert len(index_of(file)) > 1
    harmless = []
    for position in range(len(file)):
        damaged = bytearray(file)
        damaged[position] ^= bits
        try:
            parsed: Parsed = list(table(bytes(damaged)))
        except TfckptError:
            continue
        assert parsed == FLAT
        harmless.append(position)
    index = parse_footer(file[-48:])
    metaindex = range(index.offset - 13, index.offset)  # an empty block and its trailer
    assert all(position in metaindex or position >= len(file) - 48 for position in harmless)
