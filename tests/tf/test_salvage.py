"""TensorFlow reads what was salvaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfckpt
from tfckpt.bundle.writer import BundleWriter
from tfckpt.sstable.recover import find_blocks

COUNT = 14_000  # tensors, whose index has two blocks of entries,
BLOCKS = 4  # the empty metaindex and the index of blocks

pytestmark = pytest.mark.tf


def flip(prefix: str, name: str) -> None:
    """Damage one tensor."""
    with tfckpt.open(prefix) as checkpoint:
        entry = checkpoint.entry(name)
    path = Path(f"{prefix}.data-00000-of-00001")
    data = bytearray(path.read_bytes())
    data[entry.offset] ^= 1
    path.write_bytes(data)


def test_tensorflow_restores_the_objects_whose_values_are_intact(tf: Any, tmp_path: Path) -> None:
    kernel, bias = tf.Variable([[1.0, 2.0]]), tf.Variable([3.0, 4.0])
    source = tf.train.Checkpoint(kernel=kernel, bias=bias).write(str(tmp_path / "source"))
    flip(source, "kernel/.ATTRIBUTES/VARIABLE_VALUE")
    report = tfckpt.salvage(source, tmp_path / "out")
    assert report.lost == ("kernel/.ATTRIBUTES/VARIABLE_VALUE",)
    kernel.assign([[9.0, 9.0]])
    bias.assign([9.0, 9.0])
    tf.train.Checkpoint(kernel=kernel, bias=bias).read(str(tmp_path / "out")).expect_partial()
    assert (kernel.numpy().tolist(), bias.numpy().tolist()) == ([[9.0, 9.0]], [3.0, 4.0])


def make_objects(tf: Any) -> Any:
    """Return a checkpoint of objects that save several tensors, and one variable, of which nothing holds a value of note."""

    class Two(tf.Module):  # type: ignore[misc]
        """Each of its tensors has an attribute of its own."""

        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = tf.constant(0), tf.constant(0)

        def _serialize_to_tensors(self) -> Any:
            return {"a": self.a, "b": self.b}

        def _restore_from_tensors(self, tensors: Any) -> Any:
            self.a, self.b = tensors["a"], tensors["b"]
            return tf.no_op()

    return tf.train.Checkpoint(
        two=Two(),
        table=tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1),
        it=iter(tf.data.Dataset.range(10)),
        w=tf.Variable([0.0, 0.0]),
        v=tf.Variable(0.0),
    )


def write_objects(tf: Any, prefix: Path) -> str:
    checkpoint = make_objects(tf)
    checkpoint.table.insert(["a", "b"], [7, 8])
    next(checkpoint.it), next(checkpoint.it)
    checkpoint.w.assign([1.0, 2.0])
    checkpoint.v.assign(3.0)
    checkpoint.two.a, checkpoint.two.b = tf.constant(4), tf.constant(5)
    return str(checkpoint.write(str(prefix)))


def restored(tf: Any, prefix: Path) -> dict[str, Any]:
    """Return what a new program holds after a restore; what was not restored is its own."""
    checkpoint = make_objects(tf)
    checkpoint.read(str(prefix)).expect_partial()
    return {
        "table": checkpoint.table.lookup(tf.constant(["a", "b"])).numpy().tolist(),
        "it": int(next(checkpoint.it)),
        "w": checkpoint.w.numpy().tolist(),
        "v": float(checkpoint.v),
        "two": (int(checkpoint.two.a), int(checkpoint.two.b)),
    }


SAVED = {"table": [7, 8], "it": 2, "w": [1.0, 2.0], "v": 3.0, "two": (4, 5)}
OWN = {"table": [-1, -1], "it": 0, "w": [0.0, 0.0], "v": 0.0, "two": (0, 0)}


@pytest.mark.parametrize(
    ("damaged", "lost", "aside"),
    [
        ("w/.ATTRIBUTES/VARIABLE_VALUE", "w", ()),
        ("table/.ATTRIBUTES/table-values", "table", ("table/.ATTRIBUTES/table-keys",)),
        ("table/.ATTRIBUTES/table-keys", "table", ("table/.ATTRIBUTES/table-values",)),
        ("it/.ATTRIBUTES/ITERATOR_STATE", "it", ()),
        ("two/.ATTRIBUTES/a", "two", ("two/.ATTRIBUTES/b",)),
    ],
)
def test_an_object_is_restored_whole_or_not_at_all_and_the_others_are(
    tf: Any, tmp_path: Path, damaged: str, lost: str, aside: tuple[str, ...]
) -> None:
    source = write_objects(tf, tmp_path / "source")
    assert restored(tf, tmp_path / "source") == SAVED
    flip(source, damaged)
    report = tfckpt.salvage(source, tmp_path / "out")
    assert (report.lost, report.set_aside) == ((damaged,), aside)
    assert restored(tf, tmp_path / "out") == SAVED | {lost: OWN[lost]}
    assert not any(name.startswith(f"{lost}/") for name in tfckpt.open(tmp_path / "out"))


def test_half_a_table_that_is_lost_with_a_block_of_the_index_takes_the_whole_along(tf: Any, tmp_path: Path) -> None:
    """Nothing says any more that there were values: their entry is gone."""
    source = write_objects(tf, tmp_path / "source")
    with tfckpt.open(source) as checkpoint, BundleWriter(str(tmp_path / "half")) as writer:
        for entry in checkpoint.entries():
            if not entry.name.endswith("-values"):
                writer.add(entry.name, checkpoint[entry.name], entry.data_type)
        writer.finish()
    flip(str(tmp_path / "half"), "v/.ATTRIBUTES/VARIABLE_VALUE")
    report = tfckpt.salvage(tmp_path / "half", tmp_path / "out")
    assert report.set_aside == ("table/.ATTRIBUTES/table-keys",)
    assert restored(tf, tmp_path / "out") == SAVED | {"table": OWN["table"], "v": OWN["v"]}


def register_parts(tf: Any) -> Any:
    """Return a class that a registered saver saves: two tensors, called after the object."""
    from tensorflow.python.saved_model import registration

    class Parts(tf.Module):  # type: ignore[misc]
        def __init__(self, *values: float) -> None:
            super().__init__()
            self.values = tf.constant(values)

    def save(trackables: Any, file_prefix: Any) -> Any:
        names = [f"{name}/{part}" for name in trackables for part in "ab"]
        values = [value for parts in trackables.values() for value in tf.unstack(parts.values)]
        prefix = tf.strings.join([file_prefix, "-parts"])
        tf.raw_ops.SaveV2(prefix=prefix, tensor_names=names, shape_and_slices=[""] * len(names), tensors=values)
        return prefix

    def restore(trackables: Any, merged_prefix: Any) -> None:
        for name, parts in trackables.items():
            what = {
                "tensor_names": [f"{name}/a", f"{name}/b"],
                "shape_and_slices": [""] * 2,
                "dtypes": [tf.float32] * 2,
            }
            parts.values = tf.stack(tf.raw_ops.RestoreV2(prefix=merged_prefix, **what))

    name = f"parts{id(Parts)}"  # which may be registered once in a process
    registration.register_tf_checkpoint_saver(
        name=name, predicate=lambda item: isinstance(item, Parts), save_fn=save, restore_fn=restore
    )
    return Parts


@pytest.mark.parametrize("lost", ["x/a", "w/.ATTRIBUTES/VARIABLE_VALUE", "y/b"])
def test_what_a_registered_saver_saved_stays_or_goes_whole(tf: Any, tmp_path: Path, lost: str) -> None:
    saved = register_parts(tf)
    x, y, w = saved(1.0, 2.0), saved(3.0, 4.0), tf.Variable(5.0)
    source = tf.train.Checkpoint(x=x, y=y, w=w).write(str(tmp_path / "source"))
    tfckpt.rewrite(source, tmp_path / "one_file", shards=1)
    flip(str(tmp_path / "one_file"), lost)
    report = tfckpt.salvage(tmp_path / "one_file", tmp_path / "out")
    x, y, w = saved(0.0, 0.0), saved(0.0, 0.0), tf.Variable(0.0)
    tf.train.Checkpoint(x=x, y=y, w=w).read(str(tmp_path / "out")).expect_partial()
    found = {"x": x.values.numpy().tolist(), "y": y.values.numpy().tolist(), "w": float(w)}
    gone = lost.partition("/")[0]
    own = {"x": [0.0, 0.0], "y": [0.0, 0.0], "w": 0.0}
    assert found == {"x": [1.0, 2.0], "y": [3.0, 4.0], "w": 5.0} | {gone: own[gone]}
    assert set(report.set_aside) == {"x/a": {"x/b"}, "y/b": {"y/a"}}.get(lost, set())


@pytest.mark.parametrize("late", [False, True])
def test_the_slots_of_a_lost_variable_are_restored_also_if_it_is_created_later(
    tf: Any, tmp_path: Path, late: bool
) -> None:
    import tf_keras

    def make(*, built: bool) -> tuple[Any, Any]:
        model, optimizer = tf_keras.Sequential([tf_keras.layers.Dense(2)]), tf_keras.optimizers.legacy.Adam()
        if built:
            model.build((None, 1))
        return model, optimizer

    model, optimizer = make(built=True)
    optimizer.apply_gradients([(tf.fill(v.shape, 3.0), v) for v in model.trainable_variables])
    source = tf.train.Checkpoint(model=model, optimizer=optimizer).write(str(tmp_path / "source"))
    expected = optimizer.get_slot(model.layers[0].kernel, "m").numpy().tolist()
    flip(source, "model/layer_with_weights-0/kernel/.ATTRIBUTES/VARIABLE_VALUE")
    flip(source, "model/layer_with_weights-0/bias/.ATTRIBUTES/VARIABLE_VALUE")
    report = tfckpt.salvage(source, tmp_path / "out")
    assert (len(report.lost), report.set_aside) == (2, ())

    model, optimizer = make(built=not late)
    status = tf.train.Checkpoint(model=model, optimizer=optimizer).read(str(tmp_path / "out"))
    model.build((None, 1))
    optimizer._create_all_weights(model.trainable_variables)
    status.expect_partial()
    assert optimizer.get_slot(model.layers[0].kernel, "m").numpy().tolist() == expected


@pytest.mark.parametrize("lost", ["footer", "block"])
def test_tensorflow_reads_by_name_what_a_damaged_index_still_had(tf: Any, tmp_path: Path, lost: str) -> None:
    values = {f"scope/{n:04d}": np.full(3, n, np.float32) for n in range(COUNT)}
    prefix = str(tmp_path / "source")
    tfckpt.save(prefix, values)
    index = Path(f"{prefix}.index")
    data = bytearray(index.read_bytes())
    assert len(list(find_blocks(bytes(data)))) >= BLOCKS
    if lost == "footer":
        del data[-20:]
    else:
        data[1000] ^= 1
    index.write_bytes(data)
    report = tfckpt.salvage(prefix, tmp_path / "out")
    reader = tf.train.load_checkpoint(str(tmp_path / "out"))
    names = set(reader.get_variable_to_shape_map())
    assert names == {entry.name for entry in report.saved}
    assert len(names) == COUNT if lost == "footer" else 0 < len(names) < COUNT
    for name in sorted(names)[::100]:
        np.testing.assert_array_equal(reader.get_tensor(name), values[name])
