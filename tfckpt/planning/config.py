"""The model's configuration, as the JSON file that pretrained checkpoints come with.

Sizes are checked against shapes. Facts shape the model as well, and no tensor shows them: whoever builds it has to be told.

Source: google-research/bert modeling.py, class BertConfig; what others keep there, such as ``layer_norm_eps``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import NoneType
from typing import Any, NamedTuple

from tfckpt.base.html import in_notebooks
from tfckpt.base.options import Fixed
from tfckpt.errors import ConfigError, TfckptError, remedied
from tfckpt.storage import files
from tfckpt.storage.paths import join, split

FILE_NAMES = ("bert_config.json", "albert_config.json", "config.json")
FILE_LIMIT = 1 << 20  # bytes; real ones have a few hundred

MAX_SIZE = (1 << 31) - 1  # of any part of a model

NUM_HEADS = "num_attention_heads"
NUM_LAYERS = "num_hidden_layers"
TYPES = "type_vocab_size"
SIZE_FIELDS = (
    "vocab_size",
    "embedding_size",
    "hidden_size",
    NUM_LAYERS,
    NUM_HEADS,
    "intermediate_size",
    "max_position_embeddings",
    TYPES,
    "num_hidden_groups",
    "inner_group_num",
)

HIDDEN_ACT = "hidden_act"
LAYER_NORM_EPS = "layer_norm_eps"
NUM_LABELS = "num_labels"
POSITIONS = "position_embedding_type"
RELATIVE = "use_relative_position"
MAX_NAME = 64  # characters; real ones have some twenty


@in_notebooks
class Fact(NamedTuple):
    """What shapes a model, and no tensor shows.

    Attributes:
        value: a text, a number or a truth value, as the configuration has it; of labels, how many there are.
        origin: the configuration file that states it.
    """

    value: str | float | bool
    origin: str

    def to_json(self) -> dict[str, Any]:
        """Return it as what ``json.dumps`` takes."""
        return self._asdict()


class Legal(NamedTuple):
    """What a fact may be: in words, by a test, and whether null or an empty table states nothing."""

    what: str
    fits: Callable[[Any], bool]
    or_nothing: bool = False


def _is_number(value: object) -> bool:
    return type(value) in (int, float)


NAME = Legal("a name in quotes", lambda value: type(value) is str and 0 < len(value) <= MAX_NAME)
FLAG = Legal("true or false", lambda value: type(value) is bool)
NUMBER = Legal("a number from 0 to 1", lambda value: _is_number(value) and 0 <= value <= 1)
PROBABILITY = Legal("a number from 0 to below 1", lambda value: _is_number(value) and 0 <= value < 1)
COUNT = Legal("a positive integer", lambda value: type(value) is int and 1 <= value <= MAX_SIZE, or_nothing=True)
INDEX = Legal("an integer from 0 on", lambda value: type(value) is int and 0 <= value <= MAX_SIZE, or_nothing=True)
LABELS = Legal("the labels of the classes", lambda value: type(value) in (dict, list), or_nothing=True)

FACTS = (  # the key, the fact that it states, and what it may be; the first key of a fact counts
    (HIDDEN_ACT, HIDDEN_ACT, NAME),
    ("hidden_activation", HIDDEN_ACT, NAME),
    (LAYER_NORM_EPS, LAYER_NORM_EPS, NUMBER),
    ("layer_norm_epsilon", LAYER_NORM_EPS, NUMBER),
    ("hidden_dropout_prob", "hidden_dropout_prob", PROBABILITY),
    ("attention_probs_dropout_prob", "attention_probs_dropout_prob", PROBABILITY),
    ("initializer_range", "initializer_range", NUMBER),
    (NUM_LABELS, NUM_LABELS, COUNT),
    ("id2label", NUM_LABELS, LABELS),
    (POSITIONS, POSITIONS, NAME),
    (RELATIVE, RELATIVE, FLAG),
    ("use_bottleneck_attention", "use_bottleneck_attention", FLAG),
    ("pad_token_id", "pad_token_id", INDEX),
)
NO_FACTS: Mapping[str, Fact] = Fixed({})

SEGMENTS = 7  # kinds that TAPAS has: segment, column, row, and four of what stands in a cell


class Config(NamedTuple):
    """A configuration file.

    Attributes:
        path: where it is.
        sizes: those that it states, by field.
        facts: what it states besides, by the first key of each in `FACTS`.
        text: all of it, as it was read: JSON.
    """

    path: str
    sizes: Mapping[str, int]
    facts: Mapping[str, Fact] = NO_FACTS
    text: str = ""

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

    Only a file with the usual keys has facts: under others, a key may mean anything.

    Raises:
        ConfigError: it is not a JSON object, states no size at all, or one that is not a positive integer, or a fact that
            is not legal.
        CheckpointNotFoundError, StorageError, FormatError: it cannot be read, is too large, or is not UTF-8.
    """
    text = files.read_text(path, FILE_LIMIT)
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        from tfckpt.storage.sniff import TEXT, kind_of, remedy_for

        kind = kind_of(path)
        kind = None if kind is TEXT else kind  # as it should be
        problem = f"{path}: not JSON: {error}" + (f"; it is {kind.what}; {kind.then}" if kind else "")
        raise remedied(ConfigError(problem), remedy_for(kind, path) if kind else None) from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a JSON object, got a {type(values).__name__}")
    found = {name: values[name] for name in fields if name in values}
    if not found:
        raise ConfigError(f"{path}: not a model's configuration: none of {', '.join(fields)}")
    for name, value in found.items():
        if type(value) is not int or value < 1:
            raise ConfigError(f"{path}: {name}: expected a positive integer, got {_got(value)}{_several(name, value)}")
        if value > MAX_SIZE:
            raise ConfigError(
                f"{path}: {name}: expected at most {MAX_SIZE:,}, got a number of {len(str(value))} digits"
            )
    sizes = {fields[name]: value for name, value in found.items()}
    return Config(path, sizes, Fixed(_facts(path, values)) if fields is FIELDS else NO_FACTS, text)


def _facts(path: str, values: Mapping[str, Any]) -> dict[str, Fact]:
    """Return what a configuration states besides sizes, by the first key of each."""
    found: dict[str, Fact] = {}
    for key, fact, legal in FACTS:
        if key not in values or (legal.or_nothing and values[key] in (None, {}, [])):
            continue
        value = values[key]
        if not legal.fits(value):
            raise ConfigError(f"{path}: {key}: expected {legal.what}, got {_got(value)}")
        value = len(value) if legal is LABELS else value
        first = found.setdefault(fact, Fact(value, split(path)[1])).value
        if first != value and legal is not LABELS:  # an old table of labels may stand beside their number
            raise ConfigError(f"{path}: {key}: expected {first!r}, as {fact} has it, got {value!r}")
    return found


def _got(value: object) -> str:
    """Return what a value is that cannot be used."""
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return f"{value!r:.80}" if isinstance(value, (int, float, str, NoneType)) else f"a {type(value).__name__}"


def _several(name: str, value: object) -> str:
    """Return what a model is that has a list where others have one size; empty if it is no list."""
    if not isinstance(value, list):
        return ""
    if name == TYPES and len(value) == SEGMENTS:
        return ": it is a TAPAS model with seven kinds of segments, and no target supports it"
    return ": of a model that has several; no target takes it"
