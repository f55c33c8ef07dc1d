from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfckpt._proto.tensor_bundle_pb2 import TensorSliceProto
from tfckpt.bundle.values.ordered_code import FULL_EXTENT, encode_slice_key
from tfckpt.bundle.values.slices import (
    Ranges,
    TensorSlice,
    check_cover,
    check_disjoint,
    intersection,
    relative,
    shape_of,
    whole,
)
from tfckpt.errors import FormatError

MESSAGES = [
    ("", ()),
    ("0a021019", ((0, 25),)),  # TensorFlow's two halves of a float32[50]
    ("0a0408191019", ((25, 25),)),
    ("0a00", ((0, FULL_EXTENT),)),
    ("0a021008", ((0, 8),)),  # the whole of 8, but written out
    ("0a00 0a04 0802 1003", ((0, FULL_EXTENT), (2, 3))),
    ("0a021000", ((0, 0),)),  # no columns at all, not all of them
]


@pytest.mark.parametrize(("message", "extents"), MESSAGES)
def test_known_messages_are_encoded_and_decoded(message: str, extents: tuple[tuple[int, int], ...]) -> None:
    serialized = bytes.fromhex(message)
    assert TensorSlice.parse(TensorSliceProto.FromString(serialized)) == TensorSlice(extents)
    assert TensorSlice(extents).to_proto().SerializeToString() == serialized


EXTENT = st.just((0, FULL_EXTENT)) | st.tuples(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))


@given(st.lists(EXTENT, max_size=4).map(tuple))
def test_a_slice_survives_its_message(extents: tuple[tuple[int, int], ...]) -> None:
    part = TensorSlice(extents)
    assert TensorSlice.parse(TensorSliceProto.FromString(part.to_proto().SerializeToString())) == part


def test_an_explicit_full_range_keeps_its_numbers_and_so_its_key() -> None:
    explicit, implicit = TensorSlice(((0, 8),)), TensorSlice(((0, FULL_EXTENT),))
    assert explicit.within((8,)) == implicit.within((8,)) == (slice(0, 8),)
    assert explicit.key(b"w") == encode_slice_key(b"w", [(0, 8)])
    assert implicit.key(b"w") == encode_slice_key(b"w", [(0, FULL_EXTENT)])
    assert explicit.key(b"w") != implicit.key(b"w")


@pytest.mark.parametrize(
    ("extents", "shape", "covered"),
    [
        ((), (), ()),
        (((0, -1), (2, 3)), (4, 8), (slice(0, 4), slice(2, 5))),
        (((3, 1),), (4,), (slice(3, 4),)),
        (((4, 0),), (4,), (slice(4, 4),)),
        (((0, -1),), (0,), (slice(0, 0),)),
    ],
)
def test_within_gives_the_part_of_an_array(
    extents: tuple[tuple[int, int], ...], shape: tuple[int, ...], covered: tuple[slice, ...]
) -> None:
    assert TensorSlice(extents).within(shape) == covered


def test_the_parts_of_an_array_fill_it() -> None:
    whole = np.arange(12).reshape(3, 4)
    copy = np.full_like(whole, -1)
    for extents in (((0, -1), (0, 1)), ((0, 2), (1, 3)), ((2, 1), (1, 3))):
        ranges = TensorSlice(extents).within(whole.shape)
        copy[ranges] = whole[ranges]
    np.testing.assert_array_equal(copy, whole)


@pytest.mark.parametrize(("extents", "shape"), [((), (1,)), (((0, -1),), ()), (((0, -1),), (2, 2))])
def test_a_slice_of_another_rank_is_an_error(extents: tuple[tuple[int, int], ...], shape: tuple[int, ...]) -> None:
    with pytest.raises(FormatError, match=f"slice rank: expected {len(shape)}, got {len(extents)}"):
        TensorSlice(extents).within(shape)


@pytest.mark.parametrize(
    "extent",
    [(5, 4), (9, 0), (0, 9), (-1, 2), (-1, -1), (1, -1), (4, -2), (2**63 - 1, 2**63 - 1)],
)
def test_a_slice_that_leaves_the_array_is_an_error(extent: tuple[int, int]) -> None:
    start, length = extent
    with pytest.raises(FormatError, match=rf"expected inside \[0, 8\), got start {start}, length {length}$"):
        TensorSlice(((0, -1), extent)).within((2, 8))


@st.composite
def boxes(draw: st.DrawFn, shape: tuple[int, ...]) -> Ranges:
    """A box of an array of ``shape``, perhaps empty."""
    ends = [sorted(draw(st.tuples(st.integers(0, size), st.integers(0, size)))) for size in shape]
    return tuple(slice(start, stop) for start, stop in ends)


@given(boxes((3, 4)))
def test_a_box_is_found_again_from_its_slice(box: Ranges) -> None:
    part = TensorSlice.of(box, (3, 4))
    assert part.within((3, 4)) == box
    for r, size, extent in zip(box, (3, 4), part.extents, strict=True):
        assert (extent == (0, FULL_EXTENT)) is (r == slice(0, size))


@given(boxes((4, 5)), boxes((4, 5)))
def test_boxes_share_what_arrays_of_flags_share(a: Ranges, b: Ranges) -> None:
    flags = np.zeros((4, 5), int)
    flags[a] += 1
    flags[b] += 1
    shared = intersection(a, b)
    if shared is None:
        assert flags.max() < 2
        return
    assert np.count_nonzero(flags == 2) == np.prod(shape_of(shared))
    assert (flags[shared] == 2).all()
    np.testing.assert_array_equal(flags[a][relative(shared, a)], flags[shared])


@given(st.lists(boxes((2, 3)), max_size=4), st.booleans())
def test_only_boxes_that_hold_each_element_once_are_a_cover(parts: list[Ranges], complete: bool) -> None:
    held = np.zeros((2, 3), int)
    for part in parts:
        held[part] += 1
    if complete:  # fill what is missing, or no example would ever cover
        missing = [(slice(i, i + 1), slice(j, j + 1)) for i, j in np.argwhere(held == 0).tolist()]
        parts = [*parts, *missing]
        held[held == 0] = 1
    if held.max(initial=0) > 1:
        with pytest.raises(FormatError, match=r"slices of tensor 'w': expected each element once at most.*\] and \["):
            check_disjoint("w", parts)
    else:
        check_disjoint("w", parts)
    if (held == 1).all():
        check_cover("w", (2, 3), parts)
        return
    message = r"\[.*\] and \[" if held.max() > 1 else f"got {held.sum()} elements"
    with pytest.raises(FormatError, match=f"slices of tensor 'w': expected each of 6 elements once.*{message}"):
        check_cover("w", (2, 3), parts)


def test_a_scalar_is_covered_by_one_slice() -> None:
    check_cover("w", (), [whole(())])
    check_disjoint("w", [whole(())])
    check_disjoint("w", [])
    with pytest.raises(FormatError, match="each element once at most"):
        check_disjoint("w", [whole(()), whole(())])
    for parts in ([], [whole(()), whole(())]):
        with pytest.raises(FormatError, match="slices of tensor 'w': expected each of 1 elements once"):
            check_cover("w", (), parts)


def test_two_boxes_that_overlap_are_named_among_the_first_five_hundred() -> None:
    rows = [(slice(n, n + 1),) for n in range(499)]
    with pytest.raises(FormatError, match=r"got \[7:8\] and \[7:8\]$"):
        check_cover("w", (500,), [*rows, rows[7]])
    more = [*rows, (slice(499, 500),), rows[7]]
    with pytest.raises(FormatError, match=r"got 501 elements$"):
        check_cover("w", (500,), more)
    with pytest.raises(FormatError, match=r"got \[7:8\] and \[7:8\]$"):
        check_disjoint("w", more)  # where that is the question, all are compared
