"""Names given anew in an object-based checkpoint: paths of objects, else keys or full names; keys follow their objects."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from tfckpt.base.issues import Issue
from tfckpt.base.options import Substitution
from tfckpt.checkpoint.graph.graph_edit import Moved, rename_paths
from tfckpt.checkpoint.graph.object_graph import ObjectGraph
from tfckpt.checkpoint.graph.object_tensors import ObjectTensors
from tfckpt.errors import PlanError, count_of, some


class Renaming:
    """An object graph and its tensors on their way to new names.

    Attributes:
        graph: is changed in place.
        moved: the objects that are at another path now.
        notes: what each substitution was taken for.
    """

    def __init__(self, graph: ObjectGraph, names: Iterable[str]) -> None:
        self.graph, self.moved, self.notes = graph, list[Moved](), list[Issue]()
        objects = ObjectTensors(graph, list(names))
        self._keys = {a.checkpoint_key: a.checkpoint_key for a in graph.attributes()}
        self._tensors = {name: (key, name.removeprefix(key)) for key in self._keys for name in objects.of_key(key)}
        self._others = {name: name for name in objects.unclaimed}

    def names(self) -> dict[str, str]:
        """Return the new names of tensors by the old."""
        return {name: self._keys[key] + end for name, (key, end) in self._tensors.items()} | self._others

    def substitute(self, pattern: str, replacement: str) -> None:
        """Carry out one substitution: in keys if it names what only keys have, else in paths, else in full names.

        Names that belong to no object change in any case.

        Raises: PlanError, UsageError: as `rename_paths` and `ObjectGraph.rename_keys`.
        """

        def rename(text: str) -> str:
            return re.sub(pattern, replacement, text)

        others = {name: rename(now) for name, now in self._others.items()}
        changed = [name for name, new in others.items() if new != self._others[name]]
        self._others = others
        if ".ATTRIBUTES" in pattern.replace("\\", ""):
            self._rename_keys({key: rename(key) for key in self._keys.values()}, pattern)
            return
        changes = rename_paths(self.graph, rename)
        if changes.moved:
            self.moved += changes.moved
            self._follow(changes.keys)
            places = some([f"{old!r} is {new!r} now" for old, new in changes.moved], 3)
            self.notes.append(Issue("renamed-as", repr(pattern), "paths of objects", places))
        elif not self._rename_full_names(pattern, replacement) and not changed:
            self.notes.append(Issue("renames-nothing", repr(pattern), "no path, no full name"))

    def _follow(self, mapping: Mapping[str, str]) -> None:
        self._keys = {key: mapping.get(now, now) for key, now in self._keys.items()}

    def _rename_keys(self, mapping: Mapping[str, str], pattern: str) -> None:
        together: dict[str, list[str]] = {}
        for old, new in mapping.items():
            together.setdefault(new, []).append(old)
        lines = [f"{some(old, 2)} would all be called {new!r}" for new, old in together.items() if len(old) > 1]
        if lines:
            raise PlanError([*lines, "the object graph needs a key of its own for each"])
        changed = sum(old != new for old, new in mapping.items())
        self.graph.rename_keys(mapping)
        self._follow(mapping)
        if changed:
            why = "TensorFlow finds objects as before, by the edges that lead to them"
            self.notes.append(Issue("renamed-as", repr(pattern), f"keys, of which {changed} changed", why))
        else:
            self.notes.append(Issue("renames-nothing", repr(pattern), "no key"))

    def _rename_full_names(self, pattern: str, replacement: str) -> int:
        changed = 0
        for node in self.graph.nodes:
            new = [a._replace(full_name=re.sub(pattern, replacement, a.full_name)) for a in node.attributes]
            changed += sum(a != b for a, b in zip(node.attributes, new, strict=True))
            node.attributes = new
        if changed:
            what = "full names, which TensorFlow 1 restores by"
            self.notes.append(Issue("renamed-as", repr(pattern), what, f"{count_of(changed, 'name')} changed"))
            counts = Counter(a.full_name for a in self.graph.attributes() if a.full_name)
            if several := [repr(name) for name, count in counts.items() if count > 1]:
                self.notes.append(Issue("one-full-name", repr(pattern), got=some(several, 3)))
        return changed


def rename_objects(graph: ObjectGraph, names: Iterable[str], substitutions: Sequence[Substitution]) -> Renaming:
    """Carry out substitutions one after the other, each on what the one before it left.

    Args:
        graph: is changed in place.
        names: of the checkpoint's tensors.
        substitutions: as `tfckpt.rewrite` takes them.
    Raises:
        PlanError: two objects or tensors would be one, or a node with other ways in would be split; lists all.
        UsageError: a key would lose its end.
    """
    renaming = Renaming(graph, names)
    for pattern, replacement in substitutions:
        renaming.substitute(pattern, replacement)
    return renaming
