"""What the NumPy models of google-research's TF1 networks are made of.

All is float64, so that what differs from TensorFlow is TensorFlow's float32 rounding. Weights are any mapping from TF1
variable names to arrays, such as ``tfckpt.open(prefix)``. A scope is the beginning of a name up to a slash, and with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.integer[Any]]
Weights = Mapping[str, npt.NDArray[Any]]
Config = Mapping[str, Any]
Activation = Callable[[Array], Array]

MASKED = -10000.0  # added to the scores of padding; Keras adds -1e9, which differs only where a whole row is padding
EPSILON = 1e-12  # of tf.contrib.layers.layer_norm in float32

_erf = np.vectorize(math.erf, otypes=[np.float64])


@dataclass(frozen=True)
class Outputs:
    """What an encoder computes from ``batch`` sequences of ``length`` ids."""

    embeddings: Array  # [batch, length, width]: what the first layer is given
    layers: tuple[Array, ...]  # one [batch, length, hidden] a layer
    pooled: Array  # [batch, hidden]

    @property
    def sequence(self) -> Array:
        """Return what the last layer computes, ``[batch, length, hidden]``."""
        return self.layers[-1]


def weight(weights: Weights, name: str) -> Array:
    """Return one variable in float64."""
    return np.asarray(weights[name]).astype(np.float64)


def dense(weights: Weights, scope: str, x: Array) -> Array:
    """Return ``x kernel + bias``, x of shape ``[..., in]``, kernel ``[in, out]``."""
    return x @ weight(weights, f"{scope}kernel") + weight(weights, f"{scope}bias")


def layer_norm(weights: Weights, scope: str, x: Array) -> Array:
    """Return x normalised along its last axis."""
    centred = x - x.mean(-1, keepdims=True)
    normal = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + EPSILON)
    return np.asarray(normal * weight(weights, f"{scope}gamma") + weight(weights, f"{scope}beta"))


def softmax(x: Array) -> Array:
    """Return the shares of the last axis."""
    powers = np.exp(x - x.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))


def log_softmax(x: Array) -> Array:
    """Return the logarithms of the shares of the last axis."""
    shifted = x - x.max(-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(-1, keepdims=True)))


def tanh_gelu(x: Array) -> Array:
    """Return gelu as google-research's bert, albert and mobilebert approximate it."""
    return np.asarray(0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))


def erf_gelu(x: Array) -> Array:
    """Return gelu itself, which is ELECTRA's."""
    return np.asarray(0.5 * x * (1 + _erf(x / math.sqrt(2))))


def relu(x: Array) -> Array:
    """Return x, and 0 where it is negative."""
    return np.asarray(np.maximum(x, 0))


ACTIVATIONS: dict[str, Activation] = {"gelu": tanh_gelu, "relu": relu}  # what ``hidden_act`` means outside ELECTRA


def embed(weights: Weights, scope: str, words: Array, types: Ints) -> Array:
    """Return word embeddings ``[batch, length, width]`` plus those of types ``[batch, length]`` and positions."""
    positions = weight(weights, f"{scope}position_embeddings")[: words.shape[1]]
    return np.asarray(words + weight(weights, f"{scope}token_type_embeddings")[types] + positions)


def attend(weights: Weights, scope: str, query: Array, key: Array, value: Array, mask: Ints, heads: int) -> Array:
    """Return what every head sees, side by side.

    Args:
        weights: holds ``query``, ``key`` and ``value`` under ``scope``.
        scope: of the self-attention.
        query: the input of that projection, ``[batch, length, width]``; so are ``key`` and ``value``.
        key: see ``query``.
        value: see ``query``.
        mask: ``[batch, length]``, 0 for padding that nothing shall look at.
        heads: the number of heads.
    """

    def project(name: str, x: Array) -> Array:
        return dense(weights, f"{scope}{name}/", x).reshape(*x.shape[:2], heads, -1)

    queries, keys, values = project("query", query), project("key", key), project("value", value)
    scores = np.einsum("bfnd,btnd->bnft", queries, keys) / math.sqrt(queries.shape[-1])
    shares = softmax(scores + MASKED * (1 - mask[:, None, None, :]))
    seen = np.einsum("bnft,btnd->bfnd", shares, values)
    return np.asarray(seen.reshape(*query.shape[:2], -1))


def pick(sequence: Array, positions: Ints) -> Array:
    """Return ``[batch, predictions, hidden]``: the rows of ``[batch, length, hidden]`` at ``[batch, predictions]``."""
    return np.asarray(np.take_along_axis(sequence, positions[:, :, None], axis=1))
