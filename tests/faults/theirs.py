"""What TensorFlow makes of the destinations that killed attempts left: how many are the old one, the new one, or absent.

    python -m faults.theirs < DIRECTORIES

A directory is what ``crashes.py --keep`` filled: `old`, `new`, and one for each attempt. Anything else is an AssertionError.
The first line that is printed is TensorFlow's version, then comes one for each directory.
"""

from __future__ import annotations

import collections
import json
import os
import sys
from pathlib import Path
from typing import Any

NAME = "model"
Contents = tuple[str | None, dict[str, tuple[str, bytes]] | None]


def contents(tf: Any, directory: Path) -> Contents:
    """Return which checkpoint is the latest, and every value of the one that was written; None if there is none."""
    latest = tf.train.latest_checkpoint(str(directory))
    name = None if latest is None else os.path.basename(latest)
    try:
        reader = tf.train.load_checkpoint(str(directory / NAME))
    except (tf.errors.OpError, ValueError):  # a damaged one would be an error, too
        assert not os.path.lexists(directory / f"{NAME}.index"), sorted(os.listdir(directory))
        return name, None
    return name, {key: _told(reader.get_tensor(key)) for key in reader.get_variable_to_shape_map()}


def _told(value: Any) -> tuple[str, bytes]:
    """Return the dtype and shape, and the bytes, of what TensorFlow returns: of a scalar string, that alone."""
    if isinstance(value, bytes):
        return "bytes", value
    return f"{value.dtype}{value.shape}", repr(value.tolist()).encode() if value.dtype == object else value.tobytes()


def count(tf: Any, directory: Path) -> collections.Counter[str]:
    """Return how many attempts left the destination how."""
    old, new = (contents(tf, directory / name) for name in ("old", "new"))
    assert new[1] is not None
    assert old != new
    found: collections.Counter[str] = collections.Counter()
    for attempt in sorted(set(os.listdir(directory)) - {"old", "new"}, key=int):
        latest, values = contents(tf, directory / attempt)
        assert values in (old[1], new[1]), f"{directory}: killed at call {attempt}"
        assert latest in (old[0], new[0]), f"{directory}: killed at call {attempt}"
        is_new = values == new[1] if old[1] != new[1] else latest == new[0]
        found["new" if is_new else "absent" if values is None else "old"] += 1
    return found


def main() -> None:
    import tensorflow as tf

    tf.get_logger().setLevel("CRITICAL")  # it complains of a latest checkpoint that is not there, as it may be
    print(tf.__version__, flush=True)
    for line in sys.stdin:
        print(json.dumps(count(tf, Path(line.strip()))), flush=True)


if __name__ == "__main__":
    main()
