"""What TensorFlow makes of the same damage: python -m damage.theirs KIND prints one JSON document.

A process that has imported TensorFlow forks one that goes through the cases and sends a byte for each. If that one dies, the
case in hand has killed it, and another goes on behind it.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import tempfile
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import numpy as np
import tensorflow as tf
from tensorflow.python.training import py_checkpoint_reader

from .damages import done as damaged
from .damages import every, read_files
from .kinds import KINDS

OUTCOMES = {
    b"n": "noticed",
    b"h": "harmless",
    b"w": "wrong values",
    b"m": "tensors missing",
    b"a": "aborted",
    b"t": "hung",
}
MOST_SECONDS = 60  # for one case


def read(prefix: str, names: dict[str, Any]) -> dict[str, Any]:
    """Return the bytes of every tensor that the checkpoint lists; those in ``names`` by the op that restores them."""
    reader = py_checkpoint_reader.NewCheckpointReader(prefix)
    return {
        name: _restored(prefix, name, names[name]) if name in names else _stored(reader.get_tensor(name))
        for name in reader.get_variable_to_shape_map()
    }


def needs_an_op(prefix: str) -> dict[str, Any]:
    """Return the dtypes of the tensors that only an op can read: variants, and slices in V1."""
    reader = py_checkpoint_reader.NewCheckpointReader(prefix)
    found = {}
    for name, dtype in reader.get_variable_to_dtype_map().items():
        try:
            reader.get_tensor(name)
        except Exception:  # noqa: PERF203 - whatever it is, the op must do
            found[name] = dtype
    return found


def _stored(value: Any) -> Any:
    array = np.asarray(value)
    return array.tolist() if array.dtype.hasobject or array.dtype.kind == "S" else array.tobytes()


def _restored(prefix: str, name: str, dtype: Any) -> Any:
    if dtype != tf.variant:
        return _stored(tf.raw_ops.Restore(file_pattern=prefix, tensor_name=name, dt=dtype).numpy())
    (value,) = tf.raw_ops.RestoreV2(prefix=prefix, tensor_names=[name], shape_and_slices=[""], dtypes=[dtype])
    again = f"{prefix}-again"
    tf.raw_ops.SaveV2(prefix=again, tensor_names=["x"], shape_and_slices=[""], tensors=[value])
    return Path(f"{again}.data-00000-of-00001").read_bytes()


def judge(prefix: str, names: dict[str, Any], values: dict[str, Any]) -> bytes:
    try:
        found = read(prefix, names)
    except Exception:  # an error of whatever class is one
        return b"n"
    if any(found[name] != values[name] for name in found.keys() & values.keys()):
        return b"w"
    return b"h" if found.keys() == values.keys() else b"m"


def work(prefix: str, start: int, pipe: int) -> None:
    """Go through the cases from ``start`` on."""
    directory = Path(prefix).parent
    files = read_files(directory)
    names = needs_an_op(prefix)
    values = read(prefix, names)
    for path in set(read_files(directory)) - set(files):
        (directory / path).unlink()
    for damage in islice(every(files), start, None):
        with damaged(damage, directory, files):
            os.write(pipe, judge(prefix, names, values))


def run(kind: str) -> bytes:
    """Return the outcome of every case, a byte each."""
    outcomes = b""
    with tempfile.TemporaryDirectory() as directory:
        total = sum(1 for _ in every(_made(kind, directory)[1]))
    while len(outcomes) < total:
        with tempfile.TemporaryDirectory() as directory:
            prefix, _ = _made(kind, directory)
            outcomes += _outcomes_until_death(prefix, len(outcomes), total)
    return outcomes


def _made(kind: str, directory: str) -> tuple[str, dict[str, bytes]]:
    prefix = KINDS[kind].make(Path(directory))
    return prefix, read_files(Path(directory))


def _outcomes_until_death(prefix: str, start: int, total: int) -> bytes:
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(ours)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what it says when it aborts
        try:
            work(prefix, start, theirs)
        finally:
            os._exit(1)
    os.close(theirs)
    outcomes, end = b"", b"a"
    while True:
        if not select.select([ours], [], [], MOST_SECONDS)[0]:
            os.kill(pid, signal.SIGKILL)
            end = b"t"
        elif chunk := os.read(ours, 1 << 16):
            outcomes += chunk
            continue
        break
    os.close(ours)
    _, status = os.waitpid(pid, 0)
    if start + len(outcomes) == total:
        return outcomes
    assert os.WIFSIGNALED(status), f"exit status {status}: a mistake in here, no crash"
    return outcomes + end


def main(kind: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        what = [damage.what for damage in every(_made(kind, directory)[1])]
    outcomes = run(kind)
    counted = Counter(zip(what, (OUTCOMES[outcomes[n : n + 1]] for n in range(len(outcomes))), strict=True))
    rows = [[damage, outcome, count] for (damage, outcome), count in sorted(counted.items())]
    json.dump({"version": tf.__version__, "counted": rows}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
