"""What happens to files: every damage to one checkpoint, in an order that never changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

SECTOR = 512  # bytes that a disk writes at once

Files = Mapping[str, bytes]


class Damage(NamedTuple):
    """One damage: what the files that it concerns become; None for one that is gone."""

    what: str
    where: str
    files: Mapping[str, bytes | None]


def read_files(directory: Path) -> dict[str, bytes]:
    """Return the content of every file in a directory."""
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


def every(files: Files) -> Iterator[Damage]:
    """Yield every damage that is counted; about 9 for each byte."""
    yield from rare(files)
    for name, data in files.items():
        for size in range(len(data)):
            yield Damage("truncated", f"{name} to {size}", {name: data[:size]})
        for bit in range(8 * len(data)):
            yield Damage("bit flipped", f"{name} bit {bit}", {name: _flipped(data, bit)})


def rare(files: Files) -> Iterator[Damage]:
    """Yield the damages of which there are few."""
    for a, b in combinations([name for name in files if not name.endswith(".index")], 2):
        yield Damage("shards swapped", f"{a} and {b}", {a: files[b], b: files[a]})
    for name, data in files.items():
        yield Damage("file missing", name, {name: None})
        for start in range(0, len(data), SECTOR):
            end = min(start + SECTOR, len(data))
            yield Damage("sector zeroed", f"{name} at {start}", {name: data[:start] + bytes(end - start) + data[end:]})
        for more in (b"\0", bytes(SECTOR), data):
            yield Damage("bytes appended", f"{name}, {len(more)}", {name: data + more})


def _flipped(data: bytes, bit: int) -> bytes:
    at = bit // 8
    return data[:at] + bytes([data[at] ^ 1 << bit % 8]) + data[at + 1 :]


@contextmanager
def done(damage: Damage, directory: Path, files: Files) -> Iterator[None]:
    """Damage a checkpoint while the block runs."""
    for name, data in damage.files.items():
        if data is None:
            (directory / name).unlink()
        else:
            (directory / name).write_bytes(data)
    try:
        yield
    finally:
        for name in damage.files:
            (directory / name).write_bytes(files[name])
