"""Rows of equal layers as one: what a pattern says is what there is, no more and no less."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfckpt.cli.ui.folding import Row, fold

PARTS = st.sampled_from(
    ["layer_0", "layer_1", "layer_2", "layer_7", "a", "b", "q_dense", "k_dense", "conv2d_3x3", "007"]
)
NAMES = st.lists(PARTS, min_size=1, max_size=4).map("/".join)


def expanded(pattern: str) -> Iterator[str]:
    """Yield the names that a pattern means, as a shell does."""
    pieces = re.split(r"\{([^{}]*)\}", pattern)
    choices = [[text] if n % 2 == 0 else list(_choices(text)) for n, text in enumerate(pieces)]
    return map("".join, itertools.product(*choices))


def _choices(text: str) -> Iterator[str]:
    for item in text.split(","):
        first, dots, last = item.partition("..")
        yield from (str(n) for n in range(int(first), int(last) + 1)) if dots else [item]


def folded(*names: str) -> list[tuple[str, str]]:
    return [(row.names[0], row.times) for row in fold(Row((name,), ("[8]",)) for name in names)]


@given(names=st.lists(NAMES, max_size=40, unique=True), data=st.data())
def test_patterns_mean_the_names_that_they_were_made_of(names: list[str], data: st.DataObject) -> None:
    cells = data.draw(st.lists(st.sampled_from(["[8]", "[9]"]), min_size=len(names), max_size=len(names)))
    rows = fold(Row((name,), (cell,), items=((name, cell),)) for name, cell in zip(names, cells, strict=True))
    assert sum(row.tensors for row in rows) == len(names)
    for row in rows:
        if "..." not in row.names[0]:
            assert sorted(expanded(row.names[0])) == sorted(name for name, _ in row.items)
        assert {cell for _, cell in row.items} == {row.cells[0]}
    assert sorted(item for row in rows for item in row.items) == sorted(zip(names, cells, strict=True))


@given(pairs=st.lists(st.tuples(NAMES, NAMES), max_size=30, unique=True))
def test_pairs_of_names_stay_pairs(pairs: list[tuple[str, str]]) -> None:
    for row in fold(Row(pair, (), items=(pair,)) for pair in pairs):
        assert row.tensors == len(row.items)
        for n, pattern in enumerate(row.names):
            if "..." not in pattern:
                assert set(expanded(pattern)) == {pair[n] for pair in row.items}


def test_numbers_of_a_second_name_follow_those_of_the_first() -> None:
    rows = [Row((f"layer_{n}/kernel", f"weights-{n + 4}/kernel"), ()) for n in range(12)]
    assert [(row.names, row.times) for row in fold(rows)] == [
        (("layer_{0..11}/kernel", "weights-{4..15}/kernel"), "12"),
    ]
    rows[3] = Row(("layer_3/kernel", "weights-99/kernel"), ())
    assert len(fold(rows)) == 12  # one that does not follow: which goes with which would not be told


def test_numbers_that_go_together_in_one_name_are_not_folded() -> None:
    names = ["layer_0/block_0/x", "layer_1/block_1/x"]
    assert [row.names[0] for row in fold(Row((name,), ("[8]",)) for name in names)] == names


def test_layers_in_layers_are_two_ranges() -> None:
    names = [f"layer_{n}/ffn_{m}/bias" for n in range(24) for m in range(3)]
    assert folded(*names) == [("layer_{0..23}/ffn_{0..2}/bias", "24 x 3")]
    assert folded(*names[1:])[0][0] != "layer_{0..23}/ffn_{0..2}/bias"


def test_what_lacks_a_layer_says_so() -> None:
    names = [f"layer_{n}/bias" for n in (0, 1, 2, 3, 5, 8, 9)]
    assert folded(*names) == [("layer_{0..3,5,8,9}/bias", "7")]


def test_a_list_of_many_words_names_some_of_them() -> None:
    words = [chr(97 + n) * 3 for n in range(20)]
    assert folded(*words) == [("{aaa,bbb,ccc,... 17 more}", "20")]


def test_names_with_marks_of_patterns_stay_as_they_are() -> None:
    names = ["c/x,y/w", "c/z/w", "b/layer_{0}/w", "b/layer_{1}/w"]
    assert sorted(folded(*names)) == sorted((name, "") for name in names)


def test_numbers_with_zeros_before_them_are_a_range_of_their_own() -> None:
    names = [*(f"h{n:02}" for n in range(10)), *(f"h{n}" for n in range(12))]
    assert folded(*names) == [("h{00..09}", "10"), ("h{0..11}", "12")]


def test_one_name_of_several_tensors_is_one_row() -> None:
    assert folded("w", "w") == [("w", "2")]


@pytest.mark.parametrize(
    "names",
    [
        ["/" * 50_000 + str(n) for n in range(3)],
        ["/".join("0" * 2_000) + f"/{n}" for n in range(3)],
        [f"{n}_" * 3_000 for n in range(40)],
        ["_".join(str((n * k) % 97) for k in range(2_000)) for n in range(40)],
        ["1" * 5_000 + str(n) for n in range(3)],
        [f"{{{n}}}" for n in range(3)],
        ["", "/", "//"],
    ],
    ids=["deep", "numbers", "one number", "free numbers", "long numbers", "braces", "empty"],
)
def test_odd_names_are_folded_or_not_and_soon(names: list[str]) -> None:
    assert sum(row.tensors for row in fold(Row((name,), ()) for name in names)) == len(names)
