"""The three public calls: plan a conversion, carry it out, or prove that one is right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tfckpt import log
from tfckpt.bundle.paths import V2, split
from tfckpt.checkpoint import state_file
from tfckpt.checkpoint.checkpoint import check_apart
from tfckpt.checkpoint.checkpoint import open as open_checkpoint
from tfckpt.checkpoint.locate import check_prefix
from tfckpt.conversion.execute import COPY, execute
from tfckpt.conversion.plan import Plan
from tfckpt.conversion.request import PathLike, Request, make_plan
from tfckpt.layouts.defaults import DEFAULT
from tfckpt.progress import Progress, finish, stages

if TYPE_CHECKING:
    from tfckpt.conversion.proof import Proof


def plan(
    source: PathLike,
    *,
    to: str = DEFAULT,
    config: PathLike | None = None,
    num_heads: int | None = None,
    exclude: Sequence[str] = (),
    fill: str | None = None,
    slots: str | None = None,
    optimizer: str | None = None,
    learning_rate: float | None = None,
    keep_names: bool = False,
    scope: str = "",
    model: str = "",
    vocab_size: int | None = None,
    max_positions: int | None = None,
    resize_fill: str = "zeros",
    layout: PathLike | None = None,
    source_format: str | None = None,
) -> Plan:
    """Decide what a conversion would do with every tensor; reads the index, writes nothing.

    Args:
        source: a checkpoint: a prefix, one of its files, or its directory. A TF1 one; for the way back, an object-based one.
        to: name of the target's layout; ``tfckpt layouts`` lists them. ``"auto"`` takes the fullest one for what the source
            holds, and says why in the plan's notes.
        config: the model's JSON configuration; unless given, ``bert_config.json``, ``albert_config.json`` or ``config.json``
            beside the source. Name-based targets do not read it.
        num_heads: number of attention heads, where no configuration states it. For name-based targets 0 is none: shapes stay.
        exclude: variables to leave out: by a part of their names; by the whole name, ``"=NAME"``; or by a shell glob of whole
            names, which a text with ``*``, ``?`` or ``[`` is. What the target needs is a complaint; but heads and poolers may
            be left out and filled, and of the network what is given by its whole name.
        fill: ``"zeros"`` or ``"normal:SEED"`` (deviation 0.02, as BERT's own initializer), for variables that the target
            needs and the source lacks; unless given, each of them is a complaint.
        slots: what becomes of ``adam_m``, ``adam_v`` and ``global_step``. ``"drop"`` leaves them out, as every target but
            the name-based ``keras`` does unless told. ``"convert"`` makes them the slots and the step of a Keras optimizer
            under the root's ``optimizer``; on the way back, those of either kind of optimizer become TF1's again. ``"keep"``
            carries them by name, in ``keras`` and ``tf1``. Keras's Adam corrects its averages for their bias and
            google-research's does not: training goes on from the same state, but its first steps are smaller than TF1's
            would be (docs/slots.md).
        optimizer: for ``slots="convert"``: ``"adam-weight-decay"``, Model Garden's, unless given; or ``"adamw"``, Keras's new
            one, built for the model's ``trainable_variables``.
        learning_rate: for ``slots="convert"``: the rate of an optimizer that has one number; unless given, the optimizer is
            expected to have a schedule, which has no rate to restore.
        keep_names: also list each tensor under its TF1 name and with its TF1 shape, over the same bytes, so that one file
            restores in both generations.
        scope: for the way back: what to put before every TF1 name, such as ``"module/"``.
        model: for the way back, where the objects are those of several models (an encoder's of ELECTRA may be BERT's): which
            it is, a family or ``"FAMILY/TARGET"``, such as ``"ELECTRA/generator"``.
        vocab_size: number of rows that the target's word table gets, and all else that has one for each word.
        max_positions: number of rows that its position table gets.
        resize_fill: what rows hold that are added so: ``"zeros"``, or ``"mean"`` of the old ones.
        layout: a TOML file with a layout of your own, which is then the target; with ``to="tf1"``, the way back from it.
        source_format: ``"v2"`` or ``"v1"``; unless given, whichever is there, V2 before V1.
    Returns:
        The `Plan`: what becomes of each variable, and the sizes used.
    Raises:
        PlanError: source and target do not fit, or ``"auto"`` cannot decide; lists every reason.
        LayoutError: the layout file cannot be used; lists every reason.
        ConfigError: the configuration cannot be used.
        CheckpointNotFoundError, FormatError, UsageError.
    Example:
        >>> report = tfckpt.plan("bert_model.ckpt")
        >>> report.num_heads, len(report.steps), len(report.dropped)
        (2, 39, 100)
    """
    with open_checkpoint(source, format=source_format) as checkpoint:
        request = Request(
            to=to,
            config=config,
            num_heads=num_heads,
            exclude=exclude,
            fill=fill,
            slots=slots,
            optimizer=optimizer,
            learning_rate=learning_rate,
            keep_names=keep_names,
            scope=scope,
            model=model,
            vocab_size=vocab_size,
            max_positions=max_positions,
            resize_fill=resize_fill,
            layout=layout,
        )
        return make_plan(checkpoint, request)


def convert(
    source: PathLike,
    dest: PathLike,
    *,
    to: str = DEFAULT,
    config: PathLike | None = None,
    num_heads: int | None = None,
    exclude: Sequence[str] = (),
    fill: str | None = None,
    slots: str | None = None,
    optimizer: str | None = None,
    learning_rate: float | None = None,
    keep_names: bool = False,
    scope: str = "",
    model: str = "",
    vocab_size: int | None = None,
    max_positions: int | None = None,
    resize_fill: str = "zeros",
    layout: PathLike | None = None,
    source_format: str | None = None,
    mode: str = COPY,
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
        slots: as for `plan`.
        optimizer: as for `plan`.
        learning_rate: as for `plan`.
        keep_names: as for `plan`.
        scope: as for `plan`.
        model: as for `plan`.
        vocab_size: as for `plan`.
        max_positions: as for `plan`.
        resize_fill: as for `plan`.
        layout: as for `plan`.
        source_format: as for `plan`.
        mode: ``"copy"`` writes every byte. ``"link"`` makes DEST's first data files hard links to SOURCE's, and ``"reflink"``
            clones that share their extents; what changes goes into one more. ``"auto"`` takes the first of reflink, link and
            copy that works here. A linked file is one file: editing SOURCE's in place would change DEST (docs/modes.md).
        verify: compare the checksum of each tensor that is written with its bytes.
        sync: return only when the files have reached the disk.
        overwrite: replace a checkpoint that is under ``dest``.
        update_state: make it the latest in the file ``checkpoint`` of its directory, which ``latest_checkpoint`` reads.
        prove: read both checkpoints again when all is written, and compare every value and every checksum.
        progress: called with (bytes done, bytes in all); with ``prove``, what is read again counts, too.
    Returns:
        The `Plan` that was carried out; its ``written`` says in which mode.
    Raises:
        CheckpointExistsError: ``dest`` is taken, and ``overwrite`` is false.
        ChecksumError: the source is damaged; names tensor and byte.
        StorageError: the operating system refused.
        UnsupportedError: ``mode`` was asked for by name and is impossible: another file system, a V1, partitioned or
            big-endian source.
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
        request = Request(
            to=to,
            config=config,
            num_heads=num_heads,
            exclude=exclude,
            fill=fill,
            slots=slots,
            optimizer=optimizer,
            learning_rate=learning_rate,
            keep_names=keep_names,
            scope=scope,
            model=model,
            vocab_size=vocab_size,
            max_positions=max_positions,
            resize_fill=resize_fill,
            layout=layout,
        )
        report = make_plan(checkpoint, request)
        if update_state:
            # One that cannot be read stops us before anything is written.
            state_file.read_state(split(prefix)[0])
        reading = sum(entry.nbytes for entry in checkpoint.entries()) + report.nbytes if prove else 0
        writing, proving = stages(progress, report.nbytes, reading)
        written = execute(
            report,
            checkpoint.reader,
            prefix,
            mode=mode,
            verify=verify,
            sync=sync,
            overwrite=overwrite,
            progress=writing,
        )
        finish(writing, report.nbytes)
        report = report._replace(written=written)
        if prove:
            from tfckpt.conversion.prove import prove as prove_plan

            with open_checkpoint(prefix, format=V2) as dest_checkpoint:
                prove_plan(report, checkpoint, dest_checkpoint, progress=proving)
    if update_state:
        state_file.update_state(prefix, sync=sync)
    log.info("%s: %d tensors written to %s", report.source, len(report.steps), prefix)
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
    slots: str | None = None,
    optimizer: str | None = None,
    learning_rate: float | None = None,
    keep_names: bool = False,
    scope: str = "",
    model: str = "",
    vocab_size: int | None = None,
    max_positions: int | None = None,
    resize_fill: str = "zeros",
    layout: PathLike | None = None,
    source_format: str | None = None,
    progress: Progress | None = None,
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
        slots: as for `plan`.
        optimizer: as for `plan`.
        learning_rate: as for `plan`.
        keep_names: as for `plan`.
        scope: as for `plan`.
        model: as for `plan`.
        vocab_size: as for `plan`.
        max_positions: as for `plan`.
        resize_fill: as for `plan`.
        layout: as for `plan`.
        source_format: as for `plan`.
        progress: called with (bytes done, bytes in all), which are those of both checkpoints.
    Returns:
        The `Proof`: what was compared with what, and what else there is.
    Raises:
        ProofError: DEST is not right: values or shapes that differ, variables that are missing, tensors that nothing accounts
            for, bytes that do not match their checksum; lists all of them, or says in one line what DEST is instead.
        PlanError, ConfigError, CheckpointNotFoundError, FormatError, UsageError: as for `plan`.
    Example:
        >>> _ = tfckpt.convert("bert_model.ckpt", "tf2/bert_encoder", overwrite=True)
        >>> proof = tfckpt.prove("bert_model.ckpt", "tf2/bert_encoder")
        >>> len(proof.tensors), proof.at
        (39, 'encoder')
    """
    from tfckpt.conversion.prove import compare

    with open_checkpoint(source, format=source_format) as checkpoint, open_checkpoint(dest) as other:
        request = Request(
            to=to,
            config=config,
            num_heads=num_heads,
            exclude=exclude,
            fill=fill,
            slots=slots,
            optimizer=optimizer,
            learning_rate=learning_rate,
            keep_names=keep_names,
            scope=scope,
            model=model,
            vocab_size=vocab_size,
            max_positions=max_positions,
            resize_fill=resize_fill,
            layout=layout,
        )
        report = make_plan(checkpoint, request)
        proof = compare(report, checkpoint, other, progress=progress)
        if proof.differences:
            from tfckpt.conversion.recover import explained  # most proofs are right

            raise explained(proof, checkpoint, other, request)
        return proof
