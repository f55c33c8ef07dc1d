from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfckpt.errors import FormatError, TfckptError
from tfckpt.sstable.block import BlockBuilder, iter_entries
from tfckpt.sstable.varint import encode_varint

TF_BLOCK = bytes.fromhex(  # written by TensorFlow 2.21: SaveV2("w", float32[2])
    "000006 08011a020801"  # "" -> BundleHeaderProto, 1 shard, producer 1
    "00010f 77 08011204120208022808 35593ce535"  # "w" -> float32[2], 8 bytes, masked crc 0x35e53c59
    "00000000 01000000"  # restarts [0]; n = 1
)
TF_ENTRIES = [(b"", bytes.fromhex("08011a020801")), (b"w", bytes.fromhex("0801120412020802280835593ce535"))]

DUCKS = bytes.fromhex(  # by the grammar, with a whole key every second entry
    "000402 6465636b 7631"  # deck -> v1
    "010302 6f636b 7632"  # d + ock -> v2
    "000402 6475636b 7633"  # duck -> v3, at byte 17
    "00000000 11000000 02000000"
)

KEYS = st.lists(st.sampled_from([b"", b"a", b"b", b"/", b"\x00", b"\xff"]), max_size=6).map(b"".join) | st.binary()


def build(entries: list[tuple[bytes, bytes]], restart_interval: int) -> bytes:
    builder = BlockBuilder(restart_interval)
    for key, value in entries:
        builder.add(key, value)
    block = builder.finish()
    assert builder.nbytes == len(block)
    return block


def raw_block(*entries: tuple[int, bytes, bytes]) -> bytes:
    """Return a block of (shared, tail, value) as they are, right or wrong, with one restart."""
    parts = [
        encode_varint(shared) + encode_varint(len(tail)) + encode_varint(len(value)) + tail + value
        for shared, tail, value in entries
    ]
    return b"".join(parts) + struct.pack("<II", 0, 1)


def test_reads_the_block_that_tensorflow_wrote() -> None:
    assert list(iter_entries(TF_BLOCK)) == TF_ENTRIES


def test_writes_the_block_that_tensorflow_wrote() -> None:
    assert build(TF_ENTRIES, 16) == TF_BLOCK


def test_a_whole_key_comes_every_restart_interval() -> None:
    ducks = [(b"deck", b"v1"), (b"dock", b"v2"), (b"duck", b"v3")]
    assert build(ducks, 2) == DUCKS
    assert list(iter_entries(DUCKS)) == ducks


def test_an_empty_block_is_one_restart() -> None:
    assert build([], 16).hex() == "0000000001000000"
    assert list(iter_entries(build([], 16))) == []


@pytest.mark.parametrize("cut", range(len(TF_BLOCK)))
def test_any_truncation_ends_in_format_error(cut: int) -> None:
    with pytest.raises(FormatError):  # never IndexError, never a quiet short answer
        list(iter_entries(TF_BLOCK[:cut]))


@pytest.mark.parametrize("position", range(len(TF_BLOCK)))
def test_any_changed_byte_gives_entries_or_an_error_of_ours(position: int) -> None:
    for byte in range(256):
        damaged = TF_BLOCK[:position] + bytes([byte]) + TF_BLOCK[position + 1 :]
        try:
            entries = list(iter_entries(damaged))
        except TfckptError:
            continue
        assert sum(len(key) + len(value) for key, value in entries) <= len(damaged)
        assert entries == sorted(entries)


@given(st.binary(max_size=40), st.integers(1, 3))
def test_any_bytes_give_ascending_keys_or_format_error(entries: bytes, n: int) -> None:
    block = entries + struct.pack(f"<{n}I", *[0] * n) + struct.pack("<I", n)
    keys: list[bytes] = []
    try:
        keys.extend(key for key, _ in iter_entries(block))
    except FormatError as error:
        offset = error.offset
    else:
        offset = 0
    assert offset is not None
    assert 0 <= offset <= len(block)
    assert keys == sorted(set(keys))  # also as far as a damaged block was read


@pytest.mark.parametrize(
    "entries",
    [
        [(0, b"b", b""), (0, b"a", b"")],
        [(0, b"a", b"1"), (0, b"a", b"2")],
        [(0, b"a", b""), (1, b"", b"")],
        [(0, b"ab", b""), (1, b"", b"")],
        [(0, b"", b""), (0, b"", b"")],
        [(0, b"a", b""), (0, b"", b"")],
    ],
    ids=["descending", "twice", "twice-shared", "prefix", "empty-twice", "empty-late"],
)
def test_keys_that_do_not_ascend_are_an_error_at_the_second(entries: list[tuple[int, bytes, bytes]]) -> None:
    second_at = len(raw_block(entries[0])) - 8
    with pytest.raises(FormatError, match="key order in block") as caught:
        list(iter_entries(raw_block(*entries)))
    assert caught.value.offset == second_at


@pytest.mark.parametrize(
    ("entries", "offset"),
    [
        ([(1, b"a", b"")], 0),
        ([(0, b"a", b""), (2, b"b", b"")], 4),
        ([(0, b"a", b""), (300, b"b", b"")], 4),
    ],
)
def test_more_shared_bytes_than_the_key_before_has_are_an_error(
    entries: list[tuple[int, bytes, bytes]], offset: int
) -> None:
    with pytest.raises(FormatError, match="block entry") as caught:
        list(iter_entries(raw_block(*entries)))
    assert caught.value.offset == offset


@pytest.mark.parametrize(
    "lengths",
    [
        "00 02 00",  # key
        "00 00 02",  # value
        "00 01 01",  # both together
        "00 00 09",  # as far as the block's last byte: the restarts are no data
        "00 ffffffff0f 00",
        "00 00 ffffffffffffffffff01",
        "00 ffffffffffffffffff01 01",  # a sum beyond 64 bits
    ],
)
def test_a_length_that_leads_into_the_restarts_is_an_error(lengths: str) -> None:
    block = bytes.fromhex(lengths) + b"k" + struct.pack("<II", 0, 1)
    with pytest.raises(FormatError) as caught:
        list(iter_entries(block))
    assert caught.value.offset == 0


@pytest.mark.parametrize("n", [0, 9, 2**31, 2**32 - 1])
def test_an_impossible_restart_count_is_an_error(n: int) -> None:
    block = TF_BLOCK[:-4] + struct.pack("<I", n)
    with pytest.raises(FormatError, match=rf"restart count at byte 32: expected 1 to 8, got {n}$"):
        list(iter_entries(block))


@pytest.mark.parametrize("size", [1, 127, 128, 2**14 - 1, 2**14, 2**21])
def test_lengths_that_take_several_bytes_are_read_back(size: int) -> None:
    entries = [(b"k" * size, b"v" * size), (b"k" * size + b"l" * size, b"")]
    block = build(entries, 16)
    assert list(iter_entries(block)) == entries
    assert len(block) < 3 * size + 40  # the shared part is stored once


@given(st.dictionaries(KEYS, st.binary(max_size=8), max_size=12), st.sampled_from([1, 2, 3, 16]))
def test_what_is_built_is_read_back(entries: dict[bytes, bytes], restart_interval: int) -> None:
    ordered = sorted(entries.items())
    block = build(ordered, restart_interval)
    assert list(iter_entries(block)) == ordered
    (n,) = struct.unpack_from("<I", block, len(block) - 4)
    assert n == max(1, -(-len(entries) // restart_interval))
    for restart in struct.unpack_from(f"<{n}I", block, len(block) - 4 - 4 * n):
        assert block[restart] == 0  # nothing shared: a binary search may start here


def test_a_builder_starts_over_after_a_reset() -> None:
    builder = BlockBuilder()
    assert builder.empty
    builder.add(b"z", b"1")
    assert not builder.empty
    builder.reset()
    assert builder.empty
    for key, value in TF_ENTRIES:
        builder.add(key, value)
    assert builder.finish() == TF_BLOCK


@pytest.mark.parametrize("key", [b"a", b"aa"])
def test_adding_keys_out_of_order_is_our_bug(key: bytes) -> None:
    builder = BlockBuilder()
    builder.add(b"aa", b"")
    with pytest.raises(AssertionError):
        builder.add(key, b"")
