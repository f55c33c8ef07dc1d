"""What to say, and what to type, where a source does not fit: apart from the planning, which most sources never leave."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from tfckpt.base.issues import Issue, give, list_tensors
from tfckpt.base.options import AUTO
from tfckpt.bundle.values.entry import Entry
from tfckpt.checkpoint.graph.object_graph import ATTRIBUTES
from tfckpt.families.language.facts import NUM_HEADS
from tfckpt.families.language.layouts import ObjectRows
from tfckpt.planning.config import Config, other_config

FULLEST = give(to=AUTO)  # a filled head needs a number of classes, which nothing may tell


def what_else(names: Collection[str], source: str, layout: ObjectRows) -> Issue:
    """Return what a checkpoint is that is none of the layout's family, and what would help."""
    anchor, target, count = repr(layout.family.anchor), repr(layout.name), str(len(names))
    code = "keys-without-graph" if any(ATTRIBUTES in name for name in names) else "other-variables"
    return Issue(code, anchor, target, count, source, (list_tensors(source),))


def no_heads(config: Config | None, layout: ObjectRows, hub: Mapping[str, Entry], source: str) -> Issue:
    """Return what to say where nothing tells the head count, and what would help."""
    where = f"{config.origin} does not state it" if config else "no configuration file lies beside the checkpoint"
    issue = Issue("unknown-heads", NUM_HEADS, got=where)
    if (other := other_config(source)) is not None:
        return issue._replace(expected=f"; {other} may be the configuration", remedies=(give(config=other),))
    words, size = hub.get(layout.family.anchor), layout.family.head_size
    if size is None or words is None or len(words.shape) != 2 or words.shape[1] % size:
        return issue
    heads = words.shape[1] // size
    known = f" (Google's {layout.family.name}s have one head for each {size} of hidden_size, here {heads})"
    return issue._replace(expected=known, remedies=(give(num_heads=heads),))
