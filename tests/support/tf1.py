"""TF1 BERT checkpoints of any size, written by TensorFlow's own Saver."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

BERT_BASE = {
    "vocab_size": 30522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
}


def bert_shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return every variable of a pretrained google-research BERT with its pre-training heads, and its shape."""
    hidden, inner, vocab = config["hidden_size"], config["intermediate_size"], config["vocab_size"]

    def dense(name: str, rows: int, columns: int) -> dict[str, tuple[int, ...]]:
        return {f"{name}/kernel": (rows, columns), f"{name}/bias": (columns,)}

    def norm(name: str) -> dict[str, tuple[int, ...]]:
        return {f"{name}/beta": (hidden,), f"{name}/gamma": (hidden,)}

    shapes: dict[str, tuple[int, ...]] = {
        "bert/embeddings/word_embeddings": (vocab, hidden),
        "bert/embeddings/token_type_embeddings": (config["type_vocab_size"], hidden),
        "bert/embeddings/position_embeddings": (config["max_position_embeddings"], hidden),
        "cls/predictions/output_bias": (vocab,),
        "cls/seq_relationship/output_weights": (2, hidden),
        "cls/seq_relationship/output_bias": (2,),
    }
    shapes |= norm("bert/embeddings/LayerNorm") | dense("bert/pooler/dense", hidden, hidden)
    shapes |= dense("cls/predictions/transform/dense", hidden, hidden) | norm("cls/predictions/transform/LayerNorm")
    for layer in range(config["num_hidden_layers"]):
        scope = f"bert/encoder/layer_{layer}"
        for part in ("self/query", "self/key", "self/value", "output/dense"):
            shapes |= dense(f"{scope}/attention/{part}", hidden, hidden)
        shapes |= norm(f"{scope}/attention/output/LayerNorm") | norm(f"{scope}/output/LayerNorm")
        shapes |= dense(f"{scope}/intermediate/dense", hidden, inner) | dense(f"{scope}/output/dense", inner, hidden)
    return shapes


def write_bert(tf: Any, directory: Path, config: dict[str, Any]) -> str:
    """Write a checkpoint with random weights, as a TF1 program does, and its configuration; return the prefix."""
    prefix = str(directory / "bert_model.ckpt")
    v1 = tf.compat.v1
    with tf.Graph().as_default():
        for name, shape in bert_shapes(config).items():
            v1.get_variable(name, shape, tf.float32, v1.truncated_normal_initializer(stddev=0.02, seed=len(name)))
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            v1.train.Saver().save(session, prefix, write_meta_graph=False)
    (directory / "bert_config.json").write_text(json.dumps(config), encoding="utf-8")
    return prefix
