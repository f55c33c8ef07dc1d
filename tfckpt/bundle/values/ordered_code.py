"""Keys that sort like the values inside them: how a slice of a partitioned tensor is named in the index.

Source: tensorflow/core/lib/strings/ordered_code.cc; tensorflow/core/util/saved_tensor_slice_util.cc.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

STRING_END = b"\x00\x01"
ESCAPES = {b"\x00": b"\x00\xff", b"\xff": b"\xff\x00"}
FULL_EXTENT = -1  # the length in a key that means the whole dimension


def encode_num(value: int) -> bytes:
    """Encode an unsigned integer: its length in bytes, then big-endian.

    >>> encode_num(0).hex(), encode_num(258).hex()
    ('00', '020102')
    """
    nbytes = (value.bit_length() + 7) // 8
    return bytes([nbytes]) + value.to_bytes(nbytes, "big")


def encode_string(value: bytes) -> bytes:
    r"""Encode a byte string: NUL and 0xff are escaped, and an end mark follows.

    >>> encode_string(b"a\x00\xff")
    b'a\x00\xff\xff\x00\x00\x01'
    """
    return re.sub(rb"[\x00\xff]", lambda match: ESCAPES[match[0]], value) + STRING_END


def encode_signed(value: int) -> bytes:
    """Encode a signed integer: n bytes hold 7n - 1 bits; the leading ones (zeros, if negative) say how many bytes follow.

    >>> [encode_signed(v).hex() for v in (0, -1, 2, 63, 64, -64, -65)]
    ['80', '7f', '82', 'bf', 'c040', '40', '3fbf']
    """
    magnitude = value if value >= 0 else ~value
    nbytes = magnitude.bit_length() // 7 + 1
    # A run of nbytes ones, then a zero, then the value; a negative number is the complement of ~value.
    header = ((1 << nbytes) - 1) << (8 * nbytes - nbytes)
    encoded = (header | magnitude).to_bytes(nbytes, "big")
    return encoded if value >= 0 else bytes(byte ^ 0xFF for byte in encoded)


def encode_slice_key(name: bytes, extents: Sequence[tuple[int, int]]) -> bytes:
    """Return the index key of one slice: ``extents`` are (start, length) of each dimension, length -1 for all of it.

    >>> encode_slice_key(b"w", [(0, 25)]).hex()
    '0077000101018099'
    """
    key = encode_num(0) + encode_string(name) + encode_num(len(extents))
    return key + b"".join(encode_signed(start) + encode_signed(length) for start, length in extents)
