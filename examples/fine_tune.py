"""Fine-tune a BERT that was pretrained under TensorFlow 1, on a toy task: is a sentence kind?

    pip install tfckpt tf-models-official
    python examples/fine_tune.py                                                 # a small BERT; takes seconds
    python examples/fine_tune.py uncased_L-12_H-768_A-12 --learning-rate 5e-5    # a real one: a folder, or a prefix

The program converts the checkpoint and proves the result. It builds an encoder with the sizes that the conversion found,
restores it, and checks that nothing is left over. Then it trains the encoder with a classifier on top. It prints the loss
on sentences that training does not see, before and after.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import tfckpt

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")  # what Model Garden is built on; read when TensorFlow is imported

CLS, LONGEST = 1, 16  # the id that begins a sentence; the most ids in a sentence
KIND = 0.8  # the share of words with an even id in a kind sentence, and with an odd id in any other sentence


def make_small_bert(directory: Path) -> str:
    """Let tfckpt make a TF1 BERT of two layers, with random weights."""
    subprocess.run([sys.executable, "-m", "tfckpt", "demo", str(directory), "--quiet"], check=True)
    return str(directory / "tf1" / "bert_model.ckpt")


def convert(source: str, dest: str) -> tuple[dict[str, int], str]:
    """Convert a checkpoint to what TensorFlow 2 restores; return the sizes and the activation of its configuration."""
    report = tfckpt.convert(source, dest, to="encoder", prove=True, overwrite=True)
    print(f"converted: {len(report.steps)} variables, {len(report.dropped)} dropped (heads and optimizer state)")
    activation = report.facts.get("hidden_act")
    return {name: size.value for name, size in report.sizes.items()}, str(activation.value) if activation else "gelu"


def build_classifier(sizes: dict[str, int], activation: str, checkpoint: str) -> Any:
    """Return a classifier of two classes over an encoder that holds the checkpoint's values."""
    import tensorflow as tf
    from official.modeling import tf_utils
    from official.nlp.modeling import models, networks

    encoder = networks.BertEncoder(
        vocab_size=sizes["vocab_size"],
        hidden_size=sizes["hidden_size"],
        num_layers=sizes["num_hidden_layers"],
        num_attention_heads=sizes["num_attention_heads"],
        inner_dim=sizes["intermediate_size"],
        inner_activation=tf_utils.get_activation(activation),  # its gelu is google-research's
        max_sequence_length=sizes["max_position_embeddings"],
        type_vocab_size=sizes["type_vocab_size"],
    )
    status = tf.train.Checkpoint(model=encoder).read(checkpoint)
    status.assert_consumed().assert_existing_objects_matched()  # no value is left over, and no variable
    return models.BertClassifier(encoder, num_classes=2)


def make_sentences(rng: np.random.Generator, count: int, sizes: dict[str, int]) -> tuple[list[Any], Any]:
    """Return inputs of BERT, int32 [count, length] each, and a label for each sentence: whether it is kind."""
    shape = count, min(LONGEST, sizes["max_position_embeddings"])
    labels = rng.integers(0, 2, count, dtype=np.int32)
    is_odd = (rng.random(shape) < KIND) != (labels[:, None] == 1)
    ids = 2 * rng.integers(1, sizes["vocab_size"] // 2, shape, dtype=np.int32) + is_odd
    ids[:, 0] = CLS
    return [ids, np.ones_like(ids), np.zeros_like(ids)], labels  # words, mask, segments


def train(model: Any, sizes: dict[str, int], steps: int, batch: int, rate: float) -> tuple[float, float]:
    """Train on new sentences in each step; return the loss on others, before and after."""
    import tensorflow as tf

    rng = np.random.default_rng(seed=0)
    optimizer = tf.keras.optimizers.Adam(rate)
    unseen = make_sentences(rng, 256, sizes)

    def loss_of(inputs: list[Any], labels: Any, *, training: bool) -> Any:
        logits = model(inputs, training=training)
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits))

    def step(inputs: list[Any], labels: Any) -> None:
        with tf.GradientTape() as tape:
            loss = loss_of(inputs, labels, training=True)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))

    compiled = tf.function(step)
    before = float(loss_of(*unseen, training=False))
    for _ in range(steps):
        compiled(*make_sentences(rng, batch, sizes))
    return before, float(loss_of(*unseen, training=False))


def main(argv: Sequence[str] | None = None) -> tuple[float, float]:
    """Do all of it; return the loss before and after."""
    parser = argparse.ArgumentParser(description="Fine-tune a TF1 BERT under TensorFlow 2, on a toy task.")
    parser.add_argument(
        "checkpoint", nargs="?", help="a TF1 BERT: a folder or a prefix; without it, the program makes a small one"
    )
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as directory:
        source = args.checkpoint or make_small_bert(Path(directory))
        dest = os.path.join(directory, "bert_encoder")
        sizes, activation = convert(source, dest)
        model = build_classifier(sizes, activation, dest)
        before, after = train(model, sizes, args.steps, args.batch, args.learning_rate)
    print(f"loss: {before:.3f} before, {after:.3f} after {args.steps} steps")
    return before, after


if __name__ == "__main__":
    before, after = main()
    sys.exit(0 if after < before else 1)
