"""Where the optimizers that conversions carry along keep their state, in both generations.

Source: google-research/bert optimization.py (adam_m, adam_v); official/modeling/optimization/legacy_adamw.py
(AdamWeightDecay); tf_keras/src/optimizers/optimizer.py and adamw.py (AdamW).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

# What google-research's Adam keeps for a variable, by the name of Keras's slot for the same.
ADAM_SLOTS = {"m": "adam_m", "v": "adam_v"}
TRAINING_STEP = "global_step"


class Optimizer(NamedTuple):
    """Where a Keras optimizer keeps its state, as edges from its own node.

    ``constants`` are values that the TF1 checkpoint does not hold. ``rate`` is where a learning rate that is one number
    stands, ``scheduled_rate`` where one that a schedule computes does. ``lists`` are edges to the slots of all variables, in
    the order in which the optimizer was given them; without them the graph's slot variables tell which is whose.
    """

    name: str
    step: str
    constants: tuple[tuple[str, float], ...]
    rate: str
    scheduled_rate: str = ""
    lists: Mapping[str, str] = MappingProxyType({})
    variables: str = ""  # edge to a list of the step and all slots, each variable's together
    places: str = ""  # edge to what tells a variable's place in the lists, which holds no value


ADAM_WEIGHT_DECAY = Optimizer(
    "adam-weight-decay", "iter", (("beta_1", 0.9), ("beta_2", 0.999), ("decay", 0.0)), "learning_rate"
)
ADAMW = Optimizer(
    "adamw",
    "_iterations",
    (),
    "_learning_rate",
    "_current_learning_rate",
    lists={"m": "_momentums", "v": "_velocities"},
    variables="_variables",
    places="_index_dict",
)
OPTIMIZERS = {optimizer.name: optimizer for optimizer in (ADAM_WEIGHT_DECAY, ADAMW)}
