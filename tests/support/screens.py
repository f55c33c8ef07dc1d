"""What commands show on terminals of two widths, kept to compare with: ``python tests/support/screens.py`` writes it anew.

The checkpoints are those of tests/data, and indexes alone of a BERT-base and a BERT-large, whose data files are holes: of
them only the index is read.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

SCREENS = Path(__file__).parents[1] / "data" / "screens"
DATA = SCREENS.parent
WIDTHS = (80, 120)
SIZES = {"base": (12, 768, 12, 3072), "large": (24, 1024, 16, 4096)}
# Name of the screen, the command, its exit code.
SCENES: dict[str, tuple[Sequence[str], int]] = {
    "plan_base": (["plan", "base/bert_model.ckpt"], 0),
    "plan_large_pretrainer": (["plan", "large/bert_model.ckpt", "--to", "pretrainer"], 0),
    "plan_trained": (["plan", "trained/bert_model.ckpt"], 0),
    "info": (["info", "bert/model.ckpt-3"], 0),
    "ls_large": (["ls", "large/bert_model.ckpt"], 0),
    "ls_trained": (["ls", "trained/bert_model.ckpt", "-H"], 0),
    "tree_large": (["tree", "large/bert_model.ckpt"], 0),
    "tree_trained": (["tree", "trained/bert_model.ckpt"], 0),
    "convert": (["convert", "bert/model.ckpt-3", "out"], 0),
    "convert_back": (["convert", "out", "back", "--to", "tf1"], 0),
    "info_converted": (["info", "out"], 0),
    "tree_converted": (["tree", "out"], 0),
    "rewrite": (
        ["rewrite", "bert/model.ckpt-3", "new", "--rename", "^bert/=net/bert/", "--strip-optimizer", "--dry-run"],
        0,
    ),
    "export": (["export", "out", "out.npz", "--dry-run"], 0),
    "diff_same": (["diff", "bert/model.ckpt-3", "bert/model.ckpt-3"], 0),
    "diff": (["diff", "bert/model.ckpt-3", "other"], 1),
    "prove": (["prove", "bert/model.ckpt-3", "out"], 0),
    "prove_wrong": (["prove", "bert/model.ckpt-3", "wrong"], 1),
    "prove_partly_wrong": (["prove", "bert/model.ckpt-3", "partly_wrong"], 1),
    "verify": (["verify", "bert/model.ckpt-3"], 0),
    "show": (["show", "bert/model.ckpt-3", "bert/pooler/dense/kernel"], 0),
    "layouts": (["layouts"], 0),
    "refused": (["convert", "bert/model.ckpt-3", "new", "--to", "classifier"], 1),
}


def make_places(directory: Path) -> None:
    """Write the checkpoints that the commands name."""
    import shutil

    import tfckpt

    shutil.copytree(DATA / "bert_tf115", directory / "bert")
    for name, sizes in SIZES.items():
        make_index(directory / name, *sizes)
    make_index(directory / "trained", *SIZES["large"], slots=True)
    source = directory / "bert" / "model.ckpt-3"
    tfckpt.convert(source, directory / "converted")
    for name, part in (("wrong", ""), ("partly_wrong", "weights-4/")):
        with tfckpt.open(directory / "converted") as checkpoint:
            tensors = {key: _plus_one(value) if part in key else value for key, value in checkpoint.items()}
        tfckpt.save(directory / name, tensors)
    with tfckpt.open(source) as checkpoint:
        tensors = dict(checkpoint)
    others = {name: _plus_one(value) if "layer_1/" in name else value for name, value in tensors.items()}
    others |= {"bert/pooler/dense/bias": np.zeros(3, np.float32), "new": np.zeros(2)}
    tfckpt.save(directory / "other", others)


def _plus_one(value: Any) -> Any:
    return value if value.dtype.kind != "f" else value + np.float32(1)


def make_index(directory: Path, layers: int, hidden: int, heads: int, inner: int, *, slots: bool = False) -> None:
    """Write a pretrained BERT of these sizes whose data file is a hole, with its configuration."""
    from support.bundles import write_rows
    from tfckpt._proto.tensor_bundle_pb2 import BundleEntryProto, BundleHeaderProto
    from tfckpt._proto.types_pb2 import DT_FLOAT, DT_INT64
    from tfckpt.cli.commands.demo import CONFIG, bert_shapes

    sizes = {
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "intermediate_size": inner,
    }
    config = CONFIG | sizes | {"vocab_size": 30522, "max_position_embeddings": 512}
    shapes = bert_shapes(config)
    if slots:
        shapes |= {f"{name}/{slot}": shape for name, shape in shapes.items() for slot in ("adam_m", "adam_v")}
    shapes["global_step"] = ()
    rows, offset = [(b"", BundleHeaderProto(num_shards=1).SerializeToString())], 0
    for name in sorted(shapes):
        entry = BundleEntryProto(dtype=DT_INT64 if name == "global_step" else DT_FLOAT, offset=offset)
        for size in shapes[name]:
            entry.shape.dim.add(size=size)
        entry.size = (8 if name == "global_step" else 4) * int(np.prod(shapes[name], dtype=np.int64))
        rows.append((name.encode(), entry.SerializeToString()))
        offset += entry.size
    directory.mkdir()
    write_rows(directory / "bert_model.ckpt", rows)
    with open(directory / "bert_model.ckpt.data-00000-of-00001", "wb") as file:
        file.truncate(offset)
    (directory / "bert_config.json").write_text(json.dumps(config | {"hidden_act": "gelu"}), encoding="utf-8")


def screen(argv: Sequence[str], code: int, columns: int) -> str:
    """Return what a command leaves on a terminal of this width, stderr and stdout together, without colours."""
    from support.commands import left_on_terminal

    return _left(left_on_terminal(("stdout", "stderr"), *argv, columns=columns, code=code, PAGER="cat"))


def _left(written: str) -> str:
    """Return what is left of what was written, where bars that moved have been wiped away."""
    lines, row = [""], 0
    for text, move, count in re.findall(r"([^\x1b\r\n]+|\r|\n)|\x1b\[([0-9;?]*)([a-zA-Z])", written):
        if text == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif text and text != "\r":
            lines[row] += text
        elif count == "A":
            row -= int(move or 1)
        elif count == "K":
            lines[row] = ""
    return "\n".join(line.rstrip() for line in lines).rstrip("\n") + "\n"


def draw(directory: Path) -> Mapping[tuple[str, int], str]:
    """Return every screen, by its name and width; the commands run in ``directory``."""
    make_places(directory)
    before = Path.cwd()
    os.chdir(directory)
    try:
        found = {}
        for columns in WIDTHS:
            for made in (*directory.glob("out.*"), *directory.glob("back.*")):
                made.unlink()
            for name, (argv, code) in SCENES.items():
                found[name, columns] = f"$ tfckpt {' '.join(argv)}\n{screen(argv, code, columns)}"
    finally:
        os.chdir(before)
    return found


def kept(name: str, columns: int) -> Path:
    """Return the file of a screen."""
    return SCREENS / f"{name}_{columns}.txt"


if __name__ == "__main__":
    import tempfile

    sys.path.insert(0, str(Path(__file__).parents[1]))
    SCREENS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        for (name, columns), text in draw(Path(place)).items():
            kept(name, columns).write_text(text, encoding="utf-8")
