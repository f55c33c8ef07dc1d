"""The three public calls: plan a conversion, carry it out, or prove that one is right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfckpt.base import log
from tfckpt.base.options import ConvertOptions, PathLike, PlanOptions, ProveOptions, Request, given
from tfckpt.base.progress import finish, stages
from tfckpt.base.signatures import takes
from tfckpt.checkpoint.checkpoint import check_apart
from tfckpt.checkpoint.checkpoint import open as open_checkpoint
from tfckpt.checkpoint.find import state_file
from tfckpt.checkpoint.find.locate import check_prefix
from tfckpt.execution.run import execute
from tfckpt.planning.plan import Plan
from tfckpt.planning.request import make_plan
from tfckpt.proof.proof import Proof
from tfckpt.storage.paths import V2, split

if TYPE_CHECKING:
    from typing_extensions import Unpack


@takes(PlanOptions)
def plan(source: PathLike, **options: Unpack[PlanOptions]) -> Plan:
    """Decide what a conversion would do with every tensor; reads the index, writes nothing.

    Args:
        source: a checkpoint: a prefix, one of its files, or its directory. A TF1 one; for the way back, an object-based one.
        **options: those of `PlanOptions`.
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
    with open_checkpoint(source, format=options["source_format"]) as checkpoint:
        return make_plan(checkpoint, given(Request, options))


@takes(ConvertOptions)
def convert(source: PathLike, dest: PathLike, **options: Unpack[ConvertOptions]) -> Plan:
    """Convert a checkpoint; DEST appears when all of it is written, or not at all.

    Args:
        source: as `plan` takes it. It is only read.
        dest: the exact prefix of the files to write; missing directories are made.
        **options: those of `ConvertOptions`.
    Returns:
        The `Plan` that was carried out; its ``written`` says in which mode.
    Raises:
        CheckpointExistsError: ``dest`` is taken, and ``overwrite`` is false.
        ChecksumError: the source is damaged; names tensor and byte.
        StorageError: the operating system refused.
        UnsupportedError: ``mode`` was asked for by name and is impossible: another file system, a V1, partitioned or
            big-endian source.
        ProofError: what was written is not what was planned; it stays where it is, and the file ``checkpoint`` as it was.
        PlanError, ConfigError, CheckpointNotFoundError, FormatError, UsageError: as `plan` raises them.
    Example:
        >>> tfckpt.convert("bert_model.ckpt", "tf2/bert_encoder").to
        'encoder'
        >>> key = "encoder/layer_with_weights-0/embeddings/.ATTRIBUTES/VARIABLE_VALUE"
        >>> tfckpt.open("tf2/bert_encoder")[key].shape
        (30, 8)
    """
    prefix = check_prefix(dest)
    with open_checkpoint(source, format=options["source_format"]) as checkpoint:
        check_apart(checkpoint, prefix)
        report = make_plan(checkpoint, given(Request, options))
        if options["update_state"]:
            # One that cannot be read stops us before anything is written.
            state_file.read_state(split(prefix)[0])
        reading = sum(entry.nbytes for entry in checkpoint.entries()) + report.nbytes if options["prove"] else 0
        writing, proving = stages(options["progress"], report.nbytes, reading)
        written = execute(
            report,
            checkpoint.reader,
            prefix,
            mode=options["mode"],
            verify=options["verify"],
            sync=options["sync"],
            overwrite=options["overwrite"],
            progress=writing,
        )
        finish(writing, report.nbytes)
        report = report._replace(written=written)
        if options["prove"]:
            from tfckpt.proof.prove import prove as prove_plan

            with open_checkpoint(prefix, format=V2) as dest_checkpoint:
                prove_plan(report, checkpoint, dest_checkpoint, progress=proving)
    if options["update_state"]:
        state_file.update_state(prefix, sync=options["sync"])
    log.info("%s: %d tensors written to %s", report.source, len(report.steps), prefix)
    return report


@takes(ProveOptions)
def prove(source: PathLike, dest: PathLike, **options: Unpack[ProveOptions]) -> Proof:
    """Show, tensor by tensor, that a converted checkpoint holds its source's values in the target's layout.

    The plan is made anew, every value is compared bit for bit, and every checksum of both checkpoints, whatever tool wrote
    them. An object-based DEST is compared by its object graph: its model may hang on any root, and its keys may be spelled in
    any way. What DEST holds beside the model, a save counter or an optimizer, is named in the proof.

    Args:
        source: as `plan` takes it.
        dest: the checkpoint to compare with it: a prefix, one of its files, or its directory.
        **options: those of `ProveOptions`.
    Returns:
        The `Proof`: what was compared with what, and what else there is.
    Raises:
        ProofError: DEST is not right: values or shapes that differ, variables that are missing, tensors that nothing accounts
            for, bytes that do not match their checksum; lists all of them, or says in one line what DEST is instead.
        PlanError, ConfigError, CheckpointNotFoundError, FormatError, UsageError: as `plan` raises them.
    Example:
        >>> _ = tfckpt.convert("bert_model.ckpt", "tf2/bert_encoder", overwrite=True)
        >>> proof = tfckpt.prove("bert_model.ckpt", "tf2/bert_encoder")
        >>> len(proof.tensors), proof.at
        (39, 'encoder')
    """
    from tfckpt.proof.prove import compare

    with open_checkpoint(source, format=options["source_format"]) as checkpoint, open_checkpoint(dest) as other:
        request = given(Request, options)
        report = make_plan(checkpoint, request)
        proof = compare(report, checkpoint, other, progress=options["progress"])
        if proof.differences:
            from tfckpt.proof.recover import explained  # most proofs are right

            raise explained(proof, checkpoint, other, request)
        return proof
