"""A zip archive, written one member after another, as `zipfile` writes what it does not compress and what may be large.

    member     local header | name | sizes in 64 bits | content; and in a stream, its checksum and sizes
    directory  of each member: header | name | what does not fit in the header | comment
    end        [record in 64 bits | where that is] | record | comment

Strategy: the local header stands there with zeros, until the checksum and the size are known and are written over them. The
directory is kept as the bytes that it will be, which are few.
Source: PKWARE's APPNOTE.TXT, 4.3; Lib/zipfile.py.
"""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Iterable

from tfckpt.formats.container import Chunk
from tfckpt.formats.sinks import Out
from tfckpt.storage.local_output import OutputFile

LOCAL = struct.Struct("<4s2B4HL2L2H")
EXTRA = struct.Struct("<2H")  # its kind, and how many bytes follow
SIZES = struct.Struct("<2Q")
DESCRIPTOR = struct.Struct("<4sL2Q")
ROW = struct.Struct("<4s4B4HL2L5H2L")
END_64 = struct.Struct("<4sQ2H2L4Q")
LOCATOR_64 = struct.Struct("<4sLQL")
END = struct.Struct("<4s4H2LH")

VERSION = 45  # of the format, which has sizes of 64 bits
SIZES_FOLLOW, IS_UTF8 = 0x0008, 0x0800  # flags
STORED = 0  # method: not compressed
FIRST_DAY = (0, 1 << 5 | 1)  # time and date, 1980-01-01: equal tensors make equal files
UNIX, WINDOWS = 3, 0  # who made it
OWNERS_FILE = 0o600 << 16  # attributes
WIDE = 1  # kind of an extra field
LARGE = (1 << 31) - 1  # numbers above are written in 64 bits
MOST_ROWS = 0xFFFF
ELSEWHERE = 0xFFFFFFFF  # in place of a number that is written in 64 bits


class ZipWriter:
    """A zip archive on its way to an output that has nothing yet: `add` its members, then `finish`."""

    def __init__(self, out: Out) -> None:
        self._out = out
        self._file = out if isinstance(out, OutputFile) else None  # in a stream nobody can go back
        self._rows, self._count = bytearray(), 0

    def add(self, name: str, chunks: Iterable[Chunk], comment: str = "") -> None:
        """Write a member, whose name has no NUL and at most 65,535 bytes."""
        out, file, key, note = self._out, self._file, name.encode(), comment.encode()
        flags = (0 if file is not None else SIZES_FOLLOW) | (0 if name.isascii() else IS_UTF8)
        offset, crc, size = out.offset, 0, 0
        out.write(_local_header(flags, key, crc, size))
        for chunk in chunks:
            crc = zlib.crc32(chunk, crc)
            size += len(chunk)
            out.write(chunk)
        if file is not None:
            file.rewrite(_local_header(flags, key, crc, size), offset)
        else:
            out.write(DESCRIPTOR.pack(b"PK\7\b", crc, size, size))
        wide = [number for number in (size, size, offset) if number > LARGE]
        extra = EXTRA.pack(WIDE, 8 * len(wide)) + struct.pack(f"<{len(wide)}Q", *wide) if wide else b""
        size, offset = (ELSEWHERE if number > LARGE else number for number in (size, offset))
        system = WINDOWS if sys.platform == "win32" else UNIX
        fixed = b"PK\1\2", VERSION, system, VERSION, 0, flags, STORED, *FIRST_DAY, crc, size, size
        self._rows += ROW.pack(*fixed, len(key), len(extra), len(note), 0, 0, OWNERS_FILE, offset)
        self._rows += key + extra + note
        self._count += 1

    def finish(self, comment: bytes) -> None:
        """Write the list of what is there, and a comment of at most 65,535 bytes."""
        out, count, size, offset = self._out, self._count, len(self._rows), self._out.offset
        out.write(memoryview(self._rows))
        if count > MOST_ROWS or max(size, offset) > LARGE:
            fixed = b"PK\6\6", END_64.size - 12, VERSION, VERSION, 0, 0
            out.write(END_64.pack(*fixed, count, count, size, offset))
            out.write(LOCATOR_64.pack(b"PK\6\7", 0, offset + size, 1))
        count, size, offset = min(count, MOST_ROWS), min(size, ELSEWHERE), min(offset, ELSEWHERE)
        out.write(END.pack(b"PK\5\6", 0, 0, count, count, size, offset, len(comment)) + comment)


def _local_header(flags: int, name: bytes, crc: int, size: int) -> bytes:
    sizes = EXTRA.pack(WIDE, SIZES.size) + SIZES.pack(size, size)
    fixed = b"PK\3\4", VERSION, 0, flags, STORED, *FIRST_DAY, crc, ELSEWHERE, ELSEWHERE
    return LOCAL.pack(*fixed, len(name), len(sizes)) + name + sizes
