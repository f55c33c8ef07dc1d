"""The files of one checkpoint, compared as bytes."""

from __future__ import annotations

from pathlib import Path


def bundle_bytes(prefix: str | Path) -> dict[str, bytes]:
    """Return the content of a bundle's files, by what follows the prefix."""
    prefix = Path(prefix)
    paths = [prefix.with_name(prefix.name + ".index"), *prefix.parent.glob(f"{prefix.name}.data-*")]
    return {path.name.removeprefix(prefix.name): path.read_bytes() for path in paths}
