"""What to say, and what to type, where a source does not fit: apart from the planning, which most sources never leave."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from tfckpt.base.issues import Issue, draw, give, list_tensors
from tfckpt.base.options import AUTO, TF1_NAME
from tfckpt.bundle.values.entry import Entry
from tfckpt.checkpoint.graph.object_graph import ATTRIBUTES, OBJECT_GRAPH_KEY
from tfckpt.families.bert.garden import BERT
from tfckpt.families.language.rules import ObjectLayout
from tfckpt.planning.config import NUM_HEADS, Config, other_config

FULLEST = give(to=AUTO)  # a filled head needs a number of classes, which nothing may tell
BERT_HEAD_SIZE = 64  # of all that google-research/bert released, from 128 wide with 2 heads to 1,024 with 16
NAMES_OF_2019 = ("bert_model/word_embeddings/embeddings", "word_embeddings/embeddings")


def what_else(names: Collection[str], source: str, layout: ObjectLayout) -> Issue:
    """Return what a checkpoint is that is none of the layout's family, and what would help."""
    anchor, target, count = repr(layout.family.anchor), repr(layout.name), str(len(names))
    if OBJECT_GRAPH_KEY in names:
        return Issue("object-based", anchor, target, count, source, (give(to=TF1_NAME), draw(source)))
    code = "other-variables"
    if any(name in names for name in NAMES_OF_2019):
        code = "names-of-2019"
    elif any(ATTRIBUTES in name for name in names):
        code = "keys-without-graph"
    return Issue(code, anchor, target, count, source, (list_tensors(source),))


def no_heads(config: Config | None, layout: ObjectLayout, hub: Mapping[str, Entry], source: str) -> Issue:
    """Return what to say where nothing tells the head count, and what would help."""
    where = f"{config.origin} does not state it" if config else "no configuration file lies beside the checkpoint"
    issue = Issue("unknown-heads", NUM_HEADS, got=where)
    if (other := other_config(source)) is not None:
        return issue._replace(expected=f"; {other} may be the configuration", remedies=(give(config=other),))
    words = hub.get(layout.family.anchor)
    if layout.family != BERT or words is None or len(words.shape) != 2 or words.shape[1] % BERT_HEAD_SIZE:
        return issue
    heads = words.shape[1] // BERT_HEAD_SIZE
    known = f" (Google's BERTs have one head for each {BERT_HEAD_SIZE} of hidden_size, here {heads})"
    return issue._replace(expected=known, remedies=(give(num_heads=heads),))
