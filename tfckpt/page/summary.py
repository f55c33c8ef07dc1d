"""What a checkpoint is, in a few words: how many parameters, of which model, after how many steps."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from tfckpt.base.options import Request
from tfckpt.bundle.values.entry import Entry
from tfckpt.checkpoint.checkpoint import Checkpoint
from tfckpt.checkpoint.graph.roles import MODEL, OBJECT_GRAPH, OPTIMIZER, SAVE_COUNTER, TRAINING_STEP
from tfckpt.errors import TfckptError
from tfckpt.families.catalog import CATALOG
from tfckpt.families.language.axes import Size
from tfckpt.families.language.facts import NUM_HEADS, NUM_LAYERS
from tfckpt.families.language.match import match_models
from tfckpt.page.kinds import ATTENTION, FEED_FORWARD
from tfckpt.page.modules import NUMBERED, Path
from tfckpt.page.tensors import Reported
from tfckpt.planning.config import Config, find_config, read_config

SHARING = "ALBERT"  # the family whose layers share their weights: names do not tell how many there are
STEPS = ("iter", "iterations")  # what Keras's optimizers call theirs
IN_SHAPES, IN_NAMES = "the shapes", "the names"


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


def summarize(source: Checkpoint, tensors: Collection[Reported], request: Request) -> Summary:
    """Return what a checkpoint is.

    Args:
        source: the checkpoint.
        tensors: all of its tensors, described.
        request: its options ``config`` and ``num_heads`` tell where the number of heads is from.
    """
    family = _family(source)
    config = _config(source, request)
    model = [tensor for tensor in tensors if tensor.role == MODEL]
    return Summary(
        parameters=sum(tensor.entry.size for tensor in model),
        dtypes=dict(Counter(tensor.entry.dtype_name for tensor in tensors if tensor.role != OBJECT_GRAPH)),
        family=family,
        layers=_layers(model, config, shared=family == SHARING),
        heads=_heads(model, config, request["num_heads"]),
        steps={"/".join(tensor.path): _value(tensor) for tensor in tensors if _counts_steps(tensor)},
    )


def _family(source: Checkpoint) -> str | None:
    """Return the family of a model's names; of objects, each of those whose model explains the most of them."""
    if source.object_graph is None:
        named = CATALOG.find_family(list(source))
        return None if named is None else named.name
    found: dict[str, int] = {}
    try:
        for family in CATALOG.families:
            matches = match_models(source.object_graph, [o for o in CATALOG.models if o.family == family])
            found[family.name] = len(matches[0].found) if matches else 0
    except TfckptError:  # a graph so entangled that looking for a model would take forever
        return None
    most = max(found.values())
    return " or ".join(sorted(name for name, count in found.items() if count == most)) if most else None


def _config(source: Checkpoint, request: Request) -> Config | None:
    """Return the model's configuration, if there is one that can be used."""
    if request["config"] is not None:
        return read_config(os.fspath(request["config"]))
    try:
        return find_config(source.prefix)
    except TfckptError:  # nobody asked for it
        return None


def _layers(model: Iterable[Reported], config: Config | None, *, shared: bool) -> Size | None:
    """Return the number of layers: of numbered parts that are called alike and have attention or a feed-forward block."""
    numbered: dict[Path, set[Path]] = {}
    for tensor in model:
        layer = tensor.layer
        if layer and (number := NUMBERED.fullmatch(layer[-1])) and tensor.kind in (ATTENTION, FEED_FORWARD):
            numbered.setdefault((*layer[:-1], number[1] or ""), set()).add(layer)
    if numbered and not shared:
        return Size(max(map(len, numbered.values())), IN_NAMES)
    return _stated(config, NUM_LAYERS)


def _heads(model: Iterable[Reported], config: Config | None, num_heads: int | None) -> Size | None:
    """Return the number of heads: the query's bias has a row for each, where shapes tell it."""
    for tensor in model:
        *_, owner, name = ("", *tensor.path)
        if tensor.kind == ATTENTION and "query" in owner and name == "bias" and len(tensor.entry.shape) == 2:
            return Size(tensor.entry.shape[0], IN_SHAPES)
    return Size(num_heads, "num_heads") if num_heads else _stated(config, NUM_HEADS)


def _stated(config: Config | None, field: str) -> Size | None:
    return None if config is None or field not in config.sizes else Size(config.sizes[field], config.origin)


def _counts_steps(tensor: Reported) -> bool:
    """Whether a tensor counts the steps of training, or the saves."""
    named = tensor.role == OPTIMIZER and tensor.path[-1].lstrip("_") in STEPS
    return _is_whole_number(tensor.entry) and (named or tensor.role in (TRAINING_STEP, SAVE_COUNTER))


def _is_whole_number(entry: Entry) -> bool:
    return not entry.shape and entry.dtype.kind in "iu"


def _value(tensor: Reported) -> int | None:
    """Return the value of a scalar, which is its smallest one."""
    measured = tensor.statistics
    return None if measured is None or measured.minimum is None else int(measured.minimum)
