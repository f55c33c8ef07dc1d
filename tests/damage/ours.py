"""What tfckpt makes of damage: an error that names file and place, or the values of the undamaged checkpoint."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tfckpt

from .damages import Damage, Files, done

NOTICED, HARMLESS = "noticed", "harmless"
# Where in a file: a byte, or that it is too short as a whole, empty, or not there.
PLACE = re.compile(
    r" at byte [\d,]+"
    r"|: table file: expected at least 48 bytes, got \d+|: file: expected [^,]*, got an empty file|; it is an empty file"
    r"|: no checkpoint: no file |a V1 checkpoint of which files are missing: |: cannot open: No such file"
    r"|itself does not end like a V1 checkpoint"
)

Values = dict[str, tuple[str, tuple[int, ...], Any]]


def read(prefix: str) -> Values:
    """Return dtype, shape and bytes of every tensor, checksums compared."""
    with tfckpt.open(prefix) as checkpoint:
        arrays = {name: (checkpoint.entry(name), checkpoint[name]) for name in checkpoint}
        return {
            n: (e.dtype_name, a.shape, a.tolist() if a.dtype == object else a.tobytes()) for n, (e, a) in arrays.items()
        }


def verify(prefix: str) -> None:
    with tfckpt.open(prefix) as checkpoint:
        checkpoint.verify()


def judge(prefix: str, damage: Damage, values: Values) -> str:
    """Return whether the damage, which is done, is noticed or harmless.

    Raises: AssertionError if it is neither, or the error does not say where, or `verify` says something else.
    """
    complaint = _complaint(lambda: _compare(prefix, damage, values))
    verified = _complaint(lambda: verify(prefix))
    assert bool(complaint) == bool(verified), (damage[:2], complaint, verified)
    for line in filter(None, (complaint, verified)):
        assert any(name in line for name in _names(damage, prefix)), (damage[:2], line)
        assert PLACE.search(line), (damage[:2], line)
    return NOTICED if complaint else HARMLESS


def count(prefix: str, damages: Iterable[Damage], files: Files) -> Counter[tuple[str, str]]:
    """Return how often each damage was noticed, or harmless."""
    values, directory = read(prefix), Path(prefix).parent
    counted: Counter[tuple[str, str]] = Counter()
    for damage in damages:
        with done(damage, directory, files):
            counted[damage.what, judge(prefix, damage, values)] += 1
    return counted


def _complaint(action: Any) -> str:
    try:
        action()
    except tfckpt.TfckptError as error:
        return str(error)
    return ""


def _compare(prefix: str, damage: Damage, values: Values) -> None:
    assert read(prefix) == values, (damage[:2], "read as something else, without an error")


def _names(damage: Damage, prefix: str) -> list[str]:
    return list(damage.files)
