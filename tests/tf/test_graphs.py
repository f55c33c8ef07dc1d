"""Graphs that TensorFlow writes: which hold values, and that what is said of those can be done."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format
from support.commands import Captured, fail

import tfckpt
from tfckpt.storage.kinds.table import FROZEN, GRAPH, HDF5, KERAS
from tfckpt.storage.sniff import kind_of

pytestmark = pytest.mark.tf


def build(tf: Any, source: str, directory: Path) -> Any:
    """Build a graph of a checkpoint's variables; write it, its .meta file and its frozen form, which is returned."""
    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph, v1.Session() as session, tfckpt.open(source) as checkpoint:
        variables = [
            v1.get_variable(name, initializer=value, use_resource=number % 2 == 0)
            for number, (name, value) in enumerate(checkpoint.items())
        ]
        outputs = [tf.identity(variable, name=f"out_{n}").op.name for n, variable in enumerate(variables)]
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(directory / "model.ckpt"))
        frozen = v1.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), outputs)
    for name, written in (("graph", graph.as_graph_def()), ("frozen", frozen)):
        v1.train.write_graph(written, str(directory), f"{name}.pb", as_text=False)
        (directory / f"{name}.pbtxt").write_text(text_format.MessageToString(written), encoding="utf-8")
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(frozen, name="")
        v1.train.export_meta_graph(str(directory / "frozen.meta"), graph=graph)
    return frozen


def test_a_frozen_graph_is_told_from_one_without_values(tf: Any, bert: str, tmp_path: Path) -> None:
    build(tf, bert, tmp_path)
    kinds = {path.name: kind_of(str(path)) for path in tmp_path.iterdir()}
    assert [kinds[name] for name in ("frozen.pb", "frozen.pbtxt", "frozen.meta")] == [FROZEN] * 3
    assert [kinds[name] for name in ("graph.pb", "graph.pbtxt", "model.ckpt.meta")] == [GRAPH] * 3
    others = ("checkpoint", "model.ckpt.index", "model.ckpt.data-00000-of-00001")
    assert [kinds[name] for name in others] == [None] * 3
    whole = (tmp_path / "frozen.pb").read_bytes()
    (tmp_path / "cut.pb").write_bytes(whole[: len(whole) // 2])
    assert kind_of(str(tmp_path / "cut.pb")) is FROZEN


def test_what_is_said_of_a_frozen_graph_makes_a_checkpoint_of_it(
    tf: Any, bert: str, tmp_path: Path, capsys: Captured
) -> None:
    frozen = build(tf, bert, tmp_path)
    alone = tmp_path / "alone"
    alone.mkdir()
    path = (tmp_path / "frozen.pb").rename(alone / "frozen.pb")
    assert fail(capsys, "convert", str(path), str(tmp_path / "out")) == [
        f"{path}: no checkpoint; it is a frozen graph: it holds values as constants, which tfckpt does not read; "
        "look for the checkpoint that it was frozen from; without it, TensorFlow's "
        "tf.make_ndarray(node.attr['value'].tensor) is the value of a node whose op is Const, and tfckpt.save writes such "
        "values, by name, as a checkpoint"
    ]
    values = {node.name: tf.make_ndarray(node.attr["value"].tensor) for node in frozen.node if node.op == "Const"}
    tfckpt.save(alone / "model.ckpt", values)
    with tfckpt.open(bert) as theirs, tfckpt.open(alone / "model.ckpt") as ours:
        assert {*theirs} <= {*ours}
        assert all(np.array_equal(theirs[name], ours[name]) for name in theirs)


class Layer:
    """A matrix product, of a variable or of a constant."""

    def __init__(self, tf: Any, *, constant: bool) -> None:
        self.module = tf.Module()
        make = tf.constant if constant else tf.Variable
        weights = make(np.arange(256, dtype=np.float32).reshape(16, 16))
        self.module.weights = weights
        self.module.call = tf.function(
            lambda x: x @ (tf.constant(weights.numpy()) if constant else weights),
            input_signature=[tf.TensorSpec([None, 16])],
        )


@pytest.mark.parametrize(("constant", "kind"), [(True, FROZEN), (False, GRAPH)])
def test_a_saved_model_is_told_by_its_graph(
    tf: Any, tmp_path: Path, constant: bool, kind: Any, capsys: Captured
) -> None:
    layer = Layer(tf, constant=constant)
    tf.saved_model.save(layer.module, str(tmp_path / "model"), signatures=layer.module.call)
    path = tmp_path / "model" / "saved_model.pb"
    assert kind_of(str(path)) is kind
    variables = tmp_path / "model" / "variables" / "variables"
    at_file = f"it is {FROZEN.what}; {FROZEN.then}"
    at_directory = f"{path} is {FROZEN.what}; {FROZEN.then}"
    if not constant:
        at_file = "it is the graph of a SavedModel; the values of its variables are in variables/variables"
        at_directory = f"it is a SavedModel; the values of its variables are in {variables}"
    (line,) = fail(capsys, "ls", str(path))
    assert line == f"{path}: no checkpoint; {at_file}"
    (line,) = fail(capsys, "ls", str(path.parent))
    assert line == f"{path.parent}: the directory has no checkpoint: no file in it ends in .index; {at_directory}"


def test_a_function_frozen_by_tensorflow_2_is_a_frozen_graph(tf: Any, tmp_path: Path) -> None:
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    layer = Layer(tf, constant=False)
    function = layer.module.call.get_concrete_function()
    frozen = convert_variables_to_constants_v2(function)
    for name, graph in (("function.pb", function.graph), ("frozen.pb", frozen.graph)):
        (tmp_path / name).write_bytes(graph.as_graph_def().SerializeToString())
    assert kind_of(str(tmp_path / "frozen.pb")) is FROZEN
    assert kind_of(str(tmp_path / "function.pb")) is GRAPH  # the variable is handed to it


def test_the_bytes_of_the_light_tests_are_graphs(tf: Any) -> None:
    from support import graphs
    from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

    for ours in (graphs.FROZEN, graphs.TRAINED):
        graph = tf.compat.v1.GraphDef.FromString(ours)
        constant = next(node for node in graph.node if node.op == "Const")
        assert tf.make_ndarray(constant.attr["value"].tensor).tolist() == [1.0] * 256
        assert meta_graph_pb2.MetaGraphDef.FromString(graphs.meta_graph(ours)).graph_def == graph
        assert saved_model_pb2.SavedModel.FromString(graphs.saved_model(ours)).meta_graphs[0].graph_def == graph
    written = graphs.graph_def(functions=(graphs.constant("w", 256),))
    library = tf.compat.v1.GraphDef.FromString(written).library
    assert library.function[0].node_def[0].op == "Const"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Keras and NumPy
@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_the_lines_for_a_keras_model_make_a_checkpoint(tf: Any, tmp_path: Path, name: str) -> None:
    keras = pytest.importorskip("keras")
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2)])
    model.save(tmp_path / name)
    kind = kind_of(str(tmp_path / name))
    assert kind is (KERAS if name == "m.keras" else HDF5)
    advice = kind.advice(str(tmp_path / name))
    names = {"keras": keras, "tf": tf}
    for line in re.findall(r"model = keras\.models\.load_model\('.*?'\)|tf\.train\.\S+\.write\('.*?'\)", advice):
        exec(line, names)
    with tfckpt.open(tmp_path / "m.ckpt") as checkpoint:
        values = [checkpoint[key] for key in checkpoint if "kernel" in key]
    assert [value.tolist() for value in values] == [model.layers[0].kernel.numpy().tolist()]
