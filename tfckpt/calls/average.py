"""The average of checkpoints of one training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from tfckpt.base import log
from tfckpt.base.options import AverageOptions, PathLike
from tfckpt.base.progress import finish, stages
from tfckpt.base.signatures import takes
from tfckpt.bundle.carry import counting
from tfckpt.bundle.listing import collector_paused
from tfckpt.checkpoint.checkpoint import check_apart
from tfckpt.checkpoint.checkpoint import open as open_checkpoint
from tfckpt.checkpoint.find.locate import check_prefix
from tfckpt.edit.average import MeanSource, choose, is_read_at_once, plan_average
from tfckpt.edit.paths import check_unchanged, in_the_way, source_paths
from tfckpt.errors import UsageError
from tfckpt.execution.pieces import write_stored
from tfckpt.formats.bundle import BundleSink
from tfckpt.formats.container import Destination
from tfckpt.planning.plan import Plan, noting

if TYPE_CHECKING:
    from typing_extensions import Unpack


@takes(AverageOptions)
def average(sources: Sequence[PathLike], dest: PathLike, **options: Unpack[AverageOptions]) -> Plan:
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
        **options: those of `AverageOptions`.
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
    prefix = check_prefix(dest)
    paths = source_paths(sources)
    if not paths:
        raise UsageError("average: expected one source or more, got none")
    shares = _shares(options["weights"], len(paths))
    with ExitStack() as stack:
        checkpoints = [stack.enter_context(open_checkpoint(path)) for path in paths]
        with collector_paused():  # of 100,000 objects it would make a quarter of the time
            chosen = choose(checkpoints)
            plan = plan_average(checkpoints, chosen)
        for checkpoint in checkpoints:
            check_apart(checkpoint, prefix)
        if options["dry_run"]:
            return noting(plan, in_the_way(prefix, overwrite=options["overwrite"]))
        for checkpoint in checkpoints:
            checkpoint.reader.check_sharing(checkpoint.entries())
        last = checkpoints[-1].reader
        compared = [name for name in dict.fromkeys(chosen.averaged.values()) if not is_read_at_once(last.entries[name])]
        read = [checkpoint.reader.entries[name] for checkpoint in checkpoints for name in compared]
        total = sum(entry.nbytes for entry in read) if options["verify"] else 0
        comparing, writing = stages(options["progress"], total, plan.nbytes)
        if options["verify"]:
            count = counting(comparing, total)
            for checkpoint in checkpoints:
                checkpoint.reader.compare([checkpoint.reader.entries[name] for name in compared], progress=count)
        progress = counting(writing, plan.nbytes)
        to = Destination(prefix, overwrite=options["overwrite"], sync=options["sync"], progress=progress)
        means = MeanSource(checkpoints, shares, chosen.averaged)
        with BundleSink(to, big_endian=last.big_endian) as sink:
            write_stored(plan.steps, means, sink, verify=options["verify"])
            issues = means.issues()
            sink.commit(lambda: check_unchanged(checkpoints))
        finish(options["progress"], total + plan.nbytes)
    log.info("%s: the average of %d checkpoints, written to %s", plan.source, len(paths), prefix)
    return noting(plan, issues)


def _shares(weights: Sequence[float] | None, count: int) -> list[float]:
    """Return the weights as parts of the largest; equal ones are all 1, so that nothing is lost by multiplying.

    Raises: UsageError.
    """
    if weights is None:
        return [1.0] * count
    try:
        found = [float(weight) for weight in weights if not isinstance(weight, bool | str)]
        given = len(weights)
    except (TypeError, ValueError):
        raise UsageError(f"weights: expected a list of numbers, got {weights!r}") from None
    if given != count:
        raise UsageError(f"weights: expected {count}, one for each source, got {given}")
    if len(found) != count or not all(weight > 0 and math.isfinite(weight) for weight in found):
        raise UsageError(f"weights: expected positive numbers, got {list(weights)!r}")
    return [weight / max(found) for weight in found]
