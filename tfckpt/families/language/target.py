"""The object graph of a target, and the key of each of its variables, for a source with given hub names.

Source of the key's spelling: tensorflow/python/checkpoint/graph_view.py (the shortest path of edge names, breadth first).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from tfckpt.checkpoint.graph.object_graph import (
    ROOT,
    VARIABLE_VALUE,
    Attribute,
    ObjectGraph,
    escape,
    join_path,
    split_path,
    unescape,
    variable_key,
)
from tfckpt.errors import LayoutError
from tfckpt.families.language.axes import parse
from tfckpt.families.language.layouts import NameRows, ObjectRows, Placed, Substitutions
from tfckpt.families.language.optimizer import ADAM_SLOTS, TRAINING_STEP
from tfckpt.families.language.rules import NAMELESS, Part, Variable, begins, numbers_in


class TargetVariable(NamedTuple):
    """One variable of the target: the hub name that its value comes from, its key there, the axes pattern between.

    ``attribute`` is what its row calls it in the object that it belongs to, such as ``"kernel"``. Without ``axes`` it has the
    hub's form. One that is made of several hub names has the others in ``more``, joined along ``axis``.
    """

    name: str
    key: str
    axes: str | None
    attribute: str = ""
    more: tuple[str, ...] = ()
    axis: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """The hub names that its value comes from."""
        return (self.name, *self.more)

    @property
    def is_vector(self) -> bool:
        """Whether it has one axis at most, in the source or in the target: a bias of heads has two here."""
        return min(map(len, parse(self.axes))) <= 1


class SecondName(NamedTuple):
    """A hub name of a variable that has another one: two parts share it, and it is stored once.

    Attributes:
        name: the hub name that it has in the second part; the same, if the source has but one as well.
        owner: the one by which it is stored.
        axes: the pattern of the second part's row.
        apart: the target that has a variable for each.
    """

    name: str
    owner: str
    axes: str
    apart: str


class Target(NamedTuple):
    """What has to be written: variables, and the graph that leads to them, if there is one.

    One hub name may go to several variables; one variable has ``second_names`` if several parts share it.
    """

    graph: ObjectGraph | None
    variables: tuple[TargetVariable, ...]
    second_names: tuple[SecondName, ...] = ()

    @property
    def patterns(self) -> set[str]:
        """The axes patterns that lead to its variables."""
        return {variable.axes for variable in self.variables if variable.axes is not None}


def name_target(layout: NameRows | Substitutions, names: Collection[str], scope: str, num_heads: int | None) -> Target:
    """Return the name-based target for a source that has these hub names.

    Args:
        layout: of which kind.
        names: of all that the source holds, slots among them.
        scope: what stands before every name but the training step's.
        num_heads: the head count, if attention is to be split into heads.
    """
    if isinstance(layout, Substitutions):
        return Target(None, tuple(TargetVariable(n, layout.rename(n), layout.axes(n, num_heads)) for n in names))
    if layout.part is None:
        return Target(None, tuple(TargetVariable(n, n if n == TRAINING_STEP else scope + n, None) for n in names))
    rows = layout.part.variables(numbers_in(names), lacking(layout.part, names))
    variables = [TargetVariable(row.name, scope + row.path, row.axes, "", row.more, row.axis) for row in rows]
    for slot in ADAM_SLOTS.values():
        more = {row.name: tuple(f"{name}/{slot}" for name in row.names) for row in rows}
        of = (
            v._replace(name=more[v.name][0], key=f"{v.key}/{slot}", more=more[v.name][1:])
            for v in variables[: len(rows)]
        )
        variables += [variable for variable in of if variable.name in names]
    step = [TargetVariable(TRAINING_STEP, TRAINING_STEP, None)] if TRAINING_STEP in names else []
    return Target(None, (*variables, *step))


def build_target(layout: ObjectRows, names: Collection[str]) -> Target:
    """Return the object-based target for a source that has these hub names.

    Every container can be reached by its attribute's name and by its Keras number, from every root; all nodes say that they
    hold values, so that TensorFlow waits for objects that are created later.
    """
    lent = layout.family.borrowed(names)
    names = {*names, *lent}
    graph = ObjectGraph()
    found: dict[int, Variable] = {}  # by the number of its node
    second: list[SecondName] = []
    parts = placed_parts(layout, names)
    containers = [_add_variables(graph, layout, placed, names, found, second) for placed in parts]
    for alias, path in layout.edges:
        _add_alias(graph, alias, path)
    keys = _shortest_paths(graph)
    variables = []
    for number, (name, path, axes, more, axis) in found.items():
        key = variable_key(keys[number])
        graph.nodes[number].attributes.append(Attribute(VARIABLE_VALUE, key))
        own = lent.get(name, name) if lent else name
        others = tuple(lent.get(other, other) for other in more) if more else more
        variables.append(TargetVariable(own, key, axes, unescape(path[path.rfind("/") + 1 :]), others, axis))
    for placed, numbered in zip(parts, containers, strict=True):
        _add_part_aliases(graph, layout, placed, names, numbered)
    _add_roots(graph, layout)
    for node in graph.nodes:
        node.has_checkpoint_values = True
    names_twice = tuple(item._replace(name=lent.get(item.name, item.name)) for item in second)
    return Target(graph, tuple(variables), names_twice)


def placed_parts(layout: ObjectRows, names: Collection[str]) -> list[Placed]:
    """Return the layout's parts, but for those that come only with a hub name that is not there."""
    return [placed for placed in layout.parts if not placed.only_with or placed.only_with in names]


def placed_variables(layout: ObjectRows, names: Collection[str]) -> list[tuple[Placed, Variable]]:
    """Return the variables that `build_target` lists for these hub names, in its order, each with its part."""
    names = {*names, *layout.family.borrowed(names)}
    found = [(placed, item) for placed in placed_parts(layout, names) for item in _variables(placed.part, names)]
    return [(placed, item) for placed, item in found if layout.owner_of(below(placed.path, item.path)) is None]


def lacking(part: Part, names: Collection[str]) -> tuple[str, ...]:
    """Return the part's optional prefixes under which there is no hub name."""
    return tuple(prefix for prefix in part.optional if not any(begins(name, prefix) for name in names))


def below(*paths: str) -> str:
    """Join paths in key form, of which any may be empty.

    >>> below("model", "", "dense/kernel")
    'model/dense/kernel'
    """
    return "/".join(filter(None, paths))


def _add_variables(
    graph: ObjectGraph,
    layout: ObjectRows,
    placed: Placed,
    names: Collection[str],
    found: dict[int, Variable],
    second: list[SecondName],
) -> dict[str, str]:
    """Add a part's nodes, those that Keras numbers under their number first: of two short paths it spells the key.

    Returns those numbers by container. A variable that an earlier part has is that one, with a second name.
    """
    variables = _variables(placed.part, names)
    base = below(layout.model, placed.path)
    numbered = placed.part.numbered([variable.path for variable in variables])
    for container, alias in numbered.items():
        shared = layout.owner_of(below(placed.path, container))
        number = graph.node_at(split_path(below(layout.model, shared.owner) if shared else below(base, alias)))
        if shared is not None:
            _link(graph, below(base, alias), number)
        if not container.startswith(NAMELESS):
            _link(graph, below(base, container), number)
    known = {"": graph.node_at(split_path(base))}  # nodes by path
    for variable in variables:
        path = variable.path
        number = _node_at(graph, known, _spell(path, numbered) if path.startswith(NAMELESS) else path)
        shared = layout.owner_of(below(placed.path, path))
        if shared is None:
            found[number] = variable
        else:
            second.append(SecondName(variable.name, found[number].name, variable.axes, shared.apart))
    return numbered


def _node_at(graph: ObjectGraph, known: dict[str, int], path: str) -> int:
    """Return the number of the node at a path, adding what is missing; what stands above it is looked up once."""
    number = known.get(path)
    if number is None:
        owner, _, name = path.rpartition("/")
        above = known.get(owner)
        number = graph.child_of(_node_at(graph, known, owner) if above is None else above, unescape(name))
        known[path] = number
    return number


def _add_part_aliases(
    graph: ObjectGraph, layout: ObjectRows, placed: Placed, names: Collection[str], numbered: Mapping[str, str]
) -> None:
    base = below(layout.model, placed.path)
    for alias, path in placed.part.all_aliases(numbers_in(names)):
        _add_alias(graph, below(base, _spell(alias, numbered)), below(base, _spell(path, numbered)))


def _variables(part: Part, names: Collection[str]) -> list[Variable]:
    return part.variables(numbers_in(names), lacking(part, names))


def _spell(path: str, numbered: Mapping[str, str]) -> str:
    """Return a part's path with the number of the container that has no name."""
    if not path.startswith(NAMELESS):
        return path
    for container, alias in numbered.items():
        if container.startswith(NAMELESS) and f"{path}/".startswith(f"{container}/"):
            return alias + path.removeprefix(container)
    return path


def _add_alias(graph: ObjectGraph, alias: str, path: str) -> None:
    """Let ``alias`` lead to what is at ``path``; nothing, if nothing is there."""
    target = split_path(path)
    if graph.find(target) is not None:
        _link(graph, alias, graph.node_at(target))


def _link(graph: ObjectGraph, alias: str, number: int) -> None:
    """Let ``alias`` lead to a node as well.

    Raises: LayoutError if it leads to another already.
    """
    node = graph.find(split_path(alias))
    if node is not None and node is not graph.nodes[number]:
        raise LayoutError([f"second path {alias!r}: something else is there already"])
    graph.add_edge(split_path(alias), number)


def _shortest_paths(graph: ObjectGraph) -> dict[int, str]:
    paths = {ROOT: ""}
    queue = [ROOT]
    for number in queue:  # breadth first, as `ObjectGraph.ways`, and as long as nodes are added
        head = f"{paths[number]}/" if number != ROOT else ""
        children = graph.nodes[number].children.items()
        for name, child in sorted(children) if number == ROOT else children:  # as a `tf.train.Checkpoint` lists its own
            if child not in paths:
                paths[child] = head + escape(name)
                queue.append(child)
    return paths


def _add_roots(graph: ObjectGraph, layout: ObjectRows) -> None:
    """Add what spells no key: second ways from the root to the model, and nodes without a value."""
    model = graph.node_at(split_path(layout.model))
    for root in layout.roots:
        if root:
            _link(graph, root, model)
        else:
            for name, child in list(graph.nodes[model].children.items()):
                _link(graph, join_path((name,)), child)
    for placeholder in layout.placeholders:
        graph.node_at(split_path(placeholder))
