from __future__ import annotations

import json
import pickle
import re
from pathlib import Path
from typing import Any

import pytest

from tfckpt.errors import CheckpointNotFoundError, ConfigError, FormatError
from tfckpt.families.language.facts import Fact
from tfckpt.planning.config import find_config, read_config

NAMES = ("bert_config.json", "albert_config.json", "config.json")


@pytest.mark.parametrize("name", NAMES)
def test_a_configuration_beside_the_checkpoint_is_found(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"hidden_size": 8, "hidden_act": "gelu"}', encoding="utf-8")
    config = find_config(str(tmp_path / "model.ckpt"))
    assert config is not None
    assert (config.origin, config.sizes) == (name, {"hidden_size": 8})


def test_the_more_specific_name_wins(tmp_path: Path) -> None:
    for size, name in enumerate(NAMES, start=1):
        (tmp_path / name).write_text(f'{{"hidden_size": {size}}}', encoding="utf-8")
    config = find_config(str(tmp_path / "model.ckpt"))
    assert config is not None
    assert config.sizes == {"hidden_size": 1}


def test_none_beside_the_checkpoint_is_none(tmp_path: Path) -> None:
    assert find_config(str(tmp_path / "model.ckpt")) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"hidden_size": ' + "9" * 5000 + "}", "not JSON"),
        ("[1]", "expected a JSON object, got a list"),
        ('{"a": 1}', "not a model's configuration"),
        ('{"hidden_size": 0}', "hidden_size: expected a positive integer, got 0"),
        ('{"hidden_size": 8.0}', "hidden_size: expected a positive integer, got 8.0"),
        ('{"hidden_size": true}', "hidden_size: expected a positive integer, got True"),
        ('{"hidden_size": "8"}', "hidden_size: expected a positive integer, got '8'"),
        (
            '{"type_vocab_size": [3, 256, 256, 2, 256, 256, 10]}',
            "type_vocab_size: expected a positive integer, got a list of 7: it is a TAPAS model with seven kinds of "
            "segments, and no target supports it",
        ),
        (
            '{"type_vocab_size": [2, 4]}',
            "type_vocab_size: expected a positive integer, got a list of 2: of a model that has several; no target takes it",
        ),
        (
            '{"num_attention_heads": [12, 8]}',
            "num_attention_heads: expected a positive integer, got a list of 2: of a model that has several; no target "
            "takes it",
        ),
    ],
    ids=range(12),
)
def test_what_is_no_configuration_is_an_error_that_names_file_and_field(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "bert_config.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        read_config(str(path))
    assert str(caught.value).startswith(str(path))


def test_a_size_is_below_two_to_the_31_and_a_file_at_most_a_megabyte(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    text = '{"vocab_size": 2147483647}'
    path.write_text(text.ljust(1 << 20), encoding="utf-8")
    assert read_config(str(path)).sizes == {"vocab_size": 2**31 - 1}
    path.write_text(text.ljust(1 + (1 << 20)), encoding="utf-8")
    with pytest.raises(FormatError, match="expected at most 1,048,576 bytes, got 1,048,577"):
        read_config(str(path))
    path.write_text('{"vocab_size": 2147483648}', encoding="utf-8")
    with pytest.raises(ConfigError, match="vocab_size: expected at most 2,147,483,647, got a number of 10 digits"):
        read_config(str(path))


def test_bytes_that_are_no_text_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "bert_config.json").write_bytes(b'{"hidden_size": \xff}')
    with pytest.raises(FormatError, match="at byte 16: expected UTF-8"):
        find_config(str(tmp_path / "model.ckpt"))


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "c.json").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(FormatError, match="at most 1,048,576 bytes"):
        read_config(str(tmp_path / "c.json"))


def test_a_file_that_was_named_must_exist(tmp_path: Path) -> None:
    with pytest.raises(CheckpointNotFoundError):
        read_config(str(tmp_path / "nothing.json"))


def configured(directory: Path, **stated: Any) -> str:
    """Write a configuration with a size and what is stated; return the path."""
    path = directory / "bert_config.json"
    path.write_text(json.dumps({"hidden_size": 8, **stated}), encoding="utf-8")
    return str(path)


def test_all_of_a_configuration_is_kept_and_pickles(tmp_path: Path) -> None:
    document = {"hidden_size": 8, "hidden_act": "relu", "directionality": "bidi", "task_specific_params": {"a": [1]}}
    config = read_config(configured(tmp_path, **document))
    assert json.loads(config.text) == document
    again = pickle.loads(pickle.dumps(config))
    assert again == config
    assert again.facts == {"hidden_act": Fact("relu", "bert_config.json")}


@pytest.mark.parametrize(
    ("stated", "facts"),
    [
        ({"hidden_act": "relu"}, {"hidden_act": "relu"}),
        ({"hidden_activation": "relu"}, {"hidden_act": "relu"}),
        ({"hidden_act": "relu", "hidden_activation": "relu"}, {"hidden_act": "relu"}),
        ({"layer_norm_eps": 1e-5}, {"layer_norm_eps": 1e-5}),
        ({"layer_norm_epsilon": 0}, {"layer_norm_eps": 0}),
        (
            {"hidden_dropout_prob": 0, "attention_probs_dropout_prob": 0.1, "initializer_range": 0.02},
            {"hidden_dropout_prob": 0, "attention_probs_dropout_prob": 0.1, "initializer_range": 0.02},
        ),
        ({"num_labels": 3}, {"num_labels": 3}),
        ({"id2label": {"0": "no", "1": "yes"}}, {"num_labels": 2}),
        ({"id2label": ["no", "yes", "maybe"]}, {"num_labels": 3}),
        ({"num_labels": 5, "id2label": {"0": "LABEL_0", "1": "LABEL_1"}}, {"num_labels": 5}),
        ({"num_labels": None, "id2label": {}, "pad_token_id": None}, {}),
        ({"position_embedding_type": "absolute"}, {"position_embedding_type": "absolute"}),
        ({"use_relative_position": True}, {"use_relative_position": True}),
        ({"use_bottleneck_attention": False}, {"use_bottleneck_attention": False}),
        ({"pad_token_id": 0}, {"pad_token_id": 0}),
        ({"directionality": 7, "pooler_type": ["first"]}, {}),
    ],
    ids=str,
)
def test_what_shapes_a_model_beside_its_sizes_is_a_fact(
    tmp_path: Path, stated: dict[str, Any], facts: dict[str, Any]
) -> None:
    config = read_config(configured(tmp_path, **stated))
    assert {name: fact.value for name, fact in config.facts.items()} == facts
    assert {fact.origin for fact in config.facts.values()} <= {"bert_config.json"}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("hidden_act", 3, "expected a name in quotes, got 3"),
        ("hidden_act", None, "expected a name in quotes, got None"),
        ("hidden_act", "", "expected a name in quotes, got ''"),
        ("hidden_act", "x" * 100_000, f"expected a name in quotes, got '{'x' * 79}"),
        ("hidden_activation", ["relu"], "expected a name in quotes, got a list of 1"),
        ("layer_norm_eps", "1e-12", "expected a number from 0 to 1, got '1e-12'"),
        ("layer_norm_eps", float("nan"), "expected a number from 0 to 1, got nan"),
        ("layer_norm_epsilon", float("inf"), "expected a number from 0 to 1, got inf"),
        ("layer_norm_eps", -1e-12, "expected a number from 0 to 1, got -1e-12"),
        ("layer_norm_eps", True, "expected a number from 0 to 1, got True"),
        ("hidden_dropout_prob", 1, "expected a number from 0 to below 1, got 1"),
        ("attention_probs_dropout_prob", {}, "expected a number from 0 to below 1, got a dict"),
        ("initializer_range", 10**4000, "expected a number from 0 to 1, got 1000"),
        ("num_labels", 0, "expected a positive integer, got 0"),
        ("num_labels", 2.0, "expected a positive integer, got 2.0"),
        ("id2label", "yes", "expected the labels of the classes, got 'yes'"),
        ("position_embedding_type", 1, "expected a name in quotes, got 1"),
        ("use_relative_position", "true", "expected true or false, got 'true'"),
        ("use_bottleneck_attention", 1, "expected true or false, got 1"),
        ("pad_token_id", -1, "expected an integer from 0 on, got -1"),
    ],
)
def test_a_fact_that_is_not_legal_is_an_error_that_names_file_and_key(
    tmp_path: Path, name: str, value: Any, message: str
) -> None:
    path = configured(tmp_path, **{name: value})
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    assert str(caught.value).startswith(f"{path}: {name}: {message}")
    assert len(str(caught.value)) < len(path) + 200


def test_the_keys_of_one_fact_must_not_contradict_each_other(tmp_path: Path) -> None:
    path = configured(tmp_path, hidden_act="gelu", hidden_activation="relu")
    with pytest.raises(ConfigError, match=r"hidden_activation: expected 'gelu', as hidden_act has it, got 'relu'$"):
        read_config(path)


def test_under_keys_of_the_user_there_are_no_facts(tmp_path: Path) -> None:
    path = configured(tmp_path, n_head=2, hidden_act=3)
    assert read_config(path, {"n_head": "heads"}).facts == {}
