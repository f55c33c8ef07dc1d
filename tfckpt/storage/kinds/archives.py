"""What is in a zip archive or a packed file, as far as that tells what it is. No member is unpacked.

Source: APPNOTE.TXT of zip, 4.3; RFC 1952 (gzip); POSIX pax (tar).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from tfckpt.storage import files
from tfckpt.storage.kinds.table import ARRAYS, BZIP2, CUT_ZIP, GZIP, KERAS, SCRIPT, TAR, TORCH, XZ, ZIP, Kind
from tfckpt.storage.paths import is_remote

HEAD_SIZE = 512  # bytes of a packed file that are unpacked, in memory; a tar archive is told in them

# Of the names in a zip archive, those that tell what it is; what has none of them is just packed.
MEMBERS: tuple[tuple[re.Pattern[str], Kind], ...] = (
    (re.compile(r"(?:.*/)?constants\.pkl"), SCRIPT),
    (re.compile(r"(?:.*/)?data\.pkl"), TORCH),
    (re.compile(r"model\.weights\.h5"), KERAS),
)
END_OF_ZIP = b"PK\x05\x06"
END_SIZE, MOST_COMMENT = 22, 0xFFFF  # bytes of an archive's last record, and of what may follow it
FIRST, FIRST_SIZE, MOST_NAME = b"PK\x03\x04", 30, 1 << 9  # what stands before a member, up to the name
MEMBER, MEMBER_SIZE = b"PK\x01\x02", 46  # a record of the archive's directory, up to the name
DIRECTORY_LIMIT = 1 << 16  # bytes of that directory that are looked at: some 600 names


def zip_kind(file: files.Input) -> Kind:
    """Return what a zip archive is, by the names in it."""
    record, end = _end_of_zip(file)
    if not record:
        return CUT_ZIP
    names = [*_first_member(file), *_members(file, record, end)]
    for pattern, kind in MEMBERS:
        if any(map(pattern.fullmatch, names)):
            return kind
    return ARRAYS if names and all(name.endswith(".npy") for name in names) else ZIP


def _end_of_zip(file: files.Input) -> tuple[bytes, int]:
    """Return the last record of a zip archive, empty if it has none, and where that is."""
    nbytes = min(file.size, END_SIZE + MOST_COMMENT)
    end = file.read_at(file.size - nbytes, nbytes)
    at = end.rfind(END_OF_ZIP)
    record = end[at : at + END_SIZE] if at >= 0 else b""
    return (record, file.size - nbytes + at) if len(record) == END_SIZE else (b"", 0)


def _first_member(file: files.Input) -> Iterator[str]:
    """Yield the first name, which stands before the member as well: of an archive of 4 GiB the directory is elsewhere."""
    head = file.read_at(0, min(file.size, FIRST_SIZE + MOST_NAME))
    if head.startswith(FIRST):
        yield head[FIRST_SIZE : FIRST_SIZE + int.from_bytes(head[26:28], "little")].decode("utf-8", "replace")


def _members(file: files.Input, record: bytes, end: int) -> Iterator[str]:
    """Yield the first names in a zip archive's directory, which ends where the last record begins."""
    size = int.from_bytes(record[12:16], "little")
    start = int.from_bytes(record[16:20], "little")
    if start + size > end:
        return
    rows = file.read_at(start, min(size, DIRECTORY_LIMIT))
    at = 0
    while rows[at : at + 4] == MEMBER and at + MEMBER_SIZE <= len(rows):
        name, extra, comment = (int.from_bytes(rows[at + n : at + n + 2], "little") for n in (28, 30, 32))
        yield rows[at + MEMBER_SIZE : at + MEMBER_SIZE + name].decode("utf-8", "replace")
        at += MEMBER_SIZE + name + extra + comment


def packed_kind(file: files.Input, kind: Kind) -> Kind:
    """Return what a packed file is: a tar archive, as most are, or one file; its first bytes tell, which are unpacked."""
    head = file.read_at(0, min(file.size, REMOTE_HEAD if is_remote(file.path) else PACKED_HEAD[kind]))
    try:
        first = UNPACKERS[kind](head)
    except Exception:  # of a damaged file, each of the three libraries raises its own
        return TAR
    return TAR if not first or re.match(rb".{257}ustar", first, re.DOTALL) else kind


def _gunzip(head: bytes) -> bytes:
    import zlib

    return zlib.decompressobj(wbits=31).decompress(head, HEAD_SIZE)


def _bunzip(head: bytes) -> bytes:
    import bz2

    return bz2.BZ2Decompressor().decompress(head, HEAD_SIZE)


def _unxz(head: bytes) -> bytes:
    import lzma

    return lzma.LZMADecompressor(memlimit=1 << 25).decompress(head, HEAD_SIZE)


UNPACKERS: dict[Kind, Callable[[bytes], bytes]] = {GZIP: _gunzip, BZIP2: _bunzip, XZ: _unxz}
PACKED_HEAD = {GZIP: 1 << 12, BZIP2: 1 << 20, XZ: 1 << 16}  # bytes from which the first ones come out
REMOTE_HEAD = 1 << 12  # of a file behind a URL
