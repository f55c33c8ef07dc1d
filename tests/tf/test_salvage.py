"""TensorFlow reads what was salvaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfckpt
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
