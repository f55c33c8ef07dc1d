from __future__ import annotations

import numpy as np
import pytest

from tfckpt.families.language import axes
from tfckpt.families.language.axes import Mismatch, Size, Sizes

FIELDS = {"a": "num_attention_heads", "h": "hidden_size", "k": "hidden_size"}


def sizes(**known: int) -> Sizes:
    return Sizes(FIELDS, {name: Size(value, "bert_config.json") for name, value in known.items()})


@pytest.mark.parametrize(
    ("pattern", "stays"),
    [("h", True), ("h k", True), ("h (a d) -> h a d", True), ("(a d) h -> a d h", True), ("c h -> h c", False)],
)
def test_which_patterns_keep_the_bytes(pattern: str, stays: bool) -> None:
    assert axes.keeps_bytes(pattern) is stays


def test_a_size_from_the_configuration_is_checked() -> None:
    expected = ("hidden_size = 8 (bert_config.json)", "9")
    assert sizes(hidden_size=8).bind("bias", (9,), "h")[:2] == expected  # type: ignore[index]


def test_a_size_that_nobody_stated_is_that_of_the_first_tensor() -> None:
    known = sizes()
    assert known.bind("first", (8,), "h") == {"h": 8}
    assert known.bind("second", (8, 9), "h k")[:2] == ("hidden_size = 8 (first)", "9")  # type: ignore[index]


def test_two_letters_of_one_field_must_agree_in_one_tensor() -> None:
    assert sizes(hidden_size=8).bind("kernel", (8, 8), "h k") == {"h": 8, "k": 8}
    assert isinstance(sizes(hidden_size=8).bind("kernel", (8, 9), "h k"), Mismatch)


def test_heads_that_do_not_divide_are_a_mismatch() -> None:
    got = sizes(num_attention_heads=3).bind("kernel", (8, 8), "h (a d) -> h a d")
    assert got == Mismatch("a multiple of num_attention_heads = 3 (bert_config.json)", "8")


@pytest.mark.parametrize("dim", [0, 8])
def test_nothing_is_a_multiple_of_zero(dim: int) -> None:
    got = sizes(num_attention_heads=0).bind("kernel", (8, dim), "h (a d) -> h a d")
    assert got == Mismatch("a multiple of num_attention_heads = 0 (bert_config.json)", str(dim))


def test_an_axis_of_known_letters_may_be_zero_long() -> None:
    known = sizes(num_attention_heads=0, hidden_size=8)
    assert known.bind("bias", (0,), "(a h)") == {"a": 0, "h": 8}
    assert known.bind("bias", (8,), "(a h)") == Mismatch(
        "num_attention_heads * hidden_size = 0 (bert_config.json)", "8"
    )


def test_a_letter_that_nobody_stated_may_be_zero_and_is_from_then_on() -> None:
    known = sizes(num_attention_heads=2)
    assert known.bind("first", (0, 0), "h (a d) -> h a d") == {"a": 2, "h": 0, "d": 0}
    assert known.known["hidden_size"] == Size(0, "first")
    assert known.bind("second", (8,), "h")[:2] == ("hidden_size = 0 (first)", "8")  # type: ignore[index]


def test_another_rank_is_a_mismatch() -> None:
    assert sizes().bind("kernel", (8,), "h k") == Mismatch("2 axes (h k)", "1")


def test_a_shape_that_does_not_fit_tells_no_size() -> None:
    known = sizes(num_attention_heads=3)
    known.bind("kernel", (7, 8), "h (a d) -> h a d")
    assert "hidden_size" not in known.known


@pytest.mark.parametrize(
    ("pattern", "shape", "expected"),
    [
        ("h (a d) -> h a d", (6, 8), (6, 2, 4)),
        ("(a d) h -> a d h", (8, 6), (2, 4, 6)),
        ("c h -> h c", (3, 6), (6, 3)),
        ("h (a d) -> h a d", (0, 8), (0, 2, 4)),
        ("(a d) h -> a d h", (0, 6), (2, 0, 6)),
    ],
)
def test_apply_gives_the_target_shape_in_row_major_order(
    pattern: str, shape: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    letters = sizes(num_attention_heads=2).bind("t", shape, pattern)
    assert isinstance(letters, dict)
    array = np.arange(np.prod(shape)).reshape(shape)
    result = axes.apply(pattern, array, letters)
    assert result.shape == axes.target_shape(pattern, letters) == expected
    assert result.flags.c_contiguous
    assert (result.tobytes() == array.tobytes()) is axes.keeps_bytes(pattern)
    assert axes.source_shape(pattern, letters) == shape


def test_a_pattern_without_an_arrow_changes_nothing() -> None:
    array = np.arange(6).reshape(2, 3)
    assert axes.apply("h k", array, {"h": 2, "k": 3}) is array
