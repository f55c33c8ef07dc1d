"""Writes the V1 oracles of tests/data/v1 with TensorFlow 1.15 under Python 3.7: python make_v1.py DIRECTORY

saver                  a Saver's one file: a variable partitioned in three, a matrix, strings, a scalar
shards-*-of-00002      the same by a sharded Saver, the variables on two devices: each file has a part of "parts"
slices                 the op SaveSlices: every dtype that it takes, in several shapes, and slices in two dimensions
checkpoint             the state file that the sharded Saver left
vars.npz               the value of every tensor under "<file>:<name>": quantized ones as integers, strings as bytes
"""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1
v1.logging.set_verbosity(v1.logging.ERROR)

DTYPES = (
    *("bool", "float16", "float32", "float64", "complex64", "complex128", "int8", "int16", "int32", "int64"),
    *("uint8", "uint16", "qint8", "qint32", "quint8"),
)
SHAPES = ((), (0, 2), (2, 1, 3))
STRINGS = np.array([[b"", b"a\0b"], [b"\xff" * 200, b"\xeb\xac\xbc"]], object)
REFUSED = ("float16", "uint16", "complex64", "qint8")  # what TensorFlow's Python reader does not return
BOXES = (("-:0,2", np.s_[:, :2]), ("0,1:2,4", np.s_[:1, 2:]), ("1,3:2,4", np.s_[1:, 2:]))  # of shape (4, 6)


def make(dtype: str, shape: tuple[int, ...]) -> Any:
    """Return values of a dtype: its extremes, then some others; floats are any bits, signalling NaNs among them."""
    size = int(np.prod(shape))
    natural = np.dtype(dtype.lstrip("q"))
    rng = np.random.RandomState(size)
    if natural.kind == "b":
        return (rng.randint(0, 2, size) == 1).reshape(shape)
    if natural.kind in "iu":
        limits = np.iinfo(natural)
        return np.array([limits.min, limits.max, *range(size)], natural)[:size].reshape(shape)
    values = np.frombuffer(rng.bytes(size * natural.itemsize), natural).copy()
    if dtype == "float32":
        values[:2] = np.array([0x7F800001, 0x80000000], np.uint32).view(np.float32)[:size]
    return values.reshape(shape)


def write_slices(path: str) -> dict[str, Any]:
    """Write all dtypes with one call of SaveSlices; return the values by name."""
    values: dict[str, Any] = {}
    rows: list[tuple[str, str, Any, str]] = []  # name, shape and slice, value, dtype
    for dtype in DTYPES:
        for shape in SHAPES:
            name = f"{dtype}/{'x'.join(map(str, shape)) or 'scalar'}"
            values[name] = make(dtype, shape)
            rows.append((name, "", values[name], dtype))
    values["string/2x2"], values["string/scalar"] = STRINGS, np.array(b"one", object)
    rows += [(name, "", values[name], "string") for name in ("string/2x2", "string/scalar")]
    for dtype in REFUSED:
        values[f"boxes/{dtype}"] = whole = make(dtype, (4, 6))
        rows += [(f"boxes/{dtype}", f"4 6 {spec}", whole[part], dtype) for spec, part in BOXES]
    values["boxes/string"] = STRINGS
    rows += [("boxes/string", f"2 2 -:{column},1", STRINGS[:, column : column + 1], "string") for column in (0, 1)]
    with tf.Graph().as_default(), v1.Session() as session:
        tensors = [v1.placeholder(tf.as_dtype(dtype), value.shape) for _, _, value, dtype in rows]
        names, specs = [row[0] for row in rows], [row[1] for row in rows]
        save = tf.raw_ops.SaveSlices(filename=path, tensor_names=names, shapes_and_slices=specs, data=tensors)
        session.run(save, {tensors[i]: as_fed(row[2], tensors[i].dtype) for i, row in enumerate(rows)})
    return values


def as_fed(value: Any, dtype: Any) -> Any:
    """Return a value in the NumPy dtype that TensorFlow wants: a record, for quantized ones."""
    return value if dtype == tf.string else np.array(value, order="C").view(dtype.as_numpy_dtype)


def write_variables(path: str, sharded: bool) -> Any:
    """Write variables of two devices with a Saver; return their values by name."""
    parts = iter([0, 1, 0])
    first, second = "/cpu:0", "/cpu:1"
    with tf.Graph().as_default(), v1.Session(config=v1.ConfigProto(device_count={"CPU": 2})) as session:
        v1.set_random_seed(1)
        with v1.device(lambda op: (first, second)[next(parts)] if op.type == "VariableV2" else first):
            rows = v1.get_variable("parts", [7, 4], partitioner=v1.fixed_size_partitioner(3))
        with v1.device(second):
            matrix = v1.get_variable("layer/matrix", [3, 5], tf.float64)
        with v1.device(first):
            words = v1.get_variable("words", initializer=STRINGS.reshape(-1))
            step = v1.train.get_or_create_global_step()
        session.run(v1.global_variables_initializer())
        session.run(step.assign(2**40))
        saver = v1.train.Saver(write_version=v1.train.SaverDef.V1, sharded=sharded)
        saver.save(session, path, write_meta_graph=False, write_state=sharded)
        whole = {"parts": tf.convert_to_tensor(rows), "layer/matrix": matrix, "words": words, "global_step": step}
        return session.run(whole)


def main(directory: str) -> None:
    """Write everything."""
    os.chdir(directory)
    files = {
        "saver": write_variables("./saver", sharded=False),
        "shards": write_variables("./shards", sharded=True),
        "slices": write_slices("slices"),
    }
    arrays = {f"{file}:{name}": value for file, values in files.items() for name, value in values.items()}
    strings = {key: value.astype("S") for key, value in arrays.items() if np.asarray(value).dtype == object}
    np.savez_compressed("vars.npz", **dict(arrays, **strings))


if __name__ == "__main__":
    main(sys.argv[1])
