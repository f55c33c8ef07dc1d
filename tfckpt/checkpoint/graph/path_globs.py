"""Which objects of a graph a glob means, whatever way leads to them.

A graph may have more ways than could be listed: each of a chain of objects may be reached twice from the one before. So no
way is spelled: the glob becomes an automaton, its states the bits of one number, that walks all ways at once. An object is
looked at again only if a way brings a state that none before it did: at most as many times as the glob has characters.
"""

from __future__ import annotations

import fnmatch
import re
from collections import deque
from collections.abc import Collection, Mapping

from tfckpt.checkpoint.graph.object_graph import ROOT, ObjectGraph, escape

Edge = tuple[int, str]  # the node that it leaves, and its name

_BELOW = -1  # all states: of what lies below an object that the glob means


class PathGlob:
    """A glob of whole object paths in key form: ``*`` also matches ``/``, as in every glob here.

    An object is meant with all that lies below it: ``model/encoder`` and ``model/encoder/*`` differ in the encoder itself.
    """

    def __init__(self, pattern: str) -> None:
        self._pieces = _pieces(pattern)
        self._stars = sum(1 << at for at, piece in enumerate(self._pieces) if piece == "*")
        self._end = 1 << len(self._pieces)
        self._takes: dict[str, int] = {}
        self._known: dict[tuple[int, str], int] = {}

    def matching(
        self, graph: ObjectGraph, without: Collection[Edge] = (), labels: Mapping[int, Collection[str]] | None = None
    ) -> set[int]:
        """Return the nodes that are meant.

        Slot variables, to which no edge leads, are those of an optimizer, by the slot's name: ``optimizer/m``.

        Args:
            graph: of a file.
            without: edges that are no way here. Those back to an object that was passed are none either.
            labels: what some objects call tensors of their own, which a path may name at its end: ``table/table-keys``.
        """
        back = _edges_back(graph)
        states: dict[int, int] = {ROOT: self._closed(1)}
        queue = deque([ROOT])
        while queue:
            number = queue.popleft()
            node, slash, state = graph.nodes[number], "/" if number != ROOT else "", states[number]
            ways = [(child, name) for name, child in node.children.items() if (number, name) not in without]
            ways += [(slot.slot_variable, slot.slot_name) for slot in node.slot_variables]
            for child, name in ways:
                if (number, child) in back:
                    continue
                old = states.get(child, 0)
                new = _BELOW if state == _BELOW else old | self._after(state, slash + escape(name))
                if new != old:
                    states[child] = new
                    queue.append(child)
        for number, own in (labels or {}).items():
            slash = "/" if number != ROOT else ""
            ends = (self._after(states[number], slash + label) for label in own if number in states)
            if any(end == _BELOW or end & self._end for end in ends):
                states[number] = _BELOW
        return {number for number, state in states.items() if state == _BELOW or state & self._end}

    def _after(self, state: int, text: str) -> int:
        """Return the states after a text."""
        if state == _BELOW or (state & self._end and text.startswith("/")):
            return _BELOW
        key = state, text
        if key not in self._known:
            for char in text:
                state = self._closed(((state & self._accepted(char)) << 1) | (state & self._stars))
            self._known[key] = state
        return self._known[key]

    def _closed(self, state: int) -> int:
        """Return the states with those that follow where a ``*`` matches nothing."""
        return state | (state & self._stars) << 1

    def _accepted(self, char: str) -> int:
        """Return the states whose piece is one that this character matches."""
        if char not in self._takes:
            taking = (at for at, piece in enumerate(self._pieces) if piece != "*" and _takes(piece, char))
            self._takes[char] = sum(1 << at for at in taking)
        return self._takes[char]


def _pieces(pattern: str) -> list[str]:
    """Return a glob in pieces, of which each but ``*`` matches one character; two ``*`` in a row are one."""
    found = re.findall(r"\[!?\]?[^\]]*\]|.", re.sub(r"\*+", "*", pattern), re.DOTALL)
    return list(found)


def _takes(piece: str, char: str) -> bool:
    return fnmatch.fnmatchcase(char, piece) if len(piece) > 1 else piece in ("?", char)


def _edges_back(graph: ObjectGraph) -> set[tuple[int, int]]:
    """Return the edges, as pairs of nodes, that lead to an object on the shortest way to where they begin."""
    ways = graph.ways()
    suspects = [
        (number, child)
        for number in ways
        for name, child in graph.nodes[number].children.items()
        if graph.nodes[child].children and ways[child] != (number, name)
    ]
    if not suspects:
        return set()
    below: dict[int, list[int]] = {}
    for number, (parent, _) in ways.items():
        if number != ROOT:
            below.setdefault(parent, []).append(number)
    # When a walk of the tree of shortest ways comes to a node, and when it leaves it for good.
    come, gone, clock = {}, {}, 0
    stack = [(ROOT, False)]
    while stack:
        number, leaving = stack.pop()
        clock += 1
        if leaving:
            gone[number] = clock
            continue
        come[number] = clock
        stack.append((number, True))
        stack += [(child, False) for child in below.get(number, ())]
    return {
        (number, child) for number, child in suspects if come[child] <= come[number] and gone[number] <= gone[child]
    }
