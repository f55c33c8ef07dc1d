"""The words by which training state is known: roles, and what optimizers and averages call their variables.

Where there is an object graph, its structure tells most, and the edges named here the rest; with names alone, these tables
are the last resort. Source: tensorflow/python/training (slot_creator.py and the optimizers beside it: a variable's name, then
the optimizer's: ``X/Adam``, ``X/Adam_1``; moving_averages.py); tensorflow/python/trackable (``.OPTIMIZER_SLOT``);
tf_keras/src/optimizers and optimizers/legacy; keras/src/optimizers; google-research/bert optimization.py (adam_m, adam_v);
mesh_tensorflow/optimize.py (``X_slot_vr``); NVIDIA/DeepLearningExamples TensorFlow/LanguageModeling/BERT (accum, good_steps);
official/modeling/optimization.
"""

from __future__ import annotations

import re

MODEL, OBJECT_GRAPH, OPTIMIZER, TRAINING_STEP = "model", "object graph", "optimizer state", "training step"
TRAINING_STATE, SAVE_COUNTER, METRIC = "training state", "save counter", "metric"
MOVING_AVERAGE, RANDOM_STATE, COPY, UNKNOWN = "moving average", "random state", "copy", "unknown"
ROLES = (
    MODEL,
    OBJECT_GRAPH,
    OPTIMIZER,
    TRAINING_STEP,
    TRAINING_STATE,
    SAVE_COUNTER,
    METRIC,
    MOVING_AVERAGE,
    RANDOM_STATE,
    COPY,
    UNKNOWN,
)

# Edges of an optimizer's node, and of the objects around it.
RATES = frozenset({"_iterations", "_learning_rate", "_current_learning_rate"})  # of Keras 3 and the new tf_keras
TRAINED_LIST = "_trainable_variables"  # of Keras 3: place N of the other lists is for what place N of this one leads to
OPTIMIZER_EDGES = frozenset({*RATES, "_variables", TRAINED_LIST})  # an optimizer has two or more
POWERS = frozenset({"beta1_power", "beta2_power"})  # of tf.compat.v1.train.AdamOptimizer
TRAINED = frozenset({TRAINED_LIST, "_model_weights"})  # what these lead to is the model's
CALLED, LEGACY_STEP = "optimizer", "iter"  # by these alone, where a node holds nothing else
HYPERPARAMETERS = frozenset({
    "beta1_power", "beta2_power", "beta_1", "beta_2", "decay", "epsilon", "initial_accumulator_value",
    "l1_regularization_strength", "l2_regularization_strength", "learning_rate", "learning_rate_power", "momentum", "rho",
    "weight_decay", "weight_decay_rate",
})  # fmt: skip
LOSS_SCALE = "loss_scale"  # of mixed precision: an object with the scale and a counter
AVERAGED = "_model_variables_moving_average"
SAVE_COUNTER_EDGE = "save_counter"
STEPS = frozenset({"step", "global_step", "epoch", "train_step", "training_step", "current_epoch", "current_step"})
RANDOM_EDGES = frozenset({"_state_var", "seed_generator_state"})
METRICS_EDGES = frozenset({"metrics", "_metrics", "compiled_metrics", "train_metrics", "validation_metrics"})
METRIC_VARIABLES = frozenset(
    frozenset(names)
    for names in (
        ("total", "count"),
        ("accumulator",),
        ("true_positives", "true_negatives", "false_positives", "false_negatives"),
        ("true_positives", "false_positives"),
        ("true_positives", "false_negatives"),
        ("true_positives", "false_positives", "false_negatives", "weights_intermediate"),
        ("total_cm",),
        ("total_confusion_matrix", "total_cm"),
        ("squared_sum", "sum", "total_mse", "count"),
        ("squared_sum", "sum", "res", "count"),
    )
)
ITERATOR = "ITERATOR"  # begins the attribute of a tf.data iterator
ARCHIVED, ARCHIVE = "variables", "_all_variables"  # of Keras 3's model.export: both lists of all weights, saved twice

# Names of variables.
OPTIMIZER_NAMES = frozenset({
    "AdaBelief", "AdaMax", "Adadelta", "Adafactor", "AdafactorOptimizer", "Adagrad", "AdagradDA", "Adam", "AdamW",
    "AdamWeightDecay", "Adamax", "BERTAdam", "COCOB", "Ftrl", "LAMB", "LARS", "Lamb", "Lars", "LazyAdam", "Lion",
    "Momentum", "MomentumW", "Muon", "NAdam", "Nadam", "NovoGrad", "ProximalAdagrad", "RAdam", "RMSProp", "RMSprop",
    "RectifiedAdam", "SGD", "SGDW", "SM3", "ScheduleFreeAdamW", "Shampoo", "Yogi",
})  # fmt: skip
SLOT_NAMES = frozenset({
    "accum_grad", "accum_var", "delta_accumulator", "exp_avg", "exp_avg_sq", "gradient_accumulator", "momentum",
    "momentum_cache", "rms", "squared_gradients", "vhat",
})  # fmt: skip
# What means a slot where an optimizer's name stands beside it, and may be a weight elsewhere.
SLOT_WORDS = frozenset(
    {"m", "v", "u", "c", "r", "h", "vr", "vc", "accumulator", "linear", "mg", "mom", "slow", "velocity"}
)
AVERAGE_NAMES = frozenset({"ExponentialMovingAverage", "EMA"})
AVERAGE_WORDS = frozenset({*AVERAGE_NAMES, "ema", "shadow", "average", "moving_average", "polyak", "swa"})
STATE_BESIDE = frozenset({"accum", "accum_grads", "grad_accum", "accumulated_gradients", "biased", "local_step"})
STATE_SCALARS = frozenset({
    "bad_steps", "batch_finite", "current_loss_scale", "dynamic_loss_scale", "good_steps", "local_step", "loss_scale",
    "num_good_steps", "STOP", "sync_rep_local_step",
})  # fmt: skip
RANDOM_NAMES = frozenset({"seed_generator_state", "StateVar", "rng_state"})
STATISTICS = frozenset({"moving_mean", "moving_variance", "renorm_mean", "renorm_stddev"})  # kept, not trained
LEARNING_RATE = "learning_rate"
POWER = re.compile(r"beta_?[12]_power(_[0-9]{1,9})?")
NUMBERED = re.compile(r"(.*?)_[0-9]{1,9}")
PIECE = re.compile(r"part_[0-9]{1,9}")  # of a partitioned variable
LETTERED = re.compile(r"(?i:adam|adamw|lamb|lars|lion|adafactor|rmsprop)_(?:m|v|vr|vc|u|c)")  # google-research
SLOT_TAIL = re.compile(r".+_slot_(?:m|v|vr|vc)")  # mesh TensorFlow, T5: joined to the name without a slash
