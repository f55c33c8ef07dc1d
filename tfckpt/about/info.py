"""What a file of tensors is, as plain data: its format, its model, what training keeps beside it, what it can become."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from tfckpt.about.next import go_back, go_on, import_from, look_at
from tfckpt.about.origin import Writer, writers_of_checkpoint, writers_of_file
from tfckpt.about.places import Place, find_places
from tfckpt.about.state import State, sum_up
from tfckpt.about.summary import Summary, find_configuration, summarize
from tfckpt.about.targets import Target, Trials, choose, try_targets
from tfckpt.base.issues import Issue
from tfckpt.base.options import DEFAULT, TF1_NAME, InfoOptions, Request, given
from tfckpt.bundle.listing import collector_paused
from tfckpt.bundle.reader import BundleReader
from tfckpt.bundle.values.entry import Entry
from tfckpt.checkpoint.checkpoint import Checkpoint
from tfckpt.checkpoint.graph.roles import MOVING_AVERAGE, OPTIMIZER
from tfckpt.errors import PlanError, TfckptError, UsageError, count_of, redacted
from tfckpt.families.catalog import CATALOG, TF1
from tfckpt.families.language.family import Family
from tfckpt.families.language.layouts import Layout
from tfckpt.families.language.rules import scopes_before
from tfckpt.formats.archive import Archive
from tfckpt.formats.container import Container, TensorSource
from tfckpt.planning.request import find_model
from tfckpt.planning.source import Source

if TYPE_CHECKING:
    from tfckpt.bundle.values.arrays import Array

FOLDER = "folder"
MOST_OBSTACLES = 20  # that are kept
NOTHING = Summary(0, {}, None, None, None, {})


class Info(NamedTuple):
    """What a file of tensors is.

    Attributes:
        path: the checkpoint's prefix, the file, or the folder.
        format: ``"v2"``, ``"v1"``, ``"safetensors"``, ``"npz"``, ``"npy"``, or another kind of file that is registered;
            ``"folder"`` if there are several checkpoints or files in it, and nothing says which one is meant.
        version: of a V2 checkpoint, the number in the header of its index; else None.
        object_based: whether it has an object graph.
        data_files: number of files with values.
        tensors: number of tensors, the object graph included.
        nbytes: bytes of their values.
        writers: whose code writes such files, as far as structure shows it; empty where nothing does.
        summary: parameters, dtypes, family, layers, heads and steps.
        why_no_heads: why nothing tells the number of heads; empty if something does.
        layout: the target whose names or objects it has, such as ``"tf1"`` or ``"encoder"``; empty if it is none.
        model: where the model is: the path of its object, or the scope before its names.
        roles: number of tensors of each role.
        optimizer: what it keeps for an optimizer; None if it keeps nothing.
        averages: the moving averages of weights; None if there are none.
        targets: what it can be converted to, first what needs no further option.
        obstacles: what keeps a model of a known family from becoming an encoder, as data: the first of it, if it is much.
        num_obstacles: how much that is.
        problems: what cannot be read, one line each: data files that are missing or cut short, steps that are damaged.
        candidates: of a folder, what is in it that can be described.
        next: the command to type next; several if only the user can choose; none of a folder with nothing in it.
    """

    path: str
    format: str
    version: int | None = None
    object_based: bool = False
    data_files: int = 0
    tensors: int = 0
    nbytes: int = 0
    writers: tuple[Writer, ...] = ()
    summary: Summary = NOTHING
    why_no_heads: str = ""
    layout: str = ""
    model: str = ""
    roles: Mapping[str, int] = {}
    optimizer: State | None = None
    averages: State | None = None
    targets: tuple[Target, ...] = ()
    obstacles: tuple[Issue, ...] = ()
    num_obstacles: int = 0
    problems: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()
    next: tuple[str, ...] = ()

    def __repr__(self) -> str:
        what = self.summary.family or "unknown model"
        counts = f"{count_of(self.tensors, 'tensor')}, {self.summary.parameters:,} parameters"
        said = count_of(self.candidates, "candidate") if self.format == FOLDER else f"{what}, {counts}"
        return redacted(f"<tfckpt.Info of {self.path!r}: {self.format}, {said}>")

    def _repr_html_(self) -> str:
        from tfckpt.base.html import facts, shown

        return shown(repr(self), facts(self.to_json()))

    def to_json(self) -> dict[str, Any]:
        """Return it as what ``json.dumps`` takes."""
        return {
            **self._asdict(),
            "writers": [writer.to_json() for writer in self.writers],
            "summary": self.summary.to_json(),
            "roles": dict(self.roles),
            "optimizer": None if self.optimizer is None else self.optimizer.to_json(),
            "averages": None if self.averages is None else self.averages.to_json(),
            "obstacles": [{"text": issue.text(), **issue.to_json()} for issue in self.obstacles],
            "targets": [target.to_json() for target in self.targets],
            **{name: list(getattr(self, name)) for name in ("problems", "candidates", "next")},
        }


def describe_checkpoint(checkpoint: Checkpoint, path: str, options: InfoOptions) -> Info:
    """Return what an open checkpoint is; reads its index, its object graph, and what counts steps.

    Args:
        checkpoint: the checkpoint.
        path: how to open it again.
        options: those of `tfckpt.info`.
    Raises: ConfigError, FormatError.
    """
    reader, graph = checkpoint.reader, checkpoint.object_graph
    with collector_paused():  # of 100,000 objects it would make a part of the time
        steps = _Steps(lambda entry: reader.read(entry, verify=True, mapped=False), _broken_files(checkpoint))
        found = _Found.of(checkpoint, options)
        info = found.info(checkpoint.format, steps)
        marks = list(checkpoint), graph, info.optimizer, found.layout
        info = info._replace(
            version=reader.header.version if isinstance(reader, BundleReader) else None,
            object_based=graph is not None,
            data_files=checkpoint.num_shards,
            writers=writers_of_checkpoint(checkpoint.prefix, checkpoint.format, *marks),
        )
        return info._replace(next=_next(info, checkpoint, path, options))


def describe_file(source: TensorSource, container: Container, options: InfoOptions) -> Info:
    """Return what a file of another kind is that is open, or a directory of arrays.

    Raises: ConfigError.
    """
    with collector_paused():
        steps = _Steps(lambda entry: source.read(entry, verify=True), [])
        info = _Found.of(source, options).info(container.name, steps)
    metadata = source.metadata if isinstance(source, Archive) else {}
    data_files = info.tensors if container.is_directory else 1
    return info._replace(data_files=data_files, writers=writers_of_file(metadata), next=import_from(source.prefix))


def describe_folder(path: str, candidates: Sequence[str], latest: str) -> Info:
    """Return what a folder with several checkpoints or files is; ``latest`` is the one to look at first."""
    return Info(path, FOLDER, candidates=tuple(candidates), next=look_at(latest, "info", {}))


class _Steps:
    """Reads what counts steps, and remembers what keeps it from that, besides what is known to be broken."""

    def __init__(self, read: Callable[[Entry], Array], problems: list[str]) -> None:
        self._read, self.problems = read, problems

    def __call__(self, entry: Entry) -> int | None:
        try:
            return int(self._read(entry))
        except TfckptError as error:
            self.problems.append(str(error))
            return None


class _Found(NamedTuple):
    """What is found out once of a source, and used for several facts."""

    source: Source
    options: InfoOptions
    places: Mapping[str, Place]
    layout: Layout | None
    family: Family | None
    model: str

    @staticmethod
    def of(source: Source, options: InfoOptions) -> _Found:
        layout: Layout | None = None
        family, model = CATALOG.find_family(list(source)), ""
        with suppress(PlanError, UsageError):  # no model of ours, or several
            # Of a file that has names beside objects, the objects are asked: there the names are second ones.
            to = DEFAULT if source.object_graph is None else TF1_NAME
            match, _ = find_model(source, _request(options), CATALOG, list(source), to)
            if match is not None:
                layout, family, model = match.layout, match.family, match.path
            elif family is not None:
                scopes = scopes_before(family.anchor, list(source))
                layout, model = TF1, scopes[0] if len(scopes) == 1 else ""
        return _Found(source, options, find_places(source), layout, family, model)

    def info(self, kind: str, steps: _Steps) -> Info:
        """Return all that a checkpoint and another file have in common."""
        source, entries, options = self.source, self.source.entries(), self.options
        config, why = find_configuration(source, options["config"])
        summary = summarize(source, self.places, config, options["num_heads"], steps)
        if summary.heads is None and config is not None:
            why = f"{config.origin} does not state it"
        family = None if self.layout is None else self.family
        trials = Trials() if family is None else try_targets(source, family, _request(options))
        return Info(
            path=source.prefix,
            format=kind,
            tensors=len(entries),
            nbytes=sum(entry.nbytes for entry in entries),
            summary=summary,
            why_no_heads="" if summary.heads is not None else why,
            layout="" if self.layout is None else self.layout.name,
            model=self.model,
            roles=dict(Counter(self.places[entry.name].role for entry in entries)),
            optimizer=sum_up(entries, self.places, OPTIMIZER),
            averages=sum_up(entries, self.places, MOVING_AVERAGE),
            targets=trials.targets,
            obstacles=trials.obstacles[:MOST_OBSTACLES],
            num_obstacles=len(trials.obstacles),
            problems=tuple(dict.fromkeys(steps.problems)),
        )


def _request(options: InfoOptions) -> Request:
    return given(Request, options)


def _broken_files(checkpoint: Checkpoint) -> list[str]:
    """Return what is wrong with the data files as a whole: one is missing, or cut short."""
    try:
        checkpoint.reader.check_files()
    except TfckptError as error:
        checkpoint.reader.explain(error)
        return [str(error)]
    return []


def _next(info: Info, checkpoint: Checkpoint, path: str, options: InfoOptions) -> tuple[str, ...]:
    """Return what to type next with a checkpoint."""
    how = {"source_format": options["source_format"]}
    told = {"config": options["config"], "num_heads": options["num_heads"], **how}
    targets = {target.name: target for target in info.targets}
    if info.problems:
        return look_at(path, "verify", how)
    if info.object_based:
        back = targets.get(TF1_NAME)
        return go_back(path, told) if back is not None and not back.needs else look_at(path, "tree", how)
    chosen = choose(checkpoint, _request(options)) if targets else ()
    fitting = [targets[name] for name in chosen if name in targets]
    if not fitting and DEFAULT in targets:
        fitting = [targets[DEFAULT]]
    if fitting:
        return go_on(path, fitting, told)
    return look_at(path, "plan", told) if info.obstacles else look_at(path, "ls", how)
