"""The three public calls: plan a conversion, carry it out, or prove that one is right."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence

from tfckpt.bundle.paths import V2
from tfckpt.checkpoint import state_file
from tfckpt.checkpoint.checkpoint import Checkpoint, check_apart
from tfckpt.checkpoint.checkpoint import open as open_checkpoint
from tfckpt.checkpoint.locate import check_prefix
from tfckpt.conversion import prove as proving
from tfckpt.conversion.back import plan_back
from tfckpt.conversion.config import FIELDS, Config, find_config, read_config
from tfckpt.conversion.execute import Progress, execute
from tfckpt.conversion.layout_file import read_layout
from tfckpt.conversion.names import plan_names
from tfckpt.conversion.objects import plan_objects
from tfckpt.conversion.plan import Plan, parse_fill
from tfckpt.conversion.proof import Proof
from tfckpt.conversion.resize import Resizing, parse_resizing
from tfckpt.errors import UsageError
from tfckpt.layouts.catalog import DEFAULT, OBJECT_LAYOUTS, TF1, find_layout
from tfckpt.layouts.custom import CustomLayout
from tfckpt.layouts.rules import HubLayout, Layout, NameLayout

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
    vocab_size: int | None = None,
    max_positions: int | None = None,
    resize_fill: str = "zeros",
    layout: PathLike | None = None,
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
        vocab_size: number of rows that the target's word table gets, and all else that has one for each word.
        max_positions: number of rows that its position table gets.
        resize_fill: what rows hold that are added so: ``"zeros"``, or ``"mean"`` of the old ones.
        layout: a TOML file with a layout of your own, which is then the target; with ``to="tf1"``, the way back from it.
        source_format: ``"v2"`` or ``"v1"``; unless given, whichever is there, V2 before V1.
    Returns:
        The `Plan`: what becomes of each variable, and the sizes used.
    Raises:
        PlanError: source and target do not fit; lists every reason.
        LayoutError: the layout file cannot be used; lists every reason.
        ConfigError: the configuration cannot be used.
        CheckpointNotFoundError, FormatError, UsageError.
    Example:
        >>> report = tfckpt.plan("bert_model.ckpt")
        >>> report.num_heads, len(report.steps), len(report.dropped)
        (2, 39, 100)
    """
    with open_checkpoint(source, format=source_format) as checkpoint:
        resizing = parse_resizing(vocab_size, max_positions, resize_fill)
        return _plan(checkpoint, to, config, num_heads, exclude, scope, fill, resizing, layout)


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
    vocab_size: int | None = None,
    max_positions: int | None = None,
    resize_fill: str = "zeros",
    layout: PathLike | None = None,
    source_format: str | None = None,
    verify: bool = True,
    sync: bool = True,
    overwrite: bool = False,
    update_state: bool = False,
    prove: bool = False,
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
        vocab_size: as for `plan`.
        max_positions: as for `plan`.
        resize_fill: as for `plan`.
        layout: as for `plan`.
        source_format: as for `plan`.
        verify: compare each tensor's checksum with its bytes on the way.
        sync: return only when the files have reached the disk.
        overwrite: replace a checkpoint that is under ``dest``.
        update_state: make it the latest in the file ``checkpoint`` of its directory, which ``latest_checkpoint`` reads.
        prove: read both checkpoints again when all is written, and compare every value and every checksum.
        progress: called with (bytes done, bytes in all) after each tensor.
    Returns:
        The `Plan` that was carried out.
    Raises:
        CheckpointExistsError: ``dest`` is taken, and ``overwrite`` is false.
        ChecksumError: the source is damaged; names tensor and byte.
        StorageError: the operating system refused.
        ProofError: what was written is not what was planned; it stays where it is, and the file ``checkpoint`` as it was.
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
        resizing = parse_resizing(vocab_size, max_positions, resize_fill)
        report = _plan(checkpoint, to, config, num_heads, exclude, scope, fill, resizing, layout)
        if update_state:
            # One that cannot be read stops us before anything is written.
            state_file.read_state(os.path.dirname(prefix))
        execute(report, checkpoint.reader, prefix, verify=verify, sync=sync, overwrite=overwrite, progress=progress)
        if prove:
            with open_checkpoint(prefix, format=V2) as written:
                proving.prove(report, checkpoint, written)
    if update_state:
        state_file.update_state(prefix)
    logger.info("%s: %d tensors written to %s", report.source, len(report.steps), prefix)
    return report


def prove(
    source: PathLike,
    dest: PathLike,
    *,
    to: str = DEFAULT,
    config: PathLike | None = None,
    num_heads: int | None = None,
    exclude: Sequence[str] = (),
    fill: str | None = None,
    scope: str = "",
    vocab_size: int | None = None,
    max_positions: int | None = None,
    resize_fill: str = "zeros",
    layout: PathLike | None = None,
    source_format: str | None = None,
) -> Proof:
    """Show, tensor by tensor, that a converted checkpoint holds its source's values in the target's layout.

    The plan is made anew, every value is compared bit for bit, and every checksum of both checkpoints, whatever tool wrote
    them. An object-based DEST is compared by its object graph: its model may hang on any root, and its keys may be spelled in
    any way. What DEST holds beside the model, a save counter or an optimizer, is named in the proof.

    Args:
        source: as for `plan`.
        dest: the checkpoint to compare with it: a prefix, one of its files, or its directory.
        to: as for `plan`.
        config: as for `plan`.
        num_heads: as for `plan`.
        exclude: as for `plan`.
        fill: as for `plan`.
        scope: as for `plan`.
        vocab_size: as for `plan`.
        max_positions: as for `plan`.
        resize_fill: as for `plan`.
        layout: as for `plan`.
        source_format: as for `plan`.
    Returns:
        The `Proof`: what was compared with what, and what else there is.
    Raises:
        ProofError: DEST is not right: values or shapes that differ, variables that are missing, tensors that nothing accounts
            for, bytes that do not match their checksum; lists all of them.
        PlanError, ConfigError, CheckpointNotFoundError, FormatError, UsageError: as for `plan`.
    Example:
        >>> _ = tfckpt.convert("bert_model.ckpt", "tf2/bert_encoder", overwrite=True)
        >>> proof = tfckpt.prove("bert_model.ckpt", "tf2/bert_encoder")
        >>> len(proof.tensors), proof.at
        (39, 'encoder')
    """
    with open_checkpoint(source, format=source_format) as checkpoint, open_checkpoint(dest) as other:
        resizing = parse_resizing(vocab_size, max_positions, resize_fill)
        report = _plan(checkpoint, to, config, num_heads, exclude, scope, fill, resizing, layout)
        return proving.right(proving.compare(report, checkpoint, other))


def _plan(
    checkpoint: Checkpoint,
    to: str,
    config: PathLike | None,
    num_heads: int | None,
    exclude: Sequence[str],
    scope: str,
    fill: str | None,
    resizing: Resizing,
    layout_file: PathLike | None,
) -> Plan:
    if num_heads is not None and num_heads < 0:
        raise UsageError(f"number of attention heads: expected 1 or more, got {num_heads}")
    if scope and to != TF1.name:
        raise UsageError(
            f"scope: only for the way back, {TF1.name!r}; the scope of a TF1 checkpoint is found by itself"
        )
    entries = checkpoint.entries()
    custom = None if layout_file is None else read_layout(os.fspath(layout_file))
    layout = find_layout(to, list(checkpoint)) if custom is None else _custom_target(to, custom)
    if isinstance(layout, NameLayout):
        if resizing.sizes:
            raise UsageError(f"sizes: {to!r} only renames; resize on the way to an object-based target, or back to TF1")
        return plan_names(checkpoint.prefix, entries, layout, num_heads=num_heads, excluded=exclude)
    known = _known_config(checkpoint.prefix, config, FIELDS if custom is None else custom.config)
    if isinstance(layout, HubLayout):
        graph = checkpoint.object_graph
        return plan_back(
            checkpoint.prefix,
            entries,
            graph,
            layout,
            OBJECT_LAYOUTS if custom is None else (custom.layout,),
            config=known,
            num_heads=num_heads,
            excluded=exclude,
            scope=scope,
            resizing=resizing,
        )
    return plan_objects(
        checkpoint.prefix,
        entries,
        layout,
        config=known,
        num_heads=num_heads,
        excluded=exclude,
        fill=None if fill is None else parse_fill(fill),
        resizing=resizing,
    )


def _custom_target(to: str, custom: CustomLayout) -> Layout:
    """Return the target where a layout file is given: its own layout, or TF1."""
    if to == TF1.name:
        return TF1
    if to not in (DEFAULT, custom.layout.name):
        raise UsageError(f"target {to!r}: the layout file has {custom.layout.name!r}; besides it there is {TF1.name!r}")
    return custom.layout


def _known_config(prefix: str, config: PathLike | None, fields: Mapping[str, str]) -> Config | None:
    if not fields:
        return None
    return find_config(prefix, fields) if config is None else read_config(os.fspath(config), fields)
