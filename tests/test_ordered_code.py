from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfckpt.bundle.values.ordered_code import encode_num, encode_signed, encode_slice_key, encode_string

U64 = st.integers(0, 2**64 - 1) | st.integers(0, 600)
I64 = st.integers(-(2**63), 2**63 - 1) | st.integers(-600, 600)
STRINGS = st.lists(st.sampled_from([b"\x00", b"\x01", b"a", b"\xfe", b"\xff"]), max_size=5).map(b"".join) | st.binary()


@pytest.mark.parametrize(
    ("value", "encoded"),
    [(0, "00"), (1, "0101"), (255, "01ff"), (256, "020100"), (258, "020102"), (2**64 - 1, "08" + "ff" * 8)],
)
def test_unsigned_numbers_have_the_encodings_that_tensorflow_gives(value: int, encoded: str) -> None:
    assert encode_num(value).hex() == encoded


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (b"", "0001"),
        (b"w", "770001"),
        (b"\x00", "00ff0001"),
        (b"\xff", "ff000001"),
        (b"a\x00\xffb", "6100ffff00620001"),
        (b"\x00\x01", "00ff010001"),
    ],
)
def test_strings_have_the_encodings_that_tensorflow_gives(value: bytes, encoded: str) -> None:
    assert encode_string(value).hex() == encoded


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (0, "80"),
        (-1, "7f"),
        (2, "82"),
        (63, "bf"),
        (64, "c040"),
        (-64, "40"),
        (-65, "3fbf"),
        (2**13 - 1, "dfff"),
        (2**13, "e02000"),
        (-(2**13), "2000"),
        (-(2**13) - 1, "1fdfff"),
        (2**63 - 1, "ffc07fffffffffffffff"),
        (-(2**63), "003f8000000000000000"),
    ],
)
def test_signed_numbers_have_the_encodings_that_tensorflow_gives(value: int, encoded: str) -> None:
    assert encode_signed(value).hex() == encoded


@given(U64, U64)
def test_unsigned_encodings_sort_like_their_values(a: int, b: int) -> None:
    assert (encode_num(a) < encode_num(b)) is (a < b)


@given(I64, I64)
def test_signed_encodings_sort_like_their_values(a: int, b: int) -> None:
    assert (encode_signed(a) < encode_signed(b)) is (a < b)


@given(STRINGS, STRINGS, st.binary(max_size=2), st.binary(max_size=2))
def test_string_encodings_sort_like_their_values_whatever_follows(a: bytes, b: bytes, x: bytes, y: bytes) -> None:
    assert (encode_string(a) + x < encode_string(b) + y) is ((a, x) < (b, y))


@pytest.mark.parametrize(
    ("name", "extents", "encoded"),
    [
        (b"w", [(0, 25)], "0077000101018099"),  # keys that TensorFlow gave the halves of a float32[50]
        (b"w", [(25, 25)], "0077000101019999"),
        (b"", [], "00000100"),
        (b"scalar", [], "007363616c6172000100"),
        (b"m", [(0, -1), (64, 2)], "006d00010102807fc04082"),
        (b"a\x00", [(0, -1)], "006100ff00010101807f"),
    ],
)
def test_slices_have_the_keys_that_tensorflow_gives(name: bytes, extents: list[tuple[int, int]], encoded: str) -> None:
    assert encode_slice_key(name, extents).hex() == encoded


EXTENTS = st.lists(st.tuples(st.integers(0, 200), st.integers(-1, 200)), max_size=3)


@given(STRINGS, EXTENTS, STRINGS, EXTENTS)
def test_slice_keys_sort_by_name_rank_and_numbers(
    name: bytes, extents: list[tuple[int, int]], other_name: bytes, others: list[tuple[int, int]]
) -> None:
    before = (name, len(extents), extents) < (other_name, len(others), others)
    assert (encode_slice_key(name, extents) < encode_slice_key(other_name, others)) is before
