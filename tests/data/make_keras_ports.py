"""Writes the Keras ports of BERT in tests/data/dialects by those ports: python make_keras_ports.py DIRECTORY NAME

It takes Python 3.7 with tensorflow==1.15.5 keras==2.3.1 keras-bert==0.84.0 bert4keras==0.11.5 bert-for-tf2==0.14.9, and one
process for each name. What it writes are the variables of the session after two training steps, saved by their names.

keras_bert            by tf.keras and keras-bert's AdamWarmup
bert4keras_variables  by tf.keras
keras_of_2019         bert4keras by Keras 2.3, whose optimizer has no name of a variable in those of its own
bert_for_tf2          by tf.keras, with a head for three classes
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1
v1.logging.set_verbosity(v1.logging.ERROR)

WORDS, HIDDEN, INNER, LAYERS, HEADS, POSITIONS, TYPES, CLASSES = 30, 16, 32, 2, 2, 24, 2, 3
BATCH, LENGTH, STEPS = 4, 8, 2
SPARSE = "sparse_categorical_crossentropy"
CONFIG = os.path.join(os.path.dirname(os.path.abspath(__file__)), "dialects", "bert_config.json")
ONE_AT_A_TIME = v1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)


def keras_bert(keras: Any) -> tuple[Any, str, str]:
    """Return a compiled model, and what it takes and gives: words w, types t, a mask m, sentences s, classes c."""
    port = import_module("keras_bert")
    sizes = {"token_num": WORDS, "pos_num": POSITIONS, "seq_len": LENGTH, "embed_dim": HIDDEN}
    model = port.get_model(**sizes, transformer_num=LAYERS, head_num=HEADS, feed_forward_dim=INNER)
    model.compile(port.AdamWarmup(decay_steps=100, warmup_steps=10), loss=SPARSE)
    return model, "wtm", "ws"


def bert4keras(keras: Any) -> tuple[Any, str, str]:
    """Do the same for bert4keras."""
    port = import_module("bert4keras.models")
    model = port.build_transformer_model(CONFIG, with_pool=True, with_nsp=True, with_mlm=True)
    model.compile(keras.optimizers.Adam(0.01), loss=SPARSE)
    return model, "wt", "sw"


def bert_for_tf2(keras: Any) -> tuple[Any, str, str]:
    """Do the same for bert-for-tf2."""
    port = import_module("bert").BertModelLayer
    sizes = {"vocab_size": WORDS, "hidden_size": HIDDEN, "num_layers": LAYERS, "num_heads": HEADS}
    tables = {"max_position_embeddings": POSITIONS, "token_type_vocab_size": TYPES, "intermediate_size": INNER}
    layer = port.from_params(port.Params(**sizes, **tables, intermediate_activation="gelu"), name="bert")
    inputs = [keras.layers.Input((LENGTH,), dtype="int32") for _ in range(2)]
    first = keras.layers.Lambda(lambda sequence: sequence[:, 0])(layer(inputs))
    model = keras.Model(inputs, keras.layers.Dense(CLASSES, "softmax")(first))
    model.compile(keras.optimizers.Adam(0.01), loss=SPARSE)
    return model, "wt", "c"


PORTS = {
    "keras_bert": keras_bert,
    "bert4keras_variables": bert4keras,
    "keras_of_2019": bert4keras,
    "bert_for_tf2": bert_for_tf2,
}


def scatter(model: Any) -> None:
    """Give every variable values that no other has."""
    rng = np.random.RandomState(2)
    means = [float("gamma" in weight.name) for weight in model.weights]
    pairs = zip(means, model.get_weights())  # noqa: B905
    model.set_weights([rng.normal(mean, 0.2, value.shape) for mean, value in pairs])


def main(directory: str, name: str) -> None:
    """Train one of the ports and save it."""
    os.environ["TF_KERAS"] = "0" if name == "keras_of_2019" else "1"
    keras = import_module("keras") if name == "keras_of_2019" else tf.keras
    v1.set_random_seed(1)
    np.random.seed(1)  # Keras draws the seeds of its dropout there
    session = v1.Session(config=ONE_AT_A_TIME)
    (keras.backend.tensorflow_backend if name == "keras_of_2019" else keras.backend).set_session(session)
    model, takes, gives = PORTS[name](keras)
    scatter(model)
    rng = np.random.RandomState(1)
    words, types = rng.randint(WORDS, size=(BATCH, LENGTH)), rng.randint(TYPES, size=(BATCH, LENGTH))
    given = {"w": words, "t": types, "m": np.ones_like(words)}
    wanted = {"w": words[:, ::-1, None], "s": np.array([[0], [1], [1], [0]]), "c": np.array([[0], [1], [2], [0]])}
    for _ in range(STEPS):
        model.train_on_batch([given[kind] for kind in takes], [wanted[kind] for kind in gives])
    os.makedirs(os.path.join(directory, name), exist_ok=True)
    prefix = os.path.join(directory, name, "model.ckpt")
    v1.train.Saver().save(session, prefix, STEPS, write_meta_graph=False, write_state=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
