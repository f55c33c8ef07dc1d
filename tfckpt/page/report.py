"""The call `tfckpt.report`: what a checkpoint holds, and what another one has to do with it, as data and as a page."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

from tfckpt.base.arguments import whole_number
from tfckpt.base.options import MOST_BINS, PathLike, ReportOptions
from tfckpt.base.signatures import takes
from tfckpt.checkpoint.checkpoint import Checkpoint
from tfckpt.checkpoint.checkpoint import open as open_checkpoint
from tfckpt.errors import UsageError
from tfckpt.page.document import Report, make_report
from tfckpt.page.page import page, write_page
from tfckpt.storage import files
from tfckpt.storage.commit import existing_files
from tfckpt.storage.paths import v1_paths

if TYPE_CHECKING:
    from typing_extensions import Unpack


@takes(ReportOptions)
def report(
    source: PathLike, dest: PathLike | None = None, *, output: PathLike | None = None, **options: Unpack[ReportOptions]
) -> Report:
    """Describe a checkpoint, and write the page to look at if ``output`` is given.

    With a second checkpoint, the report says where the two differ if both have the same names; otherwise it shows how the
    source was converted to it. It says which of the two it took, and why. Values are read a piece at a time.

    Args:
        source: the checkpoint: a prefix, one of its files, or its directory. It is only read.
        dest: another checkpoint of the same names, or what the source was converted to.
        output: the page to write, such as ``"report.html"``: one file that needs no network.
        **options: those of `ReportOptions`.
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
    if whole_number("bins", options["bins"]) > MOST_BINS:
        raise UsageError(f"bins: expected {MOST_BINS} or fewer, got {options['bins']}")
    with ExitStack() as stack:
        ours = stack.enter_context(open_checkpoint(source, format=options["source_format"]))
        theirs = None if dest is None else stack.enter_context(open_checkpoint(dest))
        if output is not None:
            _check_output(os.fspath(output), ours, theirs, overwrite=options["overwrite"])
        made = make_report(ours, theirs, options)
        if output is not None:
            write_page(os.fspath(output), page(made))
    return made


def _check_output(output: str, *checkpoints: Checkpoint | None, overwrite: bool) -> None:
    prefixes = [checkpoint.prefix for checkpoint in checkpoints if checkpoint is not None]
    inputs = [path for prefix in prefixes for path in (*existing_files(prefix), *v1_paths(prefix))]
    files.check_free(output, inputs, overwrite=overwrite)
