"""Average the last checkpoints of a training run, with equal weights or as an exponential moving average.

    pip install tfckpt
    python examples/average.py averaged.ckpt model.ckpt-1000 model.ckpt-2000 model.ckpt-3000
    python examples/average.py averaged.ckpt model.ckpt-1000 model.ckpt-2000 model.ckpt-3000 --decay 0.9

Without `--decay`, all checkpoints count the same; with it, newer ones count more. `tfckpt.average` does the work, in
memory that does not grow with the checkpoints. It averages numbers with a fraction in float64, and stores them in their
own dtype. Everything else (the step, strings, the object graph of TensorFlow 2) comes from the last checkpoint. So the
average restores exactly as the last one does, whether it is name-based or object-based.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import tfckpt


def moving_average(count: int, decay: float) -> list[float]:
    """Return the weight of each of ``count`` checkpoints in ``average = decay * average + (1 - decay) * checkpoint``.

    The average begins with the first one.
    """
    return [decay ** (count - 1 - n) * (1 - decay if n else 1) for n in range(count)]


def main(argv: Sequence[str] | None = None) -> int:
    """Average the checkpoints of the command line."""
    parser = argparse.ArgumentParser(description="Average checkpoints of a run.")
    parser.add_argument("dest", help="prefix of the checkpoint to write")
    parser.add_argument("sources", nargs="+", help="checkpoints: prefixes, or directories; the newest last")
    parser.add_argument("--decay", type=float, help="the decay of the moving average, above 0 and below 1")
    parser.add_argument("--overwrite", action="store_true", help="replace what is under DEST")
    args = parser.parse_args(argv)
    weights = None if args.decay is None else moving_average(len(args.sources), args.decay)
    try:
        plan = tfckpt.average(args.sources, args.dest, weights=weights, overwrite=args.overwrite)
    except tfckpt.TfckptError as error:
        print(f"average: {error}", file=sys.stderr)
        return 1
    for note in plan.notes:
        print(f"note: {note}")
    print(f"{args.dest}: {len(plan.steps)} tensors, the average of {len(args.sources)} checkpoints")
    return 0


if __name__ == "__main__":
    sys.exit(main())
