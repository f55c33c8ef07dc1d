"""What another process is asked to do: functions that a pool finds by name."""

from __future__ import annotations

import tfckpt
from tfckpt.execution.run import execute
from tfckpt.planning.plan import Plan


def carry_out(plan: Plan, dest: str) -> Plan:
    """Execute a plan; return it as it arrived."""
    with tfckpt.open(plan.source) as checkpoint:
        execute(plan, checkpoint.reader, dest, sync=False)
    return plan


def contents(checkpoint: tfckpt.Checkpoint) -> dict[str, bytes]:
    """Return the bytes of every tensor."""
    return {name: value.tobytes() for name, value in checkpoint.items()}
