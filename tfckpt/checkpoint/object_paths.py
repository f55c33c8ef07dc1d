"""From a path of objects to the key of a variable's tensor, or to an error that says what is near."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Collection

from tfckpt.checkpoint.object_graph import ObjectGraph, join_path, path_to, split_path
from tfckpt.checkpoint.object_tensors import ObjectTensors
from tfckpt.errors import TensorNotFoundError, some

MOST_COMPARED = 5000  # paths among which a message looks for near ones


def key_at(graph: ObjectGraph | None, names: Collection[str], path: str, prefix: str) -> str:
    """Return the key of the tensor at a path in key form, in the graph of the checkpoint ``prefix`` of tensors ``names``.

    Raises: TensorNotFoundError: no object there, or not one with one value; names what is near. Or there is no graph.
    """
    if graph is None:
        raise TensorNotFoundError(
            f"{prefix}: no object graph, so no path {path!r}: a name-based checkpoint, whose tensors are found by their names"
        )
    node = graph.find(split_path(path))
    if node is None:
        raise TensorNotFoundError(f"{prefix}: no object at {path!r}{_near_path(graph, path)}")
    keys = [attribute.checkpoint_key for attribute in node.attributes]
    if len(keys) != 1 or keys[0] not in names:  # no variable's
        number = next(number for number, other in enumerate(graph.nodes) if other is node)
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
    names = split_path(path)
    while (deepest := graph.find(names)) is None:
        names = names[:-1]
    there = [join_path((*names, child)) for child in deepest.children]
    compared = itertools.islice(itertools.chain(there, variables), MOST_COMPARED)
    near = difflib.get_close_matches(path, list(compared), n=3)
    if near:
        return f"; did you mean {', '.join(map(repr, near))}?"
    where = repr(join_path(names)) if names else "the root"
    return f"; {where} leads to {some([repr(path) for path in there]) or 'nothing'}"
