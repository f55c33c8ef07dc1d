"""What a person types, and the tensors that it means: a key, an object's path, or the full name of a variable.

The three are tried in this order, so that what is a key is never anything else. A path is any way through the graph, in key
form. The ``full_name`` is what TensorFlow 1 would call a variable; TensorFlow 2 still writes it into the graph, and it may be
that of several. Of a slot variable the path is that of its key: the variable's, ``.OPTIMIZER_SLOT``, the optimizer's,
the slot's name. An object with several tensors, such as a table, has them below its path, as in a tree: ``table/table-keys``.
Source: tensorflow/core/protobuf/trackable_object_graph.proto; tensorflow/python/checkpoint/util.py.
"""

from __future__ import annotations

import fnmatch
import itertools
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Set
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from tfckpt.base.html import in_notebooks
from tfckpt.checkpoint.graph.object_graph import (
    ATTRIBUTES,
    SLOT_MARK,
    VARIABLE_VALUE,
    ObjectGraph,
    escape,
    join_path,
    path_to,
    split_path,
    unescape,
)
from tfckpt.errors import TensorNotFoundError, count_of, redacted, some

if TYPE_CHECKING:
    from tfckpt.checkpoint.graph.object_tensors import ObjectTensors
    from tfckpt.checkpoint.graph.ways import Paths

How: TypeAlias = Literal["key", "path", "full name"]
Form: TypeAlias = Literal["key", "path", "full"]
OTHER_PATHS = (
    200_000,
    8,
)  # of slot variables, and below objects, that are spelled: so many, and so many more for each tensor
Meaning: TypeAlias = "int | str"  # of a path: the number of an object, or a tensor's name
WILD = frozenset("*?[")


@in_notebooks
class Found(NamedTuple):
    """The tensors that a text means.

    Attributes:
        names: their keys, in the order of keys.
        how: what the text is: ``"key"``, ``"path"`` of an object, or ``"full name"`` of a variable.
    """

    names: tuple[str, ...]
    how: How

    def to_json(self) -> dict[str, Any]:
        """Return it as what ``json.dumps`` takes."""
        return {"names": list(self.names), "how": self.how}


class Meant(NamedTuple):
    """The tensors that a glob means, by what it matches; a tensor may be among several."""

    keys: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    full_names: tuple[str, ...] = ()

    def names(self) -> dict[str, None]:
        """Return them, each once."""
        return dict.fromkeys((*self.keys, *self.paths, *self.full_names))


class Lookup:
    """Finds the tensors of one checkpoint by key, object path or full name.

    Args:
        graph: its object graph; None if it has none, and then only keys are found.
        names: its keys, in their order.
        where: what messages call the checkpoint.
    Example:
        >>> report = tfckpt.convert("bert_model.ckpt", "tf2/bert_encoder")
        >>> with tfckpt.open("tf2/bert_encoder") as checkpoint:
        ...     lookup = checkpoint.lookup
        >>> lookup.find("model/_pooler_layer/bias")
        Found(names=('encoder/layer_with_weights-6/bias/.ATTRIBUTES/VARIABLE_VALUE',), how='path')
        >>> len(lookup.match("model/*/_attention_layer/*").names)
        16
    """

    def __init__(self, graph: ObjectGraph | None, names: Collection[str], *, where: str = "") -> None:
        self._graph, self._where = graph, where
        self._names = dict.fromkeys(sorted(names) if isinstance(names, (set, frozenset)) else names)
        self._tensors: ObjectTensors | None = None
        self._of_full_name: dict[str, dict[str, tuple[str, ...]]] | None = None
        self._ways: dict[bool, Paths] = {}  # with the edges of training, and without
        self._has_all_others = True

    def __repr__(self) -> str:
        return redacted(f"<Lookup of {self._where!r}: {count_of(self._names, 'name')}>")

    def find(self, text: str) -> Found | None:
        """Return the tensors that a text means; None if it means none.

        Raises: TensorNotFoundError, with their keys, if it is the full name of several variables.
        """
        if text in self._names:
            return Found((text,), "key")
        if self._graph is None:
            return None
        if names := self._at_path(self._graph, text):
            return Found(names, "path")
        of_key = self._full(self._graph).get(text, {})
        if len(of_key) > 1:
            keys = some([repr(key) for key in of_key])
            where = f"{self._where}: " if self._where else ""
            raise TensorNotFoundError(
                f"{where}{len(of_key)} variables have the full name {text!r}; name one by its key or a path: {keys}"
            )
        return next((Found(names, "full name") for names in of_key.values()), None)

    def match(self, pattern: str) -> Found | None:
        """Return the tensors that a shell glob means, in order; see `meant`. They are by path if not all are by key.

        Raises: TensorNotFoundError as `find`, if there is no wildcard in it.
        """
        if WILD.isdisjoint(pattern) and (found := self.find(pattern)) is not None:
            return found
        meant = self.meant(pattern)
        names = meant.names()
        if not names:
            return None
        how: How = "full name" if meant.full_names else "key" if len(names) == len(meant.keys) else "path"
        return Found(tuple(name for name in self._names if name in names), how)

    def select(self, matches: Callable[[str], object]) -> Found | None:
        """Return the tensors of which the key ``matches``; if there are none, any path; if none, the full name."""
        found = [name for name in self._names if matches(name)]
        if found or self._graph is None:
            return Found(tuple(found), "key") if found else None
        if names := self._at_paths(self._graph, matches, trained=True):
            return Found(names, "path")
        names = self._of_full_names(self._graph, matches)
        return Found(names, "full name") if names else None

    def meant(self, pattern: str) -> Meant:
        """Return all that a glob means: by key and by path, an object with what is below it; else by full name.

        A key spells one way to a variable, and whoever names an object may mean it by another. Ways that come to an object
        twice do not count, nor does what `paths_to` leaves out of a graph with too many; and that an optimizer lists what it
        trains is no way to it.

        Raises: TensorNotFoundError as `find`, if there is no wildcard in it.
        """
        matches = re.compile(fnmatch.translate(pattern)).match
        keys = tuple(name for name in self._names if matches(name))
        if self._graph is None or ATTRIBUTES in pattern:
            return Meant(keys)
        deeper = re.compile(fnmatch.translate(f"{pattern}/*")).match
        paths = self._at_paths(self._graph, lambda path: matches(path) or (SLOT_MARK not in path and deeper(path)))
        if keys or paths:
            return Meant(keys, paths)
        if WILD.isdisjoint(pattern):
            found = self.find(pattern)
            return Meant() if found is None else Meant(full_names=found.names)
        return Meant(full_names=self._of_full_names(self._graph, matches))

    def _at_paths(
        self, graph: ObjectGraph, matches: Callable[[str], object], *, trained: bool = False
    ) -> tuple[str, ...]:
        meant = {meaning for path, meaning in self._all_paths(graph, trained=trained) if matches(path)}
        return self._tensors_of(graph, meant)

    def _of_full_names(self, graph: ObjectGraph, matches: Callable[[str], object]) -> tuple[str, ...]:
        keys: set[Meaning] = {key for text, of_key in self._full(graph).items() if matches(text) for key in of_key}
        return self._tensors_of(graph, keys)

    @property
    def is_complete(self) -> bool:
        """Whether `match` and `select` have had every path to compare; else the graph has too many."""
        return self._has_all_others and all(ways.is_complete for ways in self._ways.values())

    def called(self, form: Form) -> dict[str, str]:
        """Return what tensors are called by their paths or their full names, by key; those that have none are left out.

        Args:
            form: ``"path"``, the one that a tree draws; ``"full"``, which several may share; or ``"key"``.
        Raises: FormatError if paths would be far longer than all names in the graph together.
        """
        if form == "key":
            return {name: name for name in self._names}
        return self._drawn() if form == "path" else self._full_names()

    def _drawn(self) -> dict[str, str]:
        """Return the path of each tensor that objects lead to, as a tree draws it.

        Raises: FormatError if paths would be far longer than all names in the graph together.
        """
        if self._graph is None:
            return {}
        from tfckpt.checkpoint.graph.outline import drawn_paths

        drawn = drawn_paths(self._graph)
        slots = self._slot_paths(self._graph, {number: (path,) for number, path in drawn.items()})
        paths: dict[str, str] = {}
        seen: set[Meaning] = set()  # objects and keys
        for number, path in itertools.chain(drawn.items(), ((number, path) for path, number in slots)):
            if number in seen:
                continue
            seen.add(number)
            for key, is_value in _keys(self._graph, number).items():
                for name in () if key in seen else self._of_key(self._graph, key):
                    paths.setdefault(name, path if is_value and name == key else _below(path, name))
                seen.add(key)
        return paths

    def _full_names(self) -> dict[str, str]:
        """Return the full name of each variable that has one, by its key."""
        if self._graph is None:
            return {}
        return {
            names[0]: text
            for text, of_key in self._full(self._graph).items()
            for names in of_key.values()
            if len(names) == 1
        }

    def spellings(self) -> list[str]:
        """Return everything that `find` takes: keys, then paths, then full names of one variable."""
        if self._graph is None:
            return list(self._names)
        paths = (path for path, _ in self._all_paths(self._graph, trained=True))
        full = (text for text, of_key in self._full(self._graph).items() if len(of_key) == 1)
        return list(dict.fromkeys((*self._names, *paths, *full)))

    def near(self, text: str, most: int) -> list[str]:
        """Return, for a message, up to three keys, paths and full names that are spelled like ``text``, or hold it.

        Args:
            text: what is none of them.
            most: how many of each kind are compared.
        """
        import difflib

        candidates = list(itertools.islice(self._names, most))
        if self._graph is not None:
            from tfckpt.checkpoint.graph.object_paths import existing_part

            _, there = existing_part(self._graph, text)
            candidates += [path for path in there[:most] if self._at_path(self._graph, path)]
            ways, nodes = self._graph.ways(), self._graph.nodes
            variables = [number for number in ways if nodes[number].attributes][:most]
            candidates += [join_path(path_to(number, ways)) for number in variables]
            names = (text for text, of_key in self._full(self._graph).items() if len(of_key) == 1)
            candidates += itertools.islice(names, most)
        candidates = list(dict.fromkeys(candidates))
        return difflib.get_close_matches(text, candidates, n=3) or [other for other in candidates if text in other][:3]

    def _at_path(self, graph: ObjectGraph, text: str) -> tuple[str, ...]:
        """Return the tensors of the object at a path; or those of its attribute, or its one tensor, named at the end."""
        path, mark, label = text.partition(ATTRIBUTES)
        if not mark:
            number = _number_at(graph, text)
            if number is not None and (names := self._of_node(graph, number)):
                return names
            path, _, label = text.rpartition("/")
        number = _number_at(graph, path)
        if number is None:
            return ()
        names = self._of_node(graph, number)
        keys = [a.checkpoint_key for a in graph.nodes[number].attributes if mark and a.name == label]
        named = [name for name in names if name.endswith(ATTRIBUTES + label)]
        return tuple(named) or tuple(name for key in dict.fromkeys(keys) for name in self._of_key(graph, key))

    def _of_node(self, graph: ObjectGraph, number: int) -> tuple[str, ...]:
        names = (name for key in _keys(graph, number) for name in self._of_key(graph, key))
        return tuple(dict.fromkeys(names))

    def _of_key(self, graph: ObjectGraph, key: str) -> tuple[str, ...]:
        """Return the tensors of an attribute by its key, which is its one tensor's name unless there are several."""
        return (key,) if key in self._names else self._objects(graph).of_key(key)

    def _tensors_of(self, graph: ObjectGraph, meant: Set[Meaning]) -> tuple[str, ...]:
        """Return the tensors of objects, attributes or themselves, in order; each attribute is looked at once."""
        keys = {key for m in meant for key in (_keys(graph, m) if isinstance(m, int) else (m,))}
        names = {name for key in keys for name in self._of_key(graph, key)}
        return tuple(name for name in self._names if name in names)

    def _objects(self, graph: ObjectGraph) -> ObjectTensors:
        """Return the tensors of each object; made when the first of several tensors, or of none, comes up."""
        if self._tensors is None:
            from tfckpt.checkpoint.graph.object_tensors import ObjectTensors

            self._tensors = ObjectTensors(graph, self._names)
        return self._tensors

    def _full(self, graph: ObjectGraph) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
        """Return, by full name, the tensors of each attribute that has it, by key."""
        if self._of_full_name is None:
            found: dict[str, dict[str, tuple[str, ...]]] = {}  # no other thread sees it before it is complete
            for node in graph.nodes:
                for attribute in node.attributes:
                    key = attribute.checkpoint_key
                    names = self._of_key(graph, key) if attribute.full_name else ()
                    if names:
                        found.setdefault(attribute.full_name, {})[key] = names
            self._of_full_name = found
        return self._of_full_name

    def _all_paths(self, graph: ObjectGraph, *, trained: bool) -> Iterator[tuple[str, Meaning]]:
        """Yield every path with what it means; ``trained`` says whether what an optimizer trains is below it."""
        if trained not in self._ways:
            from tfckpt.checkpoint.graph.ways import edges_of_training, paths_to

            ends = (number for number, node in enumerate(graph.nodes) if node.attributes or node.slot_variables)
            self._ways[trained] = paths_to(graph, list(ends), without=() if trained else edges_of_training(graph))
        found = self._ways[trained]
        left = OTHER_PATHS[0] + OTHER_PATHS[1] * len(self._names)
        for number, ways in found.items():
            keys = _keys(graph, number)
            if not any(self._of_key(graph, key) for key in keys):
                continue
            yield from ((path, number) for path in ways)
            several = [key for key, is_value in keys.items() if not is_value or key not in self._names]
            left -= len(ways) * sum(len(self._of_key(graph, key)) for key in several)
            if left < 0:
                self._has_all_others = False
                continue
            for name in itertools.chain.from_iterable(self._of_key(graph, key) for key in several):
                yield from ((_below(path, name), name) for path in ways)
        yield from self._slot_paths(graph, found, kept=not trained)

    def _slot_paths(
        self, graph: ObjectGraph, ways: Mapping[int, tuple[str, ...]], *, kept: bool = False
    ) -> Iterator[tuple[str, int]]:
        """Yield paths of slot variables, each with the node's number; ``kept`` asks for those below their optimizer too."""
        slots = [(number, slot) for number, node in enumerate(graph.nodes) for slot in node.slot_variables]
        left = OTHER_PATHS[0] + OTHER_PATHS[1] * len(slots)
        for number, slot in slots:
            variables, optimizers = ways.get(slot.original_variable, ()), ways.get(number, ())
            if max(1, len(variables)) * len(optimizers) > left:
                self._has_all_others = False
                variables, optimizers = variables[:1], optimizers[:1]
            left -= max(1, len(variables)) * len(optimizers)
            name = escape(slot.slot_name)
            if kept:
                yield from ((f"{optimizer}/{name}", slot.slot_variable) for optimizer in optimizers)
            for path in variables:
                for optimizer in optimizers:
                    yield f"{path}{SLOT_MARK}{optimizer}/{name}", slot.slot_variable


def _keys(graph: ObjectGraph, number: int) -> dict[str, bool]:
    """Return the keys of an object's attributes, each with whether it is that of a variable's value."""
    keys: dict[str, bool] = {}
    for attribute in graph.nodes[number].attributes:
        keys[attribute.checkpoint_key] = keys.get(attribute.checkpoint_key, False) or attribute.name == VARIABLE_VALUE
    return keys


def _below(path: str, name: str) -> str:
    """Return the path of one tensor of several at a path."""
    label = name.rpartition(ATTRIBUTES)[2]
    return f"{path}/{label}" if path else label


def _number_at(graph: ObjectGraph, path: str) -> int | None:
    """Return the number of the object at a path in key form, or of the slot variable that it means."""
    variable, mark, rest = path.partition(SLOT_MARK)
    number = graph.number_at(split_path(variable))
    if not mark or number is None:
        return number
    optimizer, _, name = rest.rpartition("/")
    owner = graph.number_at(split_path(optimizer))
    if owner is None:
        return None
    slots = (
        s for s in graph.nodes[owner].slot_variables if (s.original_variable, s.slot_name) == (number, unescape(name))
    )
    return next((slot.slot_variable for slot in slots), None)
