"""Writes the V2 oracles of tests/data/bundles with the TensorFlow that runs it: python make_bundles.py DIRECTORY

It takes TensorFlow 1.15 (Python 3.7), 2.20 and 2.21, and writes into DIRECTORY/tf115, tf220 or tf221. The oracles are
those of 2.20; of 2.21 there are the dtypes that are new in it, and of 1.15 only objects-1: everything else here, as far as
it knows the dtypes, it writes to the same bytes (tried).

dtypes          SaveV2: every dtype, in several shapes
strings         SaveV2: strings of many lengths, and none
variants        SaveV2: lists of tensors
slices          SaveV2: every dtype in slices of one, two and three dimensions, explicit full ranges among them
names           SaveV2: names that begin with NUL, are no UTF-8, or long
blocks          SaveV2: so many names that the index has several blocks; the index is stored compressed
basename/       SaveV2: a prefix that ends in a slash
merged          MergeV2Checkpoints of merged and plain bundles: slices of one tensor in three files
saver           tf.train.Saver: tables partitioned along either axis
sharded         the same, of variables on two devices
objects-1       tf.train.Checkpoint.save: a model, an optimizer's slots, names that must be escaped
max_shard_size  the same with MaxShardSizePolicy: slices in all dimensions, over many files
values.npz      every tensor under "<bundle>:<name>": the elements' bytes in one more dimension; of strings, their lengths,
                and all bytes under "<bundle>:<name>:bytes"
"""

from __future__ import annotations

import gzip
import os
import shutil
import sys
from typing import Any

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1
v1.logging.set_verbosity(v1.logging.ERROR)

VERSION = "tf" + "".join(tf.__version__.split(".")[:2])
DTYPES = {
    "tf220": (
        *("bool", "float16", "float32", "float64", "bfloat16", "complex64", "complex128", "int8", "int16", "int32"),
        *("int64", "uint8", "uint16", "uint32", "uint64", "qint8", "quint8", "qint16", "quint16", "qint32"),
        *("float8_e5m2", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e4m3b11fnuz", "float8_e5m2fnuz"),
        *("int4", "uint4"),
    ),
    "tf221": ("int2", "uint2", "float4_e2m1fn"),  # without a public name before
}
SHAPES: Any = ((), (0, 2), (2, 1, 3))
BOXES: Any = {  # spec of a slice, and where it lies
    (6,): (("3,3", np.s_[3:]), ("0,3", np.s_[:3])),
    (4, 6): (("-:0,2", np.s_[:, :2]), ("0,1:2,4", np.s_[:1, 2:]), ("1,3:2,4", np.s_[1:, 2:])),
    (2, 3, 4): (
        *(("0,2:0,3:0,1", np.s_[:, :, :1]), ("0,1:-:1,3", np.s_[:1, :, 1:])),
        *(("1,1:0,2:1,3", np.s_[1:, :2, 1:]), ("1,1:2,1:1,3", np.s_[1:, 2:, 1:])),
    ),
}
LENGTHS = (0, 1, 127, 128, 16383, 16384, 65536)  # where a varint, or what is summed of it, grows
WORDS = np.array([[b"", b"a\0b"], [b"\xff" * 200, b"\xeb\xac\xbc"]], object)
NAMES = (b"\0leading", b"a\0b", b"\xff\xfe", "größe".encode(), b"x" * 300, b"a/b", b"a.b", b"a", b"~")
TABLES = {
    "rows": ([7, 4], 0),
    "columns": ([3, 8], 1),
    "cube": ([2, 6, 2], 1),
}  # shape, and the axis that is cut in three
ROWS = {"a": (2, 0), "b": (1, 2), "c": (2, 3)}  # of the merged table: how many, from which on


class Saved:
    """The values of everything written so far."""

    def __init__(self) -> None:
        self.arrays: dict[str, Any] = {}

    def add(self, bundle: str, name: str | bytes, value: Any) -> None:
        """Keep a tensor's value as bytes, whatever its dtype."""
        text = name if isinstance(name, str) else name.decode("utf-8", "backslashreplace").replace("\0", "\\0")
        key, value = f"{bundle}:{text}", np.array(value, order="C")
        if value.dtype == object:
            items = [bytes(item) for item in value.reshape(-1)]
            self.arrays[key] = np.array([len(item) for item in items], np.int64).reshape(value.shape)
            self.arrays[key + ":bytes"] = np.frombuffer(b"".join(items), np.uint8)
        else:
            self.arrays[key] = np.frombuffer(value.tobytes(), np.uint8).reshape((*value.shape, value.dtype.itemsize))


def make(dtype: str, shape: tuple[int, ...]) -> Any:
    """Return values of a dtype: its extremes, then some others; floats are any bits, signalling NaNs among them."""
    size = int(np.prod(shape))
    record = np.dtype(tf.as_dtype(dtype).as_numpy_dtype)
    natural = record[0] if record.names else record
    rng = np.random.RandomState(size)
    if natural.kind == "b":
        values = rng.randint(0, 2, size) == 1
    elif natural.kind in "iu":
        limits = np.iinfo(natural)
        values = np.array([limits.min, limits.max, *range(size)], natural)[:size]
    elif dtype.endswith(("int4", "int2", "e2m1fn")):
        values = np.arange(size).astype(np.int8).__mod__(4).astype(natural)
    else:
        values = np.frombuffer(rng.bytes(size * natural.itemsize), natural).copy()
    return values.view(record).reshape(shape)


def save(saved: Saved, bundle: str, rows: Any) -> None:
    """Write (name, spec of a slice, value, dtype) with one call of SaveV2."""
    tensors = [tf.constant(value, tf.as_dtype(dtype)) for _, _, value, dtype in rows]
    names, specs = [row[0] for row in rows], [row[1] for row in rows]
    tf.raw_ops.SaveV2(prefix=bundle, tensor_names=names, shape_and_slices=specs, tensors=tensors)
    for name, spec, value, _ in rows:
        if not spec:
            saved.add(bundle, name, value)


def write_dtypes(saved: Saved) -> None:
    """Write every dtype, whole and in slices. Those that TensorFlow cannot put together again are there, too."""
    rows, slices = [], []
    for dtype in DTYPES[VERSION]:
        for shape in SHAPES:
            name = "{}/{}".format(dtype, "x".join(map(str, shape)) or "scalar")
            rows.append((name, "", make(dtype, shape), dtype))
        for shape, boxes in BOXES.items():
            name, whole, sizes = f"{dtype}/{len(shape)}d", make(dtype, shape), " ".join(map(str, shape))
            slices += [(name, f"{sizes} {spec}", whole[part], dtype) for spec, part in boxes]
            saved.add("slices", name, whole)
    if VERSION == "tf220":
        slices += [("string/2d", f"2 2 -:{n},1", WORDS[:, n : n + 1], "string") for n in (1, 0)]
        saved.add("slices", "string/2d", WORDS)
    save(saved, "dtypes", rows)
    save(saved, "slices", slices)


def write_strings(saved: Saved) -> None:
    """Write strings whose lengths take one, two and three bytes, and lists of tensors."""
    many = np.array([bytes([n]) * length for n, length in enumerate(LENGTHS)], object)
    rows = [("many", many), ("words", WORDS), ("none", np.empty((0, 3), object)), ("one", np.array(b"one", object))]
    save(saved, "strings", [(name, "", value, "string") for name, value in rows])
    empty = tf.raw_ops.EmptyTensorList(element_shape=[2], max_num_elements=-1, element_dtype=tf.float32)
    one = tf.raw_ops.TensorListPushBack(input_handle=empty, tensor=[1.0, 2.0])
    lists = [tf.stack([empty, one]), one]
    tf.raw_ops.SaveV2(prefix="variants", tensor_names=["two", "one"], shape_and_slices=["", ""], tensors=lists)


def write_names(saved: Saved) -> None:
    """Write odd names, many names, and a prefix without a name."""
    save(saved, "names", [(name, "", np.float32(n), "float32") for n, name in enumerate(NAMES)])
    save(saved, "basename/", [("w", "", np.arange(3, dtype=np.float32), "float32")])
    empty = np.empty((0,), np.float32)
    save(Saved(), "blocks", [(f"scope_{n % 7}/{n}", "", empty, "float32") for n in range(36000)])
    with open("blocks.index", "rb") as index, open("blocks.index.gz", "wb") as file:
        file.write(gzip.compress(index.read(), mtime=0))
    os.remove("blocks.index")


def write_merged(saved: Saved) -> None:
    """Merge two bundles, and the result with a third."""
    table = np.arange(50, dtype=np.float32).reshape(5, 10)
    for bundle, (count, start) in ROWS.items():
        part = ("table", f"5 10 {start},{count}:-", table[start : start + count], "float32")
        save(saved, bundle, [("z_" + bundle, "", table, "float32"), part, ("a_" + bundle, "", WORDS, "string")])
    merge = tf.raw_ops.MergeV2Checkpoints
    merge(checkpoint_prefixes=["c", "a"], destination_prefix="ca", delete_old_dirs=False)
    merge(checkpoint_prefixes=["b", "ca"], destination_prefix="merged", delete_old_dirs=False)
    saved.add("merged", "table", table)
    for key in [key for key in saved.arrays if key[0] in ROWS and key[1] == ":"]:
        saved.arrays["merged" + key[1:]] = saved.arrays.pop(key)


def write_saver(saved: Saved, bundle: str, sharded: bool) -> None:
    """Write partitioned tables with a Saver, some of them on a second device."""
    places, tables = iter(range(100)), {}
    config = v1.ConfigProto(device_count={"CPU": 2})
    with tf.Graph().as_default(), v1.Session(config=config) as session:
        with v1.device(lambda op: f"/cpu:{next(places) % 2}" if op.type == "VariableV2" else "/cpu:0"):
            for name, (shape, axis) in TABLES.items():
                partitioner = v1.fixed_size_partitioner(3, axis=axis)
                tables[name] = v1.get_variable(name, shape, tf.float32, partitioner=partitioner, use_resource=False)
            v1.get_variable("words", initializer=WORDS.reshape(-1), use_resource=False)
            v1.get_variable("step", initializer=np.int64(2**40), use_resource=False)
        session.run(v1.global_variables_initializer())
        for name, parts in tables.items():
            whole = np.arange(np.prod(parts.shape.as_list()), dtype=np.float32).reshape(parts.shape.as_list())
            for part in parts:
                info = part._get_save_slice_info()
                box = tuple(slice(start, start + size) for start, size in zip(info.var_offset, info.var_shape))  # noqa: B905
                part.load(whole[box], session)
            saved.add(bundle, name, whole)
        v1.train.Saver(sharded=sharded).save(session, "./" + bundle, write_meta_graph=False, write_state=False)
    saved.add(bundle, "words", WORDS.reshape(-1))
    saved.add(bundle, "step", np.int64(2**40))


def write_objects(saved: Saved) -> None:
    """Write a model with an optimizer that made one step."""
    kernel, bias = tf.Variable(np.eye(3, 2, dtype=np.float32)), tf.Variable(np.array([1, 2], np.float32))
    model = tf.train.Checkpoint(kernel=kernel, bias=bias)
    optimizer = v1.train.AdamOptimizer(0.5)
    optimizer.apply_gradients([(tf.ones_like(kernel), kernel), (tf.ones_like(bias), bias)])
    names = {"a.b": tf.Variable(np.int64(1)), "c/d": tf.Variable(np.float64(2))}
    root = tf.train.Checkpoint(model=model, again=model, optimizer=optimizer, **names)
    path = root.save("objects")
    take(saved, os.path.basename(path))
    os.remove("checkpoint")


def write_max_shard_size(saved: Saved) -> None:
    """Write a model in files of at most 64 bytes."""
    sizes = {"float32": (3, 4, 5), "float16": (5, 10), "int64": (), "bool": (7,), "complex64": (2, 9)}
    variables = {name: tf.Variable(make(name, shape)) for name, shape in sizes.items()}
    strings = np.array([b"a" * 10, b"b" * 20, b"c" * 40, b"dd"], object)
    policy = tf.train.experimental.MaxShardSizePolicy(64)
    options = tf.train.CheckpointOptions(experimental_sharding_callback=policy)
    tf.train.Checkpoint(strings=tf.Variable(strings), **variables).write("max_shard_size", options=options)
    variables["strings"] = tf.constant(strings)
    for name, variable in variables.items():
        saved.add("max_shard_size", name + "/.ATTRIBUTES/VARIABLE_VALUE", variable.numpy())


def take(saved: Saved, bundle: str) -> None:
    """Keep what TensorFlow itself reads of a bundle."""
    reader = tf.train.load_checkpoint("./" + bundle)
    for name in reader.get_variable_to_shape_map():
        value = reader.get_tensor(name)
        saved.add(bundle, name, np.array(value, object) if isinstance(value, bytes) else value)


def main(directory: str) -> None:
    """Write everything that this version of TensorFlow writes."""
    v1.enable_eager_execution()
    directory = os.path.join(directory, VERSION)
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    os.chdir(directory)
    saved = Saved()
    if VERSION in DTYPES:
        write_dtypes(saved)
    if VERSION == "tf220":
        write_strings(saved)
        write_names(saved)
        write_merged(saved)
        write_saver(saved, "saver", sharded=False)
        write_saver(saved, "sharded", sharded=True)
        write_max_shard_size(saved)
    if VERSION != "tf221":
        write_objects(saved)
    np.savez_compressed("values.npz", **saved.arrays)


if __name__ == "__main__":
    main(sys.argv[1])
