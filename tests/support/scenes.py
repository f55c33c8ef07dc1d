"""The files that pages of the documentation speak of, small and real: what stands where a page's blocks run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

import tfckpt
from support.foreign import TORCH

DATA = Path(__file__).parents[1] / "data"
FOLDER = "uncased_L-12_H-768_A-12"


def copy(source: str, folder: Path, name: str = "bert_model.ckpt") -> str:
    """Copy a checkpoint of tests/data, and its configuration, into a folder; return the new prefix."""
    folder.mkdir(parents=True, exist_ok=True)
    prefix = next((DATA / source).glob("model.ckpt-*.index")).with_suffix("")
    for path in prefix.parent.glob(f"{prefix.name}.*"):
        shutil.copy(path, folder / path.name.replace(prefix.name, name))
    for path in prefix.parent.glob("*_config.json"):
        shutil.copy(path, folder)
    return str(folder / name)


def common(directory: Path) -> None:
    """Make what most pages speak of: the folder of a BERT as it was downloaded, and the same BERT right here."""
    copy("bert_tf115", directory / FOLDER)
    copy("bert_tf115", directory)


def before_and_after(directory: Path) -> None:
    """Make before.ckpt, and after.ckpt, which differs in one value; and the conversion of bert_model.ckpt."""
    with tfckpt.open(directory / "bert_model.ckpt") as checkpoint:
        values = {name: np.array(value) for name, value in checkpoint.items() if "/adam_" not in name}
    tfckpt.save(directory / "before.ckpt", values)
    values["bert/pooler/dense/bias"][0] += 1
    tfckpt.save(directory / "after.ckpt", values)
    tfckpt.convert(directory / "bert_model.ckpt", directory / "tf2" / "bert_encoder")


def damaged(directory: Path) -> None:
    """Make model.ckpt and damaged.ckpt: a byte of one tensor is another."""
    for name in ("model.ckpt", "damaged.ckpt"):
        copy("bert_tf115", directory, name)
        with tfckpt.open(directory / name) as checkpoint:
            offset = next(iter(checkpoint.entries("bert/pooler/dense/kernel"))).offset
        data = directory / f"{name}.data-00000-of-00001"
        content = bytearray(data.read_bytes())
        content[offset] ^= 1
        data.write_bytes(content)


def command_line(directory: Path) -> None:
    """Make what docs/cli.md speaks of."""
    common(directory)
    before_and_after(directory)
    damaged(directory)
    (directory / "manifest.csv").write_text("source,destination\nbert_model.ckpt,tf2/by_manifest\n")
    for path in (".local/share/bash-completion/completions", ".config/fish/completions"):
        (directory / path).mkdir(parents=True)


def compared(directory: Path) -> None:
    """Make what docs/json.md speaks of."""
    common(directory)
    before_and_after(directory)


def exchange(directory: Path) -> None:
    """Make what docs/export.md speaks of: the same BERT for TensorFlow 2."""
    common(directory)
    tfckpt.convert(directory / "bert_model.ckpt", directory / "tf2" / "bert_encoder")


def reliability(directory: Path) -> None:
    """Make what docs/RELIABILITY.md speaks of."""
    common(directory)
    damaged(directory)


def nano(directory: Path) -> None:
    """Make the checkpoint of a made-up family, and its configuration."""
    from support.nano import save

    save(directory)


def gpt2(directory: Path) -> None:
    """Make a TF1 GPT-2, and its hparams.json."""
    from support.gpt2 import HPARAMS, make_gpt2

    (directory / "hparams.json").write_text(json.dumps(HPARAMS), encoding="utf-8")
    tfckpt.save(directory / "model.ckpt", make_gpt2())


def many(directory: Path) -> None:
    """Make the sources of the manifest in docs/many.md."""
    copy("bert_tf115", directory / "tf1" / FOLDER)
    copy("classifier_tf115", directory / "tf1" / "finetuned", "model.ckpt-2700")
    copy("bert_tf115", directory / "tf1" / "forked", "model.ckpt-9")
    shutil.copy(directory / "tf1" / FOLDER / "bert_config.json", directory / "tf1" / "bert_config.json")


def slots(directory: Path) -> None:
    """Make a checkpoint that training saved."""
    copy("bert_tf115", directory, "model.ckpt-1000000")


def fine_tuned(directory: Path) -> None:
    """Make what docs/bert.md speaks of."""
    common(directory)
    copy("classifier_tf115", directory / "mnli", "model.ckpt-36000")
    copy("squad_tf115", directory / "squad", "model.ckpt-14599")
    copy("token_tf115", directory / "ner", "model.ckpt-2500")


def albert(directory: Path) -> None:
    """Make what docs/albert.md speaks of: an ALBERT as pretrained, and the same with the heads of three tasks."""
    base = copy("albert_tf115", directory / "albert_base", "model.ckpt-best")
    with tfckpt.open(base) as checkpoint:
        values = {name: np.array(value) for name, value in checkpoint.items() if name.startswith("bert/")}
    width = values["bert/pooler/dense/bias"].size
    for task, scope, rows in (("mnli", "", 3), ("squad", "cls/squad/", 2), ("ner", "", 5)):
        shapes = {"output_weights": (rows, width), "output_bias": (rows,)}
        head = {f"{scope}{name}": np.ones(shape, np.float32) for name, shape in shapes.items()}
        (directory / task).mkdir()
        tfckpt.save(directory / task / "model.ckpt-best", {**values, **head})
        shutil.copy(directory / "albert_base" / "albert_config.json", directory / task)


def electra(directory: Path) -> None:
    """Make what docs/electra.md speaks of."""
    copy("electra_tf115", directory / "electra_base", "electra_base")


def mobilebert(directory: Path) -> None:
    """Make what docs/mobilebert.md speaks of."""
    copy("mobilebert_student_tf115", directory / "mobilebert", "mobilebert_variables.ckpt")


def questions(directory: Path) -> None:
    """Make what docs/faq.md speaks of: downloads that went wrong, files of other programs, and a run with its best step."""
    common(directory)
    (directory / "hf").mkdir()
    (directory / "hf" / "pytorch_model.bin").write_bytes(TORCH)
    for step in (900, 1000):
        copy("bert_tf115", directory / "run", f"model.ckpt-{step}")
    (directory / "run" / "best_dev_checkpoint").write_text('model_checkpoint_path: "/mnt/run/model.ckpt-900"\n')
    for folder in ("downloads", "pointer"):
        copy("bert_tf115", directory / folder)
    index = directory / "downloads" / "bert_model.ckpt.index"
    index.rename(index.with_name("bert_model.ckpt(1).index"))
    note = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'4d7a' * 16}\nsize 440425712\n"
    (directory / "pointer" / "bert_model.ckpt.data-00000-of-00001").write_text(note)


def trained(directory: Path) -> None:
    """Make what docs/migrate.md speaks of: a directory that training wrote to."""
    copy("bert_tf115", directory / "trained", "model.ckpt-3")
    shutil.copy(DATA / "bert_tf115" / "checkpoint", directory / "trained")


SCENES: dict[str, Callable[[Path], None]] = {
    "docs/cli.md": command_line,
    "docs/json.md": compared,
    "docs/RELIABILITY.md": reliability,
    "docs/export.md": exchange,
    "docs/architecture.md": nano,
    "docs/custom_layouts.md": gpt2,
    "docs/many.md": many,
    "docs/slots.md": slots,
    "docs/faq.md": questions,
    "docs/migrate.md": trained,
    "docs/bert.md": fine_tuned,
    "docs/albert.md": albert,
    "docs/electra.md": electra,
    "docs/mobilebert.md": mobilebert,
}


def set_up(page: str, directory: Path) -> None:
    """Make the files of a page."""
    SCENES.get(page, common)(directory)
