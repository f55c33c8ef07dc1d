"""What tells which object is which in two graphs, beside the path by which a join has paired them.

A path of numbers, as ``layer_with_weights-0`` of Keras, says in which order layers stand. Attributes and full names say which
layer it is. Where they contradict, the same number is another layer's, maybe of the same shape.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence

from tfckpt.checkpoint.graph.object_graph import ROOT, ObjectGraph, join_path, path_to

NOWHERE = -1
MOST_PREFIXES = 50  # of a name, that are tried; a crafted one may have any number of parts
_NUMBERED = re.compile(r"[0-9]+|layer(_with_weights)?-[0-9]+")
_COUNT = re.compile(r"_[0-9]+(?=_|/|$)")  # what Keras adds to the name of a second layer of a kind


def owners(lists: Iterable[Sequence[str]], variables: Mapping[str, int | None]) -> list[int] | None:
    """Return the variable that each place of an optimizer's lists is for, if the full names in them prove it.

    Names of one list are those of variables behind one prefix, as ``Adam/m/``. Each must be that of one variable alone, and
    all lists must agree.

    Args:
        lists: the full name of each element; the empty string if it has none.
        variables: by full name; None by a name that several have.
    Example:
        >>> owners([["m/a/kernel", "m/b/kernel"], ["v/a/kernel", ""]], {"a/kernel": 1, "b/kernel": 2})
        [1, 2]
        >>> owners([["m/kernel", "m/kernel"]], {"kernel": None})
    """
    lists = list(lists)
    if len({len(names) for names in lists}) != 1:
        return None
    found = [NOWHERE] * len(lists[0])
    for names in lists:
        named = [(place, name) for place, name in enumerate(names) if name]
        own = _behind_one_prefix([name for _, name in named], variables) if named else []
        if own is None:
            return None
        for (place, _), variable in zip(named, own, strict=True):
            if found[place] not in (NOWHERE, variable):
                return None
            found[place] = variable
    return found if NOWHERE not in found and len(set(found)) == len(found) else None


def _behind_one_prefix(names: Sequence[str], variables: Mapping[str, int | None]) -> list[int] | None:
    fitting = []
    parts = names[0].split("/", MOST_PREFIXES)
    for length in range(1, len(parts)):
        prefix = "/".join(parts[:length]) + "/"
        found = []
        for name in names:
            variable = variables.get(name.removeprefix(prefix)) if name.startswith(prefix) else None
            if variable is None:
                break
            found.append(variable)
        else:
            fitting.append(found)
    return fitting[0] if len(fitting) == 1 else None


def misplaced(
    ours: ObjectGraph,
    theirs: ObjectGraph,
    partners: Sequence[int],
    names: tuple[Mapping[int, str], Mapping[int, str]],
    optimizers: Collection[int],
) -> str:
    """Return in what attributes, numbers and full names contradict each other; nothing if they agree.

    Args:
        ours: the graph that was paired.
        theirs: that with which it was.
        partners: for each node of ours, that of theirs; `NOWHERE` if it has none.
        names: full names of the variables of both, those of optimizers' lists aside.
        optimizers: our nodes whose edges do not count: of optimizers and their lists.
    """
    named = _by_attributes(ours, theirs, optimizers)
    alive, theirs_alive = ours.nodes_with_values(), theirs.nodes_with_values()
    ways = ours.ways()
    for number, partner in enumerate(partners):
        if partner == NOWHERE or number in optimizers or number not in ways:
            continue
        others = theirs.nodes[partner].children
        for edge, child in ours.nodes[number].children.items():
            other = others.get(edge)
            if other is None or child in optimizers or child not in alive or other not in theirs_alive:
                continue
            moved = partners[child] != other if _is_numbered(edge) else partners[child] not in (NOWHERE, other)
            if moved and (_is_numbered(edge) or named.get(child) == other):
                path = join_path((*path_to(number, ways), edge))
                return f"{path!r} is not the object that other paths name"
    return _exchanged(partners, *names, named)


def _is_numbered(edge: str) -> bool:
    return _NUMBERED.fullmatch(edge) is not None


def _by_attributes(ours: ObjectGraph, theirs: ObjectGraph, optimizers: Collection[int]) -> dict[int, int]:
    """Return the partner of each of our nodes to which attributes of the same names lead in both graphs."""
    found = {ROOT: ROOT}
    queue = deque([ROOT])
    while queue:
        number = queue.popleft()
        others = theirs.nodes[found[number]].children
        for edge, child in ours.nodes[number].children.items():
            if edge in others and child not in found and child not in optimizers and not _is_numbered(edge):
                found[child] = others[edge]
                queue.append(child)
    return found


def _exchanged(
    partners: Sequence[int], own: Mapping[int, str], their: Mapping[int, str], named: Mapping[int, int]
) -> str:
    """Return which variable has a name that stands at another place in the other graph.

    The numbers that Keras counts, as in ``dense_1``, are another run's; they tell something where the same ones come again,
    in another order, and no attribute says otherwise.
    """
    own_stems, their_stems = _alone(own, stem=True), _alone(their, stem=True)
    own_names, their_names = _alone(own), _alone(their)
    moved, places = [], set()
    for number, name in own.items():
        partner = partners[number]
        other = their.get(partner, name)
        if partner == NOWHERE or name == other:
            continue
        if without_counts(name) != without_counts(other):
            pairs = (own_stems, their_stems, without_counts(name)), (own_stems, their_stems, without_counts(other))
            if any(
                stem in mine and stem in there and partners[mine[stem]] != there[stem] for mine, there, stem in pairs
            ):
                return f"{name!r} stands where {other!r} does"
        if name in own_names and name in their_names and named.get(number) != partner:
            moved.append((name, other, partner))
            places.add(their_names[name])
    if moved and places == {partner for _, _, partner in moved}:
        return f"{moved[0][0]!r} stands where {moved[0][1]!r} does"
    return ""


def without_counts(name: str) -> str:
    """Return a full name without the numbers that Keras adds where layers are of one kind.

    >>> without_counts("net_1/dense_2/kernel")
    'net/dense/kernel'
    """
    return _COUNT.sub("", name)


def _alone(names: Mapping[int, str], *, stem: bool = False) -> dict[str, int]:
    """Return variables by names, or stems of names, that no other has."""
    found: dict[str, int] = {}
    again = set()
    for number, name in names.items():
        key = without_counts(name) if stem else name
        if found.setdefault(key, number) != number:
            again.add(key)
    return {key: number for key, number in found.items() if key not in again}
