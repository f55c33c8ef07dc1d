"""What a file is: the call that describes a checkpoint, another file of tensors, or a folder."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING

from tfckpt.about.info import Info, describe_checkpoint, describe_file, describe_folder
from tfckpt.base.options import InfoOptions, PathLike
from tfckpt.base.signatures import takes
from tfckpt.checkpoint.checkpoint import open as open_checkpoint
from tfckpt.checkpoint.find.guess import latest
from tfckpt.checkpoint.find.locate import prefixes_in
from tfckpt.errors import CheckpointNotFoundError, located
from tfckpt.formats.opening import container_named, find_container, open_source
from tfckpt.storage import files
from tfckpt.storage.local_input import check_path
from tfckpt.storage.paths import join

if TYPE_CHECKING:
    from typing_extensions import Unpack


@takes(InfoOptions)
def info(path: PathLike, **options: Unpack[InfoOptions]) -> Info:
    """Say what a file is: its format, the model in it, what training keeps beside that, and what it can become.

    It reads the index, the object graph, and the scalars that count steps; no other value. To see what it can become, it
    plans a conversion to each target.

    Args:
        path: whatever `open` takes, a checkpoint or its directory, and whatever `import_` takes: a safetensors or .npz file,
            a directory of arrays. Of a folder with one such file, the file is described; with several, they are listed.
        **options: those of `InfoOptions`.
    Returns:
        The `Info`. Its ``problems`` are empty if every data file is there and long enough; checksums are not compared.
    Raises:
        CheckpointNotFoundError: nothing there that can be described; says what lies there instead.
        ConfigError: the configuration that was given cannot be used.
        FormatError, StorageError, UnsupportedError, UsageError.
    Example:
        >>> found = tfckpt.info("bert_model.ckpt")
        >>> found.summary.family, found.summary.heads.value, found.optimizer.slots
        ('BERT', 2, ('adam_m', 'adam_v'))
        >>> [target.name for target in found.targets if not target.needs][:3]
        ['pretrainer', 'pretrain-model', 'bert-pretrainer']
        >>> found.next[0].split()[:3]
        ['tfckpt', 'convert', 'bert_model.ckpt']
    """
    typed = os.fspath(path)
    check_path(typed)
    try:
        checkpoint = open_checkpoint(typed, format=options["source_format"])
    except CheckpointNotFoundError:
        if options["source_format"] is None and files.exists(typed):
            found = _other_than_a_checkpoint(typed, options)
            if found is not None:
                return found
        raise
    with checkpoint:
        return describe_checkpoint(checkpoint, typed, options)


def _other_than_a_checkpoint(path: str, options: InfoOptions) -> Info | None:
    """Return what a path is at which no checkpoint was found, or several; None if nothing that can be described."""
    if not files.is_directory(path):
        return _file(path, options)
    checkpoints = [join(path, name) for name in prefixes_in(path)]
    found = checkpoints or [other for name in files.list_directory(path) if _is_called_so(other := join(path, name))]
    if len(found) > 1:
        return describe_folder(path, found, latest(found))
    return _file(found[0] if found else path, options)


def _is_called_so(path: str) -> bool:
    """Whether something in a folder is one of our files by its name, or a directory of arrays."""
    return (find_container if files.is_directory(path) else container_named)(path) is not None


def _file(path: str, options: InfoOptions) -> Info | None:
    container = find_container(path)
    if container is None:
        return None
    with located(path, None), closing(open_source(path, None)) as source:
        return describe_file(source, container, options)
