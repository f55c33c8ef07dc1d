"""Writes tests/data/electra_squad with TensorFlow 1.15 under Python 3.7: python make_electra_squad.py ELECTRA_TF115 DIRECTORY

model.ckpt-3        the discriminator's encoder of ELECTRA_TF115, and a head for SQuAD 2.0 whose variables have the names of
                    electra's run_finetuning, as the calls of tf.layers are the same; not trained
bert_config.json    that of ELECTRA_TF115
ref.npz             the inputs of ELECTRA_TF115's ref.npz and what the head computes from TensorFlow's own sequence output:
                    logits of the start, of the end for the best start, and of there being no answer
"""

from __future__ import annotations

import os
import shutil
import sys
from typing import Any

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1
v1.logging.set_verbosity(v1.logging.ERROR)

INNER = 512  # the width of the hidden layers of that head, whatever the size of the model


def gelu(x: Any) -> Any:
    """Return ELECTRA's gelu, which is exact."""
    return x * 0.5 * (1.0 + tf.math.erf(x / np.sqrt(2.0)))


def one_logit(x: Any) -> Any:
    """Return a dense layer of one output; TensorFlow numbers these layers as they come."""
    return tf.squeeze(v1.layers.dense(x, 1), -1)


def squad(sequence: Any, mask: Any, types: Any) -> dict[str, Any]:
    """Return the head's outputs; an answer is in the second segment, or is the first position for there is none."""
    length = sequence.shape[1]
    allowed = tf.cast(mask, tf.float32) * tf.cast(types, tf.float32) + tf.one_hot(0, length)
    penalty = 1000.0 * (allowed - 1)
    start_logits = one_logit(sequence) + penalty
    start = tf.argmax(start_logits, -1, output_type=tf.int32)
    chosen = tf.gather(sequence, start[:, None], batch_dims=1)
    pairs = tf.concat([tf.tile(chosen, [1, length, 1]), sequence], -1)
    end_logits = one_logit(v1.layers.dense(pairs, INNER, activation=gelu, name="qa_hidden")) + penalty
    expected = tf.reduce_sum(tf.nn.softmax(start_logits)[:, :, None] * sequence, 1)
    both = tf.concat([sequence[:, 0], expected], -1)
    answerable = one_logit(v1.layers.dense(both, INNER, activation=gelu))
    return {"start_logits": start_logits, "start": start, "end_logits": end_logits, "answerable_logit": answerable}


def main(electra: str, directory: str) -> None:
    """Write everything."""
    ref = dict(np.load(os.path.join(electra, "ref.npz")))
    source = tf.train.load_checkpoint(os.path.join(electra, "model.ckpt-3"))
    shutil.copy(os.path.join(electra, "bert_config.json"), directory)
    inputs = {name: ref[name] for name in ("ids", "mask", "typ")}
    with tf.Graph().as_default(), v1.Session() as session:
        v1.set_random_seed(1)
        for name in sorted(source.get_variable_to_shape_map()):
            if name.startswith("electra/") and not name.endswith(("/adam_m", "/adam_v")):
                v1.get_variable(name, initializer=source.get_tensor(name))
        with v1.variable_scope("task_specific/squad"):
            outputs = squad(tf.constant(ref["out_disc_seq"]), inputs["mask"], inputs["typ"])
        session.run(v1.global_variables_initializer())
        saver = v1.train.Saver(save_relative_paths=True)
        saver.save(session, os.path.join(directory, "model.ckpt"), 3, write_meta_graph=False)
        values = session.run(outputs)
    np.savez_compressed(
        os.path.join(directory, "ref.npz"), **inputs, **{f"out_squad_{name}": value for name, value in values.items()}
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
