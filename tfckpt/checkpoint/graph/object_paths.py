"""From a path of objects to the key of a variable's tensor, or to an error that says what is near."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Collection

from tfckpt.checkpoint.graph.object_graph import ObjectGraph, Path, join_path, path_to, quoted, split_path
from tfckpt.errors import TensorNotFoundError, some

MOST_COMPARED = 5000  # paths among which a message looks for near ones


def key_at(graph: ObjectGraph | None, path: str, prefix: str, names: Collection[str]) -> str:
    """Return the key of the tensor at a path in key form, in the graph of the checkpoint ``prefix``, which has these tensors.

    An attribute that no tensor belongs to names the key that is missing.

    Raises: TensorNotFoundError: no object there, or not one with one tensor; names what is near. Or there is no graph.
    """
    if graph is None:
        raise TensorNotFoundError(
            f"{prefix}: no object graph, so no path {path!r}: a name-based checkpoint, whose tensors are found by their names"
        )
    node = graph.find(split_path(path))
    if node is None:
        raise TensorNotFoundError(f"{prefix}: no object at {path!r}{_near_path(graph, path)}")
    keys = [attribute.checkpoint_key for attribute in node.attributes]
    if len(keys) != 1 or keys[0] not in names:  # a table's key is no tensor's, an iterator's is not that of its tensor
        from tfckpt.checkpoint.graph.object_tensors import ObjectTensors

        number = graph.number_at(split_path(path))
        assert number is not None, path
        keys = list(ObjectTensors(graph, names).of_node(number)) or keys
    if len(keys) == 1:
        return keys[0]
    if keys:
        raise TensorNotFoundError(f"{prefix}: several values at {path!r}: {', '.join(map(repr, keys))}")
    raise TensorNotFoundError(f"{prefix}: the object at {path!r} holds no value{_near_path(graph, path)}")


def _near_path(graph: ObjectGraph, path: str) -> str:
    """Return, for a message, the paths of variables that are spelled like ``path``, else what its existing part leads to."""
    ways = graph.ways()
    variables = (join_path(path_to(number, ways)) for number in ways if graph.nodes[number].attributes)
    _, there = existing_part(graph, path)
    compared = itertools.islice(itertools.chain(there, variables), MOST_COMPARED)
    near = difflib.get_close_matches(path, list(compared), n=3)
    return f"; did you mean {', '.join(map(repr, near))}?" if near else f"; {where_it_ends(graph, path)}"


def where_it_ends(graph: ObjectGraph, path: str) -> str:
    """Return, for a message, what the part of a path that exists leads to.

    >>> from tfckpt.checkpoint.graph.object_graph import Node
    >>> where_it_ends(ObjectGraph([Node({"model": 1}), Node({"w": 2, "b": 2}), Node()]), "model/kernel")
    "'model' leads to 'model/w', 'model/b'"
    """
    names, there = existing_part(graph, path)
    return f"{quoted(names)} leads to {some([repr(path) for path in there]) or 'nothing'}"


def existing_part(graph: ObjectGraph, path: str) -> tuple[Path, list[str]]:
    """Return the longest part of a path that leads to an object, and the paths that go on from there."""
    names = split_path(path)
    while (deepest := graph.find(names)) is None:
        names = names[:-1]
    return names, [join_path((*names, child)) for child in deepest.children]
