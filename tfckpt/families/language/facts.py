"""What a configuration can state: sizes, and facts that no tensor shows.

Source: google-research/bert modeling.py, class BertConfig; what others keep there, such as ``layer_norm_eps``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tfckpt.base.html import in_notebooks
from tfckpt.base.options import Fixed

MAX_SIZE = (1 << 31) - 1  # of any part of a model

NUM_HEADS = "num_attention_heads"
NUM_LAYERS = "num_hidden_layers"
TYPES = "type_vocab_size"
SIZE_FIELDS = (
    "vocab_size",
    "embedding_size",
    "hidden_size",
    NUM_LAYERS,
    NUM_HEADS,
    "intermediate_size",
    "max_position_embeddings",
    TYPES,
    "num_hidden_groups",
    "inner_group_num",
)

HIDDEN_ACT = "hidden_act"
LAYER_NORM_EPS = "layer_norm_eps"
NUM_LABELS = "num_labels"
POSITIONS = "position_embedding_type"
RELATIVE = "use_relative_position"
MAX_NAME = 64  # characters; real ones have some twenty


@in_notebooks
class Fact(NamedTuple):
    """What shapes a model, and no tensor shows.

    Attributes:
        value: a text, a number or a truth value, as the configuration has it; of labels, how many there are.
        origin: the configuration file that states it.
    """

    value: str | float | bool
    origin: str

    def to_json(self) -> dict[str, Any]:
        """Return it as what ``json.dumps`` takes."""
        return self._asdict()


class Legal(NamedTuple):
    """What a fact may be: in words, by a test, and whether null or an empty table states nothing."""

    what: str
    fits: Callable[[Any], bool]
    or_nothing: bool = False


def _is_number(value: object) -> bool:
    return type(value) in (int, float)


NAME = Legal("a name in quotes", lambda value: type(value) is str and 0 < len(value) <= MAX_NAME)
FLAG = Legal("true or false", lambda value: type(value) is bool)
NUMBER = Legal("a number from 0 to 1", lambda value: _is_number(value) and 0 <= value <= 1)
PROBABILITY = Legal("a number from 0 to below 1", lambda value: _is_number(value) and 0 <= value < 1)
COUNT = Legal("a positive integer", lambda value: type(value) is int and 1 <= value <= MAX_SIZE, or_nothing=True)
INDEX = Legal("an integer from 0 on", lambda value: type(value) is int and 0 <= value <= MAX_SIZE, or_nothing=True)
LABELS = Legal("the labels of the classes", lambda value: type(value) in (dict, list), or_nothing=True)

FACTS = (  # the key, the fact that it states, and what it may be; the first key of a fact counts
    (HIDDEN_ACT, HIDDEN_ACT, NAME),
    ("hidden_activation", HIDDEN_ACT, NAME),
    (LAYER_NORM_EPS, LAYER_NORM_EPS, NUMBER),
    ("layer_norm_epsilon", LAYER_NORM_EPS, NUMBER),
    ("hidden_dropout_prob", "hidden_dropout_prob", PROBABILITY),
    ("attention_probs_dropout_prob", "attention_probs_dropout_prob", PROBABILITY),
    ("initializer_range", "initializer_range", NUMBER),
    (NUM_LABELS, NUM_LABELS, COUNT),
    ("id2label", NUM_LABELS, LABELS),
    (POSITIONS, POSITIONS, NAME),
    (RELATIVE, RELATIVE, FLAG),
    ("use_bottleneck_attention", "use_bottleneck_attention", FLAG),
    ("pad_token_id", "pad_token_id", INDEX),
)
NO_FACTS: Mapping[str, Fact] = Fixed({})

FIELDS = {name: name for name in SIZE_FIELDS}
