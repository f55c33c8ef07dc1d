"""The tables: what they say is complete, unambiguous, and what the models have."""

from __future__ import annotations

import pytest

from tfckpt.errors import UsageError
from tfckpt.layouts import axes
from tfckpt.layouts.bert import ENCODER, KERAS
from tfckpt.layouts.catalog import LAYOUTS, find_layout
from tfckpt.layouts.rules import Drop, Each


def test_the_catalog_lists_each_layout_under_its_name() -> None:
    assert LAYOUTS == {"encoder": ENCODER, "keras": KERAS}
    assert find_layout("keras") is KERAS


def test_an_unknown_target_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="no target 'encodr'; there are encoder, keras"):
        find_layout("encodr")


@pytest.mark.parametrize("layers", [1, 2, 12])
def test_an_encoder_has_seven_variables_and_sixteen_a_layer(layers: int) -> None:
    variables = list(ENCODER.part.variables(range(layers)))
    assert len(variables) == 7 + 16 * layers
    assert len({variable.name for variable in variables}) == len({v.path for v in variables}) == len(variables)
    assert not [text for v in variables for text in (v.name, v.path) if "{" in text]


def test_every_letter_is_a_size_or_free_on_one_axis_only() -> None:
    for variable in ENCODER.part.variables([0]):
        for axis in axes.parse(variable.axes)[0]:
            assert len([letter for letter in axis if letter not in ENCODER.sizes]) <= 1


def test_containers_are_numbered_in_keras_order() -> None:
    paths = [variable.path for variable in ENCODER.part.variables(range(11))]
    numbered = ENCODER.part.numbered(paths)
    assert numbered["_embedding_norm_layer"] == "layer_with_weights-3"
    assert numbered["_transformer_layers/10"] == "layer_with_weights-14"
    assert numbered["_pooler_layer"] == "layer_with_weights-15"


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("bert/encoder/layer_0/output", 0),
        ("bert/encoder/layer_11/output", 11),
        ("bert/encoder/layer_01/output", None),
        ("bert/encoder/layer_x/output", None),
        ("bert/encoder/layer_1234567/output", None),
        ("x/bert/encoder/layer_1/output", None),
    ],
)
def test_layer_numbers_are_plain_decimals(name: str, layer: int | None) -> None:
    assert Each("bert/encoder/layer_{layer}/", "", ()).layer_of(name) == layer


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
