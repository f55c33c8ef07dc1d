"""Which code writes such files, as far as their structure shows it: the names of slots, edges of the object graph, notes.

A mark proves what a file looks like, not who made it: what tfckpt converts has the marks of the code that it writes for.
Sources: google-research/bert optimization.py; mesh_tensorflow/optimize.py; NVIDIA/DeepLearningExamples
TensorFlow/LanguageModeling/BERT optimization.py; tensorflow/contrib/mixed_precision loss_scale_manager.py;
tensorflow/python/training (adam.py, moving_averages.py, saver.py); tensorflow/python/checkpoint/checkpoint.py;
tf_keras/src/engine/training.py (save_weights); keras/src/export; transformers modeling_utils.py (save_pretrained).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from tfckpt.about.state import State
from tfckpt.base.html import in_notebooks
from tfckpt.checkpoint.graph.object_graph import ROOT, ObjectGraph
from tfckpt.checkpoint.graph.optimizers import ARCHIVE, LETTERED, SAVE_COUNTER_EDGE
from tfckpt.checkpoint.graph.outline import KERAS_NUMBER
from tfckpt.families.language.layouts import Layout, Substitutions
from tfckpt.formats.sinks import NOTE
from tfckpt.storage import files
from tfckpt.storage.paths import V1, join, split

SAVED_MODEL = "saved_model.pb"
FRAMEWORKS = {"pt": "PyTorch", "tf": "TensorFlow", "flax": "Flax", "np": "NumPy", "paddle": "Paddle", "mlx": "MLX"}

# Names that one program gives to scalars and slots beside a model: all of a row's must be there.
NAMED: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset({"local_step", "batch_finite"}), "NVIDIA's BERT, which accumulates gradients"),
    (frozenset({"good_steps", "bad_steps"}), "tf.contrib.mixed_precision, as NVIDIA's BERT uses it"),
    (frozenset({"current_loss_scale", "good_steps"}), "tf.train.experimental's loss scale"),
    (frozenset({"Adam", "Adam_1"}), "tf.train.AdamOptimizer of TensorFlow 1"),
    (frozenset({"ExponentialMovingAverage"}), "tf.train.ExponentialMovingAverage"),
)


@in_notebooks
class Writer(NamedTuple):
    """Code that writes such files.

    Attributes:
        what: the code, such as ``"tf.train.Checkpoint.save"``.
        shown_by: what shows it, such as ``"save_counter"``.
    """

    what: str
    shown_by: str

    def to_json(self) -> dict[str, Any]:
        """Return it as what ``json.dumps`` takes."""
        return self._asdict()


def writers_of_checkpoint(
    prefix: str,
    kind: str,
    names: Collection[str],
    graph: ObjectGraph | None,
    state: State | None,
    layout: Layout | None,
) -> tuple[Writer, ...]:
    """Return whose code writes such a checkpoint; nothing where nothing shows it.

    Args:
        prefix: of the checkpoint; a SavedModel lies around it.
        kind: ``"v1"`` or ``"v2"``.
        names: of its tensors.
        graph: its object graph.
        state: its optimizer's.
        layout: whose names it has, or whose objects.
    """
    found = [Writer("tf.train.Saver of TensorFlow 1", "the older format, V1")] if kind == V1 else []
    found += () if graph is None else _of_objects(prefix, graph)
    if isinstance(layout, Substitutions):
        found.append(Writer("Model Garden's converter of 2019", f"names of {layout.name!r}"))
    return (*found, *_of_names(names, state))


def writers_of_file(metadata: Mapping[str, Any]) -> tuple[Writer, ...]:
    """Return whose code writes a file of tensors that says this of itself.

    >>> writers_of_file({"format": "pt"})
    (Writer(what='PyTorch', shown_by='metadata format: pt'),)
    """
    if NOTE in metadata:
        note = metadata
        with suppress(ValueError, RecursionError, TypeError):  # safetensors have it as a text
            note = json.loads(metadata[NOTE])
        source = note.get("source", "") if isinstance(note, Mapping) else ""
        return (
            Writer("tfckpt export", f"its note: from {source}" if isinstance(source, str) and source else "its note"),
        )
    code = metadata.get("format")
    return (Writer(FRAMEWORKS[code], f"metadata format: {code}"),) if code in FRAMEWORKS else ()


def _of_objects(prefix: str, graph: ObjectGraph) -> Iterator[Writer]:
    """Yield what the edges of the root show, and what lies around the files."""
    directory, name = split(prefix)
    above, folder = split(directory)
    edges = graph.nodes[ROOT].children
    numbered = next((edge for edge in edges if KERAS_NUMBER.fullmatch(edge)), None)
    if (folder, name) == ("variables", "variables") and files.exists(join(above, SAVED_MODEL)):
        yield Writer("tf.saved_model.save", f"{SAVED_MODEL} above it")
    if ARCHIVE in edges:
        yield Writer("Keras 3's model.export", f"edge {ARCHIVE}")
    elif SAVE_COUNTER_EDGE in edges:
        yield Writer("tf.train.Checkpoint.save", SAVE_COUNTER_EDGE)
    elif numbered is not None:
        yield Writer("Keras's model.save_weights", f"edge {numbered} at the root")
    else:
        yield Writer("tf.train.Checkpoint.write", "an object graph without save_counter")


def _of_names(names: Collection[str], state: State | None) -> Iterator[Writer]:
    """Yield what names of slots and of scalars beside the model show."""
    slots = () if state is None else state.slots
    lettered = [slot for slot in slots if LETTERED.fullmatch(slot)]
    if lettered:
        yield Writer("an optimizer of google-research", ", ".join(lettered))
    if any("_slot_v" in slot for slot in slots):
        yield Writer("Mesh TensorFlow", "names that end in _slot_v...")
    lasts = {*slots, *(name.rpartition("/")[2] for name in names)}
    for words, what in NAMED:
        if words <= lasts:
            yield Writer(what, ", ".join(sorted(words)))
