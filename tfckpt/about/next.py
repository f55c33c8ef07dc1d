"""What to type next with a file: one command, or one for each of several choices that only the user can make."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tfckpt.about.targets import Target
from tfckpt.base.options import DEFAULT, TF1_NAME, every_option
from tfckpt.base.shell import line
from tfckpt.storage import files
from tfckpt.storage.paths import index_path, split, strip_suffix

OURS = "tfckpt"
TF1_FOLDER, TF2_FOLDER = "tf1", "tf2"
NAMELESS = "model.ckpt"  # what is written of a source whose path has no name
SHARDS = re.compile(r"-(\?{5}|\d{5})-of-\d{5}$")  # of a V1 checkpoint
UNKNOWN = "N"  # stands for a number that only the user knows


def look_at(path: str, command: str, given: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the command that shows more of a checkpoint.

    >>> look_at("a b", "verify", {})
    ("tfckpt verify 'a b'",)
    """
    return (line([OURS, command, path, *_flags(given)]),)


def import_from(path: str) -> tuple[str, ...]:
    """Return the command that makes a checkpoint of a file of tensors."""
    name = os.path.splitext(split(path.rstrip(os.sep))[1])[0]
    return (line([OURS, "import", path, _free(f"{name}.ckpt" if name else NAMELESS)]),)


def go_back(path: str, given: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the command that makes a checkpoint for TensorFlow 1 of an object-based one."""
    return (_convert(path, TF1_FOLDER, Target(TF1_NAME, {}), given),)


def go_on(path: str, targets: Sequence[Target], given: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the command that makes a checkpoint for TensorFlow 2 of a name-based one, for each of several targets."""
    return tuple(_convert(path, TF2_FOLDER, target, given) for target in targets)


def _convert(path: str, folder: str, target: Target, given: Mapping[str, Any]) -> str:
    name = SHARDS.sub("", split(strip_suffix(path.rstrip(os.sep)))[1]) or NAMELESS
    to = {} if target.name == DEFAULT else {"to": target.name}
    needs = {option: UNKNOWN if value is None else value for option, value in target.needs.items()}
    return line([OURS, "convert", path, _free(os.path.join(folder, name)), *_flags({**to, **given, **needs})])


def _flags(given: Mapping[str, Any]) -> Iterator[str]:
    options = every_option()
    for name, value in given.items():
        if value is not None:
            yield from (options[name].flag, os.fspath(value) if isinstance(value, os.PathLike) else str(value))


def _free(path: str) -> str:
    """Return a path to write to, or another one if there is a checkpoint."""
    while files.exists(index_path(path)):
        path += ".new"
    return path
