"""Paths that lead to no checkpoint, and to one that is near: what is said, and that the command which is next works."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest
from support import foreign
from support.commands import Captured, fail_and_advise

import tfckpt
from tfckpt.cli.main import main
from tfckpt.errors import CheckpointNotFoundError


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with one checkpoint in ``models/bert``."""
    monkeypatch.chdir(tmp_path)
    tfckpt.save("models/bert/m.ckpt", {"step": 3}, sync=False)
    return tmp_path


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        # backslashes, also of another machine, and where a shell has taken them away
        (r"models\bert\m.ckpt", "models/bert/m.ckpt"),
        (r".\models\bert", "./models/bert"),
        (r"models\bert\m.ckpt.index", "models/bert/m.ckpt"),
        (r"models/bert\m.ckpt", "models/bert/m.ckpt"),
        (r"C:\Users\me\models\bert\m.ckpt", "models/bert/m.ckpt"),
        (r"\\host\share\models\bert", "models/bert"),
        ("modelsbertm.ckpt", "models/bert/m.ckpt"),
        ("models/bertm.ckpt.index", "models/bert/m.ckpt"),
        # one folder too high, and two
        ("models/m.ckpt", "models/bert/m.ckpt"),
        ("m.ckpt", "models/bert/m.ckpt"),
        ("models/m.ckpt.data-00000-of-00001", "models/bert/m.ckpt"),
        ("models", "models/bert/m.ckpt"),
        (".", "models/bert/m.ckpt"),
        # one too low, and from elsewhere
        ("models/bert/bert/m.ckpt", "models/bert/m.ckpt"),
        ("/home/me/models/bert/m.ckpt", "models/bert/m.ckpt"),
        ("/home/me/models/bert", "models/bert"),
    ],
)  # fmt: skip
def test_the_checkpoint_that_was_meant_is_next(capsys: Captured, typed: str, meant: str) -> None:
    lines, advice = fail_and_advise(capsys, "ls", typed)
    assert advice is not None
    assert shlex.split(advice) == ["tfckpt", "ls", meant]
    assert "truncated" not in lines[0]
    assert main(shlex.split(advice)[1:]) == 0
    assert "step" in capsys.readouterr().out


def test_a_backslash_in_a_name_that_is_there_is_a_letter() -> None:
    tfckpt.save(r"models\bert", {"step": 8}, sync=False)
    assert tfckpt.open(r"models\bert")["step"] == 8


def test_several_below_are_all_named(capsys: Captured) -> None:
    tfckpt.save("models/albert/m.ckpt", {"step": 4}, sync=False)
    lines, advice = fail_and_advise(capsys, "ls", "models/m.ckpt")
    assert lines == ["models/m.ckpt: no checkpoint: no file models/m.ckpt.index; models/albert, models/bert have it"]
    assert advice == "tfckpt ls models/albert/m.ckpt"
    lines, _ = fail_and_advise(capsys, "ls", "models")
    assert lines[0].endswith("models/albert has m.ckpt, models/bert has m.ckpt")


def test_only_so_many_directories_are_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(60):
        Path(f"many/{n:02}").mkdir(parents=True)
    listed: list[str] = []
    listdir = os.listdir

    def counted(path: str) -> list[str]:
        listed.append(path)
        return listdir(path)

    monkeypatch.setattr(os, "listdir", counted)
    with pytest.raises(CheckpointNotFoundError):
        tfckpt.open("many/m.ckpt")
    assert len(listed) < 150


KINDS = {
    "m.h5": (foreign.HDF5, "an HDF5 file"),
    "m.keras": (foreign.KERAS, "a Keras model"),
    "m.bin": (foreign.TORCH, "a PyTorch file"),
    "m.pt": (foreign.SCRIPT, "a TorchScript file"),
    "m.pth": (foreign.OLD_TORCH, "a PyTorch file"),
    "m.pkl": (foreign.pickled(4), "a pickle"),
    "m.msgpack": (foreign.FLAX, "a Flax file"),
    "m.onnx": (foreign.onnx(), "an ONNX model"),
    "m.tflite": (foreign.TFLITE, "a TensorFlow Lite model"),
    "m.gguf": (foreign.GGUF, "a GGUF file"),
    "m.7z": (b"7z\xbc\xaf\x27\x1c\0\4", "an archive of 7-Zip, RAR or Zstandard"),
}


@pytest.mark.parametrize("command", ["ls", "import"])
@pytest.mark.parametrize("typed", ["other/{0}", "other/m", "other"])
@pytest.mark.parametrize("name", KINDS)
def test_a_model_of_another_program_is_called_that(capsys: Captured, name: str, typed: str, command: str) -> None:
    content, what = KINDS[name]
    Path("other").mkdir()
    Path(f"other/{name}").write_bytes(content)
    lines, _ = fail_and_advise(capsys, command, typed.format(name), *(["out/m"] if command == "import" else []))
    assert len(lines) == 1
    assert what in lines[0]
    assert "truncated" not in lines[0]
    with pytest.raises(tfckpt.TfckptError, match=what):
        tfckpt.open(typed.format(name))


@pytest.mark.parametrize("command", ["ls", "import"])
@pytest.mark.parametrize(
    ("make", "typed", "what"),
    [
        (foreign.t5x, "", "a T5X checkpoint, for JAX; in Python, w = t5x.checkpoints.load_t5x_checkpoint('runs/7')"),
        (foreign.t5x, "runs", "runs/7 is a T5X checkpoint"),
        (foreign.t5x, "runs/7/checkpoint", "a T5X checkpoint"),
        (foreign.t5x, f"runs/7/{foreign.T5X_NAME}", "an array of zarr"),
        (foreign.t5x, f"runs/7/{foreign.T5X_NAME}/0", "a file of an array of zarr"),
        (foreign.orbax, "", "an Orbax checkpoint, for JAX; in Python, w = orbax.checkpoint.PyTreeCheckpointer()"),
        (foreign.orbax, "runs", "runs/7/default is an Orbax checkpoint"),
        (foreign.orbax, "runs/7/default", "it is an Orbax checkpoint"),
        (foreign.orbax, "runs/7/_CHECKPOINT_METADATA", "a file of an Orbax checkpoint"),
        (foreign.orbax, "runs/7/default/manifest.ocdbt", "a file of an Orbax checkpoint"),
    ],
)  # fmt: skip
def test_a_directory_of_another_program_is_called_that(
    capsys: Captured, make: foreign.Make, typed: str, what: str, command: str
) -> None:
    make(Path("runs/7"))
    lines, _ = fail_and_advise(capsys, command, typed or "runs/7", *(["out/m"] if command == "import" else []))
    assert what in lines[0]


@pytest.mark.parametrize("make", [foreign.t5x, foreign.orbax])
def test_of_several_steps_of_another_program_the_latest_is_named(capsys: Captured, make: foreign.Make) -> None:
    for step in ("900", "1000", "20"):
        make(Path(f"runs/checkpoint_{step}"))
    lines, _ = fail_and_advise(capsys, "ls", "runs")
    assert "; runs/checkpoint_1000" in lines[0]


def test_a_checkpoint_beside_files_of_other_programs_is_read() -> None:
    foreign.orbax(Path("models/bert"))
    for name, (content, _) in KINDS.items():
        Path(f"models/bert/{name}").write_bytes(content)
    assert tfckpt.open("models/bert")["step"] == 3


def test_the_name_of_a_file_is_shown_escaped(capsys: Captured) -> None:
    Path("other").mkdir()
    Path("other/m\x1b[2J.h5").write_bytes(foreign.HDF5)
    assert main(["ls", "other"]) == 1
    err = capsys.readouterr().err
    assert r"\x1b[2J.h5" in err
    assert "\x1b" not in err
