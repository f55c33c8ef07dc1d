"""What is intact of a damaged checkpoint, written as a new one.

Strategy: every tensor is read once to learn whether it is intact, then those that are go over as they are, compared again.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tfckpt.base import log
from tfckpt.base.issues import leave_out, take
from tfckpt.base.options import PathLike, SalvageOptions
from tfckpt.base.progress import finish, stages
from tfckpt.base.signatures import takes
from tfckpt.bundle.carry import counting
from tfckpt.bundle.damage import find_all, remedy_for_all, survey
from tfckpt.checkpoint.find.locate import check_prefix
from tfckpt.edit.salvage import Salvage, find_damaged, find_intact, unsaved_roles
from tfckpt.errors import FormatError, UsageError, are, count_of, remedied
from tfckpt.execution.pieces import stored_once, write_stored
from tfckpt.formats.bundle import BundleSink, BundleSource
from tfckpt.formats.container import Destination
from tfckpt.planning.steps import carrying
from tfckpt.storage import files
from tfckpt.storage.paths import V2, index_path

if TYPE_CHECKING:
    from typing_extensions import Unpack


@takes(SalvageOptions)
def salvage(source: PathLike, dest: PathLike, **options: Unpack[SalvageOptions]) -> Salvage:
    """Write what is intact of a damaged checkpoint: each tensor whose checksums match its bytes, and nothing else.

    Data files may be missing or cut short, and the index damaged: blocks of it that are whole are found even without its
    footer. A partitioned tensor goes as a whole or not at all, and so does an object of several tensors, such as a table. The
    object graph goes along if it is intact, without what is known to be lost, so that TensorFlow restores the rest. The
    result is V2, also of a V1 source.

    Args:
        source: the checkpoint: a prefix, one of its files, or its directory. It is only read.
        dest: the exact prefix of the files to write.
        **options: those of `SalvageOptions`.
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
    prefix = check_prefix(dest)
    found = survey(find_damaged(source, options["source_format"]), options["source_format"])
    reader = found.reader
    try:
        if reader.format == V2 and files.is_same(index_path(reader.prefix), index_path(prefix)):
            error = UsageError(f"{prefix}: source and destination are the same checkpoint")
            raise remedied(error, take(os.fspath(dest), f"{prefix}.new"), leave_out("overwrite"))
        total = sum(entry.nbytes for entry in reader.entries.values())
        reading, writing = stages(options["progress"], total, total)
        damage = [*found.damage, *find_all(reader, progress=counting(reading, total))]
        finish(reading, total)
        left = find_intact(reader, damage)
        if damage and not left.has_values:
            places = dict.fromkeys(item.line for item in damage)
            first = f"{len(places)} places are damaged, the first: " if len(places) > 1 else ""
            hint = f"{first}{damage[0].reason}"
            lost = FormatError("salvage", path=reader.prefix, expected="an intact tensor", got="none", hint=hint)
            raise remedied(lost, remedy_for_all(damage))
        saved, issues = left.entries, (*found.issues, *left.issues)
        report = Salvage(
            reader.prefix, prefix, saved, tuple(damage), issues, left.set_aside, unsaved_roles(reader, saved)
        )
        if options["dry_run"]:
            return report
        progress = counting(writing, sum(entry.nbytes for entry in saved))
        to = Destination(prefix, overwrite=options["overwrite"], sync=options["sync"], progress=progress)
        steps = stored_once(map(carrying, saved), reader)
        with BundleSink(to, big_endian=reader.big_endian) as sink:
            write_stored(steps, BundleSource(reader), sink, verify=True, graph=left.graph)
            sink.commit(reader.check_unchanged)
        finish(writing, total)
    finally:
        reader.close()
    counts = count_of(saved, "tensor"), prefix, are(damage, "place")
    log.info("%s: %s written to %s, %s damaged", reader.prefix, *counts)
    return report
