"""The tables: what they say is complete, unambiguous, and what the models have."""

from __future__ import annotations

import pytest

from tfckpt.errors import UsageError
from tfckpt.families.bert.garden import ENCODER, ENCODER_PART, KERAS
from tfckpt.families.catalog import CATALOG
from tfckpt.families.language import axes
from tfckpt.families.language.family import Drop
from tfckpt.families.language.layouts import ObjectRows
from tfckpt.families.language.rules import Each, Part, Variable, numbers_in


def variables(part: Part, layers: int) -> list[Variable]:
    return part.variables(lambda *prefixes: range(layers))


def test_the_catalog_lists_each_target_once_a_family() -> None:
    pairs = [(layout.name, layout.family.name) for layout in CATALOG.models]
    assert len(set(pairs)) == len(pairs)
    assert {layout.family for layout in CATALOG.models} == set(CATALOG.families)
    assert CATALOG.find_layout("keras") is KERAS
    assert CATALOG.find_layout("encoder") is ENCODER


def test_an_unknown_target_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"no target 'encodr'; there are pretrainer, .*encoder.*keras, keras-v2, tf1"):
        CATALOG.find_layout("encodr")


@pytest.mark.parametrize("layers", [1, 2, 12])
def test_an_encoder_has_seven_variables_and_sixteen_a_layer(layers: int) -> None:
    rows = variables(ENCODER_PART, layers)
    assert len(rows) == 7 + 16 * layers
    assert len({row.name for row in rows}) == len({row.path for row in rows}) == len(rows)
    assert not [text for row in rows for text in (row.name, row.path) if "{" in text]


@pytest.mark.parametrize("layout", CATALOG.models, ids=lambda layout: f"{layout.family.name}-{layout.name}")
def test_every_letter_is_a_size_or_free_on_one_axis_only(layout: ObjectRows) -> None:
    for placed in layout.parts:
        for row in variables(placed.part, 1):
            for axis in axes.parse(row.axes)[0]:
                assert len([letter for letter in axis if letter not in layout.family.sizes]) <= 1


@pytest.mark.parametrize("layout", CATALOG.models, ids=lambda layout: f"{layout.family.name}-{layout.name}")
def test_no_row_of_a_target_is_among_those_that_it_drops(layout: ObjectRows) -> None:
    names = {row.name for placed in layout.parts for row in variables(placed.part, 1)}
    assert not [name for name in names for drop in layout.drops if drop.matches(name)]


def test_containers_are_numbered_in_keras_order() -> None:
    numbered = ENCODER_PART.numbered([row.path for row in variables(ENCODER_PART, 11)])
    assert numbered["_embedding_norm_layer"] == "layer_with_weights-3"
    assert numbered["_transformer_layers/10"] == "layer_with_weights-14"
    assert numbered["_pooler_layer"] == "layer_with_weights-15"


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("bert/encoder/layer_0/output", [0]),
        ("bert/encoder/layer_11/output", [11]),
        ("bert/encoder/layer_01/output", []),
        ("bert/encoder/layer_x/output", []),
        ("bert/encoder/layer_1234567/output", []),
        ("x/bert/encoder/layer_1/output", []),
    ],
)
def test_layer_numbers_are_plain_decimals(name: str, layers: list[int]) -> None:
    assert list(numbers_in([name])("bert/encoder/layer_{n}/", "")) == layers


def test_rows_repeat_inside_rows_that_repeat() -> None:
    inner = Each("ffn_{n}/", "ffn/{n}/", (("{kb}", "{kb}", "h"),))
    part = Part(each=(Each("layer_{n}/", "layers/{n}/", each=(inner,)),))
    names = ["layer_0/ffn_0/kernel", "layer_1/ffn_0/kernel", "layer_1/ffn_1/kernel"]
    rows = part.variables(numbers_in(names))
    assert [row.name for row in rows if row.name.endswith("kernel")] == names
    assert rows[-1] == Variable("layer_1/ffn_1/bias", "layers/1/ffn/1/bias", "h")


def test_rows_under_an_optional_prefix_are_left_out_together() -> None:
    part = Part((("norm", "norm", "h"), ("projection/{kb}", "_projection/{kb}", "h")), optional=("projection/",))
    assert len(part.variables(numbers_in(()))) == 3
    assert [row.name for row in part.variables(numbers_in(()), ["projection/"])] == ["norm"]


def test_a_drop_rule_matches_whole_names() -> None:
    drop = Drop("head", ("output_weights", "cls/*"))
    assert drop.matches("output_weights")
    assert drop.matches("cls/predictions/output_bias")
    assert not drop.matches("my/output_weights")


@pytest.mark.parametrize(
    ("name", "renamed"),
    [
        ("bert/encoder/layer_9/output/dense/kernel", "bert_model/encoder/layer_9/output/kernel"),
        ("bert/embeddings/word_embeddings", "bert_model/word_embeddings/embeddings"),
        ("bert/layer_0/attention/output/dense/bias/adam_m", "bert_model/layer_0/self_attention_output/bias/adam_m"),
        ("cls/predictions/transform/dense/kernel", "cls/predictions/transform/dense/kernel"),
    ],
)
def test_the_names_of_2019(name: str, renamed: str) -> None:
    assert KERAS.rename(name) == renamed


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("bert/encoder/layer_0/attention/output/dense/kernel", "(a d) h -> a d h"),
        ("bert/encoder/layer_0/attention/output/dense/bias", None),
        ("bert/encoder/layer_0/attention/self/key/kernel/adam_v", "h (a d) -> h a d"),
        ("bert/encoder/layer_0/attention/self/key/bias", "(a d) -> a d"),
        ("bert/encoder/layer_0/output/dense/kernel", None),
    ],
)
def test_the_reshapes_of_2019_look_at_the_source_name(name: str, pattern: str | None) -> None:
    assert KERAS.axes(name) == pattern
