"""What files are that are no checkpoints, told from their first bytes."""

from __future__ import annotations

import io
import pickle
import tarfile
from pathlib import Path

import pytest
from teaching import stage

from tfckpt.bundle import kinds
from tfckpt.bundle.kinds import explain, kind_of, remedy_for
from tfckpt.errors import FormatError
from tfckpt.issues import find_damage

DATA = Path(__file__).parent / "data"


def tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as packed:
        packed.addfile(tarfile.TarInfo("bert/bert_model.ckpt.index"))
    return buffer.getvalue()


def told(value: object) -> str:
    """Return what a case is called: the bytes of an archive differ from run to run."""
    return value.what if isinstance(value, kinds.Kind) else "of"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (stage.POINTER, kinds.POINTER),
        (stage.PAGE, kinds.PAGE),
        (b"\xef\xbb\xbf\n <HTML><HEAD>", kinds.PAGE),
        (b"<?xml version='1.0' encoding='UTF-8'?><Error><Code>AccessDenied</Code></Error>", kinds.ANSWER),
        (b"\x89HDF\r\n\x1a\n\0", kinds.HDF5),
        (stage.torch_file(), kinds.TORCH),
        (pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2), kinds.TORCH),  # how torch.save began before its zips
        (stage.arrays_file(), kinds.ARRAYS),
        (b"PK\x05\x06" + bytes(18), kinds.ZIP),
        (tar(), kinds.TAR),
        (b"\x1f\x8b\x08\0", kinds.TAR),
        (b"BZh91AY&SY", kinds.TAR),
        (b"\xfd7zXZ\0\0\x04", kinds.TAR),
        (stage.tensors_file(), kinds.TENSORS),
        (b'{\n  "vocab_size": 30522\n}', kinds.TEXT),
    ],
    ids=told,
)
def test_a_file_is_told_by_how_it_begins(tmp_path: Path, content: bytes, kind: kinds.Kind) -> None:
    (tmp_path / "file").write_bytes(content)
    assert kind_of(str(tmp_path / "file")) == kind


@pytest.mark.parametrize(
    "path",
    sorted([*DATA.glob("*_tf115/model.ckpt-3.*"), *DATA.glob("v1/*"), *DATA.glob("bundles/tf220/*[!z]")]),
    ids=lambda path: str(path.relative_to(DATA)),
)
def test_no_file_of_a_checkpoint_is_taken_for_something_else(path: Path) -> None:
    assert path.suffix == ".npz" or kind_of(str(path)) is None


def test_a_file_that_is_not_there_or_empty_is_of_no_kind(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert kind_of(str(tmp_path / "empty")) is kind_of(str(tmp_path / "none")) is kind_of(str(tmp_path)) is None


@pytest.mark.parametrize(
    ("path", "command"),
    [
        ("a b/bert.zip", "python3 -m zipfile -e 'a b/bert.zip' 'a b/bert'"),
        ("bert", "python3 -m zipfile -e bert bert-unpacked"),
        ("https://host/bert.zip", ""),
    ],
)
def test_what_unpacks_an_archive_can_be_typed(path: str, command: str) -> None:
    remedy = remedy_for(kinds.ZIP, path)
    assert (remedy.argument("command") if remedy else "") == command


def test_an_error_keeps_its_own_hint_where_a_file_is_of_no_kind(tmp_path: Path) -> None:
    path = str(tmp_path / "m.data-00000-of-00001")
    error = FormatError("tensor 'w'", expected="1 byte", got="none", path=path, hint="the file is truncated")
    explain(error)
    assert error.hint == "the file is truncated"
    assert error.remedies == (find_damage(f"{tmp_path}/m"),)
