"""What a layout can say of the calls that build its model: each call's arguments, and what tells each of them.

A checkpoint holds tensors; the class that they go to is built before, by arguments of which some no tensor shows. A call is a
table of rows ``(argument, what tells it)``: a size, what a configuration states, a shape, or nothing but the user.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

GELU = 'tf_utils.get_activation("gelu")'  # by tanh, as google-research's and Model Garden's gelu is
EXACT_GELU = "lambda x: tf.nn.gelu(x, approximate=False)"

CALL_ONCE = "model(model.inputs)  # makes the variables"  # of models that know their inputs

# What the names of activations mean in google-research's BERT, ALBERT and MobileBERT, and those that others gave.
ACTIVATIONS: Mapping[str, str] = {
    "gelu": GELU,
    "gelu_new": GELU,
    "gelu_fast": GELU,
    "gelu_pytorch_tanh": GELU,
    "gelu_python": EXACT_GELU,
    "relu": "tf.nn.relu",
    "relu6": "tf.nn.relu6",
    "tanh": "tf.nn.tanh",
    "sigmoid": "tf.nn.sigmoid",
    "silu": "tf.nn.silu",
    "swish": "tf.nn.silu",
    "linear": "tf.identity",
}


class SizeOf(NamedTuple):
    """A size of the model, by its field of the configuration."""

    field: str


class ActivationOf(NamedTuple):
    """The function that ``fact`` names; ``default`` is the class's, as code."""

    default: str
    fact: str = "hidden_act"


class FactOf(NamedTuple):
    """What a configuration states under this name; ``default`` is the class's."""

    fact: str
    default: float


class LengthOf(NamedTuple):
    """How many rows a TF1 variable has, which ``fact`` states as well."""

    variable: str
    fact: str = ""


class CountOf(NamedTuple):
    """How many numbers ``{n}`` stands for in the hub names that begin so, and ``more``."""

    prefix: str
    more: int


class Has(NamedTuple):
    """One value if a hub name begins so, else another."""

    prefix: str
    yes: bool | str = True
    no: bool | str = False


class RowsAre(NamedTuple):
    """Whether a TF1 variable has as many rows as ``field`` says, not ``other``; ``fact`` tells where both are one."""

    variable: str
    field: str
    other: str
    fact: str


class Always(NamedTuple):
    """The same for every source."""

    value: bool | str


class Code(NamedTuple):
    """The same for every source, as code: what another call returned."""

    text: str


class Chosen(NamedTuple):
    """Nothing in a checkpoint tells it: whoever builds the model chooses."""


Teller = SizeOf | FactOf | ActivationOf | LengthOf | CountOf | Has | RowsAre | Always | Code | Chosen


class Call(NamedTuple):
    """One call: what later ones call its result, the module of the function's first name, the function, the arguments.

    With ``only_with``, it is made only where the source has that hub name; so is an argument whose row has one as third.
    ``first_call`` is the code that makes the variables of a model whose class does not make them at once.
    """

    name: str
    module: str
    function: str
    arguments: tuple[tuple[str, Teller] | tuple[str, Teller, str], ...]
    only_with: str = ""
    first_call: str = ""
