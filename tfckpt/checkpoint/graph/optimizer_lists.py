"""The lists in which optimizers of Keras keep what belongs to each variable, told by structure.

An optimizer of TF2's first years names its slot variables in its node, each with the variable that it is for. Later ones,
those of tf_keras from 2.11 on and of Keras 3, have lists; place N of each is for the same variable: the one to which place
N of ``_trainable_variables`` leads (Keras 3), or just the Nth (tf_keras). ``_variables`` has all that the optimizer made.
Source: keras/src/optimizers/base_optimizer.py, build; tf_keras/src/optimizers/optimizer.py, build.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tfckpt.checkpoint.graph.object_graph import Node, ObjectGraph
from tfckpt.checkpoint.graph.optimizers import OPTIMIZER_EDGES, RATES, TRAINED, TRAINED_LIST

EVERYTHING = "_variables"


class Lists(NamedTuple):
    """The lists of one optimizer, by the numbers of their nodes.

    Attributes:
        variables: leads to the variables themselves, which are the model's; None if there is none.
        everything: leads to all that the optimizer made; None if there is none.
        slots: the others by name, each with one element for each variable.
        loose: what `everything` alone leads to, of optimizers whose other lists are not saved (Adafactor of Keras 3).
    """

    variables: int | None
    everything: int | None
    slots: Mapping[str, int]
    loose: tuple[int, ...] = ()

    def names(self) -> set[str]:
        """Return the names of the edges that lead to the lists."""
        own = {
            name
            for name, number in ((TRAINED_LIST, self.variables), (EVERYTHING, self.everything))
            if number is not None
        }
        return own | set(self.slots)


def find_optimizers(graph: ObjectGraph) -> dict[int, Lists]:
    """Return the lists of every optimizer in a graph, by the optimizer's node; one with slot variables may have none.

    A list is one optimizer's: in a crafted graph thousands may lead to a long one.

    >>> from tfckpt.checkpoint.graph.object_graph import Node
    >>> optimizer = Node({"_iterations": 2, "_variables": 3, "_momentums": 4})
    >>> graph = ObjectGraph([Node({"opt": 1}), optimizer, Node(), Node({"0": 2, "1": 5}), Node({"0": 5}), Node()])
    >>> find_optimizers(graph)
    {1: Lists(variables=None, everything=3, slots={'_momentums': 4}, loose=())}
    """
    claimed: set[int] = set()
    return {
        number: _lists(graph, node, claimed) for number, node in enumerate(graph.nodes) if is_surely_optimizer(node)
    }


def elements(graph: ObjectGraph, number: int | None) -> list[int]:
    """Return what a list leads to, in order; nothing if there is no list, or places are missing in it."""
    children = {} if number is None else graph.nodes[number].children
    places = [children.get(str(place)) for place in range(len(children))]
    found = [place for place in places if place is not None]
    return found if len(found) == len(places) else []


def kept(graph: ObjectGraph, lists: Lists) -> list[int]:
    """Return what an optimizer keeps for its variables in lists."""
    return [element for number in lists.slots.values() for element in elements(graph, number)] + list(lists.loose)


def is_surely_optimizer(node: Node) -> bool:
    """Whether a node holds what optimizers alone do: slot variables, or lists and numbers of those of Keras.

    >>> is_surely_optimizer(Node({"_iterations": 1, "_variables": 2})), is_surely_optimizer(Node({"_variables": 1}))
    (True, False)
    """
    edges = node.children.keys()
    return bool(node.slot_variables) or (len(edges & OPTIMIZER_EDGES) > 1 and not RATES.isdisjoint(edges))


def _lists(graph: ObjectGraph, node: Node, claimed: set[int]) -> Lists:
    own = {name: child for name, child in node.children.items() if child not in claimed}
    slots = {
        name: child for name, child in own.items() if name not in (EVERYTHING, *TRAINED) and elements(graph, child)
    }
    everything = own.get(EVERYTHING)
    claimed.update(child for child in own.values() if graph.nodes[child].children)
    named = {child for number in slots.values() for child in elements(graph, number)} | set(node.children.values())
    loose = tuple(element for element in elements(graph, everything) if element not in named)
    return Lists(own.get(TRAINED_LIST), everything, slots, loose)
