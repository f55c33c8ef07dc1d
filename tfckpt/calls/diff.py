"""Two checkpoints compared."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tfckpt.base.options import DiffOptions, PathLike
from tfckpt.base.progress import finish
from tfckpt.base.signatures import takes
from tfckpt.bundle.carry import counting
from tfckpt.bundle.listing import collector_paused
from tfckpt.checkpoint.checkpoint import open as open_checkpoint
from tfckpt.edit.comparison.diff import Comparer, Comparison, How
from tfckpt.edit.comparison.differences import Tolerance
from tfckpt.edit.comparison.selection import Selection
from tfckpt.errors import UsageError
from tfckpt.planning.plan import Plan

if TYPE_CHECKING:
    from typing_extensions import Unpack


@takes(DiffOptions)
def diff(a: PathLike, b: PathLike, *, plan: Plan | None = None, **options: Unpack[DiffOptions]) -> Comparison:
    """Compare two checkpoints: names, dtypes, shapes and values, in bounded memory; checksums on the way.

    Values are equal as numbers are: a NaN is a NaN, -0.0 is 0.0; `tfckpt.prove` compares bits.

    Args:
        a: a checkpoint: a prefix, one of its files, or its directory.
        b: another one, of either format.
        plan: what `tfckpt.plan` makes of ``a``: B is then compared with what A would become, its model found by its object
            graph. A tensor that has to be transposed is then held in memory.
        **options: those of `DiffOptions`.
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
    atol, rtol = options["atol"], options["rtol"]
    if not (atol >= 0 and rtol >= 0):
        raise UsageError(f"tolerance: expected numbers of 0 or more, got atol {atol}, rtol {rtol}")
    selection = Selection(options["only"], options["ignore"])
    with open_checkpoint(a) as ours, open_checkpoint(b) as theirs:
        for checkpoint in (ours, theirs):
            checkpoint.reader.check_sharing(checkpoint.entries())
        if plan is not None and plan.source != ours.prefix:
            raise UsageError(f"plan: it is for {plan.source}, and the checkpoint to compare is {ours.prefix}")
        everything = [entry.nbytes for checkpoint in (ours, theirs) for entry in checkpoint.entries()]
        total = sum(everything) if plan is None else 2 * plan.nbytes
        how = How(
            Tolerance(atol, rtol), ignore_dtypes=options["ignore_dtypes"], count=counting(options["progress"], total)
        )
        comparer = Comparer(ours, theirs, how, selection)
        with collector_paused():  # of 100,000 pairs it would make a tenth of the time
            comparison = comparer.by_name() if plan is None else comparer.by_plan(plan)
        finish(options["progress"], total)
        issues = selection.issues()
        selection.check_some(len(comparison.pairs), len(comparison.ignored))
        return replace(comparison, issues=issues)
