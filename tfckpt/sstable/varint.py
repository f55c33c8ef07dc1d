"""LEB128 integers, seven bits a byte, least significant group first, as in protobuf and LevelDB.

Source: leveldb util/coding.cc.
"""

from __future__ import annotations

from tfckpt.errors import FormatError

MAX_VARINT64_SIZE = 10
U64_LIMIT = 1 << 64
SINGLE_BYTES = [bytes([value]) for value in range(0x80)]  # nearly all lengths are one of these


def encode_varint(value: int) -> bytes:
    """Encode an unsigned integer below 2**64.

    >>> encode_varint(300).hex()
    'ac02'
    """
    assert 0 <= value < U64_LIMIT, value
    if value < 0x80:
        return SINGLE_BYTES[value]
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(buffer: bytes | memoryview, pos: int, what: str = "varint") -> tuple[int, int]:
    """Read the integer at ``pos``; return it and the position after it.

    >>> read_varint(bytes.fromhex("ac02ff"), 0)
    (300, 2)

    Raises: FormatError, with the offset in ``buffer``, if it is cut short or does not fit 64 bits.
    """
    value = shift = 0
    for i in range(pos, min(pos + MAX_VARINT64_SIZE, len(buffer))):
        byte = buffer[i]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >= U64_LIMIT:
                break
            return value, i + 1
        shift += 7
    raise FormatError(
        what, offset=pos, expected="a varint of 64 bits at most", got=bytes(buffer[pos : pos + 10]).hex(" ")
    )
