"""Tries one command's faults and situations; prints how often each left the destination how, as JSON.

    python -m faults.crashes COMMAND [--layer python|c] [--fault NAME...] [--every N] [--keep DIR]

The C layer, shim.c, must be in ``LD_PRELOAD``; it is for faults only.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from faults.commands import COMMANDS
from faults.layers import FAULTS, CLayer, Layer, PythonLayer
from faults.schedule import Schedule
from faults.situations import SITUATIONS, small_disk

NAMES = [*(fault.name for fault in FAULTS), *(situation.name for situation in SITUATIONS)]


@contextmanager
def _ordinary_disk() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


def main() -> int:
    """Try what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("command", choices=[command.name for command in COMMANDS])
    parser.add_argument("--layer", choices=("python", "c"), default="python")
    parser.add_argument("--fault", nargs="*", choices=NAMES, default=NAMES, metavar="NAME", help="(default: all)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="spoil every N-th call")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="copy there what killed attempts leave")
    args = parser.parse_args()
    command = next(command for command in COMMANDS if command.name == args.command)
    layer: Layer = PythonLayer() if args.layer == "python" else CLayer(os.environ["LD_PRELOAD"])
    found: dict[str, dict[str, int]] = {}
    with _ordinary_disk() as work:
        schedule = Schedule(command, layer, work, args.keep)
        for fault in FAULTS:
            if fault.name in args.fault:
                found[fault.name] = schedule.try_all(fault, args.every)
        for situation in SITUATIONS:
            if situation.name in args.fault and args.layer == "python" and situation.concerns(command):
                if not situation.mounts:
                    found[situation.name] = situation.try_all(schedule, args.every)
                    continue
                with small_disk() as disk:
                    found[situation.name] = situation.try_all(Schedule(command, layer, disk), args.every)
    print(json.dumps({"calls": len(schedule.calls), "found": found}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
