"""Names under which optimizers keep their state, in both generations.

Source: google-research/bert optimization.py (adam_m, adam_v); tensorflow/python/training/slot_creator.py and the optimizers
beside it (the others of TF1: a variable's name, then the slot's); tensorflow/python/checkpoint/saveable_compat.py (TF2 keys).
"""

from __future__ import annotations

from tfckpt.layouts.rules import Drop

SLOTS = ("*/adam_m", "*/adam_v", "*/Adam", "*/Adam_1", "beta1_power", "beta2_power")

STATE = Drop(
    "optimizer state",
    (
        *SLOTS,
        "*/lamb_m",
        "*/lamb_v",
        "*/LAMB",
        "*/LAMB_1",
        "*/Momentum",
        "*/Adagrad",
        "*/Adadelta",
        "*/Adadelta_1",
        "*/RMSProp",
        "*/RMSProp_1",
        "*/Ftrl",
        "*/Ftrl_1",
        "*/beta1_power",
        "*/beta2_power",
        "*/.OPTIMIZER_SLOT/*",
        "optimizer/*",
        "*/optimizer/*",
    ),
)

# What TF2 training saves beside a model: keys of tf.train.Checkpoint, tf.keras and Model Garden's trainer.
TRAINING = (
    STATE,
    Drop("save counter", ("save_counter/.ATTRIBUTES/*",)),
    Drop("training step", ("global_step/.ATTRIBUTES/*", "step/.ATTRIBUTES/*", "epoch/.ATTRIBUTES/*")),
    Drop("metric", ("keras_api/metrics/*", "*/keras_api/metrics/*", "metrics/*", "*/metrics/*")),
)
