"""Prefix <-> file names.

Source: tensorflow/core/util/tensor_bundle/naming.cc.
"""

from __future__ import annotations

import os
import re

V1, V2 = FORMATS = ("v1", "v2")  # SavedTensorSlices tables, TensorBundles
INDEX_SUFFIX = ".index"
SHARD_SUFFIX = re.compile(r"\.data-(\d{5})-of-(\d{5})$")
V1_SHARD_SUFFIX = re.compile(r"(?<!\.data)-(?:\d{5}|\?{5})-of-(\d{5})$")


def index_path(prefix: str) -> str:
    """Return the name of a bundle's index.

    >>> index_path("bert_model.ckpt")
    'bert_model.ckpt.index'
    """
    return prefix + INDEX_SUFFIX


def shard_path(prefix: str, shard: int, num_shards: int) -> str:
    """Return the name of one data file.

    >>> shard_path("bert_model.ckpt", 0, 1)
    'bert_model.ckpt.data-00000-of-00001'
    """
    return f"{prefix}.data-{shard:05d}-of-{num_shards:05d}"


def strip_suffix(path: str) -> str:
    """Return the prefix that the name of an index or of a data file belongs to; any other path unchanged.

    >>> strip_suffix("model.ckpt-3.data-00001-of-00004"), strip_suffix("model.ckpt-3")
    ('model.ckpt-3', 'model.ckpt-3')
    """
    return SHARD_SUFFIX.sub("", path).removesuffix(INDEX_SUFFIX)


def file_names(prefix: str, names: list[str]) -> list[str]:
    """Return those of a directory's ``names`` that are files of the bundle ``prefix``, its index first."""
    base = os.path.basename(prefix)
    found = [name for name in names if name != base and strip_suffix(name) == base]
    return sorted(found, key=lambda name: (not name.endswith(INDEX_SUFFIX), name))


def v1_pattern(path: str) -> str:
    """Return the name that TensorFlow gives to all shards of a V1 checkpoint, from that of one; any other path unchanged.

    >>> v1_pattern("export-00001-of-00003"), v1_pattern("model.ckpt")
    ('export-?????-of-00003', 'model.ckpt')
    """
    return V1_SHARD_SUFFIX.sub(r"-?????-of-\1", path)


def v1_paths(prefix: str) -> list[str]:
    """Return the names of a V1 checkpoint's files: those that the pattern means, or the one file.

    >>> v1_paths("export-?????-of-00002"), v1_paths("model.ckpt")
    (['export-00000-of-00002', 'export-00001-of-00002'], ['model.ckpt'])
    """
    match = V1_SHARD_SUFFIX.search(prefix)
    if match is None:
        return [prefix]
    return [f"{prefix[: match.start()]}-{shard:05d}-of-{match[1]}" for shard in range(int(match[1]))]
