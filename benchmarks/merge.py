"""What joining two object graphs costs beside its floor: two indexes read, two graphs parsed, one of each written.

    python -m benchmarks.merge [VARIABLES]

prints both, in seconds of the processor. The sources have that many variables, half of them an optimizer's moments in lists,
made in opposite orders; the moments of the second go to the weights of the first.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable

import numpy as np

import tfckpt
from tfckpt.bundle.writer import BundleWriter
from tfckpt.checkpoint.object_graph import (
    OBJECT_GRAPH_KEY,
    VARIABLE_VALUE,
    Attribute,
    Node,
    ObjectGraph,
    variable_key,
)

VARIABLES = 100_000
LISTS = ("_variables", "_trainable_variables", "_momentums")


def write(prefix: str, order: Iterable[int], value: float) -> None:
    """Write a model and its optimizer, in an order."""
    graph = ObjectGraph()
    keys: list[str] = []

    def variable(key: str) -> int:
        keys.append(variable_key(key))
        graph.nodes.append(Node(attributes=[Attribute(VARIABLE_VALUE, keys[-1])]))
        return len(graph.nodes) - 1

    graph.add_edge(("optimizer", "_iterations"), variable("optimizer/_iterations"))
    made, known, moments = (graph.nodes[graph.node_at(("optimizer", name))].children for name in LISTS)
    for place, number in enumerate(order):
        layer, name = f"layer_{number // 10}", f"w{number % 10}"
        weight = variable(f"model/{layer}/{name}")
        graph.add_edge(("model", layer, name), weight)
        moment = variable(f"optimizer/_variables/{place}")
        known[str(place)], moments[str(place)], made[str(place)] = weight, moment, moment
    with BundleWriter(prefix, sync=False) as writer:
        for key in sorted(keys):
            writer.add(key, np.float32(value))
        writer.add(OBJECT_GRAPH_KEY, graph.serialize())
        writer.finish()


def floor(sources: Iterable[str], dest: str) -> None:
    """Do what no join can do without."""
    names: list[str] = []
    graph = ObjectGraph()
    for source in sources:
        with tfckpt.open(source) as checkpoint:
            names, graph = [entry.name for entry in checkpoint.entries()], checkpoint.object_graph or graph
    graph.nodes[0].has_checkpoint_values = True  # or its bytes would be taken as they are
    with BundleWriter(dest, sync=False) as writer:
        for name in names:
            writer.add(name, graph.serialize() if name == OBJECT_GRAPH_KEY else np.float32(0))
        writer.finish()


def seconds(work: Callable[[], object]) -> float:
    """Return what the processor needs for some work."""
    began = time.process_time()
    work()
    return time.process_time() - began


def main(variables: int) -> None:
    """Print both times, and their ratio."""
    with tempfile.TemporaryDirectory() as directory:
        a, b, out = (os.path.join(directory, name) for name in ("a", "b", "out"))
        half = range(variables // 2)
        write(a, half, 1)
        write(b, reversed(half), 2)
        least = seconds(lambda: floor((a, b), f"{out}-floor"))
        prefer = [f"optimizer={b}", a]
        taken = seconds(lambda: tfckpt.merge([a, b], out, prefer=prefer, sync=False))
        print(f"floor {least:.2f} s, merge {taken:.2f} s, {taken / least:.2f} times")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else VARIABLES)
