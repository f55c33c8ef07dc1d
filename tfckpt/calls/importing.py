"""Files of other frameworks written as checkpoints, in memory that does not grow with them."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING

from tfckpt.base import log
from tfckpt.base.issues import Issue
from tfckpt.base.options import ImportOptions, PathLike, Request, given
from tfckpt.base.progress import finish
from tfckpt.base.signatures import takes
from tfckpt.bundle.carry import counting
from tfckpt.checkpoint.find.locate import check_prefix
from tfckpt.checkpoint.graph.object_graph import ATTRIBUTES
from tfckpt.edit.edits import Edits
from tfckpt.edit.exchange import make
from tfckpt.errors import located
from tfckpt.execution.run import run
from tfckpt.formats.bundle import BundleSink
from tfckpt.formats.container import Destination
from tfckpt.formats.opening import open_source
from tfckpt.planning.plan import Plan, noting
from tfckpt.storage.local_input import check_path

if TYPE_CHECKING:
    from typing_extensions import Unpack


@takes(ImportOptions)
def import_(source: PathLike, dest: PathLike, **options: Unpack[ImportOptions]) -> Plan:
    """Write the tensors of a safetensors file, a .npz file, or a directory that `export` wrote, as a checkpoint.

    The file may be a stranger's: its headers are checked before they are believed, and nothing in it is ever unpickled.
    Values stream, but for what is transposed, arrays in column-major order, and strings. Where names are TF1's, ``to`` makes
    a checkpoint for TensorFlow 2 of them at once, as `convert` would. With another ``mode`` than ``"copy"``, the
    checkpoint shares the bytes of a safetensors file or of a directory's arrays: these files become its data files.

    Args:
        source: the file or directory. It is only read.
        dest: the exact prefix of the files to write; missing directories are made.
        **options: those of `ImportOptions`.
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
    prefix = check_prefix(dest)
    path = os.fspath(source)
    check_path(path)
    with located(path, None), closing(open_source(path, options["kind"])) as archive:
        plan = make(archive, given(Request, options), Edits(drop=options["drop"], keep=options["keep"]))
        if plan.object_graph is None and any(ATTRIBUTES in step.target for step in plan.steps):
            plan = noting(plan, [Issue("graph-missing")])
        if options["dry_run"]:
            return plan
        count = counting(options["progress"], plan.nbytes)
        to = Destination(prefix, overwrite=options["overwrite"], sync=options["sync"], progress=count)
        written = run(plan, archive, BundleSink(to), mode=options["mode"])
        finish(options["progress"], plan.nbytes)
    log.info("%s: %d tensors imported to %s", path, len(plan.steps), prefix)
    return plan._replace(written=written)
