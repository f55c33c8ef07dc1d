"""What to say, and what to type, where a source does not fit: apart from the planning, which most sources never leave."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from tfckpt.bundle.entry import Entry
from tfckpt.checkpoint.object_graph import ATTRIBUTES, OBJECT_GRAPH_KEY
from tfckpt.conversion.config import NUM_HEADS, Config, other_config
from tfckpt.errors import Advice
from tfckpt.layouts.bert import BERT
from tfckpt.layouts.defaults import AUTO, TF1_NAME
from tfckpt.layouts.rules import ObjectLayout

FILLED = Advice(add=("--fill", "normal:1"))
FULLEST = Advice(add=("--to", AUTO))  # a filled head needs a number of classes, which nothing may tell
BERT_HEAD_SIZE = 64  # of all that google-research/bert released, from 128 wide with 2 heads to 1,024 with 16
NAMES_OF_2019 = ("bert_model/word_embeddings/embeddings", "word_embeddings/embeddings")


def what_else(names: Collection[str], source: str) -> tuple[str, Advice]:
    """Return what a checkpoint is that is none of the layout's family, and what to type."""
    if OBJECT_GRAPH_KEY in names:
        text = f"it is object-based already, as TensorFlow 2 restores it; --to {TF1_NAME} is the way back"
        return text, Advice(add=("--to", TF1_NAME))
    if any(name in names for name in NAMES_OF_2019):
        text = "its names are those of the 2019 script, 'keras': convert what that script was given"
    elif any(ATTRIBUTES in name for name in names):
        text = "its names are keys of objects, and the object graph is not there, without which none is found"
    else:
        text = f"its variables are others, {len(names)} in all"
        text += "; a model of another kind converts by a table of your own: --layout"
    return text, Advice(unknown=source)


def no_heads(
    config: Config | None, layout: ObjectLayout, hub: Mapping[str, Entry], source: str
) -> tuple[str, Advice | None]:
    """Return what to say where nothing tells the head count, and what to type."""
    where = f"{config.origin} does not state it" if config else "no configuration file lies beside the checkpoint"
    text = f"{NUM_HEADS} is unknown, and shapes do not tell it: {where}; give --config or --num-heads"
    if (other := other_config(source)) is not None:
        return f"{text}; {other} may be the configuration", Advice(add=("--config", other))
    words = hub.get(layout.family.anchor)
    if layout.family != BERT or words is None or len(words.shape) != 2 or words.shape[1] % BERT_HEAD_SIZE:
        return text, None
    heads = words.shape[1] // BERT_HEAD_SIZE
    known = f"Google's BERTs have one head for each {BERT_HEAD_SIZE} of hidden_size, which makes {heads} here"
    return f"{text}; {known}", Advice(add=("--num-heads", str(heads)))
