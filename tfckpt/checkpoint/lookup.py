"""stub"""

from __future__ import annotations
import fnmatch
from typing import NamedTuple, Literal
from tfckpt.checkpoint.object_tensors import ObjectTensors
from tfckpt.checkpoint.way_tree import WayTree
from tfckpt.checkpoint.object_graph import join_path


class Found(NamedTuple):
    names: tuple[str, ...]
    how: str


class Lookup:
    def __init__(self, graph, names):
        self.graph, self.names = graph, names

    def match(self, pattern):
        ks = tuple(n for n in sorted(self.names) if fnmatch.fnmatchcase(n, pattern))
        if ks or self.graph is None:
            return Found(ks, "key") if ks else None
        t = ObjectTensors(self.graph, self.names)
        w = WayTree(self.graph)
        found = []
        for n in w.to_values():
            if fnmatch.fnmatchcase(join_path(w.path(n)), pattern):
                found += t.of_node(w.all[n].node)
        if found:
            return Found(tuple(sorted(set(found))), "path")
        for node in self.graph.nodes:
            for a in node.attributes:
                if a.full_name and fnmatch.fnmatchcase(a.full_name, pattern):
                    found += t.of_key(a.checkpoint_key)
        return Found(tuple(sorted(set(found))), "full name") if found else None

    def match_paths(self, pattern):
        if self.graph is None:
            return ()
        t = ObjectTensors(self.graph, self.names)
        w = WayTree(self.graph)
        found = []
        for n in w.to_values():
            if fnmatch.fnmatchcase(join_path(w.path(n)), pattern):
                found += t.of_node(w.all[n].node)
        return tuple(sorted(set(found)))
