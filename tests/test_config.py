from __future__ import annotations

import re
from pathlib import Path

import pytest

from tfckpt.conversion.config import find_config, read_config
from tfckpt.errors import CheckpointNotFoundError, ConfigError, FormatError

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
    ],
    ids=range(9),
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
