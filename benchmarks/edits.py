"""Edits of a checkpoint of 100,000 objects, beside the least that any edit must do.

    python -m benchmarks.edits [ROUNDS]

prints the table that RESULTS.md holds. The floor is a program of its own: one index read, the object graph parsed and
serialised once, the bytes moved tensor by tensor, one index written. Each time is that of a fresh process, which imports its
library before the clock starts.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

import tfckpt
from benchmarks.measure import environment, machine
from tfckpt.checkpoint.object_graph import OBJECT_GRAPH_KEY, VARIABLE_VALUE, Attribute, Node, ObjectGraph, variable_key

VARIABLES, BLOCK = 100_000, 10
IMPORTS = """
import crc32c, sys, resource, time
import tfckpt, tfckpt.edit.rewrite, tfckpt.edit.merge, tfckpt.edit.average, tfckpt.checkpoint.roles
from tfckpt._proto.trackable_object_graph_pb2 import TrackableObjectGraph
from tfckpt.bundle.writer import BundleWriter
from tfckpt.checkpoint.object_graph import OBJECT_GRAPH_KEY
source, dest = sys.argv[1:3]
"""
FLOOR = """
with tfckpt.open(source) as checkpoint, BundleWriter(dest, overwrite=True, sync=False) as writer:
    for entry in checkpoint.reader.entries.values():
        if entry.name != OBJECT_GRAPH_KEY:
            chunks = checkpoint.reader.chunks(entry, verify=True)
            writer.carry(entry.name, entry.data_type, entry.shape, chunks, entry.nbytes, entry.crc32c)
    graph = TrackableObjectGraph.FromString(checkpoint.object_graph.serialize())
    writer.add(OBJECT_GRAPH_KEY, graph.SerializeToString(deterministic=True))
    writer.finish()
"""
REWRITE = "tfckpt.rewrite(source, dest, overwrite=True, sync=False, {})"
EDITS = {
    "the floor": FLOOR,
    "rewrite, nothing changed": REWRITE.format(""),
    "rewrite --rename of every path": REWRITE.format("rename=[('^model/block_', 'model/part_')]"),
    "rewrite --drop of a tenth": REWRITE.format("drop=['model/block_1*']"),
    "rewrite --keep by path": REWRITE.format("keep=['model/layer_with_weights-1*']"),
    "rewrite --strip-optimizer": REWRITE.format("strip_optimizer=True"),
    "merge --prefer": "tfckpt.merge([source, source + '-b'], dest, prefer=source, overwrite=True, sync=False)",
    "average of two": "tfckpt.average([source, source + '-b'], dest, overwrite=True, sync=False)",
}
TIMED = """
start = time.perf_counter()
{work}
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def write(prefix: Path, seed: int) -> None:
    """Write a checkpoint of blocks, each of which two edges lead to, and of an optimizer with a slot for some variables."""
    nodes = [Node({"model": 1, "optimizer": 2}), Node(), Node()]
    tensors: dict[str, npt.ArrayLike] = {}

    def add(path: str, full_name: str) -> int:
        tensors[variable_key(path)] = np.full(16, seed, np.float32)
        nodes.append(Node(attributes=[Attribute(VARIABLE_VALUE, variable_key(path), full_name)]))
        return len(nodes) - 1

    nodes[2].children["iter"] = add("optimizer/iter", "Adam/iter")
    nodes[2].children["learning_rate"] = add("optimizer/learning_rate", "Adam/learning_rate")
    for block in range(VARIABLES // BLOCK):
        parts = {f"w{n}": add(f"model/block_{block}/w{n}", f"net/block_{block}/w{n}") for n in range(BLOCK)}
        nodes.append(Node(parts))
        nodes[1].children |= {f"block_{block}": len(nodes) - 1, f"layer_with_weights-{block}": len(nodes) - 1}
    for node in nodes:
        node.has_checkpoint_values = True
    tfckpt.save(prefix, {**tensors, OBJECT_GRAPH_KEY: ObjectGraph(nodes).serialize()}, sync=False)


def measured(work: str, arguments: Sequence[str]) -> tuple[float, float]:
    """Return the seconds and the megabytes of one fresh process."""
    command = [sys.executable, "-c", IMPORTS + TIMED.format(work=work), *arguments]
    result = subprocess.run(command, check=True, capture_output=True, text=True, env=environment())
    seconds, kilobytes = map(float, result.stdout.split())
    return seconds, kilobytes / 1000


def main(rounds: int) -> list[str]:
    """Measure in turn; return the table and where it comes from."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in EDITS}
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory) / "source"
        write(source, 1)
        write(source.with_name("source-b"), 2)
        for _ in range(rounds):
            for name, work in EDITS.items():
                found[name].append(measured(work, [str(source), str(Path(directory) / "out")]))
    floor = statistics.median(seconds for seconds, _ in found["the floor"])
    lines = ["| edit | s | times the floor | peak MB |", "|---|---|---|---|"]
    for name, results in found.items():
        seconds, megabytes = (statistics.median(column) for column in zip(*results, strict=True))
        lines.append(f"| {name} | {seconds:.2f} | {seconds / floor:.2f} | {megabytes:.0f} |")
    return [*lines, "", f"{VARIABLES:,} variables; medians of {rounds}; {machine()}"]


if __name__ == "__main__":
    print("\n".join(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)))
