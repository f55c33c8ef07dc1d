"""Runs tf1_to_keras_checkpoint_converter.py of Model Garden's 2019 release, as it is, under TensorFlow 2.

A program of its own, since that release is also called `official`. Usage: script_2019.py RELEASE FLAG...

Its log goes to stderr. It finds what it was written for: TensorFlow 1 (here what TensorFlow 2 has of it), and its library
under the name that it has inside Google.
"""

from __future__ import annotations

import runpy
import sys
import types

release = sys.argv.pop(1)
sys.path.insert(0, release)

import tensorflow  # noqa: E402
from official.nlp.bert import tf1_checkpoint_converter_lib as lib  # noqa: E402

INSIDE = "third_party.tensorflow_models.official.nlp.bert"

tensorflow.compat.v1.logging.set_verbosity(tensorflow.compat.v1.logging.INFO)
sys.modules["tensorflow"] = tensorflow.compat.v1
parts = INSIDE.split(".")
for count in range(1, len(parts) + 1):
    name = ".".join(parts[:count])
    sys.modules[name] = types.ModuleType(name)
sys.modules[INSIDE].tf1_checkpoint_converter_lib = lib  # type: ignore[attr-defined]
runpy.run_path(f"{release}/official/nlp/bert/tf1_to_keras_checkpoint_converter.py", run_name="__main__")
