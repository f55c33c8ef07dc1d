"""The model's configuration, as the JSON file that pretrained checkpoints come with.

Sizes are checked against shapes. Facts shape the model as well, and no tensor shows them: whoever builds it has to be told.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import NoneType
from typing import Any, NamedTuple

from tfckpt.base.options import Fixed
from tfckpt.errors import ConfigError, TfckptError, remedied
from tfckpt.families.catalog import CATALOG
from tfckpt.families.language.facts import FACTS, FIELDS, LABELS, MAX_SIZE, NO_FACTS, NUM_HEADS, TYPES, Fact
from tfckpt.storage import files
from tfckpt.storage.paths import join, split

FILE_LIMIT = 1 << 20  # bytes; real ones have a few hundred

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


def find_config(prefix: str, fields: Mapping[str, str] = FIELDS, names: Sequence[str] | None = None) -> Config | None:
    """Return the configuration that lies beside a checkpoint under one of these names, or None.

    Raises: ConfigError if there is one that cannot be used.
    """
    return next(filter(None, (find_beside(prefix, name, fields) for name in names or CATALOG.config_files)), None)


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
            if name.endswith(".json") and name not in CATALOG.config_files and len(found) < 2:
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
        from tfckpt.storage.kinds.table import TEXT, remedy_for
        from tfckpt.storage.sniff import kind_of

        kind = kind_of(path)
        kind = None if kind is TEXT else kind  # as it should be
        problem = f"{path}: not JSON: {error}" + (f"; it is {kind.what}; {kind.advice(path)}" if kind else "")
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
