"""TensorFlow and tfckpt in one process, in either order."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.tf

TOUCH = """
import importlib, pkgutil, tfckpt._proto
for module in pkgutil.iter_modules(tfckpt._proto.__path__, "tfckpt._proto."):
    importlib.import_module(module.name)
tfckpt.list_variables({prefix!r})
"""
READ_WITH_BOTH = """
with tfckpt.open({prefix!r}) as checkpoint:
    ours = checkpoint["bert/pooler/dense/bias"]
theirs = tensorflow.train.load_variable({prefix!r}, "bert/pooler/dense/bias")
assert ours.tobytes() == theirs.tobytes()
tfckpt.convert({prefix!r}, {dest!r})
graph = tfckpt.open({dest!r}).object_graph
reader = tensorflow.train.load_checkpoint({dest!r})
assert graph.serialize() == reader.get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH")
"""


@pytest.mark.parametrize("order", [("tensorflow", "tfckpt"), ("tfckpt", "tensorflow")], ids="+".join)
def test_both_work_in_one_process(order: tuple[str, str], bert: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    dest = str(tmp_path_factory.mktemp("both") / "out")
    touch = {"tfckpt": TOUCH, "tensorflow": "import tensorflow\n"}
    program = "".join(touch[name] for name in order) + READ_WITH_BOTH
    command = [sys.executable, "-W", "error::UserWarning:google.protobuf", "-c", program.format(prefix=bert, dest=dest)]
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
