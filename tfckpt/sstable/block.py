"""One block of a table: sorted entries whose keys share prefixes with the key before.

Source: leveldb table/block_builder.cc (layout), table/block.cc (the same checks).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from tfckpt.errors import FormatError
from tfckpt.sstable.varint import encode_varint, read_varint

U32 = 4
RESTART_INTERVAL = 16  # entries between two whole keys; the index block has 1
# A key is made of bytes that at most so many entries repeat, so the keys of an honest block come to no more times its size.
MAX_KEY_RATIO = RESTART_INTERVAL


def iter_entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    r"""Yield ``(key, value)`` for each entry of one decompressed block, in file order.

        entry*      shared     varint32       key bytes reused from the entry before
                    unshared   varint32       key bytes that follow
                    value_len  varint32
                    key_tail   u8[unshared]
                    value      u8[value_len]
        restarts    u32[n]     offset of each entry with shared == 0; little-endian
        n           u32        >= 1

    >>> list(iter_entries(b"\0\1\1av" + b"\1\1\1bw" + b"\0\0\0\0" + b"\1\0\0\0"))
    [(b'a', b'v'), (b'ab', b'w')]

    Raises: FormatError, with the offset inside ``block``, if a length overruns or the keys do not strictly ascend:
    TensorFlow finds keys by binary search and silently loses those out of order. Also if entries repeat so many bytes of
    long keys that these would take far more memory than the block does.
    """
    restarts_at = _restarts_at(block)
    key, pos, first, budget = b"", 0, True, MAX_KEY_RATIO * len(block)
    while pos < restarts_at:
        start = pos
        shared, unshared, value_len = block[pos], block[pos + 1], block[pos + 2]  # restarts follow: no overrun
        if shared | unshared | value_len < 0x80:
            pos += 3
        else:
            shared, pos = read_varint(block, pos, "shared key length")
            unshared, pos = read_varint(block, pos, "key length")
            value_len, pos = read_varint(block, pos, "value length")
            budget -= shared + unshared  # that of short keys need not be watched: three bytes repeat 127 at most
        value_at = pos + unshared
        end = value_at + value_len
        if shared > len(key) or end > restarts_at:  # a Python slice would just come back shorter
            got = f"an end at {end}, {shared} shared key bytes"
            raise FormatError(
                "block entry", offset=start, expected=f"an end <= {restarts_at}, <= {len(key)} shared", got=got
            )
        if budget < 0:
            most = f"at most {MAX_KEY_RATIO} times the block's {len(block):,} bytes"
            raise FormatError("keys in block", offset=start, expected=most, got="more")
        previous, key = key, key[:shared] + block[pos:value_at]
        if key <= previous and not first:
            raise FormatError("key order in block", offset=start, expected=f"a key after {previous!r}", got=repr(key))
        first = False
        yield key, block[value_at:end]
        pos = end


def _restarts_at(block: bytes) -> int:
    """Return the offset where the entries end, from the restart count in the last four bytes."""
    if len(block) < 2 * U32:
        raise FormatError("block", offset=0, expected=f"at least {2 * U32} bytes", got=len(block))
    (n,) = struct.unpack_from("<I", block, len(block) - U32)
    most = len(block) // U32 - 1
    if not 1 <= n <= most:
        raise FormatError("restart count", offset=len(block) - U32, expected=f"1 to {most}", got=n)
    return len(block) - U32 * (1 + int(n))


def shared_size(a: bytes, b: bytes) -> int:
    """Return the length of the prefix that two keys share.

    >>> shared_size(b"dense/kernel", b"dense/bias")
    6
    """
    size = min(len(a), len(b))
    differ = int.from_bytes(a[:size], "big") ^ int.from_bytes(b[:size], "big")  # ten times as fast as byte by byte
    return size - (differ.bit_length() + 7) // 8


class BlockBuilder:
    """Builds what `iter_entries` reads. Keys come in ascending order."""

    def __init__(self, restart_interval: int = RESTART_INTERVAL) -> None:
        self._restart_interval = restart_interval
        self.reset()

    def reset(self) -> None:
        """Start the next block."""
        self._buffer = bytearray()
        self._restarts = [0]
        self._since_restart = 0
        self._last_key = b""

    @property
    def empty(self) -> bool:
        """Whether nothing was added since the last reset."""
        return not self._buffer

    @property
    def nbytes(self) -> int:
        """The size that `finish` would return."""
        return len(self._buffer) + U32 * (len(self._restarts) + 1)

    def add(self, key: bytes, value: bytes) -> None:
        """Append one entry."""
        assert self.empty or key > self._last_key, (self._last_key, key)
        shared = 0
        if self._since_restart < self._restart_interval:
            shared = shared_size(self._last_key, key)
        else:
            self._restarts.append(len(self._buffer))
            self._since_restart = 0
        unshared, size = len(key) - shared, len(value)
        if shared | unshared | size < 0x80:
            self._buffer += bytes((shared, unshared, size))
        else:
            self._buffer += encode_varint(shared) + encode_varint(unshared) + encode_varint(size)
        self._buffer += key[shared:]
        self._buffer += value
        self._last_key = key
        self._since_restart += 1

    def finish(self) -> bytes:
        """Return the block: entries, restarts and their count."""
        restarts = struct.pack(f"<{len(self._restarts)}I", *self._restarts)
        return bytes(self._buffer) + restarts + struct.pack("<I", len(self._restarts))
