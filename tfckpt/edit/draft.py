"""An object-based checkpoint that is being changed in Python: variables added, objects moved, removed; then written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tfckpt.base import log
from tfckpt.base.options import PathLike
from tfckpt.checkpoint.checkpoint import Checkpoint, check_apart
from tfckpt.checkpoint.find.locate import check_prefix
from tfckpt.checkpoint.graph import graph_edit
from tfckpt.checkpoint.graph.object_graph import OBJECT_GRAPH_KEY, VARIABLE_VALUE, Node, ObjectGraph, split_path
from tfckpt.checkpoint.graph.object_tensors import ObjectTensors
from tfckpt.errors import UsageError, count_of, printable, some
from tfckpt.execution.pieces import write_stored
from tfckpt.formats.bundle import BundleSink, BundleSource
from tfckpt.formats.container import Destination
from tfckpt.planning.steps import Step, carrying

if TYPE_CHECKING:
    import numpy.typing as npt


class Draft:
    """An object-based checkpoint that is being changed: what `tfckpt rewrite` does to objects, step by step, and more.

    Paths are edge names from the root in key form: joined by ``/``; in a name ``.`` is ``..`` and ``/`` is ``.S``. What the
    steps do not name stays as it is, slot variables and other ways to an object included. Nothing is written before `save`.

    Args:
        source: an open `Checkpoint`, which must stay open until `save`; None begins with nothing.
    Raises:
        UsageError: the source is name-based; `tfckpt.rewrite` changes names.
        FormatError: its object graph is damaged.
    Example:
        >>> import numpy as np
        >>> draft = tfckpt.Draft()
        >>> draft.add("model/dense1/kernel", np.ones((2, 3), np.float32))
        >>> draft.save("first")
        >>> with tfckpt.open("first") as ckpt:
        ...     draft = tfckpt.Draft(ckpt)
        ...     draft.move("model/dense1", "model/proj")
        ...     draft.alias("encoder", "model")
        ...     draft.add("model/extra", np.zeros(3, np.float32))
        ...     draft.save("second")
        >>> sorted(tfckpt.open("second"))[1:]
        ['model/extra/.ATTRIBUTES/VARIABLE_VALUE', 'model/proj/kernel/.ATTRIBUTES/VARIABLE_VALUE']

    Source: tensorflow/core/protobuf/trackable_object_graph.proto.
    """

    graph: ObjectGraph
    """The object graph as it is by now; a copy of the source's."""

    def __init__(self, source: Checkpoint | None = None) -> None:
        if source is not None and not isinstance(source, Checkpoint):
            raise UsageError(f"Draft: expected an open checkpoint, as tfckpt.open returns it, got {source!r}")
        self._source = source
        self._added: dict[str, npt.ArrayLike] = {}  # values by key
        graph = ObjectGraph([Node(has_checkpoint_values=True)]) if source is None else source.object_graph
        if graph is None:
            assert source is not None
            hint = "a name-based checkpoint; tfckpt.rewrite changes its names"
            raise UsageError(f"{source.prefix}: no object graph, so no objects to change: {hint}")
        self.graph = graph.copy()
        names = [] if source is None else list(source)
        objects = ObjectTensors(self.graph, names)
        # The key of its attribute, now, and what its name has behind that, of each tensor of the source.
        self._stored = {name: (key, name.removeprefix(key)) for key in _keys(graph) for name in objects.of_key(key)}
        others = [name for name in names if name not in self._stored and name != OBJECT_GRAPH_KEY]
        self._stored |= {name: (name, "") for name in others}  # of no object, or of one that has a saver of its own
        savers = [number for number, node in enumerate(graph.nodes) if node.registered_saver is not None]
        self._savers = {number: objects.of_saver(number) for number in savers}
        self._taken = {key for key, _ in self._stored.values()}

    def add(self, path: str, value: npt.ArrayLike, *, full_name: str = "") -> None:
        """Add a variable.

        Args:
            path: where a model looks for it; objects that are missing on the way are added.
            value: anything that `tfckpt.save` takes.
            full_name: what TensorFlow 1 restores it by, such as ``"dense/kernel"``.
        Raises:
            UsageError: there is a value already; `replace` gives it another.
        """
        key = graph_edit.add_variable(self.graph, path, full_name, taken=self._taken)
        self._taken.add(key)
        self._added[key] = value

    def replace(self, path: str, value: npt.ArrayLike) -> None:
        """Give the variable at a path another value, which may have another shape and dtype.

        Raises: UsageError if no variable is there.
        """
        node = self.graph.find(split_path(path))
        if node is None or [attribute.name for attribute in node.attributes] != [VARIABLE_VALUE]:
            held = [] if node is None else [repr(attribute.name) for attribute in node.attributes]
            got = "no object" if node is None else f"an object with {some(held) or 'no value'}"
            raise UsageError(f"object {path!r}: expected a variable, got {got}")
        key = node.attributes[0].checkpoint_key
        self._stored = {name: place for name, place in self._stored.items() if place[0] != key}
        self._added[key] = value

    def alias(self, alias: str, path: str) -> None:
        """Let a second path lead to the object at ``path`` too, for a model that has it there.

        Raises: UsageError if there is no object at ``path``, or another one at ``alias``.
        """
        graph_edit.add_alias(self.graph, alias, path)

    def move(self, old: str, new: str) -> None:
        """Rename an object, or put it elsewhere, with all that is below it; its slot variables and other ways to it stay.

        Raises: UsageError if there is no object at ``old``, or another one at ``new``.
        """
        keys = graph_edit.move(self.graph, old, new).keys
        self._stored = {name: (keys.get(key, key), end) for name, (key, end) in self._stored.items()}
        self._added = {keys.get(key, key): value for key, value in self._added.items()}
        self._taken = {*self._added, *(key for key, _ in self._stored.values())}

    def remove(self, path: str) -> tuple[str, ...]:
        """Take an object away, by whatever ways it is reached, with its slot variables and all that nothing else leads to.

        Returns:
            The names of the tensors that go.
        Raises:
            UsageError: there is no object at ``path``, or it is the root.
        """
        keys = graph_edit.remove(self.graph, path)
        saved = [number for number in self._savers if self.graph.nodes[number].registered_saver is None]
        keys |= {name for number in saved for name in self._savers.pop(number)}
        gone = [key + end for key, end in self._stored.values() if key in keys] + [k for k in self._added if k in keys]
        self._stored = {name: place for name, place in self._stored.items() if place[0] not in keys}
        self._added = {key: value for key, value in self._added.items() if key not in keys}
        self._taken -= keys
        return tuple(sorted(gone))

    def names(self) -> list[str]:
        """Return the names of the tensors that `save` would write, sorted."""
        return sorted([OBJECT_GRAPH_KEY, *(key + end for key, end in self._stored.values()), *self._added])

    def save(self, prefix: PathLike, *, overwrite: bool = False, sync: bool = True, verify: bool = True) -> None:
        """Write the checkpoint; what the source stores goes over as it is, slices and all.

        Args:
            prefix: the exact prefix of the files to write.
            overwrite: replace a checkpoint that is there.
            sync: return only when the files have reached the disk.
            verify: compare the checksum of each tensor of the source with its bytes on the way.
        Raises:
            CheckpointExistsError, ChecksumError, FormatError, StorageError, UnsupportedError, UsageError.
        """
        dest = check_prefix(prefix)
        if self._source is not None:
            check_apart(self._source, dest)
        order = self._source is not None and self._source.reader.big_endian
        with BundleSink(Destination(dest, overwrite=overwrite, sync=sync), big_endian=order) as sink:
            if self._source is not None:
                write_stored(self._steps(self._source), BundleSource(self._source.reader), sink, verify=verify)
            for key, value in self._added.items():
                sink.writer.add(key, value)
            sink.attach(OBJECT_GRAPH_KEY, self.graph.serialize())
            sink.commit(None if self._source is None else self._source.reader.check_unchanged)
        log.info("%s: %d tensors written", dest, len(self._stored) + len(self._added) + 1)

    def _steps(self, source: Checkpoint) -> list[Step]:
        """Return the steps of what the source stores; the object graph comes last, as TensorFlow writes it."""
        stored = (entry for entry in source.entries() if entry.name in self._stored)
        return [carrying(entry, "".join(self._stored[entry.name])) for entry in stored]

    def __repr__(self) -> str:
        source = "" if self._source is None else f" of {printable(self._source.prefix)!r}"
        return f"<tfckpt.Draft{source}: {count_of(len(self._stored) + len(self._added), 'tensor')}>"


def _keys(graph: ObjectGraph) -> Iterator[str]:
    yield from dict.fromkeys(attribute.checkpoint_key for attribute in graph.attributes())
