"""Forms of ELECTRA that no checkpoint of `data` has, made from the one that is there."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np

import tfckpt
from support.garden import clear, tf1_name
from support.numpy_parts import Weights

SOURCE = Path(__file__).parents[1] / "data" / "electra_tf115"
FORMS = ("tied", "untied", "one network", "no projection", "wide generator")


def electra_form(form: str, directory: Path) -> str:
    """Write a pretrained ELECTRA of this form without optimizer state, its configuration beside it; return the prefix.

    ``tied`` is the one of `data`; ``untied`` has embeddings for the generator; ``one network`` has no generator but its head;
    ``no projection`` has embeddings as wide as the discriminator; ``wide generator`` a hidden size for two heads of 64.
    """
    with tfckpt.open(SOURCE / "model.ckpt-3") as checkpoint:
        weights = {name: value for name, value in checkpoint.items() if "/adam_" not in name and name != "global_step"}
    directory.mkdir(exist_ok=True)
    shutil.copy(SOURCE / "bert_config.json", directory)
    _CHANGES[form](weights)
    rng = np.random.default_rng(5)
    shapes = {name: value if isinstance(value, tuple) else None for name, value in weights.items()}
    for name, shape in shapes.items():
        if shape is not None:
            weights[name] = rng.normal(0, 0.3, shape).astype(np.float32)
    prefix = directory / "model.ckpt"
    tfckpt.save(prefix, dict(sorted(weights.items())))
    return str(prefix)


def _untied(weights: dict[str, Any]) -> None:
    for name in [name for name in weights if name.startswith("electra/embeddings/")]:
        weights[name.replace("electra", "generator")] = (*weights[name].shape[:-1], 6)
    for name in [name for name in weights if name.startswith("generator/embeddings_project")]:
        del weights[name]
    _head(weights, 6, 6)


def _head(weights: dict[str, Any], hidden: int, width: int) -> None:
    weights["generator_predictions/dense/kernel"] = (hidden, width)
    for name in ("dense/bias", "LayerNorm/beta", "LayerNorm/gamma"):
        weights[f"generator_predictions/{name}"] = (width,)


def _one_network(weights: dict[str, Any]) -> None:
    for name in [name for name in weights if name.startswith("generator/")]:
        del weights[name]
    _head(weights, 8, 4)


def _no_projection(weights: dict[str, Any]) -> None:
    for name in [name for name in weights if name.startswith("electra/embeddings_project")]:
        del weights[name]
    for name in [name for name in weights if name.startswith("electra/embeddings/")]:
        weights[name] = (*weights[name].shape[:-1], 8)
    weights["generator/embeddings_project/kernel"] = (8, 6)
    _head(weights, 6, 8)


def _wide_generator(weights: dict[str, Any]) -> None:
    for name in [name for name in weights if name.startswith("generator/")]:
        weights[name] = tuple({6: 128, 24: 32}.get(dim, dim) for dim in weights[name].shape)
    _head(weights, 128, 4)


_CHANGES: dict[str, Any] = {
    "tied": lambda weights: None,
    "untied": _untied,
    "one network": _one_network,
    "no projection": _no_projection,
    "wide generator": _wide_generator,
}


def make_network(weights: Weights, network: str, num_heads: int) -> Any:
    """Return Model Garden's encoder of the size that ``electra`` or ``generator`` has there, cleared, with exact gelu."""
    import tensorflow as tf
    from official.nlp.modeling import networks

    inner, hidden = weights[tf1_network(weights, network, "encoder/layer_0/output/dense/kernel")].shape
    vocab, width = weights[tf1_network(weights, network, "embeddings/word_embeddings")].shape
    encoder = networks.BertEncoder(
        vocab_size=vocab,
        hidden_size=hidden,
        num_layers=2,
        num_attention_heads=num_heads,
        inner_dim=inner,
        inner_activation=lambda x: tf.nn.gelu(x, approximate=False),
        max_sequence_length=16,
        type_vocab_size=2,
        embedding_width=width,
        dict_outputs=True,
    )
    clear(encoder)
    return encoder


def tf1_network(weights: Weights, network: str, name: str) -> str:
    """Return the variable of a network: its own, or the one that it shares."""
    if not name.startswith("embeddings_project/") or not any(own.startswith(f"{network}/") for own in weights):
        shared = f"{network}/{name}" not in weights
        return f"electra/{name}" if shared else f"{network}/{name}"
    return f"{network}/{name}"


def assert_network(encoder: Any, weights: Weights, network: str) -> None:
    """Check every variable of an encoder, bit for bit; the pooler, which ELECTRA has not, must be zeros."""
    for variable in encoder.variables:
        name = variable.name.removesuffix(":0")
        if name.startswith("pooler_transform/"):
            assert not variable.numpy().any()
            continue
        name = name.replace("embedding_projection/", "embeddings_project/")
        if not name.startswith("embeddings_project/"):
            name = tf1_name(variable).removeprefix("bert/")
        value = weights[tf1_network(weights, network, name)]
        np.testing.assert_array_equal(variable.numpy(), value.reshape(variable.shape), name)
