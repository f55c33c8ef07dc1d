"""Whether a file begins as those that Flax writes, in msgpack: a map from texts to numbers, texts, arrays and such maps.

    map     80 + n, de n u16, df n u32
    text    a0 + n, d9 n u8, da n u16
    number  00..7f, e0..ff, c0 nil, c2, c3 bool, ca, cb float, cc..d3 integers
    array   of type 1: c7 n u8 01, c8 n u16 01, c9 n u32 01

Source: the msgpack specification; flax/serialization.py.
"""

from __future__ import annotations

import re

MAP = rb"[\x81-\x8f]|\xde..|\xdf...."
NUMBER = rb"[\0-\x7f\xe0-\xff\xc0\xc2\xc3]|[\xcc\xd0].|[\xcd\xd1]..|[\xca\xce\xd2]....|[\xcb\xcf\xd3].{8}"
ARRAY = rb"\xc7.\x01|\xc8..\x01|\xc9....\x01"
VALUE = re.compile(rb"(?P<more>%s|%s|\x80)|(?P<array>%s)" % (MAP, NUMBER, ARRAY), re.DOTALL)
TREE = re.compile(rb"(?:%s)(?=[\xa1-\xbf\xd9\xda])" % MAP, re.DOTALL)
TEXT = re.compile(rb"([\xa0-\xbf])|\xd9(.)|\xda(..)", re.DOTALL)
KEY = re.compile(rb"[\x20-\x7e]+")


def is_tree(head: bytes) -> bool:
    r"""Whether the first bytes of a file are those of such a map, as far as to its first array, or all of them.

    >>> is_tree(b"\x81\xa6params\x81\xa1w\xc7\x0d\x01"), is_tree(b"\x81\xa6params"), is_tree(b"\x81\xa6par\0ms")
    (True, True, False)
    """
    found = TREE.match(head)
    at = found.end() if found is not None else len(head)
    while found is not None and at < len(head):
        at, key = _text(head, at)
        if KEY.fullmatch(key) is None:
            return False
        value = VALUE.match(head, at)
        if at >= len(head) or (value is not None and value["array"]):
            return True
        at = value.end() if value is not None else _text(head, at)[0]
        if at < 0:
            return False
    return found is not None


def _text(head: bytes, at: int) -> tuple[int, bytes]:
    """Return where a text ends, which may be behind the head, and what of it is there; -1 if there is none."""
    found = TEXT.match(head, at)
    if found is None:
        return -1, b""
    size = found[1][0] & 0x1F if found[1] else int.from_bytes(found[2] or found[3], "big")
    return found.end() + size, head[found.end() : found.end() + size]
