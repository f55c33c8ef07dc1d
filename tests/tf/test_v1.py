"""V1 checkpoints that TensorFlow 2.20 writes, and what it reads from them and from those of 1.15."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from support.files import bundle_bytes

import tfckpt
from tfckpt._proto import saved_tensor_slices_pb2, types_pb2
from tfckpt._proto.types_pb2 import DataType
from tfckpt.bundle.v1.values import FIELDS
from tfckpt.bundle.values.dtypes import numpy_dtype

pytestmark = pytest.mark.tf

V1 = Path(__file__).parents[1] / "data" / "v1"
NEVER_WRITTEN = (
    types_pb2.DT_BFLOAT16,
    types_pb2.DT_UINT32,
    types_pb2.DT_UINT64,
    types_pb2.DT_QINT16,
    types_pb2.DT_QUINT16,
)
REFUSED = {
    "saver": ["parts"],
    "shards-?????-of-00002": ["parts"],
    "slices": ["boxes", "float16", "uint16", "complex64", "complex128", "qint8", "qint32", "quint8"],
}  # what TensorFlow's Python reader does not return: "Data type not supported", "Sliced checkpoints are not supported"
DTYPES = [number for number in FIELDS if number not in (*NEVER_WRITTEN, types_pb2.DT_STRING)]

Array = npt.NDArray[Any]


def save(tf: Any, tensors: dict[str, Array], path: Path, **options: Any) -> str:
    """Write variables with a V1 Saver; return the prefix that it reports."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        for name, value in tensors.items():
            v1.get_variable(name, initializer=value, use_resource=False)
        session.run(v1.global_variables_initializer())
        saver = v1.train.Saver(write_version=v1.train.SaverDef.V1, **options)
        prefix: str = saver.save(session, str(path), write_meta_graph=False)
    return prefix


@pytest.mark.parametrize("sharded", [False, True])
def test_a_v1_bert_converts_to_the_same_bytes(tf: Any, bert: str, tmp_path: Path, sharded: bool) -> None:
    with tfckpt.open(bert) as checkpoint:
        prefix = save(tf, dict(checkpoint), tmp_path / "v1", sharded=sharded)
        theirs = tf.train.load_checkpoint(prefix)
        with tfckpt.open(prefix) as ours:
            assert (ours.format, ours.prefix) == ("v1", prefix)
            assert all(ours[name].tobytes() == theirs.get_tensor(name).tobytes() for name in checkpoint)
    assert tf.train.latest_checkpoint(str(tmp_path)) == tfckpt.latest_checkpoint(tmp_path) == prefix
    tfckpt.convert(prefix, tmp_path / "a", num_heads=2)
    tfckpt.convert(bert, tmp_path / "b", num_heads=2)
    assert bundle_bytes(tmp_path / "a") == bundle_bytes(tmp_path / "b")


@pytest.mark.parametrize("number", DTYPES, ids=DataType.Name)
def test_slices_that_it_writes_are_those_that_it_restores(tf: Any, tmp_path: Path, number: DataType) -> None:
    path = str(tmp_path / "v1")
    dtype = numpy_dtype(number)
    drawn = np.random.default_rng(number).bytes(24 * dtype.itemsize)
    whole = np.frombuffer(drawn, dtype if dtype.kind != "b" else np.int8).reshape(4, 6)
    whole = whole > 0 if dtype.kind == "b" else whole
    record = tf.dtypes.as_dtype(number).as_numpy_dtype
    boxes = {"4 6 0,3:-": whole[:3], "4 6 3,1:0,2": whole[3:, :2], "4 6 3,1:2,4": whole[3:, 2:]}
    tensors = [np.array(value).view(record) for value in (*boxes.values(), whole, whole[0, 0])]
    tf.raw_ops.SaveSlices(
        filename=path,
        tensor_names=["boxes"] * 3 + ["whole", "scalar"],
        shapes_and_slices=[*boxes, "", ""],
        data=[tf.constant(tensor, number) for tensor in tensors],
    )
    with tfckpt.open(path) as checkpoint:
        for name, spec, index in (
            ("whole", "", ...),
            ("scalar", "", ...),
            ("boxes", "4 6 -:-", ...),
            ("boxes", "4 6 2,2:1,3", np.s_[2:4, 1:4]),
        ):
            theirs = tf.raw_ops.RestoreSlice(file_pattern=path, tensor_name=name, shape_and_slice=spec, dt=number)
            ours = checkpoint.get_slice(name)[index]
            assert (ours.shape, ours.tobytes()) == (tuple(theirs.shape), theirs.numpy().tobytes())
            assert checkpoint.entry(name).data_type == number


def test_strings_in_slices_are_read(tf: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "v1")
    strings = np.array([[b"", b"a\0"], [b"\xff" * 300, "물".encode()]], object)
    tf.raw_ops.SaveSlices(
        filename=path,
        tensor_names=["s", "s", "one"],
        shapes_and_slices=["2 2 -:0,1", "2 2 -:1,1", ""],
        data=[strings[:, :1], strings[:, 1:], tf.constant(b"one")],
    )
    with tfckpt.open(path) as checkpoint:
        assert checkpoint["s"].tolist() == strings.tolist()
        assert checkpoint["one"].item() == b"one"


@pytest.mark.parametrize("name", REFUSED)
def test_the_drop_ins_agree_where_tensorflow_can_read(tf: Any, name: str) -> None:
    path = str(V1 / name)
    ours, theirs = tfckpt.load_checkpoint(path), tf.train.load_checkpoint(path)
    assert tfckpt.list_variables(path) == tf.train.list_variables(path)
    assert ours.get_variable_to_shape_map() == theirs.get_variable_to_shape_map()
    dtypes = theirs.get_variable_to_dtype_map()
    with tfckpt.open(path) as checkpoint:
        assert {entry.name: entry.data_type for entry in checkpoint.entries()} == {
            tensor: dtype.as_datatype_enum for tensor, dtype in dtypes.items()
        }
    refused = set()
    for tensor in dtypes:
        assert ours.has_tensor(tensor)
        value = _try_to_get(tf, theirs, tensor)
        found = ours.get_tensor(tensor)
        if value is None:
            refused.add(tensor.partition("/")[0])
        else:
            assert type(found) is type(value), tensor
            assert np.asarray(found).tolist() == np.asarray(value).tolist() or found.tobytes() == value.tobytes()
    assert refused == set(REFUSED[name])


def _try_to_get(tf: Any, reader: Any, name: str) -> Any:
    try:
        return reader.get_tensor(name)
    except tf.errors.OpError:
        return None


def test_v2_wins_in_tensorflow_too(tf: Any, tmp_path: Path) -> None:
    prefix = save(tf, {"old": np.ones(1, np.float32)}, tmp_path / "model")
    tfckpt.save(prefix, {"new": np.float32(2)})
    assert tf.train.list_variables(prefix) == tfckpt.list_variables(prefix) == [("new", [])]
    assert list(tfckpt.open(prefix, format="v1")) == ["old"]


def test_field_numbers_are_tensorflows(tf: Any) -> None:
    from tensorflow.core.framework import tensor_pb2
    from tensorflow.core.util import saved_tensor_slice_pb2

    for name in ("SavedSliceMeta", "SavedTensorSliceMeta", "SavedSlice", "SavedTensorSlices", "TensorProto"):
        ours = getattr(saved_tensor_slices_pb2, name).DESCRIPTOR
        theirs = getattr(tensor_pb2 if name == "TensorProto" else saved_tensor_slice_pb2, name).DESCRIPTOR
        for field in ours.fields:
            other = theirs.fields_by_name[field.name]
            assert field.number == other.number
            if name == "TensorProto":
                assert _wire_type(field) == _wire_type(other)


def _wire_type(field: Any) -> Any:
    from google.protobuf.descriptor import FieldDescriptor as F

    varints = (F.TYPE_INT32, F.TYPE_INT64, F.TYPE_UINT32, F.TYPE_UINT64, F.TYPE_BOOL)
    same = {F.TYPE_FLOAT: F.TYPE_FIXED32, F.TYPE_DOUBLE: F.TYPE_FIXED64} | dict.fromkeys(varints, "varint")
    return same.get(field.type, field.type)
