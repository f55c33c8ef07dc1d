"""The kinds of files and directories that people take for checkpoints: what each is, and what to do with it.

`tfckpt.storage.sniff` tells which of them a file is.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from tfckpt.base.issues import Remedy, run
from tfckpt.storage.paths import is_remote, split, split_query


class Kind(NamedTuple):
    """A kind of file: what it is, and what to do with it; ``command`` is what to type, where something helps.

    In ``then`` and in ``command``, {path} stands for the file, {folder} for its directory, {stem} for its name up to the
    first dot, and {ckpt}, {npz} and {safetensors} for that with a suffix: as Python writes them, or a shell.
    """

    what: str
    then: str
    command: str = ""

    def advice(self, path: str) -> str:
        """Return what to do with such a file.

        >>> ONNX.advice("run/bert.onnx").partition("; ")[0]
        "in Python, g = onnx.load('run/bert.onnx').graph"
        """
        bare = split(split_query(path)[0])[1] if is_remote(path) else path  # of a URL, what it is called here
        return self.then.format(**{key: repr(text) for key, text in _places(bare).items()})


def _places(path: str) -> dict[str, str]:
    folder, name = split(path)
    stem = os.path.join(folder, name.partition(".")[0])
    places = {"path": path, "folder": folder or os.curdir, "stem": stem if stem != path else f"{stem}-unpacked"}
    return places | {suffix: f"{stem}.{suffix}" for suffix in ("ckpt", "npz", "safetensors")}


def remedy_for(kind: Kind, path: str) -> Remedy | None:
    """Return what helps where a file of this kind is found."""
    if not kind.command or is_remote(path):
        return None
    import shlex

    bare = os.path.join(os.curdir, path) if path.startswith("-") else path  # which a command would take for an option
    return run(kind.command.format(**{key: shlex.quote(text) for key, text in _places(bare).items()}))


# What comes in place of a file, whatever that is.
POINTER = Kind(
    "a Git LFS pointer, not the file itself",
    "let Git download the file",
    "git -C {folder} lfs pull",
)
PAGE = Kind("a web page instead of the file", "download the file itself")
ANSWER = Kind("a server's answer in XML, not the file", "the download was refused: try it again")
EMPTY = Kind("an empty file", "the download or copy is incomplete: repeat it")
STUBS = (POINTER, PAGE, ANSWER, EMPTY)

# Models of other programs. Of each, a program that is theirs can get the arrays out.
HDF5 = Kind(
    "an HDF5 file, as Keras saves weights",
    "in Python, model = keras.models.load_model({path}) reads a whole model, and model.load_weights({path}) weights alone; "
    "then tf.train.Checkpoint(model=model).write({ckpt}) makes a checkpoint",
)
KERAS = Kind(
    "a Keras model, in a zip archive",
    "in Python, model = keras.models.load_model({path}); tf.train.Checkpoint(model=model).write({ckpt}) makes a checkpoint",
)
_TO_SAFETENSORS = (
    "; safetensors.torch.save_file({{n: t.contiguous().clone() for n, t in w.items()}}, {safetensors}) "
    "makes a file that tfckpt import reads"
)
TORCH = Kind(
    "a PyTorch file", "in Python, w = torch.load({path}, map_location='cpu', weights_only=True)" + _TO_SAFETENSORS
)
SCRIPT = Kind(
    "a TorchScript file", "in Python, w = torch.jit.load({path}, map_location='cpu').state_dict()" + _TO_SAFETENSORS
)
PICKLE = Kind(
    "a pickle",
    "loading a pickle runs code; if you trust it, and it is a dict of arrays, in Python "
    "w = numpy.load({path}, allow_pickle=True); numpy.savez({npz}, **w) makes a file that tfckpt import reads",
)
_FLATTENED = "; tfckpt.save({ckpt}, flax.traverse_util.flatten_dict(w, sep='/')) makes a checkpoint"
FLAX = Kind(
    "a Flax file, in msgpack",
    "in Python, w = flax.serialization.msgpack_restore(pathlib.Path({path}).read_bytes())" + _FLATTENED,
)
T5X = Kind("a T5X checkpoint, for JAX", "in Python, w = t5x.checkpoints.load_t5x_checkpoint({path})" + _FLATTENED)
ORBAX = Kind(
    "an Orbax checkpoint, for JAX",
    "in Python, w = orbax.checkpoint.PyTreeCheckpointer().restore(os.path.abspath({path}))" + _FLATTENED,
)
ZARR = Kind("an array of zarr", "a T5X or Orbax checkpoint has many: name the directory of all of them")
ONNX = Kind(
    "an ONNX model",
    "in Python, g = onnx.load({path}).graph; tfckpt.save({ckpt}, {{t.name: onnx.numpy_helper.to_array(t) "
    "for t in g.initializer}}) makes a checkpoint",
)
TFLITE = Kind(
    "a TensorFlow Lite model",
    "it is made for running, and has other names and often rounded values: look for the checkpoint or SavedModel that it "
    "was made from",
)
GGUF = Kind(
    "a GGUF file, as llama.cpp runs",
    "its values are often rounded: look for the model that it was made from; tfckpt import reads its safetensors files",
)
ARRAY = Kind(
    "one NumPy array without a name",
    "in Python, tfckpt.save({ckpt}, dict(NAME=numpy.load({path}))) makes a checkpoint of it",
)
IMPORTED = "tfckpt import makes a checkpoint from it", "tfckpt import {path} {ckpt}"
ARRAYS = Kind("an archive of NumPy arrays", *IMPORTED)
TENSORS = Kind("a safetensors file", *IMPORTED)

# What a checkpoint may be packed in.
UNPACK = "unpack it first"
ZIP = Kind("a zip archive", UNPACK, "python3 -m zipfile -e {path} {stem}")
CUT_ZIP = Kind("the beginning of a zip archive", EMPTY.then)
TAR = Kind("a tar archive", UNPACK, "mkdir -p {stem} && tar -xf {path} -C {stem}")
GZIP = Kind("a file packed by gzip", UNPACK, "gzip -dk {path}")
BZIP2 = Kind("a file packed by bzip2", UNPACK, "bzip2 -dk {path}")
XZ = Kind("a file packed by xz", UNPACK, "xz -dk {path}")
OTHER_ARCHIVE = Kind(
    "an archive of 7-Zip, RAR or Zstandard", "unpack it first, with the program that it is named after"
)

# What lies beside checkpoints.
BESIDE = "those are in a checkpoint's .index and .data files"
TEXT = Kind("a JSON text", BESIDE)
GRAPH = Kind("a graph, without the values of variables", BESIDE)
EVENTS = Kind("a log for TensorBoard, without the values of variables", BESIDE)
FROZEN = Kind(
    "a frozen graph: it holds values as constants, which tfckpt does not read",
    "look for the checkpoint that it was frozen from; without it, TensorFlow's "
    "tf.make_ndarray(node.attr['value'].tensor) is the value of a node whose op is Const, and tfckpt.save writes such "
    "values, by name, as a checkpoint",
)
RENAMED_INDEX = Kind("the index of a checkpoint, under another name", "its name must be the prefix and .index")
IN_PLACE = (TEXT, GRAPH, EVENTS, RENAMED_INDEX)  # of these nothing tells that a directory is no checkpoint's
