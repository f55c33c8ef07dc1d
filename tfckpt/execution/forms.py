"""What of a plan another program's file cannot hold, said before anything is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfckpt.base.issues import Issue
from tfckpt.bundle.listing import collector_paused
from tfckpt.errors import PlanError
from tfckpt.execution.compute import compute
from tfckpt.formats.container import Tensor, TensorSink, TensorSource
from tfckpt.planning.plan import Plan
from tfckpt.planning.steps import Step

if TYPE_CHECKING:
    from tfckpt.bundle.values.arrays import Array


def check_forms(plan: Plan, sink: type[TensorSink], source: TensorSource) -> None:
    """Raise PlanError, with everything that cannot go. Strings are read, to see whether they can be given one width."""
    with collector_paused():
        complaints = [
            why._replace(subject=repr(step.source or step.target))
            for step in plan.steps
            if (why := _against(step, sink, source)) is not None
        ]
    complaints += sink.ambiguous([step.target for step in plan.steps])
    if complaints:
        raise PlanError([why._replace(origin=plan.source) for why in complaints])


def _against(step: Step, sink: type[TensorSink], source: TensorSource) -> Issue | None:
    """Return why a tensor cannot go, if it cannot."""

    def read() -> Array:
        return compute(step, source, verify=False)

    return sink.complain(Tensor(step.target, step.stored_type, step.shape, step.nbytes), read)
