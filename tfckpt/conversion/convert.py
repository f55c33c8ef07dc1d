"""The two public calls: plan a conversion, or carry it out."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

from tfckpt.checkpoint import state_file
from tfckpt.checkpoint.checkpoint import Checkpoint, check_apart
from tfckpt.checkpoint.checkpoint import open as open_checkpoint
from tfckpt.checkpoint.locate import check_prefix
from tfckpt.conversion.back import plan_back
from tfckpt.conversion.config import find_beside, find_config, read_config
from tfckpt.conversion.execute import Progress, execute
from tfckpt.conversion.names import plan_names
from tfckpt.conversion.objects import plan_objects
from tfckpt.conversion.plan import Plan, parse_fill
from tfckpt.errors import UsageError
from tfckpt.layouts.catalog import DEFAULT, TF1, find_layout, find_models
from tfckpt.layouts.rules import HubLayout, NameLayout

logger = logging.getLogger("tfckpt")

PathLike = str | os.PathLike[str]


def plan(
    source: PathLike,
    *,
    to: str = DEFAULT,
    config: PathLike | None = None,
    num_heads: int | None = None,
    exclude: Sequence[str] = (),
    fill: str | None = None,
    scope: str = "",
    model: str = "",
    source_format: str | None = None,
) -> Plan:
    """Decide what a conversion would do with every tensor; reads the index, writes nothing.

    Args:
        source: a checkpoint: a prefix, one of its files, or its directory. A TF1 one; for the way back, an object-based one.
        to: name of the target's layout; ``tfckpt layouts`` lists them.
        config: the model's JSON configuration; unless given, ``bert_config.json``, ``albert_config.json`` or ``config.json``
            beside the source. Name-based targets do not read it.
        num_heads: number of attention heads, where no configuration states it.
        exclude: substrings of names of variables to leave out.
        fill: ``"zeros"`` or ``"normal:SEED"`` (deviation 0.02, as BERT's own initializer), for variables that the target
            needs and the source lacks; unless given, each of them is a complaint.
        scope: for the way back: what to put before every TF1 name, such as ``"module/"``.
        model: for the way back, where the objects are those of several models (an encoder's of ELECTRA may be BERT's): which
            it is, a family or ``"FAMILY/TARGET"``, such as ``"ELECTRA/generator"``.
        source_format: ``"v2"`` or ``"v1"``; unless given, whichever is there, V2 before V1.
    Returns:
        The `Plan`: what becomes of each variable, and the sizes used.
    Raises:
        PlanError: source and target do not fit; lists every reason.
        ConfigError: the configuration cannot be used.
        CheckpointNotFoundError, FormatError, UsageError.
    Example:
        >>> report = tfckpt.plan("bert_model.ckpt")
        >>> report.num_heads, len(report.steps), len(report.dropped)
        (2, 39, 100)
    """
    with open_checkpoint(source, format=source_format) as checkpoint:
        return _plan(checkpoint, to, config, num_heads, exclude, scope, model, fill)


def convert(
    source: PathLike,
    dest: PathLike,
    *,
    to: str = DEFAULT,
    config: PathLike | None = None,
    num_heads: int | None = None,
    exclude: Sequence[str] = (),
    fill: str | None = None,
    scope: str = "",
    model: str = "",
    source_format: str | None = None,
    verify: bool = True,
    sync: bool = True,
    overwrite: bool = False,
    update_state: bool = False,
    progress: Progress | None = None,
) -> Plan:
    """Convert a checkpoint; DEST appears when all of it is written, or not at all.

    Args:
        source: as for `plan`. It is only read.
        dest: the exact prefix of the files to write; missing directories are made.
        to: as for `plan`.
        config: as for `plan`.
        num_heads: as for `plan`.
        exclude: as for `plan`.
        fill: as for `plan`.
        scope: as for `plan`.
        model: as for `plan`.
        source_format: as for `plan`.
        verify: compare each tensor's checksum with its bytes on the way.
        sync: return only when the files have reached the disk.
        overwrite: replace a checkpoint that is under ``dest``.
        update_state: make it the latest in the file ``checkpoint`` of its directory, which ``latest_checkpoint`` reads.
        progress: called with (bytes done, bytes in all) after each tensor.
    Returns:
        The `Plan` that was carried out.
    Raises:
        CheckpointExistsError: ``dest`` is taken, and ``overwrite`` is false.
        ChecksumError: the source is damaged; names tensor and byte.
        StorageError: the operating system refused.
        PlanError, ConfigError, CheckpointNotFoundError, FormatError, UsageError: as for `plan`.
    Example:
        >>> tfckpt.convert("bert_model.ckpt", "tf2/bert_encoder").to
        'encoder'
        >>> key = "encoder/layer_with_weights-0/embeddings/.ATTRIBUTES/VARIABLE_VALUE"
        >>> tfckpt.open("tf2/bert_encoder")[key].shape
        (30, 8)
    """
    prefix = check_prefix(dest)
    with open_checkpoint(source, format=source_format) as checkpoint:
        check_apart(checkpoint, prefix)
        report = _plan(checkpoint, to, config, num_heads, exclude, scope, model, fill)
        if update_state:
            # One that cannot be read stops us before anything is written.
            state_file.read_state(os.path.dirname(prefix))
        execute(report, checkpoint.reader, prefix, verify=verify, sync=sync, overwrite=overwrite, progress=progress)
    if update_state:
        state_file.update_state(prefix)
    logger.info("%s: %d tensors written to %s", report.source, len(report.steps), prefix)
    return report


def _plan(
    checkpoint: Checkpoint,
    to: str,
    config: PathLike | None,
    num_heads: int | None,
    exclude: Sequence[str],
    scope: str,
    model: str,
    fill: str | None,
) -> Plan:
    if num_heads is not None and num_heads < 0:
        raise UsageError(f"number of attention heads: expected 1 or more, got {num_heads}")
    if scope and to != TF1.name:
        raise UsageError(
            f"scope: only for the way back, {TF1.name!r}; the scope of a TF1 checkpoint is found by itself"
        )
    if model and to != TF1.name:
        raise UsageError(
            f"model: only for the way back, {TF1.name!r}; the family of a TF1 checkpoint is found by itself"
        )
    entries = checkpoint.entries()
    layout = find_layout(to, list(checkpoint))
    if isinstance(layout, NameLayout):
        return plan_names(checkpoint.prefix, entries, layout, num_heads=num_heads, excluded=exclude)
    known = find_config(checkpoint.prefix) if config is None else read_config(os.fspath(config))
    if isinstance(layout, HubLayout):
        graph = checkpoint.object_graph
        return plan_back(
            checkpoint.prefix,
            entries,
            graph,
            layout,
            find_models(model),
            config=known,
            num_heads=num_heads,
            excluded=exclude,
            scope=scope,
        )
    second = layout.family.second
    return plan_objects(
        checkpoint.prefix,
        entries,
        layout,
        config=known,
        num_heads=num_heads,
        excluded=exclude,
        fill=None if fill is None else parse_fill(fill),
        second=None if second is None else find_beside(checkpoint.prefix, second.config_file),
    )
