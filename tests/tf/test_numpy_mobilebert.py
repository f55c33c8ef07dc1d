"""The forms of MobileBERT that no checkpoint of `data` has: the NumPy model computes what Model Garden's does."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from support.numpy_mobilebert import mobilebert
from support.numpy_parts import Config, Weights

pytestmark = pytest.mark.tf

TF1_NAMES = (  # of MobileBERTEncoder's variables, and of google-research's; the last feed-forward network has no number there
    (r"mobile_bert_embedding(?:_\d+)?/(word|position)_embedding/embeddings", r"bert/embeddings/\1_embeddings"),
    (r"mobile_bert_embedding(?:_\d+)?/type_embedding/embeddings", r"bert/embeddings/token_type_embeddings"),
    (r"mobile_bert_embedding(?:_\d+)?/embedding_projection/", r"bert/embeddings/embedding_transformation/"),
    (r"mobile_bert_embedding(?:_\d+)?/embedding_norm/", r"bert/embeddings/NORM/"),
    (r"pooler/", r"bert/pooler/dense/"),
    (r"transformer_layer_", r"bert/encoder/layer_"),
    (r"/bottleneck_input/", r"/bottleneck/input/"),
    (r"/bottleneck_output/", r"/output/bottleneck/"),
    (r"/attention/norm/", r"/attention/output/NORM/"),
    (r"/attention/attention_output/", r"/attention/output/dense/"),
    (r"/attention/(query|key|value)/", r"/attention/self/\1/"),
    (r"/(ffn_layer_\d+)/(intermediate|output)_dense/", r"/\1/\2/dense/"),
    (r"/(ffn_layer_\d+)/norm/", r"/\1/output/NORM/"),
    (r"/norm/", r"/NORM/"),
    (r"/kq_shared_bottleneck/", r"/bottleneck/attention/"),
)
NORMS = {"layer_norm": "LayerNorm", "no_norm": "FakeLayerNorm"}


def _config(**changes: Any) -> Config:
    return {
        "vocab_size": 30,
        "embedding_size": 4,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "intra_bottleneck_size": 8,
        "hidden_act": "relu",
        "trigram_input": True,
        "normalization_type": "no_norm",
        "num_feedforward_networks": 2,
        "key_query_shared_bottleneck": False,
        "use_bottleneck_attention": False,
    } | changes


def _garden(config: Config, pooler: bool) -> Any:
    from official.nlp.modeling import networks

    return networks.MobileBERTEncoder(
        word_vocab_size=config["vocab_size"],
        word_embed_size=config["embedding_size"],
        max_sequence_length=16,
        num_blocks=config["num_hidden_layers"],
        hidden_size=config["hidden_size"],
        num_attention_heads=config["num_attention_heads"],
        intermediate_size=config["intermediate_size"],
        intermediate_act_fn=config["hidden_act"],
        intra_bottleneck_size=config["intra_bottleneck_size"],
        use_bottleneck_attention=config["use_bottleneck_attention"],
        key_query_shared_bottleneck=config["key_query_shared_bottleneck"],
        num_feedforward_networks=config["num_feedforward_networks"],
        normalization_type=config["normalization_type"],
        classifier_activation=pooler,
    )


def _fill(encoder: Any, config: Config) -> Weights:
    """Give every variable other values; return them under TF1's names, in TF1's shapes."""
    rng = np.random.default_rng(0)
    last = f"ffn_layer_{config['num_feedforward_networks'] - 1}/"
    weights = {}
    for variable in encoder.variables:
        value = rng.normal(0, 0.3, variable.shape).astype(np.float32)
        variable.assign(value)
        name = variable.name.removesuffix(":0")
        for pattern, replacement in TF1_NAMES:
            name = re.sub(pattern, replacement, name)
        name = name.replace("NORM", NORMS[config["normalization_type"]]).replace(last, "")
        weights[name] = _flat(name, value)
    return weights


def _flat(name: str, value: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return a value without the axis of heads, as TF1 keeps it."""
    if name.endswith("bias"):
        return value.reshape(-1)
    if value.ndim < 3:
        return value
    return value.reshape(-1, value.shape[-1]) if "/attention/output/" in name else value.reshape(len(value), -1)


@pytest.mark.parametrize("pooler", [False, True])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"use_bottleneck_attention": True},
        {"use_bottleneck_attention": True, "key_query_shared_bottleneck": True},
        {"key_query_shared_bottleneck": True, "normalization_type": "layer_norm", "num_feedforward_networks": 1},
    ],
    ids=lambda changes: "+".join(changes) or "plain",
)
def test_it_computes_what_model_garden_does(tf: Any, changes: dict[str, Any], pooler: bool) -> None:
    config = _config(**changes)
    encoder = _garden(config, pooler)
    weights = _fill(encoder, config)
    rng = np.random.default_rng(1)
    ids, types = rng.integers(0, 30, (3, 10)), rng.integers(0, 2, (3, 10))
    mask = (np.arange(10) < np.array([[10], [6], [3]])).astype(np.int32)
    expected = encoder({"input_word_ids": ids, "input_mask": mask, "input_type_ids": types})
    out = mobilebert(weights, config, ids, mask, types)
    np.testing.assert_allclose(expected["sequence_output"], out.sequence, rtol=0, atol=1e-5)
    np.testing.assert_allclose(expected["pooled_output"], out.pooled, rtol=0, atol=1e-5)
