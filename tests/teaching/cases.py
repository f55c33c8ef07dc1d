"""The failures: what was wrong, the command, and what becomes of the command that is said to be next."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
from support import foreign, graphs

from teaching import stage
from teaching.stage import NAME, PAGE, POINTER, SHARD, Make

SOURCE = f"bert/{NAME}"


@dataclass(frozen=True)
class Case:
    """One failure.

    Attributes:
        what: what was wrong, as a heading.
        line: the command that fails.
        make: makes the files that it is about.
        follow: exit code of the command that is said to be next; None if a test cannot run it.
        lacks: a package that is not installed.
        apart: runs in a process of its own, with packages that are too old.
        code: exit code of the command itself.
    """

    what: str
    line: str
    make: Make = stage.nothing
    follow: int | None = 0
    lacks: str = ""
    apart: bool = False
    code: int = 1


@dataclass(frozen=True)
class Group:
    """Failures that have to do with each other."""

    heading: str
    cases: tuple[Case, ...]


PATHS = Group(
    "The path",
    (
        Case("A name that is not quite right", "convert bert/bert.ckpt out/model"),
        Case(
            "The `.meta` file",
            f"convert {SOURCE}.meta out/model",
            stage.file(f"{SOURCE}.meta", graphs.meta_graph(graphs.TRAINED)),
        ),
        Case("Another file of the folder", "convert bert/bert_config.json out/model"),
        Case("One folder too high", "convert models/bert_model.ckpt out/model", stage.moved("bert", "models/bert")),
        Case("One folder too low", "convert bert/bert/bert_model.ckpt out/model"),
        Case("Backslashes", r"convert 'bert\bert_model.ckpt' out/model"),
        Case("A path of Windows", r"convert 'C:\Users\me\bert\bert_model.ckpt' out/model"),
        Case(
            "A state file whose checkpoint is elsewhere", "convert bert/best_dev_checkpoint out/model", stage.lost_state
        ),
        Case("A state file that is broken", "convert run out/model", stage.broken_state),
        Case("The folder above", "convert . out/model"),
        Case(
            "The beginning of a folder's name",
            "convert uncased_L-2 out/model",
            stage.renamed("bert", "uncased_L-2_H-8"),
        ),
        Case("A folder of several checkpoints", "convert run out/model", stage.several),
        Case("A folder that does not exist", "convert berd/bert_model.ckpt out/model"),
        Case("A SavedModel's folder", "ls model", stage.saved_model),
        Case("A SavedModel's graph", "ls model/saved_model.pb", stage.saved_model),
        Case("A folder to write to", f"convert {SOURCE} out/"),
        Case("One of the files to write", f"convert {SOURCE} out/model.index"),
        Case("A destination that exists", f"convert {SOURCE} out/model", stage.converted("out/model")),
        Case(
            "Source and destination in the wrong order",
            f"convert tf2/bert_encoder {SOURCE}",
        ),
        Case("The source as destination", f"convert {SOURCE} {SOURCE} --overwrite"),
        Case("The wrong format", f"ls {SOURCE} --format v1"),
        Case("A tensor's name", f"show {SOURCE} bert/pooler/dense/kernal"),
        Case("A part of a tensor's name", f"show {SOURCE} pooler"),
    ),
)
OTHERS = Group(
    "Files that are no checkpoints",
    (
        Case("Keras weights", "convert model.h5 out/model", stage.file("model.h5", foreign.HDF5)),
        Case("A Keras model", "convert model.keras out/model", stage.file("model.keras", foreign.KERAS)),
        Case("PyTorch", "convert pytorch_model.bin out/model", stage.file("pytorch_model.bin", foreign.TORCH)),
        Case("TorchScript", "convert model.pt out/model", stage.file("model.pt", foreign.SCRIPT)),
        Case("A pickle", "convert weights.pkl out/model", stage.file("weights.pkl", foreign.pickled(4))),
        Case("Flax", "convert flax_model.msgpack out/model", stage.file("flax_model.msgpack", foreign.FLAX)),
        Case("T5X", "convert checkpoint_1000 out/model", stage.folder(foreign.t5x, "checkpoint_1000")),
        Case("Orbax", "convert checkpoints/100 out/model", stage.folder(foreign.orbax, "checkpoints/100")),
        Case("ONNX", "convert model.onnx out/model", stage.file("model.onnx", foreign.onnx())),
        Case("TensorFlow Lite", "convert model.tflite out/model", stage.file("model.tflite", foreign.TFLITE)),
        Case("GGUF", "convert model.gguf out/model", stage.file("model.gguf", foreign.GGUF)),
        Case("The name without its suffix", "convert hf/model out/model", stage.file("hf/model.h5", foreign.HDF5)),
        Case("The folder of a model of Keras", "convert hf out/model", stage.file("hf/tf_model.h5", foreign.HDF5)),
        Case("Importing PyTorch", "import pytorch_model.bin out/model", stage.file("pytorch_model.bin", foreign.TORCH)),
        Case("Importing the name without its suffix", "import hf/m out/m", stage.file("hf/m.npz", stage.arrays_file())),
        Case(
            "safetensors",
            "convert model.safetensors out/model",
            stage.file("model.safetensors", stage.tensors_file()),
            follow=0 if find_spec("safetensors") else 1,  # an extra
        ),
        Case("NumPy arrays", "convert model.npz out/model", stage.file("model.npz", stage.arrays_file())),
        Case("A zip archive", "convert bert.zip out/model", stage.archive("bert.zip")),
        Case("A frozen graph", "convert frozen.pb out/model", stage.file("frozen.pb", graphs.FROZEN)),
        Case("A tar archive", "convert bert.tar.gz out/model", stage.archive("bert.tar.gz")),
        Case("A zip archive that was cut short", "convert bert.zip out/model", stage.cut_archive("bert.zip")),
    ),
)
DOWNLOADS = Group(
    "Downloads that went wrong",
    (
        Case("A Git LFS pointer as index", f"convert {SOURCE} out/model", stage.file(f"{SOURCE}.index", POINTER), None),
        Case("A Git LFS pointer as data", f"convert {SOURCE} out/model", stage.file(f"{SOURCE}{SHARD}", POINTER), None),
        Case("Verifying a Git LFS pointer", f"verify {SOURCE}", stage.file(f"{SOURCE}{SHARD}", POINTER), None),
        Case("A web page as index", f"convert {SOURCE} out/model", stage.file(f"{SOURCE}.index", PAGE), 1),
        Case("A web page as data", f"convert {SOURCE} out/model", stage.file(f"{SOURCE}{SHARD}", PAGE), 1),
        Case("A longer web page as data", f"convert {SOURCE} out/model", stage.file(f"{SOURCE}{SHARD}", PAGE * 10), 1),
        Case("A web page as configuration", f"convert {SOURCE} out/model", stage.file("bert/bert_config.json", PAGE)),
        Case("Data that was cut short", f"convert {SOURCE} out/model", stage.cut(f"{SOURCE}{SHARD}", 5000), 1),
        Case("Data that was damaged", f"convert {SOURCE} out/model", stage.flipped(f"{SOURCE}{SHARD}", 5000), 1),
        Case("Looking for the damage", f"verify {SOURCE}", stage.flipped(f"{SOURCE}{SHARD}", 5000), 1),
        Case("An index that was cut short", f"convert {SOURCE} out/model", stage.cut(f"{SOURCE}.index", 2000), 1),
        Case("An index that is missing", f"convert {SOURCE} out/model", stage.without(f"{SOURCE}.index")),
        Case(
            "An index that a browser renamed",
            f"convert {SOURCE} out/model",
            stage.renamed(f"{SOURCE}.index", f"{SOURCE}(1).index"),
        ),
        Case(
            "An index with another suffix",
            "convert bert out/model",
            stage.renamed(f"{SOURCE}.index", f"{SOURCE}.index.txt"),
        ),
        Case(
            "Data that a browser renamed",
            f"convert {SOURCE} out/model",
            stage.renamed(f"{SOURCE}{SHARD}", f"{SOURCE}{SHARD} (1)"),
        ),
        Case("An index that is packed", f"convert {SOURCE} out/model", stage.packed(f"{SOURCE}.index")),
        Case(
            "A download that has not ended",
            f"convert {SOURCE} out/model",
            stage.renamed(f"{SOURCE}{SHARD}", f"{SOURCE}{SHARD}.crdownload"),
        ),
        Case("Data that is missing", f"convert {SOURCE} out/model", stage.without(f"{SOURCE}{SHARD}")),
    ),
)
MODELS = Group(
    "The model",
    (
        Case(
            "A TensorFlow 2 checkpoint of another model",
            "convert tf2/model out/model",
            stage.drafted("tf2/model"),
        ),
        Case(
            "Object keys in place of TF1 names",
            "import b.npz out/model --to encoder",
            stage.exported("b.npz", "encoder"),
        ),
        Case("A TF1 checkpoint in place of a TensorFlow 2 one", f"convert {SOURCE} out/model --to tf1"),
        Case(
            "A model of an unknown family",
            "convert gpt/model.ckpt out/model",
            stage.saved("gpt/model.ckpt", {"model/wte": np.zeros((5, 4), np.float32)}),
        ),
        Case("No configuration", "convert wide/bert_model.ckpt out/model", stage.wide),
        Case(
            "A configuration under another name",
            f"convert {SOURCE} out/model",
            stage.renamed("bert/bert_config.json", "bert/bert_config_bio.json"),
        ),
        Case("A configuration that does not exist", f"convert {SOURCE} out/model --config bert/config.json"),
        Case("The wrong number of heads", f"convert {SOURCE} out/model --num-heads 3"),
        Case("The wrong vocabulary size", f"convert {SOURCE} out/model", stage.configured(vocab_size=40)),
        Case("A padded vocabulary", f"convert {SOURCE} out/model --to pretrainer", stage.changed(stage.padded)),
        Case(
            "A configuration with several kinds of segments",
            f"convert {SOURCE} out/model",
            stage.configured(type_vocab_size=[3, 256, 256, 2, 256, 256, 10]),
        ),
        Case(
            "A model with several kinds of segments, such as TAPAS",
            f"convert {SOURCE} out/model",
            stage.changed(stage.of_several_segments),
        ),
        Case(
            "A configuration with relative positions",
            f"convert {SOURCE} out/model",
            stage.configured(use_relative_position=True),
        ),
        Case(
            "A model without a table of positions, such as NEZHA or RoFormer",
            f"convert {SOURCE} out/model",
            stage.changed(stage.without_positions),
        ),
        Case(
            "A model whose layers are one, such as albert_zh's first",
            f"convert {SOURCE} out/model",
            stage.changed(stage.of_one_layer),
        ),
        Case(
            "A BERT of other code that calls variables otherwise",
            f"convert {SOURCE} out/model",
            stage.changed(stage.of_the_first_ernie),
        ),
        Case("A head that the source does not have", f"convert {SOURCE} out/model --to classifier"),
        Case(
            "An ELECTRA, which has no pooler",
            "convert electra/bert_model.ckpt out/model",
            stage.copied("electra_tf115", "electra"),
        ),
        Case("Proving the wrong target", f"prove {SOURCE} tf2/model", stage.converted("tf2/model", to="pretrainer")),
        Case("Proving a copy", f"prove {SOURCE} copy/{NAME}", stage.copied("bert_tf115", "copy")),
        Case(
            "Proving something else",
            f"prove {SOURCE} other/model",
            stage.saved("other/model", {"w": np.zeros(2, np.float32)}),
        ),
        Case(
            "One name in two sources of a merge",
            f"merge {SOURCE} copy/{NAME} out/model",
            stage.copied("bert_tf115", "copy"),
        ),
        Case("A variable of your own", f"convert {SOURCE} out/model", stage.with_an_adapter),
        Case(
            "An exclusion that takes more than it should",
            f"convert {SOURCE} out/model --exclude kernel",
            stage.with_an_adapter,
        ),
    ),
)
INSTALLATION = Group(
    "The installation",
    (
        Case("protobuf is too old", f"ls {SOURCE}", stage.installed("protobuf", "3.19.6"), None, apart=True),
        Case("NumPy is too old", f"show {SOURCE} global_step", stage.installed("numpy", "1.21.6"), None, apart=True),
        Case("A URL without the package that opens it", "ls s3://bucket/bert_model.ckpt", follow=None, lacks="fsspec"),
        Case(
            "A cluster without Dask",
            "convert-many jobs.csv --scheduler tcp://127.0.0.1:8786",
            stage.file("jobs.csv", f"source,destination,options\n{SOURCE},out/model,\n".encode()),
            None,
            lacks="distributed",
        ),
    ),
)
GROUPS = (PATHS, OTHERS, DOWNLOADS, MODELS, INSTALLATION)
CASES = [case for group in GROUPS for case in group.cases]
