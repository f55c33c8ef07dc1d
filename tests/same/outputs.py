"""What the commands of one tree write, print as JSON and exit with, on the real checkpoints: run with the tree on the path.

Each case runs in a fresh directory, with paths relative to it, so that two trees can be compared. Says nothing of what is
printed as text: the words may change.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

DATA = Path(__file__).parents[1] / "data"
SOURCES = (
    "bert_tf115",
    "classifier_tf115",
    "squad_tf115",
    "token_tf115",
    "albert_tf115",
    "electra_tf115",
    "electra_cola_tf115",
    "mobilebert_student_tf115",
    "mobilebert_teacher_tf115",
)
TARGETS = (
    *("auto", "encoder", "pretrainer", "bert-pretrainer", "pretrain-model", "classifier", "classifier-own-pooler"),
    *(
        "span-labeler",
        "token-classifier",
        "generator",
        "pretrainer-tied",
        "bert-model",
        "bert-layer",
        "keras",
        "keras-v2",
        "tf1",
    ),
)
OPTIONS: tuple[tuple[str, ...], ...] = (
    (),
    ("--fill", "zeros"),
    ("--fill", "normal:7"),
    ("--slots", "convert"),
    ("--slots", "convert", "--optimizer", "adamw", "--fill", "zeros"),
    ("--slots", "keep"),
    ("--keep-names",),
    ("--num-heads", "2"),
    ("--vocab-size", "64", "--max-positions", "8", "--resize-fill", "mean"),
    ("--exclude", "pooler", "--fill", "normal:1"),
    ("--exclude", "cls/"),
    ("--mode", "link", "--no-verify"),
)
PREFIX = "source/model.ckpt-3"
# On each source, and on what becomes of it: DEST is the conversion to the fullest target, if there is one.
LOOKS: tuple[tuple[str, ...], ...] = (
    ("ls", PREFIX),
    ("ls", PREFIX, "--columns", "name,dtype,shape,bytes,shard,offset,crc32c,slices,role"),
    *(("ls", PREFIX, "--total", by) for by in ("prefix", "dtype", "role", "shard")),
    ("tree", PREFIX),
    ("tree", "made", "--all"),
    ("show", PREFIX, "global_step"),
    ("verify", "made"),
    ("diff", PREFIX, "made"),
    ("diff", PREFIX, "made", "--map", "auto"),
    ("report", PREFIX, "made", "--fill", "zeros"),
    ("prove", PREFIX, "made", "--to", "auto", "--fill", "zeros"),
    ("convert", "made", "back", "--to", "tf1"),
    ("convert", "made", "back", "--to", "tf1", "--slots", "convert", "--scope", "module/"),
    ("rewrite", PREFIX, "new", "--strip-optimizer", "--cast", "float16"),
    ("rewrite", "made", "new", "--rename", "^model=net", "--shards", "3"),
    ("rewrite", PREFIX, "new", "--drop", "*/adam_?", "--max-shard-size", "1KiB"),
    ("merge", PREFIX, "made", "new"),
    ("merge", "made", PREFIX, "new", "--prefer", "made"),
    ("average", PREFIX, PREFIX, "new", "--weights", "1,2"),
    ("salvage", "made", "new"),
    ("export", PREFIX, "out.npz"),
    ("export", "made", "out.safetensors", "--names", "path"),
    ("export", PREFIX, "out/", "--to", "auto", "--fill", "zeros"),
)


def cases() -> Iterator[tuple[str, Sequence[str]]]:
    """Yield every source with every command line."""
    conversions = (
        ("convert", PREFIX, "new", "--to", to, *options) for to, options in itertools.product(TARGETS, OPTIONS)
    )
    yield from itertools.product(SOURCES, (*LOOKS, *conversions))


def run(argv: Sequence[str]) -> dict[str, Any]:
    """Return what a command did here: its exit code, its document, the hash of each file that it left."""
    from tfckpt.cli.main import main

    before = {path: path.stat().st_mtime_ns for path in _files()}
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        try:
            code = main([*argv, "--json"])
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
    text = out.getvalue()
    left = {path: _hash(path) for path in _files() if path.stat().st_mtime_ns != before.get(path)}
    return {
        "code": code,
        "document": json.loads(text) if text.strip() else None,
        "files": {str(p): h for p, h in left.items()},
    }


def _files() -> list[Path]:
    return sorted(path for path in Path().rglob("*") if path.is_file())


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write(target: str) -> None:
    """Write the outcome of each case, a line each."""
    with open(target, "w", encoding="utf-8") as file, tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        for source, group in itertools.groupby(cases(), key=lambda case: case[0]):
            shutil.rmtree("source", ignore_errors=True)
            shutil.copytree(DATA / source, "source")
            for left in Path().glob("made*"):
                left.unlink()
            run(["convert", PREFIX, "made", "--to", "auto", "--fill", "zeros", "--overwrite"])
            kept = {path.name for path in Path().iterdir()}
            for _, argv in group:
                outcome = {"source": source, "argv": argv, **run(argv)}
                file.write(json.dumps(outcome) + "\n")
                for path in Path().iterdir():
                    if path.name not in kept:
                        shutil.rmtree(path) if path.is_dir() else path.unlink()


if __name__ == "__main__":
    write(sys.argv[1])
