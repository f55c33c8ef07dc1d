"""Files of a checkpoint under other names, as browsers, editors and copies give them, and the command that mends that."""

from __future__ import annotations

import os
import re
import shlex

from tfckpt.base.issues import Remedy, run
from tfckpt.errors import some
from tfckpt.storage import files
from tfckpt.storage.kinds.table import remedy_for
from tfckpt.storage.paths import INDEX_SUFFIX, SHARD_SUFFIX, is_remote, join, looking, split, strip_suffix
from tfckpt.storage.sniff import is_index_at, kind_of

COPY = r"(?:[ _-]*\(\d+\)|[ _-]+copy(?: \d+)?)"
RENAMED = re.compile(
    rf"(?P<base>.+?){COPY}?[._](?:index|data[-_](?P<shard>\d{{5}})[-_]of[-_](?P<shards>\d{{5}}))(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
# What is still being written, or was given up.
UNFINISHED = re.compile(
    r"\.(?:crdownload|part|partial|download|aria2|tmp|temp|filepart)$|tempstate|\.tfckpt-", re.IGNORECASE
)
PACKED = ("gzip", "bzip2", "xz")  # what unpacks one file
MOST_FILES = 100  # that are looked into


def right_name(name: str) -> str | None:
    """Return what a file was called that has become this one; None if its name does not tell, or is right.

    >>> right_name("bert_model.ckpt.index.txt"), right_name("model (1).data-00000-of-00001"), right_name("model.index")
    ('bert_model.ckpt.index', 'model.data-00000-of-00001', None)
    """
    found = RENAMED.fullmatch(name)
    if found is None:
        return None
    shard, shards = found["shard"], found["shards"]
    right = found["base"] + (INDEX_SUFFIX if shard is None else f".data-{shard}-of-{shards}")
    return None if right == name else right


def is_unfinished(name: str) -> bool:
    """Whether a file's name is that of a download or of a save which has not come to its end."""
    return UNFINISHED.search(name) is not None


def renamed_files(prefix: str) -> tuple[str, Remedy | None] | None:
    """Return what to say of a checkpoint whose files are there under other names, and the command that renames them.

    Returns: None unless one of its files is missing and such a file is there.
    """
    folder, base = split(prefix)
    folder = folder or os.curdir
    if is_remote(prefix) or not files.is_directory(folder):
        return None
    found = _candidates(folder, base)
    if not found:
        return None
    unfinished = list(filter(is_unfinished, found.values()))
    if unfinished:
        return f"{some(unfinished)} is an unfinished download: let it end, or repeat it", looking(prefix)
    places = [(join(split(prefix)[0], name), join(split(prefix)[0], right)) for right, name in found.items()]
    commands = [_giving_back(old, new) for old, new in places]
    text = some([_told(name, right, command) for (right, name), command in zip(found.items(), commands, strict=True)])
    return text, run(" && ".join(commands))


def _told(name: str, right: str, command: str) -> str:
    return f"{name} is packed" if command.startswith(PACKED) else f"{name} should be called {right}"


def _candidates(folder: str, base: str) -> dict[str, str]:
    """Return, for each file of a checkpoint that is missing, the one that has another name, the index first."""
    names = files.list_directory(folder)
    wrong = [(right, name) for name in names if (right := right_name(name)) is not None and right not in names]
    own = [(right, name) for right, name in wrong if strip_suffix(right) == base and not _is_whole(name, names)]
    found: dict[str, str] = {}
    for right, name in sorted(
        own[:MOST_FILES], key=lambda pair: (not pair[0].endswith(INDEX_SUFFIX), is_unfinished(pair[1]))
    ):
        if not right.endswith(INDEX_SUFFIX) or _may_be_index(join(folder, name)):
            found.setdefault(right, name)
    index, data = base + INDEX_SUFFIX, [name for name in names if SHARD_SUFFIX.search(name)]
    has_data = any(SHARD_SUFFIX.search(name) and strip_suffix(name) == base for name in (*data, *found))
    if index in names and not has_data:
        return _orphans(data, names, base)
    if has_data and index not in names and index not in found:
        others = [name for name in names if right_name(name) is None and not name.endswith(INDEX_SUFFIX)]
        found.update((index, name) for name in others[:MOST_FILES] if is_index_at(join(folder, name)))
    return found if index in names or index in found else {}


def _orphans(data: list[str], names: list[str], base: str) -> dict[str, str]:
    """Return the data files that are there without an index, if they are one checkpoint's, by their names beside this one."""
    alone = [name for name in data if strip_suffix(name) + INDEX_SUFFIX not in names]
    bases = {strip_suffix(name) for name in alone}
    return {base + name.removeprefix(other): name for other in bases for name in alone} if len(bases) == 1 else {}


def _is_whole(name: str, names: list[str]) -> bool:
    """Whether a file belongs to another checkpoint that has both its index and data: a second download."""
    base = strip_suffix(name)
    others = [other for other in names if other not in (name, base) and strip_suffix(other) == base]
    return base != name and any(other.endswith(INDEX_SUFFIX) != name.endswith(INDEX_SUFFIX) for other in others)


def _may_be_index(path: str) -> bool:
    """Whether a file is an index, or one that is packed or unfinished."""
    if is_unfinished(path) or is_index_at(path):
        return True
    kind = kind_of(path)
    return kind is not None and kind.command.startswith(PACKED)


def _giving_back(old: str, new: str) -> str:
    """Return the command that makes a file of the right name from one that is packed, or called otherwise."""
    kind = kind_of(old)
    unpacked = os.path.splitext(old)[0] == new
    if kind is not None and kind.command.startswith(PACKED) and unpacked and (remedy := remedy_for(kind, old)):
        return str(remedy.argument("command"))
    return shlex.join(["mv", "-n", *(os.path.join(os.curdir, p) if p.startswith("-") else p for p in (old, new))])


def prefixes_meant(folder: str) -> list[str]:
    """Return the names of the checkpoints in a directory whose index has another name."""
    rights = (right_name(name) for name in files.list_directory(folder))
    found = dict.fromkeys(
        right.removesuffix(INDEX_SUFFIX) for right in rights if right and right.endswith(INDEX_SUFFIX)
    )
    return [base for base in found if renamed_files(join(folder, base)) is not None]
