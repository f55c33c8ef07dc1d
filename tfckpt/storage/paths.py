"""Prefix <-> file names, on the disk and behind URLs.

A URL is cut and joined like any path, except that the query of ``https://host/model.ckpt?token=x`` goes with all of a
checkpoint's files: ``https://host/model.ckpt.index?token=x``.

Source: tensorflow/core/util/tensor_bundle/naming.cc.
"""

from __future__ import annotations

import os
import re

from tfckpt.base.issues import Remedy, look

V1, V2 = FORMATS = ("v1", "v2")  # SavedTensorSlices tables, TensorBundles
INDEX_SUFFIX = ".index"
REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
QUERY = re.compile(r"(?<!\?)\?(?!\?)")  # five of them stand for a number in the names of V1 shards
SHARD_SUFFIX = re.compile(r"\.data-(\d{5})-of-(\d{5})$")
V1_SHARD_SUFFIX = re.compile(r"(?<!\.data)-(?:\d{5}|\?{5})-of-(\d{5})$")


def is_remote(path: str) -> bool:
    """Whether a path is a URL: ``s3://bucket/model.ckpt``."""
    return REMOTE.match(path) is not None


def split_query(path: str) -> tuple[str, str]:
    """Return a path and the query of it, if it is a URL that can have one.

    >>> split_query("https://host/model.ckpt?token=x"), split_query("what?")
    (('https://host/model.ckpt', '?token=x'), ('what?', ''))
    """
    if path.startswith(("http://", "https://")) and (match := QUERY.search(path)):
        return path[: match.start()], path[match.start() :]
    return path, ""


def join(directory: str, name: str) -> str:
    """Return the path of a name in a directory, as `os.path.join`.

    >>> join("https://host/run?token=x", "checkpoint"), join("run", "checkpoint")
    ('https://host/run/checkpoint?token=x', 'run/checkpoint')
    """
    path, query = split_query(directory)
    return name if os.path.isabs(name) else os.path.join(path, name) + query


def anchored(path: str) -> str:
    """Return a path that means the same when the process has changed its directory; ``..`` and links stay as they are.

    >>> anchored("/run/model.ckpt"), anchored("s3://bucket/model.ckpt")
    ('/run/model.ckpt', 's3://bucket/model.ckpt')
    """
    if is_remote(path) or os.path.isabs(path):
        return path
    try:
        return os.path.join(os.getcwd(), path)
    except OSError:  # the directory is gone
        return path


def looking(path: str) -> Remedy | None:
    """Return the remedy to see what lies where a file was expected; None behind URLs.

    >>> looking("run/model.ckpt.index").for_python()
    "look into 'run'"
    """
    return None if is_remote(path) else look(split(path)[0] or os.curdir)


def split(path: str) -> tuple[str, str]:
    """Return the directory that a path lies in, and the name in it, as `os.path.split`.

    >>> split("https://host/run/model.ckpt?token=x"), split("memory://model.ckpt"), split("run/model.ckpt")
    (('https://host/run?token=x', 'model.ckpt'), ('memory://', 'model.ckpt'), ('run', 'model.ckpt'))
    """
    match = REMOTE.match(path)
    if match is None:
        return os.path.split(path)
    path, query = split_query(path)
    directory, _, name = path[match.end() :].rpartition("/")
    return match[0] + directory + query, name


def index_path(prefix: str) -> str:
    """Return the name of a bundle's index.

    >>> index_path("bert_model.ckpt")
    'bert_model.ckpt.index'
    """
    path, query = split_query(prefix)
    return path + INDEX_SUFFIX + query


def shard_path(prefix: str, shard: int, num_shards: int) -> str:
    """Return the name of one data file.

    >>> shard_path("bert_model.ckpt", 0, 1)
    'bert_model.ckpt.data-00000-of-00001'
    """
    path, query = split_query(prefix)
    return f"{path}.data-{shard:05d}-of-{num_shards:05d}{query}"


def strip_suffix(path: str) -> str:
    """Return the prefix that the name of an index or of a data file belongs to; any other path unchanged.

    >>> strip_suffix("model.ckpt-3.data-00001-of-00004"), strip_suffix("model.ckpt-3")
    ('model.ckpt-3', 'model.ckpt-3')
    """
    path, query = split_query(path)
    return SHARD_SUFFIX.sub("", path).removesuffix(INDEX_SUFFIX) + query


def file_names(prefix: str, names: list[str]) -> list[str]:
    """Return those of a directory's ``names`` that are files of the bundle ``prefix``, its index first."""
    _, base = split(prefix)
    found = [name for name in names if name != base and strip_suffix(name) == base]
    return sorted(found, key=lambda name: (not name.endswith(INDEX_SUFFIX), name))


def v1_pattern(path: str) -> str:
    """Return the name that TensorFlow gives to all shards of a V1 checkpoint, from that of one; any other path unchanged.

    >>> v1_pattern("export-00001-of-00003"), v1_pattern("model.ckpt")
    ('export-?????-of-00003', 'model.ckpt')
    """
    path, query = split_query(path)
    return V1_SHARD_SUFFIX.sub(r"-?????-of-\1", path) + query


def v1_paths(prefix: str) -> list[str]:
    """Return the names of a V1 checkpoint's files: those that the pattern means, or the one file.

    >>> v1_paths("export-?????-of-00002"), v1_paths("model.ckpt")
    (['export-00000-of-00002', 'export-00001-of-00002'], ['model.ckpt'])
    """
    path, query = split_query(prefix)
    match = V1_SHARD_SUFFIX.search(path)
    if match is None:
        return [prefix]
    return [f"{path[: match.start()]}-{shard:05d}-of-{match[1]}{query}" for shard in range(int(match[1]))]
