"""What a file of tensors is, in a few words: how many parameters, of which model, after how many steps."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from tfckpt.about.kinds import ATTENTION, FEED_FORWARD
from tfckpt.about.modules import NUMBERED, Path
from tfckpt.about.places import Place
from tfckpt.base.options import PathLike
from tfckpt.bundle.values.entry import Entry
from tfckpt.checkpoint.graph.object_graph import ObjectGraph
from tfckpt.checkpoint.graph.roles import MODEL, OBJECT_GRAPH, OPTIMIZER, SAVE_COUNTER, TRAINING_STEP
from tfckpt.errors import TfckptError
from tfckpt.families.catalog import CATALOG
from tfckpt.families.language.axes import Size
from tfckpt.families.language.facts import NUM_HEADS, NUM_LAYERS
from tfckpt.families.language.match import match_models
from tfckpt.planning.bind import find_match
from tfckpt.planning.config import Config, find_config, read_config
from tfckpt.planning.source import Source

SHARING = "ALBERT"  # the family whose layers share their weights: names do not tell how many there are
STEPS = ("iter", "iterations")  # what Keras's optimizers call theirs
IN_SHAPES, IN_NAMES = "the shapes", "the names"

ReadStep = Callable[[Entry], "int | None"]  # returns the value of a whole number; None if it is not read


class Summary(NamedTuple):
    """What a checkpoint is.

    Attributes:
        parameters: number of the model's values.
        dtypes: number of tensors of each dtype, but for the object graph.
        family: ``"BERT"``, ``"ALBERT"``, ``"ELECTRA"``, ``"MobileBERT"``, or several of these if it may be any of them, as
            ``"BERT or ELECTRA"``; None if it is none that is known.
        layers: number of layers, and where that is from; None if nothing tells.
        heads: number of attention heads, likewise.
        steps: by name, each tensor that counts steps or saves, and its value; None if it was not read.
    """

    parameters: int
    dtypes: Mapping[str, int]
    family: str | None
    layers: Size | None
    heads: Size | None
    steps: Mapping[str, int | None]

    def to_json(self) -> dict[str, Any]:
        """Return it as what ``json.dumps`` takes."""
        sizes = {"layers": self.layers, "heads": self.heads}
        return {
            "parameters": self.parameters,
            "dtypes": dict(self.dtypes),
            "family": self.family,
            **{name: None if s is None else {"value": s.value, "origin": s.origin} for name, s in sizes.items()},
            "steps": [{"name": name, "value": value} for name, value in self.steps.items()],
        }


def summarize(
    source: Source, places: Mapping[str, Place], config: Config | None, num_heads: int | None, read: ReadStep
) -> Summary:
    """Return what a checkpoint is, or another file of tensors.

    Args:
        source: the file.
        places: where each of its tensors belongs.
        config: the model's configuration, as `find_configuration` finds it.
        num_heads: the number of heads, if somebody gives it; shapes that tell another one count more.
        read: reads what counts steps or saves.
    """
    placed = [(entry, places[entry.name]) for entry in source.entries()]
    family = _family(source)
    model = [(entry, place) for entry, place in placed if place.role == MODEL]
    return Summary(
        parameters=sum(entry.size for entry, _ in model),
        dtypes=dict(Counter(entry.dtype_name for entry, place in placed if place.role != OBJECT_GRAPH)),
        family=family,
        layers=_layers(model, config, shared=family == SHARING),
        heads=_heads(model, config, num_heads),
        steps={"/".join(place.path): read(entry) for entry, place in placed if _counts_steps(entry, place)},
    )


def find_configuration(source: Source, config: PathLike | None) -> tuple[Config | None, str]:
    """Return the model's configuration, if there is one that can be used, and why there is none, in words.

    Args:
        source: the file that it may lie beside.
        config: the one that was asked for.
    Raises: ConfigError and what else keeps us from the one that was asked for.
    """
    if config is not None:
        return read_config(os.fspath(config)), ""
    try:
        found = find_config(source.prefix)
    except TfckptError as error:  # nobody asked for it
        return None, str(error)
    return found, "" if found else "no configuration beside it"


def _family(source: Source) -> str | None:
    """Return the family of a model's names, which tell most, or of its objects, which may be of several."""
    named, graph = CATALOG.find_family(list(source)), source.object_graph
    if named is not None:
        return named.name
    try:
        return _family_of_names(source) if graph is None else _family_of_objects(graph)
    except TfckptError:  # several models in it, or so entangled that looking for one would take forever
        return None


def _family_of_names(source: Source) -> str | None:
    """Return the family of names that are none of the hub's."""
    match = find_match(source.prefix, source.entries(), None, CATALOG, CATALOG.models)
    return None if match is None else match.family.name


def _family_of_objects(graph: ObjectGraph) -> str | None:
    """Return each of the families whose model explains the most objects."""
    found: dict[str, int] = {}
    for family in CATALOG.families:
        matches = match_models(graph, [o for o in CATALOG.models if o.family == family])
        found[family.name] = len(matches[0].found) if matches else 0
    most = max(found.values())
    return " or ".join(sorted(name for name, count in found.items() if count == most)) if most else None


def _layers(model: Iterable[tuple[Entry, Place]], config: Config | None, *, shared: bool) -> Size | None:
    """Return the number of layers: of numbered parts that are called alike and have attention or a feed-forward block."""
    numbered: dict[Path, set[Path]] = {}
    for _, place in model:
        layer = place.layer
        if layer and (number := NUMBERED.fullmatch(layer[-1])) and place.kind in (ATTENTION, FEED_FORWARD):
            numbered.setdefault((*layer[:-1], number[1] or ""), set()).add(layer)
    if numbered and not shared:
        return Size(max(map(len, numbered.values())), IN_NAMES)
    return _stated(config, NUM_LAYERS)


def _heads(model: Iterable[tuple[Entry, Place]], config: Config | None, num_heads: int | None) -> Size | None:
    """Return the number of heads: the query's bias has a row for each, where shapes tell it."""
    for entry, place in model:
        *_, owner, name = ("", *place.path)
        if place.kind == ATTENTION and "query" in owner and name == "bias" and len(entry.shape) == 2:
            return Size(entry.shape[0], IN_SHAPES)
    return Size(num_heads, "num_heads") if num_heads else _stated(config, NUM_HEADS)


def _stated(config: Config | None, field: str) -> Size | None:
    return None if config is None or field not in config.sizes else Size(config.sizes[field], config.origin)


def _counts_steps(entry: Entry, place: Place) -> bool:
    """Whether a tensor counts the steps of training, or the saves."""
    named = place.role == OPTIMIZER and place.path[-1].lstrip("_") in STEPS
    is_whole_number = not entry.shape and entry.dtype.kind in "iu"
    return is_whole_number and (named or place.role in (TRAINING_STEP, SAVE_COUNTER))
