"""Edits of a checkpoint of 100,000 objects, beside the least that any edit must do.

    python -m benchmarks.edits [ROUNDS]

prints the table that RESULTS.md holds. A floor is a program of its own: each index read, each object graph parsed, one of
them serialised, the bytes moved tensor by tensor, one index written. Times are those of the processor, each of a fresh
process, which imports its library before the clock starts.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

import tfckpt
from benchmarks.measure import beside_floors, machine, processor_time
from tfckpt.checkpoint.graph.object_graph import (
    OBJECT_GRAPH_KEY,
    VARIABLE_VALUE,
    Attribute,
    Node,
    ObjectGraph,
    variable_key,
)

VARIABLES, BLOCK = 100_000, 10
IMPORTS = """
import crc32c
import tfckpt, tfckpt.calls.rewrite, tfckpt.calls.merge, tfckpt.calls.average, tfckpt.checkpoint.graph.roles
import tfckpt._proto.trackable_object_graph_pb2
from tfckpt.bundle.writer import BundleWriter
from tfckpt.checkpoint.graph.object_graph import OBJECT_GRAPH_KEY
source, dest = sys.argv[1:3]
other = source + "-b"
"""
FLOOR = """
sources = [tfckpt.open(path) for path in paths]
graphs = [source.object_graph for source in sources]
entries = [source.reader.entries for source in sources]
with BundleWriter(dest, overwrite=True, sync=False) as writer:
    for entry in entries[0].values():
        if entry.name != OBJECT_GRAPH_KEY:
            chunks = sources[0].reader.chunks(entry, verify=True)
            writer.carry(entry.name, entry.data_type, entry.shape, chunks, entry.nbytes, entry.crc32c)
    graphs[0].nodes[0].has_checkpoint_values = None  # or the bytes would be taken as they are
    writer.add(OBJECT_GRAPH_KEY, graphs[0].serialize())
    writer.finish()
"""
ONE, TWO, BOTH = "the floor of one source", "the floor of two sources", "the floor of two sources, both read whole"
READ = """
for entry in sources[1].reader.entries.values():
    for chunk in sources[1].reader.chunks(entry, verify=True):
        pass
"""
REWRITE = "tfckpt.rewrite(source, dest, overwrite=True, sync=False, {})"
# name -> the floor that it is compared with, and what it does
EDITS = {
    ONE: (ONE, "paths = [source]" + FLOOR),
    "rewrite, nothing changed": (ONE, REWRITE.format("")),
    "rewrite --rename of every path": (ONE, REWRITE.format("rename=[('^model/block_', 'model/part_')]")),
    "rewrite --drop of a tenth": (ONE, REWRITE.format("drop=['model/block_1*']")),
    "rewrite --keep by path": (ONE, REWRITE.format("keep=['model/layer_with_weights-1*']")),
    "rewrite --strip-optimizer": (ONE, REWRITE.format("strip_optimizer=True")),
    TWO: (TWO, "paths = [source, other]" + FLOOR),
    "merge, the optimizer of the second": (
        TWO,
        "tfckpt.merge([source, other], dest, prefer=[f'optimizer={other}', source], overwrite=True, sync=False)",
    ),
    BOTH: (BOTH, "paths = [source, other]" + FLOOR + READ),
    "average of two": (BOTH, "tfckpt.average([source, source], dest, overwrite=True, sync=False)"),
}


def write(prefix: Path, *, backwards: bool) -> None:
    """Write a model of blocks, to each of which two edges lead, and an optimizer of Keras 3 that was built in this order."""
    graph = ObjectGraph([Node(has_checkpoint_values=True)])
    tensors: dict[str, npt.ArrayLike] = {}

    def add(path: str, full_name: str) -> int:
        tensors[variable_key(path)] = np.full(16, backwards, np.float32)
        value = Attribute(VARIABLE_VALUE, variable_key(path), full_name)
        graph.nodes.append(Node(attributes=[value], has_checkpoint_values=True))
        return len(graph.nodes) - 1

    blocks = range(VARIABLES // 2 // BLOCK)
    variables = []
    for block in blocks:
        here = graph.node_at(("model", f"block_{block}"))
        graph.add_edge(("model", f"layer_with_weights-{block}"), here)
        for part in range(BLOCK):
            name = f"w{part}"
            graph.nodes[here].children[name] = add(f"model/block_{block}/{name}", f"net/block_{block}/{name}")
            variables.append(graph.nodes[here].children[name])
    graph.add_edge(("optimizer", "_iterations"), add("optimizer/_iterations", "adam/iteration"))
    for place, variable in enumerate(reversed(variables) if backwards else variables):
        moment = add(f"optimizer/_variables/{place}", f"adam/momentum_{variable}")
        for name, number in (("_variables", moment), ("_trainable_variables", variable), ("_momentums", moment)):
            graph.add_edge(("optimizer", name, str(place)), number)
    for node in graph.nodes:
        node.has_checkpoint_values = True
    tfckpt.save(prefix, {**tensors, OBJECT_GRAPH_KEY: graph.serialize()}, sync=False)


def main(rounds: int) -> list[str]:
    """Measure in turn; return the table and where it comes from."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in EDITS}
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory) / "source"
        write(source, backwards=False)
        write(source.with_name("source-b"), backwards=True)
        for _ in range(rounds):
            for name, (_, work) in EDITS.items():
                found[name].append(processor_time(IMPORTS, work, str(source), str(Path(directory) / "out")))
    lines = beside_floors("edit", {name: floor for name, (floor, _) in EDITS.items()}, found)
    return [*lines, "", f"{VARIABLES:,} variables; medians of {rounds}; {machine()}"]


if __name__ == "__main__":
    print("\n".join(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)))
