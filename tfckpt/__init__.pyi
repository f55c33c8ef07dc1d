# Made by docs/make_stub.py from what the code says of itself: do not edit.

from collections.abc import Sequence
from typing import Literal

from tfckpt import errors as errors
from tfckpt import types as types
from tfckpt.about.info import Info
from tfckpt.base.options import PathLike
from tfckpt.base.progress import Progress
from tfckpt.checkpoint.checkpoint import Checkpoint as Checkpoint
from tfckpt.checkpoint.checkpoint import open as open
from tfckpt.checkpoint.checkpoint import save as save
from tfckpt.checkpoint.find.state_file import latest_checkpoint as latest_checkpoint
from tfckpt.checkpoint.statistics import CheckpointStatistics
from tfckpt.checkpoint.train import list_variables as list_variables
from tfckpt.checkpoint.train import load_checkpoint as load_checkpoint
from tfckpt.checkpoint.train import load_variable as load_variable
from tfckpt.edit.comparison.diff import Comparison
from tfckpt.edit.draft import Draft as Draft
from tfckpt.edit.salvage import Salvage as Salvage
from tfckpt.errors import PlanError as PlanError
from tfckpt.errors import TfckptError as TfckptError
from tfckpt.formats.container import Writable
from tfckpt.many.manifest import read_manifest as read_manifest
from tfckpt.many.many import convert_many as convert_many
from tfckpt.page.document import Report
from tfckpt.planning.plan import Plan as Plan
from tfckpt.proof.proof import Proof

__version__: str
__all__: list[str]

def average(
    sources: Sequence[PathLike],
    dest: PathLike,
    *,
    weights: Sequence[float] | None = None,
    verify: bool = True,
    sync: bool = True,
    overwrite: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Plan:
    """Write the average of checkpoints of one model: of its floating-point and complex tensors, each in its own dtype.

    It is computed in float64 and rounded once; values that are equal in all sources stay as they are, bit for bit. Integers,
    flags, strings, quantized tensors and the object graph are the last source's, byte for byte, and so are tables, iterators,
    loss scales, metrics and random state, whatever their dtypes and sizes; the number of data files; and how tensors are
    partitioned. A piece of a tensor at a time is in memory.

    Optimizer state is averaged like the rest, if it is known for which variable each moment is: by its own name in a
    checkpoint of names, by slot variables, by what ``_trainable_variables`` leads to (Keras 3), by full names that variables
    of the model have (tf_keras). Of any other optimizer it is the last source's whole, with what only its lists lead to, and
    a note says so. A scalar that is floating-point and differs, such as a learning rate that decays, is averaged too; the
    plan's notes name it. The second list of weights that Keras 3 exports follows the first.

    Args:
        sources: checkpoints, each as for `open`, the newest last. They are only read.
        dest: the exact prefix of the files to write.
        weights: a positive number for each source; only the ratios matter (unless given, all are equal).
        verify: check each tensor's checksum while copying.
        sync: wait until the files have reached the disk.
        overwrite: replace ``dest`` if it exists.
        dry_run: show what would be done, and write nothing.
        progress: called with (bytes done, bytes in all).
    Returns:
        The `Plan`: every tensor; its notes say what was not averaged, and where values are not finite.
    Raises:
        PlanError: the sources differ in names, in dtypes or shapes of what is averaged, or in what their object graphs mean
            by a key; lists all.
        UsageError: no source; weights that are not positive numbers, one for each; ``dest`` is one of the sources.
        CheckpointExistsError, CheckpointNotFoundError, ChecksumError, FormatError, StorageError.
    Example:
        >>> for step in (1, 2, 3):
        ...     tfckpt.save(f"run-{step}", {"w": [1.0, 2.0 * step], "step": step})
        >>> plan = tfckpt.average(["run-1", "run-2", "run-3"], "averaged", weights=[1, 1, 2])
        >>> {name: value.tolist() for name, value in tfckpt.open("averaged").items()}
        {'step': 3, 'w': [1.0, 4.5]}
    """

def convert(
    source: PathLike,
    dest: PathLike,
    *,
    to: str = "encoder",
    rename: str | Sequence[str | tuple[str, str]] = (),
    source_scope: str = "",
    averages: bool = False,
    head: Sequence[str] = (),
    config: PathLike | None = None,
    num_heads: int | None = None,
    exclude: Sequence[str] = (),
    fill: str | None = None,
    slots: Literal["drop", "convert", "keep"] | None = None,
    optimizer: Literal["adam-weight-decay", "adamw"] | None = None,
    learning_rate: float | None = None,
    keep_names: bool = False,
    scope: str = "",
    model: str = "",
    vocab_size: int | None = None,
    max_positions: int | None = None,
    resize_fill: Literal["zeros", "mean"] = "zeros",
    layout: PathLike | None = None,
    families: PathLike | None = None,
    source_format: Literal["v1", "v2"] | None = None,
    mode: Literal["copy", "link", "reflink", "auto"] = "copy",
    verify: bool = True,
    sync: bool = True,
    overwrite: bool = False,
    update_state: bool = False,
    prove: bool = False,
    progress: Progress | None = None,
) -> Plan:
    """Convert a checkpoint; DEST appears when all of it is written, or not at all.

    Args:
        source: as `plan` takes it. It is only read.
        dest: the exact prefix of the files to write; missing directories are made.
        to: name of the target's layout; ``tfckpt layouts`` lists them. ``"auto"`` takes the fullest one for what the source
            holds, and says why in the plan's notes.
        rename: read the source's variables under other names, by (regular expression, replacement) pairs, as ``re.sub`` does,
            in order. ``"auto"`` finds them by place and shape, and does nothing where two variables are as like. Where a
            source fits a target as it is, `export` and `import_` rename what they write.
        source_scope: which of several models in one file to take: the scope that its names begin with, such as ``bert_1``.
            The others are left out.
        averages: take the moving averages of variables in place of the variables; one that has no average is taken as it is.
        head: take this variable, and the bias beside it, as the target's head: ``NAME``, or ``NAME:KIND``, where ``KIND`` is
            ``classifier``, ``token`` or ``span``, which names the target too. What lies in the file the other way round is
            transposed; what is square needs ``NAME:KIND:kernel`` if it is multiplied as ``inputs @ kernel``, or else
            ``NAME:KIND:weights``.
        config: the model's JSON configuration, if it is not ``bert_config.json``, ``albert_config.json`` or ``config.json``
            beside the source. Name-based targets do not read it.
        num_heads: number of attention heads, if no configuration states it. For name-based targets 0 is none: shapes stay.
        exclude: leave out variables whose names contain any of these texts; ``=NAME`` means a whole name, and a text with
            ``*``, ``?`` or ``[`` is a glob of whole names. A text that takes what the target needs is a complaint, unless
            ``fill`` gives that values: for a head or a pooler, or for what is named whole.
        fill: how to fill kernels and tables that the target needs and the source lacks: ``"zeros"``, or ``"normal:SEED"`` for
            random numbers. The random numbers have a standard deviation of 0.02, like BERT's own initializer. Missing scales
            of norms get ones, shifts and biases zeros. Zeros from which training could not start are refused
            (docs/targets.md). Unless given, each missing variable is refused.
        slots: what to do with the optimizer's state (``adam_m``, ``adam_v``, ``global_step``): leave it out, convert it for a
            Keras optimizer, or keep it by name (unless given, it is left out; for the target ``keras``, kept). ``"convert"``
            makes them the slots and the step of a Keras optimizer under the root's ``optimizer``; on the way back, those of
            either kind of optimizer become TF1's again. ``"keep"`` carries them by name, in ``keras`` and ``tf1``. Keras's
            Adam corrects its averages for their bias and google-research's does not: training goes on from the same state,
            but its first steps are smaller than TF1's would be (docs/slots.md).
        optimizer: the optimizer for ``slots="convert"``: Model Garden's AdamWeightDecay, unless given, or Keras's new AdamW.
            The new one is built for the model's ``trainable_variables``.
        learning_rate: a constant learning rate for the optimizer that ``slots="convert"`` writes. Unless given, that
            optimizer is expected to have a schedule, which has no rate to restore.
        keep_names: also list each tensor under its TF1 name and with its TF1 shape, over the same bytes. So one file restores
            in both generations.
        scope: a prefix for every TF1 name, such as ``"module/"``; only with ``to="tf1"``.
        model: which model an object-based source contains, if several are possible. It is a family or ``"FAMILY/TARGET"``,
            such as ``"ELECTRA/generator"``: an encoder's objects of ELECTRA may be BERT's.
        vocab_size: cut or extend the vocabulary to this number of words. It is the number of rows of the word table, and of
            all else that has one for each word.
        max_positions: cut or extend the position table to this number of rows.
        resize_fill: values of added rows: ``"zeros"``, or the ``"mean"`` of the old rows.
        layout: a TOML file that describes your own layout, which becomes the target. With ``to="tf1"``, the way back from it.
        families: a folder with families of models of your own, each a folder of TOML tables. Their targets are there beside
            all others.
        source_format: which format to read if both exist: ``"v2"``, unless given, or ``"v1"``.
        mode: copy every byte; share the source's data files by hard links or reflinks; or use the first of reflink, link and
            copy that works. A link makes ``dest``'s first data files the source's, and a reflink clones that share their
            extents; what changes goes into one more. A linked file is one file: editing the source's in place would change
            ``dest`` (docs/modes.md).
        verify: check each tensor's checksum while copying.
        sync: wait until the files have reached the disk.
        overwrite: replace ``dest`` if it exists.
        update_state: make ``dest`` the latest checkpoint of its directory. It is entered in the file ``checkpoint``, which
            ``latest_checkpoint`` reads.
        prove: after writing, read both checkpoints again and compare every value and every checksum.
        progress: called with (bytes done, bytes in all).
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

def diff(
    a: PathLike,
    b: PathLike,
    *,
    plan: Plan | None = None,
    atol: float = 0.0,
    rtol: float = 0.0,
    ignore_dtypes: bool = False,
    only: Sequence[str] = (),
    ignore: Sequence[str] = (),
    progress: Progress | None = None,
) -> Comparison:
    """Compare two checkpoints: names, dtypes, shapes and values, in bounded memory; checksums on the way.

    Values are equal as numbers are: a NaN is a NaN, -0.0 is 0.0; `tfckpt.prove` compares bits.

    Args:
        a: a checkpoint: a prefix, one of its files, or its directory.
        b: another one, of either format.
        plan: what `tfckpt.plan` makes of ``a``: B is then compared with what A would become, its model found by its object
            graph. A tensor that has to be transposed is then held in memory.
        atol: the absolute difference that two values may have. They are alike where ``|a - b| <= atol + rtol * max(|a|,
            |b|)``.
        rtol: the difference that two values may have, relative to the larger one.
        ignore_dtypes: compare values only. One tensor may be float32 and the other float16.
        only: compare only this: globs of names, such as ``"bert/*"``, or names of roles, such as ``"model"``. Where a glob
            matches no name, it is for paths of objects, or else full names. Nothing else is compared, and ``ignored`` tells
            what that is. A role's name means the role, also where a tensor is called so.
        ignore: do not compare this, given likewise, such as ``"optimizer state"``. Where the two checkpoints tell different
            roles of one tensor, or a path leads to it in one of them alone, it is compared.
        progress: called with (bytes done, bytes in all).
    Returns:
        The `Comparison`, which is ``same`` or tells for each tensor what differs.
    Raises:
        UsageError: a tolerance is negative, or not a number; or the plan is for another checkpoint; or ``only`` chooses no
            tensor at all, or ``only`` and ``ignore`` leave none to compare.
        PlanError: B has no place for what A becomes.
        TensorNotFoundError: a word of ``only`` or ``ignore`` is the full name of several variables.
        CheckpointNotFoundError, FormatError, ChecksumError: one of them cannot be read, or is damaged.
    Example:
        >>> tfckpt.save("before.ckpt", {"w": [1.0, 2.0]})
        >>> tfckpt.save("after.ckpt", {"w": [1.0, 2.5]})
        >>> [(pair.a, pair.verdict, pair.distance.max_absolute) for pair in tfckpt.diff("before.ckpt", "after.ckpt").pairs]
        [('w', 'values', 0.5)]
    """

def export(
    source: PathLike,
    dest: PathLike | Writable,
    *,
    kind: str | None = None,
    to: str = "source",
    drop: Sequence[str] = (),
    keep: Sequence[str] = (),
    names: Literal["key", "path", "full"] = "key",
    rename: str | Sequence[str | tuple[str, str]] = (),
    source_scope: str = "",
    averages: bool = False,
    head: Sequence[str] = (),
    config: PathLike | None = None,
    num_heads: int | None = None,
    exclude: Sequence[str] = (),
    fill: str | None = None,
    slots: Literal["drop", "convert", "keep"] | None = None,
    optimizer: Literal["adam-weight-decay", "adamw"] | None = None,
    learning_rate: float | None = None,
    keep_names: bool = False,
    scope: str = "",
    model: str = "",
    vocab_size: int | None = None,
    max_positions: int | None = None,
    resize_fill: Literal["zeros", "mean"] = "zeros",
    layout: PathLike | None = None,
    families: PathLike | None = None,
    source_format: Literal["v1", "v2"] | None = None,
    verify: bool = True,
    sync: bool = True,
    overwrite: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Plan:
    """Write a checkpoint's tensors as a safetensors file, as a .npz file, or as a directory of .npy files.

    Values stream: memory grows with the largest tensor that is transposed, and not with the checkpoint. The object graph has
    no use there and stays behind. Quantized integers and those below one byte become plain ones, which is noted in the file.

    Args:
        source: the checkpoint: a prefix, one of its files, or its directory. It is only read.
        dest: where to; or what has a ``write``, which gets the bytes of a safetensors or .npz file in order.
        kind: kind of file, if its name does not show it: ``"safetensors"``, ``"npz"``, or ``"npy"``, which is a directory.
            For safetensors files the library of that name is needed.
        to: the names and shapes to use: ``"source"`` (unchanged), or a target of `convert`, such as ``"tf1"``. ``"auto"``
            takes the fullest that fits. Options that say something of a model are for targets; only ``exclude`` also goes
            with ``"source"``.
        drop: leave out what matches one of these shell globs of names, paths of objects, or full names. ``*`` also matches
            ``/``. One that matches no name is tried on paths of objects, then on full names. An object with several tensors
            is left out as a whole.
        keep: keep only what matches one of these shell globs, which are read like those of ``drop``.
        names: which names to use for tensors of objects: ``"key"``, their keys; ``"path"``, the paths that ``tfckpt tree``
            draws; ``"full"``, the names that TensorFlow 1 would use. A full name is such as ``lstm/lstm_cell/kernel``. What
            lacks a full name has its path, and what has no path its key, which is noted. ``rename`` comes after that.
        rename: read the source's variables under other names, by (regular expression, replacement) pairs, as ``re.sub`` does,
            in order. ``"auto"`` finds them by place and shape, and does nothing where two variables are as like. Where a
            source fits a target as it is, `export` and `import_` rename what they write.
        source_scope: which of several models in one file to take: the scope that its names begin with, such as ``bert_1``.
            The others are left out.
        averages: take the moving averages of variables in place of the variables; one that has no average is taken as it is.
        head: take this variable, and the bias beside it, as the target's head: ``NAME``, or ``NAME:KIND``, where ``KIND`` is
            ``classifier``, ``token`` or ``span``, which names the target too. What lies in the file the other way round is
            transposed; what is square needs ``NAME:KIND:kernel`` if it is multiplied as ``inputs @ kernel``, or else
            ``NAME:KIND:weights``.
        config: the model's JSON configuration, if it is not ``bert_config.json``, ``albert_config.json`` or ``config.json``
            beside the source. Name-based targets do not read it.
        num_heads: number of attention heads, if no configuration states it. For name-based targets 0 is none: shapes stay.
        exclude: leave out variables whose names contain any of these texts; ``=NAME`` means a whole name, and a text with
            ``*``, ``?`` or ``[`` is a glob of whole names. A text that takes what the target needs is a complaint, unless
            ``fill`` gives that values: for a head or a pooler, or for what is named whole.
        fill: how to fill kernels and tables that the target needs and the source lacks: ``"zeros"``, or ``"normal:SEED"`` for
            random numbers. The random numbers have a standard deviation of 0.02, like BERT's own initializer. Missing scales
            of norms get ones, shifts and biases zeros. Zeros from which training could not start are refused
            (docs/targets.md). Unless given, each missing variable is refused.
        slots: what to do with the optimizer's state (``adam_m``, ``adam_v``, ``global_step``): leave it out, convert it for a
            Keras optimizer, or keep it by name (unless given, it is left out; for the target ``keras``, kept). ``"convert"``
            makes them the slots and the step of a Keras optimizer under the root's ``optimizer``; on the way back, those of
            either kind of optimizer become TF1's again. ``"keep"`` carries them by name, in ``keras`` and ``tf1``. Keras's
            Adam corrects its averages for their bias and google-research's does not: training goes on from the same state,
            but its first steps are smaller than TF1's would be (docs/slots.md).
        optimizer: the optimizer for ``slots="convert"``: Model Garden's AdamWeightDecay, unless given, or Keras's new AdamW.
            The new one is built for the model's ``trainable_variables``.
        learning_rate: a constant learning rate for the optimizer that ``slots="convert"`` writes. Unless given, that
            optimizer is expected to have a schedule, which has no rate to restore.
        keep_names: also list each tensor under its TF1 name and with its TF1 shape, over the same bytes. So one file restores
            in both generations.
        scope: a prefix for every TF1 name, such as ``"module/"``; only with ``to="tf1"``.
        model: which model an object-based source contains, if several are possible. It is a family or ``"FAMILY/TARGET"``,
            such as ``"ELECTRA/generator"``: an encoder's objects of ELECTRA may be BERT's.
        vocab_size: cut or extend the vocabulary to this number of words. It is the number of rows of the word table, and of
            all else that has one for each word.
        max_positions: cut or extend the position table to this number of rows.
        resize_fill: values of added rows: ``"zeros"``, or the ``"mean"`` of the old rows.
        layout: a TOML file that describes your own layout, which becomes the target. With ``to="tf1"``, the way back from it.
        families: a folder with families of models of your own, each a folder of TOML tables. Their targets are there beside
            all others.
        source_format: which format to read if both exist: ``"v2"``, unless given, or ``"v1"``.
        verify: check each tensor's checksum while copying.
        sync: wait until the files have reached the disk.
        overwrite: replace ``dest`` if it exists.
        dry_run: show what would be done, and write nothing.
        progress: called with (bytes done, bytes in all).
    Returns:
        The `Plan`: what becomes of each tensor.
    Raises:
        PlanError: a tensor has no form or no name there (strings in safetensors), two would have one name, or source and
            target do not fit; lists all.
        TensorNotFoundError: a name in ``drop`` or ``keep`` without wildcards is the full name of several variables.
        CheckpointExistsError: ``dest`` is taken, and ``overwrite`` is false.
        UnsupportedError: the safetensors library is missing, or refuses what was written.
        CheckpointNotFoundError, ChecksumError, ConfigError, FormatError, LayoutError, StorageError, UsageError.
    Example:
        >>> import numpy as np
        >>> report = tfckpt.export("bert_model.ckpt", "bert.npz", keep=["bert/*"], exclude=["adam"])
        >>> len(report.steps), np.load("bert.npz")["bert/pooler/dense/kernel"].shape
        (39, (8, 8))
    """

def import_(
    source: PathLike,
    dest: PathLike,
    *,
    kind: str | None = None,
    to: str = "source",
    drop: Sequence[str] = (),
    keep: Sequence[str] = (),
    rename: str | Sequence[str | tuple[str, str]] = (),
    source_scope: str = "",
    averages: bool = False,
    head: Sequence[str] = (),
    config: PathLike | None = None,
    num_heads: int | None = None,
    exclude: Sequence[str] = (),
    fill: str | None = None,
    slots: Literal["drop", "convert", "keep"] | None = None,
    optimizer: Literal["adam-weight-decay", "adamw"] | None = None,
    learning_rate: float | None = None,
    keep_names: bool = False,
    scope: str = "",
    model: str = "",
    vocab_size: int | None = None,
    max_positions: int | None = None,
    resize_fill: Literal["zeros", "mean"] = "zeros",
    layout: PathLike | None = None,
    families: PathLike | None = None,
    mode: Literal["copy", "link", "reflink", "auto"] = "copy",
    sync: bool = True,
    overwrite: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Plan:
    """Write the tensors of a safetensors file, a .npz file, or a directory that `export` wrote, as a checkpoint.

    The file may be a stranger's: its headers are checked before they are believed, and nothing in it is ever unpickled.
    Values stream, but for what is transposed, arrays in column-major order, and strings. Where names are TF1's, ``to`` makes
    a checkpoint for TensorFlow 2 of them at once, as `convert` would. With another ``mode`` than ``"copy"``, the
    checkpoint shares the bytes of a safetensors file or of a directory's arrays: these files become its data files.

    Args:
        source: the file or directory. It is only read.
        dest: the exact prefix of the files to write; missing directories are made.
        kind: kind of file, if its name does not show it: ``"safetensors"``, ``"npz"``, or ``"npy"``, which is a directory.
            For safetensors files the library of that name is needed.
        to: the names and shapes to use: ``"source"`` (unchanged), or a target of `convert`, such as ``"tf1"``. ``"auto"``
            takes the fullest that fits. Options that say something of a model are for targets; only ``exclude`` also goes
            with ``"source"``.
        drop: leave out what matches one of these shell globs of names, paths of objects, or full names. ``*`` also matches
            ``/``. One that matches no name is tried on paths of objects, then on full names. An object with several tensors
            is left out as a whole.
        keep: keep only what matches one of these shell globs, which are read like those of ``drop``.
        rename: read the source's variables under other names, by (regular expression, replacement) pairs, as ``re.sub`` does,
            in order. ``"auto"`` finds them by place and shape, and does nothing where two variables are as like. Where a
            source fits a target as it is, `export` and `import_` rename what they write.
        source_scope: which of several models in one file to take: the scope that its names begin with, such as ``bert_1``.
            The others are left out.
        averages: take the moving averages of variables in place of the variables; one that has no average is taken as it is.
        head: take this variable, and the bias beside it, as the target's head: ``NAME``, or ``NAME:KIND``, where ``KIND`` is
            ``classifier``, ``token`` or ``span``, which names the target too. What lies in the file the other way round is
            transposed; what is square needs ``NAME:KIND:kernel`` if it is multiplied as ``inputs @ kernel``, or else
            ``NAME:KIND:weights``.
        config: the model's JSON configuration, if it is not ``bert_config.json``, ``albert_config.json`` or ``config.json``
            beside the source. Name-based targets do not read it.
        num_heads: number of attention heads, if no configuration states it. For name-based targets 0 is none: shapes stay.
        exclude: leave out variables whose names contain any of these texts; ``=NAME`` means a whole name, and a text with
            ``*``, ``?`` or ``[`` is a glob of whole names. A text that takes what the target needs is a complaint, unless
            ``fill`` gives that values: for a head or a pooler, or for what is named whole.
        fill: how to fill kernels and tables that the target needs and the source lacks: ``"zeros"``, or ``"normal:SEED"`` for
            random numbers. The random numbers have a standard deviation of 0.02, like BERT's own initializer. Missing scales
            of norms get ones, shifts and biases zeros. Zeros from which training could not start are refused
            (docs/targets.md). Unless given, each missing variable is refused.
        slots: what to do with the optimizer's state (``adam_m``, ``adam_v``, ``global_step``): leave it out, convert it for a
            Keras optimizer, or keep it by name (unless given, it is left out; for the target ``keras``, kept). ``"convert"``
            makes them the slots and the step of a Keras optimizer under the root's ``optimizer``; on the way back, those of
            either kind of optimizer become TF1's again. ``"keep"`` carries them by name, in ``keras`` and ``tf1``. Keras's
            Adam corrects its averages for their bias and google-research's does not: training goes on from the same state,
            but its first steps are smaller than TF1's would be (docs/slots.md).
        optimizer: the optimizer for ``slots="convert"``: Model Garden's AdamWeightDecay, unless given, or Keras's new AdamW.
            The new one is built for the model's ``trainable_variables``.
        learning_rate: a constant learning rate for the optimizer that ``slots="convert"`` writes. Unless given, that
            optimizer is expected to have a schedule, which has no rate to restore.
        keep_names: also list each tensor under its TF1 name and with its TF1 shape, over the same bytes. So one file restores
            in both generations.
        scope: a prefix for every TF1 name, such as ``"module/"``; only with ``to="tf1"``.
        model: which model an object-based source contains, if several are possible. It is a family or ``"FAMILY/TARGET"``,
            such as ``"ELECTRA/generator"``: an encoder's objects of ELECTRA may be BERT's.
        vocab_size: cut or extend the vocabulary to this number of words. It is the number of rows of the word table, and of
            all else that has one for each word.
        max_positions: cut or extend the position table to this number of rows.
        resize_fill: values of added rows: ``"zeros"``, or the ``"mean"`` of the old rows.
        layout: a TOML file that describes your own layout, which becomes the target. With ``to="tf1"``, the way back from it.
        families: a folder with families of models of your own, each a folder of TOML tables. Their targets are there beside
            all others.
        mode: copy every byte; share the source's data files by hard links or reflinks; or use the first of reflink, link and
            copy that works. A link makes ``dest``'s first data files the source's, and a reflink clones that share their
            extents; what changes goes into one more. A linked file is one file: editing the source's in place would change
            ``dest`` (docs/modes.md).
        sync: wait until the files have reached the disk.
        overwrite: replace ``dest`` if it exists.
        dry_run: show what would be done, and write nothing.
        progress: called with (bytes done, bytes in all).
    Returns:
        The `Plan`: what becomes of each tensor.
    Raises:
        FormatError: the file is damaged, or not what it says.
        UnsupportedError: objects, records, a dtype that TensorFlow lacks; or the safetensors library is missing; or ``mode``
            was asked for by name and is impossible: another file system, another kind of file.
        PlanError: names and target do not fit; lists all.
        CheckpointExistsError, CheckpointNotFoundError, ConfigError, LayoutError, StorageError, UsageError.
    Example:
        >>> import numpy as np
        >>> np.savez("weights.npz", w=np.float32([1, 2]), step=np.int64(3))
        >>> _ = tfckpt.import_("weights.npz", "weights.ckpt")
        >>> {name: value.tolist() for name, value in tfckpt.open("weights.ckpt").items()}
        {'step': 3, 'w': [1.0, 2.0]}
    """

def info(
    path: PathLike,
    *,
    config: PathLike | None = None,
    num_heads: int | None = None,
    source_format: Literal["v1", "v2"] | None = None,
) -> Info:
    """Say what a file is: its format, the model in it, what training keeps beside that, and what it can become.

    It reads the index, the object graph, and the scalars that count steps; no other value. To see what it can become, it
    plans a conversion to each target.

    Args:
        path: whatever `open` takes, a checkpoint or its directory, and whatever `import_` takes: a safetensors or .npz file,
            a directory of arrays. Of a folder with one such file, the file is described; with several, they are listed.
        config: the model's JSON configuration, if it is not ``bert_config.json``, ``albert_config.json`` or ``config.json``
            beside the source. Name-based targets do not read it.
        num_heads: number of attention heads, if no configuration states it. For name-based targets 0 is none: shapes stay.
        source_format: which format to read if both exist: ``"v2"``, unless given, or ``"v1"``.
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

def merge(
    sources: Sequence[PathLike],
    dest: PathLike,
    *,
    prefer: Sequence[str] = (),
    partial: bool = False,
    verify: bool = True,
    sync: bool = True,
    overwrite: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Plan:
    """Join checkpoints into one.

    Without ``prefer``, as TensorFlow joins the parts of a sharded save: every data file goes along as it is, a partitioned
    tensor may have slices in several sources, and any other name may come once. With it, what several sources have is taken
    whole from one of them.

    Object graphs are joined: the same path means the same object. The first source, or the one that is preferred for
    everything, says how objects hang together, and how keys are spelled. The moments that Keras 3 keeps in lists go to the
    place that their variable has in its optimizer; those of tf_keras, too, if their full names prove which variable that is.
    Where an order is not known, or numbers of layers contradict attributes and full names, values of several sources are not
    mixed: that is refused, and all of one is not. Copies of weights, which Keras 3 exports, follow their originals.

    Args:
        sources: checkpoints, each as for `open`. They are only read.
        dest: the exact prefix of the files to write.
        prefer: whose value counts if several sources have one: ``"SOURCE"`` for everything, or ``"PATTERN=SOURCE"``. The
            source is spelled as in ``sources``. ``PATTERN`` is a glob of object paths, with all below them; if it means none,
            of names, and then of full names. Instead of a glob a role: ``"optimizer state=SOURCE"``, so that
            ``"model=SOURCE"`` is for weights, and ``"model/*=SOURCE"`` for an object of that name. The first that means
            something counts, and ``"SOURCE"`` alone only for what no other means.
        partial: allow missing slices of partitioned tensors, to merge in several steps.
        verify: check each tensor's checksum while copying.
        sync: wait until the files have reached the disk.
        overwrite: replace ``dest`` if it exists.
        dry_run: show what would be done, and write nothing.
        progress: called with (bytes done, bytes in all).
    Returns:
        The `Plan`: every tensor; the ``origin`` of a step, and of what was not taken, is its source.
    Raises:
        PlanError: several sources have something, and nothing says which counts; object graphs contradict, or the order of an
            optimizer's lists, or of layers, is not known; slices are of different tensors, or do not cover theirs; a
            preference is for nothing.
        UsageError: no source, sources of different byte order, or a preference that is none.
        CheckpointExistsError, CheckpointNotFoundError, ChecksumError, FormatError, StorageError.
    Example:
        >>> tfckpt.save("part-0", {"a": 1}), tfckpt.save("part-1", {"b": 2})
        (None, None)
        >>> len(tfckpt.merge(["part-0", "part-1"], "whole").steps), sorted(tfckpt.open("whole"))
        (2, ['a', 'b'])
        >>> tfckpt.save("part-2", {"b": 3, "c": 4})
        >>> plan = tfckpt.merge(["part-1", "part-2"], "new", prefer=["part-2"])
        >>> [(item.source, item.origin, item.rule) for item in plan.dropped]
        [('b', 'part-1', 'also in part-1, taken from part-2')]

    Source: tensorflow/core/util/tensor_bundle/tensor_bundle.cc, MergeBundles.
    """

def plan(
    source: PathLike,
    *,
    to: str = "encoder",
    rename: str | Sequence[str | tuple[str, str]] = (),
    source_scope: str = "",
    averages: bool = False,
    head: Sequence[str] = (),
    config: PathLike | None = None,
    num_heads: int | None = None,
    exclude: Sequence[str] = (),
    fill: str | None = None,
    slots: Literal["drop", "convert", "keep"] | None = None,
    optimizer: Literal["adam-weight-decay", "adamw"] | None = None,
    learning_rate: float | None = None,
    keep_names: bool = False,
    scope: str = "",
    model: str = "",
    vocab_size: int | None = None,
    max_positions: int | None = None,
    resize_fill: Literal["zeros", "mean"] = "zeros",
    layout: PathLike | None = None,
    families: PathLike | None = None,
    source_format: Literal["v1", "v2"] | None = None,
) -> Plan:
    """Decide what a conversion would do with every tensor; reads the index, writes nothing.

    Args:
        source: a checkpoint: a prefix, one of its files, or its directory. A TF1 one; for the way back, an object-based one.
        to: name of the target's layout; ``tfckpt layouts`` lists them. ``"auto"`` takes the fullest one for what the source
            holds, and says why in the plan's notes.
        rename: read the source's variables under other names, by (regular expression, replacement) pairs, as ``re.sub`` does,
            in order. ``"auto"`` finds them by place and shape, and does nothing where two variables are as like. Where a
            source fits a target as it is, `export` and `import_` rename what they write.
        source_scope: which of several models in one file to take: the scope that its names begin with, such as ``bert_1``.
            The others are left out.
        averages: take the moving averages of variables in place of the variables; one that has no average is taken as it is.
        head: take this variable, and the bias beside it, as the target's head: ``NAME``, or ``NAME:KIND``, where ``KIND`` is
            ``classifier``, ``token`` or ``span``, which names the target too. What lies in the file the other way round is
            transposed; what is square needs ``NAME:KIND:kernel`` if it is multiplied as ``inputs @ kernel``, or else
            ``NAME:KIND:weights``.
        config: the model's JSON configuration, if it is not ``bert_config.json``, ``albert_config.json`` or ``config.json``
            beside the source. Name-based targets do not read it.
        num_heads: number of attention heads, if no configuration states it. For name-based targets 0 is none: shapes stay.
        exclude: leave out variables whose names contain any of these texts; ``=NAME`` means a whole name, and a text with
            ``*``, ``?`` or ``[`` is a glob of whole names. A text that takes what the target needs is a complaint, unless
            ``fill`` gives that values: for a head or a pooler, or for what is named whole.
        fill: how to fill kernels and tables that the target needs and the source lacks: ``"zeros"``, or ``"normal:SEED"`` for
            random numbers. The random numbers have a standard deviation of 0.02, like BERT's own initializer. Missing scales
            of norms get ones, shifts and biases zeros. Zeros from which training could not start are refused
            (docs/targets.md). Unless given, each missing variable is refused.
        slots: what to do with the optimizer's state (``adam_m``, ``adam_v``, ``global_step``): leave it out, convert it for a
            Keras optimizer, or keep it by name (unless given, it is left out; for the target ``keras``, kept). ``"convert"``
            makes them the slots and the step of a Keras optimizer under the root's ``optimizer``; on the way back, those of
            either kind of optimizer become TF1's again. ``"keep"`` carries them by name, in ``keras`` and ``tf1``. Keras's
            Adam corrects its averages for their bias and google-research's does not: training goes on from the same state,
            but its first steps are smaller than TF1's would be (docs/slots.md).
        optimizer: the optimizer for ``slots="convert"``: Model Garden's AdamWeightDecay, unless given, or Keras's new AdamW.
            The new one is built for the model's ``trainable_variables``.
        learning_rate: a constant learning rate for the optimizer that ``slots="convert"`` writes. Unless given, that
            optimizer is expected to have a schedule, which has no rate to restore.
        keep_names: also list each tensor under its TF1 name and with its TF1 shape, over the same bytes. So one file restores
            in both generations.
        scope: a prefix for every TF1 name, such as ``"module/"``; only with ``to="tf1"``.
        model: which model an object-based source contains, if several are possible. It is a family or ``"FAMILY/TARGET"``,
            such as ``"ELECTRA/generator"``: an encoder's objects of ELECTRA may be BERT's.
        vocab_size: cut or extend the vocabulary to this number of words. It is the number of rows of the word table, and of
            all else that has one for each word.
        max_positions: cut or extend the position table to this number of rows.
        resize_fill: values of added rows: ``"zeros"``, or the ``"mean"`` of the old rows.
        layout: a TOML file that describes your own layout, which becomes the target. With ``to="tf1"``, the way back from it.
        families: a folder with families of models of your own, each a folder of TOML tables. Their targets are there beside
            all others.
        source_format: which format to read if both exist: ``"v2"``, unless given, or ``"v1"``.
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

def prove(
    source: PathLike,
    dest: PathLike,
    *,
    to: str = "encoder",
    rename: str | Sequence[str | tuple[str, str]] = (),
    source_scope: str = "",
    averages: bool = False,
    head: Sequence[str] = (),
    config: PathLike | None = None,
    num_heads: int | None = None,
    exclude: Sequence[str] = (),
    fill: str | None = None,
    slots: Literal["drop", "convert", "keep"] | None = None,
    optimizer: Literal["adam-weight-decay", "adamw"] | None = None,
    learning_rate: float | None = None,
    keep_names: bool = False,
    scope: str = "",
    model: str = "",
    vocab_size: int | None = None,
    max_positions: int | None = None,
    resize_fill: Literal["zeros", "mean"] = "zeros",
    layout: PathLike | None = None,
    families: PathLike | None = None,
    source_format: Literal["v1", "v2"] | None = None,
    progress: Progress | None = None,
) -> Proof:
    """Show, tensor by tensor, that a converted checkpoint holds its source's values in the target's layout.

    The plan is made anew, every value is compared bit for bit, and every checksum of both checkpoints, whatever tool wrote
    them. An object-based DEST is compared by its object graph: its model may hang on any root, and its keys may be spelled in
    any way. What DEST holds beside the model, a save counter or an optimizer, is named in the proof.

    Args:
        source: as `plan` takes it.
        dest: the checkpoint to compare with it: a prefix, one of its files, or its directory.
        to: name of the target's layout; ``tfckpt layouts`` lists them. ``"auto"`` takes the fullest one for what the source
            holds, and says why in the plan's notes.
        rename: read the source's variables under other names, by (regular expression, replacement) pairs, as ``re.sub`` does,
            in order. ``"auto"`` finds them by place and shape, and does nothing where two variables are as like. Where a
            source fits a target as it is, `export` and `import_` rename what they write.
        source_scope: which of several models in one file to take: the scope that its names begin with, such as ``bert_1``.
            The others are left out.
        averages: take the moving averages of variables in place of the variables; one that has no average is taken as it is.
        head: take this variable, and the bias beside it, as the target's head: ``NAME``, or ``NAME:KIND``, where ``KIND`` is
            ``classifier``, ``token`` or ``span``, which names the target too. What lies in the file the other way round is
            transposed; what is square needs ``NAME:KIND:kernel`` if it is multiplied as ``inputs @ kernel``, or else
            ``NAME:KIND:weights``.
        config: the model's JSON configuration, if it is not ``bert_config.json``, ``albert_config.json`` or ``config.json``
            beside the source. Name-based targets do not read it.
        num_heads: number of attention heads, if no configuration states it. For name-based targets 0 is none: shapes stay.
        exclude: leave out variables whose names contain any of these texts; ``=NAME`` means a whole name, and a text with
            ``*``, ``?`` or ``[`` is a glob of whole names. A text that takes what the target needs is a complaint, unless
            ``fill`` gives that values: for a head or a pooler, or for what is named whole.
        fill: how to fill kernels and tables that the target needs and the source lacks: ``"zeros"``, or ``"normal:SEED"`` for
            random numbers. The random numbers have a standard deviation of 0.02, like BERT's own initializer. Missing scales
            of norms get ones, shifts and biases zeros. Zeros from which training could not start are refused
            (docs/targets.md). Unless given, each missing variable is refused.
        slots: what to do with the optimizer's state (``adam_m``, ``adam_v``, ``global_step``): leave it out, convert it for a
            Keras optimizer, or keep it by name (unless given, it is left out; for the target ``keras``, kept). ``"convert"``
            makes them the slots and the step of a Keras optimizer under the root's ``optimizer``; on the way back, those of
            either kind of optimizer become TF1's again. ``"keep"`` carries them by name, in ``keras`` and ``tf1``. Keras's
            Adam corrects its averages for their bias and google-research's does not: training goes on from the same state,
            but its first steps are smaller than TF1's would be (docs/slots.md).
        optimizer: the optimizer for ``slots="convert"``: Model Garden's AdamWeightDecay, unless given, or Keras's new AdamW.
            The new one is built for the model's ``trainable_variables``.
        learning_rate: a constant learning rate for the optimizer that ``slots="convert"`` writes. Unless given, that
            optimizer is expected to have a schedule, which has no rate to restore.
        keep_names: also list each tensor under its TF1 name and with its TF1 shape, over the same bytes. So one file restores
            in both generations.
        scope: a prefix for every TF1 name, such as ``"module/"``; only with ``to="tf1"``.
        model: which model an object-based source contains, if several are possible. It is a family or ``"FAMILY/TARGET"``,
            such as ``"ELECTRA/generator"``: an encoder's objects of ELECTRA may be BERT's.
        vocab_size: cut or extend the vocabulary to this number of words. It is the number of rows of the word table, and of
            all else that has one for each word.
        max_positions: cut or extend the position table to this number of rows.
        resize_fill: values of added rows: ``"zeros"``, or the ``"mean"`` of the old rows.
        layout: a TOML file that describes your own layout, which becomes the target. With ``to="tf1"``, the way back from it.
        families: a folder with families of models of your own, each a folder of TOML tables. Their targets are there beside
            all others.
        source_format: which format to read if both exist: ``"v2"``, unless given, or ``"v1"``.
        progress: called with (bytes done, bytes in all).
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

def report(
    source: PathLike,
    dest: PathLike | None = None,
    *,
    output: PathLike | None = None,
    to: str | None = None,
    stats: bool = True,
    bins: int = 24,
    overwrite: bool = False,
    rename: str | Sequence[str | tuple[str, str]] = (),
    source_scope: str = "",
    averages: bool = False,
    head: Sequence[str] = (),
    config: PathLike | None = None,
    num_heads: int | None = None,
    exclude: Sequence[str] = (),
    fill: str | None = None,
    slots: Literal["drop", "convert", "keep"] | None = None,
    optimizer: Literal["adam-weight-decay", "adamw"] | None = None,
    learning_rate: float | None = None,
    keep_names: bool = False,
    scope: str = "",
    model: str = "",
    vocab_size: int | None = None,
    max_positions: int | None = None,
    resize_fill: Literal["zeros", "mean"] = "zeros",
    layout: PathLike | None = None,
    families: PathLike | None = None,
    source_format: Literal["v1", "v2"] | None = None,
    progress: Progress | None = None,
) -> Report:
    """Describe a checkpoint, and write the page to look at if ``output`` is given.

    With a second checkpoint, the report says where the two differ if both have the same names; otherwise it shows how the
    source was converted to it. It says which of the two it took, and why. Values are read a piece at a time.

    Args:
        source: the checkpoint: a prefix, one of its files, or its directory. It is only read.
        dest: another checkpoint of the same names, or what the source was converted to.
        output: the page to write, such as ``"report.html"``: one file that needs no network.
        to: show the mapping to this target, such as ``"encoder"``, or ``"auto"``. Unless given, what ``dest`` holds tells
            whether it is another checkpoint of the same names, or which conversion made it.
        stats: read values: for statistics, histograms and checksums, and to compare those of ``dest``. Without it no tensor
            is read: names, dtypes and shapes are compared, and nothing is proved.
        bins: bars of the histograms, from 1 to 1000.
        overwrite: replace the file if it exists.
        rename: read the source's variables under other names, by (regular expression, replacement) pairs, as ``re.sub`` does,
            in order. ``"auto"`` finds them by place and shape, and does nothing where two variables are as like. Where a
            source fits a target as it is, `export` and `import_` rename what they write.
        source_scope: which of several models in one file to take: the scope that its names begin with, such as ``bert_1``.
            The others are left out.
        averages: take the moving averages of variables in place of the variables; one that has no average is taken as it is.
        head: take this variable, and the bias beside it, as the target's head: ``NAME``, or ``NAME:KIND``, where ``KIND`` is
            ``classifier``, ``token`` or ``span``, which names the target too. What lies in the file the other way round is
            transposed; what is square needs ``NAME:KIND:kernel`` if it is multiplied as ``inputs @ kernel``, or else
            ``NAME:KIND:weights``.
        config: the model's JSON configuration, if it is not ``bert_config.json``, ``albert_config.json`` or ``config.json``
            beside the source. Name-based targets do not read it.
        num_heads: number of attention heads, if no configuration states it. For name-based targets 0 is none: shapes stay.
        exclude: leave out variables whose names contain any of these texts; ``=NAME`` means a whole name, and a text with
            ``*``, ``?`` or ``[`` is a glob of whole names. A text that takes what the target needs is a complaint, unless
            ``fill`` gives that values: for a head or a pooler, or for what is named whole.
        fill: how to fill kernels and tables that the target needs and the source lacks: ``"zeros"``, or ``"normal:SEED"`` for
            random numbers. The random numbers have a standard deviation of 0.02, like BERT's own initializer. Missing scales
            of norms get ones, shifts and biases zeros. Zeros from which training could not start are refused
            (docs/targets.md). Unless given, each missing variable is refused.
        slots: what to do with the optimizer's state (``adam_m``, ``adam_v``, ``global_step``): leave it out, convert it for a
            Keras optimizer, or keep it by name (unless given, it is left out; for the target ``keras``, kept). ``"convert"``
            makes them the slots and the step of a Keras optimizer under the root's ``optimizer``; on the way back, those of
            either kind of optimizer become TF1's again. ``"keep"`` carries them by name, in ``keras`` and ``tf1``. Keras's
            Adam corrects its averages for their bias and google-research's does not: training goes on from the same state,
            but its first steps are smaller than TF1's would be (docs/slots.md).
        optimizer: the optimizer for ``slots="convert"``: Model Garden's AdamWeightDecay, unless given, or Keras's new AdamW.
            The new one is built for the model's ``trainable_variables``.
        learning_rate: a constant learning rate for the optimizer that ``slots="convert"`` writes. Unless given, that
            optimizer is expected to have a schedule, which has no rate to restore.
        keep_names: also list each tensor under its TF1 name and with its TF1 shape, over the same bytes. So one file restores
            in both generations.
        scope: a prefix for every TF1 name, such as ``"module/"``; only with ``to="tf1"``.
        model: which model an object-based source contains, if several are possible. It is a family or ``"FAMILY/TARGET"``,
            such as ``"ELECTRA/generator"``: an encoder's objects of ELECTRA may be BERT's.
        vocab_size: cut or extend the vocabulary to this number of words. It is the number of rows of the word table, and of
            all else that has one for each word.
        max_positions: cut or extend the position table to this number of rows.
        resize_fill: values of added rows: ``"zeros"``, or the ``"mean"`` of the old rows.
        layout: a TOML file that describes your own layout, which becomes the target. With ``to="tf1"``, the way back from it.
        families: a folder with families of models of your own, each a folder of TOML tables. Their targets are there beside
            all others.
        source_format: which format to read if both exist: ``"v2"``, unless given, or ``"v1"``.
        progress: called with (bytes done, bytes in all).
    Returns:
        The `Report`. Its ``problems`` are empty if every tensor can be read and ``dest``, if it is a conversion, holds the
        source's values; without ``stats``, if names, dtypes and shapes are right. Damaged values are a part of it, and no
        error.
    Raises:
        PlanError: source and target do not fit, or no conversion accounts for ``dest``.
        CheckpointExistsError: ``output`` is taken, and ``overwrite`` is false.
        UsageError: ``output`` is a file of a checkpoint or no file, or ``bins`` is not from 1 to 1000.
        CheckpointNotFoundError, ConfigError, FormatError, LayoutError, StorageError, UnsupportedError.
    Example:
        >>> found = tfckpt.report("bert_model.ckpt", output="report.html")
        >>> found.summary.family, found.summary.layers.value, found.summary.parameters
        ('BERT', 2, 1808)
        >>> found.tensors[0].kind, found.tensors[0].statistics.maximum > 0
        ('embeddings', True)
    """

def rewrite(
    source: PathLike,
    dest: PathLike,
    *,
    rename: Sequence[tuple[str, str]] = (),
    drop: Sequence[str] = (),
    keep: Sequence[str] = (),
    cast: str | None = None,
    strip_optimizer: bool = False,
    shards: int | None = None,
    max_shard_size: int | None = None,
    big_endian: bool | None = None,
    source_format: Literal["v1", "v2"] | None = None,
    verify: bool = True,
    sync: bool = True,
    overwrite: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Plan:
    """Copy a checkpoint with changes; one that changes nothing writes the same bytes, but no data file in which nothing lies.

    Of an object-based checkpoint, the object graph goes along with what it names, whatever ``keep`` says. Tensors over the
    same bytes, as ``convert(keep_names=True)`` writes them, are stored once.

    Args:
        source: the checkpoint: a prefix, one of its files, or its directory. It is only read.
        dest: the exact prefix of the files to write.
        rename: rename with (regular expression, replacement) pairs, as ``re.sub`` does: names, or paths of objects; they
            apply in order.
        drop: leave out what matches one of these shell globs of names, paths of objects, or full names. ``*`` also matches
            ``/``. One that matches no name is tried on paths of objects, then on full names. An object with several tensors
            is left out as a whole.
        keep: keep only what matches one of these shell globs, which are read like those of ``drop``.
        cast: convert all floating-point tensors to this dtype, such as ``float16``. TensorFlow does not cast when it
            restores.
        strip_optimizer: leave out optimizer state. That is the state of TF1's and TF2's optimizers, with loss scales and
            accumulated gradients; but not what the model uses too, nor moving averages, which a note names.
        shards: number of data files, with about equal bytes (unless given, as many as the source has).
        max_shard_size: the largest size of a data file; larger tensors are split into slices. Slices that are larger are put
            together first, and those of a dtype or rank in which TensorFlow could not do it.
        big_endian: byte order of the values (unless given, the source's).
        source_format: which format to read if both exist: ``"v2"``, unless given, or ``"v1"``.
        verify: check each tensor's checksum while copying.
        sync: wait until the files have reached the disk.
        overwrite: replace ``dest`` if it exists.
        dry_run: show what would be done, and write nothing.
        progress: called with (bytes done, bytes in all).
    Returns:
        The `Plan`: what becomes of each tensor.
    Raises:
        PlanError: two tensors would get one name, or none, or an object would vanish from another path; lists all. Or no
            model variable would be left by ``strip_optimizer``, or nothing at all by ``keep``.
        UsageError: an unknown dtype, a regular expression that is none, counts below 1.
        CheckpointExistsError, CheckpointNotFoundError, ChecksumError, FormatError, StorageError.
    Example:
        >>> report = tfckpt.rewrite("bert_model.ckpt", "half", keep=["bert/*"], strip_optimizer=True, cast="float16")
        >>> len(report.steps), tfckpt.open("half")["bert/pooler/dense/bias"].dtype
        (39, dtype('float16'))
    """

def salvage(
    source: PathLike,
    dest: PathLike,
    *,
    source_format: Literal["v1", "v2"] | None = None,
    sync: bool = True,
    overwrite: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Salvage:
    """Write what is intact of a damaged checkpoint: each tensor whose checksums match its bytes, and nothing else.

    Data files may be missing or cut short, and the index damaged: blocks of it that are whole are found even without its
    footer. A partitioned tensor goes as a whole or not at all, and so does an object of several tensors, such as a table. The
    object graph goes along if it is intact, without what is known to be lost, so that TensorFlow restores the rest. The
    result is V2, also of a V1 source.

    Args:
        source: the checkpoint: a prefix, one of its files, or its directory. It is only read.
        dest: the exact prefix of the files to write.
        source_format: which format to read if both exist: ``"v2"``, unless given, or ``"v1"``.
        sync: wait until the files have reached the disk.
        overwrite: replace ``dest`` if it exists.
        dry_run: show what would be done, and write nothing.
        progress: called with (bytes done, bytes in all).
    Returns:
        The `Salvage`: what was saved, and what was not and why. All was intact if its ``damage`` is empty.
    Raises:
        FormatError: no tensor is intact but perhaps the object graph; then nothing is written.
        CheckpointNotFoundError: no checkpoint, or no index: without it nothing is known of a data file's tensors.
        CheckpointExistsError, StorageError, UsageError.
    Example:
        >>> tfckpt.save("damaged", {"a": [1.0, 2.0], "b": 3})
        >>> with open("damaged.data-00000-of-00001", "r+b") as file:
        ...     _ = file.write(b"!")
        >>> report = tfckpt.salvage("damaged", "saved")
        >>> report.lost, report.damage[0].end, sorted(tfckpt.open("saved"))
        (('a',), 16, ['b'])
    """

def statistics(
    source: PathLike,
    pattern: str | None = None,
    *,
    bins: int = 10,
    source_format: Literal["v1", "v2"] | None = None,
    progress: Progress | None = None,
) -> CheckpointStatistics:
    """Tell what the values of each numeric tensor look like: count, mean, deviation, extremes, zeros, NaNs, a histogram.

    Each tensor is read twice, piece by piece, so memory stays small whatever it weighs, and its checksum is compared.

    Args:
        source: a checkpoint of either format: a prefix, one of its files, its directory, or a URL.
        pattern: which tensors: a glob, as `Checkpoint.entries` takes it, or one tensor's name, path or full name. Unless
            given, all.
        bins: bars of the histogram. They are of equal width, from the smallest finite value to the largest.
        source_format: which format to read if both exist: ``"v2"``, unless given, or ``"v1"``.
        progress: called with (bytes done, bytes in all).
    Returns:
        The `CheckpointStatistics`: a mapping from names to `Statistics`. Tensors of strings and the like are ``skipped``.
    Raises:
        TensorNotFoundError: no tensor matches ``pattern``, or it is the full name of several variables.
        UsageError: ``bins`` is no number of 1 or more.
        CheckpointNotFoundError, FormatError, ChecksumError, StorageError: the checkpoint cannot be read, or is damaged.
    Example:
        >>> tfckpt.save("weights.ckpt", {"w": [[-1.0, 0.0], [3.0, float("nan")]], "labels": ["yes", "no"]})
        >>> found = tfckpt.statistics("weights.ckpt", bins=2)
        >>> found["w"].minimum, found["w"].maximum, found["w"].zeros, found["w"].nan
        (-1.0, 3.0, 1, 1)
        >>> found["w"].edges, found["w"].counts, found.skipped
        ((-1.0, 1.0, 3.0), (2, 1), ('labels',))
    """
