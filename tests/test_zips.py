"""Zip archives are, byte for byte, those that Python's zipfile writes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from tfckpt.formats import zips
from tfckpt.formats.sinks import Stream
from tfckpt.formats.zips import ZipWriter
from tfckpt.storage.files import create_output
from tfckpt.storage.local_output import WRITE_BUFFER_SIZE, OutputFile

FIRST_DAY = (1980, 1, 1, 0, 0, 0)


class Member(NamedTuple):
    """One member: what `ZipWriter.add` takes."""

    name: str
    chunks: Sequence[bytes]
    comment: str = ""


MEMBERS = (
    Member("a/kernel.npy", [b"header", b"values"]),
    Member("e\u0301/\u03b1.npy", [b"more"], "bfloat16"),
    Member("long.npy", [bytes(range(256)) * 1024, b"x", b"y" * WRITE_BUFFER_SIZE, b"z" * 9]),
    Member("empty.npy", []),
    Member("last.npy", [b"", b"end"], "comment"),
)


class Pipe(io.RawIOBase):
    """What takes bytes, and goes nowhere."""

    def __init__(self) -> None:
        self.taken = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]  # of any buffer
        self.taken += data
        return len(data)


def by_zipfile(target: io.RawIOBase | io.BytesIO, members: Sequence[Member], comment: bytes = b"") -> None:
    """Write an archive with Python's own module."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for member in members:
            info = zipfile.ZipInfo(member.name, FIRST_DAY)
            info.external_attr = 0o600 << 16
            info.comment = member.comment.encode()
            with archive.open(info, "w", force_zip64=True) as opened:
                for chunk in member.chunks:
                    opened.write(chunk)
        archive.comment = comment


def fill(writer: ZipWriter, members: Sequence[Member], comment: bytes = b"") -> None:
    for member in members:
        writer.add(*member)
    writer.finish(comment)


def in_a_file(directory: Path, members: Sequence[Member], comment: bytes = b"") -> bytes:
    """Return an archive that was written to a file, in which the writer can go back."""
    file = create_output(str(directory / "out"))
    assert isinstance(file, OutputFile)
    fill(ZipWriter(file), members, comment)
    file.close(sync=False)
    written = Path(file.temporary).read_bytes()
    file.discard()
    return written


@pytest.mark.parametrize("large", [zips.LARGE, WRITE_BUFFER_SIZE, 2])
def test_an_archive_in_a_file_is_that_of_zipfile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: int) -> None:
    """Where numbers are not to be larger than 2, all of them are written in 64 bits."""
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", large)
    monkeypatch.setattr(zips, "LARGE", large)
    expected = io.BytesIO()
    by_zipfile(expected, MEMBERS, b"a note")
    written = in_a_file(tmp_path, MEMBERS, b"a note")
    assert written == expected.getvalue()
    with zipfile.ZipFile(io.BytesIO(written)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == {
            m.name: b"".join(m.chunks) for m in MEMBERS
        }


@pytest.mark.parametrize("large", [zips.LARGE, WRITE_BUFFER_SIZE, 2])
def test_an_archive_in_a_stream_is_that_of_zipfile(monkeypatch: pytest.MonkeyPatch, large: int) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", large)
    monkeypatch.setattr(zips, "LARGE", large)
    expected, found = Pipe(), Pipe()
    by_zipfile(expected, MEMBERS, b"a note")
    fill(ZipWriter(Stream(found.write)), MEMBERS, b"a note")
    assert found.taken == expected.taken


@pytest.mark.parametrize("count", [0, 0xFFFF, 0x10000])
def test_an_archive_of_more_members_than_16_bits_count_is_that_of_zipfile(tmp_path: Path, count: int) -> None:
    members = [Member(str(number), [b"1"]) for number in range(count)]
    expected = io.BytesIO()
    by_zipfile(expected, members)
    written = in_a_file(tmp_path, members)
    assert written == expected.getvalue()
    with zipfile.ZipFile(io.BytesIO(written)) as archive:
        assert len(archive.namelist()) == count
