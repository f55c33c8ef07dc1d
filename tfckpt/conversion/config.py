"""The model's configuration, as the JSON file that pretrained checkpoints come with.

Source: google-research/bert modeling.py, class BertConfig.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from types import NoneType
from typing import NamedTuple

from tfckpt.bundle import files
from tfckpt.bundle.paths import join, split
from tfckpt.errors import ConfigError, TfckptError, remedied

FILE_NAMES = ("bert_config.json", "albert_config.json", "config.json")
FILE_LIMIT = 1 << 20  # bytes; real ones have a few hundred

MAX_SIZE = (1 << 31) - 1  # of any part of a model

NUM_HEADS = "num_attention_heads"
NUM_LAYERS = "num_hidden_layers"
SIZE_FIELDS = (
    "vocab_size",
    "embedding_size",
    "hidden_size",
    NUM_LAYERS,
    NUM_HEADS,
    "intermediate_size",
    "max_position_embeddings",
    "type_vocab_size",
    "num_hidden_groups",
    "inner_group_num",
)


class Config(NamedTuple):
    """The sizes that a configuration file states, by field; others of its fields do not matter here."""

    path: str
    sizes: Mapping[str, int]

    @property
    def origin(self) -> str:
        """The file's name, to say where a size comes from."""
        return split(self.path)[1]


FIELDS = {name: name for name in SIZE_FIELDS}


def find_config(prefix: str, fields: Mapping[str, str] = FIELDS) -> Config | None:
    """Return the configuration that lies beside a checkpoint, or None.

    Raises: ConfigError if there is one that cannot be used.
    """
    return next(filter(None, (find_beside(prefix, name, fields) for name in FILE_NAMES)), None)


def find_beside(prefix: str, name: str, fields: Mapping[str, str] = FIELDS) -> Config | None:
    """Return the configuration in the file of this name beside a checkpoint, or None.

    Raises: ConfigError if it cannot be used.
    """
    path = join(split(prefix)[0], name)
    return read_config(path, fields) if files.exists(path) else None


def other_config(prefix: str) -> str | None:
    """Return the one JSON file beside a checkpoint that is a model's configuration under a name of its own; for messages."""
    folder = split(prefix)[0]
    found: list[str] = []
    try:
        for name in files.list_directory(folder or os.curdir):
            if name.endswith(".json") and name not in FILE_NAMES and len(found) < 2:
                with suppress(TfckptError):
                    found += [join(folder, name)] if NUM_HEADS in read_config(join(folder, name)).sizes else []
    except TfckptError:  # a store that cannot be listed
        return None
    return found[0] if len(found) == 1 else None


def read_config(path: str, fields: Mapping[str, str] = FIELDS) -> Config:
    """Return the configuration in a JSON file; ``fields`` tells which field each key of it means.

    Raises:
        ConfigError: it is not a JSON object, states no size at all, or one that is not a positive integer.
        CheckpointNotFoundError, StorageError, FormatError: it cannot be read, is too large, or is not UTF-8.
    """
    text = files.read_text(path, FILE_LIMIT)
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        from tfckpt.bundle.kinds import TEXT, kind_of, remedy_for

        kind = kind_of(path)
        kind = None if kind is TEXT else kind  # as it should be
        text = f"{path}: not JSON: {error}" + (f"; it is {kind.what}; {kind.then}" if kind else "")
        raise remedied(ConfigError(text), remedy_for(kind, path) if kind else None) from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a JSON object, got a {type(values).__name__}")
    found = {name: values[name] for name in fields if name in values}
    if not found:
        raise ConfigError(f"{path}: not a model's configuration: none of {', '.join(fields)}")
    for name, value in found.items():
        if type(value) is not int or value < 1:
            got = f"{value!r:.80}" if isinstance(value, (int, float, str, NoneType)) else f"a {type(value).__name__}"
            raise ConfigError(f"{path}: {name}: expected a positive integer, got {got}")
        if value > MAX_SIZE:
            raise ConfigError(
                f"{path}: {name}: expected at most {MAX_SIZE:,}, got a number of {len(str(value))} digits"
            )
    return Config(path, {fields[name]: value for name, value in found.items()})
