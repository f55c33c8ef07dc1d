"""Values read in pieces are the values read at once, whatever the dtype, the byte order and the cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tfckpt
from tfckpt.bundle.stream import runs, stream
from tfckpt.bundle.values.slices import TensorSlice, shape_of
from tfckpt.bundle.writer import BundleWriter
from tfckpt.storage import local_input
from tfckpt.storage.local_input import InputFile

SHAPES = st.lists(st.integers(0, 5), max_size=4).map(tuple)


@given(SHAPES, st.integers(1, 9))
def test_runs_make_up_the_whole_in_its_order(shape: tuple[int, ...], most: int) -> None:
    whole = np.arange(int(np.prod(shape))).reshape(shape)
    pieces = [whole[box] if box else whole for box in runs(shape, most)]
    assert np.concatenate([np.empty(0, int), *map(np.ravel, pieces)]).tolist() == whole.ravel().tolist()
    assert all(np.prod(shape_of(box)) <= most for box in runs(shape, most))


@pytest.mark.parametrize("value", [np.arange(24.0).reshape(2, 3, 4), np.array(["a", "bc"]), np.complex64(1 + 2j)])
@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("at_once", [0, 16])
def test_pieces_add_up_to_the_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: Any, big_endian: bool, at_once: int
) -> None:
    monkeypatch.setattr(local_input, "CHUNK_SIZE", 16)
    monkeypatch.setattr("tfckpt.bundle.stream.AT_ONCE", at_once)
    tfckpt.save(tmp_path / "c", {"w": value}, big_endian=big_endian)
    with tfckpt.open(tmp_path / "c") as checkpoint:
        pieces = list(stream(checkpoint.reader, checkpoint.entry("w"), verify=True))
        assert np.concatenate(pieces).tolist() == checkpoint["w"].ravel().tolist()
    assert all(piece.nbytes <= 16 for piece in pieces if not piece.dtype.hasobject)


@pytest.mark.parametrize("most", [1, 5, 12, 1000])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_come_in_the_order_of_the_whole_and_not_from_the_map(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, axis: int
) -> None:
    monkeypatch.setattr("tfckpt.bundle.stream.RUN_SIZE", most)
    monkeypatch.delattr(InputFile, "view")
    whole = np.arange(60.0).reshape(3, 4, 5)
    with BundleWriter(str(tmp_path / "c"), big_endian=True) as writer:
        for start, length in ((0, 1), (1, whole.shape[axis] - 1)):
            part = TensorSlice(tuple((start, length) if i == axis else (0, -1) for i in range(3)))
            writer.add_slice("w", whole.shape, part, whole[part.within(whole.shape)])
        writer.finish()
    with tfckpt.open(tmp_path / "c") as checkpoint:
        pieces = list(stream(checkpoint.reader, checkpoint.entry("w"), verify=True))
    assert np.concatenate(pieces).tolist() == whole.ravel().tolist()
    assert max(len(piece) for piece in pieces) <= most
