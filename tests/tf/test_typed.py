"""What goes through a dict of arrays restores in TensorFlow under the dtype that it was saved with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfckpt

pytestmark = pytest.mark.tf

BUNDLES = Path(__file__).parents[1] / "data" / "bundles" / "tf220"
QUANTIZED = ("qint8", "quint8", "qint16", "quint16", "qint32")


def test_quantized_tensors_of_a_dict_restore_as_such(tf: Any, tmp_path: Path) -> None:
    with tfckpt.open(BUNDLES / "dtypes") as checkpoint:
        tensors = dict(checkpoint)
        entries = [entry for entry in checkpoint.entries() if entry.dtype_name in QUANTIZED]
        tfckpt.save(tmp_path / "m", tensors)
        tfckpt.save(tmp_path / "sum", {entry.name: tensors[entry.name] + 1 for entry in entries})
    assert {entry.dtype_name for entry in entries} == set(QUANTIZED)

    def restore(prefix: Path, name: str, dtype: str) -> Any:
        return tf.raw_ops.RestoreV2(
            prefix=str(prefix), tensor_names=[name], shape_and_slices=[""], dtypes=[tf.as_dtype(dtype)]
        )[0]

    for entry in entries:
        restored = restore(tmp_path / "m", entry.name, entry.dtype_name)
        assert restored.dtype == tf.as_dtype(entry.dtype_name)
        np.testing.assert_array_equal(tf.bitcast(restored, entry.dtype.name).numpy(), np.asarray(tensors[entry.name]))
        with pytest.raises(tf.errors.InvalidArgumentError):
            restore(tmp_path / "m", entry.name, entry.dtype.name)
        plain = restore(tmp_path / "sum", entry.name, np.asarray(tensors[entry.name] + 1).dtype.name)
        np.testing.assert_array_equal(plain.numpy(), tensors[entry.name] + 1)


def test_variants_of_a_dict_restore_as_such(tf: Any, tmp_path: Path) -> None:
    with tfckpt.open(BUNDLES / "variants") as checkpoint:
        tfckpt.save(tmp_path / "m", dict(checkpoint))
    restored = tf.raw_ops.RestoreV2(
        prefix=str(tmp_path / "m"), tensor_names=["one"], shape_and_slices=[""], dtypes=[tf.variant]
    )[0]
    values = tf.raw_ops.TensorListStack(
        input_handle=restored, element_shape=tf.constant([2], tf.int32), element_dtype=tf.float32
    )
    assert [1.0, 2.0] in values.numpy().tolist()
